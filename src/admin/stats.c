/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.h. A thread of its own looks at everything, slice by slice, at each *tick*. What is kept:
 *
 * - `histories`: values of the last ticks of what moves, each with one sample for every tick from its first
 * to the last; what was not seen at a tick has gone, and so has its history.
 * - `resting`: for what has counted something and does not move, its key and one number that changes when it
 *   does. Made anew at each tick.
 *
 * What is in neither had counted nothing yet when it was looked at last, so its history begins with zeros.
 * Only at the first tick nothing is known: then everything gets a history, as far as there is room, and loses
 * it at the next tick if it rests.
 *
 * A key is a hash: should two things have the same, their rates are wrong.
 */
#include "stats.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "admin_fields.h"
#include "coney/node_stats.h"
#include "coney/pool.h"
#include "coney/sessions.h"
#include "coney/survey.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "json.h"
#include "request.h"

#define WATCHED_MS     (INT64_C(600) * 1000) /* so long after the last question it goes on */
#define SAMPLES        121                   /* ten minutes at five seconds, */
#define NODE_SAMPLES   721                   /* and an hour */
#define SAMPLES_FIRST  4
#define SAMPLES_SHOWN  1000
#define HISTORY_OCTETS ((size_t)32 << 20)
#define RESTING_MAX    ((size_t)1 << 20)
#define SLICE          256
#define NICE           4
#define NS_PER_MS      1000000

/* Places of values, beside those of message_counts. */
enum {
    AT_READY = MESSAGE_COUNTS,
    AT_UNACKED,
    QUEUE_VALUES,
    AT_RECEIVED = QUEUE_VALUES, /* of vhosts */
    AT_SENT,
    VHOST_VALUES,

    AT_CHURN = QUEUE_VALUES, /* connections opened, closed; channels; queues declared, created, deleted */
    AT_MEMORY = AT_CHURN + 7,
    AT_DESCRIPTORS,
    AT_SOCKETS,
    AT_DISK_FREE,
    AT_SWITCHES,
    AT_WRITES,
    AT_WRITE_OCTETS,
    AT_SYNCS,
    AT_RECORDS,
    AT_FETCHES,
    NODE_VALUES
};

_Static_assert(NODE_VALUES <= 64, "a mask has a bit for each");

struct history {
    UT_hash_handle hh;
    uint64_t key, sum;
    uint64_t *values; /* rings of samples, one value after the other in each */
    uint16_t width, capacity, count;
    uint16_t next;       /* the ring's place for the next sample */
    uint64_t last_tick;  /* of the newest sample */
    uint64_t moved_tick; /* 0: never seen moving */
};

struct rest {
    uint64_t key, sum; /* key 0: free */
};

struct rests {
    struct rest *places;
    size_t capacity, count; /* capacity: a power of two, or 0 */
};

struct stats {
    struct server *server;
    int64_t interval_ms;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    bool is_running, is_stopping;
    int64_t asked_ms;
    uint64_t tick;               /* the last; 0: none */
    uint64_t first_tick;         /* of this watch */
    int64_t times[NODE_SAMPLES]; /* of ticks, ms since 1970, by tick */
    struct history *histories;
    size_t history_octets;
    struct rests resting, next_resting;
};

/* One thing, as it was seen. */
struct sample {
    uint64_t key;
    uint16_t width;
    uint64_t values[VHOST_VALUES];
};

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

/* ---- keys ---- */

