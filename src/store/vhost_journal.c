/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h for a vhost of a node that keeps things: records go to the journal's files in chunks, one push
 * for each run of the vhost, so that what one run wrote is in one batch; saves, fetches and looks go to the
 * threads and come back as answers.
 */
#define LOG_CATEGORY LOG_CATEGORY_STORAGE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coney/clock.h"
#include "coney/log.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "failpoint.h"
#include "store_fields.h"

#define SPARE_CHUNKS        8
#define ANSWERS_MAX         4 /* taken in one run of the vhost */
#define SAVE_RETRY_NS       UINT64_C(200000000)
#define DESCRIPTOR_RETRY_MS 200
/* Octets that wait to be written at which publishers are held: enough for the disk to work on, and a part of
 * what messages may hold in memory, since those that wait here hold some too. */
#define BACKLOG_MAX (UINT64_C(32) << 20)
#define BACKLOG_MIN (UINT64_C(2) << 20)

static uint64_t backlog_high(const struct store *store)
{
    uint64_t part = store->settings.memory_window / 8;

    return part > BACKLOG_MAX ? BACKLOG_MAX : part < BACKLOG_MIN ? BACKLOG_MIN : part;
}

/* ... and at which they go on. */
static uint64_t backlog_low(const struct store *store)
{
    return backlog_high(store) / 2;
}

/* ---- appending ---- */

static struct wal_chunk *chunk_with_room(struct vhost_journal *journal)
{
    struct wal_chunk *chunk = journal->last;

    if (chunk && chunk->count < WAL_CHUNK_ITEMS)
        return chunk;
    chunk = journal->spare;
    if (chunk) {
        journal->spare = chunk->next;
        journal->spares--;
    } else {
        chunk = xmalloc(sizeof *chunk);
    }
    chunk->next = NULL;
    chunk->context = journal;
    chunk->count = 0;
    chunk->relaxed = true;
    if (journal->last)
        journal->last->next = chunk;
    else
        journal->first = chunk;
    journal->last = chunk;
    return chunk;
}

static uint64_t vhost_append(struct journal *base, const struct journal_record *record)
{
    struct vhost_journal *journal = journal_of(base);
    struct wal_chunk *chunk = journal->last;
    const struct logged_enqueue *after = NULL;

    if (journal->is_restoring)
        return journal->restoring_lsn;
    journal->lsn++;
    if (record->kind == JOURNAL_ENQUEUE && record->message == journal->last_message)
        after = &journal->last_enqueue;
    if (!chunk || !logged_extend(&chunk->items[chunk->count - 1], record, after)) {
        chunk = chunk_with_room(journal);
        logged_encode(wal_chunk_add(chunk), record, journal->id, journal->lsn, after);
    }
    chunk->lsn = journal->lsn;
    chunk->relaxed &= record->relaxed;
    if (record->kind == JOURNAL_ENQUEUE) {
        journal->last_message = record->message;
        journal->last_enqueue.queue = record->queue;
        journal->last_enqueue.number = record->position.number;
    }
    return chunk->lsn;
}

/* All that a run of the vhost wrote is in one batch, and groups are within a run. */
static void vhost_group(struct journal *base)
{
    (void)base;
}

static void share_window(struct vhost_journal *journal, uint64_t used)
{
    struct store *store = journal->store;
    uint64_t others, window = store->settings.memory_window;

    others =
        atomic_fetch_add_explicit(&store->used, used - journal->used, memory_order_relaxed) - journal->used;
    journal->used = used;
    journal->journal.memory_limit = others < window ? window - others : 0;
}

static void vhost_flush_journal(struct journal *base, uint64_t used)
{
    struct vhost_journal *journal = journal_of(base);
    struct store *store = journal->store;

    base->era = (uint32_t)atomic_load_explicit(&store->file, memory_order_relaxed);
    if (used != journal->used)
        share_window(journal, used);
    if (base->dead[0] || base->dead[1])
        checkpoint_tell_dead(journal);
    if (!journal->first)
        return;
    if (wal_push(store->wal, journal->first, journal->last))
        atomic_store(&store->wake, true);
    journal->first = journal->last = NULL;
    journal->last_message = NULL;
    if (wal_backlog(store->wal) > backlog_high(store) && !base->is_behind) {
        base->is_behind = true;
        atomic_store(&journal->wants_relief, true);
    }
}

