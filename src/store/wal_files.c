/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_fields.h: the journal's files and their places.
 *
 * A file is made as NN.new, filled with zeros, synced, and only then named NN.wal: so every NN.wal has a
 * header from the start, and one without, or a short one, is damaged. The header stands there twice. Where a
 * file is used again the first copy is written and synced, then the second one together with the first batch:
 * so one of them is good whenever the power goes, and a file with batches that were promised has both. What
 * is stale in a file that is used again bears another ordinal.
 *
 * What was cut from the last file's tail must not come to life behind what is written there next: what starts
 * like a batch of that file there is wiped before anything is written (wal_settle()). A file that was being
 * begun when the power went holds no batch if its header is lost, since the first copy is synced before the
 * first batch.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "failpoint.h"
#include "wal_fields.h"

static _Alignas(SYS_ALIGNMENT) uint8_t zeros[262144];

/* ---- layout ---- */

void wal_file_header_put(uint8_t to[WAL_HEADER_BLOCK], const struct wal_file_header *header)
{
    memset(to, 0, WAL_HEADER_BLOCK);
    put_u64(to, WAL_FILE_MAGIC);
    put_u32(to + 8, header->version);
    put_u64(to + 16, header->epoch);
    put_u64(to + 24, header->ordinal);
    put_u64(to + 32, header->size);
    put_u64(to + 40, header->first_sequence);
    put_u32(to + WAL_HEADER_SUMMED, crc32c(0, to, WAL_HEADER_SUMMED));
}

bool wal_file_header_get(const uint8_t from[WAL_FILE_HEADER_SIZE], struct wal_file_header *header)
{
    if (get_u64(from) != WAL_FILE_MAGIC ||
        get_u32(from + WAL_HEADER_SUMMED) != crc32c(0, from, WAL_HEADER_SUMMED))
        return false;
    *header = (struct wal_file_header){get_u32(from + 8), get_u64(from + 16), get_u64(from + 24),
                                       get_u64(from + 32), get_u64(from + 40)};
    return true;
}

void wal_batch_header_put(uint8_t *to, const struct wal_batch_header *header)
{
    put_u32(to, WAL_BATCH_MAGIC);
    put_u32(to + 4, WAL_BATCH_VERSION);
    put_u64(to + 8, header->epoch);
    put_u64(to + 16, header->ordinal);
    put_u64(to + 24, header->sequence);
    put_u64(to + 32, header->synced);
    put_u64(to + 40, header->length);
    put_u32(to + 48, header->count);
    put_u64(to + 52, header->offset);
}

bool wal_batch_header_get(const uint8_t *from, uint64_t left, struct wal_batch_header *header)
{
    if (left < WAL_BLOCK || get_u32(from) != WAL_BATCH_MAGIC || get_u32(from + 4) != WAL_BATCH_VERSION ||
        get_u64(from + 8) != header->epoch || get_u64(from + 16) != header->ordinal ||
        get_u64(from + 52) != header->offset)
        return false;
    header->sequence = get_u64(from + 24);
    header->synced = get_u64(from + 32);
    header->length = get_u64(from + 40);
    header->count = get_u32(from + 48);
    return header->length <= left - WAL_BATCH_HEADER_SIZE && header->synced < header->sequence &&
           header->count <= header->length / WAL_RECORD_OVERHEAD;
}

void wal_path(const struct wal *wal, uint32_t number, const char *suffix, char path[WAL_PATH_SIZE])
{
    snprintf(path, WAL_PATH_SIZE, "%s/%02" PRIu32 "%s", wal->folder, number, suffix);
}

/* ---- making ---- */

/* Zeros from FROM up to TO, synced. */
static int fill(struct wal *wal, struct sys_file *file, uint64_t from, uint64_t to)
{
    int error = 0;

    for (uint64_t size; from < to && !error; from += size) {
        size = to - from < sizeof zeros ? to - from : sizeof zeros;
        error = sys_write(wal->sys, file, zeros, (size_t)size, from);
    }
    return error ? error : sys_sync(wal->sys, file);
}

int wal_file_header_write(struct wal *wal, struct sys_file *file, int number,
                          const struct wal_file_header *header)
{
    uint8_t block[WAL_HEADER_BLOCK];
    int error;

    wal_file_header_put(block, header);
    error = sys_write(wal->sys, file, block, sizeof block, (uint64_t)number * WAL_HEADER_BLOCK);
    return error ? error : sys_sync(wal->sys, file);
}

