/* SPDX-License-Identifier: Apache-2.0 */
/* scenarios.c: the scenarios of ../scenarios.txt with librabbitmq. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NONE amqp_empty_table

static amqp_connection_state_t start(void)
{
    return dial(env_port("AMQP_PORT"), 60);
}

static void send_all(amqp_connection_state_t c, const char *x, const char *const *keys)
{
    for (; *keys; keys++)
        publish(c, 1, x, *keys, *keys, NULL);
}

static void declare_publish_consume(void)
{
    amqp_connection_state_t c = start();
    const char *q = queue(c, 1, "basics", NONE);
    const char *x = exchange(c, "basics", "direct", NONE);
    struct delivery d;

    expect_int(strncmp(queue(c, 1, "", NONE), "amq.gen-", 8), 0, "server-named queue");
    bind_queue(c, q, x, "key", NONE);
    for (int i = 1; i <= 3; i++)
        publish(c, 1, x, "key", text("m%d", i), NULL);
    consume(c, 1, q, false);
    for (int i = 1; i <= 3; i++) {
        d = take(c);
        expect_text(text("%s %s %s %d", d.exchange, d.key, d.body, d.redelivered), text("%s key m%d 0", x, i),
                    "delivery");
        check_status(amqp_basic_ack(c, 1, d.tag, 0), "ack");
    }
    amqp_basic_cancel(c, 1, bytes("tag"));
    check(c, "basic.cancel");
    expect_int(count(c, 1, q), 0, "messages");
    expect_int(try_get(c, q, true, &d), false, "get of an empty queue");
    publish(c, 1, "", q, "g1", NULL);
    publish(c, 1, "", q, "g2", NULL);
    expect_int(try_get(c, q, true, &d), true, "get");
    expect_text(text("%s %u", d.body, d.left), "g1 1", "get");
    expect_int(amqp_queue_purge(c, 1, bytes(q))->message_count, 1, "purged");
    amqp_queue_unbind(c, 1, bytes(q), bytes(x), bytes("key"), NONE);
    check(c, "queue.unbind");
    publish(c, 1, "", q, "left", NULL);
    expect_int(amqp_queue_delete(c, 1, bytes(q), 0, 0)->message_count, 1, "deleted with");
}

static void exchange_direct(void)
{
    amqp_connection_state_t c = start();
    const char *x = exchange(c, "direct", "direct", NONE);
    const char *a = queue(c, 1, "direct.a", NONE), *b = queue(c, 1, "direct.b", NONE);

    bind_queue(c, a, x, "a", NONE);
    bind_queue(c, a, x, "both", NONE);
    bind_queue(c, b, x, "b", NONE);
    bind_queue(c, b, x, "both", NONE);
    send_all(c, x, (const char *[]){"a", "b", "both", "none", NULL});
    expect_text(drain(c, a), "a both", "a");
    expect_text(drain(c, b), "b both", "b");
}

static void exchange_fanout(void)
{
    amqp_connection_state_t c = start();
    const char *x = exchange(c, "fanout", "fanout", NONE);

    for (int i = 0; i < 3; i++)
        bind_queue(c, queue(c, 1, text("fanout.%d", i), NONE), x, "", NONE);
    send_all(c, x, (const char *[]){"1", "2", NULL});
    for (int i = 0; i < 3; i++)
        expect_text(drain(c, named(text("fanout.%d", i))), "1 2", "queue");
}

static void exchange_topic(void)
{
    amqp_connection_state_t c = start();
    const char *x = exchange(c, "topic", "topic", NONE);
    const char *a = queue(c, 1, "topic.a", NONE), *b = queue(c, 1, "topic.b", NONE);

    bind_queue(c, a, x, "*.orange.*", NONE);
    bind_queue(c, b, x, "*.*.rabbit", NONE);
    bind_queue(c, b, x, "lazy.#", NONE);
    send_all(c, x,
             (const char *[]){"quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox",
                              "lazy.brown.fox", "lazy.pink.rabbit", "quick.brown.fox", "orange",
                              "quick.orange.male.rabbit", "lazy", NULL});
    expect_text(drain(c, a), "quick.orange.rabbit lazy.orange.elephant quick.orange.fox", "a");
    expect_text(drain(c, b), "quick.orange.rabbit lazy.orange.elephant lazy.brown.fox lazy.pink.rabbit lazy",
                "b");
}

static void publish_with_headers(amqp_connection_state_t c, const char *x, const char *body,
                                 amqp_table_t headers)
{
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG, .headers = headers};

    publish(c, 1, x, "", body, &properties);
}

static void exchange_headers(void)
{
    amqp_connection_state_t c = start();
    const char *x = exchange(c, "headers", "headers", NONE);
    const char *all = queue(c, 1, "headers.all", NONE), *any = queue(c, 1, "headers.any", NONE);

    bind_queue(c, all, x, "",
               FIELDS(entry_text("x-match", "all"), entry_text("format", "pdf"), entry_int("pages", 3)));
    bind_queue(c, any, x, "",
               FIELDS(entry_text("x-match", "any"), entry_text("format", "pdf"), entry_text("type", "log")));
    publish_with_headers(c, x, "1", FIELDS(entry_text("format", "pdf"), entry_int("pages", 3)));
    publish_with_headers(c, x, "2", FIELDS(entry_text("format", "pdf")));
    publish_with_headers(c, x, "3", FIELDS(entry_text("type", "log"), entry_int("pages", 3)));
    publish_with_headers(c, x, "4", FIELDS(entry_text("format", "zip")));
    publish_with_headers(c, x, "5", NONE);
    expect_text(drain(c, all), "1", "all");
    expect_text(drain(c, any), "1 2 3", "any");
}

static void exchange_to_exchange(void)
{
    amqp_connection_state_t c = start();
    const char *source = exchange(c, "e2e.source", "fanout", NONE),
               *target = exchange(c, "e2e.target", "topic", NONE);
    const char *q = queue(c, 1, "e2e", NONE), *other = queue(c, 1, "e2e.other", NONE);

    bind_queue(c, q, target, "a.#", NONE);
    bind_queue(c, other, source, "", NONE); /* keeps the auto-delete source alive */
    amqp_exchange_bind(c, 1, bytes(target), bytes(source), bytes(""), NONE);
    check(c, "exchange.bind");
    send_all(c, source, (const char *[]){"a.through", "b.a", NULL});
    expect_text(drain(c, q), "a.through", "bound");
    amqp_exchange_unbind(c, 1, bytes(target), bytes(source), bytes(""), NONE);
    check(c, "exchange.unbind");
    send_all(c, source, (const char *[]){"a.unbound", NULL});
    expect_text(drain(c, q), "", "unbound");
    expect_text(drain(c, other), "a.through b.a a.unbound", "other");
}

