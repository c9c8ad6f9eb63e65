/* SPDX-License-Identifier: Apache-2.0 */
/* kept.h */
#include "kept.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/vhost_fields.h"
#include "coney/buffer.h"
#include "coney/restore.h"
#include "coney/xalloc.h"

void contradiction(const char *format, ...)
{
    va_list arguments;

    fputs("journal: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

void kept_init(struct kept *kept)
{
    *kept = (struct kept){0};
    kept->end = &kept->first;
    kept->rows_end = &kept->rows;
    kept->states_end = &kept->states;
}

/* ---- exchanges, queues, bindings ---- */

static void identify(struct buffer *out, struct bytes bytes)
{
    uint32_t size = (uint32_t)bytes.size;

    buffer_append(out, &size, sizeof size);
    buffer_append_bytes(out, bytes);
}

/* What tells a thing from others: the id of a queue, the name of an exchange, all of a binding. */
static void identity_of(struct buffer *out, enum kept_kind kind, const struct journal_record *record,
                        uint64_t id)
{
    buffer_append(out, &kind, sizeof kind);
    switch (kind) {
    case KEPT_EXCHANGE:
        identify(out, record->exchange->name);
        break;
    case KEPT_QUEUE:
        buffer_append(out, &id, sizeof id);
        break;
    case KEPT_BINDING:
        identify(out, record->binding->source);
        identify(out, record->binding->destination);
        buffer_append(out, &record->binding->to_exchange, 1);
        identify(out, record->binding->routing_key);
        identify(out, record->binding->arguments);
        break;
    }
}

static struct kept_thing *thing_find(struct kept *kept, enum kept_kind kind,
                                     const struct journal_record *record, uint64_t id)
{
    struct buffer identity = {0};
    struct kept_thing *thing;

    identity_of(&identity, kind, record, id);
    HASH_FIND(hh, kept->things, identity.data, identity.size, thing);
    buffer_free(&identity);
    return thing;
}

static struct kept_thing *queue_of(struct kept *kept, uint64_t id)
{
    struct kept_thing *thing = thing_find(kept, KEPT_QUEUE, NULL, id);

    if (!thing)
        contradiction("a record about queue %llu, which does not last", (unsigned long long)id);
    return thing;
}

static struct exchange_spec exchange_copy(const struct exchange_spec *spec)
{
    struct exchange_spec copy = *spec;

    copy.name = bytes_copy(spec->name);
    copy.type = bytes_copy(spec->type);
    copy.arguments = bytes_copy(spec->arguments);
    return copy;
}

static struct queue_spec queue_copy(const struct queue_spec *spec)
{
    struct queue_spec copy = *spec;

    copy.name = bytes_copy(spec->name);
    copy.arguments = bytes_copy(spec->arguments);
    return copy;
}

static struct binding_spec binding_copy(const struct binding_spec *spec)
{
    struct binding_spec copy = *spec;

    copy.source = bytes_copy(spec->source);
    copy.destination = bytes_copy(spec->destination);
    copy.routing_key = bytes_copy(spec->routing_key);
    copy.arguments = bytes_copy(spec->arguments);
    return copy;
}

static void exchange_clear(const struct exchange_spec *spec)
{
    bytes_free(spec->name);
    bytes_free(spec->type);
    bytes_free(spec->arguments);
}

static void queue_clear(const struct queue_spec *spec)
{
    bytes_free(spec->name);
    bytes_free(spec->arguments);
}

static void binding_clear(const struct binding_spec *spec)
{
    bytes_free(spec->source);
    bytes_free(spec->destination);
    bytes_free(spec->routing_key);
    bytes_free(spec->arguments);
}

static struct kept_thing *thing_copy(const struct kept_thing *thing)
{
    struct kept_thing *copy = xmalloc(sizeof *copy + thing->identity_size);

    memcpy(copy, thing, sizeof *copy + thing->identity_size);
    copy->live = NULL;
    switch (thing->kind) {
    case KEPT_EXCHANGE:
        copy->exchange = exchange_copy(&thing->exchange);
        break;
    case KEPT_QUEUE:
        copy->queue = queue_copy(&thing->queue);
        break;
    case KEPT_BINDING:
        copy->binding = binding_copy(&thing->binding);
        break;
    }
    return copy;
}

static void thing_free(struct kept_thing *thing)
{
    struct kept_live *live, *next;

    HASH_ITER (hh, thing->live, live, next) {
        HASH_DEL(thing->live, live);
        free(live);
    }
    switch (thing->kind) {
    case KEPT_EXCHANGE:
        exchange_clear(&thing->exchange);
        break;
    case KEPT_QUEUE:
        queue_clear(&thing->queue);
        break;
    case KEPT_BINDING:
        binding_clear(&thing->binding);
        break;
    }
    free(thing);
}

static void check_name(struct kept *kept, struct bytes name)
{
    struct kept_thing *thing, *next;

    HASH_ITER (hh, kept->things, thing, next)
        if (thing->kind == KEPT_QUEUE && bytes_equal(thing->queue.name, name))
            contradiction("queue '%.*s' declared twice", BYTES_ARG(name));
}

static void thing_add(struct kept *kept, enum kept_kind kind, const struct journal_record *record,
                      uint64_t lsn)
{
    struct buffer identity = {0};
    struct kept_thing *thing;

    if (thing_find(kept, kind, record, lsn))
        contradiction("an exchange or binding was added twice");
    identity_of(&identity, kind, record, lsn);
    thing = xcalloc(1, sizeof *thing + identity.size);
    thing->kind = kind;
    thing->lsn = lsn;
    thing->identity_size = identity.size;
    memcpy(thing->identity, identity.data, identity.size);
    buffer_free(&identity);
    switch (kind) {
    case KEPT_EXCHANGE:
        thing->exchange = exchange_copy(record->exchange);
        break;
    case KEPT_QUEUE:
        check_name(kept, record->made->name);
        thing->queue = queue_copy(record->made);
        break;
    case KEPT_BINDING:
        thing->binding = binding_copy(record->binding);
        break;
    }
    HASH_ADD_KEYPTR(hh, kept->things, thing->identity, thing->identity_size, thing);
}

static void thing_remove(struct kept *kept, enum kept_kind kind, const struct journal_record *record)
{
    struct kept_thing *thing = thing_find(kept, kind, record, record->queue);

    if (!thing)
        contradiction("an exchange, queue or binding was removed but never added");
    HASH_DEL(kept->things, thing);
    thing_free(thing);
}

/* ---- messages ---- */

static uint64_t key_of(uint8_t level, uint64_t number)
{
    return (uint64_t)level << 56 | number;
}

static struct kept_live *live_find(struct kept_thing *queue, uint8_t level, uint64_t number)
{
    uint64_t key = key_of(level, number);
    struct kept_live *live;

    HASH_FIND(hh, queue->live, &key, sizeof key, live);
    return live;
}

static void note_enqueue(struct kept_thing *queue, const struct journal_record *record)
{
    struct kept_live *live = live_find(queue, record->position.level, record->position.number);

    if (live)
        contradiction("enqueue at %u/%llu of '%.*s', which is taken", record->position.level,
                      (unsigned long long)record->position.number, BYTES_ARG(queue->queue.name));
    if (!record->message)
        contradiction("enqueue without a message");
    live = xcalloc(1, sizeof *live);
    live->key = key_of(record->position.level, record->position.number);
    HASH_ADD(hh, queue->live, key, sizeof live->key, live);
}

static void note_settle(struct kept_thing *queue, const struct journal_record *record)
{
    struct kept_live *live = live_find(queue, record->position.level, record->position.number);

    if (!live)
        contradiction("settle at %u/%llu of '%.*s', where nothing is", record->position.level,
                      (unsigned long long)record->position.number, BYTES_ARG(queue->queue.name));
    HASH_DEL(queue->live, live);
    free(live);
}

static void note_redelivery(struct kept_thing *queue, const struct journal_record *record)
{
    struct kept_live *live = live_find(queue, record->position.level, record->position.number);

    if (!live || record->delivery_count <= live->delivery_count)
        contradiction("redelivery %u at %u/%llu of '%.*s'", record->delivery_count, record->position.level,
                      (unsigned long long)record->position.number, BYTES_ARG(queue->queue.name));
    live->delivery_count = record->delivery_count;
}

static void note_purge(struct kept_thing *queue, const struct journal_record *record)
{
    struct kept_live *live, *next;

    if (record->below <= record->position.number)
        contradiction("a purge of nothing");
    HASH_ITER (hh, queue->live, live, next) {
        if (live->key < key_of(record->position.level, record->position.number) ||
            live->key >= key_of(record->position.level, record->below))
            continue;
        HASH_DEL(queue->live, live);
        free(live);
    }
}

static void log_add(struct kept *kept, const struct journal_record *record, uint64_t lsn, uint32_t era)
{
    struct kept_record *logged = xmalloc(sizeof *logged);

    *logged = (struct kept_record){.lsn = lsn, .era = era, .record = *record};
    if (record->message)
        logged->record.message = kept_copy(record->message);
    if (record->made) {
        struct queue_spec *spec = xmalloc(sizeof *spec);

        *spec = queue_copy(record->made);
        logged->record.made = spec;
    }
    if (record->exchange) {
        struct exchange_spec *spec = xmalloc(sizeof *spec);

        *spec = exchange_copy(record->exchange);
        logged->record.exchange = spec;
    }
    if (record->binding) {
        struct binding_spec *spec = xmalloc(sizeof *spec);

        *spec = binding_copy(record->binding);
        logged->record.binding = spec;
    }
    *kept->end = logged;
    kept->end = &logged->next;
}

static void log_drop_first(struct kept *kept)
{
    struct kept_record *logged = kept->first;

    kept->first = logged->next;
    if (!kept->first)
        kept->end = &kept->first;
    if (logged->record.message)
        message_unref(logged->record.message);
    if (logged->record.made)
        queue_clear(logged->record.made);
    if (logged->record.exchange)
        exchange_clear(logged->record.exchange);
    if (logged->record.binding)
        binding_clear(logged->record.binding);
    free((void *)(uintptr_t)logged->record.made);
    free((void *)(uintptr_t)logged->record.exchange);
    free((void *)(uintptr_t)logged->record.binding);
    free(logged);
}

void kept_append(struct kept *kept, const struct journal_record *record, uint64_t lsn, uint32_t era)
{
    switch (record->kind) {
    case JOURNAL_ENQUEUE:
        note_enqueue(queue_of(kept, record->queue), record);
        break;
    case JOURNAL_SETTLE:
        note_settle(queue_of(kept, record->queue), record);
        break;
    case JOURNAL_REDELIVERY:
        note_redelivery(queue_of(kept, record->queue), record);
        break;
    case JOURNAL_PURGE:
        note_purge(queue_of(kept, record->queue), record);
        break;
    case JOURNAL_DELIVERED:
        queue_of(kept, record->queue)->mark[record->position.level] = record->position.number;
        break;
    case JOURNAL_DECLARE_EXCHANGE:
        thing_add(kept, KEPT_EXCHANGE, record, lsn);
        break;
    case JOURNAL_DELETE_EXCHANGE:
        thing_remove(kept, KEPT_EXCHANGE, record);
        break;
    case JOURNAL_DECLARE_QUEUE:
        thing_add(kept, KEPT_QUEUE, record, lsn);
        break;
    case JOURNAL_DELETE_QUEUE:
        thing_remove(kept, KEPT_QUEUE, record);
        break;
    case JOURNAL_BIND:
        thing_add(kept, KEPT_BINDING, record, lsn);
        break;
    case JOURNAL_UNBIND:
        thing_remove(kept, KEPT_BINDING, record);
        break;
    }
    log_add(kept, record, lsn, era);
}

struct message *kept_copy(const struct message *message)
{
    return message_copy(message, message_exchange(message), message_routing_key(message),
                        message_more_keys(message), message_properties(message));
}

/* ---- runs ---- */

struct run_place kept_run_write(struct kept *kept, uint64_t queue, uint8_t level,
                                const struct run_message *messages, uint32_t count)
{
    struct kept_run *run = xcalloc(1, sizeof *run + count * sizeof *messages);

    run->place = (struct run_place){.file = ++kept->last_file, .size = 1000};
    run->queue = queue;
    run->level = level;
    run->is_owned = true;
    run->count = count;
    memcpy(run->messages, messages, count * sizeof *messages);
    HASH_ADD(hh, kept->runs, place.file, sizeof run->place.file, run);
    return run->place;
}

struct kept_run *kept_run_find(struct kept *kept, uint32_t file)
{
    struct kept_run *run;

    HASH_FIND(hh, kept->runs, &file, sizeof file, run);
    if (!run)
        contradiction("a run that is nowhere, or was dropped");
    return run;
}

const struct run_message *kept_message(struct kept *kept, const struct run *run, uint64_t number)
{
    const struct kept_run *found = kept_run_find(kept, run->place.file);

    for (uint32_t i = 0; i < found->count; i++)
        if (found->messages[i].number == number)
            return &found->messages[i];
    contradiction("a run without message %llu", (unsigned long long)number);
}

static void run_forget(struct kept *kept, struct kept_run *run)
{
    if (run->is_owned || run->uses)
        return;
    HASH_DEL(kept->runs, run);
    for (uint32_t i = 0; i < run->count; i++)
        message_unref(run->messages[i].message);
    free(run);
}

void kept_run_release(struct kept *kept, struct kept_run *run)
{
    run->uses--;
    run_forget(kept, run);
}

void kept_leave(struct kept *kept, uint32_t file)
{
    struct kept_run *run = kept_run_find(kept, file);

    if (!run->is_owned)
        contradiction("a run is dropped twice");
    run->is_owned = false;
    run_forget(kept, run);
}

void kept_emptied(struct kept *kept, const struct run *run)
{
    struct kept_row *row = xcalloc(1, sizeof *row);

    row->key.queue = run->queue_id;
    row->key.level = run->level;
    row->key.first = run->first;
    row->is_removal = true;
    *kept->rows_end = row;
    kept->rows_end = &row->next;
}

void kept_drop(struct kept *kept, const struct run *run)
{
    kept_leave(kept, run->place.file);
}

/* ---- checkpoints ---- */

void kept_capture_state(struct kept *kept, uint64_t queue, struct bytes octets)
{
    struct kept_state *state = xcalloc(1, sizeof *state);

    state->queue = queue;
    state->octets = bytes_copy(octets);
    *kept->states_end = state;
    kept->states_end = &state->next;
}

void kept_capture_run(struct kept *kept, struct run *run)
{
    uint32_t words = run_words(run->span);
    struct kept_row *row;
    uint64_t *live;

    if (!(run->flags & RUN_LASTS)) /* told so that what is dead can be counted */
        return;
    row = xcalloc(1, sizeof *row);
    live = xmalloc(words * sizeof *live);
    row->key.queue = run->queue_id;
    row->key.level = run->level;
    row->key.first = run->first;
    row->run = kept_run_find(kept, run->place.file);
    row->run->uses++;
    row->restored = xmalloc(sizeof *row->restored);
    *row->restored = (struct restored_run){
        .level = run->level,
        .first = run->first,
        .span = run->span,
        .messages = run->messages,
        .body_bytes = run->bytes,
        .next_deadline = run->deadline,
        .place = run->place,
        .live = live,
        .returns = run->return_count ? xmemdup(run->returns, run->return_count * sizeof *run->returns) : NULL,
        .return_count = run->return_count};
    for (uint32_t word = 0; word < words; word++)
        live[word] = run_live(run)[word] & (run->flags & RUN_MIXED ? run_lasting(run)[word] : UINT64_MAX);
    run->flags |= RUN_LISTED;
    *kept->rows_end = row;
    kept->rows_end = &row->next;
}

static void row_free(struct kept *kept, struct kept_row *row)
{
    if (row->run)
        kept_run_release(kept, row->run);
    if (row->restored) {
        free((void *)(uintptr_t)row->restored->live);
        free((void *)(uintptr_t)row->restored->returns);
        free(row->restored);
    }
    free(row);
}

static void state_free(struct kept_state *state)
{
    bytes_free(state->octets);
    free(state);
}

static void commit_row(struct kept *kept, struct kept_row *row)
{
    struct kept_row *there;

    HASH_FIND(hh, kept->catalog.rows, &row->key, sizeof row->key, there);
    if (there) {
        HASH_DEL(kept->catalog.rows, there);
        row_free(kept, there);
    }
    if (row->is_removal)
        row_free(kept, row);
    else
        HASH_ADD(hh, kept->catalog.rows, key, sizeof row->key, row);
}

static void commit_state(struct kept *kept, struct kept_state *state)
{
    struct kept_state *there;

    HASH_FIND(hh, kept->catalog.states, &state->queue, sizeof state->queue, there);
    if (there) {
        HASH_DEL(kept->catalog.states, there);
        state_free(there);
    }
    HASH_ADD(hh, kept->catalog.states, queue, sizeof state->queue, state);
}

static void catalog_forget_things(struct kept *kept)
{
    for (size_t i = 0; i < kept->catalog.thing_count; i++)
        thing_free(kept->catalog.things[i]);
    free(kept->catalog.things);
    kept->catalog.things = NULL;
    kept->catalog.thing_count = 0;
}

/* Queues that are gone take their rows with them. */
static void forget_gone(struct kept *kept)
{
    struct kept_row *row, *next_row;
    struct kept_state *state, *next_state;

    HASH_ITER (hh, kept->catalog.rows, row, next_row)
        if (!thing_find(kept, KEPT_QUEUE, NULL, row->key.queue)) {
            HASH_DEL(kept->catalog.rows, row);
            row_free(kept, row);
        }
    HASH_ITER (hh, kept->catalog.states, state, next_state)
        if (!thing_find(kept, KEPT_QUEUE, NULL, state->queue)) {
            HASH_DEL(kept->catalog.states, state);
            state_free(state);
        }
}

void kept_commit(struct kept *kept, uint32_t era)
{
    struct kept_thing *thing, *next;

    while (kept->rows) {
        struct kept_row *row = kept->rows;

        kept->rows = row->next;
        commit_row(kept, row);
    }
    kept->rows_end = &kept->rows;
    while (kept->states) {
        struct kept_state *state = kept->states;

        kept->states = state->next;
        commit_state(kept, state);
    }
    kept->states_end = &kept->states;
    forget_gone(kept);
    catalog_forget_things(kept);
    kept->catalog.things = xmalloc((HASH_COUNT(kept->things) + 1) * sizeof(struct kept_thing *));
    HASH_ITER (hh, kept->things, thing, next)
        kept->catalog.things[kept->catalog.thing_count++] = thing_copy(thing);
    while (kept->first && kept->first->era <= era)
        log_drop_first(kept);
}

static void forget_captured(struct kept *kept)
{
    while (kept->rows) {
        struct kept_row *row = kept->rows;

        kept->rows = row->next;
        row_free(kept, row);
    }
    kept->rows_end = &kept->rows;
    while (kept->states) {
        struct kept_state *state = kept->states;

        kept->states = state->next;
        state_free(state);
    }
    kept->states_end = &kept->states;
}

void kept_crash(struct kept *kept)
{
    struct kept_run *run, *next;
    struct kept_row *row, *next_row;

    forget_captured(kept);
    HASH_ITER (hh, kept->runs, run, next) {
        run->is_owned = false;
        run_forget(kept, run);
    }
    HASH_ITER (hh, kept->catalog.rows, row, next_row)
        row->run->is_owned = true;
}

void kept_clear(struct kept *kept)
{
    struct kept_thing *thing, *next;
    struct kept_row *row, *next_row;
    struct kept_state *state, *next_state;
    struct kept_run *run, *next_run;

    forget_captured(kept);
    catalog_forget_things(kept);
    HASH_ITER (hh, kept->catalog.rows, row, next_row) {
        HASH_DEL(kept->catalog.rows, row);
        row_free(kept, row);
    }
    HASH_ITER (hh, kept->catalog.states, state, next_state) {
        HASH_DEL(kept->catalog.states, state);
        state_free(state);
    }
    HASH_ITER (hh, kept->runs, run, next_run) {
        run->is_owned = false;
        run_forget(kept, run);
    }
    while (kept->first)
        log_drop_first(kept);
    HASH_ITER (hh, kept->things, thing, next) {
        HASH_DEL(kept->things, thing);
        thing_free(thing);
    }
}

/* ---- putting back ---- */

struct back {
    UT_hash_handle hh;
    uint64_t id;
    struct queue *queue;
};

struct putting {
    struct vhost *vhost;
    struct back *queues;
    void (*at)(void *context, uint64_t lsn);
    void *context;
};

static struct queue *back_find(struct putting *putting, uint64_t id)
{
    struct back *back;

    HASH_FIND(hh, putting->queues, &id, sizeof id, back);
    return back ? back->queue : NULL;
}

static void back_remove(struct putting *putting, uint64_t id)
{
    struct back *back;

    HASH_FIND(hh, putting->queues, &id, sizeof id, back);
    HASH_DEL(putting->queues, back);
    free(back);
}

static void put_exchange(struct putting *putting, const struct exchange_spec *spec, uint64_t lsn)
{
    struct reply_error error;

    if (!restore_exchange(putting->vhost, spec, lsn, &error))
        contradiction("exchange '%.*s' does not come back: %s", BYTES_ARG(spec->name), error.text);
}

/* The map may still have an older queue of that name: restore_queue() has deleted it then. */
static void put_queue(struct putting *putting, const struct queue_spec *spec, uint64_t id)
{
    struct queue *older = queue_find(putting->vhost, spec->name);
    uint64_t older_id = older ? older->lsn : 0;
    struct reply_error error;
    struct queue *queue = restore_queue(putting->vhost, spec, id, &error);
    struct back *back;

    if (!queue && error.code)
        contradiction("queue '%.*s' does not come back: %s", BYTES_ARG(spec->name), error.text);
    if (!queue || older_id == id)
        return;
    if (older)
        back_remove(putting, older_id);
    back = xcalloc(1, sizeof *back);
    back->id = id;
    back->queue = queue;
    HASH_ADD(hh, putting->queues, id, sizeof back->id, back);
}

static void put_things(struct kept *kept, struct putting *putting, enum kept_kind kind)
{
    for (size_t i = 0; i < kept->catalog.thing_count; i++) {
        const struct kept_thing *thing = kept->catalog.things[i];
        struct kept_state *state;

        if (thing->kind != kind)
            continue;
        putting->at(putting->context, thing->lsn);
        switch (kind) {
        case KEPT_EXCHANGE:
            put_exchange(putting, &thing->exchange, thing->lsn);
            break;
        case KEPT_BINDING:
            restore_binding(putting->vhost, &thing->binding, thing->lsn);
            break;
        case KEPT_QUEUE:
            put_queue(putting, &thing->queue, thing->lsn);
            HASH_FIND(hh, kept->catalog.states, &thing->lsn, sizeof thing->lsn, state);
            if (state && !restore_state(back_find(putting, thing->lsn), state->octets))
                contradiction("the state of '%.*s' does not come back", BYTES_ARG(thing->queue.name));
            break;
        }
    }
}

static int by_place(const struct kept_row *a, const struct kept_row *b)
{
    if (a->key.queue != b->key.queue)
        return a->key.queue < b->key.queue ? -1 : 1;
    if (a->key.level != b->key.level)
        return a->key.level < b->key.level ? -1 : 1;
    return a->key.first < b->key.first ? -1 : 1;
}

static void put_runs(struct kept *kept, struct putting *putting)
{
    struct kept_row *row, *next;

    HASH_SORT(kept->catalog.rows, by_place);
    HASH_ITER (hh, kept->catalog.rows, row, next) {
        struct queue *queue = back_find(putting, row->key.queue);

        if (!queue || !restore_run(queue, row->restored))
            contradiction(
                "a run of the catalog does not come back: %llu to %llu of level %u of %s, %u messages",
                (unsigned long long)row->restored->first,
                (unsigned long long)row->restored->first + row->restored->span, row->restored->level,
                queue ? "a queue" : "nothing", row->restored->messages);
    }
}

static void put_record_of_queue(struct putting *putting, const struct journal_record *record)
{
    struct queue *queue = back_find(putting, record->queue);

    if (!queue)
        return;
    switch (record->kind) {
    case JOURNAL_ENQUEUE:
        restore_message(queue, record->position, kept_copy(record->message), record->deadline);
        break;
    case JOURNAL_SETTLE:
        restore_settlement(queue, record->position);
        break;
    case JOURNAL_REDELIVERY:
        restore_redelivery(queue, record->position, record->delivery_count);
        break;
    case JOURNAL_PURGE:
        restore_purge(queue, record->position, record->below);
        break;
    case JOURNAL_DELIVERED:
        restore_delivered(queue, record->position);
        break;
    case JOURNAL_DELETE_QUEUE:
        restore_queue_deletion(queue);
        back_remove(putting, record->queue);
        break;
    default:
        break;
    }
}

static void put_record(struct putting *putting, const struct kept_record *logged)
{
    const struct journal_record *record = &logged->record;

    putting->at(putting->context, logged->lsn);
    switch (record->kind) {
    case JOURNAL_DECLARE_EXCHANGE:
        put_exchange(putting, record->exchange, logged->lsn);
        break;
    case JOURNAL_DELETE_EXCHANGE:
        restore_exchange_deletion(putting->vhost, record->exchange->name, logged->lsn);
        break;
    case JOURNAL_DECLARE_QUEUE:
        put_queue(putting, record->made, logged->lsn);
        break;
    case JOURNAL_BIND:
        restore_binding(putting->vhost, record->binding, logged->lsn);
        break;
    case JOURNAL_UNBIND:
        restore_unbinding(putting->vhost, record->binding, logged->lsn);
        break;
    default:
        put_record_of_queue(putting, record);
    }
}

void kept_put_back(struct kept *kept, struct vhost *vhost, void (*at)(void *context, uint64_t lsn),
                   void *context)
{
    struct putting putting = {.vhost = vhost, .at = at, .context = context};

    put_things(kept, &putting, KEPT_EXCHANGE);
    put_things(kept, &putting, KEPT_QUEUE);
    put_things(kept, &putting, KEPT_BINDING);
    put_runs(kept, &putting);
    for (const struct kept_record *logged = kept->first; logged; logged = logged->next)
        put_record(&putting, logged);
    restore_end(vhost);
    while (putting.queues)
        back_remove(&putting, putting.queues->id);
}

/* ---- looking at a vhost ---- */

/* A message of a level, here or away. */
struct seen {
    uint64_t number;
    const struct message *message;
    int64_t deadline;
    uint32_t delivery_count;
    bool redelivered; /* or delivered */
};

struct seen_level {
    struct seen *seen;
    uint32_t count, capacity;
};

static void see(struct seen_level *level, struct seen seen)
{
    if (level->count == level->capacity) {
        level->capacity = level->capacity * 2 + 64;
        level->seen = xrealloc(level->seen, level->capacity * sizeof *level->seen);
    }
    level->seen[level->count++] = seen;
}

static void see_run(struct kept *kept, struct seen_level *seen, const struct level *level, struct run *run)
{
    uint32_t away = 0, live = 0;

    for (uint32_t bit = 0; bit < run->span; bit++) {
        const struct run_message *message;
        struct seen found;

        live += run_bit(run_live(run), bit);
        if (!run_bit(run_away(run), bit))
            continue;
        away++;
        if (!run_bit(run_live(run), bit))
            contradiction("message %llu is away but not live", (unsigned long long)run->first + bit);
        message = kept_message(kept, run, run->first + bit);
        found = (struct seen){run->first + bit, message->message, message->deadline, message->delivery_count,
                              message->redelivered || run->first + bit < level->kept->redelivered_below};
        for (uint32_t i = 0; i < run->return_count; i++)
            if (run->returns[i].at == bit) {
                found.delivery_count = run->returns[i].delivery_count;
                found.redelivered = true;
            }
        if (!message->is_transient)
            see(seen, found);
    }
    if (away != run->away_count || live != run->live_count)
        contradiction("a run counts %u of %u away, and has %u of %u", run->away_count, run->live_count, away,
                      live);
}

static int by_number(const void *a, const void *b)
{
    const struct seen *one = a, *other = b;

    return one->number < other->number ? -1 : one->number > other->number;
}

/* What of LEVEL lasts, by number. */
static struct seen_level see_level(struct kept *kept, const struct queue *queue, const struct level *level)
{
    struct seen_level seen = {0};
    uint64_t at = seqmap_next_live(&level->entries, 0);

    for (; at != SEQMAP_END; at = seqmap_next_live(&level->entries, at + 1)) {
        const struct entry *entry = seqmap_get(&level->entries, at);
        bool is_out = !seqmap_is_ready(&level->entries, at);

        if (entry->flags & ENTRY_JOURNALLED)
            see(&seen, (struct seen){at, entry->message, entry->deadline,
                                     entry->delivery_count + (is_out && queue_counts_deliveries(queue)),
                                     is_out || entry->flags & ENTRY_REDELIVERED});
    }
    for (uint32_t i = 0; i < level->kept->run_count; i++) {
        if (i &&
            level->kept->runs[i]->first < level->kept->runs[i - 1]->first + level->kept->runs[i - 1]->span)
            contradiction("runs overlap");
        see_run(kept, &seen, level, level->kept->runs[i]);
    }
    if (seen.count)
        qsort(seen.seen, seen.count, sizeof *seen.seen, by_number);
    return seen;
}

static unsigned level_count(const struct queue *queue)
{
    return queue->levels ? queue->options.max_priority + 1U : 1;
}

/* ---- checking ---- */

static uint32_t check_level(struct kept *kept, struct kept_thing *thing, struct queue *queue, uint8_t number)
{
    const struct level *level = queue_level(queue, number);
    struct seen_level seen = see_level(kept, queue, level);
    struct bytes name = thing->queue.name;

    for (uint32_t i = 0; i < seen.count; i++) {
        const struct seen *found = &seen.seen[i];
        struct kept_live *live = live_find(thing, number, found->number);

        if (!live)
            contradiction("'%.*s' has a message at %u/%llu that would be lost", BYTES_ARG(name), number,
                          (unsigned long long)found->number);
        if (live->delivery_count != found->delivery_count)
            contradiction("'%.*s' has a message at %u/%llu that came back %u times, not %u", BYTES_ARG(name),
                          number, (unsigned long long)found->number, found->delivery_count,
                          live->delivery_count);
        if (seqmap_get(&level->entries, found->number) && !seqmap_is_ready(&level->entries, found->number) &&
            found->number >= thing->mark[number])
            contradiction("'%.*s' has delivered %u/%llu unknown to the journal", BYTES_ARG(name), number,
                          (unsigned long long)found->number);
    }
    free(seen.seen);
    return seen.count;
}

void kept_check(struct kept *kept, struct vhost *vhost)
{
    struct kept_thing *thing, *next;

    HASH_ITER (hh, kept->things, thing, next) {
        struct queue *queue;
        uint32_t found = 0;

        if (thing->kind != KEPT_QUEUE)
            continue;
        queue = queue_find(vhost, thing->queue.name);
        if (!queue || queue->lsn != thing->lsn)
            contradiction("queue '%.*s' would come back", BYTES_ARG(thing->queue.name));
        for (unsigned i = 0; i < level_count(queue); i++)
            if (queue_level(queue, (uint8_t)i))
                found += check_level(kept, thing, queue, (uint8_t)i);
        if (found != HASH_COUNT(thing->live))
            contradiction("%u messages of '%.*s' would come back", HASH_COUNT(thing->live) - found,
                          BYTES_ARG(queue->name));
    }
}

/* ---- comparing ---- */

static void compare_message(const struct queue *queue, const struct level *level, const struct seen *a,
                            const struct seen *b)
{
    unsigned long long number = a->number;
    struct bytes name = queue->name;

    if (a->number != b->number)
        contradiction("message %llu of '%.*s' came back as %llu", number, BYTES_ARG(name),
                      (unsigned long long)b->number);
    if (a->message->body_size != b->message->body_size ||
        memcmp(a->message->body, b->message->body, (size_t)a->message->body_size) != 0)
        contradiction("message %llu of '%.*s' came back as another", number, BYTES_ARG(name));
    if (a->deadline != b->deadline || a->delivery_count != b->delivery_count)
        contradiction("message %llu of '%.*s' came back with deadline %lld, not %lld, and count %u, not %u",
                      number, BYTES_ARG(name), (long long)b->deadline, (long long)a->deadline,
                      b->delivery_count, a->delivery_count);
    if (a->redelivered && !b->redelivered)
        contradiction("message %llu of '%.*s' came back as never delivered", number, BYTES_ARG(name));
    if (b->redelivered && !a->redelivered && a->number >= level->kept->mark)
        contradiction("message %llu of '%.*s' came back as redelivered", number, BYTES_ARG(name));
}

static void compare_level(struct kept *kept, const struct queue *queue, const struct level *level,
                          const struct level *back)
{
    struct seen_level a = see_level(kept, queue, level), b = {0};

    if (back)
        b = see_level(kept, queue, back);
    if (a.count != b.count)
        contradiction("%u messages of '%.*s' came back, not %u", b.count, BYTES_ARG(queue->name), a.count);
    for (uint32_t i = 0; i < a.count; i++)
        compare_message(queue, level, &a.seen[i], &b.seen[i]);
    if (a.count && back->next <= a.seen[a.count - 1].number)
        contradiction("numbers of '%.*s' would be used twice", BYTES_ARG(queue->name));
    free(a.seen);
    free(b.seen);
}

static void compare_queue(struct kept *kept, struct queue *queue, struct queue *back)
{
    uint64_t ready = 0, away = 0;

    if (!back || back->lsn != queue->lsn || back->auto_delete != queue->auto_delete ||
        !bytes_equal(back->arguments, queue->arguments))
        contradiction("queue '%.*s' came back as another, or not", BYTES_ARG(queue->name));
    for (unsigned i = 0; i < level_count(queue); i++) {
        struct level *level = queue_level(queue, (uint8_t)i), *other = queue_level(back, (uint8_t)i);

        if (level)
            compare_level(kept, queue, level, other);
        ready += other ? other->ready : 0;
        away += other ? other->away : 0;
    }
    if (ready != back->ready || away != back->away || back->unacked)
        contradiction("'%.*s' came back with counts that do not add up", BYTES_ARG(queue->name));
}

static unsigned count_bindings(const struct vhost *vhost)
{
    struct binding *binding, *next;
    unsigned count = 0;

    HASH_ITER (hh, vhost->bindings, binding, next)
        count += binding->source->durable &&
                 (binding->to_queue ? binding->to_queue->durable : binding->to_exchange->durable);
    return count;
}

static void compare_bindings(struct vhost *vhost, struct vhost *back)
{
    struct binding *binding, *next;

    HASH_ITER (hh, vhost->bindings, binding, next) {
        struct binding_key key = {.source = exchange_find(back, binding->source->name),
                                  .routing_key = binding->routing_key,
                                  .arguments = binding->arguments};

        if (!binding->source->durable ||
            !(binding->to_queue ? binding->to_queue->durable : binding->to_exchange->durable))
            continue;
        if (binding->to_queue)
            key.to_queue = queue_find(back, binding->to_queue->name);
        else
            key.to_exchange = exchange_find(back, binding->to_exchange->name);
        if (!key.source || (!key.to_queue && !key.to_exchange) || !binding_find(back, &key))
            contradiction("a binding of '%.*s' did not come back", BYTES_ARG(binding->source->name));
    }
    if (count_bindings(vhost) != count_bindings(back))
        contradiction("%u bindings came back, not %u", count_bindings(back), count_bindings(vhost));
}

static void compare_exchanges(struct vhost *vhost, struct vhost *back)
{
    struct exchange *exchange, *next;
    unsigned count = 0;

    HASH_ITER (hh, vhost->exchanges, exchange, next) {
        const struct exchange *other = exchange_find(back, exchange->name);

        if (!exchange->durable)
            continue;
        count++;
        if (!other || other->type != exchange->type || other->lsn != exchange->lsn ||
            !bytes_equal(other->arguments, exchange->arguments))
            contradiction("exchange '%.*s' came back as another, or not", BYTES_ARG(exchange->name));
    }
    if (count != HASH_COUNT(back->exchanges))
        contradiction("%u exchanges came back, not %u", HASH_COUNT(back->exchanges), count);
}

void kept_compare(struct kept *kept, struct vhost *vhost, struct vhost *back)
{
    struct queue *queue, *next;
    unsigned count = 0;

    HASH_ITER (hh, vhost->queues, queue, next) {
        if (!queue->durable)
            continue;
        count++;
        compare_queue(kept, queue, queue_find(back, queue->name));
    }
    if (count != HASH_COUNT(back->queues))
        contradiction("%u queues came back, not %u", HASH_COUNT(back->queues), count);
    compare_exchanges(vhost, back);
    compare_bindings(vhost, back);
}
