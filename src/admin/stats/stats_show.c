/* SPDX-License-Identifier: Apache-2.0 */
/* stats.h: rates and samples, put into what a request is about to show. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin_fields.h"
#include "admin/http/request.h"
#include "admin/json.h"
#include "stats_fields.h"

#define SAMPLES_SHOWN 500
#define RANGE_MAX_S   10000000

enum range { RANGE_LENGTHS, RANGE_MESSAGES, RANGE_DATA, RANGE_NODE };

struct field {
    const char *name;
    uint64_t values; /* a bit for each that is summed up */
};

/* Samples that are asked for. */
struct span {
    int64_t age_ms, incr_ms; /* 0: none are */
    int64_t now_ms;
};

#define BIT(at) (UINT64_C(1) << (at))

static const char *const range_names[] = {"lengths", "msg_rates", "data_rates", "node_stats"};

/* What is no integer is as if it was not there. */
static bool query_integer(const struct request *request, const char *range, const char *what, long *out)
{
    char name[32], *end;
    const char *text;

    snprintf(name, sizeof name, "%s_%s", range, what);
    text = request_query(request, name);
    if (!text)
        return false;
    errno = 0;
    *out = strtol(text, &end, 10);
    return !errno && !*end && end != text;
}

static bool range_is_asked(const struct request *request, const char *range, long *age, long *incr)
{
    return query_integer(request, range, "age", age) && query_integer(request, range, "incr", incr);
}

bool stats_ranges_are_right(struct request *request)
{
    long age, incr;

    for (size_t i = 0; i < sizeof range_names / sizeof *range_names; i++) {
        if (!range_is_asked(request, range_names[i], &age, &incr) ||
            (age > 0 && age <= RANGE_MAX_S && incr > 0 && age / incr <= SAMPLES_SHOWN))
            continue;
        reply_bad_request(request, "Invalid range parameters: age %ld, incr %ld", age, incr);
        return false;
    }
    return true;
}

static struct span span_of(const struct request *request, enum range range)
{
    struct span span = {.now_ms = stats_clock_ms(CLOCK_REALTIME)};
    long age, incr;

    if (range_is_asked(request, range_names[range], &age, &incr)) {
        span.age_ms = age * 1000;
        span.incr_ms = incr * 1000;
    }
    return span;
}

static double value_at(const struct history *history, uint64_t tick, uint64_t mask)
{
    const uint64_t *values = history_at(history, tick);
    uint64_t sum = 0;

    for (unsigned i = 0; i < history->width; i++)
        sum += mask & BIT(i) ? values[i] : 0;
    return (double)sum;
}

static double rate_of(const struct kept *kept, const struct history *history, uint64_t mask)
{
    uint64_t last;
    double seconds;

    if (!history || history->count < 2)
        return 0;
    last = history->last_tick;
    seconds = (double)(kept_time(kept, last) - kept_time(kept, last - 1)) / 1000;
    return seconds > 0 ? (value_at(history, last, mask) - value_at(history, last - 1, mask)) / seconds : 0;
}

/* When the first sample is from; what rests was the same as long as somebody watched. */
static int64_t begin_of(const struct kept *kept, const struct history *history, int64_t now)
{
    uint64_t first = history && history->count ? history_first_tick(history) : kept->first_tick;

    if (first > kept->tick)
        return now;
    return kept->tick - first >= NODE_SAMPLES ? kept_time(kept, kept->tick + 1) : kept_time(kept, first);
}

static void add_samples(const struct kept *kept, const struct history *history, uint64_t mask, double now,
                        const struct span *span, json_t *details)
{
    json_t *samples = json_array();
    int64_t newest = span->now_ms / span->incr_ms * span->incr_ms;
    int64_t begin = begin_of(kept, history, span->now_ms), at = newest;
    uint64_t tick = history && history->count ? history->last_tick : 0;
    double value = now, first = now, sum = 0;
    size_t count = 0;

    for (; at >= newest - span->age_ms && (at >= begin || !count); at -= span->incr_ms, count++) {
        while (tick && tick > history_first_tick(history) && kept_time(kept, tick) > at)
            tick--;
        value = tick ? value_at(history, tick, mask) : now;
        first = count ? first : value;
        sum += value;
        json_array_append_new(
            samples, json_pack("{s:I,s:I}", "sample", (json_int_t)value, "timestamp", (json_int_t)at));
    }
    json_object_set_new(details, "samples", samples);
    json_object_set_new(details, "avg", json_real(sum / (double)count));
    json_object_set_new(
        details, "avg_rate",
        json_real(count > 1 ? (first - value) * 1000 / ((double)(count - 1) * (double)span->incr_ms) : 0));
}

static void add_details(const struct kept *kept, const struct history *history, const struct field *field,
                        const struct span *span, json_t *object)
{
    const json_t *value = json_object_get(object, field->name);
    char name[64];
    json_t *details;

    if (!value)
        return;
    snprintf(name, sizeof name, "%s_details", field->name);
    details = json_rate(rate_of(kept, history, field->values));
    if (span->incr_ms)
        add_samples(kept, history, field->values, json_number_value(value), span, details);
    json_object_set_new(object, name, details);
}

