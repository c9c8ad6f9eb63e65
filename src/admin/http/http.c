/* SPDX-License-Identifier: Apache-2.0 */
/* http.h. */
#include "http.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "admin/admin_fields.h"
#include "coney/accept_pause.h"
#include "coney/log.h"
#include "coney/node_access.h"
#include "coney/node_control.h"
#include "coney/sockets.h"
#include "coney/xalloc.h"
#include "deadlines.h"
#include "https.h"
#include "request.h"
#include "workers.h"

#define HEADERS_SIZE_MAX (64 << 10)
#define TIMEOUT_S        60          /* without an octet read or taken */
#define UNSENT_MAX       (256 << 10) /* octets of one answer under way */

/* For answers to be taken when the thread is to end: that of who stopped the node is among them. */
static const struct timeval parting = {.tv_sec = 2};

struct http_listener {
    struct http_listener *next;
    struct http *http;
    enum http_kind kind;
    struct evhttp *evhttp;
    struct evhttp_bound_socket *bound;
    char *path;          /* of a UNIX socket; NULL: none */
    struct https *https; /* NULL: no TLS */
    struct accept_pause pause;
};

struct http {
    struct admin *admin;
    struct event_base *base;
    struct http_listener *listeners;
    struct deadlines *deadlines;
    pthread_t thread;
    bool is_started;
    int wake_fd;
    struct event *wake;
    pthread_mutex_t mutex; /* guards inbox */
    struct request *inbox, **inbox_end;
    atomic_bool is_stopping;

    /* the thread's */
    struct request *held; /* requests that workers have */
    unsigned leaving;     /* answers that their clients have not taken yet */
};

enum http_kind http_kind(const struct request *request)
{
    return request->listener->kind;
}

/* ---- a request comes ---- */

static char *copy_header(struct evhttp_request *evhttp, const char *name)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(evhttp), name);

    return value ? xstrdup(value) : NULL;
}

/* Decode the path, segment by segment: an encoded slash does not part. */
static bool split_path(struct request *request, const char *path)
{
    while (*path == '/') {
        const char *begin = path + 1, *end = strchrnul(begin, '/');
        char *encoded;

        if (request->segment_count == SEGMENTS_MAX)
            return false;
        encoded = xstrndup(begin, (size_t)(end - begin));
        request->segments[request->segment_count] =
            evhttp_uridecode(encoded, 0, &request->sizes[request->segment_count]);
        free(encoded);
        if (!request->segments[request->segment_count])
            abort();
        request->segment_count++;
        path = end;
    }
    return !*path;
}

static bool verb_of(enum evhttp_cmd_type command, enum verb *verb)
{
    switch (command) {
    case EVHTTP_REQ_GET:
    case EVHTTP_REQ_HEAD:
        *verb = VERB_GET;
        return true;
    case EVHTTP_REQ_PUT:
        *verb = VERB_PUT;
        return true;
    case EVHTTP_REQ_POST:
        *verb = VERB_POST;
        return true;
    case EVHTTP_REQ_DELETE:
        *verb = VERB_DELETE;
        return true;
    case EVHTTP_REQ_OPTIONS:
        *verb = VERB_OPTIONS;
        return true;
    default:
        return false;
    }
}

/* Root and who runs the broker are its administrators. */
static bool peer_is_trusted(struct evhttp_connection *connection)
{
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(connection));
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void note_peer(struct request *request)
{
    char *address = NULL;
    uint16_t port = 0;

    if (request->listener->kind == HTTP_CONTROL) {
        snprintf(request->peer, sizeof request->peer, "the control socket");
        request->is_loopback = true;
        request->is_trusted = peer_is_trusted(request->connection);
        return;
    }
    evhttp_connection_get_peer(request->connection, &address, &port);
    snprintf(request->peer, sizeof request->peer, "%s", address ? address : "");
    request->is_loopback = node_is_loopback(request->peer);
}

