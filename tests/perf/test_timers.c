/* SPDX-License-Identifier: Apache-2.0 */
/* Timers fire in order, whatever is set, moved and cleared. */
#include <criterion/criterion.h>

#include "perf/timers.h"

static uint64_t fired_last;
static unsigned fired;

static void fire(struct timer *timer)
{
    cr_assert_geq(timer->at, fired_last);
    fired_last = timer->at;
    fired++;
}

/* Of a generator with a seed, so that a failure can be replayed. */
static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *state >> 33;
}

Test(timers, fire_in_order)
{
    enum { COUNT = 500 };
    struct timer timer[COUNT] = {0};
    struct timers timers = {0};
    uint64_t random = 3;

    for (unsigned i = 0; i < COUNT; i++) {
        timer[i].fire = fire;
        timers_set(&timers, &timer[i], next_random(&random) % 10000);
    }
    for (unsigned i = 0; i < COUNT; i += 3)
        timers_set(&timers, &timer[i], next_random(&random) % 10000);
    for (unsigned i = 0; i < COUNT; i += 5)
        timers_clear(&timers, &timer[i]);
    timers_clear(&timers, &timer[0]);
    timers_fire(&timers, 5000);
    cr_expect_leq(fired_last, 5000);
    cr_expect_gt(timers_next(&timers), 5000);
    timers_fire(&timers, 10000);
    cr_expect_eq(fired, COUNT - COUNT / 5);
    cr_expect_eq(timers_next(&timers), UINT64_MAX);
    timers_free(&timers);
}
