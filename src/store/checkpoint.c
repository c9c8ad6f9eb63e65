/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint: what old files of the journal say is put into segments and the catalog, so that they can be
 * used again; and compaction, since what is live in segments is known best then.
 *
 *  1. Inside each vhost, a slice at a time: messages that only the old files have are handed out as runs;
 * when these are written, states and changed runs are captured (checkpoint_inside()).
 *  2. When all vhosts have captured, and the journal is durable up to where they did: the worker syncs the
 *     segments, commits the catalog with all that was captured, and only then releases the files (commit()).
 *
 * What is captured stays in lists until a commit has succeeded, so a full disk loses nothing: it is tried
 * again.
 *
 * A segment file is removed by the commit of a checkpoint that began after the last of it died: by then no
 * row of the catalog names it.
 *
 * Every commit also says how far the journal was on stable storage, so that what is missing of it later is
 * not taken for what a crash tore; a new node says it early, and a clean end says it exactly.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/clock.h"
#include "coney/log.h"
#include "coney/xalloc.h"
#include "failpoint.h"
#include "record.h"
#include "store_fields.h"

#define CAPTURE_SLICE 2000 /* states of queues, in one batch */
#define RETRY_NS      UINT64_C(500000000)
#define SEGMENT_SLACK (UINT64_C(64) << 10) /* what a full disk is not worth a checkpoint for */
#define TIDY_EVERY_NS UINT64_C(1000000000)

/* ---- the ledger of files ---- */

void ledger_add(struct store *store, bool lasts, uint32_t file, int64_t delta, uint64_t size)
{
    struct ledger_file **ledger = &store->ledgers[lasts], *entry;

    HASH_FIND(hh, *ledger, &file, sizeof file, entry);
    if (!entry) {
        entry = xcalloc(1, sizeof *entry);
        entry->file = file;
        HASH_ADD(hh, *ledger, file, sizeof entry->file, entry);
    }
    entry->live += (uint64_t)delta;
    store->live[lasts] += (uint64_t)delta;
    entry->size += size;
    entry->dead_at = store->checkpoint.begun;
}

/* ---- capturing ---- */

void pending_add(struct store *store, const uint8_t *head, size_t head_size, const void *rest,
                 size_t rest_size)
{
    struct pending *pending = xmalloc(sizeof *pending + head_size + rest_size);

    pending->next = NULL;
    pending->size = (uint32_t)(head_size + rest_size);
    memcpy(pending->record, head, head_size);
    put_bytes(pending->record + head_size, (struct bytes){rest, rest_size});
    pthread_mutex_lock(&store->lock);
    *store->pending_end = pending;
    store->pending_end = &pending->next;
    pthread_mutex_unlock(&store->lock);
}

static void capture_state(void *context, uint64_t queue, struct bytes octets)
{
    struct vhost_journal *journal = context;
    struct captured_state *state = xmalloc(sizeof *state + octets.size);

    state->vhost = journal->id;
    state->queue = queue;
    state->size = (uint32_t)octets.size;
    put_bytes(state->octets, octets);
    pthread_mutex_lock(&journal->store->lock);
    *journal->store->states_end = state;
    journal->store->states_end = &state->next;
    state->next = NULL;
    pthread_mutex_unlock(&journal->store->lock);
}

/* What the catalog keeps of a run beside its place: messages u32, returns u32, octets of bodies u64, then the
 * words of live bits, then the returns (at u32, count u32). */
#define RUN_ROW_HEAD 16

static size_t put_live(uint8_t *out, struct run *run)
{
    uint8_t *p = put_le32(out, run->messages);

    p = put_le32(p, run->return_count);
    p = put_le64(p, run->bytes);
    for (uint32_t word = 0; word < run_words(run->span); word++)
        p = put_le64(p, run_live(run)[word] & (run->flags & RUN_MIXED ? run_lasting(run)[word] : UINT64_MAX));
    for (uint32_t i = 0; i < run->return_count; i++) {
        p = put_le32(p, run->returns[i].at);
        p = put_le32(p, run->returns[i].delivery_count);
    }
    return (size_t)(p - out);
}

static void add_row(struct captured_run ***end, struct captured_run *row)
{
    row->next = NULL;
    **end = row;
    *end = &row->next;
}

