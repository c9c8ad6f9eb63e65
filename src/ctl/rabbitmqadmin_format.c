/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmqadmin's formats: table, tsv, long, kvp, bash, raw_json, pretty_json. Objects are flattened to
 * columns "a.b", to the depth that -d says, or wholly when columns are named.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coney/xalloc.h"
#include "rabbitmqadmin.h"
#include "terms.h"
#include "verbs.h"

struct grid {
    const char **columns;
    size_t count;
    const char *const *json_keys;
    size_t depth;
    const json_t *items;
};

static const char *format_name(const struct ctl *ctl)
{
    const char *name = option(ctl, "format");

    return name ? name : ctl->format == FORMAT_JSON ? "pretty_json" : "table";
}

bool admin_shows_default_columns(const struct ctl *ctl)
{
    return !has_option(ctl, "depth") && !strstr(format_name(ctl), "json");
}

/* --- values --------------------------------------------------------------------------------------------- */

static void put_dumped(struct buffer *out, const json_t *value)
{
    char *shown = json_dumps(value, JSON_ENSURE_ASCII | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

    put_text(out, shown ? shown : "");
    free(shown);
}

/* A list of words is shown as words, any other as JSON. */
static void put_items(struct buffer *out, const json_t *list)
{
    json_t *item;
    size_t i;
    bool is_words = true;

    json_array_foreach(list, i, item)
    {
        is_words &= json_is_string(item);
    }
    if (!is_words) {
        put_dumped(out, list);
        return;
    }
    json_array_foreach(list, i, item)
    {
        put_text(out, i ? " " : "");
        term_cell(out, item, TERM_PLAIN);
    }
}

static void put_value(struct buffer *out, const json_t *value)
{
    if (json_is_object(value))
        put_dumped(out, value);
    else if (json_is_array(value))
        put_items(out, value);
    else if (json_is_boolean(value))
        put_text(out, json_is_true(value) ? "True" : "False");
    else
        term_cell(out, value, TERM_PLAIN);
}

/* --- columns -------------------------------------------------------------------------------------------- */

static const char *const promoted[] = {
    "vhost", "name", "type", "source", "destination", "destination_type", "routing_key", NULL};

static size_t rank(const char *column)
{
    size_t at;

    for (at = 0; promoted[at]; at++)
        if (strcmp(promoted[at], column) == 0)
            break;
    return at;
}

static int by_rank(const void *one, const void *other)
{
    const char *a = *(const char *const *)one, *b = *(const char *const *)other;
    size_t rank_a = rank(a), rank_b = rank(b);

    return rank_a != rank_b ? (rank_a > rank_b) - (rank_a < rank_b) : strcmp(a, b);
}

static bool is_shown_as_json(const struct grid *grid, const char *key)
{
    return grid->json_keys && is_one_of(key, grid->json_keys);
}

/* Gather the columns of OBJECT, whose own name is PREFIX. */
static void collect_columns(struct ctl *ctl, const struct grid *grid, const char *prefix, size_t depth,
                            const json_t *object, json_t *into)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const char *name = *prefix ? text(ctl, "%s.%s", prefix, key) : key;

        if (json_is_object(value) && !is_shown_as_json(grid, key)) {
            if (depth < grid->depth)
                collect_columns(ctl, grid, name, depth + 1, value, into);
        } else if (!json_object_get(into, name)) {
            json_object_set_new(into, name, json_true());
        }
    }
}

static void all_columns(struct ctl *ctl, struct grid *grid)
{
    json_t *names = json_object(), *item, *value;
    const char *name;
    size_t i;

    json_array_foreach(grid->items, i, item)
    {
        collect_columns(ctl, grid, "", 1, item, names);
    }
    grid->columns = arena_alloc(&ctl->memory, (json_object_size(names) + 1) * sizeof *grid->columns);
    json_object_foreach(names, name, value)
    {
        grid->columns[grid->count++] = text(ctl, "%s", name);
    }
    qsort(grid->columns, grid->count, sizeof *grid->columns, by_rank);
    json_decref(names);
}

