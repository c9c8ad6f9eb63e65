/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.h, channels: opening, closing, errors, the way of a command to its class, and the gate.
 *
 * The gate holds replies until what they promise is durable. While it holds one, later replies of the channel
 * queue behind it, so replies keep the order of their methods. Deliveries and confirms pass by it; a consumer
 * whose consume-ok is in the gate gets nothing until it is out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "coney/table.h"
#include "coney/xalloc.h"
#include "events.h"
#include "names.h"
#include "vhost_fields.h"

/* ---- the gate ---- */

/* The LSN of a reply that waits for nothing but what its channel had unacked to be back. */
#define LSN_BACK (LSN_SETTLED - 1)

bool vhost_is_durable(struct vhost *vhost, uint64_t lsn)
{
    if (lsn > vhost->durable)
        vhost->durable = journal_durable(vhost->journal);
    return lsn <= vhost->durable;
}

static bool must_wait(struct channel *channel, uint64_t lsn)
{
    return channel->gate || !vhost_is_durable(channel->connection->vhost, lsn);
}

void channel_waits(struct channel *channel)
{
    if (channel->is_gated)
        return;
    channel->is_gated = true;
    DL_APPEND2(channel->connection->vhost->gated, channel, gated_prev, gated_next);
}

/* A get-ok, or a direct reply. */
static bool has_message(const struct outbox_record *record)
{
    return record->kind == OUTBOX_GET_OK || record->kind == OUTBOX_DELIVER;
}

/* A content that goes with a reply counts as one: who does not read is not read from. */
static uint64_t wire_size(const struct outbox_record *record)
{
    if (has_message(record))
        return message_wire_size(((const struct outbox_delivery *)record)->message);
    return record->size;
}

static struct gated *gate_add(struct channel *channel, const struct outbox_record *record, uint64_t lsn)
{
    struct gated *gated = xcalloc(1, sizeof *gated + record->size);

    gated->lsn = lsn;
    gated->size = record->size;
    if (record->kind == OUTBOX_DELIVER)
        gated->unsent = wire_size(record);
    channel->connection->unsent += gated->unsent;
    memcpy(gated->record, record, record->size);
    if (!channel->gate)
        channel->gate_end = &channel->gate;
    *channel->gate_end = gated;
    channel->gate_end = &gated->next;
    channel_waits(channel);
    return gated;
}

static void say(struct channel *channel, const struct outbox_record *record)
{
    void *to = outbox_add(channel->connection, (enum outbox_kind)record->kind, record->channel, record->size,
                          wire_size(record), record->kind != OUTBOX_DELIVER);

    memcpy(to, record, record->size);
}

void consumer_resume(struct consumer *consumer)
{
    consumer->is_suspended = false;
    if (consumer->channel && consumer->queue)
        consumer_reconsider(consumer);
}

void channel_reply_record(struct channel *channel, const struct outbox_record *record, uint64_t lsn)
{
    if (must_wait(channel, lsn))
        gate_add(channel, record, lsn);
    else
        say(channel, record);
}

void channel_reply_for(struct channel *channel, const struct method *method, uint64_t lsn,
                       struct consumer *consumer)
{
    size_t size = method_encoded_size(method);
    size_t whole = (sizeof(struct outbox_method) + size + 7) & ~(size_t)7;
    struct outbox_method *record;
    struct gated *gated;

    if (!must_wait(channel, lsn)) {
        outbox_method(channel->connection, channel->number, method);
        if (consumer)
            consumer_resume(consumer);
        return;
    }
    record = xcalloc(1, whole);
    record->record =
        (struct outbox_record){.kind = OUTBOX_METHOD, .channel = channel->number, .size = (uint32_t)whole};
    record->payload_size = (uint32_t)size;
    method_encode(record->payload, method);
    gated = gate_add(channel, &record->record, lsn);
    gated->consumer = consumer;
    if (consumer)
        consumer->refs++;
    free(record);
}

void channel_reply(struct channel *channel, const struct method *method, uint64_t lsn)
{
    channel_reply_for(channel, method, lsn, NULL);
}

