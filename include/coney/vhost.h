/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual host: the unit of everything. It holds exchanges, queues, bindings, who is connected and what
 * they may do, and runs batches of commands one at a time.
 *
 * The core opens nothing, never sleeps, and asks nobody for the time or for chance: time comes as an
 * argument, randomness and output through vhost_ops. Every function here must be called *inside*: by whoever
 * runs the vhost now, or before it is shared.
 *
 * Times are milliseconds since 1970 on a clock that never steps back.
 */
#ifndef CONEY_VHOST_H
#define CONEY_VHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/batch.h"
#include "coney/bytes.h"
#include "coney/permission.h"
#include "coney/policy.h"
#include "coney/queue_options.h"
#include "coney/reply_error.h"

struct journal;
struct outbox_chunk;
struct vhost;

#define VHOST_NEVER INT64_MAX

struct vhost_ops {
    /* Take over CHUNKS (linked by next, all of one connection, whose owner and hold are in the first). */
    void (*output)(void *context, struct outbox_chunk *chunks);
    /* NULL, or: a channel is about to open: tell whether the node may have one more, and count it. Then what
     * is called when it has ended. */
    bool (*channel_opens)(void *context);
    void (*channel_ends)(void *context);
    /* SIZE octets that nobody can guess. */
    void (*random)(void *context, void *out, size_t size);
    void *context;
};

struct vhost_settings {
    const char *node;            /* its name, which stays the caller's, for the firehose; NULL: none */
    uint64_t message_size_max;   /* octets of body; 406 above */
    int64_t consumer_timeout_ms; /* 0: none */
    enum queue_type default_queue_type;
    bool relaxed;         /* durability of queues without a policy for it */
    uint64_t unsent_max;  /* octets of deliveries under way to one connection; 0: the default */
    uint64_t spill_min;   /* octets of a queue worth writing out to make room; 0: the default */
    uint32_t returns_max; /* deliveries of ended channels that go back in one batch; 0: the default */

    /* Bounds; 0: none. */
    uint64_t connections_max; /* where vhost_set_limits() says nothing */
    uint64_t channels_max;    /* of the node, for the text of vhost_ops.channel_opens' refusal */
    uint64_t consumers_max;   /* of a channel */
    uint64_t unacked_max;     /* deliveries of a channel; consumers then get no more, basic.get is refused */
    uint64_t bindings_max;    /* from one exchange, made by clients */
    uint32_t name_size_max;   /* octets of names of new exchanges and queues */
    uint32_t table_depth_max; /* levels of tables and arrays within each other in arguments and headers */
    uint64_t table_size_max;  /* octets of arguments or headers */
};

/* A vhost called NAME with the predeclared exchanges (exchanges-queues-bindings.md 2). Takes over JOURNAL.
 * SETTINGS and OPS are copied. */
struct vhost *vhost_new(struct bytes name, const struct vhost_settings *settings, const struct vhost_ops *ops,
                        struct journal *journal);

/* Free everything, connections too; nothing is said to anybody. */
void vhost_free(struct vhost *vhost);

/* Valid as long as VHOST. */
struct bytes vhost_name(const struct vhost *vhost);

/* Run one batch. NOW must not be lower than before. The batch's commands are consumed: their messages belong
 * to the core afterwards; the batch itself stays the caller's. */
void vhost_run(struct vhost *vhost, struct batch *batch, int64_t now);

/* Hand over what has been said since the last call: at the end of a run. */
void vhost_flush(struct vhost *vhost);

/* When the core next wants a BATCH_TIMER, or VHOST_NEVER. Earlier when vhost_has_work(). */
int64_t vhost_next_deadline(const struct vhost *vhost);

/* Tell whether work is left over that was too much for one batch: wants a BATCH_TIMER soon. */
bool vhost_has_work(const struct vhost *vhost);

/* The journal's durable LSN has moved: let go what waited for it. */
void vhost_journal_moved(struct vhost *vhost);

/* Close every connection with 320 and TEXT ("CONNECTION_FORCED - " is put before it); of all users when USER
 * is empty. */
void vhost_close_connections(struct vhost *vhost, struct bytes user, const char *text);

/* The same with the connection called ID; false when there is none. */
bool vhost_close_connection(struct vhost *vhost, uint64_t id, const char *text);

/* Close every connection of clients in the same way, as one of many things that go on. Returns how many there
 * still are, those that are being closed too. */
