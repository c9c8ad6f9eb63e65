/* SPDX-License-Identifier: Apache-2.0 */
/* A client and a peer that keeps to the protocol: what each of them hears. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "coney/frame.h"
#include "coney/properties.h"
#include "coney/table.h"
#include "coney/xalloc.h"
#include "peer.h"

static struct peer peer;

static void open_peer(void)
{
    peer_open(&peer, &peer_target);
}

static void close_peer(void)
{
    peer_close(&peer);
}

TestSuite(client, .init = open_peer, .fini = close_peer);

static struct bytes octets_of(size_t size)
{
    uint8_t *octets = xmalloc(size);

    for (size_t i = 0; i < size; i++)
        octets[i] = (uint8_t)('a' + i % 26);
    return (struct bytes){octets, size};
}

static void free_octets(struct bytes octets)
{
    free((void *)(uintptr_t)octets.data);
}

/* ---- connections ---- */

Test(client, says_who_it_is)
{
    struct method method;
    struct field field;

    peer_hear_protocol_header(&peer);
    peer_say_start(&peer, "AMQPLAIN PLAIN EXTERNAL");
    method = peer_hear_method(&peer, 0, METHOD_CONNECTION_START_OK);
    cr_expect(bytes_equal_string(method.connection_start_ok.mechanism, "PLAIN"));
    cr_expect(bytes_equal(method.connection_start_ok.response, BYTES_LITERAL("\0me\0secret")));
    cr_expect(table_get(method.connection_start_ok.client_properties, "capabilities", &field));
    cr_expect(table_get(field.bytes, "consumer_cancel_notify", &field) && field.type == FIELD_BOOL &&
              field.b);
    peer_say_tune(&peer, 8192, 60);
    method = peer_hear_method(&peer, 0, METHOD_CONNECTION_TUNE_OK);
    cr_expect_eq(method.connection_tune_ok.frame_max, 8192);
    cr_expect_eq(method.connection_tune_ok.channel_max, 2);
    cr_expect_eq(method.connection_tune_ok.heartbeat, 10, "the smaller wish");
    method = peer_hear_method(&peer, 0, METHOD_CONNECTION_OPEN);
    cr_expect(bytes_equal_string(method.connection_open.virtual_host, "/"));
    cr_expect_not(client_is_open(peer.client));
    cr_expect_null(client_channel_open(peer.client, &peer_channel_events, &peer));
    peer_say_method(&peer, 0, &(struct method){.id = METHOD_CONNECTION_OPEN_OK});
    cr_expect(client_is_open(peer.client));
    cr_expect_str_eq(peer_told(&peer), "opened");
}

Test(client, says_nothing_of_a_password_with_external)
{
    struct client_target target = peer_target;
    struct method method;
    struct field field;

    close_peer();
    target.mechanism = "EXTERNAL";
    target.connection_name = "me and you";
    peer_open(&peer, &target);
    peer_hear_protocol_header(&peer);
    peer_say_start(&peer, "EXTERNAL");
    method = peer_hear_method(&peer, 0, METHOD_CONNECTION_START_OK);
    cr_expect(bytes_equal_string(method.connection_start_ok.mechanism, "EXTERNAL"));
    cr_expect_eq(method.connection_start_ok.response.size, 0);
    cr_expect(table_get(method.connection_start_ok.client_properties, "connection_name", &field));
    cr_expect(bytes_equal_string(field.bytes, "me and you"));
}

Test(client, takes_its_own_limits_where_the_peer_has_none)
{
    struct client_target target = peer_target;
    struct method method;

    close_peer();
    target.heartbeat = 0;
    peer_open(&peer, &target);
    peer_hear_protocol_header(&peer);
    peer_say_start(&peer, "PLAIN");
    peer_hear_method(&peer, 0, METHOD_CONNECTION_START_OK);
    peer_say_tune(&peer, 0, 60);
    method = peer_hear_method(&peer, 0, METHOD_CONNECTION_TUNE_OK);
    cr_expect_eq(method.connection_tune_ok.frame_max, 131072);
    cr_expect_eq(method.connection_tune_ok.heartbeat, 0, "none is wished for");
}

