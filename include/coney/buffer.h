/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing run of octets. A zeroed struct is a valid empty buffer that owns nothing yet.
 *
 *     0 .. size          written
 *     size .. capacity   room
 *
 * Any call that appends or reserves may move the data. Running out of memory aborts (xalloc.h).
 */
#ifndef CONEY_BUFFER_H
#define CONEY_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"

struct buffer {
    uint8_t *data; /* owned; NULL while capacity is 0 */
    size_t size;
    size_t capacity;
};

/* The slow half of buffer_reserve: make room for EXTRA more octets. */
void buffer_grow(struct buffer *buffer, size_t extra);

/* Make room for EXTRA octets beyond what is written, and return where they go. The caller writes there and
 * then adds to buffer->size what it has written. */
static inline uint8_t *buffer_reserve(struct buffer *buffer, size_t extra)
{
    if (buffer->capacity - buffer->size <= extra) /* or equal: so that data is never NULL below */
        buffer_grow(buffer, extra);
    return buffer->data + buffer->size;
}

/* Append SIZE octets copied from DATA, which must not lie in the buffer itself. */
void buffer_append(struct buffer *buffer, const void *data, size_t size);

static inline void buffer_append_bytes(struct buffer *buffer, struct bytes bytes)
{
    buffer_append(buffer, bytes.data, bytes.size);
}

/* The written part; valid until the buffer is changed. */
static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return (struct bytes){buffer->data, buffer->size};
}

/* Forget what is written, keep the memory. */
static inline void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

/* Give the memory back; the buffer is then empty and may be used again. */
void buffer_free(struct buffer *buffer);

#endif
