/* SPDX-License-Identifier: Apache-2.0 */
/* chart.h, of a run: rates on a linear axis from 0, latencies on a logarithmic one, both over time. */
#include "chart.h"
#include "coney/xalloc.h"
#include "samples.h"

/* A line: what of a sample it shows. */
struct series {
    const char *name;
    size_t colour;
    double (*value)(const struct sample *sample); /* negative: nothing */
};

static double sent_of(const struct sample *sample)
{
    return sample->sent;
}

static double received_of(const struct sample *sample)
{
    return sample->received;
}

static double confirmed_of(const struct sample *sample)
{
    return sample->confirmed;
}

static double median_of(const struct sample *sample)
{
    return sample->latency.count ? (double)sample->latency.median : -1;
}

static double p95_of(const struct sample *sample)
{
    return sample->latency.count ? (double)sample->latency.p95 : -1;
}

static double p99_of(const struct sample *sample)
{
    return sample->latency.count ? (double)sample->latency.p99 : -1;
}

static double max_of(const struct sample *sample)
{
    return sample->latency.count ? (double)sample->latency.max : -1;
}

static double confirm_of(const struct sample *sample)
{
    return sample->confirm.count ? (double)sample->confirm.p99 : -1;
}

static const struct series rates[] = {
    {"sent", 0, sent_of}, {"received", 1, received_of}, {"confirmed", 2, confirmed_of}};
static const struct series cycles[] = {{"cycles", 0, sent_of}};
static const struct series latencies[] = {{"median", 0, median_of},
                                          {"95th", 2, p95_of},
                                          {"99th", 1, p99_of},
                                          {"max", 3, max_of},
                                          {"99th of confirms", 4, confirm_of}};

static void add_panel(struct chart *chart, struct chart_axis y, const struct series *series, size_t count,
                      const struct samples *samples)
{
    struct chart_panel *panel = &chart->panels[chart->panel_count++];

    panel->y = y;
    panel->line_count = count;
    for (size_t s = 0; s < count; s++) {
        struct chart_line *line = &panel->lines[s];

        *line = (struct chart_line){.name = series[s].name, .colour = chart_colour(series[s].colour)};
        line->points = xcalloc(samples->count + 1, sizeof *line->points);
        for (; line->count < samples->count; line->count++) {
            const struct sample *sample = &samples->list[line->count];

            line->points[line->count] = (struct chart_point){sample->at, series[s].value(sample)};
        }
    }
}

void chart_add_samples(struct chart *chart, const struct samples *samples, bool is_churn)
{
    struct chart_axis latency = {"latency", CHART_NS, true};

    chart->x = (struct chart_axis){.unit = CHART_SECONDS};
    if (is_churn)
        add_panel(chart, (struct chart_axis){"cycles a second", CHART_PER_SECOND, false}, cycles,
                  sizeof cycles / sizeof *cycles, samples);
    else
        add_panel(chart, (struct chart_axis){"messages a second", CHART_PER_SECOND, false}, rates,
                  sizeof rates / sizeof *rates, samples);
    add_panel(chart, latency, latencies, sizeof latencies / sizeof *latencies, samples);
}
