/* SPDX-License-Identifier: Apache-2.0 */
/* Lost, duplicated, forgiven: whatever the order in which messages come. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "coney/xalloc.h"
#include "perf/account.h"

Test(account, misses_nothing_when_all_came)
{
    struct account *account = account_new(2, 1);
    uint64_t published[] = {1000, 10};

    for (uint64_t i = 0; i < 1000; i++)
        cr_assert(account_receive(account, 0, 0, i));
    for (uint64_t i = 10; i--;)
        cr_assert(account_receive(account, 1, 0, i));
    cr_expect_eq(account_lost(account, published), 0);
    account_free(account);
}

Test(account, counts_what_did_not_come)
{
    struct account *account = account_new(3, 1);
    uint64_t published[] = {1000, 5, 7};

    for (uint64_t i = 0; i < 1000; i++)
        if (i != 0 && i != 63 && i != 64 && i != 500)
            account_receive(account, 0, 0, i);
    account_receive(account, 1, 0, 4);
    cr_expect_eq(account_lost(account, published), 4 + 4 + 7);
    account_free(account);
}

Test(account, knows_what_came_before)
{
    struct account *account = account_new(1, 1);

    for (uint64_t i = 0; i < 300; i++)
        account_receive(account, 0, 0, i);
    account_receive(account, 0, 0, 5000);
    cr_expect_not(account_receive(account, 0, 0, 0));
    cr_expect_not(account_receive(account, 0, 0, 299));
    cr_expect_not(account_receive(account, 0, 0, 5000));
    cr_expect(account_receive(account, 0, 0, 300));
    cr_expect(account_receive(account, 0, 0, 4999));
    account_free(account);
}

/* Of a generator with a seed, so that a failure can be replayed. */
static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *state >> 33;
}

Test(account, takes_any_order)
{
    enum { COUNT = 20000 };
    struct account *account = account_new(1, 1);
    uint64_t *order = xcalloc(COUNT, sizeof *order), published = COUNT, random = 7;

    for (size_t i = 0; i < COUNT; i++)
        order[i] = i;
    for (size_t i = 0; i < COUNT; i++) {
        size_t other = next_random(&random) % COUNT;
        uint64_t held = order[i];

        order[i] = order[other];
        order[other] = held;
    }
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert(account_receive(account, 0, 0, order[i]));
        cr_assert_not(account_receive(account, 0, 0, order[i / 2]));
    }
    cr_expect_eq(account_lost(account, &published), 0);
    free(order);
    account_free(account);
}

Test(account, wants_a_copy_for_each_lane)
{
    struct account *account = account_new(1, 3);
    uint64_t published = 2;

    cr_expect(account_receive(account, 0, 0, 0));
    cr_expect(account_receive(account, 0, 1, 0));
    cr_expect(account_receive(account, 0, 2, 0));
    cr_expect(account_receive(account, 0, 2, 1));
    cr_expect_not(account_receive(account, 0, 2, 1));
    cr_expect_eq(account_lost(account, &published), 2);
    account_free(account);
}

Test(account, forgives_what_was_refused_and_did_not_come)
{
    struct account *account = account_new(1, 1);
    uint64_t published = 10;

    for (uint64_t i = 0; i < 6; i++)
        account_receive(account, 0, 0, i);
    account_forgive(account, 0, 3); /* refused, and came all the same */
    account_forgive(account, 0, 8);
    account_forgive(account, 0, 7);
    account_forgive(account, 0, 8); /* returned and refused: one message */
    cr_expect_eq(account_lost(account, &published), 2);
    account_free(account);
}
