/* SPDX-License-Identifier: Apache-2.0 */
/*
 * basic.publish (publish-consume-ack.md 1): checks in their order, routing, and what becomes of the message.
 *
 * A channel remembers where its last exchange and key led, with the permission that allowed it. While the
 * vhost's topology stands, a publisher that repeats itself is neither checked nor routed again: the
 * remembered route is used when the address is the same, octet by octet, and the message has nothing that
 * needs a look (CC, BCC, expiration, user-id, reply-to).
 */
#include <stdio.h>
#include <stdlib.h>

#include "coney/buffer.h"
#include "coney/message_headers.h"
#include "coney/properties.h"
#include "coney/xalloc.h"
#include "count.h"
#include "events.h"
#include "route.h"
#include "vhost_fields.h"

#define PUBLISH METHOD_BASIC_PUBLISH

#define ROUTE_SLOTS       512
#define MISSES_TO_A_TABLE 64

/* Where one address led. */
struct route_memory {
    uint64_t topology;             /* vhost->topology when it was made; differs: worthless */
    struct exchange *exchange;     /* that it was published to */
    struct permission *permission; /* whom it was made for */
    uint32_t address_size;
    uint32_t queue_count;
    uint8_t *address;       /* behind queues */
    struct queue *queues[]; /* queue_count */
};

struct route_cache {
    unsigned misses;
    struct route_memory *last;
    struct route_memory **table; /* ROUTE_SLOTS, or NULL */
};

void route_cache_free(struct route_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; cache->table && i < ROUTE_SLOTS; i++)
        free(cache->table[i]);
    free(cache->table);
    free(cache->last);
    free(cache);
}

/* Eight octets at a step; who makes addresses collide slows only itself down. */
static uint32_t address_hash(struct bytes address)
{
    uint64_t hash = address.size, octets;

    while (address.size > sizeof octets) {
        memcpy(&octets, address.data, sizeof octets);
        hash = (hash ^ octets) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
        address.data += sizeof octets;
        address.size -= sizeof octets;
    }
    octets = 0;
    copy_octets((uint8_t *)&octets, address.data, address.size);
    hash = (hash ^ octets) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32);
}

static struct route_memory **route_slot(struct route_cache *cache, struct bytes address)
{
    return cache->table ? &cache->table[address_hash(address) % ROUTE_SLOTS] : &cache->last;
}

/* ---- checks ---- */

/* Rows 3 to 7 of 1.1. */
static struct exchange *check_exchange(struct channel *channel, const struct message *message)
{
    struct vhost *vhost = channel->connection->vhost;
    struct bytes name = message_exchange(message);
    struct exchange *exchange;

    if (!channel_allowed(channel, PUBLISH, PERMISSION_WRITE, "exchange", name))
        return NULL;
    exchange = exchange_find(vhost, name);
    if (!exchange) {
        channel_fail(channel, PUBLISH, REPLY_NOT_FOUND, "no exchange '%.*s' in vhost '%.*s'", BYTES_ARG(name),
                     BYTES_ARG(vhost->name));
        return NULL;
    }
    if (exchange->internal) {
        channel_fail(channel, PUBLISH, REPLY_ACCESS_REFUSED,
                     "cannot publish to internal exchange '%.*s' in vhost '%.*s'", BYTES_ARG(name),
                     BYTES_ARG(vhost->name));
        return NULL;
    }
    return exchange;
}

static bool check_size(struct channel *channel, const struct message *message)
{
    uint64_t max = channel->connection->vhost->settings.message_size_max;

    if (message->body_size <= max)
        return true;
    channel_fail(channel, PUBLISH, REPLY_PRECONDITION_FAILED,
                 "message size %llu is larger than configured max size %llu",
                 (unsigned long long)message->body_size, (unsigned long long)max);
    return false;
}

static bool check_user_id(struct channel *channel, const struct properties *properties)
{
    struct connection *connection = channel->connection;

    if (!(properties->flags & PROPERTY_USER_ID) || connection->is_impersonator ||
        bytes_equal(properties->user_id, connection->user))
        return true;
    channel_fail(channel, PUBLISH, REPLY_PRECONDITION_FAILED,
                 "user_id property set to '%.*s' but authenticated user was '%.*s'",
                 BYTES_ARG(properties->user_id), BYTES_ARG(connection->user));
    return false;
}

