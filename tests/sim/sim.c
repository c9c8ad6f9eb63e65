/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seeded simulation: random operations on many channels of many connections in several vhosts,
 * interleaved by a seed, each run checked against the model (model.h). Time, the journal's lateness, messages
 * that leave and come back, restarts, chunks given back late and connections that die are all the seed's
 * choice.
 *
 *     sim [--seed N] [--seeds COUNT] [--operations N] [--ci] [--trace]
 *
 * Runs COUNT seeds from N on, OPERATIONS each. What fails prints its seed and step; the same --seed with the
 * same --operations does the same again. --ci: ten million operations.
 */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "broker/arguments.h"
#include "broker/vhost_fields.h"
#include "coney/pool.h"
#include "coney/properties.h"
#include "coney/restore.h"
#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "journal_seeded.h"
#include "model.h"
#include "random.h"

enum { WORLDS = 3, NUMBERS = 64, BURST_MAX = 12, READY_MAX = 60, EXCHANGES = 3 };

#define TICK        64
#define BODY_MAX    600
#define BODY_LARGE  14000
#define UNSENT_MAX  3000
#define SPILL_MIN   1500
#define RETURNS_MAX 2

/* Something said other than a delivery; looked at when the model knows what the run meant. */
struct said {
    uint8_t kind, flags;
    uint16_t channel;
    int connection;
    uint32_t method;
    uint32_t count;
    int slot; /* of a cancelled consumer */
    uint64_t tag, id;
};

struct peer {
    struct world *world;
    int index;
    bool alive, ended;
    uint64_t id;
    struct model_consumer *numbers[NUMBERS];
};

struct published {
    uint64_t id, lsn;
};

struct world {
    struct vhost *vhost;
    struct journal_seeded *journal;
    struct model model;
    struct peer connections[CONNECTIONS];
    struct outbox_chunk **chunks; /* out with the connections */
    uint32_t chunk_count, chunk_capacity;
    struct said *said;
    uint32_t said_count, said_capacity;
    struct published published[BURST_MAX * 4];
    uint32_t published_count;
};

static struct world worlds[WORLDS];
static struct random chance;
static uint64_t seed, step, operations_done, next_id, wanted = 50000; /* operations of one seed */
static bool trace;

#define TRACE(...)                                                                     \
    do {                                                                               \
        if (trace) {                                                                   \
            fprintf(stderr, "%8llu %d ", (unsigned long long)step, (int)(w - worlds)); \
            fprintf(stderr, __VA_ARGS__);                                              \
            fputc('\n', stderr);                                                       \
        }                                                                              \
    } while (0)

static uint32_t below(uint32_t limit)
{
    return random_below(&chance, limit);
}

static bool percent(uint32_t p)
{
    return random_percent(&chance, p);
}

void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nat step %llu\n", (unsigned long long)step);
    abort();
}

/* How to see it again: the seed. In a handler only write() is safe; the step is told by fail(). */
static char replay[96];

static void on_abort(int number)
{
    (void)number;
    if (write(STDERR_FILENO, replay, strlen(replay)) < 0)
        _exit(2);
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
}

/* ---- hearing ---- */

static uint64_t message_id(const struct message *message)
{
    uint64_t id;

    memcpy(&id, message->body, sizeof id);
    return id;
}

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

static void output(void *context, struct outbox_chunk *chunks)
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

static void check_counts(struct world *w)
{
    static const char *const names[QUEUES] = {"q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7"};

    for (int i = 0; i < QUEUES; i++) {
        const struct model_queue *queue = &w->model.queues[i];
        struct queue_info info;

        if (vhost_queue_info(w->vhost, bytes_from_string(names[i]), &info) != queue->exists)
            fail("queue %s %s", names[i], queue->exists ? "is gone" : "is still there");
        if (queue->exists && (info.ready != queue->ready || info.unacked != queue->unacked))
            fail("queue %s has %llu ready, %llu unacked, not %llu and %llu", names[i],
                 (unsigned long long)info.ready, (unsigned long long)info.unacked,
                 (unsigned long long)queue->ready, (unsigned long long)queue->unacked);
    }
}

