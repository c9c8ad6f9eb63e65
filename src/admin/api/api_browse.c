/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a queue seen and moved without a consumer: peek, unacked, move (doc/API.md).
 *
 * A message that is on disk is waited for; a visit takes few messages, since each is copied, or routed,
 * inside the vhost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/changing.h"
#include "admin/json.h"
#include "admin/router.h"
#include "coney/base64.h"
#include "coney/browse.h"
#include "coney/changes.h"
#include "coney/sessions.h"
#include "coney/vhost.h"
#include "coney/visit.h"
#include "coney/xalloc.h"

#define PEEK_SLICE   32
#define NUMBER_SIZE  24 /* of a number's text */
#define PASS_SLICE   2000
#define MOVE_SLICE   100
#define PEEK_MAX     1000
#define PEEK_OCTETS  (16 << 20) /* of bodies in one answer */
#define WAIT_STEP_NS 2000000
#define WAIT_STEPS   2500 /* five seconds, all together */

/* ---- what all three begin with ---- */

static struct bytes vhost_of(const struct request *request)
{
    return request_segment(request, 2);
}

static struct bytes queue_of(const struct request *request)
{
    return request_segment(request, 3);
}

struct rights {
    const struct request *request;
    struct bytes exchange; /* data NULL: nothing is to be written */
    bool may_read, may_write;
};

static void ask_rights(struct vhost *vhost, void *argument)
{
    struct rights *rights = argument;
    struct bytes user = rights->request->user.name;

    rights->may_read = vhost_allows(vhost, user, PERMISSION_READ, queue_of(rights->request));
    rights->may_write =
        !rights->exchange.data || vhost_allows(vhost, user, PERMISSION_WRITE, rights->exchange);
}

/* Whether the asker may read the queue; false after answering. */
static bool check_rights(struct request *request)
{
    struct rights rights = {.request = request};

    if (request->is_trusted)
        return true;
    if (visit_vhost(request->server, vhost_of(request), ask_rights, &rights) != VISIT_DONE) {
        reply_stopping(request);
        return false;
    }
    if (rights.may_read)
        return true;
    reply_refused(request, "Access refused.");
    return false;
}

/* What came of looking at a queue; false after answering that there is nothing to look at. */
static bool check_result(struct request *request, enum visit_result visited, enum browse_result result)
{
    if (visited == VISIT_STOPPING)
        reply_stopping(request);
    else if (visited == VISIT_NO_VHOST || result == BROWSE_NO_QUEUE)
        reply_not_found(request);
    else if (result == BROWSE_BROKEN)
        reply_error(request, 503, "service_unavailable", "some messages of queue '%s' cannot be read",
                    request->segments[3]);
    else
        return true;
    return false;
}

/* Wait for the disk; false when that has taken too long. */
static bool wait_a_moment(unsigned *steps)
{
    nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_NS}, NULL);
    return ++*steps < WAIT_STEPS;
}

