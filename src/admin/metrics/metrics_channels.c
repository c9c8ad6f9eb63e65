/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h: channels and connections. Channels are known to vhosts and connections' octets to loops; they
 * meet in the connection's serial number.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/clients.h"
#include "coney/hash.h"
#include "coney/sessions.h"
#include "coney/survey.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "metrics.h"

#define SLICE       256
#define SLICE_GROWS 64 /* a connection is never divided, and may have many channels */

/* ---- channels ---- */

enum channel_figure {
    CONSUMERS,
    UNACKED,
    UNCONFIRMED,
    UNCOMMITTED,
    ACKS_UNCOMMITTED,
    PREFETCH,
    PREFETCH_GLOBAL,
    NOTHING, /* what RabbitMQ has and coney has not */
    COUNTS,
    CHANNEL_FIGURES = COUNTS + MESSAGE_COUNTS,
};

#define COUNT(place) (COUNTS + COUNT_##place)

_Static_assert((int)CHANNEL_FIGURES <= METRIC_FIGURES_MAX, "room for every figure");

struct metric_channel_count {
    uint64_t serial; /* of the connection */
    uint64_t channels;
    UT_hash_handle hh;
};

struct seen_channel {
    struct session_name connection;
    uint16_t number;
    uint64_t figures[CHANNEL_FIGURES];
};

struct collecting {
    struct metrics_walk walk;
    struct metrics *metrics;
    struct seen_channel *seen;
    size_t count, capacity;
};

static void copy_channel(void *context, const struct survey_channel *channel)
{
    struct collecting *collecting = context;
    struct seen_channel *seen;

    if (collecting->count == collecting->capacity) {
        collecting->capacity = collecting->capacity * 2 + SLICE_GROWS;
        collecting->seen = xrealloc(collecting->seen, collecting->capacity * sizeof *collecting->seen);
    }
    seen = &collecting->seen[collecting->count++];
    session_name_of(channel->owner, &seen->connection);
    seen->number = channel->number;
    seen->figures[CONSUMERS] = channel->consumers;
    seen->figures[UNACKED] = channel->unacked;
    seen->figures[UNCONFIRMED] = channel->unconfirmed;
    seen->figures[UNCOMMITTED] = channel->uncommitted;
    seen->figures[ACKS_UNCOMMITTED] = channel->acks_uncommitted;
    seen->figures[PREFETCH] = channel->prefetch;
    seen->figures[PREFETCH_GLOBAL] = channel->prefetch_global;
    seen->figures[NOTHING] = 0;
    memcpy(&seen->figures[COUNTS], channel->counts, sizeof *channel->counts);
}

static void copy_channels(struct vhost *vhost, void *argument)
{
    struct metrics_walk *walk = argument;

    walk->has_more = survey_channels(vhost, &walk->place, SLICE, copy_channel, walk);
}

static void count_channel(struct metrics *metrics, uint64_t serial)
{
    struct metric_channel_count *count;

    HASH_FIND(hh, metrics->channel_counts, &serial, sizeof serial, count);
    if (!count) {
        count = xcalloc(1, sizeof *count);
        count->serial = serial;
        HASH_ADD(hh, metrics->channel_counts, serial, sizeof count->serial, count);
    }
    count->channels++;
}

static const char *channel_labels(struct metrics *metrics, const struct seen_channel *seen, const char *vhost)
{
    char name[CHANNEL_NAME_SIZE];

    return metrics_label(&metrics->channels.arena, vhost, "channel",
                         bytes_from_string(channel_name_text(&seen->connection, seen->number, name)));
}

static void take_channels(struct metrics_walk *walk, const char *vhost)
{
    struct collecting *collecting = (struct collecting *)walk;
    struct metrics *metrics = collecting->metrics;

    for (size_t i = 0; i < collecting->count; i++) {
        const struct seen_channel *seen = &collecting->seen[i];
        const char *labels = metrics->channels.is_summed ? NULL : channel_labels(metrics, seen, vhost);

        metrics->publishers += seen->figures[COUNT(PUBLISH)] != 0;
        metric_rows_take(&metrics->channels, labels, seen->figures);
        if (!metrics->channels.is_summed)
            count_channel(metrics, seen->connection.serial);
    }
    collecting->count = 0;
}

bool metrics_collect_channels(struct metrics *metrics)
{
    struct collecting collecting = {.walk = {.copy = copy_channels, .take = take_channels},
                                    .metrics = metrics};
    bool done;

    metrics->channels.figures = CHANNEL_FIGURES;
    done = metrics_walk_vhosts(metrics, &collecting.walk, &metrics->channels.arena);
    free(collecting.seen);
    return done;
}

/* ---- connections ---- */

