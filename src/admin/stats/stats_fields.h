/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of stats.h share: stats.c has the thread, stats_kept.c what is remembered, stats_look.c
 * looks at everything once, stats_show.c answers.
 */
#ifndef ADMIN_STATS_FIELDS_H
#define ADMIN_STATS_FIELDS_H

#include <pthread.h>
#include <time.h>

#include "coney/counts.h"
#include "coney/hash.h"
#include "stats.h"

#define SAMPLES      121 /* ten minutes at five seconds, */
#define NODE_SAMPLES 721 /* and an hour */

/* Places of values, beside those of message_counts. */
enum {
    AT_READY = MESSAGE_COUNTS,
    AT_UNACKED,
    QUEUE_VALUES,
    AT_RECEIVED = QUEUE_VALUES, /* of vhosts */
    AT_SENT,
    VHOST_VALUES,

    AT_CHURN = QUEUE_VALUES, /* connections opened, closed; channels; queues declared, created, deleted */
    AT_MEMORY = AT_CHURN + 7,
    AT_DESCRIPTORS,
    AT_SOCKETS,
    AT_DISK_FREE,
    AT_SWITCHES,
    AT_WRITES,
    AT_WRITE_OCTETS,
    AT_SYNCS,
    AT_RECORDS,
    AT_FETCHES,
    NODE_VALUES
};

_Static_assert(NODE_VALUES <= 64, "a mask has a bit for each");

struct history {
    UT_hash_handle hh;
    uint64_t key, sum;
    uint64_t *values; /* rings of samples, one value after the other in each */
    uint16_t width, capacity, count;
    uint16_t next;       /* the ring's place for the next sample */
    uint64_t last_tick;  /* of the newest sample */
    uint64_t moved_tick; /* 0: never seen moving */
};

struct rest {
    uint64_t key, sum; /* key 0: free */
};

struct rests {
    struct rest *places;
    size_t capacity, count; /* capacity: a power of two, or 0 */
};

/* ---- what is remembered: behind the mutex ---- */

struct kept {
    uint64_t tick;               /* the last; 0: none */
    uint64_t first_tick;         /* of this watch */
    int64_t times[NODE_SAMPLES]; /* of ticks, ms since 1970, by tick */
    struct history *histories;
    size_t octets; /* of histories */
    struct rests resting, next_resting;
};

/* A tick begins, at NOW_MS; */
void kept_begin_tick(struct kept *kept, int64_t now_ms);
/* KEY has the VALUES, WIDTH of them, at this tick; */
void kept_note(struct kept *kept, uint64_t key, const uint64_t *values, uint16_t width);
/* it is over: what was not seen has gone. */
void kept_end_tick(struct kept *kept);

void kept_forget(struct kept *kept);
/* Of each history keep the newest sample alone: a rate needs it. */
void kept_shorten(struct kept *kept);

/* NULL: it rests, or was never seen. */
const struct history *kept_find(const struct kept *kept, uint64_t key);

static inline int64_t kept_time(const struct kept *kept, uint64_t tick)
{
    return kept->times[tick % NODE_SAMPLES];
}

static inline uint64_t history_first_tick(const struct history *history)
{
    return history->last_tick - history->count + 1;
}

/* The sample of TICK, which is one of HISTORY's. */
const uint64_t *history_at(const struct history *history, uint64_t tick);

/* ---- the thread ---- */

struct stats {
    struct server *server;
    int64_t interval_ms;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread, is_running, is_stopping;
    int64_t asked_ms;
    struct kept kept;
};

int64_t stats_clock_ms(clockid_t clock);

/* Behind the mutex: somebody wants to know. */
void stats_ask(struct stats *stats);

/* Have everything noted that there is, and end the tick. */
void stats_look(struct stats *stats);

#endif