/* An optional sign and decimal digits (1.3). */
static bool check_expiration(struct channel *channel, struct message *message, struct bytes text)
{
    size_t at = text.size && (text.data[0] == '+' || text.data[0] == '-');
    size_t first = at;
    char reason[REPLY_TEXT_SIZE];
    int64_t value = 0;

    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++)
        if (value <= QUEUE_DURATION_MAX)
            value = value * 10 + (text.data[at] - '0');
    if (at == first)
        snprintf(reason, sizeof reason, "no_integer");
    else if (at < text.size)
        snprintf(reason, sizeof reason, "{leftover_string,\"%.*s\"}", (int)(text.size - at), text.data + at);
    else if (text.data[0] == '-' && value)
        snprintf(reason, sizeof reason, "{value_negative,%.*s}", BYTES_ARG(text));
    else if (value > QUEUE_DURATION_MAX)
        snprintf(reason, sizeof reason, "{value_too_large,%.*s}", BYTES_ARG(text));
    else {
        message->ttl_ms = value;
        return true;
    }
    channel_fail(channel, PUBLISH, REPLY_PRECONDITION_FAILED, "invalid expiration '%.*s': %s",
                 BYTES_ARG(text), reason);
    return false;
}

/* The message with reply-to PSEUDO replaced by the name of this channel's reply consumer; frees the old one.
 */
static struct message *replace_reply_to(struct channel *channel, struct message *message,
                                        struct properties *properties)
{
    struct buffer raw = {0};
    struct message *copy;

    if (!reply_to_name(channel, &properties->reply_to)) {
        channel_fail(channel, PUBLISH, REPLY_PRECONDITION_FAILED, "fast reply consumer does not exist");
        return NULL;
    }
    properties_encode(&raw, properties);
    copy = message_copy(message, message_exchange(message), message_routing_key(message),
                        message_more_keys(message), buffer_bytes(&raw));
    buffer_free(&raw);
    message_unref(message);
    return copy;
}

static bool check_topic(struct channel *channel, const struct exchange *exchange,
                        const struct message *message)
{
    struct bytes rest = message_more_keys(message), key;
    bool is_bcc;

    while (more_keys_next(&rest, &key, &is_bcc))
        if (!channel_allowed_topic(channel, PUBLISH, exchange, PERMISSION_WRITE, key))
            return false;
    return true;
}

/* The message with its CC and BCC keys beside the routing key, and without the BCC header. */
static struct message *take_keys(struct channel *channel, struct message *message, struct bytes headers)
{
    struct buffer keys = {0}, raw = {0};
    struct headers_bad_keys bad;
    struct message *copy = message;
    bool has_bcc;

    if (!headers_collect_keys(&keys, headers, &has_bcc, &bad)) {
        channel_fail(channel, PUBLISH, REPLY_PRECONDITION_FAILED,
                     "invalid message: {unacceptable_type_in_header,\"%s\",%s}", bad.name, bad.type);
        return NULL;
    }
    if (keys.size || has_bcc) {
        if (has_bcc)
            properties_without_bcc(&raw, message_properties(message));
        copy = message_copy(message, message_exchange(message), message_routing_key(message),
                            buffer_bytes(&keys), has_bcc ? buffer_bytes(&raw) : message_properties(message));
        message_unref(message);
    }
    buffer_free(&keys);
    buffer_free(&raw);
    return copy;
}

/* Rows 7 to 12: what stands in the properties. Returns the message, which may be another one now; NULL after
 * failing the channel, and then MESSAGE is freed. */
static struct message *check_properties(struct channel *channel, const struct exchange *exchange,
                                        struct message *message)
{
    struct properties properties = {0};
    struct message *checked = message;

