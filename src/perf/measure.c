/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure.h: the phases of a run.
 *
 *     declare    exchange and queues, over a connection of its own
 *     connect    workers open all connections; consumers subscribe (with --drain: later)
 *     publish    until --time, --pmessages or an interrupt; each publisher then waits for its confirms, and
 * for the answer to channel.close, before which the broker has taken in all that it sent drain      until
 * everything published was received, or nothing has come for a while end        acknowledge the rest, close
 *
 * The main thread looks at the workers' counters every few milliseconds, and tells them by the flags of
 * struct load.
 */
#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "account.h"
#include "clock.h"
#include "coney/xalloc.h"
#include "control.h"
#include "interrupt.h"
#include "options.h"
#include "progress.h"
#include "target.h"
#include "worker.h"

#define TICK             (5 * NS_PER_MS)
#define TICK_AT_FIRST    (NS_PER_MS / 5) /* so that connecting is measured well */
#define CONNECT_PATIENCE (30 * NS_PER_S) /* without another connection */

/* ---- setting up ---- */

static bool open_targets(struct load *load)
{
    const struct options *options = load->options;
    char why[TARGET_WHY_SIZE];

    load->targets = xcalloc(options->uri_count, sizeof *load->targets);
    for (size_t i = 0; i < options->uri_count; i++) {
        if (!target_open(&load->targets[i], options->uris[i], options, why)) {
            load_fail(load, "%s", why);
            return false;
        }
    }
    return true;
}

static void prepare(struct load *load, const struct options *options)
{
    *load = (struct load){.options = options};
    pthread_mutex_init(&load->lock, NULL);
    if (getrandom(&load->id, sizeof load->id, 0) != sizeof load->id)
        load->id = (uint32_t)clock_now();
    if (options->uses_wall_clock)
        load->clock_offset = clock_read(CLOCK_REALTIME) - clock_now();
    topology_plan(&load->topology, options, load->id);
    load->publishers = options->producers * options->producer_channels;
    load->consumers = options->consumers * options->consumer_channels;
    load->published = xcalloc(load->publishers ? load->publishers : 1, sizeof *load->published);
    if (options->is_check)
        load->account = account_new(load->publishers, load->topology.copies);
    load->worker_count = options->threads;
    load->workers = aligned_alloc(_Alignof(struct worker), load->worker_count * sizeof *load->workers);
    if (!load->workers)
        abort();
    memset(load->workers, 0, load->worker_count * sizeof *load->workers);
}

static bool declare(struct load *load, bool is_end)
{
    struct control control;
    bool is_done = false;

    if (control_open(&control, &load->targets[0], "coneyperf control")) {
        if (is_end)
            topology_delete(&load->topology, &control);
        is_done = is_end || topology_declare(&load->topology, &control);
    }
    if (!is_done && !is_end)
        load_fail(load, "%s: %s%s", load->targets[0].shown, control.why,
                  strstr(control.why, "PRECONDITION_FAILED") ? "; --predeclared takes what is there as it is"
                                                             : "");
    control_close(&control);
    return is_done;
}

static void clean_up(struct load *load)
{
    for (size_t i = 0; load->targets && i < load->options->uri_count; i++)
        target_free(&load->targets[i]);
    for (unsigned i = 0; i < load->worker_count; i++)
        worker_free(&load->workers[i]);
    topology_free(&load->topology);
    account_free(load->account);
    pthread_mutex_destroy(&load->lock);
    free(load->targets);
    free(load->workers);
    free(load->published);
}

/* ---- waiting ---- */

static void nap(const struct load *load)
{
    struct timespec tick = {.tv_nsec = load->begun ? TICK : TICK_AT_FIRST};

    nanosleep(&tick, NULL);
}

static void tell(struct load *load, atomic_bool *flag)
{
    atomic_store(flag, true);
    for (unsigned i = 0; i < load->worker_count; i++)
        worker_wake(&load->workers[i]);
}

/* What is looked at while a phase lasts. */
struct watch {
    struct load *load;
    struct samples *samples;
    struct totals totals;
    uint64_t now, next_sample;
};

