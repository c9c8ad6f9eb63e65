/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, runs: the list of a level's runs, and what each knows of its messages (run.h).
 *
 * How runs come to be is in queue_save.c and restore.c; how their messages leave memory, come back and die in
 * queue_spill.c, queue_fetch.c and queue_due.c.
 *
 * Invariants:
 * 1. Runs of a level are in order of number and do not overlap; each live message below `saved` is in one.
 * 2. level->away is the sum of its runs' away_count; no run before `first_away` has anything away.
 * 3. A run with something under way (RUN_BUSY) is freed by the answer, not before.
 */
#include "queue_runs.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "coney/pool.h"
#include "coney/xalloc.h"
#include "vhost_fields.h"

/* ---- finding ---- */

uint32_t run_index(const struct level *level, uint64_t number)
{
    uint32_t low = 0, high = level->kept->run_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct run *run = level->kept->runs[middle];

        if (run->first + run->span <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct run *run_find(const struct level *level, uint64_t number)
{
    uint32_t at = run_index(level, number);

    if (at == level->kept->run_count || level->kept->runs[at]->first > number)
        return NULL;
    return level->kept->runs[at];
}

uint64_t level_first_away(struct level *level)
{
    while (level->kept->first_away < level->kept->run_count &&
           !level->kept->runs[level->kept->first_away]->away_count)
        level->kept->first_away++;
    if (level->kept->first_away == level->kept->run_count)
        return SEQMAP_END;
    for (uint32_t word = 0;; word++) {
        struct run *run = level->kept->runs[level->kept->first_away];
        uint64_t bits = run_away(run)[word];

        if (bits)
            return run->first + word * 64 + (unsigned)__builtin_ctzll(bits);
    }
}

uint64_t level_next_saved(const struct level *level, uint64_t from)
{
    for (uint32_t at = run_index(level, from); at < level->kept->run_count; at++) {
        struct run *run = level->kept->runs[at];

        for (uint64_t bit = from > run->first ? from - run->first : 0; bit < run->span; bit++)
            if (run_bit(run_live(run), bit))
                return run->first + bit;
    }
    return SEQMAP_END;
}

/* ---- coming and going ---- */

void run_changed(struct queue *queue, struct run *run)
{
    if (run->flags & RUN_CHANGED)
        return;
    run->flags |= RUN_CHANGED;
    DL_APPEND2(queue->vhost->changed_runs, run, changed_prev, changed_next);
}

/* RUN is dropped: free it, unless something of it is under way. */
static void run_free_unless_busy(struct vhost *vhost, struct run *run)
{
    if (run->flags & RUN_BUSY)
        return;
    vhost->journal->ops->drop(vhost->journal, run);
    free(run->returns);
    free(run);
}

void run_retire(struct queue *queue, struct run *run)
{
    if (run->timer)
        queue_timer_remove(queue, run->timer);
    if (run->flags & RUN_CHANGED)
        DL_DELETE2(queue->vhost->changed_runs, run, changed_prev, changed_next);
    run->flags &= (uint8_t)~RUN_CHANGED;
    if (run->flags & RUN_LISTED)
        queue->vhost->journal->ops->emptied(queue->vhost->journal, run);
    run->flags &= (uint8_t)~RUN_LISTED;
    run->flags |= RUN_DROPPED;
    run->queue = NULL;
    run_free_unless_busy(queue->vhost, run);
}

void run_drop(struct vhost *vhost, struct run *run)
{
    run->flags |= RUN_DROPPED;
    run_free_unless_busy(vhost, run);
}

bool run_answered(struct vhost *vhost, struct run *run, uint8_t flag)
{
    run->flags &= (uint8_t)~flag;
    if (!(run->flags & RUN_DROPPED))
        return true;
    run_free_unless_busy(vhost, run);
    return false;
}

void level_add_run(struct queue *queue, struct level *level, struct run *run)
{
    if (level->kept->run_count == level->kept->run_capacity) {
        level->kept->run_capacity = level->kept->run_capacity ? level->kept->run_capacity * 2 : 4;
        level->kept->runs = xrealloc(level->kept->runs, level->kept->run_capacity * sizeof(struct run *));
    }
    level->kept->runs[level->kept->run_count++] = run;
    run->queue = queue;
}

static void level_remove_run(struct queue *queue, struct level *level, uint32_t at)
{
    struct run *run = level->kept->runs[at];

    level->kept->run_count--;
    memmove(level->kept->runs + at, level->kept->runs + at + 1,
            (level->kept->run_count - at) * sizeof *level->kept->runs);
    if (level->kept->first_away > at)
        level->kept->first_away--;
    if (!level->kept->run_count) {
        free(level->kept->runs);
        level->kept->runs = NULL;
        level->kept->run_capacity = 0;
    }
    run_retire(queue, run);
}

void run_settle(struct queue *queue, struct place place)
{
    struct level *level = queue_level(queue, place.level);
    uint32_t at = run_index(level, place.number);
    struct run *run = at < level->kept->run_count ? level->kept->runs[at] : NULL;
    uint64_t bit;

    if (!run || run->first > place.number)
        return;
    bit = place.number - run->first;
    if (!run_bit(run_live(run), bit))
        return;
    run_live(run)[bit / 64] &= ~((uint64_t)1 << bit % 64);
    queue->vhost->journal->dead[!!(run->flags & RUN_LASTS)] += run->place.size / run->messages;
    if (--run->live_count == 0)
        level_remove_run(queue, level, at);
    else
        run_changed(queue, run);
}

void runs_purge(struct queue *queue, struct level *level)
{
    if (!level->kept->run_count)
        return;
    for (uint32_t at = level->kept->run_count; at-- > 0;) {
        struct run *run = level->kept->runs[at];

        if (!run->away_count)
            continue;
        for (uint32_t word = 0; word < run_words(run->span); word++) {
            run_live(run)[word] &= ~run_away(run)[word];
            run_away(run)[word] = 0;
        }
        queue->ready -= run->away_count;
        queue->ready_bytes -= run->away_bytes;
        queue->away -= run->away_count;
        level->away -= run->away_count;
        level->ready -= run->away_count;
        run->live_count -= run->away_count;
        run->away_count = 0;
        run->away_bytes = 0;
        queue_timer_add_run(queue, run);
        if (run->live_count)
            run_changed(queue, run);
        else
            level_remove_run(queue, level, at);
    }
    level->kept->first_away = 0;
    if (!level->ready && queue->levels) {
        unsigned number = 0;

        while (queue->levels->at[number] != level)
            number++;
        queue->levels->ready[number / 64] &= ~((uint64_t)1 << number % 64);
    }
}

void runs_forget(struct queue *queue, struct level *level)
{
    struct run **runs = level->kept->runs;

    level->away = 0;
    if (!level->kept->run_count)
        return;
    for (uint32_t at = 0; at < level->kept->run_count; at++) {
        runs[at]->timer = 0; /* all of the queue's timers go */
        run_retire(queue, runs[at]);
    }
    free(runs);
    level->kept->runs = NULL;
    level->kept->run_count = level->kept->run_capacity = level->kept->first_away = 0;
}

/* ---- what a run knows of its messages ---- */

struct run_return *run_return_of(struct run *run, uint32_t at)
{
    for (uint32_t i = 0; i < run->return_count; i++)
        if (run->returns[i].at == at)
            return &run->returns[i];
    return NULL;
}

void run_note_return(struct queue *queue, struct run *run, uint32_t at, uint32_t delivery_count)
{
    struct run_return *known = run_return_of(run, at);

    if (known && known->delivery_count == delivery_count)
        return;
    if (!known) {
        if (run->return_count == run->return_capacity) {
            run->return_capacity = run->return_capacity ? run->return_capacity * 2 : 4;
            run->returns = xrealloc(run->returns, run->return_capacity * sizeof *run->returns);
        }
        known = &run->returns[run->return_count++];
    }
    *known = (struct run_return){at, delivery_count};
    run_changed(queue, run);
}

void run_returned(struct queue *queue, struct place place, uint32_t delivery_count)
{
    struct run *run = run_find(queue_level(queue, place.level), place.number);

    if (run)
        run_note_return(queue, run, (uint32_t)(place.number - run->first), delivery_count);
}

uint64_t run_uncount_away(struct run *run, uint64_t bit, uint64_t body_size)
{
    uint64_t counted = body_size < run->away_bytes && run->away_count > 1 ? body_size : run->away_bytes;

    run_away(run)[bit / 64] &= ~((uint64_t)1 << bit % 64);
    run->away_count--;
    run->away_bytes -= counted;
    return counted;
}

void run_messages_unref(const struct run_message *messages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        message_unref(messages[i].message);
}
