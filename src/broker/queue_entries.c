/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, entries: a message enters, becomes unacked, is settled, comes back, is dropped.
 *
 * All counting of ready and unacked messages is in count_ready(), count_unready(), count_unacked() and
 * uncount_unacked(); nothing else touches those numbers.
 */
#include <stdlib.h>

#include "ages.h"
#include "coney/death.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "count.h"
#include "vhost_fields.h"

const struct level_kept level_kept_nothing;

void level_init(struct level *level)
{
    level->entries.entry_size = sizeof(struct entry);
    level->kept =
        (struct level_kept *)(uintptr_t)&level_kept_nothing; /* never written to, see level_keeps() */
}

void level_keeps(struct level *level)
{
    if (level->kept == &level_kept_nothing)
        level->kept = xcalloc(1, sizeof *level->kept);
}

/* What LEVEL has beside its entries. */
static void level_forget_kept(struct level *level)
{
    free(level->ages);
    level->ages = NULL;
    if (level->kept != &level_kept_nothing)
        free(level->kept);
}

struct level *queue_level(struct queue *queue, uint8_t number)
{
    return queue->levels ? queue->levels->at[number] : &queue->base;
}

struct level *queue_next_level(struct queue *queue, unsigned *number)
{
    struct level *level = NULL;

    for (; *number < queue_level_count(queue); ++*number)
        if ((level = queue_level(queue, (uint8_t)*number)))
            break;
    return level;
}

struct level *queue_level_made(struct queue *queue, uint8_t number)
{
    struct level *level = queue_level(queue, number);

    if (!level) {
        level = xcalloc(1, sizeof *level);
        level_init(level);
        queue->levels->at[number] = level;
    }
    return level;
}

/* A level comes into use. Who consumes was promised that the journal knows in time what may be delivered
 * (queue_promise_marks()): of this level it is told before there is a message. */
static struct level *level_begin(struct queue *queue, uint8_t number)
{
    struct level *level = queue_level_made(queue, number);

    if (queue->durable && queue->consumer_count)
        queue_extend_mark(queue, level, (struct place){number, level->next});
    return level;
}

static inline struct level *level_for(struct queue *queue, uint8_t priority, uint8_t *number)
{
    struct level *level;

    *number = 0;
    if (!queue->levels)
        return &queue->base;
    *number = priority < queue->options.max_priority ? priority : queue->options.max_priority;
    level = queue_level(queue, *number);
    return level ? level : level_begin(queue, *number);
}

static inline void count_level_ready(struct queue *queue, struct level *level, uint8_t number, uint64_t count)
{
    if (level->ready == 0 && queue->levels)
        queue->levels->ready[number / 64] |= (uint64_t)1 << number % 64;
    level->ready += count;
}

static void count_ready(struct queue *queue, struct level *level, struct place place,
                        const struct entry *entry)
{
    seqmap_set_ready(&level->entries, place.number);
    queue->ready++;
    queue->vhost->ready++;
    queue->ready_bytes += entry->body_size;
    count_level_ready(queue, level, place.level, 1);
}

void count_away_ready(struct queue *queue, struct level *level, const struct run *run)
{
    queue->ready += run->away_count;
    queue->vhost->ready += run->away_count;
    queue->ready_bytes += run->away_bytes;
    queue->away += run->away_count;
    level->away += run->away_count;
    count_level_ready(queue, level, run->level, run->away_count);
}

static void count_level_unready(struct queue *queue, struct level *level, uint8_t number)
{
    if (--level->ready == 0 && queue->levels)
        queue->levels->ready[number / 64] &= ~((uint64_t)1 << number % 64);
}

static void count_unready(struct queue *queue, struct level *level, struct place place,
                          const struct entry *entry)
{
    seqmap_clear_ready(&level->entries, place.number);
    queue->ready--;
    queue->vhost->ready--;
    queue->ready_bytes -= entry->body_size;
    count_level_unready(queue, level, place.level);
}

void count_away_unready(struct queue *queue, struct place place, uint64_t body_size)
{
    struct level *level = queue_level(queue, place.level);

    queue->ready--;
    queue->vhost->ready--;
    queue->ready_bytes -= body_size;
    queue->away--;
    level->away--;
    count_level_unready(queue, level, place.level);
}

