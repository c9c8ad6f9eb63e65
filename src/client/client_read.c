/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From octets to frames, and frames to where they belong (client_fields.h). A frame is taken when all of it
 * has come; its length is looked at before.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <string.h>

#include "client_fields.h"
#include "coney/frame.h"
#include "coney/reply.h"

/* The largest payload that is taken. A header with long headers comes in one frame, however large
 * (connection-and-channel.md 1.1); and the limit is eight octets generous, as brokers are. */
static uint64_t payload_max(const struct client *client, uint8_t type)
{
    if (type == FRAME_HEADER && client->target.message_max > client->frame_max)
        return client->target.message_max;
    return client->frame_max;
}

static struct client_channel *find_channel(struct client *client, uint16_t number)
{
    return number && number <= client->channels_room ? client->channels[number - 1] : NULL;
}

static void take_connection_frame(struct client *client, uint8_t type, struct bytes payload)
{
    struct method method;

    if (type == FRAME_HEARTBEAT && payload.size == 0)
        return;
    if (type != FRAME_METHOD) {
        client_break(client, REPLY_UNEXPECTED_FRAME, "frame of type %u and %zu octets on channel 0", type,
                     payload.size);
        return;
    }
    if (method_decode(&method, payload) != METHOD_OK) {
        client_break(client, REPLY_SYNTAX_ERROR, "method of channel 0 that cannot be decoded");
        return;
    }
    client_take_connection_method(client, &method);
}

static void take_channel_frame(struct client_channel *channel, uint8_t type, struct bytes payload)
{
    if (type == FRAME_METHOD)
        client_take_method(channel, payload);
    else if (channel->is_closing)
        return; /* content that was on its way */
    else if (type == FRAME_HEADER)
        client_take_header(channel, payload);
    else if (type == FRAME_BODY)
        client_take_body(channel, payload);
    else
        client_break(channel->client, REPLY_UNEXPECTED_FRAME, "frame of type %u on channel %u", type,
                     channel->number);
}

static void take_frame(struct client *client, struct frame_header header, struct bytes payload)
{
    struct client_channel *channel = find_channel(client, header.channel);

    if (header.channel == 0)
        take_connection_frame(client, header.type, payload);
    else if (channel)
        take_channel_frame(channel, header.type, payload);
    else
        client_break(client, REPLY_CHANNEL_ERROR, "frame of type %u on channel %u, which is not open",
                     header.type, header.channel);
}

/* Take one frame from INPUT, if it is there. */
static bool take_next(struct client *client, struct evbuffer *input)
{
    size_t size = evbuffer_get_length(input);
    uint8_t octets[FRAME_HEADER_SIZE];
    struct frame_header header;
    const uint8_t *frame;

    if (size < FRAME_HEADER_SIZE)
        return false;
    evbuffer_copyout(input, octets, sizeof octets);
    if (client->state == CLIENT_STATE_STARTING && memcmp(octets, "AMQP", 4) == 0) {
        client_break(client, 0, "the peer does not speak AMQP 0-9-1");
        return false;
    }
    header = frame_header_get(octets);
    if (header.size > payload_max(client, header.type)) {
        client_break(client, REPLY_FRAME_ERROR, "frame of type %u with %u octets; the limit is %llu",
                     header.type, header.size, (unsigned long long)payload_max(client, header.type));
        return false;
    }
    if (size < (size_t)header.size + FRAME_OVERHEAD)
        return false;
    frame = evbuffer_pullup(input, (ev_ssize_t)header.size + FRAME_OVERHEAD);
    if (frame[FRAME_HEADER_SIZE + header.size] != FRAME_END) {
        client_break(client, REPLY_FRAME_ERROR, "frame of type %u that does not end with 206", header.type);
        return false;
    }
    take_frame(client, header, (struct bytes){frame + FRAME_HEADER_SIZE, header.size});
    evbuffer_drain(input, (size_t)header.size + FRAME_OVERHEAD);
    return true;
}

static bool takes_frames(const struct client *client)
{
    return !client->is_freed && !client->is_held && client->state < CLIENT_STATE_LINGERING;
}

void client_take_frames(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->stream);

    while (takes_frames(client) && take_next(client, input))
        ;
    if (client->state >= CLIENT_STATE_LINGERING)
        evbuffer_drain(input, evbuffer_get_length(input));
}
