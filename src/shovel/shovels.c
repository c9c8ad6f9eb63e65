/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shovels.h: the thread, and what others see and want. A shovel is in `all` from shovels_put() until the
 * thread has closed it; whoever wants something of it marks it as changed, behind the mutex, and wakes the
 * thread.
 */
#include "coney/shovels.h"

#include <errno.h>
#include <event2/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/xalloc.h"
#include "shovel.h"

#define PATIENCE_S 6 /* for orderly ends while stopping; a client has its own */

/* ---- what others see ---- */

void shovels_report(struct shovel *shovel, const char *state, const char *reason)
{
    struct shovel_report *report = &shovel->report;

    pthread_mutex_lock(&shovel->owner->mutex);
    free(report->reason);
    report->reason = reason ? xstrdup(reason) : NULL;
    report->state = state;
    report->since = time(NULL);
    pthread_mutex_unlock(&shovel->owner->mutex);
}

void shovels_report_uri(struct shovel *shovel, bool of_source, const char *uri)
{
    char **place = of_source ? &shovel->report.source_uri : &shovel->report.dest_uri;

    pthread_mutex_lock(&shovel->owner->mutex);
    free(*place);
    *place = xstrdup(uri);
    pthread_mutex_unlock(&shovel->owner->mutex);
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_string(text));
}

static void set_number(json_t *object, const char *key, int64_t number, const char *otherwise)
{
    json_object_set_new(object, key, number < 0 ? json_string(otherwise) : json_integer(number));
}