void channel_wait_to_get(struct channel *channel, struct queue *queue, bool no_ack)
{
    struct outbox_delivery record = {
        .record = {.kind = OUTBOX_GET_OK, .channel = channel->number, .size = sizeof record}};
    struct gated *gated = gate_add(channel, &record.record, 0);

    gated->queue = queue;
    gated->no_ack = no_ack;
    queue->refs++;
}

void gate_called_back(struct queue *queue)
{
    struct channel *channel, *next;

    DL_FOREACH_SAFE2(queue->vhost->gated, channel, next, gated_next)
    if (channel->gate && channel->gate->queue == queue)
        channel_release(channel);
}

static void gated_free(struct channel *channel, struct gated *gated)
{
    struct outbox_record *record = (struct outbox_record *)gated->record;

    channel->connection->unsent -= gated->unsent;
    if (gated->consumer)
        consumer_unref(gated->consumer);
    if (has_message(record) && ((struct outbox_delivery *)record)->message)
        message_unref(((struct outbox_delivery *)record)->message);
    if (gated->queue)
        queue_unref(gated->queue);
    free(gated);
}

static void gate_leave(struct channel *channel)
{
    if (!channel->is_gated)
        return;
    channel->is_gated = false;
    DL_DELETE2(channel->connection->vhost->gated, channel, gated_prev, gated_next);
}

/* Nothing that GATED waited for matters any more: it answers with what it has. */
static void stop_waiting(struct gated *gated)
{
    queue_unref(gated->queue);
    gated->queue = NULL;
}

/* The gate's first is a get: try it now. */
static void get_again(struct channel *channel, struct gated *gated)
{
    struct outbox_delivery record = *(struct outbox_delivery *)gated->record;

    switch (channel_get(channel, gated->queue, gated->no_ack, &record)) {
    case GET_WAITS:
        return;
    case GET_TAKEN:
        memcpy(gated->record, &record, sizeof record);
        break;
    case GET_EMPTY:
        break;
    }
    stop_waiting(gated);
}

uint64_t settled_lsn(struct vhost *vhost, const struct settled *settled)
{
    if (settled->letter > vhost->letters_done) {
        vhost->letters_awaited = true;
        return LSN_SETTLED;
    }
    return settled->letter && vhost->letters_lsn > settled->lsn ? vhost->letters_lsn : settled->lsn;
}

/* Tell whether what GATED promises is durable, or may not be known yet. */
static bool is_kept(struct channel *channel, struct gated *gated)
{
    struct vhost *vhost = channel->connection->vhost;

    if (gated->lsn >= LSN_BACK && channel->returning)
        return false;
    if (gated->lsn == LSN_BACK)
        gated->lsn = 0;
    if (gated->lsn == LSN_SETTLED)
        gated->lsn = settled_lsn(vhost, &channel->settled);
    return gated->lsn <= vhost->durable;
}

/* Tell whether the gate's first may go. */
static bool is_released(struct channel *channel)
{
    struct gated *gated = channel->gate;

    if (gated->queue)
        get_again(channel, gated);
    return !gated->queue && is_kept(channel, gated);
}

void gate_give_up_gets(struct channel *channel)
{
    bool any = false;

    for (struct gated *gated = channel->gate; gated; gated = gated->next)
        if (gated->queue) {
            stop_waiting(gated);
            any = true;
        }
    if (any)
        channel_release(channel);
}

/* 404: some of QUEUE's messages cannot be read. */
static void fail_broken(struct channel *channel, enum method_id method, const struct queue *queue)
{
    channel_fail(channel, method, REPLY_NOT_FOUND,
                 "queue '%.*s' in vhost '%.*s' is out of service: some of its messages cannot be read",
                 BYTES_ARG(queue->name), BYTES_ARG(queue->vhost->name));
}

/* The gate's first is a get that fails, so what stands behind it was not to be done: it is not answered. */
static void refuse_get(struct channel *channel)
{
    struct queue *queue = channel->gate->queue;

    queue->refs++;
    gate_clear(channel);
    fail_broken(channel, METHOD_BASIC_GET, queue);
    queue_unref(queue);
}

