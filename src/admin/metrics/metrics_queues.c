/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h: queues. */
#include <stdlib.h>
#include <string.h>

#include "coney/death.h"
#include "coney/survey.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "metrics.h"

#define SLICE 512

enum figure {
    READY,
    UNACKED,
    MESSAGES,
    NOTHING, /* what RabbitMQ has and coney has not */
    CONSUMERS,
    CAPACITY,
    MEMORY,
    IN_MEMORY,
    IN_MEMORY_BYTES,
    READY_IN_MEMORY,
    PERSISTENT,
    PERSISTENT_BYTES,
    BYTES,
    READY_BYTES,
    UNACKED_BYTES,
    AWAY,
    AWAY_BYTES,
    OLDEST,
    OLDEST_UNACKED,
    DEAD, /* by reason */
    COUNTS = DEAD + DEATH_REASONS,
    FIGURES = COUNTS + MESSAGE_COUNTS,
};

#define COUNT(place) (COUNTS + COUNT_##place)

_Static_assert((int)FIGURES <= METRIC_FIGURES_MAX, "room for every figure");

/* ---- inside the vhost: copy, no more ---- */

struct seen {
    struct bytes name; /* the scratch arena's */
    uint64_t figures[FIGURES];
};

struct collecting {
    struct metrics_walk walk;
    struct metrics *metrics;
    struct arena scratch;
    struct seen *seen; /* SLICE */
    size_t count;
    uint64_t relaxed;
};

static uint64_t positive(int64_t value)
{
    return value > 0 ? (uint64_t)value : 0;
}

static void note_counts(const struct survey_queue *queue, uint64_t *out)
{
    memcpy(&out[COUNTS], queue->counts, sizeof *queue->counts);
    for (int reason = 0; reason < DEATH_REASONS; reason++)
        out[DEAD + reason] = queue->deaths->dead_lettered[reason] + queue->deaths->dropped[reason];
}

/* All that a durable queue has counts as persistent. */
static void note_figures(const struct survey_queue *queue, uint64_t *out)
{
    out[READY] = queue->ready;
    out[UNACKED] = queue->unacked;
    out[MESSAGES] = queue->ready + queue->unacked;
    out[NOTHING] = 0;
    out[CONSUMERS] = queue->consumers;
    out[CAPACITY] = queue->could_deliver;
    out[MEMORY] = queue->memory;
    out[READY_BYTES] = queue->ready_bytes;
    out[UNACKED_BYTES] = queue->unacked_bytes;
    out[BYTES] = queue->ready_bytes + queue->unacked_bytes;
    out[AWAY] = queue->away;
    out[AWAY_BYTES] = survey_queue_away_bytes(queue);
    out[READY_IN_MEMORY] = queue->ready - queue->away;
    out[IN_MEMORY] = out[READY_IN_MEMORY] + queue->unacked;
    out[IN_MEMORY_BYTES] = out[BYTES] - out[AWAY_BYTES];
    out[PERSISTENT] = queue->durable ? out[MESSAGES] : 0;
    out[PERSISTENT_BYTES] = queue->durable ? out[BYTES] : 0;
    out[OLDEST] = positive(queue->oldest_age_ms);
    out[OLDEST_UNACKED] = positive(queue->oldest_unacked_age_ms);
}

static void copy(void *context, const struct survey_queue *queue)
{
    struct collecting *collecting = context;
    struct seen *seen = &collecting->seen[collecting->count++];

    if (!collecting->metrics->queues.is_summed)
        seen->name = arena_copy(&collecting->scratch, queue->name);
    note_figures(queue, seen->figures);
    note_counts(queue, seen->figures);
    collecting->relaxed += queue->options->relaxed;
}

static void copy_slice(struct vhost *vhost, void *argument)
{
    struct collecting *collecting = argument;

    survey_queues(vhost, &collecting->walk.cursor, SLICE, copy, collecting);
    collecting->walk.has_more = !collecting->walk.cursor.is_at_end;
}

/* ---- outside ---- */

