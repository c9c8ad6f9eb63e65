/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seeded simulation: random operations on many channels of many connections in several vhosts,
 * interleaved by a seed, each run checked against the model (model.h). Time, the journal's lateness, messages
 * that leave and come back, restarts, chunks given back late and connections that die are all the seed's
 * choice.
 *
 *     sim [--seed N] [--seeds COUNT] [--operations N] [--ci] [--trace]
 *
 * Runs COUNT seeds from N on, OPERATIONS each (seeds.h). What fails prints its seed and step. --ci: ten
 * million operations.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "broker/vhost_fields.h"
#include "coney/pool.h"
#include "coney/restore.h"
#include "sim.h"

#define UNSENT_MAX 3000
#define SPILL_MIN  1500

struct world worlds[WORLDS];
struct random chance;
struct seeds seeds = {.first = 1, .count = 4, .ci = 201, .operations = 50000};
uint64_t step, operations_done, next_id;

void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nat step %llu\n", (unsigned long long)step);
    abort();
}

static void hook_enqueued(void *context, const struct journal_record *record, uint64_t lsn)
{
    struct world *w = context;

    /* A dead letter, which has headers, is nobody's publish. */
    if (record->message->flags & MESSAGE_HAS_HEADERS)
        return;
    if (w->published_count < sizeof w->published / sizeof *w->published)
        w->published[w->published_count++] = (struct published){message_id(record->message), lsn};
}

/* ID in LEVEL, ready or not. */
static enum model_place where_in_level(struct world *w, struct level *level, uint64_t id, bool *departing)
{
    uint64_t at = seqmap_next_live(&level->entries, 0);

    for (; at != SEQMAP_END; at = seqmap_next_live(&level->entries, at + 1))
        if (message_id(((struct entry *)seqmap_get(&level->entries, at))->message) == id)
            return HERE;
    for (uint32_t i = 0; i < level->kept->run_count; i++) {
        struct run *run_at = level->kept->runs[i];

        for (uint32_t bit = 0; bit < run_at->span; bit++) {
            if (!run_bit(run_live(run_at), bit) || seqmap_get(&level->entries, run_at->first + bit) ||
                message_id(journal_seeded_message(w->journal, run_at, run_at->first + bit)) != id)
                continue;
            if (run_bit(run_away(run_at), bit))
                return AWAY;
            *departing = true;
        }
    }
    return NOWHERE;
}

static enum model_place where(void *context, int index, uint64_t id, bool *departing)
{
    struct world *w = context;
    struct queue *queue = queue_find(w->vhost, queue_bytes(index));
    enum model_place place = NOWHERE;

    for (unsigned i = 0; queue && !place && i <= (queue->levels ? queue->options.max_priority : 0U); i++)
        if (queue_level(queue, (uint8_t)i))
            place = where_in_level(w, queue_level(queue, (uint8_t)i), id, departing);
    return place;
}

static void random_octets(void *context, void *out, size_t size)
{
    (void)context;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)random_next(&chance);
}

static struct vhost *make_vhost(void *context, struct journal *journal)
{
    const struct vhost_settings settings = {.message_size_max = 1 << 20,
                                            .unsent_max = UNSENT_MAX,
                                            .spill_min = SPILL_MIN,
                                            .returns_max = RETURNS_MAX};
    const struct vhost_ops ops = {.output = hear_chunks, .random = random_octets, .context = context};
    struct vhost *vhost = vhost_new(BYTES_LITERAL("/"), &settings, &ops, journal);

    vhost_set_permission(vhost, BYTES_LITERAL("guest"), BYTES_LITERAL(".*"), BYTES_LITERAL(".*"),
                         BYTES_LITERAL(".*"));
    return vhost;
}