Test(client, is_refused_by_a_close)
{
    struct method close = {
        .id = METHOD_CONNECTION_CLOSE,
        .connection_close = {.reply_code = 403, .reply_text = BYTES_LITERAL("ACCESS_REFUSED")}};

    peer_hear_protocol_header(&peer);
    peer_say_start(&peer, "PLAIN");
    peer_hear_method(&peer, 0, METHOD_CONNECTION_START_OK);
    peer_say_method(&peer, 0, &close);
    peer_hear_method(&peer, 0, METHOD_CONNECTION_CLOSE_OK);
    peer_wait(&peer, "closed: refused 403 ACCESS_REFUSED");
}

Test(client, is_refused_by_an_end)
{
    peer_hear_protocol_header(&peer);
    peer_say_start(&peer, "PLAIN");
    peer_hear_method(&peer, 0, METHOD_CONNECTION_START_OK);
    shutdown(peer.fd, SHUT_RDWR);
    peer_wait(&peer, "closed: refused 0 the connection ended at the login");
}

Test(client, does_not_send_a_password_to_who_does_not_ask_for_it)
{
    peer_hear_protocol_header(&peer);
    peer_say_start(&peer, "AMQPLAIN PLAINER SCRAM-PLAIN");
    cr_expect_str_eq(peer_told(&peer), "closed: refused 0 the peer does not offer the mechanism PLAIN");
    peer_turn(&peer);
    cr_expect_eq(wire_receive(&peer.input, peer.fd, MSG_DONTWAIT), 0);
}

Test(client, hears_that_a_vhost_is_not_there)
{
    struct method close = {
        .id = METHOD_CONNECTION_CLOSE,
        .connection_close = {.reply_code = 530, .reply_text = BYTES_LITERAL("NOT_ALLOWED")}};

    peer_hear_protocol_header(&peer);
    peer_say_start(&peer, "PLAIN");
    peer_hear_method(&peer, 0, METHOD_CONNECTION_START_OK);
    peer_say_tune(&peer, 4096, 0);
    peer_hear_method(&peer, 0, METHOD_CONNECTION_TUNE_OK);
    peer_hear_method(&peer, 0, METHOD_CONNECTION_OPEN);
    peer_say_method(&peer, 0, &close);
    peer_wait(&peer, "closed: peer 530 NOT_ALLOWED");
}

Test(client, closes_when_all_is_said)
{
    struct client_channel *channel;
    struct method_basic_publish publish = {.routing_key = BYTES_LITERAL("q")};

    peer_login(&peer, 4096);
    channel = peer_channel(&peer, 1);
    client_publish(channel, &publish, PROPERTIES_NONE, BYTES_LITERAL("last"), NULL);
    client_close(peer.client);
    client_close(peer.client);
    cr_expect_null(client_channel_open(peer.client, &peer_channel_events, &peer));
    client_ack(channel, 1, false); /* not said any more */
    peer_hear_method(&peer, 1, METHOD_BASIC_PUBLISH);
    cr_expect_eq(peer_hear(&peer).type, FRAME_HEADER);
    cr_expect_eq(peer_hear(&peer).type, FRAME_BODY);
    cr_expect_eq(peer_hear_method(&peer, 0, METHOD_CONNECTION_CLOSE).connection_close.reply_code, 200);
    cr_expect_str_eq(peer_told(&peer), "");
    peer_say_method(&peer, 0, &(struct method){.id = METHOD_CONNECTION_CLOSE_OK});
    cr_expect_str_eq(peer_told(&peer), "channel 1 closed: closed 0 closed\nclosed: closed 0 closed");
}

Test(client, closes_before_it_has_begun)
{
    client_close(peer.client);
    cr_expect_str_eq(peer_told(&peer), "");
    peer_wait(&peer, "closed: closed 0 closed");
}

