/* SPDX-License-Identifier: Apache-2.0 */
/* vhost.h, topology: exchanges, queues and bindings from definitions and administration, where no client's
 * permissions play a part. */
#include "coney/survey.h"
#include "names.h"
#include "vhost_fields.h"

bool vhost_declare_exchange(struct vhost *vhost, const struct exchange_spec *spec, struct reply_error *error)
{
    const struct exchange_type *type = exchange_type_find(spec->type);
    struct exchange *exchange = exchange_find(vhost, spec->name);
    struct bytes alternate;
    bool present;

    if (!type)
        return reply_error_set(error, REPLY_PRECONDITION_FAILED, "unknown exchange type '%.*s'",
                               BYTES_ARG(spec->type));
    if (exchange)
        return exchange_is_equivalent(exchange, spec, error);
    return exchange_options_alternate(spec->arguments, spec->name, vhost->name, &present, &alternate,
                                      error) &&
           exchange_create(vhost, spec->name, type, spec->durable, spec->auto_delete, spec->internal,
                           spec->arguments, error);
}

bool vhost_declare_queue(struct vhost *vhost, const struct queue_spec *spec, struct reply_error *error)
{
    struct queue_declare declare = {.name = spec->name,
                                    .vhost = vhost->name,
                                    .durable = spec->durable,
                                    .auto_delete = spec->auto_delete,
                                    .default_type = vhost->settings.default_queue_type};
    struct queue *queue = queue_find(vhost, spec->name);
    struct bytes exchange;
    bool present;

    if (queue)
        return queue_is_equivalent(queue, &declare, spec->arguments, error);
    return queue_options_dead_letter_exchange(spec->arguments, &declare, &present, &exchange, error) &&
           queue_create_checked(vhost, &declare, NULL, spec->arguments, error);
}

bool vhost_bind(struct vhost *vhost, const struct binding_spec *spec, struct reply_error *error)
{
    struct binding_key key = {.source = exchange_find(vhost, spec->source),
                              .routing_key = spec->routing_key,
                              .arguments = spec->arguments};
    uint64_t lsn;

    if (!key.source)
        return reply_error_set(error, REPLY_NOT_FOUND, "no exchange '%.*s' in vhost '%.*s'",
                               BYTES_ARG(spec->source), BYTES_ARG(vhost->name));
    if (spec->to_exchange)
        key.to_exchange = exchange_find(vhost, spec->destination);
    else
        key.to_queue = queue_find(vhost, spec->destination);
    if (!key.to_exchange && !key.to_queue)
        return reply_error_set(error, REPLY_NOT_FOUND, "no %s '%.*s' in vhost '%.*s'",
                               spec->to_exchange ? "exchange" : "queue", BYTES_ARG(spec->destination),
                               BYTES_ARG(vhost->name));
    if (key.source == vhost->default_exchange)
        return reply_error_set(error, REPLY_ACCESS_REFUSED,
                               "operation not permitted on the default exchange");
    return binding_add(vhost, &key, &lsn, error);
}

/* ---- emptying ---- */

static void empty_policies(struct vhost *vhost)
{
    for (int origin = POLICY_USER; origin <= POLICY_OPERATOR; origin++) {
        while (policy_set_count(vhost->policies, (enum policy_origin)origin)) {
            const struct policy *policy = policy_set_at(vhost->policies, (enum policy_origin)origin, 0);

            policy_set_remove(vhost->policies, (enum policy_origin)origin, bytes_from_string(policy->name));
        }
    }
}

/* An exchange that somebody made; NULL when there is none. */
static struct exchange *made_exchange(struct vhost *vhost)
{
    struct exchange *exchange = vhost->exchanges;

    while (exchange && (!exchange->name.size || name_is_reserved(exchange->name)))
        exchange = exchange->hh.next;
    return exchange;
}

bool vhost_empty(struct vhost *vhost, uint32_t most)
{
    struct exchange *exchange = NULL;

    survey_close(vhost);
    for (; vhost->queues && most; most--)
        queue_delete(vhost->queues);
    for (; most && (exchange = made_exchange(vhost)) != NULL; most--)
        exchange_delete(exchange);
    if (vhost->queues || exchange || !most)
        return false;
    vhost->settings.returns_max = RETURNS_MAX_DEFAULT; /* as before vhost_close_connections() */
    vhost_forget_rights(vhost);
    empty_policies(vhost);
    vhost_set_limits(vhost, -1, -1);
    survey_reopen(vhost);
    return true;
}
