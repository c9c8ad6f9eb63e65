/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges (management-http-api.md 3.6). The default one has no name, and is called amq.default in paths. */
#include <stdlib.h>
#include <string.h>

#include "admin/amqp.h"
#include "admin/bindings.h"
#include "admin/body.h"
#include "admin/json.h"
#include "admin/listing.h"
#include "admin/router.h"
#include "admin/stats/stats.h"
#include "coney/arena.h"
#include "coney/survey.h"
#include "coney/visit.h"
#include "coney/xalloc.h"

/* An exchange as it was seen inside: strings are the arena's. */
struct exchange_row {
    bool is_there;
    struct survey_exchange exchange;
    struct bytes policy;
};

/* ---- inside the vhost: copy, no more ---- */

static void note_name(void *context, const struct survey_exchange *exchange)
{
    const struct listing_survey *survey = context;

    listing_add(survey->listing, survey->vhost, exchange->name, 0, 0);
}

static void collect_slice(struct vhost *vhost, void *argument)
{
    struct listing_survey *survey = argument;

    survey_exchanges(vhost, &survey->cursor, 4 * LISTING_SLICE, note_name, survey);
}

struct fetching {
    struct arena arena;
    const struct listing_key *keys;
    size_t count;
    struct exchange_row *rows, *row;
};

static void copy_row(void *context, const struct survey_exchange *exchange)
{
    struct fetching *fetching = context;
    struct exchange_row *row = fetching->row;

    *row = (struct exchange_row){.is_there = true, .exchange = *exchange};
    row->exchange.name = arena_copy(&fetching->arena, exchange->name);
    row->exchange.arguments = arena_copy(&fetching->arena, exchange->arguments);
    if (exchange->policy)
        row->policy = arena_copy(&fetching->arena, bytes_from_string(exchange->policy));
}

static void fetch_rows(struct vhost *vhost, void *argument)
{
    struct fetching *fetching = argument;

    for (size_t i = 0; i < fetching->count; i++) {
        fetching->row = &fetching->rows[i];
        fetching->row->is_there = false;
        survey_exchange(vhost, fetching->keys[i].name, copy_row, fetching);
    }
}

/* ---- outside: rows ---- */

static json_t *message_stats(struct request *request, const char *vhost,
                             const struct survey_exchange *exchange)
{
    json_t *out = json_object();

    json_put_count(out, "publish_in", exchange->publish_in);
    json_put(out, "publish_in_details", json_rate(0));
    json_put_count(out, "publish_out", exchange->publish_out);
    json_put(out, "publish_out_details", json_rate(0));
    stats_add_exchange(request, stats_key(STATS_EXCHANGE, bytes_from_string(vhost), exchange->name), out);
    return out;
}

static json_t *exchange_json(struct request *request, const char *vhost, const struct exchange_row *row)
{
    const struct survey_exchange *exchange = &row->exchange;
    json_t *out = json_object();

    json_put(out, "name", json_text(exchange->name));
    json_put(out, "vhost", json_text(bytes_from_string(vhost)));
    json_put(out, "type", json_string(exchange->type));
    json_put(out, "durable", json_boolean(exchange->durable));
    json_put(out, "auto_delete", json_boolean(exchange->auto_delete));
    json_put(out, "internal", json_boolean(exchange->internal));
    json_put(out, "arguments", json_table(exchange->arguments));
    json_put(out, "user_who_performed_action",
             json_string(exchange_is_brokers(exchange->name) ? "rmq-internal" : "unknown"));
    if (row->policy.data)
        json_put(out, "policy", json_text(row->policy));
    if (!request_query_is_true(request, "disable_stats"))
        json_put(out, "message_stats", message_stats(request, vhost, exchange));
    return out;
}

static bool collect(struct listing *listing, const char *vhost)
{
    return listing_collect(listing, vhost, SURVEY_EXCHANGES, collect_slice);
}