Test(client, answers_a_close_before_it_ends)
{
    struct method close = {
        .id = METHOD_CONNECTION_CLOSE,
        .connection_close = {.reply_code = 320, .reply_text = BYTES_LITERAL("CONNECTION_FORCED")}};

    peer_login(&peer, 4096);
    client_call(peer_channel(&peer, 1), &(struct method){.id = METHOD_TX_SELECT}, peer_replied, &peer);
    peer_hear_method(&peer, 1, METHOD_TX_SELECT);
    peer_say_method(&peer, 0, &close);
    peer_hear_method(&peer, 0, METHOD_CONNECTION_CLOSE_OK);
    peer_wait(&peer, "closed: peer");
    cr_expect_str_eq(peer_told(&peer), "failed: peer 320\n"
                                       "channel 1 closed: peer 320 CONNECTION_FORCED\n"
                                       "closed: peer 320 CONNECTION_FORCED");
}

Test(client, hears_the_end_of_the_connection)
{
    peer_login(&peer, 4096);
    peer_channel(&peer, 1);
    shutdown(peer.fd, SHUT_RDWR);
    peer_wait(&peer, "closed: network 0 the connection ended: the peer closed it");
}

Test(client, tells_when_it_is_blocked)
{
    struct method blocked = {.id = METHOD_CONNECTION_BLOCKED,
                             .connection_blocked = {.reason = BYTES_LITERAL("low on memory")}};

    peer_login(&peer, 4096);
    peer_say_method(&peer, 0, &blocked);
    peer_say_method(&peer, 0, &(struct method){.id = METHOD_CONNECTION_UNBLOCKED});
    cr_expect_str_eq(peer_told(&peer), "blocked low on memory\nunblocked ");
}

/* ---- channels ---- */

static struct method declare(const char *queue)
{
    return (struct method){.id = METHOD_QUEUE_DECLARE, .queue_declare = {.queue = bytes_from_string(queue)}};
}

Test(client, matches_replies_to_calls)
{
    struct client_channel *channel;
    struct method ok = {.id = METHOD_QUEUE_DECLARE_OK, .queue_declare_ok = {.queue = BYTES_LITERAL("a")}};
    struct method call = declare("a");

    peer_login(&peer, 4096);
    channel = peer_channel(&peer, 1);
    client_call(channel, &call, peer_replied, &peer);
    client_call(channel, &(struct method){.id = METHOD_EXCHANGE_UNBIND}, peer_replied, &peer);
    client_call(channel, &(struct method){.id = METHOD_BASIC_QOS}, peer_replied, &peer);
    peer_hear_method(&peer, 1, METHOD_QUEUE_DECLARE);
    peer_hear_method(&peer, 1, METHOD_EXCHANGE_UNBIND);
    peer_hear_method(&peer, 1, METHOD_BASIC_QOS);
    peer_say_method(&peer, 1, &ok);
    peer_say_method(&peer, 1, &(struct method){.id = METHOD_EXCHANGE_UNBIND_OK});
    peer_say_method(&peer, 1, &(struct method){.id = METHOD_BASIC_QOS_OK});
    cr_expect_str_eq(peer_told(&peer),
                     "reply queue.declare-ok\nreply exchange.unbind-ok\nreply basic.qos-ok");
}

