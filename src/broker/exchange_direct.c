/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The direct exchange: the binding key equals a routing key, octet by octet. A hash from key to the chain of
 * bindings with it, so that publishing costs the same whatever the number of bindings. A binding's type_data
 * is the address of the link that points to it, so that removing one costs no search either.
 */
#include <stdlib.h>

#include "coney/xalloc.h"
#include "exchange.h"
#include "route.h"

struct key {
    UT_hash_handle hh;
    struct binding *bindings; /* linked by peer */
    struct bytes key;         /* owned */
};

static struct key *key_find(const struct exchange *exchange, struct bytes routing_key)
{
    struct key *keys = exchange->type_data;
    struct key *found;

    HASH_FIND(hh, keys, routing_key.data, routing_key.size, found);
    return found;
}

static void direct_add(struct exchange *exchange, struct binding *binding)
{
    struct key *key = key_find(exchange, binding->routing_key);

    if (!key) {
        struct key *keys = exchange->type_data;

        key = xcalloc(1, sizeof *key);
        key->key.data = xmemdup(binding->routing_key.data, binding->routing_key.size);
        key->key.size = binding->routing_key.size;
        HASH_ADD_KEYPTR(hh, keys, key->key.data, key->key.size, key);
        exchange->type_data = keys;
    }
    binding->peer = key->bindings;
    binding->type_data = &key->bindings;
    if (binding->peer)
        binding->peer->type_data = &binding->peer;
    key->bindings = binding;
}

static void direct_remove(struct exchange *exchange, struct binding *binding)
{
    struct key *key = key_find(exchange, binding->routing_key);
    struct binding **link = binding->type_data;

    *link = binding->peer;
    if (binding->peer)
        binding->peer->type_data = link;
    if (!key->bindings) {
        struct key *keys = exchange->type_data;

        HASH_DEL(keys, key);
        exchange->type_data = keys;
        free((void *)(uintptr_t)key->key.data);
        free(key);
    }
}

static void direct_route(struct exchange *exchange, struct route *route)
{
    for (unsigned i = 0; i < route->key_count; i++) {
        struct key *key = key_find(exchange, route->keys[i]);

        if (!key)
            continue;
        for (struct binding *binding = key->bindings; binding; binding = binding->peer)
            route_to(route, binding);
    }
}

const struct exchange_type exchange_type_direct = {
    .name = "direct",
    .description = "AMQP direct exchange, as per the AMQP specification",
    .add = direct_add,
    .remove = direct_remove,
    .route = direct_route,
};