static void take_slice(struct metrics_walk *walk, const char *vhost_label)
{
    struct collecting *collecting = (struct collecting *)walk;
    struct metric_rows *rows = &collecting->metrics->queues;

    for (size_t i = 0; i < collecting->count; i++) {
        const struct seen *seen = &collecting->seen[i];
        const char *labels =
            rows->is_summed ? NULL : metrics_label(&rows->arena, vhost_label, "queue", seen->name);

        metric_rows_take(rows, labels, seen->figures);
    }
    collecting->count = 0;
    arena_clear(&collecting->scratch);
}

bool metrics_collect_queues(struct metrics *metrics)
{
    struct collecting collecting = {
        .walk = {.copy = copy_slice, .take = take_slice, .cursor = {.of = SURVEY_QUEUES}},
        .metrics = metrics,
        .seen = xcalloc(SLICE, sizeof *collecting.seen)};
    bool done;

    metrics->queues.figures = FIGURES;
    done = metrics_walk_vhosts(metrics, &collecting.walk, &metrics->queues.arena);
    metrics->relaxed_queues = collecting.relaxed;
    free(collecting.seen);
    return done;
}

uint64_t metrics_memory_of_queues(const struct metrics *metrics)
{
    return metrics->queues.sums[MEMORY];
}

/* ---- lines ---- */

#define COARSE    FAMILY_QUEUE_COARSE
#define CONSUMED  (FAMILY_QUEUE_CONSUMERS | FAMILY_QUEUE)
#define DELIVERY  FAMILY_QUEUE_DELIVERY
#define PUBLISHED FAMILY_QUEUE_PUBLISHED

static const struct metric_line lines[] = {
    METRIC_LINE(COARSE, READY, METRIC_GAUGE, "queue_messages_ready", "Messages that wait for a consumer"),
    METRIC_LINE(COARSE, UNACKED, METRIC_GAUGE, "queue_messages_unacked",
                "Messages delivered and not acknowledged"),
    METRIC_LINE(COARSE, MESSAGES, METRIC_GAUGE, "queue_messages", "Messages, ready and unacknowledged"),
    METRIC_LINE(COARSE, NOTHING, METRIC_COUNTER, "queue_process_reductions_total",
                "Always 0: no Erlang here"),
    METRIC_LINE(CONSUMED, CONSUMERS, METRIC_GAUGE, "queue_consumers", "Consumers"),
    METRIC_LINE(FAMILY_QUEUE, CAPACITY, METRIC_GAUGE, "queue_consumer_capacity",
                "1: a consumer would take a message at once"),
    METRIC_LINE(FAMILY_QUEUE, CAPACITY, METRIC_GAUGE, "queue_consumer_utilisation",
                "The same as the capacity"),
    METRIC_LINE(FAMILY_QUEUE, MEMORY, METRIC_GAUGE, "queue_process_memory_bytes",
                "Memory that the queue takes"),
    METRIC_LINE(FAMILY_QUEUE, IN_MEMORY, METRIC_GAUGE, "queue_messages_ram", "Messages in memory"),
    METRIC_LINE(FAMILY_QUEUE, IN_MEMORY_BYTES, METRIC_GAUGE, "queue_messages_ram_bytes",
                "Octets of the bodies of messages in memory"),
    METRIC_LINE(FAMILY_QUEUE, READY_IN_MEMORY, METRIC_GAUGE, "queue_messages_ready_ram",
                "Ready messages in memory"),
    METRIC_LINE(FAMILY_QUEUE, UNACKED, METRIC_GAUGE, "queue_messages_unacked_ram",
                "Unacknowledged messages in memory"),
    METRIC_LINE(FAMILY_QUEUE, PERSISTENT, METRIC_GAUGE, "queue_messages_persistent",
                "Messages of durable queues"),
    METRIC_LINE(FAMILY_QUEUE, PERSISTENT_BYTES, METRIC_GAUGE, "queue_messages_persistent_bytes",
                "Octets of the bodies of messages of durable queues"),
    METRIC_LINE(FAMILY_QUEUE, BYTES, METRIC_GAUGE, "queue_messages_bytes",
                "Octets of the bodies of all messages"),
    METRIC_LINE(FAMILY_QUEUE, READY_BYTES, METRIC_GAUGE, "queue_messages_ready_bytes",
                "Octets of the bodies of ready messages"),
    METRIC_LINE(FAMILY_QUEUE, UNACKED_BYTES, METRIC_GAUGE, "queue_messages_unacked_bytes",
                "Octets of the bodies of unacknowledged messages"),
    METRIC_LINE(FAMILY_QUEUE, AWAY, METRIC_GAUGE, "queue_messages_paged_out",
                "Messages that are on disk only"),
    METRIC_LINE(FAMILY_QUEUE, AWAY_BYTES, METRIC_GAUGE, "queue_messages_paged_out_bytes",
                "Octets, about, of the bodies of messages that are on disk only"),
    METRIC_SHAPED(FAMILY_QUEUE, NOTHING, METRIC_GAUGE, "queue_head_message_timestamp", "Not known",
                  METRIC_NO_TIME, NULL),
    METRIC_LINE(FAMILY_QUEUE, NOTHING, METRIC_COUNTER, "queue_disk_reads_total",
                "Always 0: see coney_store_fetched_runs_total"),
    METRIC_LINE(FAMILY_QUEUE, NOTHING, METRIC_COUNTER, "queue_disk_writes_total",
                "Always 0: see coney_store_saved_runs_total"),
    METRIC_LINE(DELIVERY, COUNT(GET), METRIC_COUNTER, "queue_get_ack_total",
                "Messages taken by basic.get, to be acknowledged"),
    METRIC_LINE(DELIVERY, COUNT(GET_NO_ACK), METRIC_COUNTER, "queue_get_total",
                "Messages taken by basic.get without acknowledgement"),
    METRIC_LINE(DELIVERY, COUNT(DELIVER), METRIC_COUNTER, "queue_messages_delivered_ack_total",
                "Messages delivered to consumers that acknowledge"),
    METRIC_LINE(DELIVERY, COUNT(DELIVER_NO_ACK), METRIC_COUNTER, "queue_messages_delivered_total",
                "Messages delivered to consumers that do not acknowledge"),
    METRIC_LINE(DELIVERY, COUNT(REDELIVER), METRIC_COUNTER, "queue_messages_redelivered_total",
                "Messages delivered, not for the first time"),
    METRIC_LINE(DELIVERY, COUNT(ACK), METRIC_COUNTER, "queue_messages_acked_total", "Messages acknowledged"),
    METRIC_LINE(DELIVERY, COUNT(GET_EMPTY), METRIC_COUNTER, "queue_get_empty_total",
                "basic.get that found nothing"),
    METRIC_LINE(PUBLISHED, COUNT(PUBLISH), METRIC_COUNTER, "queue_messages_published_total",
                "Messages that entered the queue"),
    METRIC_LINES_END,
};

