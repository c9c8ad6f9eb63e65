/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule.h. A step with rate r sends its n-th message n / r after it began, so the number of messages of a
 * step is its length times its rate, rounded up; each step begins anew, so that nothing drifts.
 */
#include "schedule.h"

#include <math.h>
#include <stdlib.h>

#include "clock.h"

#define STEADY_LENGTH ((uint64_t)1 << 62) /* longer than any run */

bool schedule_read(struct schedule *schedule, const char *text)
{
    char *end;
    double value = strtod(text, &end), seconds;

    if (end == text || *end != ':' || !(value >= 0) || value > 1e12)
        return false;
    text = end + 1;
    seconds = strtod(text, &end);
    if (end == text || *end || !(seconds > 0) || seconds > 1e8 || schedule->count == SCHEDULE_STEPS_MAX)
        return false;
    schedule->steps[schedule->count++] =
        (struct schedule_step){value, (uint64_t)(seconds * (double)NS_PER_S)};
    return true;
}

struct schedule schedule_steady(double rate)
{
    return (struct schedule){.steps = {{rate, STEADY_LENGTH}}, .count = 1};
}

static uint64_t due_in_step(const struct schedule_step *step, uint64_t number)
{
    return (uint64_t)((double)number * ((double)NS_PER_S / step->value));
}

/* Messages that are due before OFFSET in a step. */
static uint64_t count_before(const struct schedule_step *step, uint64_t offset)
{
    uint64_t count;

    if (step->value <= 0 || offset == 0)
        return 0;
    count = (uint64_t)ceil((double)offset * step->value / (double)NS_PER_S);
    /* The two directions may round differently. */
    while (count && due_in_step(step, count - 1) >= offset)
        count--;
    while (due_in_step(step, count) < offset)
        count++;
    return count;
}

struct cycle {
    uint64_t length, messages;
};

static struct cycle cycle_of(const struct schedule *schedule)
{
    struct cycle cycle = {0};

    for (size_t i = 0; i < schedule->count; i++) {
        cycle.length += schedule->steps[i].length;
        if (schedule->count > 1) /* of a single step it is not asked */
            cycle.messages += count_before(&schedule->steps[i], schedule->steps[i].length);
    }
    return cycle;
}

uint64_t schedule_due(const struct schedule *schedule, uint64_t number)
{
    struct cycle cycle;
    uint64_t at, left;

    if (schedule->count == 0)
        return 0;
    if (schedule->count == 1)
        return schedule->steps[0].value > 0 ? due_in_step(&schedule->steps[0], number) : SCHEDULE_NEVER;
    cycle = cycle_of(schedule);
    if (cycle.messages == 0)
        return SCHEDULE_NEVER;
    at = number / cycle.messages * cycle.length;
    left = number % cycle.messages;
    for (size_t i = 0; i < schedule->count; i++) {
        const struct schedule_step *step = &schedule->steps[i];
        uint64_t here = count_before(step, step->length);

        if (left < here)
            return at + due_in_step(step, left);
        left -= here;
        at += step->length;
    }
    return SCHEDULE_NEVER; /* not reached: the messages of a cycle are those of its steps */
}

uint64_t schedule_count(const struct schedule *schedule, uint64_t at)
{
    struct cycle cycle;
    uint64_t count, offset;

    if (schedule->count == 0)
        return UINT64_MAX;
    if (schedule->count == 1)
        return count_before(&schedule->steps[0], at + 1);
    cycle = cycle_of(schedule);
    count = at / cycle.length * cycle.messages;
    offset = at % cycle.length;
    for (size_t i = 0; i < schedule->count; i++) {
        const struct schedule_step *step = &schedule->steps[i];

        if (offset < step->length)
            return count + count_before(step, offset + 1);
        count += count_before(step, step->length);
        offset -= step->length;
    }
    return count;
}

double schedule_value(const struct schedule *schedule, uint64_t at, uint64_t *until)
{
    struct cycle cycle = cycle_of(schedule);
    uint64_t offset = cycle.length ? at % cycle.length : 0, begun = at - offset;
    size_t i = 0;

    while (offset >= schedule->steps[i].length) {
        offset -= schedule->steps[i].length;
        begun += schedule->steps[i].length;
        i++;
    }
    if (until)
        *until = begun + schedule->steps[i].length;
    return schedule->steps[i].value;
}