static uint64_t vhost_durable(const struct journal *base)
{
    return atomic_load_explicit(&((const struct vhost_journal *)(const void *)base)->durable,
                                memory_order_acquire);
}

/* ---- tasks ---- */

static void answer(struct request *request)
{
    struct vhost_journal *journal = request->journal;
    struct request *head = atomic_load_explicit(&journal->answers, memory_order_relaxed);

    do
        request->next = head;
    while (!atomic_compare_exchange_weak(&journal->answers, &head, request));
    vhost_journal_post(journal);
}

/* Without a descriptor nothing can be read or written, but nothing is wrong with what was to be: wait for
 * one. False: that was not what ERROR is, or there is no time to wait. */
static bool waits_for_descriptor(struct worker *worker, int error)
{
    if (!sys_lacks_descriptors(error))
        return false;
    log_warning("messages wait for descriptors: %s", strerror(-error));
    return worker_pause(worker, DESCRIPTOR_RETRY_MS);
}

static void run_save(struct request *request)
{
    struct journal_save *save = request->save;
    struct store *store = request->journal->store;
    struct segments *segments = save->lasts ? store->kept : store->spill;
    struct run_head head = {.vhost = request->journal->id, .queue = save->queue_id, .level = save->level};
    int error = failpoint("save_before_write");

    if (!error)
        do
            error = segments_write(segments, &head, save->messages, save->count, &save->place);
        while (waits_for_descriptor(&store->worker, error));
    if (!error)
        error = failpoint("save_after_write");

    save->failed = error != 0;
    if (error)
        save->place = (struct run_place){0};
    if (error == -ENOSPC)
        store_set_full(store, true);
    else if (error)
        log_error("a run of messages cannot be written: %s", strerror(-error));
    pthread_mutex_lock(&store->lock);
    if (!error) {
        ledger_add(store, save->lasts, save->place.file, (int64_t)save->place.size, save->place.size);
        store->counters.saved_runs++;
        store->counters.saved_octets += save->place.size;
    }
    pthread_mutex_unlock(&store->lock);
}

static void run_fetch(struct request *request)
{
    struct journal_fetch *fetch = request->fetch;
    struct store *store = request->journal->store;
    char why[SEGMENT_WHY_SIZE];
    int error;

    do
        error = segments_read(request->lasts ? store->kept : store->spill, &request->head, &request->place,
                              fetch->wanted, fetch->messages, fetch->room, &fetch->count, why);
    while (waits_for_descriptor(&store->reader, error));
    fetch->failed = error != 0;
    if (error)
        request->why = xmemdup(why, strlen(why) + 1);
    pthread_mutex_lock(&store->lock);
    store->counters.fetched_runs++;
    pthread_mutex_unlock(&store->lock);
}

static void run_look(struct request *request)
{
    struct journal_look *look = request->look;
    struct store *store = request->journal->store;
    char why[SEGMENT_WHY_SIZE];
    int error;

    do
        error =
            segments_read_due(request->lasts ? store->kept : store->spill, &request->head, &request->place,
                              look->from, look->due, JOURNAL_LOOK_MAX, &look->count, why);
    while (waits_for_descriptor(&store->reader, error));
    look->failed = error != 0;
    if (error)
        request->why = xmemdup(why, strlen(why) + 1);
}

