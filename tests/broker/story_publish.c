/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing, returns and confirms (publish-consume-ack.md 1 to 3). */
#include <stdio.h>

#include "story.h"

#define PUBLISH METHOD_BASIC_PUBLISH

Test(publish, message_waits_for_a_consumer)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);
    const struct heard *heard;

    declare(a, "q");
    publish(a, "q", "one");
    expect_count(s, "q", 1, 0);
    consume(b, "q", "tag");
    heard = expect_fresh(b, "one");
    cr_expect_eq(heard->tag, 1);
    cr_expect_str_eq(heard->consumer, "tag");
    cr_expect_str_eq(heard->exchange, "");
    cr_expect_str_eq(heard->key, "q");
    expect_count(s, "q", 0, 1);
    ack(b, 1);
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(publish, message_goes_straight_to_a_waiting_consumer)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    consume_with(a, "q", "tag", NO_ACK, NO_ARGUMENTS);
    publish(a, "q", "one");
    expect_fresh(a, "one");
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(publish, properties_and_body_come_back_octet_for_octet)
{
    struct story *s = story_new();
    struct client *a = client(s);
    /* headers with a void, an odd bool and a duplicate, then a priority */
    static const uint8_t raw[] = {0x28, 0x00, 0, 0, 0, 11, 1, 'a', 'V', 1, 'b', 't', 7, 1, 'a', 't', 0, 9};
    struct bytes properties = {raw, sizeof raw};
    const struct heard *heard;

    declare(a, "q");
    POST(a, .key = "q", .body = "", .raw = properties);
    POST(a, .key = "q", .body_size = 300000, .raw = PROPERTIES_NONE);
    send_get(a, "q", NO_ACK);
    heard = expect_get(a, "");
    cr_expect(bytes_equal((struct bytes){heard->payload, heard->payload_size}, properties));
    send_get(a, "q", NO_ACK);
    settle(s);
    heard = glimpse_reply(a);
    cr_assert(heard && heard->kind == OUTBOX_GET_OK);
    cr_expect_eq(heard->body_size, 300000);
    cr_expect_eq(strspn(heard->body, "x"), 300000);
    story_free(s);
}

Test(publish, unroutable_message_is_dropped_unless_mandatory)
{
    struct story *s = story_new();
    struct client *a = client(s);
    const struct heard *heard;

    POST(a, .key = "nowhere", .body = "one");
    expect_silence(a);
    POST(a, .key = "nowhere", .body = "two", .flags = MANDATORY);
    heard = expect_return(a, "two");
    cr_expect_str_eq(heard->key, "nowhere");
    story_free(s);
}

Test(publish, queue_bound_twice_gets_a_message_once)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    declare_exchange(a, "x", "fanout");
    bind(a, "q", "x", "a");
    bind(a, "q", "x", "b");
    bind(a, "q", "x", "b");
    cr_expect_eq(queue_info(s, "q").bindings, 2);
    POST(a, .exchange = "x", .body = "one");
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(publish, remembered_route_is_forgotten_when_topology_changes)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_exchange(a, "x", "direct");
    declare(a, "q1");
    bind(a, "q1", "x", "k");
    POST(a, .exchange = "x", .key = "k", .body = "one");
    POST(a, .exchange = "x", .key = "k", .body = "two");
    declare(a, "q2");
    bind(a, "q2", "x", "k");
    POST(a, .exchange = "x", .key = "k", .body = "three");
    expect_count(s, "q1", 3, 0);
    expect_count(s, "q2", 1, 0);
    delete_queue(a, "q1");
    POST(a, .exchange = "x", .key = "k", .body = "four");
    expect_count(s, "q2", 2, 0);
    SEND(a, .id = METHOD_EXCHANGE_DELETE, .exchange_delete = {.exchange = B("x")});
    expect_reply(a, METHOD_EXCHANGE_DELETE_OK);
    POST(a, .exchange = "x", .key = "k", .body = "five");
    expect_channel_error(a, 404, "NOT_FOUND - no exchange 'x' in vhost '/'", PUBLISH);
    story_free(s);
}

