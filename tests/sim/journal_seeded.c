/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_seeded.h. What lasts is kept as sets: the queues declared, and for each the positions of its live
 * messages. Bodies that are away are copies, so that the core's own are really gone.
 */
#include "journal_seeded.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/vhost_fields.h"
#include "coney/xalloc.h"
#include "random.h"

struct live {
    UT_hash_handle hh;
    uint64_t key; /* level << 56 | number */
    uint32_t delivery_count;
};

struct kept_queue {
    UT_hash_handle hh;
    const struct queue *queue;
    struct live *live;
};

struct kept_thing {
    UT_hash_handle hh;
    const void *thing; /* an exchange or a binding */
};

/* A body that is away. */
struct away {
    UT_hash_handle hh;
    struct {
        struct queue *queue; /* a reference */
        uint64_t key;
    } id;
    struct message *message;
    uint32_t place; /* in seeded->places */
    bool wanted;
};

struct journal_seeded {
    struct journal journal;
    struct random random;
    struct journal_seeded_hooks hooks;
    uint64_t lsn, closed, durable, told; /* closed: of the last record that is not in an open group */
    bool in_group, is_sealed;
    struct kept_queue *queues;
    struct kept_thing *exchanges, *bindings;
    struct away *away;
    struct away **places; /* all of them, for choosing */
    uint32_t place_count, place_capacity;
    uint32_t wanted;
};

static struct journal_seeded *seeded_of(struct journal *journal)
{
    return (struct journal_seeded *)journal;
}