Test(client, loses_one_channel_and_keeps_the_other)
{
    struct method close = {.id = METHOD_CHANNEL_CLOSE,
                           .channel_close = {.reply_code = 404, .reply_text = BYTES_LITERAL("NOT_FOUND")}};
    struct method call = declare("a");

    peer_login(&peer, 4096);
    peer_channel(&peer, 1);
    peer_channel(&peer, 2);
    cr_expect_null(client_channel_open(peer.client, &peer_channel_events, &peer), "more than channel_max");
    client_call(peer.channels[1], &call, peer_replied, &peer);
    client_call(peer.channels[1], &call, peer_replied, &peer);
    client_call(peer.channels[2], &(struct method){.id = METHOD_BASIC_QOS}, peer_replied, &peer);
    peer_say_method(&peer, 1, &close);
    peer_say_method(&peer, 2, &(struct method){.id = METHOD_BASIC_QOS_OK});
    cr_expect_str_eq(peer_told(&peer), "failed: peer 404\nfailed: peer 404\n"
                                       "channel 1 closed: peer 404 NOT_FOUND\nreply basic.qos-ok");
    peer_hear_method(&peer, 1, METHOD_QUEUE_DECLARE);
    peer_hear_method(&peer, 1, METHOD_QUEUE_DECLARE);
    peer_hear_method(&peer, 2, METHOD_BASIC_QOS);
    peer_hear_method(&peer, 1, METHOD_CHANNEL_CLOSE_OK);
    peer_channel(&peer, 1); /* the number is free */
}

Test(client, hears_nothing_of_a_channel_that_it_closed)
{
    struct buffer out = {0};
    struct method deliver = {.id = METHOD_BASIC_DELIVER, .basic_deliver = {.delivery_tag = 1}};
    struct method close = {.id = METHOD_CHANNEL_CLOSE, .channel_close = {.reply_code = 404}};
    struct method call = declare("a");

    peer_login(&peer, 4096);
    peer_channel(&peer, 1);
    client_call(peer.channels[1], &call, peer_replied, &peer);
    client_channel_close(peer.channels[1]);
    client_ack(peer.channels[1], 1, false);
    peer_hear_method(&peer, 1, METHOD_QUEUE_DECLARE);
    peer_hear_method(&peer, 1, METHOD_CHANNEL_CLOSE);
    wire_put_content(&out, 1, &deliver, PROPERTIES_NONE, BYTES_LITERAL("late"), 4096);
    buffer_append_method(&out, 1, &close);
    peer_say(&peer, buffer_bytes(&out), SIZE_MAX);
    buffer_free(&out);
    peer_hear_method(&peer, 1, METHOD_CHANNEL_CLOSE_OK);
    peer_channel(&peer, 2);
    peer_say_method(&peer, 1, &(struct method){.id = METHOD_CHANNEL_CLOSE_OK});
    peer_channel(&peer, 1);
    cr_expect_str_eq(peer_told(&peer), "");
}

/* ---- content ---- */

static const char delivered[] =
    "delivered on 1: 7 tag x:key, 2 of properties, body 5000 abcdefghijklmnopqrst\n"
    "delivered on 1: 7 tag x:key, 2 of properties, body 0 \n"
    "delivered on 1: 7 tag x:key, 4 of properties, body 3 abc\n"
    "returned on 1: 312 nowhere back";

/* A few messages with content. */
static void put_contents(struct buffer *out)
{
    struct method deliver = {.id = METHOD_BASIC_DELIVER,
                             .basic_deliver = {.consumer_tag = BYTES_LITERAL("tag"),
                                               .exchange = BYTES_LITERAL("x"),
                                               .routing_key = BYTES_LITERAL("key"),
                                               .delivery_tag = 7}};
    struct method returned = {.id = METHOD_BASIC_RETURN,
                              .basic_return = {.reply_code = 312, .routing_key = BYTES_LITERAL("nowhere")}};
    struct bytes body = octets_of(5000);

    wire_put_content(out, 1, &deliver, PROPERTIES_NONE, body, 4096);
    wire_put_content(out, 1, &deliver, PROPERTIES_NONE, (struct bytes){0}, 4096);
    wire_put_content(out, 1, &deliver, BYTES_LITERAL("\x18\0\2\5"), BYTES_LITERAL("abc"), 4096);
    wire_put_content(out, 1, &returned, PROPERTIES_NONE, BYTES_LITERAL("back"), 4096);
    free_octets(body);
}