uint32_t vhost_send_away(struct vhost *vhost, const char *text);

/* Delete the queues and exchanges that would not be there after a restart. */
void vhost_delete_transient(struct vhost *vhost);

/* Before maintenance: from now on nobody is let in and nobody may consume; consumers are cancelled, so that
 * nothing more is delivered to them. A connection that had some is closed with 320 as soon as it has settled
 * what it was given. Others stay, and may publish. Returns how many still have to settle something: to be
 * called again until there are none, or until one has no more patience. */
uint32_t vhost_drain(struct vhost *vhost);

/* ---- topology, for definitions and administration: no permissions are checked ---- */

struct exchange_spec {
    struct bytes name, type;
    bool durable, auto_delete, internal;
    struct bytes arguments; /* contents of a valid table */
};

struct queue_spec {
    struct bytes name;
    bool durable, auto_delete;
    struct bytes arguments;
};

struct binding_spec {
    struct bytes source, destination, routing_key;
    bool to_exchange;
    struct bytes arguments;
};

/* Make it, or find that an equivalent one is there. False, with ERROR set as a client would be told. */
bool vhost_declare_exchange(struct vhost *vhost, const struct exchange_spec *spec, struct reply_error *error);
bool vhost_declare_queue(struct vhost *vhost, const struct queue_spec *spec, struct reply_error *error);
bool vhost_bind(struct vhost *vhost, const struct binding_spec *spec, struct reply_error *error);

/* Delete what is in VHOST, at most about MOST things at a time: queues, exchanges but the predeclared ones,
 * then rights, policies and limits. Returns whether all is gone. */
bool vhost_empty(struct vhost *vhost, uint32_t most);

/* ---- rights, policies, limits ---- */

/* Set what USER may do here; acts on open connections at once. */
void vhost_set_permission(struct vhost *vhost, struct bytes user, struct bytes configure, struct bytes write,
                          struct bytes read);
void vhost_clear_permission(struct vhost *vhost, struct bytes user);

/* Set USER's topic permission for EXCHANGE. Kept also while USER has no permission here. */
void vhost_set_topic_permission(struct vhost *vhost, struct bytes user, struct bytes exchange,
                                struct bytes write, struct bytes read);
/* Remove it, if there is one. */
void vhost_clear_topic_permission(struct vhost *vhost, struct bytes user, struct bytes exchange);

/* Each exchange for which USER has a topic permission. */
void vhost_each_topic_permission(const struct vhost *vhost, struct bytes user,
                                 void (*each)(void *context, struct bytes exchange), void *context);
bool vhost_has_permission(const struct vhost *vhost, struct bytes user);

/* Tell whether USER may do what KIND says to the queue or exchange called NAME. */
bool vhost_allows(const struct vhost *vhost, struct bytes user, enum permission_kind kind, struct bytes name);

/* Forget all rights of USER, and close USER's connections with 320 and TEXT. */
void vhost_remove_user(struct vhost *vhost, struct bytes user, const char *text);

/* Put or remove a policy and apply the change to every queue and exchange (queue-features.md 9.7). */
bool vhost_set_policy(struct vhost *vhost, enum policy_origin origin, const struct policy_spec *spec,
                      char why[POLICY_WHY_SIZE]);
bool vhost_clear_policy(struct vhost *vhost, enum policy_origin origin, struct bytes name);

/* Negative: no limit. */
void vhost_set_limits(struct vhost *vhost, int64_t connections_max, int64_t queues_max);
/* Take all of SETTINGS but default_queue_type, which is the vhost's own, and relaxed, which stays while the
 * vhost is in use. What is above a bound already stays. */
void vhost_change_settings(struct vhost *vhost, const struct vhost_settings *settings);
void vhost_set_default_queue_type(struct vhost *vhost, enum queue_type type);

/* ---- looking in, for tests, tools and statistics ---- */

struct queue_info {
    uint64_t ready, ready_bytes, unacked, consumers, bindings;
};

/* False when there is no queue of that name. */
bool vhost_queue_info(const struct vhost *vhost, struct bytes name, struct queue_info *out);

struct vhost_info {
    uint64_t connections, channels, queues, exchanges, bindings;
    uint64_t ready; /* messages, away or not */
};

/* Looks at each queue. */
void vhost_info(const struct vhost *vhost, struct vhost_info *out);

#endif
