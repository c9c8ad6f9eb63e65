/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes before RUNNING: protocol header, login, tuning, and the vhost (connection-and-channel.md 2, 3).
 *
 * Most of what a client can do wrong here is answered by silence and a close after three seconds, as RabbitMQ
 * does; where the spec says FOLLOW, by a connection.close with a text that helps.
 */
#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/auth.h"
#include "coney/frame.h"
#include "coney/log.h"
#include "coney/table.h"
#include "coney/xalloc.h"
#include "login.h"
#include "server/loop.h"
#include "server/server.h"
#include "server/tls/tls_peer.h"
#include "session.h"

#define DROP_DELAY_MS 3000

void handshake_drop(struct session *session, const char *why)
{
    char user[64];

    log_info("closing connection before login is complete (user '%s'): %s",
             log_escape(session->user, user, sizeof user), why);
    session_set_state(session, SESSION_DROPPED);
    session_arm(session, DROP_DELAY_MS);
}

void handshake_refuse(struct session *session, enum method_id method, enum reply_code code,
                      const char *format, ...)
{
    char text[REPLY_TEXT_SIZE], shown[REPLY_TEXT_SIZE];
    struct method close = {.id = METHOD_CONNECTION_CLOSE};
    va_list arguments;

    va_start(arguments, format);
    reply_text_format(text, code, format, arguments);
    va_end(arguments);
    close.connection_close.reply_code = (uint16_t)code;
    close.connection_close.reply_text = bytes_from_string(text);
    close.connection_close.class_id = METHOD_CLASS(method);
    close.connection_close.method_id = METHOD_INDEX(method);
    log_info("refusing connection: %s", log_escape(bytes_from_string(text), shown, sizeof shown));
    session_set_state(session, SESSION_REFUSED);
    session_say(session, 0, &close);
    session_arm(session, session_close_wait_ms(session));
}

/* ---- protocol header ---- */

static void say_start(struct session *session)
{
    struct method start = {.id = METHOD_CONNECTION_START};

    start.connection_start.version_minor = 9;
    start.connection_start.server_properties = server_properties(session->server);
    start.connection_start.mechanisms = session->is_internal
                                            ? BYTES_LITERAL("EXTERNAL")
                                            : server_mechanisms(session->server, session->stream.tls != NULL);
    start.connection_start.locales = BYTES_LITERAL("en_US");
    session_set_state(session, SESSION_STARTED);
    session_say(session, 0, &start);
}

size_t handshake_protocol_header(struct session *session, const uint8_t *data, size_t size)
{
    static const uint8_t ours[] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
    static const uint8_t older[] = {'A', 'M', 'Q', 'P', 1, 1, 0, 9};

    if (size < sizeof ours)
        return 0;
    if (memcmp(data, ours, sizeof ours) == 0 || memcmp(data, older, sizeof older) == 0) {
        say_start(session);
        return sizeof ours;
    }
    log_info("closing connection: not an AMQP 0-9-1 protocol header%s", data[0] == 0x16 ? " (a TLS client?)"
                                                                        : memcmp(data, "GET ", 4) == 0
                                                                            ? " (an HTTP client?)"
                                                                            : "");
    buffer_append(&session->own, ours, sizeof ours);
    session_set_state(session, SESSION_ENDING);
    session_list_write(session);
    return size;
}

/* ---- login ---- */

#define PROPERTIES_KEPT_MAX 4096

/* The pairs of TABLE, in their order, that fit with those before them. */
static size_t pairs_that_fit(struct bytes table, uint8_t *out, size_t most)
{
    struct table_iterator iterator = table_begin(table);
    struct bytes name;
    struct field field;
    size_t used = 0;

    while (table_next(&iterator, &name, &field)) {
        if (used + 1 + name.size + field.raw.size > most)
            continue;
        put_bytes(put_shortstr(out + used, name), field.raw);
        used += 1 + name.size + field.raw.size;
    }
    return used;
}