static void alternate_exchange(void)
{
    amqp_connection_state_t c = start();
    const char *alternate = exchange(c, "ae", "fanout", NONE);
    const char *x = exchange(c, "ae.main", "direct", FIELDS(entry_text("alternate-exchange", alternate)));
    const char *routed = queue(c, 1, "ae.routed", NONE), *rest = queue(c, 1, "ae.rest", NONE);

    bind_queue(c, routed, x, "known", NONE);
    bind_queue(c, rest, alternate, "", NONE);
    send_all(c, x, (const char *[]){"known", "unknown", NULL});
    expect_text(drain(c, routed), "known", "routed");
    expect_text(drain(c, rest), "unknown", "rest");
}

/* The next basic.ack, basic.nack or basic.return as text; the content of a return is read. */
static const char *next_confirm(amqp_connection_state_t c)
{
    struct timeval timeout = {DEADLINE_S, 0};
    amqp_message_t message;
    amqp_frame_t frame;
    void *decoded;
    const char *what;

    check_status(amqp_simple_wait_frame_noblock(c, &frame, &timeout), "confirm");
    expect_int(frame.frame_type, AMQP_FRAME_METHOD, "frame type");
    decoded = frame.payload.method.decoded;
    if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD)
        return text("ack %d", (int)((amqp_basic_ack_t *)decoded)->delivery_tag);
    if (frame.payload.method.id == AMQP_BASIC_NACK_METHOD)
        return text("nack %d", (int)((amqp_basic_nack_t *)decoded)->delivery_tag);
    expect_int(frame.payload.method.id, AMQP_BASIC_RETURN_METHOD, "method");
    const amqp_basic_return_t *m = decoded;
    what = text("return %u %s %s %s", m->reply_code, string(m->reply_text), string(m->exchange),
                string(m->routing_key));
    amqp_read_message(c, 1, &message, 0);
    return text("%s %s", what, string(message.body));
}