/* After the model knows what the run meant. */
static void finish(struct world *w)
{
    check_said(w);
    model_finish(&w->model);
    check_counts(w);
}

/* ---- running ---- */

static void run(struct world *w, struct batch *batch)
{
    vhost_run(w->vhost, batch, w->model.now);
    vhost_flush(w->vhost);
}

static struct batch batch_of(const struct peer *connection)
{
    return (struct batch){.kind = BATCH_COMMANDS, .connection = connection->id};
}

static void run_commands(struct world *w, struct batch *batch)
{
    run(w, batch);
    batch_clear(batch);
}

static void run_method(struct world *w, struct peer *connection, uint16_t channel,
                       const struct method *method)
{
    struct batch batch = batch_of(connection);

    *batch_add(&batch) = (struct command){.kind = COMMAND_METHOD, .channel = channel, .method = method};
    run_commands(w, &batch);
}

#define RUN(w, connection, number, ...) run_method(w, connection, number, &(struct method){__VA_ARGS__})

static void run_work(struct world *w)
{
    while (vhost_has_work(w->vhost)) {
        run(w, &(struct batch){.kind = BATCH_TIMER});
        finish(w);
    }
}

static void pass_time(struct world *w, int64_t ms)
{
    int64_t end = w->model.now + ms;

    while (vhost_next_deadline(w->vhost) <= end) {
        if (vhost_next_deadline(w->vhost) > w->model.now)
            w->model.now = vhost_next_deadline(w->vhost);
        run(w, &(struct batch){.kind = BATCH_TIMER});
        finish(w);
    }
    w->model.now = end;
}

static void run_chunks(struct world *w, uint32_t count)
{
    struct batch batch = {.kind = BATCH_RETURNS};

    for (; count && w->chunk_count; count--) {
        uint32_t at = below(w->chunk_count);
        struct outbox_chunk *chunk = w->chunks[at];

        w->chunks[at] = w->chunks[--w->chunk_count];
        chunk->next = batch.returned;
        batch.returned = chunk;
    }
    run(w, &batch);
}

static void return_chunks(struct world *w, uint32_t count)
{
    run_chunks(w, count);
    finish(w);
}

static void step_journal(struct world *w)
{
    journal_seeded_step(w->journal, w->vhost, w->model.now);
    vhost_flush(w->vhost);
    finish(w);
}

/* Let everything come to rest, and see whether it has. */
static void quiet(struct world *w)
{
    bool any;

    TRACE("quiet");
    do {
        any = journal_seeded_settle(w->journal, w->vhost, w->model.now);
        vhost_flush(w->vhost);
        finish(w);
        run_work(w);
        if (w->chunk_count) {
            any = true;
            return_chunks(w, w->chunk_count);
        }
        if (vhost_next_deadline(w->vhost) <= w->model.now) {
            any = true;
            pass_time(w, 0);
        }
    } while (any || journal_seeded_questions(w->journal));
    model_check_quiet(&w->model);
    journal_seeded_check(w->journal, w->vhost);
    if (percent(30))
        journal_seeded_restart(w->journal, w->vhost, NULL, NULL);
}

/* ---- operations of connections and channels ---- */

static void open_connection(struct world *w, struct peer *connection)
{
    struct batch batch = {.kind = BATCH_OPEN, .owner = connection};

    TRACE("c%d opens", connection->index);
    batch.open = (struct batch_open){
        .user = BYTES_LITERAL("guest"), .consumer_cancel_notify = true, .user_channel_max = UINT32_MAX};
    connection->alive = true;
    connection->ended = false;
    run(w, &batch);
    if (!connection->id)
        fail("a connection was not attached");
    finish(w);
}

/* Channels of CONNECTION may end. Where something leaves when it comes back, a little at a time is not the
 * same: others come in between letters, and what has expired is gone before a queue is too long. */
