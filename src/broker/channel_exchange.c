/* SPDX-License-Identifier: Apache-2.0 */
/* Class exchange (exchanges-queues-bindings.md 3, 4): checks in RabbitMQ's order, then the directory's
 * functions. */
#include "exchange.h"
#include "names.h"
#include "vhost_fields.h"
#include <stdio.h>

static bool check_not_default(struct channel *channel, enum method_id method, struct bytes name)
{
    if (name.size)
        return true;
    channel_fail(channel, method, REPLY_ACCESS_REFUSED, "operation not permitted on the default exchange");
    return false;
}

static struct exchange *find_or_fail(struct channel *channel, enum method_id method, struct bytes name)
{
    struct vhost *vhost = channel->connection->vhost;
    struct exchange *exchange = exchange_find(vhost, name);

    if (!exchange)
        channel_fail(channel, method, REPLY_NOT_FOUND, "no exchange '%.*s' in vhost '%.*s'", BYTES_ARG(name),
                     BYTES_ARG(vhost->name));
    return exchange;
}

/* ---- declare ---- */

bool exchange_is_equivalent(const struct exchange *exchange, const struct exchange_spec *spec,
                            struct reply_error *error)
{
    struct bytes vhost = exchange->vhost->name;
    char received[300], current[300];

    if (!bytes_equal_string(spec->type, exchange->type->name)) {
        snprintf(received, sizeof received, "'%.*s'", BYTES_ARG(spec->type));
        snprintf(current, sizeof current, "'%s'", exchange->type->name);
        return reply_error_inequivalent(error, "type", "exchange", exchange->name, vhost, received, current);
    }
    return reply_error_check_flag(error, "durable", "exchange", exchange->name, vhost, spec->durable,
                                  exchange->durable) &&
           reply_error_check_flag(error, "auto_delete", "exchange", exchange->name, vhost, spec->auto_delete,
                                  exchange->auto_delete) &&
           reply_error_check_flag(error, "internal", "exchange", exchange->name, vhost, spec->internal,
                                  exchange->internal) &&
           exchange_arguments_equivalent(exchange->arguments, spec->arguments, exchange->name, vhost, error);
}

static bool check_alternate(struct channel *channel, const struct exchange_spec *spec)
{
    struct reply_error error;
    struct bytes alternate;
    bool present;

    if (!exchange_options_alternate(spec->arguments, spec->name, channel->connection->vhost->name, &present,
                                    &alternate, &error)) {
        channel_fail_error(channel, METHOD_EXCHANGE_DECLARE, &error);
        return false;
    }
    return !present ||
           (channel_allowed(channel, METHOD_EXCHANGE_DECLARE, PERMISSION_READ, "exchange", spec->name) &&
            channel_allowed(channel, METHOD_EXCHANGE_DECLARE, PERMISSION_WRITE, "exchange", alternate));
}

/* Make it or compare it; NULL after failing the channel. */
static struct exchange *declare_active(struct channel *channel, const struct exchange_spec *spec)
{
    struct vhost *vhost = channel->connection->vhost;
    const struct exchange_type *type = exchange_type_find(spec->type);
    struct exchange *exchange;
    struct reply_error error;

    if (!type) {
        channel_fail(channel, METHOD_EXCHANGE_DECLARE, REPLY_PRECONDITION_FAILED,
                     spec->type.size ? "unknown exchange type '%.*s'" : "invalid exchange type '%.*s'",
                     BYTES_ARG(spec->type));
        return NULL;
    }
    if (!check_not_default(channel, METHOD_EXCHANGE_DECLARE, spec->name) ||
        !channel_allowed(channel, METHOD_EXCHANGE_DECLARE, PERMISSION_CONFIGURE, "exchange", spec->name))
        return NULL;
    exchange = exchange_find(vhost, spec->name);
    if (exchange) {
        if (exchange_is_equivalent(exchange, spec, &error))
            return exchange;
        channel_fail_error(channel, METHOD_EXCHANGE_DECLARE, &error);
        return NULL;
    }
    if (name_is_reserved(spec->name)) {
        channel_fail(channel, METHOD_EXCHANGE_DECLARE, REPLY_ACCESS_REFUSED,
                     "exchange name '%.*s' contains reserved prefix 'amq.*'", BYTES_ARG(spec->name));
        return NULL;
    }
    if (!channel_check_new_name(channel, METHOD_EXCHANGE_DECLARE, "exchange", spec->name) ||
        !check_alternate(channel, spec))
        return NULL;
    exchange = exchange_create(vhost, spec->name, type, spec->durable, spec->auto_delete, spec->internal,
                               spec->arguments, &error);
    if (!exchange)
        channel_fail_error(channel, METHOD_EXCHANGE_DECLARE, &error);
    return exchange;
}

