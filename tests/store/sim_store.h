/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of the simulation of the node (sim_store.c): what is known of each vhost, and what they call of
 * each other.
 *
 * What a client does is noted when it is sent, with the records that its run writes (struct range); what it
 * hears is compared at once (sim_store_peers.c), what is there after the end of a life in sim_store_check.c.
 */
#ifndef TESTS_STORE_SIM_STORE_H
#define TESTS_STORE_SIM_STORE_H

#include <stdio.h>
#include <string.h>

#include "coney/hash.h"
#include "coney/method.h"
#include "coney/outbox.h"
#include "sim/seeds.h"
#include "world.h"

enum {
    QUEUES = 8,
    SOURCES = 6, /* those that are published to; the others get the dead letters of LETTERS_OF */
    EXCHANGES = 2,
    CONNECTIONS = 2,
    CHANNELS = 2,
    ENTRIES = 4,
};

#define NEVER  UINT64_MAX
#define TTL_MS 200

enum where { ABSENT = 1, SOURCE = 2, TARGET = 4 };

/* What a queue is like, by its number. */
struct kind {
    const char *name;
    bool durable;
    int priorities, ttl, target;
    const char *type;
};

/* When in the order of a vhost's records something happened: it is so from `last` on, and was not so before
 * `first`. */
struct range {
    uint64_t first, last;
};

/* A message in a queue that it was published to, or in the queue of that one's dead letters. */
struct copy {
    UT_hash_handle hh;
    struct {
        uint64_t id, queue;
    } key;
    uint64_t rank; /* order of arrival */
    uint32_t size;
    uint8_t level;
    bool lasts;
    bool is_ready, is_out; /* neither: settled */
    bool in_target;
    bool delivered; /* to somebody, from where it is */
    bool is_vague;  /* expired when something else took it */
    int64_t deadline;
    struct range entered, moved, gone;
    uint8_t seen; /* enum where */
};

/* A queue, exchange or binding. */
struct object {
    bool exists, lasts;
    bool first;      /* at the beginning of this life */
    uint32_t number; /* counts what was made under this name */
    struct {
        struct range when;
        bool exists;
    } * events;
    uint32_t event_count, event_capacity;
};

struct delivery {
    uint64_t tag;
    struct copy *copy;
    char held; /* in a transaction: 'a', 'n', 'r' */
};

struct expected {
    struct expected *next;
    uint32_t method;
    int queue;
    bool no_ack;
    struct range when;
};

struct published {
    struct range when;
    struct copy *copies[SOURCES];
    bool told;
};

struct held_post {
    uint64_t id;
    uint32_t size;
    int queue; /* QUEUES: the exchange f */
    uint8_t priority;
    bool persistent;
    bool routes[SOURCES]; /* the queues that it goes to, by name */
};

struct peer;

struct line {
    struct peer *peer;
    uint16_t number;
    struct delivery *deliveries;
    uint32_t delivery_count, delivery_capacity;
    struct expected *expected, **expected_end;
    struct published **published; /* confirm mode */
    uint32_t published_count, published_capacity;
    struct held_post posts[64];
    uint32_t post_count;
    int consumes; /* a queue, or -1 */
    bool refused; /* the broker has closed it, of which the client may not have heard yet */
};

struct peer {
    struct side *side;
    int index;
    uint64_t id;                        /* 0: none */
    bool broken;                        /* it has heard that a channel of its is closed */
    uint64_t acked;                     /* the last record of what it settled */
    struct line channels[CHANNELS + 1]; /* by number */
    int consumers[8];                   /* queue by the consumer's number */
};

/* What is known of a vhost. */
struct side {
    struct world_vhost *v;
    struct peer peers[CONNECTIONS];
    struct peer inspector;
    struct copy *copies;
    struct object queues[QUEUES], exchanges[EXCHANGES], bindings[EXCHANGES][SOURCES];
    uint64_t promised;
    struct range **open; /* of the run under way */
    uint32_t open_count, open_capacity;
    uint64_t next_rank;
    bool left_asking[QUEUES]; /* somebody left before his get was answered: what he had counts as delivered */
    /* the inspection */
    uint64_t last_rank;
    int last_level;
    bool was_clean;
};

/* An entry of the node's, as it should be. */
struct node_entry {
    uint64_t value, lsn, old;
    bool is_open;
};

