/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h: which endpoint has what, collecting, and the answer. */
#include "metrics.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/access.h"
#include "admin/admin_fields.h"
#include "admin/http/http.h"
#include "coney/clock.h"
#include "coney/node_access.h"
#include "coney/node_control.h"
#include "coney/visit.h"
#include "coney/xalloc.h"

#define CONTENT_TYPE "text/plain; version=0.0.4"
#define NS_PER_S     1000000000

/* ---- endpoints ---- */

static const char *const endpoint_names[METRICS_ENDPOINTS] = {
    [METRICS_AGGREGATED] = "aggregated",
    [METRICS_PER_OBJECT] = "per-object",
    [METRICS_DETAILED] = "detailed",
    [METRICS_MEMORY] = "memory-breakdown",
};

#define FAMILIES_OF_NODE                                                                              \
    (FAMILY_CHURN | FAMILY_NODE_COARSE | FAMILY_NODE | FAMILY_PERSISTER | FAMILY_RAFT | FAMILY_AUTH | \
     FAMILY_OWN | FAMILY_GLOBAL | FAMILY_TOTALS)
#define FAMILIES_AGGREGATED \
    (FAMILIES_OF_NODE | FAMILIES_OF_QUEUES | FAMILIES_OF_CHANNELS | FAMILIES_OF_CONNECTIONS)

static const struct {
    const char *name;
    unsigned family;
} families[] = {
    {"queue_coarse_metrics", FAMILY_QUEUE_COARSE},
    {"queue_metrics", FAMILY_QUEUE},
    {"queue_consumer_count", FAMILY_QUEUE_CONSUMERS},
    {"queue_delivery_metrics", FAMILY_QUEUE_DELIVERY},
    {"queue_exchange_metrics", FAMILY_QUEUE_PUBLISHED},
    {"channel_queue_exchange_metrics", FAMILY_QUEUE_PUBLISHED},
    {"coney_queue_metrics", FAMILY_QUEUE_OWN},
    {"connection_coarse_metrics", FAMILY_CONNECTION_COARSE},
    {"connection_metrics", FAMILY_CONNECTION},
    {"channel_metrics", FAMILY_CHANNEL},
    {"channel_process_metrics", FAMILY_CHANNEL_PROCESS},
    {"channel_exchange_metrics", FAMILY_CHANNEL_EXCHANGE},
    {"channel_queue_metrics", FAMILY_CHANNEL_QUEUE},
    {"exchange_metrics", FAMILY_EXCHANGE},
    {"exchange_names", FAMILY_EXCHANGE_NAMES},
    {"exchange_bindings", FAMILY_EXCHANGE_BINDINGS},
    {"vhost_status", FAMILY_VHOST_STATUS},
    {"connection_churn_metrics", FAMILY_CHURN},
    {"node_coarse_metrics", FAMILY_NODE_COARSE},
    {"node_metrics", FAMILY_NODE},
    {"node_persister_metrics", FAMILY_PERSISTER},
    {"ra_metrics", FAMILY_RAFT},
    {"auth_attempt_metrics", FAMILY_AUTH},
    {"coney_metrics", FAMILY_OWN},
};

static unsigned family_of(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].name, name) == 0)
            return families[i].family;
    return 0; /* RabbitMQ leaves it out too */
}

static unsigned families_asked(const struct request *request)
{
    const struct evkeyval *pair;
    unsigned asked = 0;

    TAILQ_FOREACH(pair, &request->query, next)
    {
        if (strcmp(pair->key, "family") == 0)
            asked |= family_of(pair->value);
    }
    return asked;
}

static unsigned families_of(const struct metrics *metrics)
{
    switch (metrics->endpoint) {
    case METRICS_AGGREGATED:
        return FAMILIES_AGGREGATED;
    case METRICS_PER_OBJECT:
        return FAMILIES_AGGREGATED | FAMILY_EXCHANGE;
    case METRICS_DETAILED:
        return families_asked(metrics->request);
    case METRICS_MEMORY:
        return FAMILY_MEMORY;
    case METRICS_ENDPOINTS:
        break;
    }
    return 0;
}

