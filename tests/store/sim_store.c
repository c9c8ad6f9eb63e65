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
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "broker/arguments.h"
#include "broker/vhost_fields.h"
#include "coney/outbox.h"
#include "coney/properties.h"
#include "coney/xalloc.h"
#include "world.h"

enum {
    QUEUES = 8,
    SOURCES = 6, /* those that are published to; the others get the dead letters of LETTERS_OF */
    EXCHANGES = 2,
    CONNECTIONS = 2,
    CHANNELS = 2,
    LIVES = 5,
    ENTRIES = 4,
    LIVE_MAX = 400, /* copies in a vhost at which less is published */
};

#define NEVER  UINT64_MAX
#define TTL_MS 200

enum where { ABSENT = 1, SOURCE = 2, TARGET = 4 };

/* What a queue is like, by its number. */
static const struct {
    const char *name;
    bool durable;
    int priorities, ttl, target;
    const char *type;
} kinds[QUEUES] = {
    {"q0", true, 0, 0, 0, NULL},      {"q1", true, 3, 0, 0, NULL},     {"q2", true, 0, 0, 6, NULL},
    {"q3", true, 0, TTL_MS, 7, NULL}, {"q4", true, 0, 0, 0, "quorum"}, {"q5", false, 0, 0, 0, NULL},
    {"q6", true, 0, 0, 0, NULL},      {"q7", true, 0, 0, 0, NULL},
};

/* When in the order of a vhost's records something happened: it is so from `last` on, and was not so before
 * `first`. */
struct range {
    uint64_t first, last;
};

/* A message in a queue that it was published to, or in the queue of that one's dead letters. */
struct copy {
    UT_hash_handle hh;
    struct {
        uint64_t id, queue;
    } key;
    uint64_t rank; /* order of arrival */
    uint32_t size;
    uint8_t level;
    bool lasts;
    bool is_ready, is_out; /* neither: settled */
    bool in_target;
    bool delivered; /* to somebody, from where it is */
    bool is_vague;  /* expired when something else took it */
    int64_t deadline;
    struct range entered, moved, gone;
    uint8_t seen; /* enum where */
};

/* A queue, exchange or binding. */
struct object {
    bool exists, lasts;
    bool first;      /* at the beginning of this life */
    uint32_t number; /* counts what was made under this name */
    struct {
        struct range when;
        bool exists;
    } * events;
    uint32_t event_count, event_capacity;
};

struct delivery {
    uint64_t tag;
    struct copy *copy;
    char held; /* in a transaction: 'a', 'n', 'r' */
};

struct expected {
    struct expected *next;
    uint32_t method;
    int queue;
    bool no_ack;
    struct range when;
};

struct published {
    struct range when;
    struct copy *copies[SOURCES];
    bool told;
};

struct held_post {
    uint64_t id;
    uint32_t size;
    int queue; /* QUEUES: the exchange f */
    uint8_t priority;
    bool persistent;
    uint32_t routes[SOURCES]; /* which of the queues of that name it goes to; 0: to none */
};

struct peer;

struct line {
    struct peer *peer;
    uint16_t number;
    struct delivery *deliveries;
    uint32_t delivery_count, delivery_capacity;
    struct expected *expected, **expected_end;
    struct published **published; /* confirm mode */
    uint32_t published_count, published_capacity;
    struct held_post posts[64];
    uint32_t post_count;
    int consumes; /* a queue, or -1 */
};

struct peer {
    struct side *side;
    int index;
    uint64_t id; /* 0: none */
    bool broken;
    uint64_t acked;                     /* the last record of what it settled */
    struct line channels[CHANNELS + 1]; /* by number */
    int consumers[8];                   /* queue by the consumer's number */
};

/* What is known of a vhost. */
struct side {
    struct world_vhost *v;
    struct peer peers[CONNECTIONS];
    struct peer inspector;
    struct copy *copies;
    struct object queues[QUEUES], exchanges[EXCHANGES], bindings[EXCHANGES][SOURCES];
    uint64_t promised;
    struct range **open; /* of the run under way */
    uint32_t open_count, open_capacity;
    uint64_t next_rank;
    bool left_asking[QUEUES]; /* somebody left before his get was answered: what he had counts as delivered */
    bool is_vague;            /* an operation was refused for want of a disk: not known what holds */
    /* the inspection */
    uint64_t last_rank;
    int last_level;
    bool was_clean;
};

static struct world *world;
static struct side sides[WORLD_VHOSTS];
static struct random chance;
static struct {
    uint64_t value, lsn, old;
    bool is_open;
} entries[ENTRIES];
static uint64_t seed, next_id, steps, states, checks;
static uint32_t operations_max = 300;
static int life;
static bool trace, faulty;
static char replay[160];

#define TRACE(...)                                                         \
    do {                                                                   \
        if (trace) {                                                       \
            fprintf(stderr, "%6llu.%d ", (unsigned long long)steps, life); \
            fprintf(stderr, __VA_ARGS__);                                  \
            fputc('\n', stderr);                                           \
        }                                                                  \
    } while (0)

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nlife %d, step %llu\n", life, (unsigned long long)steps);
    abort();
}

static void on_abort(int number)
{
    (void)number;
    if (write(STDERR_FILENO, replay, strlen(replay)) < 0)
        _exit(2);
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
}

static uint32_t below(uint32_t limit)
{
    return random_below(&chance, limit);
}

static bool percent(uint32_t p)
{
    return random_percent(&chance, p);
}

/* ---- when things happen ---- */

static const struct range never = {NEVER, NEVER};

/* WHEN is the run that is about to be. */
static void happens(struct side *side, struct range *when)
{
    when->first = world_lsn(side->v) + 1;
    when->last = NEVER;
    if (side->open_count == side->open_capacity) {
        side->open_capacity = side->open_capacity * 2 + 16;
        side->open = xrealloc(side->open, side->open_capacity * sizeof *side->open);
    }
    side->open[side->open_count++] = when;
}

/* What one run writes is one: all of it is there after a crash, or nothing. What writes nothing has no place
 * in the order: it counts as having been so always. */
static void close_ranges(struct world_vhost *v)
{
    struct side *side = &sides[v->index];
    uint64_t lsn = world_lsn(v);

    for (uint32_t i = 0; i < side->open_count; i++) {
        if (lsn < side->open[i]->first)
            lsn = 0;
        *side->open[i] = (struct range){lsn, lsn};
    }
    side->open_count = 0;
}

/* Somebody was told that what happened then lasts. */
static void promise(struct side *side, struct range when, const char *what)
{
    if (when.last == NEVER || when.last <= side->promised)
        return;
    if (when.last > world_durable(side->v))
        fail("v%d: %s for record %llu, but only those up to %llu are durable", side->v->index, what,
             (unsigned long long)when.last, (unsigned long long)world_durable(side->v));
    side->promised = when.last;
}

