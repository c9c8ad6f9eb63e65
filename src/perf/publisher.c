/* SPDX-License-Identifier: Apache-2.0 */
/* publisher.h: what is sent when, and what comes back for it. */
#include "publisher.h"

#include <stdlib.h>

#include "account.h"
#include "clock.h"
#include "coney/xalloc.h"
#include "link.h"
#include "options.h"
#include "worker.h"

/* ---- the end ---- */

static void note(_Atomic uint64_t *time, uint64_t now)
{
    atomic_store_explicit(time, now, memory_order_relaxed);
}

static void finish_if_confirmed(struct publisher *publisher)
{
    if (publisher->state != PUBLISHER_WAITING || publisher->window.waiting)
        return;
    publisher->state = PUBLISHER_CLOSING;
    channel_close(&publisher->channel);
    conn_flush(publisher->channel.conn);
}

void publisher_stop(struct publisher *publisher)
{
    struct worker *worker = publisher->link->worker;

    if (publisher->state > PUBLISHER_SENDING)
        return;
    timers_clear(&worker->loop.timers, &publisher->timer);
    loop_unready(&worker->loop, &publisher->task);
    publisher->state = PUBLISHER_WAITING;
    finish_if_confirmed(publisher);
}

static void end(struct publisher *publisher)
{
    struct worker *worker = publisher->link->worker;

    publisher->state = PUBLISHER_DONE;
    worker->load->published[publisher->number] = publisher->sequence;
    note(&worker->counters.last_done, clock_now());
    histogram_bump(&worker->counters.publishers_done, 1);
}

/* ---- what comes back ---- */

struct confirming {
    struct publisher *publisher;
    bool is_ack;
    uint64_t count;
};

static void on_confirmed(void *context, uint64_t tag, uint64_t sent)
{
    struct confirming *confirming = context;
    struct worker *worker = confirming->publisher->link->worker;

    confirming->count++;
    if (confirming->is_ack)
        histogram_record(worker->confirms, worker->loop.now > sent ? worker->loop.now - sent : 0, 1);
    else if (worker->load->account)
        account_forgive(worker->load->account, confirming->publisher->number, tag - 1);
}

/* Send again when an eighth of the window is free: a write for each confirm alone would cost more than it
 * gains. With a rate each message has its time. */
static bool has_enough_room(const struct publisher *publisher)
{
    uint64_t room = window_room(&publisher->window), left = publisher->quota - publisher->sequence;
    uint64_t wanted = publisher->window.size / 8;

    if (publisher->link->worker->load->options->rates.count || wanted < 1)
        wanted = 1;
    return room >= (wanted < left ? wanted : left);
}

static void take_confirm(struct publisher *publisher, uint64_t tag, bool multiple, bool is_ack)
{
    struct counters *counters = &publisher->link->worker->counters;
    struct confirming confirming = {publisher, is_ack, 0};

    if (!publisher->window.sent ||
        !window_confirm(&publisher->window, tag, multiple, on_confirmed, &confirming)) {
        conn_fail(publisher->channel.conn, "the broker confirmed a message that was not sent");
        return;
    }
    histogram_bump(is_ack ? &counters->confirmed : &counters->nacked, confirming.count);
    if (publisher->state == PUBLISHER_SENDING && has_enough_room(publisher))
        publisher_resume(publisher);
    else
        finish_if_confirmed(publisher);
}

static void become_ready(struct publisher *publisher)
{
    struct worker *worker = publisher->link->worker;

    if (publisher->state != PUBLISHER_PREPARING)
        return; /* stopped meanwhile */
    publisher->state = PUBLISHER_READY;
    histogram_bump(&worker->counters.publishers_ready, 1);
    publisher_begin(publisher);
}

