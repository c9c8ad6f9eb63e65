/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h: the alarms of memory and disk, which hold publishers.
 *
 * An alarm is on when there is reason for it or somebody rehearses it. Both are changed behind `lock` alone,
 * and `alarms`, which sessions look at, with them: so it always says what the last change made of both.
 */
#include <malloc.h>
#include <stdlib.h>

#include "coney/log.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "event_mail.h"
#include "memory_limit.h"
#include "server.h"
#include "server/session/session.h"

#define SAMPLE_EVERY_NS     UINT64_C(2000000000)
#define SAMPLE_WHILE_LOW_NS UINT64_C(200000000)

/* ---- raised and cleared ---- */

void server_wake_everyone(struct server *server)
{
    for (unsigned i = 0; i < server->loop_count; i++)
        loop_wake(&server->loops[i]);
}

/* Put ALARM into BITS, or take it out, and tell those who are to know. */
static void change(struct server *server, _Atomic unsigned *bits, enum server_alarm_bit alarm, bool on)
{
    static const char *const names[] = {[SERVER_ALARM_MEMORY] = "memory", [SERVER_ALARM_DISK] = "disk"};
    struct bytes resource;
    unsigned before, after;

    pthread_mutex_lock(&server->lock);
    if (on)
        atomic_fetch_or(bits, alarm);
    else
        atomic_fetch_and(bits, ~(unsigned)alarm);
    before = atomic_load(&server->alarms);
    after = atomic_load(&server->real_alarms) | atomic_load(&server->rehearsed_alarms);
    atomic_store(&server->alarms, after);
    pthread_mutex_unlock(&server->lock);
    if (before == after)
        return;
    if (after & alarm)
        log_warning("%s alarm: publishers are blocked", names[alarm]);
    else
        log_warning("%s alarm is over", names[alarm]);
    resource = bytes_from_string(names[alarm]);
    events_tell(server, after & alarm ? "alarm.set" : "alarm.cleared", "source", &resource, EVENTS_END);
    server_wake_everyone(server);
}

void server_set_alarm(struct server *server, enum server_alarm_bit alarm, bool on)
{
    change(server, &server->real_alarms, alarm, on);
}

void server_rehearse_alarm(struct server *server, enum server_alarm_bit alarm, bool on)
{
    change(server, &server->rehearsed_alarms, alarm, on);
}

void server_release_blocked(struct loop *loop)
{
    while (loop->blocked && !server_alarms(loop->server))
        session_unblock(loop->blocked);
}

bool server_has_news(const struct loop *loop)
{
    unsigned alarms = atomic_load(&loop->server->alarms); /* in order with loop->sleeping */

    if (!alarms)
        return loop->blocked;
    return alarms & SERVER_ALARM_MEMORY && loop->index == 0 &&
           !evtimer_pending(loop->server->memory_timer, NULL);
}

/* ---- memory ---- */

/* The pools count as they go; what malloc has beside them is looked at now and then, by whichever loop is up.
 */
static void sample_other_memory(struct server *server, uint64_t every_ns)
{
    uint64_t now = clock_ns(), all, large;
    uint64_t before = atomic_load_explicit(&server->memory_sampled, memory_order_relaxed);
    struct mallinfo2 info;

    if (now - before < every_ns || !atomic_compare_exchange_strong(&server->memory_sampled, &before, now))
        return;
    info = mallinfo2();
    all = info.uordblks + info.hblkhd;
    large = pool_large_bytes_in_use();
    atomic_store_explicit(&server->other_memory, all > large ? all - large : 0, memory_order_relaxed);
}

uint64_t server_memory_used(const struct server *server)
{
    return pool_bytes_in_use() + atomic_load_explicit(&server->other_memory, memory_order_relaxed);
}

static bool is_on(const _Atomic unsigned *bits)
{
    return atomic_load_explicit(bits, memory_order_relaxed) & SERVER_ALARM_MEMORY;
}

void server_watch_memory(struct loop *loop)
{
    static const struct timeval again = {.tv_usec = SAMPLE_WHILE_LOW_NS / 1000};
    struct server *server = loop->server;
    uint64_t used;
    bool low = is_on(&server->alarms), is_real = is_on(&server->real_alarms);
    bool is_short = xalloc_is_short();

    sample_other_memory(server, low ? SAMPLE_WHILE_LOW_NS : SAMPLE_EVERY_NS);
    used = server_memory_used(server);
    if (!is_real && (is_short || used > server->memory_high))
        server_set_alarm(server, SERVER_ALARM_MEMORY, true);
    else if (low && (is_real || !is_on(&server->rehearsed_alarms)) && !is_short && used < server->memory_low)
        server_set_alarm(server, SERVER_ALARM_MEMORY, false);
    if (loop->index == 0 && is_on(&server->alarms) && !evtimer_pending(server->memory_timer, NULL))
        evtimer_add(server->memory_timer, &again);
}

/* ---- limits: the configuration's, or those set until the next start ---- */

static uint64_t memory_of(const struct config *config)
{
    return config->memory_total ? config->memory_total : memory_total();
}

static struct server_limit limit_of(struct server *server, const struct server_limit *set,
                                    struct server_limit configured)
{
    struct server_limit limit;

    pthread_mutex_lock(&server->lock);
    limit = set->octets || set->factor > 0 ? *set : configured;
    pthread_mutex_unlock(&server->lock);
    if (!limit.octets)
        limit.octets = (uint64_t)((double)memory_of(server->config) * limit.factor);
    else
        limit.factor = 0;
    return limit;
}

struct server_limit server_memory_limit(struct server *server)
{
    const struct config *config = server->config;

    return limit_of(
        server, &server->memory_limit,
        (struct server_limit){config->memory_watermark_absolute, config->memory_watermark_relative});
}

void server_set_watermark(struct server *server)
{
    uint64_t high = server_memory_limit(server).octets;

    server->memory_high = high;
    server->memory_low = high / 10 * 9;
}

uint64_t server_disk_free_limit(struct server *server)
{
    const struct config *config = server->config;
    double factor = config->disk_free_limit_relative;

    return limit_of(server, &server->disk_free_limit,
                    (struct server_limit){factor > 0 ? 0 : config->disk_free_limit, factor})
        .octets;
}

void server_set_limit(struct server *server, struct server_limit *which, struct server_limit limit)
{
    pthread_mutex_lock(&server->lock);
    *which = limit;
    pthread_mutex_unlock(&server->lock);
}
