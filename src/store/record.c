/* SPDX-License-Identifier: Apache-2.0 */
/* record.h: a message's octets on disk. Nothing that is read is believed before it was checked. */
#include "record.h"

/* Where a body is in memory is no matter of the disk's. */
#define FLAGS_KEPT \
    (MESSAGE_PERSISTENT | MESSAGE_HAS_HEADERS | MESSAGE_BAD_PROPERTIES | MESSAGE_BAD_HEADERS | MESSAGE_CHECK)

struct head {
    uint32_t keys_size, properties_size;
    uint64_t body_size;
    uint8_t exchange_size, routing_key_size, priority, flags;
};

void record_put_message(uint8_t head[RECORD_MESSAGE_HEAD], const struct message *message)
{
    uint8_t *p = head;

    p = put_le32(p, message->keys_size);
    p = put_le32(p, message->properties_size);
    p = put_le64(p, message->body_size);
    p = put_u8(p, message->exchange_size);
    p = put_u8(p, message->routing_key_size);
    p = put_u8(p, message->priority);
    put_u8(p, message->flags & FLAGS_KEPT);
}

struct bytes record_message_data(const struct message *message)
{
    struct bytes properties = message_properties(message);
    size_t size = (size_t)(properties.data - message->data) + properties.size;

    if (!(message->flags & MESSAGE_BODY_APART))
        size += (size_t)message->body_size;
    return (struct bytes){message->data, size};
}

struct bytes record_message_apart(const struct message *message)
{
    return message->flags & MESSAGE_BODY_APART ? message_body(message) : (struct bytes){NULL, 0};
}

uint64_t record_message_size(const struct message *message)
{
    return RECORD_MESSAGE_HEAD + record_message_data(message).size + record_message_apart(message).size;
}

static struct head get_head(const uint8_t *from)
{
    return (struct head){
        .keys_size = get_le32(from),
        .properties_size = get_le32(from + 4),
        .body_size = get_le64(from + 8),
        .exchange_size = from[16],
        .routing_key_size = from[17],
        .priority = from[18],
        .flags = from[19],
    };
}

/* Each of KEYS is an octet, 0 or 1, and a short string. */
static bool keys_fit(struct bytes keys)
{
    size_t at = 0;

    while (at < keys.size) {
        if (keys.size - at < 2 || keys.data[at] > 1 || keys.data[at + 1] > keys.size - at - 2)
            return false;
        at += 2 + (size_t)keys.data[at + 1];
    }
    return true;
}

bool record_check_message(const uint8_t from[RECORD_MESSAGE_HEAD], uint64_t size, uint64_t *body_at)
{
    struct head head = get_head(from);

    if (size < RECORD_MESSAGE_MIN || head.body_size > size - RECORD_MESSAGE_MIN || head.properties_size < 2 ||
        head.flags & ~FLAGS_KEPT)
        return false;
    *body_at = size - head.body_size;
    return *body_at == (uint64_t)RECORD_MESSAGE_HEAD + 2 + head.exchange_size + head.routing_key_size +
                           head.keys_size + head.properties_size;
}

/* The octets up to the body, whose sizes were checked. */
static struct message *begin_message(const uint8_t *from, struct head head)
{
    struct bytes exchange = {from + RECORD_MESSAGE_HEAD + 1, head.exchange_size};
    struct bytes routing_key = {exchange.data + exchange.size + 1, head.routing_key_size};
    struct bytes keys = {routing_key.data + routing_key.size, head.keys_size};
    struct bytes properties = {keys.data + keys.size, head.properties_size};
    struct message *message;

    if (exchange.data[-1] != exchange.size || routing_key.data[-1] != routing_key.size || !keys_fit(keys))
        return NULL;
    message = message_new(exchange, routing_key, keys, properties, head.body_size);
    message->flags = (uint8_t)((message->flags & MESSAGE_BODY_APART) | head.flags);
    message->priority = head.priority;
    return message;
}

struct message *record_begin_message(const uint8_t *from, uint64_t size)
{
    uint64_t body_at;

    return record_check_message(from, size, &body_at) ? begin_message(from, get_head(from)) : NULL;
}

struct message *record_get_message(const uint8_t *from, size_t size)
{
    struct message *message = size < RECORD_MESSAGE_HEAD ? NULL : record_begin_message(from, size);

    if (message && message->body_size)
        memcpy(message->body, from + (size - (size_t)message->body_size), (size_t)message->body_size);
    return message;
}
