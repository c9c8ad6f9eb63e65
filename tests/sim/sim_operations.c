/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h, operations on a channel: messages, consumers, settlements, modes. */
#include <utlist.h>

#include "broker/arguments.h"
#include "broker/vhost_fields.h"
#include "coney/buffer.h"
#include "coney/properties.h"
#include "sim.h"

enum { READY_MAX = 60, EXCHANGES = 3 };

#define BODY_MAX   600
#define BODY_LARGE 14000

const char *queue_name(int index)
{
    static const char names[QUEUES][3] = {"q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7"};

    return names[index];
}

struct bytes queue_bytes(int index)
{
    return bytes_from_string(queue_name(index));
}

void act(const struct actor *a, const struct method *method)
{
    run_method(a->w, a->connection, a->channel->number, method);
}

struct model_queue *some_queue(const struct actor *a, int *index)
{
    struct model_queue *queue;

    *index = (int)below(QUEUES);
    queue = &a->w->model.queues[*index];
    return queue->exists && (queue->owner < 0 || queue->owner == a->connection->index) ? queue : NULL;
}

static struct message *make_message(int exchange, int key, uint64_t id, uint8_t priority, int64_t ttl)
{
    static const char *const exchanges[] = {"d", "f", ""};
    static const char *const keys[KEYS] = {"a", "b", "c"};
    struct properties properties = {.flags = PROPERTY_PRIORITY, .priority = priority};
    struct buffer raw = {0};
    struct message *message;
    uint64_t size = percent(1) ? BODY_LARGE : sizeof id + below(BODY_MAX);
    char expiration[24];

    if (model_is_persistent(id)) {
        properties.flags |= PROPERTY_DELIVERY_MODE;
        properties.delivery_mode = DELIVERY_MODE_PERSISTENT;
    }
    if (ttl >= 0) {
        snprintf(expiration, sizeof expiration, "%lld", (long long)ttl);
        properties.flags |= PROPERTY_EXPIRATION;
        properties.expiration = bytes_from_string(expiration);
    }
    properties_encode(&raw, &properties);
    message = message_new(bytes_from_string(exchanges[exchange]),
                          bytes_from_string(exchange == 2 ? queue_name(key) : keys[key]),
                          (struct bytes){NULL, 0}, buffer_bytes(&raw), size);
    buffer_free(&raw);
    memset(message->body, 0, (size_t)size);
    memcpy(message->body, &id, sizeof id);
    message_scan_properties(message);
    return message;
}

/* Several publishes may be one run if nothing but who takes them depends on their order. */
static uint32_t burst_max(const struct model *model, int exchange, int key)
{
    uint64_t ready = 0;

    for (int i = 0; i < QUEUES; i++) {
        const struct model_queue *queue = &model->queues[i];

        if (!queue->exists || (exchange == 2 ? i != key : !queue->bound[exchange][exchange ? 0 : key]))
            continue;
        if (queue->ready > ready)
            ready = queue->ready;
        if (queue->max_length >= 0 || queue->max_priority)
            return ready > READY_MAX ? 0 : 1;
    }
    return ready > READY_MAX ? 0 : BURST_MAX;
}

static uint64_t published_lsn(const struct world *w, uint64_t id)
{
    uint64_t lsn = 0;

    for (uint32_t i = 0; i < w->published_count; i++)
        if (w->published[i].id == id && w->published[i].lsn > lsn)
            lsn = w->published[i].lsn;
    return lsn;
}

