/* SPDX-License-Identifier: Apache-2.0 */
/* ages.h. */
#include "ages.h"

#include <stdlib.h>

#include "coney/xalloc.h"
#include "queue_runs.h"
#include "vhost_fields.h"

#define MARKS_MAX     64
#define MARK_EVERY_MS 1000

struct age_mark {
    uint64_t number; /* those from here on came later */
    int64_t at;
};

struct ages {
    uint32_t count;
    struct age_mark marks[MARKS_MAX];
};

static bool is_empty(const struct level *level)
{
    return seqmap_is_empty(&level->entries) && !level->away;
}

static void begin_anew(struct level *level, int64_t now)
{
    free(level->ages);
    level->ages = NULL;
    level->waiting_since = now;
}

/* Every second mark goes, but not the first: what came behind one that goes counts from the one before. */
static void thin_out(struct ages *ages)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < ages->count; i += 2)
        ages->marks[kept++] = ages->marks[i];
    ages->count = kept;
}

static int64_t last_noted(const struct level *level)
{
    return level->ages ? level->ages->marks[level->ages->count - 1].at : level->waiting_since;
}

void level_note_time(struct queue *queue, struct level *level)
{
    int64_t now = queue->vhost->now;

    if (is_empty(level)) {
        if (level->waiting_since != now)
            begin_anew(level, now);
        return;
    }
    if (now - last_noted(level) < MARK_EVERY_MS)
        return;
    if (!level->ages)
        level->ages = xcalloc(1, sizeof *level->ages);
    if (level->ages->count == MARKS_MAX)
        thin_out(level->ages);
    level->ages->marks[level->ages->count++] = (struct age_mark){level->next, now};
}

void queue_begin_ages(struct queue *queue)
{
    struct level *level;

    for (unsigned i = 0; (level = queue_next_level(queue, &i)); i++)
        level->waiting_since = queue->vhost->now;
}

/* Since when the message NUMBER of LEVEL is there. */
static int64_t since(const struct level *level, uint64_t number)
{
    int64_t at = level->waiting_since;

    for (uint32_t i = 0; level->ages && i < level->ages->count && level->ages->marks[i].number <= number; i++)
        at = level->ages->marks[i].at;
    return at;
}

int64_t queue_oldest_since(struct queue *queue)
{
    int64_t oldest = 0;
    struct level *level;

    for (unsigned i = 0; (level = queue_next_level(queue, &i)); i++) {
        uint64_t here = seqmap_next_live(&level->entries, 0);
        uint64_t away = level->away ? level_first_away(level) : SEQMAP_END;
        int64_t at;

        if (here == SEQMAP_END && away == SEQMAP_END)
            continue;
        at = since(level, here < away ? here : away);
        if (!oldest || at < oldest)
            oldest = at;
    }
    return oldest;
}

int64_t queue_newest_since(struct queue *queue)
{
    int64_t newest = 0;
    struct level *level;

    for (unsigned i = 0; (level = queue_next_level(queue, &i)); i++)
        if (last_noted(level) > newest)
            newest = last_noted(level);
    return newest;
}
