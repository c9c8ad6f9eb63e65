/* SPDX-License-Identifier: Apache-2.0 */
/* journal.h for a broker that keeps nothing: records are counted and durable at once, bodies stay in memory.
 */
#include "coney/journal.h"

#include <stdlib.h>

#include "coney/xalloc.h"

struct journal_memory {
    struct journal journal;
    uint64_t lsn;
};

static uint64_t memory_append(struct journal *journal, const struct journal_record *record)
{
    (void)record;
    return ++((struct journal_memory *)journal)->lsn;
}

static uint64_t memory_durable(const struct journal *journal)
{
    return ((const struct journal_memory *)journal)->lsn;
}

static void memory_nothing(struct journal *journal)
{
    (void)journal;
}

static void memory_load(struct journal *journal, struct queue *queue, struct journal_position position)
{
    /* Nothing was ever evicted. */
    (void)journal;
    (void)queue;
    (void)position;
}

static void memory_free(struct journal *journal)
{
    free(journal);
}

struct journal *journal_memory_new(void)
{
    static const struct journal_ops ops = {
        .append = memory_append,
        .begin = memory_nothing,
        .commit = memory_nothing,
        .durable = memory_durable,
        .load = memory_load,
        .free = memory_free,
    };
    struct journal_memory *memory = xcalloc(1, sizeof *memory);

    memory->journal.ops = &ops;
    return &memory->journal;
}
