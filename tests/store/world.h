/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real core on the real store on the disk of sys_fake.h, in one thread, for tests: who turns next, the
 * store's threads or the vhosts with what was posted to them, is decided by chance that can be repeated, and
 * so is the time.
 *
 *     struct world *w = world_new(seed, &hooks);
 *     world_open(w);                 vhosts "v0" and "v1" are there, made or put back
 *     world_run(v, &batch);          something happens in a vhost
 *     world_turn(w);                 something happens in the store
 *     world_stop(w);                 the node ends in good order; or, as everywhere,
 *     world_crash(w, true);          the power fails (false: the process is killed)
 *     world_open(w);
 *     world_free(w);
 *
 * After the store has called ops.failed() the world is dead: nothing is heard any more, and only
 * world_crash() or world_free() may follow.
 */
#ifndef TESTS_STORE_WORLD_H
#define TESTS_STORE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/batch.h"
#include "coney/store.h"
#include "coney/vhost.h"
#include "sim/random.h"
#include "sys_fake.h"

#define WORLD_VHOSTS 2
#define WORLD_START  INT64_C(1700000000000)

struct world;

struct world_vhost {
    struct world *world;
    int index;
    struct vhost *vhost; /* NULL: the node is not running */
    struct journal *journal;
    struct outbox_chunk *written; /* to be given back */
    bool answer_due;
};

/* What is said to a connection whose batch_open had OWNER. The chunk goes back by itself. */
typedef void world_hear(struct world_vhost *v, void *owner, struct outbox_record *record);

struct world {
    struct sys_fake *fake;
    struct sys *sys;
    struct store_settings settings; /* of the next opening */
    struct store_opened opened;     /* of the last one */
    struct store *store;            /* NULL: not running */
    struct world_vhost vhosts[WORLD_VHOSTS];
    struct random random;
    int64_t now;
    bool is_dead, is_full;
    char why[STORE_WHY_SIZE]; /* of what was refused or failed last */
    world_hear *hear;
    uint64_t entries[4]; /* values of the entries "parameters" e0 to e3, as put back */
};

struct world *world_new(uint64_t seed, world_hear *hear);
void world_free(struct world *w);

/* What chance may choose: windows so small that hundreds of operations bring checkpoints, spills and
 * compaction. */
void world_choose_settings(struct world *w);

/* Open, and begin. Not STORE_OPENED: nothing is running, and w->why says why. */
enum store_result world_open(struct world *w);

/* Run BATCH, then whatever it left over. HOOK, if not NULL, is called between its run and what is said. */
void world_run(struct world_vhost *v, struct batch *batch, void (*hook)(struct world_vhost *v));

/* One thing that the store's threads, or somebody who answers them, might do now. */
void world_turn(struct world *w);

/* Until there is nothing to do, but for what waits for room or time. */
void world_settle(struct world *w);

/* Time passes, with a timer's call to every vhost. */
void world_pass(struct world *w, int64_t ms);

/* All connections must be gone. */
void world_stop(struct world *w);

void world_crash(struct world *w, bool power);

/* The LSN of the last record of V; the last that the store has called durable. */
uint64_t world_lsn(const struct world_vhost *v);
uint64_t world_durable(const struct world_vhost *v);
/* The same of the node's own records. */
uint64_t world_node_lsn(const struct world *w);
uint64_t world_node_durable(const struct world *w);

/* Keep entry NUMBER, 0 to 3, with VALUE; 0: it is to be gone. */
void world_put_entry(struct world *w, int number, uint64_t value);

#endif
