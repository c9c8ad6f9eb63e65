/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h, hearing: what a run says is noted, and held against the model when that knows what the run meant. */
#include <stdlib.h>
#include <utlist.h>

#include "coney/xalloc.h"
#include "sim.h"

static void hear_delivery(struct world *w, struct peer *connection, const struct outbox_delivery *record)
{
    struct model_consumer *consumer = connection->numbers[record->consumer];
    struct model_heard *heard = &w->model.heard[w->model.heard_count++];

    if (w->model.heard_count > DELIVERIES_MAX - 1)
        fail("more deliveries in a run than there are messages");
    if (!consumer || consumer->channel->number != record->record.channel)
        fail("a delivery for no consumer");
    if (record->delivery_tag != ++consumer->channel->tag)
        fail("delivery tag %llu instead of %llu", (unsigned long long)record->delivery_tag,
             (unsigned long long)consumer->channel->tag);
    if (!consumer->told)
        fail("a delivery before consume-ok");
    *heard = (struct model_heard){.consumer = consumer,
                                  .channel = consumer->channel,
                                  .queue = consumer->queue,
                                  .id = message_id(record->message),
                                  .tag = record->delivery_tag,
                                  .redelivered = record->record.flags & OUTBOX_REDELIVERED,
                                  .delivery_count = record->delivery_count};
    TRACE("    c%d.%u t%d gets %llu", connection->index, record->record.channel,
          (int)(consumer - consumer->channel->consumers), (unsigned long long)heard->id);
}

static struct said *say_add(struct world *w, const struct outbox_record *record, int connection)
{
    struct said *said;

    if (w->said_count == w->said_capacity) {
        w->said_capacity = w->said_capacity * 2 + 64;
        w->said = xrealloc(w->said, w->said_capacity * sizeof *w->said);
    }
    said = &w->said[w->said_count++];
    *said = (struct said){
        .kind = record->kind, .flags = record->flags, .channel = record->channel, .connection = connection};
    return said;
}

static int slot_of_tag(struct bytes tag)
{
    return tag.size == 2 && tag.data[0] == 't' ? tag.data[1] - '0' : -1;
}

static void hear_method(struct world *w, struct peer *connection, const struct outbox_method *record)
{
    struct said *said = say_add(w, &record->record, connection->index);
    struct method method;

    if (method_decode(&method, (struct bytes){record->payload, record->payload_size}) != METHOD_OK)
        fail("a method that does not decode");
    said->method = method.id;
    switch (method.id) {
    case METHOD_QUEUE_DECLARE_OK:
        said->count = method.queue_declare_ok.message_count;
        break;
    case METHOD_QUEUE_PURGE_OK:
        said->count = method.queue_purge_ok.message_count;
        break;
    case METHOD_QUEUE_DELETE_OK:
        said->count = method.queue_delete_ok.message_count;
        break;
    case METHOD_BASIC_CANCEL:
        said->slot = slot_of_tag(method.basic_cancel.consumer_tag);
        break;
    case METHOD_BASIC_CONSUME_OK: {
        int slot = slot_of_tag(method.basic_consume_ok.consumer_tag);

        w->model.channels[connection->index][record->record.channel - 1].consumers[slot].told = true;
        break;
    }
    default:
        break;
    }
}

static void hear_control(struct peer *connection, struct outbox_record *record)
{
    switch ((enum outbox_control)record->flags) {
    case OUTBOX_ATTACHED:
        connection->id = ((struct outbox_attached *)record)->connection;
        break;
    case OUTBOX_END:
    case OUTBOX_END_NOW:
        connection->ended = true;
        break;
    case OUTBOX_DETACHED:
        connection->id = 0;
        break;
    case OUTBOX_CLOSE_SENT:
        break;
    }
}

static void hear(struct world *w, struct peer *connection, struct outbox_record *record)
{
    struct said *said;

    switch ((enum outbox_kind)record->kind) {
    case OUTBOX_CONTROL:
        hear_control(connection, record);
        break;
    case OUTBOX_CONSUMER: {
        const struct outbox_consumer *consumer = (struct outbox_consumer *)record;
        int slot = slot_of_tag((struct bytes){consumer->tag, consumer->tag_size});

        connection->numbers[consumer->consumer] =
            &w->model.channels[connection->index][record->channel - 1].consumers[slot];
        break;
    }
    case OUTBOX_DELIVER:
        hear_delivery(w, connection, (struct outbox_delivery *)record);
        break;
    case OUTBOX_METHOD:
        hear_method(w, connection, (struct outbox_method *)record);
        break;
    case OUTBOX_CONFIRM:
        say_add(w, record, connection->index)->tag = ((struct outbox_confirm *)record)->delivery_tag;
        break;
    case OUTBOX_RETURN:
        say_add(w, record, connection->index)->id = message_id(((struct outbox_return *)record)->message);
        break;
    case OUTBOX_GET_OK: {
        const struct outbox_delivery *delivery = (struct outbox_delivery *)record;

        struct model_channel *channel = &w->model.channels[connection->index][record->channel - 1];

        said = say_add(w, record, connection->index);
        said->id = message_id(delivery->message);
        said->tag = delivery->delivery_tag;
        said->count = delivery->delivery_count;
        if (said->tag != ++channel->tag)
            fail("get-ok with tag %llu instead of %llu", (unsigned long long)said->tag,
                 (unsigned long long)channel->tag);
    }
    }
}