static void request_free(struct request *request)
{
    for (unsigned i = 0; i < request->segment_count; i++)
        free(request->segments[i]);
    evhttp_clear_headers(&request->query);
    evhttp_clear_headers(&request->headers);
    evbuffer_free(request->out);
    json_decref(request->json);
    free((void *)(uintptr_t)request->body.data);
    free(request->authorization);
    free(request->reason);
    free(request->origin);
    free(request->content_type);
    free(request->accept_encoding);
    free(request->if_none_match);
    free(request->host);
    free(request->path);
    if (request->user.tags)
        user_info_free(&request->user);
    pthread_cond_destroy(&request->changed);
    pthread_mutex_destroy(&request->mutex);
    free(request);
}

static struct bytes take_body(struct evhttp_request *evhttp)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(evhttp);
    size_t size = evbuffer_get_length(in);
    uint8_t *body = xmalloc(size + 1);

    evbuffer_remove(in, body, size);
    body[size] = 0;
    return (struct bytes){body, size};
}

static void make_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* The path without management.path_prefix; NULL when it has another. */
static const char *below_prefix(const struct request *request)
{
    const char *prefix = request->admin->config->management_path_prefix;
    size_t size = strlen(prefix);

    if (request->listener->kind == HTTP_METRICS)
        return request->path;
    if (strncmp(request->path, prefix, size) != 0)
        return NULL;
    return request->path + size;
}

static struct request *request_new(struct http_listener *listener, struct evhttp_request *evhttp)
{
    struct request *request = xcalloc(1, sizeof *request);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(evhttp);
    const char *query = evhttp_uri_get_query(uri), *path = evhttp_uri_get_path(uri);

    request->listener = listener;
    request->admin = listener->http->admin;
    request->server = request->admin->server;
    request->evhttp = evhttp;
    request->connection = evhttp_request_get_connection(evhttp);
    request->out = evbuffer_new();
    TAILQ_INIT(&request->query);
    TAILQ_INIT(&request->headers);
    pthread_mutex_init(&request->mutex, NULL);
    make_condition(&request->changed);
    request->path = xstrdup(path ? path : "");
    request->authorization = copy_header(evhttp, "authorization");
    request->reason = copy_header(evhttp, "x-reason");
    request->origin = copy_header(evhttp, "origin");
    request->content_type = copy_header(evhttp, "content-type");
    request->accept_encoding = copy_header(evhttp, "accept-encoding");
    request->if_none_match = copy_header(evhttp, "if-none-match");
    request->host = copy_header(evhttp, "host");
    request->body = take_body(evhttp);
    note_peer(request);
    if (query && evhttp_parse_query_str(query, &request->query) < 0)
        request->status = 400;
    if (!verb_of(evhttp_request_get_command(evhttp), &request->verb)) {
        request->status = 501;
        reply_header(request, "connection", "close");
    }
    path = below_prefix(request);
    if (!path || !split_path(request, path))
        request->status = 404;
    return request;
}

/* ---- the answer goes ---- */

/* Who writes REQUEST's answer need not go on. */
static void give_up(struct request *request)
{
    pthread_mutex_lock(&request->mutex);
    request->is_gone = true;
    pthread_cond_signal(&request->changed);
    pthread_mutex_unlock(&request->mutex);
}

static void on_close(struct evhttp_connection *connection, void *argument)
{
    struct request *request = argument;

    (void)connection;
    request->connection = NULL;
    give_up(request);
}

static void copy_headers(struct request *request)
{
    struct evkeyvalq *to = evhttp_request_get_output_headers(request->evhttp);
    struct evkeyval *header;

    TAILQ_FOREACH(header, &request->headers, next)
    {
        evhttp_add_header(to, header->key, header->value);
    }
}

static void on_part_sent(struct evhttp_connection *connection, void *argument)
{
    struct request *request = argument;
    size_t left = evbuffer_get_length(bufferevent_get_output(evhttp_connection_get_bufferevent(connection)));

    pthread_mutex_lock(&request->mutex);
    request->unsent = left;
    pthread_cond_signal(&request->changed);
    pthread_mutex_unlock(&request->mutex);
}

