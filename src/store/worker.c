/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h: a list of tasks behind a mutex. */
#include "worker.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "coney/pool.h"

#define NS_PER_S      1000000000L
#define LOOK_EVERY_MS 1000

void worker_init(struct worker *worker)
{
    *worker = (struct worker){.end = &worker->first};
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->news, NULL);
}

void worker_submit(struct worker *worker, struct task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&worker->lock);
    *worker->end = task;
    worker->end = &task->next;
    pthread_cond_signal(&worker->news);
    pthread_mutex_unlock(&worker->lock);
}

static struct timespec after_ms(unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_nsec -= NS_PER_S;
        until.tv_sec++;
    }
    return until;
}

/* What was read here is freed elsewhere, and its memory comes home only when this thread looks. */
static void wait_for_news(struct worker *worker)
{
    struct timespec until = after_ms(LOOK_EVERY_MS);

    if (pool_flush())
        pthread_cond_wait(&worker->news, &worker->lock);
    else
        pthread_cond_clockwait(&worker->news, &worker->lock, CLOCK_MONOTONIC, &until);
}

static struct task *take(struct worker *worker, bool waits)
{
    struct task *task;

    pthread_mutex_lock(&worker->lock);
    while (waits && !worker->first && !worker->stops)
        wait_for_news(worker);
    task = worker->first;
    if (task) {
        worker->first = task->next;
        if (!worker->first)
            worker->end = &worker->first;
    }
    pthread_mutex_unlock(&worker->lock);
    return task;
}

bool worker_step(struct worker *worker)
{
    struct task *task = take(worker, false);

    if (task)
        task->run(task);
    return task;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct task *task;

    while ((task = take(worker, true)))
        task->run(task);
    return NULL;
}

bool worker_start(struct worker *worker, const char *name)
{
    pthread_mutex_lock(&worker->lock);
    worker->is_running = pthread_create(&worker->thread, NULL, work, worker) == 0;
    pthread_mutex_unlock(&worker->lock);
    if (worker->is_running)
        pthread_setname_np(worker->thread, name);
    return worker->is_running;
}

bool worker_pause(struct worker *worker, unsigned ms)
{
    struct timespec until = after_ms(ms);
    int error = 0;
    bool goes_on;

    pthread_mutex_lock(&worker->lock);
    while (worker->is_running && !worker->stops && error != ETIMEDOUT)
        error = pthread_cond_clockwait(&worker->news, &worker->lock, CLOCK_MONOTONIC, &until);
    goes_on = worker->is_running && !worker->stops;
    pthread_mutex_unlock(&worker->lock);
    return goes_on;
}

void worker_stop(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->stops = true;
    pthread_cond_signal(&worker->news);
    pthread_mutex_unlock(&worker->lock);
    if (worker->is_running)
        pthread_join(worker->thread, NULL);
    worker->is_running = false;
}

void worker_destroy(struct worker *worker)
{
    pthread_cond_destroy(&worker->news);
    pthread_mutex_destroy(&worker->lock);
}
