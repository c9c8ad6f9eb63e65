/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward.h. The source is read no faster than the destination takes: octets that wait to be sent there hold
 * it back, and with acknowledgements the prefetch bounds what is under way.
 */
#include "forward.h"

#include <stdlib.h>
#include <time.h>

#include "coney/crc32c.h"
#include "coney/log.h"
#include "end.h"
#include "rewrite.h"
#include "shovel.h"

/* ---- holding back ---- */

void forward_hold(struct shovel *shovel, unsigned reason, bool hold)
{
    static const struct timeval relief = {.tv_sec = 1};

    shovel->holds = hold ? shovel->holds | reason : shovel->holds & ~reason;
    atomic_store_explicit(&shovel->report.holds, shovel->holds, memory_order_relaxed);
    if (reason == HOLD_REFUSED && hold && !event_pending(shovel->relief, EV_TIMEOUT, NULL))
        event_add(shovel->relief, &relief);
    if (shovel->source.client && shovel->state == SHOVEL_RUNNING)
        client_hold(shovel->source.client, shovel->holds != 0);
}

/* ---- settling ---- */

static void report_counts(struct shovel *shovel)
{
    atomic_store_explicit(&shovel->report.remaining, shovel->to_publish, memory_order_relaxed);
    atomic_store_explicit(&shovel->report.remaining_unacked, shovel->to_settle, memory_order_relaxed);
}

/* COUNT more messages are where they should be. */
static void note_settled(struct shovel *shovel, int64_t count)
{
    if (count == 0)
        return;
    shovel->failures = 0;
    if (shovel->to_settle > 0)
        shovel->to_settle -= count;
    report_counts(shovel);
    if (shovel->to_settle == 0)
        shovel_finish(shovel);
}

static void requeue(struct shovel *shovel, uint64_t delivery_tag)
{
    client_nack(shovel->source.channel, delivery_tag, false, true);
    if (shovel->to_publish >= 0)
        shovel->to_publish++;
    forward_hold(shovel, HOLD_REFUSED, true);
}

static struct shovel_entry take_entry(struct shovel *shovel, uint64_t sequence)
{
    struct shovel_entry entry = *(struct shovel_entry *)seqmap_get(&shovel->unconfirmed, sequence);

    seqmap_remove(&shovel->unconfirmed, sequence);
    atomic_fetch_sub_explicit(&shovel->report.pending, 1, memory_order_relaxed);
    return entry;
}

static void settle_one(struct shovel *shovel, uint64_t sequence, bool is_ack)
{
    struct shovel_entry entry;

    if (!seqmap_get(&shovel->unconfirmed, sequence))
        return; /* told twice */
    entry = take_entry(shovel, sequence);
    if (!is_ack || entry.is_returned) {
        requeue(shovel, entry.delivery_tag);
        return;
    }
    client_ack(shovel->source.channel, entry.delivery_tag, false);
    note_settled(shovel, 1);
}

/* All that are not confirmed up to SEQUENCE. What came before them is settled, and so are lower delivery
 * tags: one multiple ack tells of all of them. */
static void settle_up_to(struct shovel *shovel, uint64_t sequence, bool is_ack)
{
    uint64_t next, last = 0;
    int64_t count = 0;

    while ((next = seqmap_next_live(&shovel->unconfirmed, 0)) <= sequence) {
        struct shovel_entry entry = take_entry(shovel, next);

        if (!is_ack || entry.is_returned) {
            requeue(shovel, entry.delivery_tag);
            continue;
        }
        if (shovel->has_gaps)
            client_ack(shovel->source.channel, entry.delivery_tag, false);
        else
            last = entry.delivery_tag;
        count++;
    }
    if (last)
        client_ack(shovel->source.channel, last, true);
    note_settled(shovel, count);
}

static void on_confirmed(void *context, struct client_channel *channel, uint64_t sequence, bool multiple,
                         bool is_ack)
{
    struct shovel *shovel = ((struct shovel_end *)context)->shovel;

    (void)channel;
    if (shovel->state != SHOVEL_RUNNING && shovel->state != SHOVEL_DRAINING)
        return;
    if (!is_ack)
        log_warning("shovel '%s': the destination refuses messages (basic.nack); they are tried again",
                    shovel->name);
    if (multiple)
        settle_up_to(shovel, sequence, is_ack);
    else
        settle_one(shovel, sequence, is_ack);
    if (seqmap_is_empty(&shovel->unconfirmed))
        shovel_drained(shovel);
}

