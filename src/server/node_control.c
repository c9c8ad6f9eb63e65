/* SPDX-License-Identifier: Apache-2.0 */
/* coney/node_control.h: most of it is done on the first loop, by a visit. */
#include "coney/node_control.h"

#include <fts.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <utlist.h>

#include "coney/log.h"
#include "coney/store.h"
#include "coney/vhost.h"
#include "coney/visit.h"
#include "drain.h"
#include "reload.h"
#include "server.h"
#include "server/listen/listener.h"
#include "server/session/session.h"

/* ---- looking ---- */

static enum node_run_state run_state(const struct server *server)
{
    if (atomic_load(&server->is_stopping))
        return NODE_STOPPING;
    if (atomic_load(&server->is_draining))
        return NODE_DRAINING;
    return atomic_load(&server->app_is_stopped) ? NODE_APP_STOPPED : NODE_RUNNING;
}

struct node_condition node_condition(struct server *server)
{
    return (struct node_condition){.run_state = run_state(server),
                                   .is_suspended = atomic_load(&server->is_suspended),
                                   .memory_factor = server_memory_limit(server).factor,
                                   .config = server->config,
                                   .config_path = server->source ? server->source->path : NULL};
}

struct showing {
    void (*show)(void *context, const struct node_listener *listener);
    void *context;
};

static void show_all(struct loop *loop, void *argument)
{
    const struct showing *showing = argument;

    listeners_show(loop->server, showing->show, showing->context);
}

void node_show_listeners(struct server *server,
                         void (*show)(void *context, const struct node_listener *listener), void *context)
{
    struct showing showing = {show, context};

    visit_loop(server, server_door(server)->index, show_all, &showing);
}

/* ---- what signals do too ---- */

static void stop(struct loop *loop, void *argument)
{
    (void)argument;
    log_info("stopping as asked by who administers");
    server_stop(loop->server);
}

void node_stop(struct server *server)
{
    visit_loop(server, 0, stop, NULL);
}

static void drain(struct loop *loop, void *argument)
{
    (void)argument;
    drain_begin(loop->server->drain);
}

void node_drain(struct server *server)
{
    visit_loop(server, 0, drain, NULL);
}

static void reload(struct loop *loop, void *argument)
{
    (void)argument;
    reload_begin(loop->server);
}

void node_reload(struct server *server)
{
    visit_loop(server, 0, reload, NULL);
}

/* ---- listeners ---- */

struct resuming {
    bool done;
    char *why;
    size_t why_size;
};

static void suspend(struct loop *loop, void *argument)
{
    (void)argument;
    listeners_suspend(loop->server);
}

void node_suspend_listeners(struct server *server)
{
    visit_loop(server, server_door(server)->index, suspend, NULL);
}

static void resume(struct loop *loop, void *argument)
{
    struct resuming *resuming = argument;

    resuming->done = listeners_resume(loop->server, resuming->why, resuming->why_size);
}

bool node_resume_listeners(struct server *server, char *why, size_t why_size)
{
    struct resuming resuming = {.why = why, .why_size = why_size};

    snprintf(why, why_size, "the node is stopping");
    visit_loop(server, server_door(server)->index, resume, &resuming);
    return resuming.done;
}

/* ---- AMQP stops ---- */

#define STOP_TEXT     "broker forced connection closure with reason 'shutdown'"
#define PATIENCE_S    5
#define ROUND_PAUSE_S 0.02

static void close_early(struct loop *loop, void *argument)
{
    struct session *session, *next;

    (void)argument;
    DL_FOREACH_SAFE (loop->sessions, session, next)
        if (!session->is_internal && session->state < SESSION_OPENING)
            session_gone(session);
}

static void cut_off(struct loop *loop, void *argument)
{
    struct session *session, *next;

    (void)argument;
    DL_FOREACH_SAFE (loop->sessions, session, next)
        if (!session->is_internal)
            session_gone(session);
}

static void on_all_loops(struct server *server, void (*work)(struct loop *loop, void *argument))
{
    for (unsigned i = 0; i <= server->loop_count; i++)
        visit_loop(server, i, work, NULL);
}

static void send_away(struct vhost *vhost, void *argument)
{
    uint32_t *left = argument;

    *left += vhost_send_away(vhost, STOP_TEXT);
}