static void keep_properties(struct session *session, struct bytes table)
{
    uint8_t kept[PROPERTIES_KEPT_MAX];

    if (table.size > sizeof kept)
        table = (struct bytes){kept, pairs_that_fit(table, kept, sizeof kept)};
    if (table.size && !session->client_properties.size)
        session->client_properties = (struct bytes){xmemdup(table.data, table.size), table.size};
}

static bool capability(struct bytes capabilities, const char *name)
{
    struct field field;

    return table_get(capabilities, name, &field) && field.type == FIELD_BOOL && field.b;
}

static void take_capabilities(struct session *session, struct bytes client_properties)
{
    struct field field;

    keep_properties(session, client_properties);
    if (!table_get(client_properties, "capabilities", &field) || field.type != FIELD_TABLE)
        return;
    session->wants_blocked = capability(field.bytes, "connection.blocked");
    session->wants_cancel = capability(field.bytes, "consumer_cancel_notify");
    session->wants_auth_close = capability(field.bytes, "authentication_failure_close");
}

static void login_failed(struct session *session, enum sasl_mechanism mechanism, struct bytes user,
                         enum login_result result)
{
    char shown[128];

    log_warning("login of user '%s' refused: %s", log_escape(user, shown, sizeof shown),
                login_result_text(result));
    if (session->wants_auth_close)
        handshake_refuse(session, (enum method_id)0, REPLY_ACCESS_REFUSED,
                         "Login was refused using authentication mechanism %s. For details see the broker "
                         "logfile.",
                         sasl_mechanism_name(mechanism));
    else
        handshake_drop(session, "login was refused");
}

static void say_tune(struct session *session)
{
    struct method tune = {.id = METHOD_CONNECTION_TUNE, .connection_tune = server_tune(session->server)};

    session_set_state(session, SESSION_TUNED);
    session_say(session, 0, &tune);
}

static void logged_in(struct session *session, struct user_info *user)
{
    session->user = (struct bytes){xmemdup(user->name.data, user->name.size), user->name.size};
    session->is_impersonator = user_info_has_tag(user, "impersonator");
    session->user_channel_max =
        user->max_channels < 0 || user->max_channels > UINT32_MAX ? UINT32_MAX : (uint32_t)user->max_channels;
    session->user_connections_max = user->max_connections;
    user_info_free(user);
    free(session->sasl);
    free(session->certificate_name);
    session->sasl = NULL;
    session->certificate_name = NULL;
    say_tune(session);
    session_hold(session, SESSION_HOLD_DOOR, true); /* until that is written: then it is let in */
}

void session_login_decided(struct session *session, struct bytes user, enum login_result result,
                           struct user_info *info)
{
    if (session->state == SESSION_GONE) {
        if (result == LOGIN_OK)
            user_info_free(info);
        session_maybe_free(session);
        return;
    }
    session_hold(session, SESSION_HOLD_LOGIN, false);
    if (result == LOGIN_OK)
        logged_in(session, info);
    else
        login_failed(session, session->sasl->mechanism, user, result);
}

void session_login_cancelled(struct session *session)
{
    if (session->state == SESSION_GONE)
        session_maybe_free(session);
    else
        session_gone(session);
}

static void check_login(struct session *session, const struct sasl_result *result)
{
    struct auth_request request = {.user = result->user,
                                   .password = result->password,
                                   .is_external = result->is_external,
                                   .is_loopback = peer_is_loopback(&session->peer)};
    struct user_info user;

    switch (login_begin(session, &request, &user)) {
    case LOGIN_BEGUN_KNOWN:
        logged_in(session, &user);
        break;
    case LOGIN_BEGUN_OUT:
        session_set_state(session, SESSION_CHECKING);
        session_hold(session, SESSION_HOLD_LOGIN, true);
        break;
    case LOGIN_BEGUN_TOO_MANY:
        handshake_refuse(session, (enum method_id)0, REPLY_CONNECTION_FORCED,
                         "too many logins are waiting to be checked");
        break;
    }
}