static void row_key(struct captured_run *row, const struct vhost_journal *journal, const struct run *run)
{
    row->row = (struct catalog_run){.vhost = journal->id,
                                    .queue = run->queue_id,
                                    .level = run->level,
                                    .first = run->first,
                                    .span = run->span,
                                    .next_deadline = (uint64_t)run->deadline,
                                    .place = run->place};
}

static void capture_run(void *context, struct run *run)
{
    struct vhost_journal *journal = context;
    struct store *store = journal->store;
    uint64_t octets = run->place.size * run->live_count / run->messages;
    uint64_t live = octets ? octets : 1; /* 0 is for what was never counted */
    uint64_t counted = run->counted ? run->counted : run->place.size;

    pthread_mutex_lock(&store->lock);
    ledger_add(store, run->flags & RUN_LASTS, run->place.file, (int64_t)(live - counted), 0);
    run->counted = live;
    if (run->flags & RUN_LASTS) {
        size_t size = RUN_ROW_HEAD + run_words(run->span) * sizeof(uint64_t) +
                      run->return_count * sizeof(struct run_return);
        struct captured_run *row = xmalloc(sizeof *row + size);

        row_key(row, journal, run);
        row->row.live_octets = live;
        row->row.live = (struct bytes){row->octets, put_live(row->octets, run)};
        run->flags |= RUN_LISTED;
        add_row(&store->runs_end, row);
    }
    pthread_mutex_unlock(&store->lock);
}

void checkpoint_drop(struct journal *base, struct run *run)
{
    struct store *store = journal_of(base)->store;

    pthread_mutex_lock(&store->lock);
    ledger_add(store, run->flags & RUN_LASTS, run->place.file,
               -(int64_t)(run->counted ? run->counted : run->place.size), 0);
    pthread_mutex_unlock(&store->lock);
}

void checkpoint_emptied(struct journal *base, struct run *run)
{
    struct vhost_journal *journal = journal_of(base);
    struct captured_run *row = xmalloc(sizeof *row);

    row_key(row, journal, run);
    row->row.live = (struct bytes){NULL, 0};
    row->row.span = 0; /* to be removed */
    add_row(&journal->dropped_end, row);
}

static void capture_dropped(struct vhost_journal *journal)
{
    struct store *store = journal->store;

    if (!journal->dropped)
        return;
    pthread_mutex_lock(&store->lock);
    *store->runs_end = journal->dropped;
    store->runs_end = journal->dropped_end;
    pthread_mutex_unlock(&store->lock);
    journal->dropped = NULL;
    journal->dropped_end = &journal->dropped;
}

static void run_commit(struct task *task);

static void submit_commit(struct store *store)
{
    store->commit_task.run = run_commit;
    worker_submit(&store->worker, &store->commit_task);
}

void checkpoint_tell_dead(struct vhost_journal *journal)
{
    for (unsigned lasts = 0; lasts < 2; lasts++) {
        atomic_fetch_add(&journal->store->dead[lasts], journal->journal.dead[lasts]);
        journal->told_dead[lasts] += journal->journal.dead[lasts];
        journal->journal.dead[lasts] = 0;
    }
}

/* The ledger knows it all now. */
static void untell_dead(struct vhost_journal *journal)
{
    for (unsigned lasts = 0; lasts < 2; lasts++) {
        atomic_fetch_sub(&journal->store->dead[lasts], journal->told_dead[lasts]);
        journal->told_dead[lasts] = journal->journal.dead[lasts] = 0;
    }
}

/* The vhost has captured everything. */
static void captured(struct vhost_journal *journal)
{
    struct store *store = journal->store;
    bool last;

    pthread_mutex_lock(&store->lock);
    journal->captured_lsn = journal->lsn;
    last = --store->checkpoint.pending == 0;
    pthread_mutex_unlock(&store->lock);
    if (last)
        submit_commit(store);
}

