/* SPDX-License-Identifier: Apache-2.0 */
/* seqmap.h against a naive model: an array of flags that is searched from the front. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "coney/seqmap.h"
#include "coney/xalloc.h"
#include "sim/random.h"

#define NUMBERS 20000

struct naive {
    bool live[NUMBERS], ready[NUMBERS];
    uint64_t value[NUMBERS];
};

static uint64_t naive_next(const bool *flags, uint64_t from)
{
    for (; from < NUMBERS; from++)
        if (flags[from])
            return from;
    return SEQMAP_END;
}

static void expect_same(struct seqmap *map, const struct naive *naive, struct random *random)
{
    uint64_t from = random_below(random, NUMBERS);
    uint64_t *entry = seqmap_get(map, from);

    cr_assert_eq(entry != NULL, naive->live[from]);
    if (entry)
        cr_assert_eq(*entry, naive->value[from]);
    cr_assert_eq(seqmap_is_ready(map, from), naive->ready[from]);
    cr_assert_eq(seqmap_first_ready(map), naive_next(naive->ready, 0));
    cr_assert_eq(seqmap_next_ready(map, from), naive_next(naive->ready, from));
    cr_assert_eq(seqmap_next_live(map, from), naive_next(naive->live, from));
    cr_assert_eq(seqmap_is_empty(map), naive_next(naive->live, 0) == SEQMAP_END);
}

/* A live number near the front, as a queue takes them, or anywhere. */
static uint64_t some_live(const struct naive *naive, struct random *random, uint64_t next)
{
    uint64_t from = random_percent(random, 70) ? 0 : random_below(random, (uint32_t)next + 1);

    return naive_next(naive->live, from);
}

static void live_through(uint64_t seed, uint32_t skip_percent)
{
    struct seqmap map = {.entry_size = sizeof(uint64_t)};
    struct naive *naive = xcalloc(1, sizeof *naive);
    struct random random = {seed};
    uint64_t next = random_below(&random, 1000);

    while (next < NUMBERS - 400) {
        uint64_t number;

        switch (random_below(&random, 5)) {
        case 0:
        case 1:
            if (random_percent(&random, skip_percent))
                next += random_below(&random, 300); /* numbers that were never used */
            *(uint64_t *)seqmap_add(&map, next) = naive->value[next] = random_next(&random);
            naive->live[next++] = true;
            break;
        case 2:
            number = some_live(naive, &random, next);
            if (number != SEQMAP_END) {
                seqmap_remove(&map, number);
                naive->live[number] = naive->ready[number] = false;
            }
            break;
        case 3:
            number = some_live(naive, &random, next);
            if (number != SEQMAP_END) {
                seqmap_set_ready(&map, number);
                naive->ready[number] = true;
            }
            break;
        default:
            number = naive_next(naive->ready, random_below(&random, (uint32_t)next + 1));
            if (number != SEQMAP_END) {
                seqmap_clear_ready(&map, number);
                naive->ready[number] = false;
            }
        }
        if (random_percent(&random, 3))
            expect_same(&map, naive, &random);
    }
    seqmap_clear(&map);
    cr_assert(seqmap_is_empty(&map));
    free(naive);
}

Test(seqmap, does_what_the_naive_one_does)
{
    for (uint64_t seed = 0; seed < 6; seed++)
        live_through(seed, seed % 3);
}

Test(seqmap, fresh_entry_is_live_and_not_ready)
{
    struct seqmap map = {.entry_size = sizeof(uint64_t)};

    seqmap_add(&map, 130);
    cr_expect(seqmap_get(&map, 130));
    cr_expect_null(seqmap_get(&map, 129));
    cr_expect_null(seqmap_get(&map, 0));
    cr_expect_null(seqmap_get(&map, SEQMAP_END - 1));
    cr_expect_not(seqmap_is_ready(&map, 130));
    cr_expect_eq(seqmap_first_ready(&map), SEQMAP_END);
    seqmap_remove(&map, 130);
    cr_expect(seqmap_is_empty(&map));
    cr_expect_eq(seqmap_next_live(&map, 0), SEQMAP_END);
    seqmap_clear(&map);
}

Test(seqmap, empty_one_begins_anywhere_again)
{
    struct seqmap map = {.entry_size = 16};

    for (uint64_t number = 5; number < UINT64_C(1) << 60; number *= 7) {
        seqmap_add(&map, number);
        seqmap_set_ready(&map, number);
        cr_assert_eq(seqmap_first_ready(&map), number);
        seqmap_remove(&map, number);
        cr_assert(seqmap_is_empty(&map));
    }
    seqmap_clear(&map);
}

Test(seqmap, late_ready_number_is_found_before_later_ones)
{
    struct seqmap map = {.entry_size = 8};

    for (uint64_t number = 0; number < 1000; number++)
        seqmap_add(&map, number);
    seqmap_set_ready(&map, 900);
    cr_expect_eq(seqmap_first_ready(&map), 900);
    seqmap_set_ready(&map, 3);
    cr_expect_eq(seqmap_first_ready(&map), 3);
    seqmap_clear(&map);
}
