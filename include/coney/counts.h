/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened to messages, counted since something began: by channel, by queue, and for the whole vhost.
 * Names are those of RabbitMQ's statistics (management-http-api.md 3.1).
 */
#ifndef CONEY_COUNTS_H
#define CONEY_COUNTS_H

#include <stdint.h>

/* In a queue only those that concern it. */
struct message_counts {
    uint64_t publish;           /* by clients; of a queue: entered, dead letters too */
    uint64_t confirm;           /* told to have been taken */
    uint64_t return_unroutable; /* mandatory, and no queue */
    uint64_t drop_unroutable;   /* no queue */
    uint64_t deliver;           /* to consumers who acknowledge */
    uint64_t deliver_no_ack;    /* ... who do not */
    uint64_t get;               /* by basic.get, to be acknowledged */
    uint64_t get_no_ack;
    uint64_t get_empty;
    uint64_t redeliver; /* of the four above: not for the first time */
    uint64_t ack;
};

#define MESSAGE_COUNTS (sizeof(struct message_counts) / sizeof(uint64_t))

/* Their places, where they are copied to an array. */
enum message_count_place {
    COUNT_PUBLISH,
    COUNT_CONFIRM,
    COUNT_RETURN,
    COUNT_DROP,
    COUNT_DELIVER,
    COUNT_DELIVER_NO_ACK,
    COUNT_GET,
    COUNT_GET_NO_ACK,
    COUNT_GET_EMPTY,
    COUNT_REDELIVER,
    COUNT_ACK,
};

_Static_assert(COUNT_ACK + 1 == MESSAGE_COUNTS, "a place for each");

/* Messages that died in a queue with a dead-letter exchange, and without, by enum death_reason. */
#define DEATH_REASONS 4

struct death_counts {
    uint64_t dead_lettered[DEATH_REASONS];
    uint64_t dropped[DEATH_REASONS];
};

/* Bounds of the sizes that are told apart, in octets; one more for what is above. */
#define MESSAGE_SIZE_BOUNDS 8
extern const uint64_t message_size_bounds[MESSAGE_SIZE_BOUNDS];

/* What a vhost has seen since the node began. */
struct vhost_counts {
    struct message_counts messages;
    struct death_counts deaths;
    uint64_t received_confirm; /* of messages.publish: on channels with confirms */
    uint64_t routed;           /* copies that entered queues */
    uint64_t sizes[MESSAGE_SIZE_BOUNDS + 1];
    uint64_t sizes_sum; /* octets of bodies published */
    uint64_t connections_opened, connections_closed;
    uint64_t channels_opened, channels_closed;
    uint64_t queues_declared, queues_created, queues_deleted;
};

#endif