enum connection_figure {
    RECEIVED_OCTETS,
    SENT_OCTETS,
    NO_REDUCTIONS,
    RECEIVED,
    SENT,
    IS_WRITING,
    CHANNELS,
    CONNECTION_FIGURES,
};

struct seen_connection {
    struct session_name name;
    bool is_wanted;
    uint64_t figures[CONNECTION_FIGURES];
};

struct looking {
    struct metrics *metrics;
    uint32_t place;
    bool has_more;
    struct seen_connection seen[SLICE];
    size_t count;
};

static bool is_looked_at(const struct metrics *metrics, struct bytes vhost)
{
    for (size_t i = 0; i < metrics->vhost_count; i++)
        if (bytes_equal_string(vhost, metrics->vhosts[i]))
            return true;
    return !metrics->has_vhost_filter;
}

static void copy_connection(void *context, const struct session_view *view)
{
    struct looking *looking = context;
    struct seen_connection *seen = &looking->seen[looking->count++];

    seen->name = view->name;
    seen->is_wanted = view->vhost.size && is_looked_at(looking->metrics, view->vhost);
    seen->figures[RECEIVED_OCTETS] = view->recv_octets;
    seen->figures[SENT_OCTETS] = view->send_octets;
    seen->figures[NO_REDUCTIONS] = 0;
    seen->figures[RECEIVED] = view->recv_count;
    seen->figures[SENT] = view->send_count;
    seen->figures[IS_WRITING] = view->is_writing;
    seen->figures[CHANNELS] = 0;
}

static void copy_connections(struct loop *loop, void *argument)
{
    struct looking *looking = argument;

    looking->has_more = sessions_show(loop, &looking->place, SLICE, copy_connection, looking);
}

static uint64_t channels_of(const struct metrics *metrics, uint64_t serial)
{
    const struct metric_channel_count *count;

    HASH_FIND(hh, metrics->channel_counts, &serial, sizeof serial, count);
    return count ? count->channels : 0;
}

/* RabbitMQ 3 calls the label of a connection "channel". */
static const char *connection_labels(struct metrics *metrics, const struct session_name *connection)
{
    char text[SESSION_NAME_SIZE];
    struct bytes name = bytes_from_string(session_name_text(connection, text));
    struct arena *arena = &metrics->connections.arena;

    return metrics_label(arena, metrics_label(arena, "", "channel", name), "connection", name);
}

static void take_connections(struct looking *looking)
{
    struct metrics *metrics = looking->metrics;

    for (size_t i = 0; i < looking->count; i++) {
        struct seen_connection *seen = &looking->seen[i];
        const char *labels = NULL;

        if (!seen->is_wanted)
            continue;
        if (!metrics->connections.is_summed) {
            labels = connection_labels(metrics, &seen->name);
            seen->figures[CHANNELS] = channels_of(metrics, seen->name.serial);
        }
        metric_rows_take(&metrics->connections, labels, seen->figures);
    }
    looking->count = 0;
}

bool metrics_collect_connections(struct metrics *metrics)
{
    struct looking *looking = xcalloc(1, sizeof *looking);
    bool done = true;

    looking->metrics = metrics;
    metrics->connections.figures = CONNECTION_FIGURES;
    for (unsigned i = 0; done && i < sessions_loop_count(metrics->server); i++) {
        looking->place = 0;
        looking->has_more = true;
        while (done && looking->has_more) {
            done = visit_loop(metrics->server, i, copy_connections, looking) == VISIT_DONE;
            take_connections(looking);
        }
    }
    if (metrics->connections.is_summed)
        metrics->connections.sums[CHANNELS] = metrics->totals.channels;
    free(looking);
    return done;
}

void metrics_forget_channel_counts(struct metrics *metrics)
{
    struct metric_channel_count *count, *next;

    HASH_ITER (hh, metrics->channel_counts, count, next) {
        HASH_DEL(metrics->channel_counts, count);
        free(count);
    }
}

/* ---- lines ---- */

#define PROCESS  FAMILY_CHANNEL_PROCESS
#define EXCHANGE FAMILY_CHANNEL_EXCHANGE
#define QUEUE    FAMILY_CHANNEL_QUEUE

