/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h: sockets, TLS, output, and the end of it all. */
#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "coney/frame.h"
#include "coney/tls_load.h"
#include "coney/xalloc.h"
#include "conn_fields.h"
#include "target.h"

#define OUT_KEPT   4096        /* octets of memory that output keeps when it is empty */
#define SMALL_READ 2048        /* octets at once where reading sets the pace, or a long body follows */
#define READS_MAX  16          /* in one event, so that others have their turn */
#define LONG_BODY  (16 * 1024) /* from here on what nobody looks at is thrown away in the kernel */

/* ---- the end ---- */

void conn_fail(struct conn *conn, const char *format, ...)
{
    va_list arguments;

    if (conn->state == CONN_ENDED)
        return;
    conn->state = CONN_ENDED;
    va_start(arguments, format);
    vsnprintf(conn->why, sizeof conn->why, format, arguments);
    va_end(arguments);
    if (!conn->is_busy) /* it is told at the end of the event otherwise */
        timers_set(&conn->loop->timers, &conn->heart, conn->loop->now);
}

static void close_socket(struct conn *conn)
{
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

static void tell_end(struct conn *conn)
{
    if (conn->has_closed)
        return;
    conn->has_closed = true;
    timers_clear(&conn->loop->timers, &conn->heart);
    close_socket(conn);
    conn->ops->closed(conn, conn->why[0] ? conn->why : NULL);
}

void conn_free(struct conn *conn)
{
    if (!conn)
        return;
    conn->state = CONN_ENDED;
    conn->has_closed = true;
    timers_clear(&conn->loop->timers, &conn->heart);
    close_socket(conn);
    buffer_free(&conn->out);
    buffer_free(&conn->rest);
    free(conn->channels);
    conn->channels = NULL;
    conn->channel_count = 0;
    conn->next_dead = conn->loop->dead;
    conn->loop->dead = conn;
}

void conn_close(struct conn *conn)
{
    struct method method = {.id = METHOD_CONNECTION_CLOSE};

    if (conn->state >= CONN_CLOSING)
        return;
    if (conn->state < CONN_OPEN) {
        conn_fail(conn, "closed before it was open");
        return;
    }
    conn->state = CONN_CLOSING;
    method.connection_close.reply_code = 200;
    method.connection_close.reply_text = BYTES_LITERAL("done");
    conn_say(conn, 0, &method);
    conn_flush(conn);
}

/* ---- output ---- */

static void watch(struct conn *conn)
{
    bool waits_to_write = conn->state == CONN_CONNECTING || !conn_is_drained(conn);
    uint32_t events = (conn->is_held ? 0U : (uint32_t)EPOLLIN) | (waits_to_write ? (uint32_t)EPOLLOUT : 0U);

    if (conn->fd < 0 || events == conn->watched)
        return;
    loop_watch(conn->loop, conn->fd, &conn->watcher, events, true);
    conn->watched = events;
}

void conn_say(struct conn *conn, uint16_t channel, const struct method *method)
{
    if (conn->state != CONN_ENDED)
        buffer_append_method(&conn->out, channel, method);
}

/* Write of SIZE octets what goes: their number, or -1 when the peer takes none any more. */
static ssize_t write_some(struct conn *conn, const uint8_t *data, size_t size)
{
    ssize_t sent;
    int error;

    if (!conn->ssl) {
        sent = send(conn->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        return sent >= 0 ? sent : errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    ERR_clear_error();
    sent = SSL_write(conn->ssl, data, size < INT32_MAX ? (int)size : INT32_MAX);
    if (sent > 0)
        return sent;
    error = SSL_get_error(conn->ssl, (int)sent);
    return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* Nothing more can be said; why is perhaps still to be read. */
static void go_deaf(struct conn *conn)
{
    conn->is_deaf = true;
    conn->lent = (struct bytes){0};
    conn->out_sent = conn->out.size = 0;
}

static bool write_lent(struct conn *conn)
{
    while (conn->lent.size) {
        ssize_t sent = write_some(conn, conn->lent.data, conn->lent.size);

        if (sent < 0)
            go_deaf(conn);
        if (sent <= 0)
            return false;
        conn->lent.data += sent;
        conn->lent.size -= (size_t)sent;
    }
    return true;
}

static void write_out(struct conn *conn)
{
    while (conn->out_sent < conn->out.size) {
        ssize_t sent = write_some(conn, conn->out.data + conn->out_sent, conn->out.size - conn->out_sent);

        if (sent < 0)
            go_deaf(conn);
        if (sent <= 0)
            return;
        conn->out_sent += (size_t)sent;
    }
    conn->out_sent = 0;
    buffer_clear(&conn->out);
    if (conn->out.capacity > OUT_KEPT)
        buffer_free(&conn->out);
}

bool conn_flush(struct conn *conn)
{
    if (conn->is_deaf)
        go_deaf(conn);
    else if (conn->state > CONN_TLS && conn->state < CONN_ENDED && !conn_is_drained(conn) && write_lent(conn))
        write_out(conn);
    watch(conn);
    return conn_is_drained(conn);
}

bool conn_lend(struct conn *conn, struct bytes octets)
{
    if (conn->is_deaf || conn->state == CONN_ENDED)
        return false;
    conn->lent = octets;
    return conn_flush(conn);
}

void conn_hold(struct conn *conn, bool is_held)
{
    conn->is_held = is_held;
    watch(conn);
}

/* ---- input ---- */

/* Read up to SIZE octets: their number, 0 when there are none now, -1 at the end of the stream. */
static ssize_t read_some(struct conn *conn, uint8_t *data, size_t size)
{
    ssize_t got;
    int error;

    if (!conn->ssl) {
        got = recv(conn->fd, data, size, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (got <= 0)
            conn_fail(conn, "%s", got == 0 ? "the broker closed the socket" : strerror(errno));
        return got <= 0 ? -1 : got;
    }
    ERR_clear_error();
    got = SSL_read(conn->ssl, data, (int)size);
    if (got > 0)
        return got;
    error = SSL_get_error(conn->ssl, (int)got);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    if (error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SYSCALL || ERR_peek_error() == 0)
        conn_fail(conn, "the broker closed the socket");
    else
        conn_fail(conn, "TLS: %s", ERR_reason_error_string(ERR_peek_error()));
    return -1;
}

/* A long body that nobody looks at need not be copied. */
static bool can_skip(const struct conn *conn)
{
    return conn->body && conn->body_left >= LONG_BODY && !conn->ssl && !conn->small_reads &&
           !conn->body->wants_checksum && conn->body->seen >= STAMP_SIZE;
}

static ssize_t skip_body(struct conn *conn)
{
    ssize_t got = recv(conn->fd, NULL, conn->body_left, MSG_DONTWAIT | MSG_TRUNC);

    if (got > 0) {
        conn->body->seen += (uint64_t)got;
        conn->body_left -= (uint32_t)got;
    } else if (got == 0) {
        conn_fail(conn, "the broker closed the socket");
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_fail(conn, "%s", strerror(errno));
    }
    return got;
}

/* How much to read: little where a long body follows that is then skipped. */
static size_t read_size(const struct conn *conn, size_t room)
{
    bool is_long = conn->channel_count > 1 && conn->channels[1] && conn->channels[1]->size >= LONG_BODY &&
                   !conn->ssl && !conn->channels[1]->wants_checksum;

    /* TLS is read by whole records, so that it holds nothing back that epoll does not know of. */
    return ((conn->small_reads && !conn->ssl) || is_long) && room > SMALL_READ ? SMALL_READ : room;
}

/* Read once, behind what is left of the last time. Tells whether there may be more. */
static bool read_once(struct conn *conn)
{
    uint8_t *input = conn->loop->input;
    size_t have = conn->rest.size, used, size;
    ssize_t got;

    if (can_skip(conn))
        return skip_body(conn) > 0;
    if (have)
        memcpy(input, conn->rest.data, have);
    size = read_size(conn, LOOP_INPUT_SIZE - have);
    got = read_some(conn, input + have, size);
    if (got <= 0)
        return false;
    have += (size_t)got;
    conn->loop->now = clock_now(); /* what latencies are measured to */
    used = conn_take(conn, input, have);
    buffer_clear(&conn->rest);
    if (conn->state == CONN_ENDED)
        return false;
    if (have - used > LOOP_INPUT_SIZE / 2)
        conn_fail(conn, "a frame of more than %zu octets", LOOP_INPUT_SIZE / 2);
    else if (used < have)
        buffer_append(&conn->rest, input + used, have - used);
    else if (conn->rest.capacity > OUT_KEPT)
        buffer_free(&conn->rest);
    return conn->ssl ? !conn->is_held : can_skip(conn);
}

/* ---- the beginning ---- */

static void begin_login(struct conn *conn)
{
    conn->state = CONN_LOGIN;
    buffer_append(&conn->out, "AMQP\0\0\x09\x01", 8);
    conn_flush(conn);
}

static void go_on_with_tls(struct conn *conn)
{
    long verdict;
    int result, error;

    ERR_clear_error();
    result = SSL_connect(conn->ssl);
    if (result == 1) {
        begin_login(conn);
        return;
    }
    error = SSL_get_error(conn->ssl, result);
    verdict = SSL_get_verify_result(conn->ssl);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return;
    if (verdict != X509_V_OK)
        conn_fail(conn, "TLS: %s; --cacert FILE says whom to trust, --insecure trusts anybody",
                  X509_verify_cert_error_string(verdict));
    else
        conn_fail(conn, "TLS: %s",
                  ERR_peek_error() ? ERR_reason_error_string(ERR_peek_error())
                                   : "the broker closed the socket");
}

static void begin_tls(struct conn *conn)
{
    const struct target *target = conn->target;
    const char *name = target->uri.server_name ? target->uri.server_name : target->uri.host;

    conn->ssl = SSL_new(target->tls);
    if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1) {
        conn_fail(conn, "TLS: OpenSSL refuses to begin");
        return;
    }
    if (name && *name) {
        /* An address is no server name, but it is verified. */
        X509_VERIFY_PARAM *parameters = SSL_get0_param(conn->ssl);

        if (X509_VERIFY_PARAM_set1_ip_asc(parameters, name) != 1) {
            SSL_set_tlsext_host_name(conn->ssl, (char *)(uintptr_t)name);
            SSL_set1_host(conn->ssl, name);
        }
    }
    conn->state = CONN_TLS;
    go_on_with_tls(conn);
}

static void on_connected(struct conn *conn)
{
    int one = 1, error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error) {
        conn_fail(conn, "cannot connect: %s", strerror(error));
        return;
    }
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (conn->target->tls)
        begin_tls(conn);
    else
        begin_login(conn);
}

static void on_event(struct watcher *watcher, uint32_t events)
{
    struct conn *conn = (struct conn *)((char *)watcher - offsetof(struct conn, watcher));
    bool had_to_wait = conn->state >= CONN_LOGIN && !conn_is_drained(conn);

    if (conn->has_closed)
        return; /* of this turn, after its end */
    conn->is_busy = true;
    if (conn->state == CONN_CONNECTING)
        on_connected(conn);
    else if (conn->state == CONN_TLS)
        go_on_with_tls(conn);
    else if (events & ~(uint32_t)EPOLLOUT)
        for (unsigned i = 0; i < READS_MAX && conn->state != CONN_ENDED && read_once(conn); i++)
            ;
    conn->is_busy = false;
    if (conn->has_closed)
        return; /* freed by a callback */
    if (conn->state != CONN_ENDED && conn_flush(conn) && had_to_wait && conn->ops->drained)
        conn->ops->drained(conn);
    if (conn->state == CONN_ENDED)
        tell_end(conn);
    else if (!conn->has_closed)
        watch(conn);
}

static void on_heart(struct timer *timer)
{
    struct conn *conn = (struct conn *)((char *)timer - offsetof(struct conn, heart));

    if (conn->state == CONN_ENDED) {
        tell_end(conn);
        return;
    }
    frame_end_put(frame_header_put(buffer_reserve(&conn->out, FRAME_OVERHEAD), FRAME_HEARTBEAT, 0, 0));
    conn->out.size += FRAME_OVERHEAD;
    conn_flush(conn);
    timers_set(&conn->loop->timers, timer, conn->loop->now + conn->beat);
}

struct conn *conn_open(struct loop *loop, const struct target *target, const char *who,
                       const struct conn_ops *ops, void *owner)
{
    struct conn *conn = xcalloc(1, sizeof *conn);

    conn->watcher.ready = on_event;
    conn->heart.fire = on_heart;
    conn->loop = loop;
    conn->target = target;
    conn->ops = ops;
    conn->owner = owner;
    conn->frame_max = FRAME_MIN_SIZE;
    snprintf(conn->who, sizeof conn->who, "%s", who);
    conn->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        conn_fail(conn, "no socket: %s", strerror(errno));
        return conn;
    }
    if (connect(conn->fd, (const struct sockaddr *)&target->address, target->address_size) < 0 &&
        errno != EINPROGRESS) {
        conn_fail(conn, "cannot connect: %s", strerror(errno));
        return conn;
    }
    conn->watched = EPOLLIN | EPOLLOUT;
    loop_watch(loop, conn->fd, &conn->watcher, conn->watched, false);
    return conn;
}

/* ---- channels ---- */

bool channel_open(struct conn *conn, struct channel *channel, const struct channel_ops *ops)
{
    unsigned number = conn->channel_count ? conn->channel_count : 1;

    if (number > conn->channel_max)
        return false;
    conn->channels = xrealloc(conn->channels, (number + 1) * sizeof(struct channel *));
    conn->channels[0] = NULL;
    conn->channels[number] = channel;
    conn->channel_count = number + 1;
    channel->conn = conn;
    channel->ops = ops;
    channel->number = (uint16_t)number;
    channel->content = CONTENT_NONE;
    channel_say(channel, &(struct method){.id = METHOD_CHANNEL_OPEN});
    return true;
}

void channel_close(struct channel *channel)
{
    struct method method = {.id = METHOD_CHANNEL_CLOSE};

    method.channel_close.reply_code = 200;
    method.channel_close.reply_text = BYTES_LITERAL("done");
    channel_say(channel, &method);
}

void channel_forget(struct channel *channel)
{
    channel->conn->channels[channel->number] = NULL;
    channel->conn->channel_count = channel->number;
}
