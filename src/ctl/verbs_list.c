/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs list_*: one table for each kind of object, with rabbitmqctl's columns and where the HTTP API has
 * them. Only the fields asked for are requested, so that a listing of 100,000 queues stays small.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "rows.h"
#include "verbs.h"

struct listing {
    const struct column *columns; /* ends with one without a name */
    const char *defaults;         /* "name messages" */
    const char *path;             /* with a %s if it is a vhost's */
    const char *heading;          /* with a %s likewise */
    bool has_timeout_line;        /* "Timeout: 60.0 seconds ..." */
    bool is_whole;                /* asks for whole objects: the path takes no ?columns= */
};

static const struct column queue_columns[] = {
    {"arguments", NULL, NULL, TERM_TABLE},
    {"auto_delete", NULL, NULL, TERM_PLAIN},
    {"consumer_capacity", NULL, NULL, TERM_PLAIN},
    {"consumer_utilisation", NULL, NULL, TERM_PLAIN},
    {"consumers", NULL, NULL, TERM_PLAIN},
    {"dead_lettered", NULL, NULL, TERM_PROPLIST},
    {"disk_reads", "message_stats.disk_reads", NULL, TERM_PLAIN},
    {"disk_writes", "message_stats.disk_writes", NULL, TERM_PLAIN},
    {"durability", NULL, NULL, TERM_ATOM},
    {"durable", NULL, NULL, TERM_PLAIN},
    {"effective_policy_definition", NULL, NULL, TERM_TABLE},
    {"exclusive", NULL, NULL, TERM_PLAIN},
    {"exclusive_consumer_pid", "exclusive_consumer_pid", NULL, TERM_PLAIN},
    {"exclusive_consumer_tag", NULL, NULL, TERM_PLAIN},
    {"head_message_timestamp", NULL, NULL, TERM_PLAIN},
    {"leader", NULL, NULL, TERM_ATOM},
    {"members", NULL, NULL, TERM_PLAIN},
    {"memory", NULL, NULL, TERM_PLAIN},
    {"message_bytes", NULL, NULL, TERM_PLAIN},
    {"message_bytes_persistent", NULL, NULL, TERM_PLAIN},
    {"message_bytes_ram", NULL, NULL, TERM_PLAIN},
    {"message_bytes_ready", NULL, NULL, TERM_PLAIN},
    {"message_bytes_unacknowledged", NULL, NULL, TERM_PLAIN},
    {"messages", NULL, NULL, TERM_PLAIN},
    {"messages_persistent", NULL, NULL, TERM_PLAIN},
    {"messages_ram", NULL, NULL, TERM_PLAIN},
    {"messages_ready", NULL, NULL, TERM_PLAIN},
    {"messages_ready_ram", NULL, NULL, TERM_PLAIN},
    {"messages_unacknowledged", NULL, NULL, TERM_PLAIN},
    {"messages_unacknowledged_ram", NULL, NULL, TERM_PLAIN},
    {"name", NULL, NULL, TERM_PLAIN},
    {"oldest_message_age_ms", NULL, NULL, TERM_PLAIN},
    {"oldest_unacked_age_ms", NULL, NULL, TERM_PLAIN},
    {"online", NULL, NULL, TERM_PLAIN},
    {"operator_policy", NULL, NULL, TERM_PLAIN},
    {"owner_pid", "owner_pid_details.pid", "owner_pid_details.name", TERM_PLAIN},
    {"pid", NULL, NULL, TERM_PLAIN},
    {"policy", NULL, NULL, TERM_PLAIN},
    {"slave_pids", "slave_pids", NULL, TERM_PLAIN},
    {"state", NULL, NULL, TERM_ATOM},
    {"synchronised_slave_pids", "synchronised_slave_pids", NULL, TERM_PLAIN},
    {"type", NULL, NULL, TERM_ATOM},
    {0},
};

