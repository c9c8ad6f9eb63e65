/* SPDX-License-Identifier: Apache-2.0 */
/* world.h: what coneyd's server does for the store and the vhosts, done one thing at a time. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/vhost_fields.h"
#include "coney/clock.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "store/store_fields.h"

#define SETTLE_TURNS 20000 /* more than this is no progress */
#define TURN_NS      UINT64_C(1000000)

/* The store's clock, in place of the one in its library: it goes on with the turns of the worlds. */
static uint64_t simulated_ns = UINT64_C(1000000000);

uint64_t clock_ns(void)
{
    return simulated_ns;
}

/* ---- what the vhosts ask for ---- */

static void draw(struct world *w, void *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)random_next(&w->random);
}

static void random_octets(void *context, void *out, size_t size)
{
    draw(((struct world_vhost *)context)->world, out, size);
}

/* The chunks are read at once, and given back later. */
static void output(void *context, struct outbox_chunk *chunks)
{
    struct world_vhost *v = context;
    struct world *w = v->world;
    void *owner = chunks->owner;

    while (chunks) {
        struct outbox_chunk *chunk = chunks;

        chunks = chunk->next;
        for (struct outbox_record *record = outbox_first(chunk); record && !w->is_dead;
             record = outbox_next(chunk, record))
            w->hear(v, owner, record);
        chunk->next = v->written;
        v->written = chunk;
    }
}

static struct vhost *begin_vhost(struct world_vhost *v, struct journal *journal)
{
    const struct vhost_settings settings = {
        .message_size_max = 1 << 20, .spill_min = 1, .unsent_max = 1 << 16};
    const struct vhost_ops ops = {.output = output, .random = random_octets, .context = v};
    char name[3] = {'v', (char)('0' + v->index), 0};

    v->journal = journal;
    v->vhost = vhost_new(bytes_from_string(name), &settings, &ops, journal);
    vhost_set_permission(v->vhost, BYTES_LITERAL("guest"), BYTES_LITERAL(".*"), BYTES_LITERAL(".*"),
                         BYTES_LITERAL(".*"));
    return v->vhost;
}

/* ---- what the store asks for ---- */

static struct vhost *make_vhost(void *context, struct bytes name, struct journal *journal, void **owner)
{
    struct world *w = context;
    struct world_vhost *v = &w->vhosts[name.data[1] - '0'];

    *owner = v;
    return begin_vhost(v, journal);
}

static bool take_entry(void *context, struct bytes section, struct bytes vhost, struct bytes name,
                       struct bytes json, char why[STORE_WHY_SIZE])
{
    struct world *w = context;
    char text[32] = "";

    (void)vhost;
    if (!bytes_equal_string(section, "parameters") || name.size != 2 || json.size >= sizeof text) {
        snprintf(why, STORE_WHY_SIZE, "an entry that nobody made");
        return false;
    }
    put_bytes((uint8_t *)text, json);
    w->entries[name.data[1] - '0'] = strtoull(text, NULL, 10);
    return true;
}

static void post(void *context, void *owner, struct journal *journal)
{
    (void)context;
    (void)journal;
    ((struct world_vhost *)owner)->answer_due = true;
}

static void failed(void *context, const char *text)
{
    struct world *w = context;

    w->is_dead = true;
    snprintf(w->why, sizeof w->why, "%s", text);
}

static void disk_full(void *context, bool full)
{
    ((struct world *)context)->is_full = full;
}

static void store_random(void *context, void *out, size_t size)
{
    draw(context, out, size);
}

/* ---- beginning and ending ---- */

struct world *world_new(uint64_t seed, world_hear *hear)
{
    struct world *w = xcalloc(1, sizeof *w);

    w->random.state = seed;
    w->now = WORLD_START;
    w->hear = hear;
    w->fake = sys_fake_new(random_next(&w->random));
    w->sys = sys_fake_sys(w->fake);
    for (int i = 0; i < WORLD_VHOSTS; i++)
        w->vhosts[i] = (struct world_vhost){.world = w, .index = i};
    world_choose_settings(w);
    return w;
}

static uint32_t below(struct world *w, uint32_t limit)
{
    return random_below(&w->random, limit);
}

void world_choose_settings(struct world *w)
{
    uint64_t file = UINT64_C(32768) << below(w, 2);

    w->settings = (struct store_settings){.folder = "data",
                                          .journal_window = file * (3 + below(w, 4)),
                                          .journal_file_size = file,
                                          .segment_file_size = UINT64_C(8192) << below(w, 4),
                                          .memory_window = UINT64_C(1000) << below(w, 10),
                                          .sync_every_ms = 5,
                                          .sync_apart = UINT64_C(200) << below(w, 12),
                                          .disk_free_limit = 0};
}

/* What coneyd makes of a new node. */
static void begin_node(struct world *w)
{
    for (int i = 0; i < WORLD_VHOSTS; i++) {
        struct world_vhost *v = &w->vhosts[i];
        char name[3] = {'v', (char)('0' + i), 0};

        if (!v->vhost)
            begin_vhost(v, store_vhost(w->store, bytes_from_string(name)));
        store_share(v->journal, v->vhost, v);
    }
}

