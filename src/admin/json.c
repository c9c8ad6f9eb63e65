/* SPDX-License-Identifier: Apache-2.0 */
/* json.h. */
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coney/buffer.h"
#include "coney/properties.h"
#include "coney/table.h"
#include "coney/xalloc.h"

/* ---- texts ---- */

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

json_t *json_text(struct bytes bytes)
{
    if (!bytes.size)
        return json_string("");
    if (utf8_is_valid(bytes))
        return json_stringn_nocheck((const char *)bytes.data, bytes.size);
    return repaired(bytes);
}

/* ---- tables ---- */

static json_t *field_value(const struct field *field);

static void set(json_t *object, struct bytes name, json_t *value)
{
    json_t *key = json_text(name);

    /* jansson's keys end at a NUL. */
    json_object_set_new_nocheck(object, json_string_value(key), value);
    json_decref(key);
}

json_t *json_table(struct bytes table)
{
    struct table_iterator iterator = table_begin(table);
    json_t *object = json_object();
    struct bytes name;
    struct field field;

    while (table_next(&iterator, &name, &field))
        set(object, name, field_value(&field));
    return object;
}

static json_t *json_array_of(struct bytes array)
{
    struct table_iterator iterator = array_begin(array);
    json_t *out = json_array();
    struct field field;

    while (array_next(&iterator, &field))
        json_array_append_new(out, field_value(&field));
    return out;
}

static json_t *json_double(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *field_value(const struct field *field)
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
        return json_double(field->d);
    case FIELD_DECIMAL:
        return json_double(field->decimal.value / pow(10, field->decimal.scale));
    case FIELD_LONGSTR:
    case FIELD_BINARY:
        return json_text(field->bytes);
    case FIELD_TABLE:
        return json_table(field->bytes);
    case FIELD_ARRAY:
        return json_array_of(field->bytes);
    default:
        return json_null();
    }
}

/* ---- properties ---- */

json_t *json_properties(struct bytes raw)
{
    struct properties properties = {0};
    json_t *out = json_object();
    const struct {
        uint16_t flag;
        const char *name;
        const struct bytes *value;
    } texts[] = {{PROPERTY_CONTENT_TYPE, "content_type", &properties.content_type},
                 {PROPERTY_CONTENT_ENCODING, "content_encoding", &properties.content_encoding},
                 {PROPERTY_CORRELATION_ID, "correlation_id", &properties.correlation_id},
                 {PROPERTY_REPLY_TO, "reply_to", &properties.reply_to},
                 {PROPERTY_EXPIRATION, "expiration", &properties.expiration},
                 {PROPERTY_MESSAGE_ID, "message_id", &properties.message_id},
                 {PROPERTY_TYPE, "type", &properties.type},
                 {PROPERTY_USER_ID, "user_id", &properties.user_id},
                 {PROPERTY_APP_ID, "app_id", &properties.app_id},
                 {PROPERTY_CLUSTER_ID, "cluster_id", &properties.cluster_id}};

    if (!properties_decode(&properties, raw))
        return out;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (properties.flags & texts[i].flag)
            json_object_set_new(out, texts[i].name, json_text(*texts[i].value));
    if (properties.flags & PROPERTY_HEADERS)
        json_object_set_new(out, "headers", json_table(properties.headers));
    if (properties.flags & PROPERTY_DELIVERY_MODE)
        json_object_set_new(out, "delivery_mode", json_integer(properties.delivery_mode));
    if (properties.flags & PROPERTY_PRIORITY)
        json_object_set_new(out, "priority", json_integer(properties.priority));
    if (properties.flags & PROPERTY_TIMESTAMP)
        json_object_set_new(out, "timestamp", json_integer((json_int_t)properties.timestamp));
    return out;
}

/* ---- members ---- */

void json_put(json_t *object, const char *name, json_t *value)
{
    json_object_set_new_nocheck(object, name, value);
}

void json_put_count(json_t *object, const char *name, uint64_t value)
{
    json_put(object, name, json_integer((json_int_t)value));
}

/* ---- statistics ---- */

json_t *json_rate(double rate)
{
    return json_pack("{s:f}", "rate", rate);
}

#define NAMED(name)           \
    {                         \
        name, name "_details" \
    }

static const struct {
    const char *count, *details;
} count_names[MESSAGE_COUNTS] = {
    [COUNT_PUBLISH] = NAMED("publish"),
    [COUNT_CONFIRM] = NAMED("confirm"),
    [COUNT_RETURN] = NAMED("return_unroutable"),
    [COUNT_DROP] = NAMED("drop_unroutable"),
    [COUNT_DELIVER] = NAMED("deliver"),
    [COUNT_DELIVER_NO_ACK] = NAMED("deliver_no_ack"),
    [COUNT_GET] = NAMED("get"),
    [COUNT_GET_NO_ACK] = NAMED("get_no_ack"),
    [COUNT_GET_EMPTY] = NAMED("get_empty"),
    [COUNT_REDELIVER] = NAMED("redeliver"),
    [COUNT_ACK] = NAMED("ack"),
};

json_t *json_message_stats(const struct message_counts *counts)
{
    static const struct message_counts none;
    uint64_t values[MESSAGE_COUNTS];
    json_t *out = json_object();

    if (memcmp(counts, &none, sizeof none) == 0)
        return out;
    memcpy(values, counts, sizeof values);
    for (size_t i = 0; i < MESSAGE_COUNTS; i++) {
        json_put_count(out, count_names[i].count, values[i]);
        json_put(out, count_names[i].details, json_rate(0));
    }
    /* What was handed out, in whatever way. */
    json_put_count(out, "deliver_get",
                   counts->deliver + counts->deliver_no_ack + counts->get + counts->get_no_ack);
    json_put(out, "deliver_get_details", json_rate(0));
    return out;
}

/* ---- text ---- */

static int write_text(const char *text, size_t size, void *context)
{
    return evbuffer_add(context, text, size);
}

void json_write(struct evbuffer *out, const json_t *json)
{
    json_dump_callback(json, write_text, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* ---- columns ---- */

json_t *json_at(json_t *object, const char *path)
{
    char *copy = xstrdup(path), *rest, *part = strtok_r(copy, ".", &rest);

    for (; part && object; part = strtok_r(NULL, ".", &rest))
        object = json_object_get(object, part);
    free(copy);
    return object;
}

/* Put what PATH leads to in FROM to the same place of TO. */
static void copy_column(json_t *to, json_t *from, char *path)
{
    char *dot = strchr(path, '.');
    json_t *value, *inner;

    if (dot)
        *dot = 0;
    value = json_object_get(from, path);
    if (!value)
        return;
    if (!dot) {
        json_object_set(to, path, value);
        return;
    }
    inner = json_object_get(to, path);
    if (!json_is_object(inner)) {
        inner = json_object();
        json_object_set_new(to, path, inner);
    }
    copy_column(inner, value, dot + 1);
}

json_t *json_columns(json_t *object, const char *columns)
{
    char *copy, *rest, *path;
    json_t *out;

    if (!columns || !*columns)
        return object;
    out = json_object();
    copy = xstrdup(columns);
    for (path = strtok_r(copy, ",", &rest); path; path = strtok_r(NULL, ",", &rest))
        copy_column(out, object, path);
    free(copy);
    json_decref(object);
    return out;
}