Test(publish, errors_close_the_channel_and_what_follows_is_swallowed)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    together(a);
    POST(a, .exchange = "nox", .key = "k", .body = "one", .flags = MANDATORY);
    publish(a, "q", "two");
    SEND(a, .id = METHOD_TX_SELECT);
    together_end(a);
    expect_channel_error(a, 404, "NOT_FOUND - no exchange 'nox' in vhost '/'", PUBLISH);
    expect_silence(a);
    expect_count(s, "q", 0, 0);
    reopen(a);
    POST(a, .exchange = "amq.rabbitmq.trace", .key = "k", .body = "one");
    expect_channel_error(
        a, 403, "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'",
        PUBLISH);
    story_free(s);
}

Test(publish, immediate_closes_the_connection)
{
    struct story *s = story_new();
    struct client *a = client(s);

    POST(a, .key = "q", .body = "one", .flags = IMMEDIATE);
    expect_connection_error(a, 540, "NOT_IMPLEMENTED - immediate=true", PUBLISH);
    story_free(s);
}

Test(publish, oversize_body_is_refused)
{
    struct story *s = story_new_with(&(struct vhost_settings){.message_size_max = 1000});
    struct client *a = client(s);

    declare(a, "q");
    POST(a, .key = "q", .body_size = 1000);
    expect_count(s, "q", 1, 0);
    POST(a, .key = "q", .body_size = 1001);
    expect_channel_error(
        a, 406, "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000", PUBLISH);
    story_free(s);
}

Test(publish, user_id_must_be_the_login_name)
{
    struct story *s = story_new();
    struct client *a = client(s), *zero;

    declare(a, "q");
    POST(a, .key = "q", .body = "one", .user_id = "guest");
    POST(a, .key = "q", .body = "two", .user_id = "other");
    expect_channel_error(
        a, 406, "PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was 'guest'",
        PUBLISH);
    expect_count(s, "q", 1, 0);
    zero = client_enter(
        s, &(struct batch_open){.user = B("guest"), .is_impersonator = true, .user_channel_max = UINT32_MAX});
    expect_reply(zero, METHOD_CONNECTION_OPEN_OK);
    a = client_beside(zero);
    POST(a, .key = "q", .body = "three", .user_id = "other");
    expect_count(s, "q", 2, 0);
    story_free(s);
}

Test(publish, expiration_is_checked_even_when_unroutable)
{
    static const char *const bad[][2] = {
        {"abc", "no_integer"},
        {"", "no_integer"},
        {" 10", "no_integer"},
        {"-1", "{value_negative,-1}"},
        {"1.5", "{leftover_string,\".5\"}"},
        {"10 ", "{leftover_string,\" \"}"},
        {"315360000001", "{value_too_large,315360000001}"},
    };
    struct story *s = story_new();
    struct client *a = client(s);
    char text[200];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        POST(a, .key = "nowhere", .body = "one", .expiration = bad[i][0]);
        snprintf(text, sizeof text, "PRECONDITION_FAILED - invalid expiration '%s': %s", bad[i][0],
                 bad[i][1]);
        expect_channel_error(a, 406, text, PUBLISH);
        reopen(a);
    }
    POST(a, .key = "nowhere", .body = "one", .expiration = "+0099");
    expect_silence(a);
    story_free(s);
}

Test(publish, properties_that_do_not_decode_close_the_connection)
{
    static const uint8_t bad_headers[] = {0x20, 0x00, 0, 0, 0, 2, 1, 'a'};
    static const uint8_t bad_rest[] = {0x80, 0x00, 9};
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    POST(a, .key = "q", .body = "one", .raw = {bad_headers, sizeof bad_headers});
    expect_connection_error(a, 502, "SYNTAX_ERROR - malformed headers table", PUBLISH);
    POST(b, .key = "q", .body = "one", .raw = {bad_rest, sizeof bad_rest});
    expect_connection_error(b, 541, "INTERNAL_ERROR", (enum method_id)0);
    story_free(s);
}

