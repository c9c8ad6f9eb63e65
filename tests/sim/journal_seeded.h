/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h for tests: records become durable late; runs are written, read and moved late, out of step, and
 * at times not at all, as a seed chooses; memory becomes short and plenty again; checkpoints come and go.
 * Whatever it is told is checked (kept.h): only what was enqueued is settled, only what was declared is
 * deleted, groups are closed, every run that was written is dropped once and not used after that. A
 * contradiction is printed and aborts.
 *
 * Time passes for it in the functions below alone; between two of them nothing moves.
 */
#ifndef TESTS_SIM_JOURNAL_SEEDED_H
#define TESTS_SIM_JOURNAL_SEEDED_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/journal.h"
#include "coney/vhost.h"

struct journal_seeded;

/* Each may be NULL. */
struct journal_seeded_hooks {
    /* A message was written. */
    void (*enqueued)(void *context, const struct journal_record *record, uint64_t lsn);
    void *context;
};

/* HOOKS are copied; NULL: none. Whoever frees the journal, the vhost as a rule, frees it all. */
struct journal_seeded *journal_seeded_new(uint64_t seed, const struct journal_seeded_hooks *hooks);

struct journal *journal_seeded_journal(struct journal_seeded *seeded);

/* Take a chance: something becomes durable, or the vhost is told so, or one question is answered, or memory
 * becomes short, or a checkpoint goes on. */
void journal_seeded_step(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Let all become durable, and answer all. True when there was something. */
bool journal_seeded_settle(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Let all that is ready leave memory, but for what is kept for consumers. Only saves are answered. */
void journal_seeded_evict_all(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Answer all, or all saves with FAILED. */
void journal_seeded_answer_all(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);
void journal_seeded_answer_saves(struct journal_seeded *seeded, struct vhost *vhost, int64_t now,
                                 bool failed);

/* Answer the oldest question. */
void journal_seeded_answer_one(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Answer all fetches and looks as failed. */
void journal_seeded_fail_reads(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Octets that may be in memory. */
void journal_seeded_limit(struct journal_seeded *seeded, struct vhost *vhost, int64_t now, uint64_t limit);

/* Questions that are not answered yet. */
uint32_t journal_seeded_questions(const struct journal_seeded *seeded);

/* Write all runs again elsewhere: ask for it; the answers come with the others. */
void journal_seeded_move_all(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* A whole checkpoint, all that it asks for included. */
void journal_seeded_checkpoint(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Let all that is written become durable and tell the vhost. */
void journal_seeded_sync(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

uint64_t journal_seeded_durable(const struct journal_seeded *seeded);

/* What is away: the message NUMBER of RUN. */
const struct message *journal_seeded_message(struct journal_seeded *seeded, const struct run *run,
                                             uint64_t number);

/* From now on every record is a contradiction: freeing a vhost takes nothing back. */
void journal_seeded_seal(struct journal_seeded *seeded);

/* Compare what would be found after a restart with what VHOST holds. Only while nothing is on its way between
 * queues: without work left, and settled. */
void journal_seeded_check(struct journal_seeded *seeded, struct vhost *vhost);

/* The node is started again: VHOST, which has come to rest, is freed; what MAKE makes of the journal gets
 * what was kept. Without MAKE nothing is freed, but what would come back is compared with VHOST. */
struct vhost *journal_seeded_restart(struct journal_seeded *seeded, struct vhost *vhost,
                                     struct vhost *(*make)(void *context, struct journal *journal),
                                     void *context);

#endif
