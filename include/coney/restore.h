/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the store, before a vhost is shared: what was there before the node was started is put back. First what
 * the catalog has, then what the journal's records say, in their order. While this goes on the journal of the
 * vhost must give every record the LSN of what is being put back, and write nothing.
 *
 * Every function may be told what is there already, or gone already: queues are known by id, so records about
 * one that was deleted, or of a later one of the same name, find nothing and do nothing.
 */
#ifndef CONEY_RESTORE_H
#define CONEY_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/journal.h"
#include "coney/run.h"
#include "coney/vhost.h"

/* ---- what there is; LSN is always the record's ---- */

/* An exchange was declared. False with ERROR when a client could not have made it. */
bool restore_exchange(struct vhost *vhost, const struct exchange_spec *spec, uint64_t lsn,
                      struct reply_error *error);

/* The exchange NAME was deleted; a later one of that name stays. */
void restore_exchange_deletion(struct vhost *vhost, struct bytes name, uint64_t lsn);

/* The id of the queue NAME; 0 when there is none. */
uint64_t restore_queue_id(struct vhost *vhost, struct bytes name);

/* A queue was declared; ID is the record's LSN. Returns the queue, or NULL: with ERROR when it could not be
 * made, without (code 0) when a later one has its name. */
struct queue *restore_queue(struct vhost *vhost, const struct queue_spec *spec, uint64_t id,
                            struct reply_error *error);

/* QUEUE was deleted, and is gone after this. */
void restore_queue_deletion(struct queue *queue);

/* A binding was made, removed: between those that bore the names then. */
void restore_binding(struct vhost *vhost, const struct binding_spec *spec, uint64_t lsn);
void restore_unbinding(struct vhost *vhost, const struct binding_spec *spec, uint64_t lsn);

/* ---- what the catalog has of a queue's messages ---- */

/* The levels of QUEUE are as STATE says, which vhost_capture_states() gave; false when it is malformed. */
bool restore_state(struct queue *queue, struct bytes state);

/* A run as it was captured. */
struct restored_run {
    uint8_t level;
    uint64_t first;
    uint32_t span, messages;
    uint64_t body_bytes; /* of all its messages, live or not */
    int64_t next_deadline;
    struct run_place place;
    const uint64_t *live;             /* copied, */
    const struct run_return *returns; /* and these: RETURN_COUNT of them */
    uint32_t return_count;
};

/* What is live in the run that SPEC says is ready in QUEUE, and away; runs of a level come in order. False
 * when it does not fit. */
bool restore_run(struct queue *queue, const struct restored_run *spec);

/* ---- what the journal's records say of them, in their order ---- */

/* Numbers that a record, of the store's or of a queue's, may name are below this: none ever gets so far. */
#define RESTORE_NUMBERS (UINT64_C(1) << 62)

/* Whether a message may be at POSITION of QUEUE, or the next one come there: numbers that are left out
 * between it and what is in memory cost some all the same. They are taken from ROOM (for 64 of them 1); false
 * when it has not enough. */
bool restore_reaches(struct queue *queue, struct journal_position position, uint64_t *room);

/* JOURNAL_ENQUEUE: MESSAGE is at POSITION, unless a run has it already. Takes over the reference. */
void restore_message(struct queue *queue, struct journal_position position, struct message *message,
                     int64_t deadline);

/* JOURNAL_SETTLE: the message at POSITION has left. */
void restore_settlement(struct queue *queue, struct journal_position position);

/* JOURNAL_REDELIVERY: the message at POSITION has come back, DELIVERY_COUNT times in all. */
void restore_redelivery(struct queue *queue, struct journal_position position, uint32_t delivery_count);

/* JOURNAL_PURGE: all messages of a level from FROM up to below BELOW have left. */
void restore_purge(struct queue *queue, struct journal_position from, uint64_t below);

/* JOURNAL_DELIVERED: messages of a level below POSITION may have been delivered. */
void restore_delivered(struct queue *queue, struct journal_position position);

/* ---- the end ---- */

/* All is put back: messages whose fate the journal leaves open may have been delivered. */
void restore_end(struct vhost *vhost);

/* Before a clean end, when all connections are gone: what was delivered is known exactly. */
void vhost_settle_marks(struct vhost *vhost);

#endif
