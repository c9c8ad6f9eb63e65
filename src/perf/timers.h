/* SPDX-License-Identifier: Apache-2.0 */
/* Timers of one thread: a heap of those that are set, the next one first. The owner of a timer owns its
 * memory. */
#ifndef PERF_TIMERS_H
#define PERF_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer;
typedef void timer_fn(struct timer *timer);

struct timer {
    uint64_t at; /* ns */
    timer_fn *fire;
    size_t place; /* in the heap, from 1 on; 0: not set */
};

struct timers {
    struct timer **heap; /* heap[1] is the next */
    size_t count, room;
};

/* Set TIMER, or move it, to AT. */
void timers_set(struct timers *timers, struct timer *timer, uint64_t at);

/* Nothing happens if it is not set. */
void timers_clear(struct timers *timers, struct timer *timer);

/* Fire all that are due by NOW, those that they set anew included. */
void timers_fire(struct timers *timers, uint64_t now);

/* When the next one is due; UINT64_MAX: none. */
static inline uint64_t timers_next(const struct timers *timers)
{
    return timers->count ? timers->heap[1]->at : UINT64_MAX;
}

void timers_free(struct timers *timers);

#endif
