/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h. Everything is the thread's own but what stands under `mutex`: the sockets that were accepted and not
 * taken yet, and a configuration to be read. `wake` tells it of either.
 *
 * A handshake begins with the client's first octets: until then it is a descriptor in a list. Those that have
 * begun are HANDSHAKES_MAX at most; the others wait for their turn, and all of them for their deadline, which
 * comes in order of arrival. While others wait, one that has begun and whose client then says nothing for
 * SILENCE_MS is given up: otherwise a few hundred strangers who say half of what they should could keep
 * everybody else out.
 */
#define LOG_CATEGORY LOG_CATEGORY_CONNECTION
#include "tls.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/config.h"
#include "coney/log.h"
#include "coney/nicer.h"
#include "coney/tls_files.h"
#include "coney/xalloc.h"
#include "server/server.h"
#include "tls_failure.h"
#include "tls_tickets.h"

#define HANDSHAKES_MAX 512  /* some tens of KiB each */
#define SILENCE_MS     1000 /* after which one that has begun gives its place to one that waits */
#define NICENESS       10   /* who is in goes before who comes */
#define WATCH_S        1
#define TLS_HANDSHAKE  22 /* the first octet of a record with a ClientHello (RFC 8446, 5.1) */

struct handshake {
    struct handshake *prev, *next;           /* tls->all, or tls->accepted */
    struct handshake *wait_prev, *wait_next; /* tls->waiting, or tls->begun */
    struct tls *owner;
    int fd;
    struct peer peer;
    bool is_waiting;               /* on tls->waiting: it has octets, and has not begun */
    struct tls_contexts *contexts; /* those that it began with */
    SSL *ssl;                      /* NULL: it has not begun */
    struct event *readable, *writable;
    uint64_t deadline_ns;
    uint64_t heard_ns; /* when it went on last */
};

struct tls {
    struct server *server;
    struct {
        _Atomic uint64_t handshakes, failures, by_kernel, reloads, failed_reloads;
        _Atomic int64_t expiry;
    } counters;

    pthread_mutex_t mutex;
    struct handshake *accepted; /* DL list */
    struct config_tls *asked;   /* to be read; NULL: nothing was asked */
    bool is_stopping;

    int wake_fd;
    bool is_started;
    pthread_t thread;

    /* The thread's. */
    struct event_base *base;
    struct event *wake, *watch, *sweep, *room;
    struct config_tls *config;
    struct tls_contexts *contexts;
    uint64_t files;            /* tls_files_state() when they were read last, */
    uint64_t files_seen;       /* and when they were looked at last */
    struct handshake *all;     /* DL list, by deadline */
    struct handshake *waiting; /* DL list, by arrival of their first octets */
    struct handshake *begun;   /* DL list, by heard_ns */
    unsigned begun_count;
};

/* ---- the log ---- */

static void log_failure(const struct handshake *handshake)
{
    long verified = SSL_get_verify_result(handshake->ssl);
    char peer[PEER_TEXT_SIZE];
    bool is_ours;
    const char *reason = tls_failure(&is_ours);

    peer_text(&handshake->peer, peer);
    if (is_ours)
        log_error("TLS handshake with %s failed: %s", peer, reason);
    else
        log_info("TLS handshake with %s failed: %s%s%s", peer, reason ? reason : "the connection was closed",
                 verified == X509_V_OK ? "" : ": ",
                 verified == X509_V_OK ? "" : X509_verify_cert_error_string(verified));
}

static void log_no_beginning(const struct handshake *handshake)
{
    char peer[PEER_TEXT_SIZE];

    log_error("TLS handshake with %s cannot begin: there is no memory", peer_text(&handshake->peer, peer));
}

/* ---- the end of a handshake ---- */

static void resume_waiting(struct tls *tls);

static void free_events(struct handshake *handshake)
{
    if (handshake->readable)
        event_free(handshake->readable);
    if (handshake->writable)
        event_free(handshake->writable);
}

