/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing, getting, and the test that does both (management-http-api.md 3.13, 6). */
#include <stdlib.h>
#include <string.h>

#include "admin/amqp.h"
#include "admin/bindings.h"
#include "admin/body.h"
#include "admin/json.h"
#include "admin/router.h"
#include "coney/base64.h"
#include "coney/properties.h"

/* ---- publishing ---- */

/* The payload's octets: of BODY, or *DECODED, which is the caller's to free. */
static bool take_payload(struct request *request, json_t *body, struct bytes *payload, uint8_t **decoded)
{
    struct bytes encoding = {NULL, 0};
    json_t *text = json_object_get(body, "payload");

    if (!body_text(request, body, "payload_encoding", &encoding))
        return false;
    if (!json_is_string(text)) {
        reply_bad_request(request, "payload_not_string");
        return false;
    }
    *payload = (struct bytes){(const uint8_t *)json_string_value(text), json_string_length(text)};
    if (bytes_equal_string(encoding, "string"))
        return true;
    if (!bytes_equal_string(encoding, "base64")) {
        reply_bad_request(request, "unsupported_encoding: %.*s", BYTES_ARG(encoding));
        return false;
    }
    *decoded = base64_decode(*payload, &payload->size);
    payload->data = *decoded;
    if (!*decoded)
        reply_bad_request(request, "not_base64: %.100s", json_string_value(text));
    return *decoded != NULL;
}

static void reply_fate(struct request *request, struct amqp *amqp, enum amqp_fate fate)
{
    switch (fate) {
    case AMQP_ROUTED:
    case AMQP_UNROUTED:
        reply_json(request, 200, json_pack("{s:b}", "routed", fate == AMQP_ROUTED));
        break;
    case AMQP_REJECTED:
        reply_bad_request(request, "rejected");
        break;
    case AMQP_FAILED:
        amqp_reply_failure(amqp, AMQP_ALL_BAD);
        break;
    }
}

static void publish_it(struct request *request, struct bytes routing_key, struct bytes properties,
                       struct bytes payload)
{
    struct amqp *amqp = amqp_open(request, request_segment(request, 2));

    if (!amqp)
        return;
    reply_fate(request, amqp,
               amqp_publish(amqp, exchange_of_segment(request, 3), routing_key, properties, payload));
    amqp_free(amqp);
}

static void publish(struct request *request)
{
    static const char *const needed[] = {"routing_key", "properties", "payload", "payload_encoding"};
    json_t *body = request_json(request);
    struct bytes routing_key, payload;
    struct buffer properties = {0};
    uint8_t *decoded = NULL;

    if (!body || !body_has(request, body, needed, sizeof needed / sizeof *needed) ||
        !name_fits(request, request_segment(request, 3)))
        return;
    if (body_shortstr(request, body, "routing_key", &routing_key) &&
        body_properties(request, json_object_get(body, "properties"), &properties) &&
        take_payload(request, body, &payload, &decoded))
        publish_it(request, routing_key, buffer_bytes(&properties), payload);
    buffer_free(&properties);
    free(decoded);
}

/* ---- getting ---- */

/* Octets of one answer, from which on no more messages are got: it is made in memory. A message counts with
 * the payload that is shown, with what it is as JSON, and with what its properties become at worst. */
#define ANSWER_MAX     (UINT64_C(128) << 20)
#define MESSAGE_SIZE   4096
#define PROPERTY_GROWS 32

struct getting {
    struct bytes queue;
    int64_t count;
    uint64_t truncate; /* octets of a payload that are shown */
    bool is_base64;    /* all of them */
    bool no_ack;       /* they are gone once they are got */
    bool by_reject;    /* how they are settled: one by one, */
    bool requeue;      /* and where they go */
    json_t *messages;
    uint64_t size; /* that it takes */
    uint64_t first_tag, last_tag;
    bool is_empty;
};

static void put_payload(json_t *message, const struct getting *getting, struct bytes payload)
{
    char *text;

    if (!getting->is_base64 && utf8_is_valid(payload)) {
        json_put(message, "payload", json_text(payload));
        json_put(message, "payload_encoding", json_string("string"));
        return;
    }
    text = base64_encode(payload);
    json_put(message, "payload", json_string(text));
    json_put(message, "payload_encoding", json_string("base64"));
    free(text);
}

static void take_message(void *context, const struct client_reply *reply)
{
    struct getting *getting = context;
    const struct method_basic_get_ok *ok = &reply->method->basic_get_ok;
    struct bytes payload;
    json_t *message;

    if (reply->method->id != METHOD_BASIC_GET_OK) {
        getting->is_empty = true;
        return;
    }
    message = json_object();
    payload = reply->content->body;
    json_put_count(message, "payload_bytes", payload.size);
    if (payload.size > getting->truncate)
        payload.size = getting->truncate;
    json_put(message, "redelivered", json_boolean(ok->redelivered));
    json_put(message, "exchange", json_text(ok->exchange));
    json_put(message, "routing_key", json_text(ok->routing_key));
    json_put_count(message, "message_count", ok->message_count);
    json_put(message, "properties", json_properties(reply->content->properties));
    put_payload(message, getting, payload);
    json_array_append_new(getting->messages, message);
    getting->size += MESSAGE_SIZE + payload.size + reply->content->properties.size * PROPERTY_GROWS;
    if (!getting->first_tag)
        getting->first_tag = ok->delivery_tag;
    getting->last_tag = ok->delivery_tag;
}

