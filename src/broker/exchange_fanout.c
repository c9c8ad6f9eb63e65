/* SPDX-License-Identifier: Apache-2.0 */
/* The fanout exchange: every binding matches. The exchange's own list of bindings is all it needs. */
#include <utlist.h>

#include "exchange.h"
#include "route.h"

static void fanout_add(struct exchange *exchange, struct binding *binding)
{
    (void)exchange;
    (void)binding;
}

static void fanout_remove(struct exchange *exchange, struct binding *binding)
{
    (void)exchange;
    (void)binding;
}

static void fanout_route(struct exchange *exchange, struct route *route)
{
    struct binding *binding;

    DL_FOREACH (exchange->bindings, binding)
        route_to(route, binding);
}

const struct exchange_type exchange_type_fanout = {
    .name = "fanout",
    .description = "AMQP fanout exchange, as per the AMQP specification",
    .add = fanout_add,
    .remove = fanout_remove,
    .route = fanout_route,
};
