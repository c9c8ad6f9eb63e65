/* SPDX-License-Identifier: Apache-2.0 */
/* curves.h: coneyperf(1) says what the JSON looks like. Texts are the JSON's, which outlives the chart. */
#include "curves.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "chart.h"
#include "coney/xalloc.h"
#include "options.h"

#define POINTS_MAX 100000 /* of a line */

static int refuse(const char *text)
{
    fprintf(stderr, "coneyperf chart: standard input: %s\n", text);
    return EXIT_USE;
}

static bool is_array(const json_t *array, size_t most, const char *what, json_error_t *error)
{
    if (json_is_array(array) && json_array_size(array) <= most)
        return true;
    snprintf(error->text, sizeof error->text, "\"%s\" is not an array of %zu at most", what, most);
    return false;
}

static bool take_points(struct chart_line *line, json_t *points, json_error_t *error)
{
    if (!is_array(points, POINTS_MAX, "points", error))
        return false;
    line->points = xcalloc(json_array_size(points) + 1, sizeof *line->points);
    for (; line->count < json_array_size(points); line->count++) {
        struct chart_point *point = &line->points[line->count];

        if (json_unpack_ex(json_array_get(points, line->count), error, JSON_STRICT, "[FF]", &point->x,
                           &point->y) < 0)
            return false;
        if (point->x < 0) {
            snprintf(error->text, sizeof error->text, "a point's first number is negative");
            return false;
        }
    }
    return true;
}

static bool take_panel(struct chart_panel *panel, json_t *object, json_error_t *error)
{
    json_t *lines, *points;
    int is_logarithmic = 0;

    if (json_unpack_ex(object, error, JSON_STRICT, "{s:s, s?b, s:o}", "name", &panel->y.name, "logarithmic",
                       &is_logarithmic, "lines", &lines) < 0)
        return false;
    panel->y.is_logarithmic = is_logarithmic;
    if (!is_array(lines, CHART_LINES_MAX, "lines", error))
        return false;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        struct chart_line *line = &panel->lines[panel->line_count++];

        line->colour = chart_colour(i);
        if (json_unpack_ex(json_array_get(lines, i), error, JSON_STRICT, "{s:s, s:o}", "name", &line->name,
                           "points", &points) < 0 ||
            !take_points(line, points, error))
            return false;
    }
    return true;
}

static bool take_chart(struct chart *chart, json_t *object, json_error_t *error)
{
    json_t *panels;
    int is_logarithmic = 0;

    if (json_unpack_ex(object, error, JSON_STRICT, "{s:s, s:{s:s, s?b}, s:o}", "title", &chart->title, "x",
                       "name", &chart->x.name, "logarithmic", &is_logarithmic, "panels", &panels) < 0)
        return false;
    chart->x.is_logarithmic = is_logarithmic;
    if (!is_array(panels, CHART_PANELS_MAX, "panels", error))
        return false;
    for (size_t i = 0; i < json_array_size(panels); i++)
        if (!take_panel(&chart->panels[chart->panel_count++], json_array_get(panels, i), error))
            return false;
    return true;
}

int curves(int argc, char **argv)
{
    struct chart chart = {0};
    json_error_t error;
    json_t *object;
    int code;

    if (argc != 1 || argv[0][0] == '-') {
        fputs("Usage: coneyperf chart FILE\n"
              "Draws the points in the JSON on standard input. coneyperf(1) says what that is.\n",
              argc == 1 && strcmp(argv[0], "--help") == 0 ? stdout : stderr);
        return argc == 1 && strcmp(argv[0], "--help") == 0 ? EXIT_DONE : EXIT_USE;
    }
    object = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
    if (object && take_chart(&chart, object, &error))
        code = chart_write(argv[0], &chart) ? EXIT_DONE : EXIT_USE;
    else
        code = refuse(error.text);
    chart_free(&chart);
    json_decref(object);
    return code;
}