static void object_event(struct side *side, struct object *object, bool exists)
{
    if (object->event_count == object->event_capacity) {
        /* Ranges of this run may lie in it: a run has one event for each object, so room is made ahead. */
        object->event_capacity = object->event_capacity * 2 + 512;
        object->events = xrealloc(object->events, object->event_capacity * sizeof *object->events);
    }
    object->events[object->event_count].exists = exists;
    happens(side, &object->events[object->event_count++].when);
    object->number += exists;
    object->exists = exists;
}

/* ---- copies ---- */

static struct copy *copy_find(struct side *side, uint64_t id, int queue)
{
    struct copy *copy, sought = {0};

    sought.key.id = id;
    sought.key.queue = (uint64_t)queue;
    HASH_FIND(hh, side->copies, &sought.key, sizeof sought.key, copy);
    return copy;
}

static struct copy *copy_add(struct side *side, const struct held_post *post, int queue)
{
    struct copy *copy = xcalloc(1, sizeof *copy);
    int level = post->priority < kinds[queue].priorities ? post->priority : kinds[queue].priorities;

    copy->key.id = post->id;
    copy->key.queue = (uint64_t)queue;
    copy->rank = ++side->next_rank;
    copy->size = post->size;
    copy->level = (uint8_t)level;
    copy->lasts = kinds[queue].durable && (post->persistent || kinds[queue].type);
    copy->is_ready = true;
    copy->deadline = kinds[queue].ttl ? world->now + kinds[queue].ttl : INT64_MAX;
    copy->moved = copy->gone = never;
    happens(side, &copy->entered);
    HASH_ADD(hh, side->copies, key, sizeof copy->key, copy);
    return copy;
}

static void copy_free(struct side *side, struct copy *copy)
{
    HASH_DEL(side->copies, copy);
    free(copy);
}

static bool is_due(const struct copy *copy)
{
    return !copy->in_target && copy->deadline <= world->now;
}

/* Where COPY is, as far as is known. */
static int copy_queue(const struct copy *copy)
{
    return copy->in_target ? kinds[copy->key.queue].target : (int)copy->key.queue;
}

/* Something takes COPY, which nobody has. */
static void copy_take(struct side *side, struct copy *copy)
{
    if (is_due(copy) && kinds[copy->key.queue].target)
        copy->is_vague = true;
    copy->is_ready = false;
    happens(side, &copy->gone);
}

static uint64_t word_of(uint64_t id, uint32_t at)
{
    struct random random = {id * 1000003 + at};

    return random_next(&random);
}

static void fill_body(uint8_t *to, uint64_t id, uint32_t size)
{
    memcpy(to, &id, sizeof id);
    for (uint32_t at = 8; at + 8 <= size; at += 8) {
        uint64_t word = word_of(id, at);

        memcpy(to + at, &word, sizeof word);
    }
}

/* The id of MESSAGE, which must be whole. */
static uint64_t read_body(const struct message *message)
{
    uint64_t id, word;

    if (message->body_size < 8)
        fail("a body of %llu octets", (unsigned long long)message->body_size);
    memcpy(&id, message->body, sizeof id);
    for (uint32_t at = 8; at + 8 <= message->body_size; at += 8) {
        memcpy(&word, message->body + at, sizeof word);
        if (word != word_of(id, at))
            fail("message %llu has another body at %u", (unsigned long long)id, at);
    }
    return id;
}

/* ---- sending ---- */

static struct batch batch;

static void begin_batch(struct peer *peer)
{
    batch = (struct batch){.kind = BATCH_COMMANDS, .connection = peer->id};
}

static void end_batch(struct side *side)
{
    world_run(side->v, &batch, close_ranges);
    batch_clear(&batch);
}

static void add_method(uint16_t channel, const struct method *method)
{
    struct method *copy = arena_alloc(&batch.arena, sizeof *copy);

    *copy = *method;
    *batch_add(&batch) = (struct command){.kind = COMMAND_METHOD, .channel = channel, .method = copy};
}

static struct expected *expect(struct line *channel, uint32_t method, int queue)
{
    struct expected *expected = xcalloc(1, sizeof *expected);

    expected->method = method;
    expected->queue = queue;
    expected->when = (struct range){0, 0};
    *channel->expected_end = expected;
    channel->expected_end = &expected->next;
    return expected;
}

/* METHOD alone, whose reply promises what it did if that LASTS. */
static void act_for(struct line *channel, const struct method *method, uint32_t reply, bool lasts)
{
    struct side *side = channel->peer->side;
    struct expected *expected = expect(channel, reply, -1);

    if (lasts)
        happens(side, &expected->when);
    begin_batch(channel->peer);
    add_method(channel->number, method);
    end_batch(side);
}

static void act(struct line *channel, const struct method *method, uint32_t reply)
{
    act_for(channel, method, reply, true);
}

static struct bytes queue_bytes(int queue)
{
    return bytes_from_string(kinds[queue].name);
}

static struct bytes exchange_bytes(int exchange)
{
    return bytes_from_string(exchange ? "x" : "f");
}

/* ---- hearing ---- */

static void deliver(struct line *channel, int queue, const struct outbox_delivery *record, bool no_ack,
                    struct range asked)
{
    struct side *side = channel->peer->side;
    uint64_t id = read_body(record->message);
    int source = queue == 6 ? 2 : queue == 7 ? 3 : queue;
    struct copy *copy = copy_find(side, id, source);
    bool redelivered = record->record.flags & OUTBOX_REDELIVERED;

    TRACE("v%d c%d.%u %s gives %llu tag %llu%s", side->v->index, channel->peer->index, channel->number,
          kinds[queue].name, (unsigned long long)id, (unsigned long long)record->delivery_tag,
          redelivered ? " again" : "");
    if (!copy || record->message->body_size != copy->size)
        fail("v%d: %s delivers %llu, which nobody published there", side->v->index, kinds[queue].name,
             (unsigned long long)id);
    if (copy->is_vague && !copy->is_out)
        copy->is_ready = true;
    if (queue != source && is_due(copy)) {
        copy->in_target = true;
        copy->delivered = false;
        copy->moved = (struct range){0, NEVER};
    }
    if (!copy->is_ready || copy_queue(copy) != queue)
        fail("v%d: %s delivers %llu, which is %s", side->v->index, kinds[queue].name, (unsigned long long)id,
             copy->is_out     ? "out"
             : copy->is_ready ? "in another queue"
                              : "gone");
    if (redelivered != copy->delivered && !(redelivered && side->left_asking[queue]))
        fail("v%d: %s delivers %llu, which was%s delivered before, as if it %s", side->v->index,
             kinds[queue].name, (unsigned long long)id, copy->delivered ? "" : " not",
             redelivered ? "was" : "was not");
    copy->is_ready = false;
    if (no_ack) {
        copy->gone = (struct range){asked.first, world_lsn(side->v)};
        return;
    }
    copy->is_out = copy->delivered = true;
    if (channel->delivery_count == channel->delivery_capacity) {
        channel->delivery_capacity = channel->delivery_capacity * 2 + 16;
        channel->deliveries =
            xrealloc(channel->deliveries, channel->delivery_capacity * sizeof *channel->deliveries);
    }
    channel->deliveries[channel->delivery_count++] = (struct delivery){record->delivery_tag, copy, 0};
}