static void send_part(struct request *request, struct evbuffer *part)
{
    if (!request->has_begun) {
        copy_headers(request);
        request->has_begun = true;
        evhttp_send_reply_start(request->evhttp, request->status, NULL);
    }
    if (evbuffer_get_length(part))
        evhttp_send_reply_chunk_with_cb(request->evhttp, part, on_part_sent, request);
}

static void end_when_all_left(struct http *http)
{
    if (atomic_load(&http->is_stopping) && !http->held)
        event_base_loopexit(http->base, http->leaving ? &parting : NULL);
}

/* Its answer was taken, or nobody is there to take it. */
static void leave(struct request *request)
{
    struct http *http = request->listener->http;

    http->leaving--;
    request_free(request);
    end_when_all_left(http);
}

static void on_sent(struct evhttp_request *evhttp, void *argument)
{
    struct request *request = argument;
    struct bufferevent *stream = evhttp_connection_get_bufferevent(request->connection);

    evhttp_connection_set_closecb(request->connection, NULL, NULL);
    deadlines_answered(request->listener->http->deadlines, stream);
    /* evhttp leaves these open, whatever the answer says. */
    if (evhttp_request_get_command(evhttp) == EVHTTP_REQ_CONNECT)
        shutdown(bufferevent_getfd(stream), SHUT_RDWR);
    leave(request);
}

static void on_lost(struct evhttp_connection *connection, void *argument)
{
    (void)connection;
    leave(argument);
}

/* From here on REQUEST ends with its last octet, or with its connection. */
static void send_end(struct request *request)
{
    struct http *http = request->listener->http;
    bool is_gone = !request->connection;

    DL_DELETE2(http->held, request, held_before, held_after);
    http->leaving++;
    if (!is_gone) {
        evhttp_connection_set_closecb(request->connection, on_lost, request);
        evhttp_request_set_on_complete_cb(request->evhttp, on_sent, request);
    }
    if (request->is_streamed) {
        send_part(request, request->out);
        evhttp_send_reply_end(request->evhttp);
    } else {
        copy_headers(request);
        evhttp_send_reply(request->evhttp, request->status, NULL, request->out);
    }
    if (is_gone)
        leave(request);
}

static struct request *take_answer(struct http *http)
{
    struct request *request;

    pthread_mutex_lock(&http->mutex);
    request = http->inbox;
    if (request)
        http->inbox = request->next;
    if (!http->inbox)
        http->inbox_end = &http->inbox;
    pthread_mutex_unlock(&http->mutex);
    return request;
}

static void send_flushed(struct request *request)
{
    send_part(request, request->out);
    pthread_mutex_lock(&request->mutex);
    request->is_flushing = false;
    pthread_cond_signal(&request->changed);
    pthread_mutex_unlock(&request->mutex);
}

static void on_wake(evutil_socket_t fd, short what, void *argument)
{
    struct http *http = argument;
    struct request *request;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof count) < 0)
        return;
    while ((request = take_answer(http)) != NULL) {
        if (request->has_ended)
            send_end(request);
        else
            send_flushed(request);
    }
    if (!atomic_load(&http->is_stopping))
        return;
    DL_FOREACH2(http->held, request, held_after)
    {
        give_up(request);
    }
    end_when_all_left(http);
}

static void wake(struct http *http)
{
    uint64_t one = 1;

    if (write(http->wake_fd, &one, sizeof one) < 0)
        log_error("HTTP: the event loop cannot be woken");
}

/* ---- workers ---- */

static void post(struct request *request)
{
    struct http *http = request->listener->http;

    request->next = NULL;
    pthread_mutex_lock(&http->mutex);
    *http->inbox_end = request;
    http->inbox_end = &request->next;
    pthread_mutex_unlock(&http->mutex);
    wake(http);
}

void http_end(struct request *request)
{
    request->has_ended = true;
    post(request);
}

/* Wait until the client has taken enough of what is under way; false when it takes too little for too long.
 */