static struct channel *find_refused(const struct vhost *vhost)
{
    struct channel *channel;

    DL_FOREACH2(vhost->gated, channel, gated_next)
    if (channel->gate && channel->gate->queue && channel->gate->queue->is_broken)
        return channel;
    return NULL;
}

/* Not where it is found out: a channel that fails takes consumers and queues with it, while somebody may be
 * going through the list of gated channels. */
void gate_refuse_gets(struct vhost *vhost)
{
    struct channel *channel;

    vhost->refuses_gets = false;
    while ((channel = find_refused(vhost)))
        refuse_get(channel);
}

void gate_drop_replies(struct channel *channel)
{
    for (struct gated *gated = channel->gate; gated; gated = gated->next) {
        struct outbox_delivery *delivery = (struct outbox_delivery *)gated->record;

        if (delivery->record.kind != OUTBOX_DELIVER || !delivery->message)
            continue;
        message_unref(delivery->message);
        delivery->message = NULL;
    }
}

static void release_first(struct channel *channel)
{
    struct gated *gated = channel->gate;
    struct outbox_record *record = (struct outbox_record *)gated->record;

    channel->gate = gated->next;
    if (!channel->gate)
        channel->gate_end = &channel->gate;
    if (record->kind == OUTBOX_GET_OK && !((struct outbox_delivery *)record)->message) {
        /* A head that was away was waited for in vain. */
        outbox_method(channel->connection, channel->number, &(struct method){.id = METHOD_BASIC_GET_EMPTY});
    } else if (record->kind != OUTBOX_DELIVER || ((struct outbox_delivery *)record)->message) {
        say(channel, record);
        if (has_message(record))
            ((struct outbox_delivery *)record)->message = NULL; /* the outbox has the reference now */
    }
    if (gated->consumer)
        consumer_resume(gated->consumer);
    gated_free(channel, gated);
}

void channel_release(struct channel *channel)
{
    while (channel->gate && is_released(channel)) {
        bool ends_channel = channel->gate->ends_channel;

        release_first(channel);
        if (ends_channel) {
            channel_free(channel);
            return;
        }
    }
    if (channel->confirms && channel->confirms->count)
        confirms_flush(channel);
    if (!channel->gate && !(channel->confirms && channel->confirms->count))
        gate_leave(channel);
}

/* ---- opening and ending ---- */

bool channel_has_room(struct connection *connection)
{
    if (connection->channel_max && connection->channel_count >= connection->channel_max) {
        connection_fail(connection, (enum method_id)0, REPLY_NOT_ALLOWED,
                        "number of channels opened (%u) has reached the negotiated channel_max (%u)",
                        connection->channel_count, connection->channel_max);
        return false;
    }
    if (connection->channel_count >= connection->user_channel_max) {
        connection_fail(connection, (enum method_id)0, REPLY_NOT_ALLOWED,
                        "number of channels opened for user '%.*s' has reached the maximum allowed user "
                        "limit of (%u)",
                        BYTES_ARG(connection->user), connection->user_channel_max);
        return false;
    }
    return true;
}

static bool check_open(struct connection *connection)
{
    const struct vhost_ops *ops = &connection->vhost->ops;

    if (!channel_has_room(connection))
        return false;
    /* The last check, since it counts. */
    if (!connection->is_internal && ops->channel_opens && !ops->channel_opens(ops->context)) {
        connection_fail(
            connection, (enum method_id)0, REPLY_NOT_ALLOWED,
            "number of channels opened on this node has reached the maximum allowed limit of (%llu)",
            (unsigned long long)connection->vhost->settings.channels_max);
        return false;
    }
    return true;
}

static void count_open(struct connection *connection)
{
    struct vhost *vhost = connection->vhost;

    connection->channel_count++;
    vhost->channel_count++;
    if (connection->is_internal)
        vhost->internal_channel_count++;
    else
        vhost->counts.channels_opened++;
}

