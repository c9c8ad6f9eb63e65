/* SPDX-License-Identifier: Apache-2.0 */
/* Overview (management-http-api.md 3.1), and small things that tools ask for when they begin. */
#include <event2/keyvalq_struct.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/access.h"
#include "admin/admin_fields.h"
#include "admin/json.h"
#include "admin/node_json.h"
#include "admin/router.h"
#include "admin/stats/stats.h"
#include "coney/base64.h"
#include "coney/node_access.h"
#include "coney/node_stats.h"
#include "coney/vhost.h"
#include "coney/visit.h"
#include "coney/xalloc.h"

static const struct config *config_of(const struct request *request)
{
    return node_condition(request->server).config;
}

/* ---- overview ---- */

/* Of the vhosts that the asker has rights in: who is no monitor sees no more. */
static void sum_up_own(struct request *request, struct survey_vhost *out)
{
    size_t count;
    char **names = visit_vhost_names(request->server, &count);

    *out = (struct survey_vhost){0};
    for (size_t i = 0; i < count; i++) {
        if (access_has_vhost(request, bytes_from_string(names[i])))
            visit_vhost(request->server, bytes_from_string(names[i]), node_add_vhost, out);
        free(names[i]);
    }
    free((void *)names);
}

static void put_product(json_t *out, struct request *request)
{
    const struct config *config = config_of(request);

    json_put(out, "management_version", json_string(config->product_version));
    json_put(out, "product_name", json_string(config->product_name));
    json_put(out, "product_version", json_string(config->product_version));
    json_put(out, "coney_version", json_string(PACKAGE_VERSION));
    put_versions(out, config);
    json_put(out, "release_series_support_status", json_string("supported"));
}

static void put_constants(json_t *out, struct request *request)
{
    json_put(out, "rates_mode", json_string("basic"));
    json_put(out, "sample_retention_policies",
             json_pack("{s:[i,i],s:[i],s:[i]}", "global", 600, 3600, "basic", 600, "detailed", 600));
    json_put(out, "exchange_types", exchange_types_json());
    json_put(out, "cluster_name", json_text(bytes_from_string(node_cluster_name(request->server))));
    json_put(out, "cluster_tags", json_array());
    json_put(out, "node_tags", json_array());
    json_put(out, "default_queue_type", json_string(queue_type_name(config_of(request)->default_queue_type)));
    json_put(out, "is_op_policy_updating_enabled", json_true());
    json_put(out, "disable_stats", json_false());
    json_put(out, "enable_queue_totals", json_false());
    json_put_count(out, "statistics_db_event_queue", 0);
}

static json_t *churn_json(struct request *request, const struct vhost_counts *counts)
{
    json_t *out = json_object();

    put_churn(out, counts);
    stats_add_node(request, out);
    return out;
}

/* What is of the node alone has rates; of some vhosts together nobody keeps any. */
static void put_totals(json_t *out, struct request *request, const struct survey_vhost *totals, bool is_all)
{
    json_t *messages = json_message_stats(&totals->counts.messages), *lengths = json_object();

    if (is_all)
        stats_add_messages(request, stats_key_of_node(), messages);
    json_put(out, "message_stats", messages);
    put_count_with_rate(lengths, "messages", totals->ready + totals->unacked);
    put_count_with_rate(lengths, "messages_ready", totals->ready);
    put_count_with_rate(lengths, "messages_unacknowledged", totals->unacked);
    if (is_all)
        stats_add_lengths(request, stats_key_of_node(), lengths);
    json_put(out, "queue_totals", lengths);
    json_put(out, "object_totals",
             json_pack("{s:I,s:I,s:I,s:I,s:I}", "channels", (json_int_t)totals->channels, "connections",
                       (json_int_t)totals->connections, "consumers", (json_int_t)totals->consumers,
                       "exchanges", (json_int_t)totals->exchanges, "queues", (json_int_t)totals->queues));
}

