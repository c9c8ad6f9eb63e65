/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP side: evhttp on a loop and a thread of its own. It reads requests, hands them to the workers, and
 * sends what they answer.
 *
 * A request is this thread's while it is read and sent. Of one whose connection is gone evhttp keeps its own
 * half, without a connection, until the answer, which goes nowhere, is at its end.
 */
#ifndef ADMIN_HTTP_H
#define ADMIN_HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct admin;
struct event_base;
struct http;
struct https;
struct node_listener;
struct request;

enum http_kind {
    HTTP_API,
    HTTP_CONTROL, /* the API on a UNIX socket, where peers' credentials count */
    HTTP_METRICS,
};

/* A loop without listeners; NULL when the system refuses. */
struct http *http_new(struct admin *admin);
void http_free(struct http *http);

/* Listen on FD, which is taken over, for KIND. PATH: of a UNIX socket, removed in the end; else NULL. With
 * HTTPS, which is taken over too, it speaks TLS. */
bool http_listen(struct http *http, enum http_kind kind, int fd, const char *path, struct https *https);

/* The loop, for those who wait on it. */
struct event_base *http_base(const struct http *http);

/* Print "listening ..." for each listener. */
void http_print(const struct http *http);

/* Show each listener. */
void http_show_listeners(const struct http *http,
                         void (*show)(void *context, enum http_kind kind,
                                      const struct node_listener *listener),
                         void *context);

bool http_start(struct http *http);

/* Answer no more than what was asked, cut long answers short, and end the thread. */
void http_stop(struct http *http);

/* What kind of listener REQUEST came by. */
enum http_kind http_kind(const struct request *request);

/* ---- workers ---- */

/* REQUEST's answer is complete; it is not the worker's any more. */
void http_end(struct request *request);

/* What is in request->out goes; waits while too much is on its way. False: the client is gone, or takes next
 * to nothing, so the rest need not be written. */
bool http_flush(struct request *request);

#endif
