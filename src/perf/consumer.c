/* SPDX-License-Identifier: Apache-2.0 */
/* consumer.h: what is done with each message. */
#include "consumer.h"

#include <stdio.h>
#include <stdlib.h>

#include "account.h"
#include "clock.h"
#include "coney/xalloc.h"
#include "link.h"
#include "options.h"
#include "schedule.h"
#include "worker.h"

/* ---- acknowledging ---- */

static void acknowledge(struct consumer *consumer)
{
    const struct options *options = consumer->link->worker->load->options;
    struct method method = {.id = METHOD_BASIC_ACK};

    if (options->is_nack) {
        method.id = METHOD_BASIC_NACK;
        method.basic_nack.delivery_tag = consumer->channel.delivery_tag;
        method.basic_nack.multiple = consumer->unacked > 1;
        method.basic_nack.requeue = options->requeue != NULL;
    } else {
        method.basic_ack.delivery_tag = consumer->channel.delivery_tag;
        method.basic_ack.multiple = consumer->unacked > 1;
    }
    channel_say(&consumer->channel, &method);
    consumer->unacked = 0;
}

void consumer_finish(struct consumer *consumer)
{
    timers_clear(&consumer->link->worker->loop.timers, &consumer->timer);
    if (consumer->unacked)
        acknowledge(consumer);
}

/* Enough is received: the channel is closed, and what came too much goes back. */
static void end(struct consumer *consumer)
{
    if (consumer->is_done)
        return;
    consumer_finish(consumer);
    consumer->is_done = true;
    channel_close(&consumer->channel);
}

/* ---- measuring ---- */

static void record(struct worker *worker, const struct consumer *consumer, const struct stamp *stamp)
{
    const struct load *load = worker->load;
    uint64_t now = worker->loop.now + load->clock_offset, size = consumer->channel.size, since;

    if (size < STAMP_SENT_END || stamp->sent > now)
        return;
    since = now - stamp->sent;
    histogram_record(worker->since_sent, since, 1);
    if (load->options->rates.count && size >= STAMP_LATE_END)
        histogram_record(worker->since_due, since + stamp->late_us * NS_PER_US, 1);
}

static bool is_sound(const struct channel *channel, const struct stamp *stamp, const struct load *load)
{
    return channel->checksum == stamp->checksum && stamp->publisher < load->publishers &&
           (channel->size < STAMP_TAIL_FROM || get_u64(channel->tail) == stamp->sequence);
}

static void check(struct worker *worker, struct consumer *consumer, const struct stamp *stamp)
{
    const struct load *load = worker->load;
    struct counters *counters = &worker->counters;
    const struct channel *channel = &consumer->channel;
    unsigned lane = load->topology.copies > 1 ? channel->consumer : 0;
    uint64_t *next;

    if (channel->size < STAMP_SIZE || !is_sound(channel, stamp, load) || lane >= load->topology.copies) {
        histogram_bump(&counters->damaged, 1);
        return;
    }
    if (!account_receive(load->account, stamp->publisher, lane, stamp->sequence)) {
        /* What is marked as redelivered may have come before, and says so. */
        histogram_bump(channel->is_redelivered ? &counters->again : &counters->duplicated, 1);
        return;
    }
    if (channel->is_redelivered)
        return;
    next = &consumer->next_of[(size_t)lane * load->publishers + stamp->publisher];
    if (stamp->sequence < *next)
        histogram_bump(&counters->reordered, 1);
    else
        *next = stamp->sequence + 1;
}

static bool is_of_this_run(const struct channel *channel, const struct stamp *stamp, const struct load *load)
{
    return channel->size < STAMP_LATE_END || stamp->run == load->id || load->publishers == 0;
}

/* With a rate, read no more until the next message is due. */
static void keep_pace(struct consumer *consumer, uint64_t now)
{
    struct loop *loop = &consumer->link->worker->loop;
    struct schedule pace = schedule_steady(consumer->link->worker->load->options->consumer_rate);
    uint64_t due;

    if (!consumer->begun)
        consumer->begun = now;
    due = schedule_due(&pace, consumer->received);
    if (due != SCHEDULE_NEVER && consumer->begun + due <= now)
        return;
    conn_hold(consumer->channel.conn, true);
    if (due != SCHEDULE_NEVER)
        timers_set(&loop->timers, &consumer->timer, consumer->begun + due);
}

static void on_pace(struct timer *timer)
{
    struct consumer *consumer = (struct consumer *)((char *)timer - offsetof(struct consumer, timer));

    if (consumer->link->conn)
        conn_hold(consumer->link->conn, false);
}

