/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credit: publishers are slowed only while a queue has a consumer with room that can't keep up. That is one
 * whose connection has more unsent than it may, or one that keeps making room by settling what it has:
 * between two of its acks it is at its prefetch, but it is not idle. With no consumer, or with all at their
 * prefetch and silent, the queue buffers.
 *
 * A slowed publisher is remembered by its id, so that its going needs no search; connection->slowed_by counts
 * the queues that hold it. While a queue holds any it is on vhost->slowing, and looked at every few
 * milliseconds, since a consumer that falls silent gives no other sign.
 */
#include <stdlib.h>
#include <utlist.h>

#include "coney/xalloc.h"
#include "vhost_fields.h"

/* Ready messages at which a queue lets its publishers go on. */
#define READY_LOW       1024
#define READY_BYTES_LOW (READY_BYTES_HIGH / 4)

/* How long a settlement counts as a sign of a consumer that keeps making room. */
#define ROOM_FRESH_MS 5

static bool has_eager_consumer(const struct queue *queue)
{
    return queue->congested_count ||
           (queue->consumer_count && queue->vhost->now - queue->room_seen <= ROOM_FRESH_MS);
}

static bool is_slowed(const struct queue *queue, uint64_t id)
{
    for (uint32_t i = 0; i < queue->slowed_count; i++)
        if (queue->slowed[i] == id)
            return true;
    return false;
}

void queue_charge(struct queue *queue, struct connection *connection)
{
    /* Who does not read is not kept from writing: it may write before it reads. */
    if (connection->congested || !has_eager_consumer(queue))
        return;
    if (is_slowed(queue, connection->id)) {
        connection_hold(connection, OUTBOX_HOLD_CREDIT, true);
        return;
    }
    if (queue->slowed_count == queue->slowed_capacity) {
        queue->slowed_capacity = queue->slowed_capacity ? queue->slowed_capacity * 2 : 4;
        queue->slowed = xrealloc(queue->slowed, queue->slowed_capacity * sizeof *queue->slowed);
    }
    if (queue->slowed_count == 0)
        DL_APPEND2(queue->vhost->slowing, queue, slowing_prev, slowing_next);
    queue->slowed[queue->slowed_count++] = connection->id;
    connection->slowed_by++;
    connection_hold(connection, OUTBOX_HOLD_CREDIT, true);
}

void queue_relieve(struct queue *queue)
{
    if (queue->slowed_count == 0 || (!queue->is_deleted && has_eager_consumer(queue) &&
                                     (queue->ready > READY_LOW || queue->ready_bytes > READY_BYTES_LOW)))
        return;
    for (uint32_t i = 0; i < queue->slowed_count; i++) {
        struct connection *connection = connection_find(queue->vhost, queue->slowed[i]);

        if (connection && --connection->slowed_by == 0)
            connection_hold(connection, OUTBOX_HOLD_CREDIT, false);
    }
    queue->slowed_count = 0;
    DL_DELETE2(queue->vhost->slowing, queue, slowing_prev, slowing_next);
}

/* Octets in queues at which publishers are held while some of it is being written out, and at which they go
 * on: parts of the limit. */
static uint64_t used_high(uint64_t limit)
{
    return limit + limit / 4;
}

static uint64_t used_low(uint64_t limit)
{
    return limit + limit / 8;
}

/* Where nothing is being written out, waiting would not help: what is left is unacked, or the disk is full.
 */
static bool is_pressed(const struct vhost *vhost, uint64_t (*bound)(uint64_t limit))
{
    uint64_t limit = vhost->journal->memory_limit;

    if (vhost->journal->is_behind)
        return true;
    return vhost->saves && limit < UINT64_MAX / 2 && vhost->used > bound(limit);
}

static void hold(struct vhost *vhost, struct connection *connection)
{
    for (uint32_t i = 0; i < vhost->held_count; i++)
        if (vhost->held[i] == connection->id)
            return;
    if (vhost->held_count == vhost->held_capacity) {
        vhost->held_capacity = vhost->held_capacity ? vhost->held_capacity * 2 : 16;
        vhost->held = xrealloc(vhost->held, vhost->held_capacity * sizeof *vhost->held);
    }
    vhost->held[vhost->held_count++] = connection->id;
    connection_hold(connection, OUTBOX_HOLD_STORE, true);
}

void store_charge(struct vhost *vhost, struct connection *connection)
{
    if (is_pressed(vhost, used_high))
        hold(vhost, connection);
}

void store_relieve(struct vhost *vhost)
{
    if (vhost->large && vhost->used > vhost->journal->memory_limit)
        vhost_spill(vhost);
    if (!vhost->held_count || is_pressed(vhost, used_low))
        return;
    while (vhost->held_count) {
        struct connection *connection = connection_find(vhost, vhost->held[--vhost->held_count]);

        if (connection)
            connection_hold(connection, OUTBOX_HOLD_STORE, false);
    }
}

void credit_check(struct vhost *vhost)
{
    struct queue *queue, *next;

    DL_FOREACH_SAFE2(vhost->slowing, queue, next, slowing_next)
    queue_relieve(queue);
}
