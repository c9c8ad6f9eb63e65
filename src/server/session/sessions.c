/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coney/sessions.h.
 *
 * A connection's owner may be looked at inside its vhost, though it lives on another thread: it is not freed
 * before the vhost has said that the connection is no more, and what session_name_of() reads was written
 * before the vhost heard of it.
 */
#include "sessions.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/vhost.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "server/loop.h"
#include "server/runner.h"
#include "server/server.h"
#include "server/tls/tls_describe.h"
#include "session.h"

/* ---- places ---- */

void sessions_take_place(struct session *session)
{
    struct loop *loop = session->loop;

    if (!loop->place_free) {
        uint32_t count = loop->place_count * 2 + 8;

        loop->places = xrealloc(loop->places, count * sizeof *loop->places);
        for (; loop->place_count < count; loop->place_count++) {
            loop->places[loop->place_count] = (struct session_place){.next_free = loop->place_free};
            loop->place_free = loop->place_count + 1;
        }
    }
    session->place = loop->place_free - 1;
    loop->place_free = loop->places[session->place].next_free;
    loop->places[session->place].session = session;
}

void sessions_leave_place(struct session *session)
{
    struct session_place *place = &session->loop->places[session->place];

    place->session = NULL;
    place->next_free = session->loop->place_free;
    session->loop->place_free = session->place + 1;
}

/* ---- names ---- */

static void print_address(const struct peer *address, char out[SESSION_HOST_SIZE])
{
    switch (address->family) {
    case PEER_IPV4:
        inet_ntop(AF_INET, address->address, out, SESSION_HOST_SIZE);
        break;
    case PEER_IPV6:
        inet_ntop(AF_INET6, address->address, out, SESSION_HOST_SIZE);
        break;
    default:
        snprintf(out, SESSION_HOST_SIZE, address->family == PEER_UNIX ? "unix" : "unknown");
    }
}

void session_name_of(const void *owner, struct session_name *out)
{
    const struct session *session = owner;

    *out = (struct session_name){
        .serial = session->serial, .peer_port = session->peer.port, .port = session->local.port};
    print_address(&session->peer, out->peer_host);
    print_address(&session->local, out->host);
}

/* An address of IPv6 in brackets. What has no port is told apart by the serial. */
static int print_end(char *out, size_t size, const char *host, uint64_t port)
{
    bool is_v6 = strchr(host, ':') != NULL;

    return snprintf(out, size, "%s%s%s:%llu", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
                    (unsigned long long)port);
}

const char *session_name_text(const struct session_name *name, char out[SESSION_NAME_SIZE])
{
    int at =
        print_end(out, SESSION_NAME_SIZE, name->peer_host, name->peer_port ? name->peer_port : name->serial);

    at += snprintf(out + at, SESSION_NAME_SIZE - (size_t)at, " -> ");
    print_end(out + at, SESSION_NAME_SIZE - (size_t)at, name->host, name->port);
    return out;
}

/* ---- looking ---- */

static bool is_shown(const struct session *session)
{
    if (session->is_internal)
        return false;
    switch ((enum session_state)session->state) {
    case SESSION_DROPPED:
    case SESSION_ENDING:
    case SESSION_GONE:
        return false;
    default:
        return true;
    }
}

static enum session_stage stage_of(const struct session *session)
{
    switch ((enum session_state)session->state) {
    case SESSION_HEADER:
    case SESSION_STARTED:
    case SESSION_SECURED:
    case SESSION_CHECKING:
        return SESSION_IS_STARTING;
    case SESSION_TUNED:
        return SESSION_IS_TUNING;
    case SESSION_TUNED_OK:
    case SESSION_OPENING:
        return SESSION_IS_OPENING;
    case SESSION_RUNNING:
        return SESSION_IS_IN;
    default:
        return SESSION_IS_CLOSING;
    }
}