static void count_unacked(struct queue *queue, const struct entry *entry)
{
    queue->unacked++;
    queue->vhost->unacked++;
    queue->unacked_bytes += entry->body_size;
}

static void uncount_unacked(struct queue *queue, const struct entry *entry)
{
    queue->unacked--;
    queue->vhost->unacked--;
    queue->unacked_bytes -= entry->body_size;
}

/* What an entry and its message hold is constant over the entry's life. */
static inline void count_used(struct queue *queue, const struct entry *entry)
{
    uint64_t octets = entry->body_size + ENTRY_OVERHEAD;

    queue->used += octets;
    queue->vhost->used += octets;
    if (queue->used > queue->vhost->settings.spill_min && !queue->is_large)
        queue_note_large(queue);
}

static inline void uncount_used(struct queue *queue, const struct entry *entry)
{
    uint64_t octets = entry->body_size + ENTRY_OVERHEAD;

    queue->used -= octets;
    queue->vhost->used -= octets;
}

/* Forget the entry at PLACE, counted nowhere any more; its message is the caller's. */
static void entry_remove(struct queue *queue, struct place place, const struct entry *entry)
{
    uncount_used(queue, entry);
    seqmap_remove(&queue_level(queue, place.level)->entries, place.number);
    if (queue->ready == 0 && queue->unacked == 0)
        queue->deadline_max = 0;
}

uint64_t journal_settlement(struct queue *queue, struct place place)
{
    return journal_append(queue->vhost->journal,
                          &(struct journal_record){.kind = JOURNAL_SETTLE,
                                                   .relaxed = queue->options.relaxed,
                                                   .queue = queue->lsn,
                                                   .position = {place.level, place.number}});
}

/* ENTRY at PLACE leaves for good, now. */
static uint64_t settle_entry(struct queue *queue, struct place place, const struct entry *entry)
{
    queue_settle_saved(queue, place);
    return entry->flags & ENTRY_JOURNALLED ? journal_settlement(queue, place) : 0;
}

static uint64_t journal_enqueue(struct queue *queue, struct place place, const struct entry *entry)
{
    return journal_append(queue->vhost->journal,
                          &(struct journal_record){.kind = JOURNAL_ENQUEUE,
                                                   .relaxed = queue->options.relaxed,
                                                   .queue = queue->lsn,
                                                   .position = {place.level, place.number},
                                                   .deadline = entry->deadline,
                                                   .message = entry->message});
}

static struct entry *entry_append(struct queue *queue, struct message *message, struct place *place,
                                  uint64_t *lsn)
{
    struct level *level = level_for(queue, message->priority, &place->level);
    struct journal *journal = queue->vhost->journal;
    struct entry *entry;

    level_note_time(queue, level);
    place->number = level->next++;
    entry = seqmap_add(&level->entries, place->number);
    *entry = (struct entry){.message = message,
                            .deadline = queue_message_deadline(queue, message),
                            .body_size = (uint32_t)message->body_size,
                            .era = (uint16_t)journal->era};
    count_used(queue, entry);
    if (queue_keeps(queue, message)) {
        uint64_t written = journal_enqueue(queue, *place, entry);

        entry->flags |= ENTRY_JOURNALLED;
        queue_note_unsaved(queue, entry);
        if (written > *lsn)
            *lsn = written;
    }
    return entry;
}

/* Tell whether reject-publish keeps MESSAGE out of QUEUE. */
static bool is_full_for(const struct queue *queue, const struct message *message)
{
    const struct queue_options *options = &queue->options;

    if (options->overflow == QUEUE_OVERFLOW_DROP_HEAD)
        return false;
    if (options->max_length != QUEUE_OPTION_NONE && queue->ready >= (uint64_t)options->max_length)
        return true;
    return options->max_length_bytes != QUEUE_OPTION_NONE &&
           queue->ready_bytes + message->body_size > (uint64_t)options->max_length_bytes;
}

bool queue_refuses(const struct queue *queue, const struct message *message)
{
    return queue->is_broken || is_full_for(queue, message);
}

