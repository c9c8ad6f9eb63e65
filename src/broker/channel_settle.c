/* SPDX-License-Identifier: Apache-2.0 */
/* Acks, nacks, rejects and recover: deliveries of a channel are settled (publish-consume-ack.md 6.4 to 6.8).
 */
#include <stdlib.h>
#include <utlist.h>

#include "coney/xalloc.h"
#include "count.h"
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
    bool was_full = channel_is_full(channel);

    channel->unacked_count--;
    if (unacked->counts_globally && channel->unacked_global-- == channel->prefetch_global)
        was_full = true;
    if (was_full)
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
    const struct vhost *vhost = unacked.queue->vhost;
    uint64_t lsn, letters = vhost->letters_sent;

    seqmap_remove(&channel->unacked, delivery_tag);
    if (how == SETTLE_ACK)
        count_ack(channel, unacked.queue);
    lsn = queue_settle(unacked.queue, (struct place){unacked.level, unacked.number}, how);
    if (lsn)
        channel->settled.lsn = lsn;
    if (vhost->letters_sent != letters)
        channel->settled.letter = vhost->letters_sent;
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

    return unacked && !unacked->held;
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

/* ---- what an ended channel had unacked goes back (6.6) ----
 *
 * A batch gives back vhost_settings.returns_max deliveries; a channel that has more is put on
 * vhost->returning and goes on in later batches. To clients all of it goes back at once, as in RabbitMQ: a
 * queue that something is still to come back to delivers nothing (queue->returning counts it, before the
 * first delivery goes back), so none of its messages is taken before those that stand before it are there.
 *
 * Lowest delivery tag first, which as a rule is the oldest message. So what must leave meanwhile, at the head
 * of a queue that is too long, or by its delivery limit or its deadline, leaves in the order, and is the
 * same, as if all had been back: of what is there the oldest go first, and what is yet to come is younger.
 * With the highest first, dead letters would be written youngest slice first.
 */

/* Give back what BUDGET allows. */
static void give_back(struct channel *channel, uint64_t *budget)
{
    uint64_t tag = seqmap_next_live(&channel->unacked, 0);

    for (; tag != SEQMAP_END && *budget; tag = seqmap_next_live(&channel->unacked, tag + 1), --*budget) {
        struct queue *queue = ((struct unacked *)seqmap_get(&channel->unacked, tag))->queue;

        if (channel->returning && --queue->returning == 0)
            queue_wants_dispatch(queue);
        channel_settle_tag(channel, tag, SETTLE_REQUEUE);
    }
}

/* Count what is to come back to each queue. */
static void count_returns(struct returning *returning, uint64_t *budget)
{
    const struct seqmap *unacked = &returning->channel->unacked;
    uint64_t tag;

    if (returning->counted == SEQMAP_END)
        return;
    tag = seqmap_next_live(unacked, returning->counted);
    for (; tag != SEQMAP_END && *budget; tag = seqmap_next_live(unacked, tag + 1), --*budget)
        ((struct unacked *)seqmap_get(unacked, tag))->queue->returning++;
    returning->counted = tag;
}

static void count_all(struct vhost *vhost, uint64_t *budget)
{
    struct returning *returning;

    DL_FOREACH (vhost->returning, returning)
        count_returns(returning, budget);
}

void channel_give_back(struct channel *channel)
{
    struct vhost *vhost = channel->connection->vhost;
    struct returning *returning;

    if (!channel->connection->shares_returns && channel->unacked_count <= vhost->returns_left) {
        give_back(channel, &vhost->returns_left);
        return;
    }
    returning = xcalloc(1, sizeof *returning);
    returning->channel = channel;
    channel->returning = returning;
    channel->connection->returning_count++;
    DL_APPEND(vhost->returning, returning);
}

static void returning_free(struct returning *returning)
{
    struct channel *channel = returning->channel;

    DL_DELETE(channel->connection->vhost->returning, returning);
    channel->connection->returning_count--;
    channel->returning = NULL;
    free(returning);
}

void returns_run(struct vhost *vhost)
{
    count_all(vhost, &vhost->returns_left);
    while (vhost->returning && vhost->returns_left) {
        struct channel *channel = vhost->returning->channel;

        give_back(channel, &vhost->returns_left);
        if (channel->unacked_count)
            break;
        returning_free(channel->returning);
        channel_is_back(channel);
    }
}

void channel_give_back_rest(struct channel *channel)
{
    uint64_t budget = UINT64_MAX;

    count_returns(channel->returning, &budget);
    give_back(channel, &budget);
    returning_free(channel->returning);
}

void returns_finish(struct queue *queue)
{
    struct returning *returning;
    uint64_t budget = UINT64_MAX;

    if (!queue->returning)
        return;
    count_all(queue->vhost, &budget);
    DL_FOREACH (queue->vhost->returning, returning)
        give_back(returning->channel, &budget);
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
