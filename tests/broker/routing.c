/* SPDX-License-Identifier: Apache-2.0 */
/* routing.h: the core's own functions for binding and routing, with a vhost around them. */
#include "routing.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/exchange.h"
#include "broker/queue.h"
#include "broker/route.h"
#include "broker/vhost_fields.h"
#include "coney/journal.h"
#include "coney/xalloc.h"

#define EXCHANGE "x"

static void random_octets(void *context, void *out, size_t size)
{
    uint64_t *state = context;
    uint8_t *octets = out;

    for (size_t i = 0; i < size; i++) {
        *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
        octets[i] = (uint8_t)(*state >> 56);
    }
}

static void no_output(void *context, struct outbox_chunk *chunks)
{
    (void)context;
    (void)chunks;
    cr_assert_fail("nobody is connected");
}

struct routing *routing_try_new(const char *type, struct arguments arguments, struct reply_error *error)
{
    static uint64_t random_state;
    const struct vhost_settings settings = {.message_size_max = 1 << 20, .default_queue_type = QUEUE_CLASSIC};
    const struct vhost_ops ops = {.output = no_output, .random = random_octets, .context = &random_state};
    struct routing *r = xcalloc(1, sizeof *r);

    random_state = 1;
    r->vhost = vhost_new(BYTES_LITERAL("/"), &settings, &ops, journal_memory_new());
    if (!vhost_declare_exchange(r->vhost,
                                &(struct exchange_spec){.name = BYTES_LITERAL(EXCHANGE),
                                                        .type = bytes_from_string(type),
                                                        .arguments = arguments.table},
                                error)) {
        routing_free(r);
        return NULL;
    }
    r->exchange = exchange_find(r->vhost, BYTES_LITERAL(EXCHANGE));
    return r;
}

struct routing *routing_new(const char *type, struct arguments arguments)
{
    struct reply_error error = {0};
    struct routing *r = routing_try_new(type, arguments, &error);

    cr_assert(r, "%s", error.text);
    return r;
}

void routing_free(struct routing *r)
{
    vhost_free(r->vhost);
    free(r);
}

bool try_bind_queue(struct routing *r, const char *queue, const char *key, struct arguments arguments)
{
    struct queue_spec spec = {.name = bytes_from_string(queue)};

    cr_assert(vhost_declare_queue(r->vhost, &spec, &r->error), "%s", r->error.text);
    return vhost_bind(r->vhost,
                      &(struct binding_spec){.source = BYTES_LITERAL(EXCHANGE),
                                             .destination = spec.name,
                                             .routing_key = bytes_from_string(key),
                                             .arguments = arguments.table},
                      &r->error);
}

void bind_queue(struct routing *r, const char *queue, const char *key, struct arguments arguments)
{
    cr_assert(try_bind_queue(r, queue, key, arguments), "%s", r->error.text);
}

void unbind_queue(struct routing *r, const char *queue, const char *key, struct arguments arguments)
{
    struct binding_key what = {.source = r->exchange,
                               .to_queue = queue_find(r->vhost, bytes_from_string(queue)),
                               .routing_key = bytes_from_string(key),
                               .arguments = arguments.table};
    struct binding *binding = binding_find(r->vhost, &what);

    cr_assert(binding, "%s is not bound with %s", queue, key);
    binding_remove(binding);
}

static int order_names(const void *left, const void *right)
{
    const struct queue *a = *(struct queue *const *)left, *b = *(struct queue *const *)right;

    return bytes_compare(a->name, b->name);
}

static const char *route(struct routing *r, const struct bytes *keys, unsigned count,
                         const struct properties *properties)
{
    struct buffer encoded = {0};
    struct message *message;
    struct route route;
    size_t at = 0;

    properties_encode(&encoded, properties);
    message = message_new(BYTES_LITERAL(EXCHANGE), keys[0], (struct bytes){0}, buffer_bytes(&encoded), 0);
    message_scan_properties(message);
    route_message(&route, r->vhost, r->exchange, message, keys, count);
    if (route.queue_count > 1)
        qsort(r->vhost->routed, route.queue_count, sizeof(struct queue *), order_names);
    r->found[0] = '\0';
    for (size_t i = 0; i < route.queue_count && at < sizeof r->found; i++)
        at += (size_t)snprintf(r->found + at, sizeof r->found - at, "%s%.*s", i ? " " : "",
                               BYTES_ARG(r->vhost->routed[i]->name));
    message_free(message);
    buffer_free(&encoded);
    return r->found;
}

const char *publish_keys(struct routing *r, const struct bytes *keys, unsigned count)
{
    return route(r, keys, count, &(struct properties){0});
}

const char *publish(struct routing *r, const char *key)
{
    return publish_properties(r, key, &(struct properties){0});
}

const char *publish_headers(struct routing *r, struct arguments headers)
{
    return publish_properties(r, "",
                              &(struct properties){.flags = PROPERTY_HEADERS, .headers = headers.table});
}

const char *publish_properties(struct routing *r, const char *key, const struct properties *properties)
{
    struct bytes bytes = bytes_from_string(key);

    return route(r, &bytes, 1, properties);
}
