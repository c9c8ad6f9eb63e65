/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that change the node itself: stop and start, listeners, limits, logs. Changes of settings last
 * until the node's next start. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node_status.h"
#include "verbs.h"

#define STOP_SECONDS 60.0
#define POLL_MS      50

/* POST to one of coney's own paths. */
static int post(struct ctl *ctl, const char *path)
{
    return done(ctl, http_do(ctl, "POST", path, NULL));
}

/* --- stop and start ------------------------------------------------------------------------------------- */

/* One that has ended and whose parent has not looked yet is not alive. */
static bool is_zombie(struct ctl *ctl, long pid)
{
    FILE *file = fopen(text(ctl, "/proc/%ld/stat", pid), "r");
    char line[512] = "", *name_end;

    if (!file)
        return false;
    name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return name_end && strncmp(name_end, ") Z", 3) == 0;
}

static bool is_alive(struct ctl *ctl, long pid)
{
    return (kill((pid_t)pid, 0) == 0 || errno == EPERM) && !is_zombie(ctl, pid);
}

/* The process in a pid file; 0 if there is none. */
static long pid_in(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[32] = "";
    long pid;

    if (!file)
        return 0;
    pid = fgets(line, sizeof line, file) ? strtol(line, NULL, 10) : 0;
    fclose(file);
    return pid > 0 ? pid : 0;
}

/* Wait until the broker does not answer any more, and its process PID, if it is one of this machine's, has
 * ended. */
static bool await_end(struct ctl *ctl, long pid)
{
    double end = seconds_now() + (ctl->timeout_s > 0 ? ctl->timeout_s : STOP_SECONDS);

    ctl->timeout_s = 0;
    while (*node_run_state(ctl) || (pid > 0 && is_alive(ctl, pid))) {
        if (seconds_now() > end)
            return false;
        pause_ms(POLL_MS);
    }
    return true;
}

static int not_ended(struct ctl *ctl)
{
    return failure(EX_TEMPFAIL,
                   "the broker was told to stop and has not ended yet; it may still write to disk: "
                   "`%s status`, `journalctl -u coney`",
                   ctl->program);
}

/* The broker's process, if it is one of this machine's. */
static long local_pid(struct ctl *ctl)
{
    json_t *status = http_is_local(ctl) ? http_find(ctl, "/coney/status") : NULL;
    long pid = (long)json_integer_value(json_object_get(status, "os_pid"));

    json_decref(status);
    return pid;
}

static int stop(struct ctl *ctl)
{
    long pid;
    int code;

    if (has_option(ctl, "idempotent") && !*node_run_state(ctl)) {
        info(ctl, "Node %s is no longer running", ctl->node ? ctl->node : http_target_name(ctl));
        return EX_OK;
    }
    pid = ctl->arg_count > 0 ? pid_in(ctl->args[0]) : local_pid(ctl);
    if (ctl->arg_count > 0 && pid == 0)
        return failure(EX_UNAVAILABLE, "%s: this is no file with a process's number", ctl->args[0]);
    info(ctl, "Stopping and halting node %s ...", node_name(ctl));
    code = http_do(ctl, "POST", "/coney/stop", NULL);
    if (code != EX_OK)
        return code;
    return await_end(ctl, pid) ? EX_OK : not_ended(ctl);
}

static int shutdown_node(struct ctl *ctl)
{
    json_t *status = node_status(ctl);
    long pid = (long)json_integer_value(json_object_get(status, "pid"));
    bool is_waited = !has_option(ctl, "no-wait");
    int code;

    json_decref(status);
    info(ctl, "Shutting down RabbitMQ node %s running at PID %ld", node_name(ctl), pid);
    code = http_do(ctl, "POST", "/coney/stop", NULL);
    if (code != EX_OK || !is_waited)
        return code;
    info(ctl, "Waiting for PID %ld to terminate", pid);
    fflush(stdout);
    if (!await_end(ctl, http_is_local(ctl) ? pid : 0))
        return not_ended(ctl);
    info(ctl, "RabbitMQ node %s running at PID %ld successfully shut down", node_name(ctl), pid);
    return EX_OK;
}

static int stop_app(struct ctl *ctl)
{
    info(ctl, "Stopping rabbit application on node %s ...", node_name(ctl));
    return post(ctl, "/coney/stop-app");
}

static int start_app(struct ctl *ctl)
{
    info(ctl, "Starting node %s ...", node_name(ctl));
    return post(ctl, "/coney/start-app");
}

