/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a running shovel share.
 *
 *     shovels.c   the thread, the list of shovels, what others see of them
 *     shovel.c    one shovel's life: connecting, running, closing, waiting
 *     end.c       one end of it: a client, and what it declares
 *     forward.c   messages on their way
 *
 * 1. A shovel consumes only when both ends are ready.
 * 2. A message's delivery tag is in `unconfirmed`, under the sequence number that it was published with,
 * until the destination has confirmed it; only then it is acknowledged (ack-mode on-confirm).
 * 3. Sequence numbers and delivery tags ascend together.
 * 4. When one end fails both are closed, and begun anew together.
 *
 * The states: RESTING; CONNECTING, by shovel_begin(); RUNNING, when both ends are ready; DRAINING, when
 * somebody wants it to end or to begin anew, until what is published is confirmed; CLOSING, then, or by
 * shovel_fail() or shovel_finish(), until both clients are gone; WAITING for the next try.
 */
#ifndef SHOVEL_SHOVEL_H
#define SHOVEL_SHOVEL_H

#include <event2/event.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "coney/buffer.h"
#include "coney/client.h"
#include "coney/seqmap.h"
#include "coney/shovels.h"
#include "plan.h"

#define SHOVEL_TEXT_SIZE 512

struct evdns_base;
struct shovel;

enum shovel_state {
    SHOVEL_RESTING,
    SHOVEL_CONNECTING,
    SHOVEL_RUNNING,
    SHOVEL_DRAINING,
    SHOVEL_CLOSING,
    SHOVEL_WAITING
};

/* Why nothing is read from the source. */
enum shovel_hold {
    HOLD_OUTPUT = 1,  /* the destination takes less than comes */
    HOLD_BLOCKED = 2, /* ... or nothing: connection.blocked */
    HOLD_REFUSED = 4, /* it returned or refused a message: do not try again at once */
};

struct shovel_end {
    struct shovel *shovel;
    const struct plan_end *plan;
    size_t uri;       /* the one in use, or to be used next */
    size_t uris_left; /* that are to be tried before this try has failed */
    struct client *client;
    struct client_channel *channel;
    struct client_channel *probe; /* on which its queue is asked for, until the answer */
    bool is_ready;
    uint32_t messages; /* in its queue when it got ready */
};

/* What others see. */
struct shovel_report {
    const char *state;           /* starting, running, terminated; behind shovels->mutex, and the next four */
    char *reason;                /* NULL: none */
    time_t since;                /* when the state came about */
    char *source_uri, *dest_uri; /* to be shown; NULL: not yet */
    _Atomic unsigned holds;      /* these are written by the thread alone */
    _Atomic uint64_t forwarded, pending;
    _Atomic int64_t remaining, remaining_unacked; /* -1: no end */
};

struct shovel {
    struct shovels *owner;
    struct shovel *prev, *next; /* owner->all; behind its mutex */
    char *vhost, *name;
    bool is_changed;        /* behind the mutex, and the next two: the thread must look at */
    struct plan *next_plan; /* to be begun with; NULL: none */
    bool is_removed;
    json_t *names; /* ... and of its ends, to be shown */
    struct shovel_report report;

    /* The thread's. */
    enum shovel_state state;
    struct plan *plan;
    struct shovel_end source, dest;
    struct event *timer;  /* of WAITING and DRAINING */
    struct event *relief; /* of HOLD_REFUSED */
    bool is_ending;       /* CLOSING, for good */
    bool is_finished;     /* ... because all is done */
    bool begins_anew;     /* ... to begin again at once */
    unsigned failures;    /* in a row, without a message that went through */
    unsigned holds;
    struct seqmap unconfirmed;     /* by sequence number: struct shovel_entry */
    bool has_gaps;                 /* deliveries were left alone: no multiple acks */
    int64_t to_publish, to_settle; /* that are still to go; -1: no end */
    bool is_counted;               /* these two are known */
    struct buffer properties;      /* of the message under way */
};

struct shovels {
    char *node, *cluster_name;
    struct shovels_ops ops;
    pthread_mutex_t mutex;
    struct shovel *all; /* DL list */
    bool is_stopping;   /* behind the mutex too */

    int wake_fd;
    bool is_started;
    pthread_t thread;

    /* The thread's. */
    struct event_base *base;
    struct evdns_base *dns;
    struct event *wake, *last; /* the end of patience while stopping */
    bool is_ending;
};

/* ---- shovel.c ---- */

struct shovel *shovel_new(struct shovels *owner, const char *vhost, const char *name);

/* It is in no list any more. Clients that are left are let go of without a word. */
void shovel_free(struct shovel *shovel);

/* Begin with PLAN, which is taken over, as soon as what is under way is closed. NULL: with the one that is
 * there.
 */
void shovel_begin(struct shovel *shovel, struct plan *plan);

/* Begin to close for good: shovels_closed() when it is closed, perhaps at once. */
void shovel_end(struct shovel *shovel);

/* Something is ready, or gone: look whether it was the last. */
void shovel_end_ready(struct shovel *shovel);
void shovel_end_gone(struct shovel *shovel);

/* What was published is confirmed. */
void shovel_drained(struct shovel *shovel);

/* It cannot go on: try again later. The first reason counts. */
void shovel_fail(struct shovel *shovel, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* All is moved that was to be moved. */
void shovel_finish(struct shovel *shovel);

/* ---- shovels.c ---- */

/* Change what others see. */
void shovels_report(struct shovel *shovel, const char *state, const char *reason);
void shovels_report_uri(struct shovel *shovel, bool of_source, const char *uri);

/* SHOVEL is closed for good, and is gone afterwards. */
void shovels_closed(struct shovel *shovel);

#endif
