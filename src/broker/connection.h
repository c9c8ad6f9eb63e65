/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections and channels: fields and operations for the core's own files.
 *
 * Connection states, changed by connection_set_state() alone:
 *
 *     RUNNING -> FAILING   we shall send connection.close once its channels are back
 *     FAILING -> CLOSING   we sent it; only close and close-ok count now
 *     RUNNING -> LEAVING   the client closed; close-ok waits until its channels are back, and for what was
 *                          answered and settled before
 *     LEAVING, CLOSING -> ENDED   close-ok was sent or came
 *     any -> GONE          the socket is gone; freed, with OUTBOX_DETACHED, once its channels are back
 *
 * Leaving RUNNING ends all channels. A channel is back when all that it had unacked is in its queues again,
 * which may take several batches (struct returning). When the last one is, the exclusive queues are deleted,
 * and what the state waits for may happen: connection_go_on().
 *
 * Channel states; a channel that is not open has no struct:
 *
 *     OPEN -> CLOSING      channel.close is sent once it is back; everything but its answers is swallowed
 *     OPEN -> LEAVING      the client closed; close-ok is said once it is back, and what was settled before
 * is durable CLOSING -> LEAVING   the connection has left RUNNING LEAVING -> LEFT      close-ok is said;
 * until the batch ends the client cannot have seen it (freed)              close-ok was received, or the
 * batch has ended, or close-ok was said in a later batch; with its connection
 *
 * A channel that is not open is given no message, and nothing that it is told is done. Its number is free
 * when it is freed, which is never before it is back.
 */
#ifndef BROKER_CONNECTION_H
#define BROKER_CONNECTION_H

#include "coney/batch.h"
#include "coney/bytes.h"
#include "coney/counts.h"
#include "coney/hash.h"
#include "coney/method.h"
#include "coney/outbox.h"
#include "coney/permission.h"
#include "coney/reply.h"
#include "coney/reply_error.h"
#include "coney/seqmap.h"
#include "queue.h"

enum connection_state {
    CONNECTION_RUNNING,
    CONNECTION_FAILING,
    CONNECTION_CLOSING,
    CONNECTION_LEAVING,
    CONNECTION_ENDED,
    CONNECTION_GONE,
};
enum channel_state { CHANNEL_OPEN, CHANNEL_CLOSING, CHANNEL_LEAVING, CHANNEL_LEFT };
enum channel_mode { CHANNEL_NORMAL, CHANNEL_CONFIRM, CHANNEL_TX };

/* An unsettled delivery, under its delivery tag. */
struct unacked {
    struct queue *queue;       /* a reference */
    struct consumer *consumer; /* a reference; NULL for basic.get */
    uint64_t number;
    uint32_t delivered_at; /* seconds since 1970 */
    uint8_t level;
    bool counts_globally; /* takes room of the channel's global prefetch */
    bool held;            /* settled in the open transaction: no longer outstanding for the client */
};

/* A record that waits for the journal; or a get that waits for that, or for a message that is away. */
struct gated {
    struct gated *next;
    uint64_t lsn;
    struct consumer *consumer; /* may take messages once this is out; a reference */
    struct queue *queue;       /* a get that waits: a reference, */
    bool no_ack;               /* and how it asked */
    bool ends_channel;         /* close-ok: the channel is forgotten with it */
    uint64_t unsent;           /* a delivery: counts as unsent while it is here */
    uint32_t size;
    uint8_t record[] __attribute__((aligned(8)));
};

/* A confirm that waits for the journal. */
struct pending_confirm {
    uint64_t sequence;
    uint64_t lsn;
};

struct confirms {
    uint64_t published;              /* sequence number of the last publish */
    uint64_t told;                   /* all up to here have been told */
    uint64_t done;                   /* all up to here may be told */
    struct pending_confirm *pending; /* ring, ascending in both members */
    uint32_t head, count, capacity;
    uint64_t *singles; /* done although a lower one waits */
    uint32_t single_count, single_capacity;
};

