/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h, lifetime: a queue comes, is used, follows its policy, and goes with all that hangs on it. */
#include "queue.h"

#include <stdlib.h>
#include <utlist.h>

#include "coney/xalloc.h"
#include "events.h"
#include "survey_cursor.h"
#include "vhost_fields.h"

struct queue *queue_find(const struct vhost *vhost, struct bytes name)
{
    struct queue *queue;

    HASH_FIND(hh, vhost->queues, name.data, name.size, queue);
    return queue;
}

static uint64_t journal_queue(struct queue *queue, enum journal_kind kind)
{
    if (!queue->durable)
        return 0;
    return journal_append(
        queue->vhost->journal,
        &(struct journal_record){.kind = kind,
                                 .queue = queue->lsn,
                                 .made = &(struct queue_spec){.name = queue->name,
                                                              .durable = true,
                                                              .auto_delete = queue->auto_delete,
                                                              .arguments = queue->arguments}});
}

static struct levels *levels_new(struct queue *queue)
{
    unsigned count = queue->options.max_priority + 1U;
    struct levels *levels = xcalloc(1, sizeof *levels + count * sizeof(struct level *));

    levels->at[0] = &queue->base;
    return levels;
}

/* The options of a queue as declared: its arguments, which were checked then. */
static void options_declared(const struct queue *queue, struct queue_options *out)
{
    struct queue_declare declare = {
        .name = queue->name, .vhost = queue->vhost->name, .default_type = queue->options.type};
    struct reply_error error;

    if (!queue_options_parse(out, queue->arguments, &declare, &error))
        *out = queue->options;
}

static void options_combine(struct queue *queue)
{
    struct policy_definition policy;
    struct queue_options declared;
    const char *name, *operator_name;
    enum policy_target target =
        queue->options.type == QUEUE_QUORUM ? POLICY_TARGET_QUORUM_QUEUE : POLICY_TARGET_CLASSIC_QUEUE;
    bool applies =
        policy_effective(queue->vhost->policies, target, queue->name, &policy, &name, &operator_name);

    options_declared(queue, &declared);
    declared.relaxed = queue->vhost->settings.relaxed;
    queue_options_effective(&queue->options, &declared, applies ? &policy : NULL);
}

struct queue *queue_create(struct vhost *vhost, struct bytes name, bool durable, bool auto_delete,
                           struct connection *owner, const struct queue_options *options,
                           struct bytes arguments)
{
    struct queue *queue = xcalloc(1, sizeof *queue + name.size + arguments.size);

    queue->vhost = vhost;
    queue->refs = 1;
    queue->name = (struct bytes){queue->octets, name.size};
    queue->arguments = (struct bytes){put_bytes(queue->octets, name), arguments.size};
    put_bytes(queue->octets + name.size, arguments);
    queue->options = *options;
    queue->durable = durable && !owner; /* an exclusive queue never outlives its connection (6.1) */
    queue->auto_delete = auto_delete;
    queue->exclusive = owner != NULL;
    queue->owner = owner;
    level_init(&queue->base);
    if (options->max_priority)
        queue->levels = levels_new(queue);
    HASH_ADD_KEYPTR(hh, vhost->queues, queue->name.data, queue->name.size, queue);
    if (owner)
        DL_APPEND2(owner->queues, queue, owned_prev, owned_next);
    vhost->topology++;
    options_combine(queue);
    queue_touch(queue);
    vhost->counts.queues_created++;
    tell_queue(queue, "queue.created");
    queue->lsn = journal_queue(queue, JOURNAL_DECLARE_QUEUE);
    return queue;
}

void queue_need_lists(struct queue *queue)
{
    if (!queue->lists)
        queue->lists = xcalloc(1, sizeof *queue->lists);
}

void queue_leave_lists(struct queue *queue)
{
    struct vhost *vhost = queue->vhost;

    if (queue->is_touched)
        DL_DELETE2(vhost->touched, queue, lists->touched_prev, lists->touched_next);
    if (queue->is_unsaved)
        DL_DELETE2(vhost->unsaved, queue, lists->unsaved_prev, lists->unsaved_next);
    if (queue->is_large)
        DL_DELETE2(vhost->large, queue, lists->large_prev, lists->large_next);
    queue->is_touched = queue->is_unsaved = queue->is_large = false;
}

void consumer_cancel(struct consumer *consumer)
{
    struct channel *channel = consumer->channel;
    struct method cancel = {.id = METHOD_BASIC_CANCEL,
                            .basic_cancel = {.consumer_tag = consumer->tag, .nowait = true}};

    /* A consume-ok that is still in the gate comes first. */
    if (channel->connection->cancel_notify && channel->state == CHANNEL_OPEN) {
        if (consumer->is_suspended)
            channel_reply(channel, &cancel, 0);
        else
            outbox_method(channel->connection, channel->number, &cancel);
    }
    channel_end_consumer(consumer, NULL);
}

static void cancel_consumers(struct queue *queue)
{
    struct consumer *consumer, *next;

    DL_FOREACH_SAFE (queue->consumers, consumer, next)
        consumer_cancel(consumer);
}

uint64_t queue_delete(struct queue *queue)
{
    struct vhost *vhost = queue->vhost;
    uint64_t lsn = journal_queue(queue, JOURNAL_DELETE_QUEUE);

    queue->is_deleted = true;
    if (vhost->browsed == queue)
        vhost->browsed = NULL;
    vhost->counts.queues_deleted++;
    tell_queue(queue, "queue.deleted");
    survey_move_on(vhost, queue, queue->hh.next);
    HASH_DEL(vhost->queues, queue);
    if (queue->owner)
        DL_DELETE2(queue->owner->queues, queue, owned_prev, owned_next);
    queue->owner = NULL;
    cancel_consumers(queue);
    bindings_remove_incoming(queue);
    queue_drop_entries(queue);
    queue_leave_lists(queue);
    gate_called_back(queue);
    vhost_schedule(vhost, queue, VHOST_NEVER);
    queue_relieve(queue);
    vhost->topology++;
    queue_unref(queue);
    return lsn;
}

void queue_break(struct queue *queue)
{
    if (queue->is_broken || queue->is_deleted)
        return;
    queue->is_broken = true;
    cancel_consumers(queue);
    gate_called_back(queue);
}

void queue_unref(struct queue *queue)
{
    if (--queue->refs)
        return;
    free(queue->lists);
    free(queue->timers);
    free(queue->slowed);
    free(queue->counts);
    free(queue);
}

void queue_apply_policy(struct queue *queue)
{
    struct queue_options before = queue->options;

    options_combine(queue);
    if (queue->options.expires != before.expires)
        queue_touch(queue);
    if (queue->options.max_length != before.max_length ||
        queue->options.max_length_bytes != before.max_length_bytes ||
        queue->options.overflow != before.overflow) {
        /* New limits act before a new overflow does, as in RabbitMQ 3.10. */
        queue->is_overfull |= before.overflow == QUEUE_OVERFLOW_DROP_HEAD;
        queue_trim(queue);
    }
}

void queue_touch(struct queue *queue)
{
    queue->unused_since = queue->vhost->now;
    if (queue->options.expires != QUEUE_OPTION_NONE)
        queue_reschedule(queue);
}
