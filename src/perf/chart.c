/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chart.h: two panels over the same time, rates on a linear axis from 0, latencies on a logarithmic one.
 * Colours are those of a palette that the colour-blind tell apart, and each line is named at the legend by
 * its own colour.
 */
#include "chart.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "progress.h"
#include "samples.h"

#define WIDTH       960
#define LEFT        80
#define RIGHT       (WIDTH - 20)
#define TOP_RATES   60
#define TOP_LATENCY 330
#define TALL        200
#define HEIGHT      (TOP_LATENCY + TALL + 50)
#define MARKS       6

/* A line: what of a sample it shows. */
struct series {
    const char *name, *colour;
    double (*value)(const struct sample *sample); /* negative: nothing */
};

struct axis {
    double low, high; /* logarithms, if it is logarithmic */
    bool is_logarithmic;
    int top; /* pixels */
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

static const struct series rates[] = {{"sent", "#0072b2", sent_of},
                                      {"received", "#d55e00", received_of},
                                      {"confirmed", "#009e73", confirmed_of}};
static const struct series cycles[] = {{"cycles", "#0072b2", sent_of}};
static const struct series latencies[] = {{"median", "#0072b2", median_of},
                                          {"95th", "#009e73", p95_of},
                                          {"99th", "#d55e00", p99_of},
                                          {"max", "#999999", max_of},
                                          {"99th of confirms", "#cc79a7", confirm_of}};

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            if ((unsigned char)*text >= ' ' || *text == '\n')
                fputc(*text, out);
        }
    }
}

double chart_step(double top, unsigned marks)
{
    double step = pow(10, floor(log10(top / marks)));

    if (!(top > 0) || !isfinite(step))
        return 1;
    if (step * marks >= top)
        return step;
    if (step * 2 * marks >= top)
        return step * 2;
    return step * 5 * marks >= top ? step * 5 : step * 10;
}

/* ---- places ---- */

static double duration_of(const struct samples *samples)
{
    return samples->count ? samples->list[samples->count - 1].at : 1;
}

static double x_of(double at, double duration)
{
    return LEFT + (RIGHT - LEFT) * (duration > 0 ? at / duration : 0);
}

static double y_of(double value, const struct axis *axis)
{
    double place = axis->is_logarithmic ? log10(value > 1 ? value : 1) : value;

    return axis->top + TALL - TALL * (place - axis->low) / (axis->high - axis->low);
}

/* The least and the greatest value of SERIES over all samples; false when there is none. */
static bool range_of(const struct series *series, size_t count, const struct samples *samples, double *low,
                     double *high)
{
    bool is_found = false;

    *low = *high = 0;
    for (size_t s = 0; s < count; s++) {
        for (size_t i = 0; i < samples->count; i++) {
            double value = series[s].value(&samples->list[i]);

            if (value < 0)
                continue;
            *low = !is_found || value < *low ? value : *low;
            *high = !is_found || value > *high ? value : *high;
            is_found = true;
        }
    }
    return is_found;
}

/* ---- drawing ---- */

static void put_text(FILE *out, double x, double y, const char *anchor, const char *colour, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">", x, y, anchor, colour);
    put_escaped(out, text);
    fputs("</text>\n", out);
}

static void put_grid_line(FILE *out, double y, const char *text)
{
    fprintf(out, "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>\n", LEFT, y, RIGHT);
    put_text(out, LEFT - 8, y + 4, "end", "#444", text);
}

static void put_rate_marks(FILE *out, const struct axis *axis)
{
    double step = chart_step(axis->high, MARKS);
    char text[32];

    for (unsigned i = 0; step * i <= axis->high * 1.0001; i++) {
        double value = step * i;

        if (step >= 1e6 || (step >= 1e5 && axis->high >= 1e6))
            snprintf(text, sizeof text, "%.1f M", value / 1e6);
        else if (step >= 1e3)
            snprintf(text, sizeof text, "%.0f k", value / 1e3);
        else
            snprintf(text, sizeof text, "%g", value);
        put_grid_line(out, y_of(value, axis), text);
    }
}

static void put_latency_marks(FILE *out, const struct axis *axis)
{
    for (int power = (int)axis->low; power <= (int)axis->high; power++) {
        static const char *const units[] = {"ns", "us", "ms", "s"};
        int unit = power / 3 < 4 ? power / 3 : 3;
        char text[32];

        snprintf(text, sizeof text, "%.0f %s", pow(10, power - unit * 3), units[unit]);
        put_grid_line(out, axis->top + TALL - TALL * (power - axis->low) / (axis->high - axis->low), text);
    }
}

static void put_time_marks(FILE *out, double duration, int top)
{
    double step = chart_step(duration, 10);
    char text[32];

    for (unsigned i = 0; step * i <= duration * 1.0001; i++) {
        double x = x_of(step * i, duration);

        fprintf(out, "<path d=\"M%.1f %dv5\" stroke=\"#444\"/>\n", x, top + TALL);
        snprintf(text, sizeof text, "%g s", step * i);
        put_text(out, x, top + TALL + 20, "middle", "#444", text);
    }
}

