/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: a thread that does tasks one after another. Without a thread (tests) somebody else steps.
 */
#ifndef STORE_WORKER_H
#define STORE_WORKER_H

#include <pthread.h>
#include <stdbool.h>

struct task {
    struct task *next;
    void (*run)(struct task *task); /* owns the task from here on */
};

struct worker {
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct task *first, **end;
    pthread_t thread;
    bool is_running, stops;
};

void worker_init(struct worker *worker);
bool worker_start(struct worker *worker, const char *name);

/* Any thread: TASK is run after all that were handed in before it. */
void worker_submit(struct worker *worker, struct task *task);

/* Run one task, if there is one. */
bool worker_step(struct worker *worker);

/* Inside a task: let MS pass. False, perhaps before, when the thread is to end, or there is none. */
bool worker_pause(struct worker *worker, unsigned ms);

/* Returns when the thread has done all its tasks, those that they hand in included, and has ended. */
void worker_stop(struct worker *worker);
void worker_destroy(struct worker *worker);

#endif