void checkpoint_inside(struct vhost_journal *journal, struct vhost *vhost)
{
    struct checkpoint_sink sink = {.state = capture_state, .run = capture_run, .context = journal};

    if (atomic_exchange(&journal->checkpoint_wanted, false))
        journal->checkpoint = CHECKPOINT_SAVING;
    if (journal->checkpoint == CHECKPOINT_SAVING) {
        if (journal->save_after > clock_ns()) /* the store's care brings it back */
            return;
        /* Answers bring this function back; without any under way somebody else must. */
        if (vhost_save_old(vhost, (uint16_t)journal->store->checkpoint.era)) {
            vhost_journal_post_later(journal, vhost);
            return;
        }
        journal->checkpoint = CHECKPOINT_CAPTURING;
    }
    if (journal->checkpoint != CHECKPOINT_CAPTURING)
        return;
    if (vhost_capture_states(vhost, &sink, CAPTURE_SLICE)) {
        vhost_journal_post(journal);
        return;
    }
    vhost_capture_runs(vhost, &sink);
    untell_dead(journal);
    capture_dropped(journal);
    journal->checkpoint = CHECKPOINT_NONE;
    captured(journal);
}

/* ---- committing ---- */

/* Ids of queues that were deleted: what was captured of them before is of no use any more. */
struct gone_queue {
    UT_hash_handle hh;
    struct {
        uint64_t queue;
        uint64_t vhost;
    } key;
};

/* What one commit takes. */
struct harvest {
    struct pending *pending, **pending_end;
    struct captured_state *states;
    struct captured_run *runs;
    struct gone_queue *gone;
    const char *why; /* it failed, if it was not the catalog */
};

static int apply_record(struct store *store, struct harvest *harvest, const struct logged *record)
{
    const struct bytes *names = record->names;
    struct catalog_binding binding = {.vhost = record->vhost,
                                      .lsn = record->lsn,
                                      .to_exchange = record->flags & LOGGED_TO_EXCHANGE,
                                      .source = names[0],
                                      .destination = names[1],
                                      .routing_key = names[2],
                                      .arguments = names[3]};
    struct gone_queue *gone;

    switch (record->kind) {
    case JOURNAL_DECLARE_EXCHANGE:
        return catalog_put_exchange(
            store->catalog, &(struct catalog_exchange){.vhost = record->vhost,
                                                       .lsn = record->lsn,
                                                       .name = names[0],
                                                       .type = names[1],
                                                       .arguments = names[2],
                                                       .auto_delete = record->flags & LOGGED_AUTO_DELETE,
                                                       .internal = record->flags & LOGGED_INTERNAL});
    case JOURNAL_DELETE_EXCHANGE:
        return catalog_remove_exchange(store->catalog, record->vhost, names[0], record->lsn);
    case JOURNAL_DECLARE_QUEUE:
        return catalog_put_queue(store->catalog,
                                 &(struct catalog_queue){.vhost = record->vhost,
                                                         .id = record->lsn,
                                                         .name = names[0],
                                                         .arguments = names[1],
                                                         .auto_delete = record->flags & LOGGED_AUTO_DELETE});
    case JOURNAL_DELETE_QUEUE:
        gone = xcalloc(1, sizeof *gone);
        gone->key.queue = record->queue;
        gone->key.vhost = record->vhost;
        HASH_ADD(hh, harvest->gone, key, sizeof gone->key, gone);
        return catalog_remove_queue(store->catalog, record->vhost, record->queue);
    case JOURNAL_BIND:
        return catalog_put_binding(store->catalog, &binding);
    case JOURNAL_UNBIND:
        return catalog_remove_binding(store->catalog, &binding);
    case LOGGED_VHOST:
        return catalog_put_vhost(store->catalog,
                                 &(struct catalog_vhost){.id = record->vhost, .name = names[0]});
    case LOGGED_ENTRY:
        return catalog_put_entry(store->catalog,
                                 &(struct catalog_entry){names[0], names[1], names[2], names[3]});
    case LOGGED_ENTRY_GONE:
        return catalog_remove_entry(
            store->catalog,
            &(struct catalog_entry){.section = names[0], .vhost = names[1], .name = names[2]});
    default:
        harvest->why = "a record for the catalog is of no kind";
        return -EBADMSG;
    }
}

static bool is_gone(const struct harvest *harvest, uint32_t vhost, uint64_t queue)
{
    struct gone_queue *gone, sought = {0};

    sought.key.queue = queue;
    sought.key.vhost = vhost;
    HASH_FIND(hh, harvest->gone, &sought.key, sizeof sought.key, gone);
    return gone;
}

