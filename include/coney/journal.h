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
 * Queues are named by the LSN of their creation, messages by queue, level and number; none of these is ever
 * used twice, so a record may be applied again to a state that has it already.
 *
 * Messages may be away: the core has the journal write some of a queue's as a run (save()), lets them leave
 * memory when memory is short, and asks for them again (fetch(), look()). The implementation answers by
 * calling queue_saved(), queue_fetched() and queue_looked() inside the vhost, at a time and in an order of
 * its own.
 *
 * No function here may block. All are called inside the vhost that the journal was given to.
 */
#ifndef CONEY_JOURNAL_H
#define CONEY_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/run.h"

struct binding_spec;
struct exchange_spec;
struct journal;
struct message;
struct queue_spec;

enum journal_kind {
    JOURNAL_ENQUEUE = 1,      /* message, with deadline, at position in queue */
    JOURNAL_SETTLE,           /* the message at position has left queue: acked, dropped, expired, moved */
    JOURNAL_REDELIVERY,       /* the message at position came back: delivery_count */
    JOURNAL_PURGE,            /* all of a level from position up to below `below` have left queue */
    JOURNAL_DELIVERED,        /* messages of a level below position may have been delivered */
    JOURNAL_DECLARE_EXCHANGE, /* exchange */
    JOURNAL_DELETE_EXCHANGE,  /* exchange: its name */
    JOURNAL_DECLARE_QUEUE,    /* made: the record's LSN names it from now on */
    JOURNAL_DELETE_QUEUE,     /* queue */
    JOURNAL_BIND,             /* binding */
    JOURNAL_UNBIND,           /* binding */
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
    bool relaxed; /* who waits for it is content when it is written, synced or not */
    uint64_t queue;
    struct journal_position position;
    uint64_t below;
    uint32_t delivery_count;
    int64_t deadline; /* INT64_MAX: none */
    struct message *message;
    const struct queue_spec *made;
    const struct exchange_spec *exchange;
    const struct binding_spec *binding;
};

struct journal_ops {
    /* Reserve an LSN for RECORD, which is higher than all before, and see to its becoming durable. */
    uint64_t (*append)(struct journal *journal, const struct journal_record *record);
    /* What is appended from begin() to commit() is one group: after a crash all of it is there or none.
     * Groups do not nest, and end before flush(). */
    void (*begin)(struct journal *journal);
    void (*commit)(struct journal *journal);
    /* The end of a run of the vhost: what was appended may go on its way. USED: octets that messages waiting
     * in queues hold in memory. */
    void (*flush)(struct journal *journal, uint64_t used);
    /* Highest LSN that is on stable storage. May be called at any time, and never goes back. */
    uint64_t (*durable)(const struct journal *journal);
    /* Take over SAVE and write its messages as one run; queue_saved() is the answer. Saves of a level of a
     * queue are answered in the order in which they were asked for. */
    void (*save)(struct journal *journal, struct journal_save *save);
    /* Take over FETCH and read those messages of its run that are wanted, at its place; queue_fetched() is
     * the answer. When the run is written again elsewhere meanwhile, either copy will do, and failing is
     * allowed: then it is asked for again. */
    void (*fetch)(struct journal *journal, struct journal_fetch *fetch);
    /* Take over LOOK and read that part of its run's list by deadline; queue_looked() is the answer. The same
     * holds. */
    void (*look)(struct journal *journal, struct journal_look *look);
    /* Nothing in RUN, which is RUN_LISTED, is live any more: its row leaves the catalog with the records that
     * said so, whatever is still under way. The core clears the flag after this. */
    void (*emptied)(struct journal *journal, struct run *run);
    /* Nothing in RUN is live any more, and nothing of it is under way; the core frees it after this. */
    void (*drop)(struct journal *journal, struct run *run);
    /* The vhost is going, and asks nothing more. */
    void (*free)(struct journal *journal);
};

struct journal {
    const struct journal_ops *ops;
    /* What follows is changed by the implementation, inside: at a flush or with an answer. */
    /* Octets that messages waiting in queues may hold in memory before some are written out; UINT64_MAX: any
     * number. */
    uint64_t memory_limit;
    /* A number that rises as the journal's files fill up: what was appended under an old era is written out
     * when its file is wanted again. */
    uint32_t era;
    /* The journal can't keep up: those who publish what must last are held. */
    bool is_behind;
    /* Octets that messages settled by the core take in runs of queues that do not last (0) and that do (1),
     * about: the core adds, the implementation takes. */
    uint64_t dead[2];
};

/* Write RECORD; returns its LSN. */
static inline uint64_t journal_append(struct journal *journal, const struct journal_record *record)
{
    return journal->ops->append(journal, record);
}

/* A group begins, ends. */
static inline void journal_begin(struct journal *journal)
{
    journal->ops->begin(journal);
}

static inline void journal_commit(struct journal *journal)
{
    journal->ops->commit(journal);
}

/* Highest LSN that is on stable storage. */
static inline uint64_t journal_durable(const struct journal *journal)
{
    return journal->ops->durable(journal);
}

/* JOURNAL may be NULL. */
static inline void journal_free(struct journal *journal)
{
    if (journal)
        journal->ops->free(journal);
}

/* A journal that keeps nothing: every record is durable at once, no message ever leaves memory. */
struct journal *journal_memory_new(void);

#endif