static void choose_pace(struct world *w, int connection)
{
    const struct model_delivery *delivery;
    bool at_once = false;

    for (int n = 0; n < CHANNELS; n++)
        DL_FOREACH (w->model.channels[connection][n].deliveries, delivery) {
            const struct model_queue *queue = &w->model.queues[delivery->queue];

            at_once |= queue->has_dlx || queue->max_length >= 0;
        }
    w->vhost->settings.returns_max = at_once ? UINT32_MAX : RETURNS_MAX;
}

/* Tell whether what an ended channel had unacked is not kept from being overtaken yet: it might as well not
 * have ended. */
static bool is_counting(const struct vhost *vhost)
{
    const struct returning *returning;

    DL_FOREACH (vhost->returning, returning)
        if (returning->counted != SEQMAP_END)
            return true;
    return false;
}

/* What channels that have ended had unacked goes back, a little at a time; chunks come back meanwhile. To
 * clients it is one run: what they hear of it is checked at its end. */
static void finish_returns(struct world *w)
{
    while (vhost_has_work(w->vhost)) {
        run(w, &(struct batch){.kind = BATCH_TIMER});
        if (percent(30) && !is_counting(w->vhost))
            run_chunks(w, 1 + below(4));
    }
}

/* Its socket is gone, by its own doing or not. */
static void kill_connection(struct world *w, struct peer *connection)
{
    TRACE("c%d dies", connection->index);
    choose_pace(w, connection->index);
    connection->alive = false;
    run(w, &(struct batch){.kind = BATCH_CLOSE, .connection = connection->id});
    finish_returns(w);
    if (connection->id)
        fail("a connection was not forgotten");
    model_connection_end(&w->model, connection->index);
    finish(w);
}

/* close, and its answer; what else was asked for is answered before. */
static void close_connection(struct world *w, struct peer *connection)
{
    TRACE("c%d closes", connection->index);
    choose_pace(w, connection->index);
    connection->alive = false;
    RUN(w, connection, 0, .id = METHOD_CONNECTION_CLOSE);
    if (percent(20)) { /* and does not wait for it */
        kill_connection(w, connection);
        return;
    }
    finish_returns(w);
    model_connection_end(&w->model, connection->index);
    finish(w);
    while (!connection->ended) {
        journal_seeded_sync(w->journal, w->vhost, w->model.now);
        vhost_flush(w->vhost);
        finish(w);
    }
    run(w, &(struct batch){.kind = BATCH_CLOSE, .connection = connection->id});
    finish(w);
}

static void open_channel(struct world *w, struct peer *connection, struct model_channel *channel)
{
    TRACE("c%d.%u opens", connection->index, channel->number);
    RUN(w, connection, channel->number, .id = METHOD_CHANNEL_OPEN);
    model_channel_open(channel);
    model_expect(channel, METHOD_CHANNEL_OPEN_OK);
    finish(w);
}

static void close_channel(struct world *w, struct peer *connection, struct model_channel *channel)
{
    TRACE("c%d.%u closes", connection->index, channel->number);
    choose_pace(w, connection->index);
    RUN(w, connection, channel->number, .id = METHOD_CHANNEL_CLOSE);
    if (vhost_has_work(w->vhost) && percent(20)) { /* before all is back */
        kill_connection(w, connection);
        return;
    }
    finish_returns(w);
    model_channel_end(channel);
    channel->state = CLOSING;
    model_expect(channel, METHOD_CHANNEL_CLOSE_OK);
    finish(w);
}

/* The run made CHANNEL fail. */
static void channel_failed(struct world *w, struct model_channel *channel)
{
    finish_returns(w);
    model_channel_end(channel);
    channel->state = FAILED;
    model_expect(channel, METHOD_CHANNEL_CLOSE);
}

/* Answer a channel.close that has come. */
static void answer_close(struct world *w, struct peer *connection, struct model_channel *channel)
{
    if (channel->replies)
        return;
    TRACE("c%d.%u close-ok", connection->index, channel->number);
    RUN(w, connection, channel->number, .id = METHOD_CHANNEL_CLOSE_OK);
    channel->state = CLOSED;
    finish(w);
}

/* ---- operations on a channel ---- */

struct actor {
    struct world *w;
    struct peer *connection;
    struct model_channel *channel;
};

