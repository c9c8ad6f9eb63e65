/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a saturating publisher leaves to basic.get: 10 connections ask one queue for a message after the
 * other, first alone, then beside a publisher that never stops. One thread serves them all; each has one
 * request under way at a time.
 *
 *     bench-get --port N [--seconds S]      prints one JSON object
 */
#include <getopt.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client.h"
#include "coney/frame.h"
#include "coney/properties.h"
#include "tool.h"

#define GETTERS 10
#define LENGTH_MAX \
    1000000 /* the oldest are dropped beyond: a publisher that never stops must not fill memory */
#define WARM_UP_NS 300000000

struct getter {
    struct client client;
    bool awaits_body;
};

struct tally {
    uint64_t got, empty;
};

static uint16_t port;
static unsigned seconds = 3;
static struct buffer request;

/* Take a frame; true when it was the last one of an answer. Bodies here are one frame. */
static bool take_frame(struct getter *getter, uint8_t type, struct bytes payload, struct tally *tally)
{
    uint32_t id = type == FRAME_METHOD && payload.size >= 4 ? get_u32(payload.data) : 0;

    if (id == METHOD_BASIC_GET_EMPTY) {
        tally->empty++;
        return true;
    }
    getter->awaits_body = getter->awaits_body || id == METHOD_BASIC_GET_OK;
    if (type != FRAME_BODY || !getter->awaits_body)
        return false;
    getter->awaits_body = false;
    tally->got++;
    return true;
}

static void serve(struct getter *getter, struct tally *tally)
{
    struct bytes payload;
    uint8_t type;

    client_fill(&getter->client);
    while (client_next(&getter->client, &type, &payload))
        if (take_frame(getter, type, payload, tally))
            client_send(&getter->client, buffer_bytes(&request));
}

static struct tally get_for(int epoll, uint64_t time_ns)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + time_ns;
    struct epoll_event events[GETTERS];
    struct tally tally = {0};

    while (clock_ns(CLOCK_MONOTONIC) < end) {
        int count = epoll_wait(epoll, events, GETTERS, 100);

        for (int i = 0; i < count; i++)
            serve(events[i].data.ptr, &tally);
    }
    return tally;
}

static void open_getters(struct getter *getters, int epoll, struct bytes queue)
{
    struct method get = {.id = METHOD_BASIC_GET};

    get.basic_get = (struct method_basic_get){.queue = queue, .no_ack = true};
    buffer_append_method(&request, CLIENT_CHANNEL, &get);
    for (unsigned i = 0; i < GETTERS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &getters[i]};

        client_open(&getters[i].client, port);
        epoll_ctl(epoll, EPOLL_CTL_ADD, getters[i].client.fd, &event);
        client_send(&getters[i].client, buffer_bytes(&request));
    }
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
            die("usage: bench-get --port N [--seconds S]");
    }
    if (!port)
        die("--port is missing");
}

int main(int argc, char **argv)
{
    static struct getter getters[GETTERS];
    static struct flood flood;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct tally alone, beside;
    struct client control;
    struct bytes queue;
    uint64_t published;
    char name[32];

    parse_options(argc, argv);
    snprintf(name, sizeof name, "bench-get.%d", (int)getpid());
    queue = bytes_from_string(name);
    client_open(&control, port);
    client_declare(&control, queue, LENGTH_MAX);
    flood_some(port, queue, LENGTH_MAX);
    open_getters(getters, epoll, queue);
    get_for(epoll, WARM_UP_NS);
    alone = get_for(epoll, seconds * UINT64_C(1000000000));
    if (alone.empty)
        die("the queue ran empty: take fewer --seconds");
    flood_start(&flood, port, queue);
    get_for(epoll, WARM_UP_NS);
    published = flood.published;
    beside = get_for(epoll, seconds * UINT64_C(1000000000));
    published = flood.published - published;
    flood_stop(&flood);
    printf("{\"getters\":%d,\"alone_rate\":%.0f,\"beside_rate\":%.0f,\"beside_percent\":%.1f,"
           "\"publish_rate\":%.0f,\"beside_empty\":%llu}\n",
           GETTERS, (double)alone.got / seconds, (double)beside.got / seconds,
           alone.got ? 100 * (double)beside.got / (double)alone.got : 0, (double)published / seconds,
           (unsigned long long)beside.empty);
    for (unsigned i = 0; i < GETTERS; i++)
        client_drop(&getters[i].client);
    client_delete_queue(&control, queue);
    client_drop(&control);
    return 0;
}
