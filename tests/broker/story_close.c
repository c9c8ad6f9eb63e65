/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels and connections open and close (connection-and-channel.md 6 and 7), back-pressure and direct
 * reply-to (publish-consume-ack.md 9 and 10).
 */
#include "story.h"

#define LITTLE_ROOM                                      \
    &(struct vhost_settings)                             \
    {                                                    \
        .message_size_max = 1 << 20, .unsent_max = 10000 \
    }

/* ---- channels ---- */

Test(channel, is_opened_once_and_before_anything_else)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    SEND(a, .id = METHOD_CHANNEL_OPEN);
    expect_connection_error(a, 504, "CHANNEL_ERROR - second 'channel.open' seen", METHOD_CHANNEL_OPEN);
    close_channel(b);
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    expect_connection_error(b, 504, "CHANNEL_ERROR - expected 'channel.open'", METHOD_CHANNEL_CLOSE);
    b = client(s);
    close_channel(b);
    publish(b, "q", "a");
    expect_connection_error(b, 504, "CHANNEL_ERROR - expected 'channel.open'", METHOD_BASIC_PUBLISH);
    story_free(s);
}

Test(channel, methods_of_others_are_refused)
{
    static const struct {
        enum method_id id;
        enum reply_code code;
        const char *text;
        bool on_zero;
    } cases[] = {
        {METHOD_QUEUE_DECLARE_OK, 503, "COMMAND_INVALID - unimplemented method", false},
        {METHOD_CHANNEL_CLOSE_OK, 503, "COMMAND_INVALID - unimplemented method", false},
        {METHOD_CONNECTION_CLOSE, 503, "COMMAND_INVALID - unimplemented method", false},
        {METHOD_QUEUE_DECLARE, 504, "CHANNEL_ERROR - unexpected method in connection state running", true},
        {METHOD_CONNECTION_CLOSE_OK, 504, "CHANNEL_ERROR - unexpected method in connection state running",
         true},
        {METHOD_CONNECTION_BLOCKED, 504, "CHANNEL_ERROR - unexpected method in connection state running",
         true},
    };
    struct story *s = story_new();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client *a = client(s);

        SEND(cases[i].on_zero ? client_zero(a) : a, .id = cases[i].id);
        expect_connection_error(a, cases[i].code, cases[i].text, cases[i].id);
    }
    story_free(s);
}

Test(channel, flow_can_only_be_on)
{
    struct story *s = story_new();
    struct client *a = client(s);

    SEND(a, .id = METHOD_CHANNEL_FLOW, .channel_flow = {.active = true});
    cr_expect(expect_reply(a, METHOD_CHANNEL_FLOW_OK)->method.channel_flow_ok.active);
    SEND(a, .id = METHOD_CHANNEL_FLOW, .channel_flow = {.active = false});
    expect_connection_error(a, 540, "NOT_IMPLEMENTED - active=false", METHOD_CHANNEL_FLOW);
    story_free(s);
}

Test(channel, closing_gives_everything_back_first)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    consume(b, "q", "t");
    publish(a, "q", "one");
    expect_fresh(b, "one");
    tx_select(b);
    publish(b, "q", "held");
    close_channel(b);
    expect_count(s, "q", 1, 0);
    reopen(b);
    prefetch(b, 0);
    consume(b, "q", "t");
    cr_expect_eq(expect_redelivered(b, "one")->tag, 1); /* tags start again */
    story_free(s);
}

Test(channel, crossing_closes_are_both_answered)
{
    struct story *s = story_new();
    struct client *a = client(s);

    together(a);
    send_declare(a, "nox", PASSIVE, NO_ARGUMENTS);
    SEND(a, .id = METHOD_CHANNEL_CLOSE);
    together_end(a);
    expect_channel_error(a, 404, "NOT_FOUND - no queue 'nox' in vhost '/'", METHOD_QUEUE_DECLARE);
    expect_reply(a, METHOD_CHANNEL_CLOSE_OK);
    expect_silence(a);
    reopen(a);
    story_free(s);
}