#define TRACE_ACTOR(a, ...)                                                                       \
    do {                                                                                          \
        if (trace) {                                                                              \
            fprintf(stderr, "%8llu %d c%d.%u ", (unsigned long long)step, (int)((a)->w - worlds), \
                    (a)->connection->index, (a)->channel->number);                                \
            fprintf(stderr, __VA_ARGS__);                                                         \
            fputc('\n', stderr);                                                                  \
        }                                                                                         \
    } while (0)

static const char *queue_name(int index)
{
    static const char names[QUEUES][3] = {"q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7"};

    return names[index];
}

static struct bytes queue_bytes(int index)
{
    return bytes_from_string(queue_name(index));
}

static void act(const struct actor *a, const struct method *method)
{
    run_method(a->w, a->connection, a->channel->number, method);
}

/* A queue that exists and is not another connection's; NULL when chance finds none. */
static struct model_queue *some_queue(const struct actor *a, int *index)
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
    TRACE_ACTOR(a, "gets from q%d", index);
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

/* ---- topology ---- */

static void choose_options(const struct model *model, struct model_queue *queue, int index, int connection)
{
    bool is_target = index >= 2 && model->queues[index - 2].exists && model->queues[index - 2].has_dlx;
    bool target_is_limited =
        index + 2 < QUEUES && model->queues[index + 2].exists && model->queues[index + 2].max_length >= 0;

    *queue = (struct model_queue){.number = queue->number + 1,
                                  .next_rank = queue->next_rank,
                                  .owner = -1,
                                  .max_length = -1,
                                  .ttl = -1,
                                  .delivery_limit = -1,
                                  .quorum = percent(15),
                                  .single_active = percent(15)};
    queue->durable = queue->quorum || percent(60);
    if (!queue->quorum) {
        queue->auto_delete = percent(10);
        if (percent(10))
            queue->owner = connection;
        if (percent(25))
            queue->max_priority = (uint8_t)(1 + below(4));
    }
    if (queue->owner >= 0)
        queue->durable = false;
    queue->has_dlx = !target_is_limited && percent(40);
    if (!is_target && percent(35))
        queue->max_length = (int64_t[]){0, 1, 3, 12}[below(4)];
    if (queue->max_length >= 0)
        queue->overflow = (enum model_overflow)below(3);
    if (queue->quorum && queue->overflow == REJECT_DLX)
        queue->overflow = DROP_HEAD;
    if (percent(15))
        queue->ttl = TICK * (int64_t)(1 + below(60));
    if (percent(25))
        queue->delivery_limit = below(3);
}

static struct arguments arguments_of(const struct model_queue *queue, int index)
{
    static const char *const overflows[] = {"drop-head", "reject-publish", "reject-publish-dlx"};
    struct argument_item items[10];
    char key[3] = {'q', (char)('0' + index + 2), 0};
    size_t count = 0;

    if (queue->quorum)
        items[count++] = STR("x-queue-type", "quorum");
    if (queue->single_active)
        items[count++] = BOOL("x-single-active-consumer", true);
    if (queue->max_priority)
        items[count++] = INT("x-max-priority", queue->max_priority);
    if (queue->max_length >= 0) {
        items[count++] = INT("x-max-length", queue->max_length);
        items[count++] = STR("x-overflow", overflows[queue->overflow]);
    }
    if (queue->ttl >= 0)
        items[count++] = INT("x-message-ttl", queue->ttl);
    if (queue->delivery_limit >= 0)
        items[count++] = INT("x-delivery-limit", queue->delivery_limit);
    if (queue->has_dlx) {
        items[count++] = STR("x-dead-letter-exchange", "");
        items[count++] = STR("x-dead-letter-routing-key", key);
    }
    return arguments_make(items, count);
}

