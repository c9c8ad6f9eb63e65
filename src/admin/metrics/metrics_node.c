/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h: the node by RabbitMQ's names, and what all vhosts counted. What RabbitMQ counts and coney has
 * not (Erlang's processes, Raft) is there with 0, so that nobody's panel is empty.
 */
#include "metrics.h"

#define MS_PER_S 1e3
#define NS_PER_S 1e9

/* ---- alarms, churn, totals ---- */

static void put_alarms(struct metrics *metrics)
{
    const struct node_stats *node = &metrics->node;
    struct metrics_text *text = &metrics->text;

    metrics_one(text, METRIC_UNTYPED, "alarms_file_descriptor_limit", "1: descriptors have run out",
                node->files_max && node->files >= node->files_max);
    metrics_one(text, METRIC_UNTYPED, "alarms_free_disk_space_watermark",
                "1: publishers are held for want of disk", node->has_disk_alarm);
    metrics_one(text, METRIC_UNTYPED, "alarms_memory_used_watermark",
                "1: publishers are held for want of memory", node->has_memory_alarm);
}

static void put_churn(struct metrics *metrics)
{
    const struct vhost_counts *counts = &metrics->totals.counts;

    metrics_counter(metrics, "connections_opened_total", "Connections opened", counts->connections_opened);
    metrics_counter(metrics, "connections_closed_total", "Connections closed", counts->connections_closed);
    metrics_counter(metrics, "channels_opened_total", "Channels opened", counts->channels_opened);
    metrics_counter(metrics, "channels_closed_total", "Channels closed", counts->channels_closed);
    metrics_counter(metrics, "queues_declared_total", "Queues declared", counts->queues_declared);
    metrics_counter(metrics, "queues_created_total", "Queues created", counts->queues_created);
    metrics_counter(metrics, "queues_deleted_total", "Queues deleted", counts->queues_deleted);
}

static void put_totals(struct metrics *metrics)
{
    const struct survey_vhost *totals = &metrics->totals;

    metrics_gauge(metrics, "connections", "Connections currently open", totals->connections);
    metrics_gauge(metrics, "channels", "Channels currently open", totals->channels);
    metrics_gauge(metrics, "consumers", "Consumers", totals->consumers);
    metrics_gauge(metrics, "queues", "Queues", totals->queues);
}

/* ---- the process ---- */

static void put_coarse(struct metrics *metrics)
{
    const struct node_stats *node = &metrics->node;

    metrics_gauge(metrics, "process_open_fds", "Descriptors in use", node->files);
    metrics_gauge(metrics, "process_open_tcp_sockets", "Sockets among them", node->sockets);
    metrics_gauge(metrics, "process_resident_memory_bytes", "Memory of the process", node->resident);
    metrics_gauge(metrics, "disk_space_available_bytes", "Room where the data directory is", node->disk_free);
    metrics_gauge(metrics, "erlang_processes_used", "Always 0: no Erlang here", 0);
    metrics_counter(metrics, "erlang_gc_runs_total", "Always 0: nothing is collected", 0);
    metrics_counter(metrics, "erlang_gc_reclaimed_bytes_total", "Always 0: nothing is collected", 0);
    metrics_counter(metrics, "erlang_scheduler_context_switches_total", "Switches of context of the process",
                    node->switches);
}

static void put_limits(struct metrics *metrics)
{
    const struct node_stats *node = &metrics->node;

    metrics_gauge(metrics, "process_max_fds", "Descriptors that there may be", node->files_max);
    metrics_gauge(metrics, "process_max_tcp_sockets", "The same: sockets have no limit of their own",
                  node->files_max);
    metrics_gauge(metrics, "resident_memory_limit_bytes", "Memory at which publishers are held",
                  node->memory_limit);
    metrics_gauge(metrics, "disk_space_available_limit_bytes", "Room below which publishers are held",
                  node->disk_free_limit);
    metrics_gauge(metrics, "erlang_processes_limit", "Always 0: no Erlang here", 0);
    metrics_gauge(metrics, "erlang_scheduler_run_queue", "Always 0: no Erlang here", 0);
    metrics_gauge(metrics, "erlang_net_ticktime_seconds", "Always 0: no cluster here", 0);
    metrics_one_real(&metrics->text, METRIC_GAUGE, "erlang_uptime_seconds", "Time since the node began",
                     (double)node->uptime_ms / MS_PER_S);
}

/* The journal is what is written and synced; runs are what is read. */
static void put_persister(struct metrics *metrics)
{
    const struct store_counters *store = &metrics->node.store;

    metrics_counter(metrics, "io_read_ops_total", "Runs of messages read back", store->fetched_runs);
    metrics_counter(metrics, "io_read_bytes_total", "Always 0: not counted", 0);
    metrics_counter(metrics, "io_write_ops_total", "Batches written to the journal", store->journal_batches);
    metrics_counter(metrics, "io_write_bytes_total", "Octets written to the journal and as runs",
                    store->journal_octets + store->saved_octets);
    metrics_counter(metrics, "io_sync_ops_total", "Syncs of the journal", store->journal_syncs);
    metrics_counter(metrics, "io_seek_ops_total", "Always 0: there are none", 0);
    metrics_counter(metrics, "io_reopen_ops_total", "Always 0: there are none", 0);
    metrics_counter(metrics, "schema_db_ram_tx_total", "Always 0: no such database", 0);
    metrics_counter(metrics, "schema_db_disk_tx_total", "Always 0: no such database", 0);
    metrics_counter(metrics, "msg_store_read_total", "Runs of messages read back", store->fetched_runs);
    metrics_counter(metrics, "msg_store_write_total", "Runs of messages written", store->saved_runs);
    metrics_counter(metrics, "queue_index_read_ops_total", "Always 0: no such index", 0);
    metrics_counter(metrics, "queue_index_write_ops_total", "Always 0: no such index", 0);
    metrics_counter(metrics, "io_read_time_seconds_total", "Always 0: not measured", 0);
    metrics_counter(metrics, "io_write_time_seconds_total", "Always 0: not measured", 0);
    metrics_counter_real(metrics, "io_sync_time_seconds_total", "Time that syncs of the journal took",
                         (double)store->journal_sync_ns / NS_PER_S);
    metrics_counter(metrics, "io_seek_time_seconds_total", "Always 0: there are none", 0);
}

static void put_raft(struct metrics *metrics)
{
    static const char none[] = "Always 0: no Raft here";

    metrics_counter(metrics, "raft_term_total", none, 0);
    metrics_gauge(metrics, "raft_log_snapshot_index", none, 0);
    metrics_gauge(metrics, "raft_log_last_applied_index", none, 0);
    metrics_gauge(metrics, "raft_log_commit_index", none, 0);
    metrics_gauge(metrics, "raft_log_last_written_index", none, 0);
    metrics_gauge(metrics, "raft_entry_commit_latency_seconds", none, 0);
}

/* ---- logins ---- */

static uint64_t refused(const struct node_logins *logins)
{
    uint64_t sum = 0;

    for (int i = 0; i < LOGIN_RESULTS; i++)
        sum += i == LOGIN_OK ? 0 : logins->results[i];
    return sum;
}

static void put_logins(struct metrics *metrics)
{
    const struct node_logins *http = &metrics->node.http_logins, *amqp = &metrics->node.logins;
    struct metrics_text *text = &metrics->text;

    metrics_family(text, METRIC_COUNTER, "auth_attempts_total", "Logins that were decided");
    metrics_put(text, "protocol=\"http\"", http->results[LOGIN_OK] + refused(http));
    metrics_put(text, "protocol=\"amqp091\"", amqp->results[LOGIN_OK] + refused(amqp));
    metrics_family(text, METRIC_COUNTER, "auth_attempts_succeeded_total", "Logins that were accepted");
    metrics_put(text, "protocol=\"http\"", http->results[LOGIN_OK]);
    metrics_put(text, "protocol=\"amqp091\"", amqp->results[LOGIN_OK]);
    metrics_family(text, METRIC_COUNTER, "auth_attempts_failed_total", "Logins that were refused");
    metrics_put(text, "protocol=\"http\"", refused(http));
    metrics_put(text, "protocol=\"amqp091\"", refused(amqp));
}

static void put_memory(struct metrics *metrics)
{
    const struct node_stats *node = &metrics->node;
    uint64_t queues = metrics_memory_of_queues(metrics);

    metrics_gauge(metrics, "memory_code_module_bytes", "Always 0: counted with the rest", 0);
    metrics_gauge(metrics, "memory_client_connection_reader_bytes", "Always 0: counted with the rest", 0);
    metrics_gauge(metrics, "memory_client_connection_writer_bytes", "Always 0: counted with the rest", 0);
    metrics_gauge(metrics, "memory_client_connection_channel_bytes", "Always 0: counted with the rest", 0);
    metrics_gauge(metrics, "memory_client_connection_other_bytes", "Always 0: counted with the rest", 0);
    metrics_gauge(metrics, "memory_classic_queue_erlang_process_bytes", "Queues, with their messages",
                  queues);
    metrics_gauge(metrics, "memory_quorum_queue_erlang_process_bytes", "Always 0: counted with the classic",
                  0);
    metrics_are_own(metrics);
    metrics_gauge(metrics, "memory_used_bytes", "Memory in use, as the alarm counts it", node->memory_used);
    metrics_gauge(metrics, "memory_queue_bytes", "Memory of queues, with their messages", queues);
    metrics_gauge(metrics, "memory_resident_bytes", "Memory of the process", node->resident);
}

void metrics_put_node(struct metrics *metrics)
{
    metrics_are_rabbits(metrics);
    if (metrics_want(metrics, FAMILY_GLOBAL))
        put_alarms(metrics);
    if (metrics_want(metrics, FAMILY_CHURN))
        put_churn(metrics);
    if (metrics_want(metrics, FAMILY_NODE_COARSE))
        put_coarse(metrics);
    if (metrics_want(metrics, FAMILY_NODE))
        put_limits(metrics);
    if (metrics_want(metrics, FAMILY_PERSISTER))
        put_persister(metrics);
    if (metrics_want(metrics, FAMILY_RAFT))
        put_raft(metrics);
    if (metrics_want(metrics, FAMILY_AUTH))
        put_logins(metrics);
    if (metrics_want(metrics, FAMILY_TOTALS))
        put_totals(metrics);
    if (metrics_want(metrics, FAMILY_MEMORY))
        put_memory(metrics);
}