Test(channel, opening_is_limited)
{
    struct story *s = story_new();
    struct client *zero = client_enter(
        s, &(struct batch_open){.user = B("guest"), .channel_max = 2, .user_channel_max = UINT32_MAX});
    struct client *a;

    expect_reply(zero, METHOD_CONNECTION_OPEN_OK);
    client_beside(zero);
    a = client_beside(zero);
    close_channel(a);
    reopen(a);
    SEND(a, .id = METHOD_BASIC_QOS);
    expect_reply(a, METHOD_BASIC_QOS_OK);
    story_free(s);
}

/* ---- connections ---- */

Test(connection, enters_only_with_a_permission_and_below_the_limit)
{
    struct story *s = story_new();
    struct client *a;

    a = client_enter(s, &(struct batch_open){.user = B("nobody"), .user_channel_max = UINT32_MAX});
    expect_connection_error(a, 530, "NOT_ALLOWED - access to vhost '/' refused for user 'nobody'",
                            METHOD_CONNECTION_OPEN);
    vanish(a);
    vhost_set_limits(story_vhost(s), 1, -1);
    client(s);
    a = client_enter(s, &(struct batch_open){.user = B("guest"), .user_channel_max = UINT32_MAX});
    expect_connection_error(
        a, 530, "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached",
        METHOD_CONNECTION_OPEN);
    story_free(s);
}

Test(connection, close_deletes_exclusive_queues_before_the_answer)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s), *c;

    declare_with(a, "mine", EXCLUSIVE, NO_ARGUMENTS);
    declare(a, "q");
    c = client_beside(a);
    consume(c, "q", "t");
    consume(c, "mine", "u");
    publish(a, "q", "one");
    expect_fresh(c, "one");
    together(a);
    publish(a, "q", "two");
    SEND(client_zero(a), .id = METHOD_CONNECTION_CLOSE);
    publish(a, "q", "after");
    together_end(a);
    expect_reply(client_zero(a), METHOD_CONNECTION_CLOSE_OK);
    cr_expect_not(queue_exists(s, "mine"));
    declare_with(b, "mine", EXCLUSIVE, NO_ARGUMENTS);
    expect_count(s, "q", 2, 0);
    story_free(s);
}

Test(connection, error_gives_everything_back_before_it_is_said)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    declare_with(a, "mine", EXCLUSIVE, NO_ARGUMENTS);
    publish(a, "q", "one");
    consume(a, "q", "t");
    expect_fresh(a, "one");
    together(a);
    SEND(a, .id = METHOD_BASIC_RECOVER, .basic_recover = {.requeue = false});
    publish(a, "q", "two");
    SEND(client_zero(a), .id = METHOD_CONNECTION_CLOSE); /* crossing: answered too */
    together_end(a);
    expect_count(s, "q", 1, 0);
    cr_expect_not(queue_exists(s, "mine"));
    expect_connection_error(a, 540, "NOT_IMPLEMENTED - requeue=false", METHOD_BASIC_RECOVER);
    expect_reply(client_zero(a), METHOD_CONNECTION_CLOSE_OK);
    story_free(s);
}

/* Its channels end one after the other, and what one takes with it may be what the next one's get waits for.
 */
Test(connection, that_is_lost_takes_nothing_more)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s), *c = client_beside(b);

    declare_with(a, "gone", AUTO_DELETE, NO_ARGUMENTS);
    publish(a, "gone", "away");
    send_away(s);
    declare(a, "q");
    publish(a, "q", "stays");
    consume(b, "gone", "t");
    together(c);
    send_get(c, "gone", 0);
    send_get(c, "q", NO_ACK);
    together_end(c);
    expect_silence(c);
    vanish(b);
    cr_expect_not(queue_exists(s, "gone"));
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(connection, can_be_forced_to_close)
{
    struct story *s = story_new();
    struct client *a = client(s), *b;

    vhost_set_permission(story_vhost(s), B("other"), B(".*"), B(".*"), B(".*"));
    b = client_of(s, "other");
    vhost_close_connections(story_vhost(s), B("other"), "user 'other' is deleted");
    vhost_flush(story_vhost(s));
    expect_connection_error(b, 320, "CONNECTION_FORCED - user 'other' is deleted", (enum method_id)0);
    declare(a, "q");
    story_free(s);
}

Test(connection, stale_batches_find_nobody)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    together(a);
    publish(a, "q", "one");
    vanish(a);
    together_end(a); /* too late: dropped, and nothing is leaked */
    client(s);
    expect_count(s, "q", 0, 0);
    story_free(s);
}

