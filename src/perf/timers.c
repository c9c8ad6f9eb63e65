/* SPDX-License-Identifier: Apache-2.0 */
/* timers.h: a binary heap that tells each timer where it stands, so that any of them can be moved. */
#include "timers.h"

#include <stdlib.h>

#include "coney/xalloc.h"

static void put(struct timers *timers, size_t place, struct timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void rise(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;

    while (place > 1 && timers->heap[place / 2]->at > timer->at) {
        put(timers, place, timers->heap[place / 2]);
        place /= 2;
    }
    put(timers, place, timer);
}

static void sink(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place, child;

    while ((child = place * 2) <= timers->count) {
        if (child < timers->count && timers->heap[child + 1]->at < timers->heap[child]->at)
            child++;
        if (timers->heap[child]->at >= timer->at)
            break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

void timers_set(struct timers *timers, struct timer *timer, uint64_t at)
{
    timer->at = at;
    if (!timer->place) {
        if (timers->count + 1 >= timers->room) {
            timers->room = timers->room ? timers->room * 2 : 16;
            timers->heap = xrealloc(timers->heap, timers->room * sizeof(struct timer *));
        }
        put(timers, ++timers->count, timer);
    }
    rise(timers, timer);
    sink(timers, timer);
}

void timers_clear(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;
    struct timer *last;

    if (!place)
        return;
    timer->place = 0;
    last = timers->heap[timers->count--];
    if (last == timer)
        return;
    put(timers, place, last);
    rise(timers, last);
    sink(timers, last);
}

void timers_fire(struct timers *timers, uint64_t now)
{
    while (timers->count && timers->heap[1]->at <= now) {
        struct timer *timer = timers->heap[1];

        timers_clear(timers, timer);
        timer->fire(timer);
    }
}

void timers_free(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){0};
}