static const struct column exchange_columns[] = {
    {"arguments", NULL, NULL, TERM_TABLE}, {"auto_delete", NULL, NULL, TERM_PLAIN},
    {"durable", NULL, NULL, TERM_PLAIN},   {"internal", NULL, NULL, TERM_PLAIN},
    {"name", NULL, NULL, TERM_PLAIN},      {"policy", NULL, NULL, TERM_PLAIN},
    {"type", NULL, NULL, TERM_ATOM},       {0},
};

static const struct column binding_columns[] = {
    {"arguments", NULL, NULL, TERM_TABLE},
    {"destination_kind", "destination_type", NULL, TERM_ATOM},
    {"destination_name", "destination", NULL, TERM_PLAIN},
    {"routing_key", NULL, NULL, TERM_PLAIN},
    {"source_kind", NULL, NULL, TERM_ATOM},
    {"source_name", "source", NULL, TERM_PLAIN},
    {0},
};

static const struct column connection_columns[] = {
    {"auth_mechanism", NULL, NULL, TERM_PLAIN},
    {"channel_max", NULL, NULL, TERM_PLAIN},
    {"channels", NULL, NULL, TERM_PLAIN},
    {"client_properties", NULL, NULL, TERM_TABLE},
    {"connected_at", NULL, NULL, TERM_PLAIN},
    {"frame_max", NULL, NULL, TERM_PLAIN},
    {"host", NULL, NULL, TERM_PLAIN},
    {"name", NULL, NULL, TERM_PLAIN},
    {"peer_cert_issuer", NULL, NULL, TERM_PLAIN},
    {"peer_cert_subject", NULL, NULL, TERM_PLAIN},
    {"peer_cert_validity", NULL, NULL, TERM_PLAIN},
    {"peer_host", NULL, NULL, TERM_PLAIN},
    {"peer_port", NULL, NULL, TERM_PLAIN},
    {"pid", "pid", "name", TERM_PLAIN},
    {"port", NULL, NULL, TERM_PLAIN},
    {"protocol", NULL, NULL, TERM_PROTOCOL},
    {"recv_cnt", NULL, NULL, TERM_PLAIN},
    {"recv_oct", NULL, NULL, TERM_PLAIN},
    {"send_cnt", NULL, NULL, TERM_PLAIN},
    {"send_oct", NULL, NULL, TERM_PLAIN},
    {"send_pend", NULL, NULL, TERM_PLAIN},
    {"ssl", NULL, NULL, TERM_PLAIN},
    {"ssl_cipher", NULL, NULL, TERM_PLAIN},
    {"ssl_hash", NULL, NULL, TERM_PLAIN},
    {"ssl_key_exchange", NULL, NULL, TERM_PLAIN},
    {"ssl_protocol", NULL, NULL, TERM_PLAIN},
    {"state", NULL, NULL, TERM_ATOM},
    {"timeout", NULL, NULL, TERM_PLAIN},
    {"user", NULL, NULL, TERM_PLAIN},
    {"vhost", NULL, NULL, TERM_PLAIN},
    {0},
};

static const struct column channel_columns[] = {
    {"acks_uncommitted", NULL, NULL, TERM_PLAIN},
    {"confirm", NULL, NULL, TERM_PLAIN},
    {"connection", "connection_details.pid", "connection_details.name", TERM_PLAIN},
    {"consumer_count", NULL, NULL, TERM_PLAIN},
    {"global_prefetch_count", NULL, NULL, TERM_PLAIN},
    {"messages_unacknowledged", NULL, NULL, TERM_PLAIN},
    {"messages_uncommitted", NULL, NULL, TERM_PLAIN},
    {"messages_unconfirmed", NULL, NULL, TERM_PLAIN},
    {"name", NULL, NULL, TERM_PLAIN},
    {"number", NULL, NULL, TERM_PLAIN},
    {"pid", "pid", "name", TERM_PLAIN},
    {"prefetch_count", NULL, NULL, TERM_PLAIN},
    {"transactional", NULL, NULL, TERM_PLAIN},
    {"user", NULL, NULL, TERM_PLAIN},
    {"vhost", NULL, NULL, TERM_PLAIN},
    {0},
};

