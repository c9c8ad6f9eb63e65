/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether consumers of one queue get equal shares: 64 connections with a consumer each (prefetch 10, each
 * message acknowledged by itself) beside a publisher that never stops. One thread serves all of them, so none
 * is quicker than another for reasons of its own.
 *
 *     bench-shares --port N [--seconds S]      prints one JSON object
 *
 * spread_percent is how far the smallest or the largest share is from the mean, whichever is further.
 */
#include <getopt.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client.h"
#include "coney/frame.h"
#include "coney/xalloc.h"
#include "tool.h"

#define CONSUMERS 64
#define PREFETCH  10
#define LENGTH_MAX \
    500000 /* the oldest are dropped beyond: a publisher that never stops must not fill memory */
#define WARM_UP_NS 500000000

struct consumer {
    struct client client;
    uint64_t count;
    uint64_t counted_before; /* during the warm-up */
};

static uint16_t port;
static unsigned seconds = 5;

static void consumer_open(struct consumer *consumer, struct bytes queue)
{
    struct method method = {.id = METHOD_BASIC_QOS}, answer;

    client_open(&consumer->client, port);
    method.basic_qos.prefetch_count = PREFETCH;
    client_send_method(&consumer->client, CLIENT_CHANNEL, &method);
    client_expect(&consumer->client, METHOD_BASIC_QOS_OK, &answer);
    method = (struct method){.id = METHOD_BASIC_CONSUME};
    method.basic_consume.queue = queue;
    client_send_method(&consumer->client, CLIENT_CHANNEL, &method);
    client_expect(&consumer->client, METHOD_BASIC_CONSUME_OK, &answer);
}

/* Read once; count and acknowledge what came. */
static void consume(struct consumer *consumer, struct buffer *acks)
{
    struct method deliver, ack = {.id = METHOD_BASIC_ACK};
    struct bytes payload;
    uint8_t type;

    buffer_clear(acks);
    client_fill(&consumer->client);
    while (client_next(&consumer->client, &type, &payload)) {
        if (type != FRAME_METHOD || method_decode(&deliver, payload) != METHOD_OK ||
            deliver.id != METHOD_BASIC_DELIVER)
            continue;
        consumer->count++;
        ack.basic_ack.delivery_tag = deliver.basic_deliver.delivery_tag;
        buffer_append_method(acks, CLIENT_CHANNEL, &ack);
    }
    client_send(&consumer->client, buffer_bytes(acks));
}

static void consume_until(int epoll, uint64_t end_ns)
{
    struct epoll_event events[CONSUMERS];
    struct buffer acks = {0};

    while (clock_ns(CLOCK_MONOTONIC) < end_ns) {
        int count = epoll_wait(epoll, events, CONSUMERS, 100);

        for (int i = 0; i < count; i++)
            consume(events[i].data.ptr, &acks);
    }
    buffer_free(&acks);
}

static void print_shares(const struct consumer *consumers, uint64_t published)
{
    uint64_t least = UINT64_MAX, most = 0, total = 0;
    double mean, below, above;

    for (unsigned i = 0; i < CONSUMERS; i++) {
        uint64_t share = consumers[i].count - consumers[i].counted_before;

        total += share;
        least = share < least ? share : least;
        most = share > most ? share : most;
    }
    mean = (double)total / CONSUMERS;
    below = mean > 0 ? 100 * (mean - (double)least) / mean : 100;
    above = mean > 0 ? 100 * ((double)most - mean) / mean : 100;
    printf("{\"consumers\":%d,\"consume_rate\":%.0f,\"publish_rate\":%.0f,\"least\":%llu,\"most\":%llu,"
           "\"spread_percent\":%.3f}\n",
           CONSUMERS, (double)total / seconds, (double)published / seconds, (unsigned long long)least,
           (unsigned long long)most, above > below ? above : below);
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = (uint16_t)parse_number(optarg, 1, 65535);
        else if (option == 's')
            seconds = (unsigned)parse_number(optarg, 1, 3600);
        else
            die("usage: bench-shares --port N [--seconds S]");
    }
    if (!port)
        die("--port is missing");
}

int main(int argc, char **argv)
{
    static struct consumer consumers[CONSUMERS];
    static struct flood flood;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    uint64_t start, published;
    struct client control;
    struct bytes queue;
    char name[32];

    parse_options(argc, argv);
    snprintf(name, sizeof name, "bench-shares.%d", (int)getpid());
    queue = bytes_from_string(name);
    client_open(&control, port);
    client_declare(&control, queue, LENGTH_MAX);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &consumers[i]};

        consumer_open(&consumers[i], queue);
        epoll_ctl(epoll, EPOLL_CTL_ADD, consumers[i].client.fd, &event);
    }
    flood_start(&flood, port, queue);
    consume_until(epoll, clock_ns(CLOCK_MONOTONIC) + WARM_UP_NS);
    for (unsigned i = 0; i < CONSUMERS; i++)
        consumers[i].counted_before = consumers[i].count;
    published = flood.published;
    start = clock_ns(CLOCK_MONOTONIC);
    consume_until(epoll, start + seconds * UINT64_C(1000000000));
    print_shares(consumers, flood.published - published);
    flood_stop(&flood);
    for (unsigned i = 0; i < CONSUMERS; i++)
        client_drop(&consumers[i].client);
    client_delete_queue(&control, queue);
    client_drop(&control);
    return 0;
}
