/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp.h: the client library on an event base of the request's own, run until what is waited for is there.
 *
 * The client, its channel and the base are used by the worker alone. Once has_failed is set the channel is
 * gone, and nothing is sent any more.
 */
#include "amqp.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coney/node_access.h"
#include "coney/reply.h"
#include "coney/xalloc.h"

#define PATIENCE_S 60 /* the node answers at once, unless its disk does not */

struct amqp {
    struct request *request;
    struct event_base *base;
    struct event *patience;
    struct client *client;
    struct client_channel *channel; /* NULL before it is open, and after it has ended */
    bool is_done;                   /* what is waited for has come */
    bool has_failed, has_ended;     /* the channel, the connection: */
    enum client_end_kind kind;
    uint16_t code;
    char text[512];
    client_reply_fn *take; /* of the call */
    void *context;
    bool confirms, was_returned, was_rejected;
};

/* ---- what comes ---- */

static void note_failure(struct amqp *amqp, const struct client_end *end)
{
    if (amqp->has_failed)
        return;
    amqp->has_failed = true;
    amqp->kind = end->kind;
    amqp->code = end->code;
    snprintf(amqp->text, sizeof amqp->text, "%s", end->text);
}

static void on_opened(void *context, struct client *client)
{
    struct amqp *amqp = context;

    (void)client;
    amqp->is_done = true;
}

static void on_closed(void *context, struct client *client, const struct client_end *end)
{
    struct amqp *amqp = context;

    (void)client;
    amqp->has_ended = true;
    amqp->channel = NULL;
    note_failure(amqp, end);
}

static void on_channel_closed(void *context, struct client_channel *channel, const struct client_end *end)
{
    struct amqp *amqp = context;

    (void)channel;
    amqp->channel = NULL;
    note_failure(amqp, end);
}

static void on_returned(void *context, struct client_channel *channel,
                        const struct method_basic_return *returned, const struct client_content *content)
{
    struct amqp *amqp = context;

    (void)channel;
    (void)returned;
    (void)content;
    amqp->was_returned = true;
}

static void on_confirmed(void *context, struct client_channel *channel, uint64_t sequence, bool multiple,
                         bool is_ack)
{
    struct amqp *amqp = context;

    (void)channel;
    (void)sequence;
    (void)multiple;
    amqp->was_rejected = !is_ack;
    amqp->is_done = true;
}

static void on_reply(void *context, const struct client_reply *reply)
{
    struct amqp *amqp = context;

    if (!reply->method) {
        note_failure(amqp, reply->end);
        return;
    }
    if (amqp->take)
        amqp->take(amqp->context, reply);
    amqp->is_done = true;
}

static const struct client_events client_events = {.opened = on_opened, .closed = on_closed};
static const struct client_channel_events channel_events = {
    .closed = on_channel_closed, .returned = on_returned, .confirmed = on_confirmed};

/* ---- waiting ---- */

static void on_patience_over(evutil_socket_t fd, short what, void *context)
{
    static const struct client_end end = {.kind = CLIENT_TIMEOUT, .text = "the node does not answer"};
    struct amqp *amqp = context;

    (void)fd;
    (void)what;
    note_failure(amqp, &end);
    amqp->has_ended = true;
}

/* Run until what is waited for is there; false: it has failed. */
static bool await(struct amqp *amqp)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_S};

    amqp->is_done = false;
    event_add(amqp->patience, &patience);
    while (!amqp->is_done && !amqp->has_failed)
        event_base_loop(amqp->base, EVLOOP_ONCE);
    event_del(amqp->patience);
    return amqp->is_done;
}

/* ---- opening and closing ---- */

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK); /* one thread's */
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* The client of FD, which is taken over; NULL when the system refuses. */
static struct amqp *new_amqp(struct request *request, struct bytes vhost, int fd)
{
    const struct client_target target = {
        .has_fd = true, .fd = fd, .vhost = vhost, .mechanism = "EXTERNAL", .connection_name = "HTTP API"};
    struct event_base *base = new_base();
    struct amqp *amqp;

    if (!base) {
        close(fd);
        return NULL;
    }
    amqp = xcalloc(1, sizeof *amqp);
    amqp->request = request;
    amqp->base = base;
    amqp->patience = evtimer_new(base, on_patience_over, amqp);
    amqp->client = client_open(base, &target, &client_events, amqp);
    return amqp;
}

struct amqp *amqp_open(struct request *request, struct bytes vhost)
{
    bool is_trusted = request->is_trusted && !request->authorization;
    int fd = vhost.size <= SHORTSTR_MAX ? node_connect(request->server, &request->user, is_trusted) : -1;
    struct amqp *amqp = fd >= 0 ? new_amqp(request, vhost, fd) : NULL;