static void world_begin(struct world *w)
{
    const struct journal_seeded_hooks hooks = {.enqueued = hook_enqueued, .context = w};
    struct reply_error error;

    *w = (struct world){0};
    model_init(&w->model);
    w->model.now = 1700000000000;
    w->model.where = where;
    w->model.context = w;
    for (int i = 0; i < CONNECTIONS; i++)
        w->connections[i] = (struct peer){.world = w, .index = i};
    w->journal = journal_seeded_new(random_next(&chance), &hooks);
    w->vhost = make_vhost(w, journal_seeded_journal(w->journal));
    vhost_declare_exchange(
        w->vhost,
        &(struct exchange_spec){.name = BYTES_LITERAL("d"), .type = BYTES_LITERAL("direct"), .durable = true},
        &error);
    vhost_declare_exchange(
        w->vhost,
        &(struct exchange_spec){.name = BYTES_LITERAL("f"), .type = BYTES_LITERAL("fanout"), .durable = true},
        &error);
}

/* The node is stopped in good order and started again. */
static void restart(struct world *w)
{
    TRACE("restart");
    for (int i = 0; i < CONNECTIONS; i++)
        if (w->connections[i].alive)
            kill_connection(w, &w->connections[i]);
    quiet(w);
    vhost_settle_marks(w->vhost);
    quiet(w);
    w->vhost = journal_seeded_restart(w->journal, w->vhost, make_vhost, w);
    model_restart(&w->model);
    run(w, &(struct batch){.kind = BATCH_TIMER});
    finish(w);
    run_work(w);
}

static void world_step(struct world *w)
{
    uint32_t roll = below(1000);

    if (roll < 700)
        connection_step(w, &w->connections[below(CONNECTIONS)]);
    else if (roll < 850)
        step_journal(w);
    else if (roll < 980)
        return_chunks(w, 1 + below(8));
    else if (roll < 998)
        pass_time(w, TICK * (int64_t)(1 + below(20)));
    else if (percent(90))
        quiet(w);
    else
        restart(w);
    run_work(w);
}

static void world_end(struct world *w)
{
    quiet(w);
    for (int i = 0; i < CONNECTIONS; i++)
        if (w->connections[i].alive && percent(50))
            kill_connection(w, &w->connections[i]);
    quiet(w);
    for (int i = 0; i < CONNECTIONS; i++) /* what they had may still be on its way back in the end */
        if (w->connections[i].alive && percent(50)) {
            w->connections[i].alive = false;
            run(w, &(struct batch){.kind = BATCH_CLOSE, .connection = w->connections[i].id});
        }
    journal_seeded_answer_all(w->journal, w->vhost, w->model.now);
    journal_seeded_seal(w->journal);
    vhost_free(w->vhost);
    while (w->chunk_count)
        outbox_chunk_free(w->chunks[--w->chunk_count]);
    model_clear(&w->model);
    free(w->chunks);
    free(w->said);
}

static void simulate(uint64_t seed)
{
    uint64_t until = operations_done + seeds.operations, bytes = pool_bytes_in_use();

    chance.state = seed;
    seeds_replay("failed: tests/sim/sim --seed %llu --operations %llu\n", (unsigned long long)seed,
                 (unsigned long long)seeds.operations);
    next_id = 1;
    for (int i = 0; i < WORLDS; i++)
        world_begin(&worlds[i]);
    for (step = 0; operations_done < until; step++, operations_done++)
        world_step(&worlds[below(WORLDS)]);
    for (int i = 0; i < WORLDS; i++)
        world_end(&worlds[i]);
#ifdef __SANITIZE_ADDRESS__
    if (pool_bytes_in_use() != bytes)
        fail("%llu octets were lost", (unsigned long long)(pool_bytes_in_use() - bytes));
#else
    (void)bytes;
#endif
}

int main(int argc, char **argv)
{
    if (!seeds_parse(&seeds, NULL, argc, argv))
        return 64;
    seeds_run(&seeds, simulate);
    printf("sim: %llu operations\n", (unsigned long long)operations_done);
    return 0;
}
