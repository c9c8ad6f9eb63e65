/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that describe the node: status, cluster_status, environment, report, listeners, memory, logs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "node_status.h"
#include "rows.h"
#include "verbs.h"

#define GIGABYTE 1e9

/* --- pieces --------------------------------------------------------------------------------------------- */

static void heading(const char *name)
{
    printf("\033[1m%s\033[0m\n\n", name);
}

/* A value on a line of its own, "Name: value"; nothing if there is none. */
static void line(const char *name, const json_t *value)
{
    struct buffer shown = {0};

    if (!value || json_is_null(value))
        return;
    term_cell(&shown, value, TERM_PLAIN);
    printf("%s: %.*s\n", name, (int)shown.size, (const char *)shown.data);
    buffer_free(&shown);
}

/* A number with at most so many decimals, and at least one. */
static const char *rounded(struct ctl *ctl, double number, int decimals)
{
    char *shown = text(ctl, "%.*f", decimals, number);
    char *last = shown + strlen(shown) - 1;

    while (*last == '0' && last[-1] != '.')
        *last-- = '\0';
    return shown;
}

static void print_bullets(const json_t *items)
{
    size_t i;
    json_t *item;

    json_array_foreach(items, i, item)
    {
        fputs(" * ", stdout);
        put_safe(json_is_string(item) ? json_string_value(item) : "?");
        putchar('\n');
    }
    if (json_array_size(items) > 0)
        putchar('\n');
}

static double total_memory(const json_t *memory)
{
    json_t *total = json_object_get(memory, "total");
    const char *strategy = json_string_value(json_object_get(memory, "strategy"));

    return json_is_object(total) ? json_number_value(json_object_get(total, strategy ? strategy : "rss"))
                                 : json_number_value(total);
}

struct share {
    const char *kind;
    double octets;
};

static int by_size(const void *one, const void *other)
{
    const struct share *a = one, *b = other;

    return a->octets != b->octets ? (a->octets < b->octets) - (a->octets > b->octets)
                                  : strcmp(a->kind, b->kind);
}

/* The kinds of memory, the largest first. Returns how many. What is resident is another way to count all of
 * it. */
static size_t memory_shares(const json_t *memory, struct share **shares)
{
    const char *kind;
    json_t *octets;
    size_t count = 0;

    *shares = xcalloc(json_object_size(memory) + 1, sizeof **shares);
    json_object_foreach((json_t *)(uintptr_t)memory, kind, octets)
    {
        if (json_is_number(octets) && strcmp(kind, "total") != 0 && strcmp(kind, "resident") != 0)
            (*shares)[count++] = (struct share){kind, json_number_value(octets)};
    }
    qsort(*shares, count, sizeof **shares, by_size);
    return count;
}

static double percentage(double part, double whole)
{
    return whole > 0 ? round(part / whole * 10000) / 100 : 0;
}

static void print_memory(struct ctl *ctl, const json_t *memory, double divisor, const char *unit,
                         const char *space)
{
    struct share *shares;
    size_t count = memory_shares(memory, &shares);
    double total = total_memory(memory);

    for (size_t i = 0; i < count; i++) {
        put_safe(shares[i].kind);
        printf(": %s %s (%s%s%%)\n",
               divisor == 1 ? text(ctl, "%.0f", shares[i].octets)
                            : rounded(ctl, shares[i].octets / divisor, 4),
               unit, rounded(ctl, percentage(shares[i].octets, total), 2), space);
    }
    free(shares);
}

static void print_listener(const json_t *listener, bool has_node)
{
    const char *path = json_string_value(json_object_get(listener, "path"));

    if (has_node) {
        fputs("Node: ", stdout);
        put_safe(json_string_value(json_object_get(listener, "node")));
        fputs(", interface: ", stdout);
    } else {
        fputs("Interface: ", stdout);
    }
    put_safe(json_string_value(json_object_get(listener, "interface")));
    if (!path)
        printf(", port: %d", (int)json_integer_value(json_object_get(listener, "port")));
    fputs(", protocol: ", stdout);
    put_safe(json_string_value(json_object_get(listener, "protocol")));
    fputs(", purpose: ", stdout);
    put_safe(json_string_value(json_object_get(listener, "purpose")));
    putchar('\n');
}

static void print_listeners(const json_t *listeners, bool has_node)
{
    size_t i;
    json_t *listener;

    json_array_foreach(listeners, i, listener)
    {
        print_listener(listener, has_node);
    }
}

/* --- status --------------------------------------------------------------------------------------------- */