static void run_declare(struct channel *channel, const struct method_exchange_declare *declare)
{
    char name[NAME_SIZE];
    struct exchange_spec spec = {.name = name_clean(declare->exchange, name),
                                 .type = declare->type,
                                 .durable = declare->durable,
                                 .auto_delete = declare->auto_delete,
                                 .internal = declare->internal,
                                 .arguments = declare->arguments};
    struct exchange *exchange;

    if (declare->passive)
        exchange = check_not_default(channel, METHOD_EXCHANGE_DECLARE, spec.name)
                       ? find_or_fail(channel, METHOD_EXCHANGE_DECLARE, spec.name)
                       : NULL;
    else
        exchange = declare_active(channel, &spec);
    if (exchange && !declare->nowait)
        channel_reply(channel, &(struct method){.id = METHOD_EXCHANGE_DECLARE_OK}, exchange->lsn);
}

/* ---- delete ---- */

static void run_delete(struct channel *channel, const struct method_exchange_delete *method)
{
    struct vhost *vhost = channel->connection->vhost;
    char buffer[NAME_SIZE];
    struct bytes name = name_clean(method->exchange, buffer);
    struct exchange *exchange;
    uint64_t lsn = 0;

    if (!check_not_default(channel, METHOD_EXCHANGE_DELETE, name))
        return;
    if (name_is_reserved(name)) {
        channel_fail(channel, METHOD_EXCHANGE_DELETE, REPLY_ACCESS_REFUSED,
                     "deletion of system exchange '%.*s' in vhost '%.*s' not allowed", BYTES_ARG(name),
                     BYTES_ARG(vhost->name));
        return;
    }
    if (!channel_allowed(channel, METHOD_EXCHANGE_DELETE, PERMISSION_CONFIGURE, "exchange", name))
        return;
    exchange = exchange_find(vhost, name);
    if (exchange && method->if_unused && exchange->bindings) {
        channel_fail(channel, METHOD_EXCHANGE_DELETE, REPLY_PRECONDITION_FAILED,
                     "exchange '%.*s' in vhost '%.*s' in use", BYTES_ARG(name), BYTES_ARG(vhost->name));
        return;
    }
    if (exchange)
        lsn = exchange_delete(exchange);
    if (!method->nowait)
        channel_reply(channel, &(struct method){.id = METHOD_EXCHANGE_DELETE_OK}, lsn);
}

/* ---- bind and unbind, of queues and of exchanges ---- */

/* 403s in their order (4.2 steps 1 to 4). */
static bool check_rights(struct channel *channel, enum method_id method, const struct binding_spec *spec)
{
    struct connection *connection = channel->connection;
    struct exchange *source;

    if (!channel_allowed(channel, method, PERMISSION_WRITE, spec->to_exchange ? "exchange" : "queue",
                         spec->destination))
        return false;
    if ((spec->to_exchange && !check_not_default(channel, method, spec->destination)) ||
        !check_not_default(channel, method, spec->source))
        return false;
    if (!channel_allowed(channel, method, PERMISSION_READ, "exchange", spec->source))
        return false;
    source = exchange_find(connection->vhost, spec->source);
    return !source || channel_allowed_topic(channel, method, source, PERMISSION_READ, spec->routing_key);
}

static bool fill_key(struct vhost *vhost, const struct binding_spec *spec, struct binding_key *key)
{
    *key = (struct binding_key){.source = exchange_find(vhost, spec->source),
                                .to_exchange =
                                    spec->to_exchange ? exchange_find(vhost, spec->destination) : NULL,
                                .to_queue = spec->to_exchange ? NULL : queue_find(vhost, spec->destination),
                                .routing_key = spec->routing_key,
                                .arguments = spec->arguments};
    return key->source && (key->to_exchange || key->to_queue);
}

