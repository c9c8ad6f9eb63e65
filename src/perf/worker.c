/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h: the thread, and which connections are its own. */
#include "worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "clock.h"
#include "coney/xalloc.h"
#include "link.h"
#include "options.h"

#define OPENING_MAX 32             /* connections that log in at once */
#define TURN_MAX    NS_PER_S       /* until the end is looked for, whatever happens */
#define END_MAX     (5 * NS_PER_S) /* for the broker to answer connection.close */

void load_fail(struct load *load, const char *format, ...)
{
    va_list arguments;

    pthread_mutex_lock(&load->lock);
    if (!load->why[0]) {
        va_start(arguments, format);
        vsnprintf(load->why, sizeof load->why, format, arguments);
        va_end(arguments);
    }
    pthread_mutex_unlock(&load->lock);
    atomic_store(&load->has_failed, true);
}

static void open_some(struct worker *worker)
{
    while (worker->links_begun < worker->link_count &&
           worker->links_begun - worker->links_open - worker->links_gone < OPENING_MAX)
        link_begin(worker->links[worker->links_begun++]);
}

static void on_opener(struct task *task)
{
    open_some((struct worker *)((char *)task - offsetof(struct worker, opener)));
}

static void on_woken(struct loop *loop)
{
    struct worker *worker = (struct worker *)loop;

    for (unsigned i = 0; i < worker->links_begun; i++)
        link_look(worker->links[i]);
}

static bool has_ended(const struct worker *worker, uint64_t deadline)
{
    return atomic_load(&worker->load->has_failed) || worker->loop.now > deadline ||
           (atomic_load(&worker->load->must_end) && worker->links_gone == worker->links_begun);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct timespec cpu;
    uint64_t deadline = UINT64_MAX;

    prctl(PR_SET_TIMERSLACK, 1UL); /* timers are to be as exact as latencies are */
    open_some(worker);
    while (!has_ended(worker, deadline)) {
        loop_turn(&worker->loop, TURN_MAX);
        if (deadline == UINT64_MAX && atomic_load(&worker->load->must_end))
            deadline = worker->loop.now + END_MAX;
    }
    for (unsigned i = 0; i < worker->link_count; i++)
        link_free(worker->links[i]);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    worker->cpu = (uint64_t)cpu.tv_sec * NS_PER_S + (uint64_t)cpu.tv_nsec;
    return NULL;
}

/* Links are dealt out in turn, consumers first: they are to be there when publishers begin. */
static void make_links(struct worker *worker)
{
    const struct load *load = worker->load;
    unsigned consumers = load->options->consumers, all = consumers + load->options->producers;

    worker->links = xcalloc(all / load->worker_count + 1, sizeof(struct link *));
    for (unsigned i = worker->number; i < all; i += load->worker_count)
        worker->links[worker->link_count++] =
            link_new(worker, i >= consumers, i < consumers ? i : i - consumers);
}

bool worker_start(struct worker *worker, struct load *load, unsigned number)
{
    worker->load = load;
    worker->number = number;
    worker->since_sent = histogram_new();
    worker->since_due = histogram_new();
    worker->confirms = histogram_new();
    if (!loop_init(&worker->loop))
        return false;
    worker->loop.woken = on_woken;
    worker->opener.run = on_opener;
    make_links(worker);
    errno = pthread_create(&worker->thread, NULL, work, worker);
    worker->has_thread = errno == 0;
    return worker->has_thread;
}

void worker_wake(struct worker *worker)
{
    loop_wake(&worker->loop);
}

void worker_join(struct worker *worker)
{
    if (worker->has_thread)
        pthread_join(worker->thread, NULL);
    worker->has_thread = false;
    free(worker->links);
    worker->links = NULL;
    loop_free(&worker->loop);
}

void worker_free(struct worker *worker)
{
    free(worker->since_sent);
    free(worker->since_due);
    free(worker->confirms);
}
