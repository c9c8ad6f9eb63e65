/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal.h: pushing, and batches: gathering, writing, syncing, giving back. Threads are in wal_threads.c.
 *
 * A batch is synced at once, and while that lasts the next one is pushed. Where syncs take long, writing goes
 * on during the sync when settings.sync_apart octets are there to be written: else the disk would stand still
 * while the much that came meanwhile is gathered and written. What is less waits until the sync ends: so a
 * few messages cost a few writes, and wait for no other thread.
 *
 * Where writing goes on after opening: behind the last good batch. That is safe because nothing behind it can
 * come to life: what starts there like a batch of this file is wiped first (wal_files.c). A batch is good
 * only where all before it are, so what is replayed is always a prefix of what was written.
 *
 * Only the current file ever holds batches that are not synced: it is synced before it is left. So the header
 * of a file proves that the one before it was complete.
 */
#include "wal.h"

#include <errno.h>
#include <stdlib.h>

#include "coney/clock.h"
#include "coney/xalloc.h"
#include "failpoint.h"
#include "wal_fields.h"

#define BATCH_MAX   (UINT64_C(16) << 20) /* about: octets of records */
#define BUFFER_KEPT (UINT64_C(1) << 20)  /* a buffer up to this size is kept for ever */

/* ---- pushing ---- */

static void measure(struct wal_chunk *chunk)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < chunk->count; i++) {
        const struct wal_item *item = &chunk->items[i];

        size += WAL_RECORD_OVERHEAD + item->head_size + item->first_size + item->second_size;
    }
    chunk->size = size;
}

bool wal_push(struct wal *wal, struct wal_chunk *first, struct wal_chunk *last)
{
    struct wal_chunk *below = atomic_load_explicit(&wal->pushed, memory_order_relaxed);
    uint64_t size = 0, backlog;

    last->next = NULL;
    for (struct wal_chunk *chunk = first;; chunk = chunk->next) {
        measure(chunk);
        chunk->last = NULL;
        size += chunk->size;
        if (chunk == last)
            break;
    }
    first->last = last;
    backlog = atomic_fetch_add(&wal->backlog, size) + size;
    do
        first->below = below;
    while (!atomic_compare_exchange_weak_explicit(&wal->pushed, &below, first, memory_order_seq_cst,
                                                  memory_order_relaxed));
    return backlog >= atomic_load(&wal->wake_at);
}

uint64_t wal_backlog(const struct wal *wal)
{
    return atomic_load_explicit(&wal->backlog, memory_order_relaxed);
}

/* Put what was pushed behind what is pending, oldest push first. */
static void take_pushed(struct wal *wal)
{
    struct wal_chunk *group = atomic_exchange_explicit(&wal->pushed, NULL, memory_order_acquire);
    struct wal_chunk *oldest = NULL, *newest_last = group ? group->last : NULL;

    while (group) {
        group->last->next = oldest;
        oldest = group;
        group = group->below;
    }
    if (!oldest)
        return;
    if (wal->pending)
        wal->pending_last->next = oldest;
    else
        wal->pending = oldest;
    wal->pending_last = newest_last;
}

/* ---- syncing and giving back ---- */

/* From now on nothing is promised. What a full disk means for a file that has its space is no mere alarm. */
static int fail(struct wal *wal, int error)
{
    if (wal_waits(error) || error == -EAGAIN)
        error = -EIO;
    atomic_store(&wal->broken, error);
    return error;
}

bool wal_waits(int error)
{
    return error == -ENOSPC || sys_lacks_descriptors(error);
}

bool wal_is_syncing(const struct wal *wal)
{
    return wal->awaits_sync;
}

/* What is written was given back, or will be without a sync: so it has a time of its own. */
bool wal_has_unsynced(const struct wal *wal)
{
    return !wal_is_syncing(wal) && atomic_load(&wal->synced) + 1 < wal->sequence;
}

/* Sync the current file, in which SEQUENCE is written. */
static int sync_up_to(struct wal *wal, uint64_t sequence)
{
    uint64_t start = clock_ns(), took;
    int error = failpoint("journal_before_sync");

    if (!error)
        error = sys_sync(wal->sys, wal->current->file);
    if (!error)
        error = failpoint("journal_after_sync");
    if (error)
        return fail(wal, error);
    atomic_store(&wal->synced, sequence);
    atomic_store(&wal->file, wal->ordinal);
    took = clock_ns() - start;
    atomic_store_explicit(&wal->last_sync_ns, took, memory_order_relaxed);
    atomic_fetch_add_explicit(&wal->counters.syncs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&wal->counters.sync_ns, took, memory_order_relaxed);
    return 0;
}

