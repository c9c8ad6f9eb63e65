/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct reply-to (publish-consume-ack.md section 9): replies go straight from the publishing channel to the
 * requesting one, never stored.
 *
 * A requester's name is "amq.rabbitmq.reply-to.", in hexadecimal its connection's id and its channel's
 * number, and after a dot what nobody can guess, 16 octets in base64 as RabbitMQ writes them. It is good
 * while that channel has that reply consumer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "coney/xalloc.h"
#include "vhost_fields.h"

#define NAME          "amq.rabbitmq.reply-to"
#define ADDRESS_SIZE  (16 + 4)
#define SECRET_DIGITS 22

struct reply_consumer {
    struct bytes tag; /* owned */
    uint32_t number;
    char name[sizeof NAME + 1 + ADDRESS_SIZE + 1 + SECRET_DIGITS + 2];
};

bool reply_to_is_name(struct bytes name)
{
    return bytes_equal_string(name, NAME);
}

bool reply_to_is_long_name(struct bytes name)
{
    return name.size >= sizeof NAME && memcmp(name.data, NAME ".", sizeof NAME) == 0;
}

static void make_name(struct channel *channel, char *out, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct vhost *vhost = channel->connection->vhost;
    uint8_t chance[SECRET_DIGITS];
    char secret[SECRET_DIGITS + 1] = "";

    vhost->ops.random(vhost->ops.context, chance, sizeof chance);
    for (size_t i = 0; i < SECRET_DIGITS; i++)
        secret[i] = digits[chance[i] & 63];
    secret[SECRET_DIGITS - 1] = digits[(chance[SECRET_DIGITS - 1] & 3) << 4]; /* two bits are left for it */
    snprintf(out, size, NAME ".%016llx%04x.%s==", (unsigned long long)channel->connection->id,
             channel->number, secret);
}

void reply_to_consume(struct channel *channel, const struct method_basic_consume *consume)
{
    struct connection *connection = channel->connection;
    struct bytes tag = consume->consumer_tag;
    struct method ok = {.id = METHOD_BASIC_CONSUME_OK};
    struct outbox_consumer *record;
    struct reply_consumer *reply;
    char made[64];

    if (!channel_consumer_tag(channel, &tag, made))
        return;
    if (channel->reply_consumer || !consume->no_ack) {
        channel_fail(channel, METHOD_BASIC_CONSUME, REPLY_PRECONDITION_FAILED,
                     !consume->no_ack ? "reply consumer cannot acknowledge" : "reply consumer already set");
        return;
    }
    reply = xcalloc(1, sizeof *reply);
    reply->tag = bytes_copy(tag);
    reply->number = connection_number_take(connection);
    make_name(channel, reply->name, sizeof reply->name);
    channel->reply_consumer = reply;
    record = outbox_add(connection, OUTBOX_CONSUMER, channel->number, sizeof *record + tag.size, 0, true);
    record->consumer = reply->number;
    record->tag_size = (uint8_t)tag.size;
    put_bytes(record->tag, tag);
    ok.basic_consume_ok.consumer_tag = reply->tag;
    if (!consume->nowait)
        channel_reply(channel, &ok, 0);
}

static void reply_free(struct channel *channel)
{
    gate_drop_replies(channel);
    connection_number_release(channel->connection, channel->reply_consumer->number);
    bytes_free(channel->reply_consumer->tag);
    free(channel->reply_consumer);
    channel->reply_consumer = NULL;
}

bool reply_to_cancel(struct channel *channel, struct bytes tag)
{
    if (!channel->reply_consumer || !bytes_equal(channel->reply_consumer->tag, tag))
        return false;
    reply_free(channel);
    return true;
}

void reply_to_channel_ends(struct channel *channel)
{
    if (channel->reply_consumer)
        reply_free(channel);
}

static bool read_hex(const uint8_t *p, size_t digits, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        if (p[i] >= '0' && p[i] <= '9')
            *out = *out << 4 | (uint64_t)(p[i] - '0');
        else if (p[i] >= 'a' && p[i] <= 'f')
            *out = *out << 4 | (uint64_t)(p[i] - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* Compare without telling by the time taken how much was right. */
static bool same_name(struct bytes a, const char *b)
{
    uint8_t differs = 0;

    if (a.size != strlen(b))
        return false;
    for (size_t i = 0; i < a.size; i++)
        differs |= (uint8_t)(a.data[i] ^ (uint8_t)b[i]);
    return !differs;
}

struct channel *reply_to_find(struct vhost *vhost, struct bytes name)
{
    const uint8_t *address = name.data + sizeof NAME;
    struct connection *connection;
    struct channel *channel;
    uint64_t id, number;

    if (!reply_to_is_long_name(name) || name.size < sizeof NAME + ADDRESS_SIZE ||
        !read_hex(address, 16, &id) || !read_hex(address + 16, 4, &number))
        return NULL;
    connection = connection_find(vhost, id);
    channel = connection ? connection_channel(connection, (uint16_t)number) : NULL;
    return channel && channel->reply_consumer && same_name(name, channel->reply_consumer->name) ? channel
                                                                                                : NULL;
}

void reply_to_deliver(struct channel *requester, struct message *message)
{
    struct connection *connection = requester->connection;
    struct outbox_delivery record = {
        .record = {.kind = OUTBOX_DELIVER, .channel = requester->number, .size = sizeof record},
        .message = message,
        .consumer = requester->reply_consumer->number};

    /* Who does not read its replies loses them: they are kept nowhere (bounded, as any delivery is). */
    if (connection->unsent >= connection->vhost->settings.unsent_max) {
        message_unref(message);
        return;
    }
    record.delivery_tag = ++requester->delivery_tag;
    channel_reply_record(requester, &record.record, 0); /* behind its consume-ok, if that waits */
}

bool reply_to_name(struct channel *channel, struct bytes *name)
{
    if (!channel->reply_consumer)
        return false;
    *name = bytes_from_string(channel->reply_consumer->name);
    return true;
}
