/* SPDX-License-Identifier: Apache-2.0 */
/* Lines over an axis, in panels one above the other, as a picture: SVG, or HTML with the SVG in it. It needs
 * nothing else, no script either. */
#ifndef PERF_CHART_H
#define PERF_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CHART_PANELS_MAX 4
#define CHART_LINES_MAX  6

struct samples;

enum chart_unit { CHART_PLAIN, CHART_PER_SECOND, CHART_SECONDS, CHART_NS };

struct chart_axis {
    const char *name; /* NULL: none */
    enum chart_unit unit;
    bool
        is_logarithmic; /* 0 has a place of its own then, below the least power of ten; else it begins at 0 */
};

struct chart_point {
    double x, y; /* x is not negative; y is, where there is nothing: the line is broken */
};

struct chart_line {
    const char *name, *colour;
    struct chart_point *points; /* owned, by chart_free() */
    size_t count;
};

struct chart_panel {
    struct chart_axis y;
    struct chart_line lines[CHART_LINES_MAX];
    size_t line_count;
};

struct chart {
    const char *title;   /* escaped here, as all texts */
    const char *summary; /* lines of text below it, in HTML; NULL: none */
    struct chart_axis x; /* of all panels */
    struct chart_panel panels[CHART_PANELS_MAX];
    size_t panel_count;
};

/* Colours that the colour-blind tell apart: of the INDEX-th line. */
const char *chart_colour(size_t index);

/* Have CHART show rates and latencies over time. IS_CHURN: what was sent are cycles. */
void chart_add_samples(struct chart *chart, const struct samples *samples, bool is_churn);

void chart_svg(FILE *out, const struct chart *chart);
void chart_html(FILE *out, const struct chart *chart);
void chart_free(struct chart *chart);

/* Write it to FILE, as its name's end says: .html or .htm, else SVG. False when it cannot be written, which
 * is printed. */
bool chart_write(const char *file, const struct chart *chart);

/* A round step of an axis that reaches TOP: 1, 2 or 5 times a power of ten, such that there are at most
 * MARKS. */
double chart_step(double top, unsigned marks);

#endif
