/* SPDX-License-Identifier: Apache-2.0 */
/* peer.h */
#include "peer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "coney/frame.h"

#define SECONDS_MAX 20

const struct client_target peer_target = {.vhost = BYTES_LITERAL("/"),
                                          .user = BYTES_LITERAL("me"),
                                          .password = BYTES_LITERAL("secret"),
                                          .message_max = 65536,
                                          .heartbeat = 10};

/* ---- what is called back ---- */

static void tell(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct peer *peer, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    cr_assert(size > 0 && size < (int)sizeof line);
    if (peer->told.size)
        buffer_append(&peer->told, "\n", 1);
    buffer_append(&peer->told, line, (size_t)size);
    if (peer->closes_at && strncmp(line, peer->closes_at, strlen(peer->closes_at)) == 0)
        client_channel_close(peer->channels[1]);
    if (peer->frees_at && strncmp(line, peer->frees_at, strlen(peer->frees_at)) == 0) {
        client_free(peer->client);
        peer->client = NULL;
    }
}

static void on_opened(void *context, struct client *client)
{
    (void)client;
    tell(context, "opened");
}

static const char *kind_name(enum client_end_kind kind)
{
    static const char *const names[] = {"closed", "peer", "refused", "network", "timeout", "broken"};

    return names[kind];
}

static void on_closed(void *context, struct client *client, const struct client_end *end)
{
    (void)client;
    tell(context, "closed: %s %u %s", kind_name(end->kind), end->code, end->text);
}

static void on_blocked(void *context, struct client *client, bool is_blocked, struct bytes reason)
{
    (void)client;
    tell(context, "%s %.*s", is_blocked ? "blocked" : "unblocked", BYTES_ARG(reason));
}

static void on_drained(void *context, struct client *client)
{
    (void)client;
    tell(context, "drained");
}

const struct client_events peer_events = {on_opened, on_closed, on_blocked, on_drained};

static unsigned number_of(const struct peer *peer, const struct client_channel *channel)
{
    return peer->channels[1] == channel ? 1 : 2;
}

static void on_channel_closed(void *context, struct client_channel *channel, const struct client_end *end)
{
    tell(context, "channel %u closed: %s %u %s", number_of(context, channel), kind_name(end->kind), end->code,
         end->text);
}

static void on_delivered(void *context, struct client_channel *channel,
                         const struct method_basic_deliver *deliver, const struct client_content *content)
{
    tell(context, "delivered on %u: %llu %.*s %.*s:%.*s, %zu of properties, body %zu %.*s",
         number_of(context, channel), (unsigned long long)deliver->delivery_tag,
         BYTES_ARG(deliver->consumer_tag), BYTES_ARG(deliver->exchange), BYTES_ARG(deliver->routing_key),
         content->properties.size, content->body.size, content->body.size < 20 ? (int)content->body.size : 20,
         (const char *)content->body.data);
}

static void on_returned(void *context, struct client_channel *channel,
                        const struct method_basic_return *returned, const struct client_content *content)
{
    tell(context, "returned on %u: %u %.*s %.*s", number_of(context, channel), returned->reply_code,
         BYTES_ARG(returned->routing_key), BYTES_ARG(content->body));
}

static void on_confirmed(void *context, struct client_channel *channel, uint64_t sequence, bool multiple,
                         bool is_ack)
{
    tell(context, "%s on %u: %s%llu", is_ack ? "confirmed" : "refused", number_of(context, channel),
         multiple ? "up to " : "", (unsigned long long)sequence);
}

static void on_cancelled(void *context, struct client_channel *channel, struct bytes consumer_tag)
{
    tell(context, "cancelled on %u: %.*s", number_of(context, channel), BYTES_ARG(consumer_tag));
}

const struct client_channel_events peer_channel_events = {on_channel_closed, on_delivered, on_returned,
                                                          on_confirmed, on_cancelled};

void peer_replied(void *context, const struct client_reply *reply)
{
    if (!reply->method)
        tell(context, "failed: %s %u", kind_name(reply->end->kind), reply->end->code);
    else if (reply->content)
        tell(context, "reply %s: %.*s", method_name(reply->method->id), BYTES_ARG(reply->content->body));
    else
        tell(context, "reply %s", method_name(reply->method->id));
}

const char *peer_told(struct peer *peer)
{
    static char text[4096];

    cr_assert_lt(peer->told.size, sizeof text);
    snprintf(text, sizeof text, "%.*s", BYTES_ARG(buffer_bytes(&peer->told)));
    buffer_clear(&peer->told);
    return text;
}

/* ---- both ends ---- */

void peer_open(struct peer *peer, const struct client_target *target)
{
    struct client_target to = *target;
    int fds[2];

    alarm(3 * SECONDS_MAX);
    *peer = (struct peer){.base = event_base_new()};
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    to.has_fd = true;
    to.fd = fds[0];
    peer->fd = fds[1];
    peer->client = client_open(peer->base, &to, &peer_events, peer);
}

