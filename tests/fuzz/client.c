/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the client's input: what a broker sends from the first octet to the last. The first octet says how:
 * whether a login is put before the rest, a channel opened with calls that wait and messages to be confirmed,
 * whether the client closes that channel at the first thing that it is told, or is freed, and in what pieces
 * the octets come. Whatever they are, the client is told of its end exactly once, or has been freed.
 */
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../server/wire.h"
#include "coney/client.h"
#include "coney/properties.h"
#include "fuzz.h"

enum how {
    HOW_LOGIN = 1,
    HOW_CHANNEL = 2,
    HOW_CLOSES = 4,
    HOW_FREES = 8,
    HOW_PIECES = 0x70,
    HOW_HOLDS = 0x80
};

static struct {
    struct event_base *base;
    int fd;
    uint8_t how;
    struct client *client;
    struct client_channel *channel;
    unsigned ends;    /* of the client */
    unsigned waiting; /* replies that are still to come */
    size_t sum;       /* of what was told, so that all of it is read */
} at;

static void look(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        at.sum += bytes.data[i];
}

/* Something was told. */
static void react(void)
{
    CHECK(at.client && at.ends == 0);
    if (at.how & HOW_HOLDS)
        client_hold(at.client, true);
    if (at.how & HOW_FREES) {
        client_free(at.client);
        at.client = NULL;
        at.channel = NULL;
    } else if (at.how & HOW_CLOSES && at.channel) {
        client_channel_close(at.channel);
        at.channel = NULL;
    }
}

static void on_reply(void *context, const struct client_reply *reply)
{
    (void)context;
    CHECK(at.waiting-- > 0);
    CHECK((reply->method == NULL) == (reply->end != NULL));
    if (reply->content)
        look(reply->content->body);
    react();
}

static void on_channel_closed(void *context, struct client_channel *channel, const struct client_end *end)
{
    (void)context;
    CHECK(channel == at.channel);
    look(bytes_from_string(end->text));
    at.channel = NULL;
    react();
}

static void on_delivered(void *context, struct client_channel *channel,
                         const struct method_basic_deliver *deliver, const struct client_content *content)
{
    (void)context;
    CHECK(channel == at.channel);
    look(deliver->consumer_tag);
    look(deliver->routing_key);
    look(content->properties);
    look(content->body);
    client_ack(channel, deliver->delivery_tag, false);
    react();
}

static void on_returned(void *context, struct client_channel *channel,
                        const struct method_basic_return *returned, const struct client_content *content)
{
    (void)context;
    CHECK(channel == at.channel);
    look(returned->reply_text);
    look(content->properties);
    look(content->body);
    react();
}

static void on_confirmed(void *context, struct client_channel *channel, uint64_t sequence, bool multiple,
                         bool is_ack)
{
    (void)context;
    (void)multiple;
    (void)is_ack;
    CHECK(channel == at.channel && sequence >= 1 && sequence <= 3);
    react();
}

static void on_cancelled(void *context, struct client_channel *channel, struct bytes consumer_tag)
{
    (void)context;
    CHECK(channel == at.channel);
    look(consumer_tag);
    react();
}

static const struct client_channel_events channel_events = {on_channel_closed, on_delivered, on_returned,
                                                            on_confirmed, on_cancelled};

static void on_opened(void *context, struct client *client)
{
    static const struct method calls[] = {{.id = METHOD_CONFIRM_SELECT},
                                          {.id = METHOD_BASIC_CONSUME},
                                          {.id = METHOD_BASIC_GET},
                                          {.id = METHOD_BASIC_GET},
                                          {.id = METHOD_QUEUE_DECLARE}};
    const struct method_basic_publish publish = {.mandatory = true};

    (void)context;
    if (!(at.how & HOW_CHANNEL))
        return;
    at.channel = client_channel_open(client, &channel_events, NULL);
    CHECK(at.channel);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++, at.waiting++)
        client_call(at.channel, &calls[i], on_reply, NULL);
    for (unsigned i = 0; i < 3; i++)
        CHECK(client_publish(at.channel, &publish, PROPERTIES_NONE, BYTES_LITERAL("body"), NULL));
}

static void on_closed(void *context, struct client *client, const struct client_end *end)
{
    (void)context;
    CHECK(client == at.client && at.channel == NULL);
    look(bytes_from_string(end->text));
    at.ends++;
}

static void on_blocked(void *context, struct client *client, bool is_blocked, struct bytes reason)
{
    (void)context;
    (void)client;
    (void)is_blocked;
    look(reason);
    react();
}

static const struct client_events events = {on_opened, on_closed, on_blocked, NULL};

static void turn(void)
{
    static char octets[65536];

    for (unsigned i = 0; i < 3; i++)
        event_base_loop(at.base, EVLOOP_NONBLOCK);
    while (recv(at.fd, octets, sizeof octets, MSG_DONTWAIT) > 0)
        ;
    if (at.client && at.how & HOW_HOLDS)
        client_hold(at.client, false);
}

static void say(struct bytes octets, size_t piece)
{
    while (octets.size) {
        ssize_t sent =
            send(at.fd, octets.data, octets.size < piece ? octets.size : piece, MSG_NOSIGNAL | MSG_DONTWAIT);

        turn();
        if (sent < 0 && (at.ends || !at.client))
            return;
        if (sent > 0)
            octets = (struct bytes){octets.data + sent, octets.size - (size_t)sent};
    }
}

static void say_login(void)
{
    struct method start = {.id = METHOD_CONNECTION_START,
                           .connection_start = {.version_minor = 9, .mechanisms = BYTES_LITERAL("PLAIN")}};
    struct method tune = {.id = METHOD_CONNECTION_TUNE, .connection_tune = {.frame_max = 4096}};
    struct buffer out = {0};

    buffer_append_method(&out, 0, &start);
    buffer_append_method(&out, 0, &tune);
    buffer_append_method(&out, 0, &(struct method){.id = METHOD_CONNECTION_OPEN_OK});
    buffer_append_method(&out, 1, &(struct method){.id = METHOD_CHANNEL_OPEN_OK});
    say(buffer_bytes(&out), SIZE_MAX);
    buffer_free(&out);
}

static void open_client(void)
{
    struct client_target target = {.has_fd = true, .vhost = BYTES_LITERAL("/"), .message_max = 1 << 16};
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    target.fd = fds[0];
    at.fd = fds[1];
    at.client = client_open(at.base, &target, &events, NULL);
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 2, 7, 8, 13, 64, 4096};

    if (size == 0)
        return 0;
    if (!at.base)
        at.base = event_base_new();
    at.ends = at.waiting = 0;
    at.channel = NULL;
    at.how = data[0];
    open_client();
    if (at.how & HOW_LOGIN)
        say_login();
    say((struct bytes){data + 1, size - 1}, pieces[(at.how & HOW_PIECES) >> 4]);
    shutdown(at.fd, SHUT_WR);
    for (unsigned i = 0; i < 100 && at.client && !at.ends; i++)
        turn();
    CHECK(at.ends == (at.client != NULL));
    client_free(at.client);
    at.client = NULL;
    close(at.fd);
    return 0;
}
