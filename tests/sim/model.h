/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vhost must do, in the simplest words: lists, searched from the front.
 *
 * The model does not choose who gets a message: that depends on what is unsent where. It is told what was
 * delivered in a run and checks that it was allowed: the message stood there ready, nothing ready stood
 * before it, the consumer had room and was the active one, redelivered and counts are right. Everything else
 * it computes: what is dropped, expires, dies, comes back, is confirmed, returned, answered.
 *
 * A run is one command, or several publishes by one channel.
 */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/hash.h"
#include "coney/method.h"

enum { QUEUES = 8, KEYS = 3, CONNECTIONS = 6, CHANNELS = 3, CONSUMERS = 3, DELIVERIES_MAX = 4096 };

#define MODEL_NEVER INT64_MAX

struct model;
struct model_channel;

enum model_state { READY, UNACKED, DEPARTING };

/* Where the core has a message: what is away may be late to die or to be dropped. */
enum model_place { NOWHERE, HERE, AWAY };

struct model_message {
    UT_hash_handle hh; /* queue->by_id */
    struct model_message *prev, *next;
    uint64_t id;
    uint64_t rank; /* order of arrival in the queue; letters of one run may share one */
    int64_t deadline;
    uint32_t returns;
    uint8_t level, priority;
    bool redelivered;
    enum model_state state;
};

enum model_overflow { DROP_HEAD, REJECT, REJECT_DLX };

struct model_queue {
    bool exists, durable, auto_delete, quorum, single_active;
    int owner;       /* connection that it is exclusive to; -1: none */
    uint32_t number; /* counts declares of this name: tells a new queue from an old one */
    int64_t max_length, ttl, delivery_limit; /* -1: none */
    enum model_overflow overflow;
    uint8_t max_priority;
    bool has_dlx;                   /* to the queue two further on */
    uint64_t letters_rank;          /* of the letters that came in this run; 0: none did */
    bool had_letters;               /* messages of one rank may stand in another order than here */
    struct model_message *messages; /* highest level first, then by rank */
    struct model_message *by_id;
    uint64_t ready, unacked;
    bool was_empty; /* at a time of this run nothing was ready */
    uint64_t next_rank;
    struct model_consumer *active;
    bool bound[2][KEYS]; /* to the direct exchange with a key; to the fanout exchange with key 0 */
};

struct model_consumer {
    bool exists, told, no_ack; /* told: consume-ok is out */
    struct model_channel *channel;
    int queue;
    uint64_t order; /* of registration */
    int32_t priority;
    uint32_t prefetch, unacked;
    uint32_t life; /* counts uses of this place */
};

/* An outstanding delivery or get. */
struct model_delivery {
    struct model_delivery *prev, *next;
    uint64_t tag;
    int queue;
    uint32_t queue_number;
    struct model_message *message;   /* NULL: its queue is gone */
    struct model_consumer *consumer; /* NULL: a get, or the consumer is gone */
    bool counts_globally, held;
    int how; /* held: what commit does */
};

enum { REPLY_GET_OK = 1 }; /* beside method ids; or get-empty, if there is nothing when it is its turn */

struct model_reply {
    struct model_reply *prev, *next;
    uint32_t method;
    bool has_count;
    uint32_t count;
    int queue; /* get-ok */
    uint32_t queue_number;
    bool no_ack, in_vain; /* in_vain: its channel was closed */
};

struct model_confirm {
    uint64_t lsn;
    char outcome; /* 'a', 'n' */
    bool told;
};

struct model_held {
    struct model_held *next;
    uint64_t id;
    uint8_t priority;
    int64_t ttl;
    bool mandatory;
    int queues[QUEUES];
    int count;
};

enum model_channel_state { CLOSED, OPEN, FAILED, CLOSING };
enum model_mode { NORMAL, CONFIRM, TX };