static bool syncs_take_long(const struct wal *wal)
{
    return wal->settings.sync_apart &&
           atomic_load_explicit(&wal->last_sync_ns, memory_order_relaxed) >= wal->settings.long_sync_ns;
}

int wal_sync(struct wal *wal)
{
    int error = atomic_load(&wal->broken);

    return error || !wal_has_unsynced(wal) ? error : sync_up_to(wal, wal->sequence - 1);
}

static int sync_if_due(struct wal *wal)
{
    /* What is to be given back is synced anyhow. */
    if (wal->written.first || !wal_has_unsynced(wal) || clock_ns() < wal->sync_due_ns)
        return 0;
    return wal_sync(wal);
}

static void give_back(struct wal *wal, const struct wal_span *span)
{
    span->last->next = NULL;
    atomic_fetch_sub(&wal->backlog, span->length);
    wal->done(wal->done_context, span->first, wal->ordinal);
}

int wal_sync_apart(struct wal *wal)
{
    int error = sync_up_to(wal, wal->in_sync.sequence);

    if (!error)
        give_back(wal, &wal->in_sync);
    return error;
}

static struct wal_span take_written(struct wal *wal)
{
    struct wal_span taken = wal->written;

    wal->written = (struct wal_span){0};
    return taken;
}

static int sync_written(struct wal *wal)
{
    int error = sync_up_to(wal, wal->written.sequence);
    struct wal_span synced;

    if (error)
        return error;
    synced = take_written(wal);
    give_back(wal, &synced);
    return 0;
}

/* What is written is given back when it is synced, and at once where its producers are content with that. */
static int give_back_written(struct wal *wal)
{
    if (!wal->written.first || wal_is_syncing(wal))
        return 0;
    if (!wal->written.is_promised) {
        struct wal_span content = take_written(wal);

        give_back(wal, &content);
        return sync_if_due(wal);
    }
    if (!syncs_take_long(wal) || wal->written.length < wal->settings.sync_apart)
        return sync_written(wal);
    wal->in_sync = take_written(wal);
    wal_begin_sync(wal);
    return 0;
}

/* Nothing of the current file is left to be synced or given back. */
static int finish_current(struct wal *wal)
{
    int error = wal_is_syncing(wal) ? wal_end_sync(wal) : 0;

    if (error)
        return error;
    return wal->written.first ? sync_written(wal) : wal_sync(wal);
}

/* ---- one batch ---- */

struct batch {
    struct wal_chunk *last;
    uint64_t length;
    uint32_t count;
    bool relaxed;
};

/* What can be in one batch of at most ROOM octets on disk: whole pushes, one at least. Where several batches
 * are written during one sync they are small, so that their octets are still in the cache when they are
 * written. */
static struct batch choose(const struct wal *wal, uint64_t room)
{
    uint64_t most = syncs_take_long(wal) ? 2 * wal->settings.sync_apart : BATCH_MAX;
    struct batch batch = {.relaxed = true};

    for (struct wal_chunk *group = wal->pending; group; group = batch.last->next) {
        struct batch with = batch;

        with.last = group->last;
        for (struct wal_chunk *chunk = group;; chunk = chunk->next) {
            with.length += chunk->size;
            with.count += chunk->count;
            with.relaxed &= chunk->relaxed;
            if (chunk == group->last)
                break;
        }
        if (batch.last && (with.length > most || wal_batch_size(with.length) > room))
            break;
        batch = with;
    }
    return batch;
}

/* Of the next file, with room for a first batch of SIZE octets. The first of all is small, so that a new node
 * is ready soon. */
static uint64_t next_file_size(const struct wal *wal, uint64_t size)
{
    uint64_t usual = wal->settings.file_size;

    if (wal->ordinal == 0 && usual > WAL_FIRST_SIZE)
        usual = WAL_FIRST_SIZE;
    return WAL_HEADERS + size < usual ? usual : WAL_HEADERS + size;
}

/* Go to a next file with room for a first batch of SIZE octets. */
static int enter_file(struct wal *wal, uint64_t size)
{
    uint64_t file_size = next_file_size(wal, size);
    struct wal_file_header header = {WAL_VERSION, wal->settings.epoch, wal->ordinal + 1, 0, wal->sequence};
    struct wal_place *place;
    int error = finish_current(wal);

    if (error)
        return error;
    error = wal_take_place(wal, wal->ordinal + 1, file_size, &place);
    if (error)
        return wal_waits(error) || error == -EAGAIN ? error : fail(wal, error);
    header.size = file_size;
    error = failpoint("journal_before_switch");
    if (!error)
        error = wal_file_header_write(wal, place->file, 0, &header);
    if (!error)
        error = failpoint("journal_after_switch");
    if (error)
        return fail(wal, error);
    wal->current = place;
    wal->ordinal++;
    wal->offset = WAL_HEADERS;
    wal->copy_due = true;
    atomic_store(&wal->needs_next, wal_wants_next(wal));
    return 0;
}