static int apply_all(struct store *store, struct harvest *harvest, const struct catalog_state *state)
{
    struct vhost_journal *journal;
    int error = 0;

    for (struct pending *pending = harvest->pending; pending && !error; pending = pending->next) {
        struct logged record = {0};

        if (logged_decode(&record, pending->record, pending->size)) {
            error = apply_record(store, harvest, &record);
        } else {
            error = -EBADMSG;
            harvest->why = "a record for the catalog is none";
        }
    }
    for (struct captured_state *levels = harvest->states; levels && !error; levels = levels->next)
        if (!is_gone(harvest, levels->vhost, levels->queue))
            error = catalog_put_queue_state(store->catalog, levels->vhost, levels->queue,
                                            (struct bytes){levels->octets, levels->size});
    for (struct captured_run *run = harvest->runs; run && !error; run = run->next) {
        if (is_gone(harvest, run->row.vhost, run->row.queue))
            continue;
        error = run->row.span ? catalog_put_run(store->catalog, &run->row)
                              : catalog_remove_run(store->catalog, run->row.vhost, run->row.queue,
                                                   run->row.level, run->row.first);
    }
    for (journal = store->journals; journal && !error; journal = journal->next)
        error = catalog_put_vhost(
            store->catalog,
            &(struct catalog_vhost){.id = journal->id, .name = journal->name, .lsn = journal->captured_lsn});
    return error ? error : catalog_put_state(store->catalog, state);
}

static int sync_segments(struct store *store, struct harvest *harvest)
{
    int error = failpoint("checkpoint_before_sync");

    if (!error)
        error = segments_sync(store->kept);
    if (!error)
        error = failpoint("checkpoint_after_sync");
    harvest->why = error ? "the segments cannot be synced" : NULL;
    return error;
}

static int commit_catalog(struct store *store, struct harvest *harvest, uint64_t first)
{
    const struct catalog_state state = {store->state.epoch, first, wal_synced(store->wal)};
    struct gone_queue *gone, *next;
    int error = sync_segments(store, harvest);

    if (!error)
        error = catalog_begin(store->catalog);
    if (!error) {
        error = apply_all(store, harvest, &state);
        if (!error) {
            error = failpoint("checkpoint_before_commit");
            harvest->why = error ? "the catalog cannot be written" : NULL;
        }
        if (error)
            catalog_rollback(store->catalog);
        else
            error = catalog_commit(store->catalog);
    }
    if (!error)
        store->state = state;
    HASH_ITER (hh, harvest->gone, gone, next) {
        HASH_DEL(harvest->gone, gone);
        free(gone);
    }
    return error;
}

static void take_harvest(struct store *store, struct harvest *harvest)
{
    *harvest = (struct harvest){.pending = store->pending,
                                .pending_end = store->pending_end,
                                .states = store->states,
                                .runs = store->runs};
    store->pending = NULL;
    store->pending_end = &store->pending;
    store->states = NULL;
    store->states_end = &store->states;
    store->runs = NULL;
    store->runs_end = &store->runs;
}

/* In front of what has come meanwhile. */
static void give_back_harvest(struct store *store, struct harvest *harvest)
{
    struct captured_state **states = &harvest->states;
    struct captured_run **runs = &harvest->runs;

    if (harvest->pending) {
        *harvest->pending_end = store->pending;
        if (!store->pending)
            store->pending_end = harvest->pending_end;
        store->pending = harvest->pending;
    }
    while (*states)
        states = &(*states)->next;
    if (harvest->states) {
        *states = store->states;
        if (!store->states)
            store->states_end = states;
        store->states = harvest->states;
    }
    while (*runs)
        runs = &(*runs)->next;
    if (harvest->runs) {
        *runs = store->runs;
        if (!store->runs)
            store->runs_end = runs;
        store->runs = harvest->runs;
    }
}

static void free_rows(struct captured_run *rows)
{
    while (rows) {
        struct captured_run *row = rows;

        rows = row->next;
        free(row);
    }
}

static void free_harvest(struct harvest *harvest)
{
    while (harvest->pending) {
        struct pending *pending = harvest->pending;

        harvest->pending = pending->next;
        free(pending);
    }
    while (harvest->states) {
        struct captured_state *state = harvest->states;

        harvest->states = state->next;
        free(state);
    }
    free_rows(harvest->runs);
}

