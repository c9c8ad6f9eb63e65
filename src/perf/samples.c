/* SPDX-License-Identifier: Apache-2.0 */
/* samples.h: differences between what workers have now and what they had before. */
#include "samples.h"

#include <stdlib.h>

#include "clock.h"
#include "coney/xalloc.h"
#include "options.h"
#include "worker.h"

static void add(uint64_t *sum, const _Atomic uint64_t *counter)
{
    *sum += atomic_load_explicit(counter, memory_order_relaxed);
}

static void latest(uint64_t *time, const _Atomic uint64_t *counter)
{
    uint64_t at = atomic_load_explicit(counter, memory_order_relaxed);

    if (at > *time)
        *time = at;
}

struct totals load_totals(const struct load *load)
{
    struct totals totals = {0};

    for (unsigned i = 0; i < load->worker_count; i++) {
        const struct counters *counters = &load->workers[i].counters;

        add(&totals.sent, &counters->sent);
        add(&totals.confirmed, &counters->confirmed);
        add(&totals.nacked, &counters->nacked);
        add(&totals.returned, &counters->returned);
        add(&totals.received, &counters->received);
        add(&totals.redelivered, &counters->redelivered);
        add(&totals.octets, &counters->octets);
        add(&totals.duplicated, &counters->duplicated);
        add(&totals.reordered, &counters->reordered);
        add(&totals.damaged, &counters->damaged);
        add(&totals.foreign, &counters->foreign);
        add(&totals.again, &counters->again);
        add(&totals.blocked, &counters->blocked);
        add(&totals.publishers_ready, &counters->publishers_ready);
        add(&totals.publishers_done, &counters->publishers_done);
        add(&totals.consumers_ready, &counters->consumers_ready);
        add(&totals.consumers_done, &counters->consumers_done);
        add(&totals.links_open, &counters->links_open);
        add(&totals.links_closed, &counters->links_closed);
        latest(&totals.last_sent, &counters->last_sent);
        latest(&totals.last_done, &counters->last_done);
        latest(&totals.last_received, &counters->last_received);
    }
    return totals;
}

void load_recorded(const struct load *load, enum recorded which, struct histogram *out)
{
    histogram_clear(out);
    for (unsigned i = 0; i < load->worker_count; i++) {
        const struct worker *worker = &load->workers[i];

        histogram_add(out, which == RECORDED_SENT  ? worker->since_sent
                           : which == RECORDED_DUE ? worker->since_due
                                                   : worker->confirms);
    }
}

void samples_init(struct samples *samples, uint64_t now)
{
    *samples = (struct samples){.last_at = now};
    samples->last_latency = histogram_new();
    samples->last_confirms = histogram_new();
}

void samples_free(struct samples *samples)
{
    free(samples->list);
    free(samples->last_latency);
    free(samples->last_confirms);
    *samples = (struct samples){0};
}

/* The quantiles of what is new since LAST, which becomes what there is now. */
static struct quantiles draw(const struct load *load, enum recorded which, struct histogram *last)
{
    struct histogram *now = histogram_new(), *fresh = histogram_new();
    struct quantiles quantiles;

    load_recorded(load, which, now);
    histogram_add(fresh, now);
    histogram_subtract(fresh, last);
    quantiles = histogram_quantiles(fresh);
    histogram_clear(last);
    histogram_add(last, now);
    free(now);
    free(fresh);
    return quantiles;
}

struct sample *samples_add(struct samples *samples, const struct sample *sample)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 64;
        samples->list = xrealloc(samples->list, samples->room * sizeof *samples->list);
    }
    samples->list[samples->count] = *sample;
    return &samples->list[samples->count++];
}

const struct sample *samples_draw(struct samples *samples, const struct load *load, uint64_t now)
{
    struct totals totals = load_totals(load);
    double seconds = (double)(now - samples->last_at) / (double)NS_PER_S;
    struct sample sample = {.at = (double)(now - load->begun) / (double)NS_PER_S};

    if (seconds > 0) {
        sample.sent = (double)(totals.sent - samples->last.sent) / seconds;
        sample.received = (double)(totals.received - samples->last.received) / seconds;
        sample.confirmed = (double)(totals.confirmed - samples->last.confirmed) / seconds;
    }
    sample.latency =
        draw(load, load->options->rates.count ? RECORDED_DUE : RECORDED_SENT, samples->last_latency);
    sample.confirm = draw(load, RECORDED_CONFIRMS, samples->last_confirms);
    samples->last = totals;
    samples->last_at = now;
    return samples_add(samples, &sample);
}
