/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x-consistent-hash (exchanges-queues-bindings.md 5.6): each message goes to one destination, found by its
 * hash, and a new destination takes over only its share of the hashes.
 *
 * The binding key is a weight: that many buckets of a row are the destination's. Buckets are in the order in
 * which the bindings were made; a removed one's are taken out, and the later ones move up. A destination
 * counts once, by its oldest binding. The row is made when it is first needed after a change of the bindings.
 */
#include <stdlib.h>
#include <utlist.h>

#include "coney/properties.h"
#include "coney/table.h"
#include "coney/xalloc.h"
#include "exchange.h"
#include "route.h"
#include "vhost_fields.h"

/* RabbitMQ sets no limit and fails on what it cannot hold. With this one a sum of weights stays exact in the
 * floating-point numbers of the jump. */
#define WEIGHT_MAX INT32_MAX

/* What is hashed when the header or property is missing. */
#define HASH_OF_NOTHING 0

/* A destination and where its buckets end. While the row is being made, end is the place of its binding among
 * the exchange's. */
struct slot {
    uint64_t end;
    struct binding *binding;
};

struct row {
    size_t count;
    struct slot slot[];
};

/* ---- checks ---- */

/* Read KEY as Erlang's list_to_integer does; too large a number becomes WEIGHT_MAX + 1, one below 0 becomes
 * 0. False when it is none. */
static bool read_weight(struct bytes key, int64_t *out)
{
    bool is_negative = key.size > 0 && key.data[0] == '-';
    size_t at = key.size > 0 && (key.data[0] == '-' || key.data[0] == '+');
    int64_t weight = 0;

    if (at == key.size)
        return false;
    for (; at < key.size; at++) {
        if (key.data[at] < '0' || key.data[at] > '9')
            return false;
        weight = weight * 10 + (key.data[at] - '0');
        if (weight > WEIGHT_MAX)
            weight = (int64_t)WEIGHT_MAX + 1;
    }
    *out = is_negative ? 0 : weight;
    return true;
}

static bool consistent_hash_check_binding(struct exchange *exchange, struct bytes routing_key,
                                          struct bytes arguments, struct reply_error *error)
{
    const char *quote = routing_key.size > 0 ? "\"" : ""; /* as Erlang writes binaries */
    int64_t weight;

    (void)exchange;
    (void)arguments;
    if (!read_weight(routing_key, &weight))
        return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                               "The binding key must be an integer: <<%s%.*s%s>>", quote,
                               BYTES_ARG(routing_key), quote);
    if (weight < 1)
        return reply_error_set(error, REPLY_PRECONDITION_FAILED, "The binding key must be greater than 0");
    if (weight > WEIGHT_MAX)
        return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                               "The binding key must not be greater than %d", WEIGHT_MAX);
    return true;
}

/* Give the string argument NAME of EXCHANGE to *OUT, empty without one. RabbitMQ crashes on other types. */
static bool string_argument(const struct exchange *exchange, const char *name, struct bytes *out,
                            bool *present, struct reply_error *error)
{
    struct field field;

    *present = table_get(exchange->arguments, name, &field);
    *out = (struct bytes){0};
    if (!*present)
        return true;
    if (field.type != FIELD_LONGSTR)
        return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                               "invalid type '%s' for arg '%s' in exchange '%.*s' in vhost '%.*s'",
                               field_type_name(field.type), name, BYTES_ARG(exchange->name),
                               BYTES_ARG(exchange->vhost->name));
    *out = field.bytes;
    return true;
}

static bool consistent_hash_check_exchange(const struct exchange *exchange, struct reply_error *error)
{
    static const char *const properties[] = {"correlation_id", "message_id", "timestamp"};
    bool has_header, has_property;
    struct bytes header, property;

    if (!string_argument(exchange, "hash-header", &header, &has_header, error) ||
        !string_argument(exchange, "hash-property", &property, &has_property, error))
        return false;
    if (has_header && has_property)
        return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                               "hash-header and hash-property are mutually exclusive");
    for (size_t i = 0; has_property && i < sizeof properties / sizeof *properties; i++)
        if (bytes_equal_string(property, properties[i]))
            return true;
    return !has_property || reply_error_set(error, REPLY_PRECONDITION_FAILED, "Unsupported property: %.*s",
                                            BYTES_ARG(property));
}

/* ---- the row of buckets ---- */

/* A change of the bindings makes the row worthless. */
static void drop_row(struct exchange *exchange, struct binding *binding)
{
    (void)binding;
    free(exchange->type_data);
    exchange->type_data = NULL;
}

static uintptr_t destination(const struct slot *slot)
{
    return slot->binding->to_queue ? (uintptr_t)slot->binding->to_queue
                                   : (uintptr_t)slot->binding->to_exchange;
}

static int order_places(const void *left, const void *right)
{
    const struct slot *a = left, *b = right;

    return (a->end > b->end) - (a->end < b->end);
}

