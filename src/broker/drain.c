/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost.h, draining: those who consume are sent away as soon as that costs nothing, so that after the node
 * has stopped nothing is delivered a second time that was dealt with before.
 *
 * A client that is cancelled often consumes again, on the same connection: that gets the answer that its
 * connection would have got anyway.
 */
#include "vhost_fields.h"

/* True when there were any. */
static bool cancel_consumers(struct channel *channel)
{
    struct consumer *consumer, *next;
    bool any = channel->consumers;

    if (channel->state != CHANNEL_OPEN)
        return false;
    HASH_ITER (hh, channel->consumers, consumer, next)
        consumer_cancel(consumer);
    return any;
}

/* Tell whether CONNECTION has deliveries that it may still settle, or answers and confirms that it has not
 * got. */
static bool is_owing(const struct connection *connection)
{
    const struct channel *channel;

    for (channel = connection->channels; channel; channel = channel->hh.next)
        if (channel->unacked_count || channel->gate || (channel->confirms && channel->confirms->count))
            return true;
    return false;
}

/* True when CONNECTION still has to settle something. */
static bool hand_off(struct connection *connection)
{
    struct channel *channel, *next;

    if (connection->state != CONNECTION_RUNNING)
        return false;
    HASH_ITER (hh, connection->channels, channel, next)
        connection->is_handed_off |= cancel_consumers(channel);
    if (!connection->is_handed_off)
        return false;
    if (is_owing(connection))
        return true;
    connection_fail(connection, (enum method_id)0, REPLY_CONNECTION_FORCED, DRAINING_TEXT);
    return false;
}

uint32_t vhost_drain(struct vhost *vhost)
{
    uint32_t owing = 0;

    vhost->is_draining = true;
    for (uint32_t i = 0; i < vhost->slot_count; i++)
        if (vhost->slots[i].connection)
            owing += hand_off(vhost->slots[i].connection);
    return owing;
}
