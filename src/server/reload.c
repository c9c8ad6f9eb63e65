/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h. All of it on the first loop.
 *
 * A configuration that was read is never changed: server->config is exchanged as a whole, and other threads
 * may still read the one before. So none is freed before the server is; one is kept only when something in it
 * differs.
 *
 * Definitions touch many vhosts. So all vhosts are parked: each stops at a batch of its own (runner.h), and
 * while none runs the import has them to itself. Loops go on meanwhile, and what comes for a vhost waits.
 */
#include "reload.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "coney/config.h"
#include "coney/definitions.h"
#include "coney/log.h"
#include "coney/store.h"
#include "coney/xalloc.h"
#include "server.h"
#include "server/tls/tls.h"
#include "service.h"

struct loaded {
    struct loaded *next;
    struct config config;
};

/* ---- definitions ---- */

static void import(struct server *server)
{
    struct definitions_target target = server_definitions_target(server);
    const char *path = server->config->load_definitions;
    struct definitions_result result = {0};
    char why[DEFINITIONS_WHY_SIZE];

    if (definitions_load(&target, path, &result, why))
        log_info(
            "definitions imported from %s: %zu users, %zu vhosts, %zu exchanges, %zu queues, %zu bindings",
            path, result.users, result.vhosts, result.exchanges, result.queues, result.bindings);
    else
        log_error("definitions cannot be imported, what came before stays: %s", why);
    free(result.cluster_name);
}

static void finish(struct server *server)
{
    log_info("reloaded");
    service_ready(server->service);
}

static void import_parked(struct server *server)
{
    struct runner *runner;

    import(server);
    server->is_importing = false;
    LL_FOREACH (server->runners, runner)
        runner_unpark(runner, &server->loops[0]);
    finish(server);
}

void reload_parked(struct server *server, struct runner *runner)
{
    (void)runner;
    if (--server->to_be_parked == 0)
        import_parked(server);
}

static void begin_import(struct server *server)
{
    struct runner *runner;

    server->is_importing = true;
    LL_FOREACH (server->runners, runner) {
        server->to_be_parked++; /* counted down by mail, which waits until this is over */
        runner_park(runner, &server->loops[0]);
    }
    if (!server->to_be_parked)
        import_parked(server);
}

/* ---- applying ---- */

struct vhost_settings reload_vhost_settings(const struct config *config)
{
    return (struct vhost_settings){.message_size_max = config->max_message_size,
                                   .consumer_timeout_ms = (int64_t)config->consumer_timeout_ms,
                                   .default_queue_type = config->default_queue_type,
                                   .relaxed = config->durability_relaxed,
                                   .unsent_max = config->connection_buffer_max,
                                   .connections_max = config->connection_max_per_vhost,
                                   .channels_max = config->channel_max_per_node,
                                   .consumers_max = config->consumer_max_per_channel,
                                   .unacked_max = config->unacked_max_per_channel,
                                   .bindings_max = config->bindings_max_per_exchange,
                                   .name_size_max = config->name_size_max,
                                   .table_depth_max = config->table_depth_max,
                                   .table_size_max = config->table_size_max};
}

static void change_vhost(struct vhost *vhost, void *argument)
{
    struct vhost_settings settings = reload_vhost_settings(argument);

    vhost_change_settings(vhost, &settings);
}

static void apply(struct server *server, const struct config *config)
{
    struct loop *loop = &server->loops[0];
    struct runner *runner;

    server_set_watermark(server);
    if (server->store)
        store_set_disk_free_limit(server->store, server_disk_free_limit(server));
    LL_FOREACH (server->runners, runner) {
        struct job *job = loop_job(loop, BATCH_CALL);

        job->batch.call = change_vhost;
        job->batch.argument = (void *)(uintptr_t)config;
        runner_submit(runner, job, loop);
    }
}

/* ---- reading ---- */

static void log_wrong(void *context, const char *text)
{
    (void)context;
    log_error("%s", text);
}

static void log_change(void *context, const char *key, const char *before, const char *after, bool is_live)
{
    (void)context;
    if (is_live)
        log_info("%s changes from '%s' to '%s'", key, before, after);
    else
        log_warning("%s stays '%s' until a restart makes it '%s'", key, before, after);
}

static void set_level(struct log_output *output, int category, enum log_level level)
{
    if (output->least[category] != LOG_LEVEL_NONE)
        output->least[category] = level;
}

bool reload_log(struct server *server, const struct config *config)
{
    struct log_settings settings;
    char *path;
    bool done;

    config_log_settings(config, &settings, &path);
    for (int i = 0; i < LOG_CATEGORY_COUNT; i++) {
        if (!server->log_levels[i])
            continue;
        set_level(&settings.console, i, (enum log_level)(server->log_levels[i] - 1));
        set_level(&settings.file, i, (enum log_level)(server->log_levels[i] - 1));
    }
    done = log_configure(&settings);
    if (!done)
        log_error("log.file: %s cannot be opened: %s", path, strerror(errno));
    free(path);
    return done;
}

/* The configuration as it is now; NULL when it cannot be taken. */
static struct loaded *read_anew(struct server *server)
{
    struct loaded *loaded = xcalloc(1, sizeof *loaded);

    if (!config_load(&loaded->config, server->source, log_wrong, NULL)) {
        free(loaded);
        return NULL;
    }
    if (!reload_log(server, &loaded->config)) {
        config_free(&loaded->config);
        free(loaded);
        return NULL;
    }
    return loaded;
}

static void take(struct server *server, struct loaded *loaded)
{
    struct config *config = &loaded->config;

    for (size_t i = 0; i < config->notices.count; i++)
        log_warning("%s", config->notices.words[i]);
    if (config_take_over(config, server->config, log_change, NULL) == 0) {
        log_info("the configuration is what it was");
        config_free(config);
        free(loaded);
        return;
    }
    LL_PREPEND(server->loaded, loaded);
    atomic_store(&server->config, config);
    apply(server, config);
}

void reload_begin(struct server *server)
{
    struct loaded *loaded;

    if (!server->source || atomic_load(&server->is_stopping))
        return;
    if (server->is_importing) {
        log_warning("a reload is under way already");
        return;
    }
    log_info("reading the configuration again");
    service_reloading(server->service);
    loaded = read_anew(server);
    if (!loaded) {
        log_error("the configuration stays as it was");
        service_ready(server->service);
        return;
    }
    take(server, loaded);
    if (server->tls)
        tls_reload(server->tls, &server->config->tls);
    if (*server->config->load_definitions)
        begin_import(server);
    else
        finish(server);
}

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    reload_begin(arg);
}

static void on_reopen(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    log_reopen();
    log_info("log files are opened again");
}

/* ---- the server's ---- */

void server_set_source(struct server *server, const struct config_source *source)
{
    server->source = source;
}

bool reload_init(struct server *server)
{
    struct event_base *base = server->loops[0].base;

    server->hangup = event_new(base, SIGHUP, EV_SIGNAL | EV_PERSIST, on_hangup, server);
    server->reopen = event_new(base, SIGUSR1, EV_SIGNAL | EV_PERSIST, on_reopen, server);
    return server->hangup && server->reopen && event_add(server->hangup, NULL) == 0 &&
           event_add(server->reopen, NULL) == 0;
}

void reload_free(struct server *server)
{
    event_free(server->hangup);
    event_free(server->reopen);
    while (server->loaded) {
        struct loaded *loaded = server->loaded;

        server->loaded = loaded->next;
        config_free(&loaded->config);
        free(loaded);
    }
}
