/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats_fields.h: what is remembered of what was seen.
 *
 * - `histories`: values of the last ticks of what moves, each with one sample for every tick from its first
 * to the last; what was not seen at a tick has gone, and so has its history.
 * - `resting`: for what has counted something and does not move, its key and one number that changes when it
 *   does. Made anew at each tick.
 *
 * What is in neither had counted nothing yet when it was looked at last, so its history begins with zeros.
 * Only at the first tick nothing is known: then everything gets a history, as far as there is room, and loses
 * it at the next tick if it rests.
 *
 * A key is a hash: should two things have the same, their rates are wrong. A history has as many values as
 * that of the two that was seen first, and takes no others.
 */
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "stats_fields.h"

#define SAMPLES_FIRST  4
#define HISTORY_OCTETS ((size_t)32 << 20)
#define RESTING_MAX    ((size_t)1 << 20)

/* ---- what rests ---- */

static struct rest *rest_place(const struct rests *rests, uint64_t key)
{
    size_t at = key & (rests->capacity - 1);

    while (rests->places[at].key && rests->places[at].key != key)
        at = (at + 1) & (rests->capacity - 1);
    return &rests->places[at];
}

static const struct rest *rest_find(const struct rests *rests, uint64_t key)
{
    const struct rest *rest = rests->capacity ? rest_place(rests, key) : NULL;

    return rest && rest->key ? rest : NULL;
}

static void rest_grow(struct rests *rests)
{
    struct rests larger = {.capacity = rests->capacity ? rests->capacity * 2 : 64, .count = rests->count};

    larger.places = xcalloc(larger.capacity, sizeof *larger.places);
    for (size_t i = 0; i < rests->capacity; i++)
        if (rests->places[i].key)
            *rest_place(&larger, rests->places[i].key) = rests->places[i];
    free(rests->places);
    *rests = larger;
}

static void rest_put(struct rests *rests, uint64_t key, uint64_t sum)
{
    if (rests->count >= RESTING_MAX)
        return;
    if (rests->count >= rests->capacity / 2)
        rest_grow(rests);
    rests->count++;
    *rest_place(rests, key) = (struct rest){key, sum};
}

static void rests_clear(struct rests *rests)
{
    free(rests->places);
    *rests = (struct rests){0};
}

/* ---- histories ---- */

static size_t history_size(const struct history *history)
{
    return sizeof *history + (size_t)history->capacity * history->width * sizeof(uint64_t);
}

static struct history *history_find(const struct kept *kept, uint64_t key)
{
    struct history *history;

    HASH_FIND(hh, kept->histories, &key, sizeof key, history);
    return history;
}

static void history_free(struct kept *kept, struct history *history)
{
    kept->octets -= history_size(history);
    HASH_DEL(kept->histories, history);
    free(history->values);
    free(history);
}

static struct history *history_new(struct kept *kept, uint64_t key, uint16_t width)
{
    struct history *history = xcalloc(1, sizeof *history);

    history->key = key;
    history->width = width;
    history->capacity = SAMPLES_FIRST;
    history->values = xcalloc((size_t)history->capacity * width, sizeof *history->values);
    kept->octets += history_size(history);
    HASH_ADD(hh, kept->histories, key, sizeof history->key, history);
    return history;
}

const uint64_t *history_at(const struct history *history, uint64_t tick)
{
    unsigned back = (unsigned)(history->last_tick - tick) + 1;

    return &history->values[(size_t)((history->next + history->capacity - back) % history->capacity) *
                            history->width];
}

