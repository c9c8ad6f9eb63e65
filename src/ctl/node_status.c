/* SPDX-License-Identifier: Apache-2.0 */
/* What a node says of itself: see node_status.h. */
#include "node_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl_http.h"
#include "verbs.h"

#define POLL_MS 100

/* --- listeners ------------------------------------------------------------------------------------------ */

static const char *purpose_of(const char *protocol)
{
    static const struct {
        const char *protocol, *purpose;
    } purposes[] = {
        {"amqp", "AMQP 0-9-1 and AMQP 1.0"},
        {"amqp/ssl", "AMQP 0-9-1 and AMQP 1.0 over TLS"},
        {"clustering", "inter-node and CLI tool communication"},
        {"http", "HTTP API"},
        {"https", "HTTP API over TLS (HTTPS)"},
        {"http/prometheus", "Prometheus exporter API over HTTP"},
        {"https/prometheus", "Prometheus exporter API over TLS (HTTPS)"},
        {"mqtt", "MQTT"},
        {"stomp", "STOMP"},
        {"stream", "stream"},
    };

    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++)
        if (strcmp(protocol, purposes[i].protocol) == 0)
            return purposes[i].purpose;
    return protocol;
}

static const char *string_of(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* An IPv6 address stands in brackets. */
static const char *interface_of(struct ctl *ctl, const json_t *listener)
{
    const char *shown = string_of(listener, "interface");

    if (!*shown)
        shown = string_of(listener, "ip_address");
    if (!*shown)
        shown = string_of(listener, "path");
    return *shown != '[' && *shown != '/' && strchr(shown, ':') ? text(ctl, "[%s]", shown) : shown;
}

static int port_of(const json_t *listener)
{
    return (int)json_integer_value(json_object_get(listener, "port"));
}

/* In the order of protocols, as rabbitmqctl has them, so that outputs compare. */
static json_t *shaped_listeners(struct ctl *ctl, const json_t *listeners, const char *node)
{
    json_t *shaped = json_array(), *listener;
    size_t i;

    json_array_foreach(listeners, i, listener)
    {
        const char *protocol = string_of(listener, "protocol"), *purpose = string_of(listener, "purpose");
        json_t *one = json_pack("{s:s,s:s,s:i,s:s,s:s}", "interface", interface_of(ctl, listener), "node",
                                node, "port", port_of(listener), "protocol", protocol, "purpose",
                                *purpose ? purpose : purpose_of(protocol));

        if (json_object_get(listener, "path"))
            json_object_set(one, "path", json_object_get(listener, "path"));
        json_array_append_new(shaped, one);
    }
    return shaped;
}

/* --- status --------------------------------------------------------------------------------------------- */

static void move_key(json_t *to, const char *as, const json_t *from, const char *key)
{
    json_t *value = json_object_get(from, key);

    if (value)
        json_object_set(to, as, value);
}

static json_t *alarms_of(const json_t *node)
{
    json_t *alarms = json_array();

    if (json_is_true(json_object_get(node, "mem_alarm")))
        json_array_append_new(alarms, json_string("memory"));
    if (json_is_true(json_object_get(node, "disk_free_alarm")))
        json_array_append_new(alarms, json_string("disk"));
    return alarms;
}

/* Of RabbitMQ's /overview and /nodes. */
static json_t *assembled_status(struct ctl *ctl)
{
    static const char *const same[][2] = {
        {"config_files", "config_files"},
        {"log_files", "log_files"},
        {"data_directory", "db_dir"},
        {"disk_free", "disk_free"},
        {"disk_free_limit", "disk_free_limit"},
        {"vm_memory_high_watermark_limit", "mem_limit"},
        {"vm_memory_calculation_strategy", "mem_calculation_strategy"},
        {"active_plugins", "enabled_plugins"},
        {"run_queue", "run_queue"},
        {"net_ticktime", "net_ticktime"},
    };
    json_t *overview = http_get(ctl, "/overview"), *status = json_object(), *node, *memory, *vhosts;
    const char *name = string_of(overview, "node");

    ctl->node = ctl->node ? ctl->node : text(ctl, "%s", name);
    node = http_get(ctl, api_path(ctl, "/nodes/%s", name));
    memory = http_get(ctl, api_path(ctl, "/nodes/%s/memory", name));
    vhosts = http_get(ctl, "/vhosts?columns=name");
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        move_key(status, same[i][0], node, same[i][1]);
    json_object_set_new(status, "node", json_string(name));
    json_object_set_new(status, "pid", json_integer(strtol(string_of(node, "os_pid"), NULL, 10)));
    json_object_set_new(status, "uptime",
                        json_integer(json_integer_value(json_object_get(node, "uptime")) / 1000));
    json_object_set_new(status, "is_under_maintenance",
                        json_boolean(json_is_true(json_object_get(node, "being_drained"))));
    move_key(status, "rabbitmq_version", overview, "rabbitmq_version");
    move_key(status, "erlang_version", overview, "erlang_full_version");
    move_key(status, "release_series_support_status", overview, "release_series_support_status");
    json_object_set_new(status, "alarms", alarms_of(node));
    move_key(status, "memory", memory, "memory");
    json_object_set_new(status, "file_descriptors",
                        json_pack("{s:O?,s:O?,s:O?,s:O?}", "total_used", json_object_get(node, "fd_used"),
                                  "total_limit", json_object_get(node, "fd_total"), "sockets_used",
                                  json_object_get(node, "sockets_used"), "sockets_limit",
                                  json_object_get(node, "sockets_total")));
    json_object_set_new(status, "listeners",
                        shaped_listeners(ctl, json_object_get(overview, "listeners"), name));
    json_object_set_new(status, "totals",
                        json_pack("{s:O?,s:O?,s:i}", "connection_count",
                                  json_object_get(json_object_get(overview, "object_totals"), "connections"),
                                  "queue_count",
                                  json_object_get(json_object_get(overview, "object_totals"), "queues"),
                                  "virtual_host_count", (int)json_array_size(vhosts)));
    json_object_set_new(status, "run_state", json_string("running"));
    json_decref(overview);
    json_decref(node);
    json_decref(memory);
    json_decref(vhosts);
    return status;
}

json_t *node_status(struct ctl *ctl)
{
    json_t *status = http_find(ctl, "/coney/status");
    const char *name;

    if (!status)
        return assembled_status(ctl);
    name = string_of(status, "node");
    ctl->node = ctl->node ? ctl->node : text(ctl, "%s", name);
    json_object_set_new(status, "listeners",
                        shaped_listeners(ctl, json_object_get(status, "listeners"), name));
    if (json_object_get(status, "os_pid"))
        json_object_set(status, "pid", json_object_get(status, "os_pid"));
    if (!json_object_get(status, "rabbitmq_version"))
        json_object_set_new(status, "rabbitmq_version", json_string(COMPATIBLE_VERSION));
    return status;
}

json_t *node_listeners(struct ctl *ctl)
{
    json_t *overview, *status = http_find(ctl, "/coney/status"), *listeners;

    if (status) {
        ctl->node = ctl->node ? ctl->node : text(ctl, "%s", string_of(status, "node"));
        listeners = shaped_listeners(ctl, json_object_get(status, "listeners"), string_of(status, "node"));
        json_decref(status);
        return listeners;
    }
    overview = http_get(ctl, "/overview?columns=listeners,node");
    ctl->node = ctl->node ? ctl->node : text(ctl, "%s", string_of(overview, "node"));
    listeners = shaped_listeners(ctl, json_object_get(overview, "listeners"), string_of(overview, "node"));
    json_decref(overview);
    return listeners;
}

/* --- run state ------------------------------------------------------------------------------------------ */

const char *node_run_state(struct ctl *ctl)
{
    struct answer answer = http_try(ctl, "/coney/status");
    const char *state = "";

    if (answer.status == 200) {
        state = text(ctl, "%s", string_of(answer.json, "run_state"));
    } else if (answer.status == 404) { /* RabbitMQ: its API is there as long as it runs */
        answer_free(&answer);
        answer = http_try(ctl, "/overview?columns=node");
        state = is_fine(&answer) ? "running" : "";
    } else if (answer.status == 401 || answer.status == 403) {
        exit(answer_failure(ctl, &answer));
    }
    answer_free(&answer);
    return state;
}

bool node_await(struct ctl *ctl, const char *state, double seconds)
{
    double end = seconds_now() + seconds;

    while (strcmp(node_run_state(ctl), state) != 0) {
        if (seconds_now() > end)
            return false;
        pause_ms(POLL_MS);
    }
    return true;
}
