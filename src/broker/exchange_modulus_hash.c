/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x-modulus-hash (exchanges-queues-bindings.md 5.6): the hash of the routing key, modulo the number of
 * bindings, picks one of the bindings sorted by destination, so that the same key goes to the same queue and
 * the order in which queues were bound does not matter. Binding keys mean nothing.
 *
 * The sorted array is made when it is first needed after a change of the bindings.
 */
#include <stdlib.h>
#include <utlist.h>

#include "coney/xalloc.h"
#include "exchange.h"
#include "queue.h"
#include "route.h"

/* Also says that the bindings have changed: the array is worthless. */
static void modulus_drop(struct exchange *exchange, struct binding *binding)
{
    (void)binding;
    free(exchange->type_data);
    exchange->type_data = NULL;
}

static struct bytes destination_name(const struct binding *binding)
{
    return binding->to_queue ? binding->to_queue->name : binding->to_exchange->name;
}

/* Exchanges first, then by name. Equal ones are the same destination: which binding is of no matter. */
static int order_destinations(const void *left, const void *right)
{
    const struct binding *a = *(struct binding *const *)left, *b = *(struct binding *const *)right;

    if (!a->to_queue != !b->to_queue)
        return a->to_queue ? 1 : -1;
    return bytes_compare(destination_name(a), destination_name(b));
}

static struct binding **sort_bindings(const struct exchange *exchange)
{
    struct binding **sorted = xmalloc(exchange->binding_count * sizeof *sorted);
    struct binding *binding;
    size_t count = 0;

    DL_FOREACH (exchange->bindings, binding)
        sorted[count++] = binding;
    qsort(sorted, count, sizeof *sorted, order_destinations);
    return sorted;
}

static void modulus_route(struct exchange *exchange, struct route *route)
{
    struct binding **sorted;
    unsigned hash;

    if (!exchange->bindings)
        return;
    if (!exchange->type_data)
        exchange->type_data = sort_bindings(exchange);
    sorted = exchange->type_data;
    HASH_VALUE(route->keys[0].data, route->keys[0].size, hash);
    route_to(route, sorted[hash % exchange->binding_count]);
}

const struct exchange_type exchange_type_modulus_hash = {
    .name = "x-modulus-hash",
    .description = "Modulus Hashing Exchange",
    .add = modulus_drop,
    .remove = modulus_drop,
    .route = modulus_route,
};
