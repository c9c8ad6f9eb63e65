/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, marks: after a crash the journal must know what may have been delivered.
 *
 * Not each delivery is written: a record says "those below this number of the level may have been", ahead of
 * the deliveries and for thousands of them. A queue that counts deliveries for its clients writes each as
 * well.
 *
 * Invariants:
 * 1. Whatever has been delivered of a durable queue is below its level's `mark`.
 * 2. Who is promised deliveries (consume-ok) waits until the record of the mark is durable. Of a level that
 *    comes into use later the mark's record is before that of its first message.
 */
#include "coney/restore.h"
#include "queue_runs.h"
#include "vhost_fields.h"

void queue_write_mark(struct queue *queue, struct level *level, uint8_t number)
{
    level->kept->mark_lsn = journal_append(queue->vhost->journal,
                                           &(struct journal_record){.kind = JOURNAL_DELIVERED,
                                                                    .relaxed = queue->options.relaxed,
                                                                    .queue = queue->lsn,
                                                                    .position = {number, level->kept->mark}});
    queue_touched(queue);
}

void queue_count_delivery(struct queue *queue, struct place place, const struct entry *entry)
{
    if (place.number < queue_level(queue, place.level)->kept->saved)
        run_returned(queue, place, entry->delivery_count + 1);
    journal_append(queue->vhost->journal,
                   &(struct journal_record){.kind = JOURNAL_REDELIVERY,
                                            .relaxed = queue->options.relaxed,
                                            .queue = queue->lsn,
                                            .position = {place.level, place.number},
                                            .delivery_count = entry->delivery_count + 1});
}

void queue_extend_mark(struct queue *queue, struct level *level, struct place place)
{
    level_keeps(level);
    level->kept->mark = place.number + DELIVERED_STEP;
    queue_write_mark(queue, level, place.level);
}

uint64_t queue_promise_marks(struct queue *queue)
{
    struct level *level;
    uint64_t lsn = 0;

    for (unsigned i = 0; queue->durable && (level = queue_next_level(queue, &i)); i++) {
        uint64_t head, away;

        head = level->ready > level->away ? seqmap_first_ready(&level->entries) : level->next;
        away = level->away ? level_first_away(level) : head;
        if (away < head)
            head = away;
        if (head + DELIVERED_STEP / 2 >= level->kept->mark)
            queue_extend_mark(queue, level, (struct place){(uint8_t)i, head});
        if (level->kept->mark_lsn > lsn)
            lsn = level->kept->mark_lsn;
    }
    return lsn;
}

void vhost_settle_marks(struct vhost *vhost)
{
    struct queue *queue, *next;
    struct level *level;

    HASH_ITER (hh, vhost->queues, queue, next) {
        for (unsigned i = 0; queue->durable && (level = queue_next_level(queue, &i)); i++) {
            if (level->kept->mark <= level->kept->redelivered_below)
                continue;
            level->kept->mark = level->kept->redelivered_below;
            queue_write_mark(queue, level, (uint8_t)i);
        }
    }
}
