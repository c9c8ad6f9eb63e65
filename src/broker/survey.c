/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coney/survey.h: what there is, shown without being changed.
 *
 * A cursor that is begun and not at its end is on vhost->cursors and stands at the next thing to show, unless
 * the vhost was closed to surveys since: then it is on no list, and may be no more.
 */
#include "coney/survey.h"

#include <utlist.h>

#include "ages.h"
#include "coney/properties.h"
#include "survey_cursor.h"
#include "vhost_fields.h"

static const struct message_counts no_counts;
static const struct death_counts no_deaths;

/* ---- cursors ---- */

static void *first_of(const struct vhost *vhost, enum survey_of of)
{
    switch (of) {
    case SURVEY_QUEUES:
        return vhost->queues;
    case SURVEY_EXCHANGES:
        return vhost->exchanges;
    case SURVEY_BINDINGS:
        return vhost->bindings;
    }
    return NULL;
}

static bool is_forgotten(const struct vhost *vhost, const struct survey_cursor *cursor)
{
    return vhost->surveys_are_closed || cursor->generation != vhost->survey_generation;
}

static void *begin(struct vhost *vhost, struct survey_cursor *cursor)
{
    if (cursor->has_begun)
        return is_forgotten(vhost, cursor) ? NULL : cursor->at;
    cursor->has_begun = true;
    cursor->generation = vhost->survey_generation;
    if (vhost->surveys_are_closed)
        return NULL;
    cursor->at = first_of(vhost, cursor->of);
    DL_APPEND(vhost->cursors, cursor);
    return cursor->at;
}

static void stop_at(struct vhost *vhost, struct survey_cursor *cursor, void *next)
{
    cursor->at = next;
    if (!next)
        survey_end(vhost, cursor);
}

void survey_end(struct vhost *vhost, struct survey_cursor *cursor)
{
    if (cursor->has_begun && !cursor->is_at_end && !is_forgotten(vhost, cursor))
        DL_DELETE(vhost->cursors, cursor);
    cursor->is_at_end = true;
}

void survey_close(struct vhost *vhost)
{
    vhost->cursors = NULL;
    vhost->survey_generation++;
    vhost->surveys_are_closed = true;
}

void survey_reopen(struct vhost *vhost)
{
    vhost->surveys_are_closed = false;
}

/* At its end is only who finds nothing more: a cursor whose last thing was deleted finds that out later. */
void survey_move_on(struct vhost *vhost, const void *gone, void *next)
{
    struct survey_cursor *cursor;

    DL_FOREACH (vhost->cursors, cursor) {
        if (cursor->at == gone)
            cursor->at = next;
    }
}

/* ---- queues ---- */

static enum policy_target target_of(const struct queue *queue)
{
    return queue->options.type == QUEUE_QUORUM ? POLICY_TARGET_QUORUM_QUEUE : POLICY_TARGET_CLASSIC_QUEUE;
}

static void name_policies(const struct vhost *vhost, enum policy_target target, struct bytes name,
                          const char **policy, const char **operator_policy)
{
    struct policy_definition definition;

    *policy = *operator_policy = NULL;
    if (policy_set_count(vhost->policies, POLICY_USER) || policy_set_count(vhost->policies, POLICY_OPERATOR))
        policy_effective(vhost->policies, target, name, &definition, policy, operator_policy);
}

#define UNACKED_LOOKED_AT   16 /* of a channel */
#define CONSUMERS_LOOKED_AT 64

/* When CHANNEL was given its oldest delivery from QUEUE; VHOST_NEVER: it has none among its oldest. */
static int64_t oldest_delivery_of(const struct channel *channel, const struct queue *queue)
{
    uint64_t tag = seqmap_next_live(&channel->unacked, 0);

    for (int i = 0; i < UNACKED_LOOKED_AT && tag != SEQMAP_END; i++) {
        const struct unacked *unacked = seqmap_get(&channel->unacked, tag);

        if (unacked->queue == queue)
            return (int64_t)unacked->delivered_at * 1000;
        tag = seqmap_next_live(&channel->unacked, tag + 1);
    }
    return VHOST_NEVER;
}