bool channel_bind(struct channel *channel, enum method_id method, const struct binding_spec *spec,
                  uint64_t *lsn)
{
    struct vhost *vhost = channel->connection->vhost;
    struct binding_key key;
    struct reply_error error;

    if (!check_rights(channel, method, spec))
        return false;
    if (!fill_key(vhost, spec, &key)) {
        if (!key.source)
            find_or_fail(channel, method, spec->source);
        else if (spec->to_exchange)
            find_or_fail(channel, method, spec->destination);
        else
            channel_find_queue(channel, method, spec->destination);
        return false;
    }
    if (key.source->type->check_binding &&
        !key.source->type->check_binding(key.source, key.routing_key, key.arguments, &error)) {
        channel_fail_error(channel, method, &error);
        return false;
    }
    if (key.to_queue && !channel_check_owner(channel, method, key.to_queue))
        return false;
    if (vhost->settings.bindings_max && key.source->binding_count >= vhost->settings.bindings_max &&
        !binding_find(vhost, &key)) {
        channel_fail(channel, method, REPLY_PRECONDITION_FAILED,
                     "cannot bind to exchange '%.*s' in vhost '%.*s': binding limit (%llu) is reached",
                     BYTES_ARG(spec->source), BYTES_ARG(vhost->name),
                     (unsigned long long)vhost->settings.bindings_max);
        return false;
    }
    if (!binding_add(vhost, &key, lsn, &error)) {
        channel_fail_error(channel, method, &error);
        return false;
    }
    return true;
}

bool channel_unbind(struct channel *channel, enum method_id method, const struct binding_spec *spec,
                    uint64_t *lsn)
{
    struct vhost *vhost = channel->connection->vhost;
    struct binding_key key;
    struct binding *binding;

    *lsn = 0;
    if (!check_rights(channel, method, spec))
        return false;
    if (!fill_key(vhost, spec, &key))
        return true;
    binding = binding_find(vhost, &key);
    if (!binding)
        return true;
    if (key.to_queue && !channel_check_owner(channel, method, key.to_queue))
        return false;
    *lsn = binding_remove(binding);
    return true;
}

static void run_bind(struct channel *channel, const struct method_exchange_bind *bind)
{
    char destination[NAME_SIZE], source[NAME_SIZE];
    struct binding_spec spec = {.source = name_clean(bind->source, source),
                                .destination = name_clean(bind->destination, destination),
                                .routing_key = bind->routing_key,
                                .to_exchange = true,
                                .arguments = bind->arguments};
    uint64_t lsn;

    if (channel_bind(channel, METHOD_EXCHANGE_BIND, &spec, &lsn) && !bind->nowait)
        channel_reply(channel, &(struct method){.id = METHOD_EXCHANGE_BIND_OK}, lsn);
}

static void run_unbind(struct channel *channel, const struct method_exchange_unbind *unbind)
{
    char destination[NAME_SIZE], source[NAME_SIZE];
    struct binding_spec spec = {.source = name_clean(unbind->source, source),
                                .destination = name_clean(unbind->destination, destination),
                                .routing_key = unbind->routing_key,
                                .to_exchange = true,
                                .arguments = unbind->arguments};
    uint64_t lsn;

    if (channel_unbind(channel, METHOD_EXCHANGE_UNBIND, &spec, &lsn) && !unbind->nowait)
        channel_reply(channel, &(struct method){.id = METHOD_EXCHANGE_UNBIND_OK}, lsn);
}

void channel_exchange_method(struct channel *channel, const struct method *method)
{
    switch (method->id) {
    case METHOD_EXCHANGE_DECLARE:
        run_declare(channel, &method->exchange_declare);
        break;
    case METHOD_EXCHANGE_DELETE:
        run_delete(channel, &method->exchange_delete);
        break;
    case METHOD_EXCHANGE_BIND:
        run_bind(channel, &method->exchange_bind);
        break;
    case METHOD_EXCHANGE_UNBIND:
        run_unbind(channel, &method->exchange_unbind);
        break;
    default:
        channel_fail(channel, method->id, REPLY_COMMAND_INVALID, "unimplemented method");
    }
}
