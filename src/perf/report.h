/* SPDX-License-Identifier: Apache-2.0 */
/* What is said at the end: a table for people, an object for programs. */
#ifndef PERF_REPORT_H
#define PERF_REPORT_H

#include <stdio.h>

struct churning;
struct measurement;
struct options;

void report_table(FILE *out, const struct measurement *measurement);

/* The same, with every sample, as JSON to FILE (- is standard output), as options have it. False when it
 * cannot be written, which is printed. */
bool report_json(const struct measurement *measurement, const char *file);

#endif