static enum enqueue_result refuse(struct queue *queue, struct message *message)
{
    if (queue->options.overflow == QUEUE_OVERFLOW_REJECT_PUBLISH_DLX) {
        count_death(queue, DEATH_MAXLEN);
        deadletter_send(queue, message, (struct place){0}, false, DEATH_MAXLEN);
    }
    message_unref(message);
    return ENQUEUE_REFUSED;
}

/* Tell whether a message that no consumer takes at once is gone without having been in QUEUE: it takes
 * nobody's place where the length is limited (RabbitMQ 3.10, classic queues; with a DLX it enters and
 * expires). */
static bool takes_only_what_goes_on(const struct queue *queue)
{
    const struct queue_options *options = &queue->options;

    return options->message_ttl == 0 && !options->has_dead_letter_exchange && options->type == QUEUE_CLASSIC;
}

static enum enqueue_result enter(struct queue *queue, struct message *message, uint64_t *lsn)
{
    struct consumer *consumer;
    struct entry *entry;
    struct place place = {0};

    queue_counts(queue)->messages.publish++;
    consumer = queue_waiting_consumer(queue);
    if (consumer && consumer->no_ack) {
        consumer_deliver(consumer, message, place, false, 0);
        return ENQUEUE_DONE;
    }
    if (!consumer && takes_only_what_goes_on(queue)) {
        count_death(queue, DEATH_EXPIRED);
        message_unref(message);
        return ENQUEUE_DONE;
    }
    entry = entry_append(queue, message, &place, lsn);
    if (consumer) {
        count_unacked(queue, entry);
        if (entry->deadline > queue->deadline_max)
            queue->deadline_max = entry->deadline;
        queue_note_delivered(queue, queue_level(queue, place.level), place, entry);
        consumer_deliver(consumer, message_ref(message), place, false, 0);
        return ENQUEUE_DONE;
    }
    count_ready(queue, queue_level(queue, place.level), place, entry);
    queue_timer_add(queue, place, entry);
    /* Consumers are waiting for a message that is away, which may be of a lower priority. */
    if (queue->levels && queue->ready_consumers)
        queue_wants_dispatch(queue);
    if (queue->options.max_length != QUEUE_OPTION_NONE ||
        queue->options.max_length_bytes != QUEUE_OPTION_NONE)
        queue_trim(queue);
    return ENQUEUE_DONE;
}

enum enqueue_result queue_publish(struct queue *queue, struct message *message, uint64_t *lsn)
{
    return queue_refuses(queue, message) ? refuse(queue, message) : enter(queue, message, lsn);
}

enum enqueue_result queue_publish_letter(struct queue *queue, struct message *message, uint64_t *lsn)
{
    if (queue->is_broken && queue_keeps(queue, message) && !is_full_for(queue, message))
        return enter(queue, message, lsn);
    return queue_publish(queue, message, lsn);
}

enum queue_head queue_head(struct queue *queue, struct place *place, struct entry **entry)
{
    struct level *level = &queue->base;

    if (!queue->ready)
        return HEAD_NONE;
    place->level = 0;
    if (queue->levels) {
        int word = 3;

        while (!queue->levels->ready[word])
            word--;
        place->level = (uint8_t)(word * 64 + 63 - __builtin_clzll(queue->levels->ready[word]));
        level = queue->levels->at[place->level];
    }
    place->number = seqmap_first_ready(&level->entries);
    if (level->away && level_first_away(level) < place->number)
        return HEAD_AWAY;
    *entry = seqmap_get(&level->entries, place->number);
    return HEAD_HERE;
}

struct message *queue_take(struct queue *queue, struct place place, struct entry *entry, bool no_ack)
{
    struct level *level = queue_level(queue, place.level);
    struct message *message = entry->message;

    count_unready(queue, level, place, entry);
    if (entry->timer)
        queue_timer_remove(queue, entry->timer);
    if (!no_ack) {
        count_unacked(queue, entry);
        queue_note_delivered(queue, level, place, entry);
        return message_ref(message);
    }
    settle_entry(queue, place, entry);
    entry_remove(queue, place, entry);
    return message;
}