/* ---- back-pressure ---- */

Test(congestion, slow_reader_gets_no_more_than_its_share_and_others_go_on)
{
    struct story *s = story_new_with(LITTLE_ROOM);
    struct client *a = client(s), *slow = client(s), *quick = client(s);

    declare(a, "q");
    stop_reading(slow);
    send_consume(slow, "q", "t", NO_ACK | NOWAIT, NO_ARGUMENTS);
    for (int i = 0; i < 20; i++)
        POST(a, .key = "q", .body_size = 1000);
    expect_count(s, "q", 10, 0);
    consume_with(quick, "q", "t", NO_ACK, NO_ARGUMENTS);
    expect_count(s, "q", 0, 0);
    for (int i = 0; i < 5; i++)
        POST(a, .key = "q", .body_size = 1000);
    expect_count(s, "q", 0, 0);
    vanish(quick);
    POST(a, .key = "q", .body = "next");
    expect_count(s, "q", 1, 0);
    read_on(slow);
    expect_count(s, "q", 0, 0);
    story_free(s);
}

static void publish_many(struct client *c, int count)
{
    together(c);
    for (int i = 0; i < count; i++)
        publish(c, "q", "m");
    together_end(c);
}

Test(credit, publisher_is_held_while_a_consumer_with_room_cannot_keep_up)
{
    struct story *s = story_new_with(LITTLE_ROOM);
    struct client *a = client(s), *slow = client(s), *other = client(s);

    declare(a, "q");
    stop_reading(slow);
    send_consume(slow, "q", "t", NO_ACK | NOWAIT, NO_ARGUMENTS);
    publish_many(a, 1000);
    cr_expect_eq(held(a), 0);
    publish_many(a, 8000);
    cr_expect(held(a) & OUTBOX_HOLD_CREDIT);
    cr_expect_eq(held(other), 0);
    read_on(slow); /* takes all there is */
    expect_count(s, "q", 0, 0);
    cr_expect_eq(held(a), 0);
    story_free(s);
}

Test(credit, queue_without_a_consumer_with_room_buffers)
{
    struct story *s = story_new_with(LITTLE_ROOM);
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish_many(a, 9000);
    cr_expect_eq(held(a), 0);
    prefetch(b, 1);
    consume(b, "q", "t"); /* at its prefetch, and silent */
    advance(s, 1000);
    publish_many(a, 1000);
    cr_expect_eq(held(a), 0);
    story_free(s);
}

Test(credit, ends_with_the_consumer_or_the_queue)
{
    struct story *s = story_new_with(LITTLE_ROOM);
    struct client *a = client(s), *slow = client(s);

    declare(a, "q");
    stop_reading(slow);
    send_consume(slow, "q", "t", NO_ACK | NOWAIT, NO_ARGUMENTS);
    publish_many(a, 9000);
    cr_expect(held(a) & OUTBOX_HOLD_CREDIT);
    vanish(slow);
    advance(s, 100);
    cr_expect_eq(held(a), 0);
    slow = client(s);
    stop_reading(slow);
    send_consume(slow, "q", "t", NO_ACK | NOWAIT, NO_ARGUMENTS);
    settle(s); /* the head may be away */
    publish_many(a, 100);
    cr_expect(held(a) & OUTBOX_HOLD_CREDIT);
    send_delete(a, "q", 0);
    cr_expect_eq(held(a), 0);
    story_free(s);
}

Test(credit, transaction_counts_too)
{
    struct story *s = story_new_with(LITTLE_ROOM);
    struct client *a = client(s), *slow = client(s);

    declare(a, "q");
    stop_reading(slow);
    send_consume(slow, "q", "t", NO_ACK | NOWAIT, NO_ARGUMENTS);
    tx_select(a);
    publish_many(a, 9000);
    tx_commit(a);
    cr_expect(held(a) & OUTBOX_HOLD_CREDIT);
    story_free(s);
}

Test(congestion, replies_left_unread_hold_the_connection)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    for (int i = 0; i < 30; i++)
        POST(a, .key = "q", .body_size = 100000);
    stop_reading(a);
    for (int i = 0; i < 10; i++)
        send_get(a, "q", NO_ACK);
    cr_expect_eq(held(a), 0);
    for (int i = 0; i < 2; i++)
        send_get(a, "q", NO_ACK);
    cr_expect_eq(held(a), OUTBOX_HOLD_REPLIES);
    read_on(a);
    cr_expect_eq(held(a), 0);
    story_free(s);
}

