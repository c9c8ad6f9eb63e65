/* SPDX-License-Identifier: Apache-2.0 */
/* service.h: datagrams to the manager, the watchdog's timer, sockets from the environment. */
#include "service.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "coney/log.h"
#include "coney/xalloc.h"
#include "loop.h"
#include "server.h"

#define SOCKETS_FIRST  3 /* SD_LISTEN_FDS_START */
#define SOCKETS_MAX    64
#define STATUS_SIZE    256
#define STATUS_EVERY_S 5

/* A loop, when it was looked at last. */
struct seen_loop {
    uint32_t turns;
    bool is_stuck; /* it had not turned since the look before */
};

struct service {
    struct server *server;
    int fd; /* to the manager, -1: there is none */
    struct sockaddr_un manager;
    socklen_t manager_size;
    uint64_t watchdog_us;   /* as often the manager wants to hear of us; 0: it does not */
    struct seen_loop *seen; /* of each loop */
    struct event *tick;     /* feeds the watchdog, brings the status up to date */
    char told[STATUS_SIZE]; /* the status that the manager has */
    struct service_socket sockets[SOCKETS_MAX];
    size_t socket_count, sockets_taken;
    char *socket_names; /* what their names point into */
};

/* ---- saying ---- */

static bool to_manager(const char *path, struct sockaddr_un *out, socklen_t *size)
{
    size_t length = strlen(path);

    if ((*path != '/' && *path != '@') || length < 2 || length >= sizeof out->sun_path)
        return false;
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, path, length);
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    if (*path == '@') { /* an abstract name begins with a zero octet, and ends without one */
        out->sun_path[0] = '\0';
        (*size)--;
    }
    return true;
}