static int make_file(struct wal *wal, const char *path, uint64_t size)
{
    struct wal_file_header header = {.version = WAL_VERSION, .epoch = wal->settings.epoch, .size = size};
    struct sys_file *file;
    int error = sys_open(wal->sys, path, SYS_WRITE | SYS_CREATE | SYS_TRUNCATE | SYS_DIRECT, &file);

    if (error)
        return error;
    error = fill(wal, file, WAL_HEADERS, size);
    for (int number = 0; number < 2 && !error; number++)
        error = wal_file_header_write(wal, file, number, &header);
    sys_close(wal->sys, file);
    return error;
}

static int make_new(struct wal *wal, struct wal_place *place, uint64_t size)
{
    uint32_t number = (uint32_t)(place - wal->places);
    char path[WAL_PATH_SIZE], made[WAL_PATH_SIZE];
    int error;

    wal_path(wal, number, ".new", made);
    wal_path(wal, number, ".wal", path);
    error = make_file(wal, made, size);
    if (!error)
        error = sys_rename(wal->sys, made, path);
    if (error) {
        sys_unlink(wal->sys, made); /* where the disk is full others need the room */
        return error;
    }
    error = sys_sync_folder(wal->sys, wal->folder);
    if (!error)
        error = sys_open(wal->sys, path, SYS_WRITE | SYS_DIRECT, &place->file);
    if (!error)
        place->size = size;
    return error;
}

/* Make a free file one of SIZE octets. Its header stays as it was: it is valid, and says that the file is
 * free. */
static int make_again(struct wal *wal, struct wal_place *place, uint64_t size)
{
    int error;

    if (place->size > size) {
        error = sys_truncate(wal->sys, place->file, size);
        if (!error)
            error = sys_sync(wal->sys, place->file);
    } else {
        error = fill(wal, place->file, place->size, size);
        if (error)
            sys_truncate(wal->sys, place->file, place->size);
    }
    if (!error)
        place->size = size;
    return error;
}

static bool is_ready(const struct wal_place *place, uint64_t size)
{
    return place->file && !place->busy && place->size == size;
}

/* With files_lock held, which is let go meanwhile. */
static int make(struct wal *wal, struct wal_place *place, uint64_t size)
{
    int error = 0;

    if (is_ready(place, size))
        return 0;
    if (wal->holds)
        return -ENOSPC;
    place->busy = true;
    pthread_mutex_unlock(&wal->files_lock);
    error = failpoint("journal_make_file");
    if (!error)
        error = place->file ? make_again(wal, place, size) : make_new(wal, place, size);
    pthread_mutex_lock(&wal->files_lock);
    place->busy = false;
    pthread_cond_broadcast(&wal->files_made);
    return error == -EDQUOT ? -ENOSPC : error;
}

/* ---- taking and releasing ---- */

/* How good a free PLACE is for SIZE octets: what is too large is cut first of all, for the disk's sake; then
 * one that is ready, one that is being made, one that has a file. */
static int rank_of(const struct wal_place *place, uint64_t size)
{
    if (place->busy)
        return 2;
    if (!place->file)
        return 0;
    return place->size > size ? 4 : is_ready(place, size) ? 3 : 1;
}

/* The best of the free places for SIZE octets, or NULL. */
static struct wal_place *best_free(const struct wal *wal, uint64_t size)
{
    struct wal_place *best = NULL;
    uint64_t released = atomic_load(&wal->released);
    int best_rank = -1;

    for (uint32_t i = 0; i < wal->place_count; i++) {
        struct wal_place *place = &wal->places[i];
        int rank = rank_of(place, size);

        if (place->ordinal <= released && rank > best_rank) {
            best = place;
            best_rank = rank;
        }
    }
    return best;
}

int wal_take_place(struct wal *wal, uint64_t ordinal, uint64_t size, struct wal_place **place)
{
    struct wal_place *best;
    int error;

    if (ordinal - atomic_load(&wal->released) > wal_files_allowed(wal))
        return -EAGAIN;
    pthread_mutex_lock(&wal->files_lock);
    while ((best = best_free(wal, size)) && best->busy)
        pthread_cond_wait(&wal->files_made, &wal->files_lock);
    error = best ? make(wal, best, size) : -EAGAIN;
    if (!error) {
        best->ordinal = ordinal;
        *place = best;
    }
    pthread_mutex_unlock(&wal->files_lock);
    return error;
}

bool wal_needs_next(const struct wal *wal)
{
    return atomic_load(&wal->needs_next);
}

