/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values as fields. Types that the broker never makes of its own accord (d, V) are put as raw fields.
 */
#include "coney/json_table.h"

#include <stdio.h>

#include "coney/table.h"

struct conversion {
    struct table_builder builder;
    char *why;
    size_t why_size;
};

static bool put_value(struct conversion *conversion, const char *name, json_t *value);

static void put_raw(struct table_builder *builder, const char *name, uint8_t type, struct bytes raw)
{
    struct field field = {.type = type, .raw = raw};

    table_put_field(builder, name != NULL ? bytes_from_string(name) : (struct bytes){NULL, 0}, &field);
}

static void put_double(struct table_builder *builder, const char *name, double value)
{
    uint8_t raw[9] = {FIELD_DOUBLE};
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_u64(raw + 1, bits);
    put_raw(builder, name, FIELD_DOUBLE, (struct bytes){raw, sizeof raw});
}

static bool put_members(struct conversion *conversion, json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        if (strlen(name) > SHORTSTR_MAX) {
            snprintf(conversion->why, conversion->why_size, "name '%.20s...' is longer than %d octets", name,
                     SHORTSTR_MAX);
            return false;
        }
        if (!put_value(conversion, name, value))
            return false;
    }
    return true;
}

static bool put_elements(struct conversion *conversion, json_t *array)
{
    size_t index;
    json_t *value;

    json_array_foreach(array, index, value)
    {
        if (!put_value(conversion, NULL, value))
            return false;
    }
    return true;
}

static bool put_container(struct conversion *conversion, const char *name, json_t *value)
{
    struct table_builder *builder = &conversion->builder;
    bool done;

    if (builder->depth == TABLE_BUILDER_DEPTH_MAX) {
        snprintf(conversion->why, conversion->why_size, "nested deeper than %d levels",
                 TABLE_BUILDER_DEPTH_MAX);
        return false;
    }
    if (json_is_object(value)) {
        table_put_table_begin(builder, name);
        done = put_members(conversion, value);
    } else {
        table_put_array_begin(builder, name);
        done = put_elements(conversion, value);
    }
    table_put_end(builder);
    return done;
}

/* Put one value; NAME is NULL inside arrays. */
static bool put_value(struct conversion *conversion, const char *name, json_t *value)
{
    struct table_builder *builder = &conversion->builder;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return put_container(conversion, name, value);
    case JSON_STRING:
        table_put_longstr(
            builder, name,
            (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)});
        break;
    case JSON_INTEGER:
        table_put_int(builder, name, json_integer_value(value));
        break;
    case JSON_REAL:
        put_double(builder, name, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        table_put_bool(builder, name, json_is_true(value));
        break;
    case JSON_NULL:
        put_raw(builder, name, FIELD_VOID, BYTES_LITERAL("V"));
        break;
    }
    return true;
}

bool table_from_json(struct buffer *out, const json_t *object, char *why, size_t why_size)
{
    struct conversion conversion = {.builder = table_builder_init(out), .why_size = why_size};
    size_t size = out->size;

    conversion.why = why;
    /* jansson's iteration wants a pointer to what it could change, and does not. */
    if (put_members(&conversion, (json_t *)(uintptr_t)object))
        return true;
    out->size = size;
    return false;
}
