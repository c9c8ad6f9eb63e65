/* SPDX-License-Identifier: Apache-2.0 */
/* Channels and consumers (management-http-api.md 3.4, 3.5): all of them are in vhosts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/access.h"
#include "admin/clients.h"
#include "admin/consumers.h"
#include "admin/json.h"
#include "admin/listing.h"
#include "admin/router.h"
#include "admin/stats/stats.h"
#include "coney/node_access.h"
#include "coney/visit.h"
#include "coney/xalloc.h"

/* ---- inside a vhost: copy, no more ---- */

struct channel_row {
    bool is_there;
    struct survey_channel channel; /* the user is the arena's */
    struct message_counts counts;
    struct session_name connection;
};

/* A slice of what is listed: names are made of it outside. */
struct seen {
    struct session_name connection;
    uint64_t id;
    uint16_t channel;
    struct bytes tag; /* the listing's */
};

struct collecting {
    struct listing *listing;
    uint32_t place;
    bool has_more;
    struct seen *seen;
    size_t count, capacity;
};

static struct seen *see(struct collecting *collecting)
{
    if (collecting->count == collecting->capacity) {
        collecting->capacity = collecting->capacity * 2 + LISTING_SLICE;
        collecting->seen = xrealloc(collecting->seen, collecting->capacity * sizeof *collecting->seen);
    }
    return &collecting->seen[collecting->count++];
}

static void note_channel(void *context, const struct survey_channel *channel)
{
    struct collecting *collecting = context;
    struct seen *seen;

    if (!may_see_client(collecting->listing->request, channel->user))
        return;
    seen = see(collecting);
    *seen = (struct seen){.id = channel->connection, .channel = channel->number};
    session_name_of(channel->owner, &seen->connection);
}

static void note_consumer(void *context, const struct survey_consumer *consumer)
{
    struct collecting *collecting = context;
    struct seen *seen;

    if (!may_see_client(collecting->listing->request, consumer->user))
        return;
    seen = see(collecting);
    *seen = (struct seen){.id = consumer->connection,
                          .channel = consumer->channel,
                          .tag = arena_copy(&collecting->listing->arena, consumer->tag)};
}

static void collect_channels(struct vhost *vhost, void *argument)
{
    struct collecting *collecting = argument;

    collecting->has_more =
        survey_channels(vhost, &collecting->place, LISTING_SLICE, note_channel, collecting);
}

static void collect_consumers(struct vhost *vhost, void *argument)
{
    struct collecting *collecting = argument;

    collecting->has_more =
        survey_consumers(vhost, &collecting->place, LISTING_SLICE, note_consumer, collecting);
}

static void collect_of_connection(struct vhost *vhost, void *argument)
{
    struct collecting *collecting = argument;
    uint64_t connection;

    memcpy(&connection, collecting->listing->argument.data, sizeof connection);
    survey_channels_of(vhost, connection, note_channel, collecting);
    collecting->has_more = false;
}

struct fetching {
    struct arena arena;
    const struct listing_key *keys;
    size_t count;
    struct channel_row *channels, *channel;
    struct consumer_row *consumers, *consumer;
    size_t consumers_max;
};

static void copy_channel(void *context, const struct survey_channel *channel)
{
    struct fetching *fetching = context;
    struct channel_row *row = fetching->channel;

    *row = (struct channel_row){.is_there = true, .channel = *channel, .counts = *channel->counts};
    row->channel.user = arena_copy(&fetching->arena, channel->user);
    session_name_of(channel->owner, &row->connection);
}

static void copy_consumer(void *context, const struct survey_consumer *consumer)
{
    struct fetching *fetching = context;

    consumer_copy(fetching->consumer, &fetching->arena, consumer);
}

static void fetch_channels(struct vhost *vhost, void *argument)
{
    struct fetching *fetching = argument;

    for (size_t i = 0; i < fetching->count; i++) {
        const struct listing_key *key = &fetching->keys[i];

        fetching->channel = &fetching->channels[i];
        survey_channel(vhost, key->id, (uint16_t)key->number, copy_channel, fetching);
    }
}

static void fetch_consumers(struct vhost *vhost, void *argument)
{
    struct fetching *fetching = argument;

    for (size_t i = 0; i < fetching->count; i++) {
        const struct listing_key *key = &fetching->keys[i];

        fetching->consumer = &fetching->consumers[i];
        survey_consumer(vhost, key->id, (uint16_t)key->number, key->name, copy_consumer, fetching);
    }
}

/* One more row of a list that is as long as it is. */
static void add_consumer(void *context, const struct survey_consumer *consumer)
{
    struct fetching *fetching = context;

    if (fetching->count == fetching->consumers_max) {
        fetching->consumers_max = fetching->consumers_max * 2 + 16;
        fetching->consumers =
            xrealloc(fetching->consumers, fetching->consumers_max * sizeof *fetching->consumers);
    }
    fetching->consumer = &fetching->consumers[fetching->count++];
    copy_consumer(fetching, consumer);
}

