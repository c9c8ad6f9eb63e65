/* SPDX-License-Identifier: Apache-2.0 */
/* report.h: the JSON. Durations are in microseconds, times in seconds, rates in messages a second. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "churn.h"
#include "measure.h"
#include "options.h"
#include "report.h"

#define NS_IN_US 1000.0

static void set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) < 0)
        abort(); /* no memory */
}

static void set_count(json_t *object, const char *name, uint64_t value)
{
    set(object, name, json_integer((json_int_t)value));
}

static void set_quantiles(json_t *object, const char *name, const struct quantiles *quantiles)
{
    const struct {
        const char *name;
        uint64_t ns;
    } values[] = {{"min", quantiles->min}, {"median", quantiles->median},
                  {"p75", quantiles->p75}, {"p95", quantiles->p95},
                  {"p99", quantiles->p99}, {"p999", quantiles->p999},
                  {"max", quantiles->max}, {"mean", (uint64_t)quantiles->mean}};
    json_t *inner;

    if (!quantiles->count)
        return;
    inner = json_object();
    set_count(inner, "count", quantiles->count);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        set(inner, values[i].name, json_real((double)values[i].ns / NS_IN_US));
    set(object, name, inner);
}

static json_t *flow(uint64_t count, double seconds)
{
    json_t *object = json_object();

    set_count(object, "count", count);
    set(object, "seconds", json_real(seconds));
    set(object, "rate", json_real(seconds > 0 ? (double)count / seconds : 0));
    return object;
}

static json_t *samples_array(const struct samples *samples)
{
    json_t *array = json_array();

    for (size_t i = 0; i < samples->count; i++) {
        const struct sample *sample = &samples->list[i];
        json_t *object = json_object();

        set(object, "time", json_real(sample->at));
        set(object, "sent", json_real(sample->sent));
        set(object, "received", json_real(sample->received));
        set(object, "confirmed", json_real(sample->confirmed));
        set_quantiles(object, "latency", &sample->latency);
        set_quantiles(object, "confirm", &sample->confirm);
        if (json_array_append_new(array, object) < 0)
            abort(); /* no memory */
    }
    return array;
}

static void set_published(json_t *object, const struct measurement *m)
{
    json_t *published = flow(m->totals.sent, m->publish_seconds);

    set_count(published, "confirmed", m->totals.confirmed);
    set_count(published, "nacked", m->totals.nacked);
    set_count(published, "returned", m->totals.returned);
    set_count(published, "blocked", m->totals.blocked);
    set(object, "published", published);
}

static void set_consumed(json_t *object, const struct measurement *m)
{
    json_t *consumed = flow(m->totals.received, m->consume_seconds);

    set_count(consumed, "octets", m->totals.octets);
    set_count(consumed, "redelivered", m->totals.redelivered);
    set_count(consumed, "foreign", m->totals.foreign);
    set(consumed, "complete", json_boolean(m->is_complete));
    set(object, "consumed", consumed);
}

static void set_check(json_t *object, const struct measurement *m)
{
    json_t *check = json_object();

    set_count(check, "lost", m->lost);
    set_count(check, "duplicated", m->totals.duplicated);
    set_count(check, "reordered", m->totals.reordered);
    set_count(check, "damaged", m->totals.damaged);
    set(object, "check", check);
}

static json_t *begin(const struct options *options, double cpu_seconds)
{
    json_t *object = json_object();

    set(object, "id", json_string_nocheck(options->id));
    set(object, "version", json_string_nocheck(PACKAGE_VERSION));
    set(object, "cpu_seconds", json_real(cpu_seconds));
    return object;
}

/* Write OBJECT, and give it up. */
static bool write_json(const char *file, json_t *object)
{
    FILE *out = strcmp(file, "-") == 0 ? stdout : fopen(file, "we");
    bool is_written = out && json_dumpf(object, out, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0 &&
                      fputc('\n', out) != EOF && fflush(out) == 0;

    if (out && out != stdout && fclose(out) != 0)
        is_written = false;
    if (!is_written)
        fprintf(stderr, "coneyperf: %s: %s\n", file, strerror(errno));
    json_decref(object);
    return is_written;
}

bool report_json(const char *file, const struct measurement *m)
{
    json_t *object = begin(m->options, m->cpu_seconds), *setup = json_object();

    set_count(setup, "queues", m->queues);
    set_count(setup, "connections", m->connections);
    set_count(setup, "channels", m->publishers + m->consumers);
    set(setup, "declare_seconds", json_real(m->declare_seconds));
    set(setup, "connect_seconds", json_real(m->connect_seconds));
    set(object, "setup", setup);
    if (m->publishers)
        set_published(object, m);
    if (m->consumers)
        set_consumed(object, m);
    set_quantiles(object, "latency", &m->since_sent);
    set_quantiles(object, "latency_since_due", &m->since_due);
    set_quantiles(object, "confirm_latency", &m->confirms);
    if (m->options->is_check)
        set_check(object, m);
    set(object, "samples", samples_array(&m->samples));
    return write_json(file, object);
}

bool report_churn_json(const char *file, const struct churning *churning)
{
    json_t *object = begin(churning->options, churning->cpu_seconds);

    set(object, "churned", flow(churning->cycles, churning->seconds));
    set_quantiles(object, "latency", &churning->latency);
    set(object, "samples", samples_array(&churning->samples));
    return write_json(file, object);
}