static void run_move(struct request *request)
{
    struct move *move = request->move;
    struct store *store = request->journal->store;
    struct segments *segments = request->lasts ? store->kept : store->spill;
    struct run_message *messages = xmalloc(RUN_MESSAGES_MAX * sizeof *messages);
    char why[SEGMENT_WHY_SIZE];
    int error = segments_read(segments, &request->head, &request->place, move->live, messages,
                              RUN_MESSAGES_MAX, &move->messages, why);

    if (!error) {
        if (move->messages)
            error = segments_write(segments, &request->head, messages, move->messages, &move->place);
        else
            error = -EBADMSG;
        run_messages_unref(messages, move->messages);
    }
    if (!error)
        error = failpoint("move_after_write");
    move->failed = error != 0;
    if (error == -ENOSPC)
        store_set_full(store, true);
    pthread_mutex_lock(&store->lock);
    if (!error) {
        ledger_add(store, request->lasts, move->place.file, (int64_t)move->place.size, move->place.size);
        store->counters.moved_runs++;
    }
    pthread_mutex_unlock(&store->lock);
    free(messages);
}

static void run_request(struct task *task)
{
    struct request *request = (struct request *)(void *)task;

    switch (request->kind) {
    case REQUEST_SAVE:
        run_save(request);
        break;
    case REQUEST_FETCH:
        run_fetch(request);
        break;
    case REQUEST_LOOK:
        run_look(request);
        break;
    case REQUEST_MOVE:
        run_move(request);
        break;
    }
    pool_flush();
    answer(request);
}

static void request_submit(struct vhost_journal *journal, struct worker *worker, struct request *request)
{
    request->journal = journal;
    request->task.run = run_request;
    worker_submit(worker, &request->task);
}

static struct request *request_about(const struct run *run, struct vhost_journal *journal, unsigned kind)
{
    struct request *request = xcalloc(1, sizeof *request);

    request->kind = kind;
    request->head = (struct run_head){.vhost = journal->id,
                                      .queue = run->queue_id,
                                      .level = run->level,
                                      .first = run->first,
                                      .span = run->span};
    request->place = run->place;
    request->lasts = run->flags & RUN_LASTS;
    return request;
}

static void vhost_save(struct journal *base, struct journal_save *save)
{
    struct request *request = xcalloc(1, sizeof *request);

    request->kind = REQUEST_SAVE;
    request->save = save;
    request_submit(journal_of(base), &journal_of(base)->store->worker, request);
}

static void vhost_fetch(struct journal *base, struct journal_fetch *fetch)
{
    struct request *request = request_about(fetch->run, journal_of(base), REQUEST_FETCH);

    request->fetch = fetch;
    request_submit(journal_of(base), &journal_of(base)->store->reader, request);
}

static void vhost_look(struct journal *base, struct journal_look *look)
{
    struct request *request = request_about(look->run, journal_of(base), REQUEST_LOOK);

    request->look = look;
    request_submit(journal_of(base), &journal_of(base)->store->reader, request);
}

/* Have RUN, which is RUN_MOVING, written again elsewhere. */
static void move_run(void *context, struct run *run)
{
    struct vhost_journal *journal = context;
    struct request *request = request_about(run, journal, REQUEST_MOVE);
    size_t size = run_words(run->span) * sizeof(uint64_t);

    request->move = xcalloc(1, sizeof *request->move);
    request->move->run = run;
    request->move->live = memcpy(xmalloc(size), run_live(run), size);
    request_submit(journal, &journal->store->worker, request);
}

/* ---- answers ---- */

static void moved(struct vhost_journal *journal, struct vhost *vhost, struct request *request)
{
    struct store *store = journal->store;
    struct move *move = request->move;
    uint64_t counted = move->run->counted ? move->run->counted : request->place.size;
    bool dropped = move->run->flags & RUN_DROPPED;

    /* Where it was is given up, but for a run that was dropped, which has been counted out by that. */
    pthread_mutex_lock(&store->lock);
    if (!move->failed && !dropped)
        ledger_add(store, request->lasts, request->place.file, -(int64_t)counted, 0);
    if (!move->failed && dropped)
        ledger_add(store, request->lasts, move->place.file, -(int64_t)move->place.size, 0);
    pthread_mutex_unlock(&store->lock);
    if (!move->failed && !dropped)
        move->run->counted = move->place.size;
    run_moved(vhost, move->run, move->failed ? NULL : &move->place, move->messages);
    free(move->live);
    free(move);
}