static void delete_transient(struct vhost *vhost, void *argument)
{
    (void)argument;
    vhost_delete_transient(vhost);
}

/* Ask all clients to go until none is left; false when some stay. */
static bool empty(struct server *server)
{
    static const struct timespec pause = {.tv_nsec = (long)(ROUND_PAUSE_S * 1e9)};

    for (int round = 0; round < PATIENCE_S / ROUND_PAUSE_S; round++) {
        uint32_t left = 0;

        on_all_loops(server, close_early);
        visit_vhosts(server, send_away, &left);
        if (!left)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

void node_stop_app(struct server *server)
{
    if (atomic_exchange(&server->app_is_stopped, true))
        return;
    log_warning("AMQP stops, as asked by who administers");
    node_suspend_listeners(server);
    if (!empty(server)) {
        on_all_loops(server, cut_off);
        empty(server);
    }
    visit_vhosts(server, delete_transient, NULL);
    log_warning("AMQP has stopped: all clients are gone");
}

bool node_start_app(struct server *server, char *why, size_t why_size)
{
    atomic_store(&server->app_is_stopped, false);
    return node_resume_listeners(server, why, why_size);
}

/* ---- alarms and limits ---- */

void node_rehearse_alarm(struct server *server, enum node_alarm alarm, bool on)
{
    static const enum server_alarm_bit bits[] = {
        [NODE_ALARM_MEMORY] = SERVER_ALARM_MEMORY, [NODE_ALARM_DISK] = SERVER_ALARM_DISK};

    server_rehearse_alarm(server, bits[alarm], on);
}

void node_set_memory_limit(struct server *server, uint64_t octets, double factor)
{
    server_set_limit(server, &server->memory_limit, (struct server_limit){octets, factor});
    server_set_watermark(server);
    server_wake_everyone(server);
}

bool node_set_disk_free_limit(struct server *server, uint64_t octets, double factor)
{
    if (!server->store)
        return false;
    server_set_limit(server, &server->disk_free_limit, (struct server_limit){octets, factor});
    store_set_disk_free_limit(server->store, server_disk_free_limit(server));
    store_care(server->store);
    return true;
}

/* ---- the log ---- */

struct log_change {
    enum log_category category;
    enum log_level level;
};

static void set_log_level(struct loop *loop, void *argument)
{
    const struct log_change *change = argument;
    struct server *server = loop->server;

    for (int i = 0; i < LOG_CATEGORY_COUNT; i++)
        if (change->category == LOG_CATEGORY_COUNT || i == (int)change->category)
            server->log_levels[i] = 1 + (int)change->level;
    reload_log(server, server->config);
}

void node_set_log_level(struct server *server, enum log_category category, enum log_level level)
{
    struct log_change change = {category, level};

    visit_loop(server, 0, set_log_level, &change);
}

/* ---- backup ---- */

struct backup {
    sem_t done;
    bool is_good;
    char *why;
    size_t why_size;
};

static void backup_done(void *context, const char *why)
{
    struct backup *backup = context;

    backup->is_good = !why;
    if (why)
        snprintf(backup->why, backup->why_size, "%s", why);
    sem_post(&backup->done); /* from here on it is gone */
}

static uint64_t folder_size(const char *path)
{
    char *paths[] = {(char *)(uintptr_t)path, NULL};
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    const FTSENT *entry;
    uint64_t size = 0;

    while (walk && (entry = fts_read(walk)) != NULL)
        size += entry->fts_info == FTS_F ? (uint64_t)entry->fts_statp->st_size : 0;
    if (walk)
        fts_close(walk);
    return size;
}

bool node_backup(struct server *server, const char *path, uint64_t *octets, char *why, size_t why_size)
{
    struct backup backup = {.why = why, .why_size = why_size};

    if (!server->store) {
        snprintf(why, why_size, "this node keeps nothing: it has no data directory");
        return false;
    }
    sem_init(&backup.done, 0, 0);
    if (store_backup(server->store, path, backup_done, &backup)) {
        while (sem_wait(&backup.done) != 0)
            ; /* a signal */
    } else {
        snprintf(why, why_size, "another backup is being made");
    }
    sem_destroy(&backup.done);
    *octets = backup.is_good ? folder_size(path) : 0;
    return backup.is_good;
}
