/* SPDX-License-Identifier: Apache-2.0 */
/* Queues (management-http-api.md 3.7). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/amqp.h"
#include "admin/bindings.h"
#include "admin/body.h"
#include "admin/consumers.h"
#include "admin/json.h"
#include "admin/listing.h"
#include "admin/router.h"
#include "admin/stats/stats.h"
#include "coney/death.h"
#include "coney/node_access.h"
#include "coney/survey.h"
#include "coney/visit.h"
#include "coney/xalloc.h"

/* A queue as it was seen inside: strings are the arena's. */
struct queue_row {
    bool is_there;
    struct survey_queue queue;
    struct queue_options options;
    struct message_counts counts;
    struct death_counts deaths;
    struct bytes policy, operator_policy;
    struct buffer definition; /* of both, as a table; owned */
    bool has_timestamp;       /* its oldest message */
    uint64_t timestamp;
    struct session_name owner; /* that it is exclusive to; serial 0: nobody */
};

/* ---- inside the vhost: copy, no more ---- */

static void note_name(void *context, const struct survey_queue *queue)
{
    const struct listing_survey *survey = context;

    listing_add(survey->listing, survey->vhost, queue->name, 0, 0);
}

static void collect_slice(struct vhost *vhost, void *argument)
{
    struct listing_survey *survey = argument;

    survey_queues(vhost, &survey->cursor, 4 * LISTING_SLICE, note_name, survey);
}

struct fetching {
    struct arena arena;
    const struct listing_key *keys;
    size_t count;
    struct queue_row *rows, *row;
};

static struct bytes keep_name(struct arena *arena, const char *name)
{
    return name ? arena_copy(arena, bytes_from_string(name)) : (struct bytes){NULL, 0};
}

static void copy_row(void *context, const struct survey_queue *queue)
{
    struct fetching *fetching = context;
    struct queue_row *row = fetching->row;

    *row = (struct queue_row){.is_there = true,
                              .queue = *queue,
                              .options = *queue->options,
                              .counts = *queue->counts,
                              .deaths = *queue->deaths,
                              .policy = keep_name(&fetching->arena, queue->policy),
                              .operator_policy = keep_name(&fetching->arena, queue->operator_policy)};
    row->queue.name = arena_copy(&fetching->arena, queue->name);
    row->queue.arguments = arena_copy(&fetching->arena, queue->arguments);
    if (queue->active_consumer.data)
        row->queue.active_consumer = arena_copy(&fetching->arena, queue->active_consumer);
    if (queue->exclusive_consumer.data)
        row->queue.exclusive_consumer = arena_copy(&fetching->arena, queue->exclusive_consumer);
}

/* What concerns few queues. */
static void copy_more(struct vhost *vhost, struct queue_row *row)
{
    struct survey_connection owner;

    if (row->queue.ready || row->queue.unacked)
        row->has_timestamp = survey_queue_timestamp(vhost, row->queue.name, &row->timestamp);
    if (row->policy.data || row->operator_policy.data)
        survey_queue_policy(vhost, row->queue.name, &row->definition);
    if (row->queue.owner && survey_connection(vhost, row->queue.owner, &owner) && !owner.is_internal)
        session_name_of(owner.owner, &row->owner);
}

static void fetch_rows(struct vhost *vhost, void *argument)
{
    struct fetching *fetching = argument;

    for (size_t i = 0; i < fetching->count; i++) {
        fetching->row = &fetching->rows[i];
        if (survey_queue(vhost, fetching->keys[i].name, copy_row, fetching))
            copy_more(vhost, fetching->row);
    }
}

#define CONSUMERS_SHOWN 512 /* of one queue */

struct fetching_consumers {
    struct arena arena;
    struct bytes queue;
    struct consumer_row rows[CONSUMERS_SHOWN];
    size_t count;
};

static void copy_consumer(void *context, const struct survey_consumer *consumer)
{
    struct fetching_consumers *fetching = context;

    consumer_copy(&fetching->rows[fetching->count++], &fetching->arena, consumer);
}

