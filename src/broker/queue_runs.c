/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, runs: messages are written out together, leave memory, come back (run.h).
 *
 * Writing: a level's live messages are handed to the journal in order of number, from `saving` on. What is
 * written becomes a run when the journal answers, in the same order; if one save fails, those behind it that
 * are under way count as failed too, so that `saved` never passes over a live message.
 *
 * Leaving: under pressure whole runs are sent away, those that will be wanted last first. Coming back: a run
 * whose messages will soon be the head is asked for; all of it comes back at once.
 *
 * Invariants:
 * 1. Runs of a level are in order of number and do not overlap; each live message below `saved` is in one.
 * 2. level->away is the sum of its runs' away_count; no run before `first_away` has anything away.
 * 3. A run that is LOADING or LOOKING is freed by the answer, not before.
 */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "coney/buffer.h"
#include "coney/checkpoint.h"
#include "coney/death.h"
#include "coney/pool.h"
#include "coney/restore.h"
#include "coney/xalloc.h"
#include "vhost_fields.h"

#define SAVES_MAX            4  /* of one level under way at once */
#define READ_AHEAD           3  /* runs behind the head's that are read, and stay, while somebody consumes */
#define SPILL_VISITS         16 /* queues looked at in one go */
#define CHECKPOINT_SAVES_MAX 64 /* of a vhost under way at once */

static void need_lists(struct queue *queue)
{
    if (!queue->lists)
        queue->lists = xcalloc(1, sizeof *queue->lists);
}

/* ---- finding ---- */