static void publish(const struct actor *a)
{
    static const int64_t ttls[] = {TICK * 3, TICK * 40, TICK * 500};
    struct world *w = a->w;
    struct batch batch = batch_of(a->connection);
    int exchange = (int)below(EXCHANGES), key = (int)below(exchange == 2 ? QUEUES : KEYS);
    bool mandatory = percent(20);
    int64_t ttl = percent(10) ? ttls[below(3)] : -1;
    uint8_t priority = (uint8_t)below(6);
    uint32_t count = burst_max(&w->model, exchange, key);
    uint64_t first = next_id;

    pass_time(w, TICK);
    if (count)
        count = 1 + below(count);
    for (uint32_t i = 0; i < count; i++)
        *batch_add(&batch) =
            (struct command){.kind = COMMAND_PUBLISH,
                             .flags = mandatory ? COMMAND_MANDATORY : 0,
                             .channel = a->channel->number,
                             .message = make_message(exchange, key, next_id++, priority, ttl)};
    TRACE("c%d.%u publishes %llu and %u more to %d %d, ttl %lld", a->connection->index, a->channel->number,
          (unsigned long long)first, count, exchange, key, (long long)ttl);
    w->published_count = 0;
    run_commands(w, &batch);
    for (uint64_t id = first; id < next_id; id++)
        model_publish(a->channel, exchange, key, id, priority, ttl, mandatory, published_lsn(w, id));
    operations_done += count;
    finish(w);
}

static void consume(const struct actor *a)
{
    struct world *w = a->w;
    int slot = (int)below(CONSUMERS), index;
    struct model_queue *queue = some_queue(a, &index);
    bool no_ack = percent(30), nowait = percent(20);
    int32_t priority = percent(20) ? (int32_t)below(3) - 1 : 0;
    char tag[3] = {'t', (char)('0' + slot), 0};
    struct model_consumer *consumer;

    if (!queue || a->channel->consumers[slot].exists || (queue->quorum && a->channel->prefetch_global))
        return;
    TRACE("c%d.%u t%d consumes q%d%s", a->connection->index, a->channel->number, slot, index,
          no_ack ? " no-ack" : "");
    consumer = model_consume(a->channel, slot, index, no_ack, priority);
    consumer->told = nowait;
    if (!nowait)
        model_expect(a->channel, METHOD_BASIC_CONSUME_OK);
    act(a, &(struct method){.id = METHOD_BASIC_CONSUME,
                            .basic_consume = {.queue = queue_bytes(index),
                                              .consumer_tag = bytes_from_string(tag),
                                              .arguments = ARGUMENTS(INT("x-priority", priority)).table,
                                              .no_ack = no_ack,
                                              .nowait = nowait}});
    finish(w);
}

static void cancel(const struct actor *a)
{
    int slot = (int)below(CONSUMERS);
    char tag[3] = {'t', (char)('0' + slot), 0};

    TRACE_ACTOR(a, "cancels t%d", slot);
    act(a, &(struct method){.id = METHOD_BASIC_CANCEL,
                            .basic_cancel = {.consumer_tag = bytes_from_string(tag)}});
    model_expect(a->channel, METHOD_BASIC_CANCEL_OK);
    if (a->channel->consumers[slot].exists)
        model_cancel(a->channel, &a->channel->consumers[slot]);
    finish(a->w);
}

static void get(const struct actor *a)
{
    int index;
    struct model_queue *queue = some_queue(a, &index);
    bool no_ack = percent(50);

    if (!queue || (queue->quorum && queue->single_active))
        return;
    TRACE_ACTOR(a, "gets from q%d%s", index, no_ack ? " no-ack" : "");
    model_get(a->channel, index, no_ack); /* first: it depends on what is there now */
    act(a, &(struct method){.id = METHOD_BASIC_GET,
                            .basic_get = {.queue = queue_bytes(index), .no_ack = no_ack}});
    finish(a->w);
}

static uint64_t some_tag(const struct model_channel *channel)
{
    const struct model_delivery *delivery = channel->deliveries;

    if (!channel->delivery_count)
        return 0;
    for (uint32_t skip = below(channel->delivery_count < 8 ? channel->delivery_count : 8); skip; skip--)
        delivery = delivery->next;
    return delivery->held ? 0 : delivery->tag;
}

