/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.h, coney/events.h. Messages about what happens go on the list of the dead letters, and so into their
 * queues before the next command: whoever tells may be in the middle of routing.
 */
#include "events.h"

#include <stdio.h>

#include "coney/pool.h"
#include "coney/properties.h"
#include "coney/table.h"
#include "route.h"

/* ---- events ---- */

struct telling {
    struct buffer headers;
    struct table_builder builder;
};

static void begin(struct telling *telling, const struct vhost *vhost)
{
    struct bytes actor = vhost->actor;

    telling->headers = (struct buffer){0};
    telling->builder = table_builder_init(&telling->headers);
    table_put_longstr(&telling->builder, "vhost", vhost->name);
    table_put_longstr(&telling->builder, "user_who_performed_action",
                      actor.size ? actor : BYTES_LITERAL("rmq-internal"));
}

static void end(struct telling *telling, const struct vhost *vhost, const char *key)
{
    vhost->events->tell(vhost->events, key, buffer_bytes(&telling->headers));
    buffer_free(&telling->headers);
}

void tell_queue(const struct queue *queue, const char *key)
{
    struct telling telling;

    if (!events_are_wanted(queue->vhost))
        return;
    begin(&telling, queue->vhost);
    table_put_longstr(&telling.builder, "name", queue->name);
    table_put_bool(&telling.builder, "durable", queue->durable);
    table_put_bool(&telling.builder, "auto_delete", queue->auto_delete);
    table_put_bool(&telling.builder, "exclusive", queue->exclusive);
    table_put_longstr(&telling.builder, "type", bytes_from_string(queue_type_name(queue->options.type)));
    table_put_table(&telling.builder, "arguments", queue->arguments);
    end(&telling, queue->vhost, key);
}

void tell_exchange(const struct exchange *exchange, const char *key)
{
    struct telling telling;

    if (!events_are_wanted(exchange->vhost))
        return;
    begin(&telling, exchange->vhost);
    table_put_longstr(&telling.builder, "name", exchange->name);
    table_put_longstr(&telling.builder, "type", bytes_from_string(exchange->type->name));
    table_put_bool(&telling.builder, "durable", exchange->durable);
    table_put_bool(&telling.builder, "auto_delete", exchange->auto_delete);
    table_put_bool(&telling.builder, "internal", exchange->internal);
    table_put_table(&telling.builder, "arguments", exchange->arguments);
    end(&telling, exchange->vhost, key);
}

void tell_binding(const struct binding *binding, const char *key)
{
    const struct vhost *vhost = binding->source->vhost;
    struct bytes destination = binding->to_queue ? binding->to_queue->name : binding->to_exchange->name;
    struct telling telling;

    if (!events_are_wanted(vhost))
        return;
    begin(&telling, vhost);
    table_put_longstr(&telling.builder, "source_name", binding->source->name);
    table_put_longstr(&telling.builder, "source_kind", BYTES_LITERAL("exchange"));
    table_put_longstr(&telling.builder, "destination_name", destination);
    table_put_longstr(&telling.builder, "destination_kind",
                      bytes_from_string(binding->to_queue ? "queue" : "exchange"));
    table_put_longstr(&telling.builder, "routing_key", binding->routing_key);
    table_put_table(&telling.builder, "arguments", binding->arguments);
    end(&telling, vhost, key);
}

void tell_channel(const struct channel *channel, const char *key)
{
    const struct connection *connection = channel->connection;
    struct telling telling;

    if (connection->is_internal || !events_are_wanted(connection->vhost))
        return;
    begin(&telling, connection->vhost);
    table_put_longstr(&telling.builder, "user", connection->user);
    table_put_int(&telling.builder, "number", channel->number);
    table_put_int(&telling.builder, "connection", (int64_t)connection->id);
    end(&telling, connection->vhost, key);
}

void tell_consumer(const struct consumer *consumer, const char *key)
{
    const struct channel *channel = consumer->channel;
    struct telling telling;

    if (!channel || !consumer->queue || !events_are_wanted(channel->connection->vhost))
        return;
    begin(&telling, channel->connection->vhost);
    table_put_longstr(&telling.builder, "consumer_tag", consumer->tag);
    table_put_longstr(&telling.builder, "queue", consumer->queue->name);
    table_put_bool(&telling.builder, "exclusive", consumer->exclusive);
    table_put_bool(&telling.builder, "ack_required", !consumer->no_ack);
    table_put_int(&telling.builder, "prefetch_count", consumer->prefetch);
    table_put_int(&telling.builder, "channel", channel->number);
    table_put_int(&telling.builder, "connection", (int64_t)channel->connection->id);
    end(&telling, channel->connection->vhost, key);
}

