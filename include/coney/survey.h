/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into a vhost, a slice at a time: what there is, in what state, and what was counted. For listings,
 * statistics and exports. Called inside the vhost; each thing is shown as a struct whose strings are the
 * vhost's and valid during the call that shows it only. Nothing is changed.
 *
 * A survey of many things goes on where it stopped: queues, exchanges and bindings by a cursor, which follows
 * when what it stands at is deleted meanwhile. What is made meanwhile is seen, what goes before it was seen
 * is not. A vhost that is being emptied is closed to surveys.
 */
#ifndef CONEY_SURVEY_H
#define CONEY_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"
#include "coney/counts.h"
#include "coney/policy.h"
#include "coney/queue_options.h"

struct vhost;

/* ---- going through many things ---- */

enum survey_of { SURVEY_QUEUES, SURVEY_EXCHANGES, SURVEY_BINDINGS };

/* Zeroed but for `of`: at the beginning. Not to be moved or freed before survey_end() while it is begun and
 * not at its end. */
struct survey_cursor {
    enum survey_of of;
    bool has_begun, is_at_end;
    uint32_t generation;
    void *at;
    struct survey_cursor *prev, *next; /* the vhost's */
};

/* Leave the survey before its end. */
void survey_end(struct vhost *vhost, struct survey_cursor *cursor);

/* Surveys under way are at their end, and others find nothing until survey_reopen(): whoever surveys is not
 * let in any more, and may be gone with his cursor without having left. Cursors are forgotten without being
 * looked at. */
void survey_close(struct vhost *vhost);
void survey_reopen(struct vhost *vhost);

/* ---- queues ---- */

struct survey_queue {
    struct bytes name;
    struct bytes arguments;               /* contents of a table */
    const struct queue_options *options;  /* in force */
    const char *policy, *operator_policy; /* names; NULL: none */
    bool durable, auto_delete, exclusive;
    bool is_broken; /* out of service */
    uint64_t owner; /* id of the connection that it is exclusive to; 0: none */
    uint64_t ready, ready_bytes;
    uint64_t unacked, unacked_bytes;
    uint64_t away;   /* of the ready, not in memory */
    uint64_t memory; /* octets, about */
    uint32_t consumers;
    bool could_deliver;                               /* a consumer would take a message now */
    struct bytes active_consumer, exclusive_consumer; /* tags; data NULL: none */
    int64_t oldest_age_ms;         /* of the oldest message, about; negative: there is none */
    int64_t oldest_unacked_age_ms; /* since its delivery, to a second; negative: none, or not known */
    int64_t idle_since;            /* ms since 1970: last declare, get, consumer, or message that came */
    const struct message_counts *counts; /* never NULL */
    const struct death_counts *deaths;
};

/* Octets of the ready messages that are not in memory, told from the average. */
static inline uint64_t survey_queue_away_bytes(const struct survey_queue *queue)
{
    return queue->ready ? (uint64_t)((double)queue->ready_bytes * (double)queue->away / (double)queue->ready)
                        : 0;
}

/* Show up to MOST queues from CURSOR on. */
void survey_queues(struct vhost *vhost, struct survey_cursor *cursor, unsigned most,
                   void (*show)(void *context, const struct survey_queue *queue), void *context);

/* Show the queue called NAME; false when there is none. */
bool survey_queue(struct vhost *vhost, struct bytes name,
                  void (*show)(void *context, const struct survey_queue *queue), void *context);

/* Append the definition in force for the queue called NAME, policy and operator policy merged, as the
 * contents of a table. */
void survey_queue_policy(const struct vhost *vhost, struct bytes name, struct buffer *out);

/* The property timestamp of the oldest message of the queue called NAME, of the highest priority that has
 * one; false: there is none, or the message is not in memory. */
bool survey_queue_timestamp(const struct vhost *vhost, struct bytes name, uint64_t *timestamp);

/* ---- exchanges ---- */

struct survey_exchange {
    struct bytes name;
    const char *type;
    struct bytes arguments;
    bool durable, auto_delete, internal;
    const char *policy, *operator_policy; /* names; NULL: none */
    uint64_t publish_in, publish_out;
    uint32_t bindings; /* of which it is the source */
};

/* As with queues: up to MOST from CURSOR on, or the one called NAME; false when there is none. */
void survey_exchanges(struct vhost *vhost, struct survey_cursor *cursor, unsigned most,
                      void (*show)(void *context, const struct survey_exchange *exchange), void *context);
bool survey_exchange(struct vhost *vhost, struct bytes name,
                     void (*show)(void *context, const struct survey_exchange *exchange), void *context);

/* The INDEX-th of the types that exchanges may have, by name, which needs no vhost; false behind the last. */
bool survey_exchange_type(size_t index, const char **name, const char **description);

/* ---- bindings: those that were made; that of each queue to the default exchange is not among them ---- */

struct survey_binding {
    struct bytes source, destination, routing_key;
    bool to_exchange;
    struct bytes arguments;
};

