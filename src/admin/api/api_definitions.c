/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions, of the node and of a vhost (management-http-api.md section 4). The export is sent as it is
 * made, a slice of a vhost's queues, exchanges or bindings at a time, in the shape that RabbitMQ imports; it
 * is no snapshot: what is made or deleted meanwhile is in it or not.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_fields.h"
#include "admin/bindings.h"
#include "admin/changing.h"
#include "admin/http/multipart.h"
#include "admin/json.h"
#include "admin/listing.h"
#include "admin/parameters_json.h"
#include "admin/policies.h"
#include "admin/rights.h"
#include "admin/router.h"
#include "admin/user_json.h"
#include "coney/config.h"
#include "coney/node_access.h"
#include "coney/survey.h"
#include "coney/vhosts.h"
#include "coney/visit.h"

#define PART_SIZE (32 << 10)

/* ---- writing ---- */

struct export
{
    struct request *request;
    char **vhosts;
    size_t vhost_count;
    bool is_of_vhost; /* entries of topology do not name it */
    bool is_first;    /* of a list */
    bool is_gone;     /* the client */
};

static void begin_list(struct export *out, const char *name)
{
    evbuffer_add_printf(out->request->out, ",\"%s\":[", name);
    out->is_first = true;
}

static void end_list(const struct export *out)
{
    evbuffer_add(out->request->out, "]", 1);
}

/* ROW is given back. */
static void add(struct export *out, json_t *row)
{
    struct evbuffer *to = out->request->out;

    evbuffer_add(to, ",", !out->is_first);
    out->is_first = false;
    json_write(to, row);
    json_decref(row);
    if (!out->is_gone && evbuffer_get_length(to) > PART_SIZE)
        out->is_gone = !reply_part(out->request);
}

/* All of ROWS, which is given back. */
static void add_all(struct export *out, json_t *rows)
{
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        add(out, json_incref(row));
    }
    json_decref(rows);
}

static void each_vhost(struct export *out, const char *list,
                       void (*add_those_of)(struct export *out, const char *vhost))
{
    begin_list(out, list);
    for (size_t i = 0; i < out->vhost_count && !out->is_gone; i++)
        add_those_of(out, out->vhosts[i]);
    end_list(out);
}

/* ---- who and what may ---- */

static void add_users(struct export *out)
{
    size_t count;
    struct user_info *users = users_list(node_users(out->request->server), &count);

    begin_list(out, "users");
    for (size_t i = 0; i < count; i++) {
        add(out, user_json(&users[i]));
        user_info_free(&users[i]);
    }
    end_list(out);
    free(users);
}

static void add_vhost(struct export *out, const char *vhost)
{
    json_t *entry = vhosts_entry(out->request->server, bytes_from_string(vhost)), *tags;

    if (!entry)
        return;
    if (json_is_string(json_object_get(entry, "tags")) &&
        body_words(out->request, json_object_get(entry, "tags"), "tags", &tags))
        json_object_set_new(entry, "tags", tags);
    add(out, entry);
}

static void add_rights(struct export *out, const char *vhost, bool are_topics)
{
    struct bytes name = bytes_from_string(vhost);
    struct rights rights;

    rights_get(&rights, out->request->server, name, are_topics);
    for (size_t i = 0; i < rights.count; i++)
        add(out, right_json(&rights, &rights.items[i], name));
    rights_free(&rights);
}

static void add_permissions(struct export *out, const char *vhost)
{
    add_rights(out, vhost, false);
}

static void add_topic_permissions(struct export *out, const char *vhost)
{
    add_rights(out, vhost, true);
}

static void add_parameters(struct export *out, const char *vhost)
{
    add_all(out, parameters_json(out->request->server, bytes_from_string(vhost), (struct bytes){NULL, 0}));
}

static void add_policies(struct export *out, const char *vhost)
{
    add_all(out, policies_json(out->request->server, bytes_from_string(vhost), POLICY_USER,
                               (struct bytes){NULL, 0}));
}

/* ---- topology: copied inside the vhost ---- */

struct thing {
    struct bytes name, type, arguments, source, key;
    bool durable, auto_delete, internal, to_exchange;
};

struct slice {
    struct vhost *vhost;
    struct survey_cursor cursor;
    struct arena arena;
    struct thing things[LISTING_SLICE];
    size_t count;
};

static struct thing *thing_new(struct slice *slice, struct bytes name, struct bytes arguments)
{
    struct thing *thing = &slice->things[slice->count++];

    *thing = (struct thing){.name = arena_copy(&slice->arena, name),
                            .arguments = arena_copy(&slice->arena, arguments)};
    return thing;
}

/* What goes with its connection, or with the node, is not defined. */
static bool queue_lasts(const struct survey_queue *queue)
{
    return queue->durable && !queue->exclusive;
}