static int64_t oldest_delivery(const struct queue *queue)
{
    const struct consumer *consumer = queue->unacked ? queue->consumers : NULL;
    int64_t oldest = VHOST_NEVER;

    for (int i = 0; consumer && i < CONSUMERS_LOOKED_AT; consumer = consumer->next, i++) {
        int64_t at = oldest_delivery_of(consumer->channel, queue);

        if (at < oldest)
            oldest = at;
    }
    return oldest == VHOST_NEVER ? 0 : oldest;
}

/* How long ago AT is; negative when that is 0. */
static int64_t age(const struct queue *queue, int64_t at)
{
    int64_t ms = queue->vhost->now - at;

    return !at ? -1 : ms < 0 ? 0 : ms;
}

static int64_t idle_since(struct queue *queue)
{
    int64_t newest = queue_newest_since(queue);

    return newest > queue->unused_since ? newest : queue->unused_since;
}

static void view_queue(struct queue *queue, struct survey_queue *out)
{
    *out = (struct survey_queue){.name = queue->name,
                                 .arguments = queue->arguments,
                                 .options = &queue->options,
                                 .durable = queue->durable,
                                 .auto_delete = queue->auto_delete,
                                 .exclusive = queue->exclusive,
                                 .is_broken = queue->is_broken,
                                 .owner = queue->owner ? queue->owner->id : 0,
                                 .ready = queue->ready,
                                 .ready_bytes = queue->ready_bytes,
                                 .unacked = queue->unacked,
                                 .unacked_bytes = queue->unacked_bytes,
                                 .away = queue->away,
                                 .memory = queue->used + sizeof *queue + queue->name.size,
                                 .consumers = queue->consumer_count,
                                 .could_deliver = queue->ready_consumers != NULL,
                                 .oldest_age_ms = age(queue, queue_oldest_since(queue)),
                                 .oldest_unacked_age_ms = age(queue, oldest_delivery(queue)),
                                 .idle_since = idle_since(queue),
                                 .counts = queue->counts ? &queue->counts->messages : &no_counts,
                                 .deaths = queue->counts ? &queue->counts->deaths : &no_deaths};
    if (queue->active)
        out->active_consumer = queue->active->tag;
    if (queue->consumers && queue->consumers->exclusive)
        out->exclusive_consumer = queue->consumers->tag;
    name_policies(queue->vhost, target_of(queue), queue->name, &out->policy, &out->operator_policy);
}

static bool oldest_timestamp(struct level *level, uint64_t *timestamp)
{
    uint64_t number = seqmap_next_live(&level->entries, 0);
    const struct entry *entry;
    struct properties properties;

    if (number == SEQMAP_END || (level->away && level_first_away(level) < number))
        return false;
    entry = seqmap_get(&level->entries, number);
    if (!properties_decode(&properties, message_properties(entry->message)))
        return false;
    *timestamp = properties.timestamp;
    return properties.flags & PROPERTY_TIMESTAMP;
}

bool survey_queue_timestamp(const struct vhost *vhost, struct bytes name, uint64_t *timestamp)
{
    struct queue *queue = queue_find(vhost, name);

    for (unsigned i = queue ? queue_level_count(queue) : 0; i-- > 0;) {
        struct level *level = queue_level(queue, (uint8_t)i);

        if (level && oldest_timestamp(level, timestamp))
            return true;
    }
    return false;
}

void survey_queues(struct vhost *vhost, struct survey_cursor *cursor, unsigned most,
                   void (*show)(void *context, const struct survey_queue *queue), void *context)
{
    struct queue *queue = begin(vhost, cursor);
    struct survey_queue view;

    for (; queue && most; queue = queue->hh.next, most--) {
        view_queue(queue, &view);
        show(context, &view);
    }
    stop_at(vhost, cursor, queue);
}

bool survey_queue(struct vhost *vhost, struct bytes name,
                  void (*show)(void *context, const struct survey_queue *queue), void *context)
{
    struct queue *queue = queue_find(vhost, name);
    struct survey_queue view;

    if (!queue)
        return false;
    view_queue(queue, &view);
    show(context, &view);
    return true;
}

