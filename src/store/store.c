/* SPDX-License-Identifier: Apache-2.0 */
/* store.h: a data directory is opened, used and closed; the node's own records; threads. */
#include "coney/store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coney/log.h"
#include "coney/restore.h"
#include "coney/xalloc.h"
#include "failpoint.h"
#include "folder.h"
#include "format.h"
#include "store_fields.h"

#define SEGMENT_FILE_SIZE (UINT64_C(64) << 20)
#define JOURNAL_FILES     8
#define LOCK_TEXT_SIZE    32

void store_path(const struct store *store, const char *name, char path[STORE_PATH_SIZE])
{
    snprintf(path, STORE_PATH_SIZE, "%s/%s", store->folder, name);
}

/* ---- opening ---- */

static enum store_result refuse_errno(char why[STORE_WHY_SIZE], const char *path, int error)
{
    snprintf(why, STORE_WHY_SIZE, "%s: %s", path, strerror(-error));
    return STORE_UNREADABLE;
}

/* The lock is the file's, not what is in it: that is only for whoever finds it locked. */
static enum store_result lock_folder(struct store *store, char why[STORE_WHY_SIZE])
{
    char path[STORE_PATH_SIZE], text[LOCK_TEXT_SIZE] = "";
    ssize_t size;
    int error;

    store_path(store, "lock", path);
    error = sys_open(store->sys, path, SYS_WRITE | SYS_CREATE, &store->lock_file);
    if (error)
        return refuse_errno(why, path, error);
    error = sys_lock(store->sys, store->lock_file);
    if (error == -EWOULDBLOCK) {
        size = sys_read(store->sys, store->lock_file, text, sizeof text - 1, 0);
        text[size > 0 ? size : 0] = 0;
        snprintf(why, STORE_WHY_SIZE, "%s is in use by process %ld", store->folder, strtol(text, NULL, 10));
        return STORE_IN_USE;
    }
    if (error)
        return refuse_errno(why, path, error);
    size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    error = sys_truncate(store->sys, store->lock_file, 0);
    if (!error)
        error = sys_write(store->sys, store->lock_file, text, (size_t)size, 0);
    return error ? refuse_errno(why, path, error) : STORE_OPENED;
}

static enum store_result open_segments(struct store *store, char why[STORE_WHY_SIZE])
{
    char path[STORE_PATH_SIZE], reason[SEGMENT_WHY_SIZE];
    uint64_t size = store->settings.segment_file_size;

    store_path(store, "segments", path);
    store->kept = segments_open(store->sys, path, size, true, reason);
    if (store->kept) {
        store_path(store, "spill", path);
        store->spill = segments_open(store->sys, path, size, false, reason);
    }
    if (store->kept && store->spill)
        return STORE_OPENED;
    snprintf(why, STORE_WHY_SIZE, "%s", reason);
    return STORE_UNREADABLE;
}

/* A new node has an epoch before it has anything else. */
static int make_epoch(struct store *store)
{
    struct catalog_state state = {.journal_first = 1};
    int error;

    store->ops.random(store->ops.context, &state.epoch, sizeof state.epoch);
    state.epoch >>= 1; /* SQLite's integers have a sign */
    error = catalog_begin(store->catalog);
    if (!error)
        error = catalog_put_state(store->catalog, &state);
    return error ? error : catalog_commit(store->catalog);
}

/* Names of files of a journal or of segments: what has any is no new data directory. */
static void note_kept(void *context, const char *name)
{
    const char *suffix = strrchr(name, '.');

    if (suffix && (strcmp(suffix, ".wal") == 0 || strcmp(suffix, ".seg") == 0))
        *(bool *)context = true;
}

static bool keeps_anything(struct store *store)
{
    static const char *const folders[] = {"journal", "segments"};
    char path[STORE_PATH_SIZE];
    bool any = false;

    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        store_path(store, folders[i], path);
        sys_list(store->sys, path, note_kept, &any);
    }
    return any;
}

