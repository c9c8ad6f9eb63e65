/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's octets: making them, and checking and reading them, without any file. segment.c puts them into
 * files.
 *
 *     | header | index | deadlines | list by deadline | message records |
 *                       \_____ only if any has one ____/
 *
 * The header, the index with the deadlines, each entry of the list and each message have a checksum of their
 * own, so that any of them can be read without the rest. The byte layout is in doc/FORMAT.md.
 */
#ifndef STORE_RUN_LAYOUT_H
#define STORE_RUN_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "segment.h"

#define RUN_HEADER    64
#define RUN_ENTRY     16
#define RUN_DUE_ENTRY 24
#define RUN_INDEX_MAX (RUN_MESSAGES_MAX * (RUN_ENTRY + 8)) /* with the deadlines */
#define RUN_SECTOR    512                                  /* runs begin at multiples of it */
#define RUN_PARTS_MAX 256

/* What the header says. */
struct run_layout {
    struct run_head head;
    uint64_t data_size;
    uint32_t count, due_count;
    uint32_t index_crc;
};

/* A line of the index. The record's place is counted from the beginning of the run. */
struct run_entry {
    uint64_t number, from, size;
    int64_t deadline;
    uint32_t crc;
    uint16_t delivery_count;
    bool redelivered;
    bool is_transient;
};

/* Where things begin, from the beginning of the run. */
static inline uint64_t layout_due_begin(const struct run_layout *layout)
{
    return RUN_HEADER + (uint64_t)layout->count * (RUN_ENTRY + (layout->due_count ? 8 : 0));
}

static inline uint64_t layout_data_begin(const struct run_layout *layout)
{
    return layout_due_begin(layout) + (uint64_t)layout->due_count * RUN_DUE_ENTRY;
}

static inline uint64_t layout_size(const struct run_layout *layout)
{
    return layout_data_begin(layout) + layout->data_size;
}

/* Where the next run may begin. */
static inline uint64_t layout_round_up(uint64_t offset)
{
    return (offset + RUN_SECTOR - 1) / RUN_SECTOR * RUN_SECTOR;
}

/* Lay out a run. *ROOM is what layout_put() needs. -EINVAL: no messages, too many, not ascending, or too far
 * apart; -EFBIG: more than 4 GiB. */
int layout_plan(const struct run_head *head, const struct run_message *messages, uint32_t count,
                struct run_layout *layout, size_t *room);

/* Write the run, with zeros up to the end of its sector: what is not large goes to BUFFER, large bodies are
 * referred to. Returns the number of PARTS, which are the run in order. */
int layout_put(struct run_layout *layout, const struct run_message *messages, uint8_t *buffer,
               struct iovec parts[RUN_PARTS_MAX]);

/* Read the header. Returns what is wrong with it, or NULL. */
const char *layout_get_header(const uint8_t from[RUN_HEADER], struct run_layout *layout);

/* Check the index, with the deadlines, at INDEX. Returns what is wrong with it, or NULL. */
const char *layout_check_index(const struct run_layout *layout, const uint8_t *index);

/* The N-th line of an index that was checked. */
struct run_entry layout_get_entry(const struct run_layout *layout, const uint8_t *index, uint32_t n);

/* The N-th message's number less the first one's. */
uint32_t layout_get_place(const uint8_t *index, uint32_t n);

/* Read an entry of the list by deadline: false when it is damaged. */
bool layout_get_due(const struct run_layout *layout, const uint8_t from[RUN_DUE_ENTRY], struct run_due *due);

#endif