void survey_queue_policy(const struct vhost *vhost, struct bytes name, struct buffer *out)
{
    const struct queue *queue = queue_find(vhost, name);

    if (queue)
        policy_effective_table(vhost->policies, target_of(queue), name, out);
}

/* ---- exchanges ---- */

static void view_exchange(const struct exchange *exchange, struct survey_exchange *out)
{
    *out = (struct survey_exchange){.name = exchange->name,
                                    .type = exchange->type->name,
                                    .arguments = exchange->arguments,
                                    .durable = exchange->durable,
                                    .auto_delete = exchange->auto_delete,
                                    .internal = exchange->internal,
                                    .publish_in = exchange->publish_in,
                                    .publish_out = exchange->publish_out,
                                    .bindings = exchange->binding_count};
    name_policies(exchange->vhost, POLICY_TARGET_EXCHANGE, exchange->name, &out->policy,
                  &out->operator_policy);
}

void survey_exchanges(struct vhost *vhost, struct survey_cursor *cursor, unsigned most,
                      void (*show)(void *context, const struct survey_exchange *exchange), void *context)
{
    struct exchange *exchange = begin(vhost, cursor);
    struct survey_exchange view;

    for (; exchange && most; exchange = exchange->hh.next, most--) {
        view_exchange(exchange, &view);
        show(context, &view);
    }
    stop_at(vhost, cursor, exchange);
}

bool survey_exchange(struct vhost *vhost, struct bytes name,
                     void (*show)(void *context, const struct survey_exchange *exchange), void *context)
{
    const struct exchange *exchange = exchange_find(vhost, name);
    struct survey_exchange view;

    if (!exchange)
        return false;
    view_exchange(exchange, &view);
    show(context, &view);
    return true;
}

/* ---- bindings ---- */

static struct survey_binding view_binding(const struct binding *binding)
{
    return (struct survey_binding){.source = binding->source->name,
                                   .destination = binding->to_queue ? binding->to_queue->name
                                                                    : binding->to_exchange->name,
                                   .routing_key = binding->routing_key,
                                   .to_exchange = binding->to_exchange != NULL,
                                   .arguments = binding->arguments};
}

void survey_bindings(struct vhost *vhost, struct survey_cursor *cursor, unsigned most,
                     void (*show)(void *context, const struct survey_binding *binding), void *context)
{
    struct binding *binding = begin(vhost, cursor);

    for (; binding && most; binding = binding->hh.next, most--) {
        struct survey_binding view = view_binding(binding);

        show(context, &view);
    }
    stop_at(vhost, cursor, binding);
}

unsigned survey_bindings_of(struct vhost *vhost, enum survey_side side, struct bytes name, uint64_t skip,
                            unsigned most, void (*show)(void *context, const struct survey_binding *binding),
                            void *context)
{
    const struct queue *queue = side == SURVEY_TO_QUEUE ? queue_find(vhost, name) : NULL;
    const struct exchange *exchange = side != SURVEY_TO_QUEUE ? exchange_find(vhost, name) : NULL;
    const struct binding *binding = NULL;
    unsigned shown = 0;

    if (queue)
        binding = queue->incoming;
    else if (exchange)
        binding = side == SURVEY_FROM_EXCHANGE ? exchange->bindings : exchange->incoming;
    for (; binding && shown < most; binding = side == SURVEY_FROM_EXCHANGE ? binding->next : binding->dnext) {
        struct survey_binding view = view_binding(binding);

        if (skip) {
            skip--;
            continue;
        }
        show(context, &view);
        shown++;
    }
    return shown;
}

/* ---- connections ---- */

bool survey_connection(struct vhost *vhost, uint64_t id, struct survey_connection *out)
{
    const struct connection *connection = connection_find(vhost, id);

    if (!connection)
        return false;
    *out = (struct survey_connection){.id = id,
                                      .owner = connection->owner,
                                      .user = connection->user,
                                      .is_internal = connection->is_internal,
                                      .channels = connection->channel_count,
                                      .is_blocked = connection->hold != 0,
                                      .is_closing = connection->state != CONNECTION_RUNNING};
    return true;
}