void peer_close(struct peer *peer)
{
    client_free(peer->client);
    event_base_free(peer->base);
    close(peer->fd);
    wire_input_free(&peer->input);
    buffer_free(&peer->told);
}

void peer_turn(struct peer *peer)
{
    for (unsigned i = 0; i < 3; i++)
        event_base_loop(peer->base, EVLOOP_NONBLOCK);
}

static bool has_told(const struct peer *peer, const char *beginning)
{
    char text[8192];
    const char *found = text;

    snprintf(text, sizeof text, "%.*s", BYTES_ARG(buffer_bytes(&peer->told)));
    while ((found = strstr(found, beginning)) && found != text && found[-1] != '\n')
        found++;
    return found;
}

void peer_wait(struct peer *peer, const char *beginning)
{
    time_t until = time(NULL) + SECONDS_MAX;

    while (!has_told(peer, beginning)) {
        cr_assert_lt(time(NULL), until, "never told: %s; but %s", beginning, peer_told(peer));
        event_base_loop(peer->base, EVLOOP_ONCE);
    }
}

void peer_say(struct peer *peer, struct bytes octets, size_t piece)
{
    unsigned stuck = 0;

    while (octets.size) {
        ssize_t sent = send(peer->fd, octets.data, octets.size < piece ? octets.size : piece, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; /* the client has had enough */
        if (sent > 0)
            octets = (struct bytes){octets.data + sent, octets.size - (size_t)sent};
        stuck = sent > 0 ? 0 : stuck + 1;
        cr_assert_lt(stuck, 100);
        peer_turn(peer);
    }
}

void peer_say_method(struct peer *peer, uint16_t channel, const struct method *method)
{
    struct buffer out = {0};

    buffer_append_method(&out, channel, method);
    peer_say(peer, buffer_bytes(&out), SIZE_MAX);
    buffer_free(&out);
}

struct wire_frame peer_hear(struct peer *peer)
{
    time_t until = time(NULL) + SECONDS_MAX;
    struct wire_frame frame;

    for (;;) {
        while (peer->input.octets.size && wire_next(&peer->input, &frame, &peer->is_broken))
            if (frame.type != FRAME_HEARTBEAT)
                return frame;
        cr_assert_not(peer->is_broken);
        cr_assert_lt(time(NULL), until, "the client says nothing; it told: %s", peer_told(peer));
        peer_turn(peer);
        wire_receive(&peer->input, peer->fd, MSG_DONTWAIT);
    }
}

struct method peer_hear_method(struct peer *peer, uint16_t channel, enum method_id id)
{
    struct wire_frame frame = peer_hear(peer);

    cr_assert_eq(frame.type, FRAME_METHOD);
    cr_assert_eq(frame.channel, channel);
    cr_assert_eq(frame.method.id, id, "%s instead of %s", method_name(frame.method.id), method_name(id));
    return frame.method;
}

/* ---- what a broker does ---- */

void peer_hear_protocol_header(struct peer *peer)
{
    char octets[8];

    peer_turn(peer);
    cr_assert_eq(recv(peer->fd, octets, sizeof octets, 0), 8);
    cr_assert_arr_eq(octets, WIRE_PROTOCOL_HEADER.data, 8);
}

void peer_say_start(struct peer *peer, const char *mechanisms)
{
    struct method method = {.id = METHOD_CONNECTION_START,
                            .connection_start = {.version_minor = 9,
                                                 .mechanisms = bytes_from_string(mechanisms),
                                                 .locales = BYTES_LITERAL("en_US")}};

    peer_say_method(peer, 0, &method);
}

void peer_say_tune(struct peer *peer, uint32_t frame_max, uint16_t heartbeat)
{
    struct method method = {
        .id = METHOD_CONNECTION_TUNE,
        .connection_tune = {.frame_max = frame_max, .channel_max = 2, .heartbeat = heartbeat}};

    peer_say_method(peer, 0, &method);
}

void peer_login(struct peer *peer, uint32_t frame_max)
{
    peer_hear_protocol_header(peer);
    peer_say_start(peer, "AMQPLAIN PLAIN");
    peer_hear_method(peer, 0, METHOD_CONNECTION_START_OK);
    peer_say_tune(peer, frame_max, 0);
    peer_hear_method(peer, 0, METHOD_CONNECTION_TUNE_OK);
    peer_hear_method(peer, 0, METHOD_CONNECTION_OPEN);
    peer_say_method(peer, 0, &(struct method){.id = METHOD_CONNECTION_OPEN_OK});
    cr_assert_str_eq(peer_told(peer), "opened");
}

struct client_channel *peer_channel(struct peer *peer, uint16_t number)
{
    struct client_channel *channel = client_channel_open(peer->client, &peer_channel_events, peer);

    cr_assert_not_null(channel);
    peer->channels[number] = channel;
    peer_hear_method(peer, number, METHOD_CHANNEL_OPEN);
    peer_say_method(peer, number, &(struct method){.id = METHOD_CHANNEL_OPEN_OK});
    return channel;
}