static void print_runtime(struct ctl *ctl, const json_t *status)
{
    heading("Runtime");
    line("OS PID", json_object_get(status, "pid"));
    line("OS", json_object_get(status, "os"));
    line("Uptime (seconds)", json_object_get(status, "uptime"));
    line("Is under maintenance?", json_object_get(status, "is_under_maintenance"));
    line("State", json_object_get(status, "run_state"));
    line("coney version", json_object_get(status, "version"));
    line("RabbitMQ version", json_object_get(status, "rabbitmq_version"));
    line("RabbitMQ release series support status", json_object_get(status, "release_series_support_status"));
    printf("Node name: ");
    put_safe(node_name(ctl));
    putchar('\n');
    line("Erlang configuration", json_object_get(status, "erlang_version"));
    line("Scheduler run queue", json_object_get(status, "run_queue"));
    line("Cluster heartbeat timeout (net_ticktime)", json_object_get(status, "net_ticktime"));
    putchar('\n');
}

static void print_watermark(struct ctl *ctl, const json_t *status)
{
    json_t *setting = json_object_get(status, "vm_memory_high_watermark_setting"), *part;
    double limit = json_number_value(json_object_get(status, "vm_memory_high_watermark_limit"));
    struct buffer shown = {0};
    const char *what = "";

    if (json_is_object(setting)) {
        part = json_object_get(setting, "relative");
        what = part ? " of available memory" : " (absolute)";
        term_cell(&shown, part ? part : json_object_get(setting, "absolute"), TERM_PLAIN);
    } else {
        term_cell(&shown, setting, TERM_PLAIN);
    }
    if (limit > 0)
        printf("Memory high watermark setting: %.*s%s, computed to: %s gb\n", (int)shown.size,
               shown.size ? (const char *)shown.data : "", what, rounded(ctl, limit / GIGABYTE, 4));
    buffer_free(&shown);
}

static void print_resources(struct ctl *ctl, const json_t *status)
{
    const json_t *memory = json_object_get(status, "memory"),
                 *files = json_object_get(status, "file_descriptors");
    const json_t *totals = json_object_get(status, "totals");

    heading("Memory");
    printf("Total memory used: %s gb\n", rounded(ctl, total_memory(memory) / GIGABYTE, 4));
    if (json_object_get(memory, "resident"))
        printf("Resident: %s gb\n",
               rounded(ctl, json_number_value(json_object_get(memory, "resident")) / GIGABYTE, 4));
    line("Calculation strategy", json_object_get(status, "vm_memory_calculation_strategy"));
    print_watermark(ctl, status);
    putchar('\n');
    print_memory(ctl, memory, GIGABYTE, "gb", " ");
    putchar('\n');
    heading("File Descriptors");
    printf("Total: %" JSON_INTEGER_FORMAT ", limit: %" JSON_INTEGER_FORMAT "\n",
           json_integer_value(json_object_get(files, "total_used")),
           json_integer_value(json_object_get(files, "total_limit")));
    if (json_object_get(files, "sockets_limit"))
        printf("Sockets: %" JSON_INTEGER_FORMAT ", limit: %" JSON_INTEGER_FORMAT "\n",
               json_integer_value(json_object_get(files, "sockets_used")),
               json_integer_value(json_object_get(files, "sockets_limit")));
    putchar('\n');
    heading("Free Disk Space");
    printf("Low free disk space watermark: %s gb\n",
           rounded(ctl, json_number_value(json_object_get(status, "disk_free_limit")) / GIGABYTE, 4));
    printf("Free disk space: %s gb\n\n",
           rounded(ctl, json_number_value(json_object_get(status, "disk_free")) / GIGABYTE, 4));
    heading("Totals");
    line("Connection count", json_object_get(totals, "connection_count"));
    line("Queue count", json_object_get(totals, "queue_count"));
    line("Virtual host count", json_object_get(totals, "virtual_host_count"));
    putchar('\n');
}

static void print_alarms(const json_t *alarms)
{
    size_t i;
    json_t *alarm;

    heading("Alarms");
    if (json_array_size(alarms) == 0)
        puts("(none)");
    json_array_foreach(alarms, i, alarm)
    {
        const char *name =
            json_string_value(json_is_object(alarm) ? json_object_get(alarm, "resource") : alarm);

        if (name && strncmp(name, "mem", 3) == 0)
            puts("Memory alarm");
        else if (name && strncmp(name, "disk", 4) == 0)
            puts("Free disk space alarm");
        else
            puts(name ? "Another alarm" : "(none)");
    }
    putchar('\n');
}

