/* SPDX-License-Identifier: Apache-2.0 */
/* What statistics remember of what they see, tick by tick. */
#include <criterion/criterion.h>

#include "admin/stats/stats_fields.h"

#define KEY   UINT64_C(7)
#define OTHER UINT64_C(8)

static struct kept kept;

static void begin(void)
{
    kept = (struct kept){.first_tick = 1};
}

static void end(void)
{
    kept_forget(&kept);
    cr_expect_eq(kept.octets, 0);
}

TestSuite(stats_kept, .init = begin, .fini = end, .timeout = 30);

/* One tick, in which KEY alone is seen. */
static void tick(uint64_t a, uint64_t b)
{
    kept_begin_tick(&kept, 0);
    kept_note(&kept, KEY, (const uint64_t[]){a, b}, 2);
    kept_end_tick(&kept);
}

/* KEY's history has COUNT samples; the newest is A and B. */
static void expect_history(unsigned count, uint64_t a, uint64_t b)
{
    const struct history *history = kept_find(&kept, KEY);
    const uint64_t *values;

    cr_assert_not_null(history);
    cr_expect_eq(history->count, count, "%u samples", history->count);
    cr_expect_eq(history->last_tick, kept.tick);
    values = history_at(history, kept.tick);
    cr_expect(values[0] == a && values[1] == b);
}

Test(stats_kept, what_moves_has_a_history)
{
    tick(1, 10);
    expect_history(1, 1, 10);
    tick(2, 10);
    expect_history(2, 2, 10);
    cr_expect_eq(history_at(kept_find(&kept, KEY), 1)[0], 1);
}

Test(stats_kept, what_rests_has_none_until_it_moves)
{
    tick(1, 10);
    tick(1, 10);
    cr_expect_null(kept_find(&kept, KEY));
    tick(1, 10);
    cr_expect_null(kept_find(&kept, KEY));
    tick(1, 11);
    expect_history(1, 1, 11);
}

Test(stats_kept, what_is_new_was_zero_before)
{
    kept_begin_tick(&kept, 0);
    kept_end_tick(&kept);
    tick(3, 4);
    expect_history(2, 3, 4);
    cr_expect_eq(history_at(kept_find(&kept, KEY), 1)[0], 0);
}

Test(stats_kept, what_has_gone_is_forgotten)
{
    tick(1, 1);
    kept_begin_tick(&kept, 0);
    kept_end_tick(&kept);
    cr_expect_null(kept_find(&kept, KEY));
}

Test(stats_kept, oldest_samples_make_room)
{
    for (uint64_t i = 1; i <= 2 * SAMPLES; i++)
        tick(i, 2 * i);
    expect_history(SAMPLES, 2 * SAMPLES, 4 * SAMPLES);
    for (uint64_t i = history_first_tick(kept_find(&kept, KEY)); i <= kept.tick; i++)
        cr_expect_eq(history_at(kept_find(&kept, KEY), i)[1], 2 * i);
}

Test(stats_kept, newest_sample_is_left_of_a_shortened_history)
{
    tick(1, 1);
    tick(2, 2);
    kept_shorten(&kept);
    expect_history(1, 2, 2);
    tick(3, 3);
    expect_history(2, 3, 3);
}

/* Whoever chooses names can choose keys: a history takes as many values as it has, and no fewer may come. */
Test(stats_kept, same_key_with_another_number_of_values_is_passed_over)
{
    const uint64_t many[NODE_VALUES] = {100, 200};

    tick(1, 1);
    kept_begin_tick(&kept, 0);
    kept_note(&kept, OTHER, many, NODE_VALUES);
    kept_note(&kept, KEY, many, NODE_VALUES);
    kept_note(&kept, KEY, (const uint64_t[]){2, 2}, 2);
    kept_end_tick(&kept);
    expect_history(2, 2, 2);
    kept_begin_tick(&kept, 0);
    kept_note(&kept, OTHER, (const uint64_t[]){5, 5}, 2);
    kept_end_tick(&kept);
    cr_expect_null(kept_find(&kept, OTHER));
}
