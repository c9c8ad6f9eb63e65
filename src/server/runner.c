/* SPDX-License-Identifier: Apache-2.0 */
/* runner.h: taking, keeping, passing and letting go of the role. */
#include "runner.h"

#include <stddef.h>
#include <stdlib.h>

#include "coney/store.h"
#include "coney/xalloc.h"
#include "loop.h"
#include "server.h"
#include "server/session/session.h"

/* How long one loop runs a vhost before it passes the role to another that waits. */
#define RUN_BATCHES_MAX 64
#define RUN_NS_MAX      200000

struct runner *runner_new(struct server *server)
{
    struct runner *runner = xcalloc(1, sizeof *runner);

    runner->server = server;
    runner->mail = xcalloc(server->loop_count, sizeof *runner->mail);
    runner->octets = xcalloc(server->loop_count, sizeof *runner->octets);
    runner->role.kind = MAIL_ROLE;
    runner->alarm.kind = MAIL_ALARM;
    runner->answer.kind = MAIL_ANSWER;
    runner->parked.kind = MAIL_PARKED;
    atomic_store(&runner->deadline, VHOST_NEVER);
    return runner;
}

void runner_free(struct runner *runner)
{
    vhost_free(runner->vhost);
    free(runner->mail);
    free(runner->octets);
    free(runner->entry);
    free(runner);
}

void runner_output(void *context, struct outbox_chunk *chunks)
{
    struct runner *runner = context;
    struct session *session = chunks->owner;
    struct outbox_chunk **list = &runner->mail[session->loop->index];

    chunks->mail = *list;
    *list = chunks;
}

/* See that runner->queue holds the oldest batch; there is one, since pending said so. */
static void gather(struct runner *runner)
{
    struct batch *newest;

    if (runner->queue)
        return;
    newest = atomic_exchange_explicit(&runner->incoming, NULL, memory_order_acquire);
    while (newest) {
        struct batch *older = newest->next;

        newest->next = runner->queue;
        runner->queue = newest;
        newest = older;
    }
}

static struct batch *take(struct runner *runner)
{
    struct batch *batch;

    gather(runner);
    batch = runner->queue;
    runner->queue = batch->next;
    return batch;
}

/* Put what was said and what is done into the mailboxes; returns the loops to wake, a bit each. */
static uint64_t post_all(struct runner *runner)
{
    struct server *server = runner->server;
    uint64_t wake = 0;

    vhost_flush(runner->vhost);
    for (unsigned i = 0; i < server->loop_count; i++) {
        if (!runner->mail[i])
            continue;
        loop_post_chunks(&server->loops[i], runner->mail[i]);
        runner->mail[i] = NULL;
        wake |= (uint64_t)1 << i;
    }
    while (runner->done) {
        struct job *job = runner->done;
        struct loop *to;

        runner->done = (struct job *)(void *)job->batch.next;
        to = job->loop; /* once posted the job is its loop's again */
        loop_post(to, &job->mail);
        wake |= (uint64_t)1 << to->index;
    }
    return wake;
}

/* Tell the first loop when the vhost wants time to pass, if that is sooner than it thinks. */
static uint64_t post_alarm(struct runner *runner)
{
    int64_t next = vhost_has_work(runner->vhost) ? 0 : vhost_next_deadline(runner->vhost);
    int64_t known = atomic_exchange(&runner->deadline, next);

    if (next >= known || atomic_exchange(&runner->alarm_mailed, true))
        return 0;
    loop_post(&runner->server->loops[0], &runner->alarm);
    return 1;
}

static void wake_all(struct server *server, uint64_t wake, const struct loop *here)
{
    for (unsigned i = 0; wake; i++, wake >>= 1)
        if (wake & 1 && &server->loops[i] != here)
            loop_wake(&server->loops[i]);
}

static void run_one(struct runner *runner, int64_t now)
{
    struct batch *batch = take(runner);
    struct job *job = (struct job *)(void *)batch;

    vhost_run(runner->vhost, batch, now);
    batch->next = (struct batch *)(void *)runner->done;
    runner->done = job;
}