static const struct column consumer_columns[] = {
    {"ack_required", NULL, NULL, TERM_PLAIN},
    {"active", NULL, NULL, TERM_PLAIN},
    {"activity_status", NULL, NULL, TERM_ATOM},
    {"arguments", NULL, NULL, TERM_TABLE},
    {"channel_pid", "channel_details.pid", "channel_details.name", TERM_PLAIN},
    {"consumer_tag", NULL, NULL, TERM_PLAIN},
    {"prefetch_count", NULL, NULL, TERM_PLAIN},
    {"queue_name", "queue.name", NULL, TERM_PLAIN},
    {0},
};

static const struct column vhost_columns[] = {
    {"cluster_state", NULL, NULL, TERM_PROPLIST},
    {"default_queue_type", NULL, "metadata.default_queue_type", TERM_PLAIN},
    {"description", NULL, "metadata.description", TERM_PLAIN},
    {"name", NULL, NULL, TERM_PLAIN},
    {"tags", NULL, "metadata.tags", TERM_ATOM},
    {"tracing", NULL, NULL, TERM_PLAIN},
    {0},
};

static const struct listing queues = {
    queue_columns, "name messages", "/queues/%s", "Listing queues for vhost %s ...", true, false};
static const struct listing exchanges = {
    exchange_columns, "name type", "/exchanges/%s", "Listing exchanges for vhost %s ...", false, false};
static const struct listing bindings = {
    binding_columns, "source_name source_kind destination_name destination_kind routing_key arguments",
    "/bindings/%s",  "Listing bindings for vhost %s...",
    false,           true};
static const struct listing connections = {connection_columns,
                                           "user peer_host peer_port state",
                                           "/connections",
                                           "Listing connections ...",
                                           false,
                                           false};
static const struct listing channels = {channel_columns, "pid user consumer_count messages_unacknowledged",
                                        "/channels",     "Listing channels ...",
                                        false,           false};
static const struct listing consumers = {
    consumer_columns,
    "queue_name channel_pid consumer_tag ack_required prefetch_count active arguments",
    "/consumers/%s",
    "Listing consumers in vhost %s ...",
    false,
    true};
static const struct listing vhosts = {vhost_columns, "name", "/vhosts", "Listing vhosts ...", false, true};

/* --- columns -------------------------------------------------------------------------------------------- */

static const struct column *find_column(const struct column *columns, const char *name, size_t size)
{
    for (; columns->name; columns++)
        if (strlen(columns->name) == size && strncmp(columns->name, name, size) == 0)
            return columns;
    return NULL;
}

/* Columns may be separated by blanks or by commas. Returns how many there are; unknown ones end the program.
 */
static size_t choose_columns(struct ctl *ctl, const struct listing *listing, const struct column ***chosen)
{
    struct buffer wanted = {0}, unknown = {0};
    size_t count = 0, room;

    if (ctl->arg_count == 0)
        put_text(&wanted, listing->defaults);
    for (int i = 0; i < ctl->arg_count; i++) {
        put_text(&wanted, ctl->args[i]);
        put_text(&wanted, " ");
    }
    buffer_append(&wanted, "", 1);
    room = wanted.size;
    *chosen = xcalloc(room, sizeof **chosen);
    for (const char *at = (char *)wanted.data; *(at += strspn(at, " ,")); at += strcspn(at, " ,")) {
        size_t size = strcspn(at, " ,");
        const struct column *column = find_column(listing->columns, at, size);

        if (column) {
            (*chosen)[count++] = column;
            continue;
        }
        put_text(&unknown, unknown.size > 0 ? "," : "");
        buffer_append(&unknown, at, size);
    }
    buffer_free(&wanted);
    if (unknown.size > 0) {
        int code = bad_arguments(ctl, EX_USAGE, "Info key(s) %.*s are not supported", (int)unknown.size,
                                 unknown.data);

        buffer_free(&unknown);
        free(*chosen);
        exit(code);
    }
    return count;
}

