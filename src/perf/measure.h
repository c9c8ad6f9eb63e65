/* SPDX-License-Identifier: Apache-2.0 */
/* A run: publishers and consumers, from the first connection to the figures. */
#ifndef PERF_MEASURE_H
#define PERF_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "samples.h"

struct options;

/* What a run gave. */
struct measurement {
    const struct options *options;
    struct totals totals;
    struct samples samples;
    unsigned publishers, consumers, queues, copies;
    unsigned connections;
    double declare_seconds; /* until exchange and queues were there */
    double connect_seconds; /* until all connections, channels and consumers were */
    double publish_seconds; /* from the begin until the broker had taken in the last message */
    double consume_seconds; /* from the begin (of consuming, with --drain) until the last one was received */
    double cpu_seconds;     /* that the workers took, connecting included */
    uint64_t lost;          /* with --check */
    bool is_complete;       /* as many were received as were published */
    struct quantiles since_sent, since_due, confirms;
};

/* Run as OPTIONS say, printing progress; fill in OUT, to be freed also after a failure. Returns an exit code;
 * what went wrong is printed. */
int measure(const struct options *options, struct measurement *out);

void measurement_free(struct measurement *measurement);

#endif
