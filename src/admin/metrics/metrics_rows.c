/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_rows.h. */
#include "metrics_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MS_PER_S 1000.0

void metric_rows_take(struct metric_rows *rows, const char *labels, const uint64_t *figures)
{
    struct metric_row *row;

    if (rows->is_summed) {
        for (unsigned i = 0; i < rows->figures; i++) {
            rows->sums[i] += figures[i];
            if (figures[i] > rows->largest[i])
                rows->largest[i] = figures[i];
        }
        return;
    }
    row = arena_alloc(&rows->arena, sizeof *row + rows->figures * sizeof *figures);
    row->next = NULL;
    row->labels = labels;
    memcpy(row->figures, figures, rows->figures * sizeof *figures);
    if (rows->last)
        rows->last->next = row;
    else
        rows->first = row;
    rows->last = row;
}

static void put_sum(struct metrics_text *text, const struct metric_rows *rows, const struct metric_line *line)
{
    const char *label = line->label ? line->label : "";

    if (line->shape == METRIC_LARGEST)
        metrics_put_real(text, label, (double)rows->largest[line->figure] / MS_PER_S);
    else
        metrics_put(text, label, rows->sums[line->figure]);
}

static void put_one(struct metrics_text *text, const char *labels, const struct metric_line *line,
                    uint64_t value)
{
    switch (line->shape) {
    case METRIC_PLAIN:
        metrics_put(text, labels, value);
        break;
    case METRIC_LARGEST:
        metrics_put_real(text, labels, (double)value / MS_PER_S);
        break;
    case METRIC_NO_TIME:
        metrics_put_real(text, labels, (double)NAN);
        break;
    case METRIC_RARE:
        if (value)
            metrics_put(text, labels, value);
        break;
    }
}

#define LABELS_MAX 4096

static void put_each(struct metrics_text *text, const struct metric_rows *rows,
                     const struct metric_line *line)
{
    char labels[LABELS_MAX];

    for (const struct metric_row *row = rows->first; row && !text->is_gone; row = row->next) {
        if (line->label && (line->shape != METRIC_RARE || row->figures[line->figure])) {
            snprintf(labels, sizeof labels, "%s,%s", row->labels, line->label);
            put_one(text, labels, line, row->figures[line->figure]);
        } else {
            put_one(text, row->labels, line, row->figures[line->figure]);
        }
    }
}

void metric_rows_put(struct metrics_text *text, const struct metric_rows *rows,
                     const struct metric_line *lines, unsigned families)
{
    const char *before = "";

    for (const struct metric_line *line = lines; line->name; line++) {
        if (!(line->families & families) || (rows->is_summed && line->shape == METRIC_NO_TIME))
            continue;
        if (strcmp(line->name, before) != 0)
            metrics_family(text, line->type, line->name, line->help);
        before = line->name;
        if (rows->is_summed)
            put_sum(text, rows, line);
        else
            put_each(text, rows, line);
    }
}

void metric_rows_clear(struct metric_rows *rows)
{
    arena_clear(&rows->arena);
    rows->first = rows->last = NULL;
}
