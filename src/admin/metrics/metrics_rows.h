/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of many things of a kind, such as queues: a row for each, or, where only their sums are wanted,
 * those alone. What to make of them says a table of lines.
 */
#ifndef ADMIN_METRICS_ROWS_H
#define ADMIN_METRICS_ROWS_H

#include "metrics_text.h"

#define METRIC_FIGURES_MAX 36

enum metric_shape {
    METRIC_PLAIN,
    METRIC_LARGEST, /* summed up it is the largest, of ages in ms */
    METRIC_NO_TIME, /* NaN for each; no sum */
    METRIC_RARE,    /* left out of a row where it is 0 */
};

/* One family. */
struct metric_line {
    unsigned families; /* enum metrics_family: any of these asks for it */
    unsigned figure;   /* of the rows */
    enum metric_type type;
    const char *name, *help;
    enum metric_shape shape;
    const char *label; /* one more, of this line alone: lines of one name follow each other; NULL: none */
};

#define METRIC_LINE(families, figure, type, name, help)        \
    {                                                          \
        families, figure, type, name, help, METRIC_PLAIN, NULL \
    }
#define METRIC_SHAPED(families, figure, type, name, help, shape, label) \
    {                                                                   \
        families, figure, type, name, help, shape, label                \
    }
#define METRIC_LINES_END METRIC_LINE(0, 0, METRIC_GAUGE, NULL, NULL)

struct metric_row {
    struct metric_row *next;
    const char *labels;
    uint64_t figures[];
};

/* Zeroed but for the first two: empty. */
struct metric_rows {
    unsigned figures;
    bool is_summed;
    struct arena arena;
    struct metric_row *first, *last;
    uint64_t sums[METRIC_FIGURES_MAX], largest[METRIC_FIGURES_MAX];
};

/* Take what stands in FIGURES; LABELS are the arena's, and not looked at in sums. */
void metric_rows_take(struct metric_rows *rows, const char *labels, const uint64_t *figures);

/* Write those of LINES, ended by a NULL name, that any of FAMILIES asks for. */
void metric_rows_put(struct metrics_text *text, const struct metric_rows *rows,
                     const struct metric_line *lines, unsigned families);

void metric_rows_clear(struct metric_rows *rows);

#endif
