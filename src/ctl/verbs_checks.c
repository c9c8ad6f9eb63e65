/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq-diagnostics' checks: what probes and monitors call. Each prints what it asks, unless -q is given,
 * and one sentence of result; the exit code is 0 or EX_UNAVAILABLE.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "coney/xalloc.h"
#include "node_status.h"
#include "rows.h"
#include "verbs.h"

#define CONNECT_MS 10000

/* The result of a check that passed. */
static int passed(struct ctl *ctl, const char *sentence)
{
    if (ctl->format == FORMAT_JSON)
        puts("{\"result\":\"ok\"}");
    else
        puts(sentence);
    return EX_OK;
}

/* A sentence that is shown as {"message": ...} for --formatter json. */
static int told(struct ctl *ctl, bool is_fine_now, const char *sentence)
{
    if (is_fine_now) {
        result(ctl, "%s", sentence);
        return EX_OK;
    }
    return failure(EX_UNAVAILABLE, "%s", sentence);
}

/* GET a health check: NULL if it is fine, else what the broker said of it. An answer that is neither ends us.
 */
static json_t *health(struct ctl *ctl, const char *path)
{
    struct answer answer = http_call(ctl, "GET", path, NULL);
    json_t *said;

    if (!is_fine(&answer) && answer.status != 503)
        exit(answer_failure(ctl, &answer));
    said = answer.status == 503 ? answer.json ? json_incref(answer.json) : json_object() : NULL;
    answer_free(&answer);
    return said;
}

/* --- is it there? --------------------------------------------------------------------------------------- */

static int ping(struct ctl *ctl)
{
    double seconds = ctl->timeout_s > 0 ? ctl->timeout_s : 60;
    struct answer answer;

    info(ctl, "Will ping %s. This only checks if the OS process is running and answers. Timeout: %.0f ms.",
         node_name(ctl), seconds * 1000);
    answer = http_call(ctl, "GET", "/overview?columns=node", NULL);
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    result(ctl, "Ping succeeded");
    return EX_OK;
}

static int tell_running(struct ctl *ctl)
{
    const char *node = node_name(ctl);

    if (strcmp(node_run_state(ctl), "running") == 0)
        return told(ctl, true, text(ctl, "RabbitMQ on node %s is fully booted and running", node));
    return told(ctl, false,
                text(ctl,
                     "RabbitMQ on node %s is not running or has not fully booted yet (check with is_booting)",
                     node));
}

static int check_running(struct ctl *ctl)
{
    info(ctl, "Checking if RabbitMQ is running on node %s ...", node_name(ctl));
    return tell_running(ctl);
}

static int is_running(struct ctl *ctl)
{
    info(ctl, "Asking node %s for its status ...", node_name(ctl));
    return tell_running(ctl);
}

/* Who answers has booted: the API is the last thing to come up. */
static int is_booting(struct ctl *ctl)
{
    info(ctl, "Asking node %s for its boot status ...", node_name(ctl));
    return told(
        ctl, true,
        text(
            ctl,
            "RabbitMQ on node %s is fully booted (check with is_running), stopped or has not started booting "
            "yet",
            node_name(ctl)));
}

static int await_startup(struct ctl *ctl)
{
    double seconds = ctl->timeout_s > 0 ? ctl->timeout_s : 300;

    ctl->timeout_s = 0;
    if (node_await(ctl, "running", seconds))
        return done(ctl, EX_OK);
    fprintf(stderr, "Error: operation await_startup on node %s timed out. Timeout value used: %.0f\n",
            ctl->node ? ctl->node : http_target_name(ctl), seconds * 1000);
    return EX_TEMPFAIL;
}

static int await_online_nodes(struct ctl *ctl)
{
    long count = strtol(ctl->args[0], NULL, 10);

    info(ctl, "Will wait for at least %ld nodes to join the cluster of %s. Timeout: %.0f seconds.", count,
         node_name(ctl), ctl->timeout_s > 0 ? ctl->timeout_s : 300);
    if (count > 1)
        return failure(EX_UNAVAILABLE, "coney runs on one node: there will never be %ld", count);
    return await_startup(ctl);
}

/* --- alarms --------------------------------------------------------------------------------------------- */

static const char *const memory_words[] = {"memory", NULL};