static void contradiction(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void contradiction(const char *format, ...)
{
    va_list arguments;

    fputs("journal: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

/* ---- what lasts ---- */

static uint64_t position_key(struct journal_position position)
{
    return (uint64_t)position.level << 56 | position.number;
}

static struct journal_position key_position(uint64_t key)
{
    return (struct journal_position){(uint8_t)(key >> 56), key & (((uint64_t)1 << 56) - 1)};
}

static struct kept_queue *kept_queue(struct journal_seeded *seeded, const struct queue *queue)
{
    struct kept_queue *kept;

    HASH_FIND_PTR(seeded->queues, &queue, kept);
    return kept;
}

static struct live *kept_live(struct journal_seeded *seeded, const struct journal_record *record,
                              struct kept_queue **kept)
{
    uint64_t key = position_key(record->position);
    struct live *live = NULL;

    *kept = kept_queue(seeded, record->queue);
    if (*kept)
        HASH_FIND(hh, (*kept)->live, &key, sizeof key, live);
    return live;
}

static void live_remove(struct kept_queue *kept, struct live *live)
{
    HASH_DEL(kept->live, live);
    free(live);
}

static void note_enqueue(struct journal_seeded *seeded, const struct journal_record *record)
{
    struct kept_queue *kept;
    struct live *live = kept_live(seeded, record, &kept);

    if (!kept)
        contradiction("enqueue in a queue that does not last");
    if (live)
        contradiction("enqueue at %u/%llu of '%.*s', which is taken", record->position.level,
                      (unsigned long long)record->position.number, BYTES_ARG(record->queue->name));
    if (!record->message)
        contradiction("enqueue without a message");
    live = xcalloc(1, sizeof *live);
    live->key = position_key(record->position);
    HASH_ADD(hh, kept->live, key, sizeof live->key, live);
}

static void note_settle(struct journal_seeded *seeded, const struct journal_record *record)
{
    struct kept_queue *kept;
    struct live *live = kept_live(seeded, record, &kept);

    if (!live)
        contradiction("settle at %u/%llu of '%.*s', where nothing is", record->position.level,
                      (unsigned long long)record->position.number, BYTES_ARG(record->queue->name));
    live_remove(kept, live);
}

static void note_redelivery(struct journal_seeded *seeded, const struct journal_record *record)
{
    struct kept_queue *kept;
    struct live *live = kept_live(seeded, record, &kept);

    if (!live || record->delivery_count <= live->delivery_count)
        contradiction("redelivery %u at %u/%llu of '%.*s'", record->delivery_count, record->position.level,
                      (unsigned long long)record->position.number, BYTES_ARG(record->queue->name));
    live->delivery_count = record->delivery_count;
}

static void note_purge(struct journal_seeded *seeded, const struct journal_record *record)
{
    struct kept_queue *kept = kept_queue(seeded, record->queue);
    struct live *live, *next;

    if (!kept)
        contradiction("purge of a queue that does not last");
    HASH_ITER (hh, kept->live, live, next) {
        struct journal_position position = key_position(live->key);

        if (seqmap_is_ready(&queue_level(record->queue, position.level)->entries, position.number))
            live_remove(kept, live);
    }
}

static void note_queue(struct journal_seeded *seeded, const struct journal_record *record)
{
    struct kept_queue *kept = kept_queue(seeded, record->queue);
    struct live *live, *next;

    if (record->kind == JOURNAL_DECLARE_QUEUE) {
        if (kept)
            contradiction("queue '%.*s' declared twice", BYTES_ARG(record->queue->name));
        kept = xcalloc(1, sizeof *kept);
        kept->queue = record->queue;
        HASH_ADD_PTR(seeded->queues, queue, kept);
        return;
    }
    if (!kept)
        contradiction("delete of a queue that does not last");
    HASH_ITER (hh, kept->live, live, next)
        live_remove(kept, live);
    HASH_DEL(seeded->queues, kept);
    free(kept);
}

static void note_thing(struct kept_thing **things, const void *thing, bool added)
{
    struct kept_thing *kept;

    HASH_FIND_PTR(*things, &thing, kept);
    if (added == (kept != NULL))
        contradiction("an exchange or binding was %s", added ? "added twice" : "removed but never added");
    if (added) {
        kept = xcalloc(1, sizeof *kept);
        kept->thing = thing;
        HASH_ADD_PTR(*things, thing, kept);
        return;
    }
    HASH_DEL(*things, kept);
    free(kept);
}

static uint64_t seeded_append(struct journal *journal, const struct journal_record *record)
{
    struct journal_seeded *seeded = seeded_of(journal);

    if (seeded->is_sealed)
        contradiction("a record of kind %d at the very end", (int)record->kind);
    seeded->lsn++;
    if (!seeded->in_group)
        seeded->closed = seeded->lsn;
    switch (record->kind) {
    case JOURNAL_ENQUEUE:
        note_enqueue(seeded, record);
        if (seeded->hooks.enqueued)
            seeded->hooks.enqueued(seeded->hooks.context, record, seeded->lsn);
        break;
    case JOURNAL_SETTLE:
        note_settle(seeded, record);
        break;
    case JOURNAL_REDELIVERY:
        note_redelivery(seeded, record);
        break;
    case JOURNAL_PURGE:
        note_purge(seeded, record);
        break;
    case JOURNAL_DECLARE_QUEUE:
    case JOURNAL_DELETE_QUEUE:
        note_queue(seeded, record);
        break;
    case JOURNAL_DECLARE_EXCHANGE:
    case JOURNAL_DELETE_EXCHANGE:
        note_thing(&seeded->exchanges, record->exchange, record->kind == JOURNAL_DECLARE_EXCHANGE);
        break;
    case JOURNAL_BIND:
    case JOURNAL_UNBIND:
        note_thing(&seeded->bindings, record->binding, record->kind == JOURNAL_BIND);
        break;
    }
    return seeded->lsn;
}

static void seeded_begin(struct journal *journal)
{
    struct journal_seeded *seeded = seeded_of(journal);

    if (seeded->in_group)
        contradiction("a group in a group");
    seeded->in_group = true;
}

static void seeded_commit(struct journal *journal)
{
    struct journal_seeded *seeded = seeded_of(journal);

    if (!seeded->in_group)
        contradiction("the end of no group");
    seeded->in_group = false;
    seeded->closed = seeded->lsn;
}

static uint64_t seeded_durable(const struct journal *journal)
{
    return ((const struct journal_seeded *)journal)->durable;
}

/* ---- bodies ---- */

static struct away *away_find(struct journal_seeded *seeded, struct queue *queue, uint64_t key)
{
    struct away *away, sought = {.id = {queue, key}};

    HASH_FIND(hh, seeded->away, &sought.id, sizeof sought.id, away);
    return away;
}

static void seeded_load(struct journal *journal, struct queue *queue, struct journal_position position)
{
    struct journal_seeded *seeded = seeded_of(journal);
    struct away *away = away_find(seeded, queue, position_key(position));

    if (!away)
        contradiction("load of a body that is not away");
    if (away->wanted)
        contradiction("load of a body that was asked for");
    away->wanted = true;
    seeded->wanted++;
}

static void away_forget(struct journal_seeded *seeded, struct away *away)
{
    HASH_DEL(seeded->away, away);
    seeded->wanted -= away->wanted;
    seeded->places[away->place] = seeded->places[--seeded->place_count];
    seeded->places[away->place]->place = away->place;
    message_unref(away->message);
    queue_unref(away->id.queue);
    free(away);
}

static void inside(struct vhost *vhost, int64_t now, void (*call)(struct vhost *, void *), void *argument)
{
    struct batch batch = {.kind = BATCH_CALL};

    batch.call = call;
    batch.argument = argument;
    vhost_run(vhost, &batch, now);
}

static struct message *copy_of(const struct message *message)
{
    return message_copy(message, message_exchange(message), message_routing_key(message),
                        message_more_keys(message), message_properties(message));
}

static void evict(struct journal_seeded *seeded, struct queue *queue, struct journal_position position)
{
    struct entry *entry = queue_entry(queue, (struct place){position.level, position.number});
    struct message *copy = copy_of(entry->message);
    struct away *away = away_find(seeded, queue, position_key(position));

    if (!queue_evict(queue, position.level, position.number))
        contradiction("a ready body does not leave");
    if (seeded->hooks.evicted)
        seeded->hooks.evicted(seeded->hooks.context, queue, copy);
    if (away)
        contradiction("a body leaves twice");
    away = xcalloc(1, sizeof *away);
    away->id.queue = queue;
    away->id.key = position_key(position);
    away->message = copy;
    queue->refs++;
    HASH_ADD(hh, seeded->away, id, sizeof away->id, away);
    if (seeded->place_count == seeded->place_capacity) {
        seeded->place_capacity = seeded->place_capacity * 2 + 16;
        seeded->places = xrealloc(seeded->places, seeded->place_capacity * sizeof(struct away *));
    }
    away->place = seeded->place_count;
    seeded->places[seeded->place_count++] = away;
}

static void evict_one(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;
    uint32_t count = HASH_COUNT(vhost->queues);
    struct queue *queue = vhost->queues;
    struct journal_position position = {0};
    struct level *level;
    struct entry *entry;

    if (!count)
        return;
    for (uint32_t skip = random_below(&seeded->random, count); skip; skip--)
        queue = queue->hh.next;
    if (seeded->hooks.may_evict && !seeded->hooks.may_evict(seeded->hooks.context, queue))
        return;
    if (queue->levels)
        position.level = (uint8_t)random_below(&seeded->random, queue->options.max_priority + 1U);
    level = queue_level(queue, position.level);
    if (!level || !level->ready)
        return;
    position.number = seqmap_first_ready(&level->entries);
    if (random_percent(&seeded->random, 50)) {
        uint32_t span = (uint32_t)(level->next - position.number);

        position.number =
            seqmap_next_ready(&level->entries, position.number + random_below(&seeded->random, span));
        if (position.number == SEQMAP_END)
            return;
    }
    entry = seqmap_get(&level->entries, position.number);
    if (entry->message)
        evict(seeded, queue, position);
}

static void load_one(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;
    struct away *away = seeded->places[random_below(&seeded->random, seeded->place_count)];
    struct journal_position position = key_position(away->id.key);
    struct queue *queue = away->id.queue;
    struct message *message = message_ref(away->message);

    (void)vhost;
    if (seeded->hooks.loading)
        seeded->hooks.loading(seeded->hooks.context, queue, message);
    queue->refs++;
    away_forget(seeded, away);
    queue_loaded(queue, position.level, position.number, message);
    message_unref(message);
    queue_unref(queue);
}

static void evict_everything(struct vhost *vhost, void *argument)
{
    struct queue *queue, *next;

    HASH_ITER (hh, vhost->queues, queue, next) {
        for (unsigned i = 0; i <= (queue->levels ? queue->options.max_priority : 0U); i++) {
            struct level *level = queue_level(queue, (uint8_t)i);
            uint64_t number = level ? seqmap_first_ready(&level->entries) : SEQMAP_END;

            for (; number != SEQMAP_END; number = seqmap_next_ready(&level->entries, number + 1))
                if (((struct entry *)seqmap_get(&level->entries, number))->message)
                    evict(argument, queue, (struct journal_position){(uint8_t)i, number});
        }
    }
}

void journal_seeded_evict_all(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    inside(vhost, now, evict_everything, seeded);
}

/* ---- time ---- */

static void tell(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;

    seeded->told = seeded->durable;
    vhost_journal_moved(vhost);
}

void journal_seeded_sync(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    seeded->durable = seeded->closed;
    inside(vhost, now, tell, seeded);
}

void journal_seeded_step(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    switch (random_below(&seeded->random, 5)) {
    case 0:
        if (seeded->durable < seeded->closed)
            seeded->durable +=
                1 + random_below(&seeded->random, (uint32_t)(seeded->closed - seeded->durable));
        break;
    case 1:
        if (seeded->told < seeded->durable)
            inside(vhost, now, tell, seeded);
        break;
    case 2:
        inside(vhost, now, evict_one, seeded);
        break;
    default:
        if (seeded->place_count && (seeded->wanted || random_percent(&seeded->random, 30)))
            inside(vhost, now, load_one, seeded);
    }
}

void journal_seeded_load_wanted(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    while (seeded->wanted)
        inside(vhost, now, load_one, seeded);
}

bool journal_seeded_settle(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    bool any = seeded->durable < seeded->closed || seeded->told < seeded->durable || seeded->wanted;

    if (seeded->told < seeded->closed)
        journal_seeded_sync(seeded, vhost, now);
    journal_seeded_load_wanted(seeded, vhost, now);
    return any;
}

uint64_t journal_seeded_durable(const struct journal_seeded *seeded)
{
    return seeded->durable;
}

void journal_seeded_seal(struct journal_seeded *seeded)
{
    seeded->is_sealed = true;
}

/* ---- checking, freeing ---- */

static void check_level(struct kept_queue *kept, const struct level *level, uint8_t number, uint32_t *found)
{
    uint64_t at = seqmap_next_live(&level->entries, 0);

    for (; at != SEQMAP_END; at = seqmap_next_live(&level->entries, at + 1)) {
        const struct entry *entry = seqmap_get(&level->entries, at);
        uint64_t key = position_key((struct journal_position){number, at});
        struct live *live;

        HASH_FIND(hh, kept->live, &key, sizeof key, live);
        if ((entry->flags & ENTRY_JOURNALLED) && !live)
            contradiction("'%.*s' has a message at %u/%llu that would be lost", BYTES_ARG(kept->queue->name),
                          number, (unsigned long long)at);
        if (live && live->delivery_count != entry->delivery_count)
            contradiction("'%.*s' has a message that came back %u times, not %u",
                          BYTES_ARG(kept->queue->name), entry->delivery_count, live->delivery_count);
        *found += live != NULL;
    }
}

void journal_seeded_check(struct journal_seeded *seeded, struct vhost *vhost)
{
    struct kept_queue *kept, *next;

    HASH_ITER (hh, seeded->queues, kept, next) {
        struct queue *queue = queue_find(vhost, kept->queue->name);
        uint32_t found = 0;

        if (queue != kept->queue)
            contradiction("queue '%.*s' would come back", BYTES_ARG(kept->queue->name));
        for (unsigned i = 0; i <= (queue->levels ? queue->options.max_priority : 0U); i++)
            if (queue_level(queue, (uint8_t)i))
                check_level(kept, queue_level(queue, (uint8_t)i), (uint8_t)i, &found);
        if (found != HASH_COUNT(kept->live))
            contradiction("%u messages of '%.*s' would come back", HASH_COUNT(kept->live) - found,
                          BYTES_ARG(queue->name));
    }
}

static void seeded_free(struct journal *journal)
{
    struct journal_seeded *seeded = seeded_of(journal);
    struct kept_queue *queue, *next_queue;
    struct kept_thing *thing, *next_thing;
    struct live *live, *next_live;

    while (seeded->place_count)
        away_forget(seeded, seeded->places[seeded->place_count - 1]);
    free(seeded->places);
    HASH_ITER (hh, seeded->queues, queue, next_queue) {
        HASH_ITER (hh, queue->live, live, next_live)
            live_remove(queue, live);
        HASH_DEL(seeded->queues, queue);
        free(queue);
    }
    HASH_ITER (hh, seeded->exchanges, thing, next_thing) {
        HASH_DEL(seeded->exchanges, thing);
        free(thing);
    }
    HASH_ITER (hh, seeded->bindings, thing, next_thing) {
        HASH_DEL(seeded->bindings, thing);
        free(thing);
    }
    free(seeded);
}

struct journal *journal_seeded_journal(struct journal_seeded *seeded)
{
    return &seeded->journal;
}

struct journal_seeded *journal_seeded_new(uint64_t seed, const struct journal_seeded_hooks *hooks)
{
    static const struct journal_ops ops = {
        .append = seeded_append,
        .begin = seeded_begin,
        .commit = seeded_commit,
        .durable = seeded_durable,
        .load = seeded_load,
        .free = seeded_free,
    };
    struct journal_seeded *seeded = xcalloc(1, sizeof *seeded);

    seeded->journal.ops = &ops;
    seeded->random.state = seed;
    if (hooks)
        seeded->hooks = *hooks;
    return seeded;
}
