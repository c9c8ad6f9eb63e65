/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The properties of a message: the flags word and the values that follow the body size in a content header
 * frame (AMQP 0-9-1 section 4.2.6.1; spec basic-properties.tsv, connection-and-channel.md 1.1 and section 5).
 *
 * Messages keep these octets raw, as they came, and hand them on; struct properties is a decoded view that
 * borrows from them.
 */
#ifndef CONEY_PROPERTIES_H
#define CONEY_PROPERTIES_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"

enum property_flag {
    PROPERTY_CONTENT_TYPE = 0x8000,
    PROPERTY_CONTENT_ENCODING = 0x4000,
    PROPERTY_HEADERS = 0x2000,
    PROPERTY_DELIVERY_MODE = 0x1000,
    PROPERTY_PRIORITY = 0x0800,
    PROPERTY_CORRELATION_ID = 0x0400,
    PROPERTY_REPLY_TO = 0x0200,
    PROPERTY_EXPIRATION = 0x0100,
    PROPERTY_MESSAGE_ID = 0x0080,
    PROPERTY_TIMESTAMP = 0x0040,
    PROPERTY_TYPE = 0x0020,
    PROPERTY_USER_ID = 0x0010,
    PROPERTY_APP_ID = 0x0008,
    PROPERTY_CLUSTER_ID = 0x0004,
    PROPERTY_RESERVED = 0x0003, /* ignored on input, never sent */
};

/* No properties: flags 0. */
#define PROPERTIES_NONE ((struct bytes){(const uint8_t *)"\0", 2})

#define DELIVERY_MODE_PERSISTENT 2

/* Members whose flag is not set are zero or empty. Short strings may hold any octets: RabbitMQ does not check
 * UTF-8 here (limits.tsv). */
struct properties {
    uint16_t flags; /* enum property_flag, without PROPERTY_RESERVED */
    uint8_t delivery_mode;
    uint8_t priority;
    bool headers_malformed; /* why properties_decode() failed: the headers table (502), not the rest (541) */
    bool is_normal;         /* nothing for properties_normalize() to do */
    struct bytes content_type; /* the strings and the table in the order of the wire */
    struct bytes content_encoding;
    struct bytes headers; /* contents of the table, valid */
    struct bytes correlation_id;
    struct bytes reply_to;
    struct bytes expiration;
    struct bytes message_id;
    uint64_t timestamp; /* seconds since 1970 */
    struct bytes type;
    struct bytes user_id;
    struct bytes app_id;
    struct bytes cluster_id;
};

/* Those that are short strings, by the names that JSON has for them. */
#define PROPERTY_TEXTS 10

struct property_text {
    const char *name; /* "content_type" */
    uint16_t flag;
    uint16_t offset; /* of the member */
};

extern const struct property_text property_texts[PROPERTY_TEXTS];

static inline struct bytes *property_text(struct properties *properties, const struct property_text *which)
{
    return (struct bytes *)(void *)((char *)properties + which->offset);
}

/* Decode RAW strictly: false when it is truncated, has octets left over (so a second flags word is refused
 * too), or its headers table is not valid; out->headers_malformed then says which. The reserved flags are
 * ignored. OUT borrows from RAW. Does not allocate. */
bool properties_decode(struct properties *out, struct bytes raw);

/* Make RAW, whose decoding said !is_normal, fit to be handed on to any client, in place: clear the reserved
 * flags, turn field type L into l at all levels (field-types.tsv, FOLLOW). */
void properties_normalize(uint8_t *raw, size_t size);

/* Append the flags word and the values of those whose flag is set. */
void properties_encode(struct buffer *out, const struct properties *properties);

#endif
