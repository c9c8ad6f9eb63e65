/* SPDX-License-Identifier: Apache-2.0 */
/* Class basic but for publish and settlement: qos, consume, cancel, get, recover (publish-consume-ack.md 4 to
 * 6). */
#include <stdlib.h>

#include "coney/table.h"
#include "coney/xalloc.h"
#include "count.h"
#include "events.h"
#include "vhost_fields.h"

/* ---- qos ---- */

/* Switching the channel's limit on counts everything unacked at that moment, gets too (section 4). */
static void count_all_globally(struct channel *channel)
{
    uint64_t tag = seqmap_next_live(&channel->unacked, 0);

    for (; tag != SEQMAP_END; tag = seqmap_next_live(&channel->unacked, tag + 1))
        ((struct unacked *)seqmap_get(&channel->unacked, tag))->counts_globally = true;
    channel->unacked_global = channel->unacked_count;
}

static void run_qos(struct channel *channel, const struct method_basic_qos *qos)
{
    if (qos->prefetch_size) {
        channel_fail(channel, METHOD_BASIC_QOS, REPLY_NOT_IMPLEMENTED, "prefetch_size!=0 (%u)",
                     qos->prefetch_size);
        return;
    }
    if (qos->global) {
        if (!channel->prefetch_global && qos->prefetch_count)
            count_all_globally(channel);
        channel->prefetch_global = qos->prefetch_count;
    } else {
        channel->prefetch = qos->prefetch_count;
        channel->prefetch_global = 0;
    }
    channel_reply(channel, &(struct method){.id = METHOD_BASIC_QOS_OK}, 0);
    channel_reconsider_consumers(channel);
}

/* ---- consume ---- */

/* x-priority, and what only streams know (5.1). */
static bool check_arguments(struct channel *channel, const struct queue *queue, struct bytes arguments,
                            int64_t *priority)
{
    struct table_iterator iterator = table_begin(arguments);
    struct bytes name;
    struct field field;

    *priority = 0;
    while (table_next(&iterator, &name, &field)) {
        if (bytes_equal_string(name, "x-priority") && !field_is_integer(&field, priority)) {
            channel_fail(
                channel, METHOD_BASIC_CONSUME, REPLY_PRECONDITION_FAILED,
                "invalid arg 'x-priority' for queue '%.*s' in vhost '%.*s': \"expected integer, got %s\"",
                BYTES_ARG(queue->name), BYTES_ARG(queue->vhost->name), field_type_name(field.type));
            return false;
        }
        if (bytes_equal_string(name, "x-stream-offset") || bytes_equal_string(name, "x-stream-filter") ||
            bytes_equal_string(name, "x-stream-match-unfiltered")) {
            channel_fail(channel, METHOD_BASIC_CONSUME, REPLY_PRECONDITION_FAILED,
                         "invalid arg '%.*s' for queue '%.*s' in vhost '%.*s' of queue type rabbit_%s_queue",
                         BYTES_ARG(name), BYTES_ARG(queue->name), BYTES_ARG(queue->vhost->name),
                         queue_type_name(queue->options.type));
            return false;
        }
    }
    return true;
}

static bool is_in_exclusive_use(const struct queue *queue, bool exclusive)
{
    if (queue->options.type == QUEUE_QUORUM)
        return false; /* quorum queues ignore the flag */
    if (exclusive && (queue->consumers || queue->options.single_active))
        return true;
    return queue->consumers && queue->consumers->exclusive;
}

