/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels (client_fields.h). A method with content is kept until the content is complete, and told of as a
 * whole. What belongs to no call that waits and is no event is not expected, and ends the client.
 */
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "client_fields.h"
#include "coney/frame.h"
#include "coney/reply.h"
#include "coney/xalloc.h"

#define BODY_STEP  (UINT64_C(1) << 20) /* room that is made for a body before any of it has come */
#define SPARE_SIZE 65536               /* a buffer that is larger is given back after its content */

/* ---- opening and closing ---- */

static void expect(struct client_channel *channel, enum method_id id, client_reply_fn *reply, void *context)
{
    struct client_waiting *waiting = xcalloc(1, sizeof *waiting);

    waiting->id = id;
    waiting->reply = reply;
    waiting->context = context;
    DL_APPEND(channel->calls, waiting);
}

static void forget_calls(struct client_channel *channel)
{
    struct client_waiting *waiting, *next;

    DL_FOREACH_SAFE (channel->calls, waiting, next)
        free(waiting);
    channel->calls = NULL;
}

void client_channel_free(struct client_channel *channel)
{
    forget_calls(channel);
    buffer_free(&channel->method_octets);
    buffer_free(&channel->properties);
    buffer_free(&channel->body);
    free(channel);
}

/* The lowest number that is free, or 0. */
static uint16_t free_number(const struct client *client)
{
    unsigned i = 0;

    while (i < client->channels_room && client->channels[i])
        i++;
    return i < client->channel_max ? (uint16_t)(i + 1) : 0;
}

static void list_channel(struct client *client, struct client_channel *channel)
{
    if (channel->number > client->channels_room) {
        unsigned room = client->channels_room ? client->channels_room * 2 : 4;

        client->channels = xrealloc(client->channels, room * sizeof *client->channels);
        for (unsigned i = client->channels_room; i < room; i++)
            client->channels[i] = NULL;
        client->channels_room = room;
    }
    client->channels[channel->number - 1] = channel;
}

struct client_channel *client_channel_open(struct client *client, const struct client_channel_events *events,
                                           void *context)
{
    struct client_channel *channel;
    uint16_t number = free_number(client);

    if (client->state != CLIENT_STATE_OPEN || number == 0)
        return NULL;
    channel = xcalloc(1, sizeof *channel);
    channel->client = client;
    channel->number = number;
    channel->events = events;
    channel->context = context;
    list_channel(client, channel);
    client_put_method(client, number, &(struct method){.id = METHOD_CHANNEL_OPEN});
    expect(channel, METHOD_CHANNEL_OPEN, NULL, NULL);
    return channel;
}

/* Out of the list: its number is free. */
static void let_go(struct client_channel *channel)
{
    struct client *client = channel->client;

    channel->is_gone = true;
    client->channels[channel->number - 1] = NULL;
    LL_PREPEND(client->gone, channel);
}

static void fail_calls(struct client_channel *channel, const struct client_end *end)
{
    const struct client_reply reply = {.end = end};
    struct client_waiting *waiting;

    while ((waiting = channel->calls)) {
        DL_DELETE(channel->calls, waiting);
        if (waiting->reply && !channel->is_mute && !channel->client->is_freed)
            waiting->reply(waiting->context, &reply);
        free(waiting);
    }
}

void client_channel_end(struct client_channel *channel, const struct client_end *end)
{
    let_go(channel);
    fail_calls(channel, end);
    if (channel->events->closed && !channel->is_mute && !channel->client->is_freed)
        channel->events->closed(channel->context, channel, end);
    channel->is_mute = true;
}

/* Tell whether CHANNEL can be spoken on. */
static bool is_open(const struct client_channel *channel)
{
    return !channel->is_gone && !channel->is_closing && channel->client->state == CLIENT_STATE_OPEN &&
           !channel->client->is_freed;
}

void client_channel_close(struct client_channel *channel)
{
    struct method close = {
        .id = METHOD_CHANNEL_CLOSE,
        .channel_close = {.reply_code = REPLY_SUCCESS, .reply_text = BYTES_LITERAL("Goodbye")}};

    channel->is_mute = true;
    if (channel->is_gone)
        return; /* its calls are being failed */
    forget_calls(channel);
    if (is_open(channel))
        client_put_method(channel->client, channel->number, &close);
    channel->is_closing = true;
}

struct client *client_channel_client(const struct client_channel *channel)
{
    return channel->client;
}

/* ---- what we say ---- */

void client_send(struct client_channel *channel, const struct method *method)
{
    if (is_open(channel))
        client_put_method(channel->client, channel->number, method);
}

void client_call(struct client_channel *channel, const struct method *method, client_reply_fn *reply,
                 void *context)
{
    if (channel->is_gone || channel->is_closing)
        return;
    client_send(channel, method);
    expect(channel, method->id, reply, context);
    if (method->id == METHOD_CONFIRM_SELECT)
        channel->counts = true;
}