static void on_message(struct channel *channel)
{
    struct consumer *consumer = (struct consumer *)((char *)channel - offsetof(struct consumer, channel));
    struct worker *worker = consumer->link->worker;
    const struct options *options = worker->load->options;
    struct counters *counters = &worker->counters;
    struct stamp stamp = stamp_get(channel->head);

    if (consumer->is_done)
        return;
    consumer->received++;
    histogram_bump(&counters->received, 1);
    histogram_bump(&counters->octets, channel->size);
    if (channel->is_redelivered)
        histogram_bump(&counters->redelivered, 1);
    atomic_store_explicit(&counters->last_received, worker->loop.now, memory_order_relaxed);
    if (!is_of_this_run(channel, &stamp, worker->load)) {
        histogram_bump(&counters->foreign, 1);
    } else {
        record(worker, consumer, &stamp);
        if (consumer->next_of)
            check(worker, consumer, &stamp);
    }
    if (!options->is_autoack && ++consumer->unacked >= options->ack_every)
        acknowledge(consumer);
    if (consumer->received == consumer->quota)
        end(consumer);
    else if (options->consumer_rate >= 0)
        keep_pace(consumer, worker->loop.now);
}

/* ---- the beginning ---- */

static void subscribe(struct consumer *consumer, unsigned queue)
{
    const struct load *load = consumer->link->worker->load;
    struct method method = {.id = METHOD_BASIC_CONSUME};
    char tag[16];

    snprintf(tag, sizeof tag, "%u", queue);
    method.basic_consume.queue = load->topology.queues[queue];
    method.basic_consume.consumer_tag = bytes_from_string(tag);
    method.basic_consume.no_ack = load->options->is_autoack;
    method.basic_consume.exclusive = load->options->is_exclusive;
    channel_say(&consumer->channel, &method);
}

void consumer_begin(struct consumer *consumer)
{
    if (consumer->is_subscribing || !consumer->channel.conn ||
        !atomic_load(&consumer->link->worker->load->may_consume))
        return;
    consumer->is_subscribing = true;
    for (unsigned i = 0; i < consumer->share.count; i++)
        subscribe(consumer, consumer->share.first + i * consumer->share.step);
    conn_flush(consumer->channel.conn);
}

static void on_method(struct channel *channel, const struct method *method)
{
    struct consumer *consumer = (struct consumer *)((char *)channel - offsetof(struct consumer, channel));
    struct worker *worker = consumer->link->worker;

    if (method->id == METHOD_BASIC_CONSUME_OK && ++consumer->subscribed == consumer->share.count)
        histogram_bump(&worker->counters.consumers_ready, 1);
    else if (method->id == METHOD_BASIC_CANCEL)
        conn_fail(channel->conn, "the broker cancelled a consumer: its queue is gone");
    else if (method->id == METHOD_CHANNEL_CLOSE_OK && consumer->is_done)
        histogram_bump(&worker->counters.consumers_done, 1);
}

static void limit_prefetch(struct consumer *consumer, uint32_t count, bool is_global)
{
    struct method method = {.id = METHOD_BASIC_QOS};

    if (!count)
        return;
    method.basic_qos.prefetch_count = (uint16_t)count;
    method.basic_qos.global = is_global;
    channel_say(&consumer->channel, &method);
}

void consumer_prepare(struct consumer *consumer)
{
    static const struct channel_ops ops = {on_method, on_message, NULL};
    const struct options *options = consumer->link->worker->load->options;
    struct conn *conn = consumer->link->conn;

    if (!channel_open(conn, &consumer->channel, &ops)) {
        conn_fail(conn, "the broker allows only %u channels", conn->channel_max);
        return;
    }
    consumer->channel.wants_checksum = options->is_check;
    conn->small_reads = options->consumer_rate >= 0;
    limit_prefetch(consumer, options->qos, false);
    limit_prefetch(consumer, options->global_qos, true);
    consumer_begin(consumer);
}

void consumer_init(struct consumer *consumer, struct link *link, unsigned number)
{
    const struct load *load = link->worker->load;

    consumer->timer.fire = on_pace;
    consumer->link = link;
    consumer->number = number;
    consumer->share = topology_share(load->topology.queue_count, number, load->consumers);
    consumer->quota = load->options->cmessages ? load->options->cmessages : UINT64_MAX;
    if (load->account)
        consumer->next_of =
            xcalloc((size_t)load->publishers * load->topology.copies, sizeof *consumer->next_of);
}

void consumer_free(struct consumer *consumer)
{
    timers_clear(&consumer->link->worker->loop.timers, &consumer->timer);
    free(consumer->next_of);
}