/* A catalog that is lost must not pass for one that never was: what it named would be swept away. */
static enum store_result open_catalog(struct store *store, struct store_opened *opened,
                                      char why[STORE_WHY_SIZE])
{
    char reason[CATALOG_WHY_SIZE];
    int error = format_check(store->sys, store->folder, reason, sizeof reason);

    if (!error)
        error = catalog_open(store->sys, store->folder, &store->catalog, &opened->is_new, reason);
    if (!error && opened->is_new && keeps_anything(store)) {
        error = -EBADMSG;
        snprintf(reason, sizeof reason,
                 "%.400s/catalog.db: offset 0: it is empty or missing, though messages are kept",
                 store->folder);
    } else if (!error && opened->is_new) {
        error = make_epoch(store);
        if (error)
            snprintf(reason, sizeof reason, "%s", catalog_why(store->catalog));
    }
    if (error) {
        snprintf(why, STORE_WHY_SIZE, "%s", reason);
        return error == -EBADMSG || error == -ENOTSUP ? STORE_DAMAGED : STORE_UNREADABLE;
    }
    format_write(store->sys, store->folder);
    error = sys_sync_folder(store->sys, store->folder);
    return error ? refuse_errno(why, store->folder, error) : STORE_OPENED;
}

static void init(struct store *store, struct sys *sys, const struct store_settings *settings,
                 const struct store_ops *ops)
{
    store->sys = sys;
    store->settings = *settings;
    atomic_init(&store->disk_free_limit, settings->disk_free_limit);
    store->ops = *ops;
    store->folder = xstrdup(settings->folder);
    if (!store->settings.segment_file_size)
        store->settings.segment_file_size = SEGMENT_FILE_SIZE;
    if (!store->settings.journal_file_size)
        store->settings.journal_file_size = settings->journal_window / JOURNAL_FILES;
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->moved, NULL);
    worker_init(&store->worker);
    worker_init(&store->reader);
    store->node.store = store;
    store->needs_reserve = true;
    store->pending_end = &store->pending;
    store->states_end = &store->states;
    store->runs_end = &store->runs;
}

enum store_result store_open(struct sys *sys, const struct store_settings *settings,
                             const struct store_ops *ops, struct store **out, struct store_opened *opened,
                             char why[STORE_WHY_SIZE])
{
    struct store *store = xcalloc(1, sizeof *store);
    enum store_result result;
    int error;

    init(store, sys, settings, ops);
    *opened = (struct store_opened){0};
    *out = store;
    if (!failpoint_read()) {
        snprintf(why, STORE_WHY_SIZE, "CONEY_FAIL is not NAME:ACTION@N");
        return STORE_UNREADABLE;
    }
    error = folder_make(sys, store->folder);
    if (error)
        return refuse_errno(why, store->folder, error);
    result = lock_folder(store, why);
    if (result == STORE_OPENED)
        result = open_catalog(store, opened, why);
    if (result == STORE_OPENED)
        result = open_segments(store, why);
    if (result == STORE_OPENED)
        result = recover(store, opened, why);
    return result;
}

/* ---- the node's own records ---- */

static void write_names(struct store *store, uint8_t kind, uint32_t vhost,
                        const struct bytes names[LOGGED_NAMES])
{
    struct wal_chunk *chunk = xmalloc(sizeof *chunk);

    chunk->next = NULL;
    chunk->context = &store->node;
    chunk->count = 0;
    chunk->relaxed = false;
    pthread_mutex_lock(&store->lock);
    chunk->lsn = ++store->node.lsn;
    logged_encode_names(wal_chunk_add(chunk), kind, vhost, chunk->lsn, names);
    wal_push(store->wal, chunk, chunk);
    pthread_mutex_unlock(&store->lock);
    wal_wake(store->wal);
}

struct journal *store_vhost(struct store *store, struct bytes name)
{
    const struct bytes names[LOGGED_NAMES] = {name};
    struct vhost_journal *journal;

    pthread_mutex_lock(&store->lock);
    journal = vhost_journal_new(store, ++store->last_id, name);
    journal->next = store->journals;
    store->journals = journal;
    pthread_mutex_unlock(&store->lock);
    write_names(store, LOGGED_VHOST, journal->id, names);
    return &journal->journal;
}

void store_share(struct journal *base, struct vhost *vhost, void *owner)
{
    struct vhost_journal *journal = journal_of(base);

    journal->vhost = vhost;
    journal->owner = owner;
    journal->is_restoring = false;
    pthread_mutex_lock(&journal->store->lock);
    journal->is_shared = true;
    pthread_mutex_unlock(&journal->store->lock);
}

void store_put_entry(struct store *store, struct bytes section, struct bytes vhost, struct bytes name,
                     struct bytes json)
{
    const struct bytes names[LOGGED_NAMES] = {section, vhost, name, json};

