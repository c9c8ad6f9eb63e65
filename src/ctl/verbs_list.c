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
    {.name = "arguments", .kind = TERM_TABLE},
    {.name = "auto_delete"},
    {.name = "consumer_capacity"},
    {.name = "consumer_utilisation"},
    {.name = "consumers"},
    {.name = "dead_lettered", .kind = TERM_PROPLIST},
    {.name = "disk_reads", .field = "message_stats.disk_reads"},
    {.name = "disk_writes", .field = "message_stats.disk_writes"},
    {.name = "durability", .kind = TERM_ATOM},
    {.name = "durable"},
    {.name = "effective_policy_definition", .kind = TERM_TABLE},
    {.name = "exclusive"},
    {.name = "exclusive_consumer_pid"},
    {.name = "exclusive_consumer_tag"},
    {.name = "head_message_timestamp"},
    {.name = "leader", .kind = TERM_ATOM},
    {.name = "members"},
    {.name = "memory"},
    {.name = "message_bytes"},
    {.name = "message_bytes_persistent"},
    {.name = "message_bytes_ram"},
    {.name = "message_bytes_ready"},
    {.name = "message_bytes_unacknowledged"},
    {.name = "messages"},
    {.name = "messages_persistent"},
    {.name = "messages_ram"},
    {.name = "messages_ready"},
    {.name = "messages_ready_ram"},
    {.name = "messages_unacknowledged"},
    {.name = "messages_unacknowledged_ram"},
    {.name = "name"},
    {.name = "oldest_message_age_ms"},
    {.name = "oldest_unacked_age_ms"},
    {.name = "online"},
    {.name = "operator_policy"},
    {.name = "owner_pid", .field = "owner_pid_details.pid", .other = "owner_pid_details.name"},
    {.name = "pid"},
    {.name = "policy"},
    {.name = "slave_pids"},
    {.name = "state", .kind = TERM_ATOM},
    {.name = "synchronised_slave_pids"},
    {.name = "type", .kind = TERM_ATOM},
    {0},
};

static const struct column exchange_columns[] = {
    {.name = "arguments", .kind = TERM_TABLE},
    {.name = "auto_delete"},
    {.name = "durable"},
    {.name = "internal"},
    {.name = "name"},
    {.name = "policy"},
    {.name = "type", .kind = TERM_ATOM},
    {0},
};

static const struct column binding_columns[] = {
    {.name = "arguments", .kind = TERM_TABLE},
    {.name = "destination_kind", .field = "destination_type", .kind = TERM_ATOM},
    {.name = "destination_name", .field = "destination"},
    {.name = "routing_key"},
    {.name = "source_kind", .kind = TERM_ATOM},
    {.name = "source_name", .field = "source"},
    {0},
};

static const struct column connection_columns[] = {
    {.name = "auth_mechanism"},
    {.name = "channel_max"},
    {.name = "channels"},
    {.name = "client_properties", .kind = TERM_TABLE},
    {.name = "connected_at"},
    {.name = "frame_max"},
    {.name = "host"},
    {.name = "name"},
    {.name = "peer_cert_issuer"},
    {.name = "peer_cert_subject"},
    {.name = "peer_cert_validity"},
    {.name = "peer_host"},
    {.name = "peer_port"},
    {.name = "pid", .other = "name"},
    {.name = "port"},
    {.name = "protocol", .kind = TERM_PROTOCOL},
    {.name = "recv_cnt"},
    {.name = "recv_oct"},
    {.name = "send_cnt"},
    {.name = "send_oct"},
    {.name = "send_pend"},
    {.name = "ssl"},
    {.name = "ssl_cipher"},
    {.name = "ssl_hash"},
    {.name = "ssl_key_exchange"},
    {.name = "ssl_protocol"},
    {.name = "state", .kind = TERM_ATOM},
    {.name = "timeout"},
    {.name = "user"},
    {.name = "vhost"},
    {0},
};

static const struct column channel_columns[] = {
    {.name = "acks_uncommitted"},
    {.name = "confirm"},
    {.name = "connection", .field = "connection_details.pid", .other = "connection_details.name"},
    {.name = "consumer_count"},
    {.name = "global_prefetch_count"},
    {.name = "messages_unacknowledged"},
    {.name = "messages_uncommitted"},
    {.name = "messages_unconfirmed"},
    {.name = "name"},
    {.name = "number"},
    {.name = "pid", .other = "name"},
    {.name = "prefetch_count"},
    {.name = "transactional"},
    {.name = "user"},
    {.name = "vhost"},
    {0},
};

static const struct column consumer_columns[] = {
    {.name = "ack_required"},
    {.name = "active"},
    {.name = "activity_status", .kind = TERM_ATOM},
    {.name = "arguments", .kind = TERM_TABLE},
    {.name = "channel_pid", .field = "channel_details.pid", .other = "channel_details.name"},
    {.name = "consumer_tag"},
    {.name = "prefetch_count"},
    {.name = "queue_name", .field = "queue.name"},
    {0},
};

static const struct column vhost_columns[] = {
    {.name = "cluster_state", .kind = TERM_PROPLIST},
    {.name = "default_queue_type", .other = "metadata.default_queue_type"},
    {.name = "description", .other = "metadata.description"},
    {.name = "name"},
    {.name = "tags", .other = "metadata.tags", .kind = TERM_ATOM},
    {.name = "tracing"},
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