static void fetch(struct listing *listing, const struct listing_key *keys, size_t count, json_t **rows)
{
    struct fetching fetching = {.keys = keys, .count = count};

    fetching.rows = xcalloc(count, sizeof *fetching.rows);
    visit_vhost(listing->request->server, bytes_from_string(keys->vhost), fetch_rows, &fetching);
    for (size_t i = 0; i < count; i++)
        rows[i] = fetching.rows[i].is_there ? exchange_json(listing->request, keys->vhost, &fetching.rows[i])
                                            : NULL;
    free(fetching.rows);
    arena_clear(&fetching.arena);
}

static const struct listing_source exchanges = {.collect = collect, .fetch = fetch};

/* ---- paths ---- */

static void list_all(struct request *request)
{
    listing_run(request, &exchanges, NULL, (struct bytes){NULL, 0});
}

static void list_vhost(struct request *request)
{
    listing_run(request, &exchanges, request->segments[2], (struct bytes){NULL, 0});
}

/* The one of the path; NULL when there is none. */
static json_t *find(struct request *request)
{
    struct listing_key key = {.vhost = request->segments[2], .name = exchange_of_segment(request, 3)};
    struct listing listing = {.request = request};
    json_t *row = NULL;

    fetch(&listing, &key, 1, &row);
    return row;
}

static void show(struct request *request)
{
    json_t *row = find(request);

    if (row) {
        json_put(row, "incoming", json_array());
        json_put(row, "outgoing", json_array());
    }
    reply_row(request, row);
}

static bool exists(struct request *request)
{
    json_t *row = find(request);

    json_decref(row);
    return row != NULL;
}

static void list_outgoing(struct request *request)
{
    list_bindings_of_exchange(request, exchange_of_segment(request, 3), true);
}

static void list_incoming(struct request *request)
{
    list_bindings_of_exchange(request, exchange_of_segment(request, 3), false);
}

static void put_exchange(struct request *request)
{
    struct method method = {.id = METHOD_EXCHANGE_DECLARE};
    struct method_exchange_declare *declare = &method.exchange_declare;
    json_t *body = request_json(request);
    struct buffer arguments = {0};
    bool is_old;

    if (!body)
        return;
    *declare = (struct method_exchange_declare){.type = BYTES_LITERAL("direct")};
    declare->exchange = exchange_of_segment(request, 3);
    if (name_fits(request, declare->exchange) && body_shortstr(request, body, "type", &declare->type) &&
        body_bool(request, body, "durable", &declare->durable) &&
        body_bool(request, body, "auto_delete", &declare->auto_delete) &&
        body_bool(request, body, "internal", &declare->internal) &&
        body_table(request, body, "arguments", &arguments)) {
        declare->arguments = buffer_bytes(&arguments);
        is_old = exists(request);
        if (amqp_do(request, request_segment(request, 2), &method))
            reply_empty(request, is_old ? 204 : 201);
    }
    buffer_free(&arguments);
}

static void delete_exchange(struct request *request)
{
    struct method method = {.id = METHOD_EXCHANGE_DELETE};

    method.exchange_delete =
        (struct method_exchange_delete){.exchange = exchange_of_segment(request, 3),
                                        .if_unused = request_query_is_true(request, "if-unused")};
    if (!exists(request))
        reply_not_found(request);
    else if (amqp_do(request, request_segment(request, 2), &method))
        reply_empty(request, 204);
}

const struct route routes_exchanges[] = {
    {"exchanges", {[VERB_GET] = {list_all, ACCESS_ANY}}},
    {"exchanges/:vhost", {[VERB_GET] = {list_vhost, ACCESS_VHOST}}},
    {"exchanges/:vhost/:name",
     {[VERB_GET] = {show, ACCESS_VHOST},
      [VERB_PUT] = {put_exchange, ACCESS_VHOST},
      [VERB_DELETE] = {delete_exchange, ACCESS_VHOST}}},
    {"exchanges/:vhost/:name/bindings/source", {[VERB_GET] = {list_outgoing, ACCESS_VHOST}}},
    {"exchanges/:vhost/:name/bindings/destination", {[VERB_GET] = {list_incoming, ACCESS_VHOST}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
