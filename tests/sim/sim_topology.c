/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h, operations on a channel: queues and bindings. */
#include "broker/arguments.h"
#include "sim.h"

static void choose_options(const struct model *model, struct model_queue *queue, int index, int connection)
{
    bool is_target = index >= 2 && model->queues[index - 2].exists && model->queues[index - 2].has_dlx;
    bool target_is_limited =
        index + 2 < QUEUES && model->queues[index + 2].exists && model->queues[index + 2].max_length >= 0;

    *queue = (struct model_queue){.number = queue->number + 1,
                                  .next_rank = queue->next_rank,
                                  .owner = -1,
                                  .max_length = -1,
                                  .ttl = -1,
                                  .delivery_limit = -1,
                                  .quorum = percent(15),
                                  .single_active = percent(15)};
    queue->durable = queue->quorum || percent(60);
    if (!queue->quorum) {
        queue->auto_delete = percent(10);
        if (percent(10))
            queue->owner = connection;
        if (percent(25))
            queue->max_priority = (uint8_t)(1 + below(4));
    }
    if (queue->owner >= 0)
        queue->durable = false;
    queue->has_dlx = !target_is_limited && percent(40);
    if (!is_target && percent(35))
        queue->max_length = (int64_t[]){0, 1, 3, 12}[below(4)];
    if (queue->max_length >= 0)
        queue->overflow = (enum model_overflow)below(3);
    if (queue->quorum && queue->overflow == REJECT_DLX)
        queue->overflow = DROP_HEAD;
    if (percent(15))
        queue->ttl = TICK * (int64_t)(1 + below(60));
    if (percent(25))
        queue->delivery_limit = below(3);
}

static struct arguments arguments_of(const struct model_queue *queue, int index)
{
    static const char *const overflows[] = {"drop-head", "reject-publish", "reject-publish-dlx"};
    struct argument_item items[10];
    char key[3] = {'q', (char)('0' + index + 2), 0};
    size_t count = 0;

    if (queue->quorum)
        items[count++] = STR("x-queue-type", "quorum");
    if (queue->single_active)
        items[count++] = BOOL("x-single-active-consumer", true);
    if (queue->max_priority)
        items[count++] = INT("x-max-priority", queue->max_priority);
    if (queue->max_length >= 0) {
        items[count++] = INT("x-max-length", queue->max_length);
        items[count++] = STR("x-overflow", overflows[queue->overflow]);
    }
    if (queue->ttl >= 0)
        items[count++] = INT("x-message-ttl", queue->ttl);
    if (queue->delivery_limit >= 0)
        items[count++] = INT("x-delivery-limit", queue->delivery_limit);
    if (queue->has_dlx) {
        items[count++] = STR("x-dead-letter-exchange", "");
        items[count++] = STR("x-dead-letter-routing-key", key);
    }
    return arguments_make(items, count);
}

void declare(const struct actor *a)
{
    int index = (int)below(QUEUES);
    struct model_queue *queue = &a->w->model.queues[index];
    struct model_reply *reply;
    bool passive = queue->exists;

    if (passive && queue->owner >= 0 && queue->owner != a->connection->index)
        return;
    if (!passive)
        choose_options(&a->w->model, queue, index, a->connection->index);
    TRACE_ACTOR(a, "declares q%d%s: max %lld overflow %d ttl %lld limit %lld dlx %d priorities %u sac %d",
                index, passive ? " passively" : "", (long long)queue->max_length, (int)queue->overflow,
                (long long)queue->ttl, (long long)queue->delivery_limit, queue->has_dlx, queue->max_priority,
                queue->single_active);
    act(a, &(struct method){.id = METHOD_QUEUE_DECLARE,
                            .queue_declare = {.queue = queue_bytes(index),
                                              .arguments = arguments_of(queue, index).table,
                                              .passive = passive,
                                              .durable = queue->durable,
                                              .exclusive = queue->owner >= 0,
                                              .auto_delete = queue->auto_delete}});
    queue->exists = true;
    reply = model_expect(a->channel, METHOD_QUEUE_DECLARE_OK);
    reply->has_count = true;
    reply->count = (uint32_t)queue->ready;
    finish(a->w);
}

void delete_or_purge(const struct actor *a)
{
    int index;
    struct model_queue *queue = some_queue(a, &index);
    bool purge = percent(60);
    struct model_reply *reply;
    uint32_t count;

    if (!queue)
        return;
    count = (uint32_t)queue->ready;
    TRACE_ACTOR(a, "%s q%d", purge ? "purges" : "deletes", index);
    if (purge)
        act(a, &(struct method){.id = METHOD_QUEUE_PURGE, .queue_purge = {.queue = queue_bytes(index)}});
    else
        act(a, &(struct method){.id = METHOD_QUEUE_DELETE, .queue_delete = {.queue = queue_bytes(index)}});
    if (purge)
        model_purge(&a->w->model, index);
    else
        model_delete(&a->w->model, index);
    reply = model_expect(a->channel, purge ? METHOD_QUEUE_PURGE_OK : METHOD_QUEUE_DELETE_OK);
    reply->has_count = true;
    reply->count = count;
    finish(a->w);
}

/* A message must not reach a queue on two ways: of each chain of dead letters one queue for each key. */
static bool may_bind(const struct model *model, int exchange, int key, int index)
{
    for (int i = index % 2; i < QUEUES; i += 2)
        if (model->queues[i].exists && model->queues[i].bound[exchange][key])
            return false;
    return true;
}

void bind_or_unbind(const struct actor *a)
{
    static const char *const keys[KEYS] = {"a", "b", "c"};
    int exchange = (int)below(2), key = exchange ? 0 : (int)below(KEYS), index;
    struct model_queue *queue = some_queue(a, &index);
    struct method method = {.id = METHOD_QUEUE_BIND};
    bool unbind;

    if (!queue)
        return;
    unbind = queue->bound[exchange][key];
    if (!unbind && !may_bind(&a->w->model, exchange, key, index))
        return;
    TRACE_ACTOR(a, "%s q%d to %d %d", unbind ? "unbinds" : "binds", index, exchange, key);
    if (unbind) {
        method.id = METHOD_QUEUE_UNBIND;
        method.queue_unbind.queue = queue_bytes(index);
        method.queue_unbind.exchange = bytes_from_string(exchange ? "f" : "d");
        method.queue_unbind.routing_key = bytes_from_string(keys[key]);
    } else {
        method.queue_bind.queue = queue_bytes(index);
        method.queue_bind.exchange = bytes_from_string(exchange ? "f" : "d");
        method.queue_bind.routing_key = bytes_from_string(keys[key]);
    }
    act(a, &method);
    queue->bound[exchange][key] = !unbind;
    model_expect(a->channel, unbind ? METHOD_QUEUE_UNBIND_OK : METHOD_QUEUE_BIND_OK);
    finish(a->w);
}
