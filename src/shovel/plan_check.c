/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a shovel's value sound? What RabbitMQ looks at, in its words (rabbit_parameter_validation's texts). All
 * that is wrong is said, a line each. AMQP 1.0 is not spoken here, and refused.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/amqp_uri.h"
#include "coney/bytes.h"
#include "coney/shovels.h"
#include "erlang_term.h"

/* What is wrong so far. */
struct findings {
    char *text;
    size_t size, used;
    bool any;
};

static void find(struct findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void find(struct findings *findings, const char *format, ...)
{
    va_list arguments;
    int size;

    findings->any = true;
    if (findings->used + 1 >= findings->size)
        return;
    va_start(arguments, format);
    size = vsnprintf(findings->text + findings->used, findings->size - findings->used, format, arguments);
    va_end(arguments);
    findings->used += size < 0 ? 0 : (size_t)size;
    if (findings->used + 2 > findings->size)
        findings->used = findings->size - 2; /* cut */
    memcpy(findings->text + findings->used++, "\n", 2);
}

/* ---- values ---- */

typedef void check_fn(struct findings *findings, const char *key, const json_t *value);

/* KEY should be something, but is VALUE. */
static void find_other(struct findings *findings, const char *key, const char *what, const json_t *value)
{
    char *term = erlang_term(value);

    find(findings, "%s should be %s, actually was %s", key, what, term);
    free(term);
}

static void check_binary(struct findings *findings, const char *key, const json_t *value)
{
    if (!json_is_string(value))
        find_other(findings, key, "binary", value);
    else if (json_string_length(value) > SHORTSTR_MAX)
        find(findings, "%s should be less than %d bytes, actually was %zu", key, SHORTSTR_MAX,
             json_string_length(value));
}

static void check_number(struct findings *findings, const char *key, const json_t *value)
{
    if (!json_is_number(value))
        find_other(findings, key, "a number", value);
}

static void check_boolean(struct findings *findings, const char *key, const json_t *value)
{
    if (!json_is_boolean(value))
        find_other(findings, key, "boolean", value);
}

static void check_arguments(struct findings *findings, const char *key, const json_t *value)
{
    char *term;

    if (json_is_object(value) || (json_is_array(value) && json_array_size(value) == 0))
        return;
    term = erlang_term(value);
    find(findings, "%s not a list %s", key, term);
    free(term);
}

static void check_delete_after(struct findings *findings, const char *key, const json_t *value)
{
    const char *text = json_string_value(value);

    if (!json_is_integer(value) &&
        !(text && (strcmp(text, "never") == 0 || strcmp(text, "queue-length") == 0)))
        find_other(findings, key, "number, \"never\" or \"queue-length\"", value);
}

static void check_ack_mode(struct findings *findings, const char *key, const json_t *value)
{
    const char *text = json_string_value(value);

    if (!text)
        find_other(findings, key, "binary", value);
    else if (strcmp(text, "no-ack") != 0 && strcmp(text, "on-publish") != 0 &&
             strcmp(text, "on-confirm") != 0)
        find_other(findings, key, "one of [<<\"no-ack\">>,<<\"on-publish\">>,<<\"on-confirm\">>]", value);
}

static void check_protocol(struct findings *findings, const char *key, const json_t *value)
{
    const char *text = json_string_value(value);

    if (!text)
        find_other(findings, key, "binary", value);
    else if (strcmp(text, "amqp10") == 0)
        find(findings, "%s amqp10 is not supported", key);
    else if (strcmp(text, "amqp091") != 0)
        find_other(findings, key, "one of [<<\"amqp10\">>,<<\"amqp091\">>]", value);
}

static void check_uri(struct findings *findings, const char *key, const json_t *value)
{
    char why[AMQP_URI_WHY_SIZE], *shown;
    struct amqp_uri uri;

    if (!json_is_string(value)) {
        find_other(findings, key, "binary", value);
        return;
    }
    if (amqp_uri_parse(&uri, json_string_value(value), "/", why)) {
        amqp_uri_free(&uri);
        return;
    }
    shown = amqp_uri_hide(json_string_value(value));
    find(findings, "\"%s\" not a valid URI: %s", shown, why);
    free(shown);
}

static void check_uris(struct findings *findings, const char *key, const json_t *value)
{
    const json_t *uri;
    size_t index;

    if (!json_is_array(value) && !json_is_string(value))
        find_other(findings, key, "list", value);
    else if (!json_is_array(value))
        check_uri(findings, key, value);
    else if (json_array_size(value) == 0)
        find(findings, "%s should not be empty", key);
    json_array_foreach(value, index, uri)
    {
        check_uri(findings, key, uri);
    }
}

/* ---- objects ---- */

struct key {
    const char *name;
    check_fn *check;
    bool is_mandatory;
};

static bool is_known(const struct key *keys, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return true;
    return false;
}

static void find_unknown(struct findings *findings, const struct key *keys, size_t count, const char *where,
                         const json_t *value)
{
    json_t *unknown = json_object();
    const char *name;
    json_t *member;
    char *term;

    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        if (!is_known(keys, count, name))
            json_object_set(unknown, name, member);
    }
    if (json_object_size(unknown)) {
        term = erlang_term(unknown);
        find(findings, "Unrecognised terms %s in %s", term, where);
        free(term);
    }
    json_decref(unknown);
}