static void hear_confirm(struct line *channel, const struct outbox_confirm *record)
{
    struct side *side = channel->peer->side;
    uint64_t last = record->delivery_tag, first = record->record.flags & OUTBOX_MULTIPLE ? 1 : last;
    bool nack = record->record.flags & OUTBOX_NACK;

    if (last > channel->published_count)
        fail("confirm of %llu", (unsigned long long)last);
    for (uint64_t i = first; i <= last; i++) {
        struct published *published = channel->published[i - 1];

        if (published->told)
            continue;
        published->told = true;
        if (nack && !faulty)
            fail("a message was refused");
        for (int queue = 0; queue < SOURCES; queue++) {
            if (!published->copies[queue])
                continue;
            if (nack)
                published->copies[queue]->is_vague = true;
            else if (published->copies[queue]->lasts)
                promise(side, published->when, "a confirm");
        }
        /* The copies may be forgotten from here on. */
        memset(published->copies, 0, sizeof published->copies);
    }
}

static void break_peer(struct peer *peer)
{
    peer->broken = true;
    peer->side->is_vague = true;
}

static void hear_reply(struct line *channel, uint32_t method, const struct outbox_delivery *delivery)
{
    struct expected *expected = channel->expected;

    if (method == METHOD_CHANNEL_CLOSE || method == METHOD_CONNECTION_CLOSE) {
        if (!faulty && !sys_fake_is_stopped(world->fake))
            fail("%s", method_name((enum method_id)method));
        break_peer(channel->peer);
        return;
    }
    if (channel->peer->broken)
        return;
    if (!expected || (expected->method != method && !(expected->method == METHOD_BASIC_GET &&
                                                      (delivery || method == METHOD_BASIC_GET_EMPTY))))
        fail("%s instead of %s", method_name((enum method_id)method),
             expected ? method_name((enum method_id)expected->method) : "nothing");
    channel->expected = expected->next;
    if (!expected->next)
        channel->expected_end = &channel->expected;
    if (delivery)
        deliver(channel, expected->queue, delivery, expected->no_ack, expected->when);
    else if (expected->method != METHOD_BASIC_GET)
        promise(channel->peer->side, expected->when, method_name((enum method_id)method));
    free(expected);
}

static void hear_method(struct peer *peer, const struct outbox_method *record)
{
    struct method method;

    if (method_decode(&method, (struct bytes){record->payload, record->payload_size}) != METHOD_OK)
        fail("a method that does not decode");
    if (method.id == METHOD_CHANNEL_CLOSE)
        TRACE("channel.close: %.*s", BYTES_ARG(method.channel_close.reply_text));
    hear_reply(&peer->channels[record->record.channel], method.id, NULL);
}

static void hear(struct world_vhost *v, void *owner, struct outbox_record *record)
{
    struct peer *peer = owner;
    struct line *channel = &peer->channels[record->channel];

    (void)v;
    if (record->kind == OUTBOX_CONTROL) {
        if (record->flags == OUTBOX_ATTACHED)
            peer->id = ((struct outbox_attached *)record)->connection;
        return;
    }
    if (!peer->id)
        return;
    switch ((enum outbox_kind)record->kind) {
    case OUTBOX_CONSUMER:
        peer->consumers[((struct outbox_consumer *)record)->consumer] =
            ((struct outbox_consumer *)record)->tag[1] - '0';
        break;
    case OUTBOX_DELIVER:
        deliver(channel, peer->consumers[((struct outbox_delivery *)record)->consumer],
                (struct outbox_delivery *)record, false, never);
        break;
    case OUTBOX_GET_OK:
        hear_reply(channel, METHOD_BASIC_GET, (struct outbox_delivery *)record);
        break;
    case OUTBOX_CONFIRM:
        hear_confirm(channel, (struct outbox_confirm *)record);
        break;
    case OUTBOX_METHOD:
        hear_method(peer, (struct outbox_method *)record);
        break;
    default:
        fail("a message was returned");
    }
}

/* ---- connections ---- */

static void peer_init(struct side *side, struct peer *peer, int index)
{
    *peer = (struct peer){.side = side, .index = index};
    for (int i = 0; i <= CHANNELS; i++) {
        peer->channels[i].peer = peer;
        peer->channels[i].number = (uint16_t)i;
        peer->channels[i].expected_end = &peer->channels[i].expected;
        peer->channels[i].consumes = -1;
    }
}

static void peer_open(struct peer *peer)
{
    struct batch open = {.kind = BATCH_OPEN, .owner = peer};
    struct line *channels = peer->channels;

    TRACE("v%d c%d opens", peer->side->v->index, peer->index);
    open.open = (struct batch_open){.user = BYTES_LITERAL("guest"), .user_channel_max = UINT32_MAX};
    expect(&channels[0], METHOD_CONNECTION_OPEN_OK, -1);
    peer->id = NEVER;
    world_run(peer->side->v, &open, NULL);
    for (int i = 1; i <= CHANNELS; i++)
        act(&channels[i], &(struct method){.id = METHOD_CHANNEL_OPEN}, METHOD_CHANNEL_OPEN_OK);
    if (peer == &peer->side->inspector)
        return;
    act(&channels[1], &(struct method){.id = METHOD_CONFIRM_SELECT}, METHOD_CONFIRM_SELECT_OK);
    act(&channels[2], &(struct method){.id = METHOD_TX_SELECT}, METHOD_TX_SELECT_OK);
    act(&channels[1],
        &(struct method){.id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_count = (uint16_t)(1 + below(5))}},
        METHOD_BASIC_QOS_OK);
}

/* What PEER has unacked is about to go back. */
static void give_back(struct peer *peer)
{
    for (int i = 1; i <= CHANNELS; i++) {
        struct line *channel = &peer->channels[i];

        for (const struct expected *expected = channel->expected; expected; expected = expected->next)
            if (expected->queue >= 0)
                peer->side->left_asking[expected->queue] = true;

        for (uint32_t n = 0; n < channel->delivery_count; n++)
            if (channel->deliveries[n].copy->is_out) {
                channel->deliveries[n].copy->is_out = false;
                channel->deliveries[n].copy->is_ready = true;
            }
        channel->delivery_count = 0;
    }
}

