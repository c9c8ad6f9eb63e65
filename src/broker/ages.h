/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the oldest message of a level has waited, without a time in every message: once a second, while
 * there is a backlog, the number that the next message will have is noted with the time. The message with the
 * lowest number came after the last mark that is not above it.
 *
 * Marks are bounded: when their place is full every second one goes, so what is long ago is known less
 * exactly. After a restart what was there before counts from the restart.
 */
#ifndef BROKER_AGES_H
#define BROKER_AGES_H

#include "queue.h"

/* A message is about to enter LEVEL of QUEUE. */
void level_note_time(struct queue *queue, struct level *level);

/* Time begins: what is in QUEUE is there from now on. */
void queue_begin_ages(struct queue *queue);

/* Since when, at least, the oldest message of QUEUE is there, ready or unacked, in ms since 1970; 0: there is
 * none, or it is not known. */
int64_t queue_oldest_since(struct queue *queue);

/* When a message last came into QUEUE, to a second and not later, in ms since 1970; 0: none did, or it is not
 * known. */
int64_t queue_newest_since(struct queue *queue);

#endif
