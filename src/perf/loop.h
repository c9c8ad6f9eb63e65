/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread's event loop: descriptors, timers, and tasks that have work to do at once. libevent has timers
 * of microseconds too (EVENT_BASE_FLAG_PRECISE_TIMER), but sets a timerfd at each turn. In the one comparison
 * made, on a machine busy otherwise, rates were not told apart from noise, and latencies at a fixed rate were
 * higher.
 *
 * A turn: what descriptors have, then timers that are due, then each task that was ready, once. Only
 * loop_wake() may be called by other threads.
 */
#ifndef PERF_LOOP_H
#define PERF_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "timers.h"

#define LOOP_INPUT_SIZE ((size_t)256 * 1024)

struct conn;

/* A descriptor's owner. */
struct watcher {
    void (*ready)(struct watcher *watcher, uint32_t events);
};

/* Something with work to do. */
struct task {
    struct task *next;
    bool is_ready;
    void (*run)(struct task *task);
};

struct loop {
    int epoll;
    struct watcher waker;
    int wake_fd;
    void (*woken)(struct loop *loop); /* after loop_wake(); NULL: nothing but the turn ends */
    uint64_t now;                     /* when this turn's wait ended */
    struct timers timers;
    struct task *first, **last; /* those that are ready */
    size_t ready_count;
    struct conn *dead; /* to be freed at the end of the turn */
    uint8_t *input;    /* LOOP_INPUT_SIZE octets that all connections read into, one after the other */
};

/* False with errno when the system gives no descriptors. */
bool loop_init(struct loop *loop);
void loop_free(struct loop *loop);

/* Wait for WAIT ns at most, and do what is to be done. */
void loop_turn(struct loop *loop, uint64_t wait);

void loop_wake(struct loop *loop);

/* Run TASK at the end of this turn, or of the next if this turn's tasks run already. */
void loop_ready(struct loop *loop, struct task *task);

/* TASK, whose memory goes, is not to be run. */
void loop_unready(struct loop *loop, struct task *task);

/* Watch FD for EVENTS (EPOLLIN ...); what was watched before is replaced if IS_CHANGE. */
void loop_watch(struct loop *loop, int fd, struct watcher *watcher, uint32_t events, bool is_change);

#endif
