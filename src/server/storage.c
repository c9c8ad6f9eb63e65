/* SPDX-License-Identifier: Apache-2.0 */
/* storage.h: a table of functions for the store, and the letters that bring its answers into the vhosts. */
#define LOG_CATEGORY LOG_CATEGORY_STORAGE
#include "storage.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/log.h"
#include "coney/parameters.h"
#include "coney/store.h"
#include "coney/users.h"
#include "coney/xalloc.h"
#include "loop.h"
#include "server.h"
#include "vhosts.h"

#define SYNC_RELAXED_MS 50
#define WINDOW_SHARE    0.5 /* of the memory at which publishers are blocked */

struct opening {
    struct server *server;
    const struct definitions_target *target;
};

/* ---- what the store asks of the server ---- */

static struct vhost *make_vhost(void *context, struct bytes name, struct journal *journal, void **owner)
{
    struct opening *opening = ((struct server *)context)->opening;
    struct runner *runner = server_make_vhost(opening->server, name, journal);

    *owner = runner;
    return runner->vhost;
}

/* What stands in NAME before the newline, and what behind it: keys of two parts (definitions.h). */
static struct bytes cut_name(struct bytes name, struct bytes *rest)
{
    const uint8_t *newline = name.size ? memchr(name.data, '\n', name.size) : NULL;
    size_t size = newline ? (size_t)(newline - name.data) : name.size;

    *rest = newline ? (struct bytes){newline + 1, name.size - size - 1} : (struct bytes){NULL, 0};
    return (struct bytes){name.data, size};
}

/* What NAME of SECTION was in VHOST. */
static void forget_in_vhost(struct parameters *parameters, struct vhost *vhost, struct bytes section,
                            struct bytes name)
{
    struct bytes rest, first = cut_name(name, &rest);

    if (bytes_equal_string(section, "permissions"))
        vhost_clear_permission(vhost, name);
    else if (bytes_equal_string(section, "topic_permissions"))
        vhost_clear_topic_permission(vhost, first, rest);
    else if (bytes_equal_string(section, "policies"))
        vhost_clear_policy(vhost, POLICY_USER, name);
    else if (bytes_equal_string(section, "parameters") && bytes_equal_string(first, "vhost-limits"))
        vhost_set_limits(vhost, -1, -1);
    else if (bytes_equal_string(section, "parameters") && bytes_equal_string(first, "operator_policy"))
        vhost_clear_policy(vhost, POLICY_OPERATOR, rest);
    else if (bytes_equal_string(section, "parameters"))
        parameters_remove(parameters, first, vhost_name(vhost), rest);
}

static void forget_global(struct server *server, struct bytes name)
{
    if (bytes_equal_string(name, "cluster_name"))
        server->kept_cluster_name[0] = 0;
    parameters_remove(server->parameters, (struct bytes){NULL, 0}, (struct bytes){NULL, 0}, name);
}

/* An entry that was there before is gone. */
static void forget_entry(const struct opening *opening, struct bytes section, struct bytes vhost,
                         struct bytes name)
{
    struct vhost *there = opening->target->find_vhost(opening->target->context, vhost);

    if (bytes_equal_string(section, "users"))
        users_remove(opening->target->users, name);
    else if (bytes_equal_string(section, "global_parameters"))
        forget_global(opening->server, name);
    else if (there)
        forget_in_vhost(opening->server->parameters, there, section, name);
}

static bool take_entry(void *context, struct bytes section, struct bytes vhost, struct bytes name,
                       struct bytes json, char why[STORE_WHY_SIZE])
{
    struct opening *opening = ((struct server *)context)->opening;
    struct definitions_result result = {0};
    char reason[DEFINITIONS_WHY_SIZE];
    bool taken;

    if (!json.size) {
        forget_entry(opening, section, vhost, name);
        return true;
    }
    taken = definitions_import_entry(opening->target, section, json, &result, reason);
    if (taken && bytes_equal_string(section, "vhosts"))
        vhosts_note_entry(opening->server, name, json);
    if (result.cluster_name)
        snprintf(opening->server->kept_cluster_name, sizeof opening->server->kept_cluster_name, "%s",
                 result.cluster_name);
    free(result.cluster_name);
    if (!taken)
        snprintf(why, STORE_WHY_SIZE, "an entry of the data directory: %s", reason);
    return taken;
}

/* The loop that ran the vhost last has it in its processor's cache. */
static void post(void *context, void *owner, struct journal *journal)
{
    struct server *server = context;
    struct runner *runner = owner;
    struct loop *loop = &server->loops[atomic_load_explicit(&runner->last_loop, memory_order_relaxed)];

    (void)journal;
    loop_post(loop, &runner->answer);
    loop_wake(loop);
}

/* Nothing may be said any more that could be taken for a promise, so there is no orderly end. */
static void failed(void *context, const char *text)
{
    (void)context;
    log_critical("%s: coneyd stops, so that nothing is promised that is not kept", text);
    log_flush(1000);
    _exit(EX_IOERR);
}

static void disk_full(void *context, bool full)
{
    server_set_alarm(context, SERVER_ALARM_DISK, full);
}

static void random_octets(void *context, void *out, size_t size)
{
    (void)context;
    if (RAND_bytes(out, (int)size) != 1)
        abort();
}

/* ---- opening ---- */