static bool parse_number(const char *text, uint64_t otherwise, uint64_t *out)
{
    char *end;

    *out = otherwise;
    if (!text)
        return true;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

/* ---- peek ---- */

/* A message as it was seen: octets are its own, one block. */
struct peeked {
    struct browse_message message;
    size_t body_size;
    uint8_t *octets;
};

struct peeking {
    struct request *request;
    struct browse_place place;
    uint64_t skip, count;
    size_t truncate;
    size_t octets;
    json_t *messages;
    struct peeked slice[PEEK_SLICE];
    unsigned in_slice;
    enum browse_result result;
};

static struct bytes keep(uint8_t **at, struct bytes bytes)
{
    struct bytes kept = {*at, bytes.size};

    *at = put_bytes(*at, bytes);
    return kept;
}

static void copy_message(void *context, const struct browse_message *message)
{
    struct peeking *peeking = context;
    struct peeked *peeked;
    struct bytes body = message->body;
    uint8_t *at;

    peeked = &peeking->slice[peeking->in_slice++];
    peeked->message = *message;
    peeked->body_size = body.size;
    if (body.size > peeking->truncate)
        body.size = peeking->truncate;
    at = peeked->octets = xmalloc(message->exchange.size + message->routing_key.size +
                                  message->properties.size + body.size + 1);
    peeked->message.exchange = keep(&at, message->exchange);
    peeked->message.routing_key = keep(&at, message->routing_key);
    peeked->message.properties = keep(&at, message->properties);
    peeked->message.body = keep(&at, body);
}

static void peek_slice(struct vhost *vhost, void *argument)
{
    struct peeking *peeking = argument;
    unsigned most = PEEK_SLICE;

    if (peeking->skip) {
        peeking->result =
            browse_pass(vhost, queue_of(peeking->request), &peeking->place, PASS_SLICE, &peeking->skip);
        return;
    }
    if (peeking->count < most)
        most = (unsigned)peeking->count;
    peeking->result =
        browse_ready(vhost, queue_of(peeking->request), &peeking->place, most, copy_message, peeking);
}

static json_t *payload_json(struct bytes body, const char **encoding)
{
    char *text;
    json_t *out;

    *encoding = "string";
    if (utf8_is_valid(body))
        return json_text(body);
    *encoding = "base64";
    text = base64_encode(body);
    out = json_string(text);
    free(text);
    return out;
}

static void add_message(struct peeking *peeking, struct peeked *peeked)
{
    const struct browse_message *message = &peeked->message;
    const char *encoding;
    json_t *payload = payload_json(message->body, &encoding), *out;

    out = json_pack("{s:I,s:b,s:I,s:o,s:o,s:o,s:o,s:s}", "payload_bytes", (json_int_t)peeked->body_size,
                    "redelivered", message->redelivered, "delivery_count",
                    (json_int_t)message->delivery_count, "exchange", json_text(message->exchange),
                    "routing_key", json_text(message->routing_key), "properties",
                    json_properties(message->properties), "payload", payload, "payload_encoding", encoding);
    json_array_append_new(peeking->messages, out);
    peeking->octets += message->body.size;
    peeking->count--;
    free(peeked->octets);
}

/* False after answering. */
static bool peek_all(struct peeking *peeking)
{
    unsigned waited = 0;

    while (peeking->count && peeking->octets < PEEK_OCTETS) {
        enum visit_result visited;

        peeking->in_slice = 0;
        visited = visit_vhost(peeking->request->server, vhost_of(peeking->request), peek_slice, peeking);
        if (!check_result(peeking->request, visited, peeking->result))
            return false;
        for (unsigned i = 0; i < peeking->in_slice; i++)
            add_message(peeking, &peeking->slice[i]);
        if (peeking->result == BROWSE_END || (peeking->result == BROWSE_WAITS && !wait_a_moment(&waited)))
            break;
    }
    return true;
}

static void peek(struct request *request)
{
    struct peeking peeking = {.request = request};
    uint64_t truncate;

    if (!parse_number(request_query(request, "count"), 10, &peeking.count) || peeking.count > PEEK_MAX ||
        !parse_number(request_query(request, "offset"), 0, &peeking.skip) ||
        !parse_number(request_query(request, "truncate"), PEEK_OCTETS, &truncate)) {
        reply_bad_request(request, "count (up to %d), offset and truncate should be whole numbers", PEEK_MAX);
        return;
    }
    peeking.truncate = truncate;
    if (!check_rights(request))
        return;
    peeking.messages = json_array();
    if (peek_all(&peeking))
        reply_json(request, 200, peeking.messages);
    else
        json_decref(peeking.messages);
}

/* ---- unacked ---- */

struct listing_unacked {
    struct request *request;
    uint32_t slot;
    uint64_t count;
    int64_t now;
    bool has_more;
    enum browse_result result;
    json_t *rows;
    const void *owner; /* the last one seen in this slice, and what its connection is called */
    char connection[SESSION_NAME_SIZE];
};

static void add_unacked(void *context, const struct browse_unacked *unacked)
{
    struct listing_unacked *listing = context;
    int64_t age = listing->now - unacked->delivered_at;
    struct session_name name;
    json_t *tag;

    if (!listing->count)
        return;
    listing->count--;
    if (unacked->owner != listing->owner) {
        listing->owner = unacked->owner;
        session_name_of(unacked->owner, &name);
        session_name_text(&name, listing->connection);
    }
    tag = unacked->consumer_tag.data ? json_text(unacked->consumer_tag) : json_null();
    json_array_append_new(
        listing->rows, json_pack("{s:I,s:I,s:s,s:i,s:o}", "age_ms", (json_int_t)(age > 0 ? age : 0),
                                 "delivery_tag", (json_int_t)unacked->delivery_tag, "connection",
                                 listing->connection, "channel", (int)unacked->channel, "consumer_tag", tag));
}

static void list_slice(struct vhost *vhost, void *argument)
{
    struct listing_unacked *listing = argument;
    struct queue_info info;

    listing->owner = NULL;
    if (!vhost_queue_info(vhost, queue_of(listing->request), &info))
        listing->result = BROWSE_NO_QUEUE;
    listing->has_more =
        browse_unacked(vhost, queue_of(listing->request), &listing->slot, add_unacked, listing);
}

static void unacked(struct request *request)
{
    struct listing_unacked listing = {.request = request, .has_more = true};
    enum visit_result visited = VISIT_DONE;
    struct timespec now;

    if (!parse_number(request_query(request, "count"), 100, &listing.count) || listing.count > PEEK_MAX) {
        reply_bad_request(request, "count should be a whole number up to %d", PEEK_MAX);
        return;
    }
    if (!check_rights(request))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    listing.now = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    listing.rows = json_array();
    while (listing.has_more && listing.count && visited == VISIT_DONE)
        visited = visit_vhost(request->server, vhost_of(request), list_slice, &listing);
    if (check_result(request, visited, listing.result))
        reply_json(request, 200, listing.rows);
    else
        json_decref(listing.rows);
}

/* ---- move ---- */

struct moving {
    struct request *request;
    struct browse_place place;
    struct browse_move move;
    enum browse_result result;
};

static void move_slice(struct vhost *vhost, void *argument)
{
    struct moving *moving = argument;

    moving->result = browse_move(vhost, queue_of(moving->request), &moving->place, MOVE_SLICE, &moving->move);
}

/* The string NAME of JSON; data NULL without one. False after answering when it is something else. */
static bool get_text(struct request *request, json_t *json, const char *name, struct bytes *out)
{
    const json_t *value = json_object_get(json, name);

    *out = (struct bytes){NULL, 0};
    if (!value || json_is_null(value))
        return true;
    if (json_is_string(value)) {
        *out = (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
        return true;
    }
    reply_bad_request(request, "%s should be a string", name);
    return false;
}

/* Its value as text; a number's is made in DIGITS. */
static bool get_header(struct request *request, json_t *json, struct browse_move *move,
                       char digits[NUMBER_SIZE])
{
    json_t *header = json_object_get(json, "header"), *value;
    const char *name = json_object_iter_key(json_object_iter(header));

    if (!header)
        return true;
    value = name && json_object_size(header) == 1 ? json_object_get(header, name) : NULL;
    move->header = bytes_from_string(name ? name : "");
    if (json_is_string(value)) {
        move->header_value =
            (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)};
    } else if (json_is_integer(value)) {
        snprintf(digits, NUMBER_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        move->header_value = bytes_from_string(digits);
    } else if (json_is_boolean(value)) {
        move->header_value = bytes_from_string(json_is_true(value) ? "true" : "false");
    } else {
        reply_bad_request(request, "header should be an object with one header, whose value is a string, "
                                   "a whole number, true or false");
        return false;
    }
    return true;
}

/* What is to be moved and where to, as JSON says; strings stay JSON's, and DIGITS. */
static bool parse_move(struct request *request, json_t *json, struct browse_move *move,
                       char digits[NUMBER_SIZE])
{
    json_t *count = json_object_get(json, "count");
    struct bytes queue;

    if (!get_text(request, json, "to_exchange", &move->exchange) ||
        !get_text(request, json, "to_queue", &queue) ||
        !get_text(request, json, "routing_key", &move->routing_key) ||
        !get_text(request, json, "reason", &move->reason) ||
        !get_text(request, json, "original_queue", &move->original_queue) ||
        !get_header(request, json, move, digits))
        return false;
    move->has_routing_key = move->routing_key.data != NULL;
    move->most = UINT64_MAX;
    if (json_is_integer(count) && json_integer_value(count) >= 0)
        move->most = (uint64_t)json_integer_value(count);
    else if (count) {
        reply_bad_request(request, "count should be a whole number");
        return false;
    }
    if (queue.data && (move->exchange.data || move->has_routing_key)) {
        reply_bad_request(request, "to_queue goes with neither to_exchange nor routing_key");
        return false;
    }
    if (queue.data) {
        move->exchange = (struct bytes){(const uint8_t *)"", 0};
        move->routing_key = queue;
        move->has_routing_key = true;
    }
    return true;
}

/* What is answered is in the journal. False after answering something else. */
static bool move_all(struct moving *moving)
{
    struct request *request = moving->request;
    unsigned waited = 0;

    do {
        enum visit_result visited = visit_vhost(request->server, vhost_of(request), move_slice, moving);

        if (!check_result(request, visited, moving->result))
            return false;
    } while (moving->result == BROWSE_MORE || (moving->result == BROWSE_WAITS && wait_a_moment(&waited)));
    if (!moving->move.moved || changes_settle(request->server))
        return true;
    reply_change(request, CHANGE_NOT_SAFE, false, NULL);
    return false;
}

static void move(struct request *request)
{
    struct moving moving = {.request = request};
    json_t *json = request_json(request);
    char digits[NUMBER_SIZE];

    if (!json || !parse_move(request, json, &moving.move, digits))
        return;
    if (!request->is_trusted)
        moving.move.user = request->user.name;
    if (!check_rights(request) || !move_all(&moving))
        return;
    if (moving.move.is_refused && !moving.move.moved) {
        reply_refused(request, "Access refused.");
        return;
    }
    reply_json(request, 200,
               json_pack("{s:I,s:I}", "moved", (json_int_t)moving.move.moved, "skipped",
                         (json_int_t)moving.move.skipped));
}

const struct route routes_browse[] = {
    {"queues/:vhost/:name/peek", {[VERB_GET] = {peek, ACCESS_VHOST}}},
    {"queues/:vhost/:name/unacked", {[VERB_GET] = {unacked, ACCESS_VHOST}}},
    {"queues/:vhost/:name/move", {[VERB_POST] = {move, ACCESS_VHOST}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