/* What PEER knew is forgotten. */
static void peer_forget(struct peer *peer)
{
    for (int i = 0; i <= CHANNELS; i++) {
        struct line *channel = &peer->channels[i];

        free(channel->deliveries);
        while (channel->expected) {
            struct expected *expected = channel->expected;

            channel->expected = expected->next;
            free(expected);
        }
        for (uint32_t n = 0; n < channel->published_count; n++)
            free(channel->published[n]);
        free(channel->published);
    }
    peer_init(peer->side, peer, peer->index);
}

static void peer_vanish(struct peer *peer)
{
    uint64_t id = peer->id;

    TRACE("v%d c%d is gone", peer->side->v->index, peer->index);
    if (peer->side->open_count)
        fail("a run is open");
    give_back(peer);
    peer_forget(peer);
    if (!world->is_dead)
        world_run(peer->side->v, &(struct batch){.kind = BATCH_CLOSE, .connection = id}, NULL);
}

/* In good order: what was acked before close-ok lasts. */
static void peer_close(struct peer *peer)
{
    struct expected *expected;

    TRACE("v%d c%d closes", peer->side->v->index, peer->index);
    expected = expect(&peer->channels[0], METHOD_CONNECTION_CLOSE_OK, -1);
    expected->when.last = peer->acked;
    give_back(peer);
    begin_batch(peer);
    add_method(0, &(struct method){.id = METHOD_CONNECTION_CLOSE});
    end_batch(peer->side);
    for (int turn = 0; turn < 2000 && peer->channels[0].expected && !world->is_dead; turn++)
        world_turn(world);
    if (!world->is_dead)
        peer_vanish(peer);
}

/* ---- operations ---- */

static void add_post(struct line *channel, const struct held_post *post)
{
    struct properties properties = {.flags = PROPERTY_PRIORITY, .priority = post->priority};
    struct buffer raw = {0};
    struct message *message;
    bool fanout = post->queue == QUEUES;

    if (post->persistent) {
        properties.flags |= PROPERTY_DELIVERY_MODE;
        properties.delivery_mode = DELIVERY_MODE_PERSISTENT;
    }
    properties_encode(&raw, &properties);
    message = message_new(fanout ? BYTES_LITERAL("f") : BYTES_LITERAL(""),
                          fanout ? BYTES_LITERAL("k") : queue_bytes(post->queue), (struct bytes){NULL, 0},
                          buffer_bytes(&raw), post->size);
    fill_body(message->body, post->id, post->size);
    message_scan_properties(message);
    buffer_free(&raw);
    *batch_add(&batch) = (struct command){.kind = COMMAND_PUBLISH_BEGUN, .channel = channel->number};
    *batch_add(&batch) =
        (struct command){.kind = COMMAND_PUBLISH, .channel = channel->number, .message = message};
}

/* Where POST goes is decided when it is published, also in a transaction. */
static void route(struct side *side, struct held_post *post)
{
    for (int queue = 0; queue < SOURCES; queue++)
        if (side->queues[queue].exists &&
            (post->queue == queue || (post->queue == QUEUES && side->bindings[0][queue].exists)))
            post->routes[queue] = side->queues[queue].number;
}

/* POST enters its queues, in the run that is about to be. True: something of it lasts. */
static bool enter(struct side *side, const struct held_post *post, struct published *published)
{
    bool lasts = false;

    for (int queue = 0; queue < SOURCES; queue++) {
        struct copy *copy;

        if (!side->queues[queue].exists || post->routes[queue] != side->queues[queue].number)
            continue;
        copy = copy_add(side, post, queue);
        lasts |= copy->lasts;
        if (published)
            published->copies[queue] = copy;
    }
    return lasts;
}

static struct published *published_add(struct line *channel)
{
    struct published *published = xcalloc(1, sizeof *published);

    if (channel->published_count == channel->published_capacity) {
        channel->published_capacity = channel->published_capacity * 2 + 16;
        channel->published =
            xrealloc(channel->published, channel->published_capacity * sizeof(struct published *));
    }
    return channel->published[channel->published_count++] = published;
}

static void publish(struct line *channel)
{
    struct side *side = channel->peer->side;
    bool tx = channel->number == 2;
    uint32_t count = percent(5) ? 1 + below(60) : 1 + below(4);

    if (HASH_COUNT(side->copies) > LIVE_MAX || world->is_full)
        return;
    begin_batch(channel->peer);
    while (count--) {
        struct held_post post = {.id = ++next_id,
                                 .size = percent(3) ? 8 + below(30000) : 8 + below(600),
                                 .queue = (int)below(SOURCES + 1),
                                 .priority = (uint8_t)below(5),
                                 .persistent = percent(80)};

        if (post.queue == SOURCES)
            post.queue = QUEUES;
        if (post.queue == QUEUES ? !side->exchanges[0].exists : !side->queues[post.queue].exists)
            continue;
        if (tx && channel->post_count == sizeof channel->posts / sizeof *channel->posts)
            break;
        TRACE("v%d c%d.%u publishes %llu to %s%s", side->v->index, channel->peer->index, channel->number,
              (unsigned long long)post.id, post.queue == QUEUES ? "f" : kinds[post.queue].name,
              post.persistent ? "" : ", transient");
        route(side, &post);
        add_post(channel, &post);
        if (tx) {
            channel->posts[channel->post_count++] = post;
        } else {
            struct published *published = published_add(channel);

            happens(side, &published->when);
            enter(side, &post, published);
        }
    }
    end_batch(side);
}

/* HOW 'a', 'n' (no requeue) or 'r', in the run that is about to be. True: that lasts. */
static bool settle_copy(struct side *side, struct copy *copy, char how)
{
    if (!copy->is_out)
        return false; /* its queue was deleted */
    copy->is_out = false;
    if (how == 'r') {
        copy->is_ready = true;
    } else if (how == 'n' && !copy->in_target && kinds[copy->key.queue].target) {
        copy->is_ready = true;
        copy->in_target = true;
        copy->delivered = false;
        happens(side, &copy->moved);
    } else {
        happens(side, &copy->gone);
    }
    /* What a dead letter left is settled when it has arrived, for which nobody waits. */
    return copy->lasts && how != 'r' && !copy->is_ready;
}

