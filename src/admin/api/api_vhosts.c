/* SPDX-License-Identifier: Apache-2.0 */
/* Vhosts (management-http-api.md 3.9). */
#include <stdlib.h>
#include <string.h>

#include "admin/access.h"
#include "admin/changing.h"
#include "admin/json.h"
#include "admin/listing.h"
#include "admin/router.h"
#include "admin/stats/stats.h"
#include "coney/node_access.h"
#include "coney/queue_options.h"
#include "coney/sessions.h"
#include "coney/survey.h"
#include "coney/vhosts.h"
#include "coney/visit.h"

/* ---- rows ---- */

static void survey(struct vhost *vhost, void *argument)
{
    survey_vhost(vhost, argument);
}

static void put(json_t *object, const char *name, json_t *value)
{
    json_object_set_new_nocheck(object, name, value);
}

static void put_count(json_t *out, const char *name, const char *details, uint64_t value)
{
    put(out, name, json_integer((json_int_t)value));
    put(out, details, json_rate(0));
}

/* A member of what was kept of the vhost, be it in `metadata` as RabbitMQ 4 exports it or beside. */
static json_t *kept(json_t *entry, const char *name)
{
    json_t *value = json_object_get(json_object_get(entry, "metadata"), name);

    return value ? value : json_object_get(entry, name);
}

/* Tags came as an array or as words between commas. */
static json_t *tags_of(json_t *entry)
{
    json_t *tags = kept(entry, "tags"), *out = json_array();
    const char *text = json_string_value(tags);

    if (json_is_array(tags)) {
        json_decref(out);
        return json_incref(tags);
    }
    while (text && *text) {
        size_t size = strcspn(text, ",");

        if (size)
            json_array_append_new(out, json_stringn(text, size));
        text += size;
        text += *text == ',';
    }
    return out;
}

static void put_metadata(json_t *out, json_t *entry, const struct survey_vhost *state)
{
    json_t *description = kept(entry, "description"), *metadata = json_object();
    json_t *type = json_string(queue_type_name(state->default_queue_type));

    put(out, "description", json_is_string(description) ? json_incref(description) : json_string(""));
    put(out, "tags", tags_of(entry));
    put(out, "default_queue_type", type);
    put(out, "protected_from_deletion", json_boolean(json_is_true(kept(entry, "protected_from_deletion"))));
    json_object_set(metadata, "description", json_object_get(out, "description"));
    json_object_set(metadata, "tags", json_object_get(out, "tags"));
    json_object_set(metadata, "default_queue_type", type);
    put(out, "metadata", metadata);
}

static json_t *vhost_json(struct request *request, struct bytes name)
{
    json_t *entry = vhosts_entry(request->server, name), *out = json_object();
    struct session_octets octets = sessions_octets(request->server, name);
    uint64_t key = stats_key(STATS_VHOST, name, (struct bytes){NULL, 0});
    struct survey_vhost state = {0};
    json_t *messages;

    if (!entry || visit_vhost(request->server, name, survey, &state) != VISIT_DONE) {
        json_decref(entry);
        json_decref(out);
        return NULL;
    }
    put(out, "name", json_text(name));
    put_metadata(out, entry, &state);
    put(out, "tracing", json_boolean(json_is_true(kept(entry, "tracing"))));
    put(out, "cluster_state", json_pack("{s:s}", node_name(request->server), "running"));
    put_count(out, "messages", "messages_details", state.ready + state.unacked);
    put_count(out, "messages_ready", "messages_ready_details", state.ready);
    put_count(out, "messages_unacknowledged", "messages_unacknowledged_details", state.unacked);
    put_count(out, "recv_oct", "recv_oct_details", octets.received);
    put_count(out, "send_oct", "send_oct_details", octets.sent);
    messages = json_message_stats(&state.counts.messages);
    stats_add_messages(request, key, messages);
    stats_add_lengths(request, key, out);
    stats_add_vhost_data(request, key, out);
    put(out, "message_stats", messages);
    json_decref(entry);
    return out;
}

/* ---- lists ---- */

static bool collect(struct listing *listing, const char *vhost)
{
    size_t count;
    char **names = visit_vhost_names(listing->request->server, &count);

    (void)vhost;
    for (size_t i = 0; i < count; i++) {
        struct bytes name = bytes_from_string(names[i]);

        if (access_is_monitor(listing->request) || access_has_vhost(listing->request, name))
            listing_add(listing, NULL, name, 0, 0);
        free(names[i]);
    }
    free((void *)names);
    return true;
}

static void fetch(struct listing *listing, const struct listing_key *keys, size_t count, json_t **rows)
{
    for (size_t i = 0; i < count; i++)
        rows[i] = vhost_json(listing->request, keys[i].name);
}

static const struct listing_source vhosts = {.collect = collect, .fetch = fetch, .is_of_node = true};

static void list(struct request *request)
{
    listing_run(request, &vhosts, NULL, (struct bytes){NULL, 0});
}

