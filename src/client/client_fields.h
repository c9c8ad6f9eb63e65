/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the client share.
 *
 *     client.c           a client's life: from client_open() to `closed`; timers, writing
 *     client_connect.c   from a host's name to a connected socket
 *     client_read.c      octets to frames, frames to where they belong
 *     client_login.c     class connection: handshake, blocked, close
 *     client_channel.c   channels: calls, content, publishing
 *     client_start_ok.c  what is said at the login: not of the client alone
 *
 * 1. Whatever may call back runs between client_enter() and client_leave(). What is let go of meanwhile (the
 *    client itself, channels, the socket) is freed by the outermost client_leave().
 * 2. Nothing is sent but by client_put_*(), and nothing once the state is past CLIENT_STATE_OPEN, except by
 *    who changed it.
 * 3. The state only grows.
 */
#ifndef CLIENT_FIELDS_H
#define CLIENT_FIELDS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/client.h"

struct bufferevent;
struct connecting;

#define CLIENT_TEXT_SIZE 400

enum client_state {
    CLIENT_STATE_IDLE,       /* client_open() has just been called */
    CLIENT_STATE_CONNECTING, /* no socket yet */
    CLIENT_STATE_STARTING,   /* until connection.start; TLS is part of it */
    CLIENT_STATE_LOGIN,      /* until connection.tune */
    CLIENT_STATE_OPENING,    /* until connection.open-ok */
    CLIENT_STATE_OPEN,
    CLIENT_STATE_CLOSING,   /* we said connection.close, until close-ok */
    CLIENT_STATE_LINGERING, /* `end` is known; the last words are being written */
    CLIENT_STATE_ENDED,     /* `closed` was called, or is right now */
};

/* A method that waits for its reply. */
struct client_waiting {
    struct client_waiting *prev, *next;
    enum method_id id;
    client_reply_fn *reply;
    void *context;
};

enum client_expects { EXPECTS_METHOD, EXPECTS_HEADER, EXPECTS_BODY };

struct client_channel {
    struct client *client;
    struct client_channel *next; /* client->gone */
    uint16_t number;
    bool is_closing; /* we said channel.close: everything is ignored until close-ok */
    bool is_mute;    /* no more callbacks */
    bool is_gone;    /* out of client->channels */
    const struct client_channel_events *events;
    void *context;
    struct client_waiting *calls; /* DL list, in the order of their replies */
    bool counts;                  /* confirm.select was sent: */
    uint64_t published;           /* sequence number of the last message */
    enum client_expects expects;
    struct method method; /* the content is of; its strings lie in the next */
    struct buffer method_octets;
    struct buffer properties;
    struct buffer body; /* what has come of it */
    uint64_t body_size;
};

struct client {
    struct event_base *base;
    const struct client_events *events;
    void *context;
    struct client_target target; /* its strings are copies */
    enum client_state state;
    unsigned depth; /* of client_enter() */
    bool is_freed;

    struct connecting *connecting;
    struct bufferevent *stream;
    struct event *deadline; /* of the state */
    struct event *pulse;    /* twice in each heartbeat */
    bool is_heard, is_said; /* anything since the last look */
    bool is_half;           /* the pulse is between two looks at what was heard */
    unsigned silent;        /* looks in a row that heard nothing */
    bool is_held;
    bool is_full; /* client_wants_pause() */

    uint32_t frame_max; /* now; as negotiated from tune on, */
    uint16_t channel_max;
    uint16_t heartbeat; /* and these too */

    struct client_channel **channels; /* by number - 1 */
    unsigned channels_room;
    struct client_channel *gone; /* LL list: free them when nobody uses them any more */

    struct client_end end;
    char end_text[CLIENT_TEXT_SIZE];
};

/* ---- client.c ---- */

void client_enter(struct client *client);
void client_leave(struct client *client);

/* End now: tell everybody. Nothing if it has ended. */
void client_end(struct client *client, enum client_end_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The end is as `client->end` says: write what waits, then tell everybody. */
void client_linger(struct client *client);

/* The peer is at fault: tell it so if it can be told, and end. */
void client_break(struct client *client, uint16_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Set client->end to what the peer says in a close. */
void client_note_close(struct client *client, const struct method_connection_close *close);

void client_arm_deadline(struct client *client, uint32_t ms);
void client_start_heartbeat(struct client *client);

/* Append whole frames. */
void client_put_method(struct client *client, uint16_t channel, const struct method *method);
void client_put_content(struct client *client, uint16_t channel, const struct client_content *content);

/* ---- client_connect.c ---- */

/* FD is -1 if WHY. */
typedef void connect_done_fn(void *context, int fd, const char *why);

/* Look up HOST and connect to the first of its addresses that answers. DONE is called once, perhaps at once,
 * unless it is cancelled. *PLACE is set until then, and NULL afterwards. */
void connect_begin(struct connecting **place, struct event_base *base, struct evdns_base *dns,
                   const char *host, uint16_t port, connect_done_fn *done, void *context);

/* Without a word. Fine when there is nothing under way. */
void connect_cancel(struct connecting **place);

/* ---- client_read.c ---- */

/* Take all whole frames that have come. */
void client_take_frames(struct client *client);

/* ---- client_login.c ---- */

/* A method of channel 0. */
void client_take_connection_method(struct client *client, const struct method *method);

/* ---- client_channel.c ---- */

void client_take_method(struct client_channel *channel, struct bytes payload);
void client_take_header(struct client_channel *channel, struct bytes payload);
void client_take_body(struct client_channel *channel, struct bytes payload);

/* It is over, because of END: tell who waits. */
void client_channel_end(struct client_channel *channel, const struct client_end *end);

void client_channel_free(struct client_channel *channel);

#endif
