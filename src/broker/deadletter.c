/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead letters (queue-features.md 2): a message that dies in a queue with a dead-letter exchange is copied,
 * its death written into the copy's headers, and the copy put on the vhost's list. The list is worked off
 * before the next command, so queues never call each other.
 *
 * Leaving the source and entering each target are one group in the journal.
 */
#include <stdlib.h>

#include "coney/buffer.h"
#include "coney/death.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "route.h"
#include "vhost_fields.h"

/* Dead letters routed in one go; the rest waits for the next turn. */
#define DEAD_LETTER_SLICE 10000

static struct message *make_copy(struct queue *queue, struct message *message, int reason)
{
    const struct queue_options *options = &queue->options;
    struct buffer properties = {0};
    struct death death = {.properties = message_properties(message),
                          .exchange = message_exchange(message),
                          .routing_key = message_routing_key(message),
                          .more_keys = message_more_keys(message),
                          .queue = queue->name,
                          .reason = (enum death_reason)reason,
                          .time = (uint64_t)(queue->vhost->now / 1000),
                          .has_routing_key_override = options->has_dead_letter_routing_key};
    bool override = options->has_dead_letter_routing_key;
    struct message *copy;

    death_record(&properties, &death);
    copy = message_copy(message, options->dead_letter_exchange,
                        override ? options->dead_letter_routing_key : message_routing_key(message),
                        override ? (struct bytes){NULL, 0} : message_more_keys(message),
                        buffer_bytes(&properties));
    copy->ttl_ms = MESSAGE_NO_TTL;
    copy->flags |= MESSAGE_HAS_HEADERS;
    buffer_free(&properties);
    return copy;
}

static struct dead_letter *letter_add(struct vhost *vhost)
{
    struct dead_letter *letter = pool_alloc(sizeof *letter);

    *letter = (struct dead_letter){.next = NULL};
    *vhost->dead_letters_end = letter;
    vhost->dead_letters_end = &letter->next;
    vhost->letters_sent++;
    return letter;
}

bool deadletter_send(struct queue *queue, struct message *message, struct place place, bool journalled,
                     int reason)
{
    struct vhost *vhost = queue->vhost;
    struct dead_letter *letter;

    if (!queue->options.has_dead_letter_exchange)
        return false;
    letter = letter_add(vhost);
    letter->message = make_copy(queue, message, reason);
    letter->source = queue;
    letter->place = place;
    letter->check_cycle = reason != DEATH_REJECTED;
    letter->journalled = journalled;
    queue->refs++;
    return true;
}

void letter_send(struct vhost *vhost, struct message *message)
{
    letter_add(vhost)->message = message;
}

/* Returns the LSN of the last copy that was written. */
static uint64_t route_letter(struct vhost *vhost, const struct dead_letter *letter)
{
    struct message *message = letter->message;
    struct exchange *exchange = exchange_find(vhost, message_exchange(message));
    struct bytes keys[ROUTE_KEYS_MAX];
    struct route route;
    uint64_t lsn = 0;

    if (!exchange) /* dropped, as an unroutable one (2.2) */
        return 0;
    route_message(&route, vhost, exchange, message, keys, route_keys(message, keys));
    for (size_t i = 0; i < route.queue_count; i++) {
        struct queue *target = vhost->routed[i];

        if (letter->check_cycle && death_is_cycle(message_properties(message), target->name))
            continue;
        if (letter->journalled)
            queue_publish_letter(target, message_ref(message), &lsn);
        else
            queue_publish(target, message_ref(message), &lsn);
    }
    return lsn;
}

static void letter_run(struct vhost *vhost, struct dead_letter *letter)
{
    bool settles = letter->journalled && !letter->source->is_deleted; /* then there is a source */
    uint64_t settled = 0, moved;

    if (settles) {
        journal_begin(vhost->journal);
        queue_settle_saved(letter->source, letter->place);
        settled = journal_settlement(letter->source, letter->place);
    }
    moved = route_letter(vhost, letter);
    if (moved < settled)
        moved = settled;
    if (vhost->letters_lsn < moved)
        vhost->letters_lsn = moved;
    vhost->letters_done++;
    if (settles)
        journal_commit(vhost->journal);
    message_unref(letter->message);
    if (letter->source)
        queue_unref(letter->source);
    pool_free(letter, sizeof *letter);
}

void deadletter_run(struct vhost *vhost)
{
    for (unsigned budget = DEAD_LETTER_SLICE; budget && vhost->dead_letters; budget--) {
        struct dead_letter *letter = vhost->dead_letters;

        vhost->dead_letters = letter->next;
        if (!letter->next)
            vhost->dead_letters_end = &vhost->dead_letters;
        letter_run(vhost, letter);
    }
}