void hear_chunks(void *context, struct outbox_chunk *chunks)
{
    struct world *w = context;
    struct peer *connection = chunks->owner;

    while (chunks) {
        struct outbox_chunk *chunk = chunks;

        chunks = chunk->next;
        for (struct outbox_record *record = outbox_first(chunk); record; record = outbox_next(chunk, record))
            if (connection->alive || record->kind == OUTBOX_CONTROL)
                hear(w, connection, record);
        if (w->chunk_count == w->chunk_capacity) {
            w->chunk_capacity = w->chunk_capacity * 2 + 64;
            w->chunks = xrealloc(w->chunks, w->chunk_capacity * sizeof(struct outbox_chunk *));
        }
        w->chunks[w->chunk_count++] = chunk;
    }
}

/* The answer to a get. */
static void check_got(struct model_channel *channel, const struct model_reply *reply, const struct said *said)
{
    if (said->kind == OUTBOX_GET_OK)
        model_got(channel, reply,
                  &(struct model_heard){.id = said->id,
                                        .tag = said->tag,
                                        .redelivered = said->flags & OUTBOX_REDELIVERED,
                                        .delivery_count = said->count});
    else
        model_got_nothing(channel, reply);
}

static void check_reply(struct model_channel *channel, const struct said *said)
{
    struct model_reply *reply;
    uint32_t method = said->kind == OUTBOX_GET_OK ? REPLY_GET_OK : said->method;

    if (method == METHOD_BASIC_CANCEL) {
        if (said->slot < 0 || !channel->cancels[said->slot]--)
            fail("basic.cancel for no reason");
        return;
    }
    reply = model_reply(channel);
    if (reply->method == REPLY_GET_OK && (method == REPLY_GET_OK || method == METHOD_BASIC_GET_EMPTY)) {
        check_got(channel, reply, said);
        free(reply);
        return;
    }
    if (reply->method != method)
        fail("%s instead of %s", method_name((enum method_id)method),
             method_name((enum method_id)reply->method));
    if (reply->has_count && reply->count != said->count)
        fail("%s counts %u messages, not %u", method_name((enum method_id)method), said->count, reply->count);
    if (method == METHOD_CHANNEL_CLOSE_OK)
        channel->state = CLOSED;
    else if (method == METHOD_CHANNEL_CLOSE && channel->state != FAILED)
        fail("a channel was closed");
    free(reply);
}

static void check_return(struct world *w, uint64_t id)
{
    for (uint32_t i = 0; i < w->model.returned_count; i++)
        if (w->model.returned[i] == id) {
            w->model.returned[i] = w->model.returned[--w->model.returned_count];
            return;
        }
    fail("message %llu was returned for no reason", (unsigned long long)id);
}

/* All that was said must have been meant. */
static void check_said(struct world *w)
{
    for (uint32_t i = 0; i < w->said_count; i++) {
        const struct said *said = &w->said[i];
        struct model_channel *channel;

        if (!w->connections[said->connection].alive)
            continue;
        if (said->channel == 0) {
            if (said->method != METHOD_CONNECTION_OPEN_OK && said->method != METHOD_CONNECTION_CLOSE_OK &&
                said->method != METHOD_CONNECTION_CLOSE)
                fail("%s on channel 0", method_name((enum method_id)said->method));
            continue;
        }
        channel = &w->model.channels[said->connection][said->channel - 1];
        if (said->kind == OUTBOX_CONFIRM)
            model_confirm(channel, said->tag, said->flags & OUTBOX_MULTIPLE, said->flags & OUTBOX_NACK,
                          journal_seeded_durable(w->journal));
        else if (said->kind == OUTBOX_RETURN)
            check_return(w, said->id);
        else
            check_reply(channel, said);
    }
    w->said_count = 0;
    if (w->model.returned_count)
        fail("message %llu was not returned", (unsigned long long)w->model.returned[0]);
}

/* What the model has in its queue INDEX and the core has not. */
static void say_missing(struct world *w, int index)
{
    const struct model_message *message;
    bool departing;

    DL_FOREACH (w->model.queues[index].messages, message) {
        departing = false;
        if (w->model.where(w->model.context, index, message->id, &departing) == NOWHERE && !departing)
            fprintf(stderr, "message %llu is missing\n", (unsigned long long)message->id);
    }
}

static void check_counts(struct world *w)
{
    for (int i = 0; i < QUEUES; i++) {
        const struct model_queue *queue = &w->model.queues[i];
        struct queue_info info;

        if (vhost_queue_info(w->vhost, queue_bytes(i), &info) != queue->exists)
            fail("queue %s %s", queue_name(i), queue->exists ? "is gone" : "is still there");
        if (!queue->exists || (info.ready == queue->ready && info.unacked == queue->unacked))
            continue;
        say_missing(w, i);
        fail("queue %s has %llu ready, %llu unacked, not %llu and %llu", queue_name(i),
             (unsigned long long)info.ready, (unsigned long long)info.unacked,
             (unsigned long long)queue->ready, (unsigned long long)queue->unacked);
    }
}

void finish(struct world *w)
{
    check_said(w);
    model_finish(&w->model);
    check_counts(w);
}
