/* SPDX-License-Identifier: Apache-2.0 */
/*
 * churn.h: churners on one loop. A cycle of each is to open something, wait for the broker's answer, close
 * it, and wait again; its latency is that of both.
 */
#include "churn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "clock.h"
#include "coney/xalloc.h"
#include "conn.h"
#include "interrupt.h"
#include "options.h"
#include "progress.h"
#include "target.h"

#define NAME_SIZE 64
#define PATIENCE  (30 * NS_PER_S) /* without a cycle, where there is no rate */

struct works {
    struct loop loop;
    const struct options *options;
    struct target target;
    uint32_t id;
    uint64_t begun, moved;
    uint64_t cycles;
    unsigned open; /* connections */
    bool is_stopping;
    struct histogram *latency;
    char why[CONN_WHY_SIZE];
};

struct churner {
    struct works *works;
    struct conn *conn;
    struct channel channel;
    struct timer timer;
    unsigned number;
    bool is_open;        /* what it churns is */
    bool is_cycling;     /* and not just preparing */
    uint64_t cycles;     /* that ended */
    uint64_t cycle_from; /* ns */
    char queue[NAME_SIZE];
};

static void begin_cycle(struct churner *churner);

/* ---- what is opened and closed ---- */

static void open_connection(struct churner *churner);

static void say_about_queue(struct churner *churner, bool opens)
{
    struct method method = {.id = opens ? METHOD_QUEUE_DECLARE : METHOD_QUEUE_DELETE};

    if (opens) {
        method.queue_declare.queue = bytes_from_string(churner->queue);
        method.queue_declare.durable = churner->works->options->is_persistent;
        method.queue_declare.arguments = buffer_bytes(&churner->works->options->arguments);
        method.queue_declare.auto_delete = churner->works->options->is_auto_delete;
    } else {
        method.queue_delete.queue = bytes_from_string(churner->queue);
    }
    channel_say(&churner->channel, &method);
}

static void say_about_binding(struct churner *churner, bool opens)
{
    struct method method = {.id = opens ? METHOD_QUEUE_BIND : METHOD_QUEUE_UNBIND};
    const char *exchange = churner->works->options->exchange;
    struct bytes queue = bytes_from_string(churner->queue);

    if (opens) {
        method.queue_bind.queue = method.queue_bind.routing_key = queue;
        method.queue_bind.exchange = bytes_from_string(exchange ? exchange : "amq.direct");
    } else {
        method.queue_unbind.queue = method.queue_unbind.routing_key = queue;
        method.queue_unbind.exchange = bytes_from_string(exchange ? exchange : "amq.direct");
    }
    channel_say(&churner->channel, &method);
}

static void open_channel(struct churner *churner);

static void open_or_close(struct churner *churner, bool opens)
{
    switch (churner->works->options->churn) {
    case CHURN_CONNECTIONS:
        if (opens)
            open_connection(churner);
        else
            conn_close(churner->conn);
        return;
    case CHURN_CHANNELS:
        if (opens)
            open_channel(churner);
        else
            channel_close(&churner->channel);
        break;
    case CHURN_QUEUES:
        say_about_queue(churner, opens);
        break;
    default:
        say_about_binding(churner, opens);
    }
    conn_flush(churner->conn);
}

/* ---- cycles ---- */

static bool may_go_on(const struct churner *churner)
{
    const struct options *options = churner->works->options;

    return !churner->works->is_stopping && (!options->pmessages || churner->cycles < options->pmessages);
}

/* The broker answered. */
static void step(struct churner *churner)
{
    struct works *works = churner->works;

    churner->is_open = !churner->is_open;
    if (churner->is_open) {
        open_or_close(churner, false);
        return;
    }
    churner->cycles++;
    works->cycles++;
    works->moved = clock_now();
    histogram_record(works->latency, works->moved - churner->cycle_from, 1);
    begin_cycle(churner);
}

