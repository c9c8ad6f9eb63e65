/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_wait.h. What has come is looked at in place, and only the header's own octets are taken out of the
 * socket: what follows belongs to whoever gets it next, AMQP or TLS.
 */
#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
#include "proxy_wait.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/log.h"
#include "coney/xalloc.h"
#include "proxy_protocol.h"

struct proxy_wait {
    struct proxy_wait *prev, *next;
    struct proxy_waits *waits;
    int fd;
    struct peer peer; /* the proxy */
    proxy_done *done;
    void *context;
    struct event readable, late;
    size_t taken; /* octets of the header that are here already */
    uint8_t header[PROXY_HEADER_MAX];
};

static void forget(struct proxy_wait *wait)
{
    event_del(&wait->readable);
    event_del(&wait->late);
    DL_DELETE(wait->waits->list, wait);
    free(wait);
}

/* The events leave epoll by the socket's number, so they go before it is closed. */
static void drop(struct proxy_wait *wait)
{
    int fd = wait->fd;

    forget(wait);
    close(fd);
}

static void refuse(struct proxy_wait *wait, const char *why)
{
    char peer[PEER_TEXT_SIZE];

    log_info("refusing connection from %s: its PROXY header: %s", peer_text(&wait->peer, peer), why);
    drop(wait);
}

static void finish(struct proxy_wait *wait, const struct proxy_header *header)
{
    struct peer peer = header->is_proxied ? header->peer : wait->peer;
    proxy_done *done = wait->done;
    void *context = wait->context;
    int fd = wait->fd;

    forget(wait);
    done(context, fd, &peer);
}

/* Take SIZE octets that were looked at before. */
static bool take(struct proxy_wait *wait, size_t size)
{
    if (recv(wait->fd, wait->header + wait->taken, size, 0) != (ssize_t)size)
        return false;
    wait->taken += size;
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct proxy_wait *wait = arg;
    ssize_t n = recv(fd, wait->header + wait->taken, sizeof wait->header - wait->taken, MSG_PEEK);
    struct proxy_header header;
    const char *why = "";

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        refuse(wait, "the connection was closed");
        return;
    }
    switch (proxy_header_parse(wait->header, wait->taken + (size_t)n, &header, &why)) {
    case PROXY_INCOMPLETE:
        if (!take(wait, (size_t)n))
            refuse(wait, "it cannot be read");
        break;
    case PROXY_HEADER:
        if (take(wait, header.size - wait->taken))
            finish(wait, &header);
        else
            refuse(wait, "it cannot be read");
        break;
    case PROXY_REFUSED:
        refuse(wait, why);
    }
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    refuse(arg, "it did not come in time");
}

void proxy_wait_begin(struct proxy_waits *waits, int fd, const struct peer *peer, uint64_t timeout_ms,
                      proxy_done *done, void *context)
{
    struct proxy_wait *wait = xmalloc(sizeof *wait);
    struct timeval after = {.tv_sec = (time_t)(timeout_ms / 1000),
                            .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};

    *wait = (struct proxy_wait){.waits = waits, .fd = fd, .peer = *peer, .done = done, .context = context};
    event_assign(&wait->readable, waits->base, fd, EV_READ | EV_PERSIST, on_readable, wait);
    evtimer_assign(&wait->late, waits->base, on_late, wait);
    DL_APPEND(waits->list, wait);
    event_add(&wait->readable, NULL);
    event_add(&wait->late, &after);
}

void proxy_wait_end(struct proxy_waits *waits)
{
    struct proxy_wait *wait, *next;

    DL_FOREACH_SAFE (waits->list, wait, next)
        drop(wait);
}
