/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h: exchanges, and what vhosts there are. */
#include <stdlib.h>

#include "coney/survey.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "metrics.h"

#define SLICE 512

enum figure { PUBLISH_IN, PUBLISH_OUT, BINDINGS, ONE, FIGURES };

struct seen {
    struct bytes name; /* the scratch arena's */
    const char *type;
    uint64_t figures[FIGURES];
};

struct collecting {
    struct metrics_walk walk;
    struct metrics *metrics;
    struct arena scratch;
    struct seen *seen; /* SLICE */
    size_t count;
};

static void copy(void *context, const struct survey_exchange *exchange)
{
    struct collecting *collecting = context;
    struct seen *seen = &collecting->seen[collecting->count++];

    seen->name = arena_copy(&collecting->scratch, exchange->name);
    seen->type = exchange->type;
    seen->figures[PUBLISH_IN] = exchange->publish_in;
    seen->figures[PUBLISH_OUT] = exchange->publish_out;
    seen->figures[BINDINGS] = exchange->bindings;
    seen->figures[ONE] = 1;
}

static void copy_slice(struct vhost *vhost, void *argument)
{
    struct collecting *collecting = argument;

    survey_exchanges(vhost, &collecting->walk.cursor, SLICE, copy, collecting);
    collecting->walk.has_more = !collecting->walk.cursor.is_at_end;
}

static void take_slice(struct metrics_walk *walk, const char *vhost)
{
    struct collecting *collecting = (struct collecting *)walk;
    struct metrics *metrics = collecting->metrics;
    struct arena *arena = &metrics->exchanges.arena;
    bool has_type = metrics_want(metrics, FAMILY_EXCHANGE_NAMES | FAMILY_EXCHANGE_BINDINGS);

    for (size_t i = 0; i < collecting->count; i++) {
        const struct seen *seen = &collecting->seen[i];
        const char *labels = metrics_label(arena, vhost, "exchange", seen->name);

        if (has_type)
            labels = metrics_label(arena, labels, "type", bytes_from_string(seen->type));
        metric_rows_take(&metrics->exchanges, labels, seen->figures);
    }
    collecting->count = 0;
    arena_clear(&collecting->scratch);
}

bool metrics_collect_exchanges(struct metrics *metrics)
{
    struct collecting collecting = {
        .walk = {.copy = copy_slice, .take = take_slice, .cursor = {.of = SURVEY_EXCHANGES}},
        .metrics = metrics,
        .seen = xcalloc(SLICE, sizeof *collecting.seen)};
    bool done;

    metrics->exchanges.figures = FIGURES;
    done = metrics_walk_vhosts(metrics, &collecting.walk, &metrics->exchanges.arena);
    free(collecting.seen);
    return done;
}

/* ---- lines ---- */

static const struct metric_line lines[] = {
    METRIC_LINE(FAMILY_EXCHANGE, PUBLISH_IN, METRIC_COUNTER, "exchange_messages_published_total",
                "Messages published to an exchange"),
    METRIC_LINES_END,
};

static const struct metric_line own_lines[] = {
    METRIC_LINE(FAMILY_EXCHANGE, PUBLISH_OUT, METRIC_COUNTER, "exchange_messages_routed_total",
                "Copies of messages that an exchange handed to queues"),
    METRIC_LINES_END,
};

static const struct metric_line cluster_lines[] = {
    METRIC_LINE(FAMILY_EXCHANGE_BINDINGS, BINDINGS, METRIC_GAUGE, "exchange_bindings",
                "Bindings of an exchange"),
    METRIC_LINE(FAMILY_EXCHANGE_NAMES, ONE, METRIC_GAUGE, "exchange_name", "Exchanges"),
    METRIC_LINES_END,
};

static void put_vhosts(struct metrics *metrics)
{
    struct arena arena = {0};

    metrics_family(&metrics->text, METRIC_GAUGE, "vhost_status", "1: the vhost is running");
    for (size_t i = 0; i < metrics->vhost_count; i++)
        metrics_put(&metrics->text, metrics_label(&arena, "", "vhost", bytes_from_string(metrics->vhosts[i])),
                    1);
    arena_clear(&arena);
}

void metrics_put_exchanges(struct metrics *metrics)
{
    metrics->text.prefix = "rabbitmq_cluster_";
    if (metrics_want(metrics, FAMILY_VHOST_STATUS))
        put_vhosts(metrics);
    metric_rows_put(&metrics->text, &metrics->exchanges, cluster_lines, metrics->families);
    metrics_are_rabbits(metrics);
    metric_rows_put(&metrics->text, &metrics->exchanges, lines, metrics->families);
    metrics_are_own(metrics);
    metric_rows_put(&metrics->text, &metrics->exchanges, own_lines, metrics->families);
}
