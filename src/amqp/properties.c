/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content properties: the flags word says which values follow, in the fixed order of basic-properties.tsv.
 * One table, indexed by the position of the flag from the top, serves decoding and encoding; decoding touches
 * only the flags that are set, since most messages have few or none.
 */
#include "coney/properties.h"

#include "coney/table.h"
#include "table_check.h"

enum kind { SHORTSTR, OCTET, TIMESTAMP, TABLE };

struct property {
    enum kind kind;
    uint16_t offset; /* of the member in struct properties */
};

#define PROPERTY(kind, member)                    \
    {                                             \
        kind, offsetof(struct properties, member) \
    }
#define PROPERTY_COUNT 14

static const struct property properties_by_flag[PROPERTY_COUNT] = {
    PROPERTY(SHORTSTR, content_type), PROPERTY(SHORTSTR, content_encoding),
    PROPERTY(TABLE, headers),         PROPERTY(OCTET, delivery_mode),
    PROPERTY(OCTET, priority),        PROPERTY(SHORTSTR, correlation_id),
    PROPERTY(SHORTSTR, reply_to),     PROPERTY(SHORTSTR, expiration),
    PROPERTY(SHORTSTR, message_id),   PROPERTY(TIMESTAMP, timestamp),
    PROPERTY(SHORTSTR, type),         PROPERTY(SHORTSTR, user_id),
    PROPERTY(SHORTSTR, app_id),       PROPERTY(SHORTSTR, cluster_id),
};

#define TEXT(flag, member)                                 \
    {                                                      \
#member, flag, offsetof(struct properties, member) \
    }

const struct property_text property_texts[PROPERTY_TEXTS] = {
    TEXT(PROPERTY_CONTENT_TYPE, content_type),
    TEXT(PROPERTY_CONTENT_ENCODING, content_encoding),
    TEXT(PROPERTY_CORRELATION_ID, correlation_id),
    TEXT(PROPERTY_REPLY_TO, reply_to),
    TEXT(PROPERTY_EXPIRATION, expiration),
    TEXT(PROPERTY_MESSAGE_ID, message_id),
    TEXT(PROPERTY_TYPE, type),
    TEXT(PROPERTY_USER_ID, user_id),
    TEXT(PROPERTY_APP_ID, app_id),
    TEXT(PROPERTY_CLUSTER_ID, cluster_id),
};

/* The place of the highest of FLAGS, counted from bit 15; FLAGS has one set and none of the reserved. */
static inline unsigned flag_first(unsigned flags)
{
    return (unsigned)__builtin_clz(flags << 16);
}

static inline unsigned flags_without(unsigned flags, unsigned place)
{
    return flags & ~(0x8000U >> place);
}

/* Take from REST a value of KIND into its MEMBER; false when it is cut short. */
static bool value_take(struct bytes *rest, enum kind kind, void *member)
{
    size_t size;

    switch (kind) {
    case SHORTSTR:
        if (rest->size < 1 || rest->size - 1 < rest->data[0])
            return false;
        size = 1 + (size_t)rest->data[0];
        *(struct bytes *)member = (struct bytes){rest->data + 1, size - 1};
        break;
    case OCTET:
        size = 1;
        if (rest->size < size)
            return false;
        *(uint8_t *)member = rest->data[0];
        break;
    case TIMESTAMP:
        size = 8;
        if (rest->size < size)
            return false;
        *(uint64_t *)member = get_u64(rest->data);
        break;
    case TABLE:
    default:
        if (rest->size < 4 || rest->size - 4 < get_u32(rest->data))
            return false;
        size = 4 + (size_t)get_u32(rest->data);
        *(struct bytes *)member = (struct bytes){rest->data + 4, size - 4};
        break;
    }
    rest->data += size;
    rest->size -= size;
    return true;
}

/* Member by member: compilers make `rep stos` of the assignment of so large a struct, which takes as long as
 * all the rest of decoding the properties of an ordinary message. */
static void properties_clear(struct properties *out)
{
    static const struct bytes none = {0};

    out->flags = 0;
    out->delivery_mode = 0;
    out->priority = 0;
    out->headers_malformed = false;
    out->is_normal = false;
    out->content_type = none;
    out->content_encoding = none;
    out->headers = none;
    out->correlation_id = none;
    out->reply_to = none;
    out->expiration = none;
    out->message_id = none;
    out->timestamp = 0;
    out->type = none;
    out->user_id = none;
    out->app_id = none;
    out->cluster_id = none;
}

bool properties_decode(struct properties *out, struct bytes raw)
{
    struct bytes rest;
    unsigned flags;
    bool has_L = false;

    properties_clear(out);
    if (raw.size < 2)
        return false;
    flags = get_u16(raw.data) & ~(unsigned)PROPERTY_RESERVED;
    out->flags = (uint16_t)flags;
    rest = (struct bytes){raw.data + 2, raw.size - 2};
    while (flags != 0) {
        unsigned place = flag_first(flags);
        const struct property *property = &properties_by_flag[place];

        flags = flags_without(flags, place);
        if (!value_take(&rest, property->kind, (char *)out + property->offset))
            return false;
    }
    if (rest.size != 0)
        return false;
    if (out->headers.size != 0 && !table_check(out->headers, TABLE_DEPTH_MAX, &has_L)) {
        out->headers_malformed = true;
        return false;
    }
    out->is_normal = !has_L && (raw.data[1] & PROPERTY_RESERVED) == 0;
    return true;
}

void properties_normalize(uint8_t *raw, size_t size)
{
    struct properties properties;

    if (!properties_decode(&properties, (struct bytes){raw, size}))
        return;
    raw[1] &= (uint8_t)~PROPERTY_RESERVED;
    if (properties.headers.size != 0)
        table_rewrite_L(raw + (properties.headers.data - raw), properties.headers.size);
}

/* Octets of a value on the wire, or at most that: properties_encode() reserves room by it. */
static size_t value_size(enum kind kind, const void *member)
{
    switch (kind) {
    case OCTET:
        return 1;
    case TIMESTAMP:
        return 8;
    case SHORTSTR:
    case TABLE:
    default:
        return 4 + ((const struct bytes *)member)->size;
    }
}

static uint8_t *value_put(uint8_t *p, enum kind kind, const void *member)
{
    switch (kind) {
    case SHORTSTR:
        return put_shortstr(p, *(const struct bytes *)member);
    case OCTET:
        return put_u8(p, *(const uint8_t *)member);
    case TIMESTAMP:
        return put_u64(p, *(const uint64_t *)member);
    case TABLE:
    default:
        return put_longstr(p, *(const struct bytes *)member);
    }
}

void properties_encode(struct buffer *out, const struct properties *properties)
{
    unsigned flags = properties->flags & ~(unsigned)PROPERTY_RESERVED;
    uint8_t *p = put_u16(buffer_reserve(out, 2), (uint16_t)flags);

    out->size = (size_t)(p - out->data);
    while (flags != 0) {
        unsigned place = flag_first(flags);
        const struct property *property = &properties_by_flag[place];
        const void *member = (const char *)properties + property->offset;

        flags = flags_without(flags, place);
        p = value_put(buffer_reserve(out, value_size(property->kind, member)), property->kind, member);
        out->size = (size_t)(p - out->data);
    }
}