static uint64_t hash_octets(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *octets = data;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ octets[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Spread, and never 0. */
static uint64_t finish(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    return hash ? hash : 1;
}

uint64_t stats_key(enum stats_kind kind, struct bytes vhost, struct bytes name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) + kind;

    hash = hash_octets(hash, &vhost.size, sizeof vhost.size);
    hash = hash_octets(hash, vhost.data, vhost.size);
    return finish(hash_octets(hash, name.data, name.size));
}

uint64_t stats_key_of_node(void)
{
    return stats_key(STATS_NODE, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
}

static uint64_t key_of_numbers(enum stats_kind kind, uint64_t a, uint64_t b)
{
    uint64_t hash = hash_octets(UINT64_C(0xcbf29ce484222325) + kind, &a, sizeof a);

    return finish(hash_octets(hash, &b, sizeof b));
}

uint64_t stats_key_of_connection(uint64_t serial)
{
    return key_of_numbers(STATS_CONNECTION, serial, 0);
}

uint64_t stats_key_of_channel(uint64_t serial, uint16_t number)
{
    return key_of_numbers(STATS_CHANNEL, serial, number);
}

/* ---- what rests ---- */

static struct rest *rest_place(const struct rests *rests, uint64_t key)
{
    size_t at = key & (rests->capacity - 1);

    while (rests->places[at].key && rests->places[at].key != key)
        at = (at + 1) & (rests->capacity - 1);
    return &rests->places[at];
}

static const struct rest *rest_find(const struct rests *rests, uint64_t key)
{
    const struct rest *rest = rests->capacity ? rest_place(rests, key) : NULL;

    return rest && rest->key ? rest : NULL;
}

static void rest_grow(struct rests *rests)
{
    struct rests larger = {.capacity = rests->capacity ? rests->capacity * 2 : 64, .count = rests->count};

    larger.places = xcalloc(larger.capacity, sizeof *larger.places);
    for (size_t i = 0; i < rests->capacity; i++)
        if (rests->places[i].key)
            *rest_place(&larger, rests->places[i].key) = rests->places[i];
    free(rests->places);
    *rests = larger;
}

static void rest_put(struct rests *rests, uint64_t key, uint64_t sum)
{
    if (rests->count >= RESTING_MAX)
        return;
    if (rests->count >= rests->capacity / 2)
        rest_grow(rests);
    rests->count++;
    *rest_place(rests, key) = (struct rest){key, sum};
}

static void rests_clear(struct rests *rests)
{
    free(rests->places);
    *rests = (struct rests){0};
}

/* ---- histories ---- */

static size_t history_size(const struct history *history)
{
    return sizeof *history + (size_t)history->capacity * history->width * sizeof(uint64_t);
}

static struct history *history_find(struct stats *stats, uint64_t key)
{
    struct history *history;

    HASH_FIND(hh, stats->histories, &key, sizeof key, history);
    return history;
}

static void history_free(struct stats *stats, struct history *history)
{
    stats->history_octets -= history_size(history);
    HASH_DEL(stats->histories, history);
    free(history->values);
    free(history);
}

static struct history *history_new(struct stats *stats, uint64_t key, uint16_t width)
{
    struct history *history = xcalloc(1, sizeof *history);

    history->key = key;
    history->width = width;
    history->capacity = SAMPLES_FIRST;
    history->values = xcalloc((size_t)history->capacity * width, sizeof *history->values);
    stats->history_octets += history_size(history);
    HASH_ADD(hh, stats->histories, key, sizeof history->key, history);
    return history;
}

/* The sample of TICK, which is one of HISTORY's. */
static const uint64_t *history_at(const struct history *history, uint64_t tick)
{
    unsigned back = (unsigned)(history->last_tick - tick) + 1;

    return &history->values[(size_t)((history->next + history->capacity - back) % history->capacity) *
                            history->width];
}

static uint64_t history_first_tick(const struct history *history)
{
    return history->last_tick - history->count + 1;
}

/* Room for one more sample, in place of the oldest when there are enough. */
static void history_make_room(struct stats *stats, struct history *history)
{
    unsigned most = history->width == NODE_VALUES ? NODE_SAMPLES : SAMPLES;
    unsigned capacity = history->capacity * 2U < most ? history->capacity * 2U : most;
    uint64_t *values;

    if (history->count < history->capacity || capacity == history->capacity)
        return;
    values = xcalloc((size_t)capacity * history->width, sizeof *values);
    for (unsigned i = 0; i < history->count; i++)
        memcpy(&values[(size_t)i * history->width], history_at(history, history_first_tick(history) + i),
               history->width * sizeof *values);
    stats->history_octets -= history_size(history);
    free(history->values);
    history->values = values;
    history->capacity = (uint16_t)capacity;
    history->next = history->count;
    stats->history_octets += history_size(history);
}

static void history_add(struct stats *stats, struct history *history, uint64_t tick, const uint64_t *values)
{
    history_make_room(stats, history);
    memcpy(&history->values[(size_t)history->next * history->width], values, history->width * sizeof *values);
    history->next = (uint16_t)((history->next + 1) % history->capacity);
    history->count += history->count < history->capacity;
    history->last_tick = tick;
}

static uint64_t sum_of(const uint64_t *values, unsigned width)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < width; i++)
        sum = sum * 3 + values[i];
    return sum;
}

