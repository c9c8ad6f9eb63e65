/* SPDX-License-Identifier: Apache-2.0 */
/* The node, there is one (management-http-api.md 3.2), its memory, and attempts to log in. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin_fields.h"
#include "admin/json.h"
#include "admin/node_json.h"
#include "admin/router.h"
#include "admin/stats/stats.h"
#include "coney/node_access.h"

#define PROCESSES_MAX 1048576 /* RabbitMQ's, for whoever divides by it */

/* ---- the node ---- */

static json_t *mechanisms_json(const struct config *config)
{
    json_t *out = json_array();

    for (size_t i = 0; i < config->auth_mechanisms.count; i++) {
        const char *name = config->auth_mechanisms.words[i];
        char description[128];

        snprintf(description, sizeof description, "SASL %s authentication mechanism", name);
        json_array_append_new(
            out, json_pack("{s:s,s:s,s:b}", "name", name, "description", description, "enabled", 1));
    }
    return out;
}

static void put_process_facts(json_t *out, const struct node_stats *node)
{
    char pid[16];

    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    json_put(out, "os_pid", json_string(pid));
    json_put_count(out, "uptime", node->uptime_ms);
    json_put_count(out, "processors", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    json_put_count(out, "run_queue", 0);
    put_count_with_rate(out, "fd_used", node->files);
    json_put_count(out, "fd_total", node->files_max);
    put_count_with_rate(out, "sockets_used", node->connections);
    json_put_count(out, "sockets_total", node->files_max);
    put_count_with_rate(out, "proc_used", node->loop_count);
    json_put_count(out, "proc_total", PROCESSES_MAX);
    put_count_with_rate(out, "context_switches", node->switches);
}

static void put_resources(json_t *out, const struct node_stats *node)
{
    put_count_with_rate(out, "mem_used", node->memory_used);
    json_put_count(out, "mem_limit", node->memory_limit);
    json_put(out, "mem_alarm", json_boolean(node->has_memory_alarm));
    json_put(out, "mem_calculation_strategy", json_string("allocated"));
    put_count_with_rate(out, "disk_free", node->disk_free);
    json_put_count(out, "disk_free_limit", node->disk_free_limit);
    json_put(out, "disk_free_alarm", json_boolean(node->has_disk_alarm));
}

static void put_store(json_t *out, const struct store_counters *store)
{
    double sync_ms =
        store->journal_syncs ? (double)store->journal_sync_ns / 1e6 / (double)store->journal_syncs : 0;

    put_count_with_rate(out, "io_write_count", store->journal_batches);
    put_count_with_rate(out, "io_write_bytes", store->journal_octets);
    put_count_with_rate(out, "io_sync_count", store->journal_syncs);
    put_with_rate(out, "io_sync_avg_time", json_real(sync_ms));
    put_count_with_rate(out, "queue_index_write_count", store->journal_records);
    put_count_with_rate(out, "msg_store_read_count", store->fetched_runs);
}

/* What Erlang and its database have. */
static void put_foreign(json_t *out)
{
    static const char *const counters[] = {"gc_num",
                                           "gc_bytes_reclaimed",
                                           "io_read_count",
                                           "io_read_bytes",
                                           "io_read_avg_time",
                                           "io_write_avg_time",
                                           "io_seek_count",
                                           "io_seek_avg_time",
                                           "io_reopen_count",
                                           "mnesia_ram_tx_count",
                                           "mnesia_disk_tx_count",
                                           "msg_store_write_count",
                                           "queue_index_read_count",
                                           NULL};

    put_zeros(out, counters);
    json_put_count(out, "net_ticktime", 60);
    json_put(out, "partitions", json_array());
    json_put(out, "cluster_links", json_array());
    json_put(out, "metrics_gc_queue_length", json_object());
    json_put(out, "ra_open_file_metrics",
             json_pack("{s:i,s:i}", "ra_log_wal", 0, "ra_log_segment_writer", 0));
}

static void put_configuration(json_t *out, struct request *request, const struct node_condition *condition)
{
    const struct config *config = condition->config;

    json_put(out, "rates_mode", json_string("basic"));
    json_put(out, "exchange_types", exchange_types_json());
    json_put(out, "auth_mechanisms", mechanisms_json(config));
    json_put(out, "applications",
             json_pack("[{s:s,s:s,s:s},{s:s,s:s,s:s}]", "name", "coney", "description",
                       "AMQP 0-9-1 message broker", "version", PACKAGE_VERSION, "name", "rabbit",
                       "description", "RabbitMQ", "version", config->product_version));
    json_put(out, "contexts", contexts_json(request));
    json_put(out, "db_dir", json_text(bytes_from_string(config->data_dir)));
    json_put(out, "enabled_plugins",
             json_pack("[s,s,s]", "rabbitmq_event_exchange", "rabbitmq_management", "rabbitmq_prometheus"));
    put_files(out, condition);
    put_versions(out, config);
}

/* NULL after answering. */
static json_t *node_json(struct request *request)
{
    struct node_condition condition = node_condition(request->server);
    struct survey_vhost totals;
    struct node_stats node;
    json_t *out;

    if (!look_at_node(request, &node))
        return NULL;
    if (!node_totals(request->server, &totals, NULL)) {
        node_stats_clear(&node);
        reply_stopping(request);
        return NULL;
    }
    out = json_object();
    json_put(out, "name", json_string(node_name(request->server)));
    json_put(out, "type", json_string("disc"));
    json_put(out, "running", json_boolean(condition.run_state != NODE_APP_STOPPED));
    json_put(out, "being_drained", json_boolean(condition.run_state == NODE_DRAINING));
    put_process_facts(out, &node);
    put_resources(out, &node);
    put_store(out, &node.store);
    put_churn(out, &totals.counts);
    put_foreign(out);
    put_configuration(out, request, &condition);
    stats_add_node(request, out);
    node_stats_clear(&node);
    return out;
}

static void list_nodes(struct request *request)
{
    json_t *row = node_json(request);

    if (row)
        reply_json(request, 200, json_pack("[o]", json_columns(row, request_query(request, "columns"))));
}

/* False after answering that the path's node is none. */
static bool is_ours(struct request *request, unsigned segment)
{
    if (is_this_node(request, request_segment(request, segment)))
        return true;
    reply_not_found(request);
    return false;
}

static void show_node(struct request *request)
{
    json_t *row = is_ours(request, 2) ? node_json(request) : NULL;

    if (row)
        reply_row(request, row);
}

/* ---- memory ---- */

static const char *const nothing_here[] = {"connection_readers",
                                           "connection_writers",
                                           "connection_channels",
                                           "connection_other",
                                           "queue_procs",
                                           "queue_slave_procs",
                                           "quorum_queue_procs",
                                           "quorum_queue_dlx_procs",
                                           "stream_queue_procs",
                                           "stream_queue_replica_reader_procs",
                                           "stream_queue_coordinator_procs",
                                           "plugins",
                                           "metrics",
                                           "mgmt_db",
                                           "mnesia",
                                           "metadata_store",
                                           "metadata_store_ets",
                                           "quorum_ets",
                                           "other_ets",
                                           "msg_index",
                                           "code",
                                           "atom",
                                           "other_system",
                                           "allocated_unused",
                                           NULL};

/* What is told apart here: messages; all else that was allocated; and what the process has beside that. */
static json_t *memory_json(const struct node_stats *node)
{
    uint64_t messages = memory_of_messages(node);
    json_t *out = json_object();

    for (const char *const *name = nothing_here; *name; name++)
        json_put_count(out, *name, 0);
    json_put_count(out, "binary", messages);
    json_put_count(out, "other_proc", node->memory_used - messages);
    json_put_count(out, "reserved_unallocated",
                   node->resident > node->memory_used ? node->resident - node->memory_used : 0);
    return out;
}

static void show_memory(struct request *request)
{
    struct node_stats node;
    json_t *memory;

    if (!is_ours(request, 2) || !look_at_node(request, &node))
        return;
    memory = memory_json(&node);
    json_put(memory, "strategy", json_string("allocated"));
    json_put(memory, "total",
             json_pack("{s:I,s:I,s:I}", "erlang", (json_int_t)node.memory_used, "rss",
                       (json_int_t)node.resident, "allocated", (json_int_t)node.memory_used));
    reply_json(request, 200, json_pack("{s:o}", "memory", memory));
    node_stats_clear(&node);
}

/* In percent, rounded up, as RabbitMQ has it. */
static void show_relative_memory(struct request *request)
{
    struct node_stats node;
    uint64_t total;
    const char *name;
    json_t *memory, *value;

    if (!is_ours(request, 2) || !look_at_node(request, &node))
        return;
    total = node.resident > node.memory_used ? node.resident : node.memory_used;
    memory = memory_json(&node);
    json_object_foreach(memory, name, value)
    {
        uint64_t octets = (uint64_t)json_integer_value(value);

        json_integer_set(value, total ? (json_int_t)((octets * 100 + total - 1) / total) : 0);
    }
    json_put_count(memory, "total", 100);
    reply_json(request, 200, json_pack("{s:o}", "memory", memory));
    node_stats_clear(&node);
}

/* ---- attempts to log in ---- */

/* Looked at behind the mutex too, or what another one forgets meanwhile would be more than there was. */
static struct {
    pthread_mutex_t mutex;
    struct node_logins amqp, http; /* not counted any more */
} forgotten = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static json_t *attempts_json(const char *protocol, const struct node_logins *logins,
                             const struct node_logins *before)
{
    uint64_t succeeded = logins->results[LOGIN_OK] - before->results[LOGIN_OK], failed = 0;
    uint64_t attempts;

    for (int i = 0; i < LOGIN_RESULTS; i++)
        failed += i == LOGIN_OK ? 0 : logins->results[i] - before->results[i];
    attempts = succeeded + failed;
    return json_pack("{s:s,s:I,s:I,s:I}", "protocol", protocol, "auth_attempts", (json_int_t)attempts,
                     "auth_attempts_failed", (json_int_t)failed, "auth_attempts_succeeded",
                     (json_int_t)succeeded);
}

static void list_attempts(struct request *request)
{
    struct node_stats node;
    json_t *out;

    if (!is_ours(request, 3))
        return;
    pthread_mutex_lock(&forgotten.mutex);
    if (look_at_node(request, &node)) {
        out = json_array();
        json_array_append_new(out, attempts_json("http", &node.http_logins, &forgotten.http));
        json_array_append_new(out, attempts_json("amqp091", &node.logins, &forgotten.amqp));
        node_stats_clear(&node);
        reply_json(request, 200, out);
    }
    pthread_mutex_unlock(&forgotten.mutex);
}

static void forget_attempts(struct request *request)
{
    struct node_stats node;

    if (!is_ours(request, 3))
        return;
    pthread_mutex_lock(&forgotten.mutex);
    if (look_at_node(request, &node)) {
        forgotten.http = node.http_logins;
        forgotten.amqp = node.logins;
        node_stats_clear(&node);
        reply_empty(request, 204);
    }
    pthread_mutex_unlock(&forgotten.mutex);
}

/* Nobody keeps them by source, as in a RabbitMQ that was not told to. */
static void list_attempts_by_source(struct request *request)
{
    if (is_ours(request, 3))
        reply_json(request, 200, json_array());
}

const struct route routes_nodes[] = {
    {"nodes", {[VERB_GET] = {list_nodes, ACCESS_MONITOR}}},
    {"nodes/:node", {[VERB_GET] = {show_node, ACCESS_MONITOR}}},
    {"nodes/:node/memory", {[VERB_GET] = {show_memory, ACCESS_MONITOR}}},
    {"nodes/:node/memory/relative", {[VERB_GET] = {show_relative_memory, ACCESS_MONITOR}}},
    {"auth/attempts/:node",
     {[VERB_GET] = {list_attempts, ACCESS_MONITOR}, [VERB_DELETE] = {forget_attempts, ACCESS_ADMINISTRATOR}}},
    {"auth/attempts/:node/source",
     {[VERB_GET] = {list_attempts_by_source, ACCESS_MONITOR},
      [VERB_DELETE] = {forget_attempts, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