Test(client, takes_content_in_any_pieces)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 7, 8, 9, 100, 4095, 4096, 4097};
    struct buffer out = {0};

    peer_login(&peer, 4096);
    peer_channel(&peer, 1);
    put_contents(&out);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        peer_say(&peer, buffer_bytes(&out), pieces[i]);
        cr_expect_str_eq(peer_told(&peer), delivered, "in pieces of %zu", pieces[i]);
    }
    buffer_free(&out);
}

Test(client, takes_a_login_in_single_octets)
{
    struct buffer out = {0};
    struct method start = {.id = METHOD_CONNECTION_START,
                           .connection_start = {.version_minor = 9, .mechanisms = BYTES_LITERAL("PLAIN")}};
    struct method tune = {.id = METHOD_CONNECTION_TUNE};

    buffer_append_method(&out, 0, &start);
    buffer_append_method(&out, 0, &tune);
    buffer_append_method(&out, 0, &(struct method){.id = METHOD_CONNECTION_OPEN_OK});
    peer_turn(&peer);
    peer_say(&peer, buffer_bytes(&out), 1);
    buffer_free(&out);
    cr_expect_str_eq(peer_told(&peer), "opened");
}

Test(client, gets)
{
    struct method get = {.id = METHOD_BASIC_GET, .basic_get = {.queue = BYTES_LITERAL("q")}};
    struct method ok = {.id = METHOD_BASIC_GET_OK, .basic_get_ok = {.delivery_tag = 1}};
    struct buffer out = {0};

    peer_login(&peer, 4096);
    peer_channel(&peer, 1);
    client_call(peer.channels[1], &get, peer_replied, &peer);
    client_call(peer.channels[1], &get, peer_replied, &peer);
    wire_put_content(&out, 1, &ok, PROPERTIES_NONE, BYTES_LITERAL("got"), 4096);
    buffer_append_method(&out, 1, &(struct method){.id = METHOD_BASIC_GET_EMPTY});
    peer_say(&peer, buffer_bytes(&out), SIZE_MAX);
    buffer_free(&out);
    cr_expect_str_eq(peer_told(&peer), "reply basic.get-ok: got\nreply basic.get-empty");
}

Test(client, publishes_in_frames_that_the_peer_takes)
{
    struct method_basic_publish publish = {.exchange = BYTES_LITERAL("x"), .routing_key = BYTES_LITERAL("k")};
    struct bytes body = octets_of(10000);
    struct wire_frame frame;
    uint64_t sequence;

    peer_login(&peer, 4096);
    peer_channel(&peer, 1);
    cr_expect(client_publish(peer.channels[1], &publish, PROPERTIES_NONE, body, &sequence));
    cr_expect_eq(sequence, 0, "nothing is confirmed");
    peer_hear_method(&peer, 1, METHOD_BASIC_PUBLISH);
    frame = peer_hear(&peer);
    cr_expect_eq(frame.type, FRAME_HEADER);
    cr_expect_eq(get_u64(frame.payload.data + 4), body.size);
    for (size_t at = 0; at < body.size; at += frame.payload.size) {
        frame = peer_hear(&peer);
        cr_expect_eq(frame.type, FRAME_BODY);
        cr_expect_leq(frame.payload.size, 4088);
        cr_expect_arr_eq(frame.payload.data, body.data + at, frame.payload.size);
    }
    cr_expect_not(client_publish(peer.channels[1], &publish, body, BYTES_LITERAL(""), NULL),
                  "properties that do not fit");
    free_octets(body);
}