static void settle(struct line *channel)
{
    struct side *side = channel->peer->side;
    char how = "aaaanr"[below(6)];
    bool multiple = how == 'a' && percent(20), tx = channel->number == 2, lasts = false;
    uint32_t at, from;

    if (!channel->delivery_count)
        return;
    at = below(channel->delivery_count);
    from = multiple ? 0 : at;
    if (channel->deliveries[at].held)
        return;
    TRACE("v%d c%d.%u settles %llu %c%s", side->v->index, channel->peer->index, channel->number,
          (unsigned long long)channel->deliveries[at].tag, how, multiple ? " multiple" : "");
    begin_batch(channel->peer);
    *batch_add(&batch) = (struct command){.kind = COMMAND_SETTLE,
                                          .channel = channel->number,
                                          .flags = (uint8_t)((how == 'a' ? COMMAND_ACK : COMMAND_NACK) |
                                                             (how == 'r' ? COMMAND_REQUEUE : 0) |
                                                             (multiple ? COMMAND_MULTIPLE : 0)),
                                          .delivery_tag = channel->deliveries[at].tag};
    for (uint32_t i = from; i <= at; i++) {
        if (!tx)
            lasts |= settle_copy(side, channel->deliveries[i].copy, how);
        else if (!channel->deliveries[i].held)
            channel->deliveries[i].held = how;
    }
    if (!tx) {
        memmove(channel->deliveries + from, channel->deliveries + at + 1,
                (channel->delivery_count - at - 1) * sizeof *channel->deliveries);
        channel->delivery_count -= at + 1 - from;
    }
    end_batch(side);
    if (lasts)
        channel->peer->acked = world_lsn(side->v);
}

static void end_transaction(struct line *channel)
{
    struct side *side = channel->peer->side;
    bool commit = percent(80), lasts = false;
    uint32_t kept = 0;

    TRACE("v%d c%d %s", side->v->index, channel->peer->index, commit ? "commits" : "rolls back");
    for (uint32_t i = 0; i < channel->post_count && commit; i++)
        lasts |= enter(side, &channel->posts[i], NULL);
    channel->post_count = 0;
    for (uint32_t i = 0; i < channel->delivery_count; i++) {
        struct delivery *delivery = &channel->deliveries[i];

        if (commit && delivery->held) {
            lasts |= settle_copy(side, delivery->copy, delivery->held);
            continue;
        }
        delivery->held = 0;
        channel->deliveries[kept++] = *delivery;
    }
    channel->delivery_count = kept;
    act_for(channel, &(struct method){.id = commit ? METHOD_TX_COMMIT : METHOD_TX_ROLLBACK},
            commit ? METHOD_TX_COMMIT_OK : METHOD_TX_ROLLBACK_OK, lasts);
    if (lasts)
        channel->peer->acked = world_lsn(side->v);
}

static bool some_queue(struct side *side, int *queue)
{
    *queue = (int)below(QUEUES);
    return side->queues[*queue].exists;
}

static void get(struct line *channel)
{
    struct expected *expected;
    int queue;

    if (!some_queue(channel->peer->side, &queue))
        return;
    TRACE("v%d c%d.%u gets from %s", channel->peer->side->v->index, channel->peer->index, channel->number,
          kinds[queue].name);
    expected = expect(channel, METHOD_BASIC_GET, queue);
    expected->no_ack = channel->number == 1 && percent(20);
    expected->when.first = world_lsn(channel->peer->side->v) + 1;
    begin_batch(channel->peer);
    add_method(channel->number,
               &(struct method){.id = METHOD_BASIC_GET,
                                .basic_get = {.queue = queue_bytes(queue), .no_ack = expected->no_ack}});
    end_batch(channel->peer->side);
}

static struct bytes tag_of(int queue)
{
    static const char *const tags[QUEUES] = {"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"};

    return bytes_from_string(tags[queue]);
}

static void consume(struct peer *peer)
{
    struct line *channel = &peer->channels[1];
    int queue = channel->consumes;

    if (queue >= 0) {
        if (percent(50))
            return;
        channel->consumes = -1;
        if (!peer->side->queues[queue].exists)
            return;
        act_for(channel,
                &(struct method){.id = METHOD_BASIC_CANCEL, .basic_cancel = {.consumer_tag = tag_of(queue)}},
                METHOD_BASIC_CANCEL_OK, false);
        return;
    }
    if (!some_queue(peer->side, &queue))
        return;
    TRACE("v%d c%d consumes %s", peer->side->v->index, peer->index, kinds[queue].name);
    channel->consumes = queue;
    act_for(channel,
            &(struct method){.id = METHOD_BASIC_CONSUME,
                             .basic_consume = {.queue = queue_bytes(queue), .consumer_tag = tag_of(queue)}},
            METHOD_BASIC_CONSUME_OK, false);
}

/* Somebody waits for a message of QUEUE, who may be given one that is being taken. */
static bool is_asked(const struct side *side, int queue)
{
    for (int i = 0; i < CONNECTIONS; i++)
        for (int n = 1; n <= CHANNELS; n++)
            for (const struct expected *e = side->peers[i].channels[n].expected; e; e = e->next)
                if (e->queue == queue)
                    return true;
    return false;
}

static void purge(struct line *channel)
{
    struct side *side = channel->peer->side;
    struct copy *copy, *next;
    int queue;

    if (!some_queue(side, &queue) || is_asked(side, queue))
        return;
    TRACE("v%d purges %s", side->v->index, kinds[queue].name);
    HASH_ITER (hh, side->copies, copy, next) {
        if (copy->is_ready &&
            (copy_queue(copy) == queue || (is_due(copy) && kinds[copy->key.queue].target == queue)))
            copy_take(side, copy);
    }
    act(channel, &(struct method){.id = METHOD_QUEUE_PURGE, .queue_purge = {.queue = queue_bytes(queue)}},
        METHOD_QUEUE_PURGE_OK);
}

static void declare(struct line *channel, int queue)
{
    struct side *side = channel->peer->side;
    struct argument_item items[5];
    size_t count = 0;

    TRACE("v%d declares %s", side->v->index, kinds[queue].name);
    if (kinds[queue].type)
        items[count++] = STR("x-queue-type", kinds[queue].type);
    if (kinds[queue].priorities)
        items[count++] = INT("x-max-priority", kinds[queue].priorities);
    if (kinds[queue].ttl)
        items[count++] = INT("x-message-ttl", kinds[queue].ttl);
    if (kinds[queue].target) {
        items[count++] = STR("x-dead-letter-exchange", "");
        items[count++] = STR("x-dead-letter-routing-key", kinds[kinds[queue].target].name);
    }
    object_event(side, &side->queues[queue], true);
    act(channel,
        &(struct method){.id = METHOD_QUEUE_DECLARE,
                         .queue_declare = {.queue = queue_bytes(queue),
                                           .durable = kinds[queue].durable,
                                           .arguments = arguments_make(items, count).table}},
        METHOD_QUEUE_DECLARE_OK);
}