/* Let a moment pass. False when the run has failed. */
static bool look(struct watch *watch)
{
    const struct options *options = watch->load->options;

    nap(watch->load);
    watch->now = clock_now();
    watch->totals = load_totals(watch->load);
    if (watch->load->begun && watch->now >= watch->next_sample) {
        const struct sample *sample = samples_draw(watch->samples, watch->load, watch->now);

        watch->next_sample += (uint64_t)(options->interval * (double)NS_PER_S);
        if (!options->is_quiet)
            progress_show(options, sample);
    }
    return !atomic_load(&watch->load->has_failed);
}

static uint64_t seconds_to_ns(double seconds)
{
    return (uint64_t)(seconds * (double)NS_PER_S);
}

static bool wait_connected(struct watch *watch)
{
    struct load *load = watch->load;
    unsigned consumers = load->options->is_drain ? 0 : load->consumers;
    uint64_t moved = clock_now(), before = 0, ready = 0;

    while (ready < load->publishers + consumers) {
        if (!look(watch))
            return false;
        ready = watch->totals.publishers_ready + watch->totals.consumers_ready;
        if (ready + watch->totals.links_open != before)
            moved = watch->now;
        before = ready + watch->totals.links_open;
        if (watch->now - moved > CONNECT_PATIENCE) {
            load_fail(load, "%u of %u channels are ready, and no other for %u s", (unsigned)ready,
                      load->publishers + consumers, (unsigned)(CONNECT_PATIENCE / NS_PER_S));
            return false;
        }
        if (interrupt_came())
            return false;
    }
    return true;
}

/* Tell whether all messages that consumers are to take were taken. */
static bool consumers_are_done(const struct watch *watch)
{
    return watch->load->consumers && watch->totals.consumers_done == watch->load->consumers;
}

static bool wait_published(struct watch *watch)
{
    struct load *load = watch->load;
    const struct options *options = load->options;
    uint64_t deadline = options->time > 0 ? load->begun + seconds_to_ns(options->time) : UINT64_MAX;
    uint64_t moved = load->begun, before = 0;
    bool is_stopped = false;

    while (watch->totals.publishers_done < load->publishers ||
           (!load->publishers && watch->now < deadline && !consumers_are_done(watch) && !interrupt_came())) {
        if (!look(watch))
            return false;
        if (!is_stopped && (watch->now >= deadline || interrupt_came() || consumers_are_done(watch))) {
            is_stopped = true;
            moved = watch->now;
            tell(load, &load->must_stop);
        }
        if (watch->totals.confirmed + watch->totals.nacked + watch->totals.sent != before)
            moved = watch->now;
        before = watch->totals.confirmed + watch->totals.nacked + watch->totals.sent;
        if (load->publishers && is_stopped && watch->now - moved > seconds_to_ns(options->confirm_timeout)) {
            load_fail(load, "%u publishers of %u have not ended, and nothing was confirmed for %.0f s",
                      (unsigned)(load->publishers - watch->totals.publishers_done), load->publishers,
                      options->confirm_timeout);
            return false;
        }
    }
    return true;
}

static bool everything_came(const struct watch *watch)
{
    const struct totals *totals = &watch->totals;
    uint64_t owed = (totals->sent - totals->nacked - totals->returned) * watch->load->topology.copies;
    uint64_t came = totals->received - totals->foreign;

    if (watch->load->account)
        came -= totals->duplicated + totals->again + totals->damaged;
    else if (watch->load->options->is_nack)
        came -= totals->redelivered;
    return came >= owed;
}

static bool wait_received(struct watch *watch)
{
    struct load *load = watch->load;
    uint64_t moved = clock_now(), before = 0;

    while (load->consumers && load->publishers && !everything_came(watch) && !consumers_are_done(watch)) {
        if (!look(watch))
            return false;
        if (watch->totals.received != before)
            moved = watch->now;
        before = watch->totals.received;
        if (watch->now - moved > seconds_to_ns(load->options->shutdown_timeout))
            break;
    }
    return true;
}

/* ---- the whole ---- */

