/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class tx (publish-consume-ack.md 7): publishes and settlements of a channel are held until commit. Checks
 * and routing happen at once; what is held is a message with its queues, and a delivery tag with its fate. Of
 * the queues those count that have these names at commit, and to the default exchange keys are names. A held
 * delivery stays in the channel's map, marked, so that its prefetch room is taken until commit.
 */
#include <stdlib.h>

#include "coney/xalloc.h"
#include "route.h"
#include "vhost_fields.h"

static void hold_queues(struct tx_publish *publish, struct queue **queues, size_t count)
{
    publish->queues = xmalloc(count * sizeof(struct queue *));
    publish->queue_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        publish->queues[i] = queues[i];
        queues[i]->refs++;
    }
}

static void drop_queues(struct tx_publish *publish)
{
    for (uint32_t i = 0; i < publish->queue_count; i++)
        queue_unref(publish->queues[i]);
    free(publish->queues);
}

void tx_hold_publish(struct channel *channel, struct message *message, struct queue **queues, size_t count,
                     bool is_mandatory)
{
    struct tx *tx = channel->tx;
    struct tx_publish *publish;

    if (tx->publish_count == tx->publish_capacity) {
        tx->publish_capacity = tx->publish_capacity ? tx->publish_capacity * 2 : 16;
        tx->publishes = xrealloc(tx->publishes, tx->publish_capacity * sizeof *tx->publishes);
    }
    publish = &tx->publishes[tx->publish_count++];
    *publish = (struct tx_publish){.message = message, .is_mandatory = is_mandatory};
    hold_queues(publish, queues, count);
}

void tx_hold_settle(struct channel *channel, uint64_t delivery_tag, enum settle how)
{
    struct tx *tx = channel->tx;
    struct unacked *unacked = seqmap_get(&channel->unacked, delivery_tag);

    if (tx->settle_count == tx->settle_capacity) {
        tx->settle_capacity = tx->settle_capacity ? tx->settle_capacity * 2 : 16;
        tx->settles = xrealloc(tx->settles, tx->settle_capacity * sizeof *tx->settles);
    }
    unacked->held = true;
    tx->settles[tx->settle_count++] = (struct tx_settle){delivery_tag, how};
}

static void publish_free(struct tx_publish *publish)
{
    drop_queues(publish);
    message_unref(publish->message);
}

/* Drop held publishes; held deliveries are outstanding again. */
static void rollback(struct channel *channel)
{
    struct tx *tx = channel->tx;

    for (uint32_t i = 0; i < tx->publish_count; i++)
        publish_free(&tx->publishes[i]);
    for (uint32_t i = 0; i < tx->settle_count; i++)
        ((struct unacked *)seqmap_get(&channel->unacked, tx->settles[i].delivery_tag))->held = false;
    tx->publish_count = tx->settle_count = 0;
}

void tx_free(struct channel *channel)
{
    struct tx *tx = channel->tx;

    if (!tx)
        return;
    rollback(channel);
    free(tx->publishes);
    free(tx->settles);
    free(tx);
    channel->tx = NULL;
}

/* A message to the default exchange finds the queues that are there by now. */
static void find_by_name(struct vhost *vhost, struct tx_publish *publish)
{
    struct bytes keys[ROUTE_KEYS_MAX];
    unsigned count = route_keys(publish->message, keys);
    struct route route;

    route_message(&route, vhost, vhost->default_exchange, publish->message, keys, count);
    drop_queues(publish);
    hold_queues(publish, vhost->routed, route.queue_count);
}

/* Returns true when a queue refused its message. */
static bool commit_publish(struct channel *channel, struct tx_publish *publish, uint64_t *lsn)
{
    bool refused = false, routed = false;

    if (message_exchange(publish->message).size == 0)
        find_by_name(channel->connection->vhost, publish);
    for (uint32_t i = 0; i < publish->queue_count; i++) {
        struct queue *queue = publish->queues[i];

        if (queue->is_deleted)
            queue = queue_find(channel->connection->vhost, queue->name);
        if (!queue)
            continue;
        routed = true;
        refused |= queue_publish(queue, message_ref(publish->message), lsn) == ENQUEUE_REFUSED;
        if (queue_is_long(queue))
            queue_charge(queue, channel->connection);
    }
    if (publish->is_mandatory && !routed)
        channel_return(channel, message_ref(publish->message));
    return refused;
}

static void commit(struct channel *channel)
{
    struct vhost *vhost = channel->connection->vhost;
    struct journal *journal = vhost->journal;
    struct tx *tx = channel->tx;
    uint64_t lsn = 0;
    bool refused = false;

    journal_begin(journal);
    for (uint32_t i = 0; i < tx->publish_count; i++) {
        refused |= commit_publish(channel, &tx->publishes[i], &lsn);
        publish_free(&tx->publishes[i]);
    }
    for (uint32_t i = 0; i < tx->settle_count; i++)
        channel_settle_tag(channel, tx->settles[i].delivery_tag, tx->settles[i].how);
    journal_commit(journal);
    tx->publish_count = tx->settle_count = 0;
    if (lsn > channel->settled.lsn)
        channel->settled.lsn = lsn;
    if (channel->settled.letter > vhost->letters_done)
        deadletter_run(vhost);
    if (refused)
        channel_fail(channel, METHOD_TX_COMMIT, REPLY_PRECONDITION_FAILED, "partial tx completion");
    else
        channel_reply(channel, &(struct method){.id = METHOD_TX_COMMIT_OK},
                      settled_lsn(vhost, &channel->settled));
}

static void select_tx(struct channel *channel)
{
    if (channel->mode == CHANNEL_CONFIRM) {
        channel_fail(channel, METHOD_TX_SELECT, REPLY_PRECONDITION_FAILED,
                     "cannot switch from confirm to tx mode");
        return;
    }
    if (channel->mode == CHANNEL_NORMAL) {
        channel->mode = CHANNEL_TX;
        channel->tx = xcalloc(1, sizeof *channel->tx);
    }
    channel_reply(channel, &(struct method){.id = METHOD_TX_SELECT_OK}, 0);
}

void channel_tx_method(struct channel *channel, const struct method *method)
{
    if (method->id == METHOD_TX_SELECT) {
        select_tx(channel);
        return;
    }
    if (channel->mode != CHANNEL_TX) {
        channel_fail(channel, method->id, REPLY_PRECONDITION_FAILED, "channel is not transactional");
        return;
    }
    if (method->id == METHOD_TX_COMMIT) {
        commit(channel);
    } else {
        rollback(channel);
        channel_reply(channel, &(struct method){.id = METHOD_TX_ROLLBACK_OK}, 0);
    }
}
