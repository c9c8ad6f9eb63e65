/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of durations with buckets that grow with the value: each is within 1/128 of what it holds, from
 * a nanosecond to over an hour, so that percentiles need no list of values.
 *
 * One thread records; any other may copy meanwhile (counts are relaxed atomics, each written by one thread
 * only), which is how the figures of an interval are had: a copy now without the copy before.
 */
#ifndef PERF_HISTOGRAM_H
#define PERF_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7  /* buckets for each doubling: 1 << 7 */
#define HISTOGRAM_TOP_BITS 42 /* values from 1 << 42 on are taken for the largest */
#define HISTOGRAM_BUCKETS  ((HISTOGRAM_TOP_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum; /* of the values, ns */
    _Atomic uint64_t max;
};

/* What the reports show, ns. All 0 when COUNT is. */
struct quantiles {
    uint64_t count;
    uint64_t min, median, p75, p95, p99, p999, max;
    double mean;
};

static inline unsigned histogram_bucket(uint64_t value)
{
    unsigned shift;

    if (value >= UINT64_C(1) << HISTOGRAM_TOP_BITS)
        value = (UINT64_C(1) << HISTOGRAM_TOP_BITS) - 1;
    if (value < 1U << HISTOGRAM_SUB_BITS)
        return (unsigned)value;
    shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift) - (1U << HISTOGRAM_SUB_BITS);
}

static inline void histogram_bump(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

/* Record VALUE, TIMES over. */
static inline void histogram_record(struct histogram *histogram, uint64_t value, uint64_t times)
{
    histogram_bump(&histogram->counts[histogram_bucket(value)], times);
    histogram_bump(&histogram->sum, value * times);
    if (value > atomic_load_explicit(&histogram->max, memory_order_relaxed))
        atomic_store_explicit(&histogram->max, value, memory_order_relaxed);
}

struct histogram *histogram_new(void) __attribute__((returns_nonnull));

void histogram_clear(struct histogram *histogram);

/* Add what FROM holds to INTO, which nobody else writes. */
void histogram_add(struct histogram *into, const struct histogram *from);

/* Take from INTO what BEFORE holds: an earlier state of the same. The maximum is then that of the highest
 * bucket. */
void histogram_subtract(struct histogram *into, const struct histogram *before);

/* Values below or at which so many of all lie, each the middle of its bucket. All 0 when there is none. */
struct quantiles histogram_quantiles(const struct histogram *histogram);

#endif
