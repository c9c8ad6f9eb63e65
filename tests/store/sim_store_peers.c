/* SPDX-License-Identifier: Apache-2.0 */
/* sim_store.h, clients: what they send, what they hear, how they come and go. */
#include <stdlib.h>

#include "broker/vhost_fields.h"
#include "coney/xalloc.h"
#include "sim_store.h"

/* ---- sending ---- */

static struct batch batch; /* of the run that is about to be */

void begin_batch(struct peer *peer)
{
    batch = (struct batch){.kind = BATCH_COMMANDS, .connection = peer->id};
}

void end_batch(struct side *side)
{
    world_run(side->v, &batch, close_ranges);
    batch_clear(&batch);
}

struct command *add_command(void)
{
    return batch_add(&batch);
}

void add_method(uint16_t channel, const struct method *method)
{
    struct method *copy = arena_alloc(&batch.arena, sizeof *copy);

    *copy = *method;
    *batch_add(&batch) = (struct command){.kind = COMMAND_METHOD, .channel = channel, .method = copy};
}

struct expected *expect(struct line *channel, uint32_t method, int queue)
{
    struct expected *expected = xcalloc(1, sizeof *expected);

    expected->method = method;
    expected->queue = queue;
    expected->when = (struct range){0, 0};
    *channel->expected_end = expected;
    channel->expected_end = &expected->next;
    return expected;
}

void act_for(struct line *channel, const struct method *method, uint32_t reply, bool lasts)
{
    struct side *side = channel->peer->side;
    struct expected *expected = expect(channel, reply, -1);

    if (lasts)
        happens(side, &expected->when);
    begin_batch(channel->peer);
    add_method(channel->number, method);
    end_batch(side);
}

void act(struct line *channel, const struct method *method, uint32_t reply)
{
    act_for(channel, method, reply, true);
}

/* ---- hearing ---- */

static void deliver(struct line *channel, int queue, const struct outbox_delivery *record, bool no_ack,
                    struct range asked)
{
    struct side *side = channel->peer->side;
    uint64_t id = read_body(record->message);
    int source = queue == 6 ? 2 : queue == 7 ? 3 : queue;
    struct copy *copy = copy_find(side, id, source);
    bool redelivered = record->record.flags & OUTBOX_REDELIVERED;

    note_refused(side); /* what a channel had unacked may be what comes here */
    TRACE("v%d c%d.%u %s gives %llu tag %llu%s", side->v->index, channel->peer->index, channel->number,
          kinds[queue].name, (unsigned long long)id, (unsigned long long)record->delivery_tag,
          redelivered ? " again" : "");
    if (!copy || record->message->body_size != copy->size)
        fail("v%d: %s delivers %llu, which nobody published there", side->v->index, kinds[queue].name,
             (unsigned long long)id);
    if (copy->is_vague && !copy->is_out)
        copy->is_ready = true;
    if (queue != source && is_due(copy)) {
        copy->in_target = true;
        copy->delivered = false;
        copy->moved = (struct range){0, NEVER};
    }
    if (!copy->is_ready || copy_queue(copy) != queue)
        fail("v%d: %s delivers %llu, which is %s", side->v->index, kinds[queue].name, (unsigned long long)id,
             copy->is_out     ? "out"
             : copy->is_ready ? "in another queue"
                              : "gone");
    if (redelivered != copy->delivered && !(redelivered && side->left_asking[queue]))
        fail("v%d: %s delivers %llu, which was%s delivered before, as if it %s", side->v->index,
             kinds[queue].name, (unsigned long long)id, copy->delivered ? "" : " not",
             redelivered ? "was" : "was not");
    copy->is_ready = false;
    if (no_ack) {
        copy->gone = (struct range){asked.first, world_lsn(side->v)};
        return;
    }
    copy->is_out = copy->delivered = true;
    if (channel->delivery_count == channel->delivery_capacity) {
        channel->delivery_capacity = channel->delivery_capacity * 2 + 16;
        channel->deliveries =
            xrealloc(channel->deliveries, channel->delivery_capacity * sizeof *channel->deliveries);
    }
    channel->deliveries[channel->delivery_count++] = (struct delivery){record->delivery_tag, copy, 0};
}

