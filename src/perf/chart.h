/* SPDX-License-Identifier: Apache-2.0 */
/* Rates and latencies over time as a picture: SVG, or HTML with the SVG in it. It needs nothing else, no
 * script either. */
#ifndef PERF_CHART_H
#define PERF_CHART_H

#include <stdbool.h>
#include <stdio.h>

struct samples;

/* What the chart says besides. */
struct chart {
    const char *title;   /* escaped here */
    const char *summary; /* lines of text below it, in HTML; NULL: none */
    bool is_churn;       /* `sent` are cycles */
};

void chart_svg(FILE *out, const struct chart *chart, const struct samples *samples);
void chart_html(FILE *out, const struct chart *chart, const struct samples *samples);

/* Write it to FILE, as its name's end says: .html or .htm, else SVG. False when it cannot be written, which
 * is printed. */
bool chart_write(const char *file, const struct chart *chart, const struct samples *samples);

/* A round step of an axis that reaches TOP: 1, 2 or 5 times a power of ten, such that there are at most
 * MARKS. */
double chart_step(double top, unsigned marks);

#endif