/* Run up to what PENDING says. Returns how many; *OVER says that there has been enough of it. */
static long run_some(struct runner *runner, long pending, uint64_t started, unsigned *batches, bool *over)
{
    long done = 0;

    while (done < pending && !*over) {
        run_one(runner, server_now_ms(runner->server));
        done++;
        if (runner->is_parked || ++*batches >= RUN_BATCHES_MAX || clock_ns() - started > RUN_NS_MAX)
            *over = true;
    }
    return done;
}

static void pass_on(struct runner *runner, struct loop *here)
{
    struct loop *next;

    gather(runner);
    next = ((struct job *)(void *)runner->queue)->loop;
    loop_post(next, &runner->role);
    if (next != here)
        loop_wake(next);
}

/* The batch that parked the vhost, the last of DONE, stays in `pending`. Its letter is the last that this
 * loop does with the vhost. */
static void stay_parked(struct runner *runner, long done, const struct loop *here)
{
    struct loop *first = &runner->server->loops[0];

    atomic_fetch_sub_explicit(&runner->pending, done - 1, memory_order_acq_rel);
    loop_post(first, &runner->parked);
    if (first != here)
        loop_wake(first);
}

/* DONE batches have been run since SINCE, as the first of a run if it IS_FIRST. The clock is read once for
 * all of them. */
static uint64_t note_work(struct runner_work *work, bool is_first, long done, uint64_t since)
{
    uint64_t now = clock_ns();

    runner_count(&work->batches, (uint64_t)done);
    runner_count(&work->runs, is_first);
    runner_count(&work->ns, now - since);
    return now;
}

void runner_continue(struct runner *runner, struct loop *here)
{
    struct server *server = runner->server;
    uint64_t started = clock_ns(), noted = started;
    uint64_t wake = 0;
    unsigned batches = 0;
    bool over = false;

    atomic_store_explicit(&runner->last_loop, here->index, memory_order_relaxed);
    for (;;) {
        long pending = atomic_load_explicit(&runner->pending, memory_order_acquire);
        long done = run_some(runner, pending, started, &batches, &over);

        wake |= post_all(runner);
        wake |= post_alarm(runner);
        noted = note_work(&runner->work, noted == started, done, noted);
        if (runner->is_parked) {
            stay_parked(runner, done, here);
            break;
        }
        /* From here on another loop may be the runner, if this lets go. */
        if (atomic_fetch_sub_explicit(&runner->pending, done, memory_order_acq_rel) == done)
            break;
        if (over) {
            pass_on(runner, here);
            break;
        }
    }
    wake_all(server, wake, here);
    if (server->store)
        store_wake(server->store);
}

void runner_submit(struct runner *runner, struct job *job, struct loop *here)
{
    struct batch *head = atomic_load_explicit(&runner->incoming, memory_order_relaxed);

    here->jobs_away++;
    job->runner = runner;
    job->mail.kind = MAIL_JOB_DONE;
    do
        job->batch.next = head;
    while (!atomic_compare_exchange_weak_explicit(&runner->incoming, &head, &job->batch, memory_order_release,
                                                  memory_order_relaxed));
    if (atomic_fetch_add_explicit(&runner->pending, 1, memory_order_acq_rel) == 0)
        runner_continue(runner, here);
}

/* ---- parking ---- */

static void park(struct vhost *vhost, void *argument)
{
    struct runner *runner = argument;

    (void)vhost;
    runner->is_parked = true;
}

void runner_park(struct runner *runner, struct loop *first)
{
    struct job *job = loop_job(first, BATCH_CALL);

    job->batch.call = park;
    job->batch.argument = runner;
    runner_submit(runner, job, first);
}

void runner_hold(struct runner *runner)
{
    atomic_store(&runner->pending, 1);
    runner->is_parked = true;
}

void runner_unpark(struct runner *runner, struct loop *first)
{
    uint64_t wake;

    runner->is_parked = false;
    wake = post_all(runner) | post_alarm(runner);
    if (atomic_fetch_sub_explicit(&runner->pending, 1, memory_order_acq_rel) != 1)
        pass_on(runner, first);
    wake_all(runner->server, wake, first);
    if (runner->server->store)
        store_wake(runner->server->store);
}