/* Wait for a process to be there and its broker to run. */
static int wait_for(struct ctl *ctl)
{
    double seconds = ctl->timeout_s > 0 ? ctl->timeout_s : 10, end = seconds_now() + seconds;
    const char *file = ctl->arg_count > 0 ? ctl->args[0] : NULL;
    long pid = option_number(ctl, "pid", 0);
    const char *node = ctl->node ? ctl->node : http_target_name(ctl);

    if (!file && pid <= 0)
        return bad_arguments(ctl, EX_USAGE, "\"No pid or pidfile specified\"");
    ctl->timeout_s = 0;
    if (file)
        info(ctl, "Waiting for pid file '%s' to appear", file);
    fflush(stdout);
    while (file && (pid = pid_in(file)) == 0 && seconds_now() < end)
        pause_ms(POLL_MS);
    if (file && pid > 0)
        info(ctl, "pid is %ld", pid);
    if (pid > 0) {
        info(ctl, "Waiting for applications 'rabbit_and_plugins' to start on node '%s'", node);
        if (!is_alive(ctl, pid))
            return failure(EX_UNAVAILABLE, "process_not_running");
        if (node_await(ctl, "running", end - seconds_now())) {
            info(ctl, "Applications 'rabbit_and_plugins' are running on node '%s'", node);
            return EX_OK;
        }
    }
    fflush(stdout);
    fprintf(stderr, "Error: operation wait on node %s timed out. Timeout value used: %.0f\n", node,
            seconds * 1000);
    return EX_TEMPFAIL;
}

static int drain(struct ctl *ctl)
{
    info(ctl, "Will put node %s into maintenance mode. The node will no longer serve any client traffic!",
         node_name(ctl));
    return post(ctl, "/coney/drain");
}

static int revive(struct ctl *ctl)
{
    info(ctl,
         "Will put node %s back into regular operating mode. The node will again serve client traffic and "
         "host "
         "primary queue replicas.",
         node_name(ctl));
    return post(ctl, "/coney/resume-listeners");
}

static int await_quorum(struct ctl *ctl)
{
    info(ctl, "Will wait for a quorum + 1 of nodes to be online for all quorum queues for %.0f seconds...",
         ctl->timeout_s > 0 ? ctl->timeout_s : 120);
    result(ctl, "Target node seems to be the only one in a single node cluster, the command does not apply");
    return EX_OK;
}

static int await_mirrors(struct ctl *ctl)
{
    info(ctl,
         "Will wait for a synchronised mirror be online for all classic mirrored queues for %.0f seconds...",
         ctl->timeout_s > 0 ? ctl->timeout_s : 120);
    result(ctl, "Target node seems to be the only one in a single node cluster, the command does not apply");
    return EX_OK;
}

static int post_upgrade(struct ctl *ctl)
{
    info(ctl, "Executing post upgrade tasks...");
    return EX_OK; /* files of older versions are brought up to date when the node starts */
}

/* --- listeners ------------------------------------------------------------------------------------------ */

static int suspend_listeners(struct ctl *ctl)
{
    info(ctl,
         "Will suspend client connection listeners on node %s. The node will no longer accept client "
         "connections!",
         node_name(ctl));
    return post(ctl, "/coney/suspend-listeners");
}

static int resume_listeners(struct ctl *ctl)
{
    info(ctl,
         "Will resume client connection listeners on node %s. The node will now accept client connections",
         node_name(ctl));
    return post(ctl, "/coney/resume-listeners");
}

/* --- settings ------------------------------------------------------------------------------------------- */

/* "2GB", "50MiB", "1000". */
static bool is_size(const char *value)
{
    static const char *const units[] = {"",    "b",   "k",  "kb",  "kib", "K",  "KB",  "m", "mb",
                                        "mib", "M",   "MB", "MiB", "g",   "gb", "gib", "G", "GB",
                                        "GiB", "KiB", "t",  "tb",  "T",   "TB", "TiB", NULL};
    char *end;

    return strtod(value, &end) >= 0 && end != value && is_one_of(end, units);
}

static bool is_fraction(const char *value, double *number)
{
    char *end;

    *number = strtod(value, &end);
    return end != value && !*end;
}

