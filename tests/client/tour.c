/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client against a real broker: tour URI. Declares what it needs under names that begin with `cli-tour`,
 * goes through everything that client.h can do, and removes it again. Says what did not go as it should;
 * exit code 0 when all did.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coney/amqp_uri.h"
#include "coney/client.h"
#include "coney/properties.h"

#define SECONDS_MAX 60
#define MESSAGES    1000
#define LARGE_SIZE  300000

static const struct bytes queue = BYTES_LITERAL("cli-tour");

static struct {
    struct event_base *base;
    struct client *client;
    struct client_channel *channel;
    void (*next)(void);
    unsigned confirmed, delivered, returned;
    bool is_confirmed[MESSAGES + 3];
    uint64_t octets; /* of bodies that were delivered */
    bool is_closing;
    int failures;
} tour;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    tour.failures++;
    event_base_loopbreak(tour.base);
}

/* ---- calls, one after the other ---- */

static void on_reply(void *context, const struct client_reply *reply)
{
    void (*next)(void) = tour.next;

    (void)context;
    if (!reply->method) {
        fail("a call failed", reply->end->text);
        return;
    }
    tour.next = NULL;
    if (next)
        next();
}

static void call(const struct method *method, void (*next)(void))
{
    tour.next = next;
    client_call(tour.channel, method, on_reply, NULL);
}

/* ---- the tour, last step first ---- */

static void close_all(void)
{
    tour.is_closing = true;
    client_close(tour.client);
}

static void delete_queue(void)
{
    struct method method = {.id = METHOD_QUEUE_DELETE, .queue_delete = {.queue = queue}};

    call(&method, close_all);
}

static void on_got_nothing(void *context, const struct client_reply *reply)
{
    (void)context;
    if (!reply->method || reply->method->id != METHOD_BASIC_GET_EMPTY)
        fail("get", "the queue should be empty");
    else
        delete_queue();
}

static void on_got(void *context, const struct client_reply *reply)
{
    struct method method = {.id = METHOD_BASIC_GET, .basic_get = {.queue = queue}};

    (void)context;
    if (!reply->content || !bytes_equal(reply->content->body, BYTES_LITERAL("to get")) ||
        !bytes_equal(reply->content->properties, BYTES_LITERAL("\x18\0\2\5"))) {
        fail("get", "not what was published");
        return;
    }
    client_ack(tour.channel, reply->method->basic_get_ok.delivery_tag, false);
    client_call(tour.channel, &method, on_got_nothing, NULL);
}

static void get(void)
{
    struct method_basic_publish publish = {.routing_key = queue};
    struct method method = {.id = METHOD_BASIC_GET, .basic_get = {.queue = queue, .no_ack = false}};

    client_publish(tour.channel, &publish, BYTES_LITERAL("\x18\0\2\5"), BYTES_LITERAL("to get"), NULL);
    client_call(tour.channel, &method, on_got, NULL);
}

static void cancel(void)
{
    struct method method = {.id = METHOD_BASIC_CANCEL,
                            .basic_cancel = {.consumer_tag = BYTES_LITERAL("tag")}};

    call(&method, get);
}

static void look_if_all_came(void)
{
    if (tour.delivered < MESSAGES + 1 || tour.confirmed < MESSAGES + 2)
        return;
    if (tour.octets != MESSAGES * 4 + LARGE_SIZE)
        fail("deliveries", "not as many octets as were published");
    else if (tour.returned != 1)
        fail("returns", "not one");
    else if (tour.delivered == MESSAGES + 1 && tour.confirmed == MESSAGES + 2)
        cancel();
    tour.delivered++;
}

static void publish_all(void)
{
    struct method_basic_publish publish = {.routing_key = queue, .mandatory = true};
    static uint8_t large[LARGE_SIZE];
    uint64_t sequence = 0;

    for (unsigned i = 0; i < MESSAGES; i++)
        client_publish(tour.channel, &publish, PROPERTIES_NONE, BYTES_LITERAL("body"), NULL);
    client_publish(tour.channel, &publish, PROPERTIES_NONE, (struct bytes){large, sizeof large}, NULL);
    publish.routing_key = BYTES_LITERAL("cli-tour-that-is-not-there");
    client_publish(tour.channel, &publish, PROPERTIES_NONE, BYTES_LITERAL("lost"), &sequence);
    if (sequence != MESSAGES + 2)
        fail("publish", "the sequence number is wrong");
}

static void consume(void)
{
    struct method method = {.id = METHOD_BASIC_CONSUME,
                            .basic_consume = {.queue = queue, .consumer_tag = BYTES_LITERAL("tag")}};

    call(&method, publish_all);
}