    if (message->flags & MESSAGE_BAD_PROPERTIES) {
        if (message->flags & MESSAGE_BAD_HEADERS)
            connection_fail(channel->connection, PUBLISH, REPLY_SYNTAX_ERROR, "malformed headers table");
        else
            connection_fail_text(channel->connection, (enum method_id)0, REPLY_INTERNAL_ERROR,
                                 "INTERNAL_ERROR");
        goto fail;
    }
    if (message->flags & (MESSAGE_CHECK | MESSAGE_HAS_HEADERS))
        properties_decode(&properties, message_properties(message));
    if (properties.flags & PROPERTY_REPLY_TO && reply_to_is_name(properties.reply_to)) {
        checked = replace_reply_to(channel, message, &properties);
        if (!checked)
            goto fail;
        message = checked;
        properties_decode(&properties, message_properties(message));
    }
    if (!channel_allowed_topic(channel, PUBLISH, exchange, PERMISSION_WRITE, message_routing_key(message)) ||
        !check_user_id(channel, &properties))
        goto fail;
    if (properties.flags & PROPERTY_EXPIRATION && !check_expiration(channel, message, properties.expiration))
        goto fail;
    if (properties.flags & PROPERTY_HEADERS) {
        if (!channel_check_table(channel, PUBLISH, properties.headers, "headers"))
            goto fail;
        checked = take_keys(channel, message, properties.headers);
        if (!checked)
            goto fail;
        message = checked;
        if (!check_topic(channel, exchange, message))
            goto fail;
    }
    return message;
fail:
    message_unref(message);
    return NULL;
}

/* ---- where it goes ---- */

/* Confirms of what was published before come before it, as from RabbitMQ: some clients count on that. */
void channel_return(struct channel *channel, struct message *message)
{
    struct outbox_return *record;

    if (channel->confirms)
        confirms_flush(channel);
    record = outbox_add(channel->connection, OUTBOX_RETURN, channel->number, sizeof *record,
                        message_wire_size(message), true);
    record->message = message;
}

/* Takes over the reference: the last queue gets it, so that a message with one destination is its alone. */
static void store(struct channel *channel, struct message *message, struct queue **queues, size_t count,
                  bool mandatory)
{
    uint64_t lsn = 0;
    bool refused = false;

    count_publish(channel, message->body_size, count, mandatory);
    if (channel->connection->vhost->tracers)
        trace_publish(channel, message, queues, count);
    if (channel->mode == CHANNEL_TX) {
        tx_hold_publish(channel, message, queues, count, mandatory);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct queue *queue = queues[i];

        if (i + 1 < count)
            message_ref(message);
        refused |= queue_publish(queue, message, &lsn) == ENQUEUE_REFUSED;
        if (queue_is_long(queue))
            queue_charge(queue, channel->connection);
    }
    if (lsn || channel->connection->vhost->saves)
        store_charge(channel->connection->vhost, channel->connection);
    if (!count && mandatory)
        channel_return(channel, message);
    else if (!count)
        message_unref(message);
    if (channel->mode == CHANNEL_CONFIRM)
        confirms_publish(channel, lsn, refused);
}

static void remember_route(struct channel *channel, struct exchange *exchange, const struct message *message,
                           const struct route *route)
{
    struct vhost *vhost = channel->connection->vhost;
    struct bytes address = message_address(message);
    struct route_cache *cache = channel->cache;
    struct route_memory *memory, **slot;
    size_t queues = route->queue_count * sizeof(struct queue *);

    if (route->depends_on_message)
        return;
    if (!cache)
        cache = channel->cache = xcalloc(1, sizeof *cache);
    if (!cache->table && ++cache->misses > MISSES_TO_A_TABLE)
        cache->table = xcalloc(ROUTE_SLOTS, sizeof(struct route_memory *));
    slot = route_slot(cache, address);
    free(*slot);
    *slot = memory = xmalloc(sizeof *memory + queues + address.size);
    *memory = (struct route_memory){.topology = vhost->topology,
                                    .exchange = exchange,
                                    .permission = channel->connection->permission,
                                    .address_size = (uint32_t)address.size,
                                    .queue_count = (uint32_t)route->queue_count,
                                    .address = (uint8_t *)memory->queues + queues};
    if (queues)
        memcpy(memory->queues, vhost->routed, queues);
    memcpy(memory->address, address.data, address.size);
}