Test(client, counts_what_is_confirmed)
{
    struct method_basic_publish publish = {.routing_key = BYTES_LITERAL("k"), .mandatory = true};
    struct method ack = {.id = METHOD_BASIC_ACK, .basic_ack = {.delivery_tag = 2, .multiple = true}};
    struct method nack = {.id = METHOD_BASIC_NACK, .basic_nack = {.delivery_tag = 3}};
    uint64_t sequence = 0;

    peer_login(&peer, 4096);
    peer_channel(&peer, 1);
    client_call(peer.channels[1], &(struct method){.id = METHOD_CONFIRM_SELECT}, peer_replied, &peer);
    for (unsigned i = 0; i < 4; i++)
        cr_expect(client_publish(peer.channels[1], &publish, PROPERTIES_NONE, BYTES_LITERAL("m"), &sequence));
    cr_expect_eq(sequence, 4);
    peer_say_method(&peer, 1, &(struct method){.id = METHOD_CONFIRM_SELECT_OK});
    peer_say_method(&peer, 1, &ack);
    peer_say_method(&peer, 1, &nack);
    ack.basic_ack.delivery_tag = 0;
    peer_say_method(&peer, 1, &ack);
    cr_expect_str_eq(peer_told(&peer), "reply confirm.select-ok\nconfirmed on 1: up to 2\nrefused on 1: 3\n"
                                       "confirmed on 1: up to 4");
}

Test(client, answers_a_cancel)
{
    struct method cancel = {.id = METHOD_BASIC_CANCEL, .basic_cancel = {.consumer_tag = BYTES_LITERAL("c")}};

    peer_login(&peer, 4096);
    peer_channel(&peer, 1);
    peer_say_method(&peer, 1, &cancel);
    peer_hear_method(&peer, 1, METHOD_BASIC_CANCEL_OK);
    cancel.basic_cancel.nowait = true;
    peer_say_method(&peer, 1, &cancel);
    peer_say_method(&peer, 1, &(struct method){.id = METHOD_CHANNEL_FLOW, .channel_flow = {true}});
    cr_expect(peer_hear_method(&peer, 1, METHOD_CHANNEL_FLOW_OK).channel_flow_ok.active);
    cr_expect_str_eq(peer_told(&peer), "cancelled on 1: c\ncancelled on 1: c");
}

/* ---- pressure ---- */

Test(client, asks_for_a_pause_and_says_when_it_is_over)
{
    struct method_basic_publish publish = {.routing_key = BYTES_LITERAL("k")};
    struct bytes body = octets_of(100000);
    unsigned published = 0;
    time_t until = time(NULL) + 20;

    peer_login(&peer, 131072);
    peer_channel(&peer, 1);
    for (; !client_wants_pause(peer.client); published++) {
        cr_assert_lt(published, 1000);
        client_publish(peer.channels[1], &publish, PROPERTIES_NONE, body, NULL);
        peer_turn(&peer);
    }
    peer_turn(&peer);
    cr_expect_str_eq(peer_told(&peer), "", "nobody has read");
    while (client_wants_pause(peer.client) && time(NULL) < until) {
        wire_receive(&peer.input, peer.fd, MSG_DONTWAIT);
        peer_turn(&peer);
    }
    cr_expect_str_eq(peer_told(&peer), "drained");
    free_octets(body);
}

Test(client, is_held_and_goes_on_where_it_was)
{
    struct buffer out = {0};

    peer_login(&peer, 4096);
    peer_channel(&peer, 1);
    put_contents(&out);
    client_hold(peer.client, true);
    peer_say(&peer, buffer_bytes(&out), SIZE_MAX);
    cr_expect_str_eq(peer_told(&peer), "");
    client_hold(peer.client, false);
    cr_expect_str_eq(peer_told(&peer), "", "not from within");
    peer_turn(&peer);
    cr_expect_str_eq(peer_told(&peer), delivered);
    buffer_free(&out);
}

Test(client, sends_heartbeats_and_misses_them)
{
    struct client_target target = peer_target;
    unsigned heartbeats = 0;
    struct wire_frame frame;

    close_peer();
    target.heartbeat = 1;
    peer_open(&peer, &target);
    peer_login(&peer, 4096);
    peer_wait(&peer, "closed: timeout 0 the peer was silent for 2 heartbeats of 1 s");
    while (wire_receive(&peer.input, peer.fd, MSG_DONTWAIT) > 0)
        ;
    while (wire_next(&peer.input, &frame, &peer.is_broken))
        heartbeats += frame.type == FRAME_HEARTBEAT;
    cr_expect_geq(heartbeats, 3);
}

