/* SPDX-License-Identifier: Apache-2.0 */
/* What coney adds for whoever runs the node (doc/API.md): status, and having it do things. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "admin/admin_fields.h"
#include "admin/json.h"
#include "admin/node_json.h"
#include "admin/router.h"
#include "coney/config.h"
#include "coney/log.h"
#include "coney/node_access.h"
#include "coney/visit.h"

/* ---- status ---- */

static const char *purpose_of(const char *protocol)
{
    return strcmp(protocol, "amqp") == 0       ? "AMQP 0-9-1"
           : strcmp(protocol, "amqp/ssl") == 0 ? "AMQP 0-9-1 over TLS"
           : strcmp(protocol, "http") == 0     ? "HTTP API"
                                               : "Prometheus exporter API over HTTP";
}

/* With the names that rabbitmqctl has for the same. */
static json_t *status_listeners(struct request *request)
{
    json_t *listeners = listeners_json(request, true), *listener;
    size_t i;

    json_array_foreach(listeners, i, listener)
    {
        const char *protocol = json_string_value(json_object_get(listener, "protocol"));
        json_t *address = json_object_get(listener, "ip_address");

        json_object_set(listener, "interface", address ? address : json_object_get(listener, "path"));
        json_object_del(listener, "ip_address");
        json_object_del(listener, "socket_opts");
        json_put(listener, "purpose", json_string(purpose_of(protocol)));
    }
    return listeners;
}

static json_t *status_memory(const struct node_stats *node)
{
    uint64_t messages = memory_of_messages(node);

    return json_pack("{s:I,s:I,s:I,s:I}", "messages", (json_int_t)messages, "other",
                     (json_int_t)(node->memory_used - messages), "resident", (json_int_t)node->resident,
                     "total", (json_int_t)node->memory_used);
}

static json_t *status_alarms(const struct node_stats *node)
{
    json_t *out = json_array();

    if (node->has_memory_alarm)
        json_array_append_new(out, json_string("memory"));
    if (node->has_disk_alarm)
        json_array_append_new(out, json_string("disk"));
    return out;
}

static const char *run_state_name(enum node_run_state state)
{
    static const char *const names[] = {[NODE_RUNNING] = "running",
                                        [NODE_APP_STOPPED] = "app_stopped",
                                        [NODE_DRAINING] = "draining",
                                        [NODE_STOPPING] = "stopping"};

    return names[state];
}

static void put_system(json_t *out, const struct node_stats *node)
{
    struct utsname system;
    char os[256] = "unknown";

    if (uname(&system) == 0)
        snprintf(os, sizeof os, "%.60s %.120s %.60s", system.sysname, system.release, system.machine);
    json_put(out, "os", json_string(os));
    json_put_count(out, "pid", (uint64_t)getpid());
    json_put_count(out, "os_pid", (uint64_t)getpid());
    json_put_count(out, "uptime", node->uptime_ms / 1000);
    json_put(out, "file_descriptors",
             json_pack("{s:I,s:I,s:I,s:I}", "total_limit", (json_int_t)node->files_max, "total_used",
                       (json_int_t)node->files, "sockets_limit", (json_int_t)node->files_max, "sockets_used",
                       (json_int_t)node->connections));
}

static void put_limits(json_t *out, const struct node_stats *node, const struct node_condition *condition)
{
    json_put(out, "memory", status_memory(node));
    json_put_count(out, "vm_memory_high_watermark_limit", node->memory_limit);
    json_put(out, "vm_memory_high_watermark_setting",
             condition->memory_factor > 0 ? json_pack("{s:f}", "relative", condition->memory_factor)
                                          : json_pack("{s:I}", "absolute", (json_int_t)node->memory_limit));
    json_put(out, "vm_memory_calculation_strategy", json_string("allocated"));
    json_put_count(out, "disk_free", node->disk_free);
    json_put_count(out, "disk_free_limit", node->disk_free_limit);
    json_put(out, "alarms", status_alarms(node));
}