struct model_channel {
    struct model *model;
    int connection;
    uint16_t number;
    enum model_channel_state state;
    enum model_mode mode;
    uint64_t opened; /* order of opening */
    uint64_t tag;    /* the last one used */
    uint32_t prefetch, prefetch_global, unacked_global;
    struct model_delivery *deliveries; /* by tag */
    uint32_t delivery_count;
    struct model_consumer consumers[CONSUMERS];
    uint32_t cancels[CONSUMERS]; /* basic.cancel that must come */
    struct model_reply *replies;
    uint64_t published;
    struct model_confirm *confirms; /* of confirm_base + 1 .. published */
    uint64_t confirm_base;
    uint32_t confirm_count, confirm_capacity;
    struct model_held *held, **held_end;
};

struct model_letter {
    struct model_letter *next;
    int target;
    uint64_t id;
    uint8_t priority;
};

/* A delivery, or the answer to a get, that was heard in this run. */
struct model_heard {
    struct model_consumer *consumer; /* NULL: a get */
    struct model_channel *channel;
    int queue;
    uint64_t id, tag;
    bool redelivered, no_ack, done;
    uint32_t delivery_count;
};

struct model {
    int64_t now;
    struct model_queue queues[QUEUES];
    struct model_channel channels[CONNECTIONS][CHANNELS];
    struct model_letter *letters, **letters_end;
    enum model_place (*where)(void *context, int queue, uint64_t id, bool *departing);
    void *context;
    uint64_t order;
    struct model_heard heard[DELIVERIES_MAX];
    uint32_t heard_count;
    uint32_t got_nothing;    /* bit n: a get from queue n was told that it is empty */
    uint64_t returned[1024]; /* ids that must be returned in this run */
    uint32_t returned_count;
};

/* What is wrong; never returns. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

void model_init(struct model *model);
void model_clear(struct model *model);
void model_channel_open(struct model_channel *channel);

/* ---- after a run was heard: what its command means ---- */

void model_publish(struct model_channel *channel, int exchange, int key, uint64_t id, uint8_t priority,
                   int64_t ttl, bool mandatory, uint64_t lsn);
enum { SETTLE_HOW_ACK, SETTLE_HOW_REJECT, SETTLE_HOW_REQUEUE };
/* False: the channel fails with 406. */
bool model_settle(struct model_channel *channel, uint64_t tag, bool multiple, int how);
void model_recover(struct model_channel *channel);
void model_get(struct model_channel *channel, int index, bool no_ack);
void model_qos(struct model_channel *channel, uint32_t count, bool global);
void model_cancel(struct model_channel *channel, struct model_consumer *consumer);
void model_purge(struct model *model, int index);
void model_delete(struct model *model, int index);
/* False: partial completion, the channel fails. */
bool model_commit(struct model_channel *channel);
void model_rollback(struct model_channel *channel);
void model_channel_end(struct model_channel *channel);
void model_connection_end(struct model *model, int connection);
/* The node was started again: nobody is connected, what does not last is gone. */
void model_restart(struct model *model);
static inline bool model_is_persistent(uint64_t id)
{
    return id % 2;
}
/* Before the run: a consumer is to be. */
struct model_consumer *model_consume(struct model_channel *channel, int slot, int index, bool no_ack,
                                     int32_t priority);

/* Whatever follows by itself; all that was heard must have been allowed. */
void model_finish(struct model *model);

/* ---- what must be heard ---- */

struct model_reply *model_expect(struct model_channel *channel, uint32_t method);
/* The next reply has been heard: takes it off; the caller frees it. */
struct model_reply *model_reply(struct model_channel *channel);
/* get-ok was said in reply to REPLY, with what HEARD says of id, tag, redelivered and count; or get-empty. */
void model_got(struct model_channel *channel, const struct model_reply *reply,
               const struct model_heard *heard);
void model_got_nothing(struct model_channel *channel, const struct model_reply *reply);
void model_confirm(struct model_channel *channel, uint64_t tag, bool multiple, bool nack, uint64_t durable);
/* All is quiet: nothing is missing, and no message waits beside a consumer that could take it. */
void model_check_quiet(struct model *model);

#endif