    if (!amqp) {
        reply_stopping(request);
        return NULL;
    }
    if (!await(amqp)) {
        amqp_reply_failure(amqp, AMQP_PLAIN);
        amqp_free(amqp);
        return NULL;
    }
    amqp->channel = client_channel_open(amqp->client, &channel_events, amqp);
    return amqp;
}

void amqp_free(struct amqp *amqp)
{
    if (!amqp)
        return;
    client_free(amqp->client);
    event_free(amqp->patience);
    event_base_free(amqp->base);
    free(amqp);
}

/* close-ok comes when all before it is done. */
void amqp_close(struct amqp *amqp)
{
    if (!amqp->has_ended) {
        amqp->has_failed = false;
        client_close(amqp->client);
        await(amqp);
    }
    amqp_free(amqp);
}

/* ---- speaking ---- */

bool amqp_call(struct amqp *amqp, const struct method *method, client_reply_fn *take, void *context)
{
    if (!amqp->channel)
        return false;
    amqp->take = take;
    amqp->context = context;
    client_call(amqp->channel, method, on_reply, amqp);
    return await(amqp);
}

void amqp_send(struct amqp *amqp, const struct method *method)
{
    if (amqp->channel)
        client_send(amqp->channel, method);
}

enum amqp_fate amqp_publish(struct amqp *amqp, struct bytes exchange, struct bytes routing_key,
                            struct bytes properties, struct bytes body)
{
    const struct method select = {.id = METHOD_CONFIRM_SELECT};
    const struct method_basic_publish publish = {
        .exchange = exchange, .routing_key = routing_key, .mandatory = true};
    static const struct client_end too_large = {
        .kind = CLIENT_PEER, .code = REPLY_SYNTAX_ERROR, .text = "properties are too large for a frame"};

    if (!amqp->confirms && !amqp_call(amqp, &select, NULL, NULL))
        return AMQP_FAILED;
    amqp->confirms = true;
    amqp->was_returned = false;
    if (!amqp->channel || !client_publish(amqp->channel, &publish, properties, body, NULL)) {
        note_failure(amqp, &too_large);
        return AMQP_FAILED;
    }
    if (!await(amqp))
        return AMQP_FAILED;
    return amqp->was_rejected ? AMQP_REJECTED : amqp->was_returned ? AMQP_UNROUTED : AMQP_ROUTED;
}

/* ---- failures ---- */

bool amqp_has_failed(const struct amqp *amqp)
{
    return amqp->has_failed;
}

/* "NOT_FOUND - no queue 'q' in vhost '/'" without what comes before the dash. */
static const char *without_name(const char *text)
{
    const char *dash = strstr(text, " - ");

    return dash && dash == text + strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") ? dash + 3 : text;
}

void amqp_reply_failure(struct amqp *amqp, enum amqp_wording wording)
{
    struct request *request = amqp->request;

    if (amqp->kind == CLIENT_TIMEOUT) {
        reply_error(request, 503, "service_unavailable", "%s", amqp->text);
        return;
    }
    if (amqp->kind != CLIENT_PEER || amqp->code == REPLY_CONNECTION_FORCED) {
        reply_stopping(request);
        return;
    }
    if (wording == AMQP_PLAIN && (amqp->code == REPLY_ACCESS_REFUSED || amqp->code == REPLY_NOT_ALLOWED))
        reply_refused(request, "Access refused.");
    else if (wording == AMQP_PLAIN && amqp->code == REPLY_NOT_FOUND)
        reply_error(request, 404, "not_found", "%s", without_name(amqp->text));
    else if (wording == AMQP_PLAIN)
        reply_bad_request(request, "%s", without_name(amqp->text));
    else if (wording == AMQP_CHANNEL && amqp->code == REPLY_NOT_FOUND)
        reply_error(request, 404, "not_found", "%s", amqp->text);
    else if (wording == AMQP_CHANNEL && amqp->code == REPLY_ACCESS_REFUSED)
        reply_refused(request, "%s", amqp->text);
    else
        reply_bad_request(request, "%u %s", amqp->code, amqp->text);
}

bool amqp_do(struct request *request, struct bytes vhost, const struct method *method)
{
    struct amqp *amqp = amqp_open(request, vhost);
    bool done;

    if (!amqp)
        return false;
    done = amqp_call(amqp, method, NULL, NULL);
    if (!done)
        amqp_reply_failure(amqp, AMQP_PLAIN);
    amqp_free(amqp);
    return done;
}
