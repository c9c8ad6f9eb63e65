/* SPDX-License-Identifier: Apache-2.0 */
/* policy_json.h: what shape it must have; what may stand in it says policy.h. */
#include "policy_json.h"

#include <stdio.h>
#include <stdlib.h>

#include "coney/buffer.h"
#include "coney/json_table.h"
#include "coney/refuse.h"
#include "coney/vhost.h"

#define VALUE_SIZE 128

/* What is read of it; the spec's strings are of the JSON, and of the two below. */
struct policy_text {
    struct policy_spec spec;
    struct buffer table;
    char *json;
};

/* VALUE as Erlang would write it, near enough. */
static const char *describe(const json_t *value, char out[VALUE_SIZE])
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (json_is_string(value))
        snprintf(out, VALUE_SIZE, "<<\"%.100s\">>", json_string_value(value));
    else
        snprintf(out, VALUE_SIZE, "%.100s", text != NULL ? text : "?");
    free(text);
    return out;
}

static bool take_string(const json_t *object, const char *key, struct bytes *out, char why[POLICY_WHY_SIZE])
{
    const json_t *value = json_object_get(object, key);
    char text[VALUE_SIZE];

    if (value != NULL && !json_is_string(value))
        return refuse(why, POLICY_WHY_SIZE, "%s should be a binary but was %s", key, describe(value, text));
    *out = (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
    return true;
}

static bool take_priority(const json_t *object, int64_t *out, char why[POLICY_WHY_SIZE])
{
    const json_t *value = json_object_get(object, "priority");
    char text[VALUE_SIZE];

    if (value != NULL && !json_is_number(value))
        return refuse(why, POLICY_WHY_SIZE, "priority should be a number, actually was %s",
                      describe(value, text));
    *out = json_is_real(value) ? (int64_t)json_real_value(value) : json_integer_value(value);
    return true;
}

static bool take_definition(struct policy_text *text, const json_t *object, char why[POLICY_WHY_SIZE])
{
    const json_t *value = json_object_get(object, "definition");
    bool is_empty = json_is_array(value) && json_array_size(value) == 0;

    if (value != NULL && !is_empty && !json_is_object(value))
        return refuse(why, POLICY_WHY_SIZE, "definition should be an object");
    text->json = json_is_object(value) ? json_dumps(value, JSON_COMPACT) : NULL;
    text->spec.json = bytes_from_string(text->json != NULL ? text->json : "{}");
    if (text->json != NULL && !table_from_json(&text->table, value, why, POLICY_WHY_SIZE))
        return false;
    text->spec.definition = buffer_bytes(&text->table);
    return true;
}

static bool read_policy(struct policy_text *text, struct bytes name, const json_t *value,
                        char why[POLICY_WHY_SIZE])
{
    if (!json_is_object(value))
        return refuse(why, POLICY_WHY_SIZE, "should be an object");
    if (json_object_get(value, "pattern") == NULL)
        return refuse(why, POLICY_WHY_SIZE, "Key \"pattern\" not found in %.*s", BYTES_ARG(name));
    return take_string(value, "pattern", &text->spec.pattern, why) &&
           take_string(value, "apply-to", &text->spec.apply_to, why) &&
           take_priority(value, &text->spec.priority, why) && take_definition(text, value, why);
}

bool policy_put_json(struct vhost *vhost, enum policy_origin origin, struct bytes name, const json_t *value,
                     char why[POLICY_WHY_SIZE])
{
    struct policy_text text = {.spec = {.name = name}};
    bool done = read_policy(&text, name, value, why) && vhost_set_policy(vhost, origin, &text.spec, why);

    buffer_free(&text.table);
    free(text.json);
    return done;
}
