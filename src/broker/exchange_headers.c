/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers exchange (exchanges-queues-bindings.md 5.5): bindings list conditions on the message's headers.
 *
 * A binding's conditions are decoded once, when it is made. A message's headers are decoded and sorted once
 * for each visit, so that a condition costs a binary search however many headers a peer sends. Every binding
 * is looked at.
 */
#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "coney/table.h"
#include "coney/xalloc.h"
#include "exchange.h"
#include "route.h"

struct header {
    struct bytes name;
    struct field value;
};

/* binding->type_data. Names and values are borrowed from the binding's arguments. */
struct conditions {
    bool any; /* one is enough */
    unsigned count;
    struct header condition[];
};

/* Headers of most messages need no allocation. */
#define HEADERS_INLINE 32

/* A message's headers in the order of order_names(), those of equal names in the order of the table. */
struct headers {
    struct header *header;
    size_t count;
    struct header few[HEADERS_INLINE];
};

struct match_mode {
    const char *name;
    bool any, with_x;
};

static const struct match_mode match_modes[] = {
    {"all", false, false},
    {"any", true, false},
    {"all-with-x", false, true},
    {"any-with-x", true, true},
};

/* The mode called NAME; NULL when there is none. */
static const struct match_mode *match_mode_find(struct bytes name)
{
    for (size_t i = 0; i < sizeof match_modes / sizeof *match_modes; i++)
        if (bytes_equal_string(name, match_modes[i].name))
            return &match_modes[i];
    return NULL;
}

static bool headers_check_binding(struct exchange *exchange, struct bytes routing_key, struct bytes arguments,
                                  struct reply_error *error)
{
    char value[REPLY_TEXT_SIZE];
    const char *quote;
    struct field field;

    (void)exchange;
    (void)routing_key;
    if (!table_get(arguments, "x-match", &field))
        return true;
    if (field.type != FIELD_LONGSTR) {
        field_format(value, sizeof value, &field);
        return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                               "Invalid x-match field type %s (value %s); expected longstr",
                               field_type_name(field.type), value);
    }
    quote = field.bytes.size > 0 ? "\"" : ""; /* as Erlang writes binaries */
    return match_mode_find(field.bytes) ||
           reply_error_set(
               error, REPLY_PRECONDITION_FAILED,
               "Invalid x-match field value <<%s%.*s%s>>; expected all, any, all-with-x, or any-with-x",
               quote, BYTES_ARG(field.bytes), quote);
}

static const struct match_mode *binding_mode(const struct binding *binding)
{
    struct field field;

    return table_get(binding->arguments, "x-match", &field) ? match_mode_find(field.bytes) : &match_modes[0];
}

static bool is_condition(struct bytes name, const struct match_mode *mode)
{
    bool is_x = name.size >= 2 && memcmp(name.data, "x-", 2) == 0;

    return !is_x || (mode->with_x && !bytes_equal_string(name, "x-match"));
}

static void headers_add(struct exchange *exchange, struct binding *binding)
{
    const struct match_mode *mode = binding_mode(binding);
    struct table_iterator iterator = table_begin(binding->arguments);
    struct conditions *conditions;
    struct header header;
    unsigned count = 0;

    (void)exchange;
    assert(mode);
    while (table_next(&iterator, &header.name, &header.value))
        count += is_condition(header.name, mode);
    conditions = xmalloc(sizeof *conditions + count * sizeof header);
    conditions->any = mode->any;
    conditions->count = 0;
    iterator = table_begin(binding->arguments);
    while (table_next(&iterator, &header.name, &header.value))
        if (is_condition(header.name, mode))
            conditions->condition[conditions->count++] = header;
    binding->type_data = conditions;
}

static void headers_remove(struct exchange *exchange, struct binding *binding)
{
    (void)exchange;
    free(binding->type_data);
}

/* Shorter names first: sizes are cheap to compare and mostly differ. */
static int order_names(struct bytes a, struct bytes b)
{
    return a.size != b.size ? (a.size > b.size) - (a.size < b.size) : bytes_compare(a, b);
}

static int order_headers(const void *left, const void *right)
{
    const struct header *a = left, *b = right;
    int order = order_names(a->name, b->name);

    return order != 0 ? order : (a->name.data > b->name.data) - (a->name.data < b->name.data);
}

static void read_headers(struct headers *headers, struct bytes table)
{
    struct table_iterator iterator = table_begin(table);
    size_t capacity = HEADERS_INLINE;
    struct header header;

    headers->header = headers->few;
    headers->count = 0;
    while (table_next(&iterator, &header.name, &header.value)) {
        if (headers->count == capacity) {
            struct header *old = headers->header == headers->few ? NULL : headers->header;

            capacity *= 2;
            headers->header = xrealloc(old, capacity * sizeof header);
            if (!old)
                memcpy(headers->header, headers->few, sizeof headers->few);
        }
        headers->header[headers->count++] = header;
    }
    if (headers->count > 1)
        qsort(headers->header, headers->count, sizeof header, order_headers);
}

static void free_headers(struct headers *headers)
{
    if (headers->header != headers->few)
        free(headers->header);
}

/* The value of the first header called NAME, or NULL. */
static const struct field *find_header(const struct headers *headers, struct bytes name)
{
    size_t low = 0, high = headers->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (order_names(headers->header[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == headers->count || !bytes_equal(headers->header[low].name, name))
        return NULL;
    return &headers->header[low].value;
}

static bool is_met(const struct header *condition, const struct headers *headers)
{
    const struct field *value = find_header(headers, condition->name);

    return value && (condition->value.type == FIELD_VOID || field_equal(&condition->value, value));
}

static bool is_match(const struct conditions *conditions, const struct headers *headers)
{
    for (unsigned i = 0; i < conditions->count; i++)
        if (is_met(&conditions->condition[i], headers) == conditions->any)
            return conditions->any;
    return !conditions->any;
}

static void headers_route(struct exchange *exchange, struct route *route)
{
    struct headers headers;
    struct binding *binding;

    if (!exchange->bindings)
        return;
    read_headers(&headers, route_headers(route));
    DL_FOREACH (exchange->bindings, binding)
        if (is_match(binding->type_data, &headers))
            route_to(route, binding);
    free_headers(&headers);
}

const struct exchange_type exchange_type_headers = {
    .name = "headers",
    .description = "AMQP headers exchange, as per the AMQP specification",
    .depends_on_message = true,
    .check_binding = headers_check_binding,
    .add = headers_add,
    .remove = headers_remove,
    .route = headers_route,
};