static bool is_among(const struct bytes *keys, unsigned count, struct bytes key)
{
    for (unsigned i = 0; i < count; i++) {
        if (bytes_equal(keys[i], key))
            return true;
    }
    return false;
}

/* To the requesters that KEYS, CC and BCC too, name; whether there was any. */
static bool publish_to_requesters(struct vhost *vhost, struct message *message, const struct bytes *keys,
                                  unsigned count)
{
    bool is_any = false;

    for (unsigned i = 0; i < count; i++) {
        struct channel *requester = reply_to_is_long_name(keys[i]) ? reply_to_find(vhost, keys[i]) : NULL;

        if (!requester || is_among(keys, i, keys[i]))
            continue;
        reply_to_deliver(requester, message_ref(message));
        is_any = true;
    }
    return is_any;
}

static void publish_routed(struct channel *channel, struct exchange *exchange, struct message *message,
                           bool mandatory)
{
    struct vhost *vhost = channel->connection->vhost;
    struct bytes keys[ROUTE_KEYS_MAX];
    unsigned count = route_keys(message, keys);
    struct route route;

    if (count > 1 && exchange == vhost->default_exchange &&
        publish_to_requesters(vhost, message, keys, count))
        mandatory = false;
    route_message(&route, vhost, exchange, message, keys, count);
    if (count == 1)
        remember_route(channel, exchange, message, &route);
    exchange->publish_in++;
    exchange->publish_out += route.queue_count;
    store(channel, message, vhost->routed, route.queue_count, mandatory);
}

/* A direct reply without further keys: to its requester, whatever else the name may look like (section 9). */
static void publish_reply(struct channel *channel, struct message *message, bool mandatory)
{
    struct channel *requester = reply_to_find(channel->connection->vhost, message_routing_key(message));

    count_publish(channel, message->body_size, requester != NULL, mandatory);
    if (requester)
        reply_to_deliver(requester, message);
    else if (mandatory)
        channel_return(channel, message);
    else
        message_unref(message);
    if (channel->mode == CHANNEL_CONFIRM)
        confirms_publish(channel, 0, false);
}

static bool is_reply(const struct exchange *exchange, const struct message *message)
{
    struct bytes keys[ROUTE_KEYS_MAX];

    return exchange == exchange->vhost->default_exchange &&
           reply_to_is_long_name(message_routing_key(message)) && route_keys(message, keys) == 1;
}

static bool publish_remembered(struct channel *channel, struct message *message, bool mandatory)
{
    struct connection *connection = channel->connection;
    struct bytes address = message_address(message);
    struct route_memory *memory;

    if (!channel->cache || message->flags & (MESSAGE_CHECK | MESSAGE_HAS_HEADERS | MESSAGE_BAD_PROPERTIES) ||
        permission_has_topics(connection->permission))
        return false;
    memory = *route_slot(channel->cache, address);
    if (!memory || memory->topology != connection->vhost->topology ||
        memory->permission != connection->permission || memory->address_size != address.size ||
        memcmp(memory->address, address.data, address.size) != 0)
        return false;
    memory->exchange->publish_in++;
    memory->exchange->publish_out += memory->queue_count;
    store(channel, message, memory->queues, memory->queue_count, mandatory);
    return true;
}

void channel_publish(struct channel *channel, struct message *message, unsigned flags)
{
    bool mandatory = flags & COMMAND_MANDATORY;
    struct exchange *exchange;

    if (flags & COMMAND_IMMEDIATE) {
        message_unref(message);
        channel_fail(channel, PUBLISH, REPLY_NOT_IMPLEMENTED, "immediate=true");
        return;
    }
    if (!check_size(channel, message)) {
        message_unref(message);
        return;
    }
    if (publish_remembered(channel, message, mandatory))
        return;
    exchange = check_exchange(channel, message);
    if (!exchange) {
        message_unref(message);
        return;
    }
    message = check_properties(channel, exchange, message);
    if (!message)
        return;
    if (is_reply(exchange, message))
        publish_reply(channel, message, mandatory);
    else
        publish_routed(channel, exchange, message, mandatory);
}
