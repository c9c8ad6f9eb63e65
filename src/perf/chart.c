/* SPDX-License-Identifier: Apache-2.0 */
/* chart.h: drawing. Each line is named at the legend by its own colour. */
#include "chart.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

#define WIDTH      960
#define LEFT       80
#define RIGHT      (WIDTH - 20)
#define TOP        60
#define TALL       200
#define PANEL_TALL 270 /* from one panel's top to the next one's */
#define MARKS      6
#define MARKS_X    10
#define TEXT_SIZE  40

/* An axis in place: values, or their logarithms, from LOW to HIGH lie between two pixels. */
struct scale {
    double low, high;
    double from, to;
    enum chart_unit unit;
    bool is_logarithmic;
    bool has_zero; /* on a logarithmic one: at LOW */
};

struct range {
    double least, greatest; /* of those above 0, and of all */
    bool has_zero, is_found;
};

const char *chart_colour(size_t index)
{
    static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#999999", "#cc79a7", "#e69f00"};

    return colours[index % (sizeof colours / sizeof *colours)];
}

void chart_free(struct chart *chart)
{
    for (size_t p = 0; p < chart->panel_count; p++)
        for (size_t l = 0; l < chart->panels[p].line_count; l++)
            free(chart->panels[p].lines[l].points);
    *chart = (struct chart){0};
}

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

static void note(struct range *range, double value)
{
    if (value > 0 && (range->least == 0 || value < range->least))
        range->least = value;
    if (value > range->greatest)
        range->greatest = value;
    range->has_zero |= value == 0;
    range->is_found = true;
}

static void note_line(struct range *x, struct range *y, const struct chart_line *line)
{
    for (size_t i = 0; i < line->count; i++) {
        note(x, line->points[i].x);
        if (line->points[i].y >= 0)
            note(y, line->points[i].y);
    }
}

static void note_panel(struct range *x, struct range *y, const struct chart_panel *panel)
{
    for (size_t l = 0; l < panel->line_count; l++)
        note_line(x, y, &panel->lines[l]);
}

/* The scale's ends: whole powers of ten, or from 0 to TOP. */
static void fit(struct scale *scale, const struct range *range, double top)
{
    if (!scale->is_logarithmic) {
        scale->high = top > 0 ? top : 1;
        return;
    }
    scale->has_zero = range->has_zero;
    scale->low = floor(range->least > 0 ? log10(range->least) : 0) - range->has_zero;
    scale->high = ceil(range->greatest > 0 ? log10(range->greatest) : 0);
    if (scale->high <= scale->low)
        scale->high = scale->low + 1;
}

static double place_of(const struct scale *scale, double value)
{
    double at = !scale->is_logarithmic ? value : value > 0 ? log10(value) : scale->low;

    return scale->from + (scale->to - scale->from) * (at - scale->low) / (scale->high - scale->low);
}

/* ---- drawing ---- */

static void put_text(FILE *out, double x, double y, const char *anchor, const char *colour, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">", x, y, anchor, colour);
    put_escaped(out, text);
    fputs("</text>\n", out);
}

/* VALUE as a mark, in thousands or millions where SIZE is of these. */
static void mark_text(char text[TEXT_SIZE], double value, enum chart_unit unit, double size)
{
    if (unit == CHART_SECONDS)
        snprintf(text, TEXT_SIZE, "%g s", value);
    else if (size >= 1e6 && value > 0)
        snprintf(text, TEXT_SIZE, "%g M", value / 1e6);
    else if (size >= 1e3 && value > 0)
        snprintf(text, TEXT_SIZE, "%g k", value / 1e3);
    else
        snprintf(text, TEXT_SIZE, "%g", value);
}

static void duration_mark_text(char text[TEXT_SIZE], int power)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int unit = power < 0 ? 0 : power / 3 < 4 ? power / 3 : 3;

    snprintf(text, TEXT_SIZE, "%g %s", pow(10, power - unit * 3), units[unit]);
}

typedef void put_mark_function(FILE *out, double place, const char *text, int top);

static void put_mark_y(FILE *out, double place, const char *text, int top)
{
    (void)top;
    fprintf(out, "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>\n", LEFT, place, RIGHT);
    put_text(out, LEFT - 8, place + 4, "end", "#444", text);
}

static void put_mark_x(FILE *out, double place, const char *text, int top)
{
    fprintf(out, "<path d=\"M%.1f %dv5\" stroke=\"#444\"/>\n", place, top + TALL);
    put_text(out, place, top + TALL + 20, "middle", "#444", text);
}

static void put_powers(FILE *out, const struct scale *scale, put_mark_function *put_mark, int top)
{
    char text[TEXT_SIZE];

    for (int power = (int)scale->low; power <= (int)scale->high; power++) {
        double value = pow(10, power);

        if (scale->has_zero && power == (int)scale->low)
            value = 0;
        if (scale->unit == CHART_NS && value > 0)
            duration_mark_text(text, power);
        else
            mark_text(text, value, scale->unit, value);
        put_mark(out, place_of(scale, value), text, top);
    }
}

static void put_marks(FILE *out, const struct scale *scale, put_mark_function *put_mark, unsigned marks,
                      int top)
{
    double step = chart_step(scale->high, marks), size = step;
    char text[TEXT_SIZE];

    if (scale->is_logarithmic) {
        put_powers(out, scale, put_mark, top);
        return;
    }
    if (step >= 1e5 && scale->high >= 1e6)
        size = 1e6;
    for (unsigned i = 0; step * i <= scale->high * 1.0001; i++) {
        mark_text(text, step * i, scale->unit, size);
        put_mark(out, place_of(scale, step * i), text, top);
    }
}

