/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks (management-http-api.md 6): 200 and "ok", or 503 and why. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "admin/json.h"
#include "admin/node_json.h"
#include "admin/router.h"
#include "coney/config.h"
#include "coney/node_access.h"

/* OUT with what MORE has; both are taken over. NULL: nothing. */
static void say(struct request *request, int status, json_t *out, json_t *more)
{
    if (more)
        json_object_update(out, more);
    json_decref(more);
    reply_json(request, status, out);
}

/* {"status": "ok"} with what MORE, which is taken over, has. */
static void say_ok(struct request *request, json_t *more)
{
    say(request, 200, json_pack("{s:s}", "status", "ok"), more);
}

static void say_failed(struct request *request, const char *reason, json_t *more)
{
    say(request, 503, json_pack("{s:s,s:s}", "status", "failed", "reason", reason), more);
}

/* ---- alarms ---- */

static void check_alarms(struct request *request, const char *reason)
{
    struct node_stats node;
    json_t *alarms;

    if (!look_at_node(request, &node))
        return;
    alarms = alarms_json(request, &node);
    node_stats_clear(&node);
    if (json_array_size(alarms)) {
        say_failed(request, reason, json_pack("{s:o}", "alarms", alarms));
        return;
    }
    json_decref(alarms);
    say_ok(request, NULL);
}

static void check_cluster_alarms(struct request *request)
{
    check_alarms(request, "There are alarms in effect in the cluster");
}

static void check_local_alarms(struct request *request)
{
    check_alarms(request, "There are alarms in effect on the node");
}

/* The deprecated one: 200 in any case. */
static void check_node(struct request *request)
{
    struct node_stats node;
    bool is_fine;

    if (request->segment_count > 3 && !is_this_node(request, request_segment(request, 3))) {
        reply_not_found(request);
        return;
    }
    if (!look_at_node(request, &node))
        return;
    is_fine = !node.has_memory_alarm && !node.has_disk_alarm;
    node_stats_clear(&node);
    if (is_fine)
        say_ok(request, NULL);
    else
        reply_json(request, 200,
                   json_pack("{s:s,s:s}", "status", "failed", "reason", "resource alarm(s) in effect"));
}

/* ---- certificates ---- */

/* Seconds of what the path says; false after answering. */
static bool parse_within(struct request *request, int64_t *out)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = {{"days", 86400}, {"weeks", 7 * 86400}, {"months", 28 * 86400}, {"years", 365 * 86400}};
    const char *text = request->segments[4], *unit = request->segments[5];
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(unit, units[i].name) != 0)
            continue;
        if (errno || *end || end == text || value < 0 || value > 10000) {
            reply_bad_request(request, "Invalid expiration value.");
            return false;
        }
        *out = value * units[i].seconds;
        return true;
    }
    reply_bad_request(request, "Time unit not recognised. Supported units: days, weeks, months, years.");
    return false;
}

static json_t *expiring_json(struct request *request, const struct node_stats *node, int64_t until)
{
    json_t *out = json_array();

    for (size_t i = 0; i < node->certificate_count; i++) {
        const struct node_certificate *certificate = &node->certificates[i];
        time_t expiry = (time_t)certificate->expiry;
        char text[32] = "";
        struct tm tm;

        if (!certificate->expiry || certificate->expiry > until)
            continue;
        if (gmtime_r(&expiry, &tm))
            strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        json_array_append_new(out, json_pack("{s:s,s:s,s:s,s:o,s:[s]}", "node", node_name(request->server),
                                             "protocol", "amqp/ssl", "server_name", certificate->server_name,
                                             "certfile", json_text(bytes_from_string(certificate->file)),
                                             "certfile_expires_on", text));
    }
    return out;
}

static void check_certificates(struct request *request)
{
    struct node_stats node;
    int64_t within;
    json_t *expired;

    if (!parse_within(request, &within) || !look_at_node(request, &node))
        return;
    expired = expiring_json(request, &node, time(NULL) + within);
    node_stats_clear(&node);
    if (json_array_size(expired)) {
        say_failed(request, "Certificates expiring", json_pack("{s:o}", "expired", expired));
        return;
    }
    json_decref(expired);
    say_ok(request, NULL);
}

/* ---- listeners ---- */

static bool contains(const json_t *array, const json_t *value)
{
    json_t *seen;
    size_t i;

    json_array_foreach(array, i, seen)
    {
        if (json_equal(seen, value))
            return true;
    }
    return false;
}

/* The MEMBER of each listener, each once. */
static json_t *members(struct request *request, const char *member)
{
    json_t *listeners = listeners_json(request, false), *listener, *out = json_array();
    size_t i;

    json_array_foreach(listeners, i, listener)
    {
        json_t *value = json_object_get(listener, member);

        if (!contains(out, value))
            json_array_append(out, value);
    }
    json_decref(listeners);
    return out;
}

