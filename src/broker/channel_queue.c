/* SPDX-License-Identifier: Apache-2.0 */
/* Class queue (exchanges-queues-bindings.md 4, 6, 7): checks in RabbitMQ's order, then the queue's functions.
 */

#include "coney/buffer.h"
#include "names.h"
#include "vhost_fields.h"

static void remember_last(struct channel *channel, struct bytes name)
{
    bytes_free(channel->last_queue);
    channel->last_queue = bytes_copy(name);
}

/* ---- declare ---- */

bool queue_is_equivalent(const struct queue *queue, const struct queue_declare *declare,
                         struct bytes arguments, struct reply_error *error)
{
    /* An exclusive queue compares as non-durable, however it is spelled (6.1). */
    bool durable = declare->durable && !declare->exclusive;

    return reply_error_check_flag(error, "durable", "queue", queue->name, declare->vhost, durable,
                                  queue->durable) &&
           reply_error_check_flag(error, "auto_delete", "queue", queue->name, declare->vhost,
                                  declare->auto_delete, queue->auto_delete) &&
           queue_arguments_equivalent(queue->arguments, queue->options.type, arguments, declare, error);
}

static bool check_dead_letter_rights(struct channel *channel, const struct queue_declare *declare,
                                     struct bytes arguments)
{
    struct reply_error error;
    struct bytes exchange;
    bool present;

    if (!queue_options_dead_letter_exchange(arguments, declare, &present, &exchange, &error)) {
        channel_fail_error(channel, METHOD_QUEUE_DECLARE, &error);
        return false;
    }
    return !present ||
           (channel_allowed(channel, METHOD_QUEUE_DECLARE, PERMISSION_READ, "queue", declare->name) &&
            channel_allowed(channel, METHOD_QUEUE_DECLARE, PERMISSION_WRITE, "exchange", exchange));
}

struct queue *queue_create_checked(struct vhost *vhost, const struct queue_declare *declare,
                                   struct connection *owner, struct bytes arguments,
                                   struct reply_error *error)
{
    struct queue_options options;
    struct buffer kept = {0};
    struct queue *queue;

    if (!queue_options_parse(&options, arguments, declare, error))
        return NULL;
    if (vhost->queues_max >= 0 && HASH_COUNT(vhost->queues) >= (uint64_t)vhost->queues_max) {
        reply_error_set(error, REPLY_PRECONDITION_FAILED,
                        "cannot declare queue '%.*s': queue limit in vhost '%.*s' (%lld) is reached",
                        BYTES_ARG(declare->name), BYTES_ARG(vhost->name), (long long)vhost->queues_max);
        return NULL;
    }
    if (!queue_options_check_properties(&options, declare, error))
        return NULL;
    queue_options_store_type(&kept, &options, arguments);
    queue = queue_create(vhost, declare->name, declare->durable, declare->auto_delete, owner, &options,
                         buffer_bytes(&kept));
    buffer_free(&kept);
    return queue;
}

/* Owner first, then flags and arguments (6.3). */
static bool check_existing(struct channel *channel, const struct queue *queue,
                           const struct queue_declare *declare, struct bytes arguments)
{
    struct reply_error error;
    const struct connection *wish = declare->exclusive ? channel->connection : NULL;

    if (queue->owner != wish) {
        channel_fail(
            channel, METHOD_QUEUE_DECLARE, REPLY_RESOURCE_LOCKED,
            "cannot obtain exclusive access to locked queue '%.*s' in vhost '%.*s'. It could be "
            "originally declared on another connection or the exclusive property value does not match "
            "that of the original declaration.",
            BYTES_ARG(queue->name), BYTES_ARG(declare->vhost));
        return false;
    }
    if (queue_is_equivalent(queue, declare, arguments, &error))
        return true;
    channel_fail_error(channel, METHOD_QUEUE_DECLARE, &error);
    return false;
}

static struct queue *declare_active(struct channel *channel, struct queue_declare *declare,
                                    struct bytes arguments)
{
    struct vhost *vhost = channel->connection->vhost;
    struct queue *queue;
    struct reply_error error;

    if (!channel_allowed(channel, METHOD_QUEUE_DECLARE, PERMISSION_CONFIGURE, "queue", declare->name))
        return NULL;
    vhost->counts.queues_declared++;
    queue = queue_find(vhost, declare->name);
    if (queue)
        return check_existing(channel, queue, declare, arguments) ? queue : NULL;
    if (!channel_check_new_name(channel, METHOD_QUEUE_DECLARE, "queue", declare->name) ||
        !check_dead_letter_rights(channel, declare, arguments))
        return NULL;
    queue = queue_create_checked(vhost, declare, declare->exclusive ? channel->connection : NULL, arguments,
                                 &error);
    if (!queue)
        channel_fail_error(channel, METHOD_QUEUE_DECLARE, &error);
    return queue;
}

