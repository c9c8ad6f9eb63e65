/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulation of the whole node but its sockets: the real core on the real store on a disk that loses
 * power (world.h), run by chance; and what was promised, held against what is there after each end of a life.
 *
 * The rule is one sentence. A vhost's operations have an order, that of its records; after a restart the
 * state is that after some operation, which is no earlier than the last that was promised: by a confirm, an
 * -ok, or the store's own durable LSN. So nothing that was confirmed is missing, nothing that was settled and
 * proved comes back, a dead letter or a transaction is never half done, and objects and messages fit each
 * other. On top of that: no message that nobody published, none twice, each with its own body, in order, and
 * redelivered if it was delivered.
 *
 *     tests/store/sim-store --seed 7 --trace
 *     tests/store/sim-store --each 1           every call of a life fails once, with EIO, ENOSPC and EMFILE
 *     tests/store/sim-store --seed 7 --call 120 --error 5
 *
 * One seed is one disk with several lives.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "coney/log.h"
#include "sim_store.h"

#define LIVES 5

const struct kind kinds[QUEUES] = {
    {"q0", true, 0, 0, 0, NULL},      {"q1", true, 3, 0, 0, NULL},     {"q2", true, 0, 0, 6, NULL},
    {"q3", true, 0, TTL_MS, 7, NULL}, {"q4", true, 0, 0, 0, "quorum"}, {"q5", false, 0, 0, 0, NULL},
    {"q6", true, 0, 0, 0, NULL},      {"q7", true, 0, 0, 0, NULL},
};

struct seeds seeds = {.first = 1, .count = 20, .ci = 3000, .operations = 300};
struct world *world;
struct side sides[WORLD_VHOSTS];
struct random chance;
struct node_entry entries[ENTRIES];
uint64_t next_id, steps;
int life;
bool faulty;

static uint64_t states, each; /* ends of lives; which calls are to fail */

void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nlife %d, step %llu\n", life, (unsigned long long)steps);
    abort();
}

/* ---- lives ---- */

static void note_entries(void)
{
    for (int i = 0; i < ENTRIES; i++)
        if (entries[i].is_open && entries[i].lsn <= world_node_durable(world))
            entries[i].is_open = false;
}

/* What the store calls durable now is promised. */
static void note_durable(void)
{
    for (int i = 0; i < WORLD_VHOSTS; i++)
        if (world_durable(sides[i].v) > sides[i].promised)
            sides[i].promised = world_durable(sides[i].v);
    note_entries();
}

static void forget_peers(struct side *side)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        give_back(&side->peers[i]);
        peer_forget(&side->peers[i]);
    }
    peer_forget(&side->inspector);
    side->open_count = 0;
}

/* The queues of dead letters are there before there can be any. */
static void begin_targets(struct side *side)
{
    peer_open(&side->peers[0]);
    for (int queue = SOURCES; queue < QUEUES; queue++)
        if (!side->queues[queue].exists)
            declare(&side->peers[0].channels[1], queue);
}

static void live(uint32_t operations)
{
    world->hear = hear;
    for (int i = 0; i < WORLD_VHOSTS; i++) {
        struct side *side = &sides[i];

        begin_objects(side->queues, QUEUES);
        begin_objects(side->exchanges, EXCHANGES);
        begin_objects(&side->bindings[0][0], EXCHANGES * SOURCES);
        begin_targets(side);
    }
    for (; operations && !world->is_dead && !sys_fake_is_stopped(world->fake); operations--, steps++) {
        operate(&sides[below(WORLD_VHOSTS)]);
        for (uint32_t turns = below(6); turns && !world->is_dead; turns--)
            world_turn(world);
    }
}

static void stop_clean(void)
{
    bool full;

    TRACE("the node stops");
    for (int i = 0; i < WORLD_VHOSTS; i++)
        for (int n = 0; n < CONNECTIONS && !world->is_dead; n++)
            if (sides[i].peers[n].id)
                peer_vanish(&sides[i].peers[n]);
    if (world->is_dead)
        return;
    world_settle(world);
    for (int i = 0; i < WORLD_VHOSTS; i++) {
        if (!world->is_full && !world->is_dead && !sys_fake_is_stopped(world->fake))
            sides[i].promised = world_lsn(sides[i].v);
    }
    full = world->is_full;
    world_stop(world);
    for (int i = 0; i < WORLD_VHOSTS; i++)
        sides[i].was_clean = !full && !world->is_dead && !sys_fake_is_stopped(world->fake);
}

/* True: in good order. */
static void end_life(void)
{
    bool power = percent(60);

    for (int i = 0; i < WORLD_VHOSTS; i++)
        sides[i].was_clean = false;
    note_durable();
    if (!world->is_dead && !sys_fake_is_stopped(world->fake) && percent(20)) {
        stop_clean();
        if (!world->store)
            return;
    }
    TRACE("%s", power ? "the power fails" : "the process is killed");
    world_crash(world, power);
    states++;
}

static bool start(void)
{
    enum store_result result;

    world_choose_settings(world);
    for (int tries = 0; tries < 2; tries++) {
        if (!percent(20))
            break;
        sys_fake_stop(world->fake, 1 + below(200));
        result = world_open(world);
        if (result != STORE_OPENED && !sys_fake_is_stopped(world->fake))
            fail("it does not open: %s", world->why);
        for (uint32_t turns = below(40); result == STORE_OPENED && turns; turns--)
            world_turn(world);
        sys_fake_stop(world->fake, 0);
        world_crash(world, percent(50));
        states++;
    }
    sys_fake_stop(world->fake, 0);
    result = world_open(world);
    if (result != STORE_OPENED)
        fail("it does not open: %s", world->why);
    return true;
}