/* RUN could not be read where it was when REQUEST was made. That is of no account if it has been dropped
 * since, or written again elsewhere: then the core asks again. */
static void tell_unreadable(const struct request *request, const struct run *run)
{
    struct store *store = request->journal->store;

    if (run->flags & RUN_DROPPED || !run_place_equal(&request->place, &run->place))
        return;
    log_of(LOG_CATEGORY_QUEUE, LOG_LEVEL_ERROR, "messages cannot be read, their queue is out of service: %s",
           request->why);
    pthread_mutex_lock(&store->lock);
    store->counters.unreadable_runs++;
    pthread_mutex_unlock(&store->lock);
}

static void take_answer(struct vhost_journal *journal, struct vhost *vhost, struct request *request)
{
    switch (request->kind) {
    case REQUEST_SAVE:
        if (request->save->failed)
            journal->save_after = clock_ns() + SAVE_RETRY_NS;
        queue_saved(vhost, request->save);
        break;
    case REQUEST_FETCH:
        if (request->why)
            tell_unreadable(request, request->fetch->run);
        queue_fetched(vhost, request->fetch);
        break;
    case REQUEST_LOOK:
        if (request->why)
            tell_unreadable(request, request->look->run);
        queue_looked(vhost, request->look);
        break;
    case REQUEST_MOVE:
        moved(journal, vhost, request);
        break;
    }
    free(request->why);
    free(request);
}

/* What has come, oldest first: saves of a level must be answered in their order. */
static void gather_answers(struct vhost_journal *journal)
{
    struct request *newest = atomic_exchange(&journal->answers, NULL), *oldest = NULL;
    struct request **end = newest ? &newest->next : journal->waiting_end;

    while (newest) {
        struct request *request = newest;

        newest = request->next;
        request->next = oldest;
        oldest = request;
    }
    *journal->waiting_end = oldest;
    journal->waiting_end = end;
}

/* A few at a time, as each may be about thousands of messages, and others want the vhost too. */
static void take_answers(struct vhost_journal *journal, struct vhost *vhost)
{
    gather_answers(journal);
    for (unsigned budget = ANSWERS_MAX; budget && journal->waiting; budget--) {
        struct request *request = journal->waiting;

        journal->waiting = request->next;
        if (!journal->waiting)
            journal->waiting_end = &journal->waiting;
        take_answer(journal, vhost, request);
    }
    if (journal->waiting)
        vhost_journal_post(journal);
}

static void chunk_free(struct vhost_journal *journal, struct wal_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->count; i++)
        if (chunk->items[i].owner)
            message_unref(chunk->items[i].owner);
    if (journal->spares == SPARE_CHUNKS) {
        free(chunk);
        return;
    }
    chunk->next = journal->spare;
    journal->spare = chunk;
    journal->spares++;
}

static void take_chunks(struct vhost_journal *journal)
{
    struct wal_chunk *chunk = atomic_exchange(&journal->returned, NULL);

    while (chunk) {
        struct wal_chunk *next = chunk->next;

        chunk_free(journal, chunk);
        chunk = next;
    }
}

void store_answer(struct journal *base, struct vhost *vhost)
{
    struct vhost_journal *journal = journal_of(base);
    const struct checkpoint_sink mover = {.run = move_run, .context = journal};

    atomic_store(&journal->posted, false);
    if (base->is_behind && wal_backlog(journal->store->wal) < backlog_low(journal->store)) {
        base->is_behind = false;
        atomic_store(&journal->wants_relief, false);
    }
    take_chunks(journal);
    take_answers(journal, vhost);
    vhost_journal_moved(vhost);
    for (unsigned i = 0; i < 2 * MOVE_FILES; i++) {
        uint32_t file = atomic_exchange(&journal->moves[i / MOVE_FILES][i % MOVE_FILES], 0);

        if (file)
            vhost_move_runs(vhost, file, i / MOVE_FILES, &mover);
    }
    checkpoint_inside(journal, vhost);
}

/* ---- the commit thread, or the sync thread ---- */

void vhost_journal_post_later(struct vhost_journal *journal, struct vhost *vhost)
{
    if (vhost_has_work(vhost))
        vhost_journal_post(journal);
}

