/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, time: messages leave when their time comes, wherever they stand; unused queues expire.
 *
 * A message whose deadline is not before any predecessor's needs no timer of its own: when it is due it is
 * the head, since its predecessors were due before it. The others have a place in queue->timers, a heap; so
 * has every message of a priority queue, where order of arrival says nothing about the head.
 *
 * The vhost's heap holds each queue at a time that is not later than needed: taking messages never moves it;
 * coming too early costs one look.
 */
#include <stdlib.h>

#include "coney/xalloc.h"
#include "vhost_fields.h"

int64_t queue_message_deadline(const struct queue *queue, const struct message *message)
{
    int64_t ttl = queue->options.message_ttl;

    if (message->ttl_ms != MESSAGE_NO_TTL && (ttl == QUEUE_OPTION_NONE || message->ttl_ms < ttl))
        ttl = message->ttl_ms;
    if (ttl == QUEUE_OPTION_NONE)
        return VHOST_NEVER;
    /* The clock counts whole milliseconds: now may be nearly over. Late by one rather than early by one; but
     * a TTL of 0 is over at once. */
    return queue->vhost->now + ttl + (ttl > 0);
}

/* ---- heap of queue->timers; an entry knows its place + 1 ---- */

static void timer_put(struct queue *queue, uint32_t at, struct timer timer)
{
    queue->timers[at] = timer;
    if (timer.run)
        timer.run->timer = at + 1;
    else
        queue_entry(queue, timer.place)->timer = at + 1;
}

static void timer_up(struct queue *queue, uint32_t at, struct timer timer)
{
    while (at && timer.deadline < queue->timers[(at - 1) / 2].deadline) {
        timer_put(queue, at, queue->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    timer_put(queue, at, timer);
}

static void timer_down(struct queue *queue, uint32_t at, struct timer timer)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= queue->timer_count)
            break;
        if (child + 1 < queue->timer_count &&
            queue->timers[child + 1].deadline < queue->timers[child].deadline)
            child++;
        if (queue->timers[child].deadline >= timer.deadline)
            break;
        timer_put(queue, at, queue->timers[child]);
        at = child;
    }
    timer_put(queue, at, timer);
}

static void timer_push(struct queue *queue, struct timer timer)
{
    if (queue->timer_count == queue->timer_capacity) {
        queue->timer_capacity = queue->timer_capacity ? queue->timer_capacity * 2 : 16;
        queue->timers = xrealloc(queue->timers, queue->timer_capacity * sizeof *queue->timers);
    }
    queue->timer_count++;
    timer_up(queue, queue->timer_count - 1, timer);
}

void queue_timer_remove(struct queue *queue, uint32_t timer)
{
    uint32_t at = timer - 1;
    struct timer last;

    if (queue->timers[at].run)
        queue->timers[at].run->timer = 0;
    else
        queue_entry(queue, queue->timers[at].place)->timer = 0;
    last = queue->timers[--queue->timer_count];
    if (at == queue->timer_count)
        return;
    if (at && last.deadline < queue->timers[(at - 1) / 2].deadline)
        timer_up(queue, at, last);
    else
        timer_down(queue, at, last);
}

void queue_timer_add(struct queue *queue, struct place place, struct entry *entry)
{
    bool returned =
        entry->flags & ENTRY_REDELIVERED || place.number < queue_level(queue, place.level)->kept->saved;

    if (entry->deadline == VHOST_NEVER) {
        queue->deadline_max = VHOST_NEVER;
        return;
    }
    /* An entry that came back, or back into memory, stands before others that were measured against it when
     * they came. */
    if (queue->levels || returned || entry->deadline < queue->deadline_max)
        timer_push(queue, (struct timer){.deadline = entry->deadline, .place = place});
    else
        queue->deadline_max = entry->deadline;
    queue_reschedule(queue);
}

void queue_timer_add_run(struct queue *queue, struct run *run)
{
    if (run->timer)
        queue_timer_remove(queue, run->timer);
    if (run->next_deadline == VHOST_NEVER || !run->away_count)
        return;
    timer_push(queue, (struct timer){.deadline = run->next_deadline, .run = run});
    queue_reschedule(queue);
}

/* When the head must leave, if the head's timer is what sees to it. */
static int64_t head_deadline(struct queue *queue)
{
    struct place place;
    struct entry *entry;

    if (queue->levels || queue_head(queue, &place, &entry) != HEAD_HERE)
        return VHOST_NEVER;
    return entry->deadline;
}

static int64_t lease_deadline(const struct queue *queue)
{
    if (queue->options.expires == QUEUE_OPTION_NONE || queue->consumer_count)
        return VHOST_NEVER;
    return queue->unused_since + queue->options.expires + 1; /* as queue_message_deadline() */
}

static int64_t next_deadline(struct queue *queue)
{
    int64_t next = lease_deadline(queue);
    int64_t head = head_deadline(queue);

    if (head < next)
        next = head;
    if (queue->timer_count && queue->timers[0].deadline < next)
        next = queue->timers[0].deadline;
    return next;
}

void queue_reschedule(struct queue *queue)
{
    int64_t next = next_deadline(queue);

    if (next != VHOST_NEVER && (!queue->heap_place || next < queue->deadline))
        vhost_schedule(queue->vhost, queue, next);
}

/* Messages that leave in one go; more wait for the next turn, so that a mass expiry stalls nobody. */
#define EXPIRE_SLICE 2000

static void expire_messages(struct queue *queue)
{
    int64_t now = queue->vhost->now;
    unsigned budget = EXPIRE_SLICE;
    struct place place;
    struct entry *entry;

    while (budget && queue->timer_count && queue->timers[0].deadline <= now) {
        struct run *run = queue->timers[0].run;

        place = queue->timers[0].place;
        if (run) {
            queue_timer_remove(queue, run->timer);
            run_due(queue, run);
        } else {
            queue_expire_entry(queue, place, queue_entry(queue, place));
        }
        budget--;
    }
    while (budget && queue_head(queue, &place, &entry) == HEAD_HERE && entry->deadline <= now) {
        queue_expire_entry(queue, place, entry);
        budget--;
    }
}

void queue_time_has_come(struct queue *queue)
{
    int64_t next;

    if (lease_deadline(queue) <= queue->vhost->now) {
        queue_delete(queue);
        return;
    }
    expire_messages(queue);
    next = next_deadline(queue);
    /* What is left over of a mass expiry waits for the next turn. */
    if (next <= queue->vhost->now)
        next = queue->vhost->now + 1;
    vhost_schedule(queue->vhost, queue, next);
    queue_relieve(queue);
}