static void fetch_consumers(struct vhost *vhost, void *argument)
{
    struct fetching_consumers *fetching = argument;

    survey_consumers_of(vhost, fetching->queue, CONSUMERS_SHOWN, copy_consumer, fetching);
}

/* ---- outside: rows ---- */

/* "2026-11-22T14:25:27.595+00:00" */
static void write_time(struct writer *writer, const char *name, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    char day[32], text[48];
    struct tm parts;

    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &parts));
    snprintf(text, sizeof text, "%s.%03d+00:00", day, (int)(ms % 1000));
    writer_text(writer, name, bytes_from_string(text));
}

static void write_age(struct writer *writer, const char *name, int64_t ms)
{
    if (ms < 0)
        writer_raw(writer, name, "null");
    else
        writer_count(writer, name, (uint64_t)ms);
}

static void write_totals(struct writer *writer, const struct survey_queue *queue)
{
    writer_count(writer, "messages", queue->ready + queue->unacked);
    writer_count(writer, "messages_ready", queue->ready);
    writer_count(writer, "messages_unacknowledged", queue->unacked);
}

/* Which messages of a durable queue are persistent is not counted: all of them, most likely. */
static void write_messages(struct writer *writer, const struct queue_row *row)
{
    const struct survey_queue *queue = &row->queue;
    uint64_t messages = queue->ready + queue->unacked, octets = queue->ready_bytes + queue->unacked_bytes;
    uint64_t away_octets = survey_queue_away_bytes(queue);

    write_totals(writer, queue);
    writer_count(writer, "messages_ram", messages - queue->away);
    writer_count(writer, "messages_ready_ram", queue->ready - queue->away);
    writer_count(writer, "messages_unacknowledged_ram", queue->unacked);
    writer_count(writer, "messages_persistent", queue->durable ? messages : 0);
    writer_count(writer, "messages_paged_out", queue->away);
    writer_count(writer, "message_bytes", octets);
    writer_count(writer, "message_bytes_ready", queue->ready_bytes);
    writer_count(writer, "message_bytes_unacknowledged", queue->unacked_bytes);
    writer_count(writer, "message_bytes_ram", octets - away_octets);
    writer_count(writer, "message_bytes_persistent", queue->durable ? octets : 0);
    writer_count(writer, "message_bytes_paged_out", away_octets);
    if (row->has_timestamp)
        writer_count(writer, "head_message_timestamp", row->timestamp);
    else
        writer_raw(writer, "head_message_timestamp", "null");
}

static void write_rates(struct writer *writer, struct request *request, uint64_t key,
                        const struct survey_queue *queue)
{
    static const char *const names[] = {"messages_details", "messages_ready_details",
                                        "messages_unacknowledged_details"};
    bool is_still = stats_is_still(request, key);
    uint64_t messages = queue->ready + queue->unacked;
    json_t *lengths = NULL;

    if (!is_still) {
        lengths = json_pack("{s:I,s:I,s:I}", "messages", (json_int_t)messages, "messages_ready",
                            (json_int_t)queue->ready, "messages_unacknowledged", (json_int_t)queue->unacked);
        stats_add_lengths(request, key, lengths);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (is_still)
            writer_raw(writer, names[i], "{\"rate\":0.0}");
        else
            writer_json(writer, names[i], json_incref(json_object_get(lengths, names[i])));
    }
    json_decref(lengths);
}

static void write_message_stats(struct writer *writer, struct request *request, uint64_t key,
                                const struct message_counts *counts)
{
    json_t *stats;

    if (!writer_wants(writer, "message_stats"))
        return;
    stats = json_message_stats(counts);
    stats_add_messages(request, key, stats);
    writer_json(writer, "message_stats", stats);
}