static int order_destinations(const void *left, const void *right)
{
    uintptr_t a = destination(left), b = destination(right);

    return a != b ? (a > b) - (a < b) : order_places(left, right);
}

/* Keep the oldest slot of each destination, in the old order. */
static void keep_oldest(struct row *row)
{
    size_t kept = 0;

    qsort(row->slot, row->count, sizeof row->slot[0], order_destinations);
    for (size_t i = 0; i < row->count; i++)
        if (i == 0 || destination(&row->slot[i]) != destination(&row->slot[kept - 1]))
            row->slot[kept++] = row->slot[i];
    row->count = kept;
    qsort(row->slot, row->count, sizeof row->slot[0], order_places);
}

static struct row *make_row(const struct exchange *exchange)
{
    struct row *row = xmalloc(sizeof *row + exchange->binding_count * sizeof row->slot[0]);
    struct binding *binding;
    uint64_t end = 0;
    int64_t weight;

    row->count = 0;
    DL_FOREACH (exchange->bindings, binding) {
        row->slot[row->count] = (struct slot){row->count, binding};
        row->count++;
    }
    keep_oldest(row);
    for (size_t i = 0; i < row->count; i++) {
        if (read_weight(row->slot[i].binding->routing_key, &weight))
            end += (uint64_t)weight;
        row->slot[i].end = end;
    }
    return row;
}

/* The slot that has BUCKET. */
static const struct slot *find_slot(const struct row *row, uint64_t bucket)
{
    size_t low = 0, high = row->count - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (row->slot[middle].end <= bucket)
            low = middle + 1;
        else
            high = middle;
    }
    return &row->slot[low];
}

/* ---- routing ---- */

static unsigned hash_bytes(const void *data, size_t size)
{
    unsigned hash;

    HASH_VALUE(data, size, hash);
    return hash;
}

/* By value where there is one, so that an integer's width does not matter. */
static unsigned hash_field(const struct field *field)
{
    int64_t integer;

    if (field_is_integer(field, &integer))
        return hash_bytes(&integer, sizeof integer);
    if (field->type == FIELD_LONGSTR || field->type == FIELD_BINARY)
        return hash_bytes(field->bytes.data, field->bytes.size);
    return hash_bytes(field->raw.data, field->raw.size);
}

static unsigned hash_property(const struct route *route, struct bytes name)
{
    struct properties properties;
    struct bytes value;

    if (!properties_decode(&properties, message_properties(route->message)))
        return HASH_OF_NOTHING;
    if (bytes_equal_string(name, "timestamp"))
        return properties.flags & PROPERTY_TIMESTAMP
                   ? hash_bytes(&properties.timestamp, sizeof properties.timestamp)
                   : HASH_OF_NOTHING;
    value = bytes_equal_string(name, "message_id") ? properties.message_id : properties.correlation_id;
    return value.size > 0 ? hash_bytes(value.data, value.size) : HASH_OF_NOTHING;
}

static unsigned hash_message(const struct exchange *exchange, struct route *route)
{
    struct field name, value;

    if (table_get(exchange->arguments, "hash-header", &name)) {
        route->depends_on_message = true;
        return table_find(route_headers(route), name.bytes, &value) ? hash_field(&value) : HASH_OF_NOTHING;
    }
    if (table_get(exchange->arguments, "hash-property", &name)) {
        route->depends_on_message = true;
        return hash_property(route, name.bytes);
    }
    return hash_bytes(route->keys[0].data, route->keys[0].size);
}

/* Lamping and Veach's jump consistent hash: the bucket of HASH among COUNT. With one bucket more, a hash
 * stays where it was or moves to the new one. */
static uint64_t jump(uint64_t hash, uint64_t count)
{
    uint64_t bucket = 0;
    double next = 0;

    while (next < (double)count) {
        bucket = (uint64_t)next;
        hash = hash * UINT64_C(2862933555777941757) + 1;
        next = (double)(bucket + 1) * ((double)(UINT64_C(1) << 31) / (double)((hash >> 33) + 1));
    }
    return bucket;
}

static void consistent_hash_route(struct exchange *exchange, struct route *route)
{
    const struct row *row;
    uint64_t bucket;

    if (!exchange->bindings)
        return;
    if (!exchange->type_data)
        exchange->type_data = make_row(exchange);
    row = exchange->type_data;
    bucket = jump(hash_message(exchange, route), row->slot[row->count - 1].end);
    route_to(route, find_slot(row, bucket)->binding);
}

const struct exchange_type exchange_type_consistent_hash = {
    .name = "x-consistent-hash",
    .description = "Consistent Hashing Exchange",
    .check_exchange = consistent_hash_check_exchange,
    .check_binding = consistent_hash_check_binding,
    .add = drop_row,
    .remove = drop_row,
    .route = consistent_hash_route,
};