static void delete_queue(struct line *channel, int queue)
{
    struct side *side = channel->peer->side;
    struct copy *copy, *next;

    TRACE("v%d deletes %s", side->v->index, kinds[queue].name);
    HASH_ITER (hh, side->copies, copy, next) {
        if (copy->in_target || (int)copy->key.queue != queue || !(copy->is_ready || copy->is_out))
            continue;
        copy->is_out = false;
        copy_take(side, copy);
    }
    object_event(side, &side->queues[queue], false);
    for (int exchange = 0; exchange < EXCHANGES; exchange++)
        if (side->bindings[exchange][queue].exists)
            object_event(side, &side->bindings[exchange][queue], false);
    for (int i = 0; i < CONNECTIONS; i++)
        if (side->peers[i].channels[1].consumes == queue)
            side->peers[i].channels[1].consumes = -1;
    act(channel, &(struct method){.id = METHOD_QUEUE_DELETE, .queue_delete = {.queue = queue_bytes(queue)}},
        METHOD_QUEUE_DELETE_OK);
}

static void declare_or_delete(struct line *channel)
{
    struct side *side = channel->peer->side;
    int queue = (int)below(QUEUES);

    if (!side->queues[queue].exists)
        declare(channel, queue);
    else if (queue < SOURCES && !is_asked(side, queue) && percent(40))
        delete_queue(channel, queue);
}

static void exchange_event(struct line *channel)
{
    struct side *side = channel->peer->side;
    int exchange = (int)below(EXCHANGES);
    bool exists = side->exchanges[exchange].exists;

    if (exists && percent(70))
        return;
    TRACE("v%d %s exchange %d", side->v->index, exists ? "deletes" : "declares", exchange);
    object_event(side, &side->exchanges[exchange], !exists);
    if (!exists) {
        act(channel,
            &(struct method){
                .id = METHOD_EXCHANGE_DECLARE,
                .exchange_declare = {.exchange = exchange_bytes(exchange),
                                     .type = exchange ? BYTES_LITERAL("direct") : BYTES_LITERAL("fanout"),
                                     .durable = true}},
            METHOD_EXCHANGE_DECLARE_OK);
        return;
    }
    for (int queue = 0; queue < SOURCES; queue++)
        if (side->bindings[exchange][queue].exists)
            object_event(side, &side->bindings[exchange][queue], false);
    act(channel,
        &(struct method){.id = METHOD_EXCHANGE_DELETE,
                         .exchange_delete = {.exchange = exchange_bytes(exchange)}},
        METHOD_EXCHANGE_DELETE_OK);
}

static void bind(struct line *channel)
{
    struct side *side = channel->peer->side;
    int exchange = (int)below(EXCHANGES), queue = (int)below(SOURCES);
    struct object *binding = &side->bindings[exchange][queue];
    struct method method = {.id = binding->exists ? METHOD_QUEUE_UNBIND : METHOD_QUEUE_BIND};

    if (!side->exchanges[exchange].exists || !side->queues[queue].exists || (binding->exists && percent(60)))
        return;
    TRACE("v%d %s %s and exchange %d", side->v->index, binding->exists ? "unbinds" : "binds",
          kinds[queue].name, exchange);
    if (binding->exists) {
        method.queue_unbind.queue = queue_bytes(queue);
        method.queue_unbind.exchange = exchange_bytes(exchange);
        method.queue_unbind.routing_key = BYTES_LITERAL("k");
    } else {
        method.queue_bind.queue = queue_bytes(queue);
        method.queue_bind.exchange = exchange_bytes(exchange);
        method.queue_bind.routing_key = BYTES_LITERAL("k");
    }
    object_event(side, binding, !binding->exists);
    act(channel, &method, binding->exists ? METHOD_QUEUE_BIND_OK : METHOD_QUEUE_UNBIND_OK);
}

static void put_entry(void)
{
    uint32_t number = below(ENTRIES);
    uint64_t durable = world_node_durable(world);

    if (entries[number].is_open && entries[number].lsn > durable)
        return;
    entries[number].old = entries[number].value;
    entries[number].value = percent(70) ? ++next_id : 0;
    entries[number].is_open = true;
    world_put_entry(world, (int)number, entries[number].value);
    entries[number].lsn = world_node_lsn(world);
}

/* In order, or not. */
static void peer_end(struct peer *peer)
{
    if (percent(50))
        peer_close(peer);
    else
        peer_vanish(peer);
}

static void operate(struct side *side)
{
    struct peer *peer = &side->peers[below(CONNECTIONS)];
    struct line *channel = &peer->channels[1 + below(CHANNELS)];
    uint32_t roll = below(1000);

    if (!peer->id)
        peer_open(peer);
    else if (peer->broken)
        peer_vanish(peer); /* there is nothing else that it could do */
    else if (channel->number == 2 && channel->post_count + channel->delivery_count > 0 && percent(15))
        end_transaction(channel);
    else if (roll < 330)
        publish(channel);
    else if (roll < 450)
        get(channel);
    else if (roll < 800)
        settle(channel);
    else if (roll < 830)
        consume(peer);
    else if (roll < 840)
        purge(&peer->channels[1]);
    else if (roll < 890)
        declare_or_delete(&peer->channels[1]);
    else if (roll < 910)
        exchange_event(&peer->channels[1]);
    else if (roll < 950)
        bind(&peer->channels[1]);
    else if (roll < 960)
        put_entry();
    else if (roll < 990)
        world_pass(world, below(40));
    else
        peer_end(peer);
}

/* ---- what should be there ---- */

/* The state of OBJECT after record P. */
static bool object_at(const struct object *object, uint64_t p)
{
    bool exists = object->first;

    for (uint32_t i = 0; i < object->event_count; i++)
        if (object->events[i].when.last <= p)
            exists = object->events[i].exists;
    return exists && object->lasts;
}

/* Where COPY may be after record P: enum where. */
static unsigned copy_at(const struct copy *copy, uint64_t p)
{
    unsigned there = SOURCE;

    if (!copy->lasts || copy->entered.last > p)
        return ABSENT;
    if (copy->is_vague)
        return ABSENT | SOURCE | TARGET;
    if (copy->gone.last <= p)
        return ABSENT;
    if (copy->moved.last <= p)
        there = TARGET;
    else if (copy->deadline <= world->now)
        there = kinds[copy->key.queue].target ? SOURCE | TARGET : SOURCE | ABSENT;
    if (copy->gone.first <= p)
        there |= ABSENT;
    return there;
}

