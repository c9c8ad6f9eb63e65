/* SPDX-License-Identifier: Apache-2.0 */
/* A growing run of octets. Capacity doubles, so appending costs constant time on average. */
#include "coney/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"

#define CAPACITY_MIN 64

void buffer_grow(struct buffer *buffer, size_t extra)
{
    size_t needed = buffer->size + extra;
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;

    if (needed < extra || needed > SIZE_MAX / 2) {
        fprintf(stderr, "a buffer of %zu octets cannot grow by %zu\n", buffer->size, extra);
        abort();
    }
    while (capacity < needed)
        capacity *= 2;
    buffer->data = xrealloc(buffer->data, capacity);
    buffer->capacity = capacity;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy(buffer_reserve(buffer, size), data, size);
    buffer->size += size;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}