/* All are held until the last has come, so that no message comes twice. */
static bool get_all(struct amqp *amqp, struct getting *getting)
{
    struct method get = {.id = METHOD_BASIC_GET,
                         .basic_get = {.queue = getting->queue, .no_ack = getting->no_ack}};

    for (int64_t i = 0; i != getting->count && !getting->is_empty && getting->size < ANSWER_MAX; i++)
        if (!amqp_call(amqp, &get, take_message, getting))
            return false;
    return true;
}

static void settle_all(struct amqp *amqp, const struct getting *getting)
{
    struct method nack = {
        .id = METHOD_BASIC_NACK,
        .basic_nack = {.delivery_tag = getting->last_tag, .multiple = true, .requeue = getting->requeue}};
    struct method reject = {.id = METHOD_BASIC_REJECT, .basic_reject = {.requeue = getting->requeue}};

    if (getting->no_ack || !getting->first_tag)
        return;
    if (!getting->by_reject) {
        amqp_send(amqp, &nack);
        return;
    }
    for (uint64_t tag = getting->first_tag; tag <= getting->last_tag; tag++) {
        reject.basic_reject.delivery_tag = tag;
        amqp_send(amqp, &reject);
    }
}

static void get_them(struct request *request, struct getting *getting)
{
    struct amqp *amqp = amqp_open(request, request_segment(request, 2));

    if (!amqp)
        return;
    getting->messages = json_array();
    if (get_all(amqp, getting)) {
        settle_all(amqp, getting);
        amqp_close(amqp);
        reply_json(request, 200, getting->messages);
        return;
    }
    amqp_reply_failure(amqp, AMQP_CHANNEL);
    amqp_free(amqp);
    json_decref(getting->messages);
}

static bool take_ackmode(struct request *request, json_t *body, struct getting *getting)
{
    static const struct {
        const char *name;
        bool no_ack, by_reject, requeue;
    } modes[] = {{"ack_requeue_true", false, false, true},
                 {"ack_requeue_false", true, false, false},
                 {"reject_requeue_true", false, true, true},
                 {"reject_requeue_false", false, true, false}};
    struct bytes name = {NULL, 0};

    if (!body_text(request, body, "ackmode", &name))
        return false;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (!bytes_equal_string(name, modes[i].name))
            continue;
        getting->no_ack = modes[i].no_ack;
        getting->by_reject = modes[i].by_reject;
        getting->requeue = modes[i].requeue;
        return true;
    }
    reply_bad_request(request, "unsupported ackmode: %.*s", BYTES_ARG(name));
    return false;
}

static bool take_encoding(struct request *request, json_t *body, struct getting *getting)
{
    struct bytes encoding = {NULL, 0};

    if (!body_text(request, body, "encoding", &encoding))
        return false;
    getting->is_base64 = bytes_equal_string(encoding, "base64");
    if (getting->is_base64 || bytes_equal_string(encoding, "auto"))
        return true;
    reply_bad_request(request, "Unsupported encoding. Please use auto or base64.");
    return false;
}

static void get(struct request *request)
{
    static const char *const needed[] = {"ackmode", "count", "encoding"};
    struct getting getting = {.queue = request_segment(request, 3)};
    json_t *body = request_json(request);
    int64_t truncate = INT64_MAX;

    if (!body || !body_has(request, body, needed, sizeof needed / sizeof *needed) ||
        !name_fits(request, getting.queue) || !take_ackmode(request, body, &getting) ||
        !body_int(request, body, "count", &getting.count) || !take_encoding(request, body, &getting) ||
        !body_int(request, body, "truncate", &truncate))
        return;
    getting.truncate = truncate < 0 ? 0 : (uint64_t)truncate;
    get_them(request, &getting);
}

/* ---- is it alive? ---- */

#define TEST_QUEUE BYTES_LITERAL("aliveness-test")

static bool is_alive(struct amqp *amqp)
{
    struct method declare = {.id = METHOD_QUEUE_DECLARE, .queue_declare = {.queue = TEST_QUEUE}};
    struct method get = {.id = METHOD_BASIC_GET, .basic_get = {.queue = TEST_QUEUE, .no_ack = true}};
    struct getting getting = {.messages = json_array()};
    bool done = amqp_call(amqp, &declare, NULL, NULL) &&
                amqp_publish(amqp, BYTES_LITERAL(""), TEST_QUEUE, PROPERTIES_NONE,
                             BYTES_LITERAL("test_message")) == AMQP_ROUTED &&
                amqp_call(amqp, &get, take_message, &getting) && !getting.is_empty;

    json_decref(getting.messages);
    return done;
}

static void test_aliveness(struct request *request)
{
    struct amqp *amqp = amqp_open(request, request_segment(request, 2));

    if (!amqp)
        return;
    if (is_alive(amqp))
        reply_json(request, 200, json_pack("{s:s}", "status", "ok"));
    else if (amqp_has_failed(amqp))
        amqp_reply_failure(amqp, AMQP_CHANNEL);
    else
        reply_json(request, 200, json_pack("{s:s}", "status", "failed"));
    amqp_free(amqp);
}

const struct route routes_messages[] = {
    {"exchanges/:vhost/:name/publish", {[VERB_POST] = {publish, ACCESS_VHOST}}},
    {"queues/:vhost/:name/get", {[VERB_POST] = {get, ACCESS_VHOST}}},
    {"aliveness-test/:vhost", {[VERB_GET] = {test_aliveness, ACCESS_VHOST}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
