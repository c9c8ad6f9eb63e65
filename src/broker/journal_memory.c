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

static void memory_flush(struct journal *journal, uint64_t used)
{
    (void)journal;
    (void)used;
}

static void memory_drop(struct journal *journal, struct run *run)
{
    (void)journal;
    (void)run;
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
        .flush = memory_flush,
        .durable = memory_durable,
        .emptied = memory_drop,
        .drop = memory_drop,
        .free = memory_free,
    };
    struct journal_memory *memory = xcalloc(1, sizeof *memory);

    memory->journal.ops = &ops;
    /* Nothing is ever written out, so save(), fetch() and look() are not called. */
    memory->journal.memory_limit = UINT64_MAX;
    return &memory->journal;
}