/* What OBJECT has in COLUMN, "a.b". */
static const json_t *find_cell(const json_t *object, const char *column)
{
    const json_t *value = json_object_get(object, column);

    for (const char *dot = strchr(column, '.'); !value && dot; dot = strchr(dot + 1, '.')) {
        const json_t *inner = json_object_getn(object, column, (size_t)(dot - column));

        if (json_is_object(inner))
            value = find_cell(inner, dot + 1);
    }
    return value;
}

static void put_cell(struct buffer *out, const struct grid *grid, const json_t *item, const char *column)
{
    const json_t *value = find_cell(item, column);

    if (json_is_object(value) && !is_shown_as_json(grid, column))
        return; /* its fields are columns of their own */
    put_value(out, value);
}

/* A column's name may be that of a header or property, which a client chose. */
static void put_name(struct buffer *out, const char *column)
{
    term_escape(out, column, strlen(column), TERM_ONE_LINE);
}

/* --- formats -------------------------------------------------------------------------------------------- */

static void put_repeated(struct buffer *out, char what, size_t count)
{
    memset(buffer_reserve(out, count), what, count);
    out->size += count;
}

static void put_bar(struct buffer *out, const struct grid *grid, const size_t *widths)
{
    put_text(out, "+");
    for (size_t i = 0; i < grid->count; i++) {
        put_repeated(out, '-', widths[i] + 2);
        put_text(out, "+");
    }
    put_text(out, "\n");
}

/* SPARE columns beside a cell; a heading stands in the middle. */
static void put_in_width(struct buffer *out, const void *cell, size_t size, size_t width, bool is_centred)
{
    size_t shown = term_width(cell, size), spare = width > shown ? width - shown : 0;
    size_t left = is_centred ? spare / 2 : 0;

    put_repeated(out, ' ', left + 1);
    buffer_append(out, cell, size);
    put_repeated(out, ' ', spare - left + 1);
    put_text(out, "|");
}

static void measure(const struct grid *grid, size_t *widths)
{
    struct buffer cell = {0};
    json_t *item;
    size_t r;

    for (size_t i = 0; i < grid->count; i++) {
        buffer_clear(&cell);
        put_name(&cell, grid->columns[i]);
        widths[i] = term_width(cell.data, cell.size);
        json_array_foreach(grid->items, r, item)
        {
            buffer_clear(&cell);
            put_cell(&cell, grid, item, grid->columns[i]);
            if (term_width(cell.data, cell.size) > widths[i])
                widths[i] = term_width(cell.data, cell.size);
        }
    }
    buffer_free(&cell);
}

static void print_table(struct ctl *ctl, const struct grid *grid)
{
    size_t *widths = xcalloc(grid->count + 1, sizeof *widths), r;
    struct buffer out = {0}, cell = {0};
    json_t *item;

    (void)ctl;
    measure(grid, widths);
    put_bar(&out, grid, widths);
    put_text(&out, "|");
    for (size_t i = 0; i < grid->count; i++) {
        buffer_clear(&cell);
        put_name(&cell, grid->columns[i]);
        put_in_width(&out, cell.data, cell.size, widths[i], true);
    }
    put_text(&out, "\n");
    put_bar(&out, grid, widths);
    json_array_foreach(grid->items, r, item)
    {
        put_text(&out, "|");
        for (size_t i = 0; i < grid->count; i++) {
            buffer_clear(&cell);
            put_cell(&cell, grid, item, grid->columns[i]);
            put_in_width(&out, cell.data, cell.size, widths[i], false);
        }
        put_text(&out, "\n");
        fwrite(out.data, 1, out.size, stdout);
        buffer_clear(&out);
    }
    put_bar(&out, grid, widths);
    fwrite(out.data, 1, out.size, stdout);
    buffer_free(&out);
    buffer_free(&cell);
    free(widths);
}

static void print_tsv(struct ctl *ctl, const struct grid *grid)
{
    struct buffer out = {0};
    json_t *item;
    size_t r;

    for (size_t i = 0; i < grid->count && !ctl->is_quiet; i++) {
        put_text(&out, i ? "\t" : "");
        put_name(&out, grid->columns[i]);
    }
    put_text(&out, ctl->is_quiet ? "" : "\n");
    json_array_foreach(grid->items, r, item)
    {
        for (size_t i = 0; i < grid->count; i++) {
            put_text(&out, i ? "\t" : "");
            put_cell(&out, grid, item, grid->columns[i]);
        }
        put_text(&out, "\n");
        fwrite(out.data, 1, out.size, stdout);
        buffer_clear(&out);
    }
    buffer_free(&out);
}

