/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.h: what is asked of a histogram. All of it walks the buckets, which is cheap enough once a
 * second. */
#include "histogram.h"

#include <string.h>

#include "coney/xalloc.h"

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* The lowest value of a bucket. */
static uint64_t bucket_low(unsigned bucket)
{
    unsigned shift = bucket >> HISTOGRAM_SUB_BITS;
    uint64_t sub = bucket & ((1U << HISTOGRAM_SUB_BITS) - 1);

    return shift == 0 ? sub : ((UINT64_C(1) << HISTOGRAM_SUB_BITS) + sub) << (shift - 1);
}

static uint64_t bucket_middle(unsigned bucket)
{
    return bucket_low(bucket) + (bucket_low(bucket + 1) - bucket_low(bucket)) / 2;
}

struct histogram *histogram_new(void)
{
    return xcalloc(1, sizeof(struct histogram));
}

void histogram_clear(struct histogram *histogram)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        set(&histogram->counts[i], 0);
    set(&histogram->sum, 0);
    set(&histogram->max, 0);
}

void histogram_add(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram_bump(&into->counts[i], get(&from->counts[i]));
    histogram_bump(&into->sum, get(&from->sum));
    if (get(&from->max) > get(&into->max))
        set(&into->max, get(&from->max));
}

void histogram_subtract(struct histogram *into, const struct histogram *before)
{
    uint64_t max = get(&into->max);
    unsigned highest = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t left = get(&into->counts[i]) - get(&before->counts[i]);

        set(&into->counts[i], left);
        if (left)
            highest = i;
    }
    set(&into->sum, get(&into->sum) - get(&before->sum));
    /* The largest of all times is this interval's only if it is of its highest bucket. */
    if (histogram_bucket(max) != highest)
        set(&into->max, bucket_middle(highest));
}

static uint64_t count_all(const struct histogram *histogram)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += get(&histogram->counts[i]);
    return count;
}

/* The value of the one with RANK, from 1 on. */
static uint64_t at_rank(const struct histogram *histogram, uint64_t rank)
{
    uint64_t seen = 0, max = get(&histogram->max), middle;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += get(&histogram->counts[i]);
        if (seen >= rank) {
            middle = bucket_middle(i);
            return middle < max ? middle : max;
        }
    }
    return max;
}

static uint64_t quantile_of(const struct histogram *histogram, uint64_t count, double fraction)
{
    uint64_t rank = (uint64_t)(fraction * (double)count + 0.999999);

    if (count == 0)
        return 0;
    return at_rank(histogram, rank < 1 ? 1 : rank > count ? count : rank);
}

struct quantiles histogram_quantiles(const struct histogram *histogram)
{
    struct quantiles out = {.count = count_all(histogram)};

    if (out.count == 0)
        return out;
    out.min = at_rank(histogram, 1);
    out.median = quantile_of(histogram, out.count, 0.5);
    out.p75 = quantile_of(histogram, out.count, 0.75);
    out.p95 = quantile_of(histogram, out.count, 0.95);
    out.p99 = quantile_of(histogram, out.count, 0.99);
    out.p999 = quantile_of(histogram, out.count, 0.999);
    out.max = get(&histogram->max);
    out.mean = (double)get(&histogram->sum) / (double)out.count;
    return out;
}
