/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recording the death of a message in its headers (spec queue-features.md 2.4-2.7).
 *
 * An entry of x-death is read into struct entry, which borrows from the old headers, and written anew, so
 * that what goes out has exactly the fields of 2.5 whoever wrote what came in.
 */
#include "coney/death.h"

#include "coney/message_headers.h"
#include "coney/properties.h"
#include "coney/table.h"

#define X_DEATH              "x-death"
#define FIRST_DEATH_REASON   "x-first-death-reason"
#define FIRST_DEATH_QUEUE    "x-first-death-queue"
#define FIRST_DEATH_EXCHANGE "x-first-death-exchange"
#define LAST_DEATH_REASON    "x-last-death-reason"
#define LAST_DEATH_QUEUE     "x-last-death-queue"
#define LAST_DEATH_EXCHANGE  "x-last-death-exchange"
#define COUNT                "count"
#define REASON               "reason"
#define QUEUE                "queue"
#define TIME                 "time"
#define EXCHANGE             "exchange"
#define ROUTING_KEYS         "routing-keys"
#define ORIGINAL_EXPIRATION  "original-expiration"

static const char *const reason_names[] = {
    [DEATH_REJECTED] = "rejected",
    [DEATH_EXPIRED] = "expired",
    [DEATH_MAXLEN] = "maxlen",
    [DEATH_DELIVERY_LIMIT] = "delivery_limit",
};

struct entry {
    int64_t count;
    enum death_reason reason;
    struct bytes queue;
    uint64_t time; /* of the first death of (queue, reason), seconds since 1970 */
    struct bytes exchange;
    struct field routing_keys;
    bool has_original_expiration;
    struct bytes original_expiration;
};

const char *death_reason_name(enum death_reason reason)
{
    return reason_names[reason];
}

/* ---- reading the history ---- */

static bool string_get(struct bytes table, const char *name, struct bytes *out)
{
    struct field field;

    if (!table_get(table, name, &field) || (field.type != FIELD_LONGSTR && field.type != FIELD_BINARY))
        return false;
    *out = field.bytes;
    return true;
}

static bool reason_get(struct bytes table, enum death_reason *out)
{
    struct bytes name;

    if (!string_get(table, REASON, &name))
        return false;
    for (size_t i = 0; i < sizeof reason_names / sizeof reason_names[0]; i++) {
        if (bytes_equal_string(name, reason_names[i])) {
            *out = (enum death_reason)i;
            return true;
        }
    }
    return false;
}

/* False for what is no complete entry (2.5): it is skipped. */
static bool entry_read(struct entry *entry, const struct field *field)
{
    struct bytes table = field->bytes;
    struct field time;
    struct field count;

    if (field->type != FIELD_TABLE)
        return false;
    if (!table_get(table, COUNT, &count) || !field_is_integer(&count, &entry->count))
        return false;
    if (!table_get(table, TIME, &time) || time.type != FIELD_TIMESTAMP)
        return false;
    entry->time = time.u;
    if (!table_get(table, ROUTING_KEYS, &entry->routing_keys) || entry->routing_keys.type != FIELD_ARRAY)
        return false;
    entry->has_original_expiration = string_get(table, ORIGINAL_EXPIRATION, &entry->original_expiration);
    return reason_get(table, &entry->reason) && string_get(table, QUEUE, &entry->queue) &&
           string_get(table, EXCHANGE, &entry->exchange);
}

/* Give the next complete entry of a history. */
static bool history_next(struct table_iterator *history, struct entry *entry)
{
    struct field field;

    while (array_next(history, &field)) {
        if (entry_read(entry, &field))
            return true;
    }
    return false;
}

static bool is_of(const struct entry *entry, const struct death *death)
{
    return entry->reason == death->reason && bytes_equal(entry->queue, death->queue);
}

/* ---- writing it ---- */

/* The fields before routing-keys, in the order of 2.5. */
static void entry_put_head(struct table_builder *builder, const struct entry *entry)
{
    table_put_int(builder, COUNT, entry->count);
    table_put_longstr(builder, REASON, bytes_from_string(reason_names[entry->reason]));
    table_put_longstr(builder, QUEUE, entry->queue);
    table_put_timestamp(builder, TIME, entry->time);
    table_put_longstr(builder, EXCHANGE, entry->exchange);
}

static void entry_put(struct table_builder *builder, const struct entry *entry)
{
    table_put_table_begin(builder, NULL);
    entry_put_head(builder, entry);
    table_put_field(builder, BYTES_LITERAL(ROUTING_KEYS), &entry->routing_keys);
    if (entry->has_original_expiration)
        table_put_longstr(builder, ORIGINAL_EXPIRATION, entry->original_expiration);
    table_put_end(builder);
}