static bool wait_for_client(struct request *request)
{
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TIMEOUT_S;
    workers_wait_begins(request->admin->workers);
    pthread_mutex_lock(&request->mutex);
    while (request->unsent > UNSENT_MAX && !request->is_gone && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&request->changed, &request->mutex, &until);
    pthread_mutex_unlock(&request->mutex);
    workers_wait_ends(request->admin->workers);
    return error != ETIMEDOUT;
}

bool http_flush(struct request *request)
{
    bool is_slow, is_gone;

    request->is_streamed = true;
    pthread_mutex_lock(&request->mutex);
    request->is_flushing = true;
    request->unsent += evbuffer_get_length(request->out);
    pthread_mutex_unlock(&request->mutex);
    post(request);
    pthread_mutex_lock(&request->mutex);
    while (request->is_flushing)
        pthread_cond_wait(&request->changed, &request->mutex);
    is_gone = request->is_gone;
    is_slow = request->unsent > UNSENT_MAX;
    pthread_mutex_unlock(&request->mutex);
    if (is_slow && !is_gone)
        return wait_for_client(request);
    return !is_gone;
}

/* ---- the thread ---- */

static void on_request(struct evhttp_request *evhttp, void *argument)
{
    struct http_listener *listener = argument;
    struct request *request = request_new(listener, evhttp);

    deadlines_met(listener->http->deadlines, evhttp_connection_get_bufferevent(request->connection));
    evhttp_connection_set_closecb(request->connection, on_close, request);
    DL_APPEND2(listener->http->held, request, held_before, held_after);
    if (!atomic_load(&listener->http->is_stopping) && workers_take(request->admin->workers, request))
        return;
    request->status = 503;
    request->has_ended = true;
    send_end(request);
}

/* ---- accepting ---- */

static const struct {
    unsigned kept;
    const char *whom;
} accepting_of[] = {
    [HTTP_API] = {DESCRIPTORS_KEPT_BY_HTTP, " clients of the HTTP API"},
    [HTTP_CONTROL] = {DESCRIPTORS_KEPT_BY_CONTROL, " at the control socket"},
    [HTTP_METRICS] = {DESCRIPTORS_KEPT_BY_HTTP, " clients of the metrics"},
};

/* evhttp has accepted a socket, and asks what shall speak on it; NULL: what it makes itself. */
static struct bufferevent *on_accepted(struct event_base *base, void *argument)
{
    struct http_listener *listener = argument;
    struct bufferevent *stream;

    accept_pause_accepted(&listener->pause, -1);
    stream = listener->https ? https_accept(base, listener->https)
                             : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!stream)
        return NULL;
    bufferevent_setwatermark(stream, EV_READ, 0,
                             HEADERS_SIZE_MAX + listener->http->admin->config->management_body_max);
    deadlines_begin(listener->http->deadlines, stream);
    return stream;
}

/* Whose thread this is: evhttp has taken the place of the callback's own argument. */
static _Thread_local struct http *this_thread;

static void on_accept_error(struct evconnlistener *accepting, void *evhttp)
{
    int error = errno;
    struct http_listener *listener;

    (void)evhttp;
    LL_FOREACH (this_thread->listeners, listener)
        if (listener->pause.accepting == accepting)
            accept_pause_failed(&listener->pause, error);
}

struct event_base *http_base(const struct http *http)
{
    return http->base;
}

struct http *http_new(struct admin *admin)
{
    struct http *http = xcalloc(1, sizeof *http);

    http->admin = admin;
    http->inbox_end = &http->inbox;
    pthread_mutex_init(&http->mutex, NULL);
    http->base = event_base_new();
    http->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (http->base && http->wake_fd >= 0) {
        http->wake = event_new(http->base, http->wake_fd, EV_READ | EV_PERSIST, on_wake, http);
        http->deadlines = deadlines_new(http->base, TIMEOUT_S);
    }
    if (!http->wake || !http->deadlines || event_add(http->wake, NULL) < 0) {
        http_free(http);
        return NULL;
    }
    return http;
}

static void listener_free(struct http_listener *listener)
{
    accept_pause_free(&listener->pause);
    evhttp_free(listener->evhttp);
    https_free(listener->https);
    if (listener->path)
        unlink(listener->path);
    free(listener->path);
    free(listener);
}

