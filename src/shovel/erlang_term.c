/* SPDX-License-Identifier: Apache-2.0 */
/* erlang_term.h */
#include "erlang_term.h"

#include <stdio.h>
#include <stdlib.h>

#include "coney/buffer.h"
#include "coney/xalloc.h"

static void put_term(struct buffer *out, const json_t *value);

static void put_text(struct buffer *out, const char *text)
{
    buffer_append_bytes(out, bytes_from_string(text));
}

static void put_binary(struct buffer *out, const char *text)
{
    put_text(out, "<<\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_append(out, "\\", 1);
        buffer_append(out, text, 1);
    }
    put_text(out, "\">>");
}

static void put_elements(struct buffer *out, const json_t *array)
{
    const json_t *value;
    size_t index;

    put_text(out, "[");
    json_array_foreach(array, index, value)
    {
        if (index)
            put_text(out, ",");
        put_term(out, value);
    }
    put_text(out, "]");
}

static void put_members(struct buffer *out, const json_t *object)
{
    const char *name, *separator = "";
    json_t *value;

    put_text(out, "[");
    /* jansson's iteration wants a pointer to what it could change, and does not. */
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        put_text(out, separator);
        put_text(out, "{");
        put_binary(out, name);
        put_text(out, ",");
        put_term(out, value);
        put_text(out, "}");
        separator = ",";
    }
    put_text(out, "]");
}

static void put_term(struct buffer *out, const json_t *value)
{
    char number[40];

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_members(out, value);
        break;
    case JSON_ARRAY:
        put_elements(out, value);
        break;
    case JSON_STRING:
        put_binary(out, json_string_value(value));
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        put_text(out, number);
        break;
    case JSON_REAL:
        snprintf(number, sizeof number, "%.15g", json_real_value(value));
        put_text(out, number);
        break;
    case JSON_TRUE:
        put_text(out, "true");
        break;
    case JSON_FALSE:
        put_text(out, "false");
        break;
    default:
        put_text(out, "null");
    }
}

char *erlang_term(const json_t *value)
{
    struct buffer out = {0};

    put_term(&out, value);
    buffer_append(&out, "", 1);
    return (char *)out.data;
}
