/* SPDX-License-Identifier: Apache-2.0 */
/* Queues (management-http-api.md 3.7). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "amqp.h"
#include "bindings.h"
#include "body.h"
#include "coney/death.h"
#include "coney/node_access.h"
#include "coney/survey.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "consumers.h"
#include "json.h"
#include "listing.h"
#include "router.h"
#include "stats.h"

/* A queue as it was seen inside: strings are the arena's. */
struct queue_row {
    bool is_there;
    struct survey_queue queue;
    struct queue_options options;
    struct message_counts counts;
    struct death_counts deaths;
    struct bytes policy, operator_policy;
    struct buffer definition;  /* of both, as a table; owned */
    struct session_name owner; /* that it is exclusive to; serial 0: nobody */
};

/* ---- inside the vhost: copy, no more ---- */

struct collecting {
    struct listing *listing;
    const char *vhost;
    struct survey_cursor cursor;
};

static void note_name(void *context, const struct survey_queue *queue)
{
    const struct collecting *collecting = context;

    listing_add(collecting->listing, collecting->vhost, queue->name, 0, 0);
}

static void collect_slice(struct vhost *vhost, void *argument)
{
    struct collecting *collecting = argument;

    survey_queues(vhost, &collecting->cursor, 4 * LISTING_SLICE, note_name, collecting);
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

static json_t *text_or_null(struct bytes text)
{
    return text.data ? json_text(text) : json_null();
}

static json_t *age_json(int64_t ms)
{
    return ms < 0 ? json_null() : json_integer((json_int_t)ms);
}

/* "2026-11-22T14:25:27.595+00:00" */
static json_t *time_json(int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    char day[32], text[48];
    struct tm parts;

    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &parts));
    snprintf(text, sizeof text, "%s.%03d+00:00", day, (int)(ms % 1000));
    return json_string(text);
}

static void put_totals(json_t *out, const struct survey_queue *queue)
{
    json_put_count(out, "messages", queue->ready + queue->unacked);
    json_put_count(out, "messages_ready", queue->ready);
    json_put_count(out, "messages_unacknowledged", queue->unacked);
}

/* Which messages of a durable queue are persistent is not counted: all of them, most likely. */
static void put_messages(json_t *out, const struct survey_queue *queue)
{
    uint64_t messages = queue->ready + queue->unacked, octets = queue->ready_bytes + queue->unacked_bytes;
    uint64_t away_octets =
        queue->ready ? (uint64_t)((double)queue->ready_bytes / (double)queue->ready * (double)queue->away)
                     : 0;

    put_totals(out, queue);
    json_put(out, "messages_details", json_rate(0));
    json_put(out, "messages_ready_details", json_rate(0));
    json_put(out, "messages_unacknowledged_details", json_rate(0));
    json_put_count(out, "messages_ram", messages - queue->away);
    json_put_count(out, "messages_ready_ram", queue->ready - queue->away);
    json_put_count(out, "messages_unacknowledged_ram", queue->unacked);
    json_put_count(out, "messages_persistent", queue->durable ? messages : 0);
    json_put_count(out, "messages_paged_out", queue->away);
    json_put_count(out, "message_bytes", octets);
    json_put_count(out, "message_bytes_ready", queue->ready_bytes);
    json_put_count(out, "message_bytes_unacknowledged", queue->unacked_bytes);
    json_put_count(out, "message_bytes_ram", octets - away_octets);
    json_put_count(out, "message_bytes_persistent", queue->durable ? octets : 0);
    json_put_count(out, "message_bytes_paged_out", away_octets);
    json_put(out, "head_message_timestamp", json_null());
}

static json_t *dead_lettered_json(const struct death_counts *deaths)
{
    json_t *out = json_object();

    for (int reason = 0; reason < DEATH_REASONS; reason++)
        json_put_count(out, death_reason_name((enum death_reason)reason), deaths->dead_lettered[reason]);
    return out;
}

/* A cluster of one node. */
static void put_quorum(struct request *request, json_t *out, const struct queue_row *row)
{
    const char *node = node_name(request->server);

    json_put(out, "leader", json_string(node));
    json_put(out, "members", json_pack("[s]", node));
    json_put(out, "online", json_pack("[s]", node));
    if (row->options.has_delivery_limit && row->options.delivery_limit >= 0)
        json_put_count(out, "delivery_limit", (uint64_t)row->options.delivery_limit);
}

static void put_quorum_statistics(struct request *request, json_t *out)
{
    json_put(out, "open_files", json_pack("{s:i}", node_name(request->server), 0));
    json_put_count(out, "messages_dlx", 0);
    json_put_count(out, "message_bytes_dlx", 0);
}

static void put_declared(struct request *request, json_t *out, const char *vhost, const struct queue_row *row)
{
    const struct survey_queue *queue = &row->queue;

    json_put(out, "name", json_text(queue->name));
    json_put(out, "vhost", json_text(bytes_from_string(vhost)));
    json_put(out, "type", json_string(queue_type_name(row->options.type)));
    json_put(out, "durable", json_boolean(queue->durable));
    json_put(out, "auto_delete", json_boolean(queue->auto_delete));
    json_put(out, "exclusive", json_boolean(queue->exclusive));
    json_put(out, "arguments", json_table(queue->arguments));
    json_put(out, "node", json_string(node_name(request->server)));
    json_put(out, "state", json_string(queue->is_broken ? "crashed" : "running"));
    if (row->options.type == QUEUE_QUORUM)
        put_quorum(request, out, row);
}

