/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics for Prometheus, by the names, types and labels of rabbitmq_prometheus (cli-and-metrics.md 3), and
 * coney's own as coney_*. A scrape first collects everything: figures of the node, and a row of numbers for
 * each queue, channel, connection and exchange, or their sums alone. Then it writes family by family.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "coney/node_stats.h"
#include "metrics_rows.h"
#include "metrics_text.h"

/* Families of /metrics/detailed, and what the other endpoints have all of. */
enum metrics_family {
    FAMILY_QUEUE_COARSE = 1 << 0,
    FAMILY_QUEUE = 1 << 1,
    FAMILY_QUEUE_CONSUMERS = 1 << 2,
    FAMILY_QUEUE_DELIVERY = 1 << 3,
    FAMILY_QUEUE_PUBLISHED = 1 << 4,
    FAMILY_QUEUE_OWN = 1 << 5,
    FAMILY_CONNECTION_COARSE = 1 << 6,
    FAMILY_CONNECTION = 1 << 7,
    FAMILY_CHANNEL = 1 << 8,
    FAMILY_CHANNEL_PROCESS = 1 << 9,
    FAMILY_CHANNEL_EXCHANGE = 1 << 10,
    FAMILY_CHANNEL_QUEUE = 1 << 11,
    FAMILY_EXCHANGE = 1 << 12,
    FAMILY_EXCHANGE_NAMES = 1 << 13,
    FAMILY_EXCHANGE_BINDINGS = 1 << 14,
    FAMILY_VHOST_STATUS = 1 << 15,
    FAMILY_CHURN = 1 << 16,
    FAMILY_NODE_COARSE = 1 << 17,
    FAMILY_NODE = 1 << 18,
    FAMILY_PERSISTER = 1 << 19,
    FAMILY_RAFT = 1 << 20,
    FAMILY_AUTH = 1 << 21,
    FAMILY_OWN = 1 << 22,
    FAMILY_GLOBAL = 1 << 23, /* not in detailed, as the next */
    FAMILY_TOTALS = 1 << 24,
    FAMILY_MEMORY = 1 << 25, /* memory-breakdown alone */
};

#define FAMILIES_OF_QUEUES                                                                 \
    (FAMILY_QUEUE_COARSE | FAMILY_QUEUE | FAMILY_QUEUE_CONSUMERS | FAMILY_QUEUE_DELIVERY | \
     FAMILY_QUEUE_PUBLISHED | FAMILY_QUEUE_OWN)
#define FAMILIES_OF_CHANNELS \
    (FAMILY_CHANNEL | FAMILY_CHANNEL_PROCESS | FAMILY_CHANNEL_EXCHANGE | FAMILY_CHANNEL_QUEUE)
#define FAMILIES_OF_CONNECTIONS (FAMILY_CONNECTION_COARSE | FAMILY_CONNECTION)
#define FAMILIES_OF_EXCHANGES   (FAMILY_EXCHANGE | FAMILY_EXCHANGE_NAMES | FAMILY_EXCHANGE_BINDINGS)

enum metrics_endpoint {
    METRICS_AGGREGATED,
    METRICS_PER_OBJECT,
    METRICS_DETAILED,
    METRICS_MEMORY,
    METRICS_ENDPOINTS
};

struct metrics {
    struct request *request;
    struct server *server;
    enum metrics_endpoint endpoint;
    unsigned families;
    char **vhosts; /* that are looked at, sorted; each its own, as the array */
    size_t vhost_count;
    bool has_vhost_filter;

    struct node_stats node;
    struct survey_vhost totals;
    uint64_t vhost_wait_ns; /* the longest for any of them */
    struct metric_rows queues, channels, connections, exchanges;
    struct metric_channel_count *channel_counts; /* of each connection */
    uint64_t publishers, relaxed_queues;

    struct metrics_text text;
};

static inline bool metrics_want(const struct metrics *metrics, unsigned families)
{
    return metrics->families & families;
}

static inline bool metrics_sum_up(const struct metrics *metrics)
{
    return metrics->endpoint == METRICS_AGGREGATED || metrics->endpoint == METRICS_MEMORY;
}

/* A family of one sample without labels. */
static inline void metrics_gauge(struct metrics *metrics, const char *name, const char *help, uint64_t value)
{
    metrics_one(&metrics->text, METRIC_GAUGE, name, help, value);
}

static inline void metrics_counter(struct metrics *metrics, const char *name, const char *help,
                                   uint64_t value)
{
    metrics_one(&metrics->text, METRIC_COUNTER, name, help, value);
}

static inline void metrics_counter_real(struct metrics *metrics, const char *name, const char *help,
                                        double value)
{
    metrics_one_real(&metrics->text, METRIC_COUNTER, name, help, value);
}

/* Families that follow are RabbitMQ's, or coney's own. */
void metrics_are_rabbits(struct metrics *metrics);
void metrics_are_own(struct metrics *metrics);

/* Going through what vhosts have, slice by slice; a collector's own begins with this. */
struct metrics_walk {
    void (*copy)(struct vhost *vhost, void *walk);                    /* inside: a slice; sets has_more */
    void (*take)(struct metrics_walk *walk, const char *vhost_label); /* outside: what was copied */
    struct survey_cursor cursor;                                      /* of queues or exchanges; */
    uint32_t place;                                                   /* of channels */
    bool has_more;
};

/* Go through each vhost that is looked at, whose label is ARENA's. False when the server stops. */
bool metrics_walk_vhosts(struct metrics *metrics, struct metrics_walk *walk, struct arena *arena);

/* Collect; false when the server stops. */
bool metrics_collect_queues(struct metrics *metrics);
bool metrics_collect_channels(struct metrics *metrics);
bool metrics_collect_connections(struct metrics *metrics); /* after the channels */
bool metrics_collect_exchanges(struct metrics *metrics);
void metrics_forget_channel_counts(struct metrics *metrics);

/* Octets, when the queues are summed up. */
uint64_t metrics_memory_of_queues(const struct metrics *metrics);

/* Write. */
void metrics_put_node(struct metrics *metrics);
void metrics_put_global(struct metrics *metrics);
void metrics_put_own(struct metrics *metrics);
void metrics_put_queues(struct metrics *metrics);
void metrics_put_channels(struct metrics *metrics);
void metrics_put_connections(struct metrics *metrics);
void metrics_put_exchanges(struct metrics *metrics);

/* ---- for the router ---- */

/* Answer REQUEST, which came by a listener of metrics. */
void metrics_run(struct request *request);

/* Whether REQUEST, which came by the API's listener, asks for metrics; and answer it, whose asker must be
 * one who may monitor. */
bool metrics_is_asked(const struct request *request);
void metrics_run_logged_in(struct request *request);

#endif
