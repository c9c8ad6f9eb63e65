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
    struct survey_cursor cursor;
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

    survey_exchanges(vhost, &collecting->cursor, SLICE, copy, collecting);
}

static void take_slice(struct metrics *metrics, struct collecting *collecting, const char *vhost)
{
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
    struct collecting collecting = {.seen = xcalloc(SLICE, sizeof *collecting.seen)};
    enum visit_result visited = VISIT_DONE;

    metrics->exchanges.figures = FIGURES;
    for (size_t i = 0; visited != VISIT_STOPPING && i < metrics->vhost_count; i++) {
        struct bytes vhost = bytes_from_string(metrics->vhosts[i]);
        const char *label = metrics_label(&metrics->exchanges.arena, "", "vhost", vhost);

        collecting.cursor = (struct survey_cursor){.of = SURVEY_EXCHANGES};
        visited = VISIT_DONE;
        while (visited == VISIT_DONE && !collecting.cursor.is_at_end) {
            visited = visit_vhost(metrics->server, vhost, copy_slice, &collecting);
            take_slice(metrics, &collecting, label);
        }
    }
    free(collecting.seen);
    return visited != VISIT_STOPPING;
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