static void write_dead_lettered(struct writer *writer, const struct death_counts *deaths)
{
    static const struct columns all = {.has_all = true};
    struct writer inner;

    if (!writer_wants(writer, "dead_lettered"))
        return;
    writer_raw(writer, "dead_lettered", "");
    inner = writer_begin(writer->out, &all);
    for (int reason = 0; reason < DEATH_REASONS; reason++)
        writer_count(&inner, death_reason_name((enum death_reason)reason), deaths->dead_lettered[reason]);
    writer_end(&inner);
}

/* A cluster of one node. */
static void write_quorum(struct writer *writer, struct request *request, const struct queue_row *row)
{
    const char *node = node_name(request->server);

    writer_text(writer, "leader", bytes_from_string(node));
    writer_json(writer, "members", json_pack("[s]", node));
    writer_json(writer, "online", json_pack("[s]", node));
    if (row->options.has_delivery_limit && row->options.delivery_limit >= 0)
        writer_count(writer, "delivery_limit", (uint64_t)row->options.delivery_limit);
}

static void write_quorum_statistics(struct writer *writer, struct request *request)
{
    writer_json(writer, "open_files", json_pack("{s:i}", node_name(request->server), 0));
    writer_count(writer, "messages_dlx", 0);
    writer_count(writer, "message_bytes_dlx", 0);
}

static void write_table(struct writer *writer, const char *name, struct bytes table)
{
    if (table.size)
        writer_json(writer, name, json_table(table));
    else
        writer_raw(writer, name, "{}");
}

static void write_declared(struct writer *writer, struct request *request, const char *vhost,
                           const struct queue_row *row)
{
    const struct survey_queue *queue = &row->queue;

    writer_text(writer, "name", queue->name);
    writer_text(writer, "vhost", bytes_from_string(vhost));
    writer_text(writer, "type", bytes_from_string(queue_type_name(row->options.type)));
    writer_bool(writer, "durable", queue->durable);
    writer_bool(writer, "auto_delete", queue->auto_delete);
    writer_bool(writer, "exclusive", queue->exclusive);
    write_table(writer, "arguments", queue->arguments);
    writer_text(writer, "node", bytes_from_string(node_name(request->server)));
    writer_text(writer, "state", bytes_from_string(queue->is_broken ? "crashed" : "running"));
    if (row->options.type == QUEUE_QUORUM)
        write_quorum(writer, request, row);
}

static void write_policies(struct writer *writer, const struct queue_row *row)
{
    writer_text_or_null(writer, "policy", row->policy);
    writer_text_or_null(writer, "operator_policy", row->operator_policy);
    write_table(writer, "effective_policy_definition", buffer_bytes(&row->definition));
}

static void write_consumers(struct writer *writer, struct request *request, const struct queue_row *row)
{
    const struct survey_queue *queue = &row->queue;

    writer_text_or_null(writer, "exclusive_consumer_tag", queue->exclusive_consumer);
    writer_text_or_null(writer, "single_active_consumer_tag", queue->active_consumer);
    writer_count(writer, "consumers", queue->consumers);
    writer_raw(writer, "consumer_capacity", queue->could_deliver ? "1.0" : "0.0");
    writer_raw(writer, "consumer_utilisation", queue->could_deliver ? "1.0" : "0.0");
    if (row->owner.serial)
        writer_json(writer, "owner_pid_details", connection_details(request, &row->owner));
}

/* Without consumers, and for a while nothing declared it, got from it or came into it. */
#define IDLE_MS 5000

static bool is_idle(const struct survey_queue *queue)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return !queue->consumers && queue->idle_since > 0 &&
           (int64_t)now.tv_sec * 1000 - queue->idle_since >= IDLE_MS;
}

