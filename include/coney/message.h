/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message: exchange, routing key, properties and body as they came, in one block where the body is small.
 *
 *     data:  | exchange | routing key | more keys | properties | body, unless it is apart |
 *
 * Exchange and routing key are short strings with their length octet, adjacent, so that basic.deliver copies
 * both at once. "More keys" are the CC and BCC keys that the message was routed with, each a short string
 * behind an octet that is 1 for BCC (queue-features.md 2.2); most messages have none. Properties are the
 * flags word and the values of the content header, octet for octet.
 *
 * A message is immutable once it has been handed to the core. Its count is a plain integer that only the
 * vhost's runner changes; messages never cross vhosts.
 */
#ifndef CONEY_MESSAGE_H
#define CONEY_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"

/* Bodies above this are a block of their own: received straight into it, sent from it. */
#define MESSAGE_BODY_INLINE_MAX 12288

enum message_flag {
    MESSAGE_PERSISTENT = 1,     /* delivery-mode 2 */
    MESSAGE_BODY_APART = 2,     /* body is not part of data */
    MESSAGE_HAS_HEADERS = 4,    /* the headers property is present */
    MESSAGE_BAD_PROPERTIES = 8, /* the properties do not decode: refused at publish */
    MESSAGE_BAD_HEADERS = 16,   /* ... because of the headers table */
    MESSAGE_CHECK = 32,         /* expiration, user-id or reply-to present: look at them at publish */
};

#define MESSAGE_NO_TTL (-1)

struct message {
    uint32_t refs;
    uint32_t properties_size;
    uint64_t body_size;
    uint8_t *body;  /* body_size octets, in data or apart */
    int64_t ttl_ms; /* from the expiration property, MESSAGE_NO_TTL without; valid after the publish checks */
    uint32_t keys_size;
    uint8_t exchange_size;
    uint8_t routing_key_size;
    uint8_t priority;
    uint8_t flags; /* enum message_flag */
    uint8_t data[];
};

/* A message with one reference and room for what the sizes say. Exchange, key, MORE_KEYS (may be empty) and
 * PROPERTIES are copied in; the body's octets are for the caller to fill. flags, priority and ttl are unset
 * but for MESSAGE_BODY_APART. May be called outside the core. */
struct message *message_new(struct bytes exchange, struct bytes routing_key, struct bytes more_keys,
                            struct bytes properties, uint64_t body_size);

/* The same for a body that is still to come: room for ROOM octets of it, which the caller gives back or grows
 * (pool.h) until it is BODY_SIZE; 0: the body is never stored, for a message that will be refused. Bodies up
 * to MESSAGE_BODY_INLINE_MAX have their whole room unless it is 0. NULL when the system refuses that room. */
struct message *message_new_partial(struct bytes exchange, struct bytes routing_key, struct bytes properties,
                                    uint64_t body_size, uint64_t room);

/* Decode what the broker looks at in the properties and set flags and priority. Changes the properties octets
 * only as properties_normalize() does. Call once, before the message is shared. */
void message_scan_properties(struct message *message);

/* Free MESSAGE whatever its count says: for its only owner. */
void message_free(struct message *message);

static inline struct message *message_ref(struct message *message)
{
    message->refs++;
    return message;
}

static inline void message_unref(struct message *message)
{
    if (--message->refs == 0)
        message_free(message);
}

static inline struct bytes message_exchange(const struct message *message)
{
    return (struct bytes){message->data + 1, message->exchange_size};
}

static inline struct bytes message_routing_key(const struct message *message)
{
    return (struct bytes){message->data + message->exchange_size + 2, message->routing_key_size};
}

/* Exchange and routing key as two short strings, as basic.deliver has them. */
static inline struct bytes message_address(const struct message *message)
{
    return (struct bytes){message->data, (size_t)message->exchange_size + message->routing_key_size + 2};
}

static inline struct bytes message_more_keys(const struct message *message)
{
    return (struct bytes){message->data + message->exchange_size + message->routing_key_size + 2,
                          message->keys_size};
}

static inline struct bytes message_properties(const struct message *message)
{
    return (struct bytes){message->data + message->exchange_size + message->routing_key_size + 2 +
                              message->keys_size,
                          message->properties_size};
}

static inline struct bytes message_body(const struct message *message)
{
    return (struct bytes){message->body, message->body_size};
}

static inline bool message_is_persistent(const struct message *message)
{
    return message->flags & MESSAGE_PERSISTENT;
}

/* About what a delivery of MESSAGE puts on the wire, for flow control. */
static inline uint64_t message_wire_size(const struct message *message)
{
    return message->body_size + message->properties_size + message->exchange_size +
           message->routing_key_size + 64;
}

/* A copy of MESSAGE with PROPERTIES in the place of its own, one reference, and the same body octets. Flags
 * and priority are kept but for what the caller changes. */
struct message *message_copy(const struct message *message, struct bytes exchange, struct bytes routing_key,
                             struct bytes more_keys, struct bytes properties);

#endif
