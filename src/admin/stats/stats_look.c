/* SPDX-License-Identifier: Apache-2.0 */
/* stats_fields.h: everything is looked at once, slice by slice. */
#include <stdlib.h>
#include <string.h>

#include "coney/node_stats.h"
#include "coney/sessions.h"
#include "coney/survey.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "stats_fields.h"

#define SLICE 256

/* One thing, as it was seen. */
struct sample {
    uint64_t key;
    uint16_t width;
    uint64_t values[VHOST_VALUES];
};

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
        kept_note(&stats->kept, looking->samples[i].key, looking->samples[i].values,
                  looking->samples[i].width);
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

    if (!node_totals(stats->server, &totals, NULL))
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

void stats_look(struct stats *stats)
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
        kept_note(&stats->kept, stats_key_of_node(), node, NODE_VALUES);
    kept_end_tick(&stats->kept);
    pthread_mutex_unlock(&stats->mutex);
}
