/* SPDX-License-Identifier: Apache-2.0 */
/* coney/node_stats.h: figures are collected where they are kept; nothing is counted here. */
#include "coney/node_stats.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/log.h"
#include "coney/sys.h"
#include "coney/xalloc.h"
#include "server.h"
#include "server/session/login.h"
#include "server/session/session.h"
#include "server/tls/tls.h"
#include "visit.h"

_Static_assert(NODE_LOOPS_MAX >= LOOPS_MAX, "room for every loop");

#define NS_PER_S 1000000000

/* ---- the process ---- */

static void note_files(struct node_stats *out)
{
    struct rlimit limit;
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->files_max = limit.rlim_cur;
    while (folder && (entry = readdir(folder)) != NULL) {
        char *end, kind[8];
        long fd = strtol(entry->d_name, &end, 10);

        if (*end || end == entry->d_name || fd == dirfd(folder))
            continue;
        out->files++;
        /* Others open and close theirs meanwhile: the folder is asked, not the descriptor. */
        out->sockets += readlinkat(dirfd(folder), entry->d_name, kind, sizeof kind) >= 7 &&
                        memcmp(kind, "socket:", 7) == 0;
    }
    if (folder)
        closedir(folder);
}

static uint64_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long all, pages;
    bool good;

    if (!file)
        return 0;
    good = fscanf(file, "%lu %lu", &all, &pages) == 2; /* NOLINT(cert-err34-c): the kernel's numbers */
    fclose(file);
    return good ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t ns_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_usec * 1000;
}

static void note_process(const struct server *server, struct node_stats *out)
{
    struct rusage usage;

    out->uptime_ms = (clock_ns() - server->started_ns) / 1000000;
    out->started_at = server_now_ms(server) - (int64_t)out->uptime_ms;
    out->resident = resident();
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        out->cpu_ns = ns_of(&usage.ru_utime) + ns_of(&usage.ru_stime);
        out->switches = (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
    }
    note_files(out);
    log_missing(&out->log_lost, &out->log_left_out);
}

/* ---- memory and disk ---- */

static void note_limits(struct server *server, struct node_stats *out)
{
    const struct config *config = atomic_load(&server->config);
    unsigned alarms = server_alarms(server);
    int64_t room;

    out->memory_used = server_memory_used(server);
    out->memory_limit = atomic_load(&server->memory_high);
    out->has_memory_alarm = alarms & SERVER_ALARM_MEMORY;
    out->has_disk_alarm = alarms & SERVER_ALARM_DISK;
    out->has_store = server->store != NULL;
    if (!server->store)
        return;
    out->store = store_counters(server->store);
    room = sys_room(server->sys, config->data_dir);
    out->disk_free = room > 0 ? (uint64_t)room : 0;
    out->disk_free_limit = out->store.disk_free_limit;
}

/* ---- loops ---- */