/* The name of an active declare: made by the server when it is empty, else not reserved. */
static bool settle_name(struct channel *channel, struct queue_declare *declare, struct bytes arguments,
                        char made[64])
{
    struct reply_error error;

    if (declare->name.size) {
        if (!name_is_reserved(declare->name))
            return true;
        channel_fail(channel, METHOD_QUEUE_DECLARE, REPLY_ACCESS_REFUSED,
                     "queue name '%.*s' contains reserved prefix 'amq.*'", BYTES_ARG(declare->name));
        return false;
    }
    if (!queue_options_server_named(arguments, declare, &error)) {
        channel_fail_error(channel, METHOD_QUEUE_DECLARE, &error);
        return false;
    }
    vhost_random_name(channel->connection->vhost, "amq.gen-", made);
    declare->name = bytes_from_string(made);
    return true;
}

static void declare_ok(struct channel *channel, struct bytes name, uint64_t messages, uint32_t consumers,
                       uint64_t lsn)
{
    struct method ok = {
        .id = METHOD_QUEUE_DECLARE_OK,
        .queue_declare_ok = {.queue = name,
                             .message_count = messages > UINT32_MAX ? UINT32_MAX : (uint32_t)messages,
                             .consumer_count = consumers},
    };

    channel_reply(channel, &ok, lsn);
}

/* The names of direct reply-to are not queues (publish-consume-ack.md 9). True when NAME was one. */
static bool declare_reply_to(struct channel *channel, struct bytes name, bool nowait)
{
    struct vhost *vhost = channel->connection->vhost;

    if (!reply_to_is_name(name) && !reply_to_is_long_name(name))
        return false;
    if (reply_to_is_long_name(name) && !reply_to_find(vhost, name))
        channel_fail(channel, METHOD_QUEUE_DECLARE, REPLY_NOT_FOUND, "no queue '%.*s' in vhost '%.*s'",
                     BYTES_ARG(name), BYTES_ARG(vhost->name));
    else {
        remember_last(channel, name);
        if (!nowait)
            declare_ok(channel, name, 0, 1, 0);
    }
    return true;
}

static void run_declare(struct channel *channel, const struct method_queue_declare *method)
{
    struct vhost *vhost = channel->connection->vhost;
    char buffer[NAME_SIZE], made[64];
    struct queue_declare declare = {.name = name_clean(method->queue, buffer),
                                    .vhost = vhost->name,
                                    .durable = method->durable,
                                    .exclusive = method->exclusive,
                                    .auto_delete = method->auto_delete,
                                    .default_type = vhost->settings.default_queue_type};
    struct queue *queue;

    if (declare_reply_to(channel, declare.name, method->nowait))
        return;
    if (method->passive)
        queue = channel_find_queue(channel, METHOD_QUEUE_DECLARE, declare.name);
    else if (settle_name(channel, &declare, method->arguments, made))
        queue = declare_active(channel, &declare, method->arguments);
    else
        return;
    if (!queue)
        return;
    remember_last(channel, queue->name);
    queue_touch(queue);
    if (!method->nowait)
        declare_ok(channel, queue->name, queue->ready, queue->consumer_count, queue->lsn);
}

/* ---- delete ---- */

/* What a queue of this type answers to if-unused and if-empty; true when it may go (7.1). */
static bool check_delete(struct channel *channel, const struct queue *queue,
                         const struct method_queue_delete *method)
{
    bool quorum = queue->options.type == QUEUE_QUORUM;
    struct bytes vhost = queue->vhost->name;

    if (quorum && (method->if_unused || method->if_empty)) {
        channel_fail(
            channel, METHOD_QUEUE_DELETE, REPLY_NOT_IMPLEMENTED,
            "cannot delete queue '%.*s' in vhost '%.*s'. queue.delete operations with %s flag set are "
            "not supported by quorum queues",
            BYTES_ARG(queue->name), BYTES_ARG(vhost), method->if_unused ? "if-unused" : "if-empty");
        return false;
    }
    if (method->if_empty && queue->ready) {
        channel_fail(channel, METHOD_QUEUE_DELETE, REPLY_PRECONDITION_FAILED,
                     "queue '%.*s' in vhost '%.*s' not empty", BYTES_ARG(queue->name), BYTES_ARG(vhost));
        return false;
    }
    if (method->if_unused && queue->consumer_count) {
        channel_fail(channel, METHOD_QUEUE_DELETE, REPLY_PRECONDITION_FAILED,
                     "queue '%.*s' in vhost '%.*s' in use", BYTES_ARG(queue->name), BYTES_ARG(vhost));
        return false;
    }
    return true;
}