int run_status(struct ctl *ctl)
{
    json_t *status = node_status(ctl), *directory;

    if (ctl->format == FORMAT_JSON) {
        print_json_line(status);
        json_decref(status);
        return EX_OK;
    }
    info(ctl, "Status of node %s ...", node_name(ctl));
    print_runtime(ctl, status);
    if (json_array_size(json_object_get(status, "active_plugins")) > 0) {
        heading("Plugins");
        puts("Enabled plugins:\n");
        print_bullets(json_object_get(status, "active_plugins"));
    }
    heading("Data directory");
    directory = json_object_get(status, "data_directory");
    printf("Node data directory: ");
    put_safe(json_is_string(directory) ? json_string_value(directory) : "none: nothing is kept");
    fputs("\n\n", stdout);
    heading("Config files");
    print_bullets(json_object_get(status, "config_files"));
    heading("Log file(s)");
    print_bullets(json_object_get(status, "log_files"));
    print_alarms(json_object_get(status, "alarms"));
    print_resources(ctl, status);
    heading("Listeners");
    print_listeners(json_object_get(status, "listeners"), false);
    json_decref(status);
    return EX_OK;
}

/* --- cluster -------------------------------------------------------------------------------------------- */

/* As rabbitmqctl's JSON has it; each node's things under its name. */
static json_t *cluster_of(struct ctl *ctl, const json_t *status, const json_t *flags)
{
    const char *node = node_name(ctl);
    json_t *named = http_get(ctl, "/cluster-name"), *cluster;
    bool is_drained = json_is_true(json_object_get(status, "is_under_maintenance"));

    cluster = json_pack(
        "{s:O,s:O?,s:[s],s:O,s:{s:O},s:{s:s},s:{},s:[],s:[s],s:{s:{s:O?,s:s,s:O?}}}", "alarms",
        json_object_get(status, "alarms"), "cluster_name", json_object_get(named, "name"), "disk_nodes", node,
        "feature_flags", flags, "listeners", node, json_object_get(status, "listeners"), "maintenance_status",
        node, is_drained ? "draining" : "not under maintenance", "partitions", "ram_nodes", "running_nodes",
        node, "versions", node, "rabbitmq_version", json_object_get(status, "rabbitmq_version"),
        "rabbitmq_name", "RabbitMQ", "erlang_version", json_object_get(status, "erlang_version"));
    json_decref(named);
    return cluster;
}

static void print_cluster(struct ctl *ctl, const json_t *status, const json_t *flags, const json_t *cluster)
{
    const char *node = node_name(ctl);
    size_t i;
    json_t *flag;

    heading("Basics");
    line("Cluster name", json_object_get(cluster, "cluster_name"));
    putchar('\n');
    heading("Disk Nodes");
    printf("%s\n\n", node);
    heading("Running Nodes");
    printf("%s\n\n", node);
    heading("Versions");
    printf("%s: RabbitMQ ", node);
    put_safe(json_string_value(json_object_get(status, "rabbitmq_version")));
    if (json_object_get(status, "version"))
        put_safe(text(ctl, " (coney %s)", json_string_value(json_object_get(status, "version"))));
    fputs("\n\n", stdout);
    heading("Maintenance status");
    printf("Node: %s, status: %s\n\n", node,
           json_is_true(json_object_get(status, "is_under_maintenance")) ? "draining"
                                                                         : "not under maintenance");
    print_alarms(json_object_get(status, "alarms"));
    heading("Network Partitions");
    puts("(none)\n");
    heading("Listeners");
    print_listeners(json_object_get(status, "listeners"), true);
    putchar('\n');
    heading("Feature flags");
    json_array_foreach(flags, i, flag)
    {
        fputs("Flag: ", stdout);
        put_safe(json_string_value(json_object_get(flag, "name")));
        fputs(", state: ", stdout);
        put_safe(json_string_value(json_object_get(flag, "state")));
        putchar('\n');
    }
}

int run_cluster_status(struct ctl *ctl)
{
    json_t *status = node_status(ctl), *flags = http_get(ctl, "/feature-flags"), *cluster;

    cluster = cluster_of(ctl, status, flags);
    if (ctl->format == FORMAT_JSON) {
        print_json_line(cluster);
    } else {
        info(ctl, "Cluster status of node %s ...", node_name(ctl));
        print_cluster(ctl, status, flags, cluster);
    }
    json_decref(cluster);
    json_decref(flags);
    json_decref(status);
    return EX_OK;
}

/* --- environment, report -------------------------------------------------------------------------------- */