static bool check_consume(struct channel *channel, const struct queue *queue,
                          const struct method_basic_consume *consume, int64_t *priority)
{
    const struct vhost_settings *limits = &queue->vhost->settings;

    if (queue->options.type == QUEUE_QUORUM && channel->prefetch_global) {
        channel_fail(channel, METHOD_BASIC_CONSUME, REPLY_NOT_IMPLEMENTED,
                     "queue '%.*s' in vhost '%.*s' does not support global qos", BYTES_ARG(queue->name),
                     BYTES_ARG(queue->vhost->name));
        return false;
    }
    if (limits->consumers_max && HASH_COUNT(channel->consumers) >= limits->consumers_max) {
        channel_fail(channel, METHOD_BASIC_CONSUME, REPLY_NOT_ALLOWED,
                     "reached maximum (%llu) of consumers per channel",
                     (unsigned long long)limits->consumers_max);
        return false;
    }
    if (!check_arguments(channel, queue, consume->arguments, priority))
        return false;
    if (is_in_exclusive_use(queue, consume->exclusive)) {
        channel_fail(channel, METHOD_BASIC_CONSUME, REPLY_ACCESS_REFUSED,
                     "queue '%.*s' in vhost '%.*s' in exclusive use", BYTES_ARG(queue->name),
                     BYTES_ARG(queue->vhost->name));
        return false;
    }
    return true;
}

static struct consumer *consumer_new(struct channel *channel, struct bytes tag,
                                     const struct method_basic_consume *consume, int64_t priority)
{
    struct connection *connection = channel->connection;
    struct consumer *consumer = xcalloc(1, sizeof *consumer);
    struct outbox_consumer *record;

    consumer->channel = channel;
    consumer->tag = bytes_copy(tag);
    consumer->refs = 1;
    consumer->prefetch = consume->no_ack ? 0 : channel->prefetch;
    consumer->priority = priority;
    consumer->no_ack = consume->no_ack;
    consumer->exclusive = consume->exclusive;
    consumer->is_suspended = true; /* until its consume-ok is out */
    consumer->number = connection_number_take(connection);
    HASH_ADD_KEYPTR(hh, channel->consumers, consumer->tag.data, consumer->tag.size, consumer);
    record = outbox_add(connection, OUTBOX_CONSUMER, channel->number, sizeof *record + tag.size, 0, true);
    record->consumer = consumer->number;
    record->tag_size = (uint8_t)tag.size;
    put_bytes(record->tag, tag);
    return consumer;
}

/* Reply to consume; deliveries begin when the reply is out, which may be at once. What is delivered and not
 * acked must be found redelivered after a crash, so the journal is to know where deliveries begin. */
static void consume_ok(struct channel *channel, struct consumer *consumer, bool nowait)
{
    struct method ok = {.id = METHOD_BASIC_CONSUME_OK, .basic_consume_ok = {.consumer_tag = consumer->tag}};
    uint64_t lsn = consumer->no_ack ? 0 : queue_promise_marks(consumer->queue);

    if (!nowait)
        channel_reply_for(channel, &ok, lsn, consumer);
    else
        consumer_resume(consumer);
}

/* The client's tag, or one made here; false after failing the connection. The reply consumer's tag is not in
 * the way, as in RabbitMQ. */
bool channel_consumer_tag(struct channel *channel, struct bytes *tag, char made[64])
{
    struct consumer *consumer;

    if (!tag->size) {
        vhost_random_name(channel->connection->vhost, "amq.ctag-", made);
        *tag = bytes_from_string(made);
        return true;
    }
    HASH_FIND(hh, channel->consumers, tag->data, tag->size, consumer);
    if (!consumer)
        return true;
    channel_fail(channel, METHOD_BASIC_CONSUME, REPLY_NOT_ALLOWED, "attempt to reuse consumer tag '%.*s'",
                 BYTES_ARG(*tag));
    return false;
}

static void run_consume(struct channel *channel, const struct method_basic_consume *consume)
{
    struct bytes name = consume->queue, tag = consume->consumer_tag;
    struct consumer *consumer;
    struct queue *queue;
    int64_t priority;
    char made[64];

    if (channel->connection->vhost->is_draining) {
        channel_fail(channel, METHOD_BASIC_CONSUME, REPLY_CONNECTION_FORCED, DRAINING_TEXT);
        return;
    }
    if (!channel_queue_name(channel, METHOD_BASIC_CONSUME, &name))
        return;
    if (reply_to_is_name(name)) {
        reply_to_consume(channel, consume);
        return;
    }
    if (!channel_consumer_tag(channel, &tag, made) ||
        !channel_allowed(channel, METHOD_BASIC_CONSUME, PERMISSION_READ, "queue", name))
        return;
    queue = channel_find_queue(channel, METHOD_BASIC_CONSUME, name);
    if (!queue || !check_consume(channel, queue, consume, &priority))
        return;
    consumer = consumer_new(channel, tag, consume, priority);
    queue_add_consumer(queue, consumer);
    consume_ok(channel, consumer, consume->nowait);
}

