/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.h: bind, accept, and prepare each socket: no delay, no blocking. A listener that cannot accept,
 * mostly for want of descriptors, stays readable; it pauses, or it would fail again and again and take a
 * processor.
 */
#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/log.h"
#include "coney/xalloc.h"
#include "server.h"
#include "tls.h"

static const struct timeval pause_after_error = {0, 100000};

struct listener {
    struct listener *next;
    struct server *server;
    int fd;
    bool is_tls;
    struct evconnlistener *accepting;
    struct event *pause;
    int last_error; /* of accepting; 0 when the last one succeeded. What lasts is logged once. */
};

static bool is_loopback(const struct sockaddr *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const uint8_t *octets;

    if (address->sa_family == AF_INET) {
        octets = (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
        return octets[0] == 127;
    }
    octets = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr;
    if (memcmp(octets, mapped, sizeof mapped) == 0)
        return octets[12] == 127;
    return memcmp(octets, &in6addr_loopback, sizeof in6addr_loopback) == 0;
}

/* Who is connected is served, others wait in the backlog. */
static void pause_accepting(struct listener *listener, int error)
{
    if (error != listener->last_error)
        log_error("cannot accept: %s", strerror(error));
    listener->last_error = error;
    evconnlistener_disable(listener->accepting);
    evtimer_add(listener->pause, &pause_after_error);
}

static void on_accept_error(struct evconnlistener *accepting, void *arg)
{
    (void)accepting;
    pause_accepting(arg, errno);
}

/* Descriptors that clients do not get: the store needs some to keep what it promised. */
#define DESCRIPTORS_KEPT 16

static bool is_among_the_last(int fd)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd + DESCRIPTORS_KEPT >= limit.rlim_cur;
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct listener *listener = arg;
    int next = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);

    (void)fd;
    (void)what;
    if (next >= 0)
        close(next);
    if (next < 0 || is_among_the_last(next))
        pause_accepting(listener, EMFILE);
    else
        evconnlistener_enable(listener->accepting);
}

static void on_accept(struct evconnlistener *accepting, evutil_socket_t fd, struct sockaddr *address,
                      int size, void *arg)
{
    struct listener *listener = arg;
    int one = 1;

    (void)accepting;
    (void)size;
    if (listener->server->config->tcp_nodelay)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (listener->is_tls)
        tls_accepted(listener->server->tls, fd, is_loopback(address),
                     listener->server->config->ssl_handshake_timeout_ms);
    else
        server_accepted(listener->server, (struct stream){.fd = fd}, is_loopback(address));
    if (is_among_the_last(fd))
        pause_accepting(listener, EMFILE);
    else
        listener->last_error = 0;
}

static bool to_address(const struct config_listener *from, struct sockaddr_storage *out, socklen_t *size)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, from->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(from->port);
        *size = sizeof *v4;
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(from->port);
    *size = sizeof *v6;
    if (!*from->host) {
        v6->sin6_addr = in6addr_any;
        return true;
    }
    return inet_pton(AF_INET6, from->host, &v6->sin6_addr) == 1;
}

/* The wildcard takes IPv4 clients too, as RabbitMQ's does. */
static bool takes_both(const struct config_listener *from)
{
    return !*from->host || strcmp(from->host, "::") == 0;
}

static int bind_socket(const struct config_listener *from, const struct server *server)
{
    struct sockaddr_storage address;
    socklen_t size;
    int one = 1, zero = 0, fd;

    if (!to_address(from, &address, &size)) {
        errno = EINVAL;
        return -1;
    }
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, takes_both(from) ? &zero : &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, (int)server->config->tcp_backlog) < 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* An IPv6 loopback that the machine does not have is no reason not to start. */
static bool may_be_missing(const struct config_listener *from, int error)
{
    return (error == EADDRNOTAVAIL || error == EAFNOSUPPORT) && strcmp(from->host, "::1") == 0;
}

/* A connection is a descriptor, and the 1,024 of a login shell are few: take what may be had. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

bool listeners_open(struct server *server, char *why, size_t why_size)
{
    raise_descriptor_limit();
    for (size_t i = 0; i < server->config->listener_count; i++) {
        const struct config_listener *from = &server->config->listeners[i];
        struct listener *listener;
        int fd;

        if (*from->path) {
            snprintf(why, why_size, "listener '%s': this version speaks AMQP over TCP only", from->name);
            return false;
        }
        fd = bind_socket(from, server);
        if (fd < 0 && may_be_missing(from, errno)) {
            log_info("not listening on [%s]:%u: %s", from->host, from->port, strerror(errno));
            continue;
        }
        if (fd < 0) {
            snprintf(why, why_size, "cannot listen on %s port %u: %s",
                     *from->host ? from->host : "any address", from->port, strerror(errno));
            return false;
        }
        listener = xcalloc(1, sizeof *listener);
        listener->server = server;
        listener->fd = fd;
        listener->is_tls = from->is_tls;
        LL_APPEND(server->listeners, listener);
    }
    return true;
}

static void print_listener(int fd, bool is_tls)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN], port[8];
    bool v6;

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    v6 = address.ss_family == AF_INET6;
    printf("listening amqp%s %s%s%s:%s\n", is_tls ? "s" : "", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

void listeners_start(struct server *server)
{
    struct listener *listener;

    LL_FOREACH (server->listeners, listener) {
        listener->pause = evtimer_new(server->loops[0].base, on_pause_over, listener);
        listener->accepting = evconnlistener_new(server->loops[0].base, on_accept, listener,
                                                 LEV_OPT_CLOSE_ON_EXEC, 0, listener->fd);
        evconnlistener_set_error_cb(listener->accepting, on_accept_error);
        print_listener(listener->fd, listener->is_tls);
    }
}

void listeners_close(struct server *server)
{
    if (server->tls)
        tls_stop(server->tls);
    while (server->listeners) {
        struct listener *listener = server->listeners;

        server->listeners = listener->next;
        if (listener->accepting)
            evconnlistener_free(listener->accepting);
        if (listener->pause)
            event_free(listener->pause);
        close(listener->fd);
        free(listener);
    }
}
