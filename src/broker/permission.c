/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permissions: three compiled patterns, and two for each topic exchange that has a record. A pattern that is
 * NULL denies.
 */
#include "coney/permission.h"

#include <stdio.h>
#include <stdlib.h>

#include "coney/buffer.h"
#include "coney/xalloc.h"
#include "pattern.h"

#define KINDS 3

/* Patterns on the routing keys of one topic exchange. An administrator makes these by hand, so they are few
 * and a list does. */
struct topic {
    struct topic *next;
    uint8_t *exchange;
    size_t exchange_size;
    struct pattern *patterns[KINDS]; /* that of PERMISSION_CONFIGURE is not used */
};

struct permission {
    unsigned references;
    struct pattern *patterns[KINDS];
    struct topic *topics;
};

const char *permission_kind_name(enum permission_kind kind)
{
    static const char *const names[KINDS] = {"configure", "write", "read"};

    return names[kind];
}

/* Compile what an administrator wrote; NULL (deny) when it is not valid. */
static struct pattern *compile(struct bytes pattern, char *why, size_t why_size)
{
    if (pattern.size == 0)
        pattern = BYTES_LITERAL("^$");
    return pattern_new(pattern, why, why_size);
}

static struct pattern *compile_bounded(struct bytes pattern)
{
    return pattern.size > PERMISSION_PATTERN_MAX ? NULL : compile(pattern, NULL, 0);
}

struct permission *permission_new(struct bytes configure, struct bytes write, struct bytes read)
{
    struct permission *permission = xcalloc(1, sizeof *permission);

    permission->references = 1;
    permission->patterns[PERMISSION_CONFIGURE] = compile_bounded(configure);
    permission->patterns[PERMISSION_WRITE] = compile_bounded(write);
    permission->patterns[PERMISSION_READ] = compile_bounded(read);
    return permission;
}

struct permission *permission_ref(struct permission *permission)
{
    permission->references++;
    return permission;
}

static void topic_free(struct topic *topic)
{
    for (int kind = 0; kind < KINDS; kind++)
        pattern_free(topic->patterns[kind]);
    free(topic->exchange);
    free(topic);
}

void permission_unref(struct permission *permission)
{
    struct topic *topic;

    if (permission == NULL || --permission->references > 0)
        return;
    while ((topic = permission->topics) != NULL) {
        permission->topics = topic->next;
        topic_free(topic);
    }
    for (int kind = 0; kind < KINDS; kind++)
        pattern_free(permission->patterns[kind]);
    free(permission);
}

bool permission_allows(const struct permission *permission, enum permission_kind kind, struct bytes name)
{
    if (name.size == 0)
        name = BYTES_LITERAL("amq.default");
    return pattern_search(permission->patterns[kind], name);
}

/* ---- topic permissions ---- */

/* Append TEXT so that a pattern matches it literally. */
static void append_escaped(struct buffer *out, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;

        if (c == '\0') {
            buffer_append(out, "\\x00", 4);
            continue;
        }
        if (!word)
            buffer_append(out, "\\", 1);
        buffer_append(out, &c, 1);
    }
}

static bool starts_with(struct bytes text, struct bytes prefix)
{
    return text.size >= prefix.size && memcmp(text.data, prefix.data, prefix.size) == 0;
}

/* Append PATTERN with its variables replaced. Stops growing past what will be refused anyway. */
static void append_expanded(struct buffer *out, struct bytes pattern, struct bytes user, struct bytes vhost)
{
    const struct bytes username_variable = BYTES_LITERAL("{username}");
    const struct bytes vhost_variable = BYTES_LITERAL("{vhost}");

    while (pattern.size > 0 && out->size <= PATTERN_MAX) {
        size_t taken = 1;

        if (starts_with(pattern, username_variable)) {
            append_escaped(out, user);
            taken = username_variable.size;
        } else if (starts_with(pattern, vhost_variable)) {
            append_escaped(out, vhost);
            taken = vhost_variable.size;
        } else {
            buffer_append(out, pattern.data, 1);
        }
        pattern.data += taken;
        pattern.size -= taken;
    }
}

static struct pattern *compile_topic(struct bytes pattern, struct bytes user, struct bytes vhost)
{
    struct buffer expanded = {0};
    struct pattern *compiled;

    if (pattern.size > PERMISSION_PATTERN_MAX)
        return NULL;
    append_expanded(&expanded, pattern, user, vhost);
    compiled = compile(buffer_bytes(&expanded), NULL, 0);
    buffer_free(&expanded);
    return compiled;
}

static struct topic *topic_find(const struct permission *permission, struct bytes exchange)
{
    struct topic *topic = permission->topics;

    while (topic != NULL && !bytes_equal((struct bytes){topic->exchange, topic->exchange_size}, exchange))
        topic = topic->next;
    return topic;
}

void permission_set_topic(struct permission *permission, struct bytes exchange, struct bytes write,
                          struct bytes read, struct bytes user, struct bytes vhost)
{
    struct topic *topic;

    permission_clear_topic(permission, exchange);
    topic = xcalloc(1, sizeof *topic);
    topic->exchange = xmemdup(exchange.data, exchange.size);
    topic->exchange_size = exchange.size;
    topic->patterns[PERMISSION_WRITE] = compile_topic(write, user, vhost);
    topic->patterns[PERMISSION_READ] = compile_topic(read, user, vhost);
    topic->next = permission->topics;
    permission->topics = topic;
}

void permission_clear_topic(struct permission *permission, struct bytes exchange)
{
    struct topic *topic = topic_find(permission, exchange);
    struct topic **link = &permission->topics;

    if (topic == NULL)
        return;
    while (*link != topic)
        link = &(*link)->next;
    *link = topic->next;
    topic_free(topic);
}

bool permission_has_topics(const struct permission *permission)
{
    return permission->topics != NULL;
}

bool permission_allows_topic(const struct permission *permission, struct bytes exchange,
                             enum permission_kind kind, struct bytes routing_key)
{
    const struct topic *topic = topic_find(permission, exchange);

    return topic == NULL || kind == PERMISSION_CONFIGURE ||
           pattern_search(topic->patterns[kind], routing_key);
}

bool permission_pattern_is_valid(struct bytes pattern, char *why, size_t why_size)
{
    struct pattern *compiled;

    if (pattern.size > PERMISSION_PATTERN_MAX) {
        if (why != NULL)
            snprintf(why, why_size, "longer than %d octets", PERMISSION_PATTERN_MAX);
        return false;
    }
    compiled = compile(pattern, why, why_size);
    pattern_free(compiled);
    return compiled != NULL;
}
