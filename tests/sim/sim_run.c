/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h, running: one thing happens in a vhost. */
#include "sim.h"

void run(struct world *w, struct batch *batch)
{
    vhost_run(w->vhost, batch, w->model.now);
    vhost_flush(w->vhost);
}

struct batch batch_of(const struct peer *connection)
{
    return (struct batch){.kind = BATCH_COMMANDS, .connection = connection->id};
}

void run_commands(struct world *w, struct batch *batch)
{
    run(w, batch);
    batch_clear(batch);
}

void run_method(struct world *w, struct peer *connection, uint16_t channel, const struct method *method)
{
    struct batch batch = batch_of(connection);

    *batch_add(&batch) = (struct command){.kind = COMMAND_METHOD, .channel = channel, .method = method};
    run_commands(w, &batch);
}

void run_work(struct world *w)
{
    while (vhost_has_work(w->vhost)) {
        run(w, &(struct batch){.kind = BATCH_TIMER});
        finish(w);
    }
}

void pass_time(struct world *w, int64_t ms)
{
    int64_t end = w->model.now + ms;

    while (vhost_next_deadline(w->vhost) <= end) {
        if (vhost_next_deadline(w->vhost) > w->model.now)
            w->model.now = vhost_next_deadline(w->vhost);
        run(w, &(struct batch){.kind = BATCH_TIMER});
        finish(w);
    }
    w->model.now = end;
}

void run_chunks(struct world *w, uint32_t count)
{
    struct batch batch = {.kind = BATCH_RETURNS};

    for (; count && w->chunk_count; count--) {
        uint32_t at = below(w->chunk_count);
        struct outbox_chunk *chunk = w->chunks[at];

        w->chunks[at] = w->chunks[--w->chunk_count];
        chunk->next = batch.returned;
        batch.returned = chunk;
    }
    run(w, &batch);
}

void return_chunks(struct world *w, uint32_t count)
{
    run_chunks(w, count);
    finish(w);
}

void step_journal(struct world *w)
{
    journal_seeded_step(w->journal, w->vhost, w->model.now);
    vhost_flush(w->vhost);
    finish(w);
}

void quiet(struct world *w)
{
    bool any;

    TRACE("quiet");
    do {
        any = journal_seeded_settle(w->journal, w->vhost, w->model.now);
        vhost_flush(w->vhost);
        finish(w);
        run_work(w);
        if (w->chunk_count) {
            any = true;
            return_chunks(w, w->chunk_count);
        }
        if (vhost_next_deadline(w->vhost) <= w->model.now) {
            any = true;
            pass_time(w, 0);
        }
    } while (any || journal_seeded_questions(w->journal));
    model_check_quiet(&w->model);
    journal_seeded_check(w->journal, w->vhost);
    if (percent(30))
        journal_seeded_restart(w->journal, w->vhost, NULL, NULL);
}