/* What an open transaction holds. */
struct tx_publish {
    struct message *message; /* a reference */
    struct queue **queues;   /* references */
    uint32_t queue_count;
    bool is_mandatory; /* returned at commit if none of the queues is there */
};

struct tx_settle {
    uint64_t delivery_tag;
    enum settle how;
};

struct tx {
    struct tx_publish *publishes;
    uint32_t publish_count, publish_capacity;
    struct tx_settle *settles;
    uint32_t settle_count, settle_capacity;
};

/* A channel has ended with so many deliveries unacked that they go back in slices. */
struct returning {
    struct returning *prev, *next; /* vhost->returning */
    struct channel *channel;
    uint64_t counted; /* delivery tags below this one are counted in queue->returning; SEQMAP_END: all are */
};

/* What a FAILING connection is going to say. */
struct failure {
    enum method_id method;
    enum reply_code code;
    bool crossed; /* the client has closed too: answer after it */
    char text[REPLY_TEXT_SIZE];
};

/* What a client may take for done when close-ok or commit-ok comes: the last of what it has settled. */
struct settled {
    uint64_t lsn;    /* of the record */
    uint64_t letter; /* a dead letter, by number: vhost->letters_sent */
};

struct route_cache; /* channel_publish.c */
struct binding_spec;
struct exchange;
struct reply_consumer; /* reply_to.c */

struct channel {
    UT_hash_handle hh; /* connection->channels, by number */
    struct connection *connection;
    uint16_t number;
    uint8_t state;            /* enum channel_state */
    uint8_t mode;             /* enum channel_mode */
    bool is_gated;            /* on vhost->gated: replies or confirms wait for the journal */
    bool is_confirming;       /* on vhost->confirming */
    uint16_t prefetch;        /* default of consumers to come */
    uint16_t prefetch_global; /* 0: no limit */
    uint32_t unacked_global;
    uint32_t unacked_count;     /* live in unacked, held ones too */
    int64_t ack_timeout;        /* no delivery in unacked has less, in ms */
    uint64_t delivery_tag;      /* the last one used */
    struct seqmap unacked;      /* struct unacked by delivery tag */
    struct consumer *consumers; /* by tag */
    struct consumer *last_turn; /* one of these, or NULL: took the last room of the channel */
    struct bytes last_queue;    /* owned; name last declared */
    struct gated *gate, **gate_end;
    struct channel *left_next;                         /* connection->left */
    struct channel *gated_prev, *gated_next;           /* vhost->gated */
    struct channel *confirming_prev, *confirming_next; /* vhost->confirming */
    struct confirms *confirms;                         /* in confirm mode */
    struct tx *tx;                                     /* in tx mode */
    struct route_cache *cache;
    struct reply_consumer *reply_consumer;
    struct returning *returning; /* it has ended, and is not back yet */
    struct settled settled;
    struct message_counts *counts; /* NULL until something happened; see count.h */
};

struct connection {
    struct vhost *vhost;
    void *owner; /* vhost_ops.output's */
    uint64_t id;
    uint8_t state; /* enum connection_state */
    bool cancel_notify;
    bool is_impersonator;
    bool is_internal, is_trusted; /* see batch_open */
    bool is_dirty;                /* on vhost->dirty: has something to hand over */
    bool is_handed_off;   /* had consumers, which draining has cancelled; closed when it owes nothing more */
    uint16_t last_number; /* channels' last looked up: */
    struct channel *last_channel;
    struct channel *channels;
    struct channel *left;     /* those in state LEFT */
    uint32_t returning_count; /* channels that are not back yet */
    bool shares_returns;      /* all its channels are back only when all is counted that they had unacked */
    uint32_t channel_count, channel_max, user_channel_max;
    struct bytes user;             /* owned */
    struct permission *permission; /* a reference */
    struct queue *queues;          /* exclusive to it; DL list by owned_prev/next */
    struct consumer *congested;    /* consumers that wait for it to drain; DL list */
    uint8_t *numbers;              /* 1 where a consumer has that number */
    uint32_t number_count, number_capacity, number_free;
    struct outbox_chunk *out, *out_last; /* said and not yet handed over */
    uint64_t unsent;                     /* octets of deliveries handed over or about to be */
    uint64_t unsent_replies;             /* octets of the rest */
    unsigned hold, hold_told;            /* enum outbox_hold */
    uint32_t slowed_by;                  /* queues that hold it for credit */
    struct failure *failure;             /* in state FAILING */
    struct connection *dirty_prev, *dirty_next;
    struct connection *leaving_prev, *leaving_next; /* vhost->leaving: those in state LEAVING */
    struct settled settled;                         /* by channels already gone */
};