void client_ack(struct client_channel *channel, uint64_t delivery_tag, bool multiple)
{
    struct method method = {.id = METHOD_BASIC_ACK,
                            .basic_ack = {.delivery_tag = delivery_tag, .multiple = multiple}};

    client_send(channel, &method);
}

void client_nack(struct client_channel *channel, uint64_t delivery_tag, bool multiple, bool requeue)
{
    struct method method = {
        .id = METHOD_BASIC_NACK,
        .basic_nack = {.delivery_tag = delivery_tag, .multiple = multiple, .requeue = requeue}};

    client_send(channel, &method);
}

bool client_publish(struct client_channel *channel, const struct method_basic_publish *publish,
                    struct bytes properties, struct bytes body, uint64_t *sequence)
{
    const struct method method = {.id = METHOD_BASIC_PUBLISH, .basic_publish = *publish};
    const struct client_content content = {properties, body};

    if (frame_content_header_size(properties.size) > channel->client->frame_max)
        return false;
    if (channel->counts)
        channel->published++;
    if (sequence)
        *sequence = channel->published;
    if (!is_open(channel))
        return true; /* as lost as what was on its way */
    client_put_method(channel->client, channel->number, &method);
    client_put_content(channel->client, channel->number, &content);
    return true;
}

/* ---- what the peer says ---- */

static void refuse(struct client_channel *channel, uint16_t code, const char *what)
{
    client_break(channel->client, code, "%s on channel %u", what, channel->number);
}

static bool is_reply(enum method_id call, enum method_id reply)
{
    switch ((uint32_t)call) {
    case METHOD_BASIC_GET:
        return reply == METHOD_BASIC_GET_OK || reply == METHOD_BASIC_GET_EMPTY;
    case METHOD_EXCHANGE_UNBIND:
        return reply == METHOD_EXCHANGE_UNBIND_OK;
    default:
        return (uint32_t)reply == (uint32_t)call + 1;
    }
}

/* The first of the calls has its reply. */
static void reply_to(struct client_channel *channel, const struct client_reply *reply)
{
    struct client_waiting *waiting = channel->calls;

    DL_DELETE(channel->calls, waiting);
    if (waiting->reply)
        waiting->reply(waiting->context, reply);
    free(waiting);
}

static void take_close(struct client_channel *channel, const struct method *method)
{
    struct client *client = channel->client;
    const struct method_channel_close *close = &method->channel_close;
    char text[REPLY_TEXT_SIZE];
    struct client_end end = {.kind = CLIENT_PEER, .code = close->reply_code, .text = text};

    snprintf(text, sizeof text, "%.*s", BYTES_ARG(close->reply_text));
    if (client->state == CLIENT_STATE_OPEN)
        client_put_method(client, channel->number, &(struct method){.id = METHOD_CHANNEL_CLOSE_OK});
    if (!channel->is_closing) /* else the answer to our own is still to come */
        client_channel_end(channel, &end);
}

static void take_confirm(struct client_channel *channel, uint64_t sequence, bool multiple, bool is_ack)
{
    if (sequence == 0 && multiple)
        sequence = channel->published;
    if (!channel->counts || sequence == 0 || sequence > channel->published)
        refuse(channel, REPLY_COMMAND_INVALID, "confirm of what was not published");
    else if (channel->events->confirmed)
        channel->events->confirmed(channel->context, channel, sequence, multiple, is_ack);
}

static void take_cancel(struct client_channel *channel, const struct method_basic_cancel *cancel)
{
    struct method ok = {.id = METHOD_BASIC_CANCEL_OK,
                        .basic_cancel_ok = {.consumer_tag = cancel->consumer_tag}};

    if (!cancel->nowait)
        client_send(channel, &ok);
    if (channel->events->cancelled)
        channel->events->cancelled(channel->context, channel, cancel->consumer_tag);
}

static void take_flow(struct client_channel *channel, bool active)
{
    struct method ok = {.id = METHOD_CHANNEL_FLOW_OK, .channel_flow_ok = {.active = active}};

    client_send(channel, &ok);
}

/* A method without content on an open channel. */
static void take_plain_method(struct client_channel *channel, const struct method *method)
{
    const struct client_reply reply = {.method = method};

    switch ((uint32_t)method->id) {
    case METHOD_CHANNEL_CLOSE:
        take_close(channel, method);
        break;
    case METHOD_BASIC_ACK:
        take_confirm(channel, method->basic_ack.delivery_tag, method->basic_ack.multiple, true);
        break;
    case METHOD_BASIC_NACK:
        take_confirm(channel, method->basic_nack.delivery_tag, method->basic_nack.multiple, false);
        break;
    case METHOD_BASIC_CANCEL:
        take_cancel(channel, &method->basic_cancel);
        break;
    case METHOD_CHANNEL_FLOW:
        take_flow(channel, method->channel_flow.active);
        break;
    default:
        if (channel->calls && is_reply(channel->calls->id, method->id))
            reply_to(channel, &reply);
        else
            client_break(channel->client, REPLY_COMMAND_INVALID, "unexpected %s on channel %u",
                         method_name(method->id), channel->number);
    }
}

