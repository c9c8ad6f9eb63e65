/* SPDX-License-Identifier: Apache-2.0 */
/* sim_store.h, operations: queues, exchanges and bindings are made and go. */
#include "broker/arguments.h"
#include "sim_store.h"

void declare(struct line *channel, int queue)
{
    struct side *side = channel->peer->side;
    struct argument_item items[5];
    size_t count = 0;

    TRACE("v%d declares %s", side->v->index, kinds[queue].name);
    if (kinds[queue].type)
        items[count++] = STR("x-queue-type", kinds[queue].type);
    if (kinds[queue].priorities)
        items[count++] = INT("x-max-priority", kinds[queue].priorities);
    if (kinds[queue].ttl)
        items[count++] = INT("x-message-ttl", kinds[queue].ttl);
    if (kinds[queue].target) {
        items[count++] = STR("x-dead-letter-exchange", "");
        items[count++] = STR("x-dead-letter-routing-key", kinds[kinds[queue].target].name);
    }
    object_event(side, &side->queues[queue], true);
    act(channel,
        &(struct method){.id = METHOD_QUEUE_DECLARE,
                         .queue_declare = {.queue = queue_bytes(queue),
                                           .durable = kinds[queue].durable,
                                           .arguments = arguments_make(items, count).table}},
        METHOD_QUEUE_DECLARE_OK);
}

static void delete_queue(struct line *channel, int queue)
{
    struct side *side = channel->peer->side;
    struct copy *copy, *next;

    TRACE("v%d deletes %s", side->v->index, kinds[queue].name);
    HASH_ITER (hh, side->copies, copy, next) {
        if (copy->in_target || (int)copy->key.queue != queue || !(copy->is_ready || copy->is_out))
            continue;
        copy->is_out = false;
        copy_take(side, copy);
    }
    object_event(side, &side->queues[queue], false);
    for (int exchange = 0; exchange < EXCHANGES; exchange++)
        if (side->bindings[exchange][queue].exists)
            object_event(side, &side->bindings[exchange][queue], false);
    for (int i = 0; i < CONNECTIONS; i++)
        if (side->peers[i].channels[1].consumes == queue)
            side->peers[i].channels[1].consumes = -1;
    act(channel, &(struct method){.id = METHOD_QUEUE_DELETE, .queue_delete = {.queue = queue_bytes(queue)}},
        METHOD_QUEUE_DELETE_OK);
}

void declare_or_delete(struct line *channel)
{
    struct side *side = channel->peer->side;
    int queue = (int)below(QUEUES);

    if (!side->queues[queue].exists)
        declare(channel, queue);
    else if (queue < SOURCES && !is_asked(side, queue) && percent(40))
        delete_queue(channel, queue);
}

void exchange_event(struct line *channel)
{
    struct side *side = channel->peer->side;
    int exchange = (int)below(EXCHANGES);
    bool exists = side->exchanges[exchange].exists;

    if (exists && percent(70))
        return;
    TRACE("v%d %s exchange %d", side->v->index, exists ? "deletes" : "declares", exchange);
    object_event(side, &side->exchanges[exchange], !exists);
    if (!exists) {
        act(channel,
            &(struct method){
                .id = METHOD_EXCHANGE_DECLARE,
                .exchange_declare = {.exchange = exchange_bytes(exchange),
                                     .type = exchange ? BYTES_LITERAL("direct") : BYTES_LITERAL("fanout"),
                                     .durable = true}},
            METHOD_EXCHANGE_DECLARE_OK);
        return;
    }
    for (int queue = 0; queue < SOURCES; queue++)
        if (side->bindings[exchange][queue].exists)
            object_event(side, &side->bindings[exchange][queue], false);
    act(channel,
        &(struct method){.id = METHOD_EXCHANGE_DELETE,
                         .exchange_delete = {.exchange = exchange_bytes(exchange)}},
        METHOD_EXCHANGE_DELETE_OK);
}

void bind_or_unbind(struct line *channel)
{
    struct side *side = channel->peer->side;
    int exchange = (int)below(EXCHANGES), queue = (int)below(SOURCES);
    struct object *binding = &side->bindings[exchange][queue];
    struct method method = {.id = binding->exists ? METHOD_QUEUE_UNBIND : METHOD_QUEUE_BIND};

    if (!side->exchanges[exchange].exists || !side->queues[queue].exists || (binding->exists && percent(60)))
        return;
    TRACE("v%d %s %s and exchange %d", side->v->index, binding->exists ? "unbinds" : "binds",
          kinds[queue].name, exchange);
    if (binding->exists) {
        method.queue_unbind.queue = queue_bytes(queue);
        method.queue_unbind.exchange = exchange_bytes(exchange);
        method.queue_unbind.routing_key = BYTES_LITERAL("k");
    } else {
        method.queue_bind.queue = queue_bytes(queue);
        method.queue_bind.exchange = exchange_bytes(exchange);
        method.queue_bind.routing_key = BYTES_LITERAL("k");
    }
    object_event(side, binding, !binding->exists);
    act(channel, &method, binding->exists ? METHOD_QUEUE_BIND_OK : METHOD_QUEUE_UNBIND_OK);
}
