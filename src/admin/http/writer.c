/* SPDX-License-Identifier: Apache-2.0 */
/* writer.h. */
#include "writer.h"

#include <stdio.h>
#include <string.h>

#include "admin/json.h"

/* ---- columns ---- */

void columns_parse(struct columns *out, const char *columns)
{
    *out = (struct columns){.has_all = !columns || !*columns};
    if (!columns)
        return;
    while (*columns) {
        size_t size = strcspn(columns, ","), first = strcspn(columns, ".,");

        if (out->count == COLUMNS_MAX) {
            out->has_all = out->has_dots = true;
            return;
        }
        out->has_dots = out->has_dots || first < size;
        out->names[out->count++] = (struct bytes){(const uint8_t *)columns, first};
        columns += size;
        columns += *columns == ',';
    }
}

bool writer_wants(const struct writer *writer, const char *name)
{
    const struct columns *columns = writer->columns;

    for (unsigned i = 0; i < columns->count && !columns->has_all; i++)
        if (bytes_equal_string(columns->names[i], name))
            return true;
    return columns->has_all;
}

/* ---- objects ---- */

static void put(struct writer *writer, const char *text)
{
    buffer_append(writer->out, text, strlen(text));
}

struct writer writer_begin(struct buffer *out, const struct columns *columns)
{
    struct writer writer = {.out = out, .columns = columns};

    put(&writer, "{");
    return writer;
}

void writer_end(struct writer *writer)
{
    put(writer, "}");
}

/* Begin a member; false when it is not wanted. */
static bool begin(struct writer *writer, const char *name)
{
    if (!writer_wants(writer, name))
        return false;
    put(writer, writer->has_members ? ",\"" : "\"");
    put(writer, name);
    put(writer, "\":");
    writer->has_members = true;
    return true;
}

/* ---- members ---- */

void writer_count(struct writer *writer, const char *name, uint64_t value)
{
    char digits[24], *end = digits + sizeof digits, *at = end;

    if (!begin(writer, name))
        return;
    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    buffer_append(writer->out, at, (size_t)(end - at));
}

void writer_bool(struct writer *writer, const char *name, bool value)
{
    writer_raw(writer, name, value ? "true" : "false");
}

static bool is_plain(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] >= 0x7f || text.data[i] == '"' || text.data[i] == '\\')
            return false;
    return true;
}

void writer_text(struct writer *writer, const char *name, struct bytes value)
{
    if (!is_plain(value)) {
        if (writer_wants(writer, name))
            writer_json(writer, name, json_text(value));
        return;
    }
    if (!begin(writer, name))
        return;
    put(writer, "\"");
    buffer_append_bytes(writer->out, value);
    put(writer, "\"");
}

void writer_text_or_null(struct writer *writer, const char *name, struct bytes value)
{
    if (value.data)
        writer_text(writer, name, value);
    else
        writer_raw(writer, name, "null");
}

void writer_raw(struct writer *writer, const char *name, const char *text)
{
    if (begin(writer, name))
        put(writer, text);
}

static int append(const char *text, size_t size, void *context)
{
    buffer_append(context, text, size);
    return 0;
}

void writer_json(struct writer *writer, const char *name, json_t *value)
{
    if (begin(writer, name))
        json_dump_callback(value, append, writer->out, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
}