static void write_statistics(struct writer *writer, struct request *request, const char *vhost,
                             const struct queue_row *row)
{
    const struct survey_queue *queue = &row->queue;
    uint64_t key = stats_key(STATS_QUEUE, bytes_from_string(vhost), queue->name);

    write_policies(writer, row);
    write_consumers(writer, request, row);
    write_messages(writer, row);
    write_rates(writer, request, key, queue);
    writer_count(writer, "memory", queue->memory);
    if (writer_wants(writer, "idle_since") && is_idle(queue))
        write_time(writer, "idle_since", queue->idle_since);
    if (row->options.type == QUEUE_QUORUM)
        write_quorum_statistics(writer, request);
    write_age(writer, "oldest_message_age_ms", queue->oldest_age_ms);
    write_age(writer, "oldest_unacked_age_ms", queue->oldest_unacked_age_ms);
    write_dead_lettered(writer, &row->deaths);
    writer_text(writer, "durability", bytes_from_string(row->options.relaxed ? "relaxed" : "safe"));
    write_message_stats(writer, request, key, &row->counts);
}

static void write_queue(struct buffer *out, const struct columns *columns, struct request *request,
                        const char *vhost, const struct queue_row *row)
{
    struct writer writer = writer_begin(out, columns);

    write_declared(&writer, request, vhost, row);
    if (!request_query_is_true(request, "disable_stats"))
        write_statistics(&writer, request, vhost, row);
    else if (request_query_is_true(request, "enable_queue_totals"))
        write_totals(&writer, &row->queue);
    writer_end(&writer);
}

static bool collect(struct listing *listing, const char *vhost)
{
    return listing_collect(listing, vhost, SURVEY_QUEUES, collect_slice);
}

static void write_rows(struct listing *listing, const struct listing_key *keys, size_t count,
                       const struct columns *columns, struct buffer *out, size_t *ends)
{
    struct fetching fetching = {.keys = keys, .count = count};

    fetching.rows = xcalloc(count, sizeof *fetching.rows);
    visit_vhost(listing->request->server, bytes_from_string(keys->vhost), fetch_rows, &fetching);
    for (size_t i = 0; i < count; i++) {
        if (fetching.rows[i].is_there)
            write_queue(out, columns, listing->request, keys->vhost, &fetching.rows[i]);
        ends[i] = out->size;
        buffer_free(&fetching.rows[i].definition);
    }
    free(fetching.rows);
    arena_clear(&fetching.arena);
}

static const struct listing_source queues = {.collect = collect, .write = write_rows};

/* ---- paths ---- */

static void list_all(struct request *request)
{
    listing_run(request, &queues, NULL, (struct bytes){NULL, 0});
}

static void list_vhost(struct request *request)
{
    listing_run(request, &queues, request->segments[2], (struct bytes){NULL, 0});
}

/* The one of the path; NULL when there is none. */
static json_t *find(struct request *request)
{
    static const struct columns all = {.has_all = true};
    struct listing_key key = {.vhost = request->segments[2], .name = request_segment(request, 3)};
    struct listing listing = {.request = request};
    struct buffer text = {0};
    json_t *row = NULL;
    size_t end;

    write_rows(&listing, &key, 1, &all, &text, &end);
    if (end)
        row = json_loadb((const char *)text.data, end, JSON_ALLOW_NUL, NULL);
    buffer_free(&text);
    return row;
}

static bool exists(struct request *request)
{
    json_t *row = find(request);

    json_decref(row);
    return row != NULL;
}

static json_t *consumers_of(struct request *request)
{
    struct fetching_consumers *fetching = xcalloc(1, sizeof *fetching);
    json_t *out = json_array();

    fetching->queue = request_segment(request, 3);
    visit_vhost(request->server, request_segment(request, 2), fetch_consumers, fetching);
    for (size_t i = 0; i < fetching->count; i++)
        json_array_append_new(out, consumer_json(request, request->segments[2], &fetching->rows[i]));
    arena_clear(&fetching->arena);
    free(fetching);
    return out;
}

static void show(struct request *request)
{
    json_t *row = find(request);

    if (row && !request_query_is_true(request, "disable_stats")) {
        json_put(row, "consumer_details", consumers_of(request));
        json_put(row, "incoming", json_array());
        json_put(row, "deliveries", json_array());
    }
    reply_row(request, row);
}

static void list_bindings(struct request *request)
{
    list_bindings_of_queue(request, request_segment(request, 3));
}

/* ---- changing ---- */

