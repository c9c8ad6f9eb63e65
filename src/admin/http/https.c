/* SPDX-License-Identifier: Apache-2.0 */
/* https.h. */
#include "https.h"

#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/log.h"
#include "coney/tls_context.h"
#include "coney/tls_files.h"
#include "coney/xalloc.h"

#define WATCH_S 5

struct https {
    struct config_tls *config; /* a copy */
    struct tls_contexts *contexts;
    uint64_t files, files_seen; /* tls_files_state() when they were read, and when they were looked at last */
    struct event *watch;
};

/* Read files that have changed once they change no more: they are replaced one after the other. */
static void on_watch(evutil_socket_t fd, short what, void *argument)
{
    struct https *https = argument;
    struct tls_contexts *contexts;
    uint64_t before = https->files_seen;
    char why[TLS_WHY_SIZE];

    (void)fd;
    (void)what;
    https->files_seen = tls_files_state(https->config);
    if (https->files_seen == https->files || https->files_seen != before)
        return;
    https->files = https->files_seen;
    contexts = tls_contexts_new(https->config, why);
    if (!contexts) {
        log_error("HTTPS: certificates stay as they were: %s", why);
        return;
    }
    tls_contexts_leave(https->contexts);
    https->contexts = contexts;
    log_info("HTTPS: certificates were read anew");
}

struct https *https_new(struct event_base *base, const struct config_tls *config, char *why, size_t why_size)
{
    static const struct timeval often = {.tv_sec = WATCH_S};
    struct https *https = xcalloc(1, sizeof *https);
    char reason[TLS_WHY_SIZE];

    https->config = tls_config_copy(config);
    https->files = https->files_seen = tls_files_state(config);
    https->contexts = tls_contexts_new(config, reason);
    if (!https->contexts) {
        snprintf(why, why_size, "%s", reason);
        https_free(https);
        return NULL;
    }
    https->watch = event_new(base, -1, EV_PERSIST, on_watch, https);
    event_add(https->watch, &often);
    return https;
}

void https_free(struct https *https)
{
    if (!https)
        return;
    if (https->watch)
        event_free(https->watch);
    tls_contexts_leave(https->contexts);
    tls_config_free(https->config);
    free(https);
}

struct bufferevent *https_accept(struct event_base *base, void *https)
{
    const struct https *from = https;
    struct bufferevent *stream;
    SSL *tls = SSL_new(tls_contexts_first(from->contexts));

    if (!tls)
        return NULL;
    /* What OpenSSL has read ahead libevent would wait for. */
    SSL_set_read_ahead(tls, 0);
    stream = bufferevent_openssl_socket_new(base, -1, tls, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (stream)
        bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
    else
        SSL_free(tls);
    return stream;
}