/* ---- content ---- */

static bool may_begin_content(const struct client_channel *channel, enum method_id id)
{
    return id == METHOD_BASIC_DELIVER || id == METHOD_BASIC_RETURN ||
           (id == METHOD_BASIC_GET_OK && channel->calls && channel->calls->id == METHOD_BASIC_GET);
}

/* Keep PAYLOAD, and with it the method, until the content has come. */
static void begin_content(struct client_channel *channel, struct bytes payload)
{
    buffer_clear(&channel->method_octets);
    buffer_append_bytes(&channel->method_octets, payload);
    method_decode(&channel->method, buffer_bytes(&channel->method_octets)); /* it was decoded before */
    channel->expects = EXPECTS_HEADER;
}

static void clear(struct buffer *buffer)
{
    if (buffer->capacity > SPARE_SIZE)
        buffer_free(buffer);
    else
        buffer_clear(buffer);
}

static void finish_content(struct client_channel *channel, struct bytes body)
{
    const struct client_content content = {buffer_bytes(&channel->properties), body};
    const struct client_reply reply = {.method = &channel->method, .content = &content};
    const struct client_channel_events *events = channel->events;

    channel->expects = EXPECTS_METHOD;
    if (channel->method.id == METHOD_BASIC_GET_OK)
        reply_to(channel, &reply);
    else if (channel->method.id == METHOD_BASIC_DELIVER && events->delivered)
        events->delivered(channel->context, channel, &channel->method.basic_deliver, &content);
    else if (channel->method.id == METHOD_BASIC_RETURN && events->returned)
        events->returned(channel->context, channel, &channel->method.basic_return, &content);
    clear(&channel->properties);
    clear(&channel->body);
}

void client_take_header(struct client_channel *channel, struct bytes payload)
{
    uint64_t most = channel->client->target.message_max;

    if (channel->expects != EXPECTS_HEADER) {
        refuse(channel, REPLY_UNEXPECTED_FRAME, "content header out of place");
        return;
    }
    if (payload.size < CONTENT_HEADER_FIXED_SIZE + 2 ||
        get_u16(payload.data) != METHOD_CLASS(METHOD_BASIC_PUBLISH)) {
        refuse(channel, REPLY_FRAME_ERROR, "content header that cannot be decoded");
        return;
    }
    channel->body_size = get_u64(payload.data + 4);
    if (channel->body_size > most) {
        client_break(channel->client, REPLY_CONTENT_TOO_LARGE, "message of %llu octets; the limit is %llu",
                     (unsigned long long)channel->body_size, (unsigned long long)most);
        return;
    }
    buffer_clear(&channel->properties);
    buffer_append(&channel->properties, payload.data + CONTENT_HEADER_FIXED_SIZE,
                  payload.size - CONTENT_HEADER_FIXED_SIZE);
    channel->expects = EXPECTS_BODY;
    if (channel->body_size == 0)
        finish_content(channel, (struct bytes){0});
}

void client_take_body(struct client_channel *channel, struct bytes payload)
{
    struct buffer *body = &channel->body;

    if (channel->expects != EXPECTS_BODY || payload.size > channel->body_size - body->size) {
        refuse(channel, REPLY_UNEXPECTED_FRAME, "content body out of place");
        return;
    }
    if (payload.size == channel->body_size) { /* all in one frame: no need to copy it */
        finish_content(channel, payload);
        return;
    }
    if (body->size == 0)
        buffer_reserve(body, channel->body_size < BODY_STEP ? channel->body_size : BODY_STEP);
    buffer_append_bytes(body, payload);
    if (body->size == channel->body_size)
        finish_content(channel, buffer_bytes(body));
}

/* We have closed it: nothing counts but that it ends. */
static void take_method_of_closing(struct client_channel *channel, const struct method *method)
{
    if (method->id == METHOD_CHANNEL_CLOSE)
        take_close(channel, method);
    else if (method->id == METHOD_CHANNEL_CLOSE_OK)
        let_go(channel);
}

void client_take_method(struct client_channel *channel, struct bytes payload)
{
    struct method method;

    if (method_decode(&method, payload) != METHOD_OK)
        refuse(channel, REPLY_SYNTAX_ERROR, "method that cannot be decoded");
    else if (channel->is_closing)
        take_method_of_closing(channel, &method);
    else if (channel->expects != EXPECTS_METHOD)
        refuse(channel, REPLY_UNEXPECTED_FRAME, "method in the middle of content");
    else if (!method_has_content(method.id))
        take_plain_method(channel, &method);
    else if (may_begin_content(channel, method.id))
        begin_content(channel, payload);
    else
        client_break(channel->client, REPLY_COMMAND_INVALID, "unexpected %s on channel %u",
                     method_name(method.id), channel->number);
}