static const struct metric_line channel_lines[] = {
    METRIC_LINE(FAMILY_CHANNEL, CONSUMERS, METRIC_GAUGE, "channel_consumers", "Consumers on a channel"),
    METRIC_LINE(FAMILY_CHANNEL, UNACKED, METRIC_GAUGE, "channel_messages_unacked",
                "Messages delivered and not acknowledged"),
    METRIC_LINE(FAMILY_CHANNEL, UNCONFIRMED, METRIC_GAUGE, "channel_messages_unconfirmed",
                "Messages published and not confirmed"),
    METRIC_LINE(FAMILY_CHANNEL, UNCOMMITTED, METRIC_GAUGE, "channel_messages_uncommitted",
                "Messages published in a transaction that is not committed"),
    METRIC_LINE(FAMILY_CHANNEL, ACKS_UNCOMMITTED, METRIC_GAUGE, "channel_acks_uncommitted",
                "Acknowledgements in a transaction that is not committed"),
    METRIC_LINE(FAMILY_CHANNEL, PREFETCH, METRIC_GAUGE, "consumer_prefetch",
                "Limit of unacknowledged messages for each consumer"),
    METRIC_LINE(FAMILY_CHANNEL, PREFETCH_GLOBAL, METRIC_GAUGE, "channel_prefetch",
                "Limit of unacknowledged messages for all consumers of a channel"),
    METRIC_LINE(EXCHANGE, COUNT(PUBLISH), METRIC_COUNTER, "channel_messages_published_total",
                "Messages published"),
    METRIC_LINE(EXCHANGE, COUNT(CONFIRM), METRIC_COUNTER, "channel_messages_confirmed_total",
                "Messages published and confirmed"),
    METRIC_LINE(EXCHANGE, COUNT(RETURN), METRIC_COUNTER, "channel_messages_unroutable_returned_total",
                "Mandatory messages that no queue took, returned"),
    METRIC_LINE(EXCHANGE, COUNT(DROP), METRIC_COUNTER, "channel_messages_unroutable_dropped_total",
                "Messages that no queue took, dropped"),
    METRIC_LINE(PROCESS, NOTHING, METRIC_COUNTER, "channel_process_reductions_total",
                "Always 0: no Erlang here"),
    METRIC_LINE(QUEUE, COUNT(GET), METRIC_COUNTER, "channel_get_ack_total",
                "Messages taken by basic.get, to be acknowledged"),
    METRIC_LINE(QUEUE, COUNT(GET_NO_ACK), METRIC_COUNTER, "channel_get_total",
                "Messages taken by basic.get without acknowledgement"),
    METRIC_LINE(QUEUE, COUNT(DELIVER), METRIC_COUNTER, "channel_messages_delivered_ack_total",
                "Messages delivered to consumers that acknowledge"),
    METRIC_LINE(QUEUE, COUNT(DELIVER_NO_ACK), METRIC_COUNTER, "channel_messages_delivered_total",
                "Messages delivered to consumers that do not acknowledge"),
    METRIC_LINE(QUEUE, COUNT(REDELIVER), METRIC_COUNTER, "channel_messages_redelivered_total",
                "Messages delivered, not for the first time"),
    METRIC_LINE(QUEUE, COUNT(ACK), METRIC_COUNTER, "channel_messages_acked_total", "Messages acknowledged"),
    METRIC_LINE(QUEUE, COUNT(GET_EMPTY), METRIC_COUNTER, "channel_get_empty_total",
                "basic.get that found nothing"),
    METRIC_LINES_END,
};

#define COARSE FAMILY_CONNECTION_COARSE

static const struct metric_line connection_lines[] = {
    METRIC_LINE(COARSE, RECEIVED_OCTETS, METRIC_COUNTER, "connection_incoming_bytes_total",
                "Octets received"),
    METRIC_LINE(COARSE, SENT_OCTETS, METRIC_COUNTER, "connection_outgoing_bytes_total", "Octets sent"),
    METRIC_LINE(COARSE, NO_REDUCTIONS, METRIC_COUNTER, "connection_process_reductions_total",
                "Always 0: no Erlang here"),
    METRIC_LINE(FAMILY_CONNECTION, RECEIVED, METRIC_COUNTER, "connection_incoming_packets_total",
                "Reads of the socket"),
    METRIC_LINE(FAMILY_CONNECTION, SENT, METRIC_COUNTER, "connection_outgoing_packets_total",
                "Writes to the socket"),
    METRIC_LINE(FAMILY_CONNECTION, IS_WRITING, METRIC_GAUGE, "connection_pending_packets",
                "1: the socket does not take all there is"),
    METRIC_LINE(FAMILY_CONNECTION, CHANNELS, METRIC_GAUGE, "connection_channels", "Channels on a connection"),
    METRIC_LINES_END,
};

void metrics_put_channels(struct metrics *metrics)
{
    metrics_are_rabbits(metrics);
    metric_rows_put(&metrics->text, &metrics->channels, channel_lines, metrics->families);
}

void metrics_put_connections(struct metrics *metrics)
{
    metrics_are_rabbits(metrics);
    metric_rows_put(&metrics->text, &metrics->connections, connection_lines, metrics->families);
}
