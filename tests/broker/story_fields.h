/* SPDX-License-Identifier: Apache-2.0 */
/* What a story is made of, for the files that tell stories: story.c, story_commands.c, story_expectations.c.
 */
#ifndef TESTS_BROKER_STORY_FIELDS_H
#define TESTS_BROKER_STORY_FIELDS_H

#include "sim/journal_seeded.h"
#include "sim/random.h"
#include "story.h"

#define CONFIRMS_MAX  20000
#define CONSUMERS_MAX 64

/* A list of things heard, oldest first. */
struct ears {
    struct heard *first, **end;
};

struct client {
    struct client *next; /* of the connection */
    struct peer *peer;
    uint16_t number;
    struct ears replies, deliveries, returns;
    uint64_t sequence;                  /* confirms: the highest number told */
    uint8_t confirms[CONFIRMS_MAX + 1]; /* 'a', 'n', 0: not told */
};

/* A connection. */
struct peer {
    struct peer *next; /* of the story */
    struct story *story;
    uint64_t id;
    struct client *clients; /* its channels, 0 too */
    char tags[CONSUMERS_MAX][SHORTSTR_MAX + 1];
    struct outbox_chunk *unwritten, **unwritten_end;
    bool is_reading, has_ended, has_detached, is_gone;
    unsigned hold;
    struct batch together; /* while is_together */
    bool is_together;
};

struct story {
    struct vhost *vhost;
    struct vhost_settings settings;
    struct journal_seeded *journal; /* NULL: the memory one */
    bool is_late;                   /* nothing is durable before it is told to be */
    struct random random;
    int64_t now;
    uint64_t order;
    struct peer *peers;
    struct outbox_chunk *written; /* to be given back */
};

/* The channel NUMBER of PEER, or NULL. */
struct client *story_client_at(struct peer *peer, uint16_t number);

/* Take the next thing heard, or NULL. It stays valid until the story ends. */
struct heard *story_take(struct ears *ears);

/* The core runs BATCH, and with a seeded journal something may or may not happen after it. */
void story_run(struct story *s, struct batch *batch);

#endif
