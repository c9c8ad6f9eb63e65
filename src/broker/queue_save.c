/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, saving: messages are written out together and become a run.
 *
 * A level's live messages are handed to the journal in order of number, from `saving` on. What is written
 * becomes a run when the journal answers, in the same order; if one save fails, those behind it that are
 * under way count as failed too.
 *
 * Invariants:
 * 1. saved <= saving while something is under way; `saved` never passes over a live message.
 * 2. A message is written as it was when it was handed over; what has become of it since is found out when
 *    the answer comes.
 */
#include <stdlib.h>

#include "coney/checkpoint.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "queue_runs.h"
#include "vhost_fields.h"

#define SAVES_MAX 4 /* of one level under way at once */

static void fill_save(struct journal_save *save, const struct queue *queue, const struct level *level,
                      uint16_t era, bool any_era)
{
    uint64_t number = seqmap_next_live(&level->entries, level->kept->saving);
    bool is_out;

    for (; number != SEQMAP_END; number = seqmap_next_live(&level->entries, number + 1)) {
        const struct entry *entry = seqmap_get(&level->entries, number);

        if (save->count == RUN_MESSAGES_MAX || save->octets >= RUN_OCTETS_MAX ||
            (save->count && number - save->messages[0].number >= RUN_SPAN_MAX) ||
            (!any_era && (int16_t)(entry->era - era) > 0))
            break;
        is_out = queue_counts_deliveries(queue) && !seqmap_is_ready(&level->entries, number);
        save->messages[save->count++] =
            (struct run_message){.number = number,
                                 .deadline = entry->deadline,
                                 .delivery_count = entry->delivery_count + is_out,
                                 .redelivered = is_out || entry->flags & ENTRY_REDELIVERED,
                                 .is_transient = !(entry->flags & ENTRY_JOURNALLED),
                                 .message = message_ref(entry->message)};
        save->octets += message_wire_size(entry->message);
    }
}

bool level_save(struct queue *queue, struct level *level, uint8_t number, uint16_t era, bool any_era)
{
    struct journal *journal = queue->vhost->journal;
    struct journal_save *save;

    if (level->kept->saves == SAVES_MAX || level->kept->save_failed)
        return false;
    if (level->kept->saving < level->kept->saved)
        level->kept->saving = level->kept->saved;
    if (seqmap_next_live(&level->entries, level->kept->saving) == SEQMAP_END)
        return false;
    level_keeps(level);
    save = xmalloc(sizeof *save);
    save->count = 0;
    save->octets = 0;
    fill_save(save, queue, level, era, any_era);
    if (!save->count ||
        (any_era && save->octets + save->count * ENTRY_OVERHEAD < queue->vhost->settings.spill_min)) {
        run_messages_unref(save->messages, save->count);
        free(save);
        return false;
    }
    save->queue = queue;
    queue->refs++;
    save->queue_id = queue->lsn;
    save->level = number;
    save->lasts = queue->durable;
    save->failed = false;
    save->from = save->messages[0].number;
    save->below = save->messages[save->count - 1].number + 1;
    save->place = (struct run_place){0};
    level->kept->saving = save->below;
    level->kept->saves++;
    queue->vhost->saves++;
    journal->ops->save(journal, save);
    return true;
}

static bool is_mixed(const struct journal_save *save)
{
    if (!save->lasts)
        return false;
    for (uint32_t i = 0; i < save->count; i++)
        if (save->messages[i].is_transient)
            return true;
    return false;
}

static struct run *run_new(const struct journal_save *save)
{
    uint32_t span = (uint32_t)(save->below - save->from);
    bool mixed = is_mixed(save);
    struct run *run = xcalloc(1, sizeof *run + (mixed ? 3 : 2) * run_words(span) * sizeof(uint64_t));

    run->first = save->from;
    run->span = span;
    run->messages = save->count;
    run->next_deadline = run->deadline = VHOST_NEVER;
    for (uint32_t i = 0; i < save->count; i++) {
        run->bytes += save->messages[i].message->body_size;
        if (save->messages[i].deadline < run->deadline)
            run->deadline = save->messages[i].deadline;
    }
    run->level = save->level;
    run->flags = (uint8_t)((save->lasts ? RUN_LASTS : 0) | (mixed ? RUN_MIXED : 0));
    run->place = save->place;
    run->queue_id = save->queue_id;
    return run;
}

/* Mark in RUN what of SAVE is still there, and what has come back while it was being written. */
static void run_fill(struct queue *queue, struct run *run, const struct journal_save *save,
                     const struct level *level)
{
    for (uint32_t i = 0; i < save->count; i++) {
        const struct run_message *saved = &save->messages[i];
        const struct entry *entry = seqmap_get(&level->entries, saved->number);
        uint64_t bit = saved->number - run->first;
        uint32_t count;
        bool is_out;

        if (!entry)
            continue;
        is_out = queue_counts_deliveries(queue) && !seqmap_is_ready(&level->entries, saved->number);
        count = entry->delivery_count + is_out;
        if ((is_out || entry->flags & ENTRY_REDELIVERED) &&
            (!saved->redelivered || saved->delivery_count != count))
            run_note_return(queue, run, (uint32_t)bit, count);
        run_live(run)[bit / 64] |= (uint64_t)1 << bit % 64;
        run->live_count++;
        if (run->flags & RUN_MIXED && !save->messages[i].is_transient)
            run_lasting(run)[bit / 64] |= (uint64_t)1 << bit % 64;
    }
}

void queue_saved(struct vhost *vhost, struct journal_save *save)
{
    struct queue *queue = save->queue;
    struct level *level = queue->is_deleted ? NULL : queue_level(queue, save->level);
    struct run *run = NULL;

    if (level) {
        level->kept->saves--;
        save->failed |= level->kept->save_failed;
        level->kept->save_failed = save->failed && level->kept->saves > 0;
        if (save->failed && !level->kept->saves)
            level->kept->saving = level->kept->saved;
    }
    vhost->saves--;
    if (save->place.file)
        run = run_new(save);
    if (run && level && !save->failed) {
        run_fill(queue, run, save, level);
        level->kept->saved = save->below;
    }
    if (level && run && run->live_count) {
        level_add_run(queue, level, run);
        run_changed(queue, run);
    } else if (run) {
        run_drop(vhost, run);
    }
    run_messages_unref(save->messages, save->count);
    queue_unref(queue);
    free(save);
}