/* Messages written to the journal and read back from disk. */
static void put_disk(json_t *out, struct request *request)
{
    json_t *messages = json_object_get(out, "message_stats");
    struct node_stats node;

    if (!json_object_size(messages))
        return;
    if (node_stats(request->server, &node)) {
        put_count_with_rate(messages, "disk_reads", node.store.fetched_runs);
        put_count_with_rate(messages, "disk_writes", node.store.journal_records);
        stats_add_node(request, messages);
    }
    node_stats_clear(&node);
}

static void show_overview(struct request *request)
{
    bool is_all = access_is_monitor(request);
    struct survey_vhost totals = {0};
    json_t *out;

    if (is_all && !node_totals(request->server, &totals, NULL)) {
        reply_stopping(request);
        return;
    }
    if (!is_all)
        sum_up_own(request, &totals);
    out = json_object();
    put_product(out, request);
    put_constants(out, request);
    put_totals(out, request, &totals, is_all);
    json_put(out, "churn_rates", is_all ? churn_json(request, &totals.counts) : json_object());
    if (is_all) {
        put_disk(out, request);
        json_put(out, "node", json_string(node_name(request->server)));
        json_put(out, "listeners", listeners_json(request, false));
        json_put(out, "contexts", contexts_json(request));
    }
    reply_row(request, out);
}

/* ---- small things ---- */

static void show_extensions(struct request *request)
{
    reply_json(request, 200, json_array());
}

static const char *const feature_flags[] = {
    "classic_mirrored_queue_version", "classic_queue_type_delivery_support",
    "direct_exchange_routing_v2",     "drop_unroutable_metric",
    "empty_basic_get_metric",         "feature_flags_v2",
    "implicit_default_bindings",      "listener_records_in_ets",
    "maintenance_mode_status",        "quorum_queue",
    "tracking_records_in_ets",        "user_limits",
    "virtual_host_metadata"};

#define FEATURE_FLAGS (sizeof feature_flags / sizeof *feature_flags)

/* What these stand for is always there. */
static void list_feature_flags(struct request *request)
{
    json_t *out = json_array();

    for (size_t i = 0; i < FEATURE_FLAGS; i++)
        json_array_append_new(out, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "name", feature_flags[i], "desc",
                                             "", "doc_url", "", "state", "enabled", "stability", "stable",
                                             "provided_by", "rabbit"));
    reply_json(request, 200, out);
}

static void enable_feature_flag(struct request *request)
{
    struct bytes name = request_segment(request, 2);

    for (size_t i = 0; i < FEATURE_FLAGS; i++)
        if (bytes_equal_string(name, feature_flags[i])) {
            reply_empty(request, 204);
            return;
        }
    reply_bad_request(request, "unsupported");
}

static void list_nothing(struct request *request)
{
    reply_json(request, 200, json_array());
}

static void show_version(struct request *request)
{
    reply_json(request, 200, json_string(config_of(request)->product_version));
}

static void show_auth(struct request *request)
{
    reply_json(request, 200,
               json_pack("{s:b,s:b,s:s,s:s}", "enable_uaa", 0, "oauth_enabled", 0, "uaa_client_id", "",
                         "uaa_location", ""));
}

/* The header that says USER and PASSWORD. */
static char *basic_header(const char *user, const char *password)
{
    static const char scheme[] = "Basic ";
    size_t size = strlen(user) + strlen(password) + 1, room;
    char *both = xmalloc(size + 1), *text, *out;

    snprintf(both, size + 1, "%s:%s", user, password);
    text = base64_encode((struct bytes){(const uint8_t *)both, size});
    OPENSSL_cleanse(both, size);
    free(both);
    room = sizeof scheme + strlen(text);
    out = xmalloc(room);
    snprintf(out, room, "%s%s", scheme, text);
    OPENSSL_cleanse(text, strlen(text));
    free(text);
    return out;
}