/* Show up to MOST bindings from CURSOR on. */
void survey_bindings(struct vhost *vhost, struct survey_cursor *cursor, unsigned most,
                     void (*show)(void *context, const struct survey_binding *binding), void *context);

/* Those of one end: up to MOST behind the first SKIP. Returns how many were shown; 0 also when there is no
 * such exchange or queue. */
enum survey_side { SURVEY_FROM_EXCHANGE, SURVEY_TO_EXCHANGE, SURVEY_TO_QUEUE };
unsigned survey_bindings_of(struct vhost *vhost, enum survey_side side, struct bytes name, uint64_t skip,
                            unsigned most, void (*show)(void *context, const struct survey_binding *binding),
                            void *context);

/* ---- connections, their channels and consumers ---- */

/* What the vhost knows of a connection; the rest the server does (coney/sessions.h). */
struct survey_connection {
    uint64_t id;
    const void *owner; /* vhost_ops.output's, as of the next two: the server's session */
    struct bytes user;
    bool is_internal; /* the node's own: not to be listed, and its channels are not */
    uint32_t channels;
    bool is_blocked; /* its publishers are held */
    bool is_closing;
};

struct survey_channel {
    uint64_t connection;
    const void *owner;
    struct bytes user;
    uint16_t number;
    bool is_transactional, is_confirming, is_closing;
    uint32_t consumers, unacked;
    uint64_t unconfirmed;
    uint32_t uncommitted, acks_uncommitted;
    uint16_t prefetch, prefetch_global;
    const struct message_counts *counts; /* never NULL */
};

struct survey_consumer {
    uint64_t connection;
    const void *owner;
    uint16_t channel;
    struct bytes user;
    struct bytes tag, queue;
    bool ack_required, exclusive;
    bool is_active;        /* gets messages; false: waits for another that is the only active one */
    bool is_single_active; /* the queue has one active consumer only */
    uint32_t prefetch;
    int64_t priority;
    uint32_t unacked;
    int64_t timeout_ms; /* of acknowledgements; VHOST_NEVER: none */
};

/* False when there is no such connection. */
bool survey_connection(struct vhost *vhost, uint64_t id, struct survey_connection *out);

/* Show the channels, or consumers, of connections from *PLACE on, which begins at 0, until about MOST were
 * shown; a connection is never divided. False: that was all. */
bool survey_channels(struct vhost *vhost, uint32_t *place, unsigned most,
                     void (*show)(void *context, const struct survey_channel *channel), void *context);
bool survey_consumers(struct vhost *vhost, uint32_t *place, unsigned most,
                      void (*show)(void *context, const struct survey_consumer *consumer), void *context);

/* Show a channel, and one of its consumers; false when there is none. */
bool survey_channel(struct vhost *vhost, uint64_t connection, uint16_t number,
                    void (*show)(void *context, const struct survey_channel *channel), void *context);
bool survey_consumer(struct vhost *vhost, uint64_t connection, uint16_t channel, struct bytes tag,
                     void (*show)(void *context, const struct survey_consumer *consumer), void *context);

/* All of one connection, and of one queue. */
void survey_channels_of(struct vhost *vhost, uint64_t connection,
                        void (*show)(void *context, const struct survey_channel *channel), void *context);
void survey_consumers_of(struct vhost *vhost, struct bytes queue, unsigned most,
                         void (*show)(void *context, const struct survey_consumer *consumer), void *context);

/* Up to MOST consumers of one channel. */
void survey_consumers_of_channel(struct vhost *vhost, uint64_t connection, uint16_t channel, unsigned most,
                                 void (*show)(void *context, const struct survey_consumer *consumer),
                                 void *context);

/* ---- the whole, rights, policies, limits ---- */

struct survey_vhost {
    uint64_t connections, channels, consumers, queues, exchanges, bindings;
    uint64_t ready, unacked;             /* messages */
    uint64_t unsent;                     /* octets for clients that their sockets have not taken yet */
    int64_t connections_max, queues_max; /* negative: no limit */
    enum queue_type default_queue_type;
    bool is_draining;
    struct vhost_counts counts;
};

/* What the vhost counts as it goes: cheap, however much is in it. */
void survey_vhost(const struct vhost *vhost, struct survey_vhost *out);

struct survey_permission {
    struct bytes user, configure, write, read;
};

struct survey_topic_permission {
    struct bytes user, exchange, write, read;
};

/* Each user's permission, and each topic permission. */
void survey_permissions(const struct vhost *vhost,
                        void (*show)(void *context, const struct survey_permission *permission),
                        void *context);
void survey_topic_permissions(const struct vhost *vhost,
                              void (*show)(void *context, const struct survey_topic_permission *permission),
                              void *context);

/* Each policy of ORIGIN, the one that is asked first in front. */
void survey_policies(const struct vhost *vhost, enum policy_origin origin,
                     void (*show)(void *context, const struct policy *policy), void *context);

#endif