    write_names(store, json.size ? LOGGED_ENTRY : LOGGED_ENTRY_GONE, 0, names);
}

/* Wait until what the node itself wrote so far is durable; at most until UNTIL, if that is not NULL. */
static bool wait_durable(struct store *store, const struct timespec *until)
{
    bool is_durable;
    uint64_t lsn;
    int error = 0;

    pthread_mutex_lock(&store->lock);
    lsn = store->node.lsn;
    while (store->has_threads && atomic_load(&store->node.durable) < lsn && error != ETIMEDOUT)
        error = until ? pthread_cond_clockwait(&store->moved, &store->lock, CLOCK_MONOTONIC, until)
                      : pthread_cond_wait(&store->moved, &store->lock);
    is_durable = !store->has_threads || atomic_load(&store->node.durable) >= lsn;
    pthread_mutex_unlock(&store->lock);
    return is_durable;
}

void store_sync(struct store *store)
{
    wait_durable(store, NULL);
}

bool store_sync_within(struct store *store, unsigned timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return wait_durable(store, &until);
}

/* A record that means nothing stands behind everything that was pushed before it. */
bool store_settle(struct store *store, unsigned timeout_ms)
{
    static const struct bytes none = {NULL, 0};

    if (store->has_threads)
        store_put_entry(store, BYTES_LITERAL("settled"), none, none, none);
    return store_sync_within(store, timeout_ms);
}

/* ---- threads ---- */

static void write_failed(void *context, int error)
{
    struct store *store = context;
    char text[256];

    if (error == -ENOSPC) {
        store_set_full(store, true);
        return;
    }
    if (wal_waits(error)) {
        log_warning("the journal waits: %s", strerror(-error));
        return;
    }
    snprintf(text, sizeof text, "the journal cannot be written: %s", strerror(-error));
    store->ops.failed(store->ops.context, text);
}

bool store_start(struct store *store, char why[STORE_WHY_SIZE])
{
    struct vhost_journal *journal;
    sigset_t all, before;

    for (journal = store->journals; journal; journal = journal->next)
        journal->is_shared = journal->owner != NULL;
    /* Signals are for the threads of who uses the store. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    store->has_threads = worker_start(&store->worker, "store") && worker_start(&store->reader, "store-read");
    /* The last one, as it reads has_threads. */
    if (store->has_threads && !wal_start(store->wal, write_failed, store))
        store->has_threads = false;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!store->has_threads)
        snprintf(why, STORE_WHY_SIZE, "the store's threads cannot be started");
    return store->has_threads;
}

bool store_step(struct store *store)
{
    uint64_t backlog = wal_backlog(store->wal);
    int error = wal_step(store->wal);
    bool did = wal_backlog(store->wal) < backlog || (!error && wal_is_syncing(store->wal));

    if (error && error != -EAGAIN)
        write_failed(store, error);
    did |= worker_step(&store->worker);
    return worker_step(&store->reader) || did;
}

void store_wake(struct store *store)
{
    if (atomic_load_explicit(&store->wake, memory_order_relaxed) && atomic_exchange(&store->wake, false))
        wal_wake(store->wal);
}

void store_set_full(struct store *store, bool full)
{
    if (atomic_exchange(&store->is_full, full) != full)
        store->ops.disk_full(store->ops.context, full);
}

/* A disk that was full has room again when it has enough for a file of the journal too, and for the reserve.
 */
static bool has_room(const struct store *store, uint64_t room)
{
    uint64_t limit = atomic_load_explicit(&store->disk_free_limit, memory_order_relaxed);

    return !store->needs_reserve && room > limit + limit / 4 && room > store->settings.journal_file_size;
}

void store_set_disk_free_limit(struct store *store, uint64_t limit)
{
    atomic_store_explicit(&store->disk_free_limit, limit, memory_order_relaxed);
}

static void check_room(struct store *store)
{
    int64_t room = sys_room(store->sys, store->folder);

    if (room < 0)
        return;
    if ((uint64_t)room < atomic_load_explicit(&store->disk_free_limit, memory_order_relaxed))
        store_set_full(store, true);
    else if (has_room(store, (uint64_t)room))
        store_set_full(store, false);
}