/* The place of the first run of LEVEL that ends above NUMBER. */
static uint32_t run_index(const struct level *level, uint64_t number)
{
    uint32_t low = 0, high = level->kept->run_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct run *run = level->kept->runs[middle];

        if (run->first + run->span <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct run *run_find(const struct level *level, uint64_t number)
{
    uint32_t at = run_index(level, number);

    if (at == level->kept->run_count || level->kept->runs[at]->first > number)
        return NULL;
    return level->kept->runs[at];
}

uint64_t level_first_away(struct level *level)
{
    while (level->kept->first_away < level->kept->run_count &&
           !level->kept->runs[level->kept->first_away]->away_count)
        level->kept->first_away++;
    if (level->kept->first_away == level->kept->run_count)
        return SEQMAP_END;
    for (uint32_t word = 0;; word++) {
        struct run *run = level->kept->runs[level->kept->first_away];
        uint64_t bits = run_away(run)[word];

        if (bits)
            return run->first + word * 64 + (unsigned)__builtin_ctzll(bits);
    }
}

uint64_t level_next_saved(const struct level *level, uint64_t from)
{
    for (uint32_t at = run_index(level, from); at < level->kept->run_count; at++) {
        struct run *run = level->kept->runs[at];

        for (uint64_t bit = from > run->first ? from - run->first : 0; bit < run->span; bit++)
            if (run_bit(run_live(run), bit))
                return run->first + bit;
    }
    return SEQMAP_END;
}

/* ---- changing ---- */

static void run_changed(struct queue *queue, struct run *run)
{
    if (run->flags & RUN_CHANGED)
        return;
    run->flags |= RUN_CHANGED;
    DL_APPEND2(queue->vhost->changed_runs, run, changed_prev, changed_next);
}

static void run_free(struct vhost *vhost, struct run *run)
{
    vhost->journal->ops->drop(vhost->journal, run);
    free(run->returns);
    free(run);
}

/* QUEUE has taken RUN out of its level: forget it, now or when nothing of it is under way. */
static void run_retire(struct queue *queue, struct run *run)
{
    if (run->timer)
        queue_timer_remove(queue, run->timer);
    if (run->flags & RUN_CHANGED)
        DL_DELETE2(queue->vhost->changed_runs, run, changed_prev, changed_next);
    run->flags &= (uint8_t)~RUN_CHANGED;
    if (run->flags & RUN_LISTED)
        queue->vhost->journal->ops->emptied(queue->vhost->journal, run);
    run->flags &= (uint8_t)~RUN_LISTED;
    run->flags |= RUN_DROPPED;
    run->queue = NULL;
    if (!(run->flags & (RUN_LOADING | RUN_LOOKING | RUN_MOVING)))
        run_free(queue->vhost, run);
}

static void level_remove_run(struct queue *queue, struct level *level, uint32_t at)
{
    struct run *run = level->kept->runs[at];

    level->kept->run_count--;
    memmove(level->kept->runs + at, level->kept->runs + at + 1,
            (level->kept->run_count - at) * sizeof *level->kept->runs);
    if (level->kept->first_away > at)
        level->kept->first_away--;
    if (!level->kept->run_count) {
        free(level->kept->runs);
        level->kept->runs = NULL;
        level->kept->run_capacity = 0;
    }
    run_retire(queue, run);
}

void run_settle(struct queue *queue, struct place place)
{
    struct level *level = queue_level(queue, place.level);
    uint32_t at = run_index(level, place.number);
    struct run *run = at < level->kept->run_count ? level->kept->runs[at] : NULL;
    uint64_t bit;

    if (!run || run->first > place.number)
        return;
    bit = place.number - run->first;
    if (!run_bit(run_live(run), bit))
        return;
    run_live(run)[bit / 64] &= ~((uint64_t)1 << bit % 64);
    queue->vhost->journal->dead[!!(run->flags & RUN_LASTS)] += run->place.size / run->messages;
    if (--run->live_count == 0)
        level_remove_run(queue, level, at);
    else
        run_changed(queue, run);
}

static struct run_return *find_return(struct run *run, uint32_t at)
{
    for (uint32_t i = 0; i < run->return_count; i++)
        if (run->returns[i].at == at)
            return &run->returns[i];
    return NULL;
}

static void note_return(struct queue *queue, struct run *run, uint32_t at, uint32_t delivery_count)
{
    struct run_return *known = find_return(run, at);

    if (known && known->delivery_count == delivery_count)
        return;
    if (!known) {
        if (run->return_count == run->return_capacity) {
            run->return_capacity = run->return_capacity ? run->return_capacity * 2 : 4;
            run->returns = xrealloc(run->returns, run->return_capacity * sizeof *run->returns);
        }
        known = &run->returns[run->return_count++];
    }
    *known = (struct run_return){at, delivery_count};
    run_changed(queue, run);
}

void run_returned(struct queue *queue, struct place place, uint32_t delivery_count)
{
    struct run *run = run_find(queue_level(queue, place.level), place.number);

    if (run)
        note_return(queue, run, (uint32_t)(place.number - run->first), delivery_count);
}

/* ---- writing ---- */

static void fill_save(struct journal_save *save, const struct queue *queue, const struct level *level,
                      uint16_t era, bool any_era)
{
    uint64_t number = seqmap_next_live(&level->entries, level->kept->saving);
    bool is_out;

    for (; number != SEQMAP_END; number = seqmap_next_live(&level->entries, number + 1)) {
        const struct entry *entry = seqmap_get(&level->entries, number);

        if (save->count == RUN_MESSAGES_MAX || save->octets >= RUN_OCTETS_MAX ||
            (save->count && number - save->messages[0].number >= RUN_SPAN_MAX) ||
            (!any_era && (int16_t)(entry->era - era) > 0))
            break;
        is_out = queue_counts_deliveries(queue) && !seqmap_is_ready(&level->entries, number);
        save->messages[save->count++] =
            (struct run_message){.number = number,
                                 .deadline = entry->deadline,
                                 .delivery_count = entry->delivery_count + is_out,
                                 .redelivered = is_out || entry->flags & ENTRY_REDELIVERED,
                                 .is_transient = !(entry->flags & ENTRY_JOURNALLED),
                                 .message = message_ref(entry->message)};
        save->octets += message_wire_size(entry->message);
    }
}

static void free_messages(const struct run_message *messages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        message_unref(messages[i].message);
}

/* Hand the next messages of LEVEL to the journal: those of ERA and older, or, to make room, all if they are
 * worth it. False when there are none, or enough is under way. */
static bool level_save(struct queue *queue, struct level *level, uint8_t number, uint16_t era, bool any_era)
{
    struct journal *journal = queue->vhost->journal;
    struct journal_save *save;

    if (level->kept->saves == SAVES_MAX || level->kept->save_failed)
        return false;
    if (level->kept->saving < level->kept->saved)
        level->kept->saving = level->kept->saved;
    if (seqmap_next_live(&level->entries, level->kept->saving) == SEQMAP_END)
        return false;
    level_keeps(level);
    save = xmalloc(sizeof *save);
    save->count = 0;
    save->octets = 0;
    fill_save(save, queue, level, era, any_era);
    if (!save->count ||
        (any_era && save->octets + save->count * ENTRY_OVERHEAD < queue->vhost->settings.spill_min)) {
        free_messages(save->messages, save->count);
        free(save);
        return false;
    }
    save->queue = queue;
    queue->refs++;
    save->queue_id = queue->lsn;
    save->level = number;
    save->lasts = queue->durable;
    save->failed = false;
    save->from = save->messages[0].number;
    save->below = save->messages[save->count - 1].number + 1;
    save->place = (struct run_place){0};
    level->kept->saving = save->below;
    level->kept->saves++;
    queue->vhost->saves++;
    journal->ops->save(journal, save);
    return true;
}

static bool is_mixed(const struct journal_save *save)
{
    if (!save->lasts)
        return false;
    for (uint32_t i = 0; i < save->count; i++)
        if (save->messages[i].is_transient)
            return true;
    return false;
}

static struct run *run_new(const struct journal_save *save)
{
    uint32_t span = (uint32_t)(save->below - save->from);
    bool mixed = is_mixed(save);
    struct run *run = xcalloc(1, sizeof *run + (mixed ? 3 : 2) * run_words(span) * sizeof(uint64_t));

    run->first = save->from;
    run->span = span;
    run->messages = save->count;
    run->next_deadline = run->deadline = VHOST_NEVER;
    for (uint32_t i = 0; i < save->count; i++) {
        run->bytes += save->messages[i].message->body_size;
        if (save->messages[i].deadline < run->deadline)
            run->deadline = save->messages[i].deadline;
    }
    run->level = save->level;
    run->flags = (uint8_t)((save->lasts ? RUN_LASTS : 0) | (mixed ? RUN_MIXED : 0));
    run->place = save->place;
    run->queue_id = save->queue_id;
    return run;
}

/* Mark in RUN what of SAVE is still there, and what has come back while it was being written. */
static void run_fill(struct queue *queue, struct run *run, const struct journal_save *save,
                     const struct level *level)
{
    for (uint32_t i = 0; i < save->count; i++) {
        const struct run_message *saved = &save->messages[i];
        const struct entry *entry = seqmap_get(&level->entries, saved->number);
        uint64_t bit = saved->number - run->first;
        uint32_t count;
        bool is_out;

        if (!entry)
            continue;
        is_out = queue_counts_deliveries(queue) && !seqmap_is_ready(&level->entries, saved->number);
        count = entry->delivery_count + is_out;
        if ((is_out || entry->flags & ENTRY_REDELIVERED) &&
            (!saved->redelivered || saved->delivery_count != count))
            note_return(queue, run, (uint32_t)bit, count);
        run_live(run)[bit / 64] |= (uint64_t)1 << bit % 64;
        run->live_count++;
        if (run->flags & RUN_MIXED && !save->messages[i].is_transient)
            run_lasting(run)[bit / 64] |= (uint64_t)1 << bit % 64;
    }
}

static void level_add_run(struct queue *queue, struct level *level, struct run *run)
{
    if (level->kept->run_count == level->kept->run_capacity) {
        level->kept->run_capacity = level->kept->run_capacity ? level->kept->run_capacity * 2 : 4;
        level->kept->runs = xrealloc(level->kept->runs, level->kept->run_capacity * sizeof(struct run *));
    }
    level->kept->runs[level->kept->run_count++] = run;
    run->queue = queue;
    run_changed(queue, run);
}

void queue_saved(struct vhost *vhost, struct journal_save *save)
{
    struct queue *queue = save->queue;
    struct level *level = queue->is_deleted ? NULL : queue_level(queue, save->level);
    struct run *run = NULL;

    if (level) {
        level->kept->saves--;
        save->failed |= level->kept->save_failed;
        level->kept->save_failed = save->failed && level->kept->saves > 0;
        if (save->failed && !level->kept->saves)
            level->kept->saving = level->kept->saved;
    }
    vhost->saves--;
    if (save->place.file)
        run = run_new(save);
    if (run && level && !save->failed) {
        run_fill(queue, run, save, level);
        level->kept->saved = save->below;
    }
    if (level && run && run->live_count) {
        level_add_run(queue, level, run);
    } else if (run) {
        run->flags |= RUN_DROPPED;
        run_free(vhost, run);
    }
    free_messages(save->messages, save->count);
    queue_unref(queue);
    free(save);
}

/* ---- leaving memory ---- */

/* Send away what of RUN is ready. */
static void run_send_away(struct queue *queue, struct level *level, struct run *run)
{
    for (uint32_t word = 0; word < run_words(run->span); word++) {
        uint64_t bits = run_live(run)[word] & ~run_away(run)[word];

        for (; bits; bits &= bits - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(bits);
            uint64_t number = run->first + word * 64 + bit;
            const struct entry *entry = seqmap_get(&level->entries, number);

            /* Not there: it is on its way out as a dead letter. */
            if (!entry || !seqmap_is_ready(&level->entries, number))
                continue;
            if (entry->flags & ENTRY_REDELIVERED)
                note_return(queue, run, word * 64 + bit, entry->delivery_count);
            if (entry->deadline < run->next_deadline)
                run->next_deadline = entry->deadline;
            run->away_bytes += entry->body_size;
            run->away_count++;
            run_away(run)[word] |= (uint64_t)1 << bit;
            entry_send_away(queue, level, (struct place){run->level, number});
        }
    }
    run->due_from = 0;
    queue_timer_add_run(queue, run);
}

/* The place of the run that the first ready message of LEVEL is in or before. */
static uint32_t head_run(struct level *level)
{
    uint64_t here = seqmap_first_ready(&level->entries), away = level_first_away(level);

    return run_index(level, here < away ? here : away);
}

/* Send away runs of LEVEL, the last first, while there is too much. */
static void level_send_away(struct queue *queue, struct level *level)
{
    struct vhost *vhost = queue->vhost;
    uint64_t limit = vhost->journal->memory_limit;
    uint32_t keep = queue->consumer_count ? head_run(level) + READ_AHEAD + 1 : 0;

    for (uint32_t at = level->kept->run_count; at-- > keep && vhost->used > limit;) {
        struct run *run = level->kept->runs[at];

        if (run->away_count == run->live_count || run->flags & (RUN_LOADING | RUN_LOOKING))
            continue;
        if (at < level->kept->first_away)
            level->kept->first_away = at;
        run_send_away(queue, level, run);
    }
}

static void queue_spill(struct queue *queue)
{
    struct vhost *vhost = queue->vhost;
    uint64_t limit = vhost->journal->memory_limit;

    for (unsigned i = 0; i <= (queue->levels ? queue->options.max_priority : 0U); i++) {
        struct level *level = queue_level(queue, (uint8_t)i);

        if (!level || vhost->used <= limit)
            continue;
        level_send_away(queue, level);
        while (vhost->used > limit && level_save(queue, level, (uint8_t)i, 0, true))
            continue;
    }
}

void queue_note_large(struct queue *queue)
{
    queue->is_large = true;
    need_lists(queue);
    DL_APPEND2(queue->vhost->large, queue, lists->large_prev, lists->large_next);
}

void vhost_spill(struct vhost *vhost)
{
    uint64_t limit = vhost->journal->memory_limit;

    for (unsigned visits = SPILL_VISITS; visits && vhost->large && vhost->used > limit; visits--) {
        struct queue *queue = vhost->large;

        DL_DELETE2(vhost->large, queue, lists->large_prev, lists->large_next);
        if (queue->used <= vhost->settings.spill_min) {
            queue->is_large = false;
            continue;
        }
        DL_APPEND2(vhost->large, queue, lists->large_prev, lists->large_next);
        queue_spill(queue);
        if (queue == vhost->large)
            break;
    }
}

/* ---- coming back ---- */

static void run_fetch(struct queue *queue, struct run *run, uint64_t *wanted, bool is_departure)
{
    struct journal *journal = queue->vhost->journal;
    struct journal_fetch *fetch = xcalloc(1, sizeof *fetch);

    fetch->run = run;
    fetch->is_departure = is_departure;
    fetch->wanted = wanted;
    fetch->messages = xmalloc(run->messages * sizeof *fetch->messages);
    run->flags |= is_departure ? RUN_LOOKING : RUN_LOADING;
    journal->ops->fetch(journal, fetch);
}

static void run_call_back(struct queue *queue, struct run *run)
{
    size_t size = run_words(run->span) * sizeof(uint64_t);

    if (run->flags & RUN_LOADING || !run->away_count)
        return;
    run_fetch(queue, run, memcpy(xmalloc(size), run_away(run), size), false);
}

/* The level that the head is of. */
static struct level *head_level(struct queue *queue)
{
    int word = 3;

    if (!queue->levels)
        return &queue->base;
    while (!queue->levels->ready[word])
        word--;
    return queue->levels->at[word * 64 + 63 - __builtin_clzll(queue->levels->ready[word])];
}

void queue_call_back(struct queue *queue)
{
    struct level *level = head_level(queue);

    level_first_away(level);
    run_call_back(queue, level->kept->runs[level->kept->first_away]);
}

void queue_read_ahead(struct queue *queue)
{
    struct level *level;
    uint32_t at, end;

    if (!queue->away)
        return;
    level = head_level(queue);
    at = head_run(level);
    end = at + READ_AHEAD + 1;
    for (; at < end && at < level->kept->run_count; at++)
        run_call_back(queue, level->kept->runs[at]);
}

/* What is at BIT of RUN, with a body of BODY_SIZE or about, is away no more. Returns the octets that RUN
 * counted for it. */
static uint64_t uncount_away(struct run *run, uint64_t bit, uint64_t body_size)
{
    uint64_t counted = body_size < run->away_bytes && run->away_count > 1 ? body_size : run->away_bytes;

    run_away(run)[bit / 64] &= ~((uint64_t)1 << bit % 64);
    run->away_count--;
    run->away_bytes -= counted;
    return counted;
}

/* MESSAGE of RUN is in memory again, if it is still wanted. Takes over the reference. */
static void run_bring(struct queue *queue, struct level *level, struct run *run, struct run_message *message)
{
    uint64_t bit = message->number - run->first;
    const struct run_return *returned;

    if (bit >= run->span || !run_bit(run_away(run), bit)) { /* purged or expired meanwhile */
        message_unref(message->message);
        return;
    }
    returned = find_return(run, (uint32_t)bit);
    if (returned) {
        message->redelivered = true;
        message->delivery_count = returned->delivery_count;
    }
    if (message->number < level->kept->redelivered_below)
        message->redelivered = true;
    /* What a run found at the start knows of its octets is about right; what is in memory is exact. */
    queue->ready_bytes += message->message->body_size - uncount_away(run, bit, message->message->body_size);
    entry_bring(queue, level, (struct place){run->level, message->number}, message);
}

/* MESSAGE of RUN, which was due, is here: it dies. Takes over the reference. */
static void run_depart(struct queue *queue, struct run *run, struct run_message *message)
{
    struct place place = {run->level, message->number};
    bool lasts = queue->durable && !message->is_transient;

    queue->departing--;
    if (!deadletter_send(queue, message->message, place, lasts, DEATH_EXPIRED) || !lasts) {
        if (lasts)
            journal_settlement(queue, place);
        run_settle(queue, place);
    }
    message_unref(message->message);
}

static void fetch_free(struct journal_fetch *fetch)
{
    free(fetch->wanted);
    free(fetch->messages);
    free(fetch);
}

/* Messages of QUEUE that were away have come or gone: another may be the head. Consumers come before gets, as
 * always.
 */
static void head_changed(struct queue *queue)
{
    queue_dispatch(queue);
    gate_called_back(queue);
    queue_reschedule(queue);
    queue_relieve(queue);
}

static void take_fetched(struct queue *queue, struct journal_fetch *fetch)
{
    struct run *run = fetch->run;

    if (fetch->failed) {
        queue_break(queue);
        return;
    }
    for (uint32_t i = 0; i < fetch->count; i++) {
        /* The last one to depart may take the run with it, or what its death does the queue. */
        if (run->flags & RUN_DROPPED)
            message_unref(fetch->messages[i].message);
        else if (fetch->is_departure)
            run_depart(queue, run, &fetch->messages[i]);
        else
            run_bring(queue, queue_level(queue, run->level), run, &fetch->messages[i]);
    }
    if (!(run->flags & RUN_DROPPED)) {
        if (!run->away_count)
            run->next_deadline = VHOST_NEVER;
        queue_timer_add_run(queue, run);
    }
}

void queue_fetched(struct vhost *vhost, struct journal_fetch *fetch)
{
    struct run *run = fetch->run;
    struct queue *queue = run->queue;
    uint8_t mine = fetch->is_departure ? RUN_LOOKING : RUN_LOADING;

    if (queue) {
        take_fetched(queue, fetch);
    } else {
        free_messages(fetch->messages, fetch->count);
    }
    run->flags &= (uint8_t)~mine;
    if (run->flags & RUN_DROPPED && !(run->flags & (RUN_LOADING | RUN_LOOKING | RUN_MOVING)))
        run_free(vhost, run);
    fetch_free(fetch);
    if (queue)
        head_changed(queue);
}

/* ---- dying while away ---- */

void run_due(struct queue *queue, struct run *run)
{
    struct journal *journal = queue->vhost->journal;
    struct journal_look *look;

    if (run->flags & RUN_LOOKING)
        return;
    look = xmalloc(sizeof *look);
    look->run = run;
    look->place = run->place;
    look->failed = false;
    look->from = run->due_from;
    look->count = 0;
    run->flags |= RUN_LOOKING;
    journal->ops->look(journal, look);
}

/* The message of RUN that is DUE is ready no more: it goes now, or when it is here to be a dead letter. */
static void let_die(struct queue *queue, struct run *run, const struct run_due *due, uint64_t **wanted)
{
    uint64_t bit = due->number - run->first;
    struct place place = {run->level, due->number};
    bool lasts = run->flags & RUN_LASTS && (!(run->flags & RUN_MIXED) || run_bit(run_lasting(run), bit));

    count_away_unready(queue, place, uncount_away(run, bit, due->body_size));
    if (queue->options.has_dead_letter_exchange) {
        if (!*wanted)
            *wanted = xcalloc(run_words(run->span), sizeof(uint64_t));
        (*wanted)[bit / 64] |= (uint64_t)1 << bit % 64;
        queue->departing++;
        return;
    }
    if (lasts)
        journal_settlement(queue, place);
    run_settle(queue, place);
}

/* Go through LOOK. Returns the messages to be fetched, or NULL. */
static uint64_t *take_due(struct queue *queue, struct journal_look *look)
{
    struct run *run = look->run;
    uint64_t *wanted = NULL;

    /* Written again elsewhere meanwhile: the list is another one now. */
    if (look->place.file != run->place.file || look->place.offset != run->place.offset)
        return NULL;
    run->next_deadline = look->count < JOURNAL_LOOK_MAX ? VHOST_NEVER : queue->vhost->now + 1;
    for (uint32_t i = 0; i < look->count && !(run->flags & RUN_DROPPED); i++) {
        uint64_t bit = look->due[i].number - run->first;

        if (look->due[i].deadline > queue->vhost->now) {
            run->next_deadline = look->due[i].deadline;
            break;
        }
        run->due_from = look->from + i + 1;
        if (bit < run->span && run_bit(run_away(run), bit))
            let_die(queue, run, &look->due[i], &wanted);
    }
    return wanted;
}

void queue_looked(struct vhost *vhost, struct journal_look *look)
{
    struct run *run = look->run;
    struct queue *queue = run->queue;
    uint64_t *wanted = NULL;

    if (queue && look->failed) {
        run->next_deadline = VHOST_NEVER;
        queue_break(queue);
    } else if (queue) {
        wanted = take_due(queue, look);
    }
    run->flags &= (uint8_t)~RUN_LOOKING;
    if (wanted)
        run_fetch(queue, run, wanted, true);
    else if (!(run->flags & RUN_DROPPED))
        queue_timer_add_run(queue, run);
    else if (!(run->flags & (RUN_LOADING | RUN_MOVING)))
        run_free(vhost, run);
    free(look);
    if (queue)
        head_changed(queue);
}

/* ---- all at once ---- */

void runs_purge(struct queue *queue, struct level *level)
{
    if (!level->kept->run_count)
        return;
    for (uint32_t at = level->kept->run_count; at-- > 0;) {
        struct run *run = level->kept->runs[at];

        if (!run->away_count)
            continue;
        for (uint32_t word = 0; word < run_words(run->span); word++) {
            run_live(run)[word] &= ~run_away(run)[word];
            run_away(run)[word] = 0;
        }
        queue->ready -= run->away_count;
        queue->ready_bytes -= run->away_bytes;
        queue->away -= run->away_count;
        level->away -= run->away_count;
        level->ready -= run->away_count;
        run->live_count -= run->away_count;
        run->away_count = 0;
        run->away_bytes = 0;
        queue_timer_add_run(queue, run);
        if (run->live_count)
            run_changed(queue, run);
        else
            level_remove_run(queue, level, at);
    }
    level->kept->first_away = 0;
    if (!level->ready && queue->levels) {
        unsigned number = 0;

        while (queue->levels->at[number] != level)
            number++;
        queue->levels->ready[number / 64] &= ~((uint64_t)1 << number % 64);
    }
}

void runs_forget(struct queue *queue, struct level *level)
{
    struct run **runs = level->kept->runs;

    level->away = 0;
    if (!level->kept->run_count)
        return;
    for (uint32_t at = 0; at < level->kept->run_count; at++) {
        runs[at]->timer = 0; /* all of the queue's timers go */
        run_retire(queue, runs[at]);
    }
    free(runs);
    level->kept->runs = NULL;
    level->kept->run_count = level->kept->run_capacity = level->kept->first_away = 0;
}

/* ---- what was delivered ---- */

void queue_write_mark(struct queue *queue, struct level *level, uint8_t number)
{
    level->kept->mark_lsn = journal_append(queue->vhost->journal,
                                           &(struct journal_record){.kind = JOURNAL_DELIVERED,
                                                                    .relaxed = queue->options.relaxed,
                                                                    .queue = queue->lsn,
                                                                    .position = {number, level->kept->mark}});
    queue_touched(queue);
}

void queue_count_delivery(struct queue *queue, struct place place, const struct entry *entry)
{
    if (place.number < queue_level(queue, place.level)->kept->saved)
        run_returned(queue, place, entry->delivery_count + 1);
    journal_append(queue->vhost->journal,
                   &(struct journal_record){.kind = JOURNAL_REDELIVERY,
                                            .relaxed = queue->options.relaxed,
                                            .queue = queue->lsn,
                                            .position = {place.level, place.number},
                                            .delivery_count = entry->delivery_count + 1});
}

void queue_extend_mark(struct queue *queue, struct level *level, struct place place)
{
    level_keeps(level);
    level->kept->mark = place.number + DELIVERED_STEP;
    queue_write_mark(queue, level, place.level);
}

uint64_t queue_promise_marks(struct queue *queue)
{
    uint64_t lsn = 0;

    for (unsigned i = 0; queue->durable && i <= (queue->levels ? queue->options.max_priority : 0U); i++) {
        struct level *level = queue_level(queue, (uint8_t)i);
        uint64_t head, away;

        if (!level)
            continue;
        head = level->ready > level->away ? seqmap_first_ready(&level->entries) : level->next;
        away = level->away ? level_first_away(level) : head;
        if (away < head)
            head = away;
        if (head + DELIVERED_STEP / 2 >= level->kept->mark)
            queue_extend_mark(queue, level, (struct place){(uint8_t)i, head});
        if (level->kept->mark_lsn > lsn)
            lsn = level->kept->mark_lsn;
    }
    return lsn;
}

/* ---- the checkpoint: checkpoint.h ---- */

void queue_touched(struct queue *queue)
{
    if (queue->is_touched || !queue->durable)
        return;
    queue->is_touched = true;
    need_lists(queue);
    DL_APPEND2(queue->vhost->touched, queue, lists->touched_prev, lists->touched_next);
}

void queue_note_unsaved(struct queue *queue, const struct entry *entry)
{
    queue_touched(queue);
    if (queue->is_unsaved)
        return;
    queue->is_unsaved = true;
    queue->oldest_era = entry->era;
    need_lists(queue);
    DL_APPEND2(queue->vhost->unsaved, queue, lists->unsaved_prev, lists->unsaved_next);
}

void queue_leave_lists(struct queue *queue)
{
    struct vhost *vhost = queue->vhost;

    if (queue->is_touched)
        DL_DELETE2(vhost->touched, queue, lists->touched_prev, lists->touched_next);
    if (queue->is_unsaved)
        DL_DELETE2(vhost->unsaved, queue, lists->unsaved_prev, lists->unsaved_next);
    if (queue->is_large)
        DL_DELETE2(vhost->large, queue, lists->large_prev, lists->large_next);
    queue->is_touched = queue->is_unsaved = queue->is_large = false;
}

/* Hand to the journal what QUEUE has of ERA and older. True while some of it is not written. */
static bool save_old(struct queue *queue, uint16_t era)
{
    bool under_way = false, any = false;
    uint16_t oldest = 0;

    for (unsigned i = 0; i <= (queue->levels ? queue->options.max_priority : 0U); i++) {
        struct level *level = queue_level(queue, (uint8_t)i);
        uint64_t number;

        if (!level)
            continue;
        while (level_save(queue, level, (uint8_t)i, era, false))
            continue;
        under_way |= level->kept->saves > 0;
        number =
            seqmap_next_live(&level->entries, level->kept->saving > level->kept->saved ? level->kept->saving
                                                                                       : level->kept->saved);
        if (number != SEQMAP_END) {
            const struct entry *entry = seqmap_get(&level->entries, number);

            if (!any || (int16_t)(entry->era - oldest) < 0)
                oldest = entry->era;
            any = true;
        }
    }
    if (under_way || (any && (int16_t)(oldest - era) <= 0))
        return true;
    DL_DELETE2(queue->vhost->unsaved, queue, lists->unsaved_prev, lists->unsaved_next);
    queue->is_unsaved = any;
    queue->oldest_era = oldest;
    if (any)
        DL_APPEND2(queue->vhost->unsaved, queue, lists->unsaved_prev, lists->unsaved_next);
    return false;
}

bool vhost_save_old(struct vhost *vhost, uint16_t era)
{
    struct queue *queue, *next;
    bool pending = false;

    /* A dead letter's original has no entry any more, but the journal is all that still knows it. */
    if (vhost->dead_letters)
        return true;
    DL_FOREACH_SAFE2(vhost->unsaved, queue, next, lists->unsaved_next)
    {
        if (vhost->saves > CHECKPOINT_SAVES_MAX)
            return true;
        if ((int16_t)(queue->oldest_era - era) <= 0)
            pending |= save_old(queue, era);
    }
    return pending;
}

static void put_state(struct buffer *out, const struct level *level, uint8_t number)
{
    uint8_t *p = buffer_reserve(out, QUEUE_STATE_LEVEL);

    p = put_u8(p, number);
    p = put_u64(p, level->next);
    p = put_u64(p, level->kept->saved);
    p = put_u64(p, level->kept->mark);
    put_u64(p, level->kept->redelivered_below);
    out->size += QUEUE_STATE_LEVEL;
}

static void capture_state(struct queue *queue, const struct checkpoint_sink *sink)
{
    struct buffer state = {0};

    for (unsigned i = 0; i <= (queue->levels ? queue->options.max_priority : 0U); i++)
        if (queue_level(queue, (uint8_t)i))
            put_state(&state, queue_level(queue, (uint8_t)i), (uint8_t)i);
    sink->state(sink->context, queue->lsn, buffer_bytes(&state));
    buffer_free(&state);
}

bool vhost_capture_states(struct vhost *vhost, const struct checkpoint_sink *sink, unsigned budget)
{
    if (vhost->dead_letters) /* as in vhost_save_old(): `saved` may have passed over an original */
        return true;
    for (; budget && vhost->touched; budget--) {
        struct queue *queue = vhost->touched;

        DL_DELETE2(vhost->touched, queue, lists->touched_prev, lists->touched_next);
        queue->is_touched = false;
        capture_state(queue, sink);
    }
    return vhost->touched;
}

void vhost_capture_runs(struct vhost *vhost, const struct checkpoint_sink *sink)
{
    while (vhost->changed_runs) {
        struct run *run = vhost->changed_runs;

        DL_DELETE2(vhost->changed_runs, run, changed_prev, changed_next);
        run->flags &= (uint8_t)~RUN_CHANGED;
        sink->run(sink->context, run);
    }
}

/* ---- moving: the store writes runs again elsewhere ---- */

static bool may_move(const struct run *run, uint32_t file, bool lasts)
{
    return run->place.file == file && (run->flags & RUN_LASTS ? lasts : !lasts) &&
           !(run->flags & (RUN_LOADING | RUN_LOOKING | RUN_MOVING));
}

static void move_level_runs(struct level *level, uint32_t file, bool lasts,
                            const struct checkpoint_sink *sink)
{
    for (uint32_t at = 0; at < level->kept->run_count; at++) {
        if (!may_move(level->kept->runs[at], file, lasts))
            continue;
        level->kept->runs[at]->flags |= RUN_MOVING;
        sink->run(sink->context, level->kept->runs[at]);
    }
}

void vhost_move_runs(struct vhost *vhost, uint32_t file, bool lasts, const struct checkpoint_sink *sink)
{
    struct queue *queue, *next;

    HASH_ITER (hh, vhost->queues, queue, next) {
        for (unsigned i = 0; i <= (queue->levels ? queue->options.max_priority : 0U); i++)
            if (queue_level(queue, (uint8_t)i))
                move_level_runs(queue_level(queue, (uint8_t)i), file, lasts, sink);
    }
}

bool run_moved(struct vhost *vhost, struct run *run, const struct run_place *place, uint32_t messages)
{
    run->flags &= (uint8_t)~RUN_MOVING;
    if (run->flags & RUN_DROPPED) {
        if (!(run->flags & (RUN_LOADING | RUN_LOOKING)))
            run_free(vhost, run);
        return false;
    }
    if (place) {
        run->place = *place;
        run->messages = messages;
        run->due_from = 0;
        run_changed(run->queue, run);
    }
    return true;
}

/* ---- before the start: restore.c ---- */

bool run_restore(struct queue *queue, struct level *level, const struct restored_run *spec)
{
    uint64_t end = spec->first + spec->span;
    const struct run *last = level->kept->run_count ? level->kept->runs[level->kept->run_count - 1] : NULL;
    struct run *run;

    if (!spec->span || spec->span > RUN_SPAN_MAX || !spec->messages || spec->messages > RUN_MESSAGES_MAX ||
        end < spec->first || (last && last->first + last->span > spec->first))
        return false;
    level_keeps(level);
    run = xcalloc(1, sizeof *run + 2 * run_words(spec->span) * sizeof(uint64_t));
    run->first = spec->first;
    run->span = spec->span;
    run->messages = spec->messages;
    run->level = spec->level;
    run->flags = RUN_LASTS | RUN_LISTED | RUN_CHANGED; /* so that adding it does not list it as changed */
    run->place = spec->place;
    run->queue_id = queue->lsn;
    run->next_deadline = run->deadline = spec->next_deadline;
    memcpy(run_live(run), spec->live, run_words(spec->span) * sizeof(uint64_t));
    memcpy(run_away(run), spec->live, run_words(spec->span) * sizeof(uint64_t));
    for (uint32_t word = 0; word < run_words(spec->span); word++)
        run->live_count += (uint32_t)__builtin_popcountll(spec->live[word]);
    if (run->live_count > spec->messages ||
        (spec->span % 64 && run_live(run)[spec->span / 64] >> spec->span % 64)) {
        free(run);
        return false;
    }
    run->away_count = run->live_count;
    run->bytes = spec->body_bytes;
    run->away_bytes = spec->body_bytes * run->live_count / spec->messages;
    if (spec->return_count) {
        run->returns = xmemdup(spec->returns, spec->return_count * sizeof *run->returns);
        run->return_count = run->return_capacity = spec->return_count;
    }
    if (level->kept->saved < end)
        level->kept->saved = end;
    if (level->next < end)
        level->next = end;
    if (!run->live_count) { /* what was live in it has not outlived the node */
        run->flags &= (uint8_t)~RUN_CHANGED;
        run_retire(queue, run);
        return true;
    }
    level_add_run(queue, level, run);
    run->flags &= (uint8_t)~RUN_CHANGED;
    count_away_ready(queue, level, run);
    queue_timer_add_run(queue, run);
    return true;
}

void runs_forget_range(struct queue *queue, struct level *level, uint64_t from, uint64_t below)
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

            count_away_unready(queue, place, uncount_away(run, number - run->first, about));
            run_settle(queue, place);
        }
        number++;
    }
}
