/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, consumers: who gets the next message (publish-consume-ack.md 5.2, 5.3).
 *
 * The ready consumers of a queue form a list, highest priority first; among equals the one just served goes
 * to the back. A consumer leaves the list when it can take no more, and comes back, behind its equals,
 * through consumer_reconsider(), which is called wherever a reason against it may have gone: a settlement, a
 * changed prefetch, a drained connection, a released consume-ok, a new active consumer.
 */
#include <stdlib.h>
#include <utlist.h>

#include "count.h"
#include "events.h"
#include "vhost_fields.h"

static bool has_room(const struct consumer *consumer)
{
    const struct channel *channel = consumer->channel;

    if (!consumer->no_ack &&
        ((consumer->prefetch && consumer->unacked >= consumer->prefetch) || channel_is_full(channel)))
        return false;
    /* A global limit used up by others stalls no-ack consumers too (publish-consume-ack.md 4). */
    return !channel->prefetch_global || channel->unacked_global < channel->prefetch_global ||
           consumer->queue->options.type == QUEUE_QUORUM;
}

static inline bool is_congested(const struct connection *connection)
{
    return connection->unsent >= connection->vhost->settings.unsent_max;
}

static void set_congested(struct consumer *consumer, bool congested)
{
    struct connection *connection = consumer->channel->connection;

    if (consumer->is_congested == congested)
        return;
    consumer->is_congested = congested;
    if (congested) {
        DL_APPEND2(connection->congested, consumer, blocked_prev, blocked_next);
        consumer->queue->congested_count++;
        connection_hold(connection, OUTBOX_HOLD_CREDIT, false); /* see queue_charge() */
    } else {
        DL_DELETE2(connection->congested, consumer, blocked_prev, blocked_next);
        if (--consumer->queue->congested_count == 0)
            queue_relieve(consumer->queue);
    }
}

/* Tell whether CONSUMER could take a message now; one whose connection alone is the reason against it waits
 * for that to drain. */
static bool can_take(struct consumer *consumer)
{
    struct channel *channel = consumer->channel;
    bool willing = !consumer->is_suspended && channel->state == CHANNEL_OPEN && has_room(consumer) &&
                   (!consumer->queue->options.single_active || consumer->queue->active == consumer);
    bool congested = willing && is_congested(channel->connection);

    set_congested(consumer, congested);
    return willing && !congested;
}

/* Behind those of equal or higher priority. */
static void ready_insert(struct queue *queue, struct consumer *consumer)
{
    struct consumer *after = queue->ready_consumers ? queue->ready_consumers->ready_prev : NULL;

    if (!after || after->priority >= consumer->priority) {
        DL_APPEND2(queue->ready_consumers, consumer, ready_prev, ready_next);
        return;
    }
    while (after != queue->ready_consumers && after->ready_prev->priority < consumer->priority)
        after = after->ready_prev;
    DL_PREPEND_ELEM2(queue->ready_consumers, after, consumer, ready_prev, ready_next);
}

static void ready_remove(struct consumer *consumer)
{
    struct queue *queue = consumer->queue;

    DL_DELETE2(queue->ready_consumers, consumer, ready_prev, ready_next);
    consumer->is_ready = false;
}

void consumer_reconsider(struct consumer *consumer)
{
    bool able = can_take(consumer);

    if (able && !consumer->is_ready) {
        consumer->is_ready = true;
        ready_insert(consumer->queue, consumer);
        if (consumer->queue->ready)
            queue_wants_dispatch(consumer->queue);
    } else if (!able && consumer->is_ready) {
        ready_remove(consumer);
    }
}

/* CONSUMER was served: to the back of its equals. */
static void rotate(struct consumer *consumer)
{
    struct queue *queue = consumer->queue;

    if (!consumer->ready_next || consumer->ready_next->priority != consumer->priority)
        return;
    DL_DELETE2(queue->ready_consumers, consumer, ready_prev, ready_next);
    ready_insert(queue, consumer);
}

static void remember_unacked(struct consumer *consumer, uint64_t tag, struct place place)
{
    struct channel *channel = consumer->channel;
    struct unacked *unacked = seqmap_add(&channel->unacked, tag);
    bool global = channel->prefetch_global && consumer->queue->options.type != QUEUE_QUORUM;

    *unacked = (struct unacked){.queue = consumer->queue,
                                .consumer = consumer,
                                .number = place.number,
                                .delivered_at = (uint32_t)(consumer->queue->vhost->now / 1000),
                                .level = place.level,
                                .counts_globally = global};
    channel_watch(channel, unacked);
    consumer->queue->refs++;
    consumer->refs++;
    consumer->unacked++;
    channel->unacked_count++;
    if (global)
        channel->unacked_global++;
}

