/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens in a node, told through an exchange: RabbitMQ's amq.rabbitmq.event (its event exchange plugin,
 * 3.13) with its keys and headers, and through amq.rabbitmq.trace what is published and delivered in a vhost
 * (its firehose). Both are topic exchanges that nobody can publish to. Inside the vhost.
 */
#ifndef CONEY_EVENTS_H
#define CONEY_EVENTS_H

#include <stdbool.h>

#include "coney/bytes.h"

struct vhost;

#define EVENTS_EXCHANGE "amq.rabbitmq.event"
#define TRACE_EXCHANGE  "amq.rabbitmq.trace"

/* Where the events of vhosts go. */
struct events_sink {
    /* From inside any vhost: whether somebody listens; else nothing is made. */
    bool (*is_wanted)(struct events_sink *sink);
    /* From inside the vhost that carries events: whether somebody does from now on. */
    void (*listens)(struct events_sink *sink, bool on);
    /* From inside any vhost: something happened. HEADERS are the contents of a table, to be copied. */
    void (*tell)(struct events_sink *sink, const char *key, struct bytes headers);
};

/* VHOST tells SINK what happens in it from now on. */
void vhost_tell_events(struct vhost *vhost, struct events_sink *sink);

/* VHOST is where events are published: it has the exchange, and tells its sink whether it has bindings. */
void vhost_carry_events(struct vhost *vhost);

/* Publish an event of NOW (ms since 1970) in the vhost that carries them. */
void vhost_publish_event(struct vhost *vhost, struct bytes key, struct bytes headers, int64_t now);

/* Whether what is published and delivered here is told through amq.rabbitmq.trace. */
void vhost_set_tracing(struct vhost *vhost, bool on);

/* The same for somebody who listens for a while, beside others: TRUE when that begins, and false when it
 * ends. */
void vhost_trace_a_while(struct vhost *vhost, bool begins);

#endif