uint64_t queue_discard(struct queue *queue, struct place place, struct entry *entry, int reason)
{
    struct message *message = entry->message;
    uint64_t lsn = 0;

    count_death(queue, reason);
    /* A dead letter settles its original together with its own arrival, and only then. */
    if (!deadletter_send(queue, message, place, entry->flags & ENTRY_JOURNALLED, reason) ||
        !(entry->flags & ENTRY_JOURNALLED))
        lsn = settle_entry(queue, place, entry);
    entry_remove(queue, place, entry);
    message_unref(message);
    return lsn;
}

/* Tell whether an entry that has come back COUNT times may be delivered once more (7.3). */
static bool is_within_delivery_limit(const struct queue *queue, uint32_t count)
{
    return !queue->options.has_delivery_limit || queue->options.delivery_limit < 0 ||
           count <= queue->options.delivery_limit;
}

static uint64_t requeue(struct queue *queue, struct place place, struct entry *entry)
{
    uint64_t lsn = 0;

    entry->flags |= ENTRY_REDELIVERED;
    entry->delivery_count++;
    if (!is_within_delivery_limit(queue, entry->delivery_count))
        return queue_discard(queue, place, entry, DEATH_DELIVERY_LIMIT);
    if (place.number < queue_level(queue, place.level)->kept->saved)
        run_returned(queue, place, entry->delivery_count);
    if (entry->flags & ENTRY_JOURNALLED && !queue_counts_deliveries(queue))
        lsn = journal_append(queue->vhost->journal,
                             &(struct journal_record){.kind = JOURNAL_REDELIVERY,
                                                      .relaxed = queue->options.relaxed,
                                                      .queue = queue->lsn,
                                                      .position = {place.level, place.number},
                                                      .delivery_count = entry->delivery_count});
    count_ready(queue, queue_level(queue, place.level), place, entry);
    queue_timer_add(queue, place, entry);
    return lsn;
}

uint64_t queue_settle(struct queue *queue, struct place place, enum settle how)
{
    struct entry *entry = queue_entry(queue, place);
    uint64_t lsn = 0;

    if (!entry)
        return 0; /* the queue was deleted meanwhile */
    uncount_unacked(queue, entry);
    switch (how) {
    case SETTLE_ACK: {
        struct message *message = entry->message;

        lsn = settle_entry(queue, place, entry);
        entry_remove(queue, place, entry);
        message_unref(message);
        break;
    }
    case SETTLE_REJECT:
        lsn = queue_discard(queue, place, entry, DEATH_REJECTED);
        break;
    case SETTLE_REQUEUE:
        lsn = requeue(queue, place, entry);
        queue_wants_dispatch(queue);
        break;
    }
    return lsn;
}

void queue_trim(struct queue *queue)
{
    const struct queue_options *options = &queue->options;
    struct place place;
    struct entry *entry;

    if (options->overflow != QUEUE_OVERFLOW_DROP_HEAD && !queue->is_overfull)
        return;
    while (queue->ready &&
           ((options->max_length != QUEUE_OPTION_NONE && queue->ready > (uint64_t)options->max_length) ||
            (options->max_length_bytes != QUEUE_OPTION_NONE &&
             queue->ready_bytes > (uint64_t)options->max_length_bytes))) {
        if (queue_head(queue, &place, &entry) == HEAD_AWAY) {
            queue_call_back(queue); /* and is trimmed when it is here */
            return;
        }
        count_unready(queue, queue_level(queue, place.level), place, entry);
        if (entry->timer)
            queue_timer_remove(queue, entry->timer);
        queue_discard(queue, place, entry, DEATH_MAXLEN);
    }
    queue->is_overfull = false;
}

/* The ready entry at PLACE leaves with REASON. */
static void leave(struct queue *queue, struct place place, struct entry *entry, int reason)
{
    count_unready(queue, queue_level(queue, place.level), place, entry);
    if (entry->timer)
        queue_timer_remove(queue, entry->timer);
    queue_discard(queue, place, entry, reason);
}

void queue_expire_entry(struct queue *queue, struct place place, struct entry *entry)
{
    leave(queue, place, entry, DEATH_EXPIRED);
}

