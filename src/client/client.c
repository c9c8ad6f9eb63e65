/* SPDX-License-Identifier: Apache-2.0 */
/* client.h: a client's life, its timers, and what it writes. client_fields.h has the plan of the other files.
 */
#include "coney/client.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "client_fields.h"
#include "coney/frame.h"
#include "coney/properties.h"
#include "coney/reply.h"
#include "coney/xalloc.h"

#define CHANNEL_MAX_DEFAULT 2047
#define FRAME_MAX_DEFAULT   131072
#define MESSAGE_MAX_DEFAULT (UINT64_C(128) << 20)
#define OUTPUT_MAX_DEFAULT  (UINT64_C(1) << 20)
#define TIMEOUT_MS_DEFAULT  60000
#define CLOSE_MS            3000 /* for the peer's close-ok */
#define LINGER_MS           1000 /* for last words to a peer that is gone or at fault */
#define READ_SIZE           65536

static const uint8_t protocol_header[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};

/* ---- being entered, and let go of ---- */

static void free_target(struct client_target *target)
{
    if (target->password.size)
        OPENSSL_cleanse((uint8_t *)(uintptr_t)target->password.data, target->password.size);
    free((void *)(uintptr_t)target->host);
    free((void *)(uintptr_t)target->server_name);
    free((void *)(uintptr_t)target->mechanism);
    free((void *)(uintptr_t)target->connection_name);
    free((void *)(uintptr_t)target->vhost.data);
    free((void *)(uintptr_t)target->user.data);
    free((void *)(uintptr_t)target->password.data);
    SSL_CTX_free(target->tls);
}

static void drop_stream(struct client *client)
{
    if (client->stream)
        bufferevent_free(client->stream);
    client->stream = NULL;
    if (client->target.has_fd)
        close(client->target.fd);
    client->target.has_fd = false;
}

static void free_client(struct client *client)
{
    connect_cancel(&client->connecting);
    drop_stream(client);
    event_free(client->deadline);
    event_free(client->pulse);
    for (unsigned i = 0; i < client->channels_room; i++)
        if (client->channels[i])
            client_channel_free(client->channels[i]);
    free(client->channels);
    free_target(&client->target);
    free(client);
}

void client_enter(struct client *client)
{
    client->depth++;
}

void client_leave(struct client *client)
{
    struct client_channel *channel, *next;

    if (--client->depth)
        return;
    LL_FOREACH_SAFE (client->gone, channel, next)
        client_channel_free(channel);
    client->gone = NULL;
    if (client->is_freed)
        free_client(client);
    else if (client->state == CLIENT_STATE_ENDED)
        drop_stream(client);
}

void client_free(struct client *client)
{
    if (!client || client->is_freed)
        return;
    client->is_freed = true;
    client_enter(client);
    client_leave(client);
}

/* ---- the end ---- */

/* Only between client_enter() and client_leave(), as all that leads here. */
static void tell_end(struct client *client)
{
    client->state = CLIENT_STATE_ENDED;
    connect_cancel(&client->connecting);
    if (client->stream)
        bufferevent_disable(client->stream, EV_READ | EV_WRITE);
    event_del(client->deadline);
    event_del(client->pulse);
    for (unsigned i = 0; i < client->channels_room && !client->is_freed; i++)
        if (client->channels[i])
            client_channel_end(client->channels[i], &client->end);
    if (client->events->closed && !client->is_freed)
        client->events->closed(client->context, client, &client->end);
}

