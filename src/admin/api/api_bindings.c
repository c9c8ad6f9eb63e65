/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bindings (management-http-api.md 3.8), and with them that of each queue to the default exchange, which
 * nobody made.
 *
 * A listing's key is the whole binding, so that it is sorted as RabbitMQ's list is and needs no second look:
 *
 *     source NUL "exchange" or "queue" NUL destination NUL routing key NUL arguments
 *
 * and `id` has the sizes of the three names.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/amqp.h"
#include "admin/bindings.h"
#include "admin/body.h"
#include "admin/json.h"
#include "admin/listing.h"
#include "admin/router.h"
#include "coney/base64.h"
#include "coney/crc32c.h"
#include "coney/survey.h"
#include "coney/table.h"
#include "coney/visit.h"

/* ---- names ---- */

struct bytes exchange_of_segment(const struct request *request, unsigned index)
{
    struct bytes name = request_segment(request, index);

    return bytes_equal_string(name, "amq.default") ? (struct bytes){(const uint8_t *)"", 0} : name;
}

bool exchange_is_brokers(struct bytes name)
{
    return !name.size || (name.size >= 4 && memcmp(name.data, "amq.", 4) == 0);
}

static bool is_plain(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '_' || c == '.';
}

/* Append TEXT with all but letters, digits, "-", "_" and "." as %XX, blanks as "+". "~" stays if KEEP_TILDE.
 */
static void quote_plus(struct buffer *out, struct bytes text, bool keep_tilde)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        char quoted[3] = {'%', digits[c >> 4], digits[c & 15]};

        if (is_plain(c) || (c == '~' && keep_tilde))
            buffer_append(out, &c, 1);
        else if (c == ' ')
            buffer_append(out, "+", 1);
        else
            buffer_append(out, quoted, sizeof quoted);
    }
}

/* 32 bits in the six characters of base64 for URLs. */
static void append_hash(struct buffer *out, uint32_t hash)
{
    uint8_t octets[4];
    char *text;

    put_u32(octets, hash);
    text = base64_encode((struct bytes){octets, sizeof octets});
    for (char *p = text; *p && *p != '='; p++) {
        char c = *p == '+' ? '-' : *p == '/' ? '_' : *p;

        buffer_append(out, &c, 1);
    }
    free(text);
}

/* Append the properties_key of a binding: the same for all arguments that make the same binding. */
static void properties_key(struct buffer *out, struct bytes routing_key, struct bytes arguments)
{
    struct buffer canonical = {0};

    quote_plus(out, routing_key, false);
    if (routing_key.size && !arguments.size)
        return;
    buffer_append(out, "~", 1);
    if (!arguments.size)
        return;
    table_canonical(&canonical, arguments);
    append_hash(out, crc32c(0, canonical.data, canonical.size));
    buffer_free(&canonical);
}

/* ---- keys of a listing ---- */

enum { SOURCE, KIND, DESTINATION, ROUTING_KEY, ARGUMENTS, PARTS };

static void append_part(struct buffer *out, struct bytes part)
{
    buffer_append_bytes(out, part);
    buffer_append(out, "", 1);
}

static void add(struct listing *listing, const char *vhost, const struct survey_binding *binding)
{
    struct buffer name = {0};
    uint64_t sizes = (uint64_t)binding->source.size << 32 | (uint64_t)binding->destination.size << 16 |
                     binding->routing_key.size;

    append_part(&name, binding->source);
    append_part(&name, bytes_from_string(binding->to_exchange ? "exchange" : "queue"));
    append_part(&name, binding->destination);
    append_part(&name, binding->routing_key);
    buffer_append_bytes(&name, binding->arguments);
    listing_add(listing, vhost, buffer_bytes(&name), sizes, binding->to_exchange);
    buffer_free(&name);
}

static void take_apart(const struct listing_key *key, struct bytes parts[PARTS])
{
    const size_t sizes[PARTS] = {(key->id >> 32) & 0xffff, key->number ? 8 : 5, (key->id >> 16) & 0xffff,
                                 key->id & 0xffff};
    const uint8_t *at = key->name.data;

    for (int i = 0; i < ARGUMENTS; i++) {
        parts[i] = (struct bytes){at, sizes[i]};
        at += sizes[i] + 1;
    }
    parts[ARGUMENTS] = (struct bytes){at, key->name.size - (size_t)(at - key->name.data)};
}

