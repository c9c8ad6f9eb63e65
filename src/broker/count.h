/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting what happens to messages (coney/counts.h): a channel and a queue have room for it from the first
 * time on, the vhost always. Called where it happens, once for each message.
 */
#ifndef BROKER_COUNT_H
#define BROKER_COUNT_H

#include "vhost_fields.h"

/* The slow halves: make room. */
struct message_counts *channel_counts_made(struct channel *channel);
struct queue_counts *queue_counts_made(struct queue *queue);

static inline struct message_counts *channel_counts(struct channel *channel)
{
    return channel->counts ? channel->counts : channel_counts_made(channel);
}

static inline struct queue_counts *queue_counts(struct queue *queue)
{
    return queue->counts ? queue->counts : queue_counts_made(queue);
}

/* A client published a message with a body of SIZE octets that entered ROUTED queues.
 * vhost_counts.messages.publish is the sum of what was counted by size. */
static inline void count_publish(struct channel *channel, uint64_t size, size_t routed, bool mandatory)
{
    struct vhost_counts *vhost = &channel->connection->vhost->counts;
    struct message_counts *counts = channel_counts(channel);
    unsigned at = 0;

    counts->publish++;
    while (at < MESSAGE_SIZE_BOUNDS && size > message_size_bounds[at])
        at++;
    vhost->sizes[at]++;
    vhost->sizes_sum += size;
    vhost->routed += routed;
    if (channel->mode == CHANNEL_CONFIRM)
        vhost->received_confirm++;
    if (!routed && mandatory) {
        counts->return_unroutable++;
        vhost->messages.return_unroutable++;
    } else if (!routed) {
        counts->drop_unroutable++;
        vhost->messages.drop_unroutable++;
    }
}

/* COUNT confirms were told. */
static inline void count_confirms(struct channel *channel, uint64_t count)
{
    channel_counts(channel)->confirm += count;
    channel->connection->vhost->counts.messages.confirm += count;
}

static inline void count_redeliver(struct channel *channel, struct queue *queue)
{
    channel_counts(channel)->redeliver++;
    queue_counts(queue)->messages.redeliver++;
    queue->vhost->counts.messages.redeliver++;
}

static inline void count_deliver(struct channel *channel, struct queue *queue, bool no_ack, bool redelivered)
{
    if (no_ack) {
        channel_counts(channel)->deliver_no_ack++;
        queue_counts(queue)->messages.deliver_no_ack++;
        queue->vhost->counts.messages.deliver_no_ack++;
    } else {
        channel_counts(channel)->deliver++;
        queue_counts(queue)->messages.deliver++;
        queue->vhost->counts.messages.deliver++;
    }
    if (redelivered)
        count_redeliver(channel, queue);
}

static inline void count_get(struct channel *channel, struct queue *queue, bool no_ack, bool redelivered)
{
    if (no_ack) {
        channel_counts(channel)->get_no_ack++;
        queue_counts(queue)->messages.get_no_ack++;
        queue->vhost->counts.messages.get_no_ack++;
    } else {
        channel_counts(channel)->get++;
        queue_counts(queue)->messages.get++;
        queue->vhost->counts.messages.get++;
    }
    if (redelivered)
        count_redeliver(channel, queue);
}

static inline void count_get_empty(struct channel *channel, struct queue *queue)
{
    channel_counts(channel)->get_empty++;
    queue_counts(queue)->messages.get_empty++;
    queue->vhost->counts.messages.get_empty++;
}

static inline void count_ack(struct channel *channel, struct queue *queue)
{
    channel_counts(channel)->ack++;
    queue_counts(queue)->messages.ack++;
    queue->vhost->counts.messages.ack++;
}

/* A message died in QUEUE for REASON (enum death_reason). */
static inline void count_death(struct queue *queue, int reason)
{
    struct death_counts *of[] = {&queue_counts(queue)->deaths, &queue->vhost->counts.deaths};

    for (int i = 0; i < 2; i++) {
        if (queue->options.has_dead_letter_exchange)
            of[i]->dead_lettered[reason]++;
        else
            of[i]->dropped[reason]++;
    }
}

#endif
