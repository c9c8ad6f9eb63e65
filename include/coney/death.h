/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The death of a message, as its headers tell it: x-death, x-first-death-*, x-last-death-*, and the cycles
 * that can be seen in them (spec queue-features.md 2.1-2.7, with the rules of RabbitMQ 3.13).
 *
 * Pure functions from octets to octets; routing, and what is a dead letter at all, are elsewhere. The history
 * is the x-death array itself, most recent death first. One that came from the publisher counts like one of
 * the broker's (2.5, FOLLOW), so nothing has to be remembered beside the properties: an array is there from
 * the first death on.
 */
#ifndef CONEY_DEATH_H
#define CONEY_DEATH_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"

enum death_reason {
    DEATH_REJECTED,
    DEATH_EXPIRED,
    DEATH_MAXLEN,
    DEATH_DELIVERY_LIMIT,
};

/* "rejected", "expired", "maxlen", "delivery_limit" */
const char *death_reason_name(enum death_reason reason);

/* All that is borrowed is as the dying message had it. */
struct death {
    struct bytes properties;  /* raw; come out unchanged if they do not decode */
    struct bytes exchange;    /* that it was last published to; empty: the default exchange */
    struct bytes routing_key; /* that it was last published with */
    struct bytes more_keys;   /* CC and BCC keys, as message_headers.h has them */
    struct bytes queue;       /* that it dies in; exchange, keys and queue are at most 255 octets each */
    enum death_reason reason;
    uint64_t time;                 /* seconds since 1970 */
    bool has_routing_key_override; /* the queue has a dead-letter routing key: CC goes */
};

/* Append to OUT the properties that the dead-lettered copy has. Against those of DEATH:
 *
 * - x-death starts with the entry of (queue, reason): the old one with its count one up, or a new one with
 *   count 1; the other entries follow in their order; what is no complete entry is gone (2.5);
 * - x-first-death-* are set when there was no x-death array; x-last-death-* always (2.6);
 * - expiration is gone, and kept as original-expiration in a new entry (2.4);
 * - CC is gone with a routing-key override (2.4).
 *
 * The rest keeps its octets and its order; the headers written here come last. */
void death_record(struct buffer *out, const struct death *death);

/* Tell whether handing the copy to TARGET_QUEUE would close a cycle without a rejection in it (2.7), so that
 * it must not go there. PROPERTIES are what death_record() made: the death at hand is their first entry. */
bool death_is_cycle(struct bytes properties, struct bytes target_queue);

#endif