static bool has_room(const struct stats *stats)
{
    return stats->history_octets < HISTORY_OCTETS;
}

/* What has no history yet. */
static void note_first(struct stats *stats, uint64_t key, const uint64_t *values, uint16_t width,
                       uint64_t sum)
{
    static const uint64_t zeros[NODE_VALUES];
    const struct rest *rest = rest_find(&stats->resting, key);
    bool is_first_tick = stats->tick == stats->first_tick;
    struct history *history;

    if ((rest && rest->sum == sum) || !has_room(stats)) {
        rest_put(&stats->next_resting, key, sum);
        return;
    }
    history = history_new(stats, key, width);
    if (!rest && !is_first_tick)
        history_add(stats, history, stats->tick - 1, zeros);
    history->moved_tick = is_first_tick ? 0 : stats->tick;
    history->sum = sum;
    history_add(stats, history, stats->tick, values);
}

/* Behind the mutex: KEY has VALUES at this tick. */
static void note(struct stats *stats, uint64_t key, const uint64_t *values, uint16_t width)
{
    struct history *history = history_find(stats, key);
    uint64_t sum = sum_of(values, width);

    if (!history) {
        note_first(stats, key, values, width, sum);
        return;
    }
    if (history->last_tick == stats->tick)
        return; /* seen already: it has the same hash, or came back while we looked */
    if (sum != history->sum)
        history->moved_tick = stats->tick;
    history->sum = sum;
    history_add(stats, history, stats->tick, values);
}

static bool has_rested(const struct stats *stats, const struct history *history)
{
    if (!history->moved_tick)
        return history->count > 1;
    return stats->tick - history->moved_tick > SAMPLES;
}

/* The tick is over: what was not seen has gone. */
static void end_tick(struct stats *stats)
{
    struct history *history, *next;

    HASH_ITER (hh, stats->histories, history, next) {
        bool has_gone = history->last_tick != stats->tick;

        if (!has_gone && (history->width == NODE_VALUES || !has_rested(stats, history)))
            continue;
        if (!has_gone)
            rest_put(&stats->next_resting, history->key, history->sum);
        history_free(stats, history);
    }
    rests_clear(&stats->resting);
    stats->resting = stats->next_resting;
    stats->next_resting = (struct rests){0};
}

static void forget(struct stats *stats)
{
    struct history *history, *next;

    HASH_ITER (hh, stats->histories, history, next)
        history_free(stats, history);
    rests_clear(&stats->resting);
    rests_clear(&stats->next_resting);
    stats->first_tick = stats->tick + 1;
}

/* ---- looking ---- */

/* What one tick has seen so far. */
struct looking {
    struct stats *stats;
    struct bytes vhost;
    struct survey_cursor cursor;
    uint32_t place;
    bool has_more;
    struct sample *samples; /* of this slice */
    size_t count, capacity;
    struct survey_vhost whole;
};

static struct sample *add_sample(struct looking *looking, uint64_t key, unsigned width)
{
    struct sample *sample;

    if (looking->count == looking->capacity) {
        looking->capacity = looking->capacity * 2 + SLICE;
        looking->samples = xrealloc(looking->samples, looking->capacity * sizeof *looking->samples);
    }
    sample = &looking->samples[looking->count++];
    *sample = (struct sample){.key = key, .width = (uint16_t)width};
    return sample;
}

