/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coney/browse.h. Ready messages are found as the head is (queue_entries.c): by level from the highest down,
 * by number within a level; those that are away are called back like a head that is away.
 */
#include "coney/browse.h"

#include <inttypes.h>
#include <stdio.h>

#include "coney/journal.h"
#include "coney/properties.h"
#include "coney/table.h"
#include "queue_runs.h"
#include "route.h"
#include "vhost_fields.h"

#define UNACKED_LOOKED_AT 4096 /* of one channel */
#define STAY_MS           200  /* that what was called back stays in memory */

/* ---- the way ---- */

static void enter_level(struct queue *queue, struct browse_place *place, unsigned number)
{
    const struct level *level = queue_level(queue, (uint8_t)number);

    place->has_begun = true;
    place->level = (uint8_t)number;
    place->number = 0;
    place->below = level ? level->next : 0;
}

/* The lowest number from FROM on that is away; SEQMAP_END: none. */
static uint64_t next_away(const struct level *level, uint64_t from)
{
    for (uint32_t at = run_index(level, from); level->away && at < level->kept->run_count; at++) {
        struct run *run = level->kept->runs[at];

        for (uint64_t bit = from > run->first ? from - run->first : 0; run->away_count && bit < run->span;
             bit++)
            if (run_bit(run_away(run), bit))
                return run->first + bit;
    }
    return SEQMAP_END;
}

/* Have the run with NUMBER of LEVEL read; it is to stay until somebody has come to see it. */
static void call_back(struct queue *queue, const struct level *level, uint64_t number)
{
    queue->vhost->browsed = queue;
    queue->vhost->browsed_until = queue->vhost->now + STAY_MS;
    run_call_back(queue, level->kept->runs[run_index(level, number)]);
}

/* Move PLACE on to the next ready message. BROWSE_MORE: it is there, as *ENTRY. IS_PASSED: it may be away,
 * and *ENTRY is not set. */
static enum browse_result next_ready(struct queue *queue, struct browse_place *place, bool is_passed,
                                     struct entry **entry)
{
    if (!place->has_begun)
        enter_level(queue, place, queue_level_count(queue) - 1);
    for (;;) {
        const struct level *level = queue_level(queue, place->level);
        uint64_t here = level ? seqmap_next_ready(&level->entries, place->number) : SEQMAP_END;
        uint64_t away = level ? next_away(level, place->number) : SEQMAP_END;

        if (is_passed && away < here)
            here = away;
        if (away < here && away < place->below) {
            call_back(queue, level, away);
            return BROWSE_WAITS;
        }
        if (here < place->below) {
            place->number = here;
            if (!is_passed)
                *entry = seqmap_get(&level->entries, here);
            return BROWSE_MORE;
        }
        if (!place->level)
            return BROWSE_END;
        enter_level(queue, place, place->level - 1U);
    }
}

static struct queue *find(struct vhost *vhost, struct bytes name, enum browse_result *result)
{
    struct queue *queue = queue_find(vhost, name);

    *result = !queue ? BROWSE_NO_QUEUE : queue->is_broken ? BROWSE_BROKEN : BROWSE_MORE;
    return *result == BROWSE_MORE ? queue : NULL;
}

/* ---- looking ---- */

enum browse_result browse_ready(struct vhost *vhost, struct bytes name, struct browse_place *place,
                                unsigned most,
                                void (*show)(void *context, const struct browse_message *message),
                                void *context)
{
    enum browse_result result;
    struct queue *queue = find(vhost, name, &result);
    struct entry *entry;

    for (; queue && most && (result = next_ready(queue, place, false, &entry)) == BROWSE_MORE; most--) {
        struct browse_message view = {.exchange = message_exchange(entry->message),
                                      .routing_key = message_routing_key(entry->message),
                                      .properties = message_properties(entry->message),
                                      .body = message_body(entry->message),
                                      .redelivered = entry->flags & ENTRY_REDELIVERED,
                                      .delivery_count = entry->delivery_count,
                                      .deadline = entry->deadline};

        show(context, &view);
        place->number++;
    }
    return result;
}

