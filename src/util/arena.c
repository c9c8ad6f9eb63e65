/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h: blocks of 4 KiB from the pool, larger ones where one allocation asks for more. */
#include "coney/arena.h"

#include <string.h>

#include "coney/pool.h"

#define BLOCK_SIZE ((size_t)4096)

struct arena_block {
    struct arena_block *next;
    size_t size; /* of the whole block */
};

void *arena_alloc(struct arena *arena, size_t size)
{
    void *result;

    size = (size + 7) & ~(size_t)7;
    if (!arena->blocks || (size_t)(arena->end - arena->free) < size) {
        size_t whole = sizeof(struct arena_block) + size;
        struct arena_block *block;

        if (whole < BLOCK_SIZE)
            whole = BLOCK_SIZE;
        block = pool_alloc(whole);
        block->next = arena->blocks;
        block->size = whole;
        arena->blocks = block;
        arena->free = (uint8_t *)(block + 1);
        arena->end = (uint8_t *)block + whole;
    }
    result = arena->free;
    arena->free += size;
    return result;
}

struct bytes arena_copy(struct arena *arena, struct bytes bytes)
{
    uint8_t *copy = arena_alloc(arena, bytes.size);

    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    return (struct bytes){copy, bytes.size};
}

void arena_clear(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->next;
        pool_free(block, block->size);
    }
    *arena = (struct arena){0};
}