/* What is said of a point. */
static void put_value(FILE *out, double value, enum chart_unit unit)
{
    char text[DURATION_SIZE];

    switch (unit) {
    case CHART_SECONDS:
        fprintf(out, "%.1f s", value);
        break;
    case CHART_NS:
        fputs(duration_text(text, (uint64_t)value), out);
        break;
    case CHART_PER_SECOND:
        fprintf(out, "%.0f/s", value);
        break;
    case CHART_PLAIN:
        fprintf(out, value >= 100 ? "%.0f" : "%.3g", value);
        break;
    }
}

static void put_point(FILE *out, const struct chart_line *line, const struct chart_point *point,
                      const struct scale *x, const struct scale *y)
{
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"><title>", place_of(x, point->x),
            place_of(y, point->y), line->colour);
    put_value(out, point->x, x->unit);
    fputs(": ", out);
    put_escaped(out, line->name);
    fputc(' ', out);
    put_value(out, point->y, y->unit);
    fputs("</title></circle>\n", out);
}

/* The line, broken where there is nothing; each point says its value to whoever points at it. */
static void put_line(FILE *out, const struct chart_line *line, const struct scale *x, const struct scale *y)
{
    bool is_down = false;

    fprintf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"", line->colour);
    for (size_t i = 0; i < line->count; i++) {
        const struct chart_point *point = &line->points[i];

        if (point->y >= 0)
            fprintf(out, "%c%.1f %.1f", is_down ? 'L' : 'M', place_of(x, point->x), place_of(y, point->y));
        is_down = point->y >= 0;
    }
    fputs("\"/>\n", out);
    for (size_t i = 0; i < line->count; i++)
        if (line->points[i].y >= 0)
            put_point(out, line, &line->points[i], x, y);
}

static void put_lines(FILE *out, const struct chart_panel *panel, const struct scale *x,
                      const struct scale *y, int top)
{
    double place = RIGHT;

    for (size_t l = panel->line_count; l--;) {
        const struct chart_line *line = &panel->lines[l];
        struct range along = {0}, up = {0};

        note_line(&along, &up, line);
        if (up.greatest <= 0)
            continue; /* nothing of this kind was measured */
        put_line(out, line, x, y);
        put_text(out, place, top - 12, "end", line->colour, line->name);
        place -= 30 + 7.0 * (double)strlen(line->name);
    }
}

static void put_panel(FILE *out, const struct chart *chart, const struct chart_panel *panel,
                      const struct scale *x, int top)
{
    struct scale y = {
        .from = top + TALL, .to = top, .unit = panel->y.unit, .is_logarithmic = panel->y.is_logarithmic};
    struct range along = {0}, up = {0};
    double step;

    note_panel(&along, &up, panel);
    if (!up.is_found)
        return;
    step = chart_step(up.greatest, MARKS);
    fit(&y, &up, step * ceil(up.greatest / step));
    put_marks(out, &y, put_mark_y, MARKS, top);
    put_text(out, LEFT, top - 12, "start", "#000", panel->y.name);
    put_marks(out, x, put_mark_x, MARKS_X, top);
    if (chart->x.name)
        put_text(out, RIGHT, top + TALL + 36, "end", "#444", chart->x.name);
    put_lines(out, panel, x, &y, top);
}

void chart_svg(FILE *out, const struct chart *chart)
{
    struct scale x = {
        .from = LEFT, .to = RIGHT, .unit = chart->x.unit, .is_logarithmic = chart->x.is_logarithmic};
    struct range along = {0}, up = {0};

    for (size_t p = 0; p < chart->panel_count; p++)
        note_panel(&along, &up, &chart->panels[p]);
    fit(&x, &along, along.greatest);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            WIDTH, TOP + PANEL_TALL * (int)chart->panel_count - 20);
    fprintf(out, "<title>");
    put_escaped(out, chart->title);
    fprintf(out, "</title>\n<g font-size=\"16\">");
    put_text(out, LEFT, 24, "start", "#000", chart->title);
    fputs("</g>\n", out);
    for (size_t p = 0; p < chart->panel_count; p++)
        put_panel(out, chart, &chart->panels[p], &x, TOP + PANEL_TALL * (int)p);
    fputs("</svg>\n", out);
}

void chart_html(FILE *out, const struct chart *chart)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>", out);
    put_escaped(out, chart->title);
    fputs("</title>\n<style>body { margin: 2em auto; max-width: 70em; font-family: sans-serif }\n"
          "svg { width: 100%; height: auto } pre { white-space: pre-wrap }</style>\n</head>\n<body>\n",
          out);
    chart_svg(out, chart);
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

bool chart_write(const char *file, const struct chart *chart)
{
    FILE *out = fopen(file, "we");
    bool is_written;

    if (out) {
        if (is_html(file))
            chart_html(out, chart);
        else
            chart_svg(out, chart);
    }
    is_written = out && !ferror(out);
    if (out && fclose(out) != 0)
        is_written = false;
    if (!is_written)
        fprintf(stderr, "coneyperf: %s: %s\n", file, strerror(errno));
    return is_written;
}