static void channel_open(struct connection *connection, uint16_t number)
{
    struct channel *channel;

    if (!check_open(connection))
        return;
    channel = xcalloc(1, sizeof *channel);
    channel->connection = connection;
    channel->number = number;
    channel->gate_end = &channel->gate;
    channel->unacked.entry_size = sizeof(struct unacked);
    HASH_ADD(hh, connection->channels, number, sizeof channel->number, channel);
    count_open(connection);
    tell_channel(channel, "channel.created");
    channel_reply(channel, &(struct method){.id = METHOD_CHANNEL_OPEN_OK}, 0);
}

static void drop_consumers(struct channel *channel)
{
    struct consumer *consumer, *next;
    bool deleted;

    HASH_ITER (hh, channel->consumers, consumer, next)
        channel_end_consumer(consumer, &deleted);
}

/* Confirms that are due already go out; those that wait for the journal are lost. */
static void drop_confirming(struct channel *channel)
{
    if (channel->is_confirming) {
        DL_DELETE2(channel->connection->vhost->confirming, channel, confirming_prev, confirming_next);
        confirms_flush(channel);
    }
    channel->is_confirming = false;
    confirms_free(channel->confirms);
    channel->confirms = NULL;
}

/* A consumer gone takes nothing more, so what is requeued goes to others; but its auto-delete queue must not
 * go before its unacked messages are back: first requeue, then drop. */
void channel_end(struct channel *channel, enum channel_state state)
{
    if (channel->state == CHANNEL_OPEN || (channel->state == CHANNEL_CLOSING && state == CHANNEL_LEAVING))
        channel->state = (uint8_t)state;
    if (channel->returning)
        return;
    channel_reconsider_consumers(channel); /* none can take any more */
    gate_give_up_gets(channel); /* close-ok alone frees the channel, and that is not in the gate yet */
    tx_free(channel);           /* NOLINT(clang-analyzer-unix.Malloc): see above */
    drop_confirming(channel);
    reply_to_channel_ends(channel);
    channel_give_back(channel);
    if (!channel->returning)
        drop_consumers(channel);
}

/* The reply that was waiting, channel.close or close-ok, now waits like any other. */
void channel_is_back(struct channel *channel)
{
    struct connection *connection = channel->connection;
    struct vhost *vhost = connection->vhost;

    drop_consumers(channel);
    vhost->durable = journal_durable(vhost->journal);
    if (channel->gate)
        channel_release(channel);
    if (connection->state != CONNECTION_RUNNING)
        connection_go_on(connection);
}

void gate_clear(struct channel *channel)
{
    gate_leave(channel);
    while (channel->gate) {
        struct gated *gated = channel->gate;

        channel->gate = gated->next;
        gated_free(channel, gated);
    }
}

static void count_end(struct connection *connection)
{
    struct vhost *vhost = connection->vhost;

    connection->channel_count--;
    vhost->channel_count--;
    if (connection->is_internal) {
        vhost->internal_channel_count--;
        return;
    }
    vhost->counts.channels_closed++;
    if (vhost->ops.channel_ends)
        vhost->ops.channel_ends(vhost->ops.context);
}

void channel_free(struct channel *channel)
{
    struct connection *connection = channel->connection;

    tell_channel(channel, "channel.closed");
    gate_clear(channel);
    if (channel->settled.lsn > connection->settled.lsn)
        connection->settled.lsn = channel->settled.lsn;
    if (channel->settled.letter > connection->settled.letter)
        connection->settled.letter = channel->settled.letter;
    if (channel->state == CHANNEL_LEFT)
        LL_DELETE2(connection->left, channel, left_next);
    HASH_DEL(connection->channels, channel);
    if (connection->last_channel == channel)
        connection->last_channel = NULL;
    count_end(connection);
    seqmap_clear(&channel->unacked);
    bytes_free(channel->last_queue);
    route_cache_free(channel->cache);
    free(channel->counts);
    free(channel);
}

void channel_discard(struct channel *channel)
{
    channel_end(channel, CHANNEL_LEAVING);
    if (channel->returning) {
        channel_give_back_rest(channel);
        drop_consumers(channel);
    }
    channel_free(channel);
}

/* The client closed: close-ok comes when what it had unacked is back and what it settled before is durable
 * (6.5).
 */
