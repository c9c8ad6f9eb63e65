/* SPDX-License-Identifier: Apache-2.0 */
/*
 * end.h. What has to be done before messages can flow:
 *
 *     the destination: open a channel; look whether the queue is there, make it if it is not; confirm.select
 *     the source: the same; or, of an exchange, make a queue of its own and bind it; qos
 *
 * Whether a queue is there is asked for on a channel apart, which the answer no closes.
 */
#include "end.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "coney/amqp_uri.h"
#include "coney/log.h"
#include "forward.h"
#include "shovel.h"

#define HEARTBEAT_S 10
#define MESSAGE_MAX (UINT64_C(512) << 20) /* the largest that RabbitMQ can be configured to take */

static bool is_source(const struct shovel_end *end)
{
    return end == &end->shovel->source;
}

static const char *name_of(const struct shovel_end *end)
{
    return is_source(end) ? "source" : "destination";
}

/* Nothing has ended it meanwhile. */
static bool is_wanted(const struct shovel_end *end)
{
    return end->shovel->state == SHOVEL_CONNECTING;
}

static void fail_call(struct shovel_end *end, const char *what, const struct client_reply *reply)
{
    if (client_is_open(end->client)) /* otherwise its end is told of next */
        shovel_fail(end->shovel, "the %s refuses %s: %s", name_of(end), what, reply->end->text);
}

/* Tell whether WHAT was granted, and the next step is to come. */
static bool goes_on(struct shovel_end *end, const char *what, const struct client_reply *reply)
{
    if (!reply->method)
        fail_call(end, what, reply);
    return reply->method && is_wanted(end);
}

static void get_ready(struct shovel_end *end)
{
    end->is_ready = true;
    shovel_end_ready(end->shovel);
}

/* ---- the last steps, and the ones before ---- */

static void on_selected(void *context, const struct client_reply *reply)
{
    struct shovel_end *end = context;

    if (goes_on(end, is_source(end) ? "basic.qos" : "confirm.select", reply))
        get_ready(end);
}

static void go_on_declared(struct shovel_end *end)
{
    const struct plan *plan = end->shovel->plan;
    struct method qos = {.id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_count = plan->prefetch}};
    struct method select = {.id = METHOD_CONFIRM_SELECT};

    if (is_source(end) && plan->ack_mode != ACK_NONE)
        client_call(end->channel, &qos, on_selected, end);
    else if (!is_source(end) && plan->ack_mode == ACK_ON_CONFIRM)
        client_call(end->channel, &select, on_selected, end);
    else
        get_ready(end);
}

static void on_bound(void *context, const struct client_reply *reply)
{
    struct shovel_end *end = context;

    if (goes_on(end, "a binding to its exchange", reply))
        go_on_declared(end);
}

static void bind_own_queue(struct shovel_end *end)
{
    struct method bind = {.id = METHOD_QUEUE_BIND,
                          .queue_bind = {.exchange = bytes_from_string(end->plan->exchange),
                                         .routing_key = bytes_from_string(end->plan->key)}};

    client_call(end->channel, &bind, on_bound, end);
}

static void on_own_queue(void *context, const struct client_reply *reply)
{
    struct shovel_end *end = context;

    if (goes_on(end, "a queue", reply))
        bind_own_queue(end);
}

/* A queue that is the shovel's own, and goes with it. */
static void make_own_queue(struct shovel_end *end)
{
    struct method declare = {.id = METHOD_QUEUE_DECLARE, .queue_declare = {.exclusive = true}};

    client_call(end->channel, &declare, on_own_queue, end);
}

/* ---- the queue that the plan names ---- */

static const struct client_channel_events silent = {0};

static void declare(struct shovel_end *end, bool passive, client_reply_fn *reply)
{
    struct client_channel *channel = client_channel_open(end->client, &silent, end);
    struct method method = {.id = METHOD_QUEUE_DECLARE,
                            .queue_declare = {.queue = bytes_from_string(end->plan->queue),
                                              .passive = passive,
                                              .durable = !passive}};

    if (!passive)
        method.queue_declare.arguments = end->plan->args;
    end->probe = channel;
    if (channel)
        client_call(channel, &method, reply, end);
    else
        shovel_fail(end->shovel, "the %s does not allow another channel", name_of(end));
}

static void on_declared(void *context, const struct client_reply *reply)
{
    struct shovel_end *end = context;

    if (!goes_on(end, "the queue", reply))
        return;
    end->messages = reply->method->queue_declare_ok.message_count;
    client_channel_close(end->probe);
    go_on_declared(end);
}

static void on_looked(void *context, const struct client_reply *reply)
{
    struct shovel_end *end = context;

    if (!reply->method && is_wanted(end) && client_is_open(end->client) && reply->end->kind == CLIENT_PEER &&
        reply->end->code == 404 && !end->plan->is_predeclared)
        declare(end, false, on_declared);
    else
        on_declared(context, reply);
}