Test(client, gives_up_a_silent_peer)
{
    struct client_target target = peer_target;

    close_peer();
    target.timeout_ms = 30;
    peer_open(&peer, &target);
    peer_wait(&peer, "closed: timeout 0 the peer did not open the connection in 30 ms");
}

Test(client, gives_up_a_peer_that_does_not_answer_its_close)
{
    peer_login(&peer, 4096);
    client_close(peer.client);
    peer_wait(&peer, "closed: timeout 0 the peer did not answer to the close");
}

/* ---- being let go of in the middle ---- */

/* Everything that can be told, with more behind it. */
static void tell_all(void)
{
    struct method close = {.id = METHOD_CHANNEL_CLOSE, .channel_close = {.reply_code = 404}};
    struct method ack = {.id = METHOD_BASIC_ACK, .basic_ack = {.delivery_tag = 1}};
    struct method cancel = {.id = METHOD_BASIC_CANCEL};
    struct method_basic_publish publish = {.routing_key = BYTES_LITERAL("k")};
    struct method get = {.id = METHOD_BASIC_GET};
    struct method ok = {.id = METHOD_BASIC_GET_OK};
    struct client_channel *channel = peer.channels[1];
    struct buffer out = {0};

    client_call(channel, &(struct method){.id = METHOD_CONFIRM_SELECT}, peer_replied, &peer);
    client_publish(channel, &publish, PROPERTIES_NONE, BYTES_LITERAL("m"), NULL);
    client_call(channel, &get, peer_replied, &peer);
    client_call(channel, &get, peer_replied, &peer);
    buffer_append_method(&out, 1, &(struct method){.id = METHOD_CONFIRM_SELECT_OK});
    put_contents(&out);
    wire_put_content(&out, 1, &ok, PROPERTIES_NONE, BYTES_LITERAL("got"), 4096);
    buffer_append_method(&out, 1, &ack);
    buffer_append_method(&out, 1, &cancel);
    buffer_append_method(&out, 0, &(struct method){.id = METHOD_CONNECTION_BLOCKED});
    buffer_append_method(&out, 1, &close);
    close.id = METHOD_CONNECTION_CLOSE;
    buffer_append_method(&out, 0, &close);
    peer_say(&peer, buffer_bytes(&out), SIZE_MAX);
    buffer_free(&out);
}

static const char *const lines[] = {"reply confirm", "delivered", "returned", "reply basic.get-ok",
                                    "confirmed",     "cancelled", "failed",   "blocked"};

Test(client, is_freed_from_within_anything_that_it_tells)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        close_peer();
        open_peer();
        peer_login(&peer, 4096);
        peer_channel(&peer, 1);
        peer.frees_at = lines[i];
        tell_all();
        cr_expect_null(peer.client, "%s", lines[i]);
        cr_expect_null(strstr(peer_told(&peer), "closed:"));
    }
}

Test(client, is_freed_from_within_its_end)
{
    static const char *const ends[] = {"channel 1 closed", "closed: peer"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct method close = {.id = METHOD_CONNECTION_CLOSE, .connection_close = {.reply_code = 320}};

        close_peer();
        open_peer();
        peer_login(&peer, 4096);
        peer_channel(&peer, 1);
        peer_channel(&peer, 2);
        peer.frees_at = ends[i];
        peer_say_method(&peer, 0, &close);
        peer_wait(&peer, ends[i]);
        cr_expect_null(peer.client);
    }
}

Test(client, closes_a_channel_from_within_anything_that_it_tells)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *told;

        close_peer();
        open_peer();
        peer_login(&peer, 4096);
        peer_channel(&peer, 1);
        peer.closes_at = lines[i];
        tell_all();
        peer_wait(&peer, "closed: peer 404");
        told = peer_told(&peer);
        told = strstr(told, lines[i]);
        cr_expect_not_null(told, "%s", lines[i]);
        cr_expect(!told || !strstr(told, "channel 1 closed") || i == 7, "%s", told);
    }
}
