/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h: the turn, the mailbox, sleeping and waking. */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "coney/pool.h"
#include "coney/xalloc.h"
#include "event_mail.h"
#include "reload.h"
#include "server.h"
#include "server/session/login.h"
#include "server/session/session.h"
#include "storage.h"
#include "visit.h"

#define BUSY_WINDOW_NS UINT64_C(100000000)

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;

    (void)what;
    (void)arg;
    /* What was posted is found at the end of the turn; here only the event is taken. */
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
        abort();
}

static void on_patience_over(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    struct session *session, *next;

    (void)fd;
    (void)what;
    DL_FOREACH_SAFE (loop->sessions, session, next)
        session_gone(session);
}

bool loop_init(struct loop *loop, struct server *server, unsigned index)
{
    struct event_config *config = event_config_new();

    loop->server = server;
    loop->index = index;
    loop->stop.kind = MAIL_STOP;
    if (!config)
        return false;
    /* Each base is used by its own thread alone, and needs no clock of its own kind. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!loop->base || loop->wake_fd < 0)
        return false;
    event_assign(&loop->wake_event, loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    event_add(&loop->wake_event, NULL);
    evtimer_assign(&loop->patience, loop->base, on_patience_over, loop);
    loop->read_buffer = xmalloc(LOOP_READ_SIZE);
    loop->write_size = LOOP_WRITE_SIZE;
    loop->write_buffer = xmalloc(loop->write_size);
    return true;
}

void loop_free(struct loop *loop)
{
    while (loop->free_jobs) {
        struct job *job = loop->free_jobs;

        loop->free_jobs = (struct job *)(void *)job->batch.next;
        free(job);
    }
    for (unsigned i = 0; i < loop->returns_count; i++)
        free(loop->returns[i]);
    free(loop->returns);
    free(loop->places);
    free(loop->read_buffer);
    free(loop->write_buffer);
    if (loop->base) {
        event_del(&loop->wake_event);
        event_del(&loop->patience);
        event_base_free(loop->base);
    }
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
}

#define STOP_PATIENCE_S 3

void loop_stop(struct loop *loop)
{
    static const struct timeval patience = {.tv_sec = STOP_PATIENCE_S};
    struct session *session, *next;

    loop->stopping = true;
    evtimer_add(&loop->patience, &patience);
    DL_FOREACH_SAFE (loop->sessions, session, next)
        session_stop(session);
}

/* ---- posting ---- */

void loop_post(struct loop *loop, struct mail *mail)
{
    struct mail *head = atomic_load_explicit(&loop->mail, memory_order_relaxed);

    do
        mail->next = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->mail, &head, mail, memory_order_seq_cst,
                                                  memory_order_relaxed));
}