void checkpoint_free(struct store *store)
{
    struct harvest harvest;

    take_harvest(store, &harvest);
    free_harvest(&harvest);
    for (struct vhost_journal *journal = store->journals; journal; journal = journal->next)
        free_rows(journal->dropped);
    for (unsigned lasts = 0; lasts < 2; lasts++) {
        struct ledger_file *entry, *next;

        HASH_ITER (hh, store->ledgers[lasts], entry, next) {
            HASH_DEL(store->ledgers[lasts], entry);
            free(entry);
        }
    }
}

/* ---- compaction ---- */

/* The ledger is as old as the last capture; settlements since then count too, or few records that settle many
 * messages would never be noticed. */
static bool is_wasteful(const struct store *store, bool lasts)
{
    uint64_t live = store->live[lasts], dead = atomic_load(&store->dead[lasts]);
    /* The dead octets of one file are put up with, unless the disk wants them. */
    uint64_t slack = atomic_load(&store->is_full) ? SEGMENT_SLACK : store->settings.segment_file_size;

    live -= dead < live ? dead : live;
    return segments_size(lasts ? store->kept : store->spill) > live + live / 2 + slack;
}

/* (lock) Take the files off the ledger that nothing names any more: the last of them died before the
 * checkpoint COMMITTED began. */
static struct ledger_file *take_dead(struct store *store, bool lasts, uint32_t current, uint64_t committed)
{
    struct ledger_file *entry, *next, *dead = NULL;

    HASH_ITER (hh, store->ledgers[lasts], entry, next) {
        if (entry->live || entry->dead_at >= committed ||
            (entry->file == current && !atomic_load(&store->is_full)))
            continue;
        HASH_DEL(store->ledgers[lasts], entry);
        entry->next_dead = dead;
        dead = entry;
    }
    return dead;
}

static int compare_live(const struct ledger_file *a, const struct ledger_file *b)
{
    return a->live < b->live ? -1 : a->live > b->live;
}

/* (lock) Ask for the runs of the emptiest files to be moved: in all as much as a file has. While it is
 * wasteful there is one of which at most two thirds are live, so this ends. */
static void ask_to_move(struct store *store, bool lasts, uint32_t current)
{
    struct ledger_file *entry, *next;
    uint64_t octets = 0;
    unsigned asked = 0;

    if (!is_wasteful(store, lasts))
        return;
    HASH_SORT(store->ledgers[lasts], compare_live);
    HASH_ITER (hh, store->ledgers[lasts], entry, next) {
        if (entry->file == current || !entry->live || entry->live > entry->size / 3 * 2)
            continue;
        if (asked == MOVE_FILES || octets > store->settings.segment_file_size)
            break;
        for (struct vhost_journal *journal = store->journals; journal; journal = journal->next) {
            atomic_store(&journal->moves[lasts][asked], entry->file);
            vhost_journal_post(journal);
        }
        octets += entry->live;
        asked++;
    }
}

/* Removing a file takes its time, and runners want the lock. */
static void tidy(struct store *store, bool lasts, uint64_t committed)
{
    struct segments *segments = lasts ? store->kept : store->spill;
    uint32_t current = segments_current(segments);
    struct ledger_file *dead;

    pthread_mutex_lock(&store->lock);
    dead = store->keeps_files ? NULL : take_dead(store, lasts, current, committed);
    ask_to_move(store, lasts, current);
    pthread_mutex_unlock(&store->lock);
    while (dead) {
        struct ledger_file *next = dead->next_dead;

        segments_remove(segments, dead->file);
        free(dead);
        dead = next;
    }
}

/* ---- the course of it ---- */

static bool is_all_durable(struct store *store)
{
    for (struct vhost_journal *journal = store->journals; journal; journal = journal->next)
        if (atomic_load(&journal->durable) < journal->captured_lsn)
            return false;
    return true;
}

/* WHY: what failed, if it was not the catalog. */
static void commit_failed(struct store *store, int error, const char *why)
{
    char text[STORE_WHY_SIZE];

    if (error == -ENOSPC) {
        store_set_full(store, true);
        return;
    }
    if (sys_lacks_descriptors(error)) {
        log_warning("a checkpoint waits for descriptors: %s", strerror(-error));
        return;
    }
    snprintf(text, sizeof text, "%s: %s", why ? why : "the catalog cannot be written",
             why ? strerror(-error) : catalog_why(store->catalog));
    store->ops.failed(store->ops.context, text);
}