static void note_slice(struct looking *looking)
{
    struct stats *stats = looking->stats;

    pthread_mutex_lock(&stats->mutex);
    for (size_t i = 0; i < looking->count; i++)
        note(stats, looking->samples[i].key, looking->samples[i].values, looking->samples[i].width);
    pthread_mutex_unlock(&stats->mutex);
    looking->count = 0;
}

static bool counts_are_zero(const struct message_counts *counts)
{
    static const struct message_counts none;

    return memcmp(counts, &none, sizeof none) == 0;
}

static void see_queue(void *context, const struct survey_queue *queue)
{
    struct looking *looking = context;
    struct sample *sample;

    if (counts_are_zero(queue->counts))
        return;
    sample = add_sample(looking, stats_key(STATS_QUEUE, looking->vhost, queue->name), QUEUE_VALUES);
    memcpy(sample->values, queue->counts, sizeof *queue->counts);
    sample->values[AT_READY] = queue->ready;
    sample->values[AT_UNACKED] = queue->unacked;
}

static void see_exchange(void *context, const struct survey_exchange *exchange)
{
    struct looking *looking = context;
    struct sample *sample;

    if (!exchange->publish_in && !exchange->publish_out)
        return;
    sample = add_sample(looking, stats_key(STATS_EXCHANGE, looking->vhost, exchange->name), 2);
    sample->values[0] = exchange->publish_in;
    sample->values[1] = exchange->publish_out;
}

static void see_channel(void *context, const struct survey_channel *channel)
{
    struct looking *looking = context;
    struct session_name name;
    struct sample *sample;

    if (counts_are_zero(channel->counts))
        return;
    session_name_of(channel->owner, &name);
    sample = add_sample(looking, stats_key_of_channel(name.serial, channel->number), MESSAGE_COUNTS);
    memcpy(sample->values, channel->counts, sizeof *channel->counts);
}

static void see_queues(struct vhost *vhost, void *argument)
{
    struct looking *looking = argument;

    survey_queues(vhost, &looking->cursor, SLICE, see_queue, looking);
    looking->has_more = !looking->cursor.is_at_end;
}

static void see_exchanges(struct vhost *vhost, void *argument)
{
    struct looking *looking = argument;

    survey_exchanges(vhost, &looking->cursor, SLICE, see_exchange, looking);
    looking->has_more = !looking->cursor.is_at_end;
}

static void see_channels(struct vhost *vhost, void *argument)
{
    struct looking *looking = argument;

    looking->has_more = survey_channels(vhost, &looking->place, SLICE, see_channel, looking);
}

static void see_whole(struct vhost *vhost, void *argument)
{
    struct looking *looking = argument;

    survey_vhost(vhost, &looking->whole);
    looking->has_more = false;
}

static void look_through(struct looking *looking, void (*see)(struct vhost *vhost, void *argument))
{
    enum visit_result result;

    looking->place = 0;
    do {
        looking->has_more = false;
        result = visit_vhost(looking->stats->server, looking->vhost, see, looking);
        note_slice(looking);
    } while (result == VISIT_DONE && looking->has_more);
}

static void look_at_vhost(struct looking *looking, const char *name)
{
    struct session_octets octets = sessions_octets(looking->stats->server, bytes_from_string(name));
    struct sample *sample;

    looking->vhost = bytes_from_string(name);
    looking->whole = (struct survey_vhost){0};
    look_through(looking, see_whole);
    sample =
        add_sample(looking, stats_key(STATS_VHOST, looking->vhost, (struct bytes){NULL, 0}), VHOST_VALUES);
    memcpy(sample->values, &looking->whole.counts.messages, sizeof looking->whole.counts.messages);
    sample->values[AT_READY] = looking->whole.ready;
    sample->values[AT_UNACKED] = looking->whole.unacked;
    sample->values[AT_RECEIVED] = octets.received;
    sample->values[AT_SENT] = octets.sent;
    note_slice(looking);
    looking->cursor = (struct survey_cursor){.of = SURVEY_QUEUES};
    look_through(looking, see_queues);
    looking->cursor = (struct survey_cursor){.of = SURVEY_EXCHANGES};
    look_through(looking, see_exchanges);
    look_through(looking, see_channels);
}