void metrics_are_rabbits(struct metrics *metrics)
{
    metrics->text.prefix = metrics->endpoint == METRICS_DETAILED ? "rabbitmq_detailed_" : "rabbitmq_";
}

void metrics_are_own(struct metrics *metrics)
{
    metrics->text.prefix = metrics->endpoint == METRICS_DETAILED ? "coney_detailed_" : "coney_";
}

/* ---- vhosts ---- */

static bool vhost_is_asked(const struct metrics *metrics, const char *name)
{
    const struct evkeyval *pair;
    bool has_filter = false;

    if (metrics->endpoint != METRICS_DETAILED)
        return true;
    TAILQ_FOREACH(pair, &metrics->request->query, next)
    {
        if (strcmp(pair->key, "vhost") != 0)
            continue;
        has_filter = true;
        if (strcmp(pair->value, name) == 0)
            return true;
    }
    return !has_filter;
}

static void choose_vhosts(struct metrics *metrics)
{
    size_t count, kept = 0;
    char **names = visit_vhost_names(metrics->server, &count);

    for (size_t i = 0; i < count; i++) {
        if (vhost_is_asked(metrics, names[i]))
            names[kept++] = names[i];
        else
            free(names[i]);
    }
    metrics->has_vhost_filter = kept != count;
    metrics->vhosts = names;
    metrics->vhost_count = kept;
}

/* ---- collecting ---- */

bool metrics_walk_vhosts(struct metrics *metrics, struct metrics_walk *walk, struct arena *arena)
{
    enum visit_result visited = VISIT_DONE;
    enum survey_of of = walk->cursor.of;

    for (size_t i = 0; visited != VISIT_STOPPING && i < metrics->vhost_count; i++) {
        struct bytes vhost = bytes_from_string(metrics->vhosts[i]);
        const char *label = metrics_label(arena, "", "vhost", vhost);

        walk->cursor = (struct survey_cursor){.of = of};
        walk->place = 0;
        do {
            walk->has_more = false;
            visited = visit_vhost(metrics->server, vhost, walk->copy, walk);
            walk->take(walk, label);
        } while (visited == VISIT_DONE && walk->has_more);
    }
    return visited != VISIT_STOPPING;
}

#define NEED_CHANNELS (FAMILIES_OF_CHANNELS | FAMILY_CONNECTION | FAMILY_GLOBAL)
#define NEED_QUEUES   (FAMILIES_OF_QUEUES | FAMILY_MEMORY | FAMILY_OWN)

static bool collect(struct metrics *metrics)
{
    bool is_summed = metrics_sum_up(metrics);

    metrics->families = families_of(metrics);
    metrics->queues.is_summed = is_summed;
    metrics->channels.is_summed = is_summed;
    metrics->connections.is_summed = is_summed;
    choose_vhosts(metrics);
    return node_stats(metrics->server, &metrics->node) &&
           node_totals(metrics->server, &metrics->totals, &metrics->vhost_wait_ns) &&
           (!metrics_want(metrics, NEED_QUEUES) || metrics_collect_queues(metrics)) &&
           (!metrics_want(metrics, NEED_CHANNELS) || metrics_collect_channels(metrics)) &&
           (!metrics_want(metrics, FAMILIES_OF_CONNECTIONS) || metrics_collect_connections(metrics)) &&
           (!metrics_want(metrics, FAMILIES_OF_EXCHANGES) || metrics_collect_exchanges(metrics));
}

/* ---- who it is ---- */

