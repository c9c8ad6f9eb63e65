/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the clients' sessions, and closing them, for whoever administers. What a connection is stands
 * half in its vhost (survey.h) and half here: the socket, the login, and what the client said of itself.
 *
 * A session keeps its place on its loop as long as it lives, so a survey by places shows each that lives
 * through it once. Functions that take a loop are called on it (visit_loop()); the others from threads that
 * may wait.
 */
#ifndef CONEY_SESSIONS_H
#define CONEY_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"

struct loop;
struct server;

#define SESSION_HOST_SIZE 48
#define SESSION_NAME_SIZE 128

/* Between whom it is: never changes. */
struct session_name {
    uint64_t serial;                                            /* of no other session while the node runs */
    char peer_host[SESSION_HOST_SIZE], host[SESSION_HOST_SIZE]; /* in numbers; "unix" for a UNIX socket */
    uint16_t peer_port, port;
};

/* "127.0.0.1:50123 -> 127.0.0.1:5672" into OUT, which is returned. */
const char *session_name_text(const struct session_name *name, char out[SESSION_NAME_SIZE]);

/* The session that a connection of a vhost belongs to: OWNER is survey_connection's. Inside that vhost. */
void session_name_of(const void *owner, struct session_name *out);

enum session_stage {
    SESSION_IS_STARTING, /* it logs in */
    SESSION_IS_TUNING,
    SESSION_IS_OPENING,
    SESSION_IS_IN, /* in its vhost */
    SESSION_IS_CLOSING,
};

struct session_tls {
    char protocol[16], key_exchange[32], cipher[32], hash[16]; /* as RabbitMQ calls them */
    char *subject, *issuer, *validity;                         /* of the peer's certificate; NULL: none */
};

struct session_view {
    struct session_name name;
    uint32_t place;
    enum session_stage stage;
    bool is_slowed;                 /* not read for want of credit */
    bool is_blocked;                /* ... since it publishes and memory or disk are low */
    struct bytes user;              /* empty before it has logged in */
    struct bytes vhost;             /* empty before it has opened one */
    uint64_t connection;            /* the vhost's id for it; 0: none yet */
    struct bytes client_properties; /* a table's contents; of many octets only what comes first */
    const char *mechanism;          /* NULL: not chosen yet */
    uint16_t channel_max, heartbeat;
    uint32_t frame_max;
    int64_t connected_at;                                      /* ms since 1970 */
    uint64_t recv_octets, recv_count, send_octets, send_count; /* counts: reads and writes of the socket */
    bool is_writing;                                           /* the socket does not take all there is */
    const struct session_tls *tls;                             /* NULL: plain */
};

typedef void session_show(void *context, const struct session_view *view);

/* How many loops there are to ask for sessions; the same as long as the node lives. */
unsigned sessions_loop_count(const struct server *server);

/* Show up to MOST sessions of LOOP from *PLACE on, which begins at 0. False: that was all. Strings are
 * LOOP's, and valid during the call that shows them. */
bool sessions_show(struct loop *loop, uint32_t *place, unsigned most, session_show *show, void *context);

/* Show the one at PLACE that is called SERIAL; false when it has gone. */
bool session_show_one(struct loop *loop, uint32_t place, uint64_t serial, session_show *show, void *context);

struct session_octets {
    uint64_t received, sent;
};

/* Any thread: octets that the clients of the vhost called NAME have sent and been sent since the node began,
 * be they still there or not. */
struct session_octets sessions_octets(struct server *server, struct bytes name);

/* Have a session closed: with 320 and TEXT, as soon as it can be told. False when it has gone. */
bool session_close(struct server *server, unsigned loop, uint32_t place, uint64_t serial, const char *text);

#endif