/* How many things are not as they should be after record P. EXPLAIN: say which. */
static uint32_t misfits(struct side *side, uint64_t p, bool explain)
{
    struct vhost *vhost = side->v->vhost;
    struct copy *copy, *next;
    uint32_t count = 0;

#define MISFIT(...)                                                   \
    do {                                                              \
        count++;                                                      \
        if (explain) {                                                \
            fprintf(stderr, "  after %llu: ", (unsigned long long)p); \
            fprintf(stderr, __VA_ARGS__);                             \
            fputc('\n', stderr);                                      \
        }                                                             \
    } while (0)
    for (int i = 0; i < QUEUES; i++)
        if (object_at(&side->queues[i], p) != (queue_find(vhost, queue_bytes(i)) != NULL))
            MISFIT("%s %s", kinds[i].name, object_at(&side->queues[i], p) ? "is missing" : "is there");
    for (int i = 0; i < EXCHANGES; i++) {
        struct binding_key key = {.source = exchange_find(vhost, exchange_bytes(i)),
                                  .routing_key = BYTES_LITERAL("k")};

        if (object_at(&side->exchanges[i], p) != (key.source != NULL))
            MISFIT("exchange %d %s", i, key.source ? "is there" : "is missing");
        for (int queue = 0; queue < SOURCES; queue++) {
            bool is;

            key.to_queue = queue_find(vhost, queue_bytes(queue));
            is = key.source && key.to_queue && binding_find(vhost, &key);
            if (is != object_at(&side->bindings[i][queue], p))
                MISFIT("the binding of %s to exchange %d %s", kinds[queue].name, i,
                       is ? "is there" : "is missing");
        }
    }
    HASH_ITER (hh, side->copies, copy, next) {
        unsigned should = copy_at(copy, p), seen = copy->seen ? copy->seen : (unsigned)ABSENT;

        if (seen & ~should)
            MISFIT("%llu of %s is in %u, not in %u (entered %llu, moved %llu, gone %llu)",
                   (unsigned long long)copy->key.id, kinds[copy->key.queue].name, seen, should,
                   (unsigned long long)copy->entered.last, (unsigned long long)copy->moved.last,
                   (unsigned long long)copy->gone.last);
    }
    return count;
#undef MISFIT
}

static int compare_lsns(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return one < other ? -1 : one > other;
}

/* After which operations things may have changed. */
static uint32_t candidates(struct side *side, uint64_t **out)
{
    struct copy *copy, *next;
    uint32_t capacity = 3 * HASH_COUNT(side->copies) + 1, count = 0, kept = 0;
    struct object *objects[QUEUES + EXCHANGES + EXCHANGES * SOURCES];
    uint32_t object_count = 0;
    uint64_t *lsns;

    for (int i = 0; i < QUEUES; i++)
        objects[object_count++] = &side->queues[i];
    for (int i = 0; i < EXCHANGES; i++) {
        objects[object_count++] = &side->exchanges[i];
        for (int queue = 0; queue < SOURCES; queue++)
            objects[object_count++] = &side->bindings[i][queue];
    }
    for (uint32_t i = 0; i < object_count; i++)
        capacity += objects[i]->event_count;
    lsns = xmalloc(capacity * sizeof *lsns);
    lsns[count++] = side->promised;
    HASH_ITER (hh, side->copies, copy, next) {
        lsns[count++] = copy->entered.last;
        lsns[count++] = copy->moved.last;
        lsns[count++] = copy->gone.last;
    }
    for (uint32_t i = 0; i < object_count; i++)
        for (uint32_t n = 0; n < objects[i]->event_count; n++)
            lsns[count++] = objects[i]->events[n].when.last;
    qsort(lsns, count, sizeof *lsns, compare_lsns);
    for (uint32_t i = 0; i < count; i++)
        if (lsns[i] >= side->promised && lsns[i] != NEVER && (!kept || lsns[i] != lsns[kept - 1]))
            lsns[kept++] = lsns[i];
    *out = lsns;
    return kept;
}

static void check_side(struct side *side)
{
    uint64_t *lsns, best = 0;
    uint32_t count, least = UINT32_MAX;

    if (side->is_vague)
        return;
    count = candidates(side, &lsns);
    for (uint32_t i = 0; i < count && least; i++) {
        uint32_t wrong = misfits(side, lsns[i], false);

        if (wrong < least) {
            least = wrong;
            best = lsns[i];
        }
    }
    free(lsns);
    checks++;
    if (!least)
        return;
    misfits(side, best, true);
    fail("v%d: not the state after any operation since %llu", side->v->index,
         (unsigned long long)side->promised);
}

/* From here on what was found is what there is. */
static void take_for_granted(struct side *side)
{
    struct vhost *vhost = side->v->vhost;
    struct copy *copy, *next;

    HASH_ITER (hh, side->copies, copy, next) {
        if (!copy->seen || copy->seen == ABSENT) {
            copy_free(side, copy);
            continue;
        }
        if (copy->seen == TARGET)
            copy->deadline = INT64_MAX;
        copy->in_target = copy->seen == TARGET;
        copy->entered = (struct range){0, 0};
        copy->moved = copy->in_target ? (struct range){0, 0} : never;
        copy->gone = never;
        copy->is_vague = copy->is_out = false;
        copy->is_ready = true;
    }
    for (int i = 0; i < QUEUES; i++)
        side->queues[i].exists = queue_find(vhost, queue_bytes(i)) != NULL;
    for (int i = 0; i < QUEUES; i++)
        side->queues[i].number++;
    for (int i = 0; i < EXCHANGES; i++) {
        struct binding_key key = {.source = exchange_find(vhost, exchange_bytes(i)),
                                  .routing_key = BYTES_LITERAL("k")};

        side->exchanges[i].exists = key.source != NULL;
        for (int queue = 0; queue < SOURCES; queue++) {
            key.to_queue = queue_find(vhost, queue_bytes(queue));
            side->bindings[i][queue].exists = key.source && key.to_queue && binding_find(vhost, &key);
        }
    }
    side->promised = 0;
    side->is_vague = false;
    memset(side->left_asking, 0, sizeof side->left_asking);
}

static void begin_objects(struct object *objects, int count)
{
    for (int i = 0; i < count; i++) {
        objects[i].first = objects[i].exists;
        objects[i].event_count = 0;
    }
}

/* ---- looking at what is there ---- */