/* The line, broken where there is nothing; each point says its value to whoever points at it. */
static void put_line(FILE *out, const struct series *series, const struct samples *samples,
                     const struct axis *axis)
{
    double duration = duration_of(samples);
    bool is_down = false;

    fprintf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"", series->colour);
    for (size_t i = 0; i < samples->count; i++) {
        double value = series->value(&samples->list[i]);

        if (value >= 0)
            fprintf(out, "%c%.1f %.1f", is_down ? 'L' : 'M', x_of(samples->list[i].at, duration),
                    y_of(value, axis));
        is_down = value >= 0;
    }
    fputs("\"/>\n", out);
    for (size_t i = 0; i < samples->count; i++) {
        double value = series->value(&samples->list[i]);
        char text[DURATION_SIZE];

        if (value < 0)
            continue;
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"><title>%.1f s: %s ",
                x_of(samples->list[i].at, duration), y_of(value, axis), series->colour, samples->list[i].at,
                series->name);
        if (axis->is_logarithmic)
            fputs(duration_text(text, (uint64_t)value), out);
        else
            fprintf(out, "%.0f/s", value);
        fputs("</title></circle>\n", out);
    }
}

static void put_panel(FILE *out, const char *name, const struct series *series, size_t count,
                      const struct samples *samples, struct axis axis)
{
    double low, high, x = RIGHT;

    if (!range_of(series, count, samples, &low, &high))
        return;
    if (axis.is_logarithmic) {
        axis.low = floor(log10(low > 1 ? low : 1));
        axis.high = ceil(log10(high > 1 ? high : 1));
        if (axis.high <= axis.low)
            axis.high = axis.low + 1;
        put_latency_marks(out, &axis);
    } else {
        axis.high = high > 0 ? chart_step(high, MARKS) * ceil(high / chart_step(high, MARKS)) : 1;
        put_rate_marks(out, &axis);
    }
    put_text(out, LEFT, axis.top - 12, "start", "#000", name);
    put_time_marks(out, duration_of(samples), axis.top);
    for (size_t s = count; s--;) {
        if (!range_of(&series[s], 1, samples, &low, &high) || high <= 0)
            continue; /* nothing of this kind was measured */
        put_line(out, &series[s], samples, &axis);
        put_text(out, x, axis.top - 12, "end", series[s].colour, series[s].name);
        x -= 30 + 7.0 * (double)strlen(series[s].name);
    }
}

void chart_svg(FILE *out, const struct chart *chart, const struct samples *samples)
{
    struct axis rate_axis = {.top = TOP_RATES}, latency_axis = {.is_logarithmic = true, .top = TOP_LATENCY};

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            WIDTH, HEIGHT);
    fprintf(out, "<title>");
    put_escaped(out, chart->title);
    fprintf(out, "</title>\n<g font-size=\"16\">");
    put_text(out, LEFT, 24, "start", "#000", chart->title);
    fputs("</g>\n", out);
    if (chart->is_churn)
        put_panel(out, "cycles a second", cycles, sizeof cycles / sizeof *cycles, samples, rate_axis);
    else
        put_panel(out, "messages a second", rates, sizeof rates / sizeof *rates, samples, rate_axis);
    put_panel(out, "latency", latencies, sizeof latencies / sizeof *latencies, samples, latency_axis);
    fputs("</svg>\n", out);
}

void chart_html(FILE *out, const struct chart *chart, const struct samples *samples)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>", out);
    put_escaped(out, chart->title);
    fputs("</title>\n<style>body { margin: 2em auto; max-width: 70em; font-family: sans-serif }\n"
          "svg { width: 100%; height: auto } pre { white-space: pre-wrap }</style>\n</head>\n<body>\n",
          out);
    chart_svg(out, chart, samples);
    if (chart->summary) {
        fputs("<pre>", out);
        put_escaped(out, chart->summary);
        fputs("</pre>\n", out);
    }
    fputs("</body>\n</html>\n", out);
}

static bool is_html(const char *file)
{
    const char *dot = strrchr(file, '.');

    return dot && (strcmp(dot, ".html") == 0 || strcmp(dot, ".htm") == 0);
}

bool chart_write(const char *file, const struct chart *chart, const struct samples *samples)
{
    FILE *out = fopen(file, "we");
    bool is_written;

    if (out) {
        if (is_html(file))
            chart_html(out, chart, samples);
        else
            chart_svg(out, chart, samples);
    }
    is_written = out && !ferror(out);
    if (out && fclose(out) != 0)
        is_written = false;
    if (!is_written)
        fprintf(stderr, "coneyperf: %s: %s\n", file, strerror(errno));
    return is_written;
}
