/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/coney/tail (doc/API.md): what goes through an exchange or a queue, as JSON lines, until the client
 * closes. It is a queue of the asker's own at the vhost's firehose, which tells while somebody listens; what
 * comes faster than it is read is dropped there, the oldest first.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin_fields.h"
#include "admin/amqp.h"
#include "admin/json.h"
#include "admin/router.h"
#include "coney/buffer.h"
#include "coney/events.h"
#include "coney/table.h"
#include "coney/visit.h"

#define TAILS_MAX    2 /* each keeps a worker */
#define QUEUE_MAX    10000
#define PAUSE_NS     100000000
#define PULSE_PAUSES 50 /* an empty line now and then finds out that the client has gone */

struct tail {
    struct request *request;
    struct bytes vhost, key;
    struct amqp *amqp;
    bool got;
};

/* A message of the firehose: its headers say what it was. */
static void take(void *context, const struct client_reply *reply)
{
    struct tail *tail = context;
    json_t *properties, *headers, *line;

    if (!reply->method || reply->method->id != METHOD_BASIC_GET_OK)
        return;
    tail->got = true;
    properties = json_properties(reply->content->properties);
    headers = json_object_get(properties, "headers");
    line = json_copy(headers);
    if (!line)
        line = json_object();
    json_object_set_new(line, "routing_key", json_text(reply->method->basic_get_ok.routing_key));
    json_object_set_new(line, "payload_bytes", json_integer((json_int_t)reply->content->body.size));
    json_object_set_new(line, "payload", json_text(reply->content->body));
    json_write(tail->request->out, line);
    evbuffer_add(tail->request->out, "\n", 1);
    json_decref(line);
    json_decref(properties);
}

static bool make_queue(struct tail *tail)
{
    struct buffer arguments = {0};
    struct table_builder builder = table_builder_init(&arguments);
    struct method declare = {.id = METHOD_QUEUE_DECLARE}, bind = {.id = METHOD_QUEUE_BIND};
    bool done;

    table_put_int(&builder, "x-max-length", QUEUE_MAX);
    declare.queue_declare.exclusive = true;
    declare.queue_declare.arguments = buffer_bytes(&arguments);
    bind.queue_bind.exchange = BYTES_LITERAL(TRACE_EXCHANGE);
    bind.queue_bind.routing_key = tail->key;
    done = amqp_call(tail->amqp, &declare, NULL, NULL) && amqp_call(tail->amqp, &bind, NULL, NULL);
    buffer_free(&arguments);
    return done;
}

/* The queue is the one declared last, so that it need not be named. */
static void follow(struct tail *tail)
{
    struct method get = {.id = METHOD_BASIC_GET, .basic_get = {.no_ack = true}};
    unsigned pauses = 0;

    reply_begin(tail->request, 200, "application/x-ndjson");
    while (reply_part(tail->request)) {
        tail->got = false;
        if (!amqp_call(tail->amqp, &get, take, tail))
            break;
        if (tail->got)
            continue;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        if (++pauses % PULSE_PAUSES == 0)
            evbuffer_add(tail->request->out, "\n", 1);
    }
}

static void begin_tracing(struct vhost *vhost, void *argument)
{
    vhost_trace_a_while(vhost, *(const bool *)argument);
}

static void run(struct tail *tail)
{
    bool on = true, off = false;

    tail->amqp = amqp_open(tail->request, tail->vhost);
    if (!tail->amqp)
        return;
    if (!make_queue(tail)) {
        amqp_reply_failure(tail->amqp, AMQP_PLAIN);
    } else if (visit_vhost(tail->request->server, tail->vhost, begin_tracing, &on) == VISIT_DONE) {
        follow(tail);
        visit_vhost(tail->request->server, tail->vhost, begin_tracing, &off);
    } else {
        reply_stopping(tail->request);
    }
    amqp_free(tail->amqp);
}

static void tail(struct request *request)
{
    const char *vhost = request_query(request, "vhost"), *exchange = request_query(request, "exchange");
    const char *queue = request_query(request, "queue");
    struct tail tail = {.request = request, .vhost = bytes_from_string(vhost ? vhost : "/")};
    char key[300];

    if (!exchange == !queue) {
        reply_bad_request(request, "one of exchange and queue should be given");
        return;
    }
    snprintf(key, sizeof key, "%s.%s", exchange ? "publish" : "deliver", exchange ? exchange : queue);
    tail.key = bytes_from_string(key);
    if (tail.key.size > SHORTSTR_MAX) {
        reply_bad_request(request, "that name is too long");
        return;
    }
    if (atomic_fetch_add(&request->admin->tails, 1) < TAILS_MAX)
        run(&tail);
    else
        reply_error(request, 503, "service_unavailable", "%d clients do that already", TAILS_MAX);
    atomic_fetch_sub(&request->admin->tails, 1);
}

const struct route routes_tail[] = {
    {"coney/tail", {[VERB_GET] = {tail, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
