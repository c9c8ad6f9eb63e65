/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.h: the state before the start is made again from what the catalog and the journal say.
 *
 * Messages of runs stay away until they are wanted, so a backlog costs nothing here; those that only the
 * journal has come into memory. Nothing is trimmed, expired or dead-lettered meanwhile: that begins with the
 * first batch.
 */
#include "coney/restore.h"

#include <stdlib.h>
#include <string.h>

#include "coney/checkpoint.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "queue_runs.h"
#include "vhost_fields.h"

bool restore_exchange(struct vhost *vhost, const struct exchange_spec *spec, uint64_t lsn,
                      struct reply_error *error)
{
    struct exchange *there = exchange_find(vhost, spec->name);

    if (there && (there->lsn >= lsn || !there->lsn)) /* 0: predeclared */
        return true;
    if (there)
        exchange_delete(there);
    return vhost_declare_exchange(vhost, spec, error);
}

void restore_exchange_deletion(struct vhost *vhost, struct bytes name, uint64_t lsn)
{
    struct exchange *exchange = exchange_find(vhost, name);

    if (exchange && exchange->lsn && exchange->lsn < lsn)
        exchange_delete(exchange);
}

uint64_t restore_queue_id(struct vhost *vhost, struct bytes name)
{
    const struct queue *there = queue_find(vhost, name);

    return there ? there->lsn : 0;
}

struct queue *restore_queue(struct vhost *vhost, const struct queue_spec *spec, uint64_t id,
                            struct reply_error *error)
{
    struct queue *there = queue_find(vhost, spec->name);
    int64_t queues_max = vhost->queues_max;
    bool made;

    error->code = (enum reply_code)0;
    if (there && there->lsn == id)
        return there;
    if (there && there->lsn > id)
        return NULL;
    if (there)
        queue_delete(there);
    vhost->queues_max = -1; /* what is there stays, whatever the limit has become */
    made = vhost_declare_queue(vhost, spec, error);
    vhost->queues_max = queues_max;
    return made ? queue_find(vhost, spec->name) : NULL;
}

void restore_queue_deletion(struct queue *queue)
{
    queue_delete(queue);
}

/* The ends of SPEC, as they were when LSN was written: later ones of the same names are others. */
static bool binding_key_of(struct vhost *vhost, const struct binding_spec *spec, uint64_t lsn,
                           struct binding_key *key)
{
    *key = (struct binding_key){.source = exchange_find(vhost, spec->source),
                                .routing_key = spec->routing_key,
                                .arguments = spec->arguments};
    if (spec->to_exchange)
        key->to_exchange = exchange_find(vhost, spec->destination);
    else
        key->to_queue = queue_find(vhost, spec->destination);
    return key->source && key->source->lsn < lsn &&
           ((key->to_exchange && key->to_exchange->lsn < lsn) || (key->to_queue && key->to_queue->lsn < lsn));
}

void restore_binding(struct vhost *vhost, const struct binding_spec *spec, uint64_t lsn)
{
    struct reply_error error;
    struct binding_key key;
    uint64_t written;

    if (binding_key_of(vhost, spec, lsn, &key))
        binding_add(vhost, &key, &written, &error);
}

void restore_unbinding(struct vhost *vhost, const struct binding_spec *spec, uint64_t lsn)
{
    struct binding_key key;
    struct binding *binding;

    if (!binding_key_of(vhost, spec, lsn, &key))
        return;
    binding = binding_find(vhost, &key);
    if (binding && binding->lsn < lsn)
        binding_remove(binding);
}

/* The level NUMBER of QUEUE, made if it is not there; NULL when the queue cannot have it. */
static struct level *level_of(struct queue *queue, uint8_t number)
{
    if (number > (queue->levels ? queue->options.max_priority : 0))
        return NULL;
    return queue_level_made(queue, number);
}

