/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner's protocol, step by step: three loops without threads, whose turns the test takes in the order
 * that it wants to see. What real threads do with it is stress.c's.
 */
#include <criterion/criterion.h>
#include <unistd.h>

#include "coney/xalloc.h"
#include "desk.h"

#define LOOPS 3

static struct desk desk;
static struct runner *runner;
static struct loop *loops;

static unsigned ran[1000], ran_count; /* numbers of the calls, in the order in which they were run */

static void open_desk(void)
{
    desk_open(&desk, "threads=3");
    loops = desk.server->loops;
    runner = desk.server->runners;
    ran_count = 0;
}

static void turn_all(void)
{
    for (unsigned i = 0; i < LOOPS; i++)
        loop_turn(&loops[i], false);
}

static unsigned jobs_away(void)
{
    return loops[0].jobs_away + loops[1].jobs_away + loops[2].jobs_away;
}

static void close_desk(void)
{
    for (unsigned turns = 0; jobs_away(); turns++) {
        cr_assert_lt(turns, 1000, "a job never comes back");
        turn_all();
    }
    desk_close(&desk);
}

TestSuite(runner, .init = open_desk, .fini = close_desk);

/* What one batch does: say that it ran, and hand in COUNT more from LOOP while it runs. */
struct call {
    unsigned number;
    unsigned more;
    struct loop *from;
};

static void submit(struct loop *loop, const struct call *call);

static void run_call(struct vhost *vhost, void *argument)
{
    struct call *call = argument;

    (void)vhost;
    ran[ran_count++] = call->number;
    for (unsigned i = 0; i < call->more; i++)
        submit(call->from, &(struct call){.number = call->number + 1 + i});
    free(call);
}

static void submit(struct loop *loop, const struct call *call)
{
    struct job *job = loop_job(loop, BATCH_CALL);

    job->batch.call = run_call;
    job->batch.argument = xmemdup(call, sizeof *call);
    runner_submit(runner, job, loop);
}

static void check_order(unsigned count)
{
    cr_assert_eq(ran_count, count, "%u ran, not %u", ran_count, count);
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(ran[i], i, "at %u ran %u", i, ran[i]);
}

/* How many ran in the first go: 64, or less where that takes more than 200 microseconds. */
static unsigned check_first_go(void)
{
    cr_assert_leq(ran_count, 64);
    check_order(ran_count);
    return ran_count;
}

static bool was_woken(struct loop *loop)
{
    uint64_t count;

    return read(loop->wake_fd, &count, sizeof count) == sizeof count;
}

Test(runner, runs_at_once_where_nobody_runs)
{
    uint64_t runs = atomic_load(&runner->work.runs), batches = atomic_load(&runner->work.batches),
             ns = atomic_load(&runner->work.ns);

    submit(&loops[1], &(struct call){0});
    check_order(1);
    cr_assert_eq(atomic_load(&runner->pending), 0);
    cr_assert_eq(atomic_load(&runner->work.runs), runs + 1);
    cr_assert_eq(atomic_load(&runner->work.batches), batches + 1);
    cr_assert_gt(atomic_load(&runner->work.ns), ns);
    cr_assert_eq(loops[1].jobs_away, 1, "the job is not back before its loop has opened its mail");
    loop_turn(&loops[1], false);
    cr_assert_eq(loops[1].jobs_away, 0);
}

Test(runner, what_comes_while_it_runs_is_run_after_it_in_order)
{
    uint64_t runs = atomic_load(&runner->work.runs), batches = atomic_load(&runner->work.batches);

    submit(&loops[0], &(struct call){.number = 0, .more = 5, .from = &loops[1]});
    check_order(6);
    cr_assert_eq(atomic_load(&runner->work.runs), runs + 1, "all by whoever ran already");
    cr_assert_eq(atomic_load(&runner->work.batches), batches + 6);
    cr_assert_eq(atomic_load(&runner->pending), 0);
}

Test(runner, passes_the_role_after_64_batches_to_the_loop_of_the_next)
{
    unsigned first;

    atomic_store(&loops[1].sleeping, 1);
    submit(&loops[0], &(struct call){.number = 0, .more = 100, .from = &loops[1]});
    first = check_first_go();
    cr_assert(was_woken(&loops[1]));
    cr_assert_eq(atomic_load(&loops[1].mail)->kind, MAIL_ROLE);
    cr_assert_eq(atomic_load(&runner->pending), (long)(101 - first));

    /* While the role is in the mail nobody else takes it. */
    submit(&loops[2], &(struct call){.number = 101});
    check_order(first);

    for (unsigned turns = 0; ran_count < 102 && turns < 200; turns++)
        turn_all();
    check_order(102);
    cr_assert_eq(atomic_load(&runner->pending), 0);
}