/* ---- connection.c ---- */

void connection_open(struct vhost *vhost, const struct batch *batch);
void connection_run(struct connection *connection, struct batch *batch);
/* BATCH came too late: drop what its commands hold. */
void connection_discard(struct batch *batch);
/* The socket is gone. */
void connection_gone(struct connection *connection);
/* Free CONNECTION and all that it has; nothing is said. */
void connection_free(struct connection *connection);
struct connection *connection_find(const struct vhost *vhost, uint64_t id);
/* What those are told who meet a vhost that drains. */
#define DRAINING_TEXT "broker forced connection closure with reason 'maintenance'"
/* Send connection.close and end everything. METHOD 0: none. */
void connection_fail(struct connection *connection, enum method_id method, enum reply_code code,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same with the whole text given. */
void connection_fail_text(struct connection *connection, enum method_id method, enum reply_code code,
                          const char *text);
/* CONNECTION is not RUNNING, and its channels may be back, or the journal has moved: do what its state waits
 * for. May free it. */
void connection_go_on(struct connection *connection);
/* Its chunk came back. */
void connection_drained(struct connection *connection, const struct outbox_chunk *chunk);
struct channel *connection_channel(struct connection *connection, uint16_t number);
/* Consumers' numbers. */
uint32_t connection_number_take(struct connection *connection);
void connection_number_release(struct connection *connection, uint32_t number);

/* ---- outbox.c: what to say ---- */

/* Room for a record of SIZE octets (rounded up), counted as WIRE octets. REPLY: not a delivery. */
void *outbox_add(struct connection *connection, enum outbox_kind kind, uint16_t channel, size_t size,
                 uint64_t wire, bool reply);
void outbox_method(struct connection *connection, uint16_t channel, const struct method *method);
void outbox_control(struct connection *connection, enum outbox_control control);
/* Give all of VHOST's connections' chunks to their owners. */
void outbox_hand_over(struct vhost *vhost);
/* Release what CHUNK's records refer to, and CHUNK. */
void outbox_chunk_free(struct outbox_chunk *chunk);
/* Set or clear a reason not to read. */
void connection_hold(struct connection *connection, enum outbox_hold reason, bool on);

/* ---- channel.c ---- */

/* Answer a synchronous method once LSN is durable, in the channel's order. */
void channel_reply(struct channel *channel, const struct method *method, uint64_t lsn);
/* The LSN that a promise about SETTLED must wait for; LSN_SETTLED while there is none yet, as dead letters
 * are still to be moved. */
#define LSN_SETTLED UINT64_MAX
uint64_t settled_lsn(struct vhost *vhost, const struct settled *settled);
/* CHANNEL has something that waits for the journal. */
void channel_waits(struct channel *channel);
/* The same, and CONSUMER may take messages once the reply is out. */
void channel_reply_for(struct channel *channel, const struct method *method, uint64_t lsn,
                       struct consumer *consumer);
/* The same for a record made already (copied). */
void channel_reply_record(struct channel *channel, const struct outbox_record *record, uint64_t lsn);
/* A get from QUEUE that cannot be answered now: it is tried again when it is its turn and something has
 * happened. */
void channel_wait_to_get(struct channel *channel, struct queue *queue, bool no_ack);
/* Messages of QUEUE have come back, or never will: gets that wait for them may go. */
void gate_called_back(struct queue *queue);
/* Gets that wait, in their turn, for a queue that has gone out of service fail. */
void gate_refuse_gets(struct vhost *vhost);
/* Gets of CHANNEL that wait for a message to come back, or for their turn, find nothing. May free it. */
void gate_give_up_gets(struct channel *channel);
/* CHANNEL's reply consumer goes: direct replies that wait in the gate are lost. */
void gate_drop_replies(struct channel *channel);
/* CONSUMER may take messages from now on. */
void consumer_resume(struct consumer *consumer);
/* Close CHANNEL, or its connection, with an error raised by METHOD, as the code says. */
void channel_fail(struct channel *channel, enum method_id method, enum reply_code code, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));
void channel_fail_error(struct channel *channel, enum method_id method, const struct reply_error *error);
void channel_command(struct connection *connection, const struct command *command);