/* ---- publishing ---- */

static uint32_t checksum(struct bytes exchange, struct bytes key, const struct client_content *content)
{
    uint32_t crc = crc32c(0, exchange.data, exchange.size);

    crc = crc32c(crc, key.data, key.size);
    crc = crc32c(crc, content->properties.data, content->properties.size);
    return crc32c(crc, content->body.data, content->body.size);
}

static void note_published(struct shovel *shovel, uint64_t sequence, uint64_t delivery_tag,
                           const struct method_basic_publish *publish, const struct client_content *content)
{
    struct shovel_entry *entry = seqmap_add(&shovel->unconfirmed, sequence);

    *entry = (struct shovel_entry){.delivery_tag = delivery_tag,
                                   .checksum = checksum(publish->exchange, publish->routing_key, content)};
    atomic_fetch_add_explicit(&shovel->report.pending, 1, memory_order_relaxed);
}

static struct bytes rewritten(struct shovel *shovel, struct bytes properties)
{
    const struct rewrite_names names = {.shovelled_by = shovel->owner->cluster_name,
                                        .name = shovel->name,
                                        .vhost = shovel->vhost,
                                        .source_uri = shovel->report.source_uri,
                                        .dest_uri = shovel->report.dest_uri};
    struct timespec now = {0};