/* ---- the client ---- */

static void on_opened(void *context, struct client *client)
{
    struct shovel_end *end = context;

    end->channel =
        client_channel_open(client, is_source(end) ? &forward_source_events : &forward_dest_events, end);
    if (!end->channel)
        shovel_fail(end->shovel, "the %s does not allow a channel", name_of(end));
    else if (end->plan->queue)
        declare(end, true, on_looked);
    else if (is_source(end))
        make_own_queue(end);
    else
        go_on_declared(end);
}

static void forget_client(struct shovel_end *end)
{
    client_free(end->client);
    end->client = NULL;
    end->channel = NULL;
    end->is_ready = false;
}

/* Nothing came of the URI in use, because of WHY: turn to the next. False when this try has had all. */
static bool turn_to_next(struct shovel_end *end, const char *why)
{
    char text[SHOVEL_TEXT_SIZE];

    end->uri = (end->uri + 1) % end->plan->uri_count;
    if (end->uris_left == 0)
        return false;
    log_warning("shovel '%s': %s: %s; trying its next URI", end->shovel->name, name_of(end),
                log_escape(bytes_from_string(why), text, sizeof text));
    return true;
}

static void on_closed(void *context, struct client *client, const struct client_end *why)
{
    struct shovel_end *end = context;

    (void)client;
    if (end->channel)
        end->uris_left = 0; /* it had answered: this try is over */
    forget_client(end);
    if (end->shovel->state == SHOVEL_CLOSING)
        shovel_end_gone(end->shovel);
    else if (turn_to_next(end, why->text))
        end_open(end);
    else
        shovel_fail(end->shovel, "%s: %s", name_of(end), why->text);
}

static void on_blocked(void *context, struct client *client, bool is_blocked, struct bytes reason)
{
    struct shovel_end *end = context;

    (void)client;
    (void)reason;
    if (!is_source(end))
        forward_hold(end->shovel, HOLD_BLOCKED, is_blocked);
}

static void on_drained(void *context, struct client *client)
{
    struct shovel_end *end = context;

    (void)client;
    if (!is_source(end))
        forward_hold(end->shovel, HOLD_OUTPUT, false);
}

static const struct client_events events = {on_opened, on_closed, on_blocked, on_drained};

/* False with WHY when it cannot even begin. */
static bool open_client(struct shovel_end *end, const struct amqp_uri *uri, struct ssl_ctx_st *tls, char *why)
{
    struct shovels *shovels = end->shovel->owner;
    char name[SHOVEL_TEXT_SIZE];
    struct client_target target = {.message_max = MESSAGE_MAX, .dns = shovels->dns, .tls = tls};

    snprintf(name, sizeof name, "Shovel %s", end->shovel->name);
    amqp_uri_target(uri, HEARTBEAT_S, &target);
    target.connection_name = name;
    if (!uri->host &&
        (!shovels->ops.reach_self || !shovels->ops.reach_self(shovels->ops.context, uri->user, &target))) {
        snprintf(why, AMQP_URI_WHY_SIZE, "this node cannot be reached from within: %s",
                 shovels->ops.reach_self ? strerror(errno) : "not supported");
        return false;
    }
    end->client = client_open(shovels->base, &target, &events, end);
    return true;
}

static bool open_uri(struct shovel_end *end, const char *text, char *why)
{
    struct ssl_ctx_st *tls = NULL;
    struct amqp_uri uri;
    bool good;
    char *shown;

    if (!amqp_uri_parse(&uri, text, "/", why)) /* the plan was checked: this cannot be */
        return false;
    shown = amqp_uri_hide(text);
    shovels_report_uri(end->shovel, is_source(end), shown);
    free(shown);
    if (uri.is_tls && uri.host)
        tls = amqp_uri_tls(&uri, why);
    good = (tls || !uri.is_tls || !uri.host) && open_client(end, &uri, tls, why);
    SSL_CTX_free(tls);
    amqp_uri_free(&uri);
    return good;
}

void end_open(struct shovel_end *end)
{
    char why[AMQP_URI_WHY_SIZE];

    if (end->uris_left == 0)
        end->uris_left = end->plan->uri_count;
    do {
        end->uris_left--;
        if (open_uri(end, end->plan->uris[end->uri], why))
            return;
    } while (turn_to_next(end, why));
    shovel_fail(end->shovel, "%s: %s", name_of(end), why);
}

void end_close(struct shovel_end *end)
{
    if (!end->client)
        return;
    if (client_is_open(end->client))
        client_close(end->client);
    else
        forget_client(end);
}

void end_drop(struct shovel_end *end)
{
    forget_client(end);
}