static void check_object(struct findings *findings, const struct key *keys, size_t count, const char *where,
                         const json_t *value)
{
    find_unknown(findings, keys, count, where, value);
    for (size_t i = 0; i < count; i++) {
        const json_t *member = json_object_get(value, keys[i].name);

        if (member)
            keys[i].check(findings, keys[i].name, member);
        else if (keys[i].is_mandatory)
            find(findings, "Key \"%s\" not found in %s", keys[i].name, where);
    }
}

static void check_properties(struct findings *findings, const char *key, const json_t *value)
{
    static const struct key keys[] = {
        {"content_type", check_binary, false},   {"content_encoding", check_binary, false},
        {"delivery_mode", check_number, false},  {"priority", check_number, false},
        {"correlation_id", check_binary, false}, {"reply_to", check_binary, false},
        {"expiration", check_binary, false},     {"message_id", check_binary, false},
        {"timestamp", check_number, false},      {"type", check_binary, false},
        {"user_id", check_binary, false},        {"app_id", check_binary, false},
        {"cluster_id", check_binary, false},
    };

    if (json_is_array(value) && json_array_size(value) == 0)
        return;
    if (json_is_object(value))
        check_object(findings, keys, sizeof keys / sizeof *keys, key, value);
    else
        check_arguments(findings, key, value);
}

static const struct key shovel_keys[] = {
    {"reconnect-delay", check_number, false},
    {"ack-mode", check_ack_mode, false},
    {"src-protocol", check_protocol, false},
    {"dest-protocol", check_protocol, false},
    {"src-uri", check_uris, true},
    {"src-exchange", check_binary, false},
    {"src-exchange-key", check_binary, false},
    {"src-queue", check_binary, false},
    {"src-queue-args", check_arguments, false},
    {"src-consumer-args", check_arguments, false},
    {"src-predeclared", check_boolean, false},
    {"prefetch-count", check_number, false},
    {"src-prefetch-count", check_number, false},
    {"delete-after", check_delete_after, false},
    {"src-delete-after", check_delete_after, false},
    {"dest-uri", check_uris, true},
    {"dest-exchange", check_binary, false},
    {"dest-exchange-key", check_binary, false},
    {"dest-queue", check_binary, false},
    {"dest-queue-args", check_arguments, false},
    {"dest-predeclared", check_boolean, false},
    {"add-forward-headers", check_boolean, false},
    {"add-timestamp-header", check_boolean, false},
    {"dest-add-forward-headers", check_boolean, false},
    {"dest-add-timestamp-header", check_boolean, false},
    {"publish-properties", check_properties, false},
    {"dest-publish-properties", check_properties, false},
};

static void check_ends(struct findings *findings, const json_t *value)
{
    const json_t *delete_after = json_object_get(value, "src-delete-after");
    const char *ack_mode = json_string_value(json_object_get(value, "ack-mode"));
    bool has_exchange = json_object_get(value, "src-exchange");
    bool has_queue = json_object_get(value, "src-queue");

    if (!has_exchange && !has_queue)
        find(findings, "Must specify 'src-exchange' or 'src-queue'");
    if (has_exchange && has_queue)
        find(findings, "Cannot specify 'src-exchange' and 'src-queue'");
    if (!delete_after)
        delete_after = json_object_get(value, "delete-after");
    if (json_is_integer(delete_after) && ack_mode && strcmp(ack_mode, "no-ack") == 0)
        find(findings, "Cannot specify 'no-ack' and numerical 'delete-after'");
    if (json_object_get(value, "dest-exchange") && json_object_get(value, "dest-queue"))
        find(findings, "Cannot specify 'dest-exchange' and 'dest-queue'");
}

bool shovels_check(const char *name, const json_t *value, char *why, size_t why_size)
{
    struct findings findings = {.text = why, .size = why_size};

    if (why_size)
        *why = 0;
    if (!json_is_object(value)) {
        check_arguments(&findings, name, value);
        if (!findings.any)
            find(&findings, "Must specify 'src-exchange' or 'src-queue'");
        return false;
    }
    check_ends(&findings, value);
    check_object(&findings, shovel_keys, sizeof shovel_keys / sizeof *shovel_keys, name, value);
    return !findings.any;
}