/* Tell whether the limits let one more channel begin, which the first frame on its number does, whatever it
 * is; fails CONNECTION if not. */
bool channel_has_room(struct connection *connection);
/* End CHANNEL, which goes to STATE: consumers gone, unacked requeued, transaction dropped; not all at once
 * when that is much (channel->returning). Does not free it. */
void channel_end(struct channel *channel, enum channel_state state);
/* All that CHANNEL had unacked is back. May free it and its connection. */
void channel_is_back(struct channel *channel);
/* Forget what waits in CHANNEL's gate. */
void gate_clear(struct channel *channel);
void channel_free(struct channel *channel);
/* End and free CHANNEL at once, however much goes back; nobody is told. */
void channel_discard(struct channel *channel);
/* Let go what waited for the journal: replies and confirms. May free CHANNEL. */
void channel_release(struct channel *channel);
/* Tell whether CHANNEL has as many deliveries unacked as it may have. */
bool channel_is_full(const struct channel *channel);
/* Find out whether CHANNEL's consumers can take messages again, beginning behind last_turn. */
void channel_reconsider_consumers(struct channel *channel);
/* CONSUMER is its channel's and its queue's no more, and is freed once nobody has it; DELETED as
 * queue_remove_consumer() says. */
void channel_end_consumer(struct consumer *consumer, bool *deleted);
/* 403 when the permission is missing. KIND_OF_NAME: "queue" or "exchange". */
bool channel_allowed(struct channel *channel, enum method_id method, enum permission_kind kind,
                     const char *kind_of_name, struct bytes name);
/* 403 when a topic permission forbids KEY; exchanges of other types have none. */
bool channel_allowed_topic(struct channel *channel, enum method_id method, const struct exchange *exchange,
                           enum permission_kind kind, struct bytes key);
/* 406 when TABLE, which is WHAT ("arguments"), is larger or deeper than may be. */
bool channel_check_table(struct channel *channel, enum method_id method, struct bytes table,
                         const char *what);
/* 406 when NAME is longer than names of what is new may be. Those that are made here (amq.) may be. */
bool channel_check_new_name(struct channel *channel, enum method_id method, const char *kind_of_name,
                            struct bytes name);
/* The name, or the queue last declared for an empty one; false after failing the channel. */
bool channel_queue_name(struct channel *channel, enum method_id method, struct bytes *name);
/* The queue, if it is there and not another connection's; NULL after failing the channel. */
struct queue *channel_find_queue(struct channel *channel, enum method_id method, struct bytes name);
/* False after failing the channel with 405: QUEUE is another connection's. */
bool channel_check_owner(struct channel *channel, enum method_id method, const struct queue *queue);

/* ---- one file per class ---- */

void channel_exchange_method(struct channel *channel, const struct method *method);
/* Bind or unbind with all checks; false after failing the channel. Names are clean. */
bool channel_bind(struct channel *channel, enum method_id method, const struct binding_spec *spec,
                  uint64_t *lsn);
bool channel_unbind(struct channel *channel, enum method_id method, const struct binding_spec *spec,
                    uint64_t *lsn);
void channel_queue_method(struct channel *channel, const struct method *method);
void channel_basic_method(struct channel *channel, const struct method *method);
/* The tag of a consumer to be: the client's, or one made here; false after failing the connection. */
bool channel_consumer_tag(struct channel *channel, struct bytes *tag, char made[64]);
void channel_tx_method(struct channel *channel, const struct method *method);
void channel_confirm_method(struct channel *channel, const struct method *method);

