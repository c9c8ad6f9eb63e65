/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.h: what a checkpoint needs of queues, so that the journal's old files can go.
 *
 * Queues whose state has changed, and queues with messages that are in no run, stand on lists; so a
 * checkpoint costs what has changed and not what is there.
 *
 * Invariants:
 * 1. A durable queue whose levels differ from what was last captured is on vhost->touched.
 * 2. A queue with a journalled entry that is in no run is on vhost->unsaved, and none of these entries is of
 *    an era before its oldest_era.
 */
#include <utlist.h>

#include "coney/buffer.h"
#include "coney/checkpoint.h"
#include "queue_runs.h"
#include "vhost_fields.h"

#define CHECKPOINT_SAVES_MAX 64 /* of a vhost under way at once */

void queue_touched(struct queue *queue)
{
    if (queue->is_touched || !queue->durable)
        return;
    queue->is_touched = true;
    queue_need_lists(queue);
    DL_APPEND2(queue->vhost->touched, queue, lists->touched_prev, lists->touched_next);
}

void queue_note_unsaved(struct queue *queue, const struct entry *entry)
{
    queue_touched(queue);
    if (queue->is_unsaved)
        return;
    queue->is_unsaved = true;
    queue->oldest_era = entry->era;
    queue_need_lists(queue);
    DL_APPEND2(queue->vhost->unsaved, queue, lists->unsaved_prev, lists->unsaved_next);
}

/* Hand to the journal what QUEUE has of ERA and older. True while some of it is not written. */
static bool save_old(struct queue *queue, uint16_t era)
{
    bool under_way = false, any = false;
    uint16_t oldest = 0;
    struct level *level;

    for (unsigned i = 0; (level = queue_next_level(queue, &i)); i++) {
        uint64_t number;

        while (level_save(queue, level, (uint8_t)i, era, false))
            continue;
        under_way |= level->kept->saves > 0;
        number =
            seqmap_next_live(&level->entries, level->kept->saving > level->kept->saved ? level->kept->saving
                                                                                       : level->kept->saved);
        if (number != SEQMAP_END) {
            const struct entry *entry = seqmap_get(&level->entries, number);

            if (!any || (int16_t)(entry->era - oldest) < 0)
                oldest = entry->era;
            any = true;
        }
    }
    if (under_way || (any && (int16_t)(oldest - era) <= 0))
        return true;
    DL_DELETE2(queue->vhost->unsaved, queue, lists->unsaved_prev, lists->unsaved_next);
    queue->is_unsaved = any;
    queue->oldest_era = oldest;
    if (any)
        DL_APPEND2(queue->vhost->unsaved, queue, lists->unsaved_prev, lists->unsaved_next);
    return false;
}

bool vhost_save_old(struct vhost *vhost, uint16_t era)
{
    struct queue *queue, *next;
    bool pending = false;

    /* A dead letter's original has no entry any more, but the journal is all that still knows it. */
    if (vhost->dead_letters)
        return true;
    DL_FOREACH_SAFE2(vhost->unsaved, queue, next, lists->unsaved_next)
    {
        if (vhost->saves > CHECKPOINT_SAVES_MAX)
            return true;
        if ((int16_t)(queue->oldest_era - era) <= 0)
            pending |= save_old(queue, era);
    }
    return pending;
}

static void put_state(struct buffer *out, const struct level *level, uint8_t number)
{
    uint8_t *p = buffer_reserve(out, QUEUE_STATE_LEVEL);

    p = put_u8(p, number);
    p = put_u64(p, level->next);
    p = put_u64(p, level->kept->saved);
    p = put_u64(p, level->kept->mark);
    put_u64(p, level->kept->redelivered_below);
    out->size += QUEUE_STATE_LEVEL;
}

static void capture_state(struct queue *queue, const struct checkpoint_sink *sink)
{
    struct buffer state = {0};
    struct level *level;

    for (unsigned i = 0; (level = queue_next_level(queue, &i)); i++)
        put_state(&state, level, (uint8_t)i);
    sink->state(sink->context, queue->lsn, buffer_bytes(&state));
    buffer_free(&state);
}

bool vhost_capture_states(struct vhost *vhost, const struct checkpoint_sink *sink, unsigned budget)
{
    if (vhost->dead_letters) /* as in vhost_save_old(): `saved` may have passed over an original */
        return true;
    for (; budget && vhost->touched; budget--) {
        struct queue *queue = vhost->touched;

        DL_DELETE2(vhost->touched, queue, lists->touched_prev, lists->touched_next);
        queue->is_touched = false;
        capture_state(queue, sink);
    }
    return vhost->touched;
}

void vhost_capture_runs(struct vhost *vhost, const struct checkpoint_sink *sink)
{
    while (vhost->changed_runs) {
        struct run *run = vhost->changed_runs;

        DL_DELETE2(vhost->changed_runs, run, changed_prev, changed_next);
        run->flags &= (uint8_t)~RUN_CHANGED;
        sink->run(sink->context, run);
    }
}