int wal_prepare(struct wal *wal)
{
    struct wal_place *best;
    int error = 0;

    if (!wal_needs_next(wal) || wal_files_in_use(wal) >= wal->settings.file_count)
        return 0;
    pthread_mutex_lock(&wal->files_lock);
    best = best_free(wal, wal->settings.file_size);
    if (best && !best->busy)
        error = make(wal, best, wal->settings.file_size);
    pthread_mutex_unlock(&wal->files_lock);
    return error;
}

uint64_t wal_file(const struct wal *wal)
{
    return atomic_load(&wal->file);
}

uint64_t wal_synced(const struct wal *wal)
{
    return atomic_load(&wal->synced);
}

uint32_t wal_files_in_use(const struct wal *wal)
{
    return (uint32_t)(atomic_load(&wal->file) - atomic_load(&wal->released));
}

/* Places beyond file_count, from a time when it was larger or exceeded. */
static void remove_surplus(struct wal *wal)
{
    char path[WAL_PATH_SIZE];

    for (uint32_t i = wal->settings.file_count; i < wal->place_count; i++) {
        struct wal_place *place = &wal->places[i];

        /* Busy first: what is being made is its maker's, who does not hold the lock. */
        if (place->busy || !place->file || place->ordinal > atomic_load(&wal->released))
            continue;
        sys_close(wal->sys, place->file);
        *place = (struct wal_place){0};
        wal_path(wal, i, ".wal", path);
        sys_unlink(wal->sys, path);
    }
}

static void wake_up(struct wal *wal)
{
    pthread_mutex_lock(&wal->sleep_lock);
    pthread_cond_broadcast(&wal->wake);
    pthread_mutex_unlock(&wal->sleep_lock);
}

void wal_release(struct wal *wal, uint64_t last)
{
    uint64_t released = atomic_load(&wal->released);

    if (last >= atomic_load(&wal->file))
        last = atomic_load(&wal->file) - 1;
    while (released < last && !atomic_compare_exchange_weak(&wal->released, &released, last))
        ;
    pthread_mutex_lock(&wal->files_lock);
    remove_surplus(wal);
    pthread_mutex_unlock(&wal->files_lock);
    wake_up(wal);
}

void wal_overdraw(struct wal *wal, bool on)
{
    if (atomic_exchange(&wal->overdrawn, on) != on && on)
        wake_up(wal);
}

void wal_hold(struct wal *wal, bool hold)
{
    pthread_mutex_lock(&wal->files_lock);
    wal->holds = hold;
    for (uint32_t i = 0; hold && i < wal->place_count; i++)
        while (wal->places[i].busy)
            pthread_cond_wait(&wal->files_made, &wal->files_lock);
    pthread_mutex_unlock(&wal->files_lock);
}

/* ---- before the first write ---- */

static int mend_headers(struct wal *wal)
{
    int error = 0;

    for (uint32_t i = 0; i < wal->place_count; i++)
        for (int number = 0; number < 2 && !error; number++)
            if (wal->places[i].is_worn[number])
                error = wal_file_header_write(wal, wal->places[i].file, number, &wal->places[i].header);
    return error;
}

/* Zeros over every block behind the last good batch that starts like a batch of this file. */
static int wipe_tail(struct wal *wal)
{
    struct sys_file *file = wal->current->file;
    uint8_t octets[WAL_BATCH_HEADER_SIZE];

    for (uint64_t at = wal->offset; at < wal->cut_end; at += WAL_BLOCK) {
        ssize_t got = sys_read(wal->sys, file, octets, sizeof octets, at);
        int error;

        if (got < 0)
            return (int)got;
        if (got < (ssize_t)sizeof octets || get_u32(octets) != WAL_BATCH_MAGIC ||
            get_u64(octets + 16) != wal->ordinal)
            continue;
        error = sys_write(wal->sys, file, zeros, WAL_BLOCK, at);
        if (error)
            return error;
    }
    return sys_sync(wal->sys, file);
}

int wal_settle(struct wal *wal)
{
    int error;

    if (wal->settled)
        return 0;
    error = mend_headers(wal);
    if (!error && wal->cut_end > wal->offset)
        error = wipe_tail(wal);
    /* What is written next would not stand where a batch of that version does. */
    if (!error && wal->current && wal->current->header.version != WAL_VERSION)
        wal->offset = wal->current->size;
    pthread_mutex_lock(&wal->files_lock);
    remove_surplus(wal);
    pthread_mutex_unlock(&wal->files_lock);
    wal->settled = !error;
    return error;
}