static bool start_workers(struct load *load)
{
    for (unsigned i = 0; i < load->worker_count; i++) {
        if (!worker_start(&load->workers[i], load, i)) {
            load_fail(load, "cannot start a thread: %s", strerror(errno));
            return false;
        }
    }
    return true;
}

static double seconds_between(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / (double)NS_PER_S : 0;
}

static bool run_phases(struct watch *watch, struct measurement *out)
{
    struct load *load = watch->load;
    uint64_t begun = clock_now(), consuming;

    if (!load->options->is_drain)
        atomic_store(&load->may_consume, true);
    if (!start_workers(load) || !wait_connected(watch))
        return false;
    out->connect_seconds = seconds_between(begun, clock_now());
    load->begun = consuming = clock_now();
    samples_init(&out->samples, load->begun);
    watch->next_sample = load->begun + seconds_to_ns(load->options->interval);
    tell(load, &load->may_publish);
    if (!wait_published(watch))
        return false;
    if (load->options->is_drain) {
        consuming = clock_now();
        tell(load, &load->may_consume);
    }
    if (!wait_received(watch))
        return false;
    out->totals = load_totals(load);
    out->is_complete = everything_came(watch);
    out->publish_seconds =
        seconds_between(load->begun, out->totals.last_done ? out->totals.last_done : load->begun);
    out->consume_seconds = seconds_between(consuming, out->totals.last_received);
    if (clock_now() - out->samples.last_at > seconds_to_ns(load->options->interval) / 2)
        samples_draw(&out->samples, load, clock_now());
    return true;
}

static void stop_workers(struct load *load)
{
    tell(load, &load->must_end);
    for (unsigned i = 0; i < load->worker_count; i++)
        if (load->workers[i].has_thread)
            worker_join(&load->workers[i]);
}

/* What can be said when the workers have ended. */
static void sum_up(const struct load *load, struct measurement *out)
{
    struct histogram *histogram = histogram_new();

    load_recorded(load, RECORDED_SENT, histogram);
    out->since_sent = histogram_quantiles(histogram);
    load_recorded(load, RECORDED_DUE, histogram);
    out->since_due = histogram_quantiles(histogram);
    load_recorded(load, RECORDED_CONFIRMS, histogram);
    out->confirms = histogram_quantiles(histogram);
    free(histogram);
    for (unsigned i = 0; i < load->worker_count; i++)
        out->cpu_seconds += (double)load->workers[i].cpu / (double)NS_PER_S;
    if (load->account && load->consumers && !load->options->cmessages) /* the rest is still in the queue */
        out->lost = account_lost(load->account, load->published);
    out->publishers = load->publishers;
    out->consumers = load->consumers;
    out->queues = load->topology.queue_count;
    out->copies = load->topology.copies;
    out->connections = load->options->producers + load->options->consumers;
}

static int verdict(const struct load *load, const struct measurement *out)
{
    const struct totals *totals = &out->totals;

    return load->account && (out->lost || totals->duplicated || totals->reordered || totals->damaged)
               ? EXIT_CHECK
               : EXIT_DONE;
}

int measure(const struct options *options, struct measurement *out)
{
    struct load load;
    struct watch watch = {.load = &load};
    uint64_t begun = clock_now();
    int code = EXIT_BROKER;

    *out = (struct measurement){.options = options};
    watch.samples = &out->samples;
    prepare(&load, options);
    if (open_targets(&load) && declare(&load, false)) {
        bool is_done;

        out->declare_seconds = seconds_between(begun, clock_now());
        is_done = run_phases(&watch, out);
        stop_workers(&load);
        progress_end(options);
        if (is_done) {
            sum_up(&load, out);
            code = verdict(&load, out);
        }
        if (load.topology.made_up_queue || load.topology.made_up_exchange)
            declare(&load, true);
    }
    if (code == EXIT_BROKER)
        fprintf(stderr, "coneyperf: %s\n", load.why[0] ? load.why : "interrupted");
    clean_up(&load);
    return code;
}

void measurement_free(struct measurement *measurement)
{
    samples_free(&measurement->samples);
}