    if (shovel->plan->adds_timestamp)
        clock_gettime(CLOCK_REALTIME, &now);
    return rewrite_properties(&shovel->properties, shovel->plan, &names,
                              (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, properties);
}

static struct method_basic_publish address(const struct plan *plan,
                                           const struct method_basic_deliver *deliver)
{
    const struct plan_end *dest = &plan->dest;
    struct method_basic_publish publish = {.exchange = deliver->exchange,
                                           .routing_key = deliver->routing_key,
                                           .mandatory = plan->ack_mode == ACK_ON_CONFIRM};

    if (dest->queue) {
        publish.exchange = (struct bytes){0};
        publish.routing_key = bytes_from_string(dest->queue);
        return publish;
    }
    if (dest->exchange)
        publish.exchange = bytes_from_string(dest->exchange);
    if (dest->key)
        publish.routing_key = bytes_from_string(dest->key);
    return publish;
}

static void forward(struct shovel *shovel, const struct method_basic_deliver *deliver,
                    const struct client_content *content)
{
    const struct client_content sent = {rewritten(shovel, content->properties), content->body};
    struct method_basic_publish publish = address(shovel->plan, deliver);
    uint64_t sequence;

    if (!client_publish(shovel->dest.channel, &publish, sent.properties, sent.body, &sequence)) {
        shovel_fail(shovel, "a message's properties (%zu octets) do not fit in a frame of the destination",
                    sent.properties.size);
        return;
    }
    atomic_fetch_add_explicit(&shovel->report.forwarded, 1, memory_order_relaxed);
    if (shovel->to_publish > 0)
        shovel->to_publish--;
    report_counts(shovel);
    if (client_wants_pause(shovel->dest.client))
        forward_hold(shovel, HOLD_OUTPUT, true);
    if (shovel->plan->ack_mode == ACK_ON_CONFIRM) {
        note_published(shovel, sequence, deliver->delivery_tag, &publish, &sent);
        return;
    }
    if (shovel->plan->ack_mode == ACK_ON_PUBLISH)
        client_ack(shovel->source.channel, deliver->delivery_tag, false);
    note_settled(shovel, 1);
}

static void on_delivered(void *context, struct client_channel *channel,
                         const struct method_basic_deliver *deliver, const struct client_content *content)
{
    struct shovel *shovel = ((struct shovel_end *)context)->shovel;

    (void)channel;
    if (shovel->state != SHOVEL_RUNNING)
        return;
    if (shovel->to_publish == 0)
        shovel->has_gaps = true; /* one too many: it is the source's again when the channel closes */
    else
        forward(shovel, deliver, content);
}

/* ---- what goes wrong ---- */

/* A return says which message it is of by its content alone. Where two are the same it does not matter which
 * is taken: one of them is requeued, and the other is not. */
static void on_returned(void *context, struct client_channel *channel,
                        const struct method_basic_return *returned, const struct client_content *content)
{
    struct shovel *shovel = ((struct shovel_end *)context)->shovel;
    uint32_t wanted = checksum(returned->exchange, returned->routing_key, content);
    uint64_t sequence = 0;
    char text[SHORTSTR_MAX + 1];

    (void)channel;
    if (shovel->state != SHOVEL_RUNNING && shovel->state != SHOVEL_DRAINING)
        return;
    while ((sequence = seqmap_next_live(&shovel->unconfirmed, sequence)) != SEQMAP_END) {
        struct shovel_entry *entry = seqmap_get(&shovel->unconfirmed, sequence);

        if (entry->checksum == wanted && !entry->is_returned) {
            entry->is_returned = true;
            log_warning("shovel '%s': the destination returns messages (%u %s); they are tried again",
                        shovel->name, returned->reply_code,
                        log_escape(returned->reply_text, text, sizeof text));
            return;
        }
        sequence++;
    }
    shovel_fail(shovel, "the destination returned a message that cannot be told from others");
}

static void on_cancelled(void *context, struct client_channel *channel, struct bytes consumer_tag)
{
    struct shovel *shovel = ((struct shovel_end *)context)->shovel;

    (void)channel;
    (void)consumer_tag;
    shovel_fail(shovel, "the source has ended the consumer: its queue is gone");
}

static void on_channel_closed(void *context, struct client_channel *channel, const struct client_end *why)
{
    struct shovel_end *end = context;

    if (client_is_open(client_channel_client(channel))) /* otherwise its end is told of next */
        shovel_fail(end->shovel, "%s: %s", end == &end->shovel->source ? "source" : "destination", why->text);
}

const struct client_channel_events forward_source_events = {
    .closed = on_channel_closed, .delivered = on_delivered, .cancelled = on_cancelled};
const struct client_channel_events forward_dest_events = {
    .closed = on_channel_closed, .returned = on_returned, .confirmed = on_confirmed};

/* ---- beginning ---- */

static void on_consumed(void *context, const struct client_reply *reply)
{
    struct shovel *shovel = context;

    if (!reply->method) {
        if (client_is_open(shovel->source.client))
            shovel_fail(shovel, "the source refuses a consumer: %s", reply->end->text);
        return;
    }
    if (shovel->state != SHOVEL_CONNECTING)
        return; /* it is being closed meanwhile */
    shovel->state = SHOVEL_RUNNING;
    shovels_report(shovel, "running", NULL);
    log_info("shovel '%s' in vhost '%s' is running", shovel->name, shovel->vhost);
    forward_hold(shovel, 0, false); /* it may have been blocked meanwhile */
}

static void count(struct shovel *shovel)
{
    int64_t delete_after = shovel->plan->delete_after;

    if (!shovel->is_counted && delete_after == DELETE_QUEUE_LENGTH)
        shovel->to_settle = shovel->source.messages;
    else if (!shovel->is_counted)
        shovel->to_settle = delete_after == DELETE_NEVER ? -1 : delete_after;
    shovel->is_counted = true;
    shovel->to_publish = shovel->to_settle; /* what was not settled is published once more */
    report_counts(shovel);
}

void forward_begin(struct shovel *shovel)
{
    struct method consume = {
        .id = METHOD_BASIC_CONSUME,
        .basic_consume = {.queue =
                              bytes_from_string(shovel->plan->source.queue ? shovel->plan->source.queue : ""),
                          .no_ack = shovel->plan->ack_mode == ACK_NONE,
                          .arguments = shovel->plan->consumer_args}};

    count(shovel);
    if (shovel->to_settle == 0)
        shovel_finish(shovel);
    else
        client_call(shovel->source.channel, &consume, on_consumed, shovel);
}

void forward_clear(struct shovel *shovel)
{
    seqmap_clear(&shovel->unconfirmed);
    shovel->unconfirmed = (struct seqmap){.entry_size = sizeof(struct shovel_entry)};
    shovel->has_gaps = false;
    shovel->holds = 0;
    atomic_store_explicit(&shovel->report.holds, 0, memory_order_relaxed);
    atomic_store_explicit(&shovel->report.pending, 0, memory_order_relaxed);
    event_del(shovel->relief);
}
