/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, spilling: when messages hold too much memory, those of large queues leave it.
 *
 * Whole runs are sent away, those that will be wanted last first; what is in no run yet is written out if it
 * is worth it, and leaves when it is written.
 *
 * Invariants:
 * 1. Only what is ready leaves: what a client holds, or is on its way out as a dead letter, stays.
 * 2. While somebody consumes, the head's run and those that queue_read_ahead() asks for stay.
 * 3. What was called back to be looked at (browse.c) stays for a moment.
 */
#include <utlist.h>

#include "queue_runs.h"
#include "vhost_fields.h"

#define SPILL_VISITS 16 /* queues looked at in one go */

/* Send away what of RUN is ready. */
static void run_send_away(struct queue *queue, struct level *level, struct run *run)
{
    for (uint32_t word = 0; word < run_words(run->span); word++) {
        uint64_t bits = run_live(run)[word] & ~run_away(run)[word];

        for (; bits; bits &= bits - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(bits);
            uint64_t number = run->first + word * 64 + bit;
            const struct entry *entry = seqmap_get(&level->entries, number);

            /* Not there: it is on its way out as a dead letter. */
            if (!entry || !seqmap_is_ready(&level->entries, number))
                continue;
            if (entry->flags & ENTRY_REDELIVERED)
                run_note_return(queue, run, word * 64 + bit, entry->delivery_count);
            if (entry->deadline < run->next_deadline)
                run->next_deadline = entry->deadline;
            run->away_bytes += entry->body_size;
            run->away_count++;
            run_away(run)[word] |= (uint64_t)1 << bit;
            entry_send_away(queue, level, (struct place){run->level, number});
        }
    }
    run->due_from = 0;
    queue_timer_add_run(queue, run);
}

/* Send away runs of LEVEL, the last first, while there is too much. */
static void level_send_away(struct queue *queue, struct level *level)
{
    struct vhost *vhost = queue->vhost;
    uint64_t limit = vhost->journal->memory_limit;
    uint32_t keep = queue->consumer_count ? level_head_run(level) + READ_AHEAD + 1 : 0;

    for (uint32_t at = level->kept->run_count; at-- > keep && vhost->used > limit;) {
        struct run *run = level->kept->runs[at];

        if (run->away_count == run->live_count || run->flags & (RUN_LOADING | RUN_LOOKING))
            continue;
        if (at < level->kept->first_away)
            level->kept->first_away = at;
        run_send_away(queue, level, run);
    }
}

static void queue_spill(struct queue *queue)
{
    struct vhost *vhost = queue->vhost;
    uint64_t limit = vhost->journal->memory_limit;
    struct level *level;

    if (queue == vhost->browsed && vhost->now < vhost->browsed_until)
        return;
    for (unsigned i = 0; vhost->used > limit && (level = queue_next_level(queue, &i)); i++) {
        level_send_away(queue, level);
        while (vhost->used > limit && level_save(queue, level, (uint8_t)i, 0, true))
            continue;
    }
}

void queue_note_large(struct queue *queue)
{
    queue->is_large = true;
    queue_need_lists(queue);
    DL_APPEND2(queue->vhost->large, queue, lists->large_prev, lists->large_next);
}

void vhost_spill(struct vhost *vhost)
{
    uint64_t limit = vhost->journal->memory_limit;

    for (unsigned visits = SPILL_VISITS; visits && vhost->large && vhost->used > limit; visits--) {
        struct queue *queue = vhost->large;

        DL_DELETE2(vhost->large, queue, lists->large_prev, lists->large_next);
        if (queue->used <= vhost->settings.spill_min) {
            queue->is_large = false;
            continue;
        }
        DL_APPEND2(vhost->large, queue, lists->large_prev, lists->large_next);
        queue_spill(queue);
        if (queue == vhost->large)
            break;
    }
}
