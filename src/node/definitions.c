/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import of definitions.json. One function for each section takes one entry of it; the sections' order is
 * that in which they need each other: users and vhosts first, bindings after what they bind. Parameters come
 * last, so that a vhost's limit does not keep out queues that were there before the limit. What lasts beside
 * the topology is handed to the target's keep as soon as it was taken (definitions_keep.h).
 */
#include "coney/definitions.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/buffer.h"
#include "coney/json_table.h"
#include "coney/log.h"
#include "coney/parameters.h"
#include "coney/permission.h"
#include "coney/table.h"
#include "coney/users.h"
#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "definitions_keep.h"
#include "policy_json.h"

#define TAGS_MAX 64 /* of one user; more is no list that a person wrote */

struct import {
    const struct definitions_target *target;
    struct definitions_result *result;
    struct vhost *vhost; /* that all this happens inside of; NULL: whatever find_vhost() finds */
    struct buffer table; /* arguments or definition of the entry at hand */
    char *why;           /* what is wrong with it, DEFINITIONS_WHY_SIZE */
    const char *section;
    size_t index; /* of the entry at hand; ENTRY_ALONE */
};

#define ENTRY_ALONE SIZE_MAX /* it is not one of a list */

/* ---- errors and warnings ---- */

static bool refuse(struct import *import, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct import *import, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Write "SECTION[INDEX]: ", or "SECTION: ", and the text. */
static void describe(char out[DEFINITIONS_WHY_SIZE], const struct import *import, const char *format,
                     va_list arguments) __attribute__((format(printf, 3, 0)));

static void describe(char out[DEFINITIONS_WHY_SIZE], const struct import *import, const char *format,
                     va_list arguments)
{
    int used = import->index == ENTRY_ALONE
                   ? snprintf(out, DEFINITIONS_WHY_SIZE, "%s: ", import->section)
                   : snprintf(out, DEFINITIONS_WHY_SIZE, "%s[%zu]: ", import->section, import->index);

    vsnprintf(out + used, DEFINITIONS_WHY_SIZE - (size_t)used, format, arguments);
}

static bool refuse(struct import *import, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    describe(import->why, import, format, arguments);
    va_end(arguments);
    return false;
}

static void warn(struct import *import, const char *format, ...)
{
    char text[DEFINITIONS_WHY_SIZE];
    va_list arguments;

    va_start(arguments, format);
    describe(text, import, format, arguments);
    va_end(arguments);
    import->target->warn(import->target->context, text);
}

/* ---- members of an entry ---- */

static struct bytes string_bytes(const json_t *string)
{
    return (struct bytes){(const uint8_t *)json_string_value(string), json_string_length(string)};
}

/* A string of any length; EMPTY when it is missing and EMPTY is not NULL. */
static bool get_text(struct import *import, const json_t *entry, const char *key, const char *empty,
                     struct bytes *out)
{
    const json_t *value = json_object_get(entry, key);

    *out = (struct bytes){0};
    if (json_is_string(value)) {
        *out = string_bytes(value);
        return true;
    }
    if (value != NULL && !json_is_null(value))
        return refuse(import, "'%s' should be a string", key);
    if (empty == NULL)
        return refuse(import, "'%s' is missing", key);
    *out = bytes_from_string(empty);
    return true;
}

/* A name or key as it can stand in a short string. */
static bool get_name(struct import *import, const json_t *entry, const char *key, struct bytes *out)
{
    if (!get_text(import, entry, key, NULL, out))
        return false;
    return out->size <= SHORTSTR_MAX || refuse(import, "'%s' is longer than %d octets", key, SHORTSTR_MAX);
}

/* true, false, or these words in a string; false when it is missing (management-http-api.md 1.1, 3.7). */
static bool get_bool(struct import *import, const json_t *entry, const char *key, bool *out)
{
    const json_t *value = json_object_get(entry, key);
    const char *word = json_string_value(value);

    *out = json_is_true(value) || (word != NULL && strcmp(word, "true") == 0);
    return *out || value == NULL || json_is_false(value) || (word != NULL && strcmp(word, "false") == 0) ||
           refuse(import, "'%s' should be true or false", key);
}

static bool get_integer(struct import *import, const json_t *object, const char *key, int64_t missing,
                        int64_t *out)
{
    const json_t *value = json_object_get(object, key);

    *out = json_is_integer(value) ? json_integer_value(value) : missing;
    return value == NULL || json_is_integer(value) || refuse(import, "'%s' should be an integer", key);
}

/* An object as a table, in import->table. Missing, or the [] that some exporters write for an empty one, is
 * empty. */
static bool get_table(struct import *import, const json_t *entry, const char *key, struct bytes *out)
{
    const json_t *value = json_object_get(entry, key);
    char why[128];

    buffer_clear(&import->table);
    if (json_is_object(value)) {
        if (!table_from_json(&import->table, value, why, sizeof why))
            return refuse(import, "'%s': %s", key, why);
    } else if (value != NULL && (!json_is_array(value) || json_array_size(value) > 0)) {
        return refuse(import, "'%s' should be an object", key);
    }
    *out = buffer_bytes(&import->table);
    return true;
}

/* The vhost that an entry names. */
static bool get_vhost(struct import *import, const json_t *entry, struct vhost **out)
{
    struct bytes name;

    if (!get_name(import, entry, "vhost", &name))
        return false;
    *out = import->vhost != NULL ? import->vhost : import->target->find_vhost(import->target->context, name);
    return *out != NULL || refuse(import, "there is no vhost '%.*s'", BYTES_ARG(name));
}

static bool get_user(struct import *import, const json_t *entry, struct bytes *out)
{
    if (!get_name(import, entry, "user", out))
        return false;
    /* What was kept may name a user whose own entry comes later, or who was being removed. */
    return import->index == ENTRY_ALONE || users_has(import->target->users, *out) ||
           refuse(import, "there is no user '%.*s'", BYTES_ARG(*out));
}

static bool get_pattern(struct import *import, const json_t *entry, const char *key, struct bytes *out)
{
    char why[128];

    return get_text(import, entry, key, NULL, out) &&
           (permission_pattern_is_valid(*out, why, sizeof why) ||
            refuse(import, "'%s' is no valid pattern: %s", key, why));
}

/* ---- users ---- */

/* Cut "a,b" at its commas into TAGS, without blanks around them. */
static size_t split_tags(struct bytes text, struct bytes tags[TAGS_MAX])
{
    size_t count = 0;

    while (text.size > 0 && count < TAGS_MAX) {
        const uint8_t *comma = memchr(text.data, ',', text.size);
        struct bytes tag = {text.data, comma != NULL ? (size_t)(comma - text.data) : text.size};
        size_t taken = tag.size + (comma != NULL);

        while (tag.size > 0 && tag.data[0] == ' ')
            tag = (struct bytes){tag.data + 1, tag.size - 1};
        while (tag.size > 0 && tag.data[tag.size - 1] == ' ')
            tag.size--;
        if (tag.size > 0)
            tags[count++] = tag;
        text = (struct bytes){text.data + taken, text.size - taken};
    }
    return count;
}

/* What very old exports have instead of tags: true, maybe as a string. */
static bool is_administrator(const json_t *entry)
{
    const json_t *value = json_object_get(entry, "administrator");

    return json_is_true(value) || (json_is_string(value) && strcmp(json_string_value(value), "true") == 0);
}

/* Tags are an array of words, or one string with commas. */
static bool get_tags(struct import *import, const json_t *entry, struct bytes tags[TAGS_MAX], size_t *count)
{
    const json_t *value = json_object_get(entry, "tags");
    size_t size = json_array_size(value);

    if (value == NULL && is_administrator(entry)) {
        tags[0] = bytes_from_string("administrator");
        *count = 1;
        return true;
    }
    *count = json_is_string(value) ? split_tags(string_bytes(value), tags) : size;
    if (json_is_string(value) || value == NULL)
        return true;
    if (!json_is_array(value) || size > TAGS_MAX)
        return refuse(import, "'tags' should be an array of at most %d strings", TAGS_MAX);
    for (size_t i = 0; i < size; i++) {
        if (!json_is_string(json_array_get(value, i)))
            return refuse(import, "'tags' should be an array of strings");
        tags[i] = string_bytes(json_array_get(value, i));
    }
    return true;
}

/* The algorithm of a hash; when it is not said, as in old exports, its length says it. */
static bool get_hashing(struct import *import, const json_t *entry, struct bytes hash,
                        enum password_hashing *out)
{
    struct bytes name;

    *out = password_hashing_from_size(hash.size);
    if (!get_text(import, entry, "hashing_algorithm", "", &name))
        return false;
    return name.size == 0 || password_hashing_from_name(name, out) ||
           refuse(import, "'hashing_algorithm' '%.*s' is not known", BYTES_ARG(name));
}

static bool import_user(struct import *import, const json_t *entry)
{
    const json_t *limits = json_object_get(entry, "limits"), *password = json_object_get(entry, "password");
    /* What is kept says all limits; what is imported changes those that it names, as in RabbitMQ. */
    int64_t missing = limits != NULL && import->index == ENTRY_ALONE ? USER_LIMIT_NONE : USER_LIMIT_KEEP;
    struct bytes tags[TAGS_MAX];
    struct user_spec spec = {.tags = tags};
    char why[128];

    if (!get_name(import, entry, "name", &spec.name) || !get_tags(import, entry, tags, &spec.tag_count) ||
        !get_text(import, entry, "password_hash", "", &spec.password_hash) ||
        !get_hashing(import, entry, spec.password_hash, &spec.hashing) ||
        !get_integer(import, limits, "max-connections", missing, &spec.max_connections) ||
        !get_integer(import, limits, "max-channels", missing, &spec.max_channels))
        return false;
    if (password != NULL && !get_text(import, entry, "password", NULL, &spec.password))
        return false;
    if (!users_put(import->target->users, &spec, why, sizeof why))
        return refuse(import, "user '%.*s': %s", BYTES_ARG(spec.name), why);
    import->result->users++;
    keep_user(import->target, spec.name);
    return true;
}

/* ---- vhosts ---- */

static bool set_vhost_limits(struct import *import, struct vhost *vhost, const json_t *limits)
{
    int64_t connections, queues;

    if (!json_is_object(limits) && json_array_size(limits) > 0)
        return refuse(import, "the limits should be an object");
    if (!get_integer(import, limits, "max-connections", -1, &connections) ||
        !get_integer(import, limits, "max-queues", -1, &queues))
        return false;
    vhost_set_limits(vhost, connections, queues);
    keep_vhost_limits(import->target, vhost_name(vhost), limits);
    return true;
}

/* The default type stands in the metadata, and in newer exports also beside them; "undefined" is none.
 * *IS_NEW becomes true when there is one. */
static bool set_default_queue_type(struct import *import, struct vhost *vhost, const json_t *entry,
                                   bool *is_new)
{
    struct bytes name;
    enum queue_type type;

    if (!get_text(import, entry, "default_queue_type", "undefined", &name))
        return false;
    if (name.size == 0 || bytes_equal_string(name, "undefined"))
        return true;
    if (!queue_type_from_name(name, &type) || type == QUEUE_STREAM)
        return refuse(import, "'default_queue_type' '%.*s' is not supported", BYTES_ARG(name));
    vhost_set_default_queue_type(vhost, type);
    *is_new = true;
    return true;
}

struct vhost_entry {
    struct import *import;
    const json_t *entry;
    bool is_new;
    bool done;
};

/* Inside the vhost: all but its name. */
static void take_vhost(struct vhost *vhost, void *argument)
{
    struct vhost_entry *with = argument;
    struct import *import = with->import;
    const json_t *entry = with->entry, *limits = json_object_get(entry, "limits");

    if (!set_default_queue_type(import, vhost, json_object_get(entry, "metadata"), &with->is_new) ||
        !set_default_queue_type(import, vhost, entry, &with->is_new))
        return;
    /* An entry that says nothing leaves the type as it was, so it must not replace the one that said it. */
    if (with->is_new)
        keep_vhost(import->target, vhost_name(vhost), entry);
    with->done = limits == NULL || set_vhost_limits(import, vhost, limits);
}

static bool import_vhost(struct import *import, const json_t *entry)
{
    const struct definitions_target *target = import->target;
    struct vhost_entry with = {.import = import, .entry = entry};
    struct vhost *vhost;
    struct bytes name;

    if (!get_name(import, entry, "name", &name))
        return false;
    if (name.size == 0)
        return refuse(import, "'name' is empty");
    vhost = target->find_vhost(target->context, name);
    with.is_new = vhost == NULL;
    if (with.is_new)
        vhost = target->make_vhost(target->context, name);
    if (vhost == NULL)
        return refuse(import, "vhost '%.*s' cannot be made", BYTES_ARG(name));
    import->result->vhosts++;
    if (target->inside == NULL)
        take_vhost(vhost, &with);
    else if (!target->inside(target->context, name, take_vhost, &with))
        return refuse(import, "vhost '%.*s' is gone", BYTES_ARG(name));
    return with.done;
}

/* ---- permissions ---- */

static bool import_permission(struct import *import, const json_t *entry)
{
    struct bytes user, configure, write, read;
    struct vhost *vhost;

    if (!get_user(import, entry, &user) || !get_vhost(import, entry, &vhost) ||
        !get_pattern(import, entry, "configure", &configure) ||
        !get_pattern(import, entry, "write", &write) || !get_pattern(import, entry, "read", &read))
        return false;
    vhost_set_permission(vhost, user, configure, write, read);
    keep_entry(import->target, import->section, vhost_name(vhost), user, entry);
    return true;
}

static bool import_topic_permission(struct import *import, const json_t *entry)
{
    struct bytes user, exchange, write, read;
    struct vhost *vhost;

    if (!get_user(import, entry, &user) || !get_vhost(import, entry, &vhost) ||
        !get_name(import, entry, "exchange", &exchange) || !get_pattern(import, entry, "write", &write) ||
        !get_pattern(import, entry, "read", &read))
        return false;
    vhost_set_topic_permission(vhost, user, exchange, write, read);
    keep_entry_of_two(import->target, import->section, vhost_name(vhost), user, exchange, entry);
    return true;
}

/* ---- policies and parameters ---- */

/* Put a policy whose pattern, definition and so on are members of VALUE. */
static bool put_policy(struct import *import, struct vhost *vhost, enum policy_origin origin,
                       struct bytes name, const json_t *value)
{
    char why[POLICY_WHY_SIZE];

    return policy_put_json(vhost, origin, name, value, why) ||
           refuse(import, "policy '%.*s': %s", BYTES_ARG(name), why);
}

static bool import_policy(struct import *import, const json_t *entry)
{
    struct vhost *vhost;
    struct bytes name;

    if (!get_vhost(import, entry, &vhost) || !get_name(import, entry, "name", &name) ||
        !put_policy(import, vhost, POLICY_USER, name, entry))
        return false;
    keep_entry(import->target, import->section, vhost_name(vhost), name, entry);
    return true;
}

/* Store a parameter of a component, if there is one of the name. */
static bool import_value(struct import *import, struct vhost *vhost, struct bytes component,
                         struct bytes name, const json_t *entry)
{
    struct parameters *parameters = import->target->parameters;
    const json_t *value = json_object_get(entry, "value");
    char why[PARAMETER_WHY_SIZE];

    if (parameters == NULL || !parameters_has_component(parameters, component)) {
        warn(import, "skipped: there is no component '%.*s'", BYTES_ARG(component));
        return true;
    }
    if (!parameters_check(parameters, component, vhost_name(vhost), name, value, why))
        return refuse(import, "'%.*s': %s", BYTES_ARG(name), why);
    parameters_set_json(parameters, component, vhost_name(vhost), name, value);
    keep_entry_of_two(import->target, import->section, vhost_name(vhost), component, name, entry);
    parameters_tell(parameters, component, vhost_name(vhost), name);
    return true;
}

static bool import_parameter(struct import *import, const json_t *entry)
{
    const json_t *value = json_object_get(entry, "value");
    struct bytes component, name;
    struct vhost *vhost;

    if (!get_vhost(import, entry, &vhost) || !get_name(import, entry, "component", &component) ||
        !get_name(import, entry, "name", &name))
        return false;
    if (value == NULL)
        return refuse(import, "'value' is missing");
    if (bytes_equal_string(component, "vhost-limits"))
        return set_vhost_limits(import, vhost, value);
    if (!bytes_equal_string(component, "operator_policy"))
        return import_value(import, vhost, component, name, entry);
    if (!put_policy(import, vhost, POLICY_OPERATOR, name, value))
        return false;
    keep_entry_of_two(import->target, import->section, vhost_name(vhost), component, name, entry);
    return true;
}

static bool import_global_parameter(struct import *import, const json_t *entry)
{
    struct bytes name, value;

    if (!get_name(import, entry, "name", &name))
        return false;
    if (bytes_equal_string(name, "cluster_name")) {
        if (!get_name(import, entry, "value", &value))
            return false;
        free(import->result->cluster_name);
        import->result->cluster_name = xmalloc(value.size + 1);
        *put_bytes((uint8_t *)import->result->cluster_name, value) = '\0';
    }
    if (import->target->parameters != NULL)
        parameters_set_json(import->target->parameters, (struct bytes){0}, (struct bytes){0}, name,
                            json_object_get(entry, "value"));
    keep_entry(import->target, import->section, (struct bytes){0}, name, entry);
    return true;
}

/* ---- topology ---- */

/* What a declare or bind was refused with: RabbitMQ skips what is there with other properties, and bindings
 * of what is not there. */
static bool refused(struct import *import, const struct reply_error *error)
{
    if (error->code == REPLY_NOT_FOUND || error->code == REPLY_RESOURCE_LOCKED ||
        strncmp(error->text, "inequivalent arg", strlen("inequivalent arg")) == 0) {
        warn(import, "skipped: %s", error->text);
        return true;
    }
    return refuse(import, "%s", error->text);
}

/* Names that the broker gives: who imports such a thing means another broker's. RabbitMQ skips it too. */
static bool is_skipped(const struct import *import, const char *what, struct bytes name)
{
    bool skipped = import->index != ENTRY_ALONE && name.size >= 4 && memcmp(name.data, "amq.", 4) == 0;

    if (skipped)
        log_warning("definitions: %s '%.*s' is left out, as its name begins with 'amq.'", what,
                    BYTES_ARG(name));
    return skipped;
}

static bool import_exchange(struct import *import, const json_t *entry)
{
    struct exchange_spec spec = {0};
    struct reply_error error;
    struct vhost *vhost;

    if (!get_vhost(import, entry, &vhost) || !get_name(import, entry, "name", &spec.name) ||
        !get_text(import, entry, "type", NULL, &spec.type) ||
        !get_bool(import, entry, "durable", &spec.durable) ||
        !get_bool(import, entry, "auto_delete", &spec.auto_delete) ||
        !get_bool(import, entry, "internal", &spec.internal) ||
        !get_table(import, entry, "arguments", &spec.arguments))
        return false;
    if (is_skipped(import, "exchange", spec.name))
        return true;
    if (!vhost_declare_exchange(vhost, &spec, &error))
        return refused(import, &error);
    import->result->exchanges++;
    return true;
}

/* Newer exports say the type beside the arguments, which then may lack it. */
static bool add_queue_type(struct import *import, const json_t *entry, struct bytes *arguments)
{
    struct table_builder builder = table_builder_init(&import->table);
    struct field field;
    struct bytes type;

    if (!get_text(import, entry, "type", "classic", &type))
        return false;
    if (!bytes_equal_string(type, "classic") && !table_get(*arguments, "x-queue-type", &field))
        table_put_longstr(&builder, "x-queue-type", type);
    *arguments = buffer_bytes(&import->table);
    return true;
}

static bool import_queue(struct import *import, const json_t *entry)
{
    struct queue_spec spec = {0};
    struct reply_error error;
    struct vhost *vhost;

    if (!get_vhost(import, entry, &vhost) || !get_name(import, entry, "name", &spec.name) ||
        !get_bool(import, entry, "durable", &spec.durable) ||
        !get_bool(import, entry, "auto_delete", &spec.auto_delete) ||
        !get_table(import, entry, "arguments", &spec.arguments) ||
        !add_queue_type(import, entry, &spec.arguments))
        return false;
    if (spec.name.size == 0)
        return refuse(import, "'name' is empty");
    if (is_skipped(import, "queue", spec.name))
        return true;
    if (!vhost_declare_queue(vhost, &spec, &error))
        return refused(import, &error);
    import->result->queues++;
    return true;
}

static bool import_binding(struct import *import, const json_t *entry)
{
    struct binding_spec spec = {0};
    struct reply_error error;
    struct vhost *vhost;
    struct bytes type;

    if (!get_vhost(import, entry, &vhost) || !get_name(import, entry, "source", &spec.source) ||
        !get_name(import, entry, "destination", &spec.destination) ||
        !get_text(import, entry, "destination_type", "queue", &type) ||
        !get_name(import, entry, "routing_key", &spec.routing_key) ||
        !get_table(import, entry, "arguments", &spec.arguments))
        return false;
    spec.to_exchange = bytes_equal_string(type, "exchange");
    if (!spec.to_exchange && !bytes_equal_string(type, "queue"))
        return refuse(import, "'destination_type' should be queue or exchange");
    /* Every queue's binding to the default exchange is there by itself. */
    if (spec.source.size == 0)
        return true;
    if (!vhost_bind(vhost, &spec, &error))
        return refused(import, &error);
    import->result->bindings++;
    return true;
}

/* ---- the whole ---- */

struct section {
    const char *name;
    bool (*take)(struct import *import, const json_t *entry);
    bool is_topology;                         /* which the vhosts keep themselves */
    enum { OF_NODE, INSIDE, OF_VHOST } place; /* INSIDE: names a vhost; OF_VHOST: so does a vhost's export */
};

static const struct section sections[] = {
    {"users", import_user, false, OF_NODE},
    {"vhosts", import_vhost, false, OF_NODE},
    {"permissions", import_permission, false, INSIDE},
    {"exchanges", import_exchange, true, OF_VHOST},
    {"topic_permissions", import_topic_permission, false, INSIDE},
    {"global_parameters", import_global_parameter, false, OF_NODE},
    {"policies", import_policy, false, OF_VHOST},
    {"queues", import_queue, true, OF_VHOST},
    {"bindings", import_binding, true, OF_VHOST},
    {"parameters", import_parameter, false, OF_VHOST},
};

#define SECTIONS (sizeof sections / sizeof sections[0])

static bool import_one(struct import *import, const struct section *section, const json_t *entry)
{
    return json_is_object(entry) ? section->take(import, entry) : refuse(import, "should be an object");
}

/* Entries that follow each other and name one vhost: as many as whoever runs it may be kept for. */
#define RUN_MAX 64

struct run {
    struct import *import;
    const struct section *section;
    const json_t *entries;
    size_t end;
    bool done;
};

static void take_run(struct vhost *vhost, void *argument)
{
    struct run *run = argument;
    struct import *import = run->import;

    import->vhost = vhost;
    while (run->done && import->index < run->end) {
        run->done = import_one(import, run->section, json_array_get(run->entries, import->index));
        import->index += run->done;
    }
    import->vhost = NULL;
}

static const json_t *vhost_of(const json_t *entries, size_t index)
{
    return json_object_get(json_array_get(entries, index), "vhost");
}

/* The entry at hand and those behind it that are of its vhost, inside that. */
static bool import_inside(struct import *import, const json_t *entries, const struct section *section)
{
    const struct definitions_target *target = import->target;
    struct run run = {import, section, entries, import->index + 1, true};
    const json_t *vhost = vhost_of(entries, import->index);

    if (!json_is_string(vhost))
        return import_one(import, section, json_array_get(entries, import->index));
    while (run.end < json_array_size(entries) && run.end - import->index < RUN_MAX &&
           json_equal(vhost_of(entries, run.end), vhost))
        run.end++;
    return target->inside(target->context, string_bytes(vhost), take_run, &run)
               ? run.done
               : refuse(import, "there is no vhost '%.*s'", BYTES_ARG(string_bytes(vhost)));
}

static bool import_next(struct import *import, const json_t *entries, const struct section *section)
{
    if (import->target->inside != NULL && section->place != OF_NODE)
        return import_inside(import, entries, section);
    if (!import_one(import, section, json_array_get(entries, import->index)))
        return false;
    import->index++;
    return true;
}

static bool import_section(struct import *import, const json_t *entries, const struct section *section)
{
    import->section = section->name;
    if (entries != NULL && !json_is_array(entries)) {
        snprintf(import->why, DEFINITIONS_WHY_SIZE, "%s: should be an array", import->section);
        return false;
    }
    import->index = 0;
    while (import->index < json_array_size(entries)) {
        if (!import_next(import, entries, section))
            return false;
    }
    return true;
}

/* Have each of ENTRIES name VHOST. */
static void move_to(json_t *entries, struct bytes vhost)
{
    for (size_t i = 0; i < json_array_size(entries); i++)
        json_object_set_new(json_array_get(entries, i), "vhost",
                            json_stringn((const char *)vhost.data, vhost.size));
}

bool definitions_import_json(const struct definitions_target *target, json_t *root, struct bytes vhost,
                             struct definitions_result *result, char why[DEFINITIONS_WHY_SIZE])
{
    struct import import = {.target = target, .result = result, .why = why};
    bool done = json_is_object(root);

    *result = (struct definitions_result){0};
    if (!done)
        snprintf(why, DEFINITIONS_WHY_SIZE, "should be a JSON object");
    for (size_t i = 0; done && i < SECTIONS; i++) {
        json_t *entries = json_object_get(root, sections[i].name);

        if (vhost.size > 0 && sections[i].place != OF_VHOST)
            continue;
        if (vhost.size > 0)
            move_to(entries, vhost);
        done = import_section(&import, entries, &sections[i]);
    }
    buffer_free(&import.table);
    if (!done) {
        free(result->cluster_name);
        result->cluster_name = NULL;
    }
    return done;
}

static json_t *parse(const char *text, size_t size, char why[DEFINITIONS_WHY_SIZE])
{
    json_error_t error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

    if (root == NULL)
        snprintf(why, DEFINITIONS_WHY_SIZE, "line %d, column %d: %s", error.line, error.column, error.text);
    return root;
}

bool definitions_import(const struct definitions_target *target, const char *text, size_t size,
                        struct definitions_result *result, char why[DEFINITIONS_WHY_SIZE])
{
    json_t *root = parse(text, size, why);
    bool done;

    *result = (struct definitions_result){0};
    if (root == NULL)
        return false;
    done = definitions_import_json(target, root, (struct bytes){0}, result, why);
    json_decref(root);
    return done;
}

static const struct section *kept_section(struct bytes name)
{
    for (size_t i = 0; i < SECTIONS; i++) {
        if (!sections[i].is_topology && bytes_equal_string(name, sections[i].name))
            return &sections[i];
    }
    return NULL;
}

bool definitions_import_entry(const struct definitions_target *target, struct bytes section,
                              struct bytes json, struct definitions_result *result,
                              char why[DEFINITIONS_WHY_SIZE])
{
    const struct section *known = kept_section(section);
    struct definitions_target silent = *target;
    struct import import = {.target = &silent, .result = result, .why = why, .index = ENTRY_ALONE};
    json_t *entry;
    bool done;

    if (known == NULL) {
        snprintf(why, DEFINITIONS_WHY_SIZE, "there is no section '%.*s' whose entries are kept",
                 BYTES_ARG(section));
        return false;
    }
    entry = parse((const char *)json.data, json.size, why);
    if (entry == NULL)
        return false;
    silent.keep = NULL;
    import.section = known->name;
    done = import_one(&import, known, entry);
    buffer_free(&import.table);
    json_decref(entry);
    return done;
}

/* Read all of FILE; NULL, with errno set, when that fails. */
static char *read_all(FILE *file, size_t *size)
{
    struct buffer text = {0};

    do {
        uint8_t *room = buffer_reserve(&text, 65536);

        *size = fread(room, 1, 65536, file);
        text.size += *size;
    } while (*size > 0);
    *size = text.size;
    if (ferror(file)) {
        buffer_free(&text);
        return NULL;
    }
    return (char *)text.data;
}

bool definitions_load(const struct definitions_target *target, const char *path,
                      struct definitions_result *result, char why[DEFINITIONS_WHY_SIZE])
{
    FILE *file = fopen(path, "re");
    size_t size = 0;
    char *text = file != NULL ? read_all(file, &size) : NULL;
    char reason[DEFINITIONS_WHY_SIZE];
    bool done = false;

    if (text == NULL)
        snprintf(reason, sizeof reason, "cannot be read: %s", strerrordesc_np(errno));
    else
        done = definitions_import(target, text, size, result, reason);
    if (!done)
        snprintf(why, DEFINITIONS_WHY_SIZE, "%.200s: %.300s", path, reason);
    free(text);
    if (file != NULL)
        fclose(file);
    return done;
}