static void channel_leave(struct channel *channel)
{
    struct connection *connection = channel->connection;
    struct method close_ok = {.id = METHOD_CHANNEL_CLOSE_OK};
    uint64_t lsn;

    channel_end(channel, CHANNEL_LEAVING);
    vhost_settle(connection->vhost);
    lsn = channel->returning ? LSN_SETTLED : settled_lsn(connection->vhost, &channel->settled);
    if (!must_wait(channel, lsn)) {
        channel_reply(channel, &close_ok, 0);
        channel->state = CHANNEL_LEFT;
        channel->left_next = connection->left;
        connection->left = channel;
        return;
    }
    channel_reply(channel, &close_ok, lsn);
    for (struct gated *gated = channel->gate; gated; gated = gated->next)
        gated->ends_channel = gated->next == NULL;
}

/* ---- errors ---- */

static void fail_text(struct channel *channel, enum method_id method, enum reply_code code, const char *text)
{
    struct method close = {
        .id = METHOD_CHANNEL_CLOSE,
        .channel_close = {.reply_code = (uint16_t)code,
                          .reply_text = bytes_from_string(text),
                          .class_id = METHOD_CLASS(method),
                          .method_id = METHOD_INDEX(method)},
    };

    if (reply_code_is_hard(code)) {
        connection_fail_text(channel->connection, method, code, text);
        return;
    }
    if (channel->state != CHANNEL_OPEN)
        return;
    channel_end(channel, CHANNEL_CLOSING);
    channel_reply(channel, &close, channel->returning ? LSN_BACK : 0);
}

