/* SPDX-License-Identifier: Apache-2.0 */
/* coney/accept_pause.h. The lowest free descriptor tells how many are taken, about. */
#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
#include "coney/accept_pause.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "coney/log.h"

/* Accepted before the loop has its other work. */
#define CROWD 16

static const struct timeval pause_time = {0, 100000}, next_turn = {0, 0};

static void pause_for(struct accept_pause *pause, const struct timeval *time)
{
    pause->crowd = 0;
    evconnlistener_disable(pause->accepting);
    evtimer_add(pause->timer, time);
}

void accept_pause_failed(struct accept_pause *pause, int error)
{
    if (error != pause->last_error)
        log_error("cannot accept%s: %s", pause->whom, strerror(error));
    pause->last_error = error;
    pause_for(pause, &pause_time);
}

static bool is_among_the_last(const struct accept_pause *pause, int fd)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd + pause->kept >= limit.rlim_cur;
}

/* -1: there is none. */
static int next_descriptor(const struct accept_pause *pause)
{
    int next = fcntl(evconnlistener_get_fd(pause->accepting), F_DUPFD_CLOEXEC, 0);

    if (next >= 0)
        close(next);
    return next;
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct accept_pause *pause = arg;
    int next = next_descriptor(pause);

    (void)fd;
    (void)what;
    if (next < 0 || is_among_the_last(pause, next))
        accept_pause_failed(pause, EMFILE);
    else
        evconnlistener_enable(pause->accepting);
}

void accept_pause_accepted(struct accept_pause *pause, int fd)
{
    if (fd < 0)
        fd = next_descriptor(pause);
    if (fd < 0 || is_among_the_last(pause, fd)) {
        accept_pause_failed(pause, EMFILE);
        return;
    }
    pause->last_error = 0;
    if (++pause->crowd >= CROWD)
        pause_for(pause, &next_turn);
}

void accept_pause_init(struct accept_pause *pause, struct event_base *base, unsigned kept, const char *whom)
{
    *pause =
        (struct accept_pause){.timer = evtimer_new(base, on_pause_over, pause), .kept = kept, .whom = whom};
}

void accept_pause_watch(struct accept_pause *pause, struct evconnlistener *accepting)
{
    pause->accepting = accepting;
}

void accept_pause_end(struct accept_pause *pause)
{
    event_del(pause->timer);
}

void accept_pause_free(struct accept_pause *pause)
{
    if (pause->timer)
        event_free(pause->timer);
    pause->timer = NULL;
}