static void on_method(struct channel *channel, const struct method *method)
{
    struct publisher *publisher = (struct publisher *)((char *)channel - offsetof(struct publisher, channel));

    switch ((uint32_t)method->id) {
    case METHOD_BASIC_ACK:
        take_confirm(publisher, method->basic_ack.delivery_tag, method->basic_ack.multiple, true);
        break;
    case METHOD_BASIC_NACK:
        take_confirm(publisher, method->basic_nack.delivery_tag, method->basic_nack.multiple, false);
        break;
    case METHOD_CHANNEL_OPEN_OK:
        if (publisher->window.size == 0)
            become_ready(publisher);
        break;
    case METHOD_CONFIRM_SELECT_OK:
        become_ready(publisher);
        break;
    case METHOD_CHANNEL_CLOSE_OK:
        end(publisher);
        break;
    default:
        break;
    }
}

/* A message that went to no queue. */
static void on_returned(struct channel *channel)
{
    struct publisher *publisher = (struct publisher *)((char *)channel - offsetof(struct publisher, channel));
    struct worker *worker = publisher->link->worker;

    histogram_bump(&worker->counters.returned, 1);
    if (worker->load->account && channel->size >= STAMP_SIZE)
        account_forgive(worker->load->account, publisher->number, stamp_get(channel->head).sequence);
}

/* ---- sending ---- */

static void build_train(struct publisher *publisher, uint64_t at)
{
    const struct load *load = publisher->link->worker->load;
    const struct options *options = load->options;
    struct train_shape shape = {.channel = publisher->channel.number,
                                .exchange = load->topology.exchange,
                                .keys = publisher->keys,
                                .key_count = publisher->key_count,
                                .is_random = options->is_random_key,
                                .is_mandatory = options->is_mandatory,
                                .properties = buffer_bytes(&options->encoded_properties),
                                .size = options->size,
                                .frame_max = publisher->channel.conn->frame_max,
                                .seed = load->id + publisher->number};

    publisher->size_until = UINT64_MAX;
    if (options->sizes.count)
        shape.size = (uint64_t)schedule_value(&options->sizes, at, &publisher->size_until);
    train_build(&publisher->train, &shape);
    publisher->slot = 0;
}

/* How many messages may go now; 0 when there is something to wait for. */
static uint64_t how_many(struct publisher *publisher, uint64_t at)
{
    const struct options *options = publisher->link->worker->load->options;
    struct loop *loop = &publisher->link->worker->loop;
    uint64_t count = publisher->quota - publisher->sequence, due;

    if (publisher->channel.conn->is_blocked || !conn_is_drained(publisher->channel.conn))
        return 0;
    if (publisher->window.size) {
        if (!has_enough_room(publisher))
            return 0;
        if (window_room(&publisher->window) < count)
            count = window_room(&publisher->window);
    }
    if (options->rates.count == 0)
        return count;
    due = schedule_due(&options->rates, publisher->sequence);
    if (due == SCHEDULE_NEVER)
        return 0;
    if (due + publisher->phase > at) {
        timers_set(&loop->timers, &publisher->timer,
                   publisher->link->worker->load->begun + due + publisher->phase);
        return 0;
    }
    due = schedule_count(&options->rates, at - publisher->phase) - publisher->sequence;
    return due < count ? due : count;
}

static void stamp_messages(struct publisher *publisher, size_t count, uint64_t now)
{
    const struct load *load = publisher->link->worker->load;
    const struct options *options = load->options;
    struct stamp stamp = {.sent = now + load->clock_offset, .run = load->id, .publisher = publisher->number};

    for (size_t i = 0; i < count; i++) {
        stamp.sequence = publisher->sequence + i;
        if (options->rates.count) {
            uint64_t due = load->begun + publisher->phase + schedule_due(&options->rates, stamp.sequence);
            uint64_t late = now > due ? (now - due) / NS_PER_US : 0;

            stamp.late_us = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX;
        }
        train_stamp(&publisher->train, publisher->slot + i, &stamp);
        if (options->is_check)
            train_seal(&publisher->train, publisher->slot + i, stamp.sequence);
    }
}