/* Take it out of everything, and free it; what it led to is the caller's. */
static void forget(struct handshake *handshake)
{
    struct tls *tls = handshake->owner;

    free_events(handshake);
    DL_DELETE(tls->all, handshake);
    if (handshake->is_waiting)
        DL_DELETE2(tls->waiting, handshake, wait_prev, wait_next);
    if (handshake->contexts) {
        DL_DELETE2(tls->begun, handshake, wait_prev, wait_next);
        tls->begun_count--;
    }
    tls_contexts_leave(handshake->contexts);
    free(handshake);
    resume_waiting(tls);
}

static void fail(struct handshake *handshake)
{
    int fd = handshake->fd;

    SSL_free(handshake->ssl);
    atomic_fetch_add_explicit(&handshake->owner->counters.failures, 1, memory_order_relaxed);
    forget(handshake);
    close(fd); /* last: its events leave epoll by this number, which may be another's from here on */
}

static void succeed(struct handshake *handshake)
{
    struct tls *tls = handshake->owner;
    SSL *ssl = handshake->ssl;
    int fd = handshake->fd;
    struct peer peer = handshake->peer;
    bool by_kernel = BIO_get_ktls_send(SSL_get_wbio(ssl));

    log_debug("TLS handshake done: %s, %s%s%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl),
              by_kernel ? ", encrypted by the kernel" : "", SSL_session_reused(ssl) ? ", resumed" : "");
    atomic_fetch_add_explicit(&tls->counters.handshakes, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&tls->counters.by_kernel, by_kernel, memory_order_relaxed);
    forget(handshake);
    server_secured(tls->server, stream_secured(fd, ssl), &peer);
}

/* ---- a handshake under way ---- */

/* Its client has said something. */
static void note_heard(struct handshake *handshake)
{
    struct tls *tls = handshake->owner;

    handshake->heard_ns = clock_ns();
    DL_DELETE2(tls->begun, handshake, wait_prev, wait_next);
    DL_APPEND2(tls->begun, handshake, wait_prev, wait_next);
}

static void go_on(struct handshake *handshake)
{
    int result;

    note_heard(handshake);
    ERR_clear_error();
    result = SSL_accept(handshake->ssl);
    if (result == 1) {
        succeed(handshake);
        return;
    }
    switch (SSL_get_error(handshake->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        event_del(handshake->writable);
        event_add(handshake->readable, NULL);
        break;
    case SSL_ERROR_WANT_WRITE:
        event_del(handshake->readable);
        event_add(handshake->writable, NULL);
        break;
    default:
        log_failure(handshake);
        fail(handshake);
    }
}

static void begin(struct handshake *handshake)
{
    struct tls *tls = handshake->owner;

    tls->begun_count++;
    DL_APPEND2(tls->begun, handshake, wait_prev, wait_next);
    handshake->contexts = tls_contexts_enter(tls->contexts);
    handshake->ssl = SSL_new(tls_contexts_first(tls->contexts));
    if (!handshake->ssl || SSL_set_fd(handshake->ssl, handshake->fd) != 1) {
        log_no_beginning(handshake);
        fail(handshake);
        return;
    }
    go_on(handshake);
}

/* What has come is not TLS: say what it is, for who looks at the log. What is not read makes a reset of the
 * close, which the client may see instead of the end. */
static void log_stranger(const struct handshake *handshake)
{
    static const struct {
        const char *begin, *text;
    } known[] = {{"AMQP", " (a plain AMQP client?)"}, {"GET ", " (an HTTP client?)"},
                 {"HEAD ", " (an HTTP client?)"},     {"POST ", " (an HTTP client?)"},
                 {"PUT ", " (an HTTP client?)"},      {"PROXY ", " (a PROXY header?)"}};
    char text[4096] = "", peer[PEER_TEXT_SIZE];
    const char *guess = "";

    if (recv(handshake->fd, text, sizeof text, 0) <= 0)
        return;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(text, known[i].begin, strlen(known[i].begin)) == 0)
            guess = known[i].text;
    log_info("closing connection from %s: not TLS, on a TLS port%s", peer_text(&handshake->peer, peer),
             guess);
}

/* Has its client kept silent? What it has said may also be unheard yet. */
static bool is_silent(const struct handshake *handshake)
{
    char octet;

    return recv(handshake->fd, &octet, 1, MSG_PEEK) < 0;
}