bool queue_head_leaves(struct queue *queue, struct place place, struct entry *entry)
{
    if (entry->deadline <= queue->vhost->now)
        leave(queue, place, entry, DEATH_EXPIRED);
    else if (entry->delivery_count && !is_within_delivery_limit(queue, entry->delivery_count))
        leave(queue, place, entry, DEATH_DELIVERY_LIMIT);
    else
        return false;
    return true;
}

/* ---- leaving memory and coming back: the rest of it is in queue_spill.c and queue_fetch.c ---- */

struct entry *entry_bring(struct queue *queue, struct level *level, struct place place,
                          const struct run_message *message)
{
    struct entry *entry = seqmap_add(&level->entries, place.number);

    *entry = (struct entry){.message = message->message,
                            .deadline = message->deadline,
                            .body_size = (uint32_t)message->message->body_size,
                            .delivery_count = message->delivery_count,
                            .flags = message->redelivered ? ENTRY_REDELIVERED : 0};
    if (queue->durable && !message->is_transient)
        entry->flags |= ENTRY_JOURNALLED;
    seqmap_set_ready(&level->entries, place.number);
    level->away--;
    queue->away--;
    count_used(queue, entry);
    queue_timer_add(queue, place, entry);
    return entry;
}

void entry_send_away(struct queue *queue, struct level *level, struct place place)
{
    struct entry *entry = seqmap_get(&level->entries, place.number);

    if (entry->timer)
        queue_timer_remove(queue, entry->timer);
    level->away++;
    queue->away++;
    uncount_used(queue, entry);
    message_unref(entry->message);
    seqmap_remove(&level->entries, place.number);
}

/* ---- before the start: restore.c ---- */

void entry_restore(struct queue *queue, struct place place, struct message *message, int64_t deadline)
{
    struct level *level = queue_level(queue, place.level);
    struct entry *entry = seqmap_add(&level->entries, place.number);

    *entry = (struct entry){.message = message,
                            .deadline = deadline,
                            .body_size = (uint32_t)message->body_size,
                            .flags = ENTRY_JOURNALLED,
                            .era = (uint16_t)queue->vhost->journal->era};
    count_used(queue, entry);
    count_ready(queue, level, place, entry);
    queue_timer_add(queue, place, entry);
    queue_note_unsaved(queue, entry);
}

void entry_forget(struct queue *queue, struct place place)
{
    struct entry *entry = queue_entry(queue, place);
    struct message *message = entry->message;

    count_unready(queue, queue_level(queue, place.level), place, entry);
    if (entry->timer)
        queue_timer_remove(queue, entry->timer);
    entry_remove(queue, place, entry);
    message_unref(message);
}

/* ---- all at once ---- */

static void garbage_add(struct vhost *vhost, struct level *level)
{
    struct garbage *garbage;

    if (!seqmap_is_empty(&level->entries)) {
        garbage = xmalloc(sizeof *garbage);
        *garbage = (struct garbage){.next = vhost->garbage, .entries = level->entries};
        vhost->garbage = garbage;
    } else {
        seqmap_clear(&level->entries);
    }
    level->entries = (struct seqmap){.entry_size = sizeof(struct entry)};
    level->ready = level->away = 0;
}

void garbage_collect(struct vhost *vhost, uint64_t limit)
{
    while (vhost->garbage && limit) {
        struct garbage *garbage = vhost->garbage;
        uint64_t number = seqmap_next_live(&garbage->entries, garbage->at);

        if (number == SEQMAP_END) {
            vhost->garbage = garbage->next;
            seqmap_clear(&garbage->entries);
            free(garbage);
            continue;
        }
        for (; number != SEQMAP_END && limit; limit--) {
            message_unref(((struct entry *)seqmap_get(&garbage->entries, number))->message);
            seqmap_remove(&garbage->entries, number);
            garbage->at = number + 1;
            number = seqmap_next_live(&garbage->entries, garbage->at);
        }
    }
}

static void forget_used(struct queue *queue)
{
    queue->vhost->used -= queue->used;
    queue->used = 0;
}