static void sasl_went(struct session *session, enum sasl_status status, const struct sasl_result *result)
{
    struct method secure = {.id = METHOD_CONNECTION_SECURE};

    switch (status) {
    case SASL_MALFORMED:
        handshake_drop(session, result->why);
        break;
    case SASL_CHALLENGE:
        secure.connection_secure.challenge = result->challenge;
        session_set_state(session, SESSION_SECURED);
        session_say(session, 0, &secure);
        break;
    case SASL_DONE:
        check_login(session, result);
        break;
    }
}

/* The user that the peer's certificate names; nobody without one. */
static struct bytes certificate_name(struct session *session)
{
    const struct config *config = session->server->config;

    if (session->stream.tls && !session->certificate_name)
        session->certificate_name =
            tls_peer_login(session->stream.tls, config->ssl_cert_login_from, config->ssl_cert_login_san_type,
                           config->ssl_cert_login_san_index);
    return session->certificate_name ? bytes_from_string(session->certificate_name) : (struct bytes){NULL, 0};
}

static void start_ok(struct session *session, const struct method_connection_start_ok *start_ok)
{
    struct sasl_result result;
    enum sasl_status status;

    take_capabilities(session, start_ok->client_properties);
    if (session->is_internal) { /* who it is was said when it was made */
        say_tune(session);
        return;
    }
    session->sasl = xcalloc(1, sizeof *session->sasl);
    status = sasl_start(session->sasl, server_sasl(session->server), certificate_name(session),
                        start_ok->mechanism, start_ok->response, &result);
    session->has_mechanism = status != SASL_MALFORMED;
    session->mechanism = (uint8_t)session->sasl->mechanism;
    sasl_went(session, status, &result);
}

static void secure_ok(struct session *session, const struct method_connection_secure_ok *secure_ok)
{
    struct sasl_result result;
    enum sasl_status status = sasl_continue(session->sasl, secure_ok->response, &result);

    sasl_went(session, status, &result);
}

/* ---- tuning ---- */

/* NAME may go from LEAST to OFFERED; 0 only where 0 was offered (3.5). */
static bool tuned(struct session *session, const char *name, uint32_t value, uint32_t least, uint32_t offered)
{
    bool low = value && value < least;

    if (offered == 0 ? !low : value && !low && value <= offered)
        return true;
    if (low)
        handshake_refuse(session, METHOD_CONNECTION_TUNE_OK, REPLY_NOT_ALLOWED,
                         "negotiated %s = %u is lower than the minimum allowed value (%u)", name, value,
                         least);
    else
        handshake_refuse(session, METHOD_CONNECTION_TUNE_OK, REPLY_NOT_ALLOWED,
                         "negotiated %s = %u%s is higher than the maximum allowed value (%u)", name, value,
                         value ? "" : " (no limit)", offered);
    return false;
}

static void tune_ok(struct session *session, const struct method_connection_tune_ok *ok)
{
    struct method_connection_tune offered = server_tune(session->server);

    if (!tuned(session, "frame_max", ok->frame_max, FRAME_MIN_SIZE, offered.frame_max) ||
        !tuned(session, "channel_max", ok->channel_max, 1, offered.channel_max))
        return;
    session->frame_max = ok->frame_max ? ok->frame_max : UINT32_MAX;
    session->channel_max = ok->channel_max;
    session->heartbeat = ok->heartbeat;
    session_set_state(session, SESSION_TUNED_OK);
    session_start_heartbeats(session);
}

/* ---- the vhost ---- */