/* The entry of the first death of (queue, reason). BCC keys are nobody's business and stay out. */
static void entry_put_new(struct table_builder *builder, const struct death *death,
                          const struct properties *properties)
{
    struct entry entry = {.count = 1,
                          .reason = death->reason,
                          .queue = death->queue,
                          .time = death->time,
                          .exchange = death->exchange};
    struct bytes more_keys = death->more_keys;
    struct bytes key;
    bool is_bcc;

    table_put_table_begin(builder, NULL);
    entry_put_head(builder, &entry);
    table_put_array_begin(builder, ROUTING_KEYS);
    table_put_longstr(builder, NULL, death->routing_key);
    while (more_keys_next(&more_keys, &key, &is_bcc)) {
        if (!is_bcc)
            table_put_longstr(builder, NULL, key);
    }
    table_put_end(builder);
    if ((properties->flags & PROPERTY_EXPIRATION) != 0)
        table_put_longstr(builder, ORIGINAL_EXPIRATION, properties->expiration);
    table_put_end(builder);
}

/* Put x-death: HISTORY with the death at hand in front. */
static void history_put(struct table_builder *builder, struct bytes history, const struct death *death,
                        const struct properties *properties)
{
    struct table_iterator rest = array_begin(history);
    struct bytes merged = {0}; /* where the entry of this death stood */
    struct entry entry;

    table_put_array_begin(builder, X_DEATH);
    while (merged.data == NULL && history_next(&rest, &entry)) {
        if (!is_of(&entry, death))
            continue;
        merged = rest.rest;
        if (entry.count < INT64_MAX)
            entry.count++;
        entry_put(builder, &entry);
    }
    if (merged.data == NULL)
        entry_put_new(builder, death, properties);

    rest = array_begin(history);
    while (history_next(&rest, &entry)) {
        if (rest.rest.data != merged.data)
            entry_put(builder, &entry);
    }
    table_put_end(builder);
}

static void trio_put(struct table_builder *builder, const char *const names[3], const struct death *death)
{
    table_put_longstr(builder, names[0], bytes_from_string(reason_names[death->reason]));
    table_put_longstr(builder, names[1], death->queue);
    table_put_longstr(builder, names[2], death->exchange);
}

static void headers_put(struct table_builder *builder, const struct death *death,
                        const struct properties *properties)
{
    static const char *const first[] = {FIRST_DEATH_REASON, FIRST_DEATH_QUEUE, FIRST_DEATH_EXCHANGE};
    static const char *const last[] = {LAST_DEATH_REASON, LAST_DEATH_QUEUE, LAST_DEATH_EXCHANGE};
    const char *replaced[9] = {/* at most 8 and the NULL */ X_DEATH, last[0], last[1], last[2]};
    size_t count = 4;
    struct field history;
    bool has_history = table_get(properties->headers, X_DEATH, &history) && history.type == FIELD_ARRAY;

    for (size_t i = 0; !has_history && i < 3; i++)
        replaced[count++] = first[i];
    if (death->has_routing_key_override)
        replaced[count++] = "CC";
    replaced[count] = NULL;

    headers_copy_without(builder, properties->headers, replaced);
    history_put(builder, has_history ? history.bytes : (struct bytes){0}, death, properties);
    if (!has_history)
        trio_put(builder, first, death);
    trio_put(builder, last, death);
}

void death_record(struct buffer *out, const struct death *death)
{
    struct properties properties;
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    if (!properties_decode(&properties, death->properties)) {
        buffer_append_bytes(out, death->properties);
        return;
    }
    headers_put(&builder, death, &properties);
    properties.flags |= PROPERTY_HEADERS;
    properties.flags &= (uint16_t)~PROPERTY_EXPIRATION;
    properties.headers = buffer_bytes(&headers);
    properties_encode(out, &properties);
    buffer_free(&headers);
}

/* ---- cycles ---- */

bool death_is_cycle(struct bytes properties, struct bytes target_queue)
{
    struct properties decoded;
    struct table_iterator rest;
    struct field history;
    struct entry entry;

    if (!properties_decode(&decoded, properties) || !table_get(decoded.headers, X_DEATH, &history) ||
        history.type != FIELD_ARRAY)
        return false;
    rest = array_begin(history.bytes);
    while (history_next(&rest, &entry)) {
        if (entry.reason == DEATH_REJECTED)
            return false;
        if (bytes_equal(entry.queue, target_queue))
            return true;
    }
    return false;
}