bool restore_state(struct queue *queue, struct bytes state)
{
    if (state.size % QUEUE_STATE_LEVEL)
        return false;
    for (size_t at = 0; at < state.size; at += QUEUE_STATE_LEVEL) {
        const uint8_t *p = state.data + at;
        struct level *level = level_of(queue, p[0]);

        if (!level)
            return false;
        level_keeps(level);
        level->next = get_u64(p + 1);
        level->kept->saved = get_u64(p + 9);
        if (level->next >= RESTORE_NUMBERS || level->kept->saved > level->next)
            return false;
        level->kept->mark = get_u64(p + 17);
        level->kept->redelivered_below = get_u64(p + 25);
    }
    return true;
}

/* Tell whether SPEC is one that vhost_capture_runs() could have given, behind LAST, which may be NULL. */
static bool run_fits(const struct restored_run *spec, const struct run *last)
{
    uint64_t end = spec->first + spec->span;
    uint32_t live = 0;

    if (!spec->span || spec->span > RUN_SPAN_MAX || !spec->messages || spec->messages > RUN_MESSAGES_MAX ||
        end < spec->first || (last && last->first + last->span > spec->first))
        return false;
    for (uint32_t word = 0; word < run_words(spec->span); word++)
        live += (uint32_t)__builtin_popcountll(spec->live[word]);
    return live <= spec->messages && !(spec->span % 64 && spec->live[spec->span / 64] >> spec->span % 64);
}

/* The run that SPEC says, all of whose live messages are away. */
static struct run *run_of(const struct queue *queue, const struct restored_run *spec)
{
    size_t size = run_words(spec->span) * sizeof(uint64_t);
    struct run *run = xcalloc(1, sizeof *run + 2 * size);

    run->first = spec->first;
    run->span = spec->span;
    run->messages = spec->messages;
    run->level = spec->level;
    run->flags = RUN_LASTS | RUN_LISTED;
    run->place = spec->place;
    run->queue_id = queue->lsn;
    run->next_deadline = run->deadline = spec->next_deadline;
    memcpy(run_live(run), spec->live, size);
    memcpy(run_away(run), spec->live, size);
    for (uint32_t word = 0; word < run_words(spec->span); word++)
        run->live_count += (uint32_t)__builtin_popcountll(spec->live[word]);
    run->away_count = run->live_count;
    run->bytes = spec->body_bytes;
    run->away_bytes = spec->body_bytes * run->live_count / spec->messages;
    if (spec->return_count) {
        run->returns = xmemdup(spec->returns, spec->return_count * sizeof *run->returns);
        run->return_count = run->return_capacity = spec->return_count;
    }
    return run;
}

bool restore_run(struct queue *queue, const struct restored_run *spec)
{
    struct level *level = level_of(queue, spec->level);
    uint64_t end = spec->first + spec->span;
    struct run *run;

    if (!level ||
        !run_fits(spec, level->kept->run_count ? level->kept->runs[level->kept->run_count - 1] : NULL))
        return false;
    level_keeps(level);
    run = run_of(queue, spec);
    if (level->kept->saved < end)
        level->kept->saved = end;
    if (level->next < end)
        level->next = end;
    if (!run->live_count) { /* what was live in it has not outlived the node */
        run_retire(queue, run);
        return true;
    }
    level_add_run(queue, level, run);
    count_away_ready(queue, level, run);
    queue_timer_add_run(queue, run);
    queue->deadline_max = VHOST_NEVER; /* some of it may stay for good: what stands behind it needs timers */
    return true;
}

/* Messages of LEVEL from FROM up to below BELOW that are away have left. */
static void runs_forget_range(struct queue *queue, struct level *level, uint64_t from, uint64_t below)
{
    for (uint64_t number = from; number < below;) {
        uint32_t at = run_index(level, number);
        struct run *run = at < level->kept->run_count ? level->kept->runs[at] : NULL;

        if (!run || run->first >= below)
            return;
        if (number < run->first)
            number = run->first;
        if (run_bit(run_away(run), number - run->first)) {
            struct place place = {run->level, number};
            uint64_t about = run->away_bytes / run->away_count;

            count_away_unready(queue, place, run_uncount_away(run, number - run->first, about));
            run_settle(queue, place);
        }
        number++;
    }
}

