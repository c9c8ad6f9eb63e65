/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One shovel's life (shovel.h). How it goes on when both clients are gone was decided when they were closed:
 * is_ending, begins_anew, is_finished; otherwise it has failed, and waits.
 */
#include "shovel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/log.h"
#include "coney/xalloc.h"
#include "end.h"
#include "forward.h"

#define DELAY_MAX_S 30.0 /* unless the plan's own delay is longer */
#define DRAIN_S     3    /* for what is on its way to be confirmed, in an orderly end */

static void on_timer(evutil_socket_t fd, short what, void *arg);
static void on_relief(evutil_socket_t fd, short what, void *arg);

struct shovel *shovel_new(struct shovels *owner, const char *vhost, const char *name)
{
    struct shovel *shovel = xcalloc(1, sizeof *shovel);

    shovel->owner = owner;
    shovel->vhost = xstrdup(vhost);
    shovel->name = xstrdup(name);
    shovel->report.state = "starting";
    shovel->report.since = time(NULL);
    shovel->source.shovel = shovel->dest.shovel = shovel;
    shovel->unconfirmed.entry_size = sizeof(struct shovel_entry);
    shovel->to_publish = shovel->to_settle = -1;
    atomic_init(&shovel->report.remaining, -1);
    atomic_init(&shovel->report.remaining_unacked, -1);
    shovel->timer = event_new(owner->base, -1, 0, on_timer, shovel);
    shovel->relief = event_new(owner->base, -1, 0, on_relief, shovel);
    if (!shovel->timer || !shovel->relief)
        abort(); /* no memory */
    return shovel;
}

void shovel_free(struct shovel *shovel)
{
    end_drop(&shovel->source);
    end_drop(&shovel->dest);
    event_free(shovel->timer);
    event_free(shovel->relief);
    seqmap_clear(&shovel->unconfirmed);
    buffer_free(&shovel->properties);
    plan_free(shovel->plan);
    plan_free(shovel->next_plan);
    json_decref(shovel->names);
    free(shovel->report.reason);
    free(shovel->report.source_uri);
    free(shovel->report.dest_uri);
    free(shovel->vhost);
    free(shovel->name);
    free(shovel);
}

/* ---- beginning ---- */

static void connect_ends(struct shovel *shovel)
{
    forward_clear(shovel);
    event_del(shovel->timer);
    shovel->is_finished = shovel->begins_anew = false;
    shovel->source.uris_left = shovel->dest.uris_left = 0;
    shovel->state = SHOVEL_CONNECTING;
    shovels_report(shovel, "starting", NULL);
    end_open(&shovel->dest);
    if (shovel->state == SHOVEL_CONNECTING)
        end_open(&shovel->source);
}

static void on_relief(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    forward_hold(arg, HOLD_REFUSED, false);
}

void shovel_end_ready(struct shovel *shovel)
{
    if (shovel->state == SHOVEL_CONNECTING && shovel->source.is_ready && shovel->dest.is_ready)
        forward_begin(shovel);
}

/* ---- closing ---- */

static bool has_clients(const struct shovel *shovel)
{
    return shovel->source.client || shovel->dest.client;
}

/* After a failure: longer each time, until a message goes through. */
static void wait_for_next(struct shovel *shovel)
{
    double delay = shovel->plan->reconnect_delay;
    double most = delay > DELAY_MAX_S ? delay : DELAY_MAX_S;
    struct timeval after;

    if (delay <= 0) {
        shovel->state = SHOVEL_RESTING;
        return;
    }
    for (unsigned i = 1; i < shovel->failures && delay < most; i++)
        delay *= 2;
    delay = delay < most ? delay : most;
    after.tv_sec = (time_t)delay;
    after.tv_usec = (suseconds_t)((delay - (double)after.tv_sec) * 1e6);
    shovel->state = SHOVEL_WAITING;
    event_add(shovel->timer, &after);
}

/* SHOVEL is CLOSING, and has no client any more. */
static void go_on_closed(struct shovel *shovel)
{
    const struct shovels_ops *ops = &shovel->owner->ops;

    if (shovel->is_ending) {
        shovels_closed(shovel);
    } else if (shovel->begins_anew) {
        connect_ends(shovel);
    } else if (shovel->is_finished) {
        shovel->state = SHOVEL_RESTING;
        if (ops->ended)
            ops->ended(ops->context, shovel->vhost, shovel->name);
    } else {
        wait_for_next(shovel);
    }
}

static void begin_to_close(struct shovel *shovel)
{
    event_del(shovel->timer);
    shovel->state = SHOVEL_CLOSING;
    end_close(&shovel->source);
    end_close(&shovel->dest);
    if (!has_clients(shovel))
        go_on_closed(shovel);
}

void shovel_end_gone(struct shovel *shovel)
{
    if (shovel->state == SHOVEL_CLOSING && !has_clients(shovel))
        go_on_closed(shovel);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct shovel *shovel = arg;

    (void)fd;
    (void)what;
    if (shovel->state != SHOVEL_DRAINING) {
        connect_ends(shovel);
        return;
    }
    log_warning("shovel '%s' in vhost '%s' stops with messages that are not confirmed: they may come twice",
                shovel->name, shovel->vhost);
    begin_to_close(shovel);
}

/* Nothing has failed: let arrive what is on its way, so that it does not come twice. */
static void close_orderly(struct shovel *shovel)
{
    static const struct timeval patience = {.tv_sec = DRAIN_S};

    if (shovel->state == SHOVEL_DRAINING || shovel->state == SHOVEL_CLOSING)
        return; /* it goes on as it is wanted now once it is closed */
    if (shovel->state != SHOVEL_RUNNING || seqmap_is_empty(&shovel->unconfirmed)) {
        begin_to_close(shovel);
        return;
    }
    shovel->state = SHOVEL_DRAINING;
    shovel->has_gaps = true; /* deliveries are left alone from now on */
    event_add(shovel->timer, &patience);
}

void shovel_drained(struct shovel *shovel)
{
    if (shovel->state == SHOVEL_DRAINING)
        begin_to_close(shovel);
}

void shovel_begin(struct shovel *shovel, struct plan *plan)
{
    if (plan) {
        plan_free(shovel->plan);
        shovel->source.plan = &plan->source;
        shovel->dest.plan = &plan->dest;
        shovel->plan = plan;
        shovel->is_counted = false;
        shovel->failures = 0;
        shovel->source.uri = shovel->dest.uri = 0;
    }
    shovel->begins_anew = true;
    close_orderly(shovel);
}

void shovel_end(struct shovel *shovel)
{
    shovel->is_ending = true;
    close_orderly(shovel);
}

void shovel_fail(struct shovel *shovel, const char *format, ...)
{
    char reason[SHOVEL_TEXT_SIZE], escaped[SHOVEL_TEXT_SIZE];
    va_list arguments;

    if (shovel->state < SHOVEL_CONNECTING || shovel->state > SHOVEL_DRAINING)
        return;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    shovel->failures++;
    shovels_report(shovel, "terminated", reason);
    log_warning("shovel '%s' in vhost '%s' stopped: %s", shovel->name, shovel->vhost,
                log_escape(bytes_from_string(reason), escaped, sizeof escaped));
    begin_to_close(shovel);
}

void shovel_finish(struct shovel *shovel)
{
    shovel->is_finished = true;
    shovels_report(shovel, "terminated", "autodelete");
    log_info("shovel '%s' in vhost '%s' has moved what it was to move", shovel->name, shovel->vhost);
    begin_to_close(shovel);
}