static void bury(struct world *w)
{
    for (int i = 0; i < WORLD_VHOSTS; i++) {
        struct world_vhost *v = &w->vhosts[i];

        while (v->written) {
            struct outbox_chunk *chunk = v->written;

            v->written = chunk->next;
            outbox_chunk_free(chunk);
        }
        if (v->vhost)
            vhost_free(v->vhost);
        v->vhost = NULL;
        v->journal = NULL;
        v->answer_due = false;
    }
    if (w->store)
        store_free(w->store);
    w->store = NULL;
}

enum store_result world_open(struct world *w)
{
    const struct store_ops ops = {.make_vhost = make_vhost,
                                  .entry = take_entry,
                                  .post = post,
                                  .failed = failed,
                                  .disk_full = disk_full,
                                  .random = store_random,
                                  .context = w};
    enum store_result result;

    w->is_dead = w->is_full = false;
    w->why[0] = 0;
    memset(w->entries, 0, sizeof w->entries);
    result = store_open(w->sys, &w->settings, &ops, &w->store, &w->opened, w->why);
    if (result == STORE_OPENED)
        begin_node(w);
    else
        bury(w);
    return result;
}

void world_stop(struct world *w)
{
    world_settle(w);
    store_finish(w->store);
    bury(w);
}

/* What is under way in a real process ends with it; here it must be found again to be freed, by a process
 * that does nothing any more to what is there for the next one. */
void world_crash(struct world *w, bool power)
{
    w->is_dead = true;
    if (power)
        sys_fake_power_loss(w->fake, random_next(&w->random));
    else
        sys_fake_kill(w->fake);
    if (!w->store)
        return;
    sys_fake_stop(w->fake, 1);
    for (bool any = true; any;) {
        any = worker_step(&w->store->worker) || worker_step(&w->store->reader);
        for (int i = 0; i < WORLD_VHOSTS; i++) {
            struct vhost_journal *journal = journal_of(w->vhosts[i].journal);

            if (atomic_load(&journal->answers) || journal->waiting) {
                store_answer(&journal->journal, w->vhosts[i].vhost);
                any = true;
            }
        }
    }
    bury(w);
    sys_fake_stop(w->fake, 0);
}

void world_free(struct world *w)
{
    if (w->store)
        world_crash(w, false);
    sys_free(w->sys);
    free(w);
}

/* ---- running ---- */

static void run_once(struct world_vhost *v, struct batch *batch, void (*hook)(struct world_vhost *v))
{
    vhost_run(v->vhost, batch, v->world->now);
    if (hook)
        hook(v);
    vhost_flush(v->vhost);
}

void world_run(struct world_vhost *v, struct batch *batch, void (*hook)(struct world_vhost *v))
{
    run_once(v, batch, hook);
    while (vhost_has_work(v->vhost))
        run_once(v, &(struct batch){.kind = BATCH_TIMER}, NULL);
}

static void call_answer(struct vhost *vhost, void *argument)
{
    store_answer(argument, vhost);
}

static bool answer(struct world_vhost *v)
{
    if (!v->answer_due)
        return false;
    v->answer_due = false;
    world_run(v, &(struct batch){.kind = BATCH_CALL, .call = call_answer, .argument = v->journal}, NULL);
    return true;
}

static bool give_back(struct world_vhost *v)
{
    struct batch batch = {.kind = BATCH_RETURNS, .returned = v->written};

    if (!v->written)
        return false;
    v->written = NULL;
    world_run(v, &batch, NULL);
    return true;
}

void world_turn(struct world *w)
{
    struct world_vhost *v = &w->vhosts[below(w, WORLD_VHOSTS)];
    uint32_t roll = below(w, 100);

    if (w->is_dead)
        return;
    simulated_ns += TURN_NS;
    if (roll < 30)
        store_step(w->store);
    else if (roll < 45)
        worker_step(&w->store->worker);
    else if (roll < 60)
        worker_step(&w->store->reader);
    else if (roll < 85)
        answer(v);
    else if (roll < 97)
        give_back(v);
    else
        store_care(w->store);
}

void world_settle(struct world *w)
{
    bool any = true;

    for (uint32_t turns = 0; any && turns < SETTLE_TURNS && !w->is_dead; turns++) {
        simulated_ns += TURN_NS;
        any = store_step(w->store);
        for (int i = 0; i < WORLD_VHOSTS && !w->is_dead; i++) {
            any |= answer(&w->vhosts[i]);
            any |= give_back(&w->vhosts[i]);
        }
    }
}

void world_pass(struct world *w, int64_t ms)
{
    w->now += ms;
    simulated_ns += (uint64_t)ms * 1000000;
    for (int i = 0; i < WORLD_VHOSTS && !w->is_dead; i++)
        world_run(&w->vhosts[i], &(struct batch){.kind = BATCH_TIMER}, NULL);
}

/* ---- looking in ---- */

uint64_t world_lsn(const struct world_vhost *v)
{
    return journal_of(v->journal)->lsn;
}

uint64_t world_durable(const struct world_vhost *v)
{
    return journal_durable(v->journal);
}

uint64_t world_node_lsn(const struct world *w)
{
    return w->store->node.lsn;
}

uint64_t world_node_durable(const struct world *w)
{
    return atomic_load(&w->store->node.durable);
}

void world_put_entry(struct world *w, int number, uint64_t value)
{
    char name[3] = {'e', (char)('0' + number), 0}, json[32] = "";

    if (value)
        snprintf(json, sizeof json, "%llu", (unsigned long long)value);
    store_put_entry(w->store, BYTES_LITERAL("parameters"), BYTES_LITERAL(""), bytes_from_string(name),
                    bytes_from_string(json));
}
