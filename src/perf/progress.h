/* SPDX-License-Identifier: Apache-2.0 */
/* The line that tells how a run goes: on a terminal always the same one, elsewhere one for each sample. */
#ifndef PERF_PROGRESS_H
#define PERF_PROGRESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct options;
struct sample;

/* Where people look: standard output, unless the JSON goes there. */
FILE *progress_stream(const struct options *options);

void progress_show(const struct options *options, const struct sample *sample);

/* The line is not rewritten any more. */
void progress_end(const struct options *options);

/* A duration of NS with three digits or more and its unit: "812 ns", "1.23 ms". */
#define DURATION_SIZE 24
char *duration_text(char out[DURATION_SIZE], uint64_t ns);

#endif