Test(runner, passes_the_role_on_and_on)
{
    /* Each of the loops has so many queued that the role goes round. */
    submit(&loops[0], &(struct call){.number = 0, .more = 300, .from = &loops[0]});
    check_first_go();
    for (unsigned turns = 0; ran_count < 301; turns++) {
        cr_assert_lt(turns, 301);
        loop_turn(&loops[0], false);
    }
    check_order(301);
}

Test(runner, does_not_wake_who_does_not_sleep)
{
    submit(&loops[0], &(struct call){.number = 0, .more = 100, .from = &loops[1]});
    cr_assert_not(was_woken(&loops[1]));
}

static void declare_short_lived(struct vhost *vhost, void *argument)
{
    struct reply_error error;
    /* { "x-expires": 60000 } */
    struct queue_spec spec = {.name = bytes_from_string(argument),
                              .arguments = BYTES_LITERAL("\x09x-expiresI\0\0\xea\x60")};

    cr_assert(vhost_declare_queue(vhost, &spec, &error), "%s", error.text);
}

static void call_with(struct loop *loop, void (*call)(struct vhost *, void *), void *argument)
{
    struct job *job = loop_job(loop, BATCH_CALL);

    job->batch.call = call;
    job->batch.argument = argument;
    runner_submit(runner, job, loop);
}

static void close_nobody(struct vhost *vhost, void *argument)
{
    (void)vhost;
    (void)argument;
}

Test(runner, tells_the_first_loop_once_when_time_matters)
{
    static char name[] = "one";

    atomic_store(&loops[0].sleeping, 1);
    call_with(&loops[2], declare_short_lived, name);
    cr_assert(was_woken(&loops[0]));
    cr_assert_eq(atomic_load(&loops[0].mail)->kind, MAIL_ALARM);
    cr_assert_null(atomic_load(&loops[0].mail)->next);
    cr_assert(atomic_load(&runner->alarm_mailed));

    /* The same deadline again is no news. */
    call_with(&loops[2], close_nobody, NULL);
    cr_assert_null(atomic_load(&loops[0].mail)->next);

    turn_all();
    cr_assert_not(atomic_load(&runner->alarm_mailed));
    cr_assert(evtimer_pending(desk.server->alarm_timer, NULL));
}

/* A loop that is told to stop stays until its jobs are back: one of them may bring the role. */
Test(runner, a_stopping_loop_takes_the_role_that_it_is_given)
{
    submit(&loops[0], &(struct call){.number = 0, .more = 100, .from = &loops[1]});
    check_first_go();
    loop_post(&loops[1], &loops[1].stop);
    loop_run(&loops[1]);
    check_order(101);
    cr_assert_eq(loops[1].jobs_away, 0);
}

/* A turn of the first loop that read as much as it may, while ASKED questions came to the second. */
static void full_turn(unsigned asked)
{
    atomic_fetch_add(&loops[1].questions, asked);
    loops[0].read_full = true;
    loop_turn(&loops[0], false);
}

Test(runner, less_is_read_at_once_while_others_wait_for_answers)
{
    full_turn(0);
    cr_assert_eq(loop_read_budget(&loops[0]), LOOP_READ_SIZE);
    full_turn(1);
    cr_assert_lt(loop_read_budget(&loops[0]), LOOP_READ_SIZE / 4);
    full_turn(10);
    cr_assert_lt(loop_read_budget(&loops[0]), LOOP_READ_SIZE / 16);
    full_turn(100000);
    cr_assert_geq(loop_read_budget(&loops[0]), 2048);
    for (unsigned i = 0; i < 20; i++)
        full_turn(0);
    cr_assert_eq(loop_read_budget(&loops[0]), LOOP_READ_SIZE);
}

/* Ten consumers that ack leave a publisher a good part of a full read; a crowd of them counts, as shares of
 * one queue are evener when acks do not wait. */
Test(runner, acks_of_others_take_little_of_what_is_read_at_once)
{
    full_turn(0);
    loops[0].small_reads_recent = 10;
    cr_expect_geq(loop_read_budget(&loops[0]), LOOP_READ_SIZE / 4);
    loops[0].small_reads_recent = 64;
    cr_expect_lt(loop_read_budget(&loops[0]), LOOP_READ_SIZE / 4);
}
