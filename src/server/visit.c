/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coney/visit.h: a visit goes by mail to a loop, from there as a batch of its own into the vhost, and back.
 *
 * Who waits is woken by the loop, outside the vhost. A visit is counted before anybody looks whether the
 * server stops, and loops stay until none is left: so each that was begun is done.
 */
#include "visit.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <utlist.h>

#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "loop.h"
#include "runner.h"
#include "server.h"

struct visit {
    struct mail mail;
    struct runner *runner; /* NULL: to the loop itself */
    bool is_for_living;    /* not if the vhost is deleted; IS_MISSED tells that it was */
    bool is_missed;
    void (*inside)(struct vhost *vhost, void *argument);
    void (*on_loop)(struct loop *loop, void *argument);
    void *argument;
    sem_t done;
};

static void go_inside(struct vhost *vhost, void *argument)
{
    struct visit *visit = argument;

    visit->is_missed = visit->is_for_living && atomic_load(&visit->runner->is_gone);
    if (!visit->is_missed)
        visit->inside(vhost, visit->argument);
}

void visit_take(struct mail *mail, struct loop *loop)
{
    struct visit *visit = MAIL_OWNER(mail, struct visit, mail);
    struct job *job;

    if (!visit->runner) {
        visit->on_loop(loop, visit->argument);
        visit_returns(visit);
        return;
    }
    job = loop_job(loop, BATCH_CALL);
    job->batch.call = go_inside;
    job->batch.argument = visit;
    job->visit = visit;
    runner_submit(visit->runner, job, loop);
}

void visit_returns(struct visit *visit)
{
    sem_post(&visit->done); /* from here on it is gone */
}

bool visits_are_under_way(struct server *server)
{
    return atomic_load(&server->visits) != 0;
}

/* The last to leave a server that stops tells the loops, which may wait for that. */
static void leave(struct server *server)
{
    bool was_last = atomic_fetch_sub(&server->visits, 1) == 1;

    if (!was_last || !atomic_load(&server->is_stopping))
        return;
    for (unsigned i = 0; i <= server->loop_count; i++)
        loop_wake(&server->loops[i]);
}

static enum visit_result go(struct server *server, struct visit *visit, struct loop *loop)
{
    atomic_fetch_add(&server->visits, 1);
    if (atomic_load(&server->is_stopping)) {
        leave(server);
        return VISIT_STOPPING;
    }
    visit->mail.kind = MAIL_VISIT;
    sem_init(&visit->done, 0, 0);
    loop_post(loop, &visit->mail);
    loop_wake(loop);
    while (sem_wait(&visit->done) != 0)
        ; /* a signal */
    sem_destroy(&visit->done);
    leave(server);
    return VISIT_DONE;
}

enum visit_result visit_runner(struct runner *runner, void (*work)(struct vhost *vhost, void *argument),
                               void *argument)
{
    struct visit visit = {.runner = runner, .inside = work, .argument = argument};

    return go(runner->server, &visit, &runner->server->loops[0]);
}

static enum visit_result visit_living(struct runner *runner,
                                      void (*work)(struct vhost *vhost, void *argument), void *argument)
{
    struct visit visit = {.runner = runner, .is_for_living = true, .inside = work, .argument = argument};
    enum visit_result result = go(runner->server, &visit, &runner->server->loops[0]);

    return result == VISIT_DONE && visit.is_missed ? VISIT_NO_VHOST : result;
}

enum visit_result visit_vhost(struct server *server, struct bytes name,
                              void (*work)(struct vhost *vhost, void *argument), void *argument)
{
    struct runner *runner = server_find_vhost(server, name);

    return runner ? visit_living(runner, work, argument) : VISIT_NO_VHOST;
}

/* Runners are never freed while the server runs, and new ones are put behind the others. */
static struct runner *runner_after(struct server *server, const struct runner *before)
{
    struct runner *next;

    pthread_mutex_lock(&server->lock);
    next = before ? before->next : server->runners;
    pthread_mutex_unlock(&server->lock);
    return next;
}

enum visit_result visit_runners(struct server *server, void (*work)(struct vhost *vhost, void *argument),
                                void (*deleted)(struct vhost *vhost, void *argument), void *argument)
{
    enum visit_result result = VISIT_DONE;
    struct runner *runner = NULL;

    while (result == VISIT_DONE && (runner = runner_after(server, runner)) != NULL)
        result = visit_runner(runner, atomic_load(&runner->is_gone) ? deleted : work, argument);
    return result;
}

enum visit_result visit_vhosts(struct server *server, void (*work)(struct vhost *vhost, void *argument),
                               void *argument)
{
    enum visit_result result = VISIT_DONE;
    struct runner *runner = NULL;

    while (result != VISIT_STOPPING && (runner = runner_after(server, runner)) != NULL)
        result = visit_living(runner, work, argument);
    return result == VISIT_STOPPING ? VISIT_STOPPING : VISIT_DONE;
}

enum visit_result visit_loop(struct server *server, unsigned index,
                             void (*work)(struct loop *loop, void *argument), void *argument)
{
    struct visit visit = {.on_loop = work, .argument = argument};

    return index <= server->loop_count ? go(server, &visit, &server->loops[index]) : VISIT_STOPPING;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **visit_vhost_names(struct server *server, size_t *count)
{
    struct runner *runner;
    char **names;
    size_t most = 0;

    pthread_mutex_lock(&server->lock);
    LL_COUNT(server->runners, runner, most);
    names = xcalloc(most + 1, sizeof *names);
    *count = 0;
    LL_FOREACH (server->runners, runner) {
        struct bytes name = vhost_name(runner->vhost);
        char *copy;

        if (atomic_load(&runner->is_gone))
            continue;
        copy = xmalloc(name.size + 1);
        *put_bytes((uint8_t *)copy, name) = 0;
        names[(*count)++] = copy;
    }
    pthread_mutex_unlock(&server->lock);
    qsort(names, *count, sizeof *names, compare_names);
    return names;
}
