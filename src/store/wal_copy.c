/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of the journal while it is being written: all batches up to one that is on stable storage, in files
 * of the same names. What is synced does not change any more as long as its file is not released, so it can
 * be read beside the commit thread. What stands behind it in the last file is not copied: as in a file that
 * was never used, there are zeros.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "copy.h"
#include "wal_fields.h"

/* One file. */
struct copying {
    struct wal *wal;
    struct copy_pair pair;
    struct wal_file_header header;
    uint64_t synced; /* copy no batch behind this one */
};

/* The header that counts: 1, 0 where there is none to be had (the file is being taken for later batches), or
 * a negative errno. */
static int find_header(struct copying *copying)
{
    bool found = false;

    for (uint64_t number = 0; number < 2; number++) {
        uint8_t octets[WAL_FILE_HEADER_SIZE] = {0};
        struct wal_file_header header;
        ssize_t got =
            sys_read(copying->wal->sys, copying->pair.from, octets, sizeof octets, number * WAL_HEADER_BLOCK);

        if (got < 0)
            return (int)got;
        if (!wal_file_header_get(octets, &header) || (found && header.ordinal < copying->header.ordinal))
            continue;
        copying->header = header;
        found = true;
    }
    return found;
}

static int copy_headers(struct copying *copying)
{
    uint8_t block[WAL_HEADER_BLOCK];
    int error = 0;

    wal_file_header_put(block, &copying->header);
    for (uint64_t number = 0; number < 2 && !error; number++)
        error =
            sys_write(copying->wal->sys, copying->pair.to, block, sizeof block, number * WAL_HEADER_BLOCK);
    return error;
}

static int copy_batches(struct copying *copying)
{
    uint64_t at = WAL_HEADERS, block = wal_block(copying->header.version);
    int error = 0;

    while (!error && at < copying->header.size) {
        struct wal_batch_header batch = {
            .epoch = copying->header.epoch, .ordinal = copying->header.ordinal, .offset = at};
        uint8_t octets[WAL_BATCH_HEADER_SIZE];
        ssize_t got = sys_read(copying->wal->sys, copying->pair.from, octets, sizeof octets, at);
        uint64_t size;

        if (got < 0)
            return (int)got;
        if (got < (ssize_t)sizeof octets ||
            !wal_batch_header_get(octets, copying->header.size - at, &batch) ||
            batch.sequence > copying->synced)
            break;
        size = (WAL_BATCH_HEADER_SIZE + batch.length + block - 1) / block * block;
        error = copy_octets_between(&copying->pair, at, size);
        at += size;
    }
    return error ? error : sys_truncate(copying->wal->sys, copying->pair.to, copying->header.size);
}

/* A file of ordinal FIRST or later; others have nothing that is wanted. */
static int copy_file(struct copying *copying, uint64_t first, const char *to)
{
    int error = find_header(copying);

    if (error <= 0 || copying->header.ordinal < first || copying->header.first_sequence > copying->synced)
        return error < 0 ? error : 0;
    error = sys_open(copying->wal->sys, to, SYS_WRITE | SYS_CREATE | SYS_EXCLUSIVE, &copying->pair.to);
    if (!error)
        error = copy_headers(copying);
    if (!error)
        error = copy_batches(copying);
    return error ? error : sys_sync(copying->wal->sys, copying->pair.to);
}

int wal_copy(struct wal *wal, uint64_t first, const char *folder)
{
    uint64_t synced = wal_synced(wal);
    uint32_t count;
    int error = 0;

    pthread_mutex_lock(&wal->files_lock);
    count = wal->place_count;
    pthread_mutex_unlock(&wal->files_lock);
    for (uint32_t number = 0; number < count && !error; number++) {
        struct copying copying = {.wal = wal, .pair = {.sys = wal->sys}, .synced = synced};
        char from[WAL_PATH_SIZE], to[WAL_PATH_SIZE + 16];

        wal_path(wal, number, ".wal", from);
        snprintf(to, sizeof to, "%s/%s", folder, strrchr(from, '/') + 1);
        error = sys_open(wal->sys, from, SYS_READ, &copying.pair.from);
        if (error == -ENOENT) {
            error = 0; /* a place that has no file yet */
            continue;
        }
        if (!error)
            error = copy_file(&copying, first, to);
        sys_close(wal->sys, copying.pair.from);
        sys_close(wal->sys, copying.pair.to);
    }
    return error ? error : sys_sync_folder(wal->sys, folder);
}