void tell_policy(struct vhost *vhost, const char *key, const struct policy *policy)
{
    struct telling telling;

    if (!policy || !events_are_wanted(vhost))
        return;
    begin(&telling, vhost);
    table_put_longstr(&telling.builder, "name", bytes_from_string(policy->name));
    table_put_longstr(&telling.builder, "pattern", bytes_from_string(policy->pattern));
    table_put_longstr(&telling.builder, "apply-to",
                      bytes_from_string(policy_apply_to_name(policy->apply_to)));
    table_put_int(&telling.builder, "priority", policy->priority);
    table_put_table(&telling.builder, "definition", policy->table);
    end(&telling, vhost, key);
}

/* ---- the vhost that carries them ---- */

void vhost_tell_events(struct vhost *vhost, struct events_sink *sink)
{
    vhost->events = sink;
}

void tell_listeners(const struct exchange *exchange)
{
    struct vhost *vhost = exchange->vhost;

    if (exchange == vhost->events_exchange)
        vhost->events->listens(vhost->events, exchange->bindings != NULL);
}

void vhost_carry_events(struct vhost *vhost)
{
    struct bytes name = BYTES_LITERAL(EVENTS_EXCHANGE);
    struct reply_error error;

    vhost->events_exchange = exchange_find(vhost, name);
    if (!vhost->events_exchange) {
        vhost->events_exchange = exchange_create(vhost, name, &exchange_type_topic, false, false, true,
                                                 (struct bytes){NULL, 0}, &error);
        vhost->events_exchange->durable = true; /* but not the journal's, as the other predeclared ones */
    }
    tell_listeners(vhost->events_exchange);
}

/* A message for an exchange that only the broker publishes to. Octets of BODY are copied. */
static void send(struct vhost *vhost, const char *exchange, struct bytes key, struct bytes properties,
                 struct bytes body)
{
    struct message *message =
        message_new(bytes_from_string(exchange), key, (struct bytes){NULL, 0}, properties, body.size);

    copy_octets(message->body, body.data, body.size);
    message_scan_properties(message);
    message->ttl_ms = MESSAGE_NO_TTL;
    letter_send(vhost, message);
}

static void encode_headers(struct buffer *out, struct bytes headers, int64_t now)
{
    struct properties properties = {.flags = PROPERTY_HEADERS | PROPERTY_DELIVERY_MODE | PROPERTY_TIMESTAMP,
                                    .headers = headers,
                                    .delivery_mode = DELIVERY_MODE_PERSISTENT,
                                    .timestamp = (uint64_t)(now / 1000)};

    properties_encode(out, &properties);
}

void vhost_publish_event(struct vhost *vhost, struct bytes key, struct bytes headers, int64_t now)
{
    struct buffer with_time = {0}, properties = {0};
    struct table_builder builder = table_builder_init(&with_time);

    table_put_int(&builder, "timestamp_in_ms", now);
    buffer_append_bytes(&with_time, headers);
    encode_headers(&properties, buffer_bytes(&with_time), now);
    send(vhost, EVENTS_EXCHANGE, key, buffer_bytes(&properties), (struct bytes){NULL, 0});
    buffer_free(&with_time);
    buffer_free(&properties);
}

/* ---- the firehose ---- */

void vhost_set_tracing(struct vhost *vhost, bool on)
{
    vhost->tracers += on;
    vhost->tracers -= vhost->is_traced_always;
    vhost->is_traced_always = on;
}

void vhost_trace_a_while(struct vhost *vhost, bool begins)
{
    if (begins)
        vhost->tracers++;
    else
        vhost->tracers--;
}

