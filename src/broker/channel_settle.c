/* SPDX-License-Identifier: Apache-2.0 */
/* Acks, nacks, rejects and recover: deliveries of a channel are settled (publish-consume-ack.md 6.4 to 6.8).
 */
#include "vhost_fields.h"

static enum method_id settle_method(unsigned flags)
{
    if (flags & COMMAND_ACK)
        return METHOD_BASIC_ACK;
    return flags & COMMAND_NACK ? METHOD_BASIC_NACK : METHOD_BASIC_REJECT;
}

static enum settle settle_how(unsigned flags)
{
    if (flags & COMMAND_ACK)
        return SETTLE_ACK;
    return flags & COMMAND_REQUEUE ? SETTLE_REQUEUE : SETTLE_REJECT;
}

/* The room that a delivery took is free again. */
static void release_room(struct channel *channel, const struct unacked *unacked)
{
    struct consumer *consumer = unacked->consumer;

    channel->unacked_count--;
    if (unacked->counts_globally && channel->unacked_global-- == channel->prefetch_global)
        channel_reconsider_consumers(channel);
    if (!consumer)
        return;
    consumer->unacked--;
    if (consumer->queue)
        consumer->queue->room_seen = consumer->queue->vhost->now;
    if (consumer->channel && !consumer->is_ready)
        consumer_reconsider(consumer);
    consumer_unref(consumer);
}

void channel_settle_tag(struct channel *channel, uint64_t delivery_tag, enum settle how)
{
    struct unacked *entry = seqmap_get(&channel->unacked, delivery_tag);
    struct unacked unacked = *entry;
    uint64_t lsn;

    seqmap_remove(&channel->unacked, delivery_tag);
    lsn = queue_settle(unacked.queue, (struct place){unacked.level, unacked.number}, how);
    if (lsn)
        channel->settled_lsn = lsn;
    release_room(channel, &unacked);
    queue_unref(unacked.queue);
}

/* Now, or when the transaction is committed. */
static void settle_or_hold(struct channel *channel, uint64_t delivery_tag, enum settle how)
{
    if (channel->mode == CHANNEL_TX)
        tx_hold_settle(channel, delivery_tag, how);
    else
        channel_settle_tag(channel, delivery_tag, how);
}

static bool is_outstanding(const struct channel *channel, uint64_t delivery_tag)
{
    const struct unacked *unacked = seqmap_get(&channel->unacked, delivery_tag);

    return unacked && !unacked->held && !unacked->unsaid;
}

static void settle_up_to(struct channel *channel, uint64_t last, enum settle how)
{
    uint64_t tag = seqmap_next_live(&channel->unacked, 0);

    for (; tag != SEQMAP_END && tag <= last; tag = seqmap_next_live(&channel->unacked, tag + 1))
        if (is_outstanding(channel, tag))
            settle_or_hold(channel, tag, how);
}

void channel_settle(struct channel *channel, uint64_t delivery_tag, unsigned flags)
{
    enum settle how = settle_how(flags);

    if (flags & COMMAND_MULTIPLE && delivery_tag == 0) {
        settle_up_to(channel, SEQMAP_END - 1, how);
        return;
    }
    /* Also with multiple the tag itself must be outstanding. */
    if (!is_outstanding(channel, delivery_tag)) {
        channel_fail(channel, settle_method(flags), REPLY_PRECONDITION_FAILED, "unknown delivery tag %llu",
                     (unsigned long long)delivery_tag);
        return;
    }
    if (flags & COMMAND_MULTIPLE)
        settle_up_to(channel, delivery_tag, how);
    else
        settle_or_hold(channel, delivery_tag, how);
}

void channel_requeue_all(struct channel *channel)
{
    uint64_t tag = seqmap_next_live(&channel->unacked, 0);

    for (; tag != SEQMAP_END; tag = seqmap_next_live(&channel->unacked, tag + 1))
        if (is_outstanding(channel, tag))
            channel_settle_tag(channel, tag, SETTLE_REQUEUE);
}

/* The smaller of the node's and the queue's timeout; 0: none. */
static int64_t ack_timeout(const struct vhost *vhost, const struct queue *queue)
{
    int64_t node = vhost->settings.consumer_timeout_ms;
    int64_t own = queue->options.consumer_timeout;

    if (own <= 0) /* QUEUE_OPTION_NONE, or off */
        return node;
    return node && node < own ? node : own;
}

void channel_check_timeout(struct channel *channel)
{
    struct vhost *vhost = channel->connection->vhost;
    uint64_t tag = seqmap_next_live(&channel->unacked, 0);
    const struct unacked *unacked;
    int64_t timeout;

    if (channel->state != CHANNEL_OPEN || tag == SEQMAP_END)
        return;
    unacked = seqmap_get(&channel->unacked, tag);
    timeout = ack_timeout(vhost, unacked->queue);
    if (timeout == 0 || vhost->now - (int64_t)unacked->delivered_at * 1000 <= timeout)
        return;
    channel_fail(
        channel, (enum method_id)0, REPLY_PRECONDITION_FAILED,
        "delivery acknowledgement on channel %u timed out. Timeout value used: %lld ms. This timeout "
        "value can be configured, see consumers doc guide to learn more",
        channel->number, (long long)timeout);
}