/* ---- cancel ---- */

static void run_cancel(struct channel *channel, const struct method_basic_cancel *cancel)
{
    struct method ok = {.id = METHOD_BASIC_CANCEL_OK,
                        .basic_cancel_ok = {.consumer_tag = cancel->consumer_tag}};
    struct consumer *consumer = NULL;
    bool deleted;

    if (!reply_to_cancel(channel, cancel->consumer_tag))
        HASH_FIND(hh, channel->consumers, cancel->consumer_tag.data, cancel->consumer_tag.size, consumer);
    if (consumer)
        channel_end_consumer(consumer, &deleted);
    if (!cancel->nowait)
        channel_reply(channel, &ok, 0);
}

/* ---- get ---- */

static struct queue *check_get(struct channel *channel, const struct method_basic_get *get)
{
    uint64_t unacked_max = channel->connection->vhost->settings.unacked_max;
    struct bytes name = get->queue;
    struct queue *queue;

    if (!channel_queue_name(channel, METHOD_BASIC_GET, &name) ||
        !channel_allowed(channel, METHOD_BASIC_GET, PERMISSION_READ, "queue", name))
        return NULL;
    queue = channel_find_queue(channel, METHOD_BASIC_GET, name);
    if (!queue)
        return NULL;
    if (queue->options.type == QUEUE_QUORUM && queue->options.single_active) {
        channel_fail(
            channel, METHOD_BASIC_GET, REPLY_RESOURCE_LOCKED,
            "cannot obtain access to locked queue '%.*s' in vhost '%.*s'. basic.get operations are not "
            "supported by quorum queues with single active consumer",
            BYTES_ARG(name), BYTES_ARG(queue->vhost->name));
        return NULL;
    }
    if (!get->no_ack && channel_is_full(channel)) {
        channel_fail(channel, METHOD_BASIC_GET, REPLY_PRECONDITION_FAILED,
                     "unacknowledged deliveries of the channel have reached the maximum (%llu)",
                     (unsigned long long)unacked_max);
        return NULL;
    }
    return queue;
}

static void remember_get(struct channel *channel, struct queue *queue, struct place place, uint64_t tag)
{
    struct unacked *unacked = seqmap_add(&channel->unacked, tag);

    *unacked = (struct unacked){.queue = queue,
                                .number = place.number,
                                .delivered_at = (uint32_t)(queue->vhost->now / 1000),
                                .level = place.level};
    channel_watch(channel, unacked);
    queue->refs++;
    channel->unacked_count++;
}

/* The head that may still be delivered; overdue ones leave on the way. */
static enum queue_head live_head(struct queue *queue, struct place *place, struct entry **entry)
{
    enum queue_head head;

    do
        head = queue_head(queue, place, entry);
    while (head == HEAD_HERE && queue_head_leaves(queue, *place, *entry));
    return head;
}

/* Tell whether the journal knows for good that the message at PLACE may be delivered; else it is told. */
static bool may_be_delivered(struct queue *queue, struct place place, const struct entry *entry)
{
    struct level *level = queue_level(queue, place.level);

    if (!(entry->flags & ENTRY_JOURNALLED))
        return true;
    if (place.number + DELIVERED_STEP / 2 >= level->kept->mark)
        queue_extend_mark(queue, level, place);
    return vhost_is_durable(queue->vhost, level->kept->mark_lsn);
}

