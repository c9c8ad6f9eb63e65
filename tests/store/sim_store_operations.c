/* SPDX-License-Identifier: Apache-2.0 */
/* sim_store.h, operations: messages, settlements, transactions; and which of all it is. */
#include <stdlib.h>

#include "coney/buffer.h"
#include "coney/properties.h"
#include "coney/xalloc.h"
#include "sim_store.h"

#define LIVE_MAX 400 /* copies in a vhost at which less is published */

static void add_post(struct line *channel, const struct held_post *post)
{
    struct properties properties = {.flags = PROPERTY_PRIORITY, .priority = post->priority};
    struct buffer raw = {0};
    struct message *message;
    bool fanout = post->queue == QUEUES;

    if (post->persistent) {
        properties.flags |= PROPERTY_DELIVERY_MODE;
        properties.delivery_mode = DELIVERY_MODE_PERSISTENT;
    }
    properties_encode(&raw, &properties);
    message = message_new(fanout ? BYTES_LITERAL("f") : BYTES_LITERAL(""),
                          fanout ? BYTES_LITERAL("k") : queue_bytes(post->queue), (struct bytes){NULL, 0},
                          buffer_bytes(&raw), post->size);
    fill_body(message->body, post->id, post->size);
    message_scan_properties(message);
    buffer_free(&raw);
    *add_command() = (struct command){.kind = COMMAND_PUBLISH_BEGUN, .channel = channel->number};
    *add_command() =
        (struct command){.kind = COMMAND_PUBLISH, .channel = channel->number, .message = message};
}

/* Where POST goes is decided when it is published, also in a transaction: to queues of these names. */
static void route(struct side *side, struct held_post *post)
{
    for (int queue = 0; queue < SOURCES; queue++)
        if (side->queues[queue].exists &&
            (post->queue == queue || (post->queue == QUEUES && side->bindings[0][queue].exists)))
            post->routes[queue] = true;
}

/* POST enters its queues, in the run that is about to be; but those that are out of service refuse it. True:
 * something of it lasts. */
static bool enter(struct side *side, const struct held_post *post, struct published *published)
{
    bool lasts = false;

    for (int queue = 0; queue < SOURCES; queue++) {
        struct copy *copy;

        if (!side->queues[queue].exists || !post->routes[queue] || is_broken(side, queue))
            continue;
        copy = copy_add(side, post, queue);
        lasts |= copy->lasts;
        if (published)
            published->copies[queue] = copy;
    }
    return lasts;
}

static struct published *published_add(struct line *channel)
{
    struct published *published = xcalloc(1, sizeof *published);

    if (channel->published_count == channel->published_capacity) {
        channel->published_capacity = channel->published_capacity * 2 + 16;
        channel->published =
            xrealloc(channel->published, channel->published_capacity * sizeof(struct published *));
    }
    return channel->published[channel->published_count++] = published;
}

static void publish(struct line *channel)
{
    struct side *side = channel->peer->side;
    bool tx = channel->number == 2;
    uint32_t count = percent(5) ? 1 + below(60) : 1 + below(4);

    if (HASH_COUNT(side->copies) > LIVE_MAX || world->is_full)
        return;
    begin_batch(channel->peer);
    while (count--) {
        struct held_post post = {.id = ++next_id,
                                 .size = percent(3) ? 8 + below(30000) : 8 + below(600),
                                 .queue = (int)below(SOURCES + 1),
                                 .priority = (uint8_t)below(5),
                                 .persistent = percent(80)};

        if (post.queue == SOURCES)
            post.queue = QUEUES;
        if (post.queue == QUEUES ? !side->exchanges[0].exists : !side->queues[post.queue].exists)
            continue;
        if (tx && channel->post_count == sizeof channel->posts / sizeof *channel->posts)
            break;
        TRACE("v%d c%d.%u publishes %llu to %s%s", side->v->index, channel->peer->index, channel->number,
              (unsigned long long)post.id, post.queue == QUEUES ? "f" : kinds[post.queue].name,
              post.persistent ? "" : ", transient");
        route(side, &post);
        add_post(channel, &post);
        if (tx) {
            channel->posts[channel->post_count++] = post;
        } else {
            struct published *published = published_add(channel);

            happens(side, &published->when);
            enter(side, &post, published);
        }
    }
    end_batch(side);
}