static json_t *row_of(const struct listing_key *key)
{
    struct bytes parts[PARTS];
    struct buffer properties = {0};
    json_t *out = json_object();

    take_apart(key, parts);
    properties_key(&properties, parts[ROUTING_KEY], parts[ARGUMENTS]);
    json_put(out, "source", json_text(parts[SOURCE]));
    json_put(out, "vhost", json_text(bytes_from_string(key->vhost)));
    json_put(out, "destination", json_text(parts[DESTINATION]));
    json_put(out, "destination_type", json_text(parts[KIND]));
    json_put(out, "routing_key", json_text(parts[ROUTING_KEY]));
    json_put(out, "arguments", json_table(parts[ARGUMENTS]));
    json_put(out, "properties_key", json_text(buffer_bytes(&properties)));
    buffer_free(&properties);
    return out;
}

static void fetch(struct listing *listing, const struct listing_key *keys, size_t count, json_t **rows)
{
    (void)listing;
    for (size_t i = 0; i < count; i++)
        rows[i] = row_of(&keys[i]);
}

/* ---- inside the vhost ---- */

/* Going through what ends, or begins, at one exchange or queue. */
struct collecting {
    struct listing *listing;
    const char *vhost;
    enum survey_side side; /* of END */
    struct bytes end;
    struct bytes source; /* only those from there; data NULL: all */
    uint64_t skip;
    bool is_more;
};

static void note_implicit(struct listing *listing, const char *vhost, const struct survey_queue *queue)
{
    const struct survey_binding binding = {.destination = queue->name, .routing_key = queue->name};

    add(listing, vhost, &binding);
}

static void note_any(void *context, const struct survey_binding *binding)
{
    const struct listing_survey *survey = context;

    add(survey->listing, survey->vhost, binding);
}

static void note_any_implicit(void *context, const struct survey_queue *queue)
{
    const struct listing_survey *survey = context;

    note_implicit(survey->listing, survey->vhost, queue);
}

static void collect_slice(struct vhost *vhost, void *argument)
{
    struct listing_survey *survey = argument;

    survey_bindings(vhost, &survey->cursor, 2 * LISTING_SLICE, note_any, survey);
}

static void collect_implicit_slice(struct vhost *vhost, void *argument)
{
    struct listing_survey *survey = argument;

    survey_queues(vhost, &survey->cursor, 2 * LISTING_SLICE, note_any_implicit, survey);
}

static void note_wanted(void *context, const struct survey_binding *binding)
{
    const struct collecting *collecting = context;

    if (!collecting->source.data || bytes_equal(binding->source, collecting->source))
        add(collecting->listing, collecting->vhost, binding);
}

static void collect_end_slice(struct vhost *vhost, void *argument)
{
    struct collecting *collecting = argument;
    unsigned shown = survey_bindings_of(vhost, collecting->side, collecting->end, collecting->skip,
                                        2 * LISTING_SLICE, note_wanted, collecting);

    collecting->skip += shown;
    collecting->is_more = shown == 2 * LISTING_SLICE;
}

static void note_one_implicit(void *context, const struct survey_queue *queue)
{
    const struct collecting *collecting = context;

    note_implicit(collecting->listing, collecting->vhost, queue);
}

static void collect_one_implicit(struct vhost *vhost, void *argument)
{
    struct collecting *collecting = argument;

    survey_queue(vhost, collecting->end, note_one_implicit, collecting);
}

/* ---- collecting ---- */

/* False after answering that the node stops. */
static bool visit(struct collecting *collecting, void (*work)(struct vhost *vhost, void *argument))
{
    struct request *request = collecting->listing->request;

    collecting->is_more = false;
    if (visit_vhost(request->server, bytes_from_string(collecting->vhost), work, collecting) !=
        VISIT_STOPPING)
        return true;
    reply_stopping(request);
    return false;
}

static bool collect_of(struct collecting *collecting, enum survey_side side)
{
    bool done;

    collecting->side = side;
    do
        done = visit(collecting, collect_end_slice);
    while (done && collecting->is_more);
    return done;
}

static bool collect_all_implicit(struct listing *listing, const char *vhost)
{
    return listing_collect(listing, vhost, SURVEY_QUEUES, collect_implicit_slice);
}

static bool collect_everything(struct listing *listing, const char *vhost)
{
    return collect_all_implicit(listing, vhost) &&
           listing_collect(listing, vhost, SURVEY_BINDINGS, collect_slice);
}