static int set_memory_watermark(struct ctl *ctl)
{
    bool is_absolute = strcmp(ctl->args[0], "absolute") == 0;
    double fraction = 0;
    json_t *body;

    if (is_absolute && ctl->arg_count < 2)
        return bad_arguments(ctl, EX_USAGE, "not enough arguments.");
    if (!is_absolute && ctl->arg_count > 1)
        return bad_arguments(ctl, EX_USAGE, "too many arguments.");
    if (is_absolute ? !is_size(ctl->args[1]) : !is_fraction(ctl->args[0], &fraction))
        return bad_arguments(ctl, EX_DATAERR, "Bad argument.");
    if (fraction < 0 || fraction > 1)
        return bad_arguments(ctl, EX_DATAERR,
                             "Bad argument: The threshold should be a fraction between 0.0 and 1.0");
    if (is_absolute)
        info(ctl, "Setting memory threshold on %s to %s bytes ...", node_name(ctl), ctl->args[1]);
    else
        info(ctl, "Setting memory threshold on %s to %s ...", node_name(ctl), ctl->args[0]);
    body =
        is_absolute ? json_pack("{s:s}", "absolute", ctl->args[1]) : json_pack("{s:f}", "relative", fraction);
    return done(ctl, http_do(ctl, "PUT", "/coney/memory-high-watermark", body));
}

static int set_disk_free_limit(struct ctl *ctl)
{
    bool is_relative = strcmp(ctl->args[0], "mem_relative") == 0;
    double fraction = 0;
    json_t *body;

    if (is_relative && ctl->arg_count < 2)
        return bad_arguments(ctl, EX_USAGE, "not enough arguments.");
    if (!is_relative && ctl->arg_count > 1)
        return bad_arguments(ctl, EX_USAGE, "too many arguments.");
    if (is_relative ? !is_fraction(ctl->args[1], &fraction) || fraction < 0 : !is_size(ctl->args[0]))
        return bad_arguments(ctl, EX_DATAERR, "Bad argument.");
    if (is_relative)
        info(ctl, "Setting disk free limit on %s to %s times the total RAM ...", node_name(ctl),
             ctl->args[1]);
    else
        info(ctl, "Setting disk free limit on %s to %s bytes ...", node_name(ctl), ctl->args[0]);
    body =
        is_relative ? json_pack("{s:f}", "relative", fraction) : json_pack("{s:s}", "absolute", ctl->args[0]);
    return done(ctl, http_do(ctl, "PUT", "/coney/disk-free-limit", body));
}

static int set_log_level(struct ctl *ctl)
{
    static const char *const levels[] = {"debug", "info", "warning", "error", "critical", "none", NULL};
    const char *level = ctl->args[ctl->arg_count - 1];
    json_t *body;

    if (!is_one_of(level, levels))
        return failure(EX_UNAVAILABLE,
                       "level %s is not supported. Try one of debug, info, warning, error, critical, none",
                       level);
    if (ctl->arg_count > 1)
        info(ctl, "Setting log level for category %s to \"%s\" ...", ctl->args[0], level);
    else
        info(ctl, "Setting log level to \"%s\" ...", level);
    body = json_pack("{s:s}", "level", level);
    if (ctl->arg_count > 1)
        json_object_set_new(body, "category", json_string(ctl->args[0]));
    return done(ctl, http_do(ctl, "PUT", "/coney/log-level", body));
}

static int rotate_logs(struct ctl *ctl)
{
    info(ctl, "Reopening log files on node %s ...", node_name(ctl));
    return post(ctl, "/coney/rotate-logs");
}

static int reload(struct ctl *ctl)
{
    info(ctl, "Reading configuration and certificates again on node %s ...", node_name(ctl));
    return post(ctl, "/coney/reload");
}

static int set_cluster_name(struct ctl *ctl)
{
    info(ctl, "Setting cluster name to %s ...", ctl->args[0]);
    return done(ctl, http_do(ctl, "PUT", "/cluster-name", json_pack("{s:s}", "name", ctl->args[0])));
}

static int force_gc(struct ctl *ctl)
{
    info(ctl, "Will ask all processes on node %s to schedule a full sweep GC", node_name(ctl));
    return EX_OK; /* memory is given back where it is freed */
}

