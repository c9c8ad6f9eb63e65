/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When messages are due, and how large they are, as --rate, --variable-rate and --variable-size have it: a
 * list of steps, each with a value and a length, that is gone through again and again. Pure: times are
 * offsets from the start.
 */
#ifndef PERF_SCHEDULE_H
#define PERF_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULE_STEPS_MAX 64
#define SCHEDULE_NEVER     UINT64_MAX

struct schedule_step {
    double value;    /* messages a second, or octets */
    uint64_t length; /* ns */
};

struct schedule {
    struct schedule_step steps[SCHEDULE_STEPS_MAX];
    size_t count; /* 0: no limit */
};

/* Append "VALUE:SECONDS". False when TEXT is not that, or there are too many. */
bool schedule_read(struct schedule *schedule, const char *text);

/* The schedule of one rate for all times. */
struct schedule schedule_steady(double rate);

/* When message NUMBER, from 0 on, is due: SCHEDULE_NEVER when the rate stays 0. */
uint64_t schedule_due(const struct schedule *schedule, uint64_t number);

/* How many messages are due at AT: those with schedule_due() <= AT. */
uint64_t schedule_count(const struct schedule *schedule, uint64_t at);

/* The value at AT, and in *UNTIL, unless it is NULL, when the next step begins. The schedule has a step. */
double schedule_value(const struct schedule *schedule, uint64_t at, uint64_t *until);

#endif