#define CONSUMERS_SHOWN 1000 /* of one channel */

static void fetch_of_channel(struct vhost *vhost, void *argument)
{
    struct fetching *fetching = argument;

    survey_consumers_of_channel(vhost, fetching->keys->id, (uint16_t)fetching->keys->number, CONSUMERS_SHOWN,
                                add_consumer, fetching);
}

/* ---- outside: rows ---- */

static json_t *channel_json(struct request *request, const char *vhost, const struct channel_row *row)
{
    const struct survey_channel *channel = &row->channel;
    char name[CHANNEL_NAME_SIZE];
    json_t *out = json_object(), *messages = json_message_stats(&row->counts);

    json_put(out, "name", json_string(channel_name_text(&row->connection, channel->number, name)));
    json_put(out, "pid", pid_json(request, row->connection.serial, channel->number));
    json_put_count(out, "number", channel->number);
    json_put(out, "node", json_string(node_name(request->server)));
    json_put(out, "user", json_text(channel->user));
    json_put(out, "user_who_performed_action", json_text(channel->user));
    json_put(out, "vhost", json_text(bytes_from_string(vhost)));
    json_put(out, "connection_details", connection_details(request, &row->connection));
    json_put(out, "state", json_string(channel->is_closing ? "closing" : "running"));
    json_put(out, "transactional", json_boolean(channel->is_transactional));
    json_put(out, "confirm", json_boolean(channel->is_confirming));
    json_put_count(out, "consumer_count", channel->consumers);
    json_put_count(out, "messages_unacknowledged", channel->unacked);
    json_put_count(out, "messages_unconfirmed", channel->unconfirmed);
    json_put_count(out, "messages_uncommitted", channel->uncommitted);
    json_put_count(out, "acks_uncommitted", channel->acks_uncommitted);
    json_put_count(out, "pending_raft_commands", 0);
    json_put_count(out, "prefetch_count", channel->prefetch);
    json_put_count(out, "global_prefetch_count", channel->prefetch_global);
    put_process(out);
    if (json_object_size(messages)) {
        stats_add_messages(request, stats_key_of_channel(row->connection.serial, channel->number), messages);
        json_put(out, "message_stats", messages);
    } else {
        json_decref(messages);
    }
    return out;
}

static json_t *consumers_json(struct request *request, const char *vhost, struct fetching *fetching)
{
    json_t *out = json_array();

    for (size_t i = 0; i < fetching->count; i++)
        json_array_append_new(out, consumer_json(request, vhost, &fetching->consumers[i]));
    free(fetching->consumers);
    arena_clear(&fetching->arena);
    return out;
}

/* ---- lists ---- */

static void add_seen(struct collecting *collecting, const char *vhost)
{
    for (size_t i = 0; i < collecting->count; i++) {
        const struct seen *seen = &collecting->seen[i];
        char name[CHANNEL_NAME_SIZE];

        if (seen->tag.data)
            listing_add(collecting->listing, vhost, seen->tag, seen->id, seen->channel);
        else
            listing_add(collecting->listing, vhost,
                        bytes_from_string(channel_name_text(&seen->connection, seen->channel, name)),
                        seen->id, seen->channel);
    }
    collecting->count = 0;
}

static bool collect_in(struct listing *listing, const char *vhost,
                       void (*work)(struct vhost *vhost, void *argument))
{
    struct collecting collecting = {.listing = listing};
    enum visit_result result = VISIT_DONE;

    do {
        collecting.has_more = false;
        result = visit_vhost(listing->request->server, bytes_from_string(vhost), work, &collecting);
        add_seen(&collecting, vhost);
    } while (result == VISIT_DONE && collecting.has_more);
    free(collecting.seen);
    if (result == VISIT_STOPPING)
        reply_stopping(listing->request);
    return result != VISIT_STOPPING;
}

/* In all vhosts: whoever may see a client may, whatever the vhost. */
static bool collect_everywhere(struct listing *listing, void (*work)(struct vhost *vhost, void *argument))
{
    size_t count;
    char **names = visit_vhost_names(listing->request->server, &count);
    bool done = true;

    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(names[i]) + 1;

        if (done)
            done = collect_in(
                listing,
                (const char *)arena_copy(&listing->arena, (struct bytes){(uint8_t *)names[i], size}).data,
                work);
        free(names[i]);
    }
    free((void *)names);
    return done;
}

static bool collect_all_channels(struct listing *listing, const char *vhost)
{
    return vhost ? collect_in(listing, vhost, collect_channels)
                 : collect_everywhere(listing, collect_channels);
}

