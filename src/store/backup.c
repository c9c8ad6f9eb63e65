/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of the data directory while it is in use, made by the worker in slices, between which it does what
 * else there is to do.
 *
 * The first slice copies the catalog as of its last commit, and behind it the journal up to where it is on
 * stable storage: the worker alone commits and releases, so they fit together. The catalog names segments
 * that no one changes; until they are copied none is removed. Segments that were made later are in nobody's
 * way.
 *
 * The catalog gets its name last. Without it the copy is no data directory, and is refused as one that has
 * lost its catalog.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "coney/xalloc.h"
#include "copy.h"
#include "folder.h"
#include "store_fields.h"

#define SLICE (UINT64_C(8) << 20)

/* A segment file that is still to be copied. */
struct copied_file {
    struct copied_file *next;
    char name[];
};

struct backup {
    struct task task; /* first: a backup is its task */
    struct store *store;
    char *folder; /* owned */
    store_backup_done *done;
    void *context;
    bool has_begun;
    struct copied_file *files;
    struct copy_pair pair; /* the first of these, from `at` to `size`; without a file open it is the next */
    uint64_t at, size;
};

static void to_path(const struct backup *backup, const char *name, char path[STORE_PATH_SIZE])
{
    snprintf(path, STORE_PATH_SIZE, "%s/%s", backup->folder, name);
}

/* ---- the end ---- */

static void close_pair(struct backup *backup)
{
    sys_close(backup->pair.sys, backup->pair.from);
    sys_close(backup->pair.sys, backup->pair.to);
    backup->pair.from = backup->pair.to = NULL;
}

static void end(struct backup *backup, const char *why)
{
    struct store *store = backup->store;
    store_backup_done *done = backup->done;
    void *context = backup->context;

    close_pair(backup);
    while (backup->files) {
        struct copied_file *file = backup->files;

        backup->files = file->next;
        free(file);
    }
    free(backup->folder);
    free(backup);
    store->keeps_files = false;
    atomic_store(&store->is_copied, false);
    done(context, why);
}

static void end_with(struct backup *backup, int error)
{
    char why[STORE_WHY_SIZE];

    snprintf(why, sizeof why, "%.500s: %s", backup->folder, strerror(-error));
    end(backup, why);
}

/* ---- the beginning ---- */

static void note_entry(void *context, const char *name)
{
    (void)name;
    *(bool *)context = true;
}

static void note_segment(void *context, const char *name)
{
    struct backup *backup = context;
    struct copied_file *file;

    if (!strstr(name, ".seg"))
        return;
    file = xmalloc(sizeof *file + strlen(name) + 1);
    memcpy(file->name, name, strlen(name) + 1);
    LL_PREPEND(backup->files, file);
}

/* The folders, empty. -EEXIST: there is something in it. */
static int make_folders(const struct backup *backup)
{
    static const char *const names[] = {"journal", "segments"};
    struct sys *sys = backup->store->sys;
    char path[STORE_PATH_SIZE];
    bool is_used = false;
    int error = folder_make(sys, backup->folder);

    if (!error)
        error = sys_list(sys, backup->folder, note_entry, &is_used);
    if (!error && is_used)
        error = -EEXIST;
    for (size_t i = 0; i < sizeof names / sizeof *names && !error; i++) {
        to_path(backup, names[i], path);
        error = folder_make(sys, path);
    }
    return error;
}

static int begin(struct backup *backup)
{
    struct store *store = backup->store;
    char from[STORE_PATH_SIZE], to[STORE_PATH_SIZE];
    int error = make_folders(backup);

    if (error)
        return error;
    store_path(store, "catalog.db", from);
    to_path(backup, "catalog.part", to);
    error = copy_file_whole(store->sys, from, to);
    if (error)
        return error;
    to_path(backup, "journal", to);
    error = wal_copy(store->wal, store->state.journal_first, to);
    if (error)
        return error;
    store->keeps_files = true;
    store_path(store, "segments", from);
    return sys_list(store->sys, from, note_segment, backup);
}

/* ---- segments ---- */

static int open_next(struct backup *backup)
{
    struct sys *sys = backup->pair.sys;
    char path[STORE_PATH_SIZE], name[STORE_PATH_SIZE / 2];
    int64_t size;
    int error;

    snprintf(name, sizeof name, "segments/%s", backup->files->name);
    store_path(backup->store, name, path);
    error = sys_open(sys, path, SYS_READ, &backup->pair.from);
    if (error)
        return error;
    to_path(backup, name, path);
    error = sys_open(sys, path, SYS_WRITE | SYS_CREATE | SYS_EXCLUSIVE, &backup->pair.to);
    if (error)
        return error;
    size = sys_size(sys, backup->pair.from);
    backup->at = 0;
    backup->size = size < 0 ? 0 : (uint64_t)size;
    return size < 0 ? (int)size : 0;
}

static int copy_slice(struct backup *backup)
{
    uint64_t left, size;
    int error = backup->pair.from ? 0 : open_next(backup);

    if (error)
        return error;
    left = backup->size - backup->at;
    size = left < SLICE ? left : SLICE;
    error = copy_octets_between(&backup->pair, backup->at, size);
    backup->at += size;
    if (error || backup->at < backup->size)
        return error;
    error = sys_sync(backup->pair.sys, backup->pair.to);
    if (!error) {
        struct copied_file *done = backup->files;

        backup->files = done->next;
        free(done);
        close_pair(backup);
    }
    return error;
}

static int name_catalog(const struct backup *backup)
{
    struct sys *sys = backup->store->sys;
    char from[STORE_PATH_SIZE], to[STORE_PATH_SIZE];
    int error;

    to_path(backup, "segments", to);
    error = sys_sync_folder(sys, to);
    to_path(backup, "catalog.part", from);
    to_path(backup, "catalog.db", to);
    if (!error)
        error = sys_rename(sys, from, to);
    return error ? error : sys_sync_folder(sys, backup->folder);
}

/* ---- slices ---- */

static void run_slice(struct task *task)
{
    struct backup *backup = (struct backup *)(void *)task;
    int error = 0;

    if (atomic_load(&backup->store->is_finishing)) {
        end(backup, "the node stops");
        return;
    }
    if (!backup->has_begun) {
        error = begin(backup);
        backup->has_begun = true;
    } else if (backup->files) {
        error = copy_slice(backup);
    } else {
        error = name_catalog(backup);
        if (!error) {
            end(backup, NULL);
            return;
        }
    }
    if (error)
        end_with(backup, error);
    else
        worker_submit(&backup->store->worker, &backup->task);
}

bool store_backup(struct store *store, const char *folder, store_backup_done *done, void *context)
{
    struct backup *backup;

    if (atomic_exchange(&store->is_copied, true))
        return false;
    backup = xcalloc(1, sizeof *backup);
    backup->task.run = run_slice;
    backup->store = store;
    backup->folder = xstrdup(folder);
    backup->done = done;
    backup->context = context;
    backup->pair.sys = store->sys;
    worker_submit(&store->worker, &backup->task);
    return true;
}
