/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.h. In the headers, x-shovelled is an array with a table for each shovel that a message has passed,
 * the last one first, and x-shovelled-timestamp is the time in milliseconds when the last one did.
 */
#include "rewrite.h"

#include <string.h>

#include "coney/properties.h"
#include "coney/table.h"
#include "plan.h"

#define ROUTING   "x-shovelled"
#define TIMESTAMP "x-shovelled-timestamp"

static void put_text(struct table_builder *builder, const char *name, const char *text)
{
    if (text)
        table_put_longstr(builder, name, bytes_from_string(text));
}

/* The table of this shovel. */
static void put_passage(struct table_builder *builder, const struct plan *plan,
                        const struct rewrite_names *names)
{
    table_put_table_begin(builder, NULL);
    put_text(builder, "shovelled-by", names->shovelled_by);
    put_text(builder, "shovel-type", "dynamic");
    put_text(builder, "shovel-name", names->name);
    put_text(builder, "shovel-vhost", names->vhost);
    put_text(builder, "src-uri", names->source_uri);
    put_text(builder, "dest-uri", names->dest_uri);
    put_text(builder, "src-queue", plan->source.queue);
    put_text(builder, "src-exchange", plan->source.exchange);
    put_text(builder, "src-exchange-key", plan->source.key);
    put_text(builder, "dest-exchange", plan->dest.exchange);
    put_text(builder, "dest-exchange-key", plan->dest.key);
    put_text(builder, "dest-queue", plan->dest.queue);
    table_put_end(builder);
}

static void put_passages(struct table_builder *builder, const struct plan *plan,
                         const struct rewrite_names *names, struct bytes headers)
{
    struct table_iterator before;
    struct field field;

    table_put_array_begin(builder, ROUTING);
    put_passage(builder, plan, names);
    if (table_get(headers, ROUTING, &field) && field.type == FIELD_ARRAY) {
        before = array_begin(field.bytes);
        while (array_next(&before, &field))
            table_put_field(builder, (struct bytes){0}, &field);
    }
    table_put_end(builder);
}

/* HEADERS with what the plan adds, which replaces what was there under its names. */
static void put_headers(struct buffer *out, const struct plan *plan, const struct rewrite_names *names,
                        uint64_t now_ms, struct bytes headers)
{
    struct table_builder builder = table_builder_init(out);
    struct table_iterator iterator = table_begin(headers);
    struct bytes name;
    struct field field;

    while (table_next(&iterator, &name, &field))
        if (!(plan->adds_forward_headers && bytes_equal_string(name, ROUTING)) &&
            !(plan->adds_timestamp && bytes_equal_string(name, TIMESTAMP)))
            table_put_field(&builder, name, &field);
    if (plan->adds_forward_headers)
        put_passages(&builder, plan, names, headers);
    if (plan->adds_timestamp)
        table_put_int(&builder, TIMESTAMP, (int64_t)now_ms);
}

/* ---- properties that are set ---- */

static struct bytes *text_of(struct properties *properties, const char *name, uint16_t *flag)
{
    for (int i = 0; i < PROPERTY_TEXTS; i++) {
        if (strcmp(property_texts[i].name, name) == 0) {
            *flag = property_texts[i].flag;
            return property_text(properties, &property_texts[i]);
        }
    }
    return NULL;
}

/* VALUE, or what of 0 to MAX is nearest to it. */
static uint64_t number_of(const json_t *value, uint64_t max)
{
    double real = json_real_value(value); /* 0 when it is an integer */
    uint64_t number;

    if (json_is_integer(value))
        number = json_integer_value(value) < 0 ? 0 : (uint64_t)json_integer_value(value);
    else if (real < 0)
        number = 0;
    else
        number = real < 0x1p64 ? (uint64_t)real : UINT64_MAX;
    return number < max ? number : max;
}

static void set_number(struct properties *properties, const char *name, const json_t *value)
{
    if (strcmp(name, "delivery_mode") == 0) {
        properties->delivery_mode = (uint8_t)number_of(value, UINT8_MAX);
        properties->flags |= PROPERTY_DELIVERY_MODE;
    } else if (strcmp(name, "priority") == 0) {
        properties->priority = (uint8_t)number_of(value, UINT8_MAX);
        properties->flags |= PROPERTY_PRIORITY;
    } else {
        properties->timestamp = number_of(value, UINT64_MAX);
        properties->flags |= PROPERTY_TIMESTAMP;
    }
}

static void set_properties(struct properties *properties, json_t *to)
{
    const char *name;
    json_t *value;
    uint16_t flag;

    json_object_foreach(to, name, value)
    {
        struct bytes *text = text_of(properties, name, &flag);

        if (text) {
            *text = bytes_from_string(json_string_value(value));
            properties->flags |= flag;
        } else {
            set_number(properties, name, value);
        }
    }
}

struct bytes rewrite_properties(struct buffer *out, const struct plan *plan,
                                const struct rewrite_names *names, uint64_t now_ms, struct bytes raw)
{
    bool changes_headers = plan->adds_forward_headers || plan->adds_timestamp;
    struct properties properties;
    struct buffer headers = {0};

    if ((!changes_headers && !plan->properties) || !properties_decode(&properties, raw))
        return raw;
    if (plan->properties)
        set_properties(&properties, plan->properties);
    if (changes_headers) {
        put_headers(&headers, plan, names, now_ms, properties.headers);
        properties.headers = buffer_bytes(&headers);
        properties.flags |= PROPERTY_HEADERS;
    }
    buffer_clear(out);
    properties_encode(out, &properties);
    buffer_free(&headers);
    return buffer_bytes(out);
}
