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

/* ---- what is not settled in time (6.8) ----
 *
 * A channel's oldest delivery is the one that times out. vhost->ack_check is a time before which none can: it
 * only moves earlier, when a channel that had nothing unacked gets a delivery, or a delivery has less time
 * than those before it. When it comes, it is computed again from the channels' oldest deliveries.
 */

/* How soon a delivery that becomes the oldest when it is overdue already is noticed. */
#define ACK_LATE_MS 1000

int64_t queue_ack_timeout(const struct queue *queue)
{
    int64_t node = queue->vhost->settings.consumer_timeout_ms;
    int64_t own = queue->options.consumer_timeout;

    if (!node)
        node = VHOST_NEVER;
    if (own <= 0) /* QUEUE_OPTION_NONE, or off */
        return node;
    return node < own ? node : own;
}

/* When UNACKED has had TIMEOUT; late rather than early, since its second of delivery had begun. */
static int64_t ack_due(const struct unacked *unacked, int64_t timeout)
{
    int64_t since = ((int64_t)unacked->delivered_at + 1) * 1000;

    return timeout < VHOST_NEVER - since ? since + timeout : VHOST_NEVER;
}

void channel_watch_unacked(struct channel *channel, const struct unacked *unacked)
{
    struct vhost *vhost = channel->connection->vhost;
    int64_t timeout = queue_ack_timeout(unacked->queue);
    int64_t due = ack_due(unacked, timeout);

    if (channel->unacked_count && timeout >= channel->ack_timeout)
        return;
    channel->ack_timeout = timeout;
    if (due < vhost->ack_check)
        vhost->ack_check = due;
}

int64_t channel_check_timeout(struct channel *channel, int64_t least)
{
    struct vhost *vhost = channel->connection->vhost;
    uint64_t tag = seqmap_next_live(&channel->unacked, 0);
    const struct unacked *unacked;
    int64_t timeout, next;

    if (channel->state != CHANNEL_OPEN || tag == SEQMAP_END)
        return VHOST_NEVER;
    unacked = seqmap_get(&channel->unacked, tag);
    timeout = queue_ack_timeout(unacked->queue);
    if (ack_due(unacked, timeout) > vhost->now) {
        if (least < channel->ack_timeout)
            channel->ack_timeout = least;
        next = ack_due(unacked, channel->ack_timeout);
        return next > vhost->now ? next : vhost->now + ACK_LATE_MS;
    }
    channel_fail(
        channel, (enum method_id)0, REPLY_PRECONDITION_FAILED,
        "delivery acknowledgement on channel %u timed out. Timeout value used: %lld ms. This timeout "
        "value can be configured, see consumers doc guide to learn more",
        channel->number, (long long)timeout);
    return VHOST_NEVER;
}