int run_environment(struct ctl *ctl)
{
    json_t *environment = http_find(ctl, "/coney/environment"), *value;
    struct buffer shown = {0};
    const char *key;

    if (!environment)
        return failure(EX_UNAVAILABLE, "%s does not tell its configuration: that takes a coneyd",
                       http_target_name(ctl));
    if (ctl->format == FORMAT_JSON) {
        print_json_line(environment);
        json_decref(environment);
        return EX_OK;
    }
    info(ctl, "Application environment of node %s ...", node_name(ctl));
    json_object_foreach(environment, key, value)
    {
        put_text(&shown, key);
        put_text(&shown, " = ");
        term_cell(&shown, value, TERM_PLAIN);
        put_text(&shown, "\n");
    }
    fwrite(shown.data, 1, shown.size, stdout);
    buffer_free(&shown);
    json_decref(environment);
    return EX_OK;
}

/* A verb's output as a part of the report. */
static void report_verb(struct ctl *ctl, const char *name)
{
    struct ctl part = *ctl;
    char *no_args[] = {NULL};

    part.verb = verb_find(&part, name);
    if (!part.verb)
        return;
    part.args = no_args;
    part.arg_count = 0;
    part.verb->run(&part);
    ctl->http = part.http;
    ctl->node = part.node;
    ctl->memory = part.memory;
    putchar('\n');
}

static int run_report(struct ctl *ctl)
{
    static const char *const of_node[] = {"status",           "cluster_status", "environment",
                                          "list_connections", "list_channels",  NULL};
    static const char *const of_vhost[] = {"list_queues",
                                           "list_exchanges",
                                           "list_bindings",
                                           "list_permissions",
                                           "list_policies",
                                           "list_parameters",
                                           NULL};
    json_t *vhosts, *vhost;
    size_t i;

    printf("Reporting server status of node %s ...\n\n", node_name(ctl));
    for (size_t v = 0; of_node[v]; v++)
        report_verb(ctl, of_node[v]);
    vhosts = http_get(ctl, "/vhosts?columns=name");
    json_array_foreach(vhosts, i, vhost)
    {
        ctl->vhost = json_string_value(json_object_get(vhost, "name"));
        for (size_t v = 0; of_vhost[v]; v++)
            report_verb(ctl, of_vhost[v]);
    }
    ctl->vhost = "/";
    json_decref(vhosts);
    return EX_OK;
}

/* --- listeners, memory, logs ---------------------------------------------------------------------------- */

static int run_listeners(struct ctl *ctl)
{
    json_t *listeners = node_listeners(ctl), *wrapped;

    if (ctl->format == FORMAT_JSON) {
        wrapped = json_pack("{s:O,s:s,s:s}", "listeners", listeners, "node", node_name(ctl), "result", "ok");
        print_json_line(wrapped);
        json_decref(wrapped);
    } else {
        info(ctl, "Asking node %s to report its protocol listeners ...", node_name(ctl));
        print_listeners(listeners, false);
    }
    json_decref(listeners);
    return EX_OK;
}

static int memory_as_json(const json_t *memory)
{
    json_t *all = json_object();
    struct share *shares;
    size_t count = memory_shares(memory, &shares);
    double total = total_memory(memory);

    for (size_t i = 0; i < count; i++)
        json_object_set_new(all, shares[i].kind,
                            json_pack("{s:I,s:f}", "bytes", (json_int_t)shares[i].octets, "percentage",
                                      percentage(shares[i].octets, total)));
    free(shares);
    put_json(all, 0);
    putchar('\n');
    json_decref(all);
    return EX_OK;
}

static int run_memory_breakdown(struct ctl *ctl)
{
    static const struct {
        const char *name;
        double octets;
    } units[] = {{"bytes", 1}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}};
    const char *unit = option(ctl, "unit");
    json_t *status;
    size_t u;

    unit = unit ? unit : "gb";
    for (u = 0; u < 4 && strcmp(unit, units[u].name) != 0; u++)
        ;
    if (u == 4)
        return bad_arguments(ctl, EX_USAGE,
                             "\"unit '%s' is not supported. Please use one of: bytes, mb, gb\"", unit);
    status = node_status(ctl);
    if (ctl->format == FORMAT_JSON) {
        memory_as_json(json_object_get(status, "memory"));
    } else {
        info(ctl, "Reporting memory breakdown on node %s...", node_name(ctl));
        print_memory(ctl, json_object_get(status, "memory"), units[u].octets, unit, "");
        putchar('\n');
    }
    json_decref(status);
    return EX_OK;
}