#define OWN  FAMILY_QUEUE_OWN
#define DIED "Messages that died in a queue, dead-lettered or not"

static const struct metric_line own_lines[] = {
    METRIC_SHAPED(OWN, OLDEST, METRIC_GAUGE, "queue_oldest_message_age_seconds",
                  "Age of the oldest message, 0: there is none", METRIC_LARGEST, NULL),
    METRIC_SHAPED(OWN, OLDEST_UNACKED, METRIC_GAUGE, "queue_oldest_unacked_age_seconds",
                  "Time since the oldest delivery that is not acknowledged, 0: there is none", METRIC_LARGEST,
                  NULL),
    METRIC_SHAPED(OWN, DEAD + DEATH_REJECTED, METRIC_COUNTER, "queue_deaths_total", DIED, METRIC_RARE,
                  "reason=\"rejected\""),
    METRIC_SHAPED(OWN, DEAD + DEATH_EXPIRED, METRIC_COUNTER, "queue_deaths_total", DIED, METRIC_RARE,
                  "reason=\"expired\""),
    METRIC_SHAPED(OWN, DEAD + DEATH_MAXLEN, METRIC_COUNTER, "queue_deaths_total", DIED, METRIC_RARE,
                  "reason=\"maxlen\""),
    METRIC_SHAPED(OWN, DEAD + DEATH_DELIVERY_LIMIT, METRIC_COUNTER, "queue_deaths_total", DIED, METRIC_RARE,
                  "reason=\"delivery_limit\""),
    METRIC_LINES_END,
};

void metrics_put_queues(struct metrics *metrics)
{
    metrics_are_rabbits(metrics);
    metric_rows_put(&metrics->text, &metrics->queues, lines, metrics->families);
    metrics_are_own(metrics);
    metric_rows_put(&metrics->text, &metrics->queues, own_lines, metrics->families);
}