static void note_end(struct client *client, enum client_end_kind kind, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void note_end(struct client *client, enum client_end_kind kind, const char *format, va_list arguments)
{
    vsnprintf(client->end_text, sizeof client->end_text, format, arguments);
    client->end = (struct client_end){.kind = kind, .text = client->end_text};
}

void client_end(struct client *client, enum client_end_kind kind, const char *format, ...)
{
    va_list arguments;

    if (client->state == CLIENT_STATE_ENDED || client->is_freed)
        return;
    if (client->state != CLIENT_STATE_LINGERING) {
        va_start(arguments, format);
        note_end(client, kind, format, arguments);
        va_end(arguments);
    }
    tell_end(client);
}

void client_linger(struct client *client)
{
    client->state = CLIENT_STATE_LINGERING;
    if (client->stream) {
        bufferevent_setwatermark(client->stream, EV_WRITE, 0, 0);
        client_arm_deadline(client, LINGER_MS);
    } else {
        client_arm_deadline(client, 0);
    }
}

void client_note_close(struct client *client, const struct method_connection_close *close)
{
    snprintf(client->end_text, sizeof client->end_text, "%.*s", BYTES_ARG(close->reply_text));
    client->end =
        (struct client_end){.kind = CLIENT_PEER, .code = close->reply_code, .text = client->end_text};
}

void client_break(struct client *client, uint16_t code, const char *format, ...)
{
    struct method close = {.id = METHOD_CONNECTION_CLOSE, .connection_close = {.reply_code = code}};
    char text[REPLY_TEXT_SIZE];
    va_list arguments;

    if (client->state >= CLIENT_STATE_LINGERING || client->is_freed)
        return;
    va_start(arguments, format);
    note_end(client, CLIENT_BROKEN, format, arguments);
    va_end(arguments);
    if (client->state != CLIENT_STATE_OPEN) {
        tell_end(client);
        return;
    }
    reply_text(text, code, "%s", client->end_text);
    close.connection_close.reply_text = bytes_from_string(text);
    client_put_method(client, 0, &close);
    client_linger(client);
}

/* ---- timers ---- */

void client_arm_deadline(struct client *client, uint32_t ms)
{
    struct timeval after = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    event_add(client->deadline, &after);
}

void client_start_heartbeat(struct client *client)
{
    unsigned half_ms = client->heartbeat * 500U;
    struct timeval every = {.tv_sec = half_ms / 1000, .tv_usec = (suseconds_t)(half_ms % 1000 * 1000)};

    if (client->heartbeat)
        event_add(client->pulse, &every);
}

static void put_heartbeat(struct client *client)
{
    uint8_t octets[FRAME_OVERHEAD];

    frame_end_put(frame_header_put(octets, FRAME_HEARTBEAT, 0, 0));
    evbuffer_add(bufferevent_get_output(client->stream), octets, sizeof octets);
}

/* Anything that the peer says counts, and so does anything that we do (spec connection-and-channel.md 4). */
static void beat(struct client *client)
{
    if (!client->is_said && evbuffer_get_length(bufferevent_get_output(client->stream)) == 0)
        put_heartbeat(client);
    client->is_said = false;
    client->is_half = !client->is_half;
    if (client->is_half)
        return;
    client->silent = client->is_heard || client->is_held ? 0 : client->silent + 1;
    client->is_heard = false;
    if (client->silent >= 2)
        client_end(client, CLIENT_TIMEOUT, "the peer was silent for %u heartbeats of %u s", client->silent,
                   client->heartbeat);
}

static void on_pulse(evutil_socket_t fd, short what, void *arg)
{
    struct client *client = arg;

    (void)fd;
    (void)what;
    client_enter(client);
    if (client->state >= CLIENT_STATE_OPENING && client->state <= CLIENT_STATE_CLOSING)
        beat(client);
    client_leave(client);
}

/* ---- the socket ---- */

/* Why TLS failed, or the socket. */
static const char *stream_error(struct client *client, char *text, size_t size)
{
    SSL *ssl = client->target.tls ? bufferevent_openssl_get_ssl(client->stream) : NULL;
    long verified = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    unsigned long error = ssl ? bufferevent_get_openssl_error(client->stream) : 0;
    const char *reason = error ? ERR_reason_error_string(error) : NULL;

    ERR_clear_error();
    if (!reason)
        return evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());
    snprintf(text, size, "TLS: %s%s%s", reason, verified == X509_V_OK ? "" : ": ",
             verified == X509_V_OK ? "" : X509_verify_cert_error_string(verified));
    return text;
}

static void end_stream(struct client *client, short what)
{
    char text[CLIENT_TEXT_SIZE];
    const char *reason = "the peer closed it";

    if (what & BEV_EVENT_ERROR)
        reason = stream_error(client, text, sizeof text);
    if (client->state == CLIENT_STATE_LOGIN)
        client_end(client, CLIENT_REFUSED, "the connection ended at the login: %s", reason);
    else if (client->state == CLIENT_STATE_CLOSING)
        client_end(client, CLIENT_CLOSED, "closed");
    else
        client_end(client, CLIENT_NETWORK, "the connection ended%s: %s",
                   client->state < CLIENT_STATE_OPEN ? " before it was open" : "", reason);
}

static void on_read(struct bufferevent *stream, void *arg)
{
    struct client *client = arg;

    (void)stream;
    client_enter(client);
    client->is_heard = true;
    client_take_frames(client);
    client_leave(client);
}

static void on_written(struct bufferevent *stream, void *arg)
{
    struct client *client = arg;

    client_enter(client);
    if (client->state == CLIENT_STATE_LINGERING && evbuffer_get_length(bufferevent_get_output(stream)) == 0) {
        tell_end(client);
    } else if (client->is_full) {
        client->is_full = false;
        if (client->events->drained && client->state == CLIENT_STATE_OPEN && !client->is_freed)
            client->events->drained(client->context, client);
    }
    client_leave(client);
}

static void on_stream(struct bufferevent *stream, short what, void *arg)
{
    struct client *client = arg;

    (void)stream;
    if (what & BEV_EVENT_CONNECTED)
        return;
    client_enter(client);
    client_take_frames(client);
    end_stream(client, what);
    client_leave(client);
}

