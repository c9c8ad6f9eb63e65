/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast durable bindings are made: one connection binds one durable queue to a durable direct exchange
 * with one routing key after the other, some requests ahead of their answers.
 *
 *     bench-bind --port N [--count N] [--ahead N]      prints one JSON object
 */
#include <getopt.h>
#include <unistd.h>

#include "client.h"
#include "coney/frame.h"
#include "tool.h"

#define AHEAD_MAX 100000

static uint16_t port;
static unsigned count = 50000, ahead = 1000;

static void append_binds(struct buffer *out, struct bytes name, unsigned from, unsigned to)
{
    struct method bind = {.id = METHOD_QUEUE_BIND};
    char key[16];

    for (unsigned i = from; i < to; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        bind.queue_bind = (struct method_queue_bind){
            .queue = name, .exchange = name, .routing_key = bytes_from_string(key)};
        buffer_append_method(out, CLIENT_CHANNEL, &bind);
    }
}

/* How many binds are answered in what is there. */
static unsigned take_answers(struct client *client)
{
    struct bytes payload;
    unsigned answers = 0;
    uint8_t type;

    while (client_next(client, &type, &payload))
        answers += type == FRAME_METHOD && payload.size >= 4 && get_u32(payload.data) == METHOD_QUEUE_BIND_OK;
    return answers;
}

static void bind_all(struct client *client, struct bytes name)
{
    struct buffer out = {0};

    for (unsigned sent = 0, done = 0; done < count; done += take_answers(client)) {
        /* When half of what may be under way is answered, so that the broker always has work. */
        if (sent < count && sent - done <= ahead / 2) {
            unsigned to = count - done < ahead ? count : done + ahead;

            out.size = 0;
            append_binds(&out, name, sent, to);
            client_send(client, buffer_bytes(&out));
            sent = to;
        }
        client_fill(client);
    }
    buffer_free(&out);
}

static void declare(struct client *client, struct bytes name)
{
    struct method request = {.id = METHOD_QUEUE_DECLARE}, answer;

    request.queue_declare = (struct method_queue_declare){.queue = name, .durable = true};
    client_send_method(client, CLIENT_CHANNEL, &request);
    client_expect(client, METHOD_QUEUE_DECLARE_OK, &answer);
    request = (struct method){.id = METHOD_EXCHANGE_DECLARE};
    request.exchange_declare =
        (struct method_exchange_declare){.exchange = name, .type = BYTES_LITERAL("direct"), .durable = true};
    client_send_method(client, CLIENT_CHANNEL, &request);
    client_expect(client, METHOD_EXCHANGE_DECLARE_OK, &answer);
}

static void remove_all(struct client *client, struct bytes name)
{
    struct method request = {.id = METHOD_EXCHANGE_DELETE}, answer;

    client_delete_queue(client, name);
    request.exchange_delete.exchange = name;
    client_send_method(client, CLIENT_CHANNEL, &request);
    client_expect(client, METHOD_EXCHANGE_DELETE_OK, &answer);
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"count", required_argument, NULL, 'c'},
                                            {"ahead", required_argument, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = (uint16_t)parse_number(optarg, 1, 65535);
        else if (option == 'c')
            count = (unsigned)parse_number(optarg, 1, 10000000);
        else if (option == 'a')
            ahead = (unsigned)parse_number(optarg, 1, AHEAD_MAX);
        else
            die("usage: bench-bind --port N [--count N] [--ahead N]");
    }
    if (!port)
        die("--port is missing");
}

int main(int argc, char **argv)
{
    struct client client;
    struct bytes bytes;
    uint64_t began;
    char name[32];
    double s;

    parse_options(argc, argv);
    snprintf(name, sizeof name, "bench-bind.%d", (int)getpid());
    bytes = bytes_from_string(name);
    client_open(&client, port);
    declare(&client, bytes);
    began = clock_ns(CLOCK_MONOTONIC);
    bind_all(&client, bytes);
    s = (double)(clock_ns(CLOCK_MONOTONIC) - began) / 1e9;
    printf("{\"bindings\":%u,\"bind_s\":%.3f,\"bind_per_s\":%.0f}\n", count, s, count / s);
    remove_all(&client, bytes);
    client_drop(&client);
    return 0;
}