static void confirms_returns(void)
{
    amqp_connection_state_t c = start();
    amqp_basic_properties_t persistent = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
    const char *q = named("confirms"), *full, *nowhere = named("nowhere");
    bool confirmed[101] = {false};

    amqp_confirm_select(c, 1);
    check(c, "confirm.select");
    amqp_queue_declare(c, 1, bytes(q), 0, 1, 0, 0, NONE);
    check(c, "queue.declare");
    for (int i = 0; i < 100; i++)
        publish(c, 1, "", q, "m", &persistent);
    for (int left = 100; left > 0;) {
        struct timeval timeout = {DEADLINE_S, 0};
        amqp_frame_t frame;

        check_status(amqp_simple_wait_frame_noblock(c, &frame, &timeout), "confirm");
        expect_int(frame.payload.method.id, AMQP_BASIC_ACK_METHOD, "method");
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        for (uint64_t i = ack->multiple ? 1 : ack->delivery_tag; i <= ack->delivery_tag; i++) {
            left -= !confirmed[i];
            confirmed[i] = true;
        }
    }
    expect_int(count(c, 1, q), 100, "messages");
    amqp_queue_delete(c, 1, bytes(q), 0, 0);
    check(c, "queue.delete");

    full = queue(c, 1, "confirms.full",
                 FIELDS(entry_int("x-max-length", 1), entry_text("x-overflow", "reject-publish")));
    amqp_basic_publish(c, 1, bytes("amq.direct"), bytes(nowhere), 1, 0, NULL, bytes("back"));
    expect_text(next_confirm(c), text("return 312 NO_ROUTE amq.direct %s back", nowhere), "return");
    expect_text(next_confirm(c), "ack 101", "confirm of the returned");
    publish(c, 1, "", full, "fits", NULL);
    expect_text(next_confirm(c), "ack 102", "confirm");
    publish(c, 1, "", full, "does not", NULL);
    expect_text(next_confirm(c), "nack 103", "refusal");
}

static void expect_got(amqp_connection_state_t c, const char *q, const char *body, struct delivery *out)
{
    *out = get(c, q);
    expect_text(text("%s%s", out->body, out->redelivered ? " again" : ""), body, "got");
}

static void nack_requeue(void)
{
    amqp_connection_state_t c = start();
    const char *q = queue(c, 1, "nack", NONE);
    struct delivery d;

    publish(c, 1, "", q, "a", NULL);
    publish(c, 1, "", q, "b", NULL);
    publish(c, 1, "", q, "c", NULL);
    expect_got(c, q, "a", &d);
    check_status(amqp_basic_nack(c, 1, d.tag, 0, 1), "nack");
    expect_got(c, q, "a again", &d);
    check_status(amqp_basic_ack(c, 1, d.tag, 0), "ack");
    expect_got(c, q, "b", &d);
    check_status(amqp_basic_reject(c, 1, d.tag, 0), "reject");
    publish(c, 1, "", q, "d", NULL);
    expect_got(c, q, "c", &d);
    expect_got(c, q, "d", &d);
    check_status(amqp_basic_nack(c, 1, d.tag, 1, 1), "nack multiple");
    expect_got(c, q, "c again", &d);
    expect_got(c, q, "d again", &d);
}

static void expect_died(amqp_connection_state_t c, const char *dead, const char *q, const char *reason)
{
    struct delivery d = get(c, dead);
    const amqp_field_value_t *deaths = table_find(d.properties.headers, "x-death"), *keys, *found;
    amqp_table_t death;

    expect_text(text("%s %s", d.key, d.body), "died m", reason);
    if (!deaths || deaths->kind != AMQP_FIELD_KIND_ARRAY || deaths->value.array.num_entries != 1)
        fail("no x-death array of one");
    death = deaths->value.array.entries[0].value.table;
    for (int i = 0; i < 3; i++) {
        const char *key = (const char *[]){"queue", "reason", "exchange"}[i];
        const char *value = (const char *[]){q, reason, ""}[i];

        found = table_find(death, key);
        expect_text(found ? string(found->value.bytes) : "(none)", value, key);
        found = table_find(d.properties.headers, text("x-first-death-%s", key));
        expect_text(found ? string(found->value.bytes) : "(none)", value, key);
    }
    found = table_find(death, "count");
    expect_text(found ? text("%c %d", found->kind, (int)found->value.i64) : "(none)", "l 1", "count");
    found = table_find(death, "time");
    expect_int(found ? found->kind : 0, AMQP_FIELD_KIND_TIMESTAMP, "time");
    keys = table_find(death, "routing-keys");
    expect_int(keys ? keys->value.array.num_entries : 0, 1, "routing-keys");
    expect_text(string(keys->value.array.entries[0].value.bytes), q, "routing-keys");
}

