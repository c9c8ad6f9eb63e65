/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start: what the catalog has is put back, then what the journal says since. Every record may be about
 * something that the catalog has already, or has not any more: see restore.h.
 *
 * Topology that is replayed goes to the catalog with the next checkpoint, like what is written later.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/log.h"
#include "coney/restore.h"
#include "coney/xalloc.h"
#include "failpoint.h"
#include "record.h"
#include "store_fields.h"

/* Numbers that no record has taken, in 64s, and that recovery takes memory for: 128 MiB of it at most. Only
 * what was never journalled leaves numbers out, while a message before it waits, and then a few. */
#define ROOM (UINT64_C(1) << 24)

/* What takes a good part of a millisecond to be gathered and written; a sync that is much longer than what
 * another thread costs. */
#define SYNC_APART   (UINT64_C(512) << 10)
#define LONG_SYNC_NS UINT64_C(1000000)

struct known_queue {
    UT_hash_handle hh;
    struct {
        uint64_t id;
        uint64_t vhost;
    } key;
    struct queue *queue;
};

struct recovery {
    struct store *store;
    struct store_opened *opened;
    struct known_queue *queues;
    struct vhost_journal *last; /* looked up last */
    struct logged record;       /* of the journal: the last one */
    struct message *message;    /* of the last enqueue, a reference; NULL: none */
    bool takes_first;           /* see take_entry() */
    uint64_t room;              /* of ROOM that is left */
    char *why;                  /* STORE_WHY_SIZE */
};

