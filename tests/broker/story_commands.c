/* SPDX-License-Identifier: Apache-2.0 */
/* story.h: what clients send. */
#include "coney/buffer.h"
#include "story_fields.h"

void together(struct client *c)
{
    c->peer->is_together = true;
    c->peer->together = (struct batch){.kind = BATCH_COMMANDS, .connection = c->peer->id};
}

void together_end(struct client *c)
{
    struct peer *peer = c->peer;

    peer->is_together = false;
    story_run(peer->story, &peer->together);
    batch_clear(&peer->together);
}

static void send(struct client *c, struct command command, const struct method *method)
{
    bool alone = !c->peer->is_together;
    struct command *added;

    if (alone)
        together(c);
    command.channel = c->number;
    if (method) {
        struct method *copy = arena_alloc(&c->peer->together.arena, sizeof *copy);

        *copy = *method;
        command.method = copy;
    }
    added = batch_add(&c->peer->together);
    *added = command;
    if (alone)
        together_end(c);
}

void send_method(struct client *c, const struct method *method)
{
    send(c, (struct command){.kind = COMMAND_METHOD}, method);
}

static struct bytes encode_properties(struct buffer *raw, const struct post *p)
{
    struct properties properties = {0};

    if (p->raw.data)
        return p->raw;
    if (p->persistent) {
        properties.flags |= PROPERTY_DELIVERY_MODE;
        properties.delivery_mode = DELIVERY_MODE_PERSISTENT;
    }
    if (p->has_priority || p->priority) {
        properties.flags |= PROPERTY_PRIORITY;
        properties.priority = p->priority;
    }
    if (p->headers.data) {
        properties.flags |= PROPERTY_HEADERS;
        properties.headers = p->headers;
    }
    if (p->expiration) {
        properties.flags |= PROPERTY_EXPIRATION;
        properties.expiration = B(p->expiration);
    }
    if (p->reply_to) {
        properties.flags |= PROPERTY_REPLY_TO;
        properties.reply_to = B(p->reply_to);
    }
    if (p->user_id) {
        properties.flags |= PROPERTY_USER_ID;
        properties.user_id = B(p->user_id);
    }
    if (p->correlation_id) {
        properties.flags |= PROPERTY_CORRELATION_ID;
        properties.correlation_id = B(p->correlation_id);
    }
    properties_encode(raw, &properties);
    return buffer_bytes(raw);
}

void post(struct client *c, struct post p)
{
    struct buffer raw = {0};
    struct bytes body = p.body ? B(p.body) : (struct bytes){NULL, 0};
    struct message *message =
        message_new(B(p.exchange ? p.exchange : ""), B(p.key ? p.key : ""), (struct bytes){NULL, 0},
                    encode_properties(&raw, &p), p.body_size ? p.body_size : body.size);

    if (p.body_size)
        memset(message->body, 'x', p.body_size);
    else
        put_bytes(message->body, body);
    message_scan_properties(message);
    buffer_free(&raw);
    send(c, (struct command){.kind = COMMAND_PUBLISH_BEGUN}, NULL);
    send(c,
         (struct command){.kind = COMMAND_PUBLISH,
                          .flags = (uint8_t)((p.flags & MANDATORY ? COMMAND_MANDATORY : 0) |
                                             (p.flags & IMMEDIATE ? COMMAND_IMMEDIATE : 0)),
                          .message = message},
         NULL);
}

void publish(struct client *c, const char *queue, const char *body)
{
    POST(c, .key = queue, .body = body);
}

void publish_persistent(struct client *c, const char *queue, const char *body)
{
    POST(c, .key = queue, .body = body, .persistent = true);
}

void settle_tag(struct client *c, uint64_t tag, unsigned flags)
{
    send(c, (struct command){.kind = COMMAND_SETTLE, .flags = (uint8_t)flags, .delivery_tag = tag}, NULL);
}

void ack(struct client *c, uint64_t tag)
{
    settle_tag(c, tag, COMMAND_ACK);
}

void ack_up_to(struct client *c, uint64_t tag)
{
    settle_tag(c, tag, COMMAND_ACK | COMMAND_MULTIPLE);
}

static unsigned settle_flags(unsigned flags)
{
    return (flags & MULTIPLE ? COMMAND_MULTIPLE : 0U) | (flags & REQUEUE ? COMMAND_REQUEUE : 0U);
}

void nack(struct client *c, uint64_t tag, unsigned flags)
{
    settle_tag(c, tag, COMMAND_NACK | settle_flags(flags));
}

void reject(struct client *c, uint64_t tag, unsigned flags)
{
    settle_tag(c, tag, COMMAND_REJECT | settle_flags(flags));
}

void send_declare(struct client *c, const char *queue, unsigned flags, struct arguments arguments)
{
    SEND(c, .id = METHOD_QUEUE_DECLARE,
         .queue_declare = {.queue = B(queue),
                           .arguments = arguments.table,
                           .passive = flags & PASSIVE,
                           .durable = flags & DURABLE,
                           .exclusive = flags & EXCLUSIVE,
                           .auto_delete = flags & AUTO_DELETE,
                           .nowait = flags & NOWAIT});
}

void send_declare_exchange(struct client *c, const char *exchange, const char *type, unsigned flags,
                           struct arguments arguments)
{
    SEND(c, .id = METHOD_EXCHANGE_DECLARE,
         .exchange_declare = {.exchange = B(exchange),
                              .type = B(type),
                              .arguments = arguments.table,
                              .passive = flags & PASSIVE,
                              .durable = flags & DURABLE,
                              .auto_delete = flags & AUTO_DELETE,
                              .internal = flags & INTERNAL,
                              .nowait = flags & NOWAIT});
}

void send_bind(struct client *c, const char *queue, const char *exchange, const char *key,
               struct arguments arguments)
{
    SEND(
        c, .id = METHOD_QUEUE_BIND,
        .queue_bind = {
            .queue = B(queue), .exchange = B(exchange), .routing_key = B(key), .arguments = arguments.table});
}

void send_unbind(struct client *c, const char *queue, const char *exchange, const char *key)
{
    SEND(c, .id = METHOD_QUEUE_UNBIND,
         .queue_unbind = {.queue = B(queue), .exchange = B(exchange), .routing_key = B(key)});
}

void send_consume(struct client *c, const char *queue, const char *tag, unsigned flags,
                  struct arguments arguments)
{
    SEND(c, .id = METHOD_BASIC_CONSUME,
         .basic_consume = {.queue = B(queue),
                           .consumer_tag = B(tag),
                           .arguments = arguments.table,
                           .no_ack = flags & NO_ACK,
                           .exclusive = flags & EXCLUSIVE,
                           .nowait = flags & NOWAIT});
}

void send_get(struct client *c, const char *queue, unsigned flags)
{
    SEND(c, .id = METHOD_BASIC_GET, .basic_get = {.queue = B(queue), .no_ack = flags & NO_ACK});
}

void send_delete(struct client *c, const char *queue, unsigned flags)
{
    SEND(c, .id = METHOD_QUEUE_DELETE,
         .queue_delete = {.queue = B(queue), .if_unused = flags & IF_UNUSED, .if_empty = flags & IF_EMPTY});
}

void send_purge(struct client *c, const char *queue)
{
    SEND(c, .id = METHOD_QUEUE_PURGE, .queue_purge = {.queue = B(queue)});
}

void send_qos(struct client *c, uint16_t count, bool global)
{
    SEND(c, .id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_count = count, .global = global});
}