static void settle(const struct actor *a)
{
    static const int flags[] = {COMMAND_ACK, COMMAND_NACK, COMMAND_NACK | COMMAND_REQUEUE};
    struct batch batch = batch_of(a->connection);
    int how = percent(70) ? SETTLE_HOW_ACK : 1 + (int)below(2);
    bool multiple = percent(20);
    uint64_t tag = some_tag(a->channel);

    if (percent(1))
        tag = a->channel->tag + 1 + below(3);
    else if (!tag && !multiple)
        return;
    TRACE_ACTOR(a, "settles %llu%s: %d", (unsigned long long)tag, multiple ? " multiple" : "", how);
    *batch_add(&batch) = (struct command){.kind = COMMAND_SETTLE,
                                          .flags = (uint8_t)(flags[how] | (multiple ? COMMAND_MULTIPLE : 0)),
                                          .channel = a->channel->number,
                                          .delivery_tag = tag};
    choose_pace(a->w, a->connection->index);
    run_commands(a->w, &batch);
    if (!model_settle(a->channel, tag, multiple, how))
        channel_failed(a->w, a->channel);
    finish(a->w);
}

static void recover(const struct actor *a)
{
    TRACE_ACTOR(a, "recovers");
    act(a, &(struct method){.id = METHOD_BASIC_RECOVER, .basic_recover = {.requeue = true}});
    model_recover(a->channel);
    model_expect(a->channel, METHOD_BASIC_RECOVER_OK);
    finish(a->w);
}

static void qos(const struct actor *a)
{
    bool global = percent(40);
    uint16_t count = percent(30) ? 0 : (uint16_t)(1 + below(5));

    TRACE_ACTOR(a, "prefetch %u%s", count, global ? " global" : "");
    act(a,
        &(struct method){.id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_count = count, .global = global}});
    model_qos(a->channel, count, global);
    model_expect(a->channel, METHOD_BASIC_QOS_OK);
    finish(a->w);
}

static void select_mode(const struct actor *a)
{
    bool tx = percent(30);

    if (a->channel->mode != NORMAL)
        return;
    TRACE_ACTOR(a, "selects %s", tx ? "tx" : "confirm");
    act(a, &(struct method){.id = tx ? METHOD_TX_SELECT : METHOD_CONFIRM_SELECT});
    a->channel->mode = tx ? TX : CONFIRM;
    model_expect(a->channel, tx ? METHOD_TX_SELECT_OK : METHOD_CONFIRM_SELECT_OK);
    finish(a->w);
}

static void end_transaction(const struct actor *a)
{
    bool commit = percent(80);

    if (a->channel->mode != TX)
        return;
    TRACE_ACTOR(a, "%s", commit ? "commits" : "rolls back");
    a->w->vhost->settings.returns_max = UINT32_MAX; /* to the model a commit and its failure are one */
    act(a, &(struct method){.id = commit ? METHOD_TX_COMMIT : METHOD_TX_ROLLBACK});
    if (!commit)
        model_rollback(a->channel);
    else if (!model_commit(a->channel)) {
        channel_failed(a->w, a->channel);
        finish(a->w);
        return;
    }
    model_expect(a->channel, commit ? METHOD_TX_COMMIT_OK : METHOD_TX_ROLLBACK_OK);
    finish(a->w);
}
/* ---- one of them ---- */

static const struct {
    uint32_t weight;
    void (*act)(const struct actor *);
} operations[] = {
    {300, publish}, {60, consume},        {20, cancel},
    {80, get},      {400, settle},        {8, recover},
    {25, qos},      {20, select_mode},    {40, end_transaction},
    {30, declare},  {8, delete_or_purge}, {25, bind_or_unbind},
};

void act_at_random(const struct actor *a)
{
    uint32_t total = 0, at;

    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        total += operations[i].weight;
    at = below(total);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (at < operations[i].weight) {
            operations[i].act(a);
            return;
        }
        at -= operations[i].weight;
    }
}
