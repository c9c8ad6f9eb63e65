/* SPDX-License-Identifier: Apache-2.0 */
/* stats.h: keys, and the thread that looks at everything at each *tick* as long as somebody asks. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "coney/nicer.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "stats_fields.h"

#define WATCHED_MS (INT64_C(600) * 1000) /* so long after the last question it goes on */
#define NICE       4
#define NS_PER_MS  1000000

int64_t stats_clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

/* ---- keys ---- */

static uint64_t hash_octets(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *octets = data;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ octets[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Spread, and never 0. */
static uint64_t finish(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    return hash ? hash : 1;
}

uint64_t stats_key(enum stats_kind kind, struct bytes vhost, struct bytes name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) + kind;

    hash = hash_octets(hash, &vhost.size, sizeof vhost.size);
    hash = hash_octets(hash, vhost.data, vhost.size);
    return finish(hash_octets(hash, name.data, name.size));
}

uint64_t stats_key_of_node(void)
{
    return stats_key(STATS_NODE, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
}

static uint64_t key_of_numbers(enum stats_kind kind, uint64_t a, uint64_t b)
{
    uint64_t hash = hash_octets(UINT64_C(0xcbf29ce484222325) + kind, &a, sizeof a);

    return finish(hash_octets(hash, &b, sizeof b));
}

uint64_t stats_key_of_connection(uint64_t serial)
{
    return key_of_numbers(STATS_CONNECTION, serial, 0);
}

uint64_t stats_key_of_channel(uint64_t serial, uint16_t number)
{
    return key_of_numbers(STATS_CHANNEL, serial, number);
}

/* ---- the thread ---- */

/* Behind the mutex: wait until NEXT, on the monotonic clock. */
static void wait_until(struct stats *stats, int64_t next)
{
    struct timespec until = {.tv_sec = next / 1000, .tv_nsec = next % 1000 * NS_PER_MS};
    int error = 0;

    while (!stats->is_stopping && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&stats->changed, &stats->mutex, &until);
}

static bool is_watched(const struct stats *stats)
{
    return !stats->is_stopping && stats_clock_ms(CLOCK_MONOTONIC) - stats->asked_ms < WATCHED_MS;
}

static void *run(void *argument)
{
    struct stats *stats = argument;
    int64_t next = stats_clock_ms(CLOCK_MONOTONIC);

    pthread_setname_np(pthread_self(), "coney-stats");
    be_nicer(NICE);
    pthread_mutex_lock(&stats->mutex);
    while (is_watched(stats)) {
        kept_begin_tick(&stats->kept, stats_clock_ms(CLOCK_REALTIME));
        pthread_mutex_unlock(&stats->mutex);
        stats_look(stats);
        pool_flush();
        pthread_mutex_lock(&stats->mutex);
        next += stats->interval_ms;
        if (next < stats_clock_ms(CLOCK_MONOTONIC))
            next = stats_clock_ms(CLOCK_MONOTONIC);
        wait_until(stats, next);
    }
    kept_forget(&stats->kept);
    stats->is_running = false;
    pthread_mutex_unlock(&stats->mutex);
    return NULL;
}

/* The thread has ended, or is about to; the mutex may be held. */
static void join(struct stats *stats)
{
    if (stats->has_thread)
        pthread_join(stats->thread, NULL);
    stats->has_thread = false;
}

/* Behind the mutex. */
static void start(struct stats *stats)
{
    sigset_t all, before;

    join(stats);
    /* Signals are the first loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    stats->has_thread = stats->is_running = pthread_create(&stats->thread, NULL, run, stats) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void stats_ask(struct stats *stats)
{
    stats->asked_ms = stats_clock_ms(CLOCK_MONOTONIC);
    if (!stats->is_running && !stats->is_stopping)
        start(stats);
}

struct stats *stats_new(struct server *server, uint32_t interval_ms)
{
    struct stats *stats = xcalloc(1, sizeof *stats);
    pthread_condattr_t attributes;

    stats->server = server;
    stats->interval_ms = interval_ms;
    stats->kept.first_tick = 1;
    pthread_mutex_init(&stats->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stats->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return stats;
}

void stats_stop(struct stats *stats)
{
    pthread_mutex_lock(&stats->mutex);
    stats->is_stopping = true;
    pthread_cond_broadcast(&stats->changed);
    pthread_mutex_unlock(&stats->mutex);
    join(stats);
}

void stats_free(struct stats *stats)
{
    if (!stats)
        return;
    stats_stop(stats);
    kept_forget(&stats->kept);
    pthread_cond_destroy(&stats->changed);
    pthread_mutex_destroy(&stats->mutex);
    free(stats);
}

void stats_reset(struct stats *stats)
{
    pthread_mutex_lock(&stats->mutex);
    kept_shorten(&stats->kept);
    pthread_mutex_unlock(&stats->mutex);
}