static void view(const struct session *session, struct session_view *out)
{
    *out = (struct session_view){
        .place = session->place,
        .stage = stage_of(session),
        .is_slowed = session->holds & (SESSION_HOLD_CREDIT | SESSION_HOLD_STORE),
        .is_blocked = session->holds & SESSION_HOLD_ALARM,
        .user = session->user,
        .connection = session->is_attached ? session->connection : 0,
        .client_properties = session->client_properties,
        .mechanism =
            session->has_mechanism ? sasl_mechanism_name((enum sasl_mechanism)session->mechanism) : NULL,
        .channel_max = session->channel_max,
        .heartbeat = session->heartbeat,
        .frame_max = session->frame_max == UINT32_MAX ? 0 : session->frame_max,
        .connected_at = session->connected_at,
        .recv_octets = session->received,
        .recv_count = session->reads,
        .send_octets = session->sent,
        .send_count = session->writes,
        .is_writing = session->is_writing};
    session_name_of(session, &out->name);
    if (session->runner)
        out->vhost = vhost_name(session->runner->vhost); /* never changes */
}

static void show_session(const struct session *session, session_show *show, void *context)
{
    struct session_view out;
    struct session_tls tls;

    view(session, &out);
    if (!session->stream.tls) {
        show(context, &out);
        return;
    }
    tls_describe(session->stream.tls, &tls);
    out.tls = &tls;
    show(context, &out);
    tls_description_clear(&tls);
}

unsigned sessions_loop_count(const struct server *server)
{
    return server->loop_count + 1; /* the door is the last: who is let in meanwhile is not found twice */
}

bool sessions_show(struct loop *loop, uint32_t *place, unsigned most, session_show *show, void *context)
{
    for (; *place < loop->place_count && most; ++*place, most--) {
        const struct session *session = loop->places[*place].session;

        if (session && is_shown(session))
            show_session(session, show, context);
    }
    return *place < loop->place_count;
}

static struct session *find(const struct loop *loop, uint32_t place, uint64_t serial)
{
    struct session *session = place < loop->place_count ? loop->places[place].session : NULL;

    return session && session->serial == serial ? session : NULL;
}

bool session_show_one(struct loop *loop, uint32_t place, uint64_t serial, session_show *show, void *context)
{
    const struct session *session = find(loop, place, serial);

    if (!session || !is_shown(session))
        return false;
    show_session(session, show, context);
    return true;
}

struct session_octets sessions_octets(struct server *server, struct bytes name)
{
    const struct runner *runner = server_find_vhost(server, name);
    struct session_octets octets = {0, 0};

    for (unsigned i = 0; runner && i < server->loop_count; i++) {
        octets.received += atomic_load_explicit(&runner->octets[i].received, memory_order_relaxed);
        octets.sent += atomic_load_explicit(&runner->octets[i].sent, memory_order_relaxed);
    }
    return octets;
}

/* ---- closing ---- */

struct closing {
    uint32_t place;
    uint64_t serial;
    const char *text;
    bool is_found;
    uint64_t connection; /* of the vhost, which then is to close it, */
    struct bytes vhost;  /* of that name, owned; data NULL: it was closed here */
};

/* One that its vhost does not know yet, or knows and has not said so, is closed here. */
static void close_on_loop(struct loop *loop, void *argument)
{
    struct closing *closing = argument;
    struct session *session = find(loop, closing->place, closing->serial);

    closing->is_found = session && is_shown(session);
    if (!closing->is_found)
        return;
    if (session->is_attached) {
        struct bytes name = vhost_name(session->runner->vhost);

        closing->vhost = (struct bytes){xmemdup(name.data, name.size), name.size};
        closing->connection = session->connection;
    } else if (session->state >= SESSION_STARTED && session->state <= SESSION_TUNED_OK &&
               session->state != SESSION_CHECKING) {
        handshake_refuse(session, (enum method_id)0, REPLY_CONNECTION_FORCED, "%s", closing->text);
    } else {
        session_gone(session);
    }
}

static void close_in_vhost(struct vhost *vhost, void *argument)
{
    const struct closing *closing = argument;

    vhost_close_connection(vhost, closing->connection, closing->text);
}

bool session_close(struct server *server, unsigned loop, uint32_t place, uint64_t serial, const char *text)
{
    struct closing closing = {.place = place, .serial = serial, .text = text};

    visit_loop(server, loop, close_on_loop, &closing);
    if (closing.vhost.data)
        visit_vhost(server, closing.vhost, close_in_vhost, &closing);
    free((void *)(uintptr_t)closing.vhost.data);
    return closing.is_found;
}
