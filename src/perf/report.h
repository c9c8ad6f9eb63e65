/* SPDX-License-Identifier: Apache-2.0 */
/* What is said at the end: a table for people, an object for programs. */
#ifndef PERF_REPORT_H
#define PERF_REPORT_H

#include <stdbool.h>
#include <stdio.h>

struct churning;
struct measurement;
struct options;
struct quantiles;

void report_table(FILE *out, const struct measurement *measurement);
void report_churn_table(FILE *out, const struct churning *churning);

/* A line of NAME and the quantiles, if there are any. */
void report_quantiles(FILE *out, const char *name, const struct quantiles *quantiles);

/* The same figures, with every sample, as a JSON object in FILE (- is standard output). False when it cannot
 * be written, which is printed. */
bool report_json(const char *file, const struct measurement *measurement);
bool report_churn_json(const char *file, const struct churning *churning);

#endif