static int enable_feature_flag(struct ctl *ctl)
{
    const char *flag = ctl->args[0];
    struct answer answer;

    if (strcmp(flag, "all") == 0) {
        info(ctl, "Enabling all feature flags ...");
        return done(ctl, EX_OK);
    }
    info(ctl, "Enabling feature flag \"%s\" ...", flag);
    answer = http_call(ctl, "PUT", api_path(ctl, "/feature-flags/%s/enable", flag), json_object());
    if (answer.status == 400 || answer.status == 404) {
        answer_free(&answer);
        return failure(EX_USAGE, "This feature flag is not supported by node %s", node_name(ctl));
    }
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return done(ctl, EX_OK);
}

/* --- alarms, backup, check ------------------------------------------------------------------------------ */

static int change_alarm(struct ctl *ctl, const char *method, const char *verb)
{
    static const char *const kinds[] = {"memory", "disk", NULL};

    if (!is_one_of(ctl->args[0], kinds))
        return bad_arguments(ctl, EX_USAGE, "there is no alarm '%s'. Use one of: memory, disk", ctl->args[0]);
    info(ctl, "%s the %s alarm on node %s ...", verb, ctl->args[0], node_name(ctl));
    return done(ctl, http_do(ctl, method, api_path(ctl, "/coney/alarms/%s", ctl->args[0]), NULL));
}

static int set_alarm(struct ctl *ctl)
{
    return change_alarm(ctl, "PUT", "Raising");
}

static int clear_alarm(struct ctl *ctl)
{
    return change_alarm(ctl, "DELETE", "Taking back");
}

static int backup(struct ctl *ctl)
{
    json_t *body = json_pack("{s:s}", "path", ctl->args[0]);
    char *shown = json_dumps(body, JSON_COMPACT);
    struct answer answer;

    json_decref(body);
    info(ctl, "Copying the data directory of node %s to %s ...", node_name(ctl), ctl->args[0]);
    fflush(stdout);
    answer = http_send(ctl, "POST", "/coney/backup", shown, shown ? strlen(shown) : 0, NULL);
    free(shown);
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    result(ctl, "%" JSON_INTEGER_FORMAT " octets are in %s; check them with: %s check %s",
           json_integer_value(json_object_get(answer.json, "octets")), ctl->args[0], ctl->program,
           ctl->args[0]);
    answer_free(&answer);
    return EX_OK;
}

/* coneyd can look into a data directory; it lies beside us, in ../sbin, or where PATH says. */
static int check_folder(struct ctl *ctl)
{
    char self[4096], *slash;
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *places[] = {"coneyd", "../sbin/coneyd"};

    for (size_t i = 0; size > 0 && i < 2; i++) {
        const char *program;

        self[size] = '\0';
        slash = strrchr(self, '/');
        program = text(ctl, "%.*s/%s", (int)(slash - self), self, places[i]);
        execl(program, "coneyd", "--check", ctl->args[0], (char *)NULL);
    }
    execlp("coneyd", "coneyd", "--check", ctl->args[0], (char *)NULL);
    return failure(EX_OSFILE, "coneyd: %s; it is what checks a data directory", strerror(errno));
}

#define NODES         "Nodes"
#define OPERATIONS    "Operations"
#define CONFIGURATION "Configuration and Environment"
#define UPGRADE       "Upgrade"

