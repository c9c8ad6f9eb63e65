/* SPDX-License-Identifier: Apache-2.0 */
/* report.h: the table. */
#include <inttypes.h>
#include <stdbool.h>

#include "churn.h"
#include "measure.h"
#include "options.h"
#include "progress.h"
#include "report.h"

static double per_second(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

void report_quantiles(FILE *out, const char *name, const struct quantiles *quantiles)
{
    char texts[8][DURATION_SIZE];

    if (!quantiles->count)
        return;
    fprintf(out, "%-14s min %s, median %s, 75th %s, 95th %s, 99th %s, 99.9th %s, max %s, mean %s\n", name,
            duration_text(texts[0], quantiles->min), duration_text(texts[1], quantiles->median),
            duration_text(texts[2], quantiles->p75), duration_text(texts[3], quantiles->p95),
            duration_text(texts[4], quantiles->p99), duration_text(texts[5], quantiles->p999),
            duration_text(texts[6], quantiles->max), duration_text(texts[7], (uint64_t)quantiles->mean));
}

static void put_published(FILE *out, const struct measurement *m)
{
    const struct totals *totals = &m->totals;

    if (!m->publishers)
        return;
    fprintf(out, "%-14s %" PRIu64 " in %.3f s: %.0f messages/s\n", "published", totals->sent,
            m->publish_seconds, per_second(totals->sent, m->publish_seconds));
    if (m->options->confirm)
        fprintf(out, "%-14s %" PRIu64 ", nacked %" PRIu64 "\n", "confirmed", totals->confirmed,
                totals->nacked);
    if (totals->returned)
        fprintf(out, "%-14s %" PRIu64 ": no queue wanted them\n", "returned", totals->returned);
    if (totals->blocked)
        fprintf(out, "%-14s %" PRIu64 " times\n", "blocked", totals->blocked);
}

static void put_consumed(FILE *out, const struct measurement *m)
{
    const struct totals *totals = &m->totals;

    if (!m->consumers)
        return;
    fprintf(out, "%-14s %" PRIu64 " in %.3f s: %.0f messages/s, %.1f MB/s\n",
            m->options->is_drain ? "drained" : "consumed", totals->received, m->consume_seconds,
            per_second(totals->received, m->consume_seconds),
            per_second(totals->octets, m->consume_seconds) / 1e6);
    if (totals->redelivered)
        fprintf(out, "%-14s %" PRIu64 "\n", "redelivered", totals->redelivered);
    if (totals->foreign)
        fprintf(out, "%-14s %" PRIu64 ": they were in the queue before\n", "of other runs", totals->foreign);
    if (m->publishers && !m->is_complete && !m->options->cmessages)
        fprintf(out, "%-14s not everything that was published came within %.0f s\n", "incomplete",
                m->options->shutdown_timeout);
}

static void put_check(FILE *out, const struct measurement *m)
{
    const struct totals *totals = &m->totals;

    if (m->options->is_check)
        fprintf(out,
                "%-14s lost %" PRIu64 ", duplicated %" PRIu64 ", reordered %" PRIu64 ", damaged %" PRIu64
                " (redelivered, which may come again: %" PRIu64 ")\n",
                "check", m->lost, totals->duplicated, totals->reordered, totals->damaged,
                totals->redelivered);
}

void report_table(FILE *out, const struct measurement *m)
{
    double seconds = m->connect_seconds + m->publish_seconds;

    if (m->consume_seconds > m->publish_seconds)
        seconds = m->connect_seconds + m->consume_seconds;
    fprintf(out, "id %s\n", m->options->id);
    fprintf(out, "%-14s queues: %u in %.3f s; connections: %u, channels: %u in %.3f s\n", "set up", m->queues,
            m->declare_seconds, m->connections, m->publishers + m->consumers, m->connect_seconds);
    put_published(out, m);
    put_consumed(out, m);
    report_quantiles(out, "latency", &m->since_sent);
    report_quantiles(out, "since due", &m->since_due);
    report_quantiles(out, "confirm", &m->confirms);
    put_check(out, m);
    fprintf(out, "%-14s %.0f %% of a core\n", "this tool", seconds > 0 ? m->cpu_seconds / seconds * 100 : 0);
}

void report_churn_table(FILE *out, const struct churning *churning)
{
    fprintf(out, "id %s\n", churning->options->id);
    fprintf(out, "%-14s %" PRIu64 " %s opened and closed in %.3f s: %.0f/s\n", "churned", churning->cycles,
            churning->options->churned, churning->seconds, per_second(churning->cycles, churning->seconds));
    report_quantiles(out, "latency", &churning->latency);
    fprintf(out, "%-14s %.0f %% of a core\n", "this tool",
            churning->seconds > 0 ? churning->cpu_seconds / churning->seconds * 100 : 0);
}