static void arm_room(struct tls *tls)
{
    static const struct timeval after = {.tv_usec = 100000};

    if (!event_pending(tls->room, EV_TIMEOUT, NULL))
        event_add(tls->room, &after);
}

/* Make room for those that wait. */
static void on_room(evutil_socket_t fd, short what, void *arg)
{
    struct tls *tls = arg;
    struct handshake *handshake, *next;
    uint64_t silent_since = clock_ns() - SILENCE_MS * UINT64_C(1000000);
    char peer[PEER_TEXT_SIZE];

    (void)fd;
    (void)what;
    for (handshake = tls->begun; handshake && tls->waiting && handshake->heard_ns <= silent_since;
         handshake = next) {
        next = handshake->wait_next;
        if (!is_silent(handshake))
            continue;
        log_info("TLS handshake with %s given up: it said nothing for %d ms, and others wait",
                 peer_text(&handshake->peer, peer), SILENCE_MS);
        fail(handshake);
    }
    if (tls->waiting)
        arm_room(tls);
}

static void wait_for_turn(struct handshake *handshake)
{
    event_del(handshake->readable);
    handshake->is_waiting = true;
    DL_APPEND2(handshake->owner->waiting, handshake, wait_prev, wait_next);
    arm_room(handshake->owner);
}

static void on_first_octets(struct handshake *handshake)
{
    uint8_t first;
    ssize_t n = recv(handshake->fd, &first, 1, MSG_PEEK);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n != 1 || first != TLS_HANDSHAKE) {
        log_stranger(handshake);
        fail(handshake);
    } else if (handshake->owner->begun_count >= HANDSHAKES_MAX) {
        wait_for_turn(handshake);
    } else {
        begin(handshake);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct handshake *handshake = arg;

    (void)fd;
    (void)what;
    if (handshake->ssl)
        go_on(handshake);
    else
        on_first_octets(handshake);
}

/* There may be room for the first of those that wait. It goes on from the event loop, not from here: who
 * calls is in the middle of another. */
static void resume_waiting(struct tls *tls)
{
    struct handshake *handshake = tls->waiting;

    if (!handshake || tls->begun_count >= HANDSHAKES_MAX)
        return;
    DL_DELETE2(tls->waiting, handshake, wait_prev, wait_next);
    handshake->is_waiting = false;
    event_add(handshake->readable, NULL);
}

static void arm_sweep(struct tls *tls, uint64_t deadline_ns, uint64_t now_ns)
{
    uint64_t wait_us = deadline_ns > now_ns ? (deadline_ns - now_ns) / 1000 + 1 : 0;
    struct timeval after = {.tv_sec = (time_t)(wait_us / 1000000),
                            .tv_usec = (suseconds_t)(wait_us % 1000000)};

    event_add(tls->sweep, &after);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct tls *tls = arg;
    struct handshake *handshake, *next;
    uint64_t now = clock_ns();
    char peer[PEER_TEXT_SIZE];

    (void)fd;
    (void)what;
    DL_FOREACH_SAFE (tls->all, handshake, next) {
        if (handshake->deadline_ns > now)
            break;
        log_info("TLS handshake with %s took too long", peer_text(&handshake->peer, peer));
        fail(handshake);
    }
    if (handshake)
        arm_sweep(tls, handshake->deadline_ns, now);
}

static void take(struct tls *tls, struct handshake *handshake)
{
    DL_APPEND(tls->all, handshake);
    handshake->readable = event_new(tls->base, handshake->fd, EV_READ | EV_PERSIST, on_event, handshake);
    handshake->writable = event_new(tls->base, handshake->fd, EV_WRITE | EV_PERSIST, on_event, handshake);
    if (!handshake->readable || !handshake->writable || event_add(handshake->readable, NULL) != 0) {
        log_no_beginning(handshake);
        fail(handshake);
    } else if (!event_pending(tls->sweep, EV_TIMEOUT, NULL))
        arm_sweep(tls, handshake->deadline_ns, clock_ns());
}

/* ---- certificates ---- */

