/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From octets to methods and messages (conn_fields.h). Frames are read where they lie. Of bodies only the
 * first octets are kept, and body frames need not be whole: however large a message is, it takes no memory.
 */
#include <string.h>

#include "coney/crc32c.h"
#include "coney/frame.h"
#include "conn_fields.h"

static struct channel *channel_of(struct conn *conn, uint16_t number)
{
    struct channel *channel = number < conn->channel_count ? conn->channels[number] : NULL;

    if (!channel)
        conn_fail(conn, "the broker sent a frame on channel %u, which is not open", number);
    return channel;
}

/* ---- contents ---- */

static void begin_content(struct channel *channel, bool is_return)
{
    if (channel->content != CONTENT_NONE)
        conn_fail(channel->conn, "the broker began a message before the last one's end");
    channel->content = CONTENT_HEADER;
    channel->is_return = is_return;
}

/* A basic.deliver, of which only two fields are looked at: what method_decode() checks besides would cost
 * more than all the rest of receiving a message. */
static void take_deliver(struct channel *channel, const uint8_t *payload, uint32_t size)
{
    size_t tag_at = 5U + payload[4];

    if (size < tag_at + 9) {
        conn_fail(channel->conn, "the broker sent a basic.deliver that is too short");
        return;
    }
    begin_content(channel, false);
    channel->delivery_tag = get_u64(payload + tag_at);
    channel->is_redelivered = payload[tag_at + 8] & 1;
    if (!channel->wants_checksum)
        return;
    channel->consumer = 0;
    for (size_t i = 5; i < tag_at; i++)
        channel->consumer = channel->consumer * 10 + (unsigned)(payload[i] - '0');
}

static void end_content(struct channel *channel)
{
    channel->content = CONTENT_NONE;
    channel->ops->message(channel);
}

static void take_header(struct channel *channel, const uint8_t *payload, uint32_t size)
{
    if (channel->content != CONTENT_HEADER || size < CONTENT_HEADER_FIXED_SIZE + 2) {
        conn_fail(channel->conn, "the broker sent a content header that does not belong there");
        return;
    }
    channel->size = get_u64(payload + 4);
    channel->seen = 0;
    channel->checksum = 0;
    channel->content = CONTENT_BODY;
    if (channel->size == 0)
        end_content(channel);
}

static void keep_tail(struct channel *channel, const uint8_t *p, size_t size)
{
    if (size >= STAMP_TAIL_SIZE) {
        memcpy(channel->tail, p + size - STAMP_TAIL_SIZE, STAMP_TAIL_SIZE);
        return;
    }
    memmove(channel->tail, channel->tail + size, STAMP_TAIL_SIZE - size);
    memcpy(channel->tail + STAMP_TAIL_SIZE - size, p, size);
}

static void take_body(struct channel *channel, const uint8_t *p, size_t size)
{
    size_t head = 0;

    if (channel->seen < STAMP_SIZE) {
        head = STAMP_SIZE - (size_t)channel->seen;
        if (head > size)
            head = size;
        memcpy(channel->head + channel->seen, p, head);
    }
    channel->seen += size;
    if (!channel->wants_checksum)
        return;
    keep_tail(channel, p, size);
    if (head && channel->seen >= STAMP_SIZE)
        channel->checksum = crc32c(0, channel->head, STAMP_CHECK_AT);
    if (head < size)
        channel->checksum = crc32c(channel->checksum, p + head, size - head);
}

static bool begin_body(struct conn *conn, struct frame_header header)
{
    struct channel *channel = channel_of(conn, header.channel);

    if (!channel)
        return false;
    if (channel->content != CONTENT_BODY || header.size > channel->size - channel->seen) {
        conn_fail(conn, "the broker sent a body that does not belong there");
        return false;
    }
    conn->body = channel;
    conn->body_left = header.size;
    return true;
}

/* ---- methods ---- */

