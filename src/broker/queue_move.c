/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.h, moving: the store writes runs again elsewhere, to be rid of a file that is mostly dead.
 *
 * Invariant: the place of a run changes only here. It may change while nothing of the run is being read when
 * the move begins, yet something is when it ends: whoever asked for a place compares it with the run's when
 * the answer comes.
 */
#include "coney/checkpoint.h"
#include "queue_runs.h"
#include "vhost_fields.h"

static bool may_move(const struct run *run, uint32_t file, bool lasts)
{
    return run->place.file == file && (run->flags & RUN_LASTS ? lasts : !lasts) && !(run->flags & RUN_BUSY);
}

static void move_level_runs(struct level *level, uint32_t file, bool lasts,
                            const struct checkpoint_sink *sink)
{
    for (uint32_t at = 0; at < level->kept->run_count; at++) {
        if (!may_move(level->kept->runs[at], file, lasts))
            continue;
        level->kept->runs[at]->flags |= RUN_MOVING;
        sink->run(sink->context, level->kept->runs[at]);
    }
}

void vhost_move_runs(struct vhost *vhost, uint32_t file, bool lasts, const struct checkpoint_sink *sink)
{
    struct queue *queue, *next;
    struct level *level;

    HASH_ITER (hh, vhost->queues, queue, next) {
        for (unsigned i = 0; (level = queue_next_level(queue, &i)); i++)
            move_level_runs(level, file, lasts, sink);
    }
}

bool run_moved(struct vhost *vhost, struct run *run, const struct run_place *place, uint32_t messages)
{
    if (!run_answered(vhost, run, RUN_MOVING))
        return false;
    if (place) {
        run->place = *place;
        run->messages = messages;
        run->due_from = 0;
        run_changed(run->queue, run);
    }
    return true;
}