enum browse_result browse_pass(struct vhost *vhost, struct bytes name, struct browse_place *place,
                               unsigned most, uint64_t *count)
{
    enum browse_result result;
    struct queue *queue = find(vhost, name, &result);

    for (; queue && most && *count && (result = next_ready(queue, place, true, NULL)) == BROWSE_MORE;
         most--) {
        place->number++;
        --*count;
    }
    return result;
}

/* ---- moving ---- */

/* What the oldest of a message's deaths was. */
struct first_death {
    struct bytes queue, reason, exchange, routing_key;
    bool is_known;
};

static struct bytes text_in(struct bytes table, const char *name)
{
    struct field field;

    if (table_get(table, name, &field) && field.type == FIELD_LONGSTR)
        return field.bytes;
    return (struct bytes){NULL, 0};
}

static struct bytes first_key(struct bytes death)
{
    struct table_iterator keys;
    struct field field;

    if (!table_get(death, "routing-keys", &field) || field.type != FIELD_ARRAY)
        return (struct bytes){NULL, 0};
    keys = array_begin(field.bytes);
    return array_next(&keys, &field) && field.type == FIELD_LONGSTR ? field.bytes : (struct bytes){NULL, 0};
}

static struct first_death first_death_of(struct bytes headers)
{
    struct first_death death = {.is_known = false};
    struct table_iterator iterator;
    struct field field, last = {.type = 0};

    if (!table_get(headers, "x-death", &field) || field.type != FIELD_ARRAY)
        return death;
    iterator = array_begin(field.bytes);
    while (array_next(&iterator, &field))
        last = field;
    if (last.type != FIELD_TABLE)
        return death;
    return (struct first_death){.queue = text_in(last.bytes, "queue"),
                                .reason = text_in(last.bytes, "reason"),
                                .exchange = text_in(last.bytes, "exchange"),
                                .routing_key = first_key(last.bytes),
                                .is_known = true};
}

static struct bytes headers_of(const struct message *message)
{
    struct properties properties = {0};

    if (!(message->flags & MESSAGE_HAS_HEADERS) ||
        !properties_decode(&properties, message_properties(message)))
        return (struct bytes){NULL, 0};
    return properties.headers;
}

/* Whether somebody who reads the value writes it as TEXT: a text, a whole number, true or false. */
static bool reads_as(const struct field *field, struct bytes text)
{
    int64_t number;
    char digits[24];

    if (field->type == FIELD_LONGSTR)
        return bytes_equal(field->bytes, text);
    if (field->type == FIELD_BOOL)
        return bytes_equal_string(text, field->b ? "true" : "false");
    if (!field_is_integer(field, &number))
        return false;
    snprintf(digits, sizeof digits, "%" PRId64, number);
    return bytes_equal_string(text, digits);
}

static bool agrees(const struct browse_move *move, struct bytes headers, const struct first_death *death)
{
    struct field field;

    if (move->reason.data && !bytes_equal(move->reason, death->reason))
        return false;
    if (move->original_queue.data && !bytes_equal(move->original_queue, death->queue))
        return false;
    if (!move->header.data)
        return true;
    return table_find(headers, move->header, &field) && reads_as(&field, move->header_value);
}

/* The message as it will be republished, a new one; NULL when it is not known where to. */
static struct message *republished(const struct browse_move *move, const struct message *message,
                                   const struct first_death *death)
{
    struct bytes exchange = move->exchange, key = message_routing_key(message);
    struct message *copy;

    if (!exchange.data && !death->is_known)
        return NULL;
    if (!exchange.data) {
        exchange = death->exchange;
        key = death->routing_key;
    }
    if (move->has_routing_key)
        key = move->routing_key;
    copy = message_copy(message, exchange, key, (struct bytes){NULL, 0}, message_properties(message));
    copy->ttl_ms = message->ttl_ms;
    return copy;
}

/* The ready entry at PLACE leaves QUEUE, and COPY, which is taken over, enters the first COUNT of
 * vhost->routed. */
