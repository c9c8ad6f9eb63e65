/* SPDX-License-Identifier: Apache-2.0 */
/* crowd.h, on epoll. */
#include "crowd.h"

#include <getopt.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tool.h"

#define EVENTS_MAX 64

static void parse_options(struct crowd *crowd, int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            crowd->port = (uint16_t)parse_number(optarg, 1, 65535);
        else if (option == 's')
            crowd->seconds = (unsigned)parse_number(optarg, 1, 3600);
        else
            die("usage: %s --port N [--seconds S]", program_invocation_short_name);
    }
    if (!crowd->port)
        die("--port is missing");
}

void crowd_begin(struct crowd *crowd, int argc, char **argv, unsigned seconds, int64_t length_max)
{
    *crowd = (struct crowd){.seconds = seconds, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    parse_options(crowd, argc, argv);
    snprintf(crowd->name, sizeof crowd->name, "%.30s.%d", program_invocation_short_name, (int)getpid());
    crowd->queue = bytes_from_string(crowd->name);
    client_open(&crowd->control, crowd->port);
    client_declare(&crowd->control, crowd->queue, length_max);
}

void crowd_join(struct crowd *crowd, struct client *client, void *member)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};

    client_open(client, crowd->port);
    if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        die("epoll: %s", strerror(errno));
}

void crowd_serve(const struct crowd *crowd, uint64_t time_ns, crowd_serve_function *serve, void *context)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + time_ns;
    struct epoll_event events[EVENTS_MAX];

    while (clock_ns(CLOCK_MONOTONIC) < end) {
        int count = epoll_wait(crowd->epoll, events, EVENTS_MAX, 100);

        for (int i = 0; i < count; i++)
            serve(events[i].data.ptr, context);
    }
}

void crowd_end(struct crowd *crowd)
{
    client_delete_queue(&crowd->control, crowd->queue);
    client_drop(&crowd->control);
    close(crowd->epoll);
}