void consumer_deliver(struct consumer *consumer, struct message *message, struct place place,
                      bool redelivered, uint32_t delivery_count)
{
    struct channel *channel = consumer->channel;
    struct connection *connection = channel->connection;
    bool quorum = consumer->queue->options.type == QUEUE_QUORUM;
    uint64_t tag = ++channel->delivery_tag;
    struct outbox_delivery *record = outbox_add(connection, OUTBOX_DELIVER, channel->number, sizeof *record,
                                                message_wire_size(message), false);

    record->record.flags =
        (uint8_t)((redelivered ? OUTBOX_REDELIVERED : 0) | (message->refs == 1 ? OUTBOX_OWNED : 0));
    record->message = message;
    record->delivery_tag = tag;
    record->consumer = consumer->number;
    record->delivery_count = quorum ? delivery_count : 0;
    count_deliver(channel, consumer->queue, consumer->no_ack, redelivered);
    if (connection->vhost->tracers)
        trace_deliver(channel, message, consumer->queue, redelivered);
    if (!consumer->no_ack)
        remember_unacked(consumer, tag, place);
    if (can_take(consumer))
        rotate(consumer);
    else
        ready_remove(consumer);
    /* This took the last room of the channel: none of its consumers can take more. */
    if (!consumer->no_ack &&
        ((channel->prefetch_global && channel->unacked_global == channel->prefetch_global) ||
         channel_is_full(channel))) {
        channel->last_turn = consumer;
        channel_reconsider_consumers(channel);
    }
}

void queue_wants_dispatch(struct queue *queue)
{
    struct vhost *vhost = queue->vhost;

    if (queue->to_dispatch || queue->is_deleted)
        return;
    queue->to_dispatch = true;
    queue->refs++;
    queue->dispatch_next = NULL;
    *vhost->dispatch_end = queue;
    vhost->dispatch_end = &queue->dispatch_next;
}

void queue_dispatch(struct queue *queue)
{
    struct place place;
    struct entry *entry;

    enum queue_head head = HEAD_NONE;

    if (queue->is_broken || queue->returning)
        return;
    queue_trim(queue);
    while (queue->ready_consumers && (head = queue_head(queue, &place, &entry)) == HEAD_HERE) {
        struct consumer *consumer = queue->ready_consumers;
        bool redelivered;
        uint32_t count;

        if (queue_head_leaves(queue, place, entry))
            continue;
        redelivered = entry->flags & ENTRY_REDELIVERED;
        count = entry->delivery_count;
        consumer_deliver(consumer, queue_take(queue, place, entry, consumer->no_ack), place, redelivered,
                         count);
    }
    if (head == HEAD_AWAY)
        queue_call_back(queue);
    if (queue->away && queue->consumer_count)
        queue_read_ahead(queue);
    queue_relieve(queue);
}

void queue_add_consumer(struct queue *queue, struct consumer *consumer)
{
    DL_APPEND(queue->consumers, consumer);
    queue->consumer_count++;
    queue->vhost->consumer_count++;
    queue->had_consumer = true;
    consumer->queue = queue;
    tell_consumer(consumer, "consumer.created");
    if (queue->options.single_active && !queue->active)
        queue->active = consumer;
    consumer_reconsider(consumer);
}

/* The waiting consumer of the highest priority, the oldest of equals (publish-consume-ack.md 5.3). */
static void choose_active(struct queue *queue)
{
    struct consumer *consumer;

    queue->active = queue->consumers;
    DL_FOREACH (queue->consumers, consumer) {
        if (consumer->priority > queue->active->priority)
            queue->active = consumer;
    }
    if (queue->active)
        consumer_reconsider(queue->active);
}

void queue_remove_consumer(struct consumer *consumer, bool *deleted)
{
    struct queue *queue = consumer->queue;

    if (deleted)
        *deleted = false;
    if (consumer->is_ready)
        ready_remove(consumer);
    set_congested(consumer, false);
    DL_DELETE(queue->consumers, consumer);
    queue->consumer_count--;
    queue->vhost->consumer_count--;
    tell_consumer(consumer, "consumer.deleted");
    consumer->queue = NULL;
    if (queue->active == consumer)
        choose_active(queue);
    if (queue->consumer_count || queue->is_deleted)
        return;
    if (queue->auto_delete && deleted) {
        queue_delete(queue);
        *deleted = true;
        return;
    }
    queue_touch(queue);
}

void consumer_unref(struct consumer *consumer)
{
    if (--consumer->refs)
        return;
    bytes_free(consumer->tag);
    free(consumer);
}