void http_free(struct http *http)
{
    struct http_listener *listener, *next;

    if (!http)
        return;
    LL_FOREACH_SAFE (http->listeners, listener, next)
        listener_free(listener);
    if (http->base)
        event_base_loop(http->base, EVLOOP_NONBLOCK); /* what of streams is left to the loop, is done */
    deadlines_free(http->deadlines);
    if (http->wake)
        event_free(http->wake);
    if (http->wake_fd >= 0)
        close(http->wake_fd);
    if (http->base)
        event_base_free(http->base);
    pthread_mutex_destroy(&http->mutex);
    free(http);
}

bool http_listen(struct http *http, enum http_kind kind, int fd, const char *path, struct https *https)
{
    struct http_listener *listener = xcalloc(1, sizeof *listener);

    listener->http = http;
    listener->kind = kind;
    listener->evhttp = evhttp_new(http->base);
    listener->path = path ? xstrdup(path) : NULL;
    listener->https = https;
    if (!listener->evhttp)
        return false;
    evhttp_set_max_headers_size(listener->evhttp, HEADERS_SIZE_MAX);
    evhttp_set_max_body_size(listener->evhttp, (ev_ssize_t)http->admin->config->management_body_max);
    evhttp_set_timeout(listener->evhttp, TIMEOUT_S);
    evhttp_set_allowed_methods(listener->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
                                                     EVHTTP_REQ_POST | EVHTTP_REQ_DELETE |
                                                     EVHTTP_REQ_OPTIONS | EVHTTP_REQ_CONNECT);
    evhttp_set_gencb(listener->evhttp, on_request, listener);
    evhttp_set_bevcb(listener->evhttp, on_accepted, listener);
    accept_pause_init(&listener->pause, http->base, accepting_of[kind].kept, accepting_of[kind].whom);
    listener->bound = evhttp_accept_socket_with_handle(listener->evhttp, fd);
    LL_APPEND(http->listeners, listener);
    if (!listener->bound)
        return false;
    accept_pause_watch(&listener->pause, evhttp_bound_socket_get_listener(listener->bound));
    evconnlistener_set_error_cb(listener->pause.accepting, on_accept_error);
    return true;
}

void http_print(const struct http *http)
{
    static const char *const names[] = {
        [HTTP_API] = "http", [HTTP_CONTROL] = "control", [HTTP_METRICS] = "metrics"};
    struct http_listener *listener;
    char address[SOCKET_TEXT_SIZE];

    LL_FOREACH (http->listeners, listener) {
        if (listener->path || socket_text(evhttp_bound_socket_get_fd(listener->bound), address))
            printf("listening %s%s %s\n", names[listener->kind], listener->https ? "s" : "",
                   listener->path ? listener->path : address);
    }
}

void http_show_listeners(const struct http *http,
                         void (*show)(void *context, enum http_kind kind,
                                      const struct node_listener *listener),
                         void *context)
{
    const struct http_listener *listener;

    LL_FOREACH (http->listeners, listener) {
        char host[SOCKET_HOST_SIZE] = "";
        uint16_t port = 0;

        if (listener->path || socket_address(evhttp_bound_socket_get_fd(listener->bound), host, &port))
            show(context, listener->kind,
                 &(struct node_listener){
                     .ip = host, .port = port, .path = listener->path, .is_tls = listener->https != NULL});
    }
}

static void *run(void *argument)
{
    struct http *http = argument;

    pthread_setname_np(pthread_self(), "coney-http");
    this_thread = http;
    event_base_dispatch(http->base);
    return NULL;
}

bool http_start(struct http *http)
{
    http->is_started = pthread_create(&http->thread, NULL, run, http) == 0;
    return http->is_started;
}

void http_stop(struct http *http)
{
    if (!http->is_started)
        return;
    atomic_store(&http->is_stopping, true);
    wake(http);
    pthread_join(http->thread, NULL);
    http->is_started = false;
}
