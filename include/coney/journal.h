/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between the core and what keeps things: a table of functions that the core calls for everything
 * that must last, and that the store (or memory alone) implements.
 *
 * Each record gets a log sequence number, ascending. A record is durable when its LSN is at most
 * journal_durable(). The core makes every reply that promises something wait for the LSN of what it wrote and
 * of what it asserts; LSN 0 is "nothing to wait for". When the durable LSN moves, the implementation has
 * vhost_journal_moved() called inside the vhost, as a batch of its own (BATCH_CALL).
 *
 * Records between journal_begin() and journal_commit() are one: after a crash all of them happened or none. A
 * dead-letter move is such a group (the settlement in the source and the enqueue in each target), a
 * transaction's commit another.
 *
 * Bodies may be away: the implementation may take a ready message out of memory with queue_evict(), and
 * brings it back when load() asks, by calling queue_loaded() inside the vhost, at a time and in an order of
 * its own.
 *
 * No function here may block. All are called inside the vhost that the journal was given to.
 */
#ifndef CONEY_JOURNAL_H
#define CONEY_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"

struct message;
struct queue;
struct exchange;
struct binding;
struct journal;

enum journal_kind {
    JOURNAL_ENQUEUE,          /* message at position in queue */
    JOURNAL_SETTLE,           /* the message at position has left queue: acked, dropped, expired, moved */
    JOURNAL_REDELIVERY,       /* the message at position came back: delivery_count */
    JOURNAL_PURGE,            /* all that was ready in queue is gone */
    JOURNAL_DECLARE_EXCHANGE, /* exchange */
    JOURNAL_DELETE_EXCHANGE,
    JOURNAL_DECLARE_QUEUE, /* queue */
    JOURNAL_DELETE_QUEUE,
    JOURNAL_BIND, /* binding */
    JOURNAL_UNBIND,
};

/* Where a message stands in a queue: the level of its priority and its number there. */
struct journal_position {
    uint8_t level;
    uint64_t number;
};

/* What KIND does not name is unset. Everything is borrowed: an implementation that keeps a message takes a
 * reference. */
struct journal_record {
    enum journal_kind kind;
    struct queue *queue;
    struct journal_position position;
    uint32_t delivery_count;
    struct message *message;
    const struct exchange *exchange;
    const struct binding *binding;
};

struct journal_ops {
    /* Reserve an LSN for RECORD and see to its becoming durable. */
    uint64_t (*append)(struct journal *journal, const struct journal_record *record);
    void (*begin)(struct journal *journal);
    void (*commit)(struct journal *journal);
    /* Highest LSN that is on stable storage. */
    uint64_t (*durable)(const struct journal *journal);
    /* Bring back the body of an evicted message, and as many behind it as seems wise. */
    void (*load)(struct journal *journal, struct queue *queue, struct journal_position position);
    void (*free)(struct journal *journal);
};

struct journal {
    const struct journal_ops *ops;
};

static inline uint64_t journal_append(struct journal *journal, const struct journal_record *record)
{
    return journal->ops->append(journal, record);
}

static inline void journal_begin(struct journal *journal)
{
    journal->ops->begin(journal);
}

static inline void journal_commit(struct journal *journal)
{
    journal->ops->commit(journal);
}

static inline uint64_t journal_durable(const struct journal *journal)
{
    return journal->ops->durable(journal);
}

static inline void journal_load(struct journal *journal, struct queue *queue,
                                struct journal_position position)
{
    journal->ops->load(journal, queue, position);
}

static inline void journal_free(struct journal *journal)
{
    if (journal)
        journal->ops->free(journal);
}

/* A journal that keeps nothing: every record is durable at once, no body ever leaves memory. */
struct journal *journal_memory_new(void);

#endif