static void dead_letter(void)
{
    amqp_connection_state_t c = start();
    const char *x = exchange(c, "dlx", "topic", NONE), *dead = queue(c, 1, "dlx.dead", NONE), *q;
    amqp_table_entry_t to_x = entry_text("x-dead-letter-exchange", x),
                       key = entry_text("x-dead-letter-routing-key", "died");

    bind_queue(c, dead, x, "#", NONE);
    q = queue(c, 1, "dlx.rejected", FIELDS(to_x, key));
    publish(c, 1, "", q, "m", NULL);
    check_status(amqp_basic_reject(c, 1, get(c, q).tag, 0), "reject");
    expect_died(c, dead, q, "rejected");
    q = queue(c, 1, "dlx.expired", FIELDS(to_x, key, entry_int("x-message-ttl", 50)));
    publish(c, 1, "", q, "m", NULL);
    expect_died(c, dead, q, "expired");
    q = queue(c, 1, "dlx.maxlen", FIELDS(to_x, key, entry_int("x-max-length", 1)));
    publish(c, 1, "", q, "m", NULL);
    publish(c, 1, "", q, "n", NULL);
    expect_died(c, dead, q, "maxlen");
    expect_text(drain(c, q), "n", "what stays");
}

/* Nothing but a reply was there to read: amqp_basic_qos and declare keep deliveries that came in between. */
static void expect_waiting(amqp_connection_state_t c, const char *q, int messages)
{
    expect_int(count(c, 1, q), messages, "waiting");
    expect_int(amqp_frames_enqueued(c), false, "a delivery beyond the prefetch");
}

static void prefetch(void)
{
    amqp_connection_state_t c = start();
    const char *q = queue(c, 1, "prefetch", NONE);
    uint64_t first, last;

    for (int i = 0; i < 10; i++)
        publish(c, 1, "", q, text("%d", i), NULL);
    amqp_basic_qos(c, 1, 0, 3, 0);
    check(c, "basic.qos");
    consume(c, 1, q, false);
    first = take(c).tag;
    take(c);
    take(c);
    expect_waiting(c, q, 7);
    check_status(amqp_basic_ack(c, 1, first, 0), "ack");
    last = take(c).tag;
    expect_waiting(c, q, 6);
    check_status(amqp_basic_ack(c, 1, last, 1), "ack multiple");
    take(c);
    take(c);
    check_status(amqp_basic_ack(c, 1, take(c).tag, 1), "ack multiple");
    for (int i = 7; i < 10; i++)
        expect_text(take(c).body, text("%d", i), "body");
}

static void ttl_message(void)
{
    amqp_connection_state_t c = start();
    const char *dead = queue(c, 1, "ttl.dead", NONE);
    const char *q = queue(
        c, 1, "ttl",
        FIELDS(entry_text("x-dead-letter-exchange", ""), entry_text("x-dead-letter-routing-key", dead)));
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_EXPIRATION_FLAG, .expiration = bytes("200")};
    const amqp_field_value_t *found;
    struct delivery d;

    publish(c, 1, "", q, "short", &properties);
    properties.expiration = bytes("600000");
    publish(c, 1, "", q, "long", &properties);
    consume(c, 1, dead, true);
    d = take(c);
    expect_text(d.body, "short", "expired");
    expect_int(d.properties._flags & AMQP_BASIC_EXPIRATION_FLAG, 0, "expiration of the dead");
    found = table_find(table_find(d.properties.headers, "x-death")->value.array.entries[0].value.table,
                       "original-expiration");
    expect_text(found ? string(found->value.bytes) : "(none)", "200", "original-expiration");
    expect_text(drain(c, q), "long", "what stays");
}