void loop_post_chunks(struct loop *loop, struct outbox_chunk *chunks)
{
    struct outbox_chunk *oldest = chunks;
    struct outbox_chunk *head = atomic_load_explicit(&loop->chunks, memory_order_relaxed);

    while (oldest->mail)
        oldest = oldest->mail;
    do
        oldest->mail = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->chunks, &head, chunks, memory_order_seq_cst,
                                                  memory_order_relaxed));
}

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;

    if (!atomic_load(&loop->sleeping) || !atomic_exchange(&loop->sleeping, 0))
        return;
    if (write(loop->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        abort();
}

static bool has_mail(const struct loop *loop)
{
    return atomic_load(&loop->mail) || atomic_load(&loop->chunks);
}

/* ---- jobs and returns ---- */

struct job *loop_job(struct loop *loop, enum batch_kind kind)
{
    struct job *job = loop->free_jobs;

    if (job)
        loop->free_jobs = (struct job *)(void *)job->batch.next;
    else
        job = xmalloc(sizeof *job);
    *job = (struct job){.batch = {.kind = kind}, .loop = loop};
    return job;
}

void loop_job_free(struct loop *loop, struct job *job)
{
    batch_clear(&job->batch);
    job->batch.next = (struct batch *)(void *)loop->free_jobs;
    loop->free_jobs = job;
}

/* ---- the turn ---- */

static void open_chunks(struct loop *loop)
{
    struct outbox_chunk *newest = atomic_exchange_explicit(&loop->chunks, NULL, memory_order_acquire);
    struct outbox_chunk *oldest = NULL;

    while (newest) {
        struct outbox_chunk *next = newest->mail;

        newest->mail = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct outbox_chunk *next = oldest->mail;

        session_take_chunks(oldest->owner, oldest);
        oldest = next;
    }
}

static void job_done(struct loop *loop, struct job *job)
{
    struct session *session = job->session;
    struct visit *visit = job->visit;

    loop->jobs_away--;
    if (job->batch.kind == BATCH_RETURNS) {
        MAIL_OWNER(job, struct returns, job)->is_away = false;
        return;
    }
    loop_job_free(loop, job);
    if (session)
        session_job_done(session);
    if (visit)
        visit_returns(visit);
}

static void open_letter(struct loop *loop, struct mail *mail)
{
    switch (mail->kind) {
    case MAIL_JOB_DONE:
        job_done(loop, MAIL_OWNER(mail, struct job, mail));
        break;
    case MAIL_ROLE:
        runner_continue(MAIL_OWNER(mail, struct runner, role), loop);
        break;
    case MAIL_ALARM:
        server_alarm(loop->server, MAIL_OWNER(mail, struct runner, alarm));
        break;
    case MAIL_SESSION:
        server_arrives(loop, MAIL_OWNER(mail, struct session, mail));
        break;
    case MAIL_ANSWER:
        storage_answer(MAIL_OWNER(mail, struct runner, answer), loop);
        break;
    case MAIL_LOGIN:
        login_take_answer(mail);
        break;
    case MAIL_PARKED:
        reload_parked(loop->server, MAIL_OWNER(mail, struct runner, parked));
        break;
    case MAIL_EVENT:
        events_take(mail);
        break;
    case MAIL_VISIT:
        visit_take(mail, loop);
        break;
    case MAIL_SHUT:
        server_shuts(loop);
        break;
    case MAIL_STOP:
        server_stops(loop);
        break;
    }
}

/* Mail is taken before chunks and opened after them: a job that is done finds what it said already here,
 * since chunks are posted first. */
static void open_mail(struct loop *loop)
{
    struct mail *newest = atomic_exchange_explicit(&loop->mail, NULL, memory_order_acquire);
    struct mail *oldest = NULL;

    open_chunks(loop);
    while (newest) {
        struct mail *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct mail *next = oldest->next;

        open_letter(loop, oldest);
        oldest = next;
    }
}

/* Each once: who has still more then waits for the next turn, like those whose sockets are readable. */
static void read_listed(struct loop *loop)
{
    for (unsigned left = loop->to_read_count; left && loop->to_read; left--)
        session_read(loop->to_read);
}

#define LOST_PER_TURN 4

bool loop_ends_one(struct loop *loop)
{
    return loop->ended < LOST_PER_TURN && ++loop->ended;
}

static void end_lost(struct loop *loop)
{
    while (loop->lost && loop_ends_one(loop))
        session_gone(loop->lost);
}

static void write_all(struct loop *loop)
{
    while (loop->to_write) {
        struct session *session = loop->to_write;

        session_unlist_write(session);
        session_write(session);
    }
}

static void send_returns(struct loop *loop)
{
    for (unsigned i = 0; i < loop->returns_count; i++) {
        struct returns *returns = loop->returns[i];

        if (!returns->chunks || returns->is_away)
            continue;
        returns->is_away = true;
        returns->job = (struct job){.batch = {.kind = BATCH_RETURNS}, .loop = loop};
        returns->job.batch.returned = returns->chunks;
        returns->chunks = NULL;
        runner_submit(returns->runner, &returns->job, loop);
    }
}

void loop_return_chunk(struct loop *loop, struct runner *runner, struct outbox_chunk *chunk)
{
    struct returns *returns = NULL;

    for (unsigned i = 0; i < loop->returns_count && !returns; i++)
        if (loop->returns[i]->runner == runner)
            returns = loop->returns[i];
    if (!returns) {
        returns = xcalloc(1, sizeof *returns);
        returns->runner = runner;
        if (loop->returns_count == loop->returns_capacity) {
            loop->returns_capacity = loop->returns_capacity * 2 + 4;
            loop->returns = xrealloc(loop->returns, loop->returns_capacity * sizeof *loop->returns);
        }
        loop->returns[loop->returns_count++] = returns;
    }
    chunk->next = returns->chunks;
    returns->chunks = chunk;
}

#define READ_BUDGET_MIN 2048

/* Acks weigh little: consumers that are slowed by publishers have their prefetch to live on, and what is cut
 * into small reads costs a call each. */
size_t loop_read_budget(const struct loop *loop)
{
    size_t share = 1 + (size_t)loop->small_reads_recent / 8 + 4 * (size_t)loop->questions_recent;
    size_t budget = LOOP_READ_SIZE / share;

    return budget < READ_BUDGET_MIN ? READ_BUDGET_MIN : budget;
}

#define TAKEN_AT_DOOR 8

void loop_takes_one(struct loop *loop)
{
    if (++loop->taken == TAKEN_AT_DOOR && loop == server_door(loop->server))
        event_base_loopbreak(loop->base);
}

static uint64_t thread_time_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void note_busy(struct loop *loop)
{
    uint64_t now = clock_ns(), used;

    if (now - loop->window_start < BUSY_WINDOW_NS)
        return;
    used = thread_time_ns();
    atomic_store_explicit(&loop->busy_percent,
                          (unsigned)((used - loop->window_used) * 100 / (now - loop->window_start)),
                          memory_order_relaxed);
    loop->window_start = now;
    loop->window_used = used;
}

/* Nobody else writes it. */
static void note_turn(struct loop *loop)
{
    uint32_t turns = atomic_load_explicit(&loop->turns, memory_order_relaxed);

    atomic_store_explicit(&loop->turns, turns + 1, memory_order_relaxed);
}

/* Tell whether it has stopped, and is needed no more. */
static bool has_ended(const struct loop *loop)
{
    return loop->stopping && !loop->sessions && !loop->jobs_away && !has_mail(loop) &&
           !visits_are_under_way(loop->server);
}

static void wait_for_events(struct loop *loop, bool may_sleep)
{
    pool_flush();
    atomic_store(&loop->sleeping, 1);
    if (!may_sleep || loop->to_read || loop->lost || has_mail(loop) || server_has_news(loop) ||
        has_ended(loop)) {
        atomic_store(&loop->sleeping, 0);
        event_base_loop(loop->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
        return;
    }
    event_base_loop(loop->base, EVLOOP_ONCE);
    atomic_store(&loop->sleeping, 0);
}

/* Where little is to be said to many, and more is there to be read, read on before writing: a write costs a
 * system call, whatever it carries. */
#define READ_ROUNDS_MAX 4
#define WRITERS_MANY    16

/* The most of the last turns, when this one had NOW. */
static unsigned fading(unsigned recent, unsigned now)
{
    return now >= recent ? now : recent - (recent + 7) / 8;
}

/* As many as it takes to bring the budget to its minimum: more, of the time since this loop looked last,
 * would only take longer to fade. */
#define QUESTIONS_MANY 16

/* Looked at only where it matters, so as not to share the other loops' lines at each turn. */
static void note_questions(struct loop *loop)
{
    const struct server *server = loop->server;
    uint64_t asked = 0, more;

    for (unsigned i = 0; i < server->loop_count; i++)
        asked += atomic_load_explicit(&server->loops[i].questions, memory_order_relaxed);
    more = asked - loop->questions_seen;
    loop->questions_recent =
        fading(loop->questions_recent, more < QUESTIONS_MANY ? (unsigned)more : QUESTIONS_MANY);
    loop->questions_seen = asked;
}

static void read_more(struct loop *loop)
{
    if (loop->read_full)
        note_questions(loop);
    for (unsigned i = 1; i < READ_ROUNDS_MAX && loop->read_full && loop->to_write_count >= WRITERS_MANY;
         i++) {
        loop->read_full = false;
        event_base_loop(loop->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
        open_mail(loop);
    }
    loop->read_full = false;
    loop->small_reads_recent = fading(loop->small_reads_recent, loop->small_reads);
    loop->small_reads = 0;
}

/* The door does nothing more before those that it has let in have arrived, but open its mail. */
static void wait_for_arrivals(struct loop *door)
{
    struct pollfd woken = {.fd = door->wake_fd, .events = POLLIN};

    atomic_store(&door->sleeping, 1);
    if (server_is_crowded(door->server) && !has_mail(door))
        poll(&woken, 1, -1);
    atomic_store(&door->sleeping, 0);
}

void loop_turn(struct loop *loop, bool may_sleep)
{
    if (may_sleep && loop == server_door(loop->server))
        wait_for_arrivals(loop);
    loop->taken = loop->ended = 0;
    wait_for_events(loop, may_sleep);
    note_turn(loop);
    note_busy(loop);
    read_listed(loop); /* like those whose sockets are readable: what comes of it is in the mail */
    end_lost(loop);
    open_mail(loop);
    server_release_blocked(loop);
    read_more(loop);
    write_all(loop);
    send_returns(loop);
    server_watch_memory(loop);
}

void loop_run(struct loop *loop)
{
    loop->window_start = clock_ns();
    loop->window_used = thread_time_ns();
    while (!has_ended(loop))
        loop_turn(loop, true);
    pool_flush();
}