static void on_due(struct timer *timer)
{
    begin_cycle((struct churner *)((char *)timer - offsetof(struct churner, timer)));
}

static void begin_cycle(struct churner *churner)
{
    struct works *works = churner->works;
    uint64_t now = clock_now(), due;

    churner->is_cycling = true;
    if (!may_go_on(churner)) {
        if (churner->conn)
            conn_close(churner->conn);
        return;
    }
    if (works->options->rates.count) {
        due = schedule_due(&works->options->rates, churner->cycles);
        if (due == SCHEDULE_NEVER || works->begun + due > now) {
            timers_set(&works->loop.timers, &churner->timer,
                       due == SCHEDULE_NEVER ? UINT64_MAX : works->begun + due);
            return;
        }
    }
    churner->cycle_from = now;
    open_or_close(churner, true);
}

/* ---- connections and channels ---- */

static void on_method(struct channel *channel, const struct method *method)
{
    struct churner *churner = channel->conn->owner;

    if (churner->works->options->churn == CHURN_CHANNELS) {
        if (method->id == METHOD_CHANNEL_CLOSE_OK)
            channel_forget(channel);
        step(churner);
    } else if (churner->is_cycling) {
        step(churner);
    } else if (method->id == METHOD_CHANNEL_OPEN_OK && churner->works->options->churn == CHURN_BINDINGS) {
        say_about_queue(churner, true);
    } else {
        begin_cycle(churner);
    }
}

static void on_message(struct channel *channel)
{
    (void)channel;
}

static void open_channel(struct churner *churner)
{
    static const struct channel_ops ops = {on_method, on_message, NULL};

    if (!channel_open(churner->conn, &churner->channel, &ops))
        conn_fail(churner->conn, "the broker allows no channel");
}

static void on_opened(struct conn *conn)
{
    struct churner *churner = conn->owner;

    if (churner->works->options->churn == CHURN_CONNECTIONS)
        step(churner);
    else if (churner->works->options->churn == CHURN_CHANNELS)
        begin_cycle(churner);
    else
        open_channel(churner);
}

static void on_closed(struct conn *conn, const char *why)
{
    struct churner *churner = conn->owner;
    struct works *works = churner->works;

    conn_free(conn);
    churner->conn = NULL;
    works->open--;
    if (why && !works->why[0])
        snprintf(works->why, sizeof works->why, "%s", why);
    else if (!why && works->options->churn == CHURN_CONNECTIONS && churner->is_open)
        step(churner);
}

static void open_connection(struct churner *churner)
{
    static const struct conn_ops ops = {.opened = on_opened, .closed = on_closed};
    char who[CONN_WHO_SIZE];

    snprintf(who, sizeof who, "%.16s churn %u", churner->works->options->id, churner->number + 1);
    churner->conn = conn_open(&churner->works->loop, &churner->works->target, who, &ops, churner);
    churner->works->open++;
}

/* ---- the whole ---- */

static void draw_sample(const struct works *works, struct churning *out, uint64_t now, struct histogram *last)
{
    struct samples *samples = &out->samples;
    struct histogram *fresh = histogram_new();
    double seconds = (double)(now - samples->last_at) / (double)NS_PER_S;
    struct sample sample = {.at = (double)(now - works->begun) / (double)NS_PER_S};

    histogram_add(fresh, works->latency);
    histogram_subtract(fresh, last);
    sample.latency = histogram_quantiles(fresh);
    sample.sent = (double)(works->cycles - samples->last.sent) / seconds;
    histogram_add(last, fresh);
    free(fresh);
    samples->last.sent = works->cycles;
    samples->last_at = now;
    samples_add(samples, &sample);
    if (!works->options->is_quiet)
        progress_show(works->options, &sample);
}