/* The channel has been closed with this code and text; acknowledge it. */
static void expect_closed(amqp_connection_state_t c, int channel, amqp_method_t method, const char *what)
{
    amqp_channel_close_t *m = method.decoded;
    amqp_channel_close_ok_t ok;

    expect_int(method.id, AMQP_CHANNEL_CLOSE_METHOD, "method");
    expect_text(text("%u %s", m->reply_code, string(m->reply_text)), what, "close");
    check_status(amqp_send_method(c, (amqp_channel_t)channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok), "close-ok");
}

static void ttl_queue(void)
{
    amqp_connection_state_t c = start();
    const char *dead = queue(c, 1, "qttl.dead", NONE);
    const char *q =
        queue(c, 1, "qttl",
              FIELDS(entry_text("x-dead-letter-exchange", ""), entry_text("x-dead-letter-routing-key", dead),
                     entry_int("x-message-ttl", 100)));

    publish(c, 1, "", q, "a", NULL);
    publish(c, 1, "", q, "b", NULL);
    consume(c, 1, dead, true);
    expect_text(take(c).body, "a", "expired");
    expect_text(take(c).body, "b", "expired");
    expect_int(count(c, 1, q), 0, "left");
    q = queue(c, 1, "qttl.expires", FIELDS(entry_int("x-expires", 100)));
    sleep(1);
    amqp_queue_declare(c, 1, bytes(q), 1, 0, 0, 0, NONE);
    expect_closed(c, 1, amqp_get_rpc_reply(c).reply, text("404 NOT_FOUND - no queue '%s' in vhost '/'", q));
}

static void priorities(void)
{
    amqp_connection_state_t c = start();
    const char *q = queue(c, 1, "priorities", FIELDS(entry_int("x-max-priority", 10)));
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_PRIORITY_FLAG};

    for (const char *p = "15395"; *p; p++) {
        properties.priority = (uint8_t)(*p - '0');
        publish(c, 1, "", q, text("%c", *p), &properties);
    }
    publish(c, 1, "", q, "none", NULL);
    expect_text(drain(c, q), "9 5 5 3 1 none", "order");
}

static void tx(void)
{
    amqp_connection_state_t c = start(), other = start();
    const char *q = named("tx");

    amqp_queue_declare(c, 1, bytes(q), 0, 0, 0, 0, NONE);
    amqp_tx_select(c, 1);
    check(c, "tx.select");
    publish(c, 1, "", q, "a", NULL);
    publish(c, 1, "", q, "b", NULL);
    expect_int(count(other, 1, q), 0, "before commit");
    amqp_tx_commit(c, 1);
    check(c, "tx.commit");
    expect_int(count(other, 1, q), 2, "after commit");
    publish(c, 1, "", q, "c", NULL);
    amqp_tx_rollback(c, 1);
    check(c, "tx.rollback");
    amqp_tx_commit(c, 1);
    expect_int(count(other, 1, q), 2, "after rollback");
    amqp_basic_ack(c, 1, get(c, q).tag, 0);
    amqp_tx_rollback(c, 1);
    amqp_channel_close(c, 1, AMQP_REPLY_SUCCESS);
    expect_int(count(other, 1, q), 2, "after the ack was rolled back");
    amqp_queue_delete(other, 1, bytes(q), 0, 0);
}

static void rpc(amqp_connection_state_t client, const char *reply_to)
{
    amqp_connection_state_t server = start();
    const char *q = queue(server, 1, "rpc", NONE);
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_REPLY_TO_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG,
                                          .reply_to = bytes(reply_to)};

    consume(client, 1, reply_to, true);
    consume(server, 1, q, true);
    for (int i = 0; i < 5; i++) {
        struct delivery d;

        properties.correlation_id = bytes(text("id%d", i));
        publish(client, 1, "", q, text("%d", i), &properties);
        d = take(server);
        if (strcmp(reply_to, "amq.rabbitmq.reply-to") == 0)
            expect_int(strncmp(string(d.properties.reply_to), "amq.rabbitmq.reply-to.", 22), 0, "reply-to");
        d.properties._flags = AMQP_BASIC_CORRELATION_ID_FLAG;
        publish(server, 1, "", string(d.properties.reply_to), text("%s!", d.body), &d.properties);
        d = take(client);
        expect_text(text("%s %s", string(d.properties.correlation_id), d.body), text("id%d %d!", i, i),
                    "reply");
    }
}