/* A form; what it says is looked at as if it stood in the header. */
static void take_login(struct request *request)
{
    struct evkeyvalq form;
    const char *user, *password;

    if (request->body.size && evhttp_parse_query_str((const char *)request->body.data, &form) == 0) {
        user = evhttp_find_header(&form, "username");
        password = evhttp_find_header(&form, "password");
        free(request->authorization);
        request->authorization = basic_header(user ? user : "", password ? password : "");
        evhttp_clear_headers(&form);
    }
    if (access_login(request) && access_check(request, ACCESS_ANY, (struct bytes){NULL, 0}))
        reply_json(request, 200, json_string("ok"));
}

static void reset(struct request *request)
{
    if (request->segment_count > 2 && !is_this_node(request, request_segment(request, 2))) {
        reply_not_found(request);
        return;
    }
    stats_reset(request->admin->stats);
    reply_empty(request, 204);
}

static void rebalance(struct request *request)
{
    reply_empty(request, 204);
}

static void show_config(struct request *request)
{
    const struct config *config = config_of(request);
    json_t *out = json_object();
    struct config_key key;

    for (size_t i = 0; config_key_at(i, &key); i++) {
        char *value = config_value_at(config, i);

        if (value)
            json_put(out, key.name, json_text(bytes_from_string(value)));
        free(value);
    }
    reply_row(request, out);
}

/* ---- for people ---- */

static void redirect(struct request *request)
{
    char where[512];

    snprintf(where, sizeof where, "%s/api/index.html", config_of(request)->management_path_prefix);
    reply_header(request, "location", where);
    reply_empty(request, 301);
}

static void show_index(struct request *request)
{
    reply_begin(request, 200, "text/html; charset=utf-8");
    evbuffer_add_printf(
        request->out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>HTTP API</title></head><body>\n"
        "<h1>HTTP API</h1>\n"
        "<p>This is coney %s. It speaks the HTTP API of RabbitMQ's management plugin, whose reference holds "
        "here too; coney's own API.md and COMPATIBILITY.md say what is added and what differs.</p>\n"
        "<p>Requests need HTTP basic authentication; names in paths are percent-encoded, the vhost / is "
        "%%2F.</p>\n</body></html>\n",
        PACKAGE_VERSION);
}

const struct route routes_overview[] = {
    {"", {[VERB_GET] = {redirect, ACCESS_OPEN}}},
    {"index.html", {[VERB_GET] = {show_index, ACCESS_OPEN}}},
    {"overview", {[VERB_GET] = {show_overview, ACCESS_ANY}}},
    {"extensions", {[VERB_GET] = {show_extensions, ACCESS_ANY}}},
    {"feature-flags", {[VERB_GET] = {list_feature_flags, ACCESS_ANY}}},
    {"feature-flags/:name/enable", {[VERB_PUT] = {enable_feature_flag, ACCESS_ADMINISTRATOR}}},
    {"deprecated-features", {[VERB_GET] = {list_nothing, ACCESS_ANY}}},
    {"deprecated-features/used", {[VERB_GET] = {list_nothing, ACCESS_ANY}}},
    {"federation-links", {[VERB_GET] = {list_nothing, ACCESS_MONITOR}}},
    {"federation-links/:vhost", {[VERB_GET] = {list_nothing, ACCESS_MONITOR}}},
    {"version", {[VERB_GET] = {show_version, ACCESS_OPEN}}},
    {"auth", {[VERB_GET] = {show_auth, ACCESS_OPEN}}},
    {"login", {[VERB_POST] = {take_login, ACCESS_OPEN}}},
    {"reset", {[VERB_DELETE] = {reset, ACCESS_ADMINISTRATOR}}},
    {"reset/:node", {[VERB_DELETE] = {reset, ACCESS_ADMINISTRATOR}}},
    {"rebalance/queues", {[VERB_POST] = {rebalance, ACCESS_ADMINISTRATOR}}},
    {"config/effective", {[VERB_GET] = {show_config, ACCESS_ADMINISTRATOR}}},
    {"coney/environment", {[VERB_GET] = {show_config, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