static void open_vhost(struct session *session, const struct method_connection_open *open)
{
    struct job *job;
    struct batch_open *entry;
    char why[REPLY_TEXT_SIZE];

    session->runner = server_find_vhost(session->server, open->virtual_host);
    if (!session->is_internal && !server_has_room(session->server, session, why)) {
        handshake_refuse(session, METHOD_CONNECTION_OPEN, REPLY_NOT_ALLOWED, "%s", why);
        return;
    }
    if (!session->runner) {
        handshake_refuse(session, METHOD_CONNECTION_OPEN, REPLY_NOT_ALLOWED, "vhost %.*s not found",
                         BYTES_ARG(open->virtual_host));
        return;
    }
    if (!session->is_internal && !server_session_opens(session->server, session, why)) {
        handshake_refuse(session, METHOD_CONNECTION_OPEN, REPLY_NOT_ALLOWED, "%s", why);
        return;
    }
    job = loop_job(session->loop, BATCH_OPEN);
    entry = &job->batch.open;
    *entry = (struct batch_open){.user = arena_copy(&job->batch.arena, session->user),
                                 .is_impersonator = session->is_impersonator,
                                 .is_internal = session->is_internal,
                                 .is_trusted = session->is_trusted,
                                 .consumer_cancel_notify = session->wants_cancel,
                                 .channel_max = session->channel_max,
                                 .user_channel_max = session->user_channel_max};
    session_set_state(session, SESSION_OPENING);
    session_submit(session, job);
}

/* ---- frames ---- */

static bool is_expected(const struct session *session, enum method_id id)
{
    switch (session->state) {
    case SESSION_STARTED:
        return id == METHOD_CONNECTION_START_OK;
    case SESSION_SECURED:
        return id == METHOD_CONNECTION_SECURE_OK;
    case SESSION_TUNED:
        return id == METHOD_CONNECTION_TUNE_OK;
    default:
        return id == METHOD_CONNECTION_OPEN;
    }
}

static void run_expected(struct session *session, const struct method *method)
{
    switch (method->id) {
    case METHOD_CONNECTION_START_OK:
        start_ok(session, &method->connection_start_ok);
        break;
    case METHOD_CONNECTION_SECURE_OK:
        secure_ok(session, &method->connection_secure_ok);
        break;
    case METHOD_CONNECTION_TUNE_OK:
        tune_ok(session, &method->connection_tune_ok);
        break;
    default:
        open_vhost(session, &method->connection_open);
    }
}

/* The client gives up, or answers our close. */
static void run_close(struct session *session, enum method_id id)
{
    if (id == METHOD_CONNECTION_CLOSE)
        session_say(session, 0, &(struct method){.id = METHOD_CONNECTION_CLOSE_OK});
    session_set_state(session, SESSION_ENDING);
    session_list_write(session);
}

static void channel_frame(struct session *session, uint8_t type, struct bytes payload)
{
    if (session->state == SESSION_TUNED_OK)
        handshake_refuse(session, (enum method_id)0, REPLY_UNEXPECTED_FRAME,
                         "type %u, frame of %zu octets on a channel before connection.open", type,
                         payload.size);
    else
        handshake_drop(session, "frame on a channel during login");
}

void handshake_frame(struct session *session, uint8_t type, uint16_t channel, struct bytes payload)
{
    struct method method;

    if (type == FRAME_HEARTBEAT && channel == 0)
        return;
    if (session->state == SESSION_REFUSED) {
        if (type == FRAME_METHOD && channel == 0 && method_decode(&method, payload) == METHOD_OK &&
            (method.id == METHOD_CONNECTION_CLOSE_OK || method.id == METHOD_CONNECTION_CLOSE))
            run_close(session, method.id);
        return;
    }
    if (channel) {
        channel_frame(session, type, payload);
        return;
    }
    if (type != FRAME_METHOD || method_decode(&method, payload) != METHOD_OK)
        handshake_drop(session, "malformed frame during login");
    else if (method.id == METHOD_CONNECTION_CLOSE)
        run_close(session, method.id);
    else if (is_expected(session, method.id))
        run_expected(session, &method);
    else if (session->state == SESSION_TUNED_OK)
        handshake_refuse(session, method.id, REPLY_CHANNEL_ERROR,
                         "unexpected method in connection state opening");
    else
        handshake_drop(session, "unexpected method during login");
}