static bool collect_all_consumers(struct listing *listing, const char *vhost)
{
    return vhost ? collect_in(listing, vhost, collect_consumers)
                 : collect_everywhere(listing, collect_consumers);
}

static bool collect_connection(struct listing *listing, const char *vhost)
{
    return collect_in(listing, vhost, collect_of_connection);
}

static void fetch_channel_rows(struct listing *listing, const struct listing_key *keys, size_t count,
                               json_t **rows)
{
    struct fetching fetching = {.keys = keys, .count = count};

    fetching.channels = xcalloc(count, sizeof *fetching.channels);
    visit_vhost(listing->request->server, bytes_from_string(keys->vhost), fetch_channels, &fetching);
    for (size_t i = 0; i < count; i++)
        rows[i] = fetching.channels[i].is_there
                      ? channel_json(listing->request, keys->vhost, &fetching.channels[i])
                      : NULL;
    free(fetching.channels);
    arena_clear(&fetching.arena);
}

static void fetch_consumer_rows(struct listing *listing, const struct listing_key *keys, size_t count,
                                json_t **rows)
{
    struct fetching fetching = {.keys = keys, .count = count};

    fetching.consumers = xcalloc(count, sizeof *fetching.consumers);
    visit_vhost(listing->request->server, bytes_from_string(keys->vhost), fetch_consumers, &fetching);
    for (size_t i = 0; i < count; i++)
        rows[i] = fetching.consumers[i].session.serial
                      ? consumer_json(listing->request, keys->vhost, &fetching.consumers[i])
                      : NULL;
    free(fetching.consumers);
    arena_clear(&fetching.arena);
}

static const struct listing_source channels = {
    .collect = collect_all_channels, .fetch = fetch_channel_rows, .is_of_node = true};
static const struct listing_source channels_of_connection = {
    .collect = collect_connection, .fetch = fetch_channel_rows, .is_of_node = true};
static const struct listing_source consumers = {
    .collect = collect_all_consumers, .fetch = fetch_consumer_rows, .is_of_node = true, .is_not_paged = true};

static void list_channels(struct request *request)
{
    listing_run(request, &channels, NULL, (struct bytes){NULL, 0});
}

static void list_channels_in_vhost(struct request *request)
{
    listing_run(request, &channels, request->segments[2], (struct bytes){NULL, 0});
}

static void list_consumers(struct request *request)
{
    listing_run(request, &consumers, NULL, (struct bytes){NULL, 0});
}

static void list_consumers_in_vhost(struct request *request)
{
    listing_run(request, &consumers, request->segments[2], (struct bytes){NULL, 0});
}

void list_channels_of(struct request *request, struct bytes vhost, uint64_t connection)
{
    char *name = xstrndup(vhost.data, vhost.size);

    listing_run(request, &channels_of_connection, name,
                (struct bytes){(const uint8_t *)&connection, sizeof connection});
    free(name);
}

/* ---- one channel ---- */

/* The key of the channel that the path names: LISTING has all that the node has. */
static const struct listing_key *find(const struct listing *listing, struct bytes name)
{
    for (size_t i = 0; i < listing->count; i++)
        if (bytes_equal(listing->keys[i].name, name))
            return &listing->keys[i];
    return NULL;
}

static json_t *channel_in_full(struct listing *listing, const struct listing_key *key)
{
    struct fetching fetching = {.keys = key};
    struct bytes vhost = bytes_from_string(key->vhost);
    json_t *row = NULL;

    fetch_channel_rows(listing, key, 1, &row);
    if (!row)
        return NULL;
    visit_vhost(listing->request->server, vhost, fetch_of_channel, &fetching);
    json_put(row, "consumer_details", consumers_json(listing->request, key->vhost, &fetching));
    json_put(row, "publishes", json_array());
    json_put(row, "deliveries", json_array());
    return row;
}

static void show_channel(struct request *request)
{
    struct listing listing = {.request = request};
    const struct listing_key *key;

    if (collect_all_channels(&listing, NULL)) {
        key = find(&listing, request_segment(request, 2));
        reply_row(request, key ? channel_in_full(&listing, key) : NULL);
    }
    listing_clear(&listing);
}

const struct route routes_channels[] = {
    {"channels", {[VERB_GET] = {list_channels, ACCESS_ANY}}},
    {"channels/:name", {[VERB_GET] = {show_channel, ACCESS_ANY}}},
    {"vhosts/:vhost/channels", {[VERB_GET] = {list_channels_in_vhost, ACCESS_VHOST}}},
    {"consumers", {[VERB_GET] = {list_consumers, ACCESS_ANY}}},
    {"consumers/:vhost", {[VERB_GET] = {list_consumers_in_vhost, ACCESS_VHOST_ANY}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
