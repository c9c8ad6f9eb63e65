/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer: a channel that receives, measures and acknowledges what one or more queues deliver. */
#ifndef PERF_CONSUMER_H
#define PERF_CONSUMER_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "topology.h"

struct link;

struct consumer {
    struct channel channel;
    struct timer timer; /* of --consumer-rate: reading goes on */
    struct link *link;
    unsigned number;
    struct share share;  /* of the queues */
    unsigned subscribed; /* consume-ok that came */
    bool is_subscribing, is_done;
    uint64_t received;
    uint64_t quota;    /* messages at most */
    uint64_t begun;    /* ns; when the first message came */
    uint64_t unacked;  /* messages since the last ack */
    uint64_t *next_of; /* by publisher and lane: the least sequence that may come next; NULL: not checked */
};

void consumer_init(struct consumer *consumer, struct link *link, unsigned number);
void consumer_free(struct consumer *consumer);

/* The connection is open. */
void consumer_prepare(struct consumer *consumer);

/* Subscribe, if that is allowed now. */
void consumer_begin(struct consumer *consumer);

/* Acknowledge what is not yet. */
void consumer_finish(struct consumer *consumer);

#endif
