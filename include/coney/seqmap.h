/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of one fixed size under ascending 64-bit numbers: the messages of a queue, the unacked deliveries
 * of a channel.
 *
 * Numbers are given out by the user, ascending as a rule, gaps allowed; entries leave in any order. 64
 * numbers make a segment with two bitmaps: `live` says which entries exist, `ready` (used by queues alone)
 * which of them wait to be delivered. A segment without a live entry is freed, so memory follows what is
 * live, to within 64.
 *
 *     directory:  | segment | NULL | segment | ...     index = number / 64 - first
 *
 * A zeroed struct with entry_size set is an empty map that owns nothing.
 */
#ifndef CONEY_SEQMAP_H
#define CONEY_SEQMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEQMAP_SEGMENT 64
#define SEQMAP_END     UINT64_MAX /* no such number */

struct seqmap_segment {
    uint64_t live;
    uint64_t ready;
    uint8_t entries[] __attribute__((aligned(8)));
};

struct seqmap {
    struct seqmap_segment **directory; /* a ring of `capacity` places (a power of two) */
    uint64_t first;                    /* segment number of the place at `head` */
    uint64_t ready_hint;               /* no ready entry has a segment number below this */
    uint32_t head;
    uint32_t count; /* places in use, empty ones included */
    uint32_t capacity;
    uint32_t entry_size;
};

/* Slow halves of the inline functions below. */
struct seqmap_segment *seqmap_add_segment(struct seqmap *map, uint64_t segment_number);
void seqmap_drop_segment(struct seqmap *map, uint64_t segment_number);

static inline struct seqmap_segment *seqmap_segment(const struct seqmap *map, uint64_t segment_number)
{
    uint64_t place = segment_number - map->first;

    if (place >= map->count)
        return NULL;
    return map->directory[(map->head + place) & (map->capacity - 1)];
}

/* Make the entry NUMBER, which must not be live, live and return it, uninitialised. A number far from all
 * others costs a place in the directory for each segment between. */
static inline void *seqmap_add(struct seqmap *map, uint64_t number)
{
    struct seqmap_segment *segment = seqmap_segment(map, number / SEQMAP_SEGMENT);
    unsigned bit = number % SEQMAP_SEGMENT;

    if (!segment)
        segment = seqmap_add_segment(map, number / SEQMAP_SEGMENT);
    segment->live |= (uint64_t)1 << bit;
    return segment->entries + (size_t)bit * map->entry_size;
}

/* The entry NUMBER, or NULL when it is not live. Valid until it is removed. */
static inline void *seqmap_get(const struct seqmap *map, uint64_t number)
{
    struct seqmap_segment *segment = seqmap_segment(map, number / SEQMAP_SEGMENT);
    unsigned bit = number % SEQMAP_SEGMENT;

    if (!segment || !(segment->live >> bit & 1))
        return NULL;
    return segment->entries + (size_t)bit * map->entry_size;
}

/* Remove NUMBER, which must be live. */
static inline void seqmap_remove(struct seqmap *map, uint64_t number)
{
    struct seqmap_segment *segment = seqmap_segment(map, number / SEQMAP_SEGMENT);
    uint64_t mask = ~((uint64_t)1 << number % SEQMAP_SEGMENT);

    segment->live &= mask;
    segment->ready &= mask;
    if (!segment->live)
        seqmap_drop_segment(map, number / SEQMAP_SEGMENT);
}

/* Mark NUMBER, which must be live, ready or not. */
static inline void seqmap_set_ready(struct seqmap *map, uint64_t number)
{
    uint64_t at = number / SEQMAP_SEGMENT;

    seqmap_segment(map, at)->ready |= (uint64_t)1 << number % SEQMAP_SEGMENT;
    if (at < map->ready_hint)
        map->ready_hint = at;
}

static inline void seqmap_clear_ready(struct seqmap *map, uint64_t number)
{
    seqmap_segment(map, number / SEQMAP_SEGMENT)->ready &= ~((uint64_t)1 << number % SEQMAP_SEGMENT);
}

static inline bool seqmap_is_ready(const struct seqmap *map, uint64_t number)
{
    struct seqmap_segment *segment = seqmap_segment(map, number / SEQMAP_SEGMENT);

    return segment && (segment->ready >> number % SEQMAP_SEGMENT & 1);
}

/* The lowest ready number, or SEQMAP_END. Amortised constant time. */
uint64_t seqmap_first_ready(struct seqmap *map);

/* The lowest ready number that is at least FROM, or SEQMAP_END. */
uint64_t seqmap_next_ready(const struct seqmap *map, uint64_t from);

/* The lowest live number that is at least FROM, or SEQMAP_END. */
uint64_t seqmap_next_live(const struct seqmap *map, uint64_t from);

static inline bool seqmap_is_empty(const struct seqmap *map)
{
    return map->count == 0;
}

/* Free the segments and the directory; what the entries refer to is the caller's. */
void seqmap_clear(struct seqmap *map);

#endif