static void hear_confirm(struct line *channel, const struct outbox_confirm *record)
{
    struct side *side = channel->peer->side;
    uint64_t last = record->delivery_tag, first = record->record.flags & OUTBOX_MULTIPLE ? 1 : last;
    bool nack = record->record.flags & OUTBOX_NACK;

    if (last > channel->published_count)
        fail("confirm of %llu", (unsigned long long)last);
    for (uint64_t i = first; i <= last; i++) {
        struct published *published = channel->published[i - 1];

        if (published->told)
            continue;
        published->told = true;
        if (nack && !faulty)
            fail("a message was refused");
        for (int queue = 0; queue < SOURCES; queue++) {
            if (!nack && published->copies[queue] && published->copies[queue]->lasts)
                promise(side, published->when, "a confirm");
        }
        /* The copies may be forgotten from here on. */
        memset(published->copies, 0, sizeof published->copies);
    }
}

static void hear_reply(struct line *channel, uint32_t method, const struct outbox_delivery *delivery)
{
    struct expected *expected = channel->expected;

    if (method == METHOD_CHANNEL_CLOSE || method == METHOD_CONNECTION_CLOSE) {
        note_refused(channel->peer->side);
        if (!channel->refused || (!faulty && !sys_fake_is_stopped(world->fake)))
            fail("%s", method_name((enum method_id)method));
        channel->peer->broken = true;
        return;
    }
    if (channel->peer->broken)
        return;
    if (!expected || (expected->method != method && !(expected->method == METHOD_BASIC_GET &&
                                                      (delivery || method == METHOD_BASIC_GET_EMPTY))))
        fail("%s instead of %s", method_name((enum method_id)method),
             expected ? method_name((enum method_id)expected->method) : "nothing");
    channel->expected = expected->next;
    if (!expected->next)
        channel->expected_end = &channel->expected;
    if (delivery)
        deliver(channel, expected->queue, delivery, expected->no_ack, expected->when);
    else if (expected->method != METHOD_BASIC_GET)
        promise(channel->peer->side, expected->when, method_name((enum method_id)method));
    free(expected);
}

static void hear_method(struct peer *peer, const struct outbox_method *record)
{
    struct method method;

    if (method_decode(&method, (struct bytes){record->payload, record->payload_size}) != METHOD_OK)
        fail("a method that does not decode");
    if (method.id == METHOD_CHANNEL_CLOSE)
        TRACE("channel.close: %.*s", BYTES_ARG(method.channel_close.reply_text));
    hear_reply(&peer->channels[record->record.channel], method.id, NULL);
}

void hear(struct world_vhost *v, void *owner, struct outbox_record *record)
{
    struct peer *peer = owner;
    struct line *channel = &peer->channels[record->channel];

    (void)v;
    if (record->kind == OUTBOX_CONTROL) {
        if (record->flags == OUTBOX_ATTACHED)
            peer->id = ((struct outbox_attached *)record)->connection;
        return;
    }
    if (!peer->id)
        return;
    switch ((enum outbox_kind)record->kind) {
    case OUTBOX_CONSUMER:
        peer->consumers[((struct outbox_consumer *)record)->consumer] =
            ((struct outbox_consumer *)record)->tag[1] - '0';
        break;
    case OUTBOX_DELIVER:
        deliver(channel, peer->consumers[((struct outbox_delivery *)record)->consumer],
                (struct outbox_delivery *)record, false, never);
        break;
    case OUTBOX_GET_OK:
        hear_reply(channel, METHOD_BASIC_GET, (struct outbox_delivery *)record);
        break;
    case OUTBOX_CONFIRM:
        hear_confirm(channel, (struct outbox_confirm *)record);
        break;
    case OUTBOX_METHOD:
        hear_method(peer, (struct outbox_method *)record);
        break;
    default:
        fail("a message was returned");
    }
}

/* ---- connections ---- */

void peer_init(struct side *side, struct peer *peer, int index)
{
    *peer = (struct peer){.side = side, .index = index};
    for (int i = 0; i <= CHANNELS; i++) {
        peer->channels[i].peer = peer;
        peer->channels[i].number = (uint16_t)i;
        peer->channels[i].expected_end = &peer->channels[i].expected;
        peer->channels[i].consumes = -1;
    }
}

