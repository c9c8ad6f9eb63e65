/* SPDX-License-Identifier: Apache-2.0 */
/* Telling what happens (coney/events.h): one call where it happens, which costs a glance when nobody listens.
 */
#ifndef BROKER_EVENTS_H
#define BROKER_EVENTS_H

#include "coney/events.h"
#include "vhost_fields.h"

static inline bool events_are_wanted(const struct vhost *vhost)
{
    return vhost->events && vhost->events->is_wanted(vhost->events);
}

/* KEY is RabbitMQ's: "queue.created", "queue.deleted", ... */
void tell_queue(const struct queue *queue, const char *key);
void tell_exchange(const struct exchange *exchange, const char *key);
void tell_binding(const struct binding *binding, const char *key);
void tell_channel(const struct channel *channel, const char *key);
void tell_consumer(const struct consumer *consumer, const char *key);
void tell_policy(struct vhost *vhost, const char *key, const struct policy *policy);

/* EXCHANGE, perhaps the one that carries events, has more or fewer bindings. */
void tell_listeners(const struct exchange *exchange);

/* MESSAGE was published on CHANNEL and entered the first COUNT of QUEUES; or was delivered to it from QUEUE.
 * Only while vhost->tracers. */
void trace_publish(struct channel *channel, const struct message *message, struct queue *const *queues,
                   size_t count);
void trace_deliver(struct channel *channel, const struct message *message, const struct queue *queue,
                   bool redelivered);

#endif