/* RabbitMQ makes up a name when a cluster begins; coney's follows from what the cluster is called. */
static void permanent_id(const struct metrics *metrics, char out[64])
{
    const char *name = node_cluster_name(metrics->server);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int used = snprintf(out, 64, "rabbitmq-cluster-id-");

    EVP_Digest(name, strlen(name), digest, &size, EVP_sha256(), NULL);
    for (unsigned i = 0; i < 11 && i < size; i++)
        used += snprintf(out + used, (size_t)(64 - used), "%02x", digest[i]);
}

static void put_identity(struct metrics *metrics)
{
    struct arena arena = {0};
    char id[64];
    const char *labels;

    permanent_id(metrics, id);
    labels = metrics_label(&arena, "", "rabbitmq_node", bytes_from_string(node_name(metrics->server)));
    labels = metrics_label(&arena, labels, "rabbitmq_cluster",
                           bytes_from_string(node_cluster_name(metrics->server)));
    labels = metrics_label(&arena, labels, "rabbitmq_cluster_permanent_id", bytes_from_string(id));
    labels = metrics_label(&arena, labels, "rabbitmq_endpoint",
                           bytes_from_string(endpoint_names[metrics->endpoint]));
    metrics_family(&metrics->text, METRIC_UNTYPED, "identity_info", "Which node this is");
    metrics_put(&metrics->text, labels, 1);
    arena_clear(&arena);
}

static void put_build(struct metrics *metrics)
{
    struct arena arena = {0};
    struct bytes version = bytes_from_string(metrics->request->admin->config->product_version);
    const char *labels = metrics_label(&arena, "", "rabbitmq_version", version);

    labels = metrics_label(&arena, labels, "prometheus_plugin_version", version);
    labels = metrics_label(&arena, labels, "prometheus_client_version", bytes_from_string(PACKAGE_VERSION));
    labels = metrics_label(&arena, labels, "erlang_version", bytes_from_string("none"));
    labels = metrics_label(&arena, labels, "product_version", bytes_from_string(PACKAGE_VERSION));
    labels = metrics_label(&arena, labels, "product_name", bytes_from_string("coney"));
    metrics_family(&metrics->text, METRIC_UNTYPED, "build_info", "What it says it is, and what it is");
    metrics_put(&metrics->text, labels, 1);
    arena_clear(&arena);
}

/* ---- scrapes ---- */

static struct {
    _Atomic uint64_t count, ns, octets;
} scrapes[METRICS_ENDPOINTS];

static void put_summary(struct metrics *metrics, const char *name, const char *help, double sum)
{
    enum metrics_endpoint endpoint = metrics->endpoint;
    char labels[120];

    snprintf(labels, sizeof labels, "registry=\"%s\",content_type=\"" CONTENT_TYPE "\"",
             endpoint == METRICS_AGGREGATED ? "default" : endpoint_names[endpoint]);
    metrics_family(&metrics->text, METRIC_SUMMARY, name, help);
    metrics_put_suffixed(&metrics->text, "_count", labels, (double)scrapes[endpoint].count);
    metrics_put_suffixed(&metrics->text, "_sum", labels, sum);
}

/* Of those before this one. */
static void put_scrapes(struct metrics *metrics)
{
    metrics->text.prefix = "telemetry_";
    put_summary(metrics, "scrape_duration_seconds", "Time that scrapes took",
                (double)scrapes[metrics->endpoint].ns / NS_PER_S);
    put_summary(metrics, "scrape_size_bytes", "Octets of answers", (double)scrapes[metrics->endpoint].octets);
}

/* ---- the answer ---- */

static void put_process_start(struct metrics *metrics)
{
    metrics->text.prefix = "process_";
    metrics_gauge(metrics, "start_time_seconds", "When the process began",
                  (uint64_t)(metrics->node.started_at / 1000));
}