/* HOW 'a', 'n' (no requeue) or 'r', in the run that is about to be. True: that lasts. */
static bool settle_copy(struct side *side, struct copy *copy, char how)
{
    if (!copy->is_out)
        return false; /* its queue was deleted */
    copy->is_out = false;
    if (how == 'r') {
        copy->is_ready = true;
    } else if (how == 'n' && !copy->in_target && kinds[copy->key.queue].target) {
        copy->is_ready = true;
        copy->in_target = true;
        copy->delivered = false;
        happens(side, &copy->moved);
    } else {
        happens(side, &copy->gone);
    }
    /* What a dead letter left is settled when it has arrived, for which nobody waits. */
    return copy->lasts && how != 'r' && !copy->is_ready;
}

static void settle(struct line *channel)
{
    struct side *side = channel->peer->side;
    char how = "aaaanr"[below(6)];
    bool multiple = how == 'a' && percent(20), tx = channel->number == 2, lasts = false;
    uint32_t at, from;

    if (!channel->delivery_count)
        return;
    at = below(channel->delivery_count);
    from = multiple ? 0 : at;
    if (channel->deliveries[at].held)
        return;
    TRACE("v%d c%d.%u settles %llu %c%s", side->v->index, channel->peer->index, channel->number,
          (unsigned long long)channel->deliveries[at].tag, how, multiple ? " multiple" : "");
    begin_batch(channel->peer);
    *add_command() = (struct command){.kind = COMMAND_SETTLE,
                                      .channel = channel->number,
                                      .flags = (uint8_t)((how == 'a' ? COMMAND_ACK : COMMAND_NACK) |
                                                         (how == 'r' ? COMMAND_REQUEUE : 0) |
                                                         (multiple ? COMMAND_MULTIPLE : 0)),
                                      .delivery_tag = channel->deliveries[at].tag};
    for (uint32_t i = from; i <= at; i++) {
        if (!tx)
            lasts |= settle_copy(side, channel->deliveries[i].copy, how);
        else if (!channel->deliveries[i].held)
            channel->deliveries[i].held = how;
    }
    if (!tx) {
        memmove(channel->deliveries + from, channel->deliveries + at + 1,
                (channel->delivery_count - at - 1) * sizeof *channel->deliveries);
        channel->delivery_count -= at + 1 - from;
    }
    end_batch(side);
    if (lasts)
        channel->peer->acked = world_lsn(side->v);
}

static void end_transaction(struct line *channel)
{
    struct side *side = channel->peer->side;
    bool commit = percent(80), lasts = false;
    uint32_t kept = 0;

    TRACE("v%d c%d %s", side->v->index, channel->peer->index, commit ? "commits" : "rolls back");
    for (uint32_t i = 0; i < channel->post_count && commit; i++)
        lasts |= enter(side, &channel->posts[i], NULL);
    channel->post_count = 0;
    for (uint32_t i = 0; i < channel->delivery_count; i++) {
        struct delivery *delivery = &channel->deliveries[i];

        if (commit && delivery->held) {
            lasts |= settle_copy(side, delivery->copy, delivery->held);
            continue;
        }
        delivery->held = 0;
        channel->deliveries[kept++] = *delivery;
    }
    channel->delivery_count = kept;
    act_for(channel, &(struct method){.id = commit ? METHOD_TX_COMMIT : METHOD_TX_ROLLBACK},
            commit ? METHOD_TX_COMMIT_OK : METHOD_TX_ROLLBACK_OK, lasts);
    if (lasts)
        channel->peer->acked = world_lsn(side->v);
}

static bool some_queue(struct side *side, int *queue)
{
    *queue = (int)below(QUEUES);
    return side->queues[*queue].exists;
}

static void get(struct line *channel)
{
    struct expected *expected;
    int queue;

    if (!some_queue(channel->peer->side, &queue))
        return;
    TRACE("v%d c%d.%u gets from %s", channel->peer->side->v->index, channel->peer->index, channel->number,
          kinds[queue].name);
    expected = expect(channel, METHOD_BASIC_GET, queue);
    expected->no_ack = channel->number == 1 && percent(20);
    expected->when.first = world_lsn(channel->peer->side->v) + 1;
    begin_batch(channel->peer);
    add_method(channel->number,
               &(struct method){.id = METHOD_BASIC_GET,
                                .basic_get = {.queue = queue_bytes(queue), .no_ack = expected->no_ack}});
    end_batch(channel->peer->side);
}

