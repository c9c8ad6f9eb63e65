/* SPDX-License-Identifier: Apache-2.0 */
/* Quantiles of a histogram, and what becomes of them when histograms are added and subtracted. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "perf/histogram.h"

static bool is_near(uint64_t got, uint64_t wanted)
{
    uint64_t off = got > wanted ? got - wanted : wanted - got;

    return off <= wanted / 100;
}

Test(histogram, has_a_bucket_for_every_value)
{
    unsigned last = 0;

    for (uint64_t value = 1; value < UINT64_C(1) << 62; value += value / 64 + 1) {
        unsigned bucket = histogram_bucket(value);

        cr_assert_lt(bucket, HISTOGRAM_BUCKETS);
        cr_assert_geq(bucket, last, "values in order are in buckets in order");
        last = bucket;
    }
    cr_expect_eq(last, HISTOGRAM_BUCKETS - 1);
    cr_expect_eq(histogram_bucket(0), 0);
    cr_expect_neq(histogram_bucket(127), histogram_bucket(128));
}

Test(histogram, tells_quantiles_within_a_hundredth)
{
    struct histogram *histogram = histogram_new();
    struct quantiles quantiles;

    for (uint64_t i = 1; i <= 100000; i++)
        histogram_record(histogram, i * 1000, 1);
    quantiles = histogram_quantiles(histogram);
    cr_expect_eq(quantiles.count, 100000);
    cr_expect(is_near(quantiles.min, 1000), "%lu", (unsigned long)quantiles.min);
    cr_expect(is_near(quantiles.median, 50000000));
    cr_expect(is_near(quantiles.p75, 75000000));
    cr_expect(is_near(quantiles.p95, 95000000));
    cr_expect(is_near(quantiles.p99, 99000000));
    cr_expect(is_near(quantiles.p999, 99900000));
    cr_expect_eq(quantiles.max, 100000000);
    cr_expect_float_eq(quantiles.mean, 50000500.0, 1.0);
    free(histogram);
}

Test(histogram, is_all_zero_when_empty)
{
    struct histogram *histogram = histogram_new();
    struct quantiles quantiles = histogram_quantiles(histogram);

    cr_expect_eq(quantiles.count, 0);
    cr_expect_eq(quantiles.max, 0);
    cr_expect_eq(quantiles.median, 0);
    free(histogram);
}

Test(histogram, never_says_more_than_the_largest)
{
    struct histogram *histogram = histogram_new();

    histogram_record(histogram, 1000003, 5);
    cr_expect_leq(histogram_quantiles(histogram).p999, 1000003);
    histogram_record(histogram, UINT64_MAX / 16, 1);
    cr_expect_eq(histogram_quantiles(histogram).max, UINT64_MAX / 16);
    free(histogram);
}

Test(histogram, gives_an_interval_by_subtraction)
{
    struct histogram *now = histogram_new(), *before = histogram_new();

    histogram_record(now, 5000000, 100);
    histogram_add(before, now);
    histogram_record(now, 1000, 10);
    histogram_subtract(now, before);
    cr_expect_eq(histogram_quantiles(now).count, 10);
    cr_expect(is_near(histogram_quantiles(now).median, 1000));
    cr_expect(is_near(histogram_quantiles(now).max, 1000), "the earlier maximum is not the interval's");
    cr_expect_float_eq(histogram_quantiles(now).mean, 1000.0, 0.001);
    histogram_clear(now);
    cr_expect_eq(histogram_quantiles(now).count, 0);
    free(now);
    free(before);
}
