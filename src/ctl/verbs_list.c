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
    const char *verb;
    const struct column *columns; /* ends with one without a name */
    const char *defaults;         /* "name messages" */
    const char *path;             /* ends with %s if it is a vhost's */
    const char *heading;          /* with a %s likewise */
    bool has_timeout_line;        /* "Timeout: 60.0 seconds ..." */
    bool is_whole; /* asks for whole objects: the path takes no ?columns=, or PREPARE needs more */
    void (*prepare)(struct ctl *ctl, json_t *rows); /* before they are shown, or NULL */
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

static const struct column feature_flag_columns[] = {
    {.name = "name"},
    {.name = "state", .kind = TERM_ATOM},
    {.name = "stability", .kind = TERM_ATOM},
    {.name = "provided_by", .kind = TERM_ATOM},
    {.name = "desc"},
    {.name = "doc_url"},
    {0},
};

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

/* ?columns= with each field, and what is looked at instead of it. */
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

/* --online and --offline of list_queues. */
static bool is_chosen_by_state(const struct ctl *ctl)
{
    return has_option(ctl, "online") || has_option(ctl, "offline");
}

static void keep_by_state(struct ctl *ctl, json_t *rows)
{
    static const char *const down[] = {"down", "stopped", "crashed", "minority", NULL};
    bool wants_down = has_option(ctl, "offline");

    if (!is_chosen_by_state(ctl))
        return;
    for (size_t i = json_array_size(rows); i-- > 0;) {
        const char *state = json_string_value(json_object_get(json_array_get(rows, i), "state"));

        if ((state && is_one_of(state, down)) != wants_down)
            json_array_remove(rows, i);
    }
}

/* A queue whose process does not answer exists in RabbitMQ alone: here a queue answers or the broker does
 * not. */
static void keep_crashed(struct ctl *ctl, json_t *rows)
{
    (void)ctl;
    for (size_t i = json_array_size(rows); i-- > 0;) {
        const char *state = json_string_value(json_object_get(json_array_get(rows, i), "state"));

        if (!state || strcmp(state, "crashed") != 0)
            json_array_remove(rows, i);
    }
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

/* --- verbs ---------------------------------------------------------------------------------------------- */

static const struct listing listings[] = {
    {.verb = "list_queues",
     .columns = queue_columns,
     .defaults = "name messages",
     .path = "/queues/%s",
     .heading = "Listing queues for vhost %s ...",
     .has_timeout_line = true,
     .prepare = keep_by_state},
    {.verb = "list_unresponsive_queues",
     .columns = queue_columns,
     .defaults = "name",
     .path = "/queues/%s",
     .heading = "Listing unresponsive queues for vhost %s ...",
     .is_whole = true,
     .prepare = keep_crashed},
    {.verb = "list_exchanges",
     .columns = exchange_columns,
     .defaults = "name type",
     .path = "/exchanges/%s",
     .heading = "Listing exchanges for vhost %s ..."},
    {.verb = "list_bindings",
     .columns = binding_columns,
     .defaults = "source_name source_kind destination_name destination_kind routing_key arguments",
     .path = "/bindings/%s",
     .heading = "Listing bindings for vhost %s...",
     .is_whole = true,
     .prepare = add_source_kind},
    {.verb = "list_connections",
     .columns = connection_columns,
     .defaults = "user peer_host peer_port state",
     .path = "/connections",
     .heading = "Listing connections ..."},
    {.verb = "list_channels",
     .columns = channel_columns,
     .defaults = "pid user consumer_count messages_unacknowledged",
     .path = "/channels",
     .heading = "Listing channels ..."},
    {.verb = "list_consumers",
     .columns = consumer_columns,
     .defaults = "queue_name channel_pid consumer_tag ack_required prefetch_count active arguments",
     .path = "/consumers/%s",
     .heading = "Listing consumers in vhost %s ...",
     .is_whole = true},
    {.verb = "list_vhosts",
     .columns = vhost_columns,
     .defaults = "name",
     .path = "/vhosts",
     .heading = "Listing vhosts ...",
     .is_whole = true},
    {.verb = "list_feature_flags",
     .columns = feature_flag_columns,
     .defaults = "name state",
     .path = "/feature-flags",
     .heading = "Listing feature flags ...",
     .is_whole = true},
};

static const struct listing *find_listing(const char *verb)
{
    size_t i = 0;

    while (strcmp(listings[i].verb, verb) != 0) /* each verb with list() has one */
        i++;
    return &listings[i];
}

static int list(struct ctl *ctl)
{
    const struct listing *listing = find_listing(ctl->verb->name);
    const struct column **chosen;
    size_t count = choose_columns(ctl, listing, &chosen);
    const char *path = strstr(listing->path, "%s") ? text(ctl, "%.*s%s", (int)(strlen(listing->path) - 2),
                                                          listing->path, percent_encoded(ctl, ctl->vhost))
                                                   : listing->path;
    json_t *rows;

    announce(ctl, listing);
    fflush(stdout);
    if (!listing->is_whole && !is_chosen_by_state(ctl))
        path = with_columns(ctl, path, chosen, count);
    rows = vhost_rows(ctl, path);
    if (listing->prepare)
        listing->prepare(ctl, rows);
    rows_print(ctl, rows, chosen, count);
    json_decref(rows);
    free(chosen);
    return EX_OK;
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
     list,
     {{"online", 0, OPTION_FLAG}, {"offline", 0, OPTION_FLAG}, {"local", 0, OPTION_FLAG}}},
    {"list_exchanges",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List a vhost's exchanges",
     "list_exchanges name type durable",
     list,
     {{0}}},
    {"list_bindings",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List a vhost's bindings",
     "list_bindings source_name routing_key destination_name",
     list,
     {{0}}},
    {"list_connections",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List clients' connections",
     "list_connections pid user peer_host client_properties",
     list,
     {{0}}},
    {"list_channels",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List channels",
     "list_channels name prefetch_count messages_unacknowledged",
     list,
     {{0}}},
    {"list_consumers",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List a vhost's consumers",
     "list_consumers -p orders queue_name consumer_tag active",
     list,
     {{0}}},
    {"list_unresponsive_queues",
     LISTS,
     MONITORING,
     0,
     -1,
     "[COLUMN...]",
     "List queues that are out of service",
     "list_unresponsive_queues",
     list,
     {{"local", 0, OPTION_FLAG}, {"queue-timeout", 0, OPTION_NUMBER}}},
    {"list_vhosts",
     LISTS,
     "Access Control",
     0,
     -1,
     "[COLUMN...]",
     "List vhosts",
     "list_vhosts name tracing tags",
     list,
     {{0}}},
    {"list_feature_flags",
     LISTS,
     "Feature flags",
     0,
     -1,
     "[COLUMN...]",
     "List feature flags: all are on",
     "list_feature_flags name state",
     list,
     {{0}}},
    {0},
};
