/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h: connections and channels open, close, fail and die. */
#include <utlist.h>

#include "broker/vhost_fields.h"
#include "sim.h"

static void open_connection(struct world *w, struct peer *connection)
{
    struct batch batch = {.kind = BATCH_OPEN, .owner = connection};

    TRACE("c%d opens", connection->index);
    batch.open = (struct batch_open){
        .user = BYTES_LITERAL("guest"), .consumer_cancel_notify = true, .user_channel_max = UINT32_MAX};
    connection->alive = true;
    connection->ended = false;
    run(w, &batch);
    if (!connection->id)
        fail("a connection was not attached");
    finish(w);
}

void choose_pace(struct world *w, int connection)
{
    const struct model_delivery *delivery;
    bool at_once = false;

    for (int n = 0; n < CHANNELS; n++)
        DL_FOREACH (w->model.channels[connection][n].deliveries, delivery) {
            const struct model_queue *queue = &w->model.queues[delivery->queue];

            at_once |= queue->has_dlx || queue->max_length >= 0;
        }
    w->vhost->settings.returns_max = at_once ? UINT32_MAX : RETURNS_MAX;
}

/* Tell whether what an ended channel had unacked is not kept from being overtaken yet: it might as well not
 * have ended. */
static bool is_counting(const struct vhost *vhost)
{
    const struct returning *returning;

    DL_FOREACH (vhost->returning, returning)
        if (returning->counted != SEQMAP_END)
            return true;
    return false;
}

/* What channels that have ended had unacked goes back, a little at a time; chunks come back meanwhile. To
 * clients it is one run: what they hear of it is checked at its end. */
static void finish_returns(struct world *w)
{
    while (vhost_has_work(w->vhost)) {
        run(w, &(struct batch){.kind = BATCH_TIMER});
        if (percent(30) && !is_counting(w->vhost))
            run_chunks(w, 1 + below(4));
    }
}

void kill_connection(struct world *w, struct peer *connection)
{
    TRACE("c%d dies", connection->index);
    choose_pace(w, connection->index);
    connection->alive = false;
    run(w, &(struct batch){.kind = BATCH_CLOSE, .connection = connection->id});
    finish_returns(w);
    if (connection->id)
        fail("a connection was not forgotten");
    model_connection_end(&w->model, connection->index);
    finish(w);
}

/* close, and its answer; what else was asked for is answered before. */
static void close_connection(struct world *w, struct peer *connection)
{
    TRACE("c%d closes", connection->index);
    choose_pace(w, connection->index);
    connection->alive = false;
    RUN(w, connection, 0, .id = METHOD_CONNECTION_CLOSE);
    if (percent(20)) { /* and does not wait for it */
        kill_connection(w, connection);
        return;
    }
    finish_returns(w);
    model_connection_end(&w->model, connection->index);
    finish(w);
    while (!connection->ended) {
        journal_seeded_sync(w->journal, w->vhost, w->model.now);
        vhost_flush(w->vhost);
        finish(w);
    }
    run(w, &(struct batch){.kind = BATCH_CLOSE, .connection = connection->id});
    finish(w);
}

static void open_channel(struct world *w, struct peer *connection, struct model_channel *channel)
{
    TRACE("c%d.%u opens", connection->index, channel->number);
    RUN(w, connection, channel->number, .id = METHOD_CHANNEL_OPEN);
    model_channel_open(channel);
    model_expect(channel, METHOD_CHANNEL_OPEN_OK);
    finish(w);
}

static void close_channel(struct world *w, struct peer *connection, struct model_channel *channel)
{
    TRACE("c%d.%u closes", connection->index, channel->number);
    choose_pace(w, connection->index);
    RUN(w, connection, channel->number, .id = METHOD_CHANNEL_CLOSE);
    if (vhost_has_work(w->vhost) && percent(20)) { /* before all is back */
        kill_connection(w, connection);
        return;
    }
    finish_returns(w);
    model_channel_end(channel);
    channel->state = CLOSING;
    model_expect(channel, METHOD_CHANNEL_CLOSE_OK);
    finish(w);
}

void channel_failed(struct world *w, struct model_channel *channel)
{
    finish_returns(w);
    model_channel_end(channel);
    channel->state = FAILED;
    model_expect(channel, METHOD_CHANNEL_CLOSE);
}

/* Answer a channel.close that has come. */
static void answer_close(struct world *w, struct peer *connection, struct model_channel *channel)
{
    if (channel->replies)
        return;
    TRACE("c%d.%u close-ok", connection->index, channel->number);
    RUN(w, connection, channel->number, .id = METHOD_CHANNEL_CLOSE_OK);
    channel->state = CLOSED;
    finish(w);
}

/* ---- what happens next ---- */

void connection_step(struct world *w, struct peer *connection)
{
    struct actor a = {w, connection, &w->model.channels[connection->index][below(CHANNELS)]};

    if (!connection->alive) {
        open_connection(w, connection);
        return;
    }
    if (below(3000) == 0) {
        percent(50) ? kill_connection(w, connection) : close_connection(w, connection);
        return;
    }
    switch (a.channel->state) {
    case CLOSED:
        open_channel(w, connection, a.channel);
        break;
    case FAILED:
        answer_close(w, connection, a.channel);
        break;
    case CLOSING:
        break;
    case OPEN:
        if (below(700) == 0)
            close_channel(w, connection, a.channel);
        else
            act_at_random(&a);
    }
}