static void see_session(void *context, const struct session_view *view)
{
    struct looking *looking = context;
    struct sample *sample = add_sample(looking, stats_key_of_connection(view->name.serial), 2);

    sample->values[0] = view->recv_octets;
    sample->values[1] = view->send_octets;
}

static void see_sessions(struct loop *loop, void *argument)
{
    struct looking *looking = argument;

    looking->has_more = sessions_show(loop, &looking->place, SLICE, see_session, looking);
}

static void look_at_loop(struct looking *looking, unsigned loop)
{
    enum visit_result result;

    looking->place = 0;
    do {
        looking->has_more = false;
        result = visit_loop(looking->stats->server, loop, see_sessions, looking);
        note_slice(looking);
    } while (result == VISIT_DONE && looking->has_more);
}

static void gauge(const struct node_stats *node, uint64_t *values)
{
    values[AT_MEMORY] = node->memory_used;
    values[AT_DESCRIPTORS] = node->files;
    values[AT_SOCKETS] = node->connections;
    values[AT_DISK_FREE] = node->disk_free;
    values[AT_SWITCHES] = node->switches;
    values[AT_WRITES] = node->store.journal_batches;
    values[AT_WRITE_OCTETS] = node->store.journal_octets;
    values[AT_SYNCS] = node->store.journal_syncs;
    values[AT_RECORDS] = node->store.journal_records;
    values[AT_FETCHES] = node->store.fetched_runs;
}

/* False when the server stops. */
static bool look_at_node(struct stats *stats, uint64_t values[NODE_VALUES])
{
    struct survey_vhost totals;
    struct node_stats node;
    const struct vhost_counts *counts = &totals.counts;

    if (!node_totals(stats->server, &totals))
        return false;
    if (!node_stats(stats->server, &node)) {
        node_stats_clear(&node);
        return false;
    }
    memcpy(values, &counts->messages, sizeof counts->messages);
    values[AT_READY] = totals.ready;
    values[AT_UNACKED] = totals.unacked;
    memcpy(&values[AT_CHURN],
           (const uint64_t[]){counts->connections_opened, counts->connections_closed, counts->channels_opened,
                              counts->channels_closed, counts->queues_declared, counts->queues_created,
                              counts->queues_deleted},
           7 * sizeof *values);
    gauge(&node, values);
    node_stats_clear(&node);
    return true;
}

static void look_at_everything(struct stats *stats)
{
    struct looking looking = {.stats = stats};
    uint64_t node[NODE_VALUES];
    size_t count;
    char **names = visit_vhost_names(stats->server, &count);
    bool has_node;

    for (size_t i = 0; i < count; i++) {
        look_at_vhost(&looking, names[i]);
        free(names[i]);
    }
    free((void *)names);
    for (unsigned i = 0; i < sessions_loop_count(stats->server); i++)
        look_at_loop(&looking, i);
    free(looking.samples);
    has_node = look_at_node(stats, node);
    pthread_mutex_lock(&stats->mutex);
    if (has_node)
        note(stats, stats_key_of_node(), node, NODE_VALUES);
    end_tick(stats);
    pthread_mutex_unlock(&stats->mutex);
}

/* ---- the thread ---- */

/* Behind the mutex: wait until NEXT, on the monotonic clock. */
static void wait_until(struct stats *stats, int64_t next)
{
    struct timespec until = {.tv_sec = next / 1000, .tv_nsec = next % 1000 * NS_PER_MS};
    int error = 0;

    while (!stats->is_stopping && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&stats->changed, &stats->mutex, &until);
}

static bool is_watched(const struct stats *stats)
{
    return !stats->is_stopping && clock_ms(CLOCK_MONOTONIC) - stats->asked_ms < WATCHED_MS;
}

