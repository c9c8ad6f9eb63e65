/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a broker, non-blocking, on a loop: login, frames in and out, the end. What its channels do
 * is their owners'.
 *
 * Life: conn_open(), `opened`, then `closed` exactly once; or `closed` at once. No callback is called by a
 * function that the owner calls, but for channels' methods and messages while octets are taken in.
 * conn_free() may be called anywhere.
 *
 * Output has two parts. `out` are frames that the connection owns; what was lent goes ahead of it, and is the
 * lender's memory, so that trains of frames are written where they lie. Only when nothing waits may something
 * be lent.
 */
#ifndef PERF_CONN_H
#define PERF_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/method.h"
#include "loop.h"
#include "stamp.h"

#define CONN_WHY_SIZE 400
#define CONN_WHO_SIZE 40

struct channel;
struct conn;
struct ssl_st;
struct target;

enum conn_state {
    CONN_CONNECTING,
    CONN_TLS,   /* handshake */
    CONN_LOGIN, /* until open-ok */
    CONN_OPEN,
    CONN_CLOSING, /* close was said */
    CONN_ENDED,   /* `closed` was called or is about to be */
};

struct conn_ops {
    void (*opened)(struct conn *conn);
    /* WHY is NULL after conn_close(). */
    void (*closed)(struct conn *conn, const char *why);
    /* All that was to be sent is with the system, after it was not; may be NULL, and the next one. */
    void (*drained)(struct conn *conn);
    void (*blocked)(struct conn *conn, bool is_blocked);
};

struct conn {
    struct watcher watcher;
    struct loop *loop;
    const struct target *target;
    const struct conn_ops *ops;
    void *owner;
    char who[CONN_WHO_SIZE]; /* for texts, and for the broker's eyes */
    struct conn *next_dead;

    enum conn_state state;
    int fd;
    struct ssl_st *ssl;
    uint32_t watched; /* events */
    bool has_closed;  /* `closed` was called */
    bool is_busy;     /* inside an event: nothing of it is freed */
    bool is_held;     /* not read from */
    bool is_deaf;     /* the peer takes nothing any more: there may be a reason to be read */
    bool is_blocked;  /* connection.blocked */
    bool small_reads; /* what comes is paced by reading little at once */
    uint32_t frame_max;
    uint16_t channel_max;
    uint64_t beat; /* ns between heartbeats; 0: none */
    struct timer heart;
    char why[CONN_WHY_SIZE];

    struct bytes lent;
    struct buffer out;
    size_t out_sent; /* octets of OUT that are gone */

    struct buffer rest;        /* an incomplete frame */
    struct channel *body;      /* inside a body frame of this channel */
    uint32_t body_left;        /* octets of it to come, without the frame's end */
    struct channel **channels; /* by number; [0] is not used */
    unsigned channel_count;
};

/* What an owner of a channel gives. */
struct channel_ops {
    /* Any method but those with content, and those that the connection deals with. */
    void (*method)(struct channel *channel, const struct method *method);
    /* The content of a delivery or a return is complete. */
    void (*message)(struct channel *channel);
    /* The broker closed the channel, which is gone. NULL: the connection ends with it. */
    void (*closed)(struct channel *channel, uint16_t code, struct bytes text);
};

enum content_state { CONTENT_NONE, CONTENT_HEADER, CONTENT_BODY };

struct channel {
    struct conn *conn;
    const struct channel_ops *ops;
    uint16_t number;
    bool wants_checksum;

    /* The content that is coming, and for `message` the one that came. */
    uint8_t content; /* enum content_state: what is expected */
    bool is_return;
    bool is_redelivered;
    unsigned consumer; /* the number that the consumer tag is, with wants_checksum */
    uint64_t delivery_tag;
    uint64_t size, seen;           /* octets of the body */
    uint8_t head[STAMP_SIZE];      /* its first octets */
    uint8_t tail[STAMP_TAIL_SIZE]; /* its last ones, with wants_checksum */
    uint32_t checksum;             /* of all but its own place, with wants_checksum */
};

/* Begin to connect. OPS, TARGET and OWNER must outlive the connection. */
struct conn *conn_open(struct loop *loop, const struct target *target, const char *who,
                       const struct conn_ops *ops, void *owner) __attribute__((returns_nonnull));

/* Say all that was said, then connection.close. `closed` comes when the broker has answered. */
void conn_close(struct conn *conn);

/* Let go at once, without a word or a callback. NULL is fine. */
void conn_free(struct conn *conn);

/* End it, for a reason that is ours or the broker's; the first counts. `closed` comes at the end of the
 * event. */
void conn_fail(struct conn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Append a method; it goes at the end of the event, or with conn_flush(). */
void conn_say(struct conn *conn, uint16_t channel, const struct method *method);

/* Write what waits. Tells whether nothing waits any more; what failed is told by `closed`. */
bool conn_flush(struct conn *conn);

/* Whether everything that was said is with the system. */
static inline bool conn_is_drained(const struct conn *conn)
{
    return conn->lent.size == 0 && conn->out_sent == conn->out.size;
}

/* Write OCTETS, which must stay until conn_is_drained(). Nothing may wait. Tells whether all of it is gone
 * already. */
bool conn_lend(struct conn *conn, struct bytes octets);

/* Read, or do not read, what comes. */
void conn_hold(struct conn *conn, bool is_held);

/* ---- channels, which are their owner's memory ---- */

/* Say channel.open for CHANNEL, as the next number. False when the broker allows no more. */
bool channel_open(struct conn *conn, struct channel *channel, const struct channel_ops *ops);

static inline void channel_say(struct channel *channel, const struct method *method)
{
    conn_say(channel->conn, channel->number, method);
}

/* CHANNEL, the connection's last, is closed: its number may be used again. */
void channel_forget(struct channel *channel);

/* Say channel.close; `method` is given the close-ok. */
void channel_close(struct channel *channel);

#endif
