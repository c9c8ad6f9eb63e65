/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: a thread with a loop and its share of the connections. What all workers of a run have in common
 * is struct load; nothing of it is written while they run but its atomics and the account.
 *
 * Counters and histograms are written by the worker alone and read by whoever draws samples.
 */
#ifndef PERF_WORKER_H
#define PERF_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "loop.h"
#include "topology.h"

#define LOAD_WHY_SIZE 600

struct account;
struct link;
struct options;
struct target;

struct counters {
    _Atomic uint64_t sent, confirmed, nacked, returned;
    _Atomic uint64_t received, redelivered, octets;
    _Atomic uint64_t duplicated, reordered, damaged, foreign; /* foreign: not of this run */
    _Atomic uint64_t again;                                   /* redelivered, and had come before */
    _Atomic uint64_t blocked;                                 /* times the broker said it takes nothing */
    _Atomic uint64_t last_sent, last_done, last_received; /* ns; done: a publisher's last confirm or close */
    _Atomic uint64_t publishers_ready, publishers_done;
    _Atomic uint64_t consumers_ready, consumers_done;
    _Atomic uint64_t links_open, links_closed;
};

struct load {
    const struct options *options;
    struct topology topology;
    struct target *targets;
    uint32_t id;
    uint64_t clock_offset;   /* from our clock to that of stamps */
    struct account *account; /* NULL: nothing is checked */
    uint64_t *published;     /* by publisher; written by its worker, to be read when that has ended */
    unsigned publishers, consumers;

    struct worker *workers;
    unsigned worker_count;

    uint64_t begun; /* when publishers began; set before may_publish */
    atomic_bool may_publish, may_consume;
    atomic_bool must_stop; /* publishing */
    atomic_bool must_end;  /* all of it */
    atomic_bool has_failed;
    pthread_mutex_t lock; /* for why */
    char why[LOAD_WHY_SIZE];
};

struct worker {
    struct loop loop;   /* first: what wakes it knows only that */
    struct task opener; /* the next connections are begun */
    struct load *load;
    pthread_t thread;
    unsigned number;
    bool has_thread;
    struct link **links;
    unsigned link_count, links_begun, links_open, links_gone;
    uint64_t cpu; /* ns that the thread took */
    _Alignas(64) struct counters counters;
    struct histogram *since_sent, *since_due, *confirms;
};

/* Begin the worker's thread, which opens its connections. False with errno. */
bool worker_start(struct worker *worker, struct load *load, unsigned number);

/* Wait for its end, and free what it has but the histograms. */
void worker_join(struct worker *worker);

void worker_free(struct worker *worker);

/* Tell it that something of struct load changed. Any thread. */
void worker_wake(struct worker *worker);

/* End the run: the first reason counts. Any thread. */
void load_fail(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