static void note_loop(struct loop *loop, void *argument)
{
    struct node_loop *out = argument;
    const struct session *session;
    struct timespec used = {0};

    out->turns = atomic_load_explicit(&loop->turns, memory_order_relaxed);
    out->busy_percent = atomic_load_explicit(&loop->busy_percent, memory_order_relaxed);
    out->sessions = atomic_load_explicit(&loop->session_count, memory_order_relaxed);
    DL_COUNT2(loop->blocked, session, out->blocked, block_next);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    out->cpu_ns = (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
    out->lag_ns = clock_ns() - out->lag_ns;
}

static bool note_loops(struct server *server, struct node_stats *out)
{
    out->connections = atomic_load(&server->connection_count);
    for (unsigned i = 0; i < server->loop_count; i++) {
        out->loops[i].lag_ns = clock_ns();
        if (visit_loop(server, i, note_loop, &out->loops[i]) != VISIT_DONE)
            return false;
        out->connections_blocked += out->loops[i].blocked;
        out->loop_count++;
    }
    return true;
}

/* ---- what running vhosts took ---- */

static void note_runs(struct server *server, struct node_stats *out)
{
    struct runner *runner;

    pthread_mutex_lock(&server->lock);
    LL_FOREACH (server->runners, runner) {
        out->runs += atomic_load_explicit(&runner->work.runs, memory_order_relaxed);
        out->batches += atomic_load_explicit(&runner->work.batches, memory_order_relaxed);
        out->run_ns += atomic_load_explicit(&runner->work.ns, memory_order_relaxed);
    }
    pthread_mutex_unlock(&server->lock);
}

/* ---- logins and TLS ---- */

static void note_logins(struct server *server, struct node_stats *out)
{
    struct login_counters counters = logins_counters(server->logins);

    for (int i = 0; i < LOGIN_RESULTS; i++) {
        out->http_logins.results[i] = counters.elsewhere[i];
        out->logins.results[i] = counters.results[i] - counters.elsewhere[i];
    }
    out->logins_recalled = counters.recalled;
    out->logins_slowed = counters.slowed;
    out->logins_too_many = counters.too_many;
    out->logins_waiting = counters.waiting;
}

static void note_certificate(void *context, const struct tls_certificate *certificate)
{
    struct node_stats *out = context;

    out->certificates = xrealloc(out->certificates, (out->certificate_count + 1) * sizeof *out->certificates);
    out->certificates[out->certificate_count++] =
        (struct node_certificate){.server_name = xstrdup(certificate->name),
                                  .file = xstrdup(certificate->file),
                                  .expiry = certificate->expiry};
}

static void note_tls(struct server *server, struct node_stats *out)
{
    struct tls_counters counters;

    if (!server->tls)
        return;
    counters = tls_counters(server->tls);
    out->has_tls = true;
    out->tls_handshakes = counters.handshakes;
    out->tls_failures = counters.failures;
    out->tls_by_kernel = counters.by_kernel;
    out->tls_reloads = counters.reloads;
    out->tls_failed_reloads = counters.failed_reloads;
    tls_certificates(server->tls, note_certificate, out);
}

bool node_stats(struct server *server, struct node_stats *out)
{
    *out = (struct node_stats){0};
    note_process(server, out);
    note_limits(server, out);
    note_runs(server, out);
    note_logins(server, out);
    note_tls(server, out);
    return note_loops(server, out);
}

void node_stats_clear(struct node_stats *stats)
{
    for (size_t i = 0; i < stats->certificate_count; i++) {
        free(stats->certificates[i].server_name);
        free(stats->certificates[i].file);
    }
    free(stats->certificates);
    *stats = (struct node_stats){0};
}

/* ---- vhosts ---- */

static void add_counts(struct vhost_counts *to, const struct vhost_counts *from)
{
    uint64_t *sums = (uint64_t *)(void *)to;
    const uint64_t *addends = (const uint64_t *)(const void *)from;

    _Static_assert(sizeof *to % sizeof *sums == 0, "counts alone");
    for (size_t i = 0; i < sizeof *to / sizeof *sums; i++)
        sums[i] += addends[i];
}

void node_add_vhost(struct vhost *vhost, void *sum)
{
    struct survey_vhost *out = sum, one;

    survey_vhost(vhost, &one);
    out->connections += one.connections;
    out->channels += one.channels;
    out->consumers += one.consumers;
    out->queues += one.queues;
    out->exchanges += one.exchanges;
    out->bindings += one.bindings;
    out->ready += one.ready;
    out->unacked += one.unacked;
    out->unsent += one.unsent;
    add_counts(&out->counts, &one.counts);
}

struct totals {
    struct survey_vhost *sum;
    uint64_t asked_ns, wait_ns; /* for the vhost that is next; the longest so far */
};

static void add_vhost(struct vhost *vhost, void *argument)
{
    struct totals *totals = argument;
    uint64_t waited = clock_ns() - totals->asked_ns;

    if (waited > totals->wait_ns)
        totals->wait_ns = waited;
    node_add_vhost(vhost, totals->sum);
    totals->asked_ns = clock_ns();
}

/* What went through it was the node's; its own exchanges are there again for one of its name. */
static void add_deleted_vhost(struct vhost *vhost, void *argument)
{
    struct totals *totals = argument;
    uint64_t exchanges = totals->sum->exchanges;

    add_vhost(vhost, totals);
    totals->sum->exchanges = exchanges;
}

bool node_totals(struct server *server, struct survey_vhost *out, uint64_t *wait_ns)
{
    struct totals totals = {.sum = out, .asked_ns = clock_ns()};
    enum visit_result result;

    *out = (struct survey_vhost){0};
    result = visit_runners(server, add_vhost, add_deleted_vhost, &totals);
    if (wait_ns)
        *wait_ns = totals.wait_ns;
    return result == VISIT_DONE;
}