static void begin_world(uint64_t seed)
{
    world = world_new(seed, hear);
    chance.state = seed * 31 + 7;
    next_id = 0;
    memset(entries, 0, sizeof entries);
    for (int i = 0; i < WORLD_VHOSTS; i++) {
        struct side *side = &sides[i];

        *side = (struct side){.v = &world->vhosts[i]};
        for (int n = 0; n < CONNECTIONS; n++)
            peer_init(side, &side->peers[n], n);
        peer_init(side, &side->inspector, 9);
        for (int n = 0; n < QUEUES; n++)
            side->queues[n].lasts = kinds[n].durable;
        for (int n = 0; n < EXCHANGES; n++) {
            side->exchanges[n].lasts = true;
            for (int queue = 0; queue < SOURCES; queue++)
                side->bindings[n][queue].lasts = kinds[queue].durable;
        }
    }
}

static void free_objects(struct object *objects, int count)
{
    for (int i = 0; i < count; i++)
        free(objects[i].events);
}

static void end_world(void)
{
    for (int i = 0; i < WORLD_VHOSTS; i++) {
        struct side *side = &sides[i];
        struct copy *copy, *next;

        forget_peers(side);
        HASH_ITER (hh, side->copies, copy, next)
            copy_free(side, copy);
        free(side->open);
        free_objects(side->queues, QUEUES);
        free_objects(side->exchanges, EXCHANGES);
        free_objects(&side->bindings[0][0], EXCHANGES * SOURCES);
    }
    world_free(world);
}

static void inspect_all(void)
{
    world->hear = hear_inspected;
    check_entries(sides[0].was_clean);
    for (int i = 0; i < WORLD_VHOSTS && !world->is_dead; i++)
        inspect(&sides[i]);
    if (world->is_dead && !faulty)
        fail("it fails without a reason: %s", world->why);
}

static void forget_all(void)
{
    for (int i = 0; i < WORLD_VHOSTS; i++)
        forget_peers(&sides[i]);
}

static void simulate(uint64_t seed)
{
    faulty = false;
    seeds_replay("failed: tests/store/sim-store --seed %llu --operations %llu\n", (unsigned long long)seed,
                 (unsigned long long)seeds.operations);
    begin_world(seed);
    for (life = 0; life < LIVES; life++) {
        start();
        if (life)
            inspect_all();
        if (percent(50))
            sys_fake_stop(world->fake, 1 + below(1000));
        live(1 + below((uint32_t)seeds.operations));
        end_life();
        forget_all();
    }
    start();
    inspect_all();
    end_world();
}

/* ---- the n-th call fails ---- */

/* A life in which call N from a certain point on fails with ERROR. False: it never came to N calls. */
static bool fail_once(uint64_t seed, uint64_t n, int error)
{
    uint64_t calls;
    bool failed;

    begin_world(seed);
    faulty = false;
    if (world_open(world) != STORE_OPENED)
        fail("it does not open: %s", world->why);
    life = 0;
    live(60);
    end_life();
    forget_all();
    sys_fake_fail(world->fake, n, error);
    life = 1;
    calls = sys_fake_counters(world->fake).calls;
    if (world_open(world) == STORE_OPENED) {
        failed = sys_fake_has_failed(world->fake);
        /* The look at what is there is no part of it. */
        calls = sys_fake_counters(world->fake).calls - calls;
        sys_fake_fail(world->fake, 0, 0);
        inspect_all();
        faulty = true;
        if (!failed)
            sys_fake_fail(world->fake, n > calls ? n - calls : 1, error);
        live(250);
        failed |= sys_fake_has_failed(world->fake);
        end_life();
    } else {
        failed = sys_fake_has_failed(world->fake);
        if (!world->why[0] || !failed)
            fail("it does not open: %s", world->why);
        TRACE("refused: %s", world->why);
        world_crash(world, percent(50));
    }
    failed |= sys_fake_has_failed(world->fake);
    sys_fake_fail(world->fake, 0, 0);
    forget_all();
    life = 2;
    if (world_open(world) != STORE_OPENED)
        fail("it does not open after a fault: %s", world->why);
    inspect_all();
    end_world();
    states++;
    return failed;
}

/* STEP: every so many calls. */
static void fail_each(uint64_t seed, uint64_t from, uint64_t step, int error)
{
    for (uint64_t n = from;; n += step) {
        seeds_replay("failed: tests/store/sim-store --seed %llu --error %d --call %llu\n",
                     (unsigned long long)seed, error, (unsigned long long)n);
        if (!fail_once(seed, n, error))
            return;
    }
}

static void simulate_and_fail(uint64_t seed)
{
    static const int errors[] = {EIO, ENOSPC, EMFILE};

    simulate(seed);
    for (size_t i = 0; i < sizeof errors / sizeof *errors && each; i++)
        fail_each(seed, 1 + seed % each, each, errors[i]);
}

int main(int argc, char **argv)
{
    uint64_t error = EIO, call = 0;
    const struct seeds_option more[] = {{"each", &each}, {"error", &error}, {"call", &call}, {NULL, NULL}};

    if (!seeds_parse(&seeds, more, argc, argv))
        return 64;
    if (!seeds.trace)
        log_set_level(LOG_LEVEL_NONE); /* calls are made to fail: that is not to be read of each */
    if (call) {
        seeds_replay("failed\n");
        fail_once(seeds.first, call, (int)error);
        return 0;
    }
    seeds_run(&seeds, simulate_and_fail);
    printf("sim-store: %llu ends, %llu states compared, %llu operations\n", (unsigned long long)states,
           (unsigned long long)checks, (unsigned long long)steps);
    return 0;
}