static void print_alarm(struct ctl *ctl, const json_t *alarm)
{
    const char *resource =
        json_string_value(json_is_object(alarm) ? json_object_get(alarm, "resource") : alarm);

    resource = resource ? resource : "another resource";
    fprintf(stderr, "%s alarm on node %s\n",
            is_one_of(resource, memory_words)   ? "Memory"
            : strncmp(resource, "disk", 4) == 0 ? "Free disk space"
                                                : "Resource",
            node_name(ctl));
}

static int check_for_alarms(struct ctl *ctl, const char *path, const char *none, const char *some)
{
    json_t *said, *alarm;
    size_t i;

    info(ctl, "Asking node %s to report any local resource alarms ...", node_name(ctl));
    said = health(ctl, path);
    if (!said)
        return passed(ctl, none);
    fflush(stdout);
    fprintf(stderr, "Error:\n%s\n", some);
    json_array_foreach(json_object_get(said, "alarms"), i, alarm)
    {
        print_alarm(ctl, alarm);
    }
    json_decref(said);
    return EX_UNAVAILABLE;
}

static int check_local_alarms(struct ctl *ctl)
{
    const char *node = node_name(ctl);

    return check_for_alarms(ctl, "/health/checks/local-alarms",
                            text(ctl, "Node %s reported no local alarms", node),
                            text(ctl, "Node %s reported the following local alarms:", node));
}

static int check_alarms(struct ctl *ctl)
{
    const char *node = node_name(ctl);

    return check_for_alarms(ctl, "/health/checks/alarms",
                            text(ctl, "Node %s reported no alarms, local or clusterwide", node),
                            text(ctl, "Node %s reported the following alarms:", node));
}

static int alarms(struct ctl *ctl)
{
    json_t *said, *list, *alarm;
    size_t i;

    info(ctl, "Asking node %s to report any known resource alarms ...", node_name(ctl));
    said = health(ctl, "/health/checks/alarms");
    list =
        said && json_object_get(said, "alarms") ? json_incref(json_object_get(said, "alarms")) : json_array();
    if (ctl->format == FORMAT_JSON) {
        json_t *wrapped = json_pack("{s:O,s:s,s:s}", "alarms", list, "node", node_name(ctl), "result", "ok");

        print_json_line(wrapped);
        json_decref(wrapped);
    } else if (!said) {
        printf("Node %s reported no alarms, local or clusterwide\n", node_name(ctl));
    } else {
        printf("Node %s reported the following alarms:\n", node_name(ctl));
        fflush(stdout);
        json_array_foreach(list, i, alarm)
        {
            print_alarm(ctl, alarm);
        }
    }
    json_decref(list);
    json_decref(said);
    return EX_OK;
}

/* --- listeners ------------------------------------------------------------------------------------------ */

static int by_number(const void *one, const void *other)
{
    return *(const int *)one - *(const int *)other;
}

/* "5672, 15672", each once. */
static const char *port_list(struct ctl *ctl, const json_t *listeners)
{
    size_t count = 0, i, all = json_array_size(listeners);
    int *ports = xcalloc(all + 1, sizeof *ports);
    const char *shown = "";
    json_t *listener;

    json_array_foreach(listeners, i, listener)
    {
        int port = (int)json_integer_value(json_object_get(listener, "port"));

        if (port > 0)
            ports[count++] = port;
    }
    qsort(ports, count, sizeof *ports, by_number);
    for (i = 0; i < count; i++)
        if (i == 0 || ports[i] != ports[i - 1])
            shown = text(ctl, "%s%s%d", shown, *shown ? ", " : "", ports[i]);
    free(ports);
    return shown;
}

/* What is shown of listeners when one is missing, for --formatter json: on standard error, as the text is. */
static int missing_listener(struct ctl *ctl, const json_t *listeners, const char *missing,
                            const char *sentence)
{
    json_t *wrapped;
    char *shown;

    fflush(stdout);
    if (ctl->format != FORMAT_JSON) {
        fprintf(stderr, "%s\n", sentence);
        return EX_UNAVAILABLE;
    }
    wrapped = json_pack("{s:O,s:s,s:s}", "listeners", listeners, "missing", missing, "result", "error");
    shown = json_dumps(wrapped, JSON_COMPACT | JSON_SORT_KEYS);
    fprintf(stderr, "%s\n", shown ? shown : "");
    free(shown);
    json_decref(wrapped);
    return EX_UNAVAILABLE;
}

