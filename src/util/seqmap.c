/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seqmap.h. The directory is a ring that grows by doubling; empty places at either end are given up at once,
 * those in the middle when an end reaches them, so that count == 0 means that nothing is live.
 */
#include "coney/seqmap.h"

#include "coney/pool.h"
#include "coney/xalloc.h"

#include <stdlib.h>
#include <string.h>

#define DIRECTORY_MIN 4
#define CAPACITY_MAX  (UINT32_C(1) << 31)

static size_t segment_bytes(const struct seqmap *map)
{
    return sizeof(struct seqmap_segment) + (size_t)SEQMAP_SEGMENT * map->entry_size;
}

static inline struct seqmap_segment **place(const struct seqmap *map, uint32_t index)
{
    return &map->directory[(map->head + index) & (map->capacity - 1)];
}

static void directory_grow(struct seqmap *map, uint64_t needed)
{
    uint32_t capacity = map->capacity ? map->capacity : DIRECTORY_MIN;
    struct seqmap_segment **directory;

    if (needed > CAPACITY_MAX)
        abort(); /* as xmalloc() does */
    while (capacity < needed)
        capacity *= 2;
    if (capacity == map->capacity)
        return;
    directory = xmalloc(capacity * sizeof(struct seqmap_segment *));
    for (uint32_t i = 0; i < map->count; i++)
        directory[i] = *place(map, i);
    free(map->directory);
    map->directory = directory;
    map->capacity = capacity;
    map->head = 0;
}

/* Make the directory reach from its first place to that of SEGMENT_NUMBER, whichever side that is on. */
static void directory_reach(struct seqmap *map, uint64_t segment_number)
{
    if (map->count == 0) {
        map->first = segment_number;
        map->ready_hint = segment_number;
    }
    if (segment_number < map->first) {
        uint64_t more = map->first - segment_number;

        directory_grow(map, map->count + more);
        for (; map->first > segment_number; map->first--, map->count++) {
            map->head = (map->head - 1) & (map->capacity - 1);
            *place(map, 0) = NULL;
        }
        return;
    }
    directory_grow(map, segment_number - map->first + 1);
    for (; map->first + map->count <= segment_number; map->count++)
        *place(map, map->count) = NULL;
}

struct seqmap_segment *seqmap_add_segment(struct seqmap *map, uint64_t segment_number)
{
    struct seqmap_segment *segment = pool_alloc(segment_bytes(map));

    directory_reach(map, segment_number);
    segment->live = segment->ready = 0;
    *place(map, (uint32_t)(segment_number - map->first)) = segment;
    return segment;
}

void seqmap_drop_segment(struct seqmap *map, uint64_t segment_number)
{
    uint32_t index = (uint32_t)(segment_number - map->first);

    pool_free(*place(map, index), segment_bytes(map));
    *place(map, index) = NULL;
    while (map->count && !*place(map, 0)) {
        map->head = (map->head + 1) & (map->capacity - 1);
        map->first++;
        map->count--;
    }
    while (map->count && !*place(map, map->count - 1))
        map->count--;
    if (map->count == 0 && map->capacity > DIRECTORY_MIN) {
        free(map->directory);
        map->directory = NULL;
        map->capacity = 0;
        map->head = 0;
    }
}

/* The first number from FROM on that is ready, or else that is live. */
static inline uint64_t next_of(const struct seqmap *map, uint64_t from, bool ready)
{
    uint64_t at = from / SEQMAP_SEGMENT;
    uint64_t mask = ~(uint64_t)0 << from % SEQMAP_SEGMENT;

    if (at < map->first) {
        at = map->first;
        mask = ~(uint64_t)0;
    }
    for (; at < map->first + map->count; at++) {
        const struct seqmap_segment *segment = seqmap_segment(map, at);
        uint64_t found = !segment ? 0 : (ready ? segment->ready : segment->live) & mask;

        if (found)
            return at * SEQMAP_SEGMENT + (unsigned)__builtin_ctzll(found);
        mask = ~(uint64_t)0;
    }
    return SEQMAP_END;
}

uint64_t seqmap_next_ready(const struct seqmap *map, uint64_t from)
{
    return next_of(map, from, true);
}

uint64_t seqmap_first_ready(struct seqmap *map)
{
    uint64_t number = seqmap_next_ready(map, map->ready_hint * SEQMAP_SEGMENT);

    map->ready_hint = number == SEQMAP_END ? map->first + map->count : number / SEQMAP_SEGMENT;
    return number;
}

uint64_t seqmap_next_live(const struct seqmap *map, uint64_t from)
{
    return next_of(map, from, false);
}

void seqmap_clear(struct seqmap *map)
{
    for (uint32_t i = 0; i < map->count; i++)
        pool_free(*place(map, i), segment_bytes(map));
    free(map->directory);
    *map = (struct seqmap){.entry_size = map->entry_size};
}