/* ?columns= with the outermost part of each field; the API cuts inner ones differently from version to
 * version. */
static const char *with_columns(struct ctl *ctl, const char *path, const struct column *const *chosen,
                                size_t count)
{
    const char *all = "", *comma = "?columns=";

    for (size_t i = 0; i < count; i++) {
        const char *fields[] = {chosen[i]->field ? chosen[i]->field : chosen[i]->name, chosen[i]->other};

        for (size_t f = 0; f < 2 && fields[f]; f++) {
            all = text(ctl, "%s%s%s", all, comma, fields[f]);
            comma = ",";
        }
    }
    return text(ctl, "%s%s", path, all);
}

/* --- rows ----------------------------------------------------------------------------------------------- */

/* A vhost's list: one that is not there ends the program as rabbitmqctl's newer verbs do. */
static json_t *get_rows(struct ctl *ctl, const char *path)
{
    json_t *rows = http_find(ctl, path);

    if (!rows)
        exit(missing_vhost(ctl->vhost));
    return rows;
}

static void announce(struct ctl *ctl, const struct listing *listing)
{
    const char *place = strstr(listing->heading, "%s");

    if (listing->has_timeout_line)
        info(ctl, "Timeout: %.1f seconds ...", ctl->timeout_s > 0 ? ctl->timeout_s : 60.0);
    if (place)
        info(ctl, "%.*s%s%s", (int)(place - listing->heading), listing->heading, ctl->vhost, place + 2);
    else
        info(ctl, "%s", listing->heading);
}

static int list(struct ctl *ctl, const struct listing *listing,
                void (*prepare)(struct ctl *ctl, json_t *rows))
{
    const struct column **chosen;
    size_t count = choose_columns(ctl, listing, &chosen);
    const char *path = strstr(listing->path, "%s") ? text(ctl, "%.*s%s", (int)(strlen(listing->path) - 2),
                                                          listing->path, percent_encoded(ctl, ctl->vhost))
                                                   : listing->path;
    json_t *rows;

    announce(ctl, listing);
    fflush(stdout);
    rows = get_rows(ctl, listing->is_whole || prepare ? path : with_columns(ctl, path, chosen, count));
    if (prepare)
        prepare(ctl, rows);
    rows_print(ctl, rows, chosen, count);
    json_decref(rows);
    free(chosen);
    return EX_OK;
}

/* --offline: only those that are down; --online: only the others. */
static void keep_by_state(struct ctl *ctl, json_t *rows)
{
    static const char *const down[] = {"down", "stopped", "crashed", "minority", NULL};
    bool wants_down = has_option(ctl, "offline");

    for (size_t i = json_array_size(rows); i-- > 0;) {
        const char *state = json_string_value(json_object_get(json_array_get(rows, i), "state"));

        if ((state && is_one_of(state, down)) != wants_down)
            json_array_remove(rows, i);
    }
}

static int list_queues(struct ctl *ctl)
{
    bool is_chosen = has_option(ctl, "online") || has_option(ctl, "offline");

    return list(ctl, &queues, is_chosen ? keep_by_state : NULL);
}

static int list_exchanges(struct ctl *ctl)
{
    return list(ctl, &exchanges, NULL);
}

/* The API has no source_kind: it always is an exchange. */
static void add_source_kind(struct ctl *ctl, json_t *rows)
{
    size_t i;
    json_t *row;

    (void)ctl;
    json_array_foreach(rows, i, row)
    {
        json_object_set_new(row, "source_kind", json_string("exchange"));
    }
}

