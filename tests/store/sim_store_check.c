/* SPDX-License-Identifier: Apache-2.0 */
/* sim_store.h: what is there after a life, held against what was promised. */
#include <stdlib.h>

#include "broker/vhost_fields.h"
#include "coney/xalloc.h"
#include "sim_store.h"

uint64_t checks;

/* ---- what should be there ---- */

/* The state of OBJECT after record P. */
static bool object_at(const struct object *object, uint64_t p)
{
    bool exists = object->first;

    for (uint32_t i = 0; i < object->event_count; i++)
        if (object->events[i].when.last <= p)
            exists = object->events[i].exists;
    return exists && object->lasts;
}

/* Where COPY may be after record P: enum where. */
static unsigned copy_at(const struct copy *copy, uint64_t p)
{
    unsigned there = SOURCE;

    if (!copy->lasts || copy->entered.last > p)
        return ABSENT;
    if (copy->is_vague)
        return ABSENT | SOURCE | TARGET;
    if (copy->gone.last <= p)
        return ABSENT;
    if (copy->moved.last <= p)
        there = TARGET;
    else if (copy->deadline <= world->now)
        there = kinds[copy->key.queue].target ? SOURCE | TARGET : SOURCE | ABSENT;
    if (copy->gone.first <= p)
        there |= ABSENT;
    return there;
}

/* How many things are not as they should be after record P. EXPLAIN: say which. */
static uint32_t misfits(struct side *side, uint64_t p, bool explain)
{
    struct vhost *vhost = side->v->vhost;
    struct copy *copy, *next;
    uint32_t count = 0;

#define MISFIT(...)                                                   \
    do {                                                              \
        count++;                                                      \
        if (explain) {                                                \
            fprintf(stderr, "  after %llu: ", (unsigned long long)p); \
            fprintf(stderr, __VA_ARGS__);                             \
            fputc('\n', stderr);                                      \
        }                                                             \
    } while (0)
    for (int i = 0; i < QUEUES; i++)
        if (object_at(&side->queues[i], p) != (queue_find(vhost, queue_bytes(i)) != NULL))
            MISFIT("%s %s", kinds[i].name, object_at(&side->queues[i], p) ? "is missing" : "is there");
    for (int i = 0; i < EXCHANGES; i++) {
        struct binding_key key = {.source = exchange_find(vhost, exchange_bytes(i)),
                                  .routing_key = BYTES_LITERAL("k")};

        if (object_at(&side->exchanges[i], p) != (key.source != NULL))
            MISFIT("exchange %d %s", i, key.source ? "is there" : "is missing");
        for (int queue = 0; queue < SOURCES; queue++) {
            bool is;

            key.to_queue = queue_find(vhost, queue_bytes(queue));
            is = key.source && key.to_queue && binding_find(vhost, &key);
            if (is != object_at(&side->bindings[i][queue], p))
                MISFIT("the binding of %s to exchange %d %s", kinds[queue].name, i,
                       is ? "is there" : "is missing");
        }
    }
    HASH_ITER (hh, side->copies, copy, next) {
        unsigned should = copy_at(copy, p), seen = copy->seen ? copy->seen : (unsigned)ABSENT;

        if (seen & ~should)
            MISFIT("%llu of %s is in %u, not in %u (entered %llu, moved %llu, gone %llu)",
                   (unsigned long long)copy->key.id, kinds[copy->key.queue].name, seen, should,
                   (unsigned long long)copy->entered.last, (unsigned long long)copy->moved.last,
                   (unsigned long long)copy->gone.last);
    }
    return count;
#undef MISFIT
}

static int compare_lsns(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return one < other ? -1 : one > other;
}