static void show(struct request *request)
{
    json_t *row = vhost_json(request, request_segment(request, 2));

    if (row)
        reply_json(request, 200, json_columns(row, request_query(request, "columns")));
    else
        reply_not_found(request);
}

/* ---- making and deleting ---- */

static bool check_entry(struct request *request, json_t *entry)
{
    const char *type = json_string_value(json_object_get(entry, "default_queue_type"));
    enum queue_type known;

    if (!type || strcmp(type, "undefined") == 0 || queue_type_from_name(bytes_from_string(type), &known))
        return true;
    reply_bad_request(request, "Unsupported default queue type: %s", type);
    return false;
}

/* Booleans may come as words. */
static void settle_booleans(json_t *entry)
{
    static const char *const names[] = {"tracing", "protected_from_deletion"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *word = json_string_value(json_object_get(entry, names[i]));

        if (word)
            json_object_set_new(entry, names[i], json_boolean(strcmp(word, "true") == 0));
    }
}

/* Put what SEGMENT names, and answer. */
static void put_entry(struct request *request, unsigned segment, const json_t *entry, struct bytes maker)
{
    switch (vhosts_put(request->server, request_segment(request, segment), entry, maker)) {
    case VHOSTS_MADE:
        reply_empty(request, 201);
        break;
    case VHOSTS_CHANGED:
        reply_empty(request, 204);
        break;
    case VHOSTS_FULL:
        reply_bad_request(request, "cannot create vhost '%s': vhost limit is reached",
                          request->segments[segment]);
        break;
    case VHOSTS_NOT_SAFE:
        reply_not_safe(request);
        break;
    default:
        reply_stopping(request);
    }
}

static void put_vhost(struct request *request)
{
    struct bytes maker = request->is_trusted ? (struct bytes){NULL, 0} : request->user.name;
    json_t *entry = request_json(request);

    if (!entry || !check_entry(request, entry))
        return;
    settle_booleans(entry);
    put_entry(request, 2, entry, maker);
}

static void delete_vhost(struct request *request)
{
    switch (vhosts_delete(request->server, request_segment(request, 2))) {
    case VHOSTS_DELETED:
        reply_empty(request, 204);
        break;
    case VHOSTS_PROTECTED:
        reply_error(request, 412, "precondition_failed",
                    "Cannot delete virtual host '%s': it is protected from deletion. To lift the protection, "
                    "inspect and update its metadata",
                    request->segments[2]);
        break;
    case VHOSTS_MISSING:
        reply_not_found(request);
        break;
    case VHOSTS_NOT_SAFE:
        reply_not_safe(request);
        break;
    default:
        reply_stopping(request);
    }
}

static void set_protection(struct request *request, bool on)
{
    json_t *entry = json_pack("{s:b}", "protected_from_deletion", on);

    put_entry(request, 2, entry, (struct bytes){NULL, 0});
    json_decref(entry);
}

static void set_tracing(struct request *request, bool on)
{
    struct bytes vhost = request_segment(request, 3);
    json_t *entry = json_pack("{s:b}", "tracing", on), *there = vhosts_entry(request->server, vhost);

    if (there)
        put_entry(request, 3, entry, (struct bytes){NULL, 0});
    else
        reply_not_found(request);
    json_decref(there);
    json_decref(entry);
}

static void trace_on(struct request *request)
{
    set_tracing(request, true);
}

static void trace_off(struct request *request)
{
    set_tracing(request, false);
}

static void protect(struct request *request)
{
    set_protection(request, true);
}

static void lift_protection(struct request *request)
{
    set_protection(request, false);
}

static void show_protection(struct request *request)
{
    json_t *entry = vhosts_entry(request->server, request_segment(request, 2));

    reply_json(request, 200,
               json_pack("{s:b}", "protected_from_deletion",
                         json_is_true(json_object_get(entry, "protected_from_deletion"))));
    json_decref(entry);
}

static void start(struct request *request)
{
    reply_empty(request, 204); /* it runs always */
}

const struct route routes_vhosts[] = {
    {"vhosts", {[VERB_GET] = {list, ACCESS_ANY}}},
    {"vhosts/:vhost",
     {[VERB_GET] = {show, ACCESS_ADMINISTRATOR},
      [VERB_PUT] = {put_vhost, ACCESS_ADMINISTRATOR},
      [VERB_DELETE] = {delete_vhost, ACCESS_ADMINISTRATOR}}},
    {"coney/trace/:vhost",
     {[VERB_PUT] = {trace_on, ACCESS_ADMINISTRATOR}, [VERB_DELETE] = {trace_off, ACCESS_ADMINISTRATOR}}},
    {"vhosts/:vhost/start/:node", {[VERB_POST] = {start, ACCESS_ADMINISTRATOR}}},
    {"vhosts/:vhost/deletion/protection",
     {[VERB_GET] = {show_protection, ACCESS_ADMINISTRATOR},
      [VERB_POST] = {protect, ACCESS_ADMINISTRATOR},
      [VERB_DELETE] = {lift_protection, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