static void rpc_direct_reply(void)
{
    rpc(start(), "amq.rabbitmq.reply-to");
}

static void rpc_reply_queue(void)
{
    amqp_connection_state_t c = start();

    rpc(c, queue(c, 1, "", NONE));
}

static void consumer_cancel(void)
{
    amqp_connection_state_t c = start();
    const char *q = queue(c, 1, "cancel", NONE);
    uint64_t held;

    amqp_basic_qos(c, 1, 0, 1, 0);
    consume(c, 1, q, false);
    publish(c, 1, "", q, "a", NULL);
    publish(c, 1, "", q, "b", NULL);
    publish(c, 1, "", q, "c", NULL);
    held = take(c).tag;
    amqp_basic_cancel(c, 1, bytes("tag"));
    check(c, "basic.cancel");
    check_status(amqp_basic_ack(c, 1, held, 0), "ack");
    expect_waiting(c, q, 2);
}

static void cancel_by_server(void)
{
    amqp_connection_state_t c = start();
    const char *q = queue(c, 1, "cancelled", NONE);
    struct timeval timeout = {DEADLINE_S, 0};
    amqp_frame_t frame;

    amqp_channel_open(c, 2);
    consume(c, 1, q, true);
    amqp_queue_delete(c, 2, bytes(q), 0, 0);
    check(c, "queue.delete");
    check_status(amqp_simple_wait_frame_noblock(c, &frame, &timeout), "basic.cancel");
    expect_int(frame.payload.method.id, AMQP_BASIC_CANCEL_METHOD, "method");
    expect_text(string(((amqp_basic_cancel_t *)frame.payload.method.decoded)->consumer_tag), "tag", "tag");
}

static amqp_table_entry_t entry_of(const char *key, amqp_field_value_t value)
{
    return (amqp_table_entry_t){.key = bytes(key), .value = value};
}