/* Segments of MAP that are to be left empty when NUMBER joins it. */
static uint64_t gap_of(const struct seqmap *map, uint64_t number)
{
    uint64_t at = number / SEQMAP_SEGMENT, end = map->first + map->count;

    if (map->count == 0)
        return 0;
    return at < map->first ? map->first - at - 1 : at > end ? at - end : 0;
}

bool restore_reaches(struct queue *queue, struct journal_position position, uint64_t *room)
{
    struct level *level = level_of(queue, position.level);
    uint64_t gap =
        level && position.number >= level->kept->saved ? gap_of(&level->entries, position.number) : 0;

    if (gap > *room)
        return false;
    *room -= gap;
    return true;
}

void restore_message(struct queue *queue, struct journal_position position, struct message *message,
                     int64_t deadline)
{
    struct level *level = level_of(queue, position.level);

    if (!level || position.number < level->kept->saved || seqmap_get(&level->entries, position.number)) {
        message_unref(message);
        return;
    }
    if (position.number >= level->next)
        level->next = position.number + 1;
    entry_restore(queue, (struct place){position.level, position.number}, message, deadline);
}

void restore_settlement(struct queue *queue, struct journal_position position)
{
    struct level *level = level_of(queue, position.level);

    if (level && seqmap_get(&level->entries, position.number))
        entry_forget(queue, (struct place){position.level, position.number});
    else if (level && position.number < level->kept->saved)
        runs_forget_range(queue, level, position.number, position.number + 1);
}

void restore_redelivery(struct queue *queue, struct journal_position position, uint32_t delivery_count)
{
    struct level *level = level_of(queue, position.level);
    struct entry *entry = level ? seqmap_get(&level->entries, position.number) : NULL;

    if (entry) {
        entry->flags |= ENTRY_REDELIVERED;
        entry->delivery_count = delivery_count;
    } else if (level && position.number < level->kept->saved) {
        run_returned(queue, (struct place){position.level, position.number}, delivery_count);
    }
}

void restore_purge(struct queue *queue, struct journal_position from, uint64_t below)
{
    struct level *level = level_of(queue, from.level);

    if (!level)
        return;
    for (uint64_t at = seqmap_next_live(&level->entries, from.number); at < below;
         at = seqmap_next_live(&level->entries, at + 1))
        entry_forget(queue, (struct place){from.level, at});
    runs_forget_range(queue, level, from.number, below);
    /* Those that left no other record: their numbers are used all the same. */
    if (level->next < below)
        level->next = below;
}

void restore_delivered(struct queue *queue, struct journal_position position)
{
    struct level *level = level_of(queue, position.level);

    if (!level)
        return;
    level_keeps(level);
    level->kept->mark = position.number;
    queue_touched(queue); /* the record goes with its part of the journal */
}

static void mark_redelivered(struct queue *queue, struct level *level)
{
    uint64_t at = seqmap_next_live(&level->entries, 0);

    if (level->kept->mark > level->kept->redelivered_below)
        level->kept->redelivered_below = level->kept->mark < level->next ? level->kept->mark : level->next;
    /* Where each delivery is written there is no doubt. */
    if (queue_counts_deliveries(queue) && level->kept->redelivered_below)
        level->kept->redelivered_below = 0;
    for (; at < level->kept->redelivered_below; at = seqmap_next_live(&level->entries, at + 1))
        ((struct entry *)seqmap_get(&level->entries, at))->flags |= ENTRY_REDELIVERED;
}

void restore_end(struct vhost *vhost)
{
    struct queue *queue, *next;
    struct level *level;

    HASH_ITER (hh, vhost->queues, queue, next) {
        for (unsigned i = 0; (level = queue_next_level(queue, &i)); i++)
            mark_redelivered(queue, level);
        queue_reschedule(queue);
        queue_wants_dispatch(queue);
    }
}