static void add(struct request *request, uint64_t key, json_t *object, enum range range,
                const struct field *fields, size_t count)
{
    struct stats *stats = request->admin->stats;
    const struct kept *kept = &stats->kept;
    struct span span = span_of(request, range);
    const struct history *history;

    if (!json_object_size(object))
        return;
    pthread_mutex_lock(&stats->mutex);
    stats_ask(stats);
    history = kept_find(&stats->kept, key);
    if (history && history->count && history->width < NODE_VALUES && history->last_tick + 1 < kept->tick)
        history = NULL;
    if (!history && !span.incr_ms)
        count = 0; /* all the rates that are there already are 0, as they should */
    for (size_t i = 0; i < count; i++)
        add_details(kept, history, &fields[i], &span, object);
    pthread_mutex_unlock(&stats->mutex);
}

bool stats_is_still(struct request *request, uint64_t key)
{
    struct stats *stats = request->admin->stats;
    const struct history *history;

    if (span_of(request, RANGE_LENGTHS).incr_ms)
        return false;
    pthread_mutex_lock(&stats->mutex);
    stats_ask(stats);
    history = kept_find(&stats->kept, key);
    pthread_mutex_unlock(&stats->mutex);
    return !history;
}

#define ADD(request, key, object, range, fields) \
    add(request, key, object, range, fields, sizeof(fields) / sizeof *(fields))

static const struct field message_fields[] = {
    {"publish", BIT(COUNT_PUBLISH)},
    {"confirm", BIT(COUNT_CONFIRM)},
    {"return_unroutable", BIT(COUNT_RETURN)},
    {"drop_unroutable", BIT(COUNT_DROP)},
    {"deliver", BIT(COUNT_DELIVER)},
    {"deliver_no_ack", BIT(COUNT_DELIVER_NO_ACK)},
    {"get", BIT(COUNT_GET)},
    {"get_no_ack", BIT(COUNT_GET_NO_ACK)},
    {"get_empty", BIT(COUNT_GET_EMPTY)},
    {"redeliver", BIT(COUNT_REDELIVER)},
    {"ack", BIT(COUNT_ACK)},
    {"deliver_get", BIT(COUNT_DELIVER) | BIT(COUNT_DELIVER_NO_ACK) | BIT(COUNT_GET) | BIT(COUNT_GET_NO_ACK)}};

void stats_add_messages(struct request *request, uint64_t key, json_t *object)
{
    ADD(request, key, object, RANGE_MESSAGES, message_fields);
}

void stats_add_lengths(struct request *request, uint64_t key, json_t *object)
{
    static const struct field fields[] = {{"messages", BIT(AT_READY) | BIT(AT_UNACKED)},
                                          {"messages_ready", BIT(AT_READY)},
                                          {"messages_unacknowledged", BIT(AT_UNACKED)}};

    ADD(request, key, object, RANGE_LENGTHS, fields);
}

void stats_add_data(struct request *request, uint64_t key, json_t *object)
{
    static const struct field fields[] = {{"recv_oct", BIT(0)}, {"send_oct", BIT(1)}};

    ADD(request, key, object, RANGE_DATA, fields);
}

void stats_add_vhost_data(struct request *request, uint64_t key, json_t *object)
{
    static const struct field fields[] = {{"recv_oct", BIT(AT_RECEIVED)}, {"send_oct", BIT(AT_SENT)}};

    ADD(request, key, object, RANGE_DATA, fields);
}

void stats_add_exchange(struct request *request, uint64_t key, json_t *object)
{
    static const struct field fields[] = {{"publish_in", BIT(0)}, {"publish_out", BIT(1)}};

    ADD(request, key, object, RANGE_MESSAGES, fields);
}

void stats_add_node(struct request *request, json_t *object)
{
    static const struct field fields[] = {
        {"connection_created", BIT(AT_CHURN)},
        {"connection_closed", BIT(AT_CHURN + 1)},
        {"channel_created", BIT(AT_CHURN + 2)},
        {"channel_closed", BIT(AT_CHURN + 3)},
        {"queue_declared", BIT(AT_CHURN + 4)},
        {"queue_created", BIT(AT_CHURN + 5)},
        {"queue_deleted", BIT(AT_CHURN + 6)},
        {"mem_used", BIT(AT_MEMORY)},
        {"fd_used", BIT(AT_DESCRIPTORS)},
        {"sockets_used", BIT(AT_SOCKETS)},
        {"disk_free", BIT(AT_DISK_FREE)},
        {"context_switches", BIT(AT_SWITCHES)},
        {"io_write_count", BIT(AT_WRITES)},
        {"io_write_bytes", BIT(AT_WRITE_OCTETS)},
        {"io_sync_count", BIT(AT_SYNCS)},
        {"disk_writes", BIT(AT_RECORDS)},
        {"queue_index_write_count", BIT(AT_RECORDS)},
        {"disk_reads", BIT(AT_FETCHES)},
        {"msg_store_read_count", BIT(AT_FETCHES)},
    };

    ADD(request, stats_key_of_node(), object, RANGE_NODE, fields);
}
