/* SPDX-License-Identifier: Apache-2.0 */
/* Runs (run.h): what the files of the core that make, read, change and move them share. */
#ifndef BROKER_QUEUE_RUNS_H
#define BROKER_QUEUE_RUNS_H

#include "queue.h"

#define READ_AHEAD 3 /* runs behind the head's that are read, and stay, while somebody consumes */

/* ---- the list of a level's runs: queue_runs.c ---- */

/* The place in LEVEL's list of the first run that ends above NUMBER. */
uint32_t run_index(const struct level *level, uint64_t number);

/* RUN, of QUEUE and behind all others of LEVEL, joins the list. */
void level_add_run(struct queue *queue, struct level *level, struct run *run);

/* RUN is no longer as the catalog has it. */
void run_changed(struct queue *queue, struct run *run);

/* QUEUE has taken RUN out of its level: forget it, now or when nothing of it is under way. */
void run_retire(struct queue *queue, struct run *run);

/* The same for one that was in no level. */
void run_drop(struct vhost *vhost, struct run *run);

/* What FLAG, of RUN_BUSY, stands for is over. False when RUN is dropped: it may be gone. */
bool run_answered(struct vhost *vhost, struct run *run, uint8_t flag);

/* What RUN knows of the message at AT having come back; NULL: it has not since it was written. */
struct run_return *run_return_of(struct run *run, uint32_t at);

/* The message at AT of RUN has come back DELIVERY_COUNT times. */
void run_note_return(struct queue *queue, struct run *run, uint32_t at, uint32_t delivery_count);

/* What is at BIT of RUN, with a body of BODY_SIZE or about, is away no more. Returns the octets that RUN
 * counted for it. */
uint64_t run_uncount_away(struct run *run, uint64_t bit, uint64_t body_size);

/* ---- saving: queue_save.c ---- */

/* Hand the next messages of LEVEL to the journal: those of ERA and older, or, to make room, all if they are
 * worth it. False when there are none, or enough is under way. */
bool level_save(struct queue *queue, struct level *level, uint8_t number, uint16_t era, bool any_era);

/* ---- coming back: queue_fetch.c ---- */

/* The place of the run that the first ready message of LEVEL is in or before. */
uint32_t level_head_run(struct level *level);

/* Ask for those messages of RUN that WANTED says, which is taken over. IS_DEPARTURE: they are due, and leave
 * when they are here. */
void run_fetch(struct queue *queue, struct run *run, uint64_t *wanted, bool is_departure);

/* Ask for all of RUN that is away, unless that is under way. */
void run_call_back(struct queue *queue, struct run *run);

/* Messages of QUEUE that were away have come or gone: another may be the head. */
void queue_head_changed(struct queue *queue);

/* ---- dying while away: queue_due.c ---- */

/* MESSAGE of RUN, which was due, is here: it dies. Takes over the reference. */
void run_depart(struct queue *queue, struct run *run, struct run_message *message);

#endif