static void declare(const struct actor *a)
{
    int index = (int)below(QUEUES);
    struct model_queue *queue = &a->w->model.queues[index];
    struct model_reply *reply;
    bool passive = queue->exists;

    if (passive && queue->owner >= 0 && queue->owner != a->connection->index)
        return;
    if (!passive)
        choose_options(&a->w->model, queue, index, a->connection->index);
    TRACE_ACTOR(a, "declares q%d%s: max %lld overflow %d ttl %lld limit %lld dlx %d priorities %u sac %d",
                index, passive ? " passively" : "", (long long)queue->max_length, (int)queue->overflow,
                (long long)queue->ttl, (long long)queue->delivery_limit, queue->has_dlx, queue->max_priority,
                queue->single_active);
    act(a, &(struct method){.id = METHOD_QUEUE_DECLARE,
                            .queue_declare = {.queue = queue_bytes(index),
                                              .arguments = arguments_of(queue, index).table,
                                              .passive = passive,
                                              .durable = queue->durable,
                                              .exclusive = queue->owner >= 0,
                                              .auto_delete = queue->auto_delete}});
    queue->exists = true;
    reply = model_expect(a->channel, METHOD_QUEUE_DECLARE_OK);
    reply->has_count = true;
    reply->count = (uint32_t)queue->ready;
    finish(a->w);
}

static void delete_or_purge(const struct actor *a)
{
    int index;
    struct model_queue *queue = some_queue(a, &index);
    bool purge = percent(60);
    struct model_reply *reply;
    uint32_t count;

    if (!queue)
        return;
    count = (uint32_t)queue->ready;
    TRACE_ACTOR(a, "%s q%d", purge ? "purges" : "deletes", index);
    if (purge)
        act(a, &(struct method){.id = METHOD_QUEUE_PURGE, .queue_purge = {.queue = queue_bytes(index)}});
    else
        act(a, &(struct method){.id = METHOD_QUEUE_DELETE, .queue_delete = {.queue = queue_bytes(index)}});
    if (purge)
        model_purge(&a->w->model, index);
    else
        model_delete(&a->w->model, index);
    reply = model_expect(a->channel, purge ? METHOD_QUEUE_PURGE_OK : METHOD_QUEUE_DELETE_OK);
    reply->has_count = true;
    reply->count = count;
    finish(a->w);
}

/* A message must not reach a queue on two ways: of each chain of dead letters one queue for each key. */
static bool may_bind(const struct model *model, int exchange, int key, int index)
{
    for (int i = index % 2; i < QUEUES; i += 2)
        if (model->queues[i].exists && model->queues[i].bound[exchange][key])
            return false;
    return true;
}

static void bind(const struct actor *a)
{
    static const char *const keys[KEYS] = {"a", "b", "c"};
    int exchange = (int)below(2), key = exchange ? 0 : (int)below(KEYS), index;
    struct model_queue *queue = some_queue(a, &index);
    struct method method = {.id = METHOD_QUEUE_BIND};
    bool unbind;

    if (!queue)
        return;
    unbind = queue->bound[exchange][key];
    if (!unbind && !may_bind(&a->w->model, exchange, key, index))
        return;
    TRACE_ACTOR(a, "%s q%d to %d %d", unbind ? "unbinds" : "binds", index, exchange, key);
    if (unbind) {
        method.id = METHOD_QUEUE_UNBIND;
        method.queue_unbind.queue = queue_bytes(index);
        method.queue_unbind.exchange = bytes_from_string(exchange ? "f" : "d");
        method.queue_unbind.routing_key = bytes_from_string(keys[key]);
    } else {
        method.queue_bind.queue = queue_bytes(index);
        method.queue_bind.exchange = bytes_from_string(exchange ? "f" : "d");
        method.queue_bind.routing_key = bytes_from_string(keys[key]);
    }
    act(a, &method);
    queue->bound[exchange][key] = !unbind;
    model_expect(a->channel, unbind ? METHOD_QUEUE_UNBIND_OK : METHOD_QUEUE_BIND_OK);
    finish(a->w);
}

/* ---- what happens next ---- */

static const struct {
    uint32_t weight;
    void (*act)(const struct actor *);
} operations[] = {
    {300, publish}, {60, consume},        {20, cancel},
    {80, get},      {400, settle},        {8, recover},
    {25, qos},      {20, select_mode},    {40, end_transaction},
    {30, declare},  {8, delete_or_purge}, {25, bind},
};