static void show_channel(const struct channel *channel,
                         void (*show)(void *context, const struct survey_channel *channel), void *context)
{
    const struct confirms *confirms = channel->confirms;
    const struct tx *tx = channel->tx;
    struct survey_channel view = {.connection = channel->connection->id,
                                  .owner = channel->connection->owner,
                                  .user = channel->connection->user,
                                  .number = channel->number,
                                  .is_transactional = channel->mode == CHANNEL_TX,
                                  .is_confirming = channel->mode == CHANNEL_CONFIRM,
                                  .is_closing = channel->state != CHANNEL_OPEN,
                                  .consumers = HASH_COUNT(channel->consumers),
                                  .unacked = channel->unacked_count,
                                  .unconfirmed = confirms ? confirms->published - confirms->told : 0,
                                  .uncommitted = tx ? tx->publish_count : 0,
                                  .acks_uncommitted = tx ? tx->settle_count : 0,
                                  .prefetch = channel->prefetch,
                                  .prefetch_global = channel->prefetch_global,
                                  .counts = channel->counts ? channel->counts : &no_counts};

    show(context, &view);
}

static void show_consumer(const struct consumer *consumer,
                          void (*show)(void *context, const struct survey_consumer *consumer), void *context)
{
    const struct queue *queue = consumer->queue;
    struct survey_consumer view = {.connection = consumer->channel->connection->id,
                                   .owner = consumer->channel->connection->owner,
                                   .channel = consumer->channel->number,
                                   .user = consumer->channel->connection->user,
                                   .tag = consumer->tag,
                                   .queue = queue->name,
                                   .ack_required = !consumer->no_ack,
                                   .exclusive = consumer->exclusive,
                                   .is_active = !queue->options.single_active || queue->active == consumer,
                                   .is_single_active = queue->options.single_active,
                                   .prefetch = consumer->prefetch,
                                   .priority = consumer->priority,
                                   .unacked = consumer->unacked,
                                   .timeout_ms = queue_ack_timeout(queue)};

    show(context, &view);
}

bool survey_channels(struct vhost *vhost, uint32_t *place, unsigned most,
                     void (*show)(void *context, const struct survey_channel *channel), void *context)
{
    unsigned shown = 0;

    for (; *place < vhost->slot_count && shown < most; ++*place) {
        const struct connection *connection = vhost->slots[*place].connection;

        if (!connection || connection->is_internal)
            continue;
        for (const struct channel *channel = connection->channels; channel; channel = channel->hh.next) {
            show_channel(channel, show, context);
            shown++;
        }
    }
    return *place < vhost->slot_count;
}

bool survey_consumers(struct vhost *vhost, uint32_t *place, unsigned most,
                      void (*show)(void *context, const struct survey_consumer *consumer), void *context)
{
    unsigned shown = 0;

    for (; *place < vhost->slot_count && shown < most; ++*place) {
        const struct connection *connection = vhost->slots[*place].connection;

        for (const struct channel *channel = connection ? connection->channels : NULL; channel;
             channel = channel->hh.next) {
            for (const struct consumer *consumer = channel->consumers; consumer;
                 consumer = consumer->hh.next) {
                show_consumer(consumer, show, context);
                shown++;
            }
            shown++; /* looking costs too */
        }
    }
    return *place < vhost->slot_count;
}

static struct channel *find_channel(struct vhost *vhost, uint64_t connection, uint16_t number)
{
    const struct connection *found = connection_find(vhost, connection);
    struct channel *channel = NULL;

    if (found)
        HASH_FIND(hh, found->channels, &number, sizeof number, channel);
    return channel;
}

bool survey_channel(struct vhost *vhost, uint64_t connection, uint16_t number,
                    void (*show)(void *context, const struct survey_channel *channel), void *context)
{
    const struct channel *channel = find_channel(vhost, connection, number);

    if (channel)
        show_channel(channel, show, context);
    return channel;
}

