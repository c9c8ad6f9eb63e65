/* SPDX-License-Identifier: Apache-2.0 */
/* exchange.h: the directory of exchanges, and bindings with their identity (exchanges-queues-bindings.md 3,
 * 4). */
#include "exchange.h"

#include <stdlib.h>
#include <utlist.h>

#include "coney/buffer.h"
#include "coney/survey.h"
#include "coney/table.h"
#include "coney/xalloc.h"
#include "events.h"
#include "survey_cursor.h"
#include "vhost_fields.h"

/* Sorted by name, as listings tell them. */
static const struct exchange_type *const types[] = {
    &exchange_type_direct,          &exchange_type_fanout,       &exchange_type_headers, &exchange_type_topic,
    &exchange_type_consistent_hash, &exchange_type_modulus_hash, &exchange_type_random,
};

bool survey_exchange_type(size_t index, const char **name, const char **description)
{
    if (index >= sizeof types / sizeof *types)
        return false;
    *name = types[index]->name;
    *description = types[index]->description;
    return true;
}

const struct exchange_type *exchange_type_find(struct bytes name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bytes_equal_string(name, types[i]->name))
            return types[i];
    return NULL;
}

struct exchange *exchange_find(const struct vhost *vhost, struct bytes name)
{
    struct exchange *exchange;

    HASH_FIND(hh, vhost->exchanges, name.data, name.size, exchange);
    return exchange;
}

static uint64_t journal_exchange(struct exchange *exchange, enum journal_kind kind)
{
    if (!exchange->durable)
        return 0;
    return journal_append(exchange->vhost->journal,
                          &(struct journal_record){.kind = kind,
                                                   .exchange = &(struct exchange_spec){
                                                       .name = exchange->name,
                                                       .type = bytes_from_string(exchange->type->name),
                                                       .durable = true,
                                                       .auto_delete = exchange->auto_delete,
                                                       .internal = exchange->internal,
                                                       .arguments = exchange->arguments}});
}

struct exchange *exchange_create(struct vhost *vhost, struct bytes name, const struct exchange_type *type,
                                 bool durable, bool auto_delete, bool internal, struct bytes arguments,
                                 struct reply_error *error)
{
    struct exchange *exchange = xcalloc(1, sizeof *exchange);

    exchange->vhost = vhost;
    exchange->type = type;
    exchange->name = bytes_copy(name);
    exchange->arguments = bytes_copy(arguments);
    exchange->durable = durable;
    exchange->auto_delete = auto_delete;
    exchange->internal = internal;
    if (type->check_exchange && !type->check_exchange(exchange, error)) {
        bytes_free(exchange->name);
        bytes_free(exchange->arguments);
        free(exchange);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, vhost->exchanges, exchange->name.data, exchange->name.size, exchange);
    vhost->topology++;
    exchange_apply_policy(exchange);
    tell_exchange(exchange, "exchange.created");
    exchange->lsn = journal_exchange(exchange, JOURNAL_DECLARE_EXCHANGE);
    return exchange;
}

void exchange_apply_policy(struct exchange *exchange)
{
    struct policy_definition policy;
    const char *name, *operator_name;
    struct field field;

    exchange->has_alternate = false;
    if (table_get(exchange->arguments, "alternate-exchange", &field) && field.type == FIELD_LONGSTR) {
        exchange->alternate = field.bytes;
        exchange->has_alternate = true;
    } else if (policy_effective(exchange->vhost->policies, POLICY_TARGET_EXCHANGE, exchange->name, &policy,
                                &name, &operator_name) &&
               policy.present & POLICY_ALTERNATE_EXCHANGE) {
        exchange->alternate = policy.alternate_exchange;
        exchange->has_alternate = true;
    }
    exchange->vhost->topology++;
}

/* Source and destination by address, so that the octets are the identity: no two ends share one while bound.
 */
static void identity(struct buffer *out, const struct binding_key *key)
{
    const void *destination = key->to_queue ? (const void *)key->to_queue : (const void *)key->to_exchange;

    buffer_append(out, &key->source, sizeof key->source);
    buffer_append(out, &destination, sizeof destination);
    *buffer_reserve(out, 1) = (uint8_t)key->routing_key.size;
    out->size++;
    buffer_append_bytes(out, key->routing_key);
    table_canonical(out, key->arguments);
}

struct binding *binding_find(struct vhost *vhost, const struct binding_key *key)
{
    struct buffer buffer = {0};
    struct binding *binding;

    identity(&buffer, key);
    HASH_FIND(hh, vhost->bindings, buffer.data, buffer.size, binding);
    buffer_free(&buffer);
    return binding;
}

/* A binding lasts only if both ends do (4.1). */
static bool binding_lasts(const struct binding *binding)
{
    return binding->source->durable &&
           (binding->to_queue ? binding->to_queue->durable : binding->to_exchange->durable);
}

static uint64_t journal_binding(struct binding *binding, enum journal_kind kind)
{
    if (!binding_lasts(binding))
        return 0;
    return journal_append(
        binding->source->vhost->journal,
        &(struct journal_record){
            .kind = kind,
            .binding = &(struct binding_spec){.source = binding->source->name,
                                              .destination = binding->to_queue ? binding->to_queue->name
                                                                               : binding->to_exchange->name,
                                              .to_exchange = !binding->to_queue,
                                              .routing_key = binding->routing_key,
                                              .arguments = binding->arguments}});
}

