/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a host's name to a connected socket (client_fields.h). A name may have several addresses: they are
 * tried one after the other, and the first that answers is taken; what is told of a failure is the last
 * one's.
 *
 * A lookup that was begun always ends with its callback, also when it was cancelled: until then `connecting`
 * must live.
 */
#include <errno.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_fields.h"
#include "coney/xalloc.h"

struct connecting {
    struct connecting **place; /* who refers to it */
    struct event_base *base;
    char *where; /* for texts */
    connect_done_fn *done;
    void *context;
    struct evdns_getaddrinfo_request *lookup; /* NULL: none is under way */
    bool is_cancelled;
    struct evutil_addrinfo *addresses, *next;
    int fd; /* being connected; -1: none */
    struct event *writable;
};

static void free_connecting(struct connecting *connecting)
{
    if (connecting->writable)
        event_free(connecting->writable);
    if (connecting->fd >= 0)
        close(connecting->fd);
    if (connecting->addresses)
        evutil_freeaddrinfo(connecting->addresses);
    free(connecting->where);
    free(connecting);
}

static void fail(struct connecting *connecting, const char *reason)
{
    char why[CLIENT_TEXT_SIZE];

    *connecting->place = NULL;
    snprintf(why, sizeof why, "cannot connect to %s: %s", connecting->where, reason);
    connecting->done(connecting->context, -1, why);
    free_connecting(connecting);
}

static void succeed(struct connecting *connecting)
{
    int one = 1, fd = connecting->fd;

    *connecting->place = NULL;
    connecting->fd = -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* frames are put together before */
    connecting->done(connecting->context, fd, NULL);
    free_connecting(connecting);
}

static void try_next(struct connecting *connecting, int error);

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct connecting *connecting = arg;
    int error = 0;
    socklen_t size = sizeof error;

    (void)what;
    event_free(connecting->writable);
    connecting->writable = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (!error) {
        succeed(connecting);
        return;
    }
    close(fd);
    connecting->fd = -1;
    try_next(connecting, error);
}

/* Begin with ADDRESS: 0 or an errno. */
static int try_address(struct connecting *connecting, const struct evutil_addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

    if (fd < 0)
        return errno;
    if (connect(fd, address->ai_addr, (socklen_t)address->ai_addrlen) < 0 && errno != EINPROGRESS) {
        error = errno;
        close(fd);
        return error;
    }
    connecting->fd = fd;
    connecting->writable = event_new(connecting->base, fd, EV_WRITE, on_writable, connecting);
    if (!connecting->writable || event_add(connecting->writable, NULL) != 0)
        abort(); /* no memory */
    return 0;
}

static void try_next(struct connecting *connecting, int error)
{
    const struct evutil_addrinfo *address;

    while ((address = connecting->next)) {
        connecting->next = address->ai_next;
        error = try_address(connecting, address);
        if (!error)
            return;
    }
    fail(connecting, strerror(error));
}

static void on_addresses(int error, struct evutil_addrinfo *addresses, void *arg)
{
    struct connecting *connecting = arg;

    connecting->lookup = NULL;
    connecting->addresses = connecting->next = addresses;
    if (connecting->is_cancelled)
        free_connecting(connecting);
    else if (error)
        fail(connecting, evutil_gai_strerror(error));
    else
        try_next(connecting, EADDRNOTAVAIL);
}

/* A host that is an address already needs no lookup. */
static bool take_numeric(struct connecting *connecting, const char *host, const char *service,
                         struct evutil_addrinfo *hints)
{
    struct evutil_addrinfo *addresses = NULL;

    hints->ai_flags = EVUTIL_AI_NUMERICHOST;
    if (evutil_getaddrinfo(host, service, hints, &addresses) != 0)
        return false;
    on_addresses(0, addresses, connecting);
    return true;
}

static void look_up(struct connecting *connecting, struct evdns_base *dns, const char *host,
                    const char *service, struct evutil_addrinfo *hints)
{
    struct connecting **place = connecting->place;
    struct evdns_getaddrinfo_request *lookup;
    struct evutil_addrinfo *addresses = NULL;
    int error;

    hints->ai_flags = 0;
    if (!dns) {
        error = evutil_getaddrinfo(host, service, hints, &addresses);
        on_addresses(error, addresses, connecting);
        return;
    }
    lookup = evdns_getaddrinfo(dns, host, service, hints, on_addresses, connecting);
    if (lookup && *place == connecting) /* otherwise it has ended already */
        connecting->lookup = lookup;
}

void connect_begin(struct connecting **place, struct event_base *base, struct evdns_base *dns,
                   const char *host, uint16_t port, connect_done_fn *done, void *context)
{
    struct connecting *connecting = xcalloc(1, sizeof *connecting);
    struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    size_t size = strlen(host) + sizeof "[]:65535";
    char service[8];

    *place = connecting;
    connecting->place = place;
    connecting->base = base;
    connecting->done = done;
    connecting->context = context;
    connecting->fd = -1;
    connecting->where = xmalloc(size);
    snprintf(connecting->where, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    snprintf(service, sizeof service, "%u", port);
    if (!take_numeric(connecting, host, service, &hints))
        look_up(connecting, dns, host, service, &hints);
}

void connect_cancel(struct connecting **place)
{
    struct connecting *connecting = *place;

    *place = NULL;
    if (connecting && connecting->lookup) {
        connecting->is_cancelled = true;
        evdns_getaddrinfo_cancel(connecting->lookup);
    } else if (connecting) {
        free_connecting(connecting);
    }
}