static bool collect_from_exchange(struct listing *listing, const char *vhost)
{
    struct collecting collecting = {.listing = listing, .vhost = vhost, .end = listing->argument};

    return collecting.end.size ? collect_of(&collecting, SURVEY_FROM_EXCHANGE)
                               : collect_all_implicit(listing, vhost);
}

static bool collect_to_exchange(struct listing *listing, const char *vhost)
{
    struct collecting collecting = {.listing = listing, .vhost = vhost, .end = listing->argument};

    return collect_of(&collecting, SURVEY_TO_EXCHANGE);
}

static bool collect_to_queue(struct listing *listing, const char *vhost)
{
    struct collecting collecting = {.listing = listing, .vhost = vhost, .end = listing->argument};

    return visit(&collecting, collect_one_implicit) && collect_of(&collecting, SURVEY_TO_QUEUE);
}

/* ---- lists ---- */

static const struct listing_source everything = {
    .collect = collect_everything, .fetch = fetch, .is_not_paged = true};
static const struct listing_source out_of_exchange = {
    .collect = collect_from_exchange, .fetch = fetch, .is_not_paged = true};
static const struct listing_source into_exchange = {
    .collect = collect_to_exchange, .fetch = fetch, .is_not_paged = true};
static const struct listing_source into_queue = {
    .collect = collect_to_queue, .fetch = fetch, .is_not_paged = true};

void list_bindings_of_queue(struct request *request, struct bytes queue)
{
    listing_run(request, &into_queue, request->segments[2], queue);
}

void list_bindings_of_exchange(struct request *request, struct bytes exchange, bool is_source)
{
    listing_run(request, is_source ? &out_of_exchange : &into_exchange, request->segments[2], exchange);
}

static void list_all(struct request *request)
{
    listing_run(request, &everything, NULL, (struct bytes){NULL, 0});
}

static void list_vhost(struct request *request)
{
    listing_run(request, &everything, request->segments[2], (struct bytes){NULL, 0});
}

/* ---- between two ---- */

/* bindings/:vhost/e/:source/q/:destination/:properties, or /e/ for the second letter */
struct between {
    bool to_exchange;
    struct bytes source, destination;
};

static struct between between_of(const struct request *request)
{
    bool to_exchange = bytes_equal_string(request_segment(request, 5), "e");

    return (struct between){.to_exchange = to_exchange,
                            .source = exchange_of_segment(request, 4),
                            .destination =
                                to_exchange ? exchange_of_segment(request, 6) : request_segment(request, 6)};
}

static bool collect_between(struct listing *listing, const char *vhost)
{
    struct between between = between_of(listing->request);
    struct collecting collecting = {
        .listing = listing, .vhost = vhost, .end = between.destination, .source = between.source};

    if (!between.source.size && !between.to_exchange)
        return visit(&collecting, collect_one_implicit);
    return collect_of(&collecting, between.to_exchange ? SURVEY_TO_EXCHANGE : SURVEY_TO_QUEUE);
}

static const struct listing_source between_two = {
    .collect = collect_between, .fetch = fetch, .is_not_paged = true};

static void list_between(struct request *request)
{
    listing_run(request, &between_two, request->segments[2], (struct bytes){NULL, 0});
}

/* Whether PROPERTIES, of a path, are the binding's of KEY. A bare routing key will do too. */
static bool is_called(const struct listing_key *key, struct bytes properties)
{
    struct bytes parts[PARTS];
    struct buffer name = {0};
    bool is_it;

    take_apart(key, parts);
    properties_key(&name, parts[ROUTING_KEY], parts[ARGUMENTS]);
    is_it =
        bytes_equal(buffer_bytes(&name), properties) ||
        (!parts[ARGUMENTS].size && parts[ROUTING_KEY].size && bytes_equal(parts[ROUTING_KEY], properties));
    buffer_free(&name);
    return is_it;
}

/* Call USE with the binding of the path, or answer 404. */
static void with_binding(struct request *request,
                         void (*use)(struct request *request, const struct listing_key *key))
{
    struct listing listing = {.request = request, .vhost = request->segments[2]};
    size_t at = 0;

    if (collect_between(&listing, listing.vhost)) {
        while (at < listing.count && !is_called(&listing.keys[at], request_segment(request, 7)))
            at++;
        if (at < listing.count)
            use(request, &listing.keys[at]);
        else
            reply_not_found(request);
    }
    listing_clear(&listing);
}