static void print_long(struct ctl *ctl, const struct grid *grid)
{
    struct buffer out = {0};
    size_t width = 0, r;
    json_t *item;
    char bar[81];

    (void)ctl;
    memset(bar, '-', 80);
    bar[80] = '\0';
    for (size_t i = 0; i < grid->count; i++)
        width = strlen(grid->columns[i]) > width ? strlen(grid->columns[i]) : width;
    printf("\n%s\n\n", bar);
    json_array_foreach(grid->items, r, item)
    {
        for (size_t i = 0; i < grid->count; i++) {
            put_repeated(&out, ' ', width - strlen(grid->columns[i]));
            put_name(&out, grid->columns[i]);
            put_text(&out, ": ");
            put_cell(&out, grid, item, grid->columns[i]);
            put_text(&out, "\n");
        }
        fwrite(out.data, 1, out.size, stdout);
        buffer_clear(&out);
        printf("\n%s\n\n", bar);
    }
    buffer_free(&out);
}

static void print_kvp(struct ctl *ctl, const struct grid *grid)
{
    struct buffer out = {0};
    json_t *item;
    size_t r;

    (void)ctl;
    json_array_foreach(grid->items, r, item)
    {
        for (size_t i = 0; i < grid->count; i++) {
            put_text(&out, i ? " " : "");
            put_name(&out, grid->columns[i]);
            put_text(&out, "=\"");
            put_cell(&out, grid, item, grid->columns[i]);
            put_text(&out, "\"");
        }
        put_text(&out, "\n");
    }
    fwrite(out.data, 1, out.size, stdout);
    buffer_free(&out);
}

/* The names, for completion. */
static void print_bash(struct ctl *ctl, const struct grid *grid)
{
    struct buffer out = {0};
    json_t *item;
    size_t r;

    (void)ctl;
    json_array_foreach(grid->items, r, item)
    {
        put_text(&out, r ? " " : "");
        put_cell(&out, grid, item, "name");
    }
    put_text(&out, "\n");
    fwrite(out.data, 1, out.size, stdout);
    buffer_free(&out);
}

/* --- all ------------------------------------------------------------------------------------------------ */

static void print_pretty_json(const json_t *items)
{
    json_dumpf(items, stdout,
               JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) |
                   (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
    putchar('\n');
}

void admin_print(struct ctl *ctl, const char *body, const json_t *items, const char *const *columns,
                 const char *const *json_keys)
{
    static const struct {
        const char *name;
        void (*print)(struct ctl *ctl, const struct grid *grid);
    } formats[] = {{"table", print_table},
                   {"tsv", print_tsv},
                   {"long", print_long},
                   {"kvp", print_kvp},
                   {"bash", print_bash}};
    const char *name = format_name(ctl);
    struct grid grid = {.json_keys = json_keys, .items = items, .depth = SIZE_MAX};
    size_t f;

    if (strcmp(name, "raw_json") == 0) {
        put_safe_json(body);
        putchar('\n');
        return;
    }
    if (strcmp(name, "pretty_json") == 0) {
        print_pretty_json(items);
        return;
    }
    for (f = 0; f < sizeof formats / sizeof *formats && strcmp(name, formats[f].name) != 0; f++)
        ;
    if (f == sizeof formats / sizeof *formats)
        admin_usage(ctl, "Format %s not recognised", name);
    if (json_array_size(items) == 0) {
        admin_say(ctl, "No items");
        return;
    }
    if (columns && columns[0]) {
        while (columns[grid.count])
            grid.count++;
        grid.columns = arena_alloc(&ctl->memory, grid.count * sizeof *grid.columns);
        memcpy(grid.columns, columns, grid.count * sizeof *grid.columns);
    } else {
        grid.depth = (size_t)option_number(ctl, "depth", 1);
        all_columns(ctl, &grid);
    }
    formats[f].print(ctl, &grid);
}
