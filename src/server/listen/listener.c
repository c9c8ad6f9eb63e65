/* SPDX-License-Identifier: Apache-2.0 */
/* listener.h: bind, accept, and prepare each socket; wait for the PROXY header, where one is to come. */
#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
#include "listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/accept_pause.h"
#include "coney/log.h"
#include "coney/node_control.h"
#include "coney/sockets.h"
#include "coney/xalloc.h"
#include "proxy_wait.h"
#include "server/server.h"
#include "server/service.h"
#include "server/session/peer.h"
#include "server/tls/tls.h"

struct listener {
    struct listener *next;
    struct server *server;
    int fd;                      /* -1: shut for a while */
    char host[SOCKET_HOST_SIZE]; /* where it listens, "" on a UNIX socket: to listen there again, even if */
    uint16_t port;               /* the configuration left the port to the system */
    bool is_passed;              /* by the service manager, who listens in any case */
    bool is_tls;
    struct evconnlistener *accepting;
    struct accept_pause pause;
    const char *path; /* of a UNIX socket; NULL: none */
};

static void on_accept_error(struct evconnlistener *accepting, void *arg)
{
    struct listener *listener = arg;

    (void)accepting;
    accept_pause_failed(&listener->pause, errno);
}

static void set_option(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

static int to_int(uint64_t size)
{
    return size > INT_MAX ? INT_MAX : (int)size;
}

/* What the configuration says of sockets; what the system refuses stays as it is. */
static void prepare(int fd, const struct config *config, bool is_tcp)
{
    struct linger linger = {.l_onoff = 1, .l_linger = (int)config->tcp_linger_timeout};

    if (is_tcp && config->tcp_nodelay)
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (is_tcp && config->tcp_keepalive)
        set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (config->tcp_sndbuf)
        set_option(fd, SOL_SOCKET, SO_SNDBUF, to_int(config->tcp_sndbuf));
    if (config->tcp_recbuf)
        set_option(fd, SOL_SOCKET, SO_RCVBUF, to_int(config->tcp_recbuf));
    if (config->tcp_linger)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/* It is known who PEER is. */
static void go_on(void *context, int fd, const struct peer *peer)
{
    struct listener *listener = context;
    struct server *server = listener->server;

    if (listener->is_tls)
        tls_accepted(server->tls, fd, peer, server->config->ssl_handshake_timeout_ms);
    else
        server_accepted(server, (struct stream){.fd = fd}, peer);
}

static void on_accept(struct evconnlistener *accepting, evutil_socket_t fd, struct sockaddr *address,
                      int size, void *arg)
{
    struct listener *listener = arg;
    struct server *server = listener->server;
    struct peer peer = peer_of(address);

    (void)accepting;
    (void)size;
    prepare(fd, server->config, !listener->path);
    if (server->config->proxy_protocol)
        proxy_wait_begin(&server->proxy_waits, fd, &peer, server->config->handshake_timeout_ms, go_on,
                         listener);
    else
        go_on(listener, fd, &peer);
    accept_pause_accepted(&listener->pause, fd);
}

/* Whoever may enter its folder may connect, as anybody on this machine may connect to 127.0.0.1. */
#define SOCKET_MODE 0666

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

static struct listener *add(struct server *server, int fd, bool is_tls)
{
    struct listener *listener = xcalloc(1, sizeof *listener);

    listener->server = server;
    listener->fd = fd;
    socket_address(fd, listener->host, &listener->port);
    listener->is_tls = is_tls;
    LL_APPEND(server->listeners, listener);
    return listener;
}

/* On the UNIX socket PATH, or if that is NULL at HOST and PORT. */
static int listen_at(const struct server *server, const char *path, const char *host, uint16_t port)
{
    unsigned backlog = server->config->tcp_backlog;

    return path ? socket_listen_unix(path, SOCKET_MODE, backlog) : socket_listen(host, port, backlog);
}

/* ... did not work, errno says why. */
static void explain(const char *path, const char *host, uint16_t port, char *why, size_t why_size)
{
    if (path)
        snprintf(why, why_size, "cannot listen on %s: %s", path, strerror(errno));
    else
        snprintf(why, why_size, "cannot listen on %s port %u: %s", *host ? host : "any address", port,
                 strerror(errno));
}

static bool open_one(struct server *server, const struct config_listener *from, char *why, size_t why_size)
{
    const char *path = *from->path ? from->path : NULL;
    int fd = listen_at(server, path, from->host, from->port);

    if (fd >= 0)
        add(server, fd, from->is_tls)->path = path;
    else if (may_be_missing(from, errno))
        log_info("not listening on [%s]:%u: %s", from->host, from->port, strerror(errno));
    else
        explain(path, from->host, from->port, why, why_size);
    return !*why;
}

/* Sockets of the service manager: one called amqps speaks TLS, others do not. They are instead of the
 * configuration's TCP listeners of that kind, which may well have the same addresses; TAKEN says of which. */
static bool take_sockets(struct server *server, bool taken[2], char *why, size_t why_size)
{
    struct service_socket passed;

    while (service_take_socket(server->service, &passed)) {
        bool is_tls = strcmp(passed.name, "amqps") == 0;

        add(server, passed.fd, is_tls)->is_passed = true;
        taken[is_tls] = true;
    }
    if (taken[true] && !server->tls)
        snprintf(why, why_size,
                 "the service manager's socket amqps needs certificates: the configuration has no "
                 "listeners.ssl");
    return !*why;
}

bool listeners_open(struct server *server, char *why, size_t why_size)
{
    const struct config *config = server->config;
    bool taken[2] = {false};

    *why = '\0';
    raise_descriptor_limit();
    if (!take_sockets(server, taken, why, why_size))
        return false;
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *from = &config->listeners[i];

        if ((*from->path || !taken[from->is_tls]) && !open_one(server, from, why, why_size))
            return false;
    }
    return true;
}

static void print_listener(const struct listener *listener)
{
    char address[SOCKET_TEXT_SIZE];

    if (listener->path || socket_text(listener->fd, address))
        printf("listening amqp%s %s\n", listener->is_tls ? "s" : "",
               listener->path ? listener->path : address);
}

static void accept_on(struct listener *listener)
{
    listener->accepting = evconnlistener_new(server_door(listener->server)->base, on_accept, listener,
                                             LEV_OPT_CLOSE_ON_EXEC, 0, listener->fd);
    evconnlistener_set_error_cb(listener->accepting, on_accept_error);
    accept_pause_watch(&listener->pause, listener->accepting);
}

void listeners_start(struct server *server)
{
    struct listener *listener;

    server->proxy_waits.base = server_door(server)->base;
    LL_FOREACH (server->listeners, listener) {
        accept_pause_init(&listener->pause, server_door(server)->base, DESCRIPTORS_KEPT_BY_AMQP, "");
        accept_on(listener);
        print_listener(listener);
    }
}

/* ---- for a while ---- */

static void shut(struct listener *listener)
{
    accept_pause_end(&listener->pause);
    if (listener->is_passed) {
        evconnlistener_disable(listener->accepting);
        return;
    }
    if (listener->fd < 0)
        return;
    evconnlistener_free(listener->accepting);
    listener->accepting = NULL;
    close(listener->fd);
    listener->fd = -1;
    if (listener->path)
        unlink(listener->path);
}

static void shut_all(struct server *server)
{
    struct listener *listener;

    LL_FOREACH (server->listeners, listener)
        shut(listener);
}

void listeners_suspend(struct server *server)
{
    if (atomic_exchange(&server->is_suspended, true))
        return;
    shut_all(server);
    log_warning("listeners are suspended: no AMQP client is let in");
}

static bool open_again(struct listener *listener, char *why, size_t why_size)
{
    if (listener->is_passed) {
        evconnlistener_enable(listener->accepting);
        return true;
    }
    listener->fd = listen_at(listener->server, listener->path, listener->host, listener->port);
    if (listener->fd >= 0) {
        accept_on(listener);
        return true;
    }
    explain(listener->path, listener->host, listener->port, why, why_size);
    log_error("%s", why);
    return false;
}

bool listeners_resume(struct server *server, char *why, size_t why_size)
{
    struct listener *listener;

    if (!atomic_load(&server->is_suspended))
        return true;
    LL_FOREACH (server->listeners, listener) {
        if (!open_again(listener, why, why_size)) {
            shut_all(server);
            return false;
        }
    }
    atomic_store(&server->is_suspended, false);
    log_warning("listeners are resumed");
    return true;
}

void listeners_show(struct server *server, void (*show)(void *context, const struct node_listener *listener),
                    void *context)
{
    struct listener *listener;

    LL_FOREACH (server->listeners, listener) {
        const struct node_listener view = {
            .ip = listener->host, .port = listener->port, .path = listener->path, .is_tls = listener->is_tls};

        if (listener->fd >= 0 && !(listener->is_passed && atomic_load(&server->is_suspended)))
            show(context, &view);
    }
}

void listeners_close(struct server *server)
{
    proxy_wait_end(&server->proxy_waits);
    if (server->tls)
        tls_stop(server->tls);
    while (server->listeners) {
        struct listener *listener = server->listeners;

        server->listeners = listener->next;
        if (listener->accepting)
            evconnlistener_free(listener->accepting);
        accept_pause_free(&listener->pause);
        if (listener->fd >= 0) {
            close(listener->fd);
            if (listener->path)
                unlink(listener->path); /* else it may be somebody else's by now */
        }
        free(listener);
    }
}