enum get_result channel_get(struct channel *channel, struct queue *queue, bool no_ack,
                            struct outbox_delivery *record)
{
    enum queue_head head;
    struct entry *entry;
    struct place place;

    if (queue->is_deleted)
        return GET_EMPTY;
    if (queue->is_broken) {
        queue->vhost->refuses_gets = true;
        return GET_WAITS;
    }
    returns_finish(queue);
    head = live_head(queue, &place, &entry);
    if (head == HEAD_AWAY)
        queue_call_back(queue);
    if (head == HEAD_AWAY || (head == HEAD_HERE && !no_ack && !may_be_delivered(queue, place, entry)))
        return GET_WAITS;
    if (head == HEAD_NONE) {
        count_get_empty(channel, queue);
        return GET_EMPTY;
    }
    count_get(channel, queue, no_ack, entry->flags & ENTRY_REDELIVERED);
    if (queue->vhost->tracers)
        trace_deliver(channel, entry->message, queue, entry->flags & ENTRY_REDELIVERED);
    record->record.flags = entry->flags & ENTRY_REDELIVERED ? OUTBOX_REDELIVERED : 0;
    record->delivery_count = queue->options.type == QUEUE_QUORUM ? entry->delivery_count : 0;
    record->delivery_tag = ++channel->delivery_tag;
    record->message = queue_take(queue, place, entry, no_ack);
    record->consumer = queue->ready > UINT32_MAX ? UINT32_MAX : (uint32_t)queue->ready;
    if (!no_ack)
        remember_get(channel, queue, place, record->delivery_tag);
    if (queue->away)
        queue_read_ahead(queue);
    queue_relieve(queue);
    return GET_TAKEN;
}

static void run_get(struct channel *channel, const struct method_basic_get *get)
{
    struct queue *queue = check_get(channel, get);
    struct outbox_delivery record = {
        .record = {.kind = OUTBOX_GET_OK, .channel = channel->number, .size = sizeof record}};

    if (!queue)
        return;
    queue_touch(queue);
    /* Behind other replies nothing is taken before its turn, so that delivery tags are told in their order.
     */
    switch (channel->gate && queue->ready ? GET_WAITS : channel_get(channel, queue, get->no_ack, &record)) {
    case GET_EMPTY:
        channel_reply(channel, &(struct method){.id = METHOD_BASIC_GET_EMPTY}, 0);
        break;
    case GET_TAKEN:
        channel_reply_record(channel, &record.record, 0);
        break;
    case GET_WAITS:
        channel_wait_to_get(channel, queue, get->no_ack);
        break;
    }
}

/* ---- recover ---- */

static void run_recover(struct channel *channel, enum method_id method, bool requeue)
{
    if (!requeue) {
        channel_fail(channel, method, REPLY_NOT_IMPLEMENTED, "requeue=false");
        return;
    }
    if (method == METHOD_BASIC_RECOVER)
        channel_reply(channel, &(struct method){.id = METHOD_BASIC_RECOVER_OK}, 0);
    channel_requeue_all(channel);
}

void channel_basic_method(struct channel *channel, const struct method *method)
{
    switch (method->id) {
    case METHOD_BASIC_QOS:
        run_qos(channel, &method->basic_qos);
        break;
    case METHOD_BASIC_CONSUME:
        run_consume(channel, &method->basic_consume);
        break;
    case METHOD_BASIC_CANCEL:
        run_cancel(channel, &method->basic_cancel);
        break;
    case METHOD_BASIC_CANCEL_OK: /* the answer to ours; nobody waits for it */
        break;
    case METHOD_BASIC_GET:
        run_get(channel, &method->basic_get);
        break;
    case METHOD_BASIC_RECOVER:
        run_recover(channel, method->id, method->basic_recover.requeue);
        break;
    case METHOD_BASIC_RECOVER_ASYNC:
        run_recover(channel, method->id, method->basic_recover_async.requeue);
        break;
    default:
        channel_fail(channel, method->id, REPLY_COMMAND_INVALID, "unimplemented method");
    }
}
