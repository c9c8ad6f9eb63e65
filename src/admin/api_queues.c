/* SPDX-License-Identifier: Apache-2.0 */
/* Queues (management-http-api.md 3.7). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coney/node_access.h"
#include "coney/survey.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "json.h"
#include "listing.h"
#include "router.h"

/* A queue as it was seen inside: strings are the arena's. */
struct queue_row {
    bool is_there;
    struct survey_queue queue;
    struct queue_options options;
    struct message_counts counts;
    struct death_counts deaths;
    struct bytes policy, operator_policy;
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
    row->queue.active_consumer = arena_copy(&fetching->arena, queue->active_consumer);
    row->queue.exclusive_consumer = arena_copy(&fetching->arena, queue->exclusive_consumer);
}

static void fetch_rows(struct vhost *vhost, void *argument)
{
    struct fetching *fetching = argument;

    for (size_t i = 0; i < fetching->count; i++) {
        fetching->row = &fetching->rows[i];
        fetching->row->is_there = false;
        survey_queue(vhost, fetching->keys[i].name, copy_row, fetching);
    }
}

/* ---- outside: rows ---- */

static void put(json_t *object, const char *name, json_t *value)
{
    json_object_set_new_nocheck(object, name, value);
}

static void put_count(json_t *object, const char *name, uint64_t value)
{
    put(object, name, json_integer((json_int_t)value));
}

static json_t *text_or_null(struct bytes text)
{
    return text.data ? json_text(text) : json_null();
}

static void put_messages(json_t *out, const struct survey_queue *queue)
{
    put_count(out, "messages", queue->ready + queue->unacked);
    put(out, "messages_details", json_rate(0));
    put_count(out, "messages_ready", queue->ready);
    put(out, "messages_ready_details", json_rate(0));
    put_count(out, "messages_unacknowledged", queue->unacked);
    put(out, "messages_unacknowledged_details", json_rate(0));
    put_count(out, "messages_ram", queue->ready - queue->away + queue->unacked);
    put_count(out, "messages_ready_ram", queue->ready - queue->away);
    put_count(out, "messages_unacknowledged_ram", queue->unacked);
    put_count(out, "messages_paged_out", queue->away);
    put_count(out, "message_bytes", queue->ready_bytes + queue->unacked_bytes);
    put_count(out, "message_bytes_ready", queue->ready_bytes);
    put_count(out, "message_bytes_unacknowledged", queue->unacked_bytes);
}

static json_t *age_json(int64_t ms)
{
    return ms < 0 ? json_null() : json_integer((json_int_t)ms);
}

static json_t *queue_json(struct request *request, const char *vhost, const struct queue_row *row)
{
    const struct survey_queue *queue = &row->queue;
    json_t *out = json_object();

    put(out, "name", json_text(queue->name));
    put(out, "vhost", json_text(bytes_from_string(vhost)));
    put(out, "type", json_string(queue_type_name(row->options.type)));
    put(out, "durable", json_boolean(queue->durable));
    put(out, "auto_delete", json_boolean(queue->auto_delete));
    put(out, "exclusive", json_boolean(queue->exclusive));
    put(out, "arguments", json_table(queue->arguments));
    put(out, "node", json_string(node_name(request->server)));
    put(out, "state", json_string(queue->is_broken ? "crashed" : "running"));
    put(out, "policy", text_or_null(row->policy));
    put(out, "operator_policy", text_or_null(row->operator_policy));
    put(out, "exclusive_consumer_tag", text_or_null(queue->exclusive_consumer));
    put(out, "single_active_consumer_tag", text_or_null(queue->active_consumer));
    put_count(out, "consumers", queue->consumers);
    put(out, "consumer_capacity", json_real(queue->could_deliver));
    put(out, "consumer_utilisation", json_real(queue->could_deliver));
    put_count(out, "memory", queue->memory);
    put_messages(out, queue);
    put(out, "oldest_message_age_ms", age_json(queue->oldest_age_ms));
    put(out, "oldest_unacked_age_ms", age_json(queue->oldest_unacked_age_ms));
    put(out, "durability", json_string(row->options.relaxed ? "relaxed" : "safe"));
    put(out, "message_stats", json_message_stats(&row->counts, NULL));
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
    for (size_t i = 0; i < count; i++)
        rows[i] =
            fetching.rows[i].is_there ? queue_json(listing->request, keys->vhost, &fetching.rows[i]) : NULL;
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

static void show(struct request *request)
{
    struct listing_key key = {.vhost = request->segments[2], .name = request_segment(request, 3)};
    struct listing listing = {.request = request};
    json_t *row = NULL;

    fetch(&listing, &key, 1, &row);
    if (row)
        reply_json(request, 200, json_columns(row, request_query(request, "columns")));
    else
        reply_not_found(request);
}

const struct route routes_queues[] = {
    {"queues", {[VERB_GET] = {list_all, ACCESS_ANY}}},
    {"queues/:vhost", {[VERB_GET] = {list_vhost, ACCESS_VHOST}}},
    {"queues/:vhost/:name", {[VERB_GET] = {show, ACCESS_VHOST}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