void vhost_journal_post(struct vhost_journal *journal)
{
    if (journal->is_shared && !atomic_exchange(&journal->posted, true))
        journal->store->ops.post(journal->store->ops.context, journal->owner, &journal->journal);
}

/* What belongs to the catalog goes on its way there, in the order of the journal. */
static void take_topology(struct store *store, struct wal_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct wal_item *item = &chunk->items[i];

        if (!logged_is_topology(item->head[0]))
            continue;
        pending_add(store, item->head, item->head_size, item->first, item->first_size);
        free(item->owner);
        item->owner = NULL;
    }
}

static void node_written(struct store *store, struct wal_chunk *chunk)
{
    pthread_mutex_lock(&store->lock);
    atomic_store(&store->node.durable, chunk->lsn);
    pthread_cond_broadcast(&store->moved);
    pthread_mutex_unlock(&store->lock);
    free(chunk);
}

static void chunk_written(struct store *store, struct wal_chunk *chunk)
{
    struct vhost_journal *journal = chunk->context;
    struct wal_chunk *head = atomic_load_explicit(&journal->returned, memory_order_relaxed);

    take_topology(store, chunk);
    if (journal == &store->node) {
        node_written(store, chunk);
        return;
    }
    atomic_store_explicit(&journal->durable, chunk->lsn, memory_order_release);
    do
        chunk->next = head;
    while (!atomic_compare_exchange_weak(&journal->returned, &head, chunk));
    vhost_journal_post(journal);
}

/* Vhosts that hold publishers want to know, also when nothing of theirs was written now. */
static void relieve_all(struct store *store)
{
    struct vhost_journal *journal;

    if (wal_backlog(store->wal) >= backlog_low(store))
        return;
    pthread_mutex_lock(&store->lock);
    for (journal = store->journals; journal; journal = journal->next)
        if (atomic_load(&journal->wants_relief))
            vhost_journal_post(journal);
    pthread_mutex_unlock(&store->lock);
}

void store_written(void *context, struct wal_chunk *chunks, uint64_t file)
{
    struct store *store = context;

    while (chunks) {
        struct wal_chunk *next = chunks->next;

        chunk_written(store, chunks);
        chunks = next;
    }
    atomic_store(&store->file, file);
    if (store->has_threads && store->prepared_after != file && wal_needs_next(store->wal)) {
        store->prepared_after = file;
        store_care(store);
    }
    relieve_all(store);
    checkpoint_consider(store);
}

/* ---- making and freeing ---- */

static void vhost_free_journal(struct journal *base)
{
    struct vhost_journal *journal = journal_of(base);

    journal->is_shared = false;
    take_chunks(journal);
    while (journal->first) {
        struct wal_chunk *next = journal->first->next;

        chunk_free(journal, journal->first);
        journal->first = next;
    }
    while (journal->spare) {
        struct wal_chunk *next = journal->spare->next;

        free(journal->spare);
        journal->spare = next;
    }
}

struct vhost_journal *vhost_journal_new(struct store *store, uint32_t id, struct bytes name)
{
    static const struct journal_ops ops = {
        .append = vhost_append,
        .begin = vhost_group,
        .commit = vhost_group,
        .flush = vhost_flush_journal,
        .durable = vhost_durable,
        .save = vhost_save,
        .fetch = vhost_fetch,
        .look = vhost_look,
        .emptied = checkpoint_emptied,
        .drop = checkpoint_drop,
        .free = vhost_free_journal,
    };
    struct vhost_journal *journal = xcalloc(1, sizeof *journal);

    journal->journal.ops = &ops;
    journal->journal.memory_limit = store->settings.memory_window;
    journal->journal.era = (uint32_t)atomic_load(&store->file);
    journal->store = store;
    journal->id = id;
    journal->name = (struct bytes){xmemdup(name.data, name.size), name.size};
    journal->is_restoring = true;
    journal->dropped_end = &journal->dropped;
    journal->waiting_end = &journal->waiting;
    return journal;
}