static void take_channel_close(struct channel *channel, const struct method_channel_close *close)
{
    channel_say(channel, &(struct method){.id = METHOD_CHANNEL_CLOSE_OK});
    if (channel->ops->closed)
        channel->ops->closed(channel, close->reply_code, close->reply_text);
    else
        conn_fail(channel->conn, "the broker closed the channel: %u %.*s", close->reply_code,
                  BYTES_ARG(close->reply_text));
}

static void take_channel_flow(struct channel *channel, const struct method_channel_flow *flow)
{
    struct method method = {.id = METHOD_CHANNEL_FLOW_OK};

    method.channel_flow_ok.active = flow->active;
    channel_say(channel, &method);
}

static void take_channel_method(struct channel *channel, const struct method *method)
{
    switch ((uint32_t)method->id) {
    case METHOD_CHANNEL_CLOSE:
        take_channel_close(channel, &method->channel_close);
        break;
    case METHOD_CHANNEL_FLOW:
        take_channel_flow(channel, &method->channel_flow);
        break;
    case METHOD_BASIC_RETURN:
        begin_content(channel, true);
        break;
    default:
        channel->ops->method(channel, method);
    }
}

static void take_method(struct conn *conn, struct frame_header header, const uint8_t *payload)
{
    struct method method;
    struct channel *channel = NULL;
    enum method_status status;

    if (header.channel) {
        channel = channel_of(conn, header.channel);
        if (!channel)
            return;
        if (header.size > 5 && get_u32(payload) == METHOD_BASIC_DELIVER) {
            take_deliver(channel, payload, header.size);
            return;
        }
    }
    status = method_decode(&method, (struct bytes){payload, header.size});
    if (status != METHOD_OK)
        conn_fail(conn, "the broker sent a method that cannot be read");
    else if (channel)
        take_channel_method(channel, &method);
    else
        conn_take_connection_method(conn, &method);
}

/* ---- frames ---- */

/* What stands inside a body frame: octets of it, then its end. Returns how many were used. */
static size_t take_in_body(struct conn *conn, const uint8_t *p, size_t size)
{
    struct channel *channel = conn->body;
    size_t part = size < conn->body_left ? size : conn->body_left;

    take_body(channel, p, part);
    conn->body_left -= (uint32_t)part;
    if (part == size)
        return size;
    if (p[part] != FRAME_END)
        conn_fail(conn, "the broker sent a frame without its end");
    conn->body = NULL;
    if (channel->seen == channel->size)
        end_content(channel);
    return part + 1;
}

/* A frame that is there as a whole. */
static void take_frame(struct conn *conn, struct frame_header header, const uint8_t *payload)
{
    struct channel *channel;

    if (payload[header.size] != FRAME_END) {
        conn_fail(conn, "the broker sent a frame without its end");
    } else if (header.type == FRAME_METHOD) {
        take_method(conn, header, payload);
    } else if (header.type == FRAME_HEADER) {
        channel = channel_of(conn, header.channel);
        if (channel)
            take_header(channel, payload, header.size);
    } else if (header.type != FRAME_HEARTBEAT) {
        conn_fail(conn, "the broker sent a frame of type %u", header.type);
    }
}

size_t conn_take(struct conn *conn, const uint8_t *p, size_t size)
{
    const uint8_t *begin = p, *end = p + size;

    if (conn->state == CONN_LOGIN && size >= 8 && memcmp(p, "AMQP", 4) == 0)
        conn_fail(conn, "the broker does not speak AMQP 0-9-1");
    while (p < end && conn->state != CONN_ENDED) {
        struct frame_header header;

        if (conn->body) {
            p += take_in_body(conn, p, (size_t)(end - p));
            continue;
        }
        if (end - p < FRAME_HEADER_SIZE)
            break;
        header = frame_header_get(p);
        if (header.type == FRAME_BODY) {
            if (begin_body(conn, header))
                p += FRAME_HEADER_SIZE;
        } else if ((size_t)(end - p) < (size_t)header.size + FRAME_OVERHEAD) {
            break;
        } else {
            take_frame(conn, header, p + FRAME_HEADER_SIZE);
            p += header.size + FRAME_OVERHEAD;
        }
    }
    return (size_t)(p - begin);
}