/* Tell whether the time is over. */
static bool is_over(struct works *works, uint64_t now)
{
    const struct options *options = works->options;

    if (options->rates.count == 0 && now - works->moved > PATIENCE && !works->why[0])
        snprintf(works->why, sizeof works->why, "no answer for %u s", (unsigned)(PATIENCE / NS_PER_S));
    return interrupt_came() || works->why[0] ||
           (options->time > 0 && now - works->begun >= (uint64_t)(options->time * (double)NS_PER_S));
}

static void turn_until_done(struct works *works, const struct churner *churners, struct churning *out)
{
    uint64_t interval = (uint64_t)(works->options->interval * (double)NS_PER_S),
             next = works->begun + interval, now;
    struct histogram *last = histogram_new();
    bool is_busy = true;

    while (is_busy && !is_over(works, now = clock_now())) {
        if (now >= next) {
            draw_sample(works, out, now, last);
            next += interval;
        }
        loop_turn(&works->loop, next > now ? next - now : 0);
        is_busy = false;
        for (unsigned i = 0; i < works->options->producers && !is_busy; i++)
            is_busy = may_go_on(&churners[i]) || churners[i].conn;
    }
    out->seconds = (double)(works->moved - works->begun) / (double)NS_PER_S;
    out->cycles = works->cycles;
    if (clock_now() - out->samples.last_at > interval / 2)
        draw_sample(works, out, clock_now(), last);
    free(last);
}

/* Let cycles end, so that no queue stays behind. */
static void end_cycles(struct works *works, struct churner *churners)
{
    uint64_t deadline = clock_now() + 5 * NS_PER_S;

    works->is_stopping = true;
    for (unsigned i = 0; i < works->options->producers; i++)
        if (churners[i].timer.place)
            begin_cycle(&churners[i]); /* which closes it */
    while (works->open && !works->why[0] && clock_now() < deadline)
        loop_turn(&works->loop, NS_PER_S / 10);
    for (unsigned i = 0; i < works->options->producers; i++) {
        timers_clear(&works->loop.timers, &churners[i].timer);
        conn_free(churners[i].conn);
    }
}

static void run(struct works *works, struct churning *out)
{
    unsigned count = works->options->producers;
    struct churner *churners = xcalloc(count ? count : 1, sizeof *churners);

    samples_init(&out->samples, works->begun);
    for (unsigned i = 0; i < count; i++) {
        churners[i].works = works;
        churners[i].number = i;
        churners[i].timer.fire = on_due;
        snprintf(churners[i].queue, NAME_SIZE, "coneyperf-%08x-churn-%u", works->id, i);
        if (works->options->churn == CHURN_CONNECTIONS)
            begin_cycle(&churners[i]);
        else
            open_connection(&churners[i]);
    }
    turn_until_done(works, churners, out);
    end_cycles(works, churners);
    out->latency = histogram_quantiles(works->latency);
    free(churners);
}

int churn(const struct options *options, struct churning *out)
{
    struct works works = {.options = options, .id = (uint32_t)clock_now()};
    char why[TARGET_WHY_SIZE];
    struct timespec cpu, cpu_before;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_before);
    *out = (struct churning){.options = options};
    if (!target_open(&works.target, options->uris[0], options, why)) {
        fprintf(stderr, "coneyperf: %s\n", why);
        return EXIT_BROKER;
    }
    works.latency = histogram_new();
    if (!loop_init(&works.loop)) {
        snprintf(works.why, sizeof works.why, "no descriptors");
    } else {
        works.begun = works.moved = clock_now();
        run(&works, out);
        progress_end(options);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    out->cpu_seconds = (double)(cpu.tv_sec - cpu_before.tv_sec) +
                       (double)(cpu.tv_nsec - cpu_before.tv_nsec) / (double)NS_PER_S;
    if (works.why[0])
        fprintf(stderr, "coneyperf: %s: %s\n", works.target.shown, works.why);
    loop_free(&works.loop);
    target_free(&works.target);
    free(works.latency);
    return works.why[0] ? EXIT_BROKER : EXIT_DONE;
}

void churning_free(struct churning *churning)
{
    samples_free(&churning->samples);
}