extern const struct kind kinds[QUEUES];
extern struct seeds seeds;
extern struct world *world;
extern struct side sides[WORLD_VHOSTS];
extern struct random chance;
extern struct node_entry entries[ENTRIES];
extern uint64_t next_id, steps;
extern int life;
extern bool faulty; /* calls may fail */

#define TRACE(...)                                                         \
    do {                                                                   \
        if (seeds.trace) {                                                 \
            fprintf(stderr, "%6llu.%d ", (unsigned long long)steps, life); \
            fprintf(stderr, __VA_ARGS__);                                  \
            fputc('\n', stderr);                                           \
        }                                                                  \
    } while (0)

void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static inline uint32_t below(uint32_t limit)
{
    return random_below(&chance, limit);
}

static inline bool percent(uint32_t p)
{
    return random_percent(&chance, p);
}

static inline struct bytes queue_bytes(int queue)
{
    return bytes_from_string(kinds[queue].name);
}

static inline struct bytes exchange_bytes(int exchange)
{
    return bytes_from_string(exchange ? "x" : "f");
}

/* ---- when things happen, and copies: sim_store_copies.c ---- */

extern const struct range never;

/* WHEN is the run that is about to be. */
void happens(struct side *side, struct range *when);
/* The run has been. */
void close_ranges(struct world_vhost *v);
/* Somebody was told, by WHAT, that what happened then lasts. */
void promise(struct side *side, struct range when, const char *what);
/* OBJECT is made or goes, in the run that is about to be. */
void object_event(struct side *side, struct object *object, bool exists);

struct copy *copy_find(struct side *side, uint64_t id, int queue);
struct copy *copy_add(struct side *side, const struct held_post *post, int queue);
void copy_free(struct side *side, struct copy *copy);
/* Its time has come: it may be where its dead letter goes. */
bool is_due(const struct copy *copy);
/* Where COPY is, as far as is known. */
int copy_queue(const struct copy *copy);
/* Something takes COPY, which nobody has. */
void copy_take(struct side *side, struct copy *copy);
void fill_body(uint8_t *to, uint64_t id, uint32_t size);
/* The id of MESSAGE, which must be whole. */
uint64_t read_body(const struct message *message);

/* ---- clients: sim_store_peers.c ---- */

/* What is added is one run, which end_batch() runs. */
void begin_batch(struct peer *peer);
struct command *add_command(void);
void add_method(uint16_t channel, const struct method *method);
void end_batch(struct side *side);
/* METHOD will be the reply; of QUEUE, if it is a get's. */
struct expected *expect(struct line *channel, uint32_t method, int queue);
/* METHOD alone, whose reply promises what it did; if that LASTS. */
void act(struct line *channel, const struct method *method, uint32_t reply);
void act_for(struct line *channel, const struct method *method, uint32_t reply, bool lasts);

/* What is said to peers. */
void hear(struct world_vhost *v, void *owner, struct outbox_record *record);

void peer_init(struct side *side, struct peer *peer, int index);
void peer_open(struct peer *peer);
/* Its socket is gone; or it closes in good order: what was acked before close-ok lasts. */
void peer_vanish(struct peer *peer);
void peer_close(struct peer *peer);
/* What PEER has unacked is about to go back. */
void give_back(struct peer *peer);
/* Its messages cannot be read: who publishes to it, gets, consumes or purges is refused. */
bool is_broken(const struct side *side, int queue);
/* Note which channels the broker has closed meanwhile, for want of a disk. */
void note_refused(struct side *side);
/* What PEER knew is forgotten. */
void peer_forget(struct peer *peer);

/* ---- operations: sim_store_operations.c, and sim_store_topology.c ---- */

/* Something happens. */
void operate(struct side *side);

/* Somebody waits for a message of QUEUE, who may be given one that is being taken. */
bool is_asked(const struct side *side, int queue);
void declare(struct line *channel, int queue);
void declare_or_delete(struct line *channel);
void exchange_event(struct line *channel);
void bind_or_unbind(struct line *channel);

/* ---- comparing: sim_store_check.c ---- */

extern uint64_t checks; /* states compared */

void begin_objects(struct object *objects, int count);
/* What is said to those who inspect. */
void hear_inspected(struct world_vhost *v, void *owner, struct outbox_record *record);
/* Take everything out of the queues without acking it, compare, and let it go back. From here on what was
 * found is what there is. */
void inspect(struct side *side);
void check_entries(bool was_clean);

#endif
