/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credit: publishers are slowed only while a queue has a consumer with room that can't keep up, that is, one
 * whose connection has more unsent than it may. With no consumer, or all at their prefetch, the queue
 * buffers.
 *
 * A slowed publisher is remembered by its id, so that its going needs no search; connection->slowed_by counts
 * the queues that hold it.
 */
#include <stdlib.h>

#include "coney/xalloc.h"
#include "vhost_fields.h"

/* Ready messages at which a queue begins, and ends, to hold its publishers. */
#define READY_HIGH       4096
#define READY_LOW        1024
#define READY_BYTES_HIGH (UINT64_C(8) << 20)
#define READY_BYTES_LOW  (READY_BYTES_HIGH / 4)

static bool is_slowed(const struct queue *queue, uint64_t id)
{
    for (uint32_t i = 0; i < queue->slowed_count; i++)
        if (queue->slowed[i] == id)
            return true;
    return false;
}

void queue_charge(struct queue *queue, struct connection *connection)
{
    if (queue->congested_count == 0 || (queue->ready < READY_HIGH && queue->ready_bytes < READY_BYTES_HIGH) ||
        is_slowed(queue, connection->id))
        return;
    if (queue->slowed_count == queue->slowed_capacity) {
        queue->slowed_capacity = queue->slowed_capacity ? queue->slowed_capacity * 2 : 4;
        queue->slowed = xrealloc(queue->slowed, queue->slowed_capacity * sizeof *queue->slowed);
    }
    queue->slowed[queue->slowed_count++] = connection->id;
    connection->slowed_by++;
    connection_hold(connection, OUTBOX_HOLD_CREDIT, true);
}

void queue_relieve(struct queue *queue)
{
    if (queue->slowed_count == 0 || (!queue->is_deleted && queue->congested_count &&
                                     (queue->ready > READY_LOW || queue->ready_bytes > READY_BYTES_LOW)))
        return;
    for (uint32_t i = 0; i < queue->slowed_count; i++) {
        struct connection *connection = connection_find(queue->vhost, queue->slowed[i]);

        if (connection && --connection->slowed_by == 0)
            connection_hold(connection, OUTBOX_HOLD_CREDIT, false);
    }
    queue->slowed_count = 0;
}