static int list_bindings(struct ctl *ctl)
{
    return list(ctl, &bindings, add_source_kind);
}

static int list_connections(struct ctl *ctl)
{
    return list(ctl, &connections, NULL);
}

static int list_channels(struct ctl *ctl)
{
    return list(ctl, &channels, NULL);
}

static int list_consumers(struct ctl *ctl)
{
    return list(ctl, &consumers, NULL);
}

/* tracing, tags and description may be missing where they were never set. */
static int list_vhosts(struct ctl *ctl)
{
    return list(ctl, &vhosts, NULL);
}

/* A queue whose process does not answer exists in RabbitMQ alone: here a queue answers or the broker does
 * not. */
static int list_unresponsive_queues(struct ctl *ctl)
{
    json_t *rows;

    info(ctl, "Listing unresponsive queues for vhost %s ...", ctl->vhost);
    rows = get_rows(ctl, api_path(ctl, "/queues/%s?columns=name,state", ctl->vhost));
    for (size_t i = json_array_size(rows); i-- > 0;) {
        const char *state = json_string_value(json_object_get(json_array_get(rows, i), "state"));

        if (!state || strcmp(state, "crashed") != 0)
            json_array_remove(rows, i);
    }
    rows_print_all(ctl, rows, &(const struct column){"name", NULL, NULL, TERM_PLAIN}, 1);
    json_decref(rows);
    return EX_OK;
}

static int list_feature_flags(struct ctl *ctl)
{
    static const struct column columns[] = {
        {"name", NULL, NULL, TERM_PLAIN},
        {"state", NULL, NULL, TERM_ATOM},
        {"stability", NULL, NULL, TERM_ATOM},
        {"provided_by", NULL, NULL, TERM_ATOM},
        {"desc", NULL, NULL, TERM_PLAIN},
        {"doc_url", NULL, NULL, TERM_PLAIN},
        {0},
    };
    static const struct listing flags = {columns, "name state", "/feature-flags", "Listing feature flags ...",
                                         false,   true};

    return list(ctl, &flags, NULL);
}

#define LISTS      (TOOL_CTL | TOOL_DIAGNOSTICS)
#define MONITORING "Monitoring, observability and health checks"

const struct verb verbs_list[] = {
    {"list_queues",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List a vhost's queues",
     "list_queues -p orders name messages consumers",
     list_queues,
     {{"online", 0, OPTION_FLAG}, {"offline", 0, OPTION_FLAG}, {"local", 0, OPTION_FLAG}}},
    {"list_exchanges",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List a vhost's exchanges",
     "list_exchanges name type durable",
     list_exchanges,
     {{0}}},
    {"list_bindings",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List a vhost's bindings",
     "list_bindings source_name routing_key destination_name",
     list_bindings,
     {{0}}},
    {"list_connections",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List clients' connections",
     "list_connections pid user peer_host client_properties",
     list_connections,
     {{0}}},
    {"list_channels",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List channels",
     "list_channels name prefetch_count messages_unacknowledged",
     list_channels,
     {{0}}},
    {"list_consumers",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List a vhost's consumers",
     "list_consumers -p orders queue_name consumer_tag active",
     list_consumers,
     {{0}}},
    {"list_unresponsive_queues",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List queues that are out of service",
     "list_unresponsive_queues",
     list_unresponsive_queues,
     {{"local", 0, OPTION_FLAG}, {"queue-timeout", 0, OPTION_NUMBER}}},
    {"list_vhosts",
     LISTS,
     "Access Control",
     0,
     -1,
     "[COLUMN...]",
     "List vhosts",
     "list_vhosts name tracing tags",
     list_vhosts,
     {{0}}},
    {"list_feature_flags",
     LISTS,
     "Feature flags",
     0,
     -1,
     "[COLUMN...]",
     "List feature flags: all are on",
     "list_feature_flags name state",
     list_feature_flags,
     {{0}}},
    {0},
};
