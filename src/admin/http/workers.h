/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that answer requests: begun when there is something to do, ended when there was nothing for a
 * while, so that a node that nobody looks at has none.
 */
#ifndef ADMIN_WORKERS_H
#define ADMIN_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

struct request;
struct workers;

struct workers *workers_new(void);

/* End the threads, when all they had is answered. */
void workers_free(struct workers *workers);

struct workers_counters {
    uint64_t answered, refused; /* requests; the latter: too many waited */
    unsigned threads, waiting;  /* now */
    unsigned for_clients;       /* of the threads: wait for slow clients */
};

struct workers_counters workers_counters(struct workers *workers);

/* Answer REQUEST: router_run(), then http_end(). False when too many wait already. */
bool workers_take(struct workers *workers, struct request *request);

/* From a worker, around a wait for a slow client: others take its place meanwhile. */
void workers_wait_begins(struct workers *workers);
void workers_wait_ends(struct workers *workers);

#endif