/* False, after answering, when the body asks for another node than this. */
static bool check_node(struct request *request, json_t *body)
{
    struct bytes node = {NULL, 0};

    if (!body_text(request, body, "node", &node))
        return false;
    if (!node.data || bytes_equal_string(node, node_name(request->server)))
        return true;
    reply_bad_request(request, "Node %.*s could not be contacted", BYTES_ARG(node));
    return false;
}

/* Nobody would own an exclusive queue: it becomes what RabbitMQ makes of it, a transient one of all. */
static bool take_flags(struct request *request, json_t *body, struct method_queue_declare *declare)
{
    bool exclusive;

    if (!body_bool(request, body, "durable", &declare->durable) ||
        !body_bool(request, body, "auto_delete", &declare->auto_delete) ||
        !body_bool(request, body, "exclusive", &exclusive))
        return false;
    declare->durable = declare->durable && !exclusive;
    return true;
}

static void put_queue(struct request *request)
{
    struct method method = {.id = METHOD_QUEUE_DECLARE};
    struct method_queue_declare *declare = &method.queue_declare;
    json_t *body = request_json(request);
    struct buffer arguments = {0};
    bool is_old;

    if (!body)
        return;
    declare->queue = request_segment(request, 3);
    if (name_fits(request, declare->queue) && check_node(request, body) &&
        take_flags(request, body, declare) && body_table(request, body, "arguments", &arguments)) {
        declare->arguments = buffer_bytes(&arguments);
        is_old = exists(request);
        if (amqp_do(request, request_segment(request, 2), &method))
            reply_empty(request, is_old ? 204 : 201);
    }
    buffer_free(&arguments);
}

static void delete_queue(struct request *request)
{
    struct method method = {.id = METHOD_QUEUE_DELETE};

    method.queue_delete =
        (struct method_queue_delete){.queue = request_segment(request, 3),
                                     .if_unused = request_query_is_true(request, "if-unused"),
                                     .if_empty = request_query_is_true(request, "if-empty")};
    if (!exists(request))
        reply_not_found(request);
    else if (amqp_do(request, request_segment(request, 2), &method))
        reply_empty(request, 204);
}

static void purge(struct request *request)
{
    struct method method = {.id = METHOD_QUEUE_PURGE, .queue_purge = {.queue = request_segment(request, 3)}};

    if (!exists(request))
        reply_not_found(request);
    else if (amqp_do(request, request_segment(request, 2), &method))
        reply_empty(request, 204);
}

/* Mirrors would be synchronized; there are none. */
static void act(struct request *request)
{
    static const char *const needed[] = {"action"};
    struct bytes action = {NULL, 0};
    json_t *body = request_json(request);

    if (!body || !body_has(request, body, needed, 1) || !body_text(request, body, "action", &action))
        return;
    if (!bytes_equal_string(action, "sync") && !bytes_equal_string(action, "cancel_sync"))
        reply_bad_request(request, "unknown: %.*s", BYTES_ARG(action));
    else if (!exists(request))
        reply_not_found(request);
    else
        reply_empty(request, 204);
}

const struct route routes_queues[] = {
    {"queues", {[VERB_GET] = {list_all, ACCESS_ANY}}},
    {"queues/detailed", {[VERB_GET] = {list_all, ACCESS_ANY}}},
    {"queues/:vhost", {[VERB_GET] = {list_vhost, ACCESS_VHOST}}},
    {"queues/:vhost/:name",
     {[VERB_GET] = {show, ACCESS_VHOST},
      [VERB_PUT] = {put_queue, ACCESS_VHOST},
      [VERB_DELETE] = {delete_queue, ACCESS_VHOST}}},
    {"queues/:vhost/:name/bindings", {[VERB_GET] = {list_bindings, ACCESS_VHOST}}},
    {"queues/:vhost/:name/contents", {[VERB_DELETE] = {purge, ACCESS_VHOST}}},
    {"queues/:vhost/:name/actions", {[VERB_POST] = {act, ACCESS_VHOST}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
