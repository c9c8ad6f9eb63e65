/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h for tests: records become durable late, bodies leave memory and come back late and out of order,
 * as a seed chooses. Whatever it is told is checked: only what was enqueued is settled, only what was
 * declared is deleted, groups are closed. A contradiction is printed and aborts.
 *
 * Time passes for it in journal_seeded_step() alone; between two steps nothing moves.
 */
#ifndef TESTS_SIM_JOURNAL_SEEDED_H
#define TESTS_SIM_JOURNAL_SEEDED_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/journal.h"

struct journal_seeded;
struct vhost;

/* Each may be NULL. */
struct journal_seeded_hooks {
    /* A message was written. */
    void (*enqueued)(void *context, const struct journal_record *record, uint64_t lsn);
    /* Bodies of QUEUE may leave memory. */
    bool (*may_evict)(void *context, const struct queue *queue);
    /* A ready body has left memory; is about to come back, if there still is a place for it. */
    void (*evicted)(void *context, const struct queue *queue, const struct message *message);
    void (*loading)(void *context, const struct queue *queue, const struct message *message);
    void *context;
};

/* HOOKS are copied; NULL: none. Whoever frees the journal, the vhost as a rule, frees it all. */
struct journal_seeded *journal_seeded_new(uint64_t seed, const struct journal_seeded_hooks *hooks);

struct journal *journal_seeded_journal(struct journal_seeded *seeded);

/* Take a chance: something becomes durable, or the vhost is told so, or a body leaves, or one comes back. */
void journal_seeded_step(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Let all become durable, and all bodies come back that were asked for. True when there was something. */
bool journal_seeded_settle(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Let all ready bodies leave memory. */
void journal_seeded_evict_all(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Let all bodies come back that were asked for. */
void journal_seeded_load_wanted(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

/* Let all that is written become durable and tell the vhost; bodies stay where they are. */
void journal_seeded_sync(struct journal_seeded *seeded, struct vhost *vhost, int64_t now);

uint64_t journal_seeded_durable(const struct journal_seeded *seeded);

/* From now on every record is a contradiction: freeing a vhost takes nothing back. */
void journal_seeded_seal(struct journal_seeded *seeded);

/* Compare what would be found after a restart with what VHOST holds. Only while nothing is on its way between
 * queues: without work left, and settled. */
void journal_seeded_check(struct journal_seeded *seeded, struct vhost *vhost);

#endif
