/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the arguments of a method one after the other, for the generated decoders.
 *
 * Each function gives false, and takes nothing, when fewer octets are left than it needs. Lengths are
 * compared with what is left before anything is added to a pointer.
 */
#ifndef CONEY_AMQP_METHOD_CURSOR_H
#define CONEY_AMQP_METHOD_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"

struct cursor {
    const uint8_t *next;
    const uint8_t *end;
};

static inline bool has_octets(const struct cursor *c, size_t count)
{
    return (size_t)(c->end - c->next) >= count;
}

static inline bool skip_octets(struct cursor *c, size_t count)
{
    if (!has_octets(c, count))
        return false;
    c->next += count;
    return true;
}

static inline bool take_octet(struct cursor *c, uint8_t *out)
{
    if (!has_octets(c, 1))
        return false;
    *out = *c->next++;
    return true;
}

static inline bool take_short(struct cursor *c, uint16_t *out)
{
    if (!has_octets(c, 2))
        return false;
    *out = get_u16(c->next);
    c->next += 2;
    return true;
}

static inline bool take_long(struct cursor *c, uint32_t *out)
{
    if (!has_octets(c, 4))
        return false;
    *out = get_u32(c->next);
    c->next += 4;
    return true;
}

static inline bool take_longlong(struct cursor *c, uint64_t *out)
{
    if (!has_octets(c, 8))
        return false;
    *out = get_u64(c->next);
    c->next += 8;
    return true;
}

static inline bool take_shortstr(struct cursor *c, struct bytes *out)
{
    if (!has_octets(c, 1) || !has_octets(c, 1 + (size_t)c->next[0]))
        return false;
    *out = (struct bytes){c->next + 1, c->next[0]};
    c->next += 1 + out->size;
    return true;
}

static inline bool take_longstr(struct cursor *c, struct bytes *out)
{
    if (!has_octets(c, 4) || !has_octets(c, 4 + (size_t)get_u32(c->next)))
        return false;
    *out = (struct bytes){c->next + 4, get_u32(c->next)};
    c->next += 4 + out->size;
    return true;
}

static inline bool skip_shortstr(struct cursor *c)
{
    struct bytes ignored;

    return take_shortstr(c, &ignored);
}

static inline bool skip_longstr(struct cursor *c)
{
    struct bytes ignored;

    return take_longstr(c, &ignored);
}

#endif