static bool say(struct service *service, int flags, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A manager that does not listen is no reason to stop serving. With MSG_DONTWAIT it is not waited for,
 * without it for a second. */
static bool say(struct service *service, int flags, const char *format, ...)
{
    char text[STATUS_SIZE + 128];
    va_list arguments;
    ssize_t sent;

    if (service->fd < 0)
        return false;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    do
        sent = sendto(service->fd, text, strlen(text), flags | MSG_NOSIGNAL,
                      (const struct sockaddr *)&service->manager, service->manager_size);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        log_debug("the service manager cannot be told '%s': %s", text, strerror(errno));
    return sent >= 0;
}

void service_status(struct service *service, const char *format, ...)
{
    char text[STATUS_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (strcmp(text, service->told) == 0)
        return;
    if (say(service, MSG_DONTWAIT, "STATUS=%s", text))
        memcpy(service->told, text, sizeof text);
}

static void tell_how_it_is(struct service *service)
{
    const struct server *server = service->server;
    unsigned alarms = server_alarms(server);

    if (atomic_load(&server->is_stopping))
        return;
    service_status(service, "%llu connections%s%s",
                   (unsigned long long)atomic_load_explicit(&server->connection_count, memory_order_relaxed),
                   alarms & SERVER_ALARM_MEMORY ? "; memory alarm, publishers are blocked" : "",
                   alarms & SERVER_ALARM_DISK ? "; disk alarm, publishers are blocked" : "");
}

void service_reloading(struct service *service)
{
    /* The time tells this reload from others, for managers that wait for it (systemd 253 and later). */
    say(service, 0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading", clock_ns() / 1000);
    snprintf(service->told, sizeof service->told, "reloading");
}

void service_stopping(struct service *service)
{
    if (service->tick)
        event_del(service->tick);
    /* What is left to do is bounded by the manager's time for stopping; loops that have ended turn no more.
     */
    say(service, 0, "STOPPING=1\nSTATUS=stopping%s", service->watchdog_us ? "\nWATCHDOG_USEC=0" : "");
}

/* ---- the watchdog ---- */

/* A loop that sleeps with nothing to do is well. Each is woken after it was looked at, which clears
 * `sleeping`, and nobody but the loop sets that again: one that sleeps has turned since. */
bool service_feed(struct service *service)
{
    struct server *server = service->server;
    bool all_turn = true;

    for (unsigned i = 0; i <= server->loop_count; i++) {
        struct loop *loop = &server->loops[i];
        struct seen_loop *seen = &service->seen[i];
        uint32_t turns = atomic_load_explicit(&loop->turns, memory_order_relaxed);
        bool is_stuck = turns == seen->turns && !atomic_load(&loop->sleeping);

        if (is_stuck && !seen->is_stuck)
            log_error("loop %u has not turned for a while: the watchdog is not fed", i);
        all_turn = all_turn && !is_stuck;
        *seen = (struct seen_loop){turns, is_stuck};
        loop_wake(loop);
    }
    if (all_turn && service->watchdog_us)
        say(service, MSG_DONTWAIT, "WATCHDOG=1");
    return all_turn;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct service *service = arg;

    (void)fd;
    (void)what;
    if (service->watchdog_us)
        service_feed(service);
    tell_how_it_is(service);
}

void service_ready(struct service *service)
{
    say(service, 0, "READY=1");
    tell_how_it_is(service);
    if (service->tick && !event_pending(service->tick, EV_TIMEOUT, NULL)) {
        /* A third: one that comes late is not the end. */
        uint64_t every = service->watchdog_us ? service->watchdog_us / 3 : STATUS_EVERY_S * UINT64_C(1000000);
        struct timeval interval = {.tv_sec = (time_t)(every / 1000000),
                                   .tv_usec = (suseconds_t)(every % 1000000)};

        event_add(service->tick, &interval);
    }
}

/* ---- sockets ---- */

/* The number that the variable NAME has; 0: none, or not one. */
static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    uint64_t number;
    char *end;

    if (!text || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    number = strtoull(text, &end, 10);
    return errno || *end ? 0 : number;
}

static bool is_listening(int fd)
{
    int listens = 0, type = 0;
    socklen_t size = sizeof listens;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

static void take_descriptor(struct service *service, int fd, const char *name)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        !is_listening(fd)) {
        log_warning("the service manager's descriptor %d (%s) is no listening stream socket: it is not used",
                    fd, name);
        return;
    }
    service->sockets[service->socket_count++] = (struct service_socket){fd, name};
}

/* The variables are for the process that LISTEN_PID names, not for one further down that inherited them. */
static void find_sockets(struct service *service)
{
    uint64_t count = number_of("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    char *rest;

    if (number_of("LISTEN_PID") != (uint64_t)getpid() || !count)
        return;
    if (count > SOCKETS_MAX)
        count = SOCKETS_MAX;
    service->socket_names = xmemdup(names ? names : "", names ? strlen(names) + 1 : 1);
    rest = service->socket_names;
    for (uint64_t i = 0; i < count; i++) {
        const char *name = strsep(&rest, ":");

        take_descriptor(service, SOCKETS_FIRST + (int)i, name ? name : "");
    }
}

bool service_take_socket(struct service *service, struct service_socket *out)
{
    if (service->sockets_taken == service->socket_count)
        return false;
    *out = service->sockets[service->sockets_taken++];
    return true;
}

/* ---- making ---- */

static void find_manager(struct service *service)
{
    static const struct timeval patience = {.tv_sec = 1};
    const char *path = getenv("NOTIFY_SOCKET");

    if (!path)
        return;
    if (!to_manager(path, &service->manager, &service->manager_size)) {
        log_warning("NOTIFY_SOCKET is no address of a local socket: the service manager is told nothing");
        return;
    }
    service->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(service->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

struct service *service_new(struct server *server)
{
    struct service *service = xcalloc(1, sizeof *service);

    service->server = server;
    service->fd = -1;
    service->seen = xcalloc(server->loop_count + 1, sizeof *service->seen);
    find_manager(service);
    find_sockets(service);
    if (service->fd < 0)
        return service;
    if (!getenv("WATCHDOG_PID") || number_of("WATCHDOG_PID") == (uint64_t)getpid())
        service->watchdog_us = number_of("WATCHDOG_USEC");
    service->tick = event_new(server->loops[0].base, -1, EV_PERSIST, on_tick, service);
    return service;
}

void service_free(struct service *service)
{
    struct service_socket left;

    if (!service)
        return;
    while (service_take_socket(service, &left))
        close(left.fd);
    if (service->tick)
        event_free(service->tick);
    if (service->fd >= 0)
        close(service->fd);
    free(service->socket_names);
    free(service->seen);
    free(service);
}
