/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h, entries: a message enters, becomes unacked, is settled, comes back, is dropped.
 *
 * All counting of ready and unacked messages is in count_ready(), count_unready(), count_unacked() and
 * uncount_unacked(); nothing else touches those numbers.
 */
#include <stdlib.h>

#include "coney/death.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "vhost_fields.h"

struct level *queue_level(struct queue *queue, uint8_t level)
{
    return queue->levels ? queue->levels->at[level] : &queue->base;
}

static struct level *level_for(struct queue *queue, uint8_t priority, uint8_t *number)
{
    struct level *level;

    *number = 0;
    if (!queue->levels)
        return &queue->base;
    *number = priority < queue->options.max_priority ? priority : queue->options.max_priority;
    level = queue->levels->at[*number];
    if (!level) {
        level = xcalloc(1, sizeof *level);
        level->entries.entry_size = sizeof(struct entry);
        queue->levels->at[*number] = level;
    }
    return level;
}

static void count_ready(struct queue *queue, struct level *level, struct place place,
                        const struct entry *entry)
{
    seqmap_set_ready(&level->entries, place.number);
    queue->ready++;
    queue->ready_bytes += entry->body_size;
    if (level->ready++ == 0 && queue->levels)
        queue->levels->ready[place.level / 64] |= (uint64_t)1 << place.level % 64;
}

static void count_unready(struct queue *queue, struct level *level, struct place place,
                          const struct entry *entry)
{
    seqmap_clear_ready(&level->entries, place.number);
    queue->ready--;
    queue->ready_bytes -= entry->body_size;
    if (--level->ready == 0 && queue->levels)
        queue->levels->ready[place.level / 64] &= ~((uint64_t)1 << place.level % 64);
    /* Consumers may have been waiting for this body; now for the next one's. */
    if (entry->flags & ENTRY_LOADING)
        queue_wants_dispatch(queue);
}

static void count_unacked(struct queue *queue, const struct entry *entry)
{
    queue->unacked++;
    queue->unacked_bytes += entry->body_size;
}

static void uncount_unacked(struct queue *queue, const struct entry *entry)
{
    queue->unacked--;
    queue->unacked_bytes -= entry->body_size;
}

/* Forget the entry at PLACE, counted nowhere any more; its message is the caller's. */
static void entry_remove(struct queue *queue, struct place place)
{
    seqmap_remove(&queue_level(queue, place.level)->entries, place.number);
    if (queue->ready == 0 && queue->unacked == 0)
        queue->deadline_max = 0;
}

static uint64_t journal_settle(struct queue *queue, struct place place, const struct entry *entry)
{
    if (!(entry->flags & ENTRY_JOURNALLED))
        return 0;
    return journal_append(queue->vhost->journal,
                          &(struct journal_record){.kind = JOURNAL_SETTLE,
                                                   .queue = queue,
                                                   .position = {place.level, place.number}});
}

static struct entry *entry_append(struct queue *queue, struct message *message, struct place *place,
                                  uint64_t *lsn)
{
    struct level *level = level_for(queue, message->priority, &place->level);
    struct entry *entry;

    place->number = level->next++;
    entry = seqmap_add(&level->entries, place->number);
    *entry = (struct entry){.message = message,
                            .deadline = queue_message_deadline(queue, message),
                            .body_size = (uint32_t)message->body_size};
    if (queue_keeps(queue, message)) {
        uint64_t written = journal_append(queue->vhost->journal,
                                          &(struct journal_record){.kind = JOURNAL_ENQUEUE,
                                                                   .queue = queue,
                                                                   .position = {place->level, place->number},
                                                                   .message = message});

        entry->flags |= ENTRY_JOURNALLED;
        if (written > *lsn)
            *lsn = written;
    }
    return entry;
}

/* Tell whether reject-publish refuses MESSAGE (queue-features.md 4). */
static bool is_refused(const struct queue *queue, const struct message *message)
{
    const struct queue_options *options = &queue->options;

    if (options->overflow == QUEUE_OVERFLOW_DROP_HEAD)
        return false;
    if (options->max_length != QUEUE_OPTION_NONE && queue->ready >= (uint64_t)options->max_length)
        return true;
    return options->max_length_bytes != QUEUE_OPTION_NONE &&
           queue->ready_bytes + message->body_size > (uint64_t)options->max_length_bytes;
}