/* Room for one more sample, in place of the oldest when there are enough. */
static void history_make_room(struct kept *kept, struct history *history)
{
    unsigned most = history->width == NODE_VALUES ? NODE_SAMPLES : SAMPLES;
    unsigned capacity = history->capacity * 2U < most ? history->capacity * 2U : most;
    uint64_t *values;

    if (history->count < history->capacity || capacity == history->capacity)
        return;
    values = xcalloc((size_t)capacity * history->width, sizeof *values);
    for (unsigned i = 0; i < history->count; i++)
        memcpy(&values[(size_t)i * history->width], history_at(history, history_first_tick(history) + i),
               history->width * sizeof *values);
    kept->octets -= history_size(history);
    free(history->values);
    history->values = values;
    history->capacity = (uint16_t)capacity;
    history->next = history->count;
    kept->octets += history_size(history);
}

static void history_add(struct kept *kept, struct history *history, uint64_t tick, const uint64_t *values)
{
    history_make_room(kept, history);
    memcpy(&history->values[(size_t)history->next * history->width], values, history->width * sizeof *values);
    history->next = (uint16_t)((history->next + 1) % history->capacity);
    history->count += history->count < history->capacity;
    history->last_tick = tick;
}

static uint64_t sum_of(const uint64_t *values, unsigned width)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < width; i++)
        sum = sum * 3 + values[i];
    return sum;
}

static bool has_room(const struct kept *kept)
{
    return kept->octets < HISTORY_OCTETS;
}

/* What has no history yet. */
static void note_first(struct kept *kept, uint64_t key, const uint64_t *values, uint16_t width, uint64_t sum)
{
    static const uint64_t zeros[NODE_VALUES];
    const struct rest *rest = rest_find(&kept->resting, key);
    bool is_first_tick = kept->tick == kept->first_tick;
    struct history *history;

    if ((rest && rest->sum == sum) || !has_room(kept)) {
        rest_put(&kept->next_resting, key, sum);
        return;
    }
    history = history_new(kept, key, width);
    if (!rest && !is_first_tick)
        history_add(kept, history, kept->tick - 1, zeros);
    history->moved_tick = is_first_tick ? 0 : kept->tick;
    history->sum = sum;
    history_add(kept, history, kept->tick, values);
}

void kept_begin_tick(struct kept *kept, int64_t now_ms)
{
    kept->tick++;
    kept->times[kept->tick % NODE_SAMPLES] = now_ms;
}

void kept_note(struct kept *kept, uint64_t key, const uint64_t *values, uint16_t width)
{
    struct history *history = history_find(kept, key);
    uint64_t sum = sum_of(values, width);

    if (!history) {
        note_first(kept, key, values, width, sum);
        return;
    }
    if (history->last_tick == kept->tick || history->width != width)
        return; /* seen already: it has the same hash, or came back while we looked */
    if (sum != history->sum)
        history->moved_tick = kept->tick;
    history->sum = sum;
    history_add(kept, history, kept->tick, values);
}

static bool has_rested(const struct kept *kept, const struct history *history)
{
    if (!history->moved_tick)
        return history->count > 1;
    return kept->tick - history->moved_tick > SAMPLES;
}

void kept_end_tick(struct kept *kept)
{
    struct history *history, *next;

    HASH_ITER (hh, kept->histories, history, next) {
        bool has_gone = history->last_tick != kept->tick;

        if (!has_gone && (history->width == NODE_VALUES || !has_rested(kept, history)))
            continue;
        if (!has_gone)
            rest_put(&kept->next_resting, history->key, history->sum);
        history_free(kept, history);
    }
    rests_clear(&kept->resting);
    kept->resting = kept->next_resting;
    kept->next_resting = (struct rests){0};
}

void kept_forget(struct kept *kept)
{
    struct history *history, *next;

    HASH_ITER (hh, kept->histories, history, next)
        history_free(kept, history);
    rests_clear(&kept->resting);
    rests_clear(&kept->next_resting);
    kept->first_tick = kept->tick + 1;
}

void kept_shorten(struct kept *kept)
{
    struct history *history, *next;

    HASH_ITER (hh, kept->histories, history, next)
        history->count = 1;
}

const struct history *kept_find(const struct kept *kept, uint64_t key)
{
    return history_find(kept, key);
}