/* channel_publish.c */
void channel_publish(struct channel *channel, struct message *message, unsigned flags);
/* basic.return with 312. Takes over the reference. */
void channel_return(struct channel *channel, struct message *message);
void route_cache_free(struct route_cache *cache);

/* channel_settle.c */
void channel_settle(struct channel *channel, uint64_t delivery_tag, unsigned flags);
/* Settle one delivery that is known to be outstanding. */
void channel_settle_tag(struct channel *channel, uint64_t delivery_tag, enum settle how);
/* Requeue all deliveries that are outstanding for the client. */
void channel_requeue_all(struct channel *channel);
/* CHANNEL has ended: give back what it had unacked. When that is more than may go back in this batch,
 * channel->returning says that returns_run() goes on with it. */
void channel_give_back(struct channel *channel);
/* CHANNEL is returning: give back the rest at once; nobody is told. */
void channel_give_back_rest(struct channel *channel);
/* Go on with the ended channels, as far as this batch may. */
void returns_run(struct vhost *vhost);
/* Give back now whatever is still to come back to QUEUE: somebody wants its head. Frees nothing. */
void returns_finish(struct queue *queue);
/* UNACKED is new on CHANNEL, and not counted yet: see that it is noticed when it times out. */
void channel_watch_unacked(struct channel *channel, const struct unacked *unacked);
/* The same, where it is a matter of a glance that nothing is to be done. */
static inline void channel_watch(struct channel *channel, const struct unacked *unacked)
{
    if (channel->unacked_count == 0 || unacked->queue->options.consumer_timeout > 0)
        channel_watch_unacked(channel, unacked);
}
/* Close CHANNEL if its oldest delivery waits longer than it may; else tell when to look again. A policy may
 * have given its deliveries LEAST ms. */
int64_t channel_check_timeout(struct channel *channel, int64_t least);
/* How long a delivery from QUEUE may be unacked, in ms; VHOST_NEVER: any time. */
int64_t queue_ack_timeout(const struct queue *queue);

/* channel_basic.c */
enum get_result {
    GET_EMPTY, /* nothing is there; or the queue is gone */
    GET_TAKEN, /* RECORD is the answer, to be said at once */
    GET_WAITS, /* for the head to come back, or for the journal, or for gate_refuse_gets() */
};
enum get_result channel_get(struct channel *channel, struct queue *queue, bool no_ack,
                            struct outbox_delivery *record);

/* confirms.c */
void confirms_publish(struct channel *channel, uint64_t lsn, bool refused);
void confirms_flush(struct channel *channel);
void confirms_free(struct confirms *confirms);

/* channel_tx.c; takes over the message's reference, refers to the queues */
void tx_hold_publish(struct channel *channel, struct message *message, struct queue **queues, size_t count,
                     bool is_mandatory);
void tx_hold_settle(struct channel *channel, uint64_t delivery_tag, enum settle how);
/* Drop what the transaction holds; held deliveries are outstanding again. */
void tx_free(struct channel *channel);

/* reply_to.c: direct reply-to (publish-consume-ack.md section 9) */
bool reply_to_is_name(struct bytes name);      /* the bare pseudo-queue */
bool reply_to_is_long_name(struct bytes name); /* one that names a requester */
void reply_to_consume(struct channel *channel, const struct method_basic_consume *consume);
/* False when TAG is not the reply consumer's. */
bool reply_to_cancel(struct channel *channel, struct bytes tag);
void reply_to_channel_ends(struct channel *channel);
/* The requester that NAME names, or NULL when it is gone. */
struct channel *reply_to_find(struct vhost *vhost, struct bytes name);
/* Deliver MESSAGE to REQUESTER, or drop it; takes over the reference. */
void reply_to_deliver(struct channel *requester, struct message *message);
/* The name that replaces the pseudo-name in reply-to; false without a reply consumer. */
bool reply_to_name(struct channel *channel, struct bytes *name);

#endif