static void set_since(json_t *object, time_t since)
{
    char text[64];
    struct tm tm;

    localtime_r(&since, &tm);
    snprintf(text, sizeof text, "%d-%02d-%02d %d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    set_text(object, "timestamp", text);
}

/* RabbitMQ's words for what holds it up. */
static const char *blocked_status(unsigned holds)
{
    if (holds & (HOLD_BLOCKED | HOLD_REFUSED))
        return "blocked";
    return holds & HOLD_OUTPUT ? "flow" : "running";
}

static void set_counts(json_t *object, const struct shovel_report *report)
{
    set_number(object, "forwarded", (int64_t)atomic_load_explicit(&report->forwarded, memory_order_relaxed),
               NULL);
    set_number(object, "pending", (int64_t)atomic_load_explicit(&report->pending, memory_order_relaxed),
               NULL);
    set_number(object, "remaining", atomic_load_explicit(&report->remaining, memory_order_relaxed),
               "unlimited");
    set_number(object, "remaining_unacked",
               atomic_load_explicit(&report->remaining_unacked, memory_order_relaxed), "unlimited");
}

/* What of the plan is shown: the names of both ends, kept apart from it, which is the thread's. */
static json_t *plan_names(const struct plan *plan)
{
    json_t *names = json_object();

    set_text(names, "src_queue", plan->source.queue);
    set_text(names, "src_exchange", plan->source.exchange);
    set_text(names, "src_exchange_key", plan->source.key);
    set_text(names, "dest_queue", plan->dest.queue);
    set_text(names, "dest_exchange", plan->dest.exchange);
    set_text(names, "dest_exchange_key", plan->dest.key);
    return names;
}

static json_t *status_of(const struct shovels *shovels, const struct shovel *shovel)
{
    const struct shovel_report *report = &shovel->report;
    const char *blocked = blocked_status(atomic_load_explicit(&report->holds, memory_order_relaxed));
    bool is_running = strcmp(report->state, "running") == 0;
    json_t *object = json_object();

    set_text(object, "node", shovels->node);
    set_since(object, report->since);
    set_text(object, "name", shovel->name);
    set_text(object, "vhost", shovel->vhost);
    set_text(object, "type", "dynamic");
    set_text(object, "state", is_running ? blocked : report->state);
    set_text(object, "reason", report->reason);
    if (is_running)
        set_text(object, "blocked_status", blocked);
    set_text(object, "src_uri", report->source_uri);
    set_text(object, "src_protocol", "amqp091");
    set_text(object, "dest_protocol", "amqp091");
    set_text(object, "dest_uri", report->dest_uri);
    json_object_update(object, shovel->names);
    set_counts(object, report);
    return object;
}

json_t *shovels_status(struct shovels *shovels)
{
    json_t *all = json_array();
    const struct shovel *shovel;

    pthread_mutex_lock(&shovels->mutex);
    DL_FOREACH (shovels->all, shovel)
        if (!shovel->is_removed)
            json_array_append_new(all, status_of(shovels, shovel));
    pthread_mutex_unlock(&shovels->mutex);
    return all;
}

/* ---- what others want ---- */

static void wake(struct shovels *shovels)
{
    uint64_t one = 1;

    if (write(shovels->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        abort();
}

/* With the mutex held. */
static struct shovel *find(const struct shovels *shovels, const char *vhost, const char *name)
{
    struct shovel *shovel;

    DL_FOREACH (shovels->all, shovel)
        if (!shovel->is_removed && strcmp(shovel->vhost, vhost) == 0 && strcmp(shovel->name, name) == 0)
            return shovel;
    return NULL;
}

bool shovels_put(struct shovels *shovels, const char *vhost, const char *name, const json_t *value, char *why,
                 size_t why_size)
{
    struct plan *plan = plan_new(name, value, why, why_size);
    struct shovel *shovel;

    if (!plan)
        return false;
    pthread_mutex_lock(&shovels->mutex);
    if (shovels->is_stopping) {
        pthread_mutex_unlock(&shovels->mutex);
        plan_free(plan);
        return true;
    }
    shovel = find(shovels, vhost, name);
    if (!shovel) {
        shovel = shovel_new(shovels, vhost, name);
        DL_APPEND(shovels->all, shovel);
    }
    json_decref(shovel->names);
    shovel->names = plan_names(plan);
    plan_free(shovel->next_plan);
    shovel->next_plan = plan;
    shovel->is_changed = true;
    pthread_mutex_unlock(&shovels->mutex);
    wake(shovels);
    return true;
}

/* The thread must look at it. */
static bool change(struct shovels *shovels, const char *vhost, const char *name, bool is_removed)
{
    struct shovel *shovel;

    pthread_mutex_lock(&shovels->mutex);
    shovel = find(shovels, vhost, name);
    if (shovel) {
        shovel->is_changed = true;
        shovel->is_removed = is_removed;
    }
    pthread_mutex_unlock(&shovels->mutex);
    wake(shovels);
    return shovel;
}

bool shovels_remove(struct shovels *shovels, const char *vhost, const char *name)
{
    return change(shovels, vhost, name, true);
}

bool shovels_restart(struct shovels *shovels, const char *vhost, const char *name)
{
    return change(shovels, vhost, name, false);
}

/* ---- the thread ---- */

/* One that was changed, with what is wanted of it; NULL when there is none. */
static struct shovel *take_changed(struct shovels *shovels, struct plan **plan, bool *is_removed)
{
    struct shovel *shovel;

    pthread_mutex_lock(&shovels->mutex);
    DL_FOREACH (shovels->all, shovel)
        if (shovel->is_changed)
            break;
    if (shovel) {
        shovel->is_changed = false;
        *is_removed = shovel->is_removed;
        *plan = shovel->next_plan;
        shovel->next_plan = NULL;
    }
    pthread_mutex_unlock(&shovels->mutex);
    return shovel;
}

static void take_changes(struct shovels *shovels)
{
    struct shovel *shovel;
    struct plan *plan;
    bool is_removed;

    while ((shovel = take_changed(shovels, &plan, &is_removed))) {
        if (is_removed) {
            plan_free(plan);
            shovel_end(shovel);
        } else {
            shovel_begin(shovel, plan);
        }
    }
}

void shovels_closed(struct shovel *shovel)
{
    struct shovels *shovels = shovel->owner;
    bool is_last;

    pthread_mutex_lock(&shovels->mutex);
    DL_DELETE(shovels->all, shovel);
    is_last = !shovels->all;
    pthread_mutex_unlock(&shovels->mutex);
    shovel_free(shovel);
    if (is_last && shovels->is_ending)
        event_base_loopbreak(shovels->base);
}

/* One that is not closed, nor being closed for good. */
static struct shovel *find_living(struct shovels *shovels)
{
    struct shovel *shovel;

    pthread_mutex_lock(&shovels->mutex);
    DL_FOREACH (shovels->all, shovel)
        if (!shovel->is_ending)
            break;
    pthread_mutex_unlock(&shovels->mutex);
    return shovel;
}

static void begin_to_end(struct shovels *shovels)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct shovel *shovel;

    shovels->is_ending = true;
    event_add(shovels->last, &patience);
    if (!shovels->all)
        event_base_loopbreak(shovels->base);
    while ((shovel = find_living(shovels)))
        shovel_end(shovel);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct shovels *shovels = arg;
    bool is_stopping;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        abort();
    pthread_mutex_lock(&shovels->mutex);
    is_stopping = shovels->is_stopping;
    pthread_mutex_unlock(&shovels->mutex);
    if (is_stopping && !shovels->is_ending)
        begin_to_end(shovels);
    else if (!shovels->is_ending)
        take_changes(shovels);
}

static void on_last(evutil_socket_t fd, short what, void *arg)
{
    struct shovels *shovels = arg;

    (void)fd;
    (void)what;
    event_base_loopbreak(shovels->base);
}

static void *run(void *arg)
{
    struct shovels *shovels = arg;

    pthread_setname_np(pthread_self(), "coney-shovel");
    event_base_loop(shovels->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

/* ---- from beginning to end ---- */

static bool make_base(struct shovels *shovels)
{
    shovels->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    shovels->base = event_base_new();
    if (shovels->wake_fd < 0 || !shovels->base)
        return false;
    shovels->wake = event_new(shovels->base, shovels->wake_fd, EV_READ | EV_PERSIST, on_wake, shovels);
    shovels->last = event_new(shovels->base, -1, 0, on_last, shovels);
    /* Without name servers that it understands names are looked up by the system, one at a time. */
    shovels->dns =
        evdns_base_new(shovels->base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    return shovels->wake && shovels->last;
}

struct shovels *shovels_new(const struct shovels_settings *settings, const struct shovels_ops *ops)
{
    struct shovels *shovels = xcalloc(1, sizeof *shovels);

    shovels->node = xstrdup(settings->node);
    shovels->cluster_name = xstrdup(settings->cluster_name);
    shovels->ops = *ops;
    pthread_mutex_init(&shovels->mutex, NULL);
    if (!make_base(shovels))
        abort(); /* no memory, or no descriptors before anything has begun */
    return shovels;
}

bool shovels_start(struct shovels *shovels)
{
    event_add(shovels->wake, NULL);
    shovels->is_started = pthread_create(&shovels->thread, NULL, run, shovels) == 0;
    return shovels->is_started;
}

void shovels_stop(struct shovels *shovels)
{
    if (!shovels->is_started)
        return;
    pthread_mutex_lock(&shovels->mutex);
    shovels->is_stopping = true;
    pthread_mutex_unlock(&shovels->mutex);
    wake(shovels);
    pthread_join(shovels->thread, NULL);
    shovels->is_started = false;
}

void shovels_free(struct shovels *shovels)
{
    struct shovel *shovel, *next;

    if (!shovels)
        return;
    DL_FOREACH_SAFE (shovels->all, shovel, next)
        shovel_free(shovel);
    if (shovels->dns)
        evdns_base_free(shovels->dns, 1);
    event_base_loop(shovels->base, EVLOOP_NONBLOCK); /* lookups that were given up end here */
    event_free(shovels->wake);
    event_free(shovels->last);
    event_base_free(shovels->base);
    close(shovels->wake_fd);
    pthread_mutex_destroy(&shovels->mutex);
    free(shovels->node);
    free(shovels->cluster_name);
    free(shovels);
}
