/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h: coney_*, what RabbitMQ has no name for. */
#include <stdio.h>
#include <time.h>

#include "admin/admin_fields.h"
#include "admin/http/workers.h"
#include "metrics.h"

#define MS_PER_S 1e3
#define NS_PER_S 1e9

/* ---- what lasts ---- */

static void put_journal(struct metrics *metrics)
{
    const struct store_counters *store = &metrics->node.store;

    metrics_counter(metrics, "journal_written_bytes_total", "Octets written to the journal",
                    store->journal_octets);
    metrics_counter(metrics, "journal_records_total", "Records written to the journal",
                    store->journal_records);
    metrics_counter(metrics, "journal_batches_total", "Batches written to the journal",
                    store->journal_batches);
    metrics_counter(metrics, "journal_syncs_total", "Syncs of the journal", store->journal_syncs);
    metrics_counter_real(metrics, "journal_sync_seconds_total", "Time that syncs of the journal took",
                         (double)store->journal_sync_ns / NS_PER_S);
    metrics_gauge(metrics, "journal_backlog_bytes", "Octets that wait to be written", store->journal_backlog);
    metrics_gauge(metrics, "journal_largest_batch_bytes", "The largest batch so far",
                  store->journal_largest_batch);
    metrics_gauge(metrics, "journal_files", "Files of the journal in use", store->journal_files);
}

static void put_store(struct metrics *metrics)
{
    const struct store_counters *store = &metrics->node.store;

    metrics_gauge(metrics, "store_enabled", "1: there is a data directory; 0: nothing outlasts the node",
                  metrics->node.has_store);
    metrics_counter(metrics, "store_saved_runs_total",
                    "Runs of messages written, by spilling and checkpoints", store->saved_runs);
    metrics_counter(metrics, "store_saved_bytes_total", "Octets of them", store->saved_octets);
    metrics_counter(metrics, "store_fetched_runs_total", "Runs of messages read back", store->fetched_runs);
    metrics_counter(metrics, "store_moved_runs_total", "Runs of messages moved by compaction",
                    store->moved_runs);
    metrics_counter(metrics, "store_checkpoints_total", "Checkpoints", store->checkpoints);
    metrics_gauge(metrics, "store_segment_bytes", "Octets of files that are kept", store->segment_octets);
    metrics_gauge(metrics, "store_spill_bytes", "Octets of files that go with the node", store->spill_octets);
    metrics_gauge(metrics, "store_waiting_messages_bytes", "Memory of messages that wait in queues",
                  store->used);
    metrics_gauge(metrics, "store_unreadable_runs", "Runs of messages that could not be read",
                  store->unreadable_runs);
    metrics_gauge(metrics, "store_disk_full", "1: there is less room than disk_free_limit", store->disk_full);
    metrics_gauge(metrics, "queues_relaxed", "Queues with relaxed durability", metrics->relaxed_queues);
}

/* ---- loops ---- */

static void put_loop_family(struct metrics *metrics, enum metric_type type, const char *name,
                            const char *help, double (*value)(const struct node_loop *loop))
{
    char labels[32];

    metrics_family(&metrics->text, type, name, help);
    for (unsigned i = 0; i < metrics->node.loop_count; i++) {
        snprintf(labels, sizeof labels, "loop=\"%u\"", i);
        metrics_put_real(&metrics->text, labels, value(&metrics->node.loops[i]));
    }
}

static double turns(const struct node_loop *loop)
{
    return loop->turns;
}

static double busy(const struct node_loop *loop)
{
    return loop->busy_percent;
}

static double cpu(const struct node_loop *loop)
{
    return (double)loop->cpu_ns / NS_PER_S;
}

static double lag(const struct node_loop *loop)
{
    return (double)loop->lag_ns / NS_PER_S;
}

static double sessions(const struct node_loop *loop)
{
    return loop->sessions;
}

static void put_loops(struct metrics *metrics)
{
    put_loop_family(metrics, METRIC_COUNTER, "loop_turns_total", "Turns of an event loop", turns);
    put_loop_family(metrics, METRIC_COUNTER, "loop_cpu_seconds_total", "Processor time of an event loop",
                    cpu);
    put_loop_family(metrics, METRIC_GAUGE, "loop_busy_percent",
                    "Processor time of the last tenth of a second that it was up", busy);
    put_loop_family(metrics, METRIC_GAUGE, "loop_lag_seconds",
                    "How long this question waited until an event loop looked", lag);
    put_loop_family(metrics, METRIC_GAUGE, "loop_sessions", "Connections of an event loop", sessions);
    metrics_one_real(&metrics->text, METRIC_GAUGE, "vhost_wait_seconds",
                     "How long this question waited at most for a vhost that others ran",
                     (double)metrics->vhost_wait_ns / NS_PER_S);
    metrics_counter(metrics, "vhost_runs_total", "How often a loop began to run a vhost", metrics->node.runs);
    metrics_counter(metrics, "vhost_batches_total", "Batches that were run inside vhosts",
                    metrics->node.batches);
    metrics_counter_real(metrics, "vhost_run_seconds_total",
                         "Time on the clock that loops spent inside vhosts, one at a time in each",
                         (double)metrics->node.run_ns / NS_PER_S);
    metrics_gauge(metrics, "outbox_bytes", "Octets for clients that their sockets have not taken yet",
                  metrics->totals.unsent);
    metrics_gauge(metrics, "connections_blocked", "Connections that an alarm holds",
                  metrics->node.connections_blocked);
    metrics_gauge(metrics, "connections_accepted", "Connections accepted and open, logged in or not",
                  metrics->node.connections);
}

