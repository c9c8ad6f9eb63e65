/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a vhost, for the core's own files: its directories, its lists of what is to be done, its
 * time. */
#ifndef BROKER_VHOST_FIELDS_H
#define BROKER_VHOST_FIELDS_H

#include "coney/journal.h"
#include "coney/vhost.h"
#include "connection.h"
#include "exchange.h"
#include "queue.h"

#define RETURNS_MAX_DEFAULT 4096

/* A user's rights here. */
struct user_rights {
    UT_hash_handle hh;
    struct bytes user;             /* owned */
    struct permission *permission; /* NULL: none; only topic permissions are kept for later */
    struct bytes patterns[3];      /* owned; what it was made of, by enum permission_kind */
    struct topic_rights *topics;
};

struct topic_rights {
    struct topic_rights *next;
    struct bytes exchange, write, read; /* owned */
};

/* A message on its way from one queue to an exchange: worklist entry of the dead letters. */
struct dead_letter {
    struct dead_letter *next;
    struct message *message; /* the copy, with one reference */
    struct queue *source;    /* a reference; NULL: what the broker says itself */
    struct place place;      /* of the original, still live in source when JOURNALLED */
    bool check_cycle;
    bool journalled; /* the original is in the journal: leaves it together with the enqueue of the copy */
};

/* Entries whose queue has forgotten them. */
struct garbage {
    struct garbage *next;
    struct seqmap entries;
    uint64_t at; /* all below have been freed */
};

struct connection_slot {
    struct connection *connection; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct vhost {
    struct bytes name; /* owned */
    struct vhost_settings settings;
    struct vhost_ops ops;
    struct journal *journal;
    int64_t now;
    uint64_t durable;  /* the journal's, when last looked at */
    uint64_t topology; /* moves with every change of exchanges, queues, bindings and policies */
    uint64_t mark;     /* of the last route */

    struct vhost_counts counts;
    struct events_sink *events;       /* NULL: nobody is told */
    struct exchange *events_exchange; /* NULL: another vhost carries the events */
    struct bytes actor;               /* the user whose command runs; borrowed */
    bool is_traced_always;
    uint32_t tracers;              /* that listen to the firehose, with that of is_traced_always */
    struct survey_cursor *cursors; /* DL list; see survey.c */
    uint32_t survey_generation;    /* of those cursors */
    bool surveys_are_closed;

    struct exchange *exchanges;
    struct queue *queues;
    struct binding *bindings;
    struct exchange *default_exchange;
    struct exchange *doomed; /* auto-delete exchanges that have lost their last binding */
    struct policy_set *policies;
    struct user_rights *rights;
    int64_t connections_max, queues_max;
    bool is_draining; /* nobody may come any more; see vhost_drain() */

    struct connection_slot *slots;
    uint32_t slot_count, slot_free; /* slot_free: index + 1 */
    uint32_t connection_count;      /* without the node's own */
    uint64_t channel_count, consumer_count;
    uint64_t internal_channel_count; /* of channel_count: the node's own */
    uint64_t ready, unacked;         /* of all queues */
    uint64_t unsent;                 /* octets handed over and not given back, as chunks count them */

    /* to be done before the next command */
    struct queue *dispatch;
    struct queue **dispatch_end;
    struct dead_letter *dead_letters, **dead_letters_end;
    uint64_t letters_sent, letters_done; /* dead letters ever, and those off the list again */
    uint64_t letters_lsn;                /* of the last that was moved: lasts when that does */
    bool letters_awaited;                /* somebody waits for letters_done to move */
    bool refuses_gets;                   /* gate_refuse_gets() has something to do */
    struct garbage *garbage;             /* to be done when there is time */
    /* to be done at the end of the batch */
    struct channel *confirming;
    /* to be done at the end of the run */
    struct connection *dirty;

    struct returning *returning; /* DL list of ended channels whose deliveries are going back */
    uint64_t returns_left;       /* how many may, in this batch */
    struct connection *leaving;  /* DL list of connections in that state */
    struct channel *gated;       /* channels with something that waits for the journal */
    struct queue *slowing;       /* DL list of queues that hold publishers for credit */
    struct queue *touched;       /* DL list of queues whose state the catalog has not, */
    struct queue
        *unsaved;        /* of those with entries that are in no run, the journal's oldest first as a rule, */
    struct queue *large; /* and of those worth writing out */
    struct run *changed_runs;    /* DL list: not as the catalog has them */
    uint64_t used;               /* octets that queues' entries and their messages hold, about */
    const struct queue *browsed; /* its messages stay in memory, */
    int64_t browsed_until;       /* until then */
    uint32_t saves;              /* under way */
    uint64_t *held;              /* ids of publishers held since the store can't keep up */
    uint32_t held_count, held_capacity;
    struct queue **deadlines; /* heap by deadline */
    uint32_t deadline_count, deadline_capacity;
    int64_t ack_check;         /* no unacked delivery times out before */
    int64_t ack_timeout_least; /* of any queue, when policies changed since that was computed */

    /* scratch of the current route */
    struct queue **routed;
    size_t routed_capacity;
    struct exchange **to_visit;
    size_t to_visit_capacity;
    uint64_t random_state; /* of vhost_random(): spread, not secrecy */
};

/* Do what commands left to do: deliveries, dead letters; until nothing is left. */
void vhost_settle(struct vhost *vhost);

/* Tell whether what was written as LSN is durable. */
bool vhost_is_durable(struct vhost *vhost, uint64_t lsn);

/* Compute when QUEUE is in the heap of deadlines; DEADLINE VHOST_NEVER takes it out. */
void vhost_schedule(struct vhost *vhost, struct queue *queue, int64_t deadline);

/* A number for choosing at random. */
uint64_t vhost_random(struct vhost *vhost);

/* "PREFIX" and 22 characters that nobody can guess: names of queues and consumer tags. */
void vhost_random_name(struct vhost *vhost, const char *prefix, char out[64]);

/* Nobody may do anything here any more; who is connected keeps what it has. */
void vhost_forget_rights(struct vhost *vhost);

/* Octets owned: copy and free. */
struct bytes bytes_copy(struct bytes bytes);
void bytes_free(struct bytes bytes);

/* ---- deadletter.c ---- */

/* MESSAGE dies in QUEUE with REASON (enum death_reason): put a copy on its way if QUEUE has a dead-letter
 * exchange. PLACE is the original's, JOURNALLED says that it is still live and the journal's. Returns false
 * when there is nowhere to go: the caller then lets the message go itself. */
bool deadletter_send(struct queue *queue, struct message *message, struct place place, bool journalled,
                     int reason);

/* Put MESSAGE on its way to its exchange, from no queue. Takes over the reference. */
void letter_send(struct vhost *vhost, struct message *message);

/* Route the dead letters on the list. */
void deadletter_run(struct vhost *vhost);

#endif
