/* SPDX-License-Identifier: Apache-2.0 */
/* json.h. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"

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
