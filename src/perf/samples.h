/* SPDX-License-Identifier: Apache-2.0 */
/* What happened in each interval of a run: for the progress line, the chart and the JSON. */
#ifndef PERF_SAMPLES_H
#define PERF_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

/* Sums over all workers. */
struct totals {
    uint64_t sent, confirmed, nacked, returned;
    uint64_t received, redelivered, octets;
    uint64_t duplicated, reordered, damaged, foreign;
    uint64_t again, blocked;
    uint64_t last_sent, last_done, last_received; /* ns; the latest; 0: never */
    uint64_t publishers_ready, publishers_done, consumers_ready, consumers_done;
    uint64_t links_open, links_closed;
};

struct sample {
    double at;                        /* s since the begin: the interval's end */
    double sent, received, confirmed; /* a second */
    struct quantiles latency;         /* since due, if there is a rate; else since sent */
    struct quantiles confirm;
};

struct samples {
    struct sample *list; /* owned */
    size_t count, room;
    /* What the last sample saw. */
    uint64_t last_at;
    struct totals last;
    struct histogram *last_latency, *last_confirms;
};

struct load;

struct totals load_totals(const struct load *load);

/* All that workers recorded of one kind, in OUT, which is cleared first. */
enum recorded { RECORDED_SENT, RECORDED_DUE, RECORDED_CONFIRMS };
void load_recorded(const struct load *load, enum recorded which, struct histogram *out);

void samples_init(struct samples *samples, uint64_t now);
void samples_free(struct samples *samples);

/* Draw a sample of what happened since the last one; it is the list's. */
const struct sample *samples_draw(struct samples *samples, const struct load *load, uint64_t now);

/* Append a sample that was made elsewhere. */
struct sample *samples_add(struct samples *samples, const struct sample *sample);

#endif