static void say_expiry(const struct tls_contexts *contexts)
{
    int64_t left = tls_contexts_expiry(contexts) - time(NULL);

    if (left < 0)
        log_warning("a TLS certificate in service has expired");
    else if (left < INT64_C(30) * 86400)
        log_warning("a TLS certificate in service expires in %lld days", (long long)(left / 86400));
}

/* Only the thread replaces them, and so reads them without the mutex. */
static void replace_contexts(struct tls *tls, struct tls_contexts *contexts)
{
    struct tls_contexts *before = tls->contexts;

    pthread_mutex_lock(&tls->mutex);
    tls->contexts = contexts;
    pthread_mutex_unlock(&tls->mutex);
    tls_contexts_leave(before);
}

static void read_files(struct tls *tls, struct config_tls *config)
{
    char why[TLS_WHY_SIZE];
    uint64_t files = tls_files_state(config);
    struct tls_contexts *contexts = tls_contexts_new(config, why);

    if (config != tls->config) {
        tls_config_free(tls->config);
        tls->config = config;
    }
    tls->files = tls->files_seen = files;
    if (!contexts) {
        atomic_fetch_add_explicit(&tls->counters.failed_reloads, 1, memory_order_relaxed);
        log_error("TLS certificates stay as they were: %s", why);
        return;
    }
    replace_contexts(tls, contexts);
    atomic_store_explicit(&tls->counters.expiry, tls_contexts_expiry(contexts), memory_order_relaxed);
    atomic_fetch_add_explicit(&tls->counters.reloads, 1, memory_order_relaxed);
    log_info("TLS certificates were read anew");
    say_expiry(contexts);
}

/* Read files that have changed once they change no more: they are replaced one after the other. */
static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct tls *tls = arg;
    struct tls_tickets *tickets = tls_contexts_tickets(tls->contexts);
    uint64_t before = tls->files_seen;

    (void)fd;
    (void)what;
    if (tickets)
        tls_tickets_tend(tickets);
    tls->files_seen = tls_files_state(tls->config);
    if (tls->files_seen != tls->files && tls->files_seen == before)
        read_files(tls, tls->config);
}

/* ---- the thread ---- */

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct tls *tls = arg;
    struct handshake *accepted, *handshake, *next;
    struct config_tls *asked;
    uint64_t count;
    bool is_stopping;

    (void)what;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        abort();
    pthread_mutex_lock(&tls->mutex);
    accepted = tls->accepted;
    tls->accepted = NULL;
    asked = tls->asked;
    tls->asked = NULL;
    is_stopping = tls->is_stopping;
    pthread_mutex_unlock(&tls->mutex);
    if (asked)
        read_files(tls, asked);
    DL_FOREACH_SAFE (accepted, handshake, next)
        take(tls, handshake);
    if (is_stopping)
        event_base_loopbreak(tls->base);
}

static void *run(void *arg)
{
    struct tls *tls = arg;
    struct handshake *handshake, *next;

    pthread_setname_np(pthread_self(), "coney-tls");
    be_nicer(NICENESS);
    event_base_loop(tls->base, EVLOOP_NO_EXIT_ON_EMPTY);
    DL_FOREACH_SAFE (tls->all, handshake, next)
        fail(handshake);
    return NULL;
}