void peer_open(struct peer *peer)
{
    struct batch open = {.kind = BATCH_OPEN, .owner = peer};
    struct line *channels = peer->channels;

    TRACE("v%d c%d opens", peer->side->v->index, peer->index);
    open.open = (struct batch_open){.user = BYTES_LITERAL("guest"), .user_channel_max = UINT32_MAX};
    expect(&channels[0], METHOD_CONNECTION_OPEN_OK, -1);
    peer->id = NEVER;
    world_run(peer->side->v, &open, NULL);
    for (int i = 1; i <= CHANNELS; i++)
        act(&channels[i], &(struct method){.id = METHOD_CHANNEL_OPEN}, METHOD_CHANNEL_OPEN_OK);
    if (peer == &peer->side->inspector)
        return;
    act(&channels[1], &(struct method){.id = METHOD_CONFIRM_SELECT}, METHOD_CONFIRM_SELECT_OK);
    act(&channels[2], &(struct method){.id = METHOD_TX_SELECT}, METHOD_TX_SELECT_OK);
    act(&channels[1],
        &(struct method){.id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_count = (uint16_t)(1 + below(5))}},
        METHOD_BASIC_QOS_OK);
}

static void give_back_of(struct line *channel)
{
    for (const struct expected *expected = channel->expected; expected; expected = expected->next)
        if (expected->queue >= 0)
            channel->peer->side->left_asking[expected->queue] = true;
    for (uint32_t n = 0; n < channel->delivery_count; n++)
        if (channel->deliveries[n].copy->is_out) {
            channel->deliveries[n].copy->is_out = false;
            channel->deliveries[n].copy->is_ready = true;
        }
    channel->delivery_count = 0;
}

void give_back(struct peer *peer)
{
    for (int i = 1; i <= CHANNELS; i++)
        give_back_of(&peer->channels[i]);
}

static void note_refused_of(struct peer *peer)
{
    struct connection *connection = connection_find(peer->side->v->vhost, peer->id);

    for (int i = 1; i <= CHANNELS && connection; i++) {
        struct line *line = &peer->channels[i];
        struct channel *channel = connection_channel(connection, line->number);

        if (line->refused || !channel || channel->state != CHANNEL_CLOSING)
            continue;
        TRACE("v%d c%d.%u is closed", peer->side->v->index, peer->index, line->number);
        line->refused = true;
        give_back_of(line);
    }
}

bool is_broken(const struct side *side, int queue)
{
    const struct queue *there = queue_find(side->v->vhost, queue_bytes(queue));

    return there && there->is_broken;
}

void note_refused(struct side *side)
{
    for (int i = 0; i < CONNECTIONS; i++)
        note_refused_of(&side->peers[i]);
}

void peer_forget(struct peer *peer)
{
    for (int i = 0; i <= CHANNELS; i++) {
        struct line *channel = &peer->channels[i];

        free(channel->deliveries);
        while (channel->expected) {
            struct expected *expected = channel->expected;

            channel->expected = expected->next;
            free(expected);
        }
        for (uint32_t n = 0; n < channel->published_count; n++)
            free(channel->published[n]);
        free(channel->published);
    }
    peer_init(peer->side, peer, peer->index);
}

void peer_vanish(struct peer *peer)
{
    uint64_t id = peer->id;

    TRACE("v%d c%d is gone", peer->side->v->index, peer->index);
    if (peer->side->open_count)
        fail("a run is open");
    give_back(peer);
    peer_forget(peer);
    if (!world->is_dead)
        world_run(peer->side->v, &(struct batch){.kind = BATCH_CLOSE, .connection = id}, NULL);
}

void peer_close(struct peer *peer)
{
    struct expected *expected;

    TRACE("v%d c%d closes", peer->side->v->index, peer->index);
    expected = expect(&peer->channels[0], METHOD_CONNECTION_CLOSE_OK, -1);
    expected->when.last = peer->acked;
    give_back(peer);
    begin_batch(peer);
    add_method(0, &(struct method){.id = METHOD_CONNECTION_CLOSE});
    end_batch(peer->side);
    for (int turn = 0; turn < 2000 && peer->channels[0].expected && !world->is_dead; turn++)
        world_turn(world);
    if (!world->is_dead)
        peer_vanish(peer);
}
