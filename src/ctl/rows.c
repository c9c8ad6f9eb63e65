/* SPDX-License-Identifier: Apache-2.0 */
/* The formats of --formatter: table, csv, json, pretty_table, erlang, as rabbitmqctl writes them. */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"

struct table {
    struct ctl *ctl;
    const json_t *rows;
    const struct column *const *columns;
    size_t count;
};

/* What is at PATH, "a.b.c". */
static json_t *at_path(const json_t *row, const char *path)
{
    const char *dot;

    while (row && (dot = strchr(path, '.'))) {
        row = json_object_getn(row, path, (size_t)(dot - path));
        path = dot + 1;
    }
    return row ? json_object_get(row, path) : NULL;
}

json_t *column_value(const json_t *row, const struct column *column)
{
    json_t *value = at_path(row, column->field ? column->field : column->name);

    if ((!value || json_is_null(value)) && column->other)
        value = at_path(row, column->other);
    return value;
}

static void flush_to_stdout(struct buffer *out)
{
    fwrite(out->data, 1, out->size, stdout);
    buffer_clear(out);
}

/* --- table ---------------------------------------------------------------------------------------------- */

static void print_tabs(const struct table *table)
{
    struct buffer out = {0};
    size_t r;
    json_t *row;

    if (!table->ctl->has_no_headers && json_array_size(table->rows) > 0) {
        for (size_t i = 0; i < table->count; i++)
            printf("%s%s", i ? "\t" : "", table->columns[i]->name);
        putchar('\n');
    }
    json_array_foreach(table->rows, r, row)
    {
        for (size_t i = 0; i < table->count; i++) {
            put_text(&out, i ? "\t" : "");
            term_cell(&out, column_value(row, table->columns[i]), table->columns[i]->kind);
        }
        put_text(&out, "\n");
        flush_to_stdout(&out);
    }
    buffer_free(&out);
}

/* --- csv ------------------------------------------------------------------------------------------------ */

static void put_csv(struct buffer *out, struct bytes cell)
{
    put_text(out, "\"");
    for (size_t i = 0; i < cell.size; i++) {
        if (cell.data[i] == '"')
            put_text(out, "\"");
        buffer_append(out, cell.data + i, 1);
    }
    put_text(out, "\"");
}

static void print_csv(const struct table *table)
{
    struct buffer out = {0}, cell = {0};
    size_t r;
    json_t *row;

    if (!table->ctl->has_no_headers && json_array_size(table->rows) > 0) {
        for (size_t i = 0; i < table->count; i++)
            printf("%s\"%s\"", i ? "," : "", table->columns[i]->name);
        putchar('\n');
    }
    json_array_foreach(table->rows, r, row)
    {
        for (size_t i = 0; i < table->count; i++) {
            buffer_clear(&cell);
            term_cell(&cell, column_value(row, table->columns[i]), table->columns[i]->kind);
            put_text(&out, i ? "," : "");
            put_csv(&out, buffer_bytes(&cell));
        }
        put_text(&out, "\n");
        flush_to_stdout(&out);
    }
    buffer_free(&out);
    buffer_free(&cell);
}

/* --- JSON ----------------------------------------------------------------------------------------------- */

static void print_json(const struct table *table)
{
    size_t r;
    json_t *row;

    puts("[");
    json_array_foreach(table->rows, r, row)
    {
        json_t *shown = json_object();

        for (size_t i = 0; i < table->count; i++)
            json_object_set_new(shown, table->columns[i]->name,
                                term_json(column_value(row, table->columns[i]), table->columns[i]->kind));
        fputs(r ? "," : "", stdout);
        put_json(shown, 0);
        putchar('\n');
        json_decref(shown);
    }
    puts("]");
}

/* --- Erlang --------------------------------------------------------------------------------------------- */

#define ERLANG_WIDTH 78

/* A row on one line if it fits, else a column a line. */
static void put_erlang_row(struct buffer *out, const struct table *table, const json_t *row)
{
    struct buffer flat = {0};
    bool fits;

    for (size_t i = 0; i < table->count; i++) {
        put_text(&flat, i ? "," : "");
        term_erlang_pair(&flat, table->columns[i]->name, column_value(row, table->columns[i]),
                         table->columns[i]->kind, 0);
    }
    buffer_append(&flat, "", 1);
    fits = term_width(flat.data, flat.size - 1) + 2 <= ERLANG_WIDTH && !strchr((char *)flat.data, '\n');
    buffer_clear(&flat);
    put_text(out, "[");
    for (size_t i = 0; i < table->count; i++) {
        put_text(out, !i ? "" : fits ? "," : ",\n  ");
        term_erlang_pair(out, table->columns[i]->name, column_value(row, table->columns[i]),
                         table->columns[i]->kind, 2);
    }
    put_text(out, "]");
    buffer_free(&flat);
}