static void act_at_random(const struct actor *a)
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

static void connection_step(struct world *w, struct peer *connection)
{
    struct actor a = {w, connection, &w->model.channels[connection->index][below(CHANNELS)]};

    if (!connection->alive) {
        open_connection(w, connection);
        return;
    }
    if (below(3000) == 0) {
        percent(50) ? kill_connection(w, connection) : close_connection(w, connection);
        return;
    }
    switch (a.channel->state) {
    case CLOSED:
        open_channel(w, connection, a.channel);
        break;
    case FAILED:
        answer_close(w, connection, a.channel);
        break;
    case CLOSING:
        break;
    case OPEN:
        if (below(700) == 0)
            close_channel(w, connection, a.channel);
        else
            act_at_random(&a);
    }
}

/* ---- worlds ---- */

static void hook_enqueued(void *context, const struct journal_record *record, uint64_t lsn)
{
    struct world *w = context;

    /* A dead letter, which has headers, is nobody's publish. */
    if (record->message->flags & MESSAGE_HAS_HEADERS)
        return;
    if (w->published_count < sizeof w->published / sizeof *w->published)
        w->published[w->published_count++] = (struct published){message_id(record->message), lsn};
}

/* ID in LEVEL, ready or not. */
static enum model_place where_in_level(struct world *w, struct level *level, uint64_t id, bool *departing)
{
    uint64_t at = seqmap_next_live(&level->entries, 0);

    for (; at != SEQMAP_END; at = seqmap_next_live(&level->entries, at + 1))
        if (message_id(((struct entry *)seqmap_get(&level->entries, at))->message) == id)
            return HERE;
    for (uint32_t i = 0; i < level->kept->run_count; i++) {
        struct run *run_at = level->kept->runs[i];

        for (uint32_t bit = 0; bit < run_at->span; bit++) {
            if (!run_bit(run_live(run_at), bit) || seqmap_get(&level->entries, run_at->first + bit) ||
                message_id(journal_seeded_message(w->journal, run_at, run_at->first + bit)) != id)
                continue;
            if (run_bit(run_away(run_at), bit))
                return AWAY;
            *departing = true;
        }
    }
    return NOWHERE;
}

static enum model_place where(void *context, int index, uint64_t id, bool *departing)
{
    struct world *w = context;
    struct queue *queue = queue_find(w->vhost, queue_bytes(index));
    enum model_place place = NOWHERE;

    for (unsigned i = 0; queue && !place && i <= (queue->levels ? queue->options.max_priority : 0U); i++)
        if (queue_level(queue, (uint8_t)i))
            place = where_in_level(w, queue_level(queue, (uint8_t)i), id, departing);
    return place;
}

static void random_octets(void *context, void *out, size_t size)
{
    (void)context;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)random_next(&chance);
}

static struct vhost *make_vhost(void *context, struct journal *journal)
{
    const struct vhost_settings settings = {.message_size_max = 1 << 20,
                                            .unsent_max = UNSENT_MAX,
                                            .spill_min = SPILL_MIN,
                                            .returns_max = RETURNS_MAX};
    const struct vhost_ops ops = {.output = output, .random = random_octets, .context = context};
    struct vhost *vhost = vhost_new(BYTES_LITERAL("/"), &settings, &ops, journal);

    vhost_set_permission(vhost, BYTES_LITERAL("guest"), BYTES_LITERAL(".*"), BYTES_LITERAL(".*"),
                         BYTES_LITERAL(".*"));
    return vhost;
}