static bool refuse(struct recovery *recovery, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(struct recovery *recovery, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(recovery->why, STORE_WHY_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- directories ---- */

static struct vhost_journal *find_journal(struct recovery *recovery, uint32_t id)
{
    struct vhost_journal *journal = recovery->last;

    if (journal && journal->id == id)
        return journal;
    for (journal = recovery->store->journals; journal && journal->id != id; journal = journal->next)
        continue;
    recovery->last = journal;
    return journal;
}

static struct known_queue *find_queue(struct recovery *recovery, uint32_t vhost, uint64_t id)
{
    struct known_queue *known, sought = {0};

    sought.key.id = id;
    sought.key.vhost = vhost;
    HASH_FIND(hh, recovery->queues, &sought.key, sizeof sought.key, known);
    return known;
}

static void add_queue(struct recovery *recovery, uint32_t vhost, uint64_t id, struct queue *queue)
{
    struct known_queue *known = find_queue(recovery, vhost, id);

    if (known)
        return;
    known = xcalloc(1, sizeof *known);
    known->key.id = id;
    known->key.vhost = vhost;
    known->queue = queue;
    HASH_ADD(hh, recovery->queues, key, sizeof known->key, known);
}

static void forget_queue(struct recovery *recovery, struct known_queue *known)
{
    HASH_DEL(recovery->queues, known);
    free(known);
}

static void remove_queue(struct recovery *recovery, struct known_queue *known)
{
    restore_queue_deletion(known->queue);
    forget_queue(recovery, known);
}

/* A queue NAME with a lower id than ID, of whose deletion nothing was written, goes when ID is restored. */
static void forget_namesake(struct recovery *recovery, const struct vhost_journal *journal, struct bytes name,
                            uint64_t id)
{
    uint64_t there = restore_queue_id(journal->vhost, name);
    struct known_queue *known = there < id ? find_queue(recovery, journal->id, there) : NULL;

    if (known)
        forget_queue(recovery, known);
}

static void note_lsn(struct vhost_journal *journal, uint64_t lsn)
{
    journal->restoring_lsn = lsn;
    if (lsn > journal->lsn)
        journal->lsn = lsn;
}

static bool make_vhost(struct recovery *recovery, uint32_t id, struct bytes name, uint64_t lsn)
{
    struct store *store = recovery->store;
    struct vhost_journal *journal = find_journal(recovery, id);

    if (!journal && (id == 0 || id == UINT32_MAX))
        return refuse(recovery, "vhost '%.*s' has the number %u, which cannot be", BYTES_ARG(name), id);
    if (!journal) {
        journal = vhost_journal_new(store, id, name);
        journal->vhost = store->ops.make_vhost(store->ops.context, name, &journal->journal, &journal->owner);
        if (!journal->vhost)
            return refuse(recovery, "vhost '%.*s' cannot be made", BYTES_ARG(name));
        journal->next = store->journals;
        store->journals = journal;
        if (id > store->last_id)
            store->last_id = id;
        recovery->opened->vhosts++;
    }
    note_lsn(journal, lsn);
    return true;
}

/* ---- the catalog ---- */

static bool take_state(void *context, const struct catalog_state *state)
{
    struct recovery *recovery = context;

    recovery->store->state = *state;
    return true;
}

static bool take_vhost(void *context, const struct catalog_vhost *vhost)
{
    return make_vhost(context, vhost->id, vhost->name, vhost->lsn);
}

/* Users and vhosts' settings come first: what else there is speaks of them. */
static bool take_entry(void *context, const struct catalog_entry *entry)
{
    struct recovery *recovery = context;
    struct store *store = recovery->store;
    bool first = bytes_equal_string(entry->section, "users") || bytes_equal_string(entry->section, "vhosts");

    if (first != recovery->takes_first)
        return true;
    return store->ops.entry(store->ops.context, entry->section, entry->vhost, entry->name, entry->json,
                            recovery->why);
}

static bool take_exchange(void *context, const struct catalog_exchange *row)
{
    struct recovery *recovery = context;
    struct vhost_journal *journal = find_journal(recovery, row->vhost);
    struct reply_error error;

    if (!journal)
        return true;
    note_lsn(journal, row->lsn);
    if (!restore_exchange(journal->vhost,
                          &(struct exchange_spec){.name = row->name,
                                                  .type = row->type,
                                                  .durable = true,
                                                  .auto_delete = row->auto_delete,
                                                  .internal = row->internal,
                                                  .arguments = row->arguments},
                          row->lsn, &error))
        return refuse(recovery, "exchange '%.*s' of the catalog: %s", BYTES_ARG(row->name), error.text);
    recovery->opened->exchanges++;
    return true;
}

static bool take_queue(void *context, const struct catalog_queue *row)
{
    struct recovery *recovery = context;
    struct vhost_journal *journal = find_journal(recovery, row->vhost);
    struct reply_error error;
    struct queue *queue;

    if (!journal)
        return true;
    note_lsn(journal, row->id);
    forget_namesake(recovery, journal, row->name, row->id);
    queue = restore_queue(
        journal->vhost,
        &(struct queue_spec){
            .name = row->name, .durable = true, .auto_delete = row->auto_delete, .arguments = row->arguments},
        row->id, &error);
    if (!queue)
        return refuse(recovery, "queue '%.*s' of the catalog: %s", BYTES_ARG(row->name),
                      error.code ? error.text : "there are two");
    if (!restore_state(queue, row->state))
        return refuse(recovery, "queue '%.*s' of the catalog: its state does not fit", BYTES_ARG(row->name));
    add_queue(recovery, row->vhost, row->id, queue);
    return true;
}

static bool take_binding(void *context, const struct catalog_binding *row)
{
    struct recovery *recovery = context;
    struct vhost_journal *journal = find_journal(recovery, row->vhost);

    if (!journal)
        return true;
    note_lsn(journal, row->lsn);
    restore_binding(journal->vhost,
                    &(struct binding_spec){.source = row->source,
                                           .destination = row->destination,
                                           .routing_key = row->routing_key,
                                           .to_exchange = row->to_exchange,
                                           .arguments = row->arguments},
                    row->lsn);
    recovery->opened->bindings++;
    return true;
}

/* The live bits and returns of a row (checkpoint.c, put_live()), in host order. */
static bool unpack_run(const struct catalog_run *row, struct restored_run *run, uint64_t *words,
                       struct run_return *returns)
{
    const uint8_t *p = row->live.data;
    uint32_t count = run_words(row->span);

    if (row->span > RUN_SPAN_MAX || row->live.size < 16)
        return false;
    run->messages = get_le32(p);
    run->return_count = get_le32(p + 4);
    run->body_bytes = get_le64(p + 8);
    if (run->return_count > row->span || run->messages > RUN_MESSAGES_MAX || !run->messages ||
        row->live.size != 16 + count * sizeof(uint64_t) + run->return_count * sizeof(struct run_return))
        return false;
    p += 16;
    for (uint32_t i = 0; i < count; i++, p += 8)
        words[i] = get_le64(p);
    for (uint32_t i = 0; i < run->return_count; i++, p += 8)
        returns[i] = (struct run_return){get_le32(p), get_le32(p + 4)};
    run->live = words;
    run->returns = returns;
    return true;
}

static bool take_run(void *context, const struct catalog_run *row)
{
    struct recovery *recovery = context;
    struct known_queue *known = find_queue(recovery, row->vhost, row->queue);
    struct restored_run run = {.level = row->level,
                               .first = row->first,
                               .span = row->span,
                               .next_deadline = (int64_t)row->next_deadline,
                               .place = row->place};
    uint64_t words[RUN_SPAN_MAX / 64];
    struct run_return returns[RUN_SPAN_MAX];

    if (!known)
        return true;
    if (!unpack_run(row, &run, words, returns) || !restore_run(known->queue, &run))
        return refuse(recovery, "the catalog's run %llu of queue %llu does not fit",
                      (unsigned long long)row->first, (unsigned long long)row->queue);
    ledger_add(recovery->store, true, row->place.file, (int64_t)row->place.size, row->place.size);
    recovery->opened->runs++;
    return true;
}

/* ---- the journal ---- */

static bool refuse_number(struct recovery *recovery, const struct logged *record, uint64_t number)
{
    return refuse(recovery, "record %llu of vhost %u has a number that cannot be: %llu",
                  (unsigned long long)record->lsn, record->vhost, (unsigned long long)number);
}

/* The journal's checksums say what was written, not that it was coney's to write. */
static bool check_numbers(struct recovery *recovery, const struct logged *record)
{
    const uint64_t numbers[] = {record->lsn, record->queue, record->number, record->below};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] >= RESTORE_NUMBERS)
            return refuse_number(recovery, record, numbers[i]);
    return true;
}

static bool replay_enqueue(struct recovery *recovery, const struct logged *record)
{
    struct known_queue *known = find_queue(recovery, record->vhost, record->queue);
    struct journal_position position = {record->level, record->number};

    if (record->kind == JOURNAL_ENQUEUE) {
        if (recovery->message)
            message_unref(recovery->message);
        recovery->message = record_get_message(record->message.data, record->message.size);
    }
    if (!recovery->message)
        return refuse(recovery, "record %llu of vhost %u has no message", (unsigned long long)record->lsn,
                      record->vhost);
    if (!known)
        return true;
    if (!restore_reaches(known->queue, position, &recovery->room))
        return refuse_number(recovery, record, record->number);
    restore_message(known->queue, position, message_ref(recovery->message), record->deadline);
    return true;
}

static bool replay_message(struct recovery *recovery, const struct logged *record)
{
    struct known_queue *known = find_queue(recovery, record->vhost, record->queue);
    struct journal_position position = {record->level, record->number};

    if (!known)
        return true;
    switch (record->kind) {
    case JOURNAL_SETTLE:
        restore_settlement(known->queue, position);
        break;
    case JOURNAL_REDELIVERY:
        restore_redelivery(known->queue, position, record->delivery_count);
        break;
    case JOURNAL_PURGE:
        restore_purge(known->queue, position, record->below);
        position.number = record->below;
        if (!restore_reaches(known->queue, position, &recovery->room))
            return refuse_number(recovery, record, record->below);
        break;
    case JOURNAL_DELIVERED:
        restore_delivered(known->queue, position);
        break;
    case JOURNAL_DELETE_QUEUE:
        remove_queue(recovery, known);
        break;
    }
    return true;
}

static bool replay_declaration(struct recovery *recovery, struct vhost_journal *journal,
                               const struct logged *record)
{
    struct exchange_spec exchange = {.name = record->names[0],
                                     .type = record->names[1],
                                     .durable = true,
                                     .auto_delete = record->flags & LOGGED_AUTO_DELETE,
                                     .internal = record->flags & LOGGED_INTERNAL,
                                     .arguments = record->names[2]};
    struct queue_spec spec = {.name = record->names[0],
                              .durable = true,
                              .auto_delete = record->flags & LOGGED_AUTO_DELETE,
                              .arguments = record->names[1]};
    struct reply_error error = {0};
    struct queue *queue;

    if (record->kind == JOURNAL_DECLARE_EXCHANGE)
        return restore_exchange(journal->vhost, &exchange, record->lsn, &error) ||
               refuse(recovery, "exchange '%.*s' of the journal: %s", BYTES_ARG(exchange.name), error.text);
    forget_namesake(recovery, journal, spec.name, record->lsn);
    queue = restore_queue(journal->vhost, &spec, record->lsn, &error);
    if (queue)
        add_queue(recovery, record->vhost, record->lsn, queue);
    return queue || !error.code ||
           refuse(recovery, "queue '%.*s' of the journal: %s", BYTES_ARG(spec.name), error.text);
}

static bool replay_topology(struct recovery *recovery, struct vhost_journal *journal,
                            const struct logged *record)
{
    struct binding_spec binding = {.source = record->names[0],
                                   .destination = record->names[1],
                                   .routing_key = record->names[2],
                                   .arguments = record->names[3],
                                   .to_exchange = record->flags & LOGGED_TO_EXCHANGE};

    switch (record->kind) {
    case JOURNAL_DECLARE_EXCHANGE:
    case JOURNAL_DECLARE_QUEUE:
        return replay_declaration(recovery, journal, record);
    case JOURNAL_DELETE_EXCHANGE:
        restore_exchange_deletion(journal->vhost, record->names[0], record->lsn);
        break;
    case JOURNAL_BIND:
        restore_binding(journal->vhost, &binding, record->lsn);
        break;
    case JOURNAL_UNBIND:
        restore_unbinding(journal->vhost, &binding, record->lsn);
        break;
    }
    return true;
}

static bool replay_node(struct recovery *recovery, const struct logged *record)
{
    struct store *store = recovery->store;

    if (record->kind == LOGGED_VHOST)
        return make_vhost(recovery, record->vhost, record->names[0], 0);
    return store->ops.entry(store->ops.context, record->names[0], record->names[1], record->names[2],
                            record->names[3], recovery->why);
}

static bool replay_record(struct recovery *recovery, uint64_t file, const struct logged *record)
{
    struct vhost_journal *journal;

    if (!check_numbers(recovery, record))
        return false;
    if (record->kind >= LOGGED_VHOST)
        return replay_node(recovery, record);
    journal = find_journal(recovery, record->vhost);
    if (!journal)
        return true;
    note_lsn(journal, record->lsn);
    journal->journal.era = (uint32_t)file;
    if (record->kind == JOURNAL_ENQUEUE || record->kind == LOGGED_AGAIN)
        return replay_enqueue(recovery, record);
    if (record->kind == JOURNAL_DELETE_QUEUE || !logged_is_topology(record->kind))
        return replay_message(recovery, record);
    return replay_topology(recovery, journal, record);
}

static bool replay(void *context, uint64_t file, const uint8_t *octets, size_t size, char why[WAL_WHY_SIZE])
{
    struct recovery *recovery = context;
    struct logged *record = &recovery->record;

    failpoint("recovery_in_replay");
    if (!logged_decode(record, octets, size)) {
        snprintf(why, WAL_WHY_SIZE, "a record of %zu octets is none", size);
        return false;
    }
    if (logged_is_topology(record->kind))
        pending_add(recovery->store, octets, size, NULL, 0);
    do {
        if (!replay_record(recovery, file, record)) {
            snprintf(why, WAL_WHY_SIZE, "%.500s", recovery->why);
            return false;
        }
    } while (logged_next(record));
    return true;
}

/* ---- all of it ---- */

static bool is_needed(void *context, uint32_t file)
{
    struct store *store = context;
    struct ledger_file *entry;

    HASH_FIND(hh, store->ledgers[true], &file, sizeof file, entry);
    return entry;
}

static void forget(struct recovery *recovery)
{
    struct known_queue *known = recovery->queues;

    HASH_CLEAR(hh, recovery->queues);
    while (known) {
        struct known_queue *next = known->hh.next;

        free(known);
        known = next;
    }
    if (recovery->message)
        message_unref(recovery->message);
}

static void finish(struct recovery *recovery)
{
    struct store *store = recovery->store;
    struct vhost_journal *journal;

    for (journal = store->journals; journal; journal = journal->next) {
        struct vhost_info info;

        restore_end(journal->vhost);
        vhost_info(journal->vhost, &info);
        recovery->opened->queues += info.queues;
        recovery->opened->messages += info.ready;
        atomic_store(&journal->durable, journal->lsn);
        journal->journal.era = (uint32_t)wal_file(store->wal);
        journal->is_restoring = false;
    }
}

static int read_catalog(struct recovery *recovery)
{
    struct catalog_reader node = {
        .context = recovery, .state = take_state, .vhost = take_vhost, .entry = take_entry};
    struct catalog_reader things = {.context = recovery,
                                    .exchange = take_exchange,
                                    .queue = take_queue,
                                    .binding = take_binding,
                                    .run = take_run};
    struct catalog_reader rest = {.context = recovery, .entry = take_entry};
    int error;

    recovery->takes_first = true;
    error = catalog_read(recovery->store->catalog, &node);
    recovery->takes_first = false;
    if (!error)
        error = catalog_read(recovery->store->catalog, &rest);
    return error ? error : catalog_read(recovery->store->catalog, &things);
}

enum store_result recover(struct store *store, struct store_opened *opened, char why[STORE_WHY_SIZE])
{
    struct recovery recovery = {.store = store, .opened = opened, .room = ROOM, .why = why};
    struct wal_settings settings = {
        .file_size = store->settings.journal_file_size,
        .file_count = (uint32_t)(store->settings.journal_window / store->settings.journal_file_size),
        .sync_every_ms = store->settings.sync_every_ms,
        .sync_apart = store->settings.sync_apart ? store->settings.sync_apart : SYNC_APART,
        .long_sync_ns = store->settings.sync_apart ? 0 : LONG_SYNC_NS};
    struct wal_replay journal = {.each = replay, .context = &recovery};
    char folder[STORE_PATH_SIZE], reason[WAL_WHY_SIZE];
    int error = read_catalog(&recovery);

    if (error && error != -ECANCELED)
        refuse(&recovery, "the catalog: %s", catalog_why(store->catalog));
    if (error) {
        forget(&recovery);
        return error == -EBADMSG || error == -ECANCELED ? STORE_DAMAGED : STORE_UNREADABLE;
    }
    if (!opened->is_new) /* where nothing is recovered, nothing can go wrong with that */
        failpoint("recovery_after_catalog");
    store_path(store, "journal", folder);
    settings.folder = folder;
    settings.epoch = store->state.epoch;
    journal.first = store->state.journal_first;
    journal.synced = store->state.journal_synced;
    store->wal = wal_open(store->sys, &settings, &journal, store_written, store, reason);
    if (!store->wal) {
        forget(&recovery);
        refuse(&recovery, "%s", reason);
        return journal.error == -EBADMSG ? STORE_DAMAGED : STORE_UNREADABLE;
    }
    opened->records = journal.records;
    opened->octets = journal.octets;
    opened->cut = journal.cut;
    atomic_store(&store->file, wal_file(store->wal));
    finish(&recovery);
    forget(&recovery);
    if (!opened->is_new)
        failpoint("recovery_before_sweep");
    segments_sweep(store->kept, is_needed, store);
    return STORE_OPENED;
}
