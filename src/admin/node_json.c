/* SPDX-License-Identifier: Apache-2.0 */
/* node_json.h. */
#include "node_json.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/http/http.h"
#include "admin_fields.h"
#include "coney/node_access.h"
#include "coney/pool.h"
#include "coney/survey.h"
#include "json.h"

/* ---- names ---- */

static bool is_address(const char *host)
{
    uint8_t octets[16];

    return inet_pton(AF_INET, host, octets) == 1 || inet_pton(AF_INET6, host, octets) == 1;
}

/* Monitoring builds "rabbit@HOST" of the host that it was told to look at (3.2). */
static bool is_our_host(const char *host, const char *own)
{
    size_t first = strcspn(own, ".");

    return strcasecmp(host, own) == 0 || strcasecmp(host, "localhost") == 0 || is_address(host) ||
           (strlen(host) == first && strncasecmp(host, own, first) == 0) ||
           (strncasecmp(host, own, strlen(own)) == 0 && host[strlen(own)] == '.');
}

bool is_this_node(struct request *request, struct bytes name)
{
    const char *own = node_name(request->server), *at = strchr(own, '@');
    char text[300];

    if (bytes_equal_string(name, own))
        return true;
    snprintf(text, sizeof text, "%.*s", BYTES_ARG(name));
    return at && strncmp(text, "rabbit@", 7) == 0 && is_our_host(text + 7, at + 1);
}

/* ---- listeners ---- */

struct listing_sockets {
    struct request *request;
    json_t *out;
    bool with_unix;
};

static void add(struct listing_sockets *listing, const char *protocol, const struct node_listener *listener)
{
    const char *node = node_name(listing->request->server);

    if (listener->path && listing->with_unix)
        json_array_append_new(listing->out, json_pack("{s:s,s:s,s:s,s:i}", "node", node, "protocol", protocol,
                                                      "path", listener->path, "port", 0));
    else if (!listener->path)
        json_array_append_new(listing->out, json_pack("{s:s,s:s,s:s,s:i,s:{}}", "node", node, "protocol",
                                                      protocol, "ip_address", listener->ip, "port",
                                                      (int)listener->port, "socket_opts"));
}

static void add_amqp(void *context, const struct node_listener *listener)
{
    add(context, listener->is_tls ? "amqp/ssl" : "amqp", listener);
}

static void add_http(void *context, enum http_kind kind, const struct node_listener *listener)
{
    static const char *const protocols[] = {
        [HTTP_API] = "http", [HTTP_CONTROL] = "http", [HTTP_METRICS] = "http/prometheus"};

    add(context, protocols[kind], listener);
}

json_t *listeners_json(struct request *request, bool with_unix)
{
    struct listing_sockets listing = {request, json_array(), with_unix};

    node_show_listeners(request->server, add_amqp, &listing);
    http_show_listeners(request->admin->http, add_http, &listing);
    return listing.out;
}

struct listing_contexts {
    struct request *request;
    json_t *out;
};

static void add_context(void *context, enum http_kind kind, const struct node_listener *listener)
{
    const struct listing_contexts *listing = context;
    const char *description = kind == HTTP_API ? "RabbitMQ Management" : "RabbitMQ Prometheus";
    char port[16];

    if (listener->path)
        return;
    snprintf(port, sizeof port, "%u", listener->port);
    json_array_append_new(listing->out, json_pack("{s:[],s:s,s:s,s:s,s:s}", "ssl_opts", "node",
                                                  node_name(listing->request->server), "description",
                                                  description, "path", "/", "port", port));
}

json_t *contexts_json(struct request *request)
{
    struct listing_contexts listing = {request, json_array()};

    http_show_listeners(request->admin->http, add_context, &listing);
    return listing.out;
}

/* ---- the rest ---- */

json_t *exchange_types_json(void)
{
    const char *name, *description;
    json_t *out = json_array();

    for (size_t i = 0; survey_exchange_type(i, &name, &description); i++)
        json_array_append_new(
            out, json_pack("{s:s,s:s,s:b}", "name", name, "description", description, "enabled", 1));
    return out;
}

static void add_alarm(json_t *out, struct request *request, const char *resource)
{
    json_array_append_new(out,
                          json_pack("{s:s,s:s}", "node", node_name(request->server), "resource", resource));
}

json_t *alarms_json(struct request *request, const struct node_stats *stats)
{
    json_t *out = json_array();

    if (stats->has_memory_alarm)
        add_alarm(out, request, "memory");
    if (stats->has_disk_alarm)
        add_alarm(out, request, "disk space");
    return out;
}

void put_with_rate(json_t *object, const char *name, json_t *value)
{
    char details[80];

    snprintf(details, sizeof details, "%s_details", name);
    json_put(object, name, value);
    json_put(object, details, json_rate(0));
}

void put_count_with_rate(json_t *object, const char *name, uint64_t value)
{
    put_with_rate(object, name, json_integer((json_int_t)value));
}

void put_zeros(json_t *object, const char *const *names)
{
    for (; *names; names++)
        put_count_with_rate(object, *names, 0);
}

void put_churn(json_t *object, const struct vhost_counts *counts)
{
    put_count_with_rate(object, "connection_created", counts->connections_opened);
    put_count_with_rate(object, "connection_closed", counts->connections_closed);
    put_count_with_rate(object, "channel_created", counts->channels_opened);
    put_count_with_rate(object, "channel_closed", counts->channels_closed);
    put_count_with_rate(object, "queue_declared", counts->queues_declared);
    put_count_with_rate(object, "queue_created", counts->queues_created);
    put_count_with_rate(object, "queue_deleted", counts->queues_deleted);
}

void put_versions(json_t *object, const struct config *config)
{
    json_put(object, "rabbitmq_version", json_string(config->product_version));
    json_put(object, "erlang_version", json_string("none"));
    json_put(object, "erlang_full_version", json_string("none: coney is written in C"));
    json_put(object, "crypto_lib_version", json_string(OpenSSL_version(OPENSSL_VERSION)));
}

void put_files(json_t *object, const struct node_condition *condition)
{
    json_t *logs = json_array(), *configs = json_array();
    struct log_settings settings;
    char *path;

    config_log_settings(condition->config, &settings, &path);
    if (path)
        json_array_append_new(logs, json_text(bytes_from_string(path)));
    if (condition->config->log_console)
        json_array_append_new(logs, json_string("<stderr>"));
    free(path);
    if (condition->config_path)
        json_array_append_new(configs, json_text(bytes_from_string(condition->config_path)));
    json_put(object, "log_files", logs);
    json_put(object, "config_files", configs);
}

uint64_t memory_of_messages(const struct node_stats *node)
{
    uint64_t messages = pool_bytes_in_use();

    return messages < node->memory_used ? messages : node->memory_used;
}

bool look_at_node(struct request *request, struct node_stats *out)
{
    if (node_stats(request->server, out))
        return true;
    node_stats_clear(out);
    reply_stopping(request);
    return false;
}