void channel_fail(struct channel *channel, enum method_id method, enum reply_code code, const char *format,
                  ...)
{
    char text[REPLY_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    reply_text_format(text, code, format, arguments);
    va_end(arguments);
    fail_text(channel, method, code, text);
}

void channel_fail_error(struct channel *channel, enum method_id method, const struct reply_error *error)
{
    channel_fail(channel, method, error->code, "%s", error->text);
}

/* ---- commands ---- */

static enum method_id command_method(const struct command *command)
{
    switch (command->kind) {
    case COMMAND_PUBLISH:
    case COMMAND_PUBLISH_BEGUN:
        return METHOD_BASIC_PUBLISH;
    case COMMAND_SETTLE:
        if (command->flags & COMMAND_ACK)
            return METHOD_BASIC_ACK;
        return command->flags & COMMAND_NACK ? METHOD_BASIC_NACK : METHOD_BASIC_REJECT;
    default:
        return command->method->id;
    }
}

/* On a channel that was closed by us (6.4): only its answers count; the rest is swallowed. */
static void run_closing(struct channel *channel, const struct command *command)
{
    struct connection *connection = channel->connection;

    if (command->kind == COMMAND_PUBLISH) {
        message_free(command->message);
        return;
    }
    if (command->kind != COMMAND_METHOD)
        return;
    switch (command->method->id) {
    case METHOD_CHANNEL_OPEN:
        connection_fail(connection, METHOD_CHANNEL_OPEN, REPLY_CHANNEL_ERROR, "second 'channel.open' seen");
        break;
    case METHOD_CHANNEL_CLOSE:
        if (channel->state != CHANNEL_LEAVING)
            channel_reply(channel, &(struct method){.id = METHOD_CHANNEL_CLOSE_OK}, 0);
        break;
    case METHOD_CHANNEL_CLOSE_OK:
        if (channel->state == CHANNEL_CLOSING && !channel->returning) /* else it answers what was not said */
            channel_free(channel);
        break;
    default:
        break;
    }
}

static void run_flow(struct channel *channel, const struct method *method)
{
    struct method ok = {.id = METHOD_CHANNEL_FLOW_OK, .channel_flow_ok = {.active = true}};

    if (!method->channel_flow.active)
        channel_fail(channel, method->id, REPLY_NOT_IMPLEMENTED, "active=false");
    else
        channel_reply(channel, &ok, 0);
}

static void run_channel_class(struct channel *channel, const struct method *method)
{
    switch (method->id) {
    case METHOD_CHANNEL_OPEN:
        channel_fail(channel, method->id, REPLY_CHANNEL_ERROR, "second 'channel.open' seen");
        break;
    case METHOD_CHANNEL_FLOW:
        run_flow(channel, method);
        break;
    case METHOD_CHANNEL_CLOSE:
        channel_leave(channel);
        break;
    default:
        channel_fail(channel, method->id, REPLY_COMMAND_INVALID, "unimplemented method");
    }
}

static void run_method(struct channel *channel, const struct method *method)
{
    struct bytes arguments;

    /* What only a server may say, and class 10 on a channel (6.1). */
    if (!method_is_from_client(method->id) || METHOD_CLASS(method->id) == 10) {
        channel_fail(channel, method->id, REPLY_COMMAND_INVALID, "unimplemented method");
        return;
    }
    if (method_arguments(method, &arguments) &&
        !channel_check_table(channel, method->id, arguments, "arguments"))
        return;
    switch (METHOD_CLASS(method->id)) {
    case 20:
        run_channel_class(channel, method);
        break;
    case 30:
        channel_reply(
            channel, &(struct method){.id = METHOD_ACCESS_REQUEST_OK, .access_request_ok = {.ticket = 1}}, 0);
        break;
    case 40:
        channel_exchange_method(channel, method);
        break;
    case 50:
        channel_queue_method(channel, method);
        break;
    case 60:
        channel_basic_method(channel, method);
        break;
    case 85:
        channel_confirm_method(channel, method);
        break;
    case 90:
        channel_tx_method(channel, method);
        break;
    default:
        channel_fail(channel, method->id, REPLY_COMMAND_INVALID, "unimplemented method");
    }
}

static void run_unopened(struct connection *connection, const struct command *command)
{
    if (command->kind == COMMAND_METHOD && command->method->id == METHOD_CHANNEL_OPEN) {
        channel_open(connection, command->channel);
        return;
    }
    if (channel_has_room(connection))
        connection_fail(connection, command_method(command), REPLY_CHANNEL_ERROR, "expected 'channel.open'");
    if (command->kind == COMMAND_PUBLISH)
        message_free(command->message);
}

void channel_command(struct connection *connection, const struct command *command)
{
    struct channel *channel = connection_channel(connection, command->channel);

    if (!channel) {
        run_unopened(connection, command);
        return;
    }
    if (channel->state != CHANNEL_OPEN) {
        run_closing(channel, command);
        return;
    }
    switch (command->kind) {
    case COMMAND_PUBLISH:
        channel_publish(channel, command->message, command->flags);
        break;
    case COMMAND_PUBLISH_BEGUN:
        break;
    case COMMAND_SETTLE:
        channel_settle(channel, command->delivery_tag, command->flags);
        break;
    default:
        run_method(channel, command->method);
    }
}

/* ---- what the classes share ---- */

bool channel_allowed(struct channel *channel, enum method_id method, enum permission_kind kind,
                     const char *kind_of_name, struct bytes name)
{
    struct connection *connection = channel->connection;

    if (permission_allows(connection->permission, kind, name))
        return true;
    if (name.size == 0)
        name = BYTES_LITERAL("amq.default");
    channel_fail(channel, method, REPLY_ACCESS_REFUSED,
                 "%s access to %s '%.*s' in vhost '%.*s' refused for user '%.*s'", permission_kind_name(kind),
                 kind_of_name, BYTES_ARG(name), BYTES_ARG(connection->vhost->name),
                 BYTES_ARG(connection->user));
    return false;
}

bool channel_allowed_topic(struct channel *channel, enum method_id method, const struct exchange *exchange,
                           enum permission_kind kind, struct bytes key)
{
    struct connection *connection = channel->connection;

    if (exchange->type != &exchange_type_topic || !permission_has_topics(connection->permission) ||
        permission_allows_topic(connection->permission, exchange->name, kind, key))
        return true;
    channel_fail(channel, method, REPLY_ACCESS_REFUSED,
                 "%s access to topic '%.*s' in exchange '%.*s' in vhost '%.*s' refused for user '%.*s'",
                 permission_kind_name(kind), BYTES_ARG(key), BYTES_ARG(exchange->name),
                 BYTES_ARG(connection->vhost->name), BYTES_ARG(connection->user));
    return false;
}

bool channel_check_table(struct channel *channel, enum method_id method, struct bytes table, const char *what)
{
    const struct vhost_settings *limits = &channel->connection->vhost->settings;

    if (limits->table_size_max && table.size > limits->table_size_max) {
        channel_fail(channel, method, REPLY_PRECONDITION_FAILED,
                     "%s of %zu octets are larger than the maximum of %llu", what, table.size,
                     (unsigned long long)limits->table_size_max);
        return false;
    }
    if (limits->table_depth_max && limits->table_depth_max < TABLE_DEPTH_MAX &&
        !table_is_valid(table, limits->table_depth_max)) {
        channel_fail(channel, method, REPLY_PRECONDITION_FAILED,
                     "%s are nested deeper than the maximum of %u", what, limits->table_depth_max);
        return false;
    }
    return true;
}

bool channel_check_new_name(struct channel *channel, enum method_id method, const char *kind_of_name,
                            struct bytes name)
{
    uint32_t most = channel->connection->vhost->settings.name_size_max;

    if (!most || name.size <= most || name_is_reserved(name))
        return true;
    channel_fail(channel, method, REPLY_PRECONDITION_FAILED,
                 "name of %s is longer than the maximum of %u octets: '%.*s'", kind_of_name, most,
                 BYTES_ARG(name));
    return false;
}

bool channel_queue_name(struct channel *channel, enum method_id method, struct bytes *name)
{
    if (name->size)
        return true;
    if (channel->last_queue.data) {
        *name = channel->last_queue;
        return true;
    }
    channel_fail(channel, method, REPLY_NOT_FOUND, "no previously declared queue");
    return false;
}

bool channel_check_owner(struct channel *channel, enum method_id method, const struct queue *queue)
{
    if (!queue->owner || queue->owner == channel->connection)
        return true;
    channel_fail(
        channel, method, REPLY_RESOURCE_LOCKED,
        "cannot obtain exclusive access to locked queue '%.*s' in vhost '%.*s'. It could be originally "
        "declared on another connection or the exclusive property value does not match that of the "
        "original declaration.",
        BYTES_ARG(queue->name), BYTES_ARG(queue->vhost->name));
    return false;
}

struct queue *channel_find_queue(struct channel *channel, enum method_id method, struct bytes name)
{
    struct vhost *vhost = channel->connection->vhost;
    struct queue *queue = queue_find(vhost, name);

    if (!queue) {
        channel_fail(channel, method, REPLY_NOT_FOUND, "no queue '%.*s' in vhost '%.*s'", BYTES_ARG(name),
                     BYTES_ARG(vhost->name));
        return NULL;
    }
    if (queue->is_broken && method != METHOD_QUEUE_DELETE) {
        fail_broken(channel, method, queue);
        return NULL;
    }
    return channel_check_owner(channel, method, queue) ? queue : NULL;
}

bool channel_is_full(const struct channel *channel)
{
    uint64_t most = channel->connection->vhost->settings.unacked_max;

    return most && channel->unacked_count >= most;
}

/* Those of the same channel share its room in turn, whatever queues they consume from: who is first here is
 * first in its queue, and its queue among those to dispatch. */
void channel_reconsider_consumers(struct channel *channel)
{
    struct consumer *first = channel->last_turn ? channel->last_turn->hh.next : NULL;
    struct consumer *consumer;

    for (consumer = first; consumer; consumer = consumer->hh.next)
        consumer_reconsider(consumer);
    for (consumer = channel->consumers; consumer != first; consumer = consumer->hh.next)
        consumer_reconsider(consumer);
}

void channel_end_consumer(struct consumer *consumer, bool *deleted)
{
    struct channel *channel = consumer->channel;

    if (channel->last_turn == consumer)
        channel->last_turn = consumer->hh.prev;
    HASH_DEL(channel->consumers, consumer);
    queue_remove_consumer(consumer, deleted);
    connection_number_release(channel->connection, consumer->number);
    consumer->channel = NULL;
    consumer_unref(consumer);
}