static void note_queue(void *context, const struct survey_queue *queue)
{
    struct thing *thing;

    if (!queue_lasts(queue))
        return;
    thing = thing_new(context, queue->name, queue->arguments);
    thing->type = bytes_from_string(queue_type_name(queue->options->type));
    thing->durable = queue->durable;
    thing->auto_delete = queue->auto_delete;
}

static void note_exchange(void *context, const struct survey_exchange *exchange)
{
    struct thing *thing;

    if (exchange_is_brokers(exchange->name))
        return;
    thing = thing_new(context, exchange->name, exchange->arguments);
    thing->type = bytes_from_string(exchange->type);
    thing->durable = exchange->durable;
    thing->auto_delete = exchange->auto_delete;
    thing->internal = exchange->internal;
}

static void note_lasts(void *context, const struct survey_queue *queue)
{
    *(bool *)context = queue_lasts(queue);
}

static void note_binding(void *context, const struct survey_binding *binding)
{
    struct slice *slice = context;
    bool lasts = binding->to_exchange;
    struct thing *thing;

    if (!lasts)
        survey_queue(slice->vhost, binding->destination, note_lasts, &lasts);
    if (!lasts || !binding->source.size)
        return;
    thing = thing_new(slice, binding->destination, binding->arguments);
    thing->source = arena_copy(&slice->arena, binding->source);
    thing->key = arena_copy(&slice->arena, binding->routing_key);
    thing->to_exchange = binding->to_exchange;
}

static void copy_slice(struct vhost *vhost, void *argument)
{
    struct slice *slice = argument;

    slice->vhost = vhost;
    if (slice->cursor.of == SURVEY_QUEUES)
        survey_queues(vhost, &slice->cursor, LISTING_SLICE, note_queue, slice);
    else if (slice->cursor.of == SURVEY_EXCHANGES)
        survey_exchanges(vhost, &slice->cursor, LISTING_SLICE, note_exchange, slice);
    else
        survey_bindings(vhost, &slice->cursor, LISTING_SLICE, note_binding, slice);
}

static void leave(struct vhost *vhost, void *argument)
{
    struct slice *slice = argument;

    survey_end(vhost, &slice->cursor);
}

/* ---- ... and made into entries outside ---- */

static json_t *topology_entry(const struct export *out, const char *vhost)
{
    json_t *entry = json_object();

    if (!out->is_of_vhost)
        json_object_set_new(entry, "vhost", json_text(bytes_from_string(vhost)));
    return entry;
}

static void add_thing(struct export *out, const char *vhost, const struct thing *thing, enum survey_of of)
{
    json_t *entry = topology_entry(out, vhost);

    json_object_set_new(entry, of == SURVEY_BINDINGS ? "destination" : "name", json_text(thing->name));
    json_object_set_new(entry, "arguments", json_table(thing->arguments));
    if (of == SURVEY_BINDINGS) {
        json_object_set_new(entry, "source", json_text(thing->source));
        json_object_set_new(entry, "destination_type",
                            json_string(thing->to_exchange ? "exchange" : "queue"));
        json_object_set_new(entry, "routing_key", json_text(thing->key));
    } else {
        json_object_set_new(entry, "type", json_text(thing->type));
        json_object_set_new(entry, "durable", json_boolean(thing->durable));
        json_object_set_new(entry, "auto_delete", json_boolean(thing->auto_delete));
    }
    if (of == SURVEY_EXCHANGES)
        json_object_set_new(entry, "internal", json_boolean(thing->internal));
    add(out, entry);
}

/* A vhost that is deleted meanwhile ends there. */
static void add_topology(struct export *out, const char *vhost, enum survey_of of)
{
    struct bytes name = bytes_from_string(vhost);
    struct slice slice = {.cursor = {.of = of}};
    bool is_there = true;

    while (is_there && !slice.cursor.is_at_end && !out->is_gone) {
        slice.count = 0;
        is_there = visit_vhost(out->request->server, name, copy_slice, &slice) == VISIT_DONE;
        for (size_t i = 0; i < slice.count; i++)
            add_thing(out, vhost, &slice.things[i], of);
        arena_clear(&slice.arena);
    }
    if (is_there && slice.cursor.has_begun && !slice.cursor.is_at_end)
        visit_vhost(out->request->server, name, leave, &slice);
}

static void add_queues(struct export *out, const char *vhost)
{
    add_topology(out, vhost, SURVEY_QUEUES);
}

static void add_exchanges(struct export *out, const char *vhost)
{
    add_topology(out, vhost, SURVEY_EXCHANGES);
}

static void add_bindings(struct export *out, const char *vhost)
{
    add_topology(out, vhost, SURVEY_BINDINGS);
}