static void exchange_for(struct queue *queue, struct place place, bool journalled, struct message *copy,
                         size_t count)
{
    struct vhost *vhost = queue->vhost;
    uint64_t lsn = 0;

    journal_begin(vhost->journal);
    queue_settle_saved(queue, place);
    if (journalled)
        journal_settlement(queue, place);
    entry_forget(queue, place);
    for (size_t i = 0; i < count; i++)
        queue_publish(vhost->routed[i], message_ref(copy), &lsn);
    journal_commit(vhost->journal);
    message_unref(copy);
}

/* Tell whether one of the first COUNT queues of vhost->routed would refuse MESSAGE. */
static bool is_refused(const struct vhost *vhost, size_t count, const struct message *message)
{
    for (size_t i = 0; i < count; i++)
        if (queue_refuses(vhost->routed[i], message))
            return true;
    return false;
}

static bool may_publish(const struct vhost *vhost, const struct exchange *exchange, struct browse_move *move)
{
    if (move->user.data && !vhost_allows(vhost, move->user, PERMISSION_WRITE, exchange->name)) {
        move->is_refused = true;
        return false;
    }
    return !exchange->internal;
}

static bool move_one(struct queue *queue, struct place place, const struct entry *entry,
                     struct browse_move *move)
{
    struct vhost *vhost = queue->vhost;
    struct bytes headers = headers_of(entry->message), keys[ROUTE_KEYS_MAX];
    struct first_death death = first_death_of(headers);
    struct exchange *exchange;
    struct message *copy;
    struct route route = {.queue_count = 0};

    if (!agrees(move, headers, &death))
        return false;
    copy = republished(move, entry->message, &death);
    if (!copy)
        return false;
    exchange = exchange_find(vhost, message_exchange(copy));
    if (exchange && may_publish(vhost, exchange, move))
        route_message(&route, vhost, exchange, copy, keys, route_keys(copy, keys));
    if (!route.queue_count || is_refused(vhost, route.queue_count, copy)) {
        message_unref(copy);
        return false;
    }
    exchange_for(queue, place, entry->flags & ENTRY_JOURNALLED, copy, route.queue_count);
    return true;
}

enum browse_result browse_move(struct vhost *vhost, struct bytes name, struct browse_place *place,
                               unsigned most, struct browse_move *move)
{
    enum browse_result result;
    struct queue *queue = find(vhost, name, &result);
    struct entry *entry;

    for (; queue && most && move->most; most--) {
        struct place at;

        result = next_ready(queue, place, false, &entry);
        if (result != BROWSE_MORE)
            break;
        at = (struct place){place->level, place->number++};
        if (move_one(queue, at, entry, move)) {
            move->moved++;
            move->most--;
        } else {
            move->skipped++;
        }
    }
    if (queue)
        queue_head_changed(queue);
    return queue && !move->most ? BROWSE_END : result;
}

/* ---- what is unacked ---- */

static void show_unacked(const struct channel *channel, const struct queue *queue,
                         void (*show)(void *context, const struct browse_unacked *unacked), void *context)
{
    uint64_t tag = seqmap_next_live(&channel->unacked, 0);

    for (unsigned looked = 0; tag != SEQMAP_END && looked < UNACKED_LOOKED_AT; looked++) {
        const struct unacked *unacked = seqmap_get(&channel->unacked, tag);
        struct browse_unacked view = {.owner = channel->connection->owner,
                                      .channel = channel->number,
                                      .delivery_tag = tag,
                                      .delivered_at = (int64_t)unacked->delivered_at * 1000};

        if (unacked->consumer)
            view.consumer_tag = unacked->consumer->tag;
        if (unacked->queue == queue)
            show(context, &view);
        tag = seqmap_next_live(&channel->unacked, tag + 1);
    }
}

bool browse_unacked(struct vhost *vhost, struct bytes name, uint32_t *slot,
                    void (*show)(void *context, const struct browse_unacked *unacked), void *context)
{
    const struct queue *queue = queue_find(vhost, name);

    for (; queue && *slot < vhost->slot_count; ++*slot) {
        const struct connection *connection = vhost->slots[*slot].connection;

        if (!connection || !connection->channels)
            continue;
        for (const struct channel *channel = connection->channels; channel; channel = channel->hh.next)
            show_unacked(channel, queue, show, context);
        ++*slot;
        return *slot < vhost->slot_count;
    }
    return false;
}