/* On the worker: what should be ready before it is needed. */
static void care(struct task *task)
{
    struct store *store = (struct store *)(void *)((char *)task - offsetof(struct store, care_task));
    struct vhost_journal *journal;

    atomic_store(&store->is_cared_for, false);
    if (store->needs_reserve)
        reserve_make(store);
    check_room(store);
    if (!store->state.journal_synced) /* of a new node: checkpoints see to it from now on */
        checkpoint_note_synced(store);
    wal_prepare(store->wal);
    pthread_mutex_lock(&store->lock);
    if (store->checkpoint.is_on)
        for (journal = store->journals; journal; journal = journal->next)
            vhost_journal_post(journal);
    pthread_mutex_unlock(&store->lock);
    checkpoint_consider(store);
}

void store_care(struct store *store)
{
    if (atomic_exchange(&store->is_cared_for, true))
        return;
    store->care_task.run = care;
    worker_submit(&store->worker, &store->care_task);
}

static bool answer_all(struct store *store)
{
    bool any = false;

    for (struct vhost_journal *journal = store->journals; journal; journal = journal->next) {
        if (!journal->vhost ||
            (!atomic_load(&journal->returned) && !atomic_load(&journal->answers) && !journal->waiting))
            continue;
        store_answer(&journal->journal, journal->vhost);
        vhost_flush(journal->vhost);
        any = true;
    }
    return any;
}

/* From now on nothing can be missing at the end of the journal without being noticed. */
static void finish_journal(struct store *store)
{
    int error = wal_sync(store->wal);

    if (error)
        write_failed(store, error);
    else
        checkpoint_note_synced(store);
}

void store_finish(struct store *store)
{
    atomic_store(&store->is_finishing, true);
    for (struct vhost_journal *journal = store->journals; journal; journal = journal->next)
        if (journal->vhost) {
            vhost_settle_marks(journal->vhost);
            vhost_flush(journal->vhost);
        }
    /* No vhost answers a checkpoint any more, which may be what a full journal waits for. */
    wal_overdraw(store->wal, true);
    wal_wake(store->wal);
    wal_stop(store->wal);
    worker_stop(&store->worker);
    worker_stop(&store->reader);
    store->has_threads = false;
    while (answer_all(store) || store_step(store))
        continue;
    finish_journal(store);
}

void store_free(struct store *store)
{
    struct wal_chunk *left = store->wal ? wal_close(store->wal) : NULL;

    while (left) {
        struct wal_chunk *next = left->next;

        for (uint32_t i = 0; i < left->count; i++)
            if (logged_is_topology(left->items[i].head[0]))
                free(left->items[i].owner);
            else if (left->items[i].owner)
                message_unref(left->items[i].owner);
        free(left);
        left = next;
    }
    checkpoint_free(store);
    catalog_close(store->catalog);
    if (store->kept)
        segments_close(store->kept);
    if (store->spill)
        segments_close(store->spill);
    while (store->journals) {
        struct vhost_journal *journal = store->journals;

        store->journals = journal->next;
        free((void *)(uintptr_t)journal->name.data);
        free(journal);
    }
    if (store->reserve)
        sys_close(store->sys, store->reserve);
    sys_close(store->sys, store->lock_file);
    worker_destroy(&store->worker);
    worker_destroy(&store->reader);
    pthread_mutex_destroy(&store->lock);
    pthread_cond_destroy(&store->moved);
    free(store->folder);
    free(store);
}

struct store_counters store_counters(struct store *store)
{
    struct wal_counters wal = wal_counters(store->wal);
    struct store_counters counters;

    pthread_mutex_lock(&store->lock);
    counters = store->counters;
    pthread_mutex_unlock(&store->lock);
    counters.journal_batches = wal.batches;
    counters.journal_octets = wal.octets;
    counters.journal_syncs = wal.syncs;
    counters.journal_records = wal.records;
    counters.journal_largest_batch = wal.largest_batch;
    counters.journal_sync_ns = wal.sync_ns;
    counters.journal_backlog = wal_backlog(store->wal);
    counters.journal_files = wal_files_in_use(store->wal);
    counters.segment_octets = segments_size(store->kept);
    counters.spill_octets = segments_size(store->spill);
    counters.used = atomic_load(&store->used);
    counters.disk_free_limit = atomic_load_explicit(&store->disk_free_limit, memory_order_relaxed);
    counters.disk_full = atomic_load(&store->is_full);
    return counters;
}
