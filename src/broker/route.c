/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h. Visited exchanges and found queues bear the number of the walk, so that telling a repeat costs one
 * comparison and nothing needs to be cleared.
 */
#include "route.h"

#include <stdlib.h>

#include "coney/message_headers.h"
#include "coney/properties.h"
#include "coney/xalloc.h"
#include "vhost_fields.h"

void route_to_queue(struct route *route, struct queue *queue)
{
    struct vhost *vhost = route->vhost;

    route->matched = true;
    if (queue->mark == route->mark)
        return;
    queue->mark = route->mark;
    if (route->queue_count == vhost->routed_capacity) {
        vhost->routed_capacity = vhost->routed_capacity ? vhost->routed_capacity * 2 : 16;
        vhost->routed = xrealloc(vhost->routed, vhost->routed_capacity * sizeof(struct queue *));
    }
    vhost->routed[route->queue_count++] = queue;
}

static void route_to_exchange(struct route *route, struct exchange *exchange)
{
    struct vhost *vhost = route->vhost;

    if (exchange->mark == route->mark)
        return;
    exchange->mark = route->mark;
    if (route->exchange_count == vhost->to_visit_capacity) {
        vhost->to_visit_capacity = vhost->to_visit_capacity ? vhost->to_visit_capacity * 2 : 16;
        vhost->to_visit = xrealloc(vhost->to_visit, vhost->to_visit_capacity * sizeof(struct exchange *));
    }
    vhost->to_visit[route->exchange_count++] = exchange;
}

void route_to(struct route *route, const struct binding *binding)
{
    if (binding->to_queue) {
        route_to_queue(route, binding->to_queue);
        return;
    }
    route->matched = true;
    route_to_exchange(route, binding->to_exchange);
}

struct bytes route_headers(struct route *route)
{
    if (!route->headers_known) {
        struct properties properties;

        route->headers_known = true;
        if (route->message->flags & MESSAGE_HAS_HEADERS &&
            properties_decode(&properties, message_properties(route->message)))
            route->headers = properties.headers;
    }
    return route->headers;
}

/* Routing keys of the default exchange are names of queues. */
static void route_default(struct route *route)
{
    for (unsigned i = 0; i < route->key_count; i++) {
        struct queue *queue = queue_find(route->vhost, route->keys[i]);

        if (queue)
            route_to_queue(route, queue);
    }
}

static void visit(struct route *route, struct exchange *exchange)
{
    route->matched = false;
    if (exchange == route->vhost->default_exchange) {
        route_default(route);
        return;
    }
    if (exchange->type->depends_on_message)
        route->depends_on_message = true;
    exchange->type->route(exchange, route);
    /* The default exchange as an alternate routes nothing (exchanges-queues-bindings.md 2.1). */
    if (!route->matched && exchange->has_alternate && exchange->alternate.size) {
        struct exchange *alternate = exchange_find(route->vhost, exchange->alternate);

        if (alternate)
            route_to_exchange(route, alternate);
    }
}

unsigned route_keys(const struct message *message, struct bytes keys[ROUTE_KEYS_MAX])
{
    struct bytes rest = message_more_keys(message);
    unsigned count = 1;
    bool is_bcc;

    keys[0] = message_routing_key(message);
    while (count < ROUTE_KEYS_MAX && more_keys_next(&rest, &keys[count], &is_bcc))
        count++;
    return count;
}

void route_message(struct route *route, struct vhost *vhost, struct exchange *exchange,
                   const struct message *message, const struct bytes *keys, unsigned key_count)
{
    *route = (struct route){
        .vhost = vhost, .message = message, .keys = keys, .key_count = key_count, .mark = ++vhost->mark};
    route_to_exchange(route, exchange);
    for (size_t i = 0; i < route->exchange_count; i++)
        visit(route, vhost->to_visit[i]);
}
