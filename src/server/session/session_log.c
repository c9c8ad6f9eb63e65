/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says of a session: that it has come, why channels and connections were closed, and how it
 * went. All that the peer has chosen is escaped. Of the node's own connections nothing is said.
 */
#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
#include <stdio.h>

#include "coney/log.h"
#include "server/event_mail.h"
#include "server/server.h"
#include "session.h"

#define WHO_SIZE (PEER_TEXT_SIZE + 2 * 200)

/* "127.0.0.1:50123 (vhost: '/', user: 'guest')" */
static const char *who(const struct session *session, char out[WHO_SIZE])
{
    char peer[PEER_TEXT_SIZE], vhost[160], user[160];

    snprintf(out, WHO_SIZE, "%s (vhost: '%s', user: '%s')", peer_text(&session->peer, peer),
             log_escape(vhost_name(session->runner->vhost), vhost, sizeof vhost),
             log_escape(session->user, user, sizeof user));
    return out;
}

static void tell(const struct session *session, const char *key)
{
    char text[PEER_TEXT_SIZE];
    struct bytes peer = bytes_from_string(peer_text(&session->peer, text));
    struct bytes vhost = vhost_name(session->runner->vhost);

    events_tell(session->server, key, "peer", &peer, "vhost", &vhost, "user", &session->user, EVENTS_END);
}

void session_log_granted(const struct session *session)
{
    char peer[PEER_TEXT_SIZE], vhost[160], user[160];

    if (session->is_internal)
        return;
    log_info("connection %s: user '%s' authenticated and granted access to vhost '%s'",
             peer_text(&session->peer, peer), log_escape(session->user, user, sizeof user),
             log_escape(vhost_name(session->runner->vhost), vhost, sizeof vhost));
    tell(session, "connection.created");
}

void session_log_gone(const struct session *session)
{
    bool is_ours = session->stream.is_ours;
    const char *why = session->stream.why;
    char name[WHO_SIZE];

    if (is_ours)
        log_error("closing connection %s: TLS failed: %s", peer_text(&session->peer, name), why);
    if (session->state < SESSION_RUNNING || !session->is_attached || session->is_internal)
        return;
    tell(session, "connection.closed");
    if (is_ours)
        return;
    if (session->state == SESSION_RUNNING && why)
        log_warning("closing connection %s: TLS failed: %s", who(session, name), why);
    else if (session->state == SESSION_RUNNING && !session->is_deaf)
        log_warning("closing connection %s: client unexpectedly closed TCP connection", who(session, name));
    else
        log_info("closing connection %s", who(session, name));
}

void session_log_close(const struct session *session, uint16_t channel, struct bytes payload)
{
    struct method method;
    char name[WHO_SIZE], text[REPLY_TEXT_SIZE * 4];

    if (session->is_internal || method_decode(&method, payload) != METHOD_OK)
        return;
    if (method.id == METHOD_CHANNEL_CLOSE)
        log_of(LOG_CATEGORY_CHANNEL, LOG_LEVEL_ERROR, "channel error on connection %s, channel %u: %u %s",
               who(session, name), channel, method.channel_close.reply_code,
               log_escape(method.channel_close.reply_text, text, sizeof text));
    else if (method.id == METHOD_CONNECTION_CLOSE &&
             method.connection_close.reply_code == REPLY_CONNECTION_FORCED)
        log_warning("connection %s is closed: %u %s", who(session, name), method.connection_close.reply_code,
                    log_escape(method.connection_close.reply_text, text, sizeof text));
    else if (method.id == METHOD_CONNECTION_CLOSE)
        log_of(LOG_CATEGORY_CHANNEL, LOG_LEVEL_ERROR, "error on connection %s: %u %s", who(session, name),
               method.connection_close.reply_code,
               log_escape(method.connection_close.reply_text, text, sizeof text));
}
