/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a message to the queues that get it (exchanges-queues-bindings.md 5.1): the walk over exchanges, each
 * visited once, each queue found once.
 */
#ifndef BROKER_ROUTE_H
#define BROKER_ROUTE_H

#include "coney/bytes.h"
#include "coney/message.h"

struct binding;
struct exchange;
struct queue;
struct vhost;

/* Keys of one message: the routing key, CC and BCC. */
#define ROUTE_KEYS_MAX 256

struct route {
    struct vhost *vhost;
    const struct message *message; /* for types that look at headers and properties */
    const struct bytes *keys;
    unsigned key_count;
    struct bytes headers; /* contents of the message's headers table, read on first use */
    bool headers_known;
    bool matched; /* the exchange being asked found a destination */
    bool depends_on_message;
    uint64_t mark;         /* of this walk: who bears it was found already */
    size_t queue_count;    /* in vhost->routed */
    size_t exchange_count; /* in vhost->to_visit */
};

/* The routing key of MESSAGE and its further ones, CC and BCC; returns how many. */
unsigned route_keys(const struct message *message, struct bytes keys[ROUTE_KEYS_MAX]);

/* Find the queues for MESSAGE published to EXCHANGE with KEYS: vhost->routed[0 .. queue_count), valid until
 * the next walk. */
void route_message(struct route *route, struct vhost *vhost, struct exchange *exchange,
                   const struct message *message, const struct bytes *keys, unsigned key_count);

/* For exchange types: the destination of BINDING gets the message. */
void route_to(struct route *route, const struct binding *binding);

/* For the default exchange: QUEUE gets it. */
void route_to_queue(struct route *route, struct queue *queue);

/* The message's headers table, empty without one. */
struct bytes route_headers(struct route *route);

#endif