static int check_port_listener(struct ctl *ctl)
{
    char *end;
    long port = strtol(ctl->args[0], &end, 10);
    json_t *listeners, *listener;
    bool found = false;
    size_t i;
    int code;

    if (*end || port <= 0)
        return bad_arguments(ctl, EX_DATAERR, "Bad argument: Argument must be a positive integer");
    listeners = node_listeners(ctl);
    info(ctl, "Asking node %s if there's an active listener on port %ld ...", node_name(ctl), port);
    json_array_foreach(listeners, i, listener)
    {
        found |= json_integer_value(json_object_get(listener, "port")) == port;
    }
    if (found)
        code = passed(ctl, text(ctl, "A listener for port %ld is running on node %s.", port, node_name(ctl)));
    else
        code = missing_listener(
            ctl, listeners, ctl->args[0],
            text(ctl,
                 "No listener for port %ld is active on node %s. Found listeners that use the "
                 "following ports: %s",
                 port, node_name(ctl), port_list(ctl, listeners)));
    json_decref(listeners);
    return code;
}

/* Other names of protocols. */
static const char *protocol_named(const char *name)
{
    static const char *const names[][2] = {
        {"amqp091", "amqp"},
        {"amqp0.9.1", "amqp"},
        {"amqp10", "amqp"},
        {"amqp1.0", "amqp"},
        {"amqps", "amqp/ssl"},
        {"amqp/tls", "amqp/ssl"},
        {"prometheus", "http/prometheus"},
        {"http/s", "https"},
        {NULL, NULL},
    };

    for (size_t i = 0; names[i][0]; i++)
        if (strcmp(name, names[i][0]) == 0)
            return names[i][1];
    return name;
}