Test(publish, cc_and_bcc_are_keys_too_and_bcc_is_not_shown)
{
    static const uint8_t headers[] = {2,   'C', 'C', 'A', 0, 0, 0, 7, 'S', 0, 0, 0, 2, 'q', '2', 3,
                                      'B', 'C', 'C', 'A', 0, 0, 0, 7, 'S', 0, 0, 0, 2, 'q', '3'};
    struct story *s = story_new();
    struct client *a = client(s);
    const struct heard *heard;
    struct field field;

    declare(a, "q1");
    declare(a, "q2");
    declare(a, "q3");
    POST(a, .key = "q1", .body = "one", .headers = {headers, sizeof headers});
    send_get(a, "q1", 0);
    heard = expect_get(a, "one");
    cr_expect(table_get(heard->properties.headers, "CC", &field));
    cr_expect_not(table_get(heard->properties.headers, "BCC", &field));
    send_get(a, "q3", 0);
    heard = expect_get(a, "one");
    cr_expect_str_eq(heard->key, "q1");
    expect_count(s, "q2", 1, 0);
    POST(a, .key = "q1", .body = "two", .headers = ARGUMENTS(STR("CC", "q2")).table);
    expect_channel_error(
        a, 406, "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
        PUBLISH);
    story_free(s);
}

/* ---- confirms ---- */

Test(confirms, each_publish_is_confirmed_once_routed_or_not)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "before");
    confirm_select(a);
    publish(a, "q", "one");
    publish(a, "nowhere", "two");
    expect_acked(a, 1, 2);
    together(a);
    for (int i = 0; i < 1000; i++)
        publish(a, "q", "more");
    together_end(a);
    expect_acked(a, 1, 1002);
    expect_unconfirmed(a, 1003);
    story_free(s);
}

Test(confirms, selecting_again_goes_on_counting)
{
    struct story *s = story_new();
    struct client *a = client(s);

    confirm_select(a);
    publish(a, "nowhere", "one");
    confirm_select(a);
    publish(a, "nowhere", "two");
    expect_acked(a, 1, 2);
    SEND(a, .id = METHOD_TX_SELECT);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
                         METHOD_TX_SELECT);
    reopen(a);
    confirm_select(a);
    publish(a, "nowhere", "one");
    expect_acked(a, 1, 1);
    story_free(s);
}

Test(confirms, return_comes_before_the_ack)
{
    struct story *s = story_new();
    struct client *a = client(s);

    confirm_select(a);
    POST(a, .key = "nowhere", .body = "one", .flags = MANDATORY);
    expect_return(a, "one");
    expect_acked(a, 1, 1);
    story_free(s);
}

Test(confirms, full_queue_with_reject_publish_nacks)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length", 1), STR("x-overflow", "reject-publish")));
    declare(a, "other");
    declare_exchange(a, "x", "fanout");
    bind(a, "q", "x", "");
    bind(a, "other", "x", "");
    confirm_select(a);
    together(a);
    POST(a, .exchange = "x", .body = "one");
    POST(a, .exchange = "x", .body = "two");
    POST(a, .exchange = "x", .body = "three");
    POST(a, .key = "other", .body = "four");
    together_end(a);
    expect_acked(a, 1, 1);
    expect_nacked(a, 2, 3);
    expect_acked(a, 4, 4);
    expect_count(s, "q", 1, 0);
    expect_count(s, "other", 4, 0);
    story_free(s);
}

Test(confirms, dropped_and_expired_messages_are_acked)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length", 0)));
    declare(a, "p");
    confirm_select(a);
    publish(a, "q", "one");
    POST(a, .key = "p", .body = "two", .expiration = "0");
    expect_acked(a, 1, 2);
    expect_count(s, "p", 0, 0);
    story_free(s);
}

Test(confirms, refused_publish_gets_neither)
{
    struct story *s = story_new();
    struct client *a = client(s);

    confirm_select(a);
    POST(a, .exchange = "nox", .body = "one");
    expect_channel_error(a, 404, "NOT_FOUND - no exchange 'nox' in vhost '/'", PUBLISH);
    expect_unconfirmed(a, 1);
    story_free(s);
}

Test(confirms, close_right_behind_a_publish_lets_its_ack_out)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    confirm_select(a);
    together(a);
    publish(a, "q", "one");
    SEND(a, .id = METHOD_CHANNEL_CLOSE);
    together_end(a);
    expect_reply(a, METHOD_CHANNEL_CLOSE_OK);
    expect_acked(a, 1, 1);
    story_free(s);
}
