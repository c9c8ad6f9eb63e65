/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request, from its arrival to the last octet of its answer.
 *
 *     HTTP thread            worker
 *     request_new() ───────► router_run(): reads the request, answers
 *     sends  ◄────────────── http_end(), or http_flush() for a part of what is long
 *     frees it when its answer was taken or its client is gone
 *
 * It belongs to the worker between the two; only what stands below `mutex` is shared. A worker may wait (for
 * a vhost, for a slow client); it writes JSON or text into `out` and never sees a socket.
 */
#ifndef ADMIN_REQUEST_H
#define ADMIN_REQUEST_H

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "coney/auth.h"
#include "coney/users.h"

struct admin;
struct http_listener;
struct server;

enum verb { VERB_GET, VERB_PUT, VERB_POST, VERB_DELETE, VERB_OPTIONS, VERB_COUNT };

/* Segments of a path below the prefix: "/api/queues/%2F/a" has api, queues, / and a. */
#define SEGMENTS_MAX 12

struct request {
    struct request *next; /* of a list: of those that wait for a worker, of those that go back */
    struct admin *admin;
    struct server *server;
    struct http_listener *listener;

    /* what was asked */
    enum verb verb; /* HEAD is GET */
    char *path;     /* as it came, without the query */
    char *segments[SEGMENTS_MAX];
    size_t sizes[SEGMENTS_MAX]; /* of the segments, which may have NUL octets in them */
    unsigned segment_count;
    struct evkeyvalq query;
    struct bytes body; /* owned */
    json_t *json;      /* of the body, once request_json() has parsed it */
    char *authorization, *reason, *origin, *content_type;
    char *accept_encoding, *if_none_match, *host; /* owned, as those above; NULL: none */
    char peer[64];
    bool is_loopback;
    bool is_trusted; /* by its credentials on the control socket */

    /* who asks */
    struct user_info user; /* name NULL: nobody yet */

    /* the answer */
    int status; /* 0: none yet */
    struct evkeyvalq headers;
    struct evbuffer *out;
    bool is_streamed; /* a first part was sent */

    /* the HTTP thread's */
    struct request *held_before, *held_after; /* of those that workers have */
    struct evhttp_request *evhttp;
    struct evhttp_connection *connection; /* NULL: gone */
    bool has_begun;

    bool has_ended; /* the answer is complete: the worker's, then read by the HTTP thread */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_flushing; /* `out` is the HTTP thread's for a moment */
    size_t unsent;    /* octets that the client has not taken yet */
    bool is_gone;     /* its client, or soon the thread */
};

/* ---- what was asked ---- */

/* The segment at INDEX as bytes. */
struct bytes request_segment(const struct request *request, unsigned index);

/* The value of the query's NAME; NULL when it is not there. */
const char *request_query(const struct request *request, const char *name);

/* Whether the query's NAME is there and true. */
bool request_query_is_true(const struct request *request, const char *name);

/* The body, which must be a JSON object or empty; NULL after answering 400. Borrowed. */
json_t *request_json(struct request *request);

/* ---- the answer: one of these ---- */

/* STATUS without a body. */
void reply_empty(struct request *request, int status);

/* STATUS with JSON, which is taken over. */
void reply_json(struct request *request, int status, json_t *json);

/* One thing: 200 with the columns of ROW, which is taken over, that the query asks for; 404 when ROW is NULL.
 */
void reply_row(struct request *request, json_t *row);

/* {"error": ERROR, "reason": ...}. */
void reply_error(struct request *request, int status, const char *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What RabbitMQ says most: 400 bad_request with a reason; 404 Object Not Found; 401. */
void reply_bad_request(struct request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reply_not_found(struct request *request);
void reply_refused(struct request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 503: the server stops. */
void reply_stopping(struct request *request);

/* One more header of the answer. */
void reply_header(struct request *request, const char *name, const char *value);

/* A long answer: begin it with STATUS and its type, write to request->out and call reply_part() now and then,
 * which may wait until the client has taken some of it. False: it has gone, so stop. */
void reply_begin(struct request *request, int status, const char *content_type);
bool reply_part(struct request *request);

#endif