static void show_status(struct request *request)
{
    struct node_condition condition = node_condition(request->server);
    struct survey_vhost totals = {0};
    struct node_stats node;
    size_t vhosts;
    char **names;
    json_t *out;

    if (!look_at_node(request, &node))
        return;
    names = visit_vhost_names(request->server, &vhosts);
    for (size_t i = 0; i < vhosts; i++)
        free(names[i]);
    free((void *)names);
    node_totals(request->server, &totals, NULL);
    out = json_object();
    json_put(out, "version", json_string(PACKAGE_VERSION));
    json_put(out, "rabbitmq_version", json_string(condition.config->product_version));
    json_put(out, "node", json_string(node_name(request->server)));
    json_put(out, "run_state", json_string(run_state_name(condition.run_state)));
    json_put(out, "is_under_maintenance",
             json_boolean(condition.run_state == NODE_DRAINING || condition.is_suspended));
    put_system(out, &node);
    put_files(out, &condition);
    json_put(out, "data_directory",
             *condition.config->data_dir ? json_text(bytes_from_string(condition.config->data_dir))
                                         : json_null());
    put_limits(out, &node, &condition);
    json_put(out, "listeners", status_listeners(request));
    json_put(out, "totals",
             json_pack("{s:I,s:I,s:I}", "connection_count", (json_int_t)totals.connections, "queue_count",
                       (json_int_t)totals.queues, "virtual_host_count", (json_int_t)vhosts));
    node_stats_clear(&node);
    reply_row(request, out);
}

/* ---- having it do things ---- */

static void stop(struct request *request)
{
    node_stop(request->server);
    reply_empty(request, 204);
}

static void drain(struct request *request)
{
    node_drain(request->server);
    reply_empty(request, 204);
}

static void reload(struct request *request)
{
    node_reload(request->server);
    reply_empty(request, 204);
}

static void rotate_logs(struct request *request)
{
    log_reopen();
    log_info("log files are opened again");
    reply_empty(request, 204);
}

static void stop_app(struct request *request)
{
    node_stop_app(request->server);
    reply_empty(request, 204);
}

static void suspend(struct request *request)
{
    node_suspend_listeners(request->server);
    reply_empty(request, 204);
}

static void go_on(struct request *request, bool (*act)(struct server *server, char *why, size_t why_size))
{
    char why[256] = "";

    if (act(request->server, why, sizeof why))
        reply_empty(request, 204);
    else
        reply_error(request, 503, "service_unavailable", "%s", why);
}

static void start_app(struct request *request)
{
    go_on(request, node_start_app);
}

static void resume(struct request *request)
{
    go_on(request, node_resume_listeners);
}

/* ---- the log ---- */

/* The place of the word that BODY has for NAME among NAMES; -1 when it is none. */
static int choice(json_t *body, const char *name, const char *const *names, int count)
{
    const char *word = json_string_value(json_object_get(body, name));

    for (int i = 0; word && i < count; i++)
        if (strcmp(word, names[i]) == 0)
            return i;
    return -1;
}

static void set_log_level(struct request *request)
{
    static const char *const levels[] = {"debug", "info", "warning", "error", "critical", "none"};
    static const char *const categories[LOG_CATEGORY_COUNT] = {"default", "connection", "channel", "queue",
                                                               "storage"};
    json_t *body = request_json(request);
    int level, category = LOG_CATEGORY_COUNT;

    if (!body)
        return;
    level = choice(body, "level", levels, 6);
    if (json_object_get(body, "category"))
        category = choice(body, "category", categories, LOG_CATEGORY_COUNT);
    if (level < 0) {
        reply_bad_request(request, "level should be one of debug, info, warning, error, critical, none");
        return;
    }
    if (category < 0) {
        reply_bad_request(request, "category should be one of default, connection, channel, queue, storage");
        return;
    }
    node_set_log_level(request->server, (enum log_category)category, (enum log_level)level);
    reply_empty(request, 204);
}

/* ---- alarms and limits ---- */

/* Which alarm the path names; false after answering. */
static bool find_alarm(struct request *request, enum node_alarm *alarm)
{
    struct bytes name = request_segment(request, 3);

    *alarm = bytes_equal_string(name, "disk") ? NODE_ALARM_DISK : NODE_ALARM_MEMORY;
    if (*alarm == NODE_ALARM_DISK || bytes_equal_string(name, "memory"))
        return true;
    reply_not_found(request);
    return false;
}