static uint64_t room_left(const struct wal *wal)
{
    return wal->current ? wal->current->size - wal->offset : 0;
}

/* ---- gathering its octets ---- */

/* All of a batch is copied into one aligned buffer, bodies too: so it can be written past the page cache,
 * where a write of a few octets costs a write of a few, whatever the size of the cache's pages. */
struct gather {
    uint8_t *to;     /* in the buffer: what follows */
    uint8_t *summed; /* what is not in the checksum yet */
    uint32_t crc;
};

/* Called where what was copied last is still in the cache. */
static void sum(struct gather *gather)
{
    gather->crc = crc32c(gather->crc, gather->summed, (size_t)(gather->to - gather->summed));
    gather->summed = gather->to;
}

static void gather_octets(struct gather *gather, const void *octets, uint64_t size)
{
    copy_octets(gather->to, octets, (size_t)size);
    gather->to += size;
}

static void gather_chunk(struct gather *gather, const struct wal_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->count; i++) {
        const struct wal_item *item = &chunk->items[i];

        gather->to = put_u32(gather->to, (uint32_t)(item->head_size + item->first_size + item->second_size));
        copy_octets(gather->to, item->head, item->head_size);
        gather->to += item->head_size;
        gather_octets(gather, item->first, item->first_size);
        gather_octets(gather, item->second, item->second_size);
    }
    sum(gather);
}

/* Make the buffer one of SIZE octets at least, and, unless it is small, not much larger than recent batches
 * needed. */
static void size_buffer(struct wal *wal, size_t size)
{
    wal->buffer_recent -= wal->buffer_recent / 8;
    if (size > wal->buffer_recent)
        wal->buffer_recent = size;
    if (size <= wal->buffer_size &&
        (wal->buffer_size <= BUFFER_KEPT || wal->buffer_size / 4 < wal->buffer_recent))
        return;
    wal->buffer_size = wal->buffer_recent + wal->buffer_recent / 4;
    wal->buffer_size = wal_round_up(wal->buffer_size);
    free(wal->buffer);
    wal->buffer = xaligned_alloc(WAL_BLOCK, wal->buffer_size);
}

static void gather_batch(struct wal *wal, const struct batch *batch)
{
    size_t before = wal->copy_due ? WAL_HEADER_BLOCK : 0;
    size_t padding = wal_batch_size(batch->length) - WAL_BATCH_HEADER_SIZE - batch->length;
    struct wal_batch_header header = {
        wal->settings.epoch, wal->ordinal, wal->sequence, atomic_load(&wal->synced),
        batch->length,       wal->offset,  batch->count};
    struct gather gather;
    uint8_t *start;

    size_buffer(wal, before + WAL_BATCH_HEADER_SIZE + batch->length + padding);
    if (before) {
        struct wal_file_header file = {WAL_VERSION, wal->settings.epoch, wal->ordinal, wal->current->size,
                                       wal->sequence};

        wal_file_header_put(wal->buffer, &file);
    }
    start = wal->buffer + before;
    wal_batch_header_put(start, &header);
    gather.crc = crc32c(0, start, WAL_HEADER_SUMMED);
    gather.summed = gather.to = start + WAL_BATCH_HEADER_SIZE;
    for (struct wal_chunk *chunk = wal->pending;; chunk = chunk->next) {
        gather_chunk(&gather, chunk);
        if (chunk == batch->last)
            break;
    }
    put_u32(start + WAL_HEADER_SUMMED, gather.crc);
    memset(gather.to, 0, padding); /* whole blocks: the system need not read what is overwritten */
    wal->gathered = (size_t)(gather.to - wal->buffer) + padding;
}

/* ---- writing it ---- */

static void count_batch(struct wal *wal, const struct batch *batch)
{
    atomic_fetch_add_explicit(&wal->counters.batches, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&wal->counters.records, batch->count, memory_order_relaxed);
    atomic_fetch_add_explicit(&wal->counters.octets, wal_batch_size(batch->length), memory_order_relaxed);
    if (batch->length > atomic_load_explicit(&wal->counters.largest_batch, memory_order_relaxed))
        atomic_store_explicit(&wal->counters.largest_batch, batch->length, memory_order_relaxed);
}

