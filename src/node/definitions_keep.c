/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of definitions as they are kept. All text in them came from JSON or has been checked to be UTF-8,
 * so making JSON of it can fail only for want of memory, which ends the process as everywhere else
 * (xalloc.h): what has been made must be kept.
 */
#include "definitions_keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/buffer.h"
#include "coney/users.h"

static void need(bool done)
{
    if (done)
        return;
    fputs("coney: out of memory for definitions\n", stderr);
    abort();
}

static void set(json_t *object, const char *key, json_t *value)
{
    need(json_object_set_new(object, key, value) == 0);
}

static void set_text(json_t *object, const char *key, struct bytes text)
{
    set(object, key, json_stringn((const char *)text.data, text.size));
}

void keep_entry(const struct definitions_target *target, const char *section, struct bytes vhost,
                struct bytes name, const json_t *entry)
{
    char *json;

    if (target->keep == NULL)
        return;
    json = json_dumps(entry, JSON_COMPACT);
    need(json != NULL);
    target->keep(target->context, bytes_from_string(section), vhost, name, bytes_from_string(json));
    free(json);
}

/* No two pairs have the same name: where FIRST has an end of line itself, its size stands before it. */
static void append_two(struct buffer *name, struct bytes first, struct bytes second)
{
    char size[32];

    if (first.size && memchr(first.data, '\n', first.size))
        buffer_append(name, size, (size_t)snprintf(size, sizeof size, "\n%zu\n", first.size));
    buffer_append_bytes(name, first);
    buffer_append(name, "\n", 1);
    buffer_append_bytes(name, second);
}

void keep_entry_of_two(const struct definitions_target *target, const char *section, struct bytes vhost,
                       struct bytes first, struct bytes second, const json_t *entry)
{
    struct buffer name = {0};

    append_two(&name, first, second);
    keep_entry(target, section, vhost, buffer_bytes(&name), entry);
    buffer_free(&name);
}

void keep_gone(const struct definitions_target *target, const char *section, struct bytes vhost,
               struct bytes name)
{
    if (target->keep != NULL)
        target->keep(target->context, bytes_from_string(section), vhost, name, (struct bytes){0});
}

void keep_gone_of_two(const struct definitions_target *target, const char *section, struct bytes vhost,
                      struct bytes first, struct bytes second)
{
    struct buffer name = {0};

    append_two(&name, first, second);
    keep_gone(target, section, vhost, buffer_bytes(&name));
    buffer_free(&name);
}

static json_t *user_entry(const struct user_info *info)
{
    json_t *entry = json_object(), *tags = json_array(), *limits = json_object();

    set_text(entry, "name", info->name);
    set(entry, "password_hash", json_string(info->password_hash));
    set(entry, "hashing_algorithm", json_string(password_hashing_name(info->hashing)));
    for (size_t i = 0; i < info->tag_count; i++)
        need(json_array_append_new(tags, json_string(info->tags[i])) == 0);
    set(entry, "tags", tags);
    if (info->max_connections != USER_LIMIT_NONE)
        set(limits, "max-connections", json_integer(info->max_connections));
    if (info->max_channels != USER_LIMIT_NONE)
        set(limits, "max-channels", json_integer(info->max_channels));
    set(entry, "limits", limits);
    return entry;
}

void keep_user(const struct definitions_target *target, struct bytes name)
{
    struct user_info info;
    json_t *entry;

    if (!users_get(target->users, name, &info))
        return;
    entry = user_entry(&info);
    keep_entry(target, "users", (struct bytes){0}, name, entry);
    json_decref(entry);
    user_info_free(&info);
}

void keep_vhost(const struct definitions_target *target, struct bytes name, const json_t *entry)
{
    json_t *kept = json_object();

    if (entry != NULL)
        need(json_object_update(kept, (json_t *)(uintptr_t)entry) == 0);
    set_text(kept, "name", name);
    json_object_del(kept, "limits");
    keep_entry(target, "vhosts", (struct bytes){0}, name, kept);
    json_decref(kept);
}

void keep_vhost_limits(const struct definitions_target *target, struct bytes vhost, const json_t *limits)
{
    json_t *entry = json_object();

    set_text(entry, "vhost", vhost);
    set(entry, "component", json_string("vhost-limits"));
    set(entry, "name", json_string("limits"));
    set(entry, "value", json_deep_copy(limits));
    keep_entry_of_two(target, "parameters", vhost, BYTES_LITERAL("vhost-limits"), BYTES_LITERAL("limits"),
                      entry);
    json_decref(entry);
}

/* What makes a policy, of VALUE, added to ENTRY. */
static void copy_policy(json_t *entry, const json_t *value)
{
    static const char *const keys[] = {"pattern", "apply-to", "definition", "priority"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *member = json_object_get(value, keys[i]);

        if (member != NULL)
            need(json_object_set(entry, keys[i], member) == 0);
    }
}

void keep_policy(const struct definitions_target *target, struct bytes vhost, bool is_operator,
                 struct bytes name, const json_t *value)
{
    json_t *entry = json_object();

    copy_policy(entry, value);
    if (is_operator) {
        keep_parameter(target, BYTES_LITERAL("operator_policy"), vhost, name, entry);
    } else {
        set_text(entry, "vhost", vhost);
        set_text(entry, "name", name);
        keep_entry(target, "policies", vhost, name, entry);
    }
    json_decref(entry);
}

void keep_parameter(const struct definitions_target *target, struct bytes component, struct bytes vhost,
                    struct bytes name, const json_t *value)
{
    json_t *entry = json_object();

    set_text(entry, "name", name);
    need(json_object_set(entry, "value", (json_t *)(uintptr_t)value) == 0);
    if (component.size == 0) {
        keep_entry(target, "global_parameters", (struct bytes){0}, name, entry);
    } else {
        set_text(entry, "vhost", vhost);
        set_text(entry, "component", component);
        keep_entry_of_two(target, "parameters", vhost, component, name, entry);
    }
    json_decref(entry);
}

void keep_permission(const struct definitions_target *target, struct bytes vhost, struct bytes user,
                     struct bytes configure, struct bytes write, struct bytes read)
{
    json_t *entry = json_object();

    set_text(entry, "user", user);
    set_text(entry, "vhost", vhost);
    set_text(entry, "configure", configure);
    set_text(entry, "write", write);
    set_text(entry, "read", read);
    keep_entry(target, "permissions", vhost, user, entry);
    json_decref(entry);
}

void keep_topic_permission(const struct definitions_target *target, struct bytes vhost, struct bytes user,
                           struct bytes exchange, struct bytes write, struct bytes read)
{
    json_t *entry = json_object();

    set_text(entry, "user", user);
    set_text(entry, "vhost", vhost);
    set_text(entry, "exchange", exchange);
    set_text(entry, "write", write);
    set_text(entry, "read", read);
    keep_entry_of_two(target, "topic_permissions", vhost, user, exchange, entry);
    json_decref(entry);
}