static struct binding *binding_new(const struct binding_key *key)
{
    struct buffer buffer = {0};
    struct binding *binding;

    identity(&buffer, key);
    binding = xcalloc(1, sizeof *binding + buffer.size + key->arguments.size);
    binding->source = key->source;
    binding->to_exchange = key->to_exchange;
    binding->to_queue = key->to_queue;
    binding->identity_size = (uint32_t)buffer.size;
    memcpy(binding->identity, buffer.data, buffer.size);
    put_bytes(binding->identity + buffer.size, key->arguments);
    binding->routing_key = (struct bytes){binding->identity + 2 * sizeof(void *) + 1, key->routing_key.size};
    binding->arguments = (struct bytes){binding->identity + buffer.size, key->arguments.size};
    buffer_free(&buffer);
    return binding;
}

bool binding_add(struct vhost *vhost, const struct binding_key *key, uint64_t *lsn, struct reply_error *error)
{
    struct exchange *source = key->source;
    struct binding *binding = binding_find(vhost, key);

    if (binding) {
        *lsn = binding->lsn;
        return true;
    }
    if (source->type->check_binding &&
        !source->type->check_binding(source, key->routing_key, key->arguments, error))
        return false;
    binding = binding_new(key);
    HASH_ADD_KEYPTR(hh, vhost->bindings, binding->identity, binding->identity_size, binding);
    DL_APPEND(source->bindings, binding);
    source->binding_count++;
    if (binding->to_queue)
        DL_APPEND2(binding->to_queue->incoming, binding, dprev, dnext);
    else
        DL_APPEND2(binding->to_exchange->incoming, binding, dprev, dnext);
    source->type->add(source, binding);
    vhost->topology++;
    tell_binding(binding, "binding.created");
    tell_listeners(source);
    *lsn = binding->lsn = journal_binding(binding, JOURNAL_BIND);
    return true;
}

/* Take BINDING out of everything and free it. A source that lived by it goes on the list of the doomed. */
static uint64_t detach(struct binding *binding)
{
    struct exchange *source = binding->source;
    struct vhost *vhost = source->vhost;
    uint64_t lsn = journal_binding(binding, JOURNAL_UNBIND);

    tell_binding(binding, "binding.deleted");
    source->type->remove(source, binding);
    survey_move_on(vhost, binding, binding->hh.next);
    HASH_DEL(vhost->bindings, binding);
    DL_DELETE(source->bindings, binding);
    source->binding_count--;
    if (binding->to_queue)
        DL_DELETE2(binding->to_queue->incoming, binding, dprev, dnext);
    else
        DL_DELETE2(binding->to_exchange->incoming, binding, dprev, dnext);
    vhost->topology++;
    tell_listeners(source);
    free(binding);
    /* Its last binding as a source is what an auto-delete exchange lives by (4.4). */
    if (source->auto_delete && !source->bindings && !source->is_doomed) {
        source->is_doomed = true;
        source->doomed_next = vhost->doomed;
        vhost->doomed = source;
    }
    return lsn;
}

static uint64_t destroy(struct exchange *exchange)
{
    struct vhost *vhost = exchange->vhost;
    uint64_t lsn = journal_exchange(exchange, JOURNAL_DELETE_EXCHANGE);

    tell_exchange(exchange, "exchange.deleted");
    exchange->is_doomed = true; /* it is going already */
    /* The analyzer does not see that detach() takes a binding off the list that it is found on. */
    while (exchange->bindings)
        detach(exchange->bindings); /* NOLINT(clang-analyzer-unix.Malloc) */
    while (exchange->incoming)
        detach(exchange->incoming); /* NOLINT(clang-analyzer-unix.Malloc) */
    survey_move_on(vhost, exchange, exchange->hh.next);
    HASH_DEL(vhost->exchanges, exchange);
    vhost->topology++;
    bytes_free(exchange->name);
    bytes_free(exchange->arguments);
    free(exchange);
    return lsn;
}

/* Delete what lost its last binding, and what loses its last binding thereby: a loop, since clients can make
 * chains of any length. */
static uint64_t sweep(struct vhost *vhost, uint64_t lsn)
{
    while (vhost->doomed) {
        struct exchange *exchange = vhost->doomed;
        uint64_t deleted;

        vhost->doomed = exchange->doomed_next;
        deleted = destroy(exchange);
        if (deleted > lsn)
            lsn = deleted;
    }
    return lsn;
}

uint64_t exchange_delete(struct exchange *exchange)
{
    struct vhost *vhost = exchange->vhost;

    return sweep(vhost, destroy(exchange));
}

uint64_t binding_remove(struct binding *binding)
{
    struct vhost *vhost = binding->source->vhost;

    return sweep(vhost, detach(binding));
}

uint64_t bindings_remove_incoming(struct queue *queue)
{
    uint64_t lsn = 0;

    while (queue->incoming)
        lsn = detach(queue->incoming); /* NOLINT(clang-analyzer-unix.Malloc): see destroy() */
    return sweep(queue->vhost, lsn);
}
