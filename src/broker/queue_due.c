/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, dying while away: messages of a run reach their deadline without having come back.
 *
 * A run's place in the queue's heap of timers is that of the earliest deadline in it. When it comes, the
 * run's list by deadline is looked at. What is due leaves at once; or, if it is to be a dead letter, stops
 * being ready, is read, and leaves then.
 *
 * Invariants:
 * 1. queue->departing counts those that are live in their run but neither ready nor unacked: being read to
 *    leave.
 * 2. run->due_from never passes over a message that is not due yet.
 */
#include <stdlib.h>

#include "coney/checkpoint.h"
#include "coney/death.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "count.h"
#include "queue_runs.h"
#include "vhost_fields.h"

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

    count_away_unready(queue, place, run_uncount_away(run, bit, due->body_size));
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

    /* Of a run that was written again elsewhere meanwhile the list is another one now: it is looked at in its
     * turn. */
    if (queue && run_place_equal(&look->place, &run->place)) {
        if (!look->failed) {
            wanted = take_due(queue, look);
        } else {
            run->next_deadline = VHOST_NEVER;
            queue_break(queue);
        }
    }
    /* A run with something in it that is wanted is not dropped. */
    if (run_answered(vhost, run, RUN_LOOKING)) {
        if (wanted)
            run_fetch(queue, run, wanted, true);
        else
            queue_timer_add_run(queue, run);
    }
    free(look);
    if (queue)
        queue_head_changed(queue);
}

void run_depart(struct queue *queue, struct run *run, struct run_message *message)
{
    struct place place = {run->level, message->number};
    bool lasts = queue->durable && !message->is_transient;

    queue->departing--;
    count_death(queue, DEATH_EXPIRED);
    if (!deadletter_send(queue, message->message, place, lasts, DEATH_EXPIRED) || !lasts) {
        if (lasts)
            journal_settlement(queue, place);
        run_settle(queue, place);
    }
    message_unref(message->message);
}