/* ---- logins ---- */

static const char *const result_names[LOGIN_RESULTS] = {
    [LOGIN_OK] = "accepted",
    [LOGIN_UNKNOWN_USER] = "unknown_user",
    [LOGIN_WRONG_PASSWORD] = "wrong_password",
    [LOGIN_NO_PASSWORD] = "no_password",
    [LOGIN_NO_CERTIFICATE] = "no_certificate",
    [LOGIN_NOT_LOOPBACK] = "not_loopback",
};

static void put_login_results(struct metrics *metrics, const char *protocol, const struct node_logins *logins)
{
    char labels[80];

    for (int i = 0; i < LOGIN_RESULTS; i++) {
        snprintf(labels, sizeof labels, "protocol=\"%s\",result=\"%s\"", protocol, result_names[i]);
        metrics_put(&metrics->text, labels, logins->results[i]);
    }
}

static void put_logins(struct metrics *metrics)
{
    const struct node_stats *node = &metrics->node;

    metrics_family(&metrics->text, METRIC_COUNTER, "logins_total", "Logins that were decided");
    put_login_results(metrics, "amqp091", &node->logins);
    put_login_results(metrics, "http", &node->http_logins);
    metrics_counter(metrics, "logins_recalled_total", "Logins accepted at once, known already",
                    node->logins_recalled);
    metrics_counter(metrics, "logins_slowed_total", "Logins that had to wait for earlier failures",
                    node->logins_slowed);
    metrics_counter(metrics, "logins_too_many_total", "Logins refused unseen: too many waited",
                    node->logins_too_many);
    metrics_gauge(metrics, "logins_waiting", "Logins that wait to be decided", node->logins_waiting);
}

/* ---- TLS ---- */

static void put_certificates(struct metrics *metrics, const char *name, const char *help, int64_t since)
{
    const struct node_stats *node = &metrics->node;
    struct arena arena = {0};

    metrics_family(&metrics->text, METRIC_GAUGE, name, help);
    for (size_t i = 0; i < node->certificate_count; i++) {
        const struct node_certificate *certificate = &node->certificates[i];
        const char *labels;

        if (!certificate->expiry)
            continue;
        labels = metrics_label(&arena, "", "file", bytes_from_string(certificate->file));
        labels = metrics_label(&arena, labels, "server_name", bytes_from_string(certificate->server_name));
        metrics_put_real(&metrics->text, labels, (double)(certificate->expiry - since));
    }
    arena_clear(&arena);
}

static void put_tls(struct metrics *metrics)
{
    const struct node_stats *node = &metrics->node;

    metrics_counter(metrics, "tls_handshakes_total", "TLS handshakes that succeeded", node->tls_handshakes);
    metrics_counter(metrics, "tls_handshake_failures_total", "TLS handshakes that did not",
                    node->tls_failures);
    metrics_counter(metrics, "tls_kernel_connections_total", "Connections whose records the kernel encrypts",
                    node->tls_by_kernel);
    metrics_counter(metrics, "tls_reloads_total", "Changes of certificates that were taken",
                    node->tls_reloads);
    metrics_counter(metrics, "tls_failed_reloads_total", "Changes of certificates that were not taken",
                    node->tls_failed_reloads);
    put_certificates(metrics, "tls_certificate_expiry_timestamp_seconds",
                     "When a certificate in service ends, its chain included", 0);
    put_certificates(metrics, "tls_certificate_expires_in_seconds", "How long it is until then",
                     (int64_t)time(NULL));
}

/* ---- the rest ---- */

static void put_build(struct metrics *metrics)
{
    metrics_family(&metrics->text, METRIC_GAUGE, "build_info", "What runs here");
    metrics_put(&metrics->text, "version=\"" PACKAGE_VERSION "\"", 1);
}

static void put_process(struct metrics *metrics)
{
    const struct node_stats *node = &metrics->node;

    metrics_counter_real(metrics, "process_cpu_seconds_total", "Processor time of the process",
                         (double)node->cpu_ns / NS_PER_S);
    metrics_gauge(metrics, "memory_used_bytes", "Memory in use, as the alarm counts it", node->memory_used);
    metrics_counter(metrics, "log_lost_lines_total", "Log lines lost: they came too fast to be written",
                    node->log_lost);
    metrics_counter(metrics, "log_left_out_lines_total", "Log lines left out: more than one place may say",
                    node->log_left_out);
}

static void put_http(struct metrics *metrics)
{
    struct workers_counters counters = workers_counters(metrics->request->admin->workers);

    metrics_counter(metrics, "http_requests_total", "HTTP requests answered", counters.answered);
    metrics_counter(metrics, "http_requests_refused_total", "HTTP requests refused: too many waited",
                    counters.refused);
    metrics_gauge(metrics, "http_workers", "Threads that answer HTTP requests", counters.threads);
    metrics_gauge(metrics, "http_workers_waiting", "Threads whose clients are slow to take what was written",
                  counters.for_clients);
    metrics_gauge(metrics, "http_requests_waiting", "HTTP requests that wait for a thread", counters.waiting);
}

void metrics_put_own(struct metrics *metrics)
{
    metrics_are_own(metrics);
    put_build(metrics);
    put_process(metrics);
    put_journal(metrics);
    put_store(metrics);
    put_loops(metrics);
    put_logins(metrics);
    put_tls(metrics);
    put_http(metrics);
}
