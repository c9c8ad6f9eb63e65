/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x-random (exchanges-queues-bindings.md 5.6): each message goes to one binding, chosen at random.
 *
 * Bindings stand in an array without gaps, in no order; type_data of a binding is its place there.
 */
#include <stdlib.h>

#include "coney/xalloc.h"
#include "exchange.h"
#include "route.h"
#include "vhost_fields.h"

struct choices {
    uint32_t count, capacity;
    struct binding *binding[];
};

static struct choices *choices_grow(struct choices *choices)
{
    uint32_t capacity = choices ? choices->capacity * 2 : 8;
    uint32_t count = choices ? choices->count : 0;

    choices = xrealloc(choices, sizeof *choices + capacity * sizeof(struct binding *));
    choices->count = count;
    choices->capacity = capacity;
    return choices;
}

static void place(struct choices *choices, uint32_t at, struct binding *binding)
{
    choices->binding[at] = binding;
    binding->type_data = (void *)(uintptr_t)at;
}

static void random_add(struct exchange *exchange, struct binding *binding)
{
    struct choices *choices = exchange->type_data;

    if (!choices || choices->count == choices->capacity)
        choices = exchange->type_data = choices_grow(choices);
    place(choices, choices->count++, binding);
}

static void random_remove(struct exchange *exchange, struct binding *binding)
{
    struct choices *choices = exchange->type_data;

    place(choices, (uint32_t)(uintptr_t)binding->type_data, choices->binding[--choices->count]);
    if (choices->count == 0) {
        free(choices);
        exchange->type_data = NULL;
    }
}

static void random_route(struct exchange *exchange, struct route *route)
{
    struct choices *choices = exchange->type_data;

    if (choices)
        route_to(route, choices->binding[vhost_random(route->vhost) % choices->count]);
}

const struct exchange_type exchange_type_random = {
    .name = "x-random",
    .description = "Random Exchange",
    .depends_on_message = true, /* not remembered: the next message goes elsewhere */
    .add = random_add,
    .remove = random_remove,
    .route = random_route,
};
