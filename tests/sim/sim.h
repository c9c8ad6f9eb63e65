/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seeded simulation's own files: what a world is, and what they call of each other. What happens is
 * chosen in sim.c; each thing that can happen runs something in a vhost, tells the model what it meant, and
 * finish() compares.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdio.h>
#include <string.h>

#include "coney/batch.h"
#include "coney/message.h"
#include "coney/outbox.h"
#include "coney/vhost.h"
#include "journal_seeded.h"
#include "model.h"
#include "random.h"
#include "seeds.h"

enum { WORLDS = 3, NUMBERS = 64, BURST_MAX = 12 };

#define TICK        64
#define RETURNS_MAX 2

/* Something said other than a delivery; looked at when the model knows what the run meant. */
struct said {
    uint8_t kind, flags;
    uint16_t channel;
    int connection;
    uint32_t method;
    uint32_t count;
    int slot; /* of a cancelled consumer */
    uint64_t tag, id;
};

struct peer {
    struct world *world;
    int index;
    bool alive, ended;
    uint64_t id;
    struct model_consumer *numbers[NUMBERS];
};

struct published {
    uint64_t id, lsn;
};

struct world {
    struct vhost *vhost;
    struct journal_seeded *journal;
    struct model model;
    struct peer connections[CONNECTIONS];
    struct outbox_chunk **chunks; /* out with the connections */
    uint32_t chunk_count, chunk_capacity;
    struct said *said;
    uint32_t said_count, said_capacity;
    struct published published[BURST_MAX * 4];
    uint32_t published_count;
};

extern struct world worlds[WORLDS];
extern struct random chance;
extern struct seeds seeds;
extern uint64_t step, operations_done, next_id; /* next_id: of the next message that is published */

#define TRACE(...)                                                                     \
    do {                                                                               \
        if (seeds.trace) {                                                             \
            fprintf(stderr, "%8llu %d ", (unsigned long long)step, (int)(w - worlds)); \
            fprintf(stderr, __VA_ARGS__);                                              \
            fputc('\n', stderr);                                                       \
        }                                                                              \
    } while (0)

static inline uint32_t below(uint32_t limit)
{
    return random_below(&chance, limit);
}

static inline bool percent(uint32_t p)
{
    return random_percent(&chance, p);
}

static inline uint64_t message_id(const struct message *message)
{
    uint64_t id;

    memcpy(&id, message->body, sizeof id);
    return id;
}

/* ---- hearing: sim_hear.c ---- */

/* The vhost's output: CHUNKS for a peer of the world CONTEXT. */
void hear_chunks(void *context, struct outbox_chunk *chunks);

/* After the model knows what the run meant: all that was heard must have been meant. */
void finish(struct world *w);

/* ---- running: sim_run.c ---- */

void run(struct world *w, struct batch *batch);
/* A batch of commands of CONNECTION, to be filled; run it, and forget it. */
struct batch batch_of(const struct peer *connection);
void run_commands(struct world *w, struct batch *batch);
void run_method(struct world *w, struct peer *connection, uint16_t channel, const struct method *method);
#define RUN(w, connection, number, ...) run_method(w, connection, number, &(struct method){__VA_ARGS__})
/* What is left over of earlier runs. */
void run_work(struct world *w);
/* COUNT chunks go back, as it happens; and that is looked at. */
void run_chunks(struct world *w, uint32_t count);
void return_chunks(struct world *w, uint32_t count);
/* MS pass, with a run at each deadline on the way. */
void pass_time(struct world *w, int64_t ms);
/* Something happens in the journal. */
void step_journal(struct world *w);
/* Let everything come to rest, and see whether it has. */
void quiet(struct world *w);

/* ---- connections and channels: sim_connections.c ---- */

/* Something happens to CONNECTION, or on one of its channels. */
void connection_step(struct world *w, struct peer *connection);
/* Its socket is gone, by its own doing or not. */
void kill_connection(struct world *w, struct peer *connection);
/* The run made CHANNEL fail. */
void channel_failed(struct world *w, struct model_channel *channel);
/* Channels of CONNECTION may end. Where something leaves when it comes back, a little at a time is not the
 * same: others come in between letters, and what has expired is gone before a queue is too long. */
void choose_pace(struct world *w, int connection);

/* ---- operations: sim_operations.c, and sim_topology.c ---- */

struct actor {
    struct world *w;
    struct peer *connection;
    struct model_channel *channel;
};

#define TRACE_ACTOR(a, ...)                                                                       \
    do {                                                                                          \
        if (seeds.trace) {                                                                        \
            fprintf(stderr, "%8llu %d c%d.%u ", (unsigned long long)step, (int)((a)->w - worlds), \
                    (a)->connection->index, (a)->channel->number);                                \
            fprintf(stderr, __VA_ARGS__);                                                         \
            fputc('\n', stderr);                                                                  \
        }                                                                                         \
    } while (0)

/* Run METHOD on the actor's channel. */
void act(const struct actor *a, const struct method *method);
/* A queue that exists and is not another connection's; NULL when chance finds none. */
struct model_queue *some_queue(const struct actor *a, int *index);
const char *queue_name(int index);
struct bytes queue_bytes(int index);

void act_at_random(const struct actor *a);
void declare(const struct actor *a);
void delete_or_purge(const struct actor *a);
void bind_or_unbind(const struct actor *a);

#endif