/* After which operations things may have changed. */
static uint32_t candidates(struct side *side, uint64_t **out)
{
    struct copy *copy, *next;
    uint32_t capacity = 3 * HASH_COUNT(side->copies) + 1, count = 0, kept = 0;
    struct object *objects[QUEUES + EXCHANGES + EXCHANGES * SOURCES];
    uint32_t object_count = 0;
    uint64_t *lsns;

    for (int i = 0; i < QUEUES; i++)
        objects[object_count++] = &side->queues[i];
    for (int i = 0; i < EXCHANGES; i++) {
        objects[object_count++] = &side->exchanges[i];
        for (int queue = 0; queue < SOURCES; queue++)
            objects[object_count++] = &side->bindings[i][queue];
    }
    for (uint32_t i = 0; i < object_count; i++)
        capacity += objects[i]->event_count;
    lsns = xmalloc(capacity * sizeof *lsns);
    lsns[count++] = side->promised;
    HASH_ITER (hh, side->copies, copy, next) {
        lsns[count++] = copy->entered.last;
        lsns[count++] = copy->moved.last;
        lsns[count++] = copy->gone.last;
    }
    for (uint32_t i = 0; i < object_count; i++)
        for (uint32_t n = 0; n < objects[i]->event_count; n++)
            lsns[count++] = objects[i]->events[n].when.last;
    qsort(lsns, count, sizeof *lsns, compare_lsns);
    for (uint32_t i = 0; i < count; i++)
        if (lsns[i] >= side->promised && lsns[i] != NEVER && (!kept || lsns[i] != lsns[kept - 1]))
            lsns[kept++] = lsns[i];
    *out = lsns;
    return kept;
}

static void check_side(struct side *side)
{
    uint64_t *lsns, best = 0;
    uint32_t count, least = UINT32_MAX;

    count = candidates(side, &lsns);
    for (uint32_t i = 0; i < count && least; i++) {
        uint32_t wrong = misfits(side, lsns[i], false);

        if (wrong < least) {
            least = wrong;
            best = lsns[i];
        }
    }
    free(lsns);
    checks++;
    if (!least)
        return;
    misfits(side, best, true);
    fail("v%d: not the state after any operation since %llu", side->v->index,
         (unsigned long long)side->promised);
}

/* From here on what was found is what there is. */
static void take_for_granted(struct side *side)
{
    struct vhost *vhost = side->v->vhost;
    struct copy *copy, *next;

    HASH_ITER (hh, side->copies, copy, next) {
        if (!copy->seen || copy->seen == ABSENT) {
            copy_free(side, copy);
            continue;
        }
        if (copy->seen == TARGET)
            copy->deadline = INT64_MAX;
        copy->in_target = copy->seen == TARGET;
        copy->entered = (struct range){0, 0};
        copy->moved = copy->in_target ? (struct range){0, 0} : never;
        copy->gone = never;
        copy->is_vague = copy->is_out = false;
        copy->is_ready = true;
    }
    for (int i = 0; i < QUEUES; i++)
        side->queues[i].exists = queue_find(vhost, queue_bytes(i)) != NULL;
    for (int i = 0; i < QUEUES; i++)
        side->queues[i].number++;
    for (int i = 0; i < EXCHANGES; i++) {
        struct binding_key key = {.source = exchange_find(vhost, exchange_bytes(i)),
                                  .routing_key = BYTES_LITERAL("k")};

        side->exchanges[i].exists = key.source != NULL;
        for (int queue = 0; queue < SOURCES; queue++) {
            key.to_queue = queue_find(vhost, queue_bytes(queue));
            side->bindings[i][queue].exists = key.source && key.to_queue && binding_find(vhost, &key);
        }
    }
    side->promised = 0;
    memset(side->left_asking, 0, sizeof side->left_asking);
}

void begin_objects(struct object *objects, int count)
{
    for (int i = 0; i < count; i++) {
        objects[i].first = objects[i].exists;
        objects[i].event_count = 0;
    }
}

/* ---- looking at what is there ---- */