/* Send COUNT messages or as many as the train has in a row. */
static void send_messages(struct publisher *publisher, uint64_t count, uint64_t now)
{
    struct worker *worker = publisher->link->worker;
    size_t slots = train_grow(&publisher->train,
                              publisher->slot + (count < SIZE_MAX / 2 ? (size_t)count : SIZE_MAX / 2));
    struct bytes octets;

    if (count > slots - publisher->slot)
        count = slots - publisher->slot;
    stamp_messages(publisher, (size_t)count, now);
    octets = train_octets(&publisher->train, publisher->slot, (size_t)count);
    if (publisher->window.size)
        window_send(&publisher->window, count, now);
    publisher->sequence += count;
    publisher->slot = (publisher->slot + (size_t)count) % slots;
    histogram_bump(&worker->counters.sent, count);
    note(&worker->counters.last_sent, now);
    if (conn_lend(publisher->channel.conn, octets))
        loop_ready(&worker->loop, &publisher->task);
}

static void on_turn(struct task *task)
{
    struct publisher *publisher = (struct publisher *)((char *)task - offsetof(struct publisher, task));
    struct worker *worker = publisher->link->worker;
    uint64_t now = clock_now(), at = now - worker->load->begun, count;

    if (publisher->state != PUBLISHER_SENDING)
        return;
    if (publisher->sequence == publisher->quota) {
        publisher_stop(publisher);
        return;
    }
    count = how_many(publisher, at);
    if (!count)
        return;
    if (at >= publisher->size_until)
        build_train(publisher, at);
    send_messages(publisher, count, now);
}

static void on_due(struct timer *timer)
{
    publisher_resume((struct publisher *)((char *)timer - offsetof(struct publisher, timer)));
}

void publisher_resume(struct publisher *publisher)
{
    if (publisher->state == PUBLISHER_SENDING)
        loop_ready(&publisher->link->worker->loop, &publisher->task);
}

/* ---- the beginning ---- */

void publisher_begin(struct publisher *publisher)
{
    const struct load *load = publisher->link->worker->load;

    if (publisher->state != PUBLISHER_READY || !atomic_load(&load->may_publish))
        return;
    build_train(publisher, 0);
    publisher->state = PUBLISHER_SENDING;
    publisher_resume(publisher);
}

void publisher_prepare(struct publisher *publisher)
{
    static const struct channel_ops ops = {on_method, on_returned, NULL};
    const struct options *options = publisher->link->worker->load->options;

    if (!channel_open(publisher->link->conn, &publisher->channel, &ops)) {
        conn_fail(publisher->link->conn, "the broker allows only %u channels",
                  publisher->link->conn->channel_max);
        return;
    }
    if (!options->confirm)
        return;
    window_init(&publisher->window, options->confirm);
    channel_say(&publisher->channel, &(struct method){.id = METHOD_CONFIRM_SELECT});
}

static void choose_keys(struct publisher *publisher)
{
    const struct load *load = publisher->link->worker->load;
    const struct topology *topology = &load->topology;
    const char *key = load->options->routing_key;
    struct share share = topology_share(topology->queue_count, publisher->number, load->publishers);

    if (key || topology->copies > 1 || share.count == 0)
        share = (struct share){0, 1, 1};
    publisher->keys = xcalloc(share.count, sizeof *publisher->keys);
    publisher->key_count = share.count;
    for (unsigned i = 0; i < share.count; i++)
        publisher->keys[i] = key                     ? bytes_from_string(key)
                             : topology->queue_count ? topology->queues[share.first + i * share.step]
                                                     : bytes_from_string(load->options->id);
}

void publisher_init(struct publisher *publisher, struct link *link, unsigned number)
{
    const struct load *load = link->worker->load;
    const struct schedule *rates = &load->options->rates;

    publisher->task.run = on_turn;
    publisher->timer.fire = on_due;
    publisher->link = link;
    publisher->number = number;
    publisher->quota = load->options->pmessages ? load->options->pmessages : UINT64_MAX;
    if (rates->count && rates->steps[0].value > 0)
        publisher->phase = (uint64_t)((double)NS_PER_S / rates->steps[0].value * number / load->publishers);
    choose_keys(publisher);
}

void publisher_free(struct publisher *publisher)
{
    timers_clear(&publisher->link->worker->loop.timers, &publisher->timer);
    loop_unready(&publisher->link->worker->loop, &publisher->task);
    train_free(&publisher->train);
    window_free(&publisher->window);
    free(publisher->keys);
}
