/* SPDX-License-Identifier: Apache-2.0 */
/* sim_store.h: when things happen in the order of records, and copies of messages. */
#include <stdlib.h>

#include "coney/xalloc.h"
#include "sim_store.h"

/* ---- when things happen ---- */

const struct range never = {NEVER, NEVER};

void happens(struct side *side, struct range *when)
{
    when->first = world_lsn(side->v) + 1;
    when->last = NEVER;
    if (side->open_count == side->open_capacity) {
        side->open_capacity = side->open_capacity * 2 + 16;
        side->open = xrealloc(side->open, side->open_capacity * sizeof *side->open);
    }
    side->open[side->open_count++] = when;
}

/* What one run writes is one: all of it is there after a crash, or nothing. What writes nothing has no place
 * in the order: it counts as having been so always. */
void close_ranges(struct world_vhost *v)
{
    struct side *side = &sides[v->index];
    uint64_t lsn = world_lsn(v);

    for (uint32_t i = 0; i < side->open_count; i++) {
        if (lsn < side->open[i]->first)
            lsn = 0;
        *side->open[i] = (struct range){lsn, lsn};
    }
    side->open_count = 0;
}

void promise(struct side *side, struct range when, const char *what)
{
    if (when.last == NEVER || when.last <= side->promised)
        return;
    if (when.last > world_durable(side->v))
        fail("v%d: %s for record %llu, but only those up to %llu are durable", side->v->index, what,
             (unsigned long long)when.last, (unsigned long long)world_durable(side->v));
    side->promised = when.last;
}

void object_event(struct side *side, struct object *object, bool exists)
{
    if (object->event_count == object->event_capacity) {
        /* Ranges of this run may lie in it: a run has one event for each object, so room is made ahead. */
        object->event_capacity = object->event_capacity * 2 + 512;
        object->events = xrealloc(object->events, object->event_capacity * sizeof *object->events);
    }
    object->events[object->event_count].exists = exists;
    happens(side, &object->events[object->event_count++].when);
    object->number += exists;
    object->exists = exists;
}

/* ---- copies ---- */

struct copy *copy_find(struct side *side, uint64_t id, int queue)
{
    struct copy *copy, sought = {0};

    sought.key.id = id;
    sought.key.queue = (uint64_t)queue;
    HASH_FIND(hh, side->copies, &sought.key, sizeof sought.key, copy);
    return copy;
}

struct copy *copy_add(struct side *side, const struct held_post *post, int queue)
{
    struct copy *copy = xcalloc(1, sizeof *copy);
    int level = post->priority < kinds[queue].priorities ? post->priority : kinds[queue].priorities;

    copy->key.id = post->id;
    copy->key.queue = (uint64_t)queue;
    copy->rank = ++side->next_rank;
    copy->size = post->size;
    copy->level = (uint8_t)level;
    copy->lasts = kinds[queue].durable && (post->persistent || kinds[queue].type);
    copy->is_ready = true;
    copy->deadline = kinds[queue].ttl ? world->now + kinds[queue].ttl : INT64_MAX;
    copy->moved = copy->gone = never;
    happens(side, &copy->entered);
    HASH_ADD(hh, side->copies, key, sizeof copy->key, copy);
    return copy;
}

void copy_free(struct side *side, struct copy *copy)
{
    HASH_DEL(side->copies, copy);
    free(copy);
}

bool is_due(const struct copy *copy)
{
    return !copy->in_target && copy->deadline <= world->now;
}

int copy_queue(const struct copy *copy)
{
    return copy->in_target ? kinds[copy->key.queue].target : (int)copy->key.queue;
}

void copy_take(struct side *side, struct copy *copy)
{
    if (is_due(copy) && kinds[copy->key.queue].target)
        copy->is_vague = true;
    copy->is_ready = false;
    happens(side, &copy->gone);
}

static uint64_t word_of(uint64_t id, uint32_t at)
{
    struct random random = {id * 1000003 + at};

    return random_next(&random);
}

void fill_body(uint8_t *to, uint64_t id, uint32_t size)
{
    memcpy(to, &id, sizeof id);
    for (uint32_t at = 8; at + 8 <= size; at += 8) {
        uint64_t word = word_of(id, at);

        memcpy(to + at, &word, sizeof word);
    }
}

uint64_t read_body(const struct message *message)
{
    uint64_t id, word;

    if (message->body_size < 8)
        fail("a body of %llu octets", (unsigned long long)message->body_size);
    memcpy(&id, message->body, sizeof id);
    for (uint32_t at = 8; at + 8 <= message->body_size; at += 8) {
        memcpy(&word, message->body + at, sizeof word);
        if (word != word_of(id, at))
            fail("message %llu has another body at %u", (unsigned long long)id, at);
    }
    return id;
}
