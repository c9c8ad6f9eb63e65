/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values as fields, and fields as JSON values. Types that the broker never makes of its own accord (d,
 * V) are put as raw fields. Arrays are as deep as tables, and those are checked as a whole before.
 */
#include "coney/json_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/base64.h"
#include "coney/properties.h"
#include "coney/table.h"

/* ---- from JSON ---- */

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

/* ---- texts ---- */

json_t *json_from_octets(struct bytes octets)
{
    char *text = base64_encode(octets);
    json_t *value = json_pack("{s:s}", "base64", text);

    free(text);
    return value;
}

/* The octets of the character that TEXT begins with; 0 when it is none. */
static size_t character_size(struct bytes text)
{
    size_t size = text.data[0] < 0x80 ? 1 : text.data[0] < 0xe0 ? 2 : text.data[0] < 0xf0 ? 3 : 4;

    return size <= text.size && utf8_is_valid((struct bytes){text.data, size}) ? size : 0;
}

static json_t *repaired(struct bytes bytes)
{
    struct buffer buffer = {0};
    json_t *text;

    while (bytes.size) {
        size_t size = character_size(bytes);

        if (size)
            buffer_append(&buffer, bytes.data, size);
        else
            buffer_append(&buffer, "\xef\xbf\xbd", 3);
        size += size == 0;
        bytes.data += size;
        bytes.size -= size;
    }
    text = json_stringn_nocheck((const char *)buffer.data, buffer.size);
    buffer_free(&buffer);
    return text;
}

json_t *json_from_text(struct bytes text, enum json_fidelity fidelity)
{
    if (!text.size)
        return json_string("");
    if (utf8_is_valid(text))
        return json_stringn_nocheck((const char *)text.data, text.size);
    return fidelity == JSON_EXACT ? json_from_octets(text) : repaired(text);
}

/* ---- tables ---- */

static json_t *from_array(struct bytes array, enum json_fidelity fidelity);

static json_t *from_double(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *from_field(const struct field *field, enum json_fidelity fidelity)
{
    int64_t integer;

    if (field_is_integer(field, &integer))
        return json_integer(integer);
    switch (field->type) {
    case FIELD_BOOL:
        return json_boolean(field->b);
    case FIELD_TIMESTAMP:
        return json_integer((json_int_t)field->u);
    case FIELD_FLOAT:
    case FIELD_DOUBLE:
        return from_double(field->d);
    case FIELD_DECIMAL:
        return from_double(field->decimal.value / pow(10, field->decimal.scale));
    case FIELD_LONGSTR:
        return json_from_text(field->bytes, fidelity);
    case FIELD_BINARY:
        return fidelity == JSON_EXACT ? json_from_octets(field->bytes)
                                      : json_from_text(field->bytes, fidelity);
    case FIELD_TABLE:
        return json_from_table(field->bytes, fidelity);
    case FIELD_ARRAY:
        return from_array(field->bytes, fidelity);
    default:
        return json_null();
    }
}

static json_t *from_array(struct bytes array, enum json_fidelity fidelity)
{
    struct table_iterator iterator = array_begin(array);
    json_t *out = json_array();
    struct field field;

    while (array_next(&iterator, &field))
        json_array_append_new(out, from_field(&field, fidelity));
    return out;
}

/* Whether OBJECT can have, and has not yet, a member called NAME. */
static bool is_sayable(const json_t *object, struct bytes name, const char *key)
{
    return utf8_is_valid(name) && strlen(key) == name.size && !json_object_get(object, key);
}

json_t *json_from_table(struct bytes table, enum json_fidelity fidelity)
{
    struct table_iterator iterator = table_begin(table);
    bool good = fidelity == JSON_READABLE || table_is_valid(table, TABLE_DEPTH_MAX);
    json_t *object = json_object();
    struct bytes name;
    struct field field;

    while (good && table_next(&iterator, &name, &field)) {
        json_t *key = json_from_text(name, JSON_READABLE);
        const char *text = json_string_value(key); /* jansson's keys end at a NUL */

        good = fidelity == JSON_READABLE || is_sayable(object, name, text);
        if (good)
            json_object_set_new_nocheck(object, text, from_field(&field, fidelity));
        json_decref(key);
    }
    if (good)
        return object;
    json_decref(object);
    return json_from_octets(table);
}

/* ---- properties ---- */

json_t *json_from_properties(struct bytes raw, enum json_fidelity fidelity)
{
    struct properties properties;
    json_t *out;

    if (!properties_decode(&properties, raw))
        return fidelity == JSON_EXACT ? json_from_octets(raw) : json_object();
    out = json_object();
    for (int i = 0; i < PROPERTY_TEXTS; i++) {
        const struct property_text *text = &property_texts[i];

        if (properties.flags & text->flag)
            json_object_set_new(out, text->name, json_from_text(*property_text(&properties, text), fidelity));
    }
    if (properties.flags & PROPERTY_DELIVERY_MODE)
        json_object_set_new(out, "delivery_mode", json_integer(properties.delivery_mode));
    if (properties.flags & PROPERTY_PRIORITY)
        json_object_set_new(out, "priority", json_integer(properties.priority));
    if (properties.flags & PROPERTY_TIMESTAMP)
        json_object_set_new(out, "timestamp", json_integer((json_int_t)properties.timestamp));
    if (properties.flags & PROPERTY_HEADERS)
        json_object_set_new(out, "headers", json_from_table(properties.headers, fidelity));
    return out;
}
