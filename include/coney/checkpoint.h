/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the store, inside a vhost: answers to what the core asked through journal.h, and what a checkpoint
 * needs: that messages of old parts of the journal are written as runs, and what has changed since the last
 * one.
 *
 * The order of a checkpoint: vhost_save_old() until it returns false, all states, then all changed runs.
 * Whatever is captured may be newer than the part of the journal that is to be given up, never older.
 */
#ifndef CONEY_CHECKPOINT_H
#define CONEY_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/run.h"

struct vhost;

/* The answer to journal_ops.save: SAVE is the core's again, with `failed` and `place` set. A run that nobody
 * wants any more is dropped at once. */
void queue_saved(struct vhost *vhost, struct journal_save *save);

/* The answer to journal_ops.fetch: FETCH is the core's again, with `failed`, or with COUNT messages in order
 * of number. One that failed where its run is takes the queue out of service; where its run was it is asked
 * for again, from in here. */
void queue_fetched(struct vhost *vhost, struct journal_fetch *fetch);

/* The answer to journal_ops.look: LOOK is the core's again, with `failed`, or with COUNT lines of the list.
 * The same holds for a failure. */
void queue_looked(struct vhost *vhost, struct journal_look *look);

/* RUN was written again at PLACE, with MESSAGES of its messages: those that were live. False when it has been
 * dropped meanwhile: then PLACE is of no use, and RUN is gone. Either way RUN is no longer RUN_MOVING. */
bool run_moved(struct vhost *vhost, struct run *run, const struct run_place *place, uint32_t messages);

/* Hand to the journal, as saves, what entered queues in ERA or before and is in no run. True while some of it
 * is not: call again after answers. */
bool vhost_save_old(struct vhost *vhost, uint16_t era);

/* Octets of a level in a queue's state: its number, next, saved, mark, redelivered_below (big endian). */
#define QUEUE_STATE_LEVEL 33

/* What is captured goes here, and is borrowed. */
struct checkpoint_sink {
    /* STATE: QUEUE_STATE_LEVEL octets for each level in use. */
    void (*state)(void *context, uint64_t queue_id, struct bytes state);
    void (*run)(void *context, struct run *run);
    void *context;
};

/* Pass the states of up to BUDGET queues whose state has changed since they were last passed. True: there are
 * more. */
bool vhost_capture_states(struct vhost *vhost, const struct checkpoint_sink *sink, unsigned budget);

/* Pass all runs that have changed since they were last passed; of those that do not last only the space
 * counts. */
void vhost_capture_runs(struct vhost *vhost, const struct checkpoint_sink *sink);

/* Pass all runs of FILE that may be written again elsewhere; they are RUN_MOVING then. LASTS: of those that
 * last. */
void vhost_move_runs(struct vhost *vhost, uint32_t file, bool lasts, const struct checkpoint_sink *sink);

#endif