/* Ask for the peer's name, and have it verified. */
static bool name_peer(const struct client_target *target, SSL *ssl)
{
    const char *name = target->server_name ? target->server_name : target->host;
    struct in6_addr address;
    bool is_address;

    if (!name || !*name)
        return true;
    is_address =
        evutil_inet_pton(AF_INET, name, &address) == 1 || evutil_inet_pton(AF_INET6, name, &address) == 1;
    if (!is_address && SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)name) != 1)
        return false;
    if (!(SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER))
        return true;
    if (is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set1_host(ssl, name) == 1;
}

/* FD is the stream's from now on, whatever comes of it. */
static struct bufferevent *make_stream(struct client *client, int fd)
{
    struct bufferevent *stream;
    SSL *ssl;

    evutil_make_socket_nonblocking(fd);
    if (!client->target.tls) {
        stream = bufferevent_socket_new(client->base, fd, BEV_OPT_CLOSE_ON_FREE);
        if (!stream)
            close(fd);
        return stream;
    }
    ssl = SSL_new(client->target.tls);
    if (!ssl || !name_peer(&client->target, ssl)) {
        SSL_free(ssl);
        close(fd);
        return NULL;
    }
    stream = bufferevent_openssl_socket_new(client->base, fd, ssl, BUFFEREVENT_SSL_CONNECTING,
                                            BEV_OPT_CLOSE_ON_FREE);
    if (!stream) {
        SSL_free(ssl);
        close(fd);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(stream, 1); /* AMQP says itself where it ends */
    return stream;
}

static void begin_stream(struct client *client, int fd)
{
    client->stream = make_stream(client, fd);
    if (!client->stream) {
        client_end(client, CLIENT_NETWORK, "the system refuses what a connection needs");
        return;
    }
    client->state = CLIENT_STATE_STARTING;
    bufferevent_setcb(client->stream, on_read, on_written, on_stream, client);
    bufferevent_setwatermark(client->stream, EV_WRITE, client->target.output_max / 4, 0);
    bufferevent_set_max_single_read(client->stream, READ_SIZE);
    bufferevent_set_max_single_write(client->stream, READ_SIZE);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
    evbuffer_add(bufferevent_get_output(client->stream), protocol_header, sizeof protocol_header);
}

static void on_connected(void *context, int fd, const char *why)
{
    struct client *client = context;

    client_enter(client);
    if (why)
        client_end(client, CLIENT_NETWORK, "%s", why);
    else
        begin_stream(client, fd);
    client_leave(client);
}

static void begin(struct client *client)
{
    client->state = CLIENT_STATE_CONNECTING;
    client_arm_deadline(client, client->target.timeout_ms);
    if (client->target.has_fd) {
        client->target.has_fd = false;
        begin_stream(client, client->target.fd);
    } else {
        connect_begin(&client->connecting, client->base, client->target.dns, client->target.host,
                      client->target.port, on_connected, client);
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct client *client = arg;

    (void)fd;
    (void)what;
    client_enter(client);
    if (client->state == CLIENT_STATE_IDLE)
        begin(client);
    else if (client->state == CLIENT_STATE_LINGERING)
        tell_end(client);
    else if (client->state == CLIENT_STATE_CLOSING)
        client_end(client, CLIENT_TIMEOUT, "the peer did not answer to the close");
    else if (client->state == CLIENT_STATE_CONNECTING)
        client_end(client, CLIENT_TIMEOUT, "cannot connect to %s: no answer in %u ms", client->target.host,
                   client->target.timeout_ms);
    else if (client->state < CLIENT_STATE_OPEN)
        client_end(client, CLIENT_TIMEOUT, "the peer did not open the connection in %u ms",
                   client->target.timeout_ms);
    client_leave(client);
}

/* ---- opening and closing ---- */

static char *copy_text(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static struct bytes copy_bytes(struct bytes bytes)
{
    return (struct bytes){bytes.size ? xmemdup(bytes.data, bytes.size) : NULL, bytes.size};
}

static void copy_target(struct client_target *to, const struct client_target *from)
{
    *to = *from;
    to->host = copy_text(from->host);
    to->server_name = copy_text(from->server_name);
    to->mechanism = copy_text(from->mechanism ? from->mechanism : "PLAIN");
    to->connection_name = copy_text(from->connection_name);
    to->vhost = copy_bytes(from->vhost);
    to->user = copy_bytes(from->user);
    to->password = copy_bytes(from->password);
    if (to->tls)
        SSL_CTX_up_ref(to->tls);
    to->channel_max = from->channel_max ? from->channel_max : CHANNEL_MAX_DEFAULT;
    to->frame_max = from->frame_max ? from->frame_max : FRAME_MAX_DEFAULT;
    if (to->frame_max < FRAME_MIN_SIZE)
        to->frame_max = FRAME_MIN_SIZE;
    to->message_max = from->message_max ? from->message_max : MESSAGE_MAX_DEFAULT;
    to->output_max = from->output_max ? from->output_max : OUTPUT_MAX_DEFAULT;
    to->timeout_ms = from->timeout_ms ? from->timeout_ms : TIMEOUT_MS_DEFAULT;
}

struct client *client_open(struct event_base *base, const struct client_target *target,
                           const struct client_events *events, void *context)
{
    struct client *client = xcalloc(1, sizeof *client);

    client->base = base;
    client->events = events;
    client->context = context;
    copy_target(&client->target, target);
    client->frame_max = client->target.frame_max;
    client->deadline = event_new(base, -1, 0, on_deadline, client);
    client->pulse = event_new(base, -1, EV_PERSIST, on_pulse, client);
    if (!client->deadline || !client->pulse)
        abort(); /* no memory */
    client_arm_deadline(client, 0);
    return client;
}

void client_close(struct client *client)
{
    static const char text[] = "closed";

    if (client->state >= CLIENT_STATE_CLOSING)
        return;
    if (client->state == CLIENT_STATE_OPEN) {
        struct method close = {
            .id = METHOD_CONNECTION_CLOSE,
            .connection_close = {.reply_code = REPLY_SUCCESS, .reply_text = BYTES_LITERAL("Goodbye")}};

        client_put_method(client, 0, &close);
        client->state = CLIENT_STATE_CLOSING;
        client_hold(client, false);
        client_arm_deadline(client, CLOSE_MS);
        return;
    }
    client->end = (struct client_end){.kind = CLIENT_CLOSED, .text = text};
    connect_cancel(&client->connecting);
    client_linger(client);
    client_arm_deadline(client, 0);
}

bool client_is_open(const struct client *client)
{
    return client->state == CLIENT_STATE_OPEN;
}

bool client_wants_pause(const struct client *client)
{
    return client->is_full;
}

void client_hold(struct client *client, bool hold)
{
    if (client->is_held == hold || client->is_freed || !client->stream)
        return;
    if (hold && client->state != CLIENT_STATE_OPEN)
        return;
    client->is_held = hold;
    if (hold) {
        bufferevent_disable(client->stream, EV_READ);
        return;
    }
    if (client->state == CLIENT_STATE_ENDED)
        return;
    bufferevent_enable(client->stream, EV_READ);
    bufferevent_trigger(client->stream, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* ---- writing ---- */

static void note_said(struct client *client)
{
    client->is_said = true;
    if (evbuffer_get_length(bufferevent_get_output(client->stream)) > client->target.output_max)
        client->is_full = true;
}

/* Room for SIZE octets at the end of what is to be sent; append() keeps them. */
static uint8_t *reserve(struct client *client, struct evbuffer_iovec *room, size_t size)
{
    if (evbuffer_reserve_space(bufferevent_get_output(client->stream), (ev_ssize_t)size, room, 1) != 1)
        abort(); /* no memory */
    room->iov_len = size;
    return room->iov_base;
}

static void append(struct client *client, struct evbuffer_iovec *room)
{
    evbuffer_commit_space(bufferevent_get_output(client->stream), room, 1);
}

void client_put_method(struct client *client, uint16_t channel, const struct method *method)
{
    size_t size = method_encoded_size(method);
    struct evbuffer_iovec room;
    uint8_t *p = reserve(client, &room, size + FRAME_OVERHEAD);

    p = frame_header_put(p, FRAME_METHOD, channel, (uint32_t)size);
    frame_end_put(method_encode(p, method));
    append(client, &room);
    note_said(client);
}

static void put_body(struct client *client, uint16_t channel, struct bytes body)
{
    size_t most = client->frame_max - FRAME_OVERHEAD;
    struct evbuffer_iovec room;

    while (body.size) {
        struct bytes part = {body.data, body.size < most ? body.size : most};
        uint8_t *p = reserve(client, &room, part.size + FRAME_OVERHEAD);

        frame_end_put(put_bytes(frame_header_put(p, FRAME_BODY, channel, (uint32_t)part.size), part));
        append(client, &room);
        body = (struct bytes){body.data + part.size, body.size - part.size};
    }
}

void client_put_content(struct client *client, uint16_t channel, const struct client_content *content)
{
    struct evbuffer_iovec room;
    uint8_t *p = reserve(client, &room, frame_content_header_size(content->properties.size));

    frame_content_header_put(p, channel, METHOD_CLASS(METHOD_BASIC_PUBLISH), content->body.size,
                             content->properties);
    append(client, &room);
    put_body(client, channel, content->body);
    note_said(client);
}