static void put_all(struct metrics *metrics)
{
    metrics->text.prefix = "rabbitmq_";
    put_build(metrics);
    put_identity(metrics);
    metrics_put_node(metrics);
    if (metrics_want(metrics, FAMILY_GLOBAL)) {
        metrics_put_global(metrics);
        put_process_start(metrics);
    }
    if (metrics_want(metrics, FAMILY_OWN))
        metrics_put_own(metrics);
    if (metrics_want(metrics, FAMILIES_OF_QUEUES))
        metrics_put_queues(metrics);
    if (metrics_want(metrics, FAMILIES_OF_CHANNELS))
        metrics_put_channels(metrics);
    if (metrics_want(metrics, FAMILIES_OF_CONNECTIONS))
        metrics_put_connections(metrics);
    if (metrics_want(metrics, FAMILIES_OF_EXCHANGES | FAMILY_VHOST_STATUS))
        metrics_put_exchanges(metrics);
    put_scrapes(metrics);
    metrics_flush(&metrics->text);
}

static void forget(struct metrics *metrics)
{
    metrics_forget_channel_counts(metrics);
    metric_rows_clear(&metrics->queues);
    metric_rows_clear(&metrics->channels);
    metric_rows_clear(&metrics->connections);
    metric_rows_clear(&metrics->exchanges);
    node_stats_clear(&metrics->node);
    for (size_t i = 0; i < metrics->vhost_count; i++)
        free(metrics->vhosts[i]);
    free((void *)metrics->vhosts);
    free(metrics);
}

static void answer(struct request *request, enum metrics_endpoint endpoint)
{
    struct metrics *metrics = xcalloc(1, sizeof *metrics);
    uint64_t began = clock_ns();

    metrics->request = metrics->text.request = request;
    metrics->server = request->server;
    metrics->endpoint = endpoint;
    if (collect(metrics)) {
        reply_begin(request, 200, CONTENT_TYPE);
        put_all(metrics);
        scrapes[endpoint].count++;
        scrapes[endpoint].ns += clock_ns() - began;
        scrapes[endpoint].octets += metrics->text.written;
    } else {
        reply_stopping(request);
    }
    forget(metrics);
}

/* ---- paths ---- */

static void run_below(struct request *request, const char *below)
{
    const struct config *config = node_condition(request->server).config;

    if (!*below || strcmp(below, "/") == 0) {
        answer(request, config->prometheus_per_object ? METRICS_PER_OBJECT : METRICS_AGGREGATED);
        return;
    }
    for (int i = METRICS_PER_OBJECT; i < METRICS_ENDPOINTS; i++) {
        if (strcmp(below + 1, endpoint_names[i]) == 0) {
            answer(request, i);
            return;
        }
    }
    reply_begin(request, 404, "text/plain");
    evbuffer_add_printf(request->out, "Unknown Registry");
}

/* What follows PREFIX in PATH: nothing, or from a slash on; NULL when PATH is elsewhere. */
static const char *below_of(const char *path, const char *prefix)
{
    size_t size = strlen(prefix);

    while (size && prefix[size - 1] == '/')
        size--;
    if (strncmp(path, prefix, size) != 0 || (path[size] && path[size] != '/'))
        return NULL;
    return path + size;
}

static bool verb_is_fit(struct request *request)
{
    if (request->verb == VERB_GET)
        return true;
    reply_header(request, "allow", "HEAD, GET, OPTIONS");
    reply_empty(request, request->verb == VERB_OPTIONS ? 200 : 405);
    return false;
}

void metrics_run(struct request *request)
{
    const char *below = below_of(request->path, request->admin->config->prometheus_path);

    if (!below)
        reply_not_found(request);
    else if (verb_is_fit(request))
        run_below(request, below);
}

bool metrics_is_asked(const struct request *request)
{
    return below_of(request->path, "/metrics") != NULL;
}

void metrics_run_logged_in(struct request *request)
{
    if (access_login(request) && access_check(request, ACCESS_MONITOR, (struct bytes){NULL, 0}) &&
        verb_is_fit(request))
        run_below(request, below_of(request->path, "/metrics"));
}
