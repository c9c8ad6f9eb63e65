/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that goes all at once: allocations from a chain of blocks, freed together. A zeroed struct is an
 * empty arena that owns nothing. Belongs to one thread at a time.
 */
#ifndef CONEY_ARENA_H
#define CONEY_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    uint8_t *free, *end;
};

/* SIZE octets aligned to 8, not cleared, valid until arena_clear(). */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));

/* A copy of BYTES. */
struct bytes arena_copy(struct arena *arena, struct bytes bytes);

/* Give all memory back. */
void arena_clear(struct arena *arena);

#endif