static void *run(void *argument)
{
    struct stats *stats = argument;
    int64_t next = clock_ms(CLOCK_MONOTONIC);

    pthread_setname_np(pthread_self(), "coney-stats");
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    pthread_mutex_lock(&stats->mutex);
    while (is_watched(stats)) {
        stats->tick++;
        stats->times[stats->tick % NODE_SAMPLES] = clock_ms(CLOCK_REALTIME);
        pthread_mutex_unlock(&stats->mutex);
        look_at_everything(stats);
        pool_flush();
        pthread_mutex_lock(&stats->mutex);
        next += stats->interval_ms;
        if (next < clock_ms(CLOCK_MONOTONIC))
            next = clock_ms(CLOCK_MONOTONIC);
        wait_until(stats, next);
    }
    forget(stats);
    stats->is_running = false;
    pthread_cond_broadcast(&stats->changed);
    pthread_mutex_unlock(&stats->mutex);
    return NULL;
}

/* Behind the mutex. */
static void start(struct stats *stats)
{
    sigset_t all, before;
    pthread_t thread;

    /* Signals are the first loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    stats->is_running = pthread_create(&thread, NULL, run, stats) == 0;
    if (stats->is_running)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Behind the mutex: somebody wants to know. */
static void ask(struct stats *stats)
{
    stats->asked_ms = clock_ms(CLOCK_MONOTONIC);
    if (!stats->is_running && !stats->is_stopping)
        start(stats);
}

struct stats *stats_new(struct server *server, uint32_t interval_ms)
{
    struct stats *stats = xcalloc(1, sizeof *stats);
    pthread_condattr_t attributes;

    stats->server = server;
    stats->interval_ms = interval_ms;
    stats->first_tick = 1;
    pthread_mutex_init(&stats->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stats->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return stats;
}

void stats_stop(struct stats *stats)
{
    pthread_mutex_lock(&stats->mutex);
    stats->is_stopping = true;
    pthread_cond_broadcast(&stats->changed);
    while (stats->is_running)
        pthread_cond_wait(&stats->changed, &stats->mutex);
    pthread_mutex_unlock(&stats->mutex);
}

void stats_free(struct stats *stats)
{
    if (!stats)
        return;
    stats_stop(stats);
    forget(stats);
    pthread_cond_destroy(&stats->changed);
    pthread_mutex_destroy(&stats->mutex);
    free(stats);
}

void stats_reset(struct stats *stats)
{
    struct history *history, *next;

    pthread_mutex_lock(&stats->mutex);
    HASH_ITER (hh, stats->histories, history, next)
        history->count = 1; /* the newest stays: a rate needs it */
    pthread_mutex_unlock(&stats->mutex);
}

/* ---- showing ---- */

enum range { RANGE_LENGTHS, RANGE_MESSAGES, RANGE_DATA, RANGE_NODE };

struct field {
    const char *name;
    uint64_t values; /* a bit for each that is summed up */
};

/* Samples that are asked for. */
struct span {
    int64_t age_ms, incr_ms; /* 0: none are */
    int64_t now_ms;
};

#define BIT(at) (UINT64_C(1) << (at))

static int64_t query_seconds(const struct request *request, const char *range, const char *what)
{
    char name[32], *end;
    const char *text;
    long value;

    snprintf(name, sizeof name, "%s_%s", range, what);
    text = request_query(request, name);
    if (!text)
        return 0;
    errno = 0;
    value = strtol(text, &end, 10);
    return errno || *end || end == text || value < 1 || value > 10000000 ? 0 : value * 1000;
}

/* What cannot be taken is as if it was not there. */
static struct span span_of(const struct request *request, enum range range)
{
    static const char *const names[] = {"lengths", "msg_rates", "data_rates", "node_stats"};
    struct span span = {.age_ms = query_seconds(request, names[range], "age"),
                        .incr_ms = query_seconds(request, names[range], "incr"),
                        .now_ms = clock_ms(CLOCK_REALTIME)};

    if (!span.incr_ms || !span.age_ms || span.age_ms / span.incr_ms > SAMPLES_SHOWN)
        span.age_ms = span.incr_ms = 0;
    return span;
}

static double value_at(const struct history *history, uint64_t tick, uint64_t mask)
{
    const uint64_t *values = history_at(history, tick);
    uint64_t sum = 0;

    for (unsigned i = 0; i < history->width; i++)
        sum += mask & BIT(i) ? values[i] : 0;
    return (double)sum;
}

static int64_t time_of(const struct stats *stats, uint64_t tick)
{
    return stats->times[tick % NODE_SAMPLES];
}

static double rate_of(const struct stats *stats, const struct history *history, uint64_t mask)
{
    uint64_t last;
    double seconds;

    if (!history || history->count < 2)
        return 0;
    last = history->last_tick;
    seconds = (double)(time_of(stats, last) - time_of(stats, last - 1)) / 1000;
    return seconds > 0 ? (value_at(history, last, mask) - value_at(history, last - 1, mask)) / seconds : 0;
}

/* When the first sample is from; what rests was the same as long as somebody watched. */
static int64_t begin_of(const struct stats *stats, const struct history *history, int64_t now)
{
    uint64_t first = history && history->count ? history_first_tick(history) : stats->first_tick;

    if (first > stats->tick)
        return now;
    return stats->tick - first >= NODE_SAMPLES ? time_of(stats, stats->tick + 1) : time_of(stats, first);
}

static void add_samples(const struct stats *stats, const struct history *history, uint64_t mask, double now,
                        const struct span *span, json_t *details)
{
    json_t *samples = json_array();
    int64_t newest = span->now_ms / span->incr_ms * span->incr_ms;
    int64_t begin = begin_of(stats, history, span->now_ms), at = newest;
    uint64_t tick = history && history->count ? history->last_tick : 0;
    double value = now, first = now, sum = 0;
    size_t count = 0;

    for (; at >= newest - span->age_ms && (at >= begin || !count); at -= span->incr_ms, count++) {
        while (tick && tick > history_first_tick(history) && time_of(stats, tick) > at)
            tick--;
        value = tick ? value_at(history, tick, mask) : now;
        first = count ? first : value;
        sum += value;
        json_array_append_new(
            samples, json_pack("{s:I,s:I}", "sample", (json_int_t)value, "timestamp", (json_int_t)at));
    }
    json_object_set_new(details, "samples", samples);
    json_object_set_new(details, "avg", json_real(sum / (double)count));
    json_object_set_new(
        details, "avg_rate",
        json_real(count > 1 ? (first - value) * 1000 / ((double)(count - 1) * (double)span->incr_ms) : 0));
}

static void add_details(const struct stats *stats, const struct history *history, const struct field *field,
                        const struct span *span, json_t *object)
{
    const json_t *value = json_object_get(object, field->name);
    char name[64];
    json_t *details;

    if (!value)
        return;
    snprintf(name, sizeof name, "%s_details", field->name);
    details = json_rate(rate_of(stats, history, field->values));
    if (span->incr_ms)
        add_samples(stats, history, field->values, json_number_value(value), span, details);
    json_object_set_new(object, name, details);
}

static void add(struct request *request, uint64_t key, json_t *object, enum range range,
                const struct field *fields, size_t count)
{
    struct stats *stats = request->admin->stats;
    struct span span = span_of(request, range);
    const struct history *history;

    if (!json_object_size(object))
        return;
    pthread_mutex_lock(&stats->mutex);
    ask(stats);
    history = history_find(stats, key);
    if (history && history->count && history->width < NODE_VALUES && history->last_tick + 1 < stats->tick)
        history = NULL;
    if (!history && !span.incr_ms)
        count = 0; /* all the rates that are there already are 0, as they should */
    for (size_t i = 0; i < count; i++)
        add_details(stats, history, &fields[i], &span, object);
    pthread_mutex_unlock(&stats->mutex);
}

bool stats_is_still(struct request *request, uint64_t key)
{
    struct stats *stats = request->admin->stats;
    const struct history *history;

    if (span_of(request, RANGE_LENGTHS).incr_ms)
        return false;
    pthread_mutex_lock(&stats->mutex);
    ask(stats);
    history = history_find(stats, key);
    pthread_mutex_unlock(&stats->mutex);
    return !history;
}

#define ADD(request, key, object, range, fields) \
    add(request, key, object, range, fields, sizeof(fields) / sizeof *(fields))

static const struct field message_fields[] = {
    {"publish", BIT(COUNT_PUBLISH)},
    {"confirm", BIT(COUNT_CONFIRM)},
    {"return_unroutable", BIT(COUNT_RETURN)},
    {"drop_unroutable", BIT(COUNT_DROP)},
    {"deliver", BIT(COUNT_DELIVER)},
    {"deliver_no_ack", BIT(COUNT_DELIVER_NO_ACK)},
    {"get", BIT(COUNT_GET)},
    {"get_no_ack", BIT(COUNT_GET_NO_ACK)},
    {"get_empty", BIT(COUNT_GET_EMPTY)},
    {"redeliver", BIT(COUNT_REDELIVER)},
    {"ack", BIT(COUNT_ACK)},
    {"deliver_get", BIT(COUNT_DELIVER) | BIT(COUNT_DELIVER_NO_ACK) | BIT(COUNT_GET) | BIT(COUNT_GET_NO_ACK)}};

void stats_add_messages(struct request *request, uint64_t key, json_t *object)
{
    ADD(request, key, object, RANGE_MESSAGES, message_fields);
}

void stats_add_lengths(struct request *request, uint64_t key, json_t *object)
{
    static const struct field fields[] = {{"messages", BIT(AT_READY) | BIT(AT_UNACKED)},
                                          {"messages_ready", BIT(AT_READY)},
                                          {"messages_unacknowledged", BIT(AT_UNACKED)}};

    ADD(request, key, object, RANGE_LENGTHS, fields);
}

void stats_add_data(struct request *request, uint64_t key, json_t *object)
{
    static const struct field fields[] = {{"recv_oct", BIT(0)}, {"send_oct", BIT(1)}};

    ADD(request, key, object, RANGE_DATA, fields);
}

void stats_add_vhost_data(struct request *request, uint64_t key, json_t *object)
{
    static const struct field fields[] = {{"recv_oct", BIT(AT_RECEIVED)}, {"send_oct", BIT(AT_SENT)}};

    ADD(request, key, object, RANGE_DATA, fields);
}

void stats_add_exchange(struct request *request, uint64_t key, json_t *object)
{
    static const struct field fields[] = {{"publish_in", BIT(0)}, {"publish_out", BIT(1)}};

    ADD(request, key, object, RANGE_MESSAGES, fields);
}

void stats_add_node(struct request *request, json_t *object)
{
    static const struct field fields[] = {
        {"connection_created", BIT(AT_CHURN)},
        {"connection_closed", BIT(AT_CHURN + 1)},
        {"channel_created", BIT(AT_CHURN + 2)},
        {"channel_closed", BIT(AT_CHURN + 3)},
        {"queue_declared", BIT(AT_CHURN + 4)},
        {"queue_created", BIT(AT_CHURN + 5)},
        {"queue_deleted", BIT(AT_CHURN + 6)},
        {"mem_used", BIT(AT_MEMORY)},
        {"fd_used", BIT(AT_DESCRIPTORS)},
        {"sockets_used", BIT(AT_SOCKETS)},
        {"disk_free", BIT(AT_DISK_FREE)},
        {"context_switches", BIT(AT_SWITCHES)},
        {"io_write_count", BIT(AT_WRITES)},
        {"io_write_bytes", BIT(AT_WRITE_OCTETS)},
        {"io_sync_count", BIT(AT_SYNCS)},
        {"disk_writes", BIT(AT_RECORDS)},
        {"queue_index_write_count", BIT(AT_RECORDS)},
        {"disk_reads", BIT(AT_FETCHES)},
        {"msg_store_read_count", BIT(AT_FETCHES)},
    };

    ADD(request, stats_key_of_node(), object, RANGE_NODE, fields);
}