static int by_text(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* "amqp, http", each once. */
static const char *protocol_list(struct ctl *ctl, const json_t *listeners)
{
    size_t count = 0, i;
    const char **names = xcalloc(json_array_size(listeners) + 1, sizeof *names), *shown = "";
    json_t *listener;

    json_array_foreach(listeners, i, listener)
    {
        names[count++] = json_string_value(json_object_get(listener, "protocol"));
    }
    qsort(names, count, sizeof *names, by_text);
    for (i = 0; i < count; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            shown = text(ctl, "%s%s%s", shown, i ? ", " : "", names[i]);
    free(names);
    return shown;
}

static int check_protocol_listener(struct ctl *ctl)
{
    const char *protocol = protocol_named(ctl->args[0]);
    json_t *listeners = node_listeners(ctl), *listener;
    bool found = false;
    size_t i;
    int code;

    info(ctl, "Asking node %s if there's an active listener for protocol %s ...", node_name(ctl),
         ctl->args[0]);
    json_array_foreach(listeners, i, listener)
    {
        found |= strcmp(json_string_value(json_object_get(listener, "protocol")), protocol) == 0;
    }
    if (found)
        code = passed(
            ctl, text(ctl, "A listener for protocol %s is running on node %s.", protocol, node_name(ctl)));
    else
        code = missing_listener(
            ctl, listeners, ctl->args[0],
            text(ctl,
                 "Error:\nNo listener for protocol %s is active on node %s. Found listeners for "
                 "the following protocols: %s",
                 protocol, node_name(ctl), protocol_list(ctl, listeners)));
    json_decref(listeners);
    return code;
}

/* --- connectivity --------------------------------------------------------------------------------------- */

/* Connect, and close again. */
static bool connects_to(const struct addrinfo *address)
{
    int file = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    struct pollfd waiting = {.fd = file, .events = POLLOUT};
    socklen_t size = sizeof error;
    bool is_connected;

    if (file < 0)
        return false;
    is_connected = connect(file, address->ai_addr, address->ai_addrlen) == 0;
    if (!is_connected && (errno == EINPROGRESS || errno == EAGAIN))
        is_connected = poll(&waiting, 1, CONNECT_MS) == 1 &&
                       getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
    close(file);
    return is_connected;
}

/* A listener on all addresses is tried on this machine's, unless the broker is elsewhere. */
static bool listener_accepts(const char *address, const json_t *listener)
{
    const char *interface = json_string_value(json_object_get(listener, "interface"));
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    bool is_accepted = false;
    char port[16], host[64];

    snprintf(port, sizeof port, "%d", (int)json_integer_value(json_object_get(listener, "port")));
    snprintf(host, sizeof host, "%s", interface ? interface : "");
    if (*host == '[') {
        memmove(host, host + 1, strlen(host));
        host[strcspn(host, "]")] = '\0';
    }
    if (!address)
        address = strcmp(host, "::") == 0 || strcmp(host, "0.0.0.0") == 0 || !*host ? "localhost" : host;
    if (getaddrinfo(address, port, &wanted, &found) != 0)
        return false;
    for (const struct addrinfo *one = found; one && !is_accepted; one = one->ai_next)
        is_accepted = connects_to(one);
    freeaddrinfo(found);
    return is_accepted;
}

static bool path_accepts(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct addrinfo address = {.ai_family = AF_UNIX, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof name};

    snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    address.ai_addr = (struct sockaddr *)&name;
    return connects_to(&address);
}

static int check_port_connectivity(struct ctl *ctl)
{
    json_t *listeners = node_listeners(ctl), *listener, *failed = json_array(), *wrapped;
    size_t i;
    int code;

    info(ctl, "Testing TCP connections to all active listeners on node %s ...", node_name(ctl));
    json_array_foreach(listeners, i, listener)
    {
        const char *path = json_string_value(json_object_get(listener, "path"));

        if (!(path ? path_accepts(path) : listener_accepts(option(ctl, "address"), listener)))
            json_array_append(failed, listener);
    }
    if (json_array_size(failed) > 0) {
        code = failure(EX_UNAVAILABLE, "Connection to ports %s on node %s failed", port_list(ctl, failed),
                       node_name(ctl));
    } else if (ctl->format == FORMAT_JSON) {
        wrapped = json_pack("{s:O,s:s,s:s}", "listeners", listeners, "node", node_name(ctl), "result", "ok");
        print_json_line(wrapped);
        json_decref(wrapped);
        code = EX_OK;
    } else {
        code = told(ctl, true,
                    text(ctl, "Successfully connected to ports %s on node %s.", port_list(ctl, listeners),
                         node_name(ctl)));
    }
    json_decref(failed);
    json_decref(listeners);
    return code;
}

/* --- the rest ------------------------------------------------------------------------------------------- */

static int check_virtual_hosts(struct ctl *ctl)
{
    const char *node = node_name(ctl);
    json_t *said;
    int code;

    info(ctl, "Checking if all vhosts are running on node %s ...", node);
    said = health(ctl, "/health/checks/virtual-hosts");
    if (!said)
        return passed(ctl, text(ctl, "Node %s reported all vhosts as running", node));
    code =
        failure(EX_UNAVAILABLE, "Some virtual hosts on node %s are down: `%s list_vhosts name cluster_state`",
                node, ctl->program);
    json_decref(said);
    return code;
}

static int check_certificate_expiration(struct ctl *ctl)
{
    static const char *const units[] = {"days", "weeks", "months", "years", NULL};
    const char *unit = option(ctl, "unit");
    long within = option_number(ctl, "within", 4);
    json_t *said;
    char *shown;

    unit = unit ? unit : "weeks";
    if (!is_one_of(unit, units))
        return bad_arguments(ctl, EX_USAGE,
                             "\"unit '%s' is not supported. Please use one of: days, weeks, months, years\"",
                             unit);
    info(ctl, "Checking certificate expiration on node %s ...", node_name(ctl));
    said = health(ctl, text(ctl, "/health/checks/certificate-expiration/%ld/%s", within, unit));
    if (!said)
        return passed(ctl, text(ctl, "No certificates are expiring within %ld %s.", within, unit));
    shown = json_dumps(json_object_get(said, "expired"), JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    failure(EX_UNAVAILABLE, "Certificates that expire within %ld %s:\n%s", within, unit, shown ? shown : "");
    free(shown);
    json_decref(said);
    return EX_UNAVAILABLE;
}

static int single_node(struct ctl *ctl)
{
    return told(ctl, true,
                text(ctl,
                     "Node %s seems to be the only one in a single node cluster, the check does not apply",
                     node_name(ctl)));
}

static int check_quorum_critical(struct ctl *ctl)
{
    info(ctl, "Checking if node %s is critical for quorum of any quorum queues ...", node_name(ctl));
    return single_node(ctl);
}

static int check_mirror_critical(struct ctl *ctl)
{
    info(ctl, "Checking if node %s is critical for data safety of any classic mirrored queues ...",
         node_name(ctl));
    return single_node(ctl);
}

static int node_health_check(struct ctl *ctl)
{
    info(ctl,
         "This command is DEPRECATED and will be removed in a future version.\n"
         "It performs intrusive, opinionated health checks and requires a fully booted node.\n"
         "Use one of the options covered in https://www.rabbitmq.com/monitoring.html#health-checks instead.");
    info(ctl, "Timeout: %.0f seconds ...", ctl->timeout_s > 0 ? ctl->timeout_s : 70);
    info(ctl, "Checking health of node %s ...", node_name(ctl));
    json_decref(health(ctl, "/health/checks/local-alarms"));
    result(ctl, "Health check passed");
    return EX_OK;
}

/* All checks at once, each on a line: ours. */
static int check_health(struct ctl *ctl)
{
    static const struct {
        const char *path, *what;
    } checks[] = {
        {"/health/checks/local-alarms", "no alarm"},
        {"/health/checks/virtual-hosts", "all vhosts run"},
        {"/health/checks/protocol-listener/amqp", "AMQP is listened for"},
        {"/health/checks/certificate-expiration/4/weeks", "no certificate ends within 4 weeks"},
    };
    bool is_well = strcmp(node_run_state(ctl), "running") == 0;

    printf("%-5s %s\n", is_well ? "ok" : "FAILS", "the broker runs");
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        json_t *said = health(ctl, checks[i].path);

        printf("%-5s %s", said ? "FAILS" : "ok", checks[i].what);
        if (said) {
            fputs(": ", stdout);
            put_safe(json_string_value(json_object_get(said, "reason")));
            is_well = false;
        }
        putchar('\n');
        json_decref(said);
    }
    return is_well ? EX_OK : EX_UNAVAILABLE;
}

static int auth_attempts(struct ctl *ctl)
{
    static const struct column columns[] = {
        {.name = "protocol"},
        {.name = "auth_attempts"},
        {.name = "auth_attempts_failed"},
        {.name = "auth_attempts_succeeded"},
    };
    static const struct column by_source[] = {
        {.name = "protocol"},      {.name = "remote_address"},       {.name = "username"},
        {.name = "auth_attempts"}, {.name = "auth_attempts_failed"}, {.name = "auth_attempts_succeeded"},
    };
    bool is_by_source = has_option(ctl, "by-source");
    json_t *rows;

    info(ctl, "Listing authentication\n attempts for node \"%s\" ...", node_name(ctl));
    rows = http_get(ctl, text(ctl, "%s%s", api_path(ctl, "/auth/attempts/%s", node_name(ctl)),
                              is_by_source ? "/source" : ""));
    if (json_array_size(rows) == 0 && ctl->format == FORMAT_TABLE)
        printf("Node %s reported no authentication attempt stats\n", node_name(ctl));
    else
        rows_print_all(ctl, rows, is_by_source ? by_source : columns, is_by_source ? 6 : 4);
    json_decref(rows);
    return EX_OK;
}

static int reset_auth_attempts(struct ctl *ctl)
{
    info(ctl, "Reset auth attempt metrics on node %s ...", node_name(ctl));
    return done(ctl, http_do(ctl, "DELETE", api_path(ctl, "/auth/attempts/%s", node_name(ctl)), NULL));
}

static int resolve_hostname(struct ctl *ctl)
{
    const char *family = option(ctl, "address-family");
    bool is_v6 = family && strcasecmp(family, "ipv6") == 0;
    const struct addrinfo wanted = {.ai_family = is_v6 ? AF_INET6 : AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char shown[NI_MAXHOST];
    int error;

    info(ctl, "Asking node %s to resolve hostname %s to %s addresses...", node_name(ctl), ctl->args[0],
         is_v6 ? "IPv6" : "IPv4");
    error = getaddrinfo(ctl->args[0], NULL, &wanted, &found);
    if (error)
        return failure(EX_UNAVAILABLE, "%s: %s", ctl->args[0], gai_strerror(error));
    for (const struct addrinfo *one = found; one; one = one->ai_next)
        if (getnameinfo(one->ai_addr, one->ai_addrlen, shown, sizeof shown, NULL, 0, NI_NUMERICHOST) == 0)
            puts(shown);
    freeaddrinfo(found);
    return EX_OK;
}

#define CHECKS   "Monitoring, observability and health checks"
#define DIAGNOSE TOOL_DIAGNOSTICS

const struct verb verbs_checks[] = {
    {"alarms",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "List alarms: what keeps publishers waiting",
     "alarms",
     alarms,
     {{0}}},
    {"await_online_nodes",
     TOOL_CTL,
     "Cluster",
     1,
     1,
     "COUNT",
     "Wait for nodes: there is one",
     "await_online_nodes 1",
     await_online_nodes,
     {{0}}},
    {"await_startup",
     TOOL_CTL,
     "Nodes",
     0,
     0,
     "",
     "Wait until the broker runs, at most 300 s",
     "await_startup --timeout 30",
     await_startup,
     {{0}}},
    {"check_alarms",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Fail if there is an alarm",
     "check_alarms",
     check_alarms,
     {{0}}},
    {"check_certificate_expiration",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Fail if a certificate ends soon",
     "check_certificate_expiration --within 2 --unit months",
     check_certificate_expiration,
     {{"within", 0, OPTION_NUMBER}, {"unit", 0, OPTION_TEXT}}},
    {"check_if_node_is_mirror_sync_critical",
     DIAGNOSE | TOOL_QUEUES,
     CHECKS,
     0,
     0,
     "",
     "Fail if stopping the node would lose mirrors: there are none",
     "check_if_node_is_mirror_sync_critical",
     check_mirror_critical,
     {{0}}},
    {"check_if_node_is_quorum_critical",
     DIAGNOSE | TOOL_QUEUES,
     CHECKS,
     0,
     0,
     "",
     "Fail if stopping the node would lose a quorum: it is the only one",
     "check_if_node_is_quorum_critical",
     check_quorum_critical,
     {{0}}},
    {"check_local_alarms",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Fail if there is an alarm on the node",
     "check_local_alarms",
     check_local_alarms,
     {{0}}},
    {"check_port_connectivity",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Connect to each port the broker listens on",
     "check_port_connectivity --address 192.0.2.1",
     check_port_connectivity,
     {{"address", 0, OPTION_TEXT}}},
    {"check_port_listener",
     DIAGNOSE,
     CHECKS,
     1,
     1,
     "PORT",
     "Fail if the broker does not listen on a port",
     "check_port_listener 5672",
     check_port_listener,
     {{0}}},
    {"check_protocol_listener",
     DIAGNOSE,
     CHECKS,
     1,
     1,
     "PROTOCOL",
     "Fail if the broker does not listen for a protocol: amqp, amqps, http, https, prometheus",
     "check_protocol_listener amqps",
     check_protocol_listener,
     {{0}}},
    {"check_running",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Fail if the broker does not run",
     "check_running",
     check_running,
     {{0}}},
    {"check_virtual_hosts",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Fail if a vhost is down",
     "check_virtual_hosts",
     check_virtual_hosts,
     {{0}}},
    {"health", 0, CHECKS, 0, 0, "", "Make all checks, and fail if one does", "health", check_health, {{0}}},
    {"is_booting",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Say whether the broker is still starting",
     "is_booting",
     is_booting,
     {{0}}},
    {"is_running",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Say whether the broker runs",
     "is_running",
     is_running,
     {{0}}},
    {"list_node_auth_attempt_stats",
     TOOL_CTL | DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Count logins, good and bad",
     "list_node_auth_attempt_stats --by-source",
     auth_attempts,
     {{"by-source", 0, OPTION_FLAG}}},
    {"node_health_check",
     TOOL_CTL | DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "An old name: use check_running and check_local_alarms",
     "node_health_check",
     node_health_check,
     {{0}}},
    {"ping",
     TOOL_CTL | DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Fail if the broker does not answer",
     "ping",
     ping,
     {{0}}},
    {"reset_node_auth_attempt_metrics",
     DIAGNOSE,
     CHECKS,
     0,
     0,
     "",
     "Count logins from zero",
     "reset_node_auth_attempt_metrics",
     reset_auth_attempts,
     {{0}}},
    {"resolve_hostname",
     DIAGNOSE,
     CHECKS,
     1,
     1,
     "NAME",
     "Look a host name up, on this machine",
     "resolve_hostname rabbit.example.com",
     resolve_hostname,
     {{"address-family", 0, OPTION_TEXT}}},
    {0},
};