static void print_erlang(const struct table *table)
{
    struct buffer out = {0};
    size_t r;
    json_t *row;

    put_text(&out, "[");
    json_array_foreach(table->rows, r, row)
    {
        put_text(&out, r ? ",\n " : "");
        put_erlang_row(&out, table, row);
        flush_to_stdout(&out);
    }
    put_text(&out, "]\n");
    flush_to_stdout(&out);
    buffer_free(&out);
}

/* --- pretty table --------------------------------------------------------------------------------------- */

/* A line of the frame in the line-drawing characters of VT100. */
static void put_frame(struct buffer *out, const size_t *widths, size_t count, const char *left,
                      const char *middle, const char *right)
{
    put_text(out, "\033(0");
    for (size_t i = 0; i < count; i++) {
        put_text(out, i ? middle : left);
        for (size_t column = 0; column < widths[i] + 2; column++)
            put_text(out, "q");
    }
    put_text(out, right);
    put_text(out, "\033(B\n");
}

static void put_padded(struct buffer *out, const struct buffer *cell, size_t width, bool is_bold)
{
    size_t shown = term_width(cell->data, cell->size);

    put_text(out, is_bold ? "\033(0x\033(B \033[1m" : "\033(0x\033(B ");
    buffer_append(out, cell->data, cell->size);
    put_text(out, is_bold ? "\033[0m" : "");
    for (; shown < width + 1; shown++)
        put_text(out, " ");
}

static void measure(const struct table *table, size_t *widths)
{
    struct buffer cell = {0};
    size_t r, width;
    json_t *row;

    for (size_t i = 0; i < table->count; i++) {
        widths[i] = strlen(table->columns[i]->name);
        json_array_foreach(table->rows, r, row)
        {
            buffer_clear(&cell);
            term_cell(&cell, column_value(row, table->columns[i]), table->columns[i]->kind);
            width = term_width(cell.data, cell.size);
            if (width > widths[i])
                widths[i] = width;
        }
    }
    buffer_free(&cell);
}

static void put_pretty_row(struct buffer *out, const struct table *table, const json_t *row,
                           const size_t *widths)
{
    struct buffer cell = {0};

    for (size_t i = 0; i < table->count; i++) {
        buffer_clear(&cell);
        if (row)
            term_cell(&cell, column_value(row, table->columns[i]), table->columns[i]->kind);
        else
            put_text(&cell, table->columns[i]->name);
        put_padded(out, &cell, widths[i], row == NULL);
    }
    put_text(out, "\033(0x\033(B\n");
    buffer_free(&cell);
}

static void print_pretty(const struct table *table)
{
    struct buffer out = {0};
    size_t r, *widths = xcalloc(table->count, sizeof *widths);
    json_t *row;

    if (json_array_size(table->rows) > 0) {
        measure(table, widths);
        put_frame(&out, widths, table->count, "l", "w", "k");
        put_pretty_row(&out, table, NULL, widths);
        json_array_foreach(table->rows, r, row)
        {
            put_frame(&out, widths, table->count, "t", "n", "u");
            put_pretty_row(&out, table, row, widths);
            flush_to_stdout(&out);
        }
        put_frame(&out, widths, table->count, "m", "v", "j");
        flush_to_stdout(&out);
    }
    free(widths);
    buffer_free(&out);
}

/* --- all ------------------------------------------------------------------------------------------------ */

void rows_print(struct ctl *ctl, const json_t *rows, const struct column *const *columns, size_t count)
{
    static void (*const print[])(const struct table *table) = {
        [FORMAT_TABLE] = print_tabs,          [FORMAT_JSON] = print_json,     [FORMAT_CSV] = print_csv,
        [FORMAT_PRETTY_TABLE] = print_pretty, [FORMAT_ERLANG] = print_erlang,
    };
    const struct table table = {ctl, rows, columns, count};

    print[ctl->format](&table);
}

void rows_print_all(struct ctl *ctl, const json_t *rows, const struct column *columns, size_t count)
{
    const struct column **each = xcalloc(count, sizeof *each);

    for (size_t i = 0; i < count; i++)
        each[i] = &columns[i];
    rows_print(ctl, rows, each, count);
    free(each);
}

void rows_print_short(struct ctl *ctl, const json_t *rows, const struct column *columns, size_t count)
{
    if (json_array_size(rows) > 0)
        rows_print_all(ctl, rows, columns, count);
    else
        puts(ctl->format == FORMAT_JSON || ctl->format == FORMAT_ERLANG ? "[]" : "");
}