enum enqueue_result queue_publish(struct queue *queue, struct message *message, uint64_t *lsn)
{
    struct consumer *consumer;
    struct entry *entry;
    struct place place = {0};

    if (is_refused(queue, message)) {
        if (queue->options.overflow == QUEUE_OVERFLOW_REJECT_PUBLISH_DLX)
            deadletter_send(queue, message, place, false, DEATH_MAXLEN);
        message_unref(message);
        return ENQUEUE_REFUSED;
    }
    consumer = queue_waiting_consumer(queue);
    if (consumer && consumer->no_ack) {
        consumer_deliver(consumer, message, place, false, 0);
        return ENQUEUE_DONE;
    }
    entry = entry_append(queue, message, &place, lsn);
    if (consumer) {
        count_unacked(queue, entry);
        if (entry->deadline > queue->deadline_max)
            queue->deadline_max = entry->deadline;
        consumer_deliver(consumer, message_ref(message), place, false, 0);
        return ENQUEUE_DONE;
    }
    count_ready(queue, queue_level(queue, place.level), place, entry);
    queue_timer_add(queue, place, entry);
    /* Consumers are waiting for the body of a message, which may be of a lower priority. */
    if (queue->levels && queue->ready_consumers)
        queue_wants_dispatch(queue);
    if (queue->options.max_length != QUEUE_OPTION_NONE ||
        queue->options.max_length_bytes != QUEUE_OPTION_NONE)
        queue_trim(queue);
    return ENQUEUE_DONE;
}

bool queue_head(struct queue *queue, struct place *place, struct entry **entry)
{
    struct level *level = &queue->base;

    if (!queue->ready)
        return false;
    place->level = 0;
    if (queue->levels) {
        int word = 3;

        while (!queue->levels->ready[word])
            word--;
        place->level = (uint8_t)(word * 64 + 63 - __builtin_clzll(queue->levels->ready[word]));
        level = queue->levels->at[place->level];
    }
    place->number = seqmap_first_ready(&level->entries);
    *entry = seqmap_get(&level->entries, place->number);
    return true;
}

struct message *queue_take(struct queue *queue, struct place place, struct entry *entry, bool no_ack)
{
    struct message *message = entry->message;

    count_unready(queue, queue_level(queue, place.level), place, entry);
    if (entry->timer)
        queue_timer_remove(queue, entry);
    if (!no_ack) {
        count_unacked(queue, entry);
        return message ? message_ref(message) : NULL;
    }
    journal_settle(queue, place, entry);
    entry_remove(queue, place);
    return message;
}

void queue_request_body(struct queue *queue, struct place place, struct entry *entry)
{
    if (entry->flags & ENTRY_LOADING)
        return;
    entry->flags |= ENTRY_LOADING;
    journal_load(queue->vhost->journal, queue, (struct journal_position){place.level, place.number});
}