static void world_begin(struct world *w)
{
    const struct journal_seeded_hooks hooks = {.enqueued = hook_enqueued, .context = w};
    struct reply_error error;

    *w = (struct world){0};
    model_init(&w->model);
    w->model.now = 1700000000000;
    w->model.where = where;
    w->model.context = w;
    for (int i = 0; i < CONNECTIONS; i++)
        w->connections[i] = (struct peer){.world = w, .index = i};
    w->journal = journal_seeded_new(random_next(&chance), &hooks);
    w->vhost = make_vhost(w, journal_seeded_journal(w->journal));
    vhost_declare_exchange(
        w->vhost,
        &(struct exchange_spec){.name = BYTES_LITERAL("d"), .type = BYTES_LITERAL("direct"), .durable = true},
        &error);
    vhost_declare_exchange(
        w->vhost,
        &(struct exchange_spec){.name = BYTES_LITERAL("f"), .type = BYTES_LITERAL("fanout"), .durable = true},
        &error);
}

/* The node is stopped in good order and started again. */
static void restart(struct world *w)
{
    TRACE("restart");
    for (int i = 0; i < CONNECTIONS; i++)
        if (w->connections[i].alive)
            kill_connection(w, &w->connections[i]);
    quiet(w);
    vhost_settle_marks(w->vhost);
    quiet(w);
    w->vhost = journal_seeded_restart(w->journal, w->vhost, make_vhost, w);
    model_restart(&w->model);
    run(w, &(struct batch){.kind = BATCH_TIMER});
    finish(w);
    run_work(w);
}

static void world_step(struct world *w)
{
    uint32_t roll = below(1000);

    if (roll < 700)
        connection_step(w, &w->connections[below(CONNECTIONS)]);
    else if (roll < 850)
        step_journal(w);
    else if (roll < 980)
        return_chunks(w, 1 + below(8));
    else if (roll < 998)
        pass_time(w, TICK * (int64_t)(1 + below(20)));
    else if (percent(90))
        quiet(w);
    else
        restart(w);
    run_work(w);
}

static void world_end(struct world *w)
{
    quiet(w);
    for (int i = 0; i < CONNECTIONS; i++)
        if (w->connections[i].alive && percent(50))
            kill_connection(w, &w->connections[i]);
    quiet(w);
    for (int i = 0; i < CONNECTIONS; i++) /* what they had may still be on its way back in the end */
        if (w->connections[i].alive && percent(50)) {
            w->connections[i].alive = false;
            run(w, &(struct batch){.kind = BATCH_CLOSE, .connection = w->connections[i].id});
        }
    journal_seeded_answer_all(w->journal, w->vhost, w->model.now);
    journal_seeded_seal(w->journal);
    vhost_free(w->vhost);
    while (w->chunk_count)
        outbox_chunk_free(w->chunks[--w->chunk_count]);
    model_clear(&w->model);
    free(w->chunks);
    free(w->said);
}

static void simulate(void)
{
    uint64_t until = operations_done + wanted, bytes = pool_bytes_in_use();

    chance.state = seed;
    snprintf(replay, sizeof replay, "failed: tests/sim/sim --seed %llu --operations %llu\n",
             (unsigned long long)seed, (unsigned long long)wanted);
    next_id = 1;
    for (int i = 0; i < WORLDS; i++)
        world_begin(&worlds[i]);
    for (step = 0; operations_done < until; step++, operations_done++)
        world_step(&worlds[below(WORLDS)]);
    for (int i = 0; i < WORLDS; i++)
        world_end(&worlds[i]);
#ifdef __SANITIZE_ADDRESS__
    if (pool_bytes_in_use() != bytes)
        fail("%llu octets were lost", (unsigned long long)(pool_bytes_in_use() - bytes));
#else
    (void)bytes;
#endif
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'n'},
        {"operations", required_argument, NULL, 'o'},
        {"ci", no_argument, NULL, 'c'},
        {"trace", no_argument, NULL, 't'},
        {0},
    };
    uint64_t seeds = 4;
    int option;

    seed = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 's':
            seed = number(optarg);
            seeds = 1;
            break;
        case 'n':
            seeds = number(optarg);
            break;
        case 'o':
            wanted = number(optarg);
            break;
        case 'c':
            seeds = 201;
            break;
        case 't':
            trace = true;
            break;
        default:
            return 64;
        }
    signal(SIGABRT, on_abort);
    for (; seeds; seeds--, seed++)
        simulate();
    printf("sim: %llu operations\n", (unsigned long long)operations_done);
    return 0;
}