static void inspect_message(struct side *side, int queue, const struct outbox_delivery *record)
{
    uint64_t id = read_body(record->message);
    int source = queue == 6 ? 2 : queue == 7 ? 3 : queue;
    struct copy *copy = copy_find(side, id, source);

    if (!copy || copy->size != record->message->body_size)
        fail("v%d: %llu is in %s, to which nobody published it", side->v->index, (unsigned long long)id,
             kinds[queue].name);
    if (copy->seen)
        fail("v%d: %llu is in %s, but in %u before", side->v->index, (unsigned long long)id,
             kinds[queue].name, copy->seen);
    copy->seen = queue == source ? SOURCE : TARGET;
    if (queue == source) {
        bool redelivered = record->record.flags & OUTBOX_REDELIVERED;

        /* Where deliveries are counted each is written, and nothing waits for that. */
        if (copy->delivered && !redelivered && !side->is_vague && (side->was_clean || !kinds[queue].type))
            fail("v%d: %llu of %s was delivered before, and is not redelivered", side->v->index,
                 (unsigned long long)id, kinds[queue].name);
        if (!copy->delivered && redelivered && side->was_clean && !side->left_asking[queue])
            fail("v%d: %llu of %s is redelivered, and was not delivered before", side->v->index,
                 (unsigned long long)id, kinds[queue].name);
        if (copy->level > side->last_level ||
            (copy->level == side->last_level && copy->rank < side->last_rank))
            fail("v%d: %llu of %s is out of order", side->v->index, (unsigned long long)id,
                 kinds[queue].name);
        side->last_level = copy->level;
        side->last_rank = copy->rank;
    }
    copy->delivered = true;
}

static struct {
    bool answered, is_empty, is_refused;
    int queue;
} inspected;

static void hear_inspected(struct world_vhost *v, void *owner, struct outbox_record *record)
{
    struct peer *peer = owner;
    struct method method;

    if (record->kind == OUTBOX_CONTROL) {
        hear(v, owner, record);
    } else if (record->kind == OUTBOX_GET_OK) {
        inspect_message(peer->side, inspected.queue, (struct outbox_delivery *)record);
        inspected.answered = true;
    } else if (record->kind == OUTBOX_METHOD) {
        const struct outbox_method *said = (struct outbox_method *)record;

        if (method_decode(&method, (struct bytes){said->payload, said->payload_size}) != METHOD_OK)
            fail("a method that does not decode");
        if (method.id == METHOD_BASIC_GET_EMPTY)
            inspected.is_empty = inspected.answered = true;
        else if (method.id == METHOD_CHANNEL_CLOSE)
            fail("v%d: %s cannot be read: %.*s", v->index, kinds[inspected.queue].name,
                 BYTES_ARG(method.channel_close.reply_text));
    }
}

static void inspect_queue(struct side *side, int queue)
{
    struct peer *peer = &side->inspector;

    side->last_rank = 0;
    side->last_level = 255;
    inspected.queue = queue;
    inspected.is_empty = false;
    while (!inspected.is_empty && !world->is_dead) {
        inspected.answered = false;
        begin_batch(peer);
        add_method(1, &(struct method){.id = METHOD_BASIC_GET, .basic_get = {.queue = queue_bytes(queue)}});
        end_batch(side);
        for (int turn = 0; !inspected.answered && !world->is_dead; turn++) {
            if (turn == 20000)
                fail("v%d: a get from %s is not answered", side->v->index, kinds[queue].name);
            world_turn(world);
        }
    }
}

/* Take everything out of the queues without acking it, compare, and let it go back. */
static void inspect(struct side *side)
{
    struct copy *copy, *next;

    HASH_ITER (hh, side->copies, copy, next)
        copy->seen = 0;
    peer_init(side, &side->inspector, 9);
    peer_open(&side->inspector);
    world_settle(world); /* what expired has arrived where it goes */
    for (int queue = 0; queue < QUEUES; queue++)
        if (queue_find(side->v->vhost, queue_bytes(queue)))
            inspect_queue(side, queue);
    if (world->is_dead)
        return;
    check_side(side);
    take_for_granted(side);
    peer_vanish(&side->inspector);
}

static void check_entries(bool was_clean)
{
    for (int i = 0; i < ENTRIES; i++) {
        uint64_t there = world->entries[i];

        if (there != entries[i].value && (was_clean || !entries[i].is_open || there != entries[i].old))
            fail("entry %d is %llu, not %llu", i, (unsigned long long)there,
                 (unsigned long long)entries[i].value);
        entries[i].value = there;
        entries[i].is_open = false;
    }
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

static void begin_world(void)
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

static void simulate(void)
{
    faulty = false;
    snprintf(replay, sizeof replay, "failed: tests/store/sim-store --seed %llu --operations %u\n",
             (unsigned long long)seed, operations_max);
    begin_world();
    for (life = 0; life < LIVES; life++) {
        start();
        if (life)
            inspect_all();
        if (percent(50))
            sys_fake_stop(world->fake, 1 + below(1000));
        live(1 + below(operations_max));
        end_life();
        forget_all();
    }
    start();
    inspect_all();
    end_world();
}

/* ---- the n-th call fails ---- */

/* A life in which call N from a certain point on fails with ERROR. False: it never came to N calls. */
static bool fail_once(uint64_t n, int error)
{
    uint64_t calls;
    bool failed;

    begin_world();
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
static void fail_each(uint64_t from, uint64_t step, int error)
{
    for (uint64_t n = from;; n += step) {
        snprintf(replay, sizeof replay, "failed: tests/store/sim-store --seed %llu --error %d --call %llu\n",
                 (unsigned long long)seed, error, (unsigned long long)n);
        if (!fail_once(n, error))
            return;
    }
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'n'},
        {"operations", required_argument, NULL, 'o'},
        {"ci", no_argument, NULL, 'c'},
        {"trace", no_argument, NULL, 't'},
        {"each", required_argument, NULL, 'e'},
        {"error", required_argument, NULL, 'r'},
        {"call", required_argument, NULL, 'l'},
        {0},
    };
    static const int errors[] = {EIO, ENOSPC, EMFILE};
    uint64_t seeds = 20, each = 0, call = 0;
    int error = EIO;
    int option;

    seed = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 's':
            seed = number(optarg);
            seeds = 1;
            break;
        case 'n':
            seeds = number(optarg);
            break;
        case 'o':
            operations_max = (uint32_t)number(optarg);
            break;
        case 'c':
            seeds = 600;
            break;
        case 't':
            trace = true;
            break;
        case 'e':
            each = number(optarg);
            break;
        case 'r':
            error = (int)number(optarg);
            break;
        case 'l':
            call = number(optarg);
            break;
        default:
            return 64;
        }
    signal(SIGABRT, on_abort);
    if (call) {
        snprintf(replay, sizeof replay, "failed\n");
        fail_once(call, error);
        return 0;
    }
    for (; seeds; seeds--, seed++) {
        simulate();
        for (size_t i = 0; i < sizeof errors / sizeof *errors && each; i++)
            fail_each(1 + seed % each, each, errors[i]);
    }
    printf("sim-store: %llu ends, %llu states compared, %llu operations\n", (unsigned long long)states,
           (unsigned long long)checks, (unsigned long long)steps);
    return 0;
}