/* The log's files; without --all the first is the one that matters. */
static int run_log_location(struct ctl *ctl)
{
    json_t *status = node_status(ctl), *files = json_object_get(status, "log_files"), *wrapped;
    size_t count = has_option(ctl, "all") ? json_array_size(files) : json_array_size(files) > 0;

    while (json_array_size(files) > count)
        json_array_remove(files, json_array_size(files) - 1);
    if (ctl->format == FORMAT_JSON) {
        wrapped = json_pack("{s:s,s:O,s:s}", "node_name", node_name(ctl), "paths", files, "result", "ok");
        print_json_line(wrapped);
        json_decref(wrapped);
    } else {
        info(ctl, "Log file location(s) on node %s ...", node_name(ctl));
        for (size_t i = 0; i < count; i++) {
            put_safe(json_string_value(json_array_get(files, i)));
            putchar('\n');
        }
    }
    json_decref(status);
    return EX_OK;
}

/* Where the last COUNT lines of FILE begin. */
static void seek_last_lines(FILE *file, long count)
{
    long at, seen = 0;

    fseek(file, 0, SEEK_END);
    for (at = ftell(file); at > 0; at--) {
        fseek(file, at - 1, SEEK_SET);
        if (fgetc(file) == '\n' && seen++ == count)
            break;
    }
    fseek(file, at, SEEK_SET);
}

/* The log is read where it lies: on the broker's machine, by who may. */
static int run_log_tail(struct ctl *ctl)
{
    long count = option_number(ctl, "number", 50);
    json_t *status = node_status(ctl);
    const char *path = json_string_value(json_array_get(json_object_get(status, "log_files"), 0));
    char *shown = NULL;
    size_t room = 0;
    FILE *file = path && *path == '/' ? fopen(path, "r") : NULL;

    if (!file) {
        int code = failure(EX_UNAVAILABLE,
                           "%s: the log is no file that can be read from here; if it goes to the journal: "
                           "journalctl -u coney -n %ld",
                           path ? path : "standard error", count);

        json_decref(status);
        return code;
    }
    info(ctl, "Last %ld log lines on node %s ...", count, node_name(ctl));
    seek_last_lines(file, count);
    while (getline(&shown, &room, file) > 0)
        put_safe(shown);
    free(shown);
    fclose(file);
    json_decref(status);
    return EX_OK;
}

static int run_server_version(struct ctl *ctl)
{
    json_t *overview = http_get(ctl, "/overview?columns=rabbitmq_version,node");

    info(ctl, "Asking node %s for its RabbitMQ version...", node_name(ctl));
    result(ctl, "%s", json_string_value(json_object_get(overview, "rabbitmq_version")));
    json_decref(overview);
    return EX_OK;
}

#define NODES     "Nodes"
#define BOTH      (TOOL_CTL | TOOL_DIAGNOSTICS)
#define DIAGNOSE  TOOL_DIAGNOSTICS
#define OBSERVING "Monitoring, observability and health checks"

const struct verb verbs_status[] = {
    {"status",
     BOTH,
     NODES,
     0,
     0,
     "",
     "Show version, memory, disk, alarms, listeners",
     "status",
     run_status,
     {{"unit", 0, OPTION_TEXT}}},
    {"cluster_status",
     BOTH,
     NODES,
     0,
     0,
     "",
     "Show the node as a cluster of one",
     "cluster_status",
     run_cluster_status,
     {{0}}},
    {"environment",
     BOTH,
     NODES,
     0,
     0,
     "",
     "Show each configuration key with the value in force",
     "environment",
     run_environment,
     {{0}}},
    {"report",
     BOTH,
     NODES,
     0,
     0,
     "",
     "Show all of it, for a bug report",
     "report >report.txt",
     run_report,
     {{0}}},
    {"listeners",
     DIAGNOSE,
     OBSERVING,
     0,
     0,
     "",
     "List where clients are accepted",
     "listeners",
     run_listeners,
     {{0}}},
    {"memory_breakdown",
     DIAGNOSE,
     OBSERVING,
     0,
     0,
     "",
     "Show what memory is used for",
     "memory_breakdown --unit mb",
     run_memory_breakdown,
     {{"unit", 0, OPTION_TEXT}}},
    {"server_version",
     DIAGNOSE,
     OBSERVING,
     0,
     0,
     "",
     "Say as which version of RabbitMQ the broker answers",
     "server_version",
     run_server_version,
     {{0}}},
    {"log_location",
     DIAGNOSE,
     "Configuration and Environment",
     0,
     0,
     "",
     "Say where the log is",
     "log_location --all",
     run_log_location,
     {{"all", 'a', OPTION_FLAG}}},
    {"log_tail",
     DIAGNOSE,
     OBSERVING,
     0,
     0,
     "",
     "Print the last lines of the log",
     "log_tail -N 100",
     run_log_tail,
     {{"number", 'N', OPTION_NUMBER}}},
    {0},
};