#define VALUE(KIND, MEMBER, ...) \
    ((amqp_field_value_t){.kind = AMQP_FIELD_KIND_##KIND, .value.MEMBER = __VA_ARGS__})

static void properties(void)
{
    amqp_connection_state_t c = start();
    const char *q = queue(c, 1, "properties", NONE);
    amqp_field_value_t items[] = {VALUE(I32, i32, 1), VALUE(UTF8, bytes, bytes("two")),
                                  VALUE(TABLE, table, FIELDS(entry_int("three", 3))),
                                  VALUE(VOID, boolean, 0)};
    amqp_table_t headers = FIELDS(
        entry_of("bool", VALUE(BOOLEAN, boolean, 1)), entry_of("i8", VALUE(I8, i8, -7)),
        entry_of("u8", VALUE(U8, u8, 200)), entry_of("i16", VALUE(I16, i16, -700)),
        entry_of("u16", VALUE(U16, u16, 60000)), entry_of("i32", VALUE(I32, i32, -70000)),
        entry_of("u32", VALUE(U32, u32, 4000000000u)), entry_of("i64", VALUE(I64, i64, 1LL << 60)),
        entry_of("f32", VALUE(F32, f32, 0.5f)), entry_of("f64", VALUE(F64, f64, 2.5)),
        entry_of("decimal", VALUE(DECIMAL, decimal, {2, 314})),
        entry_text("string", "h\xc3\xa4"
                             "der"),
        entry_of("bytes", VALUE(BYTES, bytes, {2, "\0\xff"})),
        entry_of("time", VALUE(TIMESTAMP, u64, 1709210096)), entry_of("null", VALUE(VOID, boolean, 0)),
        entry_of("array", VALUE(ARRAY, array, {4, items})),
        entry_of("table", VALUE(TABLE, table,
                                FIELDS(entry_of("nested", VALUE(TABLE, table, FIELDS(entry_int("x", 1))))))),
        entry_of("empty", VALUE(TABLE, table, {0, NULL})));
    amqp_basic_properties_t sent = {
        ._flags = 0xfffc, /* all fourteen */
        .content_type = bytes("text/plain"),
        .content_encoding = bytes("gzip"),
        .headers = headers,
        .delivery_mode = 2,
        .priority = 7,
        .correlation_id = bytes("correlation"),
        .reply_to = bytes("reply"),
        .expiration = bytes("600000"),
        .message_id = bytes("message"),
        .timestamp = 1709210096,
        .type = bytes("type"),
        .user_id = bytes("guest"),
        .app_id = bytes("application"),
        .cluster_id = bytes("cluster"),
    };
    amqp_basic_properties_t p;

    publish(c, 1, "", q, "all", &sent);
    publish(c, 1, "", q, "none", NULL);
    p = get(c, q).properties;
    expect_int(p._flags, sent._flags, "flags");
    expect_int(table_equals(p.headers, headers), true, "headers as sent");
    expect_text(
        text("%s %s %d %d %s %s %s %s %d %s %s %s %s", string(p.content_type), string(p.content_encoding),
             p.delivery_mode, p.priority, string(p.correlation_id), string(p.reply_to), string(p.expiration),
             string(p.message_id), (int)p.timestamp, string(p.type), string(p.user_id), string(p.app_id),
             string(p.cluster_id)),
        "text/plain gzip 2 7 correlation reply 600000 message 1709210096 type guest application cluster",
        "properties");
    expect_int(get(c, q).properties._flags, 0, "flags of a message without properties");
}

static void body_10mb(void)
{
    enum { SIZE = 10000000 };
    amqp_connection_state_t c = start();
    const char *q = queue(c, 1, "body", NONE);
    char *body = malloc(SIZE + 1);
    struct delivery d;

    for (int i = 0; i < SIZE; i++)
        body[i] = (char)(i * 31 % 251 + 1);
    body[SIZE] = '\0';
    consume(c, 1, q, true);
    publish(c, 1, "", q, body, NULL);
    publish(c, 1, "", q, "", NULL);
    d = take(c);
    expect_int((long long)d.size, SIZE, "size");
    expect_int(memcmp(d.body, body, SIZE), 0, "10 MB as sent");
    expect_int((long long)take(c).size, 0, "size of the empty body");
}

static amqp_method_t next_method(amqp_connection_state_t c)
{
    struct timeval timeout = {DEADLINE_S, 0};
    amqp_frame_t frame;

    check_status(amqp_simple_wait_frame_noblock(c, &frame, &timeout), "channel.close");
    expect_int(frame.frame_type, AMQP_FRAME_METHOD, "frame type");
    return frame.payload.method;
}

static void channel_errors(void)
{
    amqp_connection_state_t c = start();
    const char *q = named("errors"), *absent = named("absent");

    amqp_queue_declare(c, 1, bytes(q), 0, 0, 0, 0, NONE);
    amqp_queue_declare(c, 1, bytes(absent), 1, 0, 0, 0, NONE);
    expect_closed(c, 1, amqp_get_rpc_reply(c).reply,
                  text("404 NOT_FOUND - no queue '%s' in vhost '/'", absent));
    amqp_channel_open(c, 1);
    amqp_queue_declare(c, 1, bytes(q), 0, 1, 0, 0, NONE);
    expect_closed(c, 1, amqp_get_rpc_reply(c).reply,
                  text("406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue '%s' in vhost '/': "
                       "received 'true' but current is 'false'",
                       q));
    amqp_channel_open(c, 1);
    check_status(amqp_basic_ack(c, 1, 99, 0), "ack");
    expect_closed(c, 1, next_method(c), "406 PRECONDITION_FAILED - unknown delivery tag 99");
    amqp_channel_open(c, 1);
    publish(c, 1, absent, "", "x", NULL);
    expect_closed(c, 1, next_method(c), text("404 NOT_FOUND - no exchange '%s' in vhost '/'", absent));
    amqp_channel_open(c, 1);
    publish(c, 1, "", q, "works", NULL);
    expect_text(drain(c, q), "works", "new channel");
    amqp_queue_delete(c, 1, bytes(q), 0, 0);
    check(c, "queue.delete");
}

static void channels_200(void)
{
    amqp_connection_state_t c = start();
    long sum = 0;

    for (int i = 2; i <= 200; i++) {
        amqp_channel_open(c, (amqp_channel_t)i);
        check(c, "channel.open");
    }
    for (int i = 1; i <= 200; i++)
        consume(c, i, queue(c, i, text("channel.%d", i), NONE), true);
    for (int i = 1; i <= 200; i++)
        publish(c, i, "", named(text("channel.%d", i % 200 + 1)), text("%d", i), NULL);
    for (int i = 1; i <= 200; i++) {
        struct delivery d = take(c);

        expect_text(d.key, named(text("channel.%d", atoi(d.body) % 200 + 1)), "key");
        sum += atoi(d.body);
    }
    expect_int(sum, 200 * 201 / 2, "sum of all bodies");
    for (int i = 1; i <= 200; i += 2) {
        if (amqp_channel_close(c, (amqp_channel_t)i, AMQP_REPLY_SUCCESS).reply_type != AMQP_RESPONSE_NORMAL)
            fail("channel.close");
    }
    amqp_channel_open(c, 1);
    queue(c, 1, "channel.again", NONE);
}

/* The library does not recover: the program connects anew, as is usual with it. */
static void reconnect(void)
{
    amqp_connection_state_t admin = start(), c = dial(env_port("PROXY_PORT"), 60);
    struct timeval timeout = {DEADLINE_S, 0};
    const char *q = named("reconnect");
    amqp_envelope_t envelope;
    struct delivery d;

    amqp_queue_declare(admin, 1, bytes(q), 0, 1, 0, 0, NONE);
    check(admin, "queue.declare");
    publish(admin, 1, "", q, "first", NULL);
    consume(c, 1, q, false);
    d = take(c);
    expect_text(text("%s %d", d.body, d.redelivered), "first 0", "delivery");
    cut_connections();
    if (amqp_consume_message(c, &envelope, &timeout, 0).reply_type != AMQP_RESPONSE_LIBRARY_EXCEPTION)
        fail("the cut went unnoticed");
    amqp_destroy_connection(c);

    c = dial(env_port("PROXY_PORT"), 60);
    consume(c, 1, q, false);
    d = take(c);
    expect_text(text("%s %d", d.body, d.redelivered), "first 1", "redelivery");
    check_status(amqp_basic_ack(c, 1, d.tag, 0), "ack");
    publish(admin, 1, "", q, "second", NULL);
    d = take(c);
    expect_text(text("%s %d", d.body, d.redelivered), "second 0", "after reconnecting");
    amqp_queue_delete(admin, 1, bytes(q), 0, 0);
}

/* librabbitmq sends heartbeats only while it waits for frames. */
static void idle_minute(void)
{
    amqp_connection_state_t c = dial(env_port("AMQP_PORT"), 10);
    const char *q = queue(c, 1, "idle", NONE);
    struct timeval minute = {65, 0};
    amqp_envelope_t envelope;
    amqp_rpc_reply_t reply;

    expect_int(amqp_get_heartbeat(c), 10, "heartbeat");
    consume(c, 1, q, true);
    reply = amqp_consume_message(c, &envelope, &minute, 0);
    expect_text(amqp_error_string2(reply.library_error), amqp_error_string2(AMQP_STATUS_TIMEOUT),
                "idle minute");
    publish(c, 1, "", q, "awake", NULL);
    expect_text(take(c).body, "awake", "after a minute");
}

const struct scenario scenarios[] = {
    {"declare-publish-consume", declare_publish_consume},
    {"exchange-direct", exchange_direct},
    {"exchange-fanout", exchange_fanout},
    {"exchange-topic", exchange_topic},
    {"exchange-headers", exchange_headers},
    {"exchange-to-exchange", exchange_to_exchange},
    {"alternate-exchange", alternate_exchange},
    {"confirms-returns", confirms_returns},
    {"nack-requeue", nack_requeue},
    {"dead-letter", dead_letter},
    {"prefetch", prefetch},
    {"ttl-message", ttl_message},
    {"ttl-queue", ttl_queue},
    {"priorities", priorities},
    {"tx", tx},
    {"rpc-direct-reply", rpc_direct_reply},
    {"rpc-reply-queue", rpc_reply_queue},
    {"consumer-cancel", consumer_cancel},
    {"cancel-by-server", cancel_by_server},
    {"properties", properties},
    {"body-10mb", body_10mb},
    {"channel-errors", channel_errors},
    {"channels-200", channels_200},
    {"reconnect", reconnect},
    {"idle-minute", idle_minute},
    {NULL, NULL},
};
