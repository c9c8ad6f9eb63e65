/* SPDX-License-Identifier: Apache-2.0 */
/* workers.h. */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "admin/router.h"
#include "coney/nicer.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "http.h"
#include "request.h"

#define WORKERS_MAX 6  /* that answer; beside those that wait for a client */
#define THREADS_MAX 64 /* of both kinds */
#define WAITING_MAX 256
#define IDLE_S      15
#define NICE        4 /* messages go before statistics */

struct workers {
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct request *waiting, **waiting_end;
    unsigned waiting_count;
    unsigned threads, idle;
    unsigned for_clients; /* threads that wait for theirs to take what was written */
    pthread_t ended;      /* the last thread that did: each joins the one before, so nobody is left behind */
    bool has_ended;
    uint64_t answered, refused;
    bool is_stopping;
};

struct workers *workers_new(void)
{
    struct workers *workers = xcalloc(1, sizeof *workers);
    pthread_condattr_t attributes;

    workers->waiting_end = &workers->waiting;
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&workers->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return workers;
}

void workers_free(struct workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    workers->is_stopping = true;
    pthread_cond_broadcast(&workers->changed);
    while (workers->threads)
        pthread_cond_wait(&workers->changed, &workers->mutex);
    pthread_mutex_unlock(&workers->mutex);
    if (workers->has_ended)
        pthread_join(workers->ended, NULL);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->mutex);
    free(workers);
}

/* The next request; NULL when there has been none for a while, or the threads are to end. */
static struct request *take(struct workers *workers)
{
    struct request *request;
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    workers->idle++;
    while (!workers->waiting && !workers->is_stopping && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&workers->changed, &workers->mutex, &until);
    workers->idle--;
    request = workers->waiting;
    if (!request)
        return NULL;
    workers->waiting = request->next;
    if (!workers->waiting)
        workers->waiting_end = &workers->waiting;
    workers->waiting_count--;
    return request;
}

/* The mutex is held, and given back. */
static void end(struct workers *workers)
{
    bool has_before = workers->has_ended;
    pthread_t before = workers->ended;

    workers->has_ended = true;
    workers->ended = pthread_self();
    workers->threads--;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->mutex);
    if (has_before)
        pthread_join(before, NULL);
}

static void *run(void *argument)
{
    struct workers *workers = argument;
    struct request *request;

    pthread_setname_np(pthread_self(), "coney-admin");
    be_nicer(NICE);
    pthread_mutex_lock(&workers->mutex);
    while ((request = take(workers)) != NULL) {
        pthread_mutex_unlock(&workers->mutex);
        router_run(request);
        http_end(request);
        pool_flush();
        pthread_mutex_lock(&workers->mutex);
        workers->answered++;
    }
    end(workers);
    return NULL;
}

static void start_one(struct workers *workers)
{
    sigset_t all, before;
    pthread_t thread;

    /* Signals are the first loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    workers->threads += pthread_create(&thread, NULL, run, workers) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* One more when a request waits and none is free to take it. */
static void start_wanted(struct workers *workers, unsigned waiting)
{
    if (workers->idle < waiting && workers->threads < THREADS_MAX &&
        workers->threads - workers->for_clients < WORKERS_MAX)
        start_one(workers);
}

void workers_wait_begins(struct workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    workers->for_clients++;
    start_wanted(workers, workers->waiting_count);
    pthread_mutex_unlock(&workers->mutex);
}

void workers_wait_ends(struct workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    workers->for_clients--;
    pthread_mutex_unlock(&workers->mutex);
}

bool workers_take(struct workers *workers, struct request *request)
{
    bool taken;

    pthread_mutex_lock(&workers->mutex);
    start_wanted(workers, workers->waiting_count + 1);
    taken = workers->threads && workers->waiting_count < WAITING_MAX;
    if (taken) {
        request->next = NULL;
        *workers->waiting_end = request;
        workers->waiting_end = &request->next;
        workers->waiting_count++;
        pthread_cond_signal(&workers->changed);
    }
    workers->refused += !taken;
    pthread_mutex_unlock(&workers->mutex);
    return taken;
}

struct workers_counters workers_counters(struct workers *workers)
{
    struct workers_counters counters;

    pthread_mutex_lock(&workers->mutex);
    counters = (struct workers_counters){.answered = workers->answered,
                                         .refused = workers->refused,
                                         .threads = workers->threads,
                                         .waiting = workers->waiting_count,
                                         .for_clients = workers->for_clients};
    pthread_mutex_unlock(&workers->mutex);
    return counters;
}
