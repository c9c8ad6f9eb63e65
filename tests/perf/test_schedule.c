/* SPDX-License-Identifier: Apache-2.0 */
/* When messages are due, at one rate and at several in turn. */
#include <criterion/criterion.h>

#include "perf/clock.h"
#include "perf/schedule.h"

Test(schedule, reads_steps)
{
    struct schedule schedule = {0};

    cr_expect(schedule_read(&schedule, "200:30"));
    cr_expect(schedule_read(&schedule, "0:0.5"));
    cr_expect_eq(schedule.count, 2);
    cr_expect_eq(schedule.steps[0].length, 30 * NS_PER_S);
    cr_expect_eq(schedule.steps[1].length, NS_PER_S / 2);
    cr_expect_not(schedule_read(&schedule, "200"));
    cr_expect_not(schedule_read(&schedule, "200:"));
    cr_expect_not(schedule_read(&schedule, "200:0"));
    cr_expect_not(schedule_read(&schedule, "-1:5"));
    cr_expect_not(schedule_read(&schedule, "1:5x"));
    cr_expect_not(schedule_read(&schedule, "nan:5"));
    cr_expect_not(schedule_read(&schedule, ""));
    cr_expect_eq(schedule.count, 2);
}

Test(schedule, without_steps_has_no_limit)
{
    struct schedule schedule = {0};

    cr_expect_eq(schedule_due(&schedule, 1000000), 0);
    cr_expect_eq(schedule_count(&schedule, 0), UINT64_MAX);
}

Test(schedule, keeps_one_rate)
{
    struct schedule schedule = schedule_steady(1000);

    cr_expect_eq(schedule_due(&schedule, 0), 0);
    cr_expect_eq(schedule_due(&schedule, 1), NS_PER_MS);
    cr_expect_eq(schedule_due(&schedule, 5000), 5 * NS_PER_S);
    cr_expect_eq(schedule_count(&schedule, 0), 1, "the first is due at once");
    cr_expect_eq(schedule_count(&schedule, NS_PER_MS - 1), 1);
    cr_expect_eq(schedule_count(&schedule, NS_PER_MS), 2);
}

Test(schedule, of_no_rate_sends_nothing)
{
    struct schedule schedule = schedule_steady(0),
                    pause = {.steps = {{0, NS_PER_S}, {0, NS_PER_S}}, .count = 2};

    cr_expect_eq(schedule_due(&schedule, 0), SCHEDULE_NEVER);
    cr_expect_eq(schedule_count(&schedule, NS_PER_S), 0);
    cr_expect_eq(schedule_due(&pause, 0), SCHEDULE_NEVER);
    cr_expect_eq(schedule_count(&pause, 5 * NS_PER_S), 0);
}

Test(schedule, goes_through_its_steps_again_and_again)
{
    struct schedule schedule = {.steps = {{100, NS_PER_S}, {0, NS_PER_S}, {10, 2 * NS_PER_S}}, .count = 3};

    cr_expect_eq(schedule_due(&schedule, 99), 990 * NS_PER_MS);
    cr_expect_eq(schedule_due(&schedule, 100), 2 * NS_PER_S, "behind the pause");
    cr_expect_eq(schedule_due(&schedule, 119), 2 * NS_PER_S + 1900 * NS_PER_MS);
    cr_expect_eq(schedule_due(&schedule, 120), 4 * NS_PER_S, "the second time");
    cr_expect_eq(schedule_due(&schedule, 1200), 40 * NS_PER_S);
    cr_expect_eq(schedule_count(&schedule, NS_PER_S + 1), 100);
    cr_expect_eq(schedule_count(&schedule, 2 * NS_PER_S), 101);
}

Test(schedule, counts_what_it_says_is_due)
{
    struct schedule schedules[] = {
        {.steps = {{333, NS_PER_S / 3}, {7, NS_PER_S}, {99991, NS_PER_S / 7}}, .count = 3},
        schedule_steady(33333.3),
        schedule_steady(0.7),
        schedule_steady(1e9 / 3)};

    for (size_t s = 0; s < sizeof schedules / sizeof *schedules; s++) {
        uint64_t last = 0;

        for (uint64_t i = 0; i < 30000; i++) {
            uint64_t due = schedule_due(&schedules[s], i);

            cr_assert_geq(due, last);
            cr_assert_geq(schedule_count(&schedules[s], due), i + 1, "schedule %zu, message %lu", s,
                          (unsigned long)i);
            cr_assert(due == 0 || schedule_count(&schedules[s], due - 1) <= i, "schedule %zu, message %lu", s,
                      (unsigned long)i);
            last = due;
        }
    }
}

Test(schedule, tells_the_value_of_a_time)
{
    struct schedule schedule = {.steps = {{100, NS_PER_S}, {5, 2 * NS_PER_S}}, .count = 2};
    uint64_t until;

    cr_expect_eq(schedule_value(&schedule, 0, &until), 100.0);
    cr_expect_eq(until, NS_PER_S);
    cr_expect_eq(schedule_value(&schedule, NS_PER_S, &until), 5.0);
    cr_expect_eq(until, 3 * NS_PER_S);
    cr_expect_eq(schedule_value(&schedule, 3 * NS_PER_S + 5, &until), 100.0);
    cr_expect_eq(until, 4 * NS_PER_S);
}