static void put_policies(json_t *out, const struct queue_row *row)
{
    json_put(out, "policy", text_or_null(row->policy));
    json_put(out, "operator_policy", text_or_null(row->operator_policy));
    json_put(out, "effective_policy_definition", json_table(buffer_bytes(&row->definition)));
}

static void put_consumers(struct request *request, json_t *out, const struct queue_row *row)
{
    const struct survey_queue *queue = &row->queue;

    json_put(out, "exclusive_consumer_tag", text_or_null(queue->exclusive_consumer));
    json_put(out, "single_active_consumer_tag", text_or_null(queue->active_consumer));
    json_put_count(out, "consumers", queue->consumers);
    json_put(out, "consumer_capacity", json_real(queue->could_deliver));
    json_put(out, "consumer_utilisation", json_real(queue->could_deliver));
    if (row->owner.serial)
        json_put(out, "owner_pid_details", connection_details(request, &row->owner));
}

/* Unused: without consumers, and nothing declared it or got from it for a while. */
#define IDLE_MS 5000

static bool is_idle(const struct survey_queue *queue)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return !queue->consumers && queue->unused_since > 0 &&
           (int64_t)now.tv_sec * 1000 - queue->unused_since >= IDLE_MS;
}

static void put_statistics(struct request *request, json_t *out, const char *vhost,
                           const struct queue_row *row)
{
    const struct survey_queue *queue = &row->queue;
    uint64_t key = stats_key(STATS_QUEUE, bytes_from_string(vhost), queue->name);
    json_t *messages = json_message_stats(&row->counts, NULL);

    put_policies(out, row);
    put_consumers(request, out, row);
    put_messages(out, queue);
    stats_add_lengths(request, key, out);
    stats_add_messages(request, key, messages);
    json_put_count(out, "memory", queue->memory);
    if (is_idle(queue))
        json_put(out, "idle_since", time_json(queue->unused_since));
    if (row->options.type == QUEUE_QUORUM)
        put_quorum_statistics(request, out);
    json_put(out, "oldest_message_age_ms", age_json(queue->oldest_age_ms));
    json_put(out, "oldest_unacked_age_ms", age_json(queue->oldest_unacked_age_ms));
    json_put(out, "dead_lettered", dead_lettered_json(&row->deaths));
    json_put(out, "durability", json_string(row->options.relaxed ? "relaxed" : "safe"));
    json_put(out, "message_stats", messages);
}

static json_t *queue_json(struct request *request, const char *vhost, const struct queue_row *row)
{
    json_t *out = json_object();

    put_declared(request, out, vhost, row);
    if (!request_query_is_true(request, "disable_stats"))
        put_statistics(request, out, vhost, row);
    else if (request_query_is_true(request, "enable_queue_totals"))
        put_totals(out, &row->queue);
    return out;
}

static bool collect(struct listing *listing, const char *vhost)
{
    struct collecting collecting = {.listing = listing, .vhost = vhost, .cursor = {.of = SURVEY_QUEUES}};

    while (!collecting.cursor.is_at_end) {
        switch (visit_vhost(listing->request->server, bytes_from_string(vhost), collect_slice, &collecting)) {
        case VISIT_DONE:
            break;
        case VISIT_NO_VHOST:
            return true;
        case VISIT_STOPPING:
            reply_stopping(listing->request);
            return false;
        }
    }
    return true;
}

static void fetch(struct listing *listing, const struct listing_key *keys, size_t count, json_t **rows)
{
    struct fetching fetching = {.keys = keys, .count = count};

    fetching.rows = xcalloc(count, sizeof *fetching.rows);
    visit_vhost(listing->request->server, bytes_from_string(keys->vhost), fetch_rows, &fetching);
    for (size_t i = 0; i < count; i++) {
        rows[i] =
            fetching.rows[i].is_there ? queue_json(listing->request, keys->vhost, &fetching.rows[i]) : NULL;
        buffer_free(&fetching.rows[i].definition);
    }
    free(fetching.rows);
    arena_clear(&fetching.arena);
}

static const struct listing_source queues = {.collect = collect, .fetch = fetch};

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
    struct listing_key key = {.vhost = request->segments[2], .name = request_segment(request, 3)};
    struct listing listing = {.request = request};
    json_t *row = NULL;

    fetch(&listing, &key, 1, &row);
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

    if (!row) {
        reply_not_found(request);
        return;
    }
    if (!request_query_is_true(request, "disable_stats")) {
        json_put(row, "consumer_details", consumers_of(request));
        json_put(row, "incoming", json_array());
        json_put(row, "deliveries", json_array());
    }
    reply_json(request, 200, json_columns(row, request_query(request, "columns")));
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