static void wake(struct tls *tls)
{
    uint64_t one = 1;

    if (write(tls->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        abort();
}

/* ---- from others ---- */

static bool make_base(struct tls *tls)
{
    tls->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    tls->base = event_base_new();
    if (tls->wake_fd < 0 || !tls->base)
        return false;
    tls->wake = event_new(tls->base, tls->wake_fd, EV_READ | EV_PERSIST, on_wake, tls);
    tls->watch = event_new(tls->base, -1, EV_PERSIST, on_watch, tls);
    tls->sweep = event_new(tls->base, -1, 0, on_sweep, tls);
    tls->room = event_new(tls->base, -1, 0, on_room, tls);
    return tls->wake && tls->watch && tls->sweep && tls->room;
}

struct tls *tls_new(struct server *server, const struct config_tls *config, char why[TLS_WHY_SIZE])
{
    struct tls *tls = xcalloc(1, sizeof *tls);

    tls->server = server;
    pthread_mutex_init(&tls->mutex, NULL);
    tls->config = tls_config_copy(config);
    tls->files = tls->files_seen = tls_files_state(config);
    tls->contexts = tls_contexts_new(config, why);
    if (tls->contexts && !make_base(tls)) {
        snprintf(why, TLS_WHY_SIZE, "the system refuses what TLS needs: %s", strerror(errno));
        tls_contexts_leave(tls->contexts);
        tls->contexts = NULL;
    }
    if (!tls->contexts) {
        tls_free(tls);
        return NULL;
    }
    atomic_store(&tls->counters.expiry, tls_contexts_expiry(tls->contexts));
    say_expiry(tls->contexts);
    return tls;
}

bool tls_start(struct tls *tls)
{
    static const struct timeval watch_every = {.tv_sec = WATCH_S};

    event_add(tls->wake, NULL);
    event_add(tls->watch, &watch_every);
    tls->is_started = pthread_create(&tls->thread, NULL, run, tls) == 0;
    return tls->is_started;
}

void tls_stop(struct tls *tls)
{
    if (!tls->is_started)
        return;
    pthread_mutex_lock(&tls->mutex);
    tls->is_stopping = true;
    pthread_mutex_unlock(&tls->mutex);
    wake(tls);
    pthread_join(tls->thread, NULL);
    tls->is_started = false;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

void tls_free(struct tls *tls)
{
    struct handshake *handshake, *next;

    if (!tls)
        return;
    DL_FOREACH_SAFE (tls->accepted, handshake, next) { /* came after the thread's end */
        close(handshake->fd);
        free(handshake);
    }
    free_event(tls->wake);
    free_event(tls->watch);
    free_event(tls->sweep);
    free_event(tls->room);
    if (tls->base)
        event_base_free(tls->base);
    if (tls->wake_fd > 0)
        close(tls->wake_fd);
    tls_contexts_leave(tls->contexts);
    tls_config_free(tls->config);
    tls_config_free(tls->asked);
    pthread_mutex_destroy(&tls->mutex);
    free(tls);
}

void tls_accepted(struct tls *tls, int fd, const struct peer *peer, uint64_t timeout_ms)
{
    struct handshake *handshake = xcalloc(1, sizeof *handshake);
    bool is_first;

    handshake->owner = tls;
    handshake->fd = fd;
    handshake->peer = *peer;
    handshake->deadline_ns = clock_ns() + timeout_ms * 1000000;
    pthread_mutex_lock(&tls->mutex);
    is_first = !tls->accepted;
    DL_APPEND(tls->accepted, handshake);
    pthread_mutex_unlock(&tls->mutex);
    if (is_first) /* else the thread was told, and has not come yet */
        wake(tls);
}

void tls_reload(struct tls *tls, const struct config_tls *config)
{
    struct config_tls *before, *copy = tls_config_copy(config);

    pthread_mutex_lock(&tls->mutex);
    before = tls->asked;
    tls->asked = copy;
    pthread_mutex_unlock(&tls->mutex);
    tls_config_free(before);
    wake(tls);
}

struct tls_counters tls_counters(struct tls *tls)
{
    return (struct tls_counters){atomic_load_explicit(&tls->counters.handshakes, memory_order_relaxed),
                                 atomic_load_explicit(&tls->counters.failures, memory_order_relaxed),
                                 atomic_load_explicit(&tls->counters.by_kernel, memory_order_relaxed),
                                 atomic_load_explicit(&tls->counters.reloads, memory_order_relaxed),
                                 atomic_load_explicit(&tls->counters.failed_reloads, memory_order_relaxed),
                                 atomic_load_explicit(&tls->counters.expiry, memory_order_relaxed)};
}

void tls_certificates(struct tls *tls, void (*show)(void *context, const struct tls_certificate *certificate),
                      void *context)
{
    const struct tls_certificate *certificates;
    size_t count;

    pthread_mutex_lock(&tls->mutex);
    certificates = tls_contexts_certificates(tls->contexts, &count);
    for (size_t i = 0; i < count; i++)
        show(context, &certificates[i]);
    pthread_mutex_unlock(&tls->mutex);
}
