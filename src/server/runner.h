/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs a vhost: one loop at a time, and nobody waits for it (doc/THREADS.md).
 *
 * A batch is pushed onto the vhost's stack of incoming batches, then `pending` is incremented. Whoever saw
 * zero is the *runner* and runs batches until its decrement brings `pending` back to zero; whoever saw more
 * goes on with its own work. A runner that has run long enough keeps the role but passes it, by mail, to the
 * loop that the next batch came from.
 *
 * Invariants:
 * 1. A push happens before its increment, so a runner may count on finding as many batches as `pending` says.
 * 2. Everything in the vhost, and the members marked so, belong to the runner; the acquire and release on
 *    `pending` (or the mail that passes the role) order one runner's work before the next one's.
 * 3. A parked vhost keeps one more in `pending` than there are batches, so that nobody becomes its runner.
 * 4. What the vhost says is put into the loops' mailboxes before the role is let go; sleeping loops are woken
 *    after.
 */
#ifndef SERVER_RUNNER_H
#define SERVER_RUNNER_H

#include <stdatomic.h>
#include <stdint.h>

#include "coney/batch.h"
#include "coney/vhost.h"
#include "mail.h"

struct loop;
struct server;
struct session;
struct visit;

/* A batch on its way, and who wants it back. */
struct job {
    struct batch batch;
    struct mail mail;        /* back to `loop` when it is done */
    struct loop *loop;       /* whose it is */
    struct session *session; /* whose batch it is; NULL: the loop's own */
    struct visit *visit;     /* waits for it; NULL: none */
    struct runner *runner;   /* whom it is for */
};

/* What one loop's sessions have read and written, in octets: only that loop writes, so it need not lock the
 * bus for each read of a socket; and not into a line that others write. */
struct runner_octets {
    _Atomic uint64_t received, sent;
    char apart[48];
};

/* What running the vhost took so far: only the runner writes, before it lets go; anybody reads. */
struct runner_work {
    _Atomic uint64_t runs, batches; /* how often a loop became the runner; what it ran */
    _Atomic uint64_t ns;            /* on the clock, from becoming the runner to letting go */
};

struct runner {
    struct server *server;
    struct vhost *vhost;              /* the runner's */
    _Atomic(struct batch *) incoming; /* newest first */
    _Atomic long pending;
    _Atomic int64_t deadline; /* vhost_next_deadline() after the last run */
    struct batch *queue;      /* the runner's: taken from incoming, oldest first */
    struct job *done;         /* the runner's: done in this run, not yet mailed */
    struct runner_work work;  /* here, in lines that the runner writes anyhow */
    struct mail role;         /* carries the role to another loop */
    struct mail alarm;        /* asks the first loop to look at deadline again */
    atomic_bool alarm_mailed;
    struct mail parked;         /* says that the vhost is parked */
    bool is_parked;             /* the runner's: nobody runs the vhost until runner_unpark() */
    struct mail answer;         /* asks a loop to bring the store's answers into the vhost */
    struct journal *journal;    /* the vhost's */
    _Atomic unsigned last_loop; /* that ran the vhost */
    struct outbox_chunk **mail; /* the runner's: what is for each loop, newest first */
    struct runner *next;        /* server->runners */
    atomic_bool is_gone;        /* the vhost is deleted: nobody finds it */
    char *entry;                /* the vhost's, as JSON; owned, behind server->lock; NULL: nothing is known */
    struct runner_octets *octets; /* of the vhost's clients, by loop */
};

/* By the only thread that writes COUNT now: there are MORE. */
static inline void runner_count(_Atomic uint64_t *count, uint64_t more)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* A runner for VHOST with room for the server's loops. */
struct runner *runner_new(struct server *server);
void runner_free(struct runner *runner);

/* Hand in JOB from HERE. It may have been run when this returns, and then its mail is on its way. */
void runner_submit(struct runner *runner, struct job *job, struct loop *here);

/* Go on running: HERE has been given the role. */
void runner_continue(struct runner *runner, struct loop *here);

/* First loop: have the vhost stop at a batch of its own, as soon as its turn comes. MAIL_PARKED tells that it
 * has: then the first loop is the runner, and may call into the vhost until runner_unpark(). */
void runner_park(struct runner *runner, struct loop *first);
void runner_unpark(struct runner *runner, struct loop *first);

/* A vhost that nobody knows yet begins parked. */
void runner_hold(struct runner *runner);

/* vhost_ops.output of every vhost: CONTEXT is its runner. */
void runner_output(void *context, struct outbox_chunk *chunks);

#endif
