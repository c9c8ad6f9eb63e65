/* SPDX-License-Identifier: Apache-2.0 */
/* drain.h: rounds of calls into the vhosts, a tenth of a second apart. */
#include "drain.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <utlist.h>

#include "coney/log.h"
#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "loop.h"
#include "server.h"
#include "service.h"

static const struct timeval round_every = {.tv_usec = 100000};

struct drain {
    struct server *server;
    struct event *signal, *tick;
    uint64_t patience_ends_ns;
    atomic_uint awaited; /* vhosts that this round has not got to yet */
    atomic_uint owing;   /* connections of the others that still have to settle something */
};

/* In a vhost, on whatever loop runs it. */
static void drain_vhost(struct vhost *vhost, void *argument)
{
    struct drain *drain = argument;

    atomic_fetch_add(&drain->owing, vhost_drain(vhost));
    atomic_fetch_sub(&drain->awaited, 1); /* after what it has found */
}

static void begin_round(struct drain *drain)
{
    struct loop *loop = &drain->server->loops[0];
    struct runner *runner;
    unsigned count = 0;

    LL_FOREACH (drain->server->runners, runner)
        count++;
    atomic_store(&drain->owing, 0);
    atomic_store(&drain->awaited, count);
    LL_FOREACH (drain->server->runners, runner) {
        struct job *job = loop_job(loop, BATCH_CALL);

        job->batch.call = drain_vhost;
        job->batch.argument = drain;
        runner_submit(runner, job, loop);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct drain *drain = arg;
    struct server *server = drain->server;
    unsigned owing;

    (void)fd;
    (void)what;
    if (atomic_load(&server->is_stopping)) {
        event_del(drain->tick);
        return;
    }
    if (clock_ns() < drain->patience_ends_ns && atomic_load(&drain->awaited))
        return;
    owing = atomic_load(&drain->owing);
    if (owing && clock_ns() < drain->patience_ends_ns) {
        service_status(server->service, "draining: %u connections have deliveries to settle", owing);
        begin_round(drain);
        return;
    }
    if (owing)
        log_warning("draining took too long: %u connections have not settled what they were given", owing);
    else
        log_info("drained");
    server_stop(server);
}

void drain_begin(struct drain *drain)
{
    struct server *server = drain->server;

    if (atomic_load(&server->is_draining) || atomic_load(&server->is_stopping))
        return;
    log_info("draining: no new connections, consumers are sent away, then coneyd stops");
    atomic_store(&server->is_draining, true);
    server_shut(server);
}

void drain_shut(struct drain *drain)
{
    if (atomic_load(&drain->server->is_stopping))
        return;
    service_status(drain->server->service, "draining");
    drain->patience_ends_ns = clock_ns() + DRAIN_PATIENCE_S * UINT64_C(1000000000);
    begin_round(drain);
    event_add(drain->tick, &round_every);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    drain_begin(arg);
}

struct drain *drain_new(struct server *server)
{
    struct drain *drain = xcalloc(1, sizeof *drain);
    struct event_base *base = server->loops[0].base;

    drain->server = server;
    drain->tick = event_new(base, -1, EV_PERSIST, on_tick, drain);
    drain->signal = event_new(base, SIGUSR2, EV_SIGNAL | EV_PERSIST, on_signal, drain);
    event_add(drain->signal, NULL);
    return drain;
}

void drain_free(struct drain *drain)
{
    if (!drain)
        return;
    event_free(drain->tick);
    event_free(drain->signal);
    free(drain);
}
