/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop: a thread with an event base, the sessions that live on it, and a mailbox.
 *
 * Each turn it lets libevent call back (sockets that can be read or written, timers), then opens its mailbox:
 * chunks to be encoded and written for its sessions, jobs that are done, roles to take. Chunks whose octets
 * are written go back to their vhost as one batch a turn. Only then, if nothing came meanwhile, it sleeps.
 *
 * One loop more, the last, is the door. It runs no vhost: it accepts, and has each session until its user has
 * logged in, when another loop takes it over. So what strangers cost, and a crowd that comes at once, is paid
 * on a thread that gives way to who is in; and since the door takes a few at a time, and waits for them to
 * have arrived, a few at a time come in.
 *
 * To sleep: set `sleeping`, look into the mailbox again, block. To wake: post, and if the loop is sleeping
 * write to its eventfd. Posting, setting and both looks are sequentially consistent, so either the loop sees
 * the mail or the poster sees it sleeping.
 */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "coney/outbox.h"
#include "mail.h"
#include "runner.h"

struct server;
struct session;

/* Larger reads push what they bring out of the processor's cache. Deliveries are longer than the publishes
 * they come of: those of a read still fit one segment of 64 KiB if they are by a tenth, and a segment more
 * costs as much for a few octets. */
#define LOOP_READ_SIZE  ((size_t)58 * 1024)
#define LOOP_WRITE_SIZE ((size_t)256 * 1024)

/* Chunks of one vhost on their way back. */
struct returns {
    struct runner *runner;
    struct outbox_chunk *chunks; /* since the last batch went */
    struct job job;
    bool is_away; /* the job is under way */
};

/* Where a session is on its loop, as long as it is: for coney/sessions.h. */
struct session_place {
    struct session *session; /* NULL: free */
    uint32_t next_free;      /* the place's number and 1; 0: none */
};

/* The basic.publish decoded last, in the octets that are being parsed. */
struct last_publish {
    struct bytes payload; /* empty: none */
    struct method method;
};

struct loop {
    struct server *server;
    unsigned index;
    pthread_t thread;
    struct event_base *base;
    int wake_fd;
    struct event wake_event;
    _Atomic(struct mail *) mail;           /* newest first */
    _Atomic(struct outbox_chunk *) chunks; /* newest first, linked by mail */
    atomic_int sleeping;
    atomic_uint busy_percent; /* of the last tenth of a second or so */
    _Atomic uint32_t turns;   /* made; for the watchdog */
    _Atomic uint32_t session_count;
    _Atomic uint64_t questions; /* small reads that asked for an answer, ever */

    /* the loop's own */
    bool stopping;
    struct mail stop;      /* MAIL_STOP to this loop */
    struct event patience; /* then sessions that have not ended by themselves are ended */
    unsigned jobs_away;    /* handed in, and not yet back */
    uint8_t *read_buffer;  /* LOOP_READ_SIZE, shared by the sessions */
    struct last_publish last_publish;
    uint8_t *write_buffer; /* write_size */
    size_t write_size;
    struct session *sessions; /* DL list */
    struct session *to_write; /* DL list: have something new to write */
    unsigned to_write_count;
    struct session *to_read; /* DL list: have something to read that their sockets will not announce */
    unsigned to_read_count;
    unsigned small_reads;        /* reads of this turn that brought little, */
    unsigned small_reads_recent; /* and the most of the last turns, fading */
    uint64_t questions_seen;     /* of all loops, when this one last looked, */
    unsigned questions_recent;   /* and the most since then in a turn, fading */
    struct session *lost;        /* DL list: their streams have ended */
    unsigned taken, ended;       /* sessions read in this turn, and of those lost ended */
    bool read_full;              /* a read of this turn took all the room there was */
    struct session *blocked;     /* DL list: held by the memory alarm */
    struct job *free_jobs;
    struct returns **returns; /* one for each vhost that this loop has had chunks of */
    unsigned returns_count, returns_capacity;
    struct session_place *places;
    uint32_t place_count, place_free;   /* the latter as next_free */
    uint64_t window_start, window_used; /* ns on the clock, and of the thread's own time: for busy_percent */
};

/* Make LOOP the INDEX-th of SERVER; false with errno when the system refuses. */
bool loop_init(struct loop *loop, struct server *server, unsigned index);
void loop_free(struct loop *loop);

/* Run until stopped, and without sessions and jobs under way: the role is passed only to who has a job under
 * way, so it never waits in the mailbox of a loop that has ended. */
void loop_run(struct loop *loop);

/* One turn, which sleeps when nothing is to be done and it MAY_SLEEP. From a loop's thread, or where it has
 * none (tests). */
void loop_turn(struct loop *loop, bool may_sleep);

/* Post from any thread; the poster wakes the loop afterwards. */
void loop_post(struct loop *loop, struct mail *mail);
/* CHUNKS, linked by mail, newest first. */
void loop_post_chunks(struct loop *loop, struct outbox_chunk *chunks);
void loop_wake(struct loop *loop);

/* Close what sessions there are; those that take too long about it are cut off. Loop's own thread only, like
 * all that follows. */
void loop_stop(struct loop *loop);

/* A session's socket is readable: at the door the turn is over when some were. */
void loop_takes_one(struct loop *loop);

/* Tell whether a session whose stream has ended may be gone in this turn: when a crowd goes at once, who
 * stays does not wait for all of it. */
bool loop_ends_one(struct loop *loop);

/* A job with an empty batch of KIND, and back. */
struct job *loop_job(struct loop *loop, enum batch_kind kind);
void loop_job_free(struct loop *loop, struct job *job);

/* Octets that one session may read at once: less where others say little, and where others, on any loop, wait
 * for answers: what is read at once is run at once, and theirs waits for it. */
size_t loop_read_budget(const struct loop *loop);

/* CHUNK, of a session of RUNNER's vhost, is written or will never be: send it back at the end of the turn. */
void loop_return_chunk(struct loop *loop, struct runner *runner, struct outbox_chunk *chunk);

#endif