bool survey_consumer(struct vhost *vhost, uint64_t connection, uint16_t channel, struct bytes tag,
                     void (*show)(void *context, const struct survey_consumer *consumer), void *context)
{
    const struct channel *found = find_channel(vhost, connection, channel);
    struct consumer *consumer = NULL;

    if (found)
        HASH_FIND(hh, found->consumers, tag.data, tag.size, consumer);
    if (consumer)
        show_consumer(consumer, show, context);
    return consumer;
}

void survey_consumers_of_channel(struct vhost *vhost, uint64_t connection, uint16_t channel, unsigned most,
                                 void (*show)(void *context, const struct survey_consumer *consumer),
                                 void *context)
{
    const struct channel *found = find_channel(vhost, connection, channel);

    for (const struct consumer *consumer = found ? found->consumers : NULL; consumer && most;
         consumer = consumer->hh.next, most--)
        show_consumer(consumer, show, context);
}

void survey_channels_of(struct vhost *vhost, uint64_t connection,
                        void (*show)(void *context, const struct survey_channel *channel), void *context)
{
    const struct connection *found = connection_find(vhost, connection);

    for (const struct channel *channel = found ? found->channels : NULL; channel; channel = channel->hh.next)
        show_channel(channel, show, context);
}

void survey_consumers_of(struct vhost *vhost, struct bytes queue, unsigned most,
                         void (*show)(void *context, const struct survey_consumer *consumer), void *context)
{
    const struct queue *found = queue_find(vhost, queue);

    for (const struct consumer *consumer = found ? found->consumers : NULL; consumer && most;
         consumer = consumer->next, most--)
        show_consumer(consumer, show, context);
}

/* ---- the whole ---- */

void survey_vhost(const struct vhost *vhost, struct survey_vhost *out)
{
    *out = (struct survey_vhost){.connections = vhost->connection_count,
                                 .channels = vhost->channel_count - vhost->internal_channel_count,
                                 .consumers = vhost->consumer_count,
                                 .queues = HASH_COUNT(vhost->queues),
                                 .exchanges = HASH_COUNT(vhost->exchanges),
                                 .bindings = HASH_COUNT(vhost->bindings),
                                 .ready = vhost->ready,
                                 .unacked = vhost->unacked,
                                 .unsent = vhost->unsent,
                                 .connections_max = vhost->connections_max,
                                 .queues_max = vhost->queues_max,
                                 .default_queue_type = vhost->settings.default_queue_type,
                                 .is_draining = vhost->is_draining,
                                 .counts = vhost->counts};
    for (int i = 0; i <= MESSAGE_SIZE_BOUNDS; i++)
        out->counts.messages.publish += vhost->counts.sizes[i];
}

void survey_permissions(const struct vhost *vhost,
                        void (*show)(void *context, const struct survey_permission *permission),
                        void *context)
{
    for (const struct user_rights *rights = vhost->rights; rights; rights = rights->hh.next) {
        struct survey_permission view = {.user = rights->user,
                                         .configure = rights->patterns[PERMISSION_CONFIGURE],
                                         .write = rights->patterns[PERMISSION_WRITE],
                                         .read = rights->patterns[PERMISSION_READ]};

        if (rights->permission)
            show(context, &view);
    }
}

void survey_topic_permissions(const struct vhost *vhost,
                              void (*show)(void *context, const struct survey_topic_permission *permission),
                              void *context)
{
    for (const struct user_rights *rights = vhost->rights; rights; rights = rights->hh.next) {
        for (const struct topic_rights *topic = rights->topics; topic; topic = topic->next) {
            struct survey_topic_permission view = {.user = rights->user,
                                                   .exchange = topic->exchange,
                                                   .write = topic->write,
                                                   .read = topic->read};

            show(context, &view);
        }
    }
}

void survey_policies(const struct vhost *vhost, enum policy_origin origin,
                     void (*show)(void *context, const struct policy *policy), void *context)
{
    for (size_t i = 0; i < policy_set_count(vhost->policies, origin); i++)
        show(context, policy_set_at(vhost->policies, origin, i));
}