static void log_opened(const struct server *server, const struct store_opened *opened, uint64_t took_ns)
{
    if (opened->is_new)
        log_info("new data directory %s", server->config->data_dir);
    log_info("recovered %llu vhosts, %llu queues, %llu messages (%llu runs) in %.1f ms: %llu journal "
             "records, %llu octets",
             (unsigned long long)opened->vhosts, (unsigned long long)opened->queues,
             (unsigned long long)opened->messages, (unsigned long long)opened->runs, (double)took_ns / 1e6,
             (unsigned long long)opened->records, (unsigned long long)opened->octets);
    if (server->config->durability_relaxed)
        log_warning("durability is relaxed: what is confirmed is written, but synced up to %d ms later: a "
                    "power cut may take it",
                    SYNC_RELAXED_MS);
    if (opened->cut)
        log_warning("the journal ended in %llu octets that were never confirmed: they are cut off",
                    (unsigned long long)opened->cut);
}

static struct store_settings settings_of(struct server *server)
{
    const struct config *config = server->config;
    uint64_t window = config->memory_window;

    if (!window)
        window = (uint64_t)((double)server->memory_high * WINDOW_SHARE);
    return (struct store_settings){.folder = config->data_dir,
                                   .journal_window = config->journal_window,
                                   .memory_window = window,
                                   .sync_every_ms = SYNC_RELAXED_MS,
                                   .disk_free_limit = server_disk_free_limit(server)};
}

enum server_failure storage_open(struct server *server, const struct definitions_target *target, bool *is_new,
                                 char why[SERVER_WHY_SIZE])
{
    static const enum server_failure failures[] = {[STORE_OPENED] = SERVER_STARTED,
                                                   [STORE_IN_USE] = SERVER_DATA_IN_USE,
                                                   [STORE_DAMAGED] = SERVER_DATA_DAMAGED,
                                                   [STORE_UNREADABLE] = SERVER_DATA_UNREADABLE};
    struct store_ops ops = {.make_vhost = make_vhost,
                            .entry = take_entry,
                            .post = post,
                            .failed = failed,
                            .disk_full = disk_full,
                            .random = random_octets,
                            .context = server};
    struct opening opening = {server, target};
    struct store_settings settings = settings_of(server);
    struct store_opened opened = {0};
    char reason[STORE_WHY_SIZE] = "";
    uint64_t began = clock_ns();
    enum store_result result;

    *is_new = true;
    if (!*server->config->data_dir)
        return SERVER_STARTED;
    server->sys = sys_posix_new();
    server->opening = &opening;
    result = store_open(server->sys, &settings, &ops, &server->store, &opened, reason);
    server->opening = NULL;
    /* A folder may be there though its first start never came to write anything. */
    *is_new = !opened.vhosts && !users_count(server->users);
    if (result == STORE_OPENED)
        log_opened(server, &opened, clock_ns() - began);
    else
        snprintf(why, SERVER_WHY_SIZE, "%s", reason);
    return failures[result];
}

struct journal *storage_journal(struct server *server, struct bytes name)
{
    return server->store ? store_vhost(server->store, name) : journal_memory_new();
}

void storage_share(struct runner *runner, struct journal *journal)
{
    if (runner->server->store)
        store_share(journal, runner->vhost, runner);
    runner->journal = journal;
}

void storage_keep(struct server *server, struct bytes section, struct bytes vhost, struct bytes name,
                  struct bytes json)
{
    if (server->store)
        store_put_entry(server->store, section, vhost, name, json);
}

bool storage_sync(struct server *server)
{
    return !server->store || store_sync_within(server->store, STORAGE_SETTLE_MS);
}

bool storage_start(struct server *server, char why[SERVER_WHY_SIZE])
{
    char reason[STORE_WHY_SIZE];

    if (!server->store)
        return true;
    if (!store_start(server->store, reason)) {
        snprintf(why, SERVER_WHY_SIZE, "%s", reason);
        return false;
    }
    store_sync(server->store);
    return true;
}

/* ---- running ---- */

static void answer(struct vhost *vhost, void *argument)
{
    store_answer(argument, vhost);
}

void storage_answer(struct runner *runner, struct loop *loop)
{
    struct job *job = loop_job(loop, BATCH_CALL);

    job->batch.call = answer;
    job->batch.argument = runner->journal;
    runner_submit(runner, job, loop);
}

/* ---- the end ---- */

static void log_counters(const struct store_counters *counters)
{
    log_info("journal: %llu records in %llu batches, %llu octets, %llu syncs of %.2f ms; %llu checkpoints; "
             "runs: %llu "
             "written with %llu octets, %llu read, %llu moved",
             (unsigned long long)counters->journal_records, (unsigned long long)counters->journal_batches,
             (unsigned long long)counters->journal_octets, (unsigned long long)counters->journal_syncs,
             counters->journal_syncs
                 ? (double)counters->journal_sync_ns / 1e6 / (double)counters->journal_syncs
                 : 0,
             (unsigned long long)counters->checkpoints, (unsigned long long)counters->saved_runs,
             (unsigned long long)counters->saved_octets, (unsigned long long)counters->fetched_runs,
             (unsigned long long)counters->moved_runs);
}

void storage_finish(struct server *server)
{
    struct store_counters counters;

    if (!server->store || server->storage_is_finished)
        return;
    server->storage_is_finished = true;
    store_finish(server->store);
    counters = store_counters(server->store);
    log_counters(&counters);
}

void storage_close(struct server *server)
{
    if (server->store)
        store_free(server->store);
    sys_free(server->sys);
    server->store = NULL;
}