const struct verb verbs_node[] = {
    {"start_app",
     TOOL_CTL,
     NODES,
     0,
     0,
     "",
     "Serve AMQP again after stop_app",
     "start_app",
     start_app,
     {{0}}},
    {"stop",
     TOOL_CTL,
     NODES,
     0,
     1,
     "[PIDFILE]",
     "Stop the broker, and wait until it has ended",
     "stop",
     stop,
     {{"idempotent", 0, OPTION_FLAG}}},
    {"shutdown",
     TOOL_CTL,
     NODES,
     0,
     0,
     "",
     "Stop the broker, and wait for its process",
     "shutdown",
     shutdown_node,
     {{"wait", 0, OPTION_FLAG}, {"no-wait", 0, OPTION_FLAG}}},
    {"stop_app",
     TOOL_CTL,
     NODES,
     0,
     0,
     "",
     "Stop AMQP: clients are closed, listeners shut, this API goes on; start_app brings back what is durable",
     "stop_app",
     stop_app,
     {{0}}},
    {"wait",
     TOOL_CTL | TOOL_DIAGNOSTICS,
     NODES,
     0,
     1,
     "[PIDFILE]",
     "Wait for a process's broker to run",
     "wait --pid 4711 --timeout 30",
     wait_for,
     {{"pid", 'P', OPTION_NUMBER}}},
    {"rotate_logs",
     TOOL_CTL,
     NODES,
     0,
     0,
     "",
     "Open log files anew, after they were moved away",
     "rotate_logs",
     rotate_logs,
     {{0}}},
    {"reload",
     0,
     NODES,
     0,
     0,
     "",
     "Read configuration and certificates again, as SIGHUP does",
     "reload",
     reload,
     {{0}}},
    {"drain",
     TOOL_UPGRADE,
     UPGRADE,
     0,
     0,
     "",
     "Hand consumers off, then stop: for a restart that clients hardly see",
     "drain",
     drain,
     {{0}}},
    {"revive", TOOL_UPGRADE, UPGRADE, 0, 0, "", "Accept clients again", "revive", revive, {{0}}},
    {"await_online_quorum_plus_one",
     TOOL_UPGRADE,
     UPGRADE,
     0,
     0,
     "",
     "For scripts of clusters: with one node it is so",
     "await_online_quorum_plus_one -t 60",
     await_quorum,
     {{0}}},
    {"await_online_synchronized_mirror",
     TOOL_UPGRADE,
     UPGRADE,
     0,
     0,
     "",
     "For scripts of clusters: with one node it is so",
     "await_online_synchronized_mirror -t 60",
     await_mirrors,
     {{0}}},
    {"post_upgrade",
     TOOL_UPGRADE,
     UPGRADE,
     0,
     0,
     "",
     "For scripts of clusters: there is nothing to do",
     "post_upgrade",
     post_upgrade,
     {{0}}},
    {"force_gc",
     TOOL_CTL,
     OPERATIONS,
     0,
     0,
     "",
     "For scripts: memory needs no collecting here",
     "force_gc",
     force_gc,
     {{0}}},
    {"resume_listeners",
     TOOL_CTL,
     OPERATIONS,
     0,
     0,
     "",
     "Accept clients again after suspend_listeners",
     "resume_listeners",
     resume_listeners,
     {{0}}},
    {"suspend_listeners",
     TOOL_CTL,
     OPERATIONS,
     0,
     0,
     "",
     "Accept no more clients; those who are in stay",
     "suspend_listeners",
     suspend_listeners,
     {{0}}},
    {"set_alarm",
     0,
     OPERATIONS,
     1,
     1,
     "memory|disk",
     "Raise an alarm, to rehearse what blocked publishers do",
     "set_alarm memory",
     set_alarm,
     {{0}}},
    {"clear_alarm",
     0,
     OPERATIONS,
     1,
     1,
     "memory|disk",
     "Take back what set_alarm raised",
     "clear_alarm memory",
     clear_alarm,
     {{0}}},
    {"backup",
     0,
     OPERATIONS,
     1,
     1,
     "FOLDER",
     "Copy the data directory, whole and consistent, while the broker runs",
     "backup /backup/today",
     backup,
     {{0}}},
    {"check",
     0,
     OPERATIONS,
     1,
     1,
     "FOLDER",
     "Look whether a data directory or a backup is sound",
     "check /backup/today",
     check_folder,
     {{0}}},
    {"set_cluster_name",
     TOOL_CTL,
     CONFIGURATION,
     1,
     1,
     "NAME",
     "Give the broker a name, which clients see",
     "set_cluster_name warehouse",
     set_cluster_name,
     {{0}}},
    {"set_disk_free_limit",
     TOOL_CTL,
     CONFIGURATION,
     1,
     2,
     "SIZE | mem_relative FRACTION",
     "Block publishers when less disk is free, until the next start",
     "set_disk_free_limit 2GB",
     set_disk_free_limit,
     {{0}}},
    {"set_log_level",
     TOOL_CTL,
     CONFIGURATION,
     1,
     2,
     "[CATEGORY] LEVEL",
     "Log more or less, until the next start: debug, info, warning, error, critical, none",
     "set_log_level debug",
     set_log_level,
     {{0}}},
    {"set_vm_memory_high_watermark",
     TOOL_CTL,
     CONFIGURATION,
     1,
     2,
     "FRACTION | absolute SIZE",
     "Block publishers when more memory is used, until the next start",
     "set_vm_memory_high_watermark absolute 2GB",
     set_memory_watermark,
     {{0}}},
    {"enable_feature_flag",
     TOOL_CTL,
     "Feature flags",
     1,
     1,
     "NAME|all",
     "For scripts: all are on",
     "enable_feature_flag all",
     enable_feature_flag,
     {{0}}},
    {0},
};
