/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' text format, 0.0.4: families, each told once and with all its samples together, written as they
 * come into the answer of a request, which is sent in parts.
 *
 * A label's text is what stands between the braces, without them: `vhost="/",queue="a"`; empty: no labels.
 */
#ifndef ADMIN_METRICS_TEXT_H
#define ADMIN_METRICS_TEXT_H

#include "admin/http/request.h"
#include "coney/arena.h"

enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_UNTYPED, METRIC_HISTOGRAM, METRIC_SUMMARY };

#define METRIC_NAME_MAX 120
#define METRIC_BUFFER   ((size_t)64 << 10)

struct metrics_text {
    struct request *request;
    const char *prefix;         /* of the families that follow: "rabbitmq_" */
    char name[METRIC_NAME_MAX]; /* of the family that was begun last */
    size_t name_size;
    size_t used;
    uint64_t written; /* octets, all in all */
    bool is_gone;     /* the client: nothing is written any more */
    char buffer[METRIC_BUFFER];
};

/* Begin a family called PREFIX and NAME. */
void metrics_family(struct metrics_text *text, enum metric_type type, const char *name, const char *help);

/* A sample of it. */
void metrics_put(struct metrics_text *text, const char *labels, uint64_t value);
void metrics_put_real(struct metrics_text *text, const char *labels, double value); /* NaN too */
/* ... whose name has SUFFIX: "_bucket". */
void metrics_put_suffixed(struct metrics_text *text, const char *suffix, const char *labels, double value);

/* A family of one sample without labels. */
void metrics_one(struct metrics_text *text, enum metric_type type, const char *name, const char *help,
                 uint64_t value);
void metrics_one_real(struct metrics_text *text, enum metric_type type, const char *name, const char *help,
                      double value);

/* What is buffered goes to the answer. */
void metrics_flush(struct metrics_text *text);

/* NAME="VALUE", escaped; what is no UTF-8, and NUL, becomes U+FFFD and two digits, so that different names
 * stay different. BEFORE, which may be empty, stands in front, with a comma. The arena's. */
const char *metrics_label(struct arena *arena, const char *before, const char *name, struct bytes value);

#endif
