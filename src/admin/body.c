/* SPDX-License-Identifier: Apache-2.0 */
/* body.h. */
#include "body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coney/json_table.h"
#include "coney/properties.h"

bool name_fits(struct request *request, struct bytes name)
{
    if (name.size <= SHORTSTR_MAX)
        return true;
    reply_bad_request(request, "a name is longer than %d octets", SHORTSTR_MAX);
    return false;
}

bool body_has(struct request *request, json_t *body, const char *const *names, size_t count)
{
    char missing[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < count && used < sizeof missing; i++)
        if (!json_object_get(body, names[i]))
            used += (size_t)snprintf(missing + used, sizeof missing - used, "%s{key_missing,%s}",
                                     used ? "," : "", names[i]);
    if (!used)
        return true;
    reply_bad_request(request, "[%s]", missing);
    return false;
}

/* 400 with WHAT and the value itself, which is no more than it seems. */
static bool refuse_value(struct request *request, const char *what, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    reply_bad_request(request, "%s: %.200s", what,
                      json_is_string(value) ? json_string_value(value)
                      : text                ? text
                                            : "");
    free(text);
    return false;
}

static bool refuse_name(struct request *request, const char *what, const char *name)
{
    reply_bad_request(request, "%s: %s", what, name);
    return false;
}

bool body_bool(struct request *request, json_t *body, const char *name, bool *out)
{
    json_t *value = json_object_get(body, name);
    const char *word = json_string_value(value);

    *out = json_is_true(value) || (word && strcmp(word, "true") == 0);
    if (!value || json_is_boolean(value) || *out || (word && strcmp(word, "false") == 0))
        return true;
    return refuse_value(request, "not_boolean", value);
}

static bool parse_integer(const char *word, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(word, &end, 10);
    return end != word && !*end && !errno;
}

bool body_int(struct request *request, json_t *body, const char *name, int64_t *out)
{
    json_t *value = json_object_get(body, name);
    int64_t number = json_integer_value(value);

    if (!value)
        return true;
    if (!json_is_integer(value) &&
        !(json_is_string(value) && parse_integer(json_string_value(value), &number)))
        return refuse_value(request, "not_integer", value);
    *out = number;
    return true;
}

bool body_text(struct request *request, json_t *body, const char *name, struct bytes *out)
{
    json_t *value = json_object_get(body, name);

    if (!value)
        return true;
    if (!json_is_string(value))
        return refuse_name(request, "not_string", name);
    *out = (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
    return true;
}

bool body_shortstr(struct request *request, json_t *body, const char *name, struct bytes *out)
{
    if (!body_text(request, body, name, out))
        return false;
    if (out->size <= SHORTSTR_MAX)
        return true;
    reply_bad_request(request, "%s is longer than %d octets", name, SHORTSTR_MAX);
    return false;
}

bool body_table(struct request *request, json_t *body, const char *name, struct buffer *out)
{
    json_t *value = json_object_get(body, name);
    char why[128];

    if (!value || json_is_null(value) || (json_is_array(value) && !json_array_size(value)))
        return true;
    if (!json_is_object(value))
        return refuse_name(request, "not_object", name);
    if (table_from_json(out, value, why, sizeof why))
        return true;
    reply_bad_request(request, "%s: %s", name, why);
    return false;
}

/* ---- properties ---- */

/* What is no integer from 0 to MOST is refused, also what a string says. */
static bool take_number(struct request *request, json_t *from, const char *name, int64_t most, int64_t *out)
{
    json_t *value = json_object_get(from, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > most)
        return refuse_name(request, "not_int", name);
    *out = json_integer_value(value);
    return true;
}

static bool take_numbers(struct request *request, json_t *from, struct properties *out)
{
    int64_t value;

    if (json_object_get(from, "delivery_mode")) {
        if (!take_number(request, from, "delivery_mode", UINT8_MAX, &value))
            return false;
        out->delivery_mode = (uint8_t)value;
        out->flags |= PROPERTY_DELIVERY_MODE;
    }
    if (json_object_get(from, "priority")) {
        if (!take_number(request, from, "priority", UINT8_MAX, &value))
            return false;
        out->priority = (uint8_t)value;
        out->flags |= PROPERTY_PRIORITY;
    }
    if (json_object_get(from, "timestamp")) {
        if (!take_number(request, from, "timestamp", INT64_MAX, &value))
            return false;
        out->timestamp = (uint64_t)value;
        out->flags |= PROPERTY_TIMESTAMP;
    }
    return true;
}

static bool take_texts(struct request *request, json_t *from, struct properties *out)
{
    for (int i = 0; i < PROPERTY_TEXTS; i++) {
        const struct property_text *text = &property_texts[i];

        if (!json_object_get(from, text->name))
            continue;
        if (!body_shortstr(request, from, text->name, property_text(out, text)))
            return false;
        out->flags |= text->flag;
    }
    return true;
}

bool body_properties(struct request *request, json_t *from, struct buffer *out)
{
    struct properties properties = {0};
    struct buffer headers = {0};
    bool done = take_numbers(request, from, &properties) && take_texts(request, from, &properties) &&
                body_table(request, from, "headers", &headers);

    if (done) {
        if (json_is_object(json_object_get(from, "headers")))
            properties.flags |= PROPERTY_HEADERS;
        properties.headers = buffer_bytes(&headers);
        properties_encode(out, &properties);
    }
    buffer_free(&headers);
    return done;
}