static void show_one(struct request *request, const struct listing_key *key)
{
    reply_row(request, row_of(key));
}

static void show(struct request *request)
{
    with_binding(request, show_one);
}

static void unbind_one(struct request *request, const struct listing_key *key)
{
    struct method method = {.id = key->number ? METHOD_EXCHANGE_UNBIND : METHOD_QUEUE_UNBIND};
    struct bytes parts[PARTS];

    take_apart(key, parts);
    if (key->number)
        method.exchange_unbind = (struct method_exchange_unbind){.destination = parts[DESTINATION],
                                                                 .source = parts[SOURCE],
                                                                 .routing_key = parts[ROUTING_KEY],
                                                                 .arguments = parts[ARGUMENTS]};
    else
        method.queue_unbind = (struct method_queue_unbind){.queue = parts[DESTINATION],
                                                           .exchange = parts[SOURCE],
                                                           .routing_key = parts[ROUTING_KEY],
                                                           .arguments = parts[ARGUMENTS]};
    if (amqp_do(request, bytes_from_string(key->vhost), &method))
        reply_empty(request, 204);
}

static void unbind(struct request *request)
{
    with_binding(request, unbind_one);
}

/* ---- binding ---- */

/* "DESTINATION/PROPERTIES_KEY", from where list_between() is. */
static void tell_location(struct request *request, struct bytes destination, struct bytes routing_key,
                          struct bytes arguments)
{
    struct buffer location = {0}, properties = {0};

    properties_key(&properties, routing_key, arguments);
    quote_plus(&location, destination, true);
    buffer_append(&location, "/", 1);
    quote_plus(&location, buffer_bytes(&properties), true);
    buffer_append(&location, "", 1);
    reply_header(request, "location", (const char *)location.data);
    buffer_free(&location);
    buffer_free(&properties);
}

static bool bind_them(struct request *request, const struct between *between, struct bytes routing_key,
                      struct bytes arguments)
{
    struct method method = {.id = between->to_exchange ? METHOD_EXCHANGE_BIND : METHOD_QUEUE_BIND};

    if (between->to_exchange)
        method.exchange_bind = (struct method_exchange_bind){.destination = between->destination,
                                                             .source = between->source,
                                                             .routing_key = routing_key,
                                                             .arguments = arguments};
    else
        method.queue_bind = (struct method_queue_bind){.queue = between->destination,
                                                       .exchange = between->source,
                                                       .routing_key = routing_key,
                                                       .arguments = arguments};
    return amqp_do(request, request_segment(request, 2), &method);
}

static void make_binding(struct request *request)
{
    struct between between = between_of(request);
    struct bytes routing_key = {(const uint8_t *)"", 0};
    json_t *body = request_json(request);
    struct buffer arguments = {0};

    if (!body)
        return;
    if (name_fits(request, between.source) && name_fits(request, between.destination) &&
        body_shortstr(request, body, "routing_key", &routing_key) &&
        body_table(request, body, "arguments", &arguments) &&
        bind_them(request, &between, routing_key, buffer_bytes(&arguments))) {
        tell_location(request, between.destination, routing_key, buffer_bytes(&arguments));
        reply_empty(request, 201);
    }
    buffer_free(&arguments);
}

const struct route routes_bindings[] = {
    {"bindings", {[VERB_GET] = {list_all, ACCESS_ANY}}},
    {"bindings/:vhost", {[VERB_GET] = {list_vhost, ACCESS_VHOST}}},
    {"bindings/:vhost/e/:source/q/:destination",
     {[VERB_GET] = {list_between, ACCESS_VHOST}, [VERB_POST] = {make_binding, ACCESS_VHOST}}},
    {"bindings/:vhost/e/:source/e/:destination",
     {[VERB_GET] = {list_between, ACCESS_VHOST}, [VERB_POST] = {make_binding, ACCESS_VHOST}}},
    {"bindings/:vhost/e/:source/q/:destination/:properties",
     {[VERB_GET] = {show, ACCESS_VHOST}, [VERB_DELETE] = {unbind, ACCESS_VHOST}}},
    {"bindings/:vhost/e/:source/e/:destination/:properties",
     {[VERB_GET] = {show, ACCESS_VHOST}, [VERB_DELETE] = {unbind, ACCESS_VHOST}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