static void raise_alarm(struct request *request)
{
    enum node_alarm alarm;

    if (!find_alarm(request, &alarm))
        return;
    node_rehearse_alarm(request->server, alarm, true);
    reply_empty(request, 204);
}

static void clear_alarm(struct request *request)
{
    enum node_alarm alarm;

    if (!find_alarm(request, &alarm))
        return;
    node_rehearse_alarm(request->server, alarm, false);
    reply_empty(request, 204);
}

/* {"absolute": 4096 or "4KiB"} or {"relative": 0.4}, up to MOST; false after answering. */
static bool parse_limit(struct request *request, double most, uint64_t *octets, double *factor)
{
    json_t *body = request_json(request), *absolute, *relative;
    bool is_good = false;

    if (!body)
        return false;
    absolute = json_object_get(body, "absolute");
    relative = json_object_get(body, "relative");
    *octets = 0;
    *factor = 0;
    if (json_is_string(absolute)) {
        is_good = config_parse_size(json_string_value(absolute), octets) && *octets;
    } else if (json_is_integer(absolute)) {
        is_good = json_integer_value(absolute) > 0;
        *octets = (uint64_t)json_integer_value(absolute);
    } else if (json_is_number(relative)) {
        *factor = json_number_value(relative);
        is_good = *factor >= 0 && *factor <= most;
        if (is_good && *factor <= 0)
            *octets = 1; /* 0 of the memory: nothing is too little, or too much */
    }
    if (!is_good)
        reply_bad_request(request,
                          "the body should be {\"absolute\": \"2GB\"} or {\"relative\": 0.4}, with a "
                          "number from 0 to %g",
                          most);
    return is_good;
}

static void set_memory_limit(struct request *request)
{
    uint64_t octets;
    double factor;

    if (!parse_limit(request, 1, &octets, &factor))
        return;
    node_set_memory_limit(request->server, octets, factor);
    reply_empty(request, 204);
}

static void set_disk_free_limit(struct request *request)
{
    uint64_t octets;
    double factor;

    if (!parse_limit(request, 1000, &octets, &factor))
        return;
    if (node_set_disk_free_limit(request->server, octets, factor))
        reply_empty(request, 204);
    else
        reply_bad_request(request, "this node keeps nothing: it has no data directory");
}

/* ---- backup ---- */

static void make_backup(struct request *request)
{
    json_t *body = request_json(request);
    const char *path = body ? json_string_value(json_object_get(body, "path")) : NULL;
    uint64_t octets;
    char why[1024];

    if (!body)
        return;
    if (!path || *path != '/')
        reply_bad_request(request, "path should be that of a new folder on the node's machine, from / on");
    else if (node_backup(request->server, path, &octets, why, sizeof why))
        reply_json(request, 200, json_pack("{s:I}", "octets", (json_int_t)octets));
    else
        reply_bad_request(request, "%s", why);
}

#define DO(path, verb, run)                        \
    {                                              \
        path,                                      \
        {                                          \
            [verb] = { run, ACCESS_ADMINISTRATOR } \
        }                                          \
    }

const struct route routes_coney[] = {
    DO("coney/status", VERB_GET, show_status),
    DO("coney/stop", VERB_POST, stop),
    DO("coney/stop-app", VERB_POST, stop_app),
    DO("coney/start-app", VERB_POST, start_app),
    DO("coney/suspend-listeners", VERB_POST, suspend),
    DO("coney/resume-listeners", VERB_POST, resume),
    DO("coney/drain", VERB_POST, drain),
    DO("coney/reload", VERB_POST, reload),
    DO("coney/log-level", VERB_PUT, set_log_level),
    DO("coney/rotate-logs", VERB_POST, rotate_logs),
    {"coney/alarms/:alarm",
     {[VERB_PUT] = {raise_alarm, ACCESS_ADMINISTRATOR}, [VERB_DELETE] = {clear_alarm, ACCESS_ADMINISTRATOR}}},
    DO("coney/memory-high-watermark", VERB_PUT, set_memory_limit),
    DO("coney/disk-free-limit", VERB_PUT, set_disk_free_limit),
    DO("coney/backup", VERB_POST, make_backup),
    {NULL, {{NULL, ACCESS_OPEN}}},
};