void queue_drop_entries(struct queue *queue)
{
    struct level *level;

    runs_forget(queue, &queue->base);
    garbage_add(queue->vhost, &queue->base);
    level_forget_kept(&queue->base);
    level_init(&queue->base);
    for (unsigned i = 1; (level = queue_next_level(queue, &i)); i++) {
        runs_forget(queue, level);
        garbage_add(queue->vhost, level);
        level_forget_kept(level);
        free(level);
    }
    free(queue->levels);
    queue->levels = NULL;
    queue->vhost->ready -= queue->ready;
    queue->vhost->unacked -= queue->unacked;
    queue->ready = queue->ready_bytes = 0;
    queue->unacked = queue->unacked_bytes = 0;
    queue->away = queue->departing = 0;
    queue->timer_count = 0;
    queue->deadline_max = 0;
    forget_used(queue);
}

static uint64_t journal_purge(struct queue *queue, uint8_t level, uint64_t from, uint64_t below)
{
    if (!queue->durable || from == below)
        return 0;
    return journal_append(queue->vhost->journal, &(struct journal_record){.kind = JOURNAL_PURGE,
                                                                          .relaxed = queue->options.relaxed,
                                                                          .queue = queue->lsn,
                                                                          .position = {level, from},
                                                                          .below = below});
}

/* All of LEVEL that was ready is gone: tell the journal, but for what stays. */
static uint64_t journal_purge_around(struct queue *queue, struct level *level, uint8_t number)
{
    uint64_t from = 0, at, lsn = 0;

    do {
        uint64_t departing = queue->departing ? level_next_saved(level, from) : SEQMAP_END;
        uint64_t written;

        at = seqmap_next_live(&level->entries, from);
        if (departing < at)
            at = departing;
        written = journal_purge(queue, number, from, at == SEQMAP_END ? level->next : at);
        if (written)
            lsn = written;
        from = at + 1;
    } while (at != SEQMAP_END);
    return lsn;
}

/* Purge a level that has unacked entries among the ready ones, or messages that are to be dead letters: they
 * stay. */
static uint64_t purge_level(struct queue *queue, struct level *level, uint8_t number)
{
    for (uint64_t at = seqmap_next_live(&level->entries, 0); at != SEQMAP_END;
         at = seqmap_next_live(&level->entries, at + 1)) {
        struct place place = {number, at};
        struct entry *entry = seqmap_get(&level->entries, at);
        struct message *message = entry->message;

        if (!seqmap_is_ready(&level->entries, at))
            continue;
        count_unready(queue, level, place, entry);
        if (entry->timer)
            queue_timer_remove(queue, entry->timer);
        queue_settle_saved(queue, place);
        entry_remove(queue, place, entry);
        message_unref(message);
    }
    runs_purge(queue, level);
    return journal_purge_around(queue, level, number);
}

/* Purge a level all of whose entries are ready: as a whole. */
static uint64_t purge_whole_level(struct queue *queue, struct level *level, uint8_t number)
{
    uint64_t lsn = journal_purge(queue, number, 0, level->next);

    runs_forget(queue, level);
    garbage_add(queue->vhost, level);
    if (queue->levels)
        queue->levels->ready[number / 64] &= ~((uint64_t)1 << number % 64);
    return lsn;
}

uint64_t queue_purge(struct queue *queue, uint64_t *count)
{
    struct level *level;
    uint64_t lsn = 0, written;
    bool whole = queue->unacked == 0 && queue->departing == 0;

    *count = queue->ready;
    if (!queue->ready)
        return 0;
    for (unsigned i = 0; (level = queue_next_level(queue, &i)); i++) {
        if (!level->ready)
            continue;
        written = whole ? purge_whole_level(queue, level, (uint8_t)i) : purge_level(queue, level, (uint8_t)i);
        if (written > lsn)
            lsn = written;
    }
    if (whole) {
        queue->vhost->ready -= queue->ready;
        queue->ready = queue->ready_bytes = 0;
        queue->away = 0;
        queue->timer_count = 0;
        queue->deadline_max = 0;
        forget_used(queue);
    }
    queue_relieve(queue);
    gate_called_back(queue);
    return lsn;
}