static struct bytes tag_of(int queue)
{
    static const char *const tags[QUEUES] = {"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"};

    return bytes_from_string(tags[queue]);
}

static void consume(struct peer *peer)
{
    struct line *channel = &peer->channels[1];
    int queue = channel->consumes;

    if (queue >= 0) {
        if (percent(50))
            return;
        channel->consumes = -1;
        if (!peer->side->queues[queue].exists)
            return;
        act_for(channel,
                &(struct method){.id = METHOD_BASIC_CANCEL, .basic_cancel = {.consumer_tag = tag_of(queue)}},
                METHOD_BASIC_CANCEL_OK, false);
        return;
    }
    if (!some_queue(peer->side, &queue))
        return;
    TRACE("v%d c%d consumes %s", peer->side->v->index, peer->index, kinds[queue].name);
    channel->consumes = queue;
    act_for(channel,
            &(struct method){.id = METHOD_BASIC_CONSUME,
                             .basic_consume = {.queue = queue_bytes(queue), .consumer_tag = tag_of(queue)}},
            METHOD_BASIC_CONSUME_OK, false);
}

bool is_asked(const struct side *side, int queue)
{
    for (int i = 0; i < CONNECTIONS; i++)
        for (int n = 1; n <= CHANNELS; n++)
            for (const struct expected *e = side->peers[i].channels[n].expected; e; e = e->next)
                if (e->queue == queue)
                    return true;
    return false;
}

static void purge(struct line *channel)
{
    struct side *side = channel->peer->side;
    struct copy *copy, *next;
    int queue;

    if (!some_queue(side, &queue) || is_asked(side, queue))
        return;
    TRACE("v%d purges %s", side->v->index, kinds[queue].name);
    HASH_ITER (hh, side->copies, copy, next) {
        if (copy->is_ready && !is_broken(side, queue) &&
            (copy_queue(copy) == queue || (is_due(copy) && kinds[copy->key.queue].target == queue)))
            copy_take(side, copy);
    }
    act(channel, &(struct method){.id = METHOD_QUEUE_PURGE, .queue_purge = {.queue = queue_bytes(queue)}},
        METHOD_QUEUE_PURGE_OK);
}

static void put_entry(void)
{
    uint32_t number = below(ENTRIES);
    uint64_t durable = world_node_durable(world);

    if (entries[number].is_open && entries[number].lsn > durable)
        return;
    entries[number].old = entries[number].value;
    entries[number].value = percent(70) ? ++next_id : 0;
    entries[number].is_open = true;
    world_put_entry(world, (int)number, entries[number].value);
    entries[number].lsn = world_node_lsn(world);
}

/* In order, or not. */
static void peer_end(struct peer *peer)
{
    if (percent(50))
        peer_close(peer);
    else
        peer_vanish(peer);
}

static bool is_refused(const struct peer *peer)
{
    for (int i = 1; i <= CHANNELS; i++)
        if (peer->channels[i].refused)
            return true;
    return false;
}

/* What it sent would be swallowed. */
static void wait_or_vanish(struct peer *peer)
{
    if (percent(20))
        peer_vanish(peer);
}

void operate(struct side *side)
{
    struct peer *peer = &side->peers[below(CONNECTIONS)];
    struct line *channel = &peer->channels[1 + below(CHANNELS)];
    uint32_t roll = below(1000);

    note_refused(side);
    if (!peer->id)
        peer_open(peer);
    else if (peer->broken)
        peer_vanish(peer); /* there is nothing else that it could do */
    else if (is_refused(peer))
        wait_or_vanish(peer);
    else if (channel->number == 2 && channel->post_count + channel->delivery_count > 0 && percent(15))
        end_transaction(channel);
    else if (roll < 330)
        publish(channel);
    else if (roll < 450)
        get(channel);
    else if (roll < 800)
        settle(channel);
    else if (roll < 830)
        consume(peer);
    else if (roll < 840)
        purge(&peer->channels[1]);
    else if (roll < 890)
        declare_or_delete(&peer->channels[1]);
    else if (roll < 910)
        exchange_event(&peer->channels[1]);
    else if (roll < 950)
        bind_or_unbind(&peer->channels[1]);
    else if (roll < 960)
        put_entry();
    else if (roll < 990)
        world_pass(world, below(40));
    else
        peer_end(peer);
}
