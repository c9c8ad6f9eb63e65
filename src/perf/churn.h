/* SPDX-License-Identifier: Apache-2.0 */
/* --churn: connections, channels, queues or bindings that are opened and closed again, as fast as it goes or
 * at a rate. */
#ifndef PERF_CHURN_H
#define PERF_CHURN_H

#include <stdint.h>

#include "samples.h"

struct options;

/* What it gave. In samples, `sent` are cycles a second. */
struct churning {
    const struct options *options;
    uint64_t cycles; /* opened and closed */
    double seconds, cpu_seconds;
    struct quantiles latency; /* of a cycle */
    struct samples samples;
};

/* Run as OPTIONS say: --producers at once, each at --rate, --pmessages times, for --time. Fill in OUT, to be
 * freed also after a failure. Returns an exit code; what went wrong is printed. */
int churn(const struct options *options, struct churning *out);

void churning_free(struct churning *churning);

#endif
