/* SPDX-License-Identifier: Apache-2.0 */
/* message.h: how a message is laid out, and what the broker reads of its properties when it arrives. */
#include "coney/message.h"

#include "coney/pool.h"
#include "coney/properties.h"

static size_t block_size(const struct message *message)
{
    size_t size = sizeof *message + message->exchange_size + message->routing_key_size + 2 +
                  message->keys_size + message->properties_size;

    return message->flags & MESSAGE_BODY_APART ? size : size + (size_t)message->body_size;
}

static struct message *message_alloc(struct bytes exchange, struct bytes routing_key, struct bytes more_keys,
                                     struct bytes properties, uint64_t body_size, bool apart)
{
    size_t size = sizeof(struct message) + exchange.size + routing_key.size + 2 + more_keys.size +
                  properties.size + (apart ? 0 : (size_t)body_size);
    struct message *message = pool_alloc(size);
    uint8_t *p = message->data;

    message->refs = 1;
    message->properties_size = (uint32_t)properties.size;
    message->body_size = body_size;
    message->ttl_ms = MESSAGE_NO_TTL;
    message->keys_size = (uint32_t)more_keys.size;
    message->exchange_size = (uint8_t)exchange.size;
    message->routing_key_size = (uint8_t)routing_key.size;
    message->priority = 0;
    message->flags = apart ? MESSAGE_BODY_APART : 0;
    p = put_shortstr(p, exchange);
    p = put_shortstr(p, routing_key);
    p = put_bytes(p, more_keys);
    p = put_bytes(p, properties);
    message->body = apart ? NULL : p;
    return message;
}

struct message *message_new(struct bytes exchange, struct bytes routing_key, struct bytes more_keys,
                            struct bytes properties, uint64_t body_size)
{
    bool apart = body_size > MESSAGE_BODY_INLINE_MAX;
    struct message *message = message_alloc(exchange, routing_key, more_keys, properties, body_size, apart);

    if (apart)
        message->body = pool_alloc((size_t)body_size);
    return message;
}

struct message *message_new_partial(struct bytes exchange, struct bytes routing_key, struct bytes properties,
                                    uint64_t body_size, uint64_t room)
{
    bool apart = body_size > MESSAGE_BODY_INLINE_MAX || (room == 0 && body_size);
    struct message *message =
        message_alloc(exchange, routing_key, (struct bytes){NULL, 0}, properties, body_size, apart);

    if (!apart || !room)
        return message;
    message->body = pool_try_alloc((size_t)room);
    if (message->body)
        return message;
    message_free(message);
    return NULL;
}

void message_scan_properties(struct message *message)
{
    struct bytes raw = message_properties(message);
    struct properties properties;

    /* Nothing set: the commonest case by far. */
    if (raw.size == 2 && raw.data[0] == 0 && raw.data[1] == 0)
        return;
    if (!properties_decode(&properties, raw)) {
        message->flags |= properties.headers_malformed ? MESSAGE_BAD_HEADERS | MESSAGE_BAD_PROPERTIES
                                                       : MESSAGE_BAD_PROPERTIES;
        return;
    }
    if (!properties.is_normal)
        properties_normalize(message->data + (raw.data - message->data), raw.size);
    if (properties.flags & PROPERTY_HEADERS)
        message->flags |= MESSAGE_HAS_HEADERS;
    if (properties.flags & (PROPERTY_EXPIRATION | PROPERTY_USER_ID | PROPERTY_REPLY_TO))
        message->flags |= MESSAGE_CHECK;
    if (properties.flags & PROPERTY_DELIVERY_MODE && properties.delivery_mode == DELIVERY_MODE_PERSISTENT)
        message->flags |= MESSAGE_PERSISTENT;
    message->priority = properties.priority;
}

void message_free(struct message *message)
{
    if (message->flags & MESSAGE_BODY_APART)
        pool_free(message->body, (size_t)message->body_size);
    pool_free(message, block_size(message));
}

struct message *message_copy(const struct message *message, struct bytes exchange, struct bytes routing_key,
                             struct bytes more_keys, struct bytes properties)
{
    struct message *copy = message_new(exchange, routing_key, more_keys, properties, message->body_size);

    if (message->body_size)
        memcpy(copy->body, message->body, (size_t)message->body_size);
    copy->ttl_ms = message->ttl_ms;
    copy->priority = message->priority;
    copy->flags = (uint8_t)((copy->flags & MESSAGE_BODY_APART) | (message->flags & ~MESSAGE_BODY_APART));
    return copy;
}