static void run_delete(struct channel *channel, const struct method_queue_delete *method)
{
    char buffer[NAME_SIZE];
    struct bytes name = name_clean(method->queue, buffer);
    struct method ok = {.id = METHOD_QUEUE_DELETE_OK};
    struct queue *queue;
    uint64_t lsn = 0;

    if (!channel_queue_name(channel, METHOD_QUEUE_DELETE, &name) ||
        !channel_allowed(channel, METHOD_QUEUE_DELETE, PERMISSION_CONFIGURE, "queue", name))
        return;
    queue = queue_find(channel->connection->vhost, name);
    if (queue) {
        if (!channel_check_owner(channel, METHOD_QUEUE_DELETE, queue) ||
            !check_delete(channel, queue, method))
            return;
        ok.queue_delete_ok.message_count = queue->ready > UINT32_MAX ? UINT32_MAX : (uint32_t)queue->ready;
        lsn = queue_delete(queue);
    }
    if (!method->nowait)
        channel_reply(channel, &ok, lsn);
}

/* ---- purge, bind, unbind ---- */

static void run_purge(struct channel *channel, const struct method_queue_purge *method)
{
    struct bytes name = method->queue;
    struct method ok = {.id = METHOD_QUEUE_PURGE_OK};
    struct queue *queue;
    uint64_t count, lsn;

    if (!channel_queue_name(channel, METHOD_QUEUE_PURGE, &name) ||
        !channel_allowed(channel, METHOD_QUEUE_PURGE, PERMISSION_READ, "queue", name))
        return;
    queue = channel_find_queue(channel, METHOD_QUEUE_PURGE, name);
    if (!queue)
        return;
    lsn = queue_purge(queue, &count);
    ok.queue_purge_ok.message_count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    if (!method->nowait)
        channel_reply(channel, &ok, lsn);
}

/* The queue's name for bind and unbind: both it and an empty key may mean the queue last declared (1.2). */
static bool binding_names(struct channel *channel, enum method_id method, struct binding_spec *spec)
{
    bool last = spec->destination.size == 0;

    if (!channel_queue_name(channel, method, &spec->destination))
        return false;
    if (last && spec->routing_key.size == 0)
        spec->routing_key = spec->destination;
    return true;
}

static void run_bind(struct channel *channel, const struct method_queue_bind *method)
{
    char destination[NAME_SIZE], source[NAME_SIZE];
    struct binding_spec spec = {.source = name_clean(method->exchange, source),
                                .destination = name_clean(method->queue, destination),
                                .routing_key = method->routing_key,
                                .arguments = method->arguments};
    uint64_t lsn;

    if (binding_names(channel, METHOD_QUEUE_BIND, &spec) &&
        channel_bind(channel, METHOD_QUEUE_BIND, &spec, &lsn) && !method->nowait)
        channel_reply(channel, &(struct method){.id = METHOD_QUEUE_BIND_OK}, lsn);
}

static void run_unbind(struct channel *channel, const struct method_queue_unbind *method)
{
    char destination[NAME_SIZE], source[NAME_SIZE];
    struct binding_spec spec = {.source = name_clean(method->exchange, source),
                                .destination = name_clean(method->queue, destination),
                                .routing_key = method->routing_key,
                                .arguments = method->arguments};
    uint64_t lsn;

    if (binding_names(channel, METHOD_QUEUE_UNBIND, &spec) &&
        channel_unbind(channel, METHOD_QUEUE_UNBIND, &spec, &lsn))
        channel_reply(channel, &(struct method){.id = METHOD_QUEUE_UNBIND_OK}, lsn);
}

void channel_queue_method(struct channel *channel, const struct method *method)
{
    switch (method->id) {
    case METHOD_QUEUE_DECLARE:
        run_declare(channel, &method->queue_declare);
        break;
    case METHOD_QUEUE_BIND:
        run_bind(channel, &method->queue_bind);
        break;
    case METHOD_QUEUE_UNBIND:
        run_unbind(channel, &method->queue_unbind);
        break;
    case METHOD_QUEUE_PURGE:
        run_purge(channel, &method->queue_purge);
        break;
    case METHOD_QUEUE_DELETE:
        run_delete(channel, &method->queue_delete);
        break;
    default:
        channel_fail(channel, method->id, REPLY_COMMAND_INVALID, "unimplemented method");
    }
}
