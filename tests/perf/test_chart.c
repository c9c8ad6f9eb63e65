/* SPDX-License-Identifier: Apache-2.0 */
/* Charts: sound, self-contained, and safe whatever the title is. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/chart.h"
#include "perf/samples.h"

static struct samples make_samples(unsigned count)
{
    struct samples samples;

    samples_init(&samples, 0);
    for (unsigned i = 0; i < count; i++) {
        struct sample sample = {.at = i + 1, .sent = 1000.0 * i, .received = 900.0 * i};

        sample.latency = (struct quantiles){.count = i,
                                            .min = 1000,
                                            .median = 50000,
                                            .p75 = 60000,
                                            .p95 = 900000,
                                            .p99 = 5000000,
                                            .max = 70000000};
        samples_add(&samples, &sample);
    }
    return samples;
}

static char *draw(bool is_html, const struct chart *chart)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    cr_assert_not_null(out);
    if (is_html)
        chart_html(out, chart);
    else
        chart_svg(out, chart);
    fclose(out);
    return text;
}

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;

    for (; (text = strstr(text, word)); text++)
        count++;
    return count;
}

Test(chart, has_a_point_for_each_value)
{
    struct samples samples = make_samples(10);
    struct chart chart = {.title = "run"};
    char *text;

    chart_add_samples(&chart, &samples, false);
    text = draw(false, &chart);
    cr_expect_eq(strncmp(text, "<svg ", 5), 0);
    cr_expect_str_eq(text + strlen(text) - 7, "</svg>\n");
    /* Ten of sent and of received; nine with a latency, of four lines; confirms were none. */
    cr_expect_eq(count_of(text, "<circle"), 2 * 10 + 4 * 9);
    cr_expect_eq(count_of(text, "confirm"), 0);
    cr_expect_not_null(strstr(text, "100 ms"), "the axis reaches the largest");
    cr_expect_null(strstr(text, "nan"));
    free(text);
    chart_free(&chart);
    samples_free(&samples);
}

Test(chart, escapes_what_it_is_given)
{
    struct samples samples = make_samples(2);
    struct chart chart = {.title = "<script>alert(\"&\")</script>\033", .summary = "</pre><b>"};
    char *text;

    chart_add_samples(&chart, &samples, false);
    text = draw(true, &chart);
    cr_expect_null(strstr(text, "<script"));
    cr_expect_null(strstr(text, "<b>"));
    cr_expect_null(strchr(text, '\033'));
    cr_expect_not_null(strstr(text, "&lt;script&gt;alert(&quot;&amp;&quot;)"));
    cr_expect_null(strstr(text, "src="));
    cr_expect_null(strstr(text, "href="));
    free(text);
    chart_free(&chart);
    samples_free(&samples);
}

Test(chart, may_be_empty)
{
    struct samples samples = make_samples(0), one = make_samples(1);
    struct chart chart = {.title = "run"}, of_one = {.title = "run"};
    char *text;

    chart_add_samples(&chart, &samples, true);
    text = draw(false, &chart);
    cr_expect_eq(count_of(text, "<circle"), 0);
    free(text);
    chart_add_samples(&of_one, &one, true);
    text = draw(true, &of_one);
    cr_expect_null(strstr(text, "nan"));
    cr_expect_null(strstr(text, "inf"));
    free(text);
    chart_free(&chart);
    chart_free(&of_one);
    samples_free(&samples);
    samples_free(&one);
}

/* Where the INDEX-th point is. */
static void find_point(const char *text, unsigned index, double *x, double *y)
{
    for (text = strstr(text, "<circle"); index--;)
        text = strstr(text + 1, "<circle");
    cr_assert_eq(sscanf(text, "<circle cx=\"%lf\" cy=\"%lf\"", x, y), 2);
}

Test(chart, puts_powers_of_ten_and_nothing_at_equal_distances)
{
    struct chart_point points[] = {{0, 5}, {10, 10}, {100, -1}, {1000, 0}};
    struct chart chart = {.title = "run", .x = {.name = "queues", .is_logarithmic = true}, .panel_count = 1};
    double x[3], y[3];
    char *text;

    chart.panels[0] = (struct chart_panel){
        .y = {.name = "rate"}, .lines = {{"line", chart_colour(0), points, 4}}, .line_count = 1};
    text = draw(false, &chart);
    for (unsigned i = 0; i < 3; i++)
        find_point(text, i, &x[i], &y[i]);
    /* 0, 10, 100, 1000: one of them has no value, and breaks the line. */
    cr_expect_float_eq((x[1] - x[0]) * 2, x[2] - x[1], 0.3);
    cr_expect_float_eq(y[2] - y[0], y[0] - y[1], 0.3);
    cr_expect_eq(count_of(text, "<circle"), 3);
    cr_expect_eq(count_of(text, "queues</text>"), 1);
    cr_expect_eq(count_of(text, ">1 k</text>"), 1);
    free(text);
}

Test(chart, has_round_steps)
{
    cr_expect_float_eq(chart_step(100, 10), 10, 1e-9);
    cr_expect_float_eq(chart_step(101, 10), 20, 1e-9);
    cr_expect_float_eq(chart_step(450, 10), 50, 1e-9);
    cr_expect_float_eq(chart_step(600, 10), 100, 1e-9);
    cr_expect_float_eq(chart_step(0, 10), 1, 1e-9);
    for (int i = 0; i < 100; i++) {
        double top = 0.001 * pow(1.37, i), step = chart_step(top, 6);

        cr_assert(step * 6 >= top * 0.999999 && step < top, "%g: %g", top, step);
    }
}
