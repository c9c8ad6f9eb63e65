/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h: rabbitmq_global_* and the sizes of messages: what all vhosts counted. What is counted without
 * regard to a queue's type stands under rabbit_classic_queue.
 */
#include <stdio.h>

#include "coney/death.h"
#include "metrics.h"

#define PROTOCOL "protocol=\"amqp091\""
#define CLASSIC  "queue_type=\"rabbit_classic_queue\""
#define QUORUM   "queue_type=\"rabbit_quorum_queue\""
#define STREAM   "queue_type=\"rabbit_stream_queue\""

static void all(struct metrics *metrics, const char *name, const char *help, uint64_t value)
{
    metrics_family(&metrics->text, METRIC_COUNTER, name, help);
    metrics_put(&metrics->text, PROTOCOL, value);
}

static void by_type(struct metrics *metrics, const char *name, const char *help, uint64_t value)
{
    metrics_family(&metrics->text, METRIC_COUNTER, name, help);
    metrics_put(&metrics->text, PROTOCOL "," CLASSIC, value);
    metrics_put(&metrics->text, PROTOCOL "," QUORUM, 0);
    metrics_put(&metrics->text, PROTOCOL "," STREAM, 0);
}

static void put_published(struct metrics *metrics)
{
    const struct vhost_counts *counts = &metrics->totals.counts;
    const struct message_counts *messages = &counts->messages;

    all(metrics, "global_messages_received_total", "Messages published", messages->publish);
    all(metrics, "global_messages_received_confirm_total", "Messages published, to be confirmed",
        counts->received_confirm);
    all(metrics, "global_messages_routed_total", "Copies of messages that queues took", counts->routed);
    all(metrics, "global_messages_unroutable_dropped_total", "Messages that no queue took, dropped",
        messages->drop_unroutable);
    all(metrics, "global_messages_unroutable_returned_total",
        "Mandatory messages that no queue took, returned", messages->return_unroutable);
    all(metrics, "global_messages_confirmed_total", "Messages confirmed", messages->confirm);
}

static void put_delivered(struct metrics *metrics)
{
    const struct message_counts *messages = &metrics->totals.counts.messages;

    by_type(metrics, "global_messages_delivered_total", "Messages delivered, to consumers and by basic.get",
            messages->deliver + messages->deliver_no_ack + messages->get + messages->get_no_ack);
    by_type(metrics, "global_messages_delivered_consume_manual_ack_total",
            "Messages delivered to consumers that acknowledge", messages->deliver);
    by_type(metrics, "global_messages_delivered_consume_auto_ack_total",
            "Messages delivered to consumers that do not acknowledge", messages->deliver_no_ack);
    by_type(metrics, "global_messages_delivered_get_manual_ack_total",
            "Messages taken by basic.get, to be acknowledged", messages->get);
    by_type(metrics, "global_messages_delivered_get_auto_ack_total",
            "Messages taken by basic.get without acknowledgement", messages->get_no_ack);
    by_type(metrics, "global_messages_get_empty_total", "basic.get that found nothing", messages->get_empty);
    by_type(metrics, "global_messages_redelivered_total", "Messages delivered, not for the first time",
            messages->redeliver);
    by_type(metrics, "global_messages_acknowledged_total", "Messages acknowledged", messages->ack);
}

/* ---- dead letters ---- */

#define AT_LEAST_ONCE ",dead_letter_strategy=\"at_least_once\""
#define AT_MOST_ONCE  ",dead_letter_strategy=\"at_most_once\""
#define DISABLED      ",dead_letter_strategy=\"disabled\""

/* Only quorum queues know a limit of deliveries. */
static void put_deaths(struct metrics *metrics, enum death_reason reason, const char *name, const char *help)
{
    const struct death_counts *deaths = &metrics->totals.counts.deaths;
    bool is_quorum = reason == DEATH_DELIVERY_LIMIT;
    struct metrics_text *text = &metrics->text;

    metrics_family(text, METRIC_COUNTER, name, help);
    if (!is_quorum) {
        metrics_put(text, CLASSIC AT_MOST_ONCE, deaths->dead_lettered[reason]);
        metrics_put(text, CLASSIC DISABLED, deaths->dropped[reason]);
    }
    if (reason != DEATH_MAXLEN)
        metrics_put(text, QUORUM AT_LEAST_ONCE, 0);
    metrics_put(text, QUORUM AT_MOST_ONCE, is_quorum ? deaths->dead_lettered[reason] : 0);
    metrics_put(text, QUORUM DISABLED, is_quorum ? deaths->dropped[reason] : 0);
}

static void put_all_deaths(struct metrics *metrics)
{
    metrics_family(&metrics->text, METRIC_COUNTER, "global_messages_dead_lettered_confirmed_total",
                   "Always 0: dead letters are journalled, not confirmed");
    metrics_put(&metrics->text, QUORUM AT_LEAST_ONCE, 0);
    put_deaths(metrics, DEATH_DELIVERY_LIMIT, "global_messages_dead_lettered_delivery_limit_total",
               "Messages that died of too many deliveries");
    put_deaths(metrics, DEATH_EXPIRED, "global_messages_dead_lettered_expired_total",
               "Messages that died of age");
    put_deaths(metrics, DEATH_MAXLEN, "global_messages_dead_lettered_maxlen_total",
               "Messages that died of a queue's limits");
    put_deaths(metrics, DEATH_REJECTED, "global_messages_dead_lettered_rejected_total",
               "Messages that died of basic.reject or basic.nack");
}

/* ---- sizes ---- */

/* Dashboards look for these very words. */
static const char *const bounds[MESSAGE_SIZE_BOUNDS + 1] = {"100.0", "1000.0", "10000.0", "100000.0", "1e+06",
                                                            "1e+07", "5e+07",  "1e+08",   "+Inf"};

static void put_sizes(struct metrics *metrics)
{
    const struct vhost_counts *counts = &metrics->totals.counts;
    uint64_t sum = 0;

    metrics_family(&metrics->text, METRIC_HISTOGRAM, "message_size_bytes",
                   "Octets of the bodies of messages published");
    for (int i = 0; i <= MESSAGE_SIZE_BOUNDS; i++) {
        char labels[64];

        sum += counts->sizes[i];
        snprintf(labels, sizeof labels, PROTOCOL ",le=\"%s\"", bounds[i]);
        metrics_put_suffixed(&metrics->text, "_bucket", labels, (double)sum);
    }
    metrics_put_suffixed(&metrics->text, "_count", PROTOCOL, (double)sum);
    metrics_put_suffixed(&metrics->text, "_sum", PROTOCOL, (double)counts->sizes_sum);
}

void metrics_put_global(struct metrics *metrics)
{
    metrics_are_rabbits(metrics);
    put_published(metrics);
    put_delivered(metrics);
    metrics_family(&metrics->text, METRIC_GAUGE, "global_publishers", "Channels that have published");
    metrics_put(&metrics->text, PROTOCOL, metrics->publishers);
    metrics_family(&metrics->text, METRIC_GAUGE, "global_consumers", "Consumers");
    metrics_put(&metrics->text, PROTOCOL, metrics->totals.consumers);
    put_all_deaths(metrics);
    put_sizes(metrics);
}
