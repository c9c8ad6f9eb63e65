/* SPDX-License-Identifier: Apache-2.0 */
/* topology.h: what is declared, many methods at a time. */
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/method.h"
#include "coney/xalloc.h"
#include "control.h"
#include "options.h"

#define NAME_SIZE 64
#define PIPELINED 500 /* methods under way at once */

static char *make_up(const char *what, uint32_t id)
{
    char *name = xmalloc(NAME_SIZE);

    snprintf(name, NAME_SIZE, "coneyperf-%08x-%s", id, what);
    return name;
}

/* Where every message goes to all queues: they are bound alike. */
static unsigned count_copies(const struct topology *topology)
{
    const struct options *options = topology->options;

    if (topology->exchange.size == 0 || topology->queue_count == 0)
        return 1;
    if (bytes_equal_string(topology->type, "fanout") || bytes_equal_string(topology->type, "headers"))
        return topology->queue_count;
    if (!bytes_equal_string(topology->type, "direct") && !bytes_equal_string(topology->type, "topic"))
        return 1; /* types that choose one of those bound */
    return options->routing_key ? topology->queue_count : 1;
}

void topology_plan(struct topology *topology, const struct options *options, uint32_t id)
{
    *topology = (struct topology){.options = options};
    if (options->queue_count == 0 && !options->is_predeclared) {
        topology->made_up_queue = make_up("queue", id);
        topology->queues = xmalloc(sizeof *topology->queues);
        topology->queues[topology->queue_count++] = bytes_from_string(topology->made_up_queue);
    }
    if (options->queue_count) {
        topology->queues = xcalloc(options->queue_count, sizeof *topology->queues);
        for (; topology->queue_count < options->queue_count; topology->queue_count++)
            topology->queues[topology->queue_count] =
                bytes_from_string(options->queues[topology->queue_count]);
    }
    topology->type = bytes_from_string(options->type ? options->type : "direct");
    if (options->exchange)
        topology->exchange = bytes_from_string(options->exchange);
    else if (options->type) {
        topology->made_up_exchange = make_up(options->type, id);
        topology->exchange = bytes_from_string(topology->made_up_exchange);
    }
    topology->copies = count_copies(topology);
}

void topology_free(struct topology *topology)
{
    free(topology->queues);
    free(topology->made_up_queue);
    free(topology->made_up_exchange);
    *topology = (struct topology){0};
}

struct share topology_share(unsigned queues, unsigned member, unsigned members)
{
    if (queues <= members)
        return (struct share){queues ? member % queues : 0, 1, queues ? 1 : 0};
    return (struct share){member, members, (queues - member + members - 1) / members};
}

static bool exists(struct control *control, struct bytes exchange)
{
    struct method method = {.id = METHOD_EXCHANGE_DECLARE};

    method.exchange_declare.exchange = exchange;
    method.exchange_declare.type = BYTES_LITERAL("direct");
    method.exchange_declare.passive = true;
    control_say(control, &method);
    return control_wait(control, 0);
}

static bool declare_exchange(const struct topology *topology, struct control *control)
{
    struct method method = {.id = METHOD_EXCHANGE_DECLARE};

    if (topology->exchange.size == 0 || (!topology->made_up_exchange && exists(control, topology->exchange)))
        return true;
    if (!control_reopen(control))
        return false;
    method.exchange_declare.exchange = topology->exchange;
    method.exchange_declare.type = topology->type;
    method.exchange_declare.durable = topology->options->is_persistent;
    control_say(control, &method);
    return control_wait(control, 0);
}

static bool needs_durable(const struct options *options)
{
    return options->is_persistent ||
           (options->queue_args && strstr(options->queue_args, "x-queue-type=quorum")) ||
           (options->queue_args && strstr(options->queue_args, "x-queue-type=stream"));
}

static void declare_queue(const struct topology *topology, struct control *control, struct bytes queue)
{
    struct method method = {.id = METHOD_QUEUE_DECLARE};

    method.queue_declare.queue = queue;
    method.queue_declare.durable = needs_durable(topology->options);
    method.queue_declare.auto_delete = topology->options->is_auto_delete;
    method.queue_declare.arguments = buffer_bytes(&topology->options->arguments);
    control_say(control, &method);
}

static void bind_queue(const struct topology *topology, struct control *control, struct bytes queue)
{
    struct method method = {.id = METHOD_QUEUE_BIND};
    const char *key = topology->options->routing_key;

    method.queue_bind.queue = queue;
    method.queue_bind.exchange = topology->exchange;
    method.queue_bind.routing_key = key ? bytes_from_string(key) : queue;
    /* Exchanges that hash want a weight for a key. */
    if (bytes_equal_string(topology->type, "x-consistent-hash") && !key)
        method.queue_bind.routing_key = BYTES_LITERAL("1");
    if (bytes_equal_string(topology->type, "headers"))
        method.queue_bind.arguments = buffer_bytes(&topology->options->headers);
    control_say(control, &method);
}

bool topology_declare(const struct topology *topology, struct control *control)
{
    const struct options *options = topology->options;

    if (options->is_predeclared)
        return true;
    if (!declare_exchange(topology, control))
        return false;
    for (unsigned i = 0; i < topology->queue_count; i++) {
        declare_queue(topology, control, topology->queues[i]);
        if (topology->exchange.size && !options->skips_binding)
            bind_queue(topology, control, topology->queues[i]);
        if (!control_wait(control, PIPELINED))
            return false;
    }
    return control_wait(control, 0);
}

void topology_delete(const struct topology *topology, struct control *control)
{
    struct method method = {.id = METHOD_QUEUE_DELETE};

    if (topology->made_up_queue) {
        method.queue_delete.queue = bytes_from_string(topology->made_up_queue);
        control_say(control, &method);
    }
    if (topology->made_up_exchange) {
        method = (struct method){.id = METHOD_EXCHANGE_DELETE};
        method.exchange_delete.exchange = bytes_from_string(topology->made_up_exchange);
        control_say(control, &method);
    }
    control_wait(control, 0);
}