static void limit(void)
{
    struct method method = {.id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_count = 100}};

    call(&method, consume);
}

static void confirm(void)
{
    call(&(struct method){.id = METHOD_CONFIRM_SELECT}, limit);
}

static void unbind(void)
{
    struct method method = {.id = METHOD_QUEUE_UNBIND,
                            .queue_unbind = {.queue = queue,
                                             .exchange = BYTES_LITERAL("amq.topic"),
                                             .routing_key = BYTES_LITERAL("cli.#")}};

    call(&method, confirm);
}

static void bind_queue(void)
{
    struct method method = {.id = METHOD_QUEUE_BIND,
                            .queue_bind = {.queue = queue,
                                           .exchange = BYTES_LITERAL("amq.topic"),
                                           .routing_key = BYTES_LITERAL("cli.#")}};

    call(&method, unbind);
}

static void purge(void)
{
    struct method method = {.id = METHOD_QUEUE_PURGE, .queue_purge = {.queue = queue}};

    call(&method, bind_queue);
}

static void on_delivered(void *context, struct client_channel *channel,
                         const struct method_basic_deliver *deliver, const struct client_content *content)
{
    (void)context;
    tour.octets += content->body.size;
    tour.delivered++;
    client_ack(channel, deliver->delivery_tag, false);
    look_if_all_came();
}

static void on_returned(void *context, struct client_channel *channel,
                        const struct method_basic_return *returned, const struct client_content *content)
{
    (void)context;
    (void)channel;
    if (returned->reply_code == 312 && bytes_equal_string(content->body, "lost"))
        tour.returned++;
}

static void on_confirmed(void *context, struct client_channel *channel, uint64_t sequence, bool multiple,
                         bool is_ack)
{
    (void)context;
    (void)channel;
    if (!is_ack)
        fail("confirms", "refused");
    for (uint64_t i = multiple ? 1 : sequence; i <= sequence && i <= MESSAGES + 2; i++) {
        tour.confirmed += !tour.is_confirmed[i];
        tour.is_confirmed[i] = true;
    }
    look_if_all_came();
}

static void on_channel_closed(void *context, struct client_channel *channel, const struct client_end *end)
{
    (void)context;
    (void)channel;
    if (!tour.is_closing)
        fail("the channel was closed", end->text);
}

static const struct client_channel_events channel_events = {.closed = on_channel_closed,
                                                            .delivered = on_delivered,
                                                            .returned = on_returned,
                                                            .confirmed = on_confirmed};

/* A second channel, that is to fail. */
static void on_failed(void *context, const struct client_reply *reply)
{
    struct method method = {.id = METHOD_QUEUE_DECLARE, .queue_declare = {.queue = queue}};

    (void)context;
    if (reply->method || reply->end->kind != CLIENT_PEER || reply->end->code != 404)
        fail("declare of what is not there", "not refused with 404");
    else
        call(&method, purge);
}

static void on_opened(void *context, struct client *client)
{
    static const struct client_channel_events silent = {0};
    struct method method = {.id = METHOD_QUEUE_DECLARE,
                            .queue_declare = {.queue = BYTES_LITERAL("cli-tour-none"), .passive = true}};

    (void)context;
    tour.channel = client_channel_open(client, &channel_events, NULL);
    client_call(client_channel_open(client, &silent, NULL), &method, on_failed, NULL);
}

static void on_closed(void *context, struct client *client, const struct client_end *end)
{
    (void)context;
    (void)client;
    if (!tour.is_closing || end->kind != CLIENT_CLOSED)
        fail("the connection was closed", end->text);
    event_base_loopbreak(tour.base);
}

static const struct client_events events = {.opened = on_opened, .closed = on_closed};

int main(int argc, char **argv)
{
    struct client_target target = {.connection_name = "tour"};
    char why[AMQP_URI_WHY_SIZE];
    struct amqp_uri uri;

    if (argc != 2 || !amqp_uri_parse(&uri, argv[1], "/", why)) {
        fprintf(stderr, "usage: tour URI%s%s\n", argc == 2 ? ": " : "", argc == 2 ? why : "");
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    alarm(SECONDS_MAX);
    amqp_uri_target(&uri, 10, &target);
    if (uri.is_tls && !(target.tls = amqp_uri_tls(&uri, why))) {
        fprintf(stderr, "%s\n", why);
        return 64;
    }
    tour.base = event_base_new();
    tour.client = client_open(tour.base, &target, &events, NULL);
    event_base_dispatch(tour.base);
    client_free(tour.client);
    event_base_free(tour.base);
    amqp_uri_free(&uri);
    return tour.failures != 0;
}
