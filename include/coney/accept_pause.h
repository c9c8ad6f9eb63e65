/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pauses of listeners. One that cannot accept, mostly for want of descriptors, stays readable: if it went on
 * it would fail again and again, and take a processor. And one that takes the last descriptors takes them
 * from those who need them more. And one that takes all of a crowd at once holds up the loop. Who is
 * connected is served meanwhile, others wait in the backlog.
 */
#ifndef CONEY_ACCEPT_PAUSE_H
#define CONEY_ACCEPT_PAUSE_H

struct evconnlistener;
struct event;
struct event_base;

/* Descriptors that listeners leave to those behind them: AMQP clients to HTTP clients, these to the control
 * socket, and that to the store, which needs some to keep what it promised. */
enum {
    DESCRIPTORS_KEPT_BY_AMQP = 16,
    DESCRIPTORS_KEPT_BY_HTTP = 10,
    DESCRIPTORS_KEPT_BY_CONTROL = 6,
};

/* Of its listener's loop, as all functions are. */
struct accept_pause {
    struct evconnlistener *accepting;
    struct event *timer;
    unsigned kept;    /* DESCRIPTORS_KEPT_BY_... */
    const char *whom; /* it accepts, for the log */
    int last_error;   /* of accepting; 0 when the last one succeeded. What lasts is logged once. */
    unsigned crowd;   /* accepted since the last pause */
};

/* Ready for accept_pause_watch(); KEPT and WHOM, which stays the caller's, as the fields. */
void accept_pause_init(struct accept_pause *pause, struct event_base *base, unsigned kept, const char *whom);

/* From now on ACCEPTING, which stays the caller's, is what pauses. */
void accept_pause_watch(struct accept_pause *pause, struct evconnlistener *accepting);

/* The listener is going to be shut: no pause is under way any more. */
void accept_pause_end(struct accept_pause *pause);

/* What accept_pause_init() took is given back. */
void accept_pause_free(struct accept_pause *pause);

/* Accepting has failed: pause. */
void accept_pause_failed(struct accept_pause *pause, int error);

/* FD was accepted, or -1 when it is not known: pause if it is among the last, and until the loop's next turn
 * if it is one of a crowd. */
void accept_pause_accepted(struct accept_pause *pause, int fd);

#endif