static void inspect_message(struct side *side, int queue, const struct outbox_delivery *record)
{
    uint64_t id = read_body(record->message);
    int source = queue == 6 ? 2 : queue == 7 ? 3 : queue;
    struct copy *copy = copy_find(side, id, source);

    if (!copy || copy->size != record->message->body_size)
        fail("v%d: %llu is in %s, to which nobody published it", side->v->index, (unsigned long long)id,
             kinds[queue].name);
    if (copy->seen)
        fail("v%d: %llu is in %s, but in %u before", side->v->index, (unsigned long long)id,
             kinds[queue].name, copy->seen);
    copy->seen = queue == source ? SOURCE : TARGET;
    if (queue == source) {
        bool redelivered = record->record.flags & OUTBOX_REDELIVERED;

        /* Where deliveries are counted each is written, and nothing waits for that. */
        if (copy->delivered && !redelivered && (side->was_clean || !kinds[queue].type))
            fail("v%d: %llu of %s was delivered before, and is not redelivered", side->v->index,
                 (unsigned long long)id, kinds[queue].name);
        if (!copy->delivered && redelivered && side->was_clean && !side->left_asking[queue])
            fail("v%d: %llu of %s is redelivered, and was not delivered before", side->v->index,
                 (unsigned long long)id, kinds[queue].name);
        if (copy->level > side->last_level ||
            (copy->level == side->last_level && copy->rank < side->last_rank))
            fail("v%d: %llu of %s is out of order", side->v->index, (unsigned long long)id,
                 kinds[queue].name);
        side->last_level = copy->level;
        side->last_rank = copy->rank;
    }
    copy->delivered = true;
}

static struct {
    bool answered, is_empty, is_refused;
    int queue;
} inspected;

void hear_inspected(struct world_vhost *v, void *owner, struct outbox_record *record)
{
    struct peer *peer = owner;
    struct method method;

    if (record->kind == OUTBOX_CONTROL) {
        hear(v, owner, record);
    } else if (record->kind == OUTBOX_GET_OK) {
        inspect_message(peer->side, inspected.queue, (struct outbox_delivery *)record);
        inspected.answered = true;
    } else if (record->kind == OUTBOX_METHOD) {
        const struct outbox_method *said = (struct outbox_method *)record;

        if (method_decode(&method, (struct bytes){said->payload, said->payload_size}) != METHOD_OK)
            fail("a method that does not decode");
        if (method.id == METHOD_BASIC_GET_EMPTY)
            inspected.is_empty = inspected.answered = true;
        else if (method.id == METHOD_CHANNEL_CLOSE)
            fail("v%d: %s cannot be read: %.*s", v->index, kinds[inspected.queue].name,
                 BYTES_ARG(method.channel_close.reply_text));
    }
}

static void inspect_queue(struct side *side, int queue)
{
    struct peer *peer = &side->inspector;

    side->last_rank = 0;
    side->last_level = 255;
    inspected.queue = queue;
    inspected.is_empty = false;
    while (!inspected.is_empty && !world->is_dead) {
        inspected.answered = false;
        begin_batch(peer);
        add_method(1, &(struct method){.id = METHOD_BASIC_GET, .basic_get = {.queue = queue_bytes(queue)}});
        end_batch(side);
        for (int turn = 0; !inspected.answered && !world->is_dead; turn++) {
            if (turn == 20000)
                fail("v%d: a get from %s is not answered", side->v->index, kinds[queue].name);
            world_turn(world);
        }
    }
}

void inspect(struct side *side)
{
    struct copy *copy, *next;

    HASH_ITER (hh, side->copies, copy, next)
        copy->seen = 0;
    peer_init(side, &side->inspector, 9);
    peer_open(&side->inspector);
    world_settle(world); /* what expired has arrived where it goes */
    for (int queue = 0; queue < QUEUES; queue++)
        if (queue_find(side->v->vhost, queue_bytes(queue)))
            inspect_queue(side, queue);
    if (world->is_dead)
        return;
    check_side(side);
    take_for_granted(side);
    peer_vanish(&side->inspector);
}

void check_entries(bool was_clean)
{
    for (int i = 0; i < ENTRIES; i++) {
        uint64_t there = world->entries[i];

        if (there != entries[i].value && (was_clean || !entries[i].is_open || there != entries[i].old))
            fail("entry %d is %llu, not %llu", i, (unsigned long long)there,
                 (unsigned long long)entries[i].value);
        entries[i].value = there;
        entries[i].is_open = false;
    }
}
