/* SPDX-License-Identifier: Apache-2.0 */
/* store.h on the disk of sys_fake.h: what the simulation (sim_store.c) found or comes by rarely, told as
 * stories. */
#include <criterion/criterion.h>

#include "world.h"

TestSuite(store, .timeout = 60);

static void hear_nothing(struct world_vhost *v, void *owner, struct outbox_record *record)
{
    (void)v;
    (void)owner;
    (void)record;
}

static struct world *begin(uint64_t seed)
{
    struct world *w = world_new(seed, hear_nothing);

    cr_assert_eq(world_open(w), STORE_OPENED, "%s", w->why);
    return w;
}

static void open_again(struct world *w)
{
    cr_assert_eq(world_open(w), STORE_OPENED, "%s", w->why);
}

Test(store, a_new_folder_outlives_a_power_loss)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct world *w = begin(seed);

        world_put_entry(w, 0, 7);
        world_settle(w);
        cr_assert_eq(world_node_durable(w), world_node_lsn(w));
        world_crash(w, true);
        open_again(w);
        cr_assert_not(w->opened.is_new);
        cr_assert_eq(w->opened.vhosts, WORLD_VHOSTS);
        cr_assert_eq(w->entries[0], 7, "seed %llu", (unsigned long long)seed);
        world_free(w);
    }
}

Test(store, an_entry_that_went_stays_away)
{
    struct world *w = begin(1);

    world_put_entry(w, 1, 5);
    world_put_entry(w, 2, 6);
    world_put_entry(w, 1, 0);
    world_stop(w);
    open_again(w);
    cr_assert_eq(w->entries[1], 0);
    cr_assert_eq(w->entries[2], 6);
    world_free(w);
}

/* Entries, until the disk has no room for them. */
static uint64_t fill(struct world *w)
{
    uint64_t value = 0;

    sys_fake_capacity(w->fake, UINT64_C(200000));
    while (!w->is_full && value < 100000) {
        world_put_entry(w, 3, ++value);
        world_turn(w);
    }
    cr_assert(w->is_full, "the disk is not full after %llu entries", (unsigned long long)value);
    cr_assert_not(w->is_dead, "%s", w->why);
    return value;
}

Test(store, a_full_disk_heals)
{
    struct world *w = begin(2);
    uint64_t value = fill(w);

    world_settle(w);
    sys_fake_capacity(w->fake, 0);
    for (int i = 0; i < 1000; i++)
        world_turn(w);
    world_pass(w, 1000);
    world_settle(w);
    cr_assert_eq(world_node_durable(w), world_node_lsn(w));
    cr_assert_not(w->is_full);
    world_crash(w, true);
    open_again(w);
    cr_assert_eq(w->entries[3], value);
    world_free(w);
}

Test(store, a_stop_on_a_full_disk_ends)
{
    struct world *w = begin(2);

    fill(w);
    world_stop(w);
    sys_fake_capacity(w->fake, 0);
    open_again(w);
    cr_assert_gt(w->entries[3], 0);
    world_free(w);
}