void queue_discard(struct queue *queue, struct place place, struct entry *entry, int reason)
{
    struct message *message = entry->message;
    bool journalled = entry->flags & ENTRY_JOURNALLED;

    if (!message && queue->options.has_dead_letter_exchange) {
        entry->flags |= ENTRY_DEPARTING;
        queue->departing++;
        entry->departing_reason = (uint8_t)reason;
        queue_request_body(queue, place, entry);
        return;
    }
    if (!message || !deadletter_send(queue, message, place, journalled, reason))
        journal_settle(queue, place, entry);
    entry_remove(queue, place);
    if (message)
        message_unref(message);
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
    if (!is_within_delivery_limit(queue, entry->delivery_count)) {
        queue_discard(queue, place, entry, DEATH_DELIVERY_LIMIT);
        return 0;
    }
    if (entry->flags & ENTRY_JOURNALLED)
        lsn = journal_append(queue->vhost->journal,
                             &(struct journal_record){.kind = JOURNAL_REDELIVERY,
                                                      .queue = queue,
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

        lsn = journal_settle(queue, place, entry);
        entry_remove(queue, place);
        if (message)
            message_unref(message);
        break;
    }
    case SETTLE_REJECT:
        queue_discard(queue, place, entry, DEATH_REJECTED);
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

    if (options->overflow != QUEUE_OVERFLOW_DROP_HEAD)
        return;
    while (queue->ready &&
           ((options->max_length != QUEUE_OPTION_NONE && queue->ready > (uint64_t)options->max_length) ||
            (options->max_length_bytes != QUEUE_OPTION_NONE &&
             queue->ready_bytes > (uint64_t)options->max_length_bytes)) &&
           queue_head(queue, &place, &entry)) {
        count_unready(queue, queue_level(queue, place.level), place, entry);
        if (entry->timer)
            queue_timer_remove(queue, entry);
        queue_discard(queue, place, entry, DEATH_MAXLEN);
    }
}

void queue_expire_entry(struct queue *queue, struct place place, struct entry *entry)
{
    count_unready(queue, queue_level(queue, place.level), place, entry);
    if (entry->timer)
        queue_timer_remove(queue, entry);
    queue_discard(queue, place, entry, DEATH_EXPIRED);
}

/* ---- bodies that are away ---- */

bool queue_evict(struct queue *queue, uint8_t level, uint64_t number)
{
    struct place place = {level, number};
    struct entry *entry = queue_entry(queue, place);

    if (!entry || !entry->message || !seqmap_is_ready(&queue_level(queue, level)->entries, number))
        return false;
    message_unref(entry->message);
    entry->message = NULL;
    return true;
}

void queue_loaded(struct queue *queue, uint8_t level, uint64_t number, struct message *message)
{
    struct place place = {level, number};
    struct entry *entry = queue_entry(queue, place);

    if (!entry || entry->message) /* purged, expired or loaded meanwhile */
        return;
    entry->message = message_ref(message);
    entry->flags &= (uint8_t)~ENTRY_LOADING;
    if (entry->flags & ENTRY_DEPARTING) {
        queue->departing--;
        queue_discard(queue, place, entry, entry->departing_reason);
        return;
    }
    gate_loaded(queue->vhost, queue, place, message);
    queue_wants_dispatch(queue);
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
    level->ready = 0;
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
            struct message *message = ((struct entry *)seqmap_get(&garbage->entries, number))->message;

            if (message)
                message_unref(message);
            seqmap_remove(&garbage->entries, number);
            garbage->at = number + 1;
            number = seqmap_next_live(&garbage->entries, garbage->at);
        }
    }
}

void queue_drop_entries(struct queue *queue)
{
    garbage_add(queue->vhost, &queue->base);
    for (unsigned i = 1; queue->levels && i <= queue->options.max_priority; i++) {
        struct level *level = queue->levels->at[i];

        if (!level)
            continue;
        garbage_add(queue->vhost, level);
        free(level);
    }
    free(queue->levels);
    queue->levels = NULL;
    queue->ready = queue->ready_bytes = 0;
    queue->unacked = queue->unacked_bytes = queue->departing = 0;
    queue->timer_count = 0;
    queue->deadline_max = 0;
}

/* Purge a level that has unacked or departing entries among the ready ones, which stay. */
static void purge_level(struct queue *queue, struct level *level, uint8_t number)
{
    for (uint64_t at = seqmap_first_ready(&level->entries); at != SEQMAP_END;
         at = seqmap_next_ready(&level->entries, at)) {
        struct place place = {number, at};
        struct entry *entry = seqmap_get(&level->entries, at);
        struct message *message = entry->message;

        count_unready(queue, level, place, entry);
        if (entry->timer)
            queue_timer_remove(queue, entry);
        entry_remove(queue, place);
        if (message)
            message_unref(message);
    }
}

/* Purge a level all of whose entries are ready: as a whole. */
static void purge_whole_level(struct queue *queue, struct level *level, unsigned number)
{
    garbage_add(queue->vhost, level);
    if (queue->levels)
        queue->levels->ready[number / 64] &= ~((uint64_t)1 << number % 64);
}

uint64_t queue_purge(struct queue *queue, uint64_t *count)
{
    uint64_t lsn = 0;
    bool whole = queue->unacked == 0 && queue->departing == 0;

    *count = queue->ready;
    if (!queue->ready)
        return 0;
    if (queue->durable)
        lsn = journal_append(queue->vhost->journal,
                             &(struct journal_record){.kind = JOURNAL_PURGE, .queue = queue});
    for (unsigned i = 0; i <= (queue->levels ? queue->options.max_priority : 0U); i++) {
        struct level *level = queue_level(queue, (uint8_t)i);

        if (level && whole)
            purge_whole_level(queue, level, i);
        else if (level)
            purge_level(queue, level, (uint8_t)i);
    }
    if (whole) {
        queue->ready = queue->ready_bytes = 0;
        queue->timer_count = 0;
        queue->deadline_max = 0;
    }
    queue_relieve(queue);
    return lsn;
}