/* As RabbitMQ writes numbers here; clients tell the types apart. */
static void put_int32(struct table_builder *builder, const char *name, uint32_t value)
{
    const uint8_t raw[] = {FIELD_INT32, (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                           (uint8_t)value};
    struct field field = {.type = FIELD_INT32, .raw = {raw, sizeof raw}};

    table_put_field(builder, bytes_from_string(name), &field);
}

static void put_properties(struct table_builder *builder, const struct message *message)
{
    struct properties properties = {0};
    const struct {
        uint16_t flag;
        const char *name;
        const struct bytes *value;
    } texts[] = {{PROPERTY_CONTENT_TYPE, "content_type", &properties.content_type},
                 {PROPERTY_CONTENT_ENCODING, "content_encoding", &properties.content_encoding},
                 {PROPERTY_CORRELATION_ID, "correlation_id", &properties.correlation_id},
                 {PROPERTY_REPLY_TO, "reply_to", &properties.reply_to},
                 {PROPERTY_EXPIRATION, "expiration", &properties.expiration},
                 {PROPERTY_MESSAGE_ID, "message_id", &properties.message_id},
                 {PROPERTY_TYPE, "type", &properties.type},
                 {PROPERTY_USER_ID, "user_id", &properties.user_id},
                 {PROPERTY_APP_ID, "app_id", &properties.app_id}};

    table_put_table_begin(builder, "properties");
    if (properties_decode(&properties, message_properties(message))) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            if (properties.flags & texts[i].flag)
                table_put_longstr(builder, texts[i].name, *texts[i].value);
        if (properties.flags & PROPERTY_HEADERS)
            table_put_table(builder, "headers", properties.headers);
        if (properties.flags & PROPERTY_DELIVERY_MODE)
            put_int32(builder, "delivery_mode", properties.delivery_mode);
        if (properties.flags & PROPERTY_PRIORITY)
            put_int32(builder, "priority", properties.priority);
        if (properties.flags & PROPERTY_TIMESTAMP)
            table_put_timestamp(builder, "timestamp", properties.timestamp);
    }
    table_put_end(builder);
}

static void put_message(struct table_builder *builder, const struct channel *channel,
                        const struct message *message)
{
    struct connection *connection = channel->connection;
    struct bytes keys[ROUTE_KEYS_MAX];
    unsigned count = route_keys(message, keys);

    table_put_longstr(builder, "exchange_name", message_exchange(message));
    table_put_array_begin(builder, "routing_keys");
    for (unsigned i = 0; i < count; i++)
        table_put_longstr(builder, NULL, keys[i]);
    table_put_end(builder);
    put_properties(builder, message);
    if (connection->vhost->settings.node)
        table_put_longstr(builder, "node", bytes_from_string(connection->vhost->settings.node));
    table_put_longstr(builder, "vhost", connection->vhost->name);
    table_put_longstr(builder, "user", connection->user);
    put_int32(builder, "channel", channel->number);
    table_put_int(builder, "connection", (int64_t)connection->id);
}

/* What the firehose says itself is not told again. */
static bool is_traced(const struct message *message)
{
    struct bytes exchange = message_exchange(message);

    return !bytes_equal_string(exchange, TRACE_EXCHANGE) && !bytes_equal_string(exchange, EVENTS_EXCHANGE);
}

static void trace(struct channel *channel, const char *what, struct bytes name, const struct message *message,
                  const struct buffer *headers)
{
    struct vhost *vhost = channel->connection->vhost;
    struct buffer properties = {0};
    char key[2 * SHORTSTR_MAX];
    int size = snprintf(key, sizeof key, "%s.%.*s", what, BYTES_ARG(name));

    encode_headers(&properties, buffer_bytes(headers), vhost->now);
    send(vhost, TRACE_EXCHANGE,
         (struct bytes){(const uint8_t *)key, size > SHORTSTR_MAX ? SHORTSTR_MAX : (size_t)size},
         buffer_bytes(&properties), message_body(message));
    buffer_free(&properties);
}

void trace_publish(struct channel *channel, const struct message *message, struct queue *const *queues,
                   size_t count)
{
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    if (!is_traced(message))
        return;
    put_message(&builder, channel, message);
    table_put_array_begin(&builder, "routed_queues");
    for (size_t i = 0; i < count; i++)
        table_put_longstr(&builder, NULL, queues[i]->name);
    table_put_end(&builder);
    trace(channel, "publish", message_exchange(message), message, &headers);
    buffer_free(&headers);
}

void trace_deliver(struct channel *channel, const struct message *message, const struct queue *queue,
                   bool redelivered)
{
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    if (!is_traced(message))
        return;
    put_message(&builder, channel, message);
    put_int32(&builder, "redelivered", redelivered);
    trace(channel, "deliver", queue->name, message, &headers);
    buffer_free(&headers);
}