static int write_gathered(struct wal *wal, const struct batch *batch)
{
    int error = failpoint("journal_before_write");

    if (!error)
        error = sys_write(wal->sys, wal->current->file, wal->buffer, wal->gathered,
                          wal->offset - (wal->copy_due ? WAL_HEADER_BLOCK : 0));
    if (!error)
        error = failpoint("journal_after_write");
    if (error)
        return fail(wal, error);
    if (atomic_load(&wal->synced) + 1 == wal->sequence)
        wal->sync_due_ns = clock_ns() + (uint64_t)wal->settings.sync_every_ms * 1000000;
    wal->copy_due = false;
    wal->offset += wal_batch_size(batch->length);
    wal->sequence++;
    atomic_store(&wal->needs_next, wal_wants_next(wal));
    count_batch(wal, batch);
    return 0;
}

/* What was pending is written. */
static void add_to_written(struct wal *wal, const struct batch *batch)
{
    struct wal_span *written = &wal->written;

    if (written->first)
        written->last->next = wal->pending;
    else
        written->first = wal->pending;
    written->last = batch->last;
    written->sequence = wal->sequence - 1;
    written->length += batch->length;
    written->is_promised |= !batch->relaxed;
    wal->pending = batch->last->next;
}

static int step_batch(struct wal *wal)
{
    struct batch batch = choose(wal, room_left(wal));
    int error = 0;

    if (wal_batch_size(batch.length) > room_left(wal)) {
        batch = choose(wal, wal->settings.file_size - WAL_HEADERS);
        error = enter_file(wal, wal_batch_size(batch.length));
    }
    if (error)
        return error;
    gather_batch(wal, &batch);
    error = write_gathered(wal, &batch);
    if (error)
        return error;
    add_to_written(wal, &batch);
    return give_back_written(wal);
}

uint64_t wal_enough(const struct wal *wal)
{
    return wal->in_sync.length + wal->written.length + wal->settings.sync_apart;
}

static bool is_worth_writing(const struct wal *wal)
{
    return !wal_is_syncing(wal) || wal_backlog(wal) >= wal_enough(wal);
}

int wal_step(struct wal *wal)
{
    bool was_syncing = wal_is_syncing(wal);
    int error = atomic_load(&wal->broken);

    if (error)
        return error;
    if (!atomic_load(&wal->is_syncing))
        wal->awaits_sync = false;
    take_pushed(wal);
    error = sync_if_due(wal);
    if (!error && wal->pending) {
        error = wal_settle(wal);
        if (error)
            return fail(wal, error);
    }
    while (!error && wal->pending && is_worth_writing(wal))
        error = step_batch(wal);
    if (!error && was_syncing && wal_is_syncing(wal) && !wal->started)
        error = wal_end_sync(wal);
    return error ? error : give_back_written(wal);
}

/* ---- closing, counters ---- */

/* FIRST up to LAST, if there are any, before THEN. */
static struct wal_chunk *before(struct wal_chunk *first, struct wal_chunk *last, struct wal_chunk *then)
{
    if (!first)
        return then;
    last->next = then;
    return first;
}

struct wal_chunk *wal_close(struct wal *wal)
{
    struct wal_chunk *left;

    wal_stop(wal);
    if (wal_is_syncing(wal) && !atomic_load(&wal->broken))
        wal_end_sync(wal);
    take_pushed(wal);
    left = before(wal->written.first, wal->written.last, wal->pending);
    if (wal_is_syncing(wal))
        left = before(wal->in_sync.first, wal->in_sync.last, left);
    wal_sync(wal);
    for (uint32_t i = 0; i < wal->place_count; i++)
        sys_close(wal->sys, wal->places[i].file);
    pthread_mutex_destroy(&wal->files_lock);
    pthread_cond_destroy(&wal->files_made);
    pthread_mutex_destroy(&wal->sleep_lock);
    pthread_cond_destroy(&wal->wake);
    pthread_cond_destroy(&wal->sync_wanted);
    free(wal->places);
    free(wal->buffer);
    free(wal->folder);
    free(wal);
    return left;
}

static uint64_t count_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct wal_counters wal_counters(const struct wal *wal)
{
    return (struct wal_counters){
        .batches = count_of(&wal->counters.batches),
        .octets = count_of(&wal->counters.octets),
        .syncs = count_of(&wal->counters.syncs),
        .records = count_of(&wal->counters.records),
        .largest_batch = count_of(&wal->counters.largest_batch),
        .sync_ns = count_of(&wal->counters.sync_ns),
    };
}