static int commit_with_reserve(struct store *store, struct harvest *harvest, uint64_t first)
{
    int error = commit_catalog(store, harvest, first);

    if (error != -ENOSPC || !reserve_spend(store))
        return error;
    error = commit_catalog(store, harvest, first);
    reserve_spent(store);
    return error;
}

static int commit_state(struct store *store, const struct catalog_state *state)
{
    int error = catalog_begin(store->catalog);

    if (error)
        return error;
    error = catalog_put_state(store->catalog, state);
    if (!error)
        return catalog_commit(store->catalog);
    catalog_rollback(store->catalog);
    return error;
}

void checkpoint_note_synced(struct store *store)
{
    struct catalog_state state = store->state;
    int error;

    state.journal_synced = wal_synced(store->wal);
    if (state.journal_synced <= store->state.journal_synced)
        return;
    error = commit_state(store, &state);
    if (error == -ENOSPC && reserve_spend(store)) {
        error = commit_state(store, &state);
        reserve_spent(store);
    }
    if (error)
        commit_failed(store, error, NULL);
    else
        store->state = state;
}

static void run_commit(struct task *task)
{
    struct store *store = (struct store *)(void *)((char *)task - offsetof(struct store, commit_task));
    struct harvest harvest;
    uint64_t era, committed;
    int error;

    pthread_mutex_lock(&store->lock);
    era = store->checkpoint.era;
    committed = store->checkpoint.begun;
    store->checkpoint.waits = !is_all_durable(store);
    /* Nothing else may give room to what this waits for. */
    wal_overdraw(store->wal, store->checkpoint.waits);
    if (store->checkpoint.waits) {
        pthread_mutex_unlock(&store->lock);
        return;
    }
    take_harvest(store, &harvest);
    pthread_mutex_unlock(&store->lock);
    error = commit_with_reserve(store, &harvest, era + 1);
    pthread_mutex_lock(&store->lock);
    if (error) {
        give_back_harvest(store, &harvest);
        store->checkpoint.retry_at = clock_ns() + RETRY_NS;
        store->checkpoint.waits = true;
    } else {
        store->checkpoint.is_on = false;
        store->counters.checkpoints++;
    }
    pthread_mutex_unlock(&store->lock);
    if (error) {
        commit_failed(store, error, harvest.why);
        return;
    }
    failpoint("checkpoint_after_commit");
    tidy(store, true, committed);
    tidy(store, false, committed);
    free_harvest(&harvest);
    failpoint("journal_before_release");
    wal_release(store->wal, era);
    failpoint("journal_after_release");
    segments_sync(store->spill);
}

/* Half of the files, so that the rest has room for what comes while this goes on. */
static bool is_due(const struct store *store)
{
    uint32_t count = (uint32_t)(store->settings.journal_window / store->settings.journal_file_size);

    if (wal_files_in_use(store->wal) * 2 >= count && wal_file(store->wal) > 1)
        return true;
    return clock_ns() >= store->checkpoint.tidy_at && (is_wasteful(store, true) || is_wasteful(store, false));
}

/* True: there is no vhost to wait for, only what the node itself has written. */
static bool begin(struct store *store)
{
    struct vhost_journal *journal;

    store->checkpoint.is_on = true;
    store->checkpoint.tidy_at = clock_ns() + TIDY_EVERY_NS;
    store->checkpoint.begun++;
    store->checkpoint.era = wal_file(store->wal) - 1;
    store->checkpoint.pending = 0;
    for (journal = store->journals; journal; journal = journal->next) {
        if (!journal->is_shared)
            continue;
        store->checkpoint.pending++;
        atomic_store(&journal->checkpoint_wanted, true);
    }
    for (journal = store->journals; journal; journal = journal->next)
        vhost_journal_post(journal);
    return !store->checkpoint.pending;
}

void checkpoint_consider(struct store *store)
{
    bool commit = false;

    pthread_mutex_lock(&store->lock);
    if (store->checkpoint.is_on) {
        commit = store->checkpoint.waits && clock_ns() >= store->checkpoint.retry_at && is_all_durable(store);
        if (commit)
            store->checkpoint.waits = false;
    } else if (is_due(store)) {
        commit = begin(store);
    }
    pthread_mutex_unlock(&store->lock);
    if (commit)
        submit_commit(store);
}
