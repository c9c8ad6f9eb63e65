/* SPDX-License-Identifier: Apache-2.0 */
/* `coneyperf compare`: a matrix of scenarios against several brokers in turn, each in a process of its own.
 */
#ifndef PERF_COMPARE_H
#define PERF_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

/* What is run against each broker, and which of its figures is compared. */
struct scenario {
    const char *name;
    const char *what;
    const char *options; /* words with blanks between them */
    bool is_latency;     /* the 99th percentile since due, of which less is better; else the rate */
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* The middle one of COUNT > 0 VALUES, which are sorted; of an even number the mean of two. */
double compare_median(double *values, size_t count);

/* Run with the words behind `compare`. Returns an exit code. */
int compare(int argc, char **argv);

#endif