/* WANTED, taken over, must be among the listeners' MEMBERs. */
static void check_listener(struct request *request, const char *member, const char *all, json_t *wanted)
{
    json_t *there = members(request, member);

    if (contains(there, wanted))
        say_ok(request, json_pack("{s:O}", member, wanted));
    else
        say_failed(request, "No active listener", json_pack("{s:O,s:O}", "missing", wanted, all, there));
    json_decref(there);
    json_decref(wanted);
}

static void check_port(struct request *request)
{
    const char *text = request->segments[4];
    char *end;
    long port = strtol(text, &end, 10);

    if (*end || end == text || port < 0 || port > 65535)
        reply_bad_request(request, "Invalid port");
    else
        check_listener(request, "port", "ports", json_integer(port));
}

/* As RabbitMQ calls it; other names are what they are. */
static const char *protocol_of(const char *name)
{
    static const char *const others[][2] = {{"amqp091", "amqp"},
                                            {"amqp0.9.1", "amqp"},
                                            {"amqp0-9-1", "amqp"},
                                            {"amqp/tls", "amqp/ssl"},
                                            {"amqps", "amqp/ssl"},
                                            {"amqp/ssl", "amqp/ssl"},
                                            {"prometheus", "http/prometheus"},
                                            {"prometheus/ssl", "https/prometheus"}};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasecmp(name, others[i][0]) == 0)
            return others[i][1];
    return name;
}

static void check_protocol(struct request *request)
{
    check_listener(request, "protocol", "protocols",
                   json_text(bytes_from_string(protocol_of(request->segments[4]))));
}

/* ---- the node as a whole ---- */

static void check_in_service(struct request *request)
{
    struct node_condition condition = node_condition(request->server);

    if (condition.run_state == NODE_RUNNING && !condition.is_suspended)
        say_ok(request, NULL);
    else
        say_failed(request, "this rabbit node is booting, stopping, or has not fully started", NULL);
}

static void check_connections(struct request *request)
{
    uint64_t most = node_condition(request->server).config->connection_max;
    struct node_stats node;
    json_t *counts;

    if (!look_at_node(request, &node))
        return;
    counts = json_pack("{s:I,s:o}", "current", (json_int_t)node.connections, "limit",
                       most ? json_integer((json_int_t)most) : json_string("infinity"));
    if (!most || node.connections < most)
        say_ok(request, counts);
    else
        say_failed(request, "node connection limit is reached", counts);
    node_stats_clear(&node);
}

/* What cannot fail where there is one node, whose vhosts are there as soon as it answers. */
static void check_nothing(struct request *request)
{
    say_ok(request, NULL);
}

static void check_quorum(struct request *request)
{
    say_ok(request, json_pack("{s:s}", "reason", "single node cluster"));
}

#define CHECK(path, run)                     \
    {                                        \
        "health/checks/" path,               \
        {                                    \
            [VERB_GET] = { run, ACCESS_ANY } \
        }                                    \
    }

const struct route routes_health[] = {
    {"healthchecks/node", {[VERB_GET] = {check_node, ACCESS_ANY}}},
    {"healthchecks/node/:node", {[VERB_GET] = {check_node, ACCESS_ANY}}},
    CHECK("alarms", check_cluster_alarms),
    CHECK("local-alarms", check_local_alarms),
    CHECK("certificate-expiration/:within/:unit", check_certificates),
    CHECK("port-listener/:port", check_port),
    CHECK("protocol-listener/:protocol", check_protocol),
    CHECK("virtual-hosts", check_nothing),
    CHECK("node-is-quorum-critical", check_quorum),
    CHECK("node-is-mirror-sync-critical", check_quorum),
    CHECK("is-in-service", check_in_service),
    CHECK("ready-to-serve-clients", check_in_service),
    CHECK("below-node-connection-limit", check_connections),
    CHECK("reached-target-cluster-size", check_nothing),
    CHECK("metadata-store/initialized", check_nothing),
    CHECK("metadata-store/initialized/with-data", check_nothing),
    CHECK("quorum-queues-without-elected-leaders/all-vhosts", check_nothing),
    CHECK("quorum-queues-without-elected-leaders/all-vhosts/pattern/:pattern", check_nothing),
    {"health/checks/quorum-queues-without-elected-leaders/vhost/:vhost",
     {[VERB_GET] = {check_nothing, ACCESS_VHOST}}},
    {"health/checks/quorum-queues-without-elected-leaders/vhost/:vhost/pattern/:pattern",
     {[VERB_GET] = {check_nothing, ACCESS_VHOST}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