/* ---- direct reply-to ---- */

#define REPLY_TO "amq.rabbitmq.reply-to"

static void copy_reply_to(char out[SHORTSTR_MAX + 1], const struct heard *request)
{
    struct bytes name = request->properties.reply_to;

    memcpy(out, name.data, name.size);
    out[name.size] = 0;
}

Test(reply_to, answer_goes_straight_to_the_requester)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);
    const struct heard *answer;
    char name[SHORTSTR_MAX + 1];

    declare(b, "rpc");
    consume_with(b, "rpc", "server", NO_ACK, NO_ARGUMENTS);
    consume_with(a, REPLY_TO, "answers", NO_ACK, NO_ARGUMENTS);
    POST(a, .key = "rpc", .body = "question", .reply_to = REPLY_TO, .correlation_id = "1");
    copy_reply_to(name, expect_fresh(b, "question"));
    cr_expect_eq(strncmp(name, REPLY_TO ".", strlen(REPLY_TO) + 1), 0);
    send_declare(b, name, PASSIVE, NO_ARGUMENTS);
    expect_reply(b, METHOD_QUEUE_DECLARE_OK);
    POST(b, .key = name, .body = "answer", .flags = MANDATORY);
    answer = expect_fresh(a, "answer");
    cr_expect_str_eq(answer->consumer, "answers");
    cr_expect_str_eq(answer->key, name);
    cr_expect_eq(answer->tag, 1);
    POST(b, .key = name, .body = "another");
    cr_expect_eq(expect_fresh(a, "another")->tag, 2);
    expect_silence(b);
    cancel(a, "answers");
    POST(b, .key = name, .body = "late", .flags = MANDATORY);
    expect_return(b, "late");
    POST(b, .key = name, .body = "later");
    expect_silence(a);
    send_declare(b, name, PASSIVE, NO_ARGUMENTS);
    settle(s);
    cr_expect_eq(expect_reply(b, METHOD_CHANNEL_CLOSE)->method.channel_close.reply_code, 404);
    story_free(s);
}

Test(reply_to, name_cannot_be_guessed)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);
    char name[SHORTSTR_MAX + 1];

    declare(b, "rpc");
    consume_with(a, REPLY_TO, "", NO_ACK, NO_ARGUMENTS);
    POST(a, .key = "rpc", .body = "question", .reply_to = REPLY_TO);
    send_get(b, "rpc", NO_ACK);
    copy_reply_to(name, expect_get(b, "question"));
    name[strlen(name) - 1] ^= 1;
    POST(b, .key = name, .body = "answer", .flags = MANDATORY);
    expect_return(b, "answer");
    story_free(s);
}

Test(reply_to, name_that_is_declared_is_the_last_one)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, REPLY_TO);
    send_get(a, "", 0);
    expect_channel_error(a, 404, "NOT_FOUND - no queue '" REPLY_TO "' in vhost '/'", METHOD_BASIC_GET);
    reopen(a);
    declare(a, REPLY_TO);
    consume_with(a, "", "t", NO_ACK, NO_ARGUMENTS);
    declare(a, "q");
    POST(a, .key = "q", .body = "question", .reply_to = REPLY_TO);
    send_get(a, "", 0);
    expect_get(a, "question");
    story_free(s);
}

Test(reply_to, errors)
{
    struct story *s = story_new();
    struct client *a = client(s);

    send_consume(a, REPLY_TO, "t", 0, NO_ARGUMENTS);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge",
                         METHOD_BASIC_CONSUME);
    reopen(a);
    POST(a, .key = "rpc", .body = "question", .reply_to = REPLY_TO);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - fast reply consumer does not exist",
                         METHOD_BASIC_PUBLISH);
    reopen(a);
    consume_with(a, REPLY_TO, "t", NO_ACK, NO_ARGUMENTS);
    send_consume(a, REPLY_TO, "u", NO_ACK, NO_ARGUMENTS);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - reply consumer already set", METHOD_BASIC_CONSUME);
    story_free(s);
}