/* ---- export ---- */

/* The name that the client would have the file saved as; nothing in it may end the header. */
static void name_file(struct request *request)
{
    const char *name = request_query(request, "download");
    char header[256] = "attachment; filename=";
    size_t used = strlen(header);

    if (!name || !*name)
        return;
    for (; *name && used < sizeof header - 1; name++)
        header[used++] = isalnum((unsigned char)*name) || strchr("._-+@", *name) ? *name : '_';
    header[used] = 0;
    reply_header(request, "content-disposition", header);
}

static void begin(struct export *out)
{
    const struct config *config = out->request->admin->config;
    json_t *version = json_string(config->product_version), *product = json_string(config->product_name);
    struct evbuffer *to = out->request->out;

    name_file(out->request);
    reply_begin(out->request, 200, "application/json");
    evbuffer_add_printf(to, "{\"rabbit_version\":");
    json_write(to, version);
    if (!out->is_of_vhost) {
        evbuffer_add_printf(to, ",\"rabbitmq_version\":");
        json_write(to, version);
        evbuffer_add_printf(to, ",\"product_name\":");
        json_write(to, product);
        evbuffer_add_printf(to, ",\"product_version\":");
        json_write(to, version);
    }
    json_decref(version);
    json_decref(product);
}

static void add_all_topology(struct export *out)
{
    each_vhost(out, "policies", add_policies);
    each_vhost(out, "queues", add_queues);
    each_vhost(out, "exchanges", add_exchanges);
    each_vhost(out, "bindings", add_bindings);
    if (listing_is_whole(out->request))
        evbuffer_add(out->request->out, "}", 1);
}

static void export_all(struct request *request)
{
    struct export out = {.request = request};

    out.vhosts = visit_vhost_names(request->server, &out.vhost_count);
    begin(&out);
    add_users(&out);
    each_vhost(&out, "vhosts", add_vhost);
    each_vhost(&out, "permissions", add_permissions);
    each_vhost(&out, "topic_permissions", add_topic_permissions);
    each_vhost(&out, "parameters", add_parameters);
    begin_list(&out, "global_parameters");
    add_all(&out, global_parameters_json(request->server, false));
    end_list(&out);
    add_all_topology(&out);
    for (size_t i = 0; i < out.vhost_count; i++)
        free(out.vhosts[i]);
    free((void *)out.vhosts);
}

static void export_vhost(struct request *request)
{
    struct export out = {
        .request = request, .vhosts = &request->segments[2], .vhost_count = 1, .is_of_vhost = true};
    json_t *entry = vhosts_entry(request->server, request_segment(request, 2));

    if (!entry) {
        reply_bad_request(request, "vhost_not_found");
        return;
    }
    json_decref(entry);
    begin(&out);
    each_vhost(&out, "parameters", add_parameters);
    add_all_topology(&out);
}

/* ---- import ---- */

/* The JSON that was sent, as it is or as the field of a form; NULL after answering. */
static json_t *sent_json(struct request *request)
{
    struct bytes text = request->body;
    json_t *root = NULL;

    if (is_multipart(request->content_type) &&
        !multipart_field(request->content_type, request->body, "file", &text))
        text.size = 0;
    if (text.size)
        root = json_loadb((const char *)text.data, text.size, JSON_ALLOW_NUL, NULL);
    if (json_is_object(root))
        return root;
    json_decref(root);
    reply_bad_request(request, "failed_to_parse_json");
    return NULL;
}

static void import(struct request *request, struct bytes vhost)
{
    json_t *root = sent_json(request);
    char why[CHANGE_WHY_SIZE] = "";

    if (!root)
        return;
    reply_change(request, changes_import(request->server, root, vhost, why), false, why);
    json_decref(root);
}

static void import_all(struct request *request)
{
    import(request, (struct bytes){NULL, 0});
}

static void import_vhost(struct request *request)
{
    json_t *entry = vhosts_entry(request->server, request_segment(request, 2));

    if (entry)
        import(request, request_segment(request, 2));
    else
        reply_no_vhost(request);
    json_decref(entry);
}

const struct route routes_definitions[] = {
    {"definitions",
     {[VERB_GET] = {export_all, ACCESS_ADMINISTRATOR}, [VERB_POST] = {import_all, ACCESS_ADMINISTRATOR}}},
    {"all-configuration",
     {[VERB_GET] = {export_all, ACCESS_ADMINISTRATOR}, [VERB_POST] = {import_all, ACCESS_ADMINISTRATOR}}},
    {"definitions/:vhost",
     {[VERB_GET] = {export_vhost, ACCESS_ADMINISTRATOR}, [VERB_POST] = {import_vhost, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
