/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, fetching: messages that are away come back into memory.
 *
 * A run whose messages will soon be the head is asked for; all that is away of it comes back at once. Those
 * of its messages that are to be dead letters are asked for in the same way, but leave at once (queue_due.c).
 *
 * Invariants:
 * 1. One fetch of a run is under way at a time to bring it back (RUN_LOADING), and one to let some of it go
 *    (RUN_LOOKING).
 * 2. What was purged, expired or forgotten while it was read does not come back.
 * 3. A read fails for good only where the run is: one that was written again elsewhere meanwhile
 * (queue_move.c) is read again there.
 */
#include <stdlib.h>
#include <string.h>

#include "coney/checkpoint.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "queue_runs.h"
#include "vhost_fields.h"

uint32_t level_head_run(struct level *level)
{
    uint64_t here = seqmap_first_ready(&level->entries), away = level_first_away(level);

    return run_index(level, here < away ? here : away);
}

/* Ask for FETCH where its run is now. */
static void fetch_ask(struct vhost *vhost, struct journal_fetch *fetch)
{
    fetch->place = fetch->run->place;
    fetch->room = fetch->run->messages; /* never more than when it was made */
    fetch->failed = false;
    fetch->count = 0;
    vhost->journal->ops->fetch(vhost->journal, fetch);
}

void run_fetch(struct queue *queue, struct run *run, uint64_t *wanted, bool is_departure)
{
    struct journal_fetch *fetch = xcalloc(1, sizeof *fetch);

    fetch->run = run;
    fetch->is_departure = is_departure;
    fetch->wanted = wanted;
    fetch->messages = xmalloc(run->messages * sizeof *fetch->messages);
    run->flags |= is_departure ? RUN_LOOKING : RUN_LOADING;
    fetch_ask(queue->vhost, fetch);
}

void run_call_back(struct queue *queue, struct run *run)
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
    at = level_head_run(level);
    end = at + READ_AHEAD + 1;
    for (; at < end && at < level->kept->run_count; at++)
        run_call_back(queue, level->kept->runs[at]);
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
    returned = run_return_of(run, (uint32_t)bit);
    if (returned) {
        message->redelivered = true;
        message->delivery_count = returned->delivery_count;
    }
    if (message->number < level->kept->redelivered_below)
        message->redelivered = true;
    /* What a run found at the start knows of its octets is about right; what is in memory is exact. */
    queue->ready_bytes +=
        message->message->body_size - run_uncount_away(run, bit, message->message->body_size);
    entry_bring(queue, level, (struct place){run->level, message->number}, message);
}

static void fetch_free(struct journal_fetch *fetch)
{
    free(fetch->wanted);
    free(fetch->messages);
    free(fetch);
}

void queue_head_changed(struct queue *queue)
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

    if (queue && fetch->failed && !run_place_equal(&fetch->place, &run->place)) {
        fetch_ask(vhost, fetch);
        return;
    }
    if (queue) {
        take_fetched(queue, fetch);
    } else {
        run_messages_unref(fetch->messages, fetch->count);
    }
    run_answered(vhost, run, fetch->is_departure ? RUN_LOOKING : RUN_LOADING);
    fetch_free(fetch);
    if (queue)
        queue_head_changed(queue);
}
