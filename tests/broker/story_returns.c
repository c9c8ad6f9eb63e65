/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel ends with more unacked deliveries than go back in one batch (publish-consume-ack.md 6.6). Here it
 * is one in a batch, so there is time for everything that must not happen meanwhile.
 */
#include "story.h"

#include <stdio.h>

#include "broker/vhost_fields.h"

#define SLOWLY                                        \
    &(struct vhost_settings)                          \
    {                                                 \
        .message_size_max = 1 << 20, .returns_max = 1 \
    }

enum { MANY = 20 };

static const char *number(int i)
{
    static char text[8];

    snprintf(text, sizeof text, "%d", i);
    return text;
}

static void publish_numbers(struct client *c, const char *queue, int first, int end)
{
    for (int i = first; i < end; i++)
        publish(c, queue, number(i));
}

/* C has 0 .. MANY-1 unacked from QUEUE. */
static void hold_many(struct client *c, const char *queue, const char *tag)
{
    prefetch(c, MANY);
    consume(c, queue, tag);
    publish_numbers(c, queue, 0, MANY);
    for (int i = 0; i < MANY; i++)
        expect_fresh(c, number(i));
}

static struct queue_info peek(struct story *s, const char *queue)
{
    struct queue_info info;

    cr_assert(vhost_queue_info(story_vhost(s), B(queue), &info));
    return info;
}

static void go_on_until_ready(struct story *s, uint64_t count)
{
    for (int turns = 0; peek(s, "q").ready < count; turns++) {
        cr_assert_lt(turns, 4 * MANY, "nothing comes back");
        turn(s);
    }
}

/* What was held is back, and goes to C, which has one ready consumer, in its order. */
static void expect_many_redelivered(struct client *c)
{
    for (int i = 0; i < MANY; i++)
        expect_redelivered(c, number(i));
}

static void purge_many(struct story *s, struct client *c)
{
    expect_count(s, "q", MANY, 0);
    purge(c, "q", MANY);
}

Test(returns, nothing_overtakes_what_is_coming_back)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare(a, "q");
    hold_many(b, "q", "t");
    prefetch(c, 1);
    consume(c, "q", "u");
    publish(a, "q", "20");
    expect_fresh(c, "20");
    publish(a, "q", "21");
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    ack(c, 1);
    publish(a, "q", "22");
    while (vhost_has_work(story_vhost(s))) {
        if (glimpse_delivery(c))
            cr_expect_eq(peek(s, "q").unacked, 1, "something was delivered before all was back");
        else
            cr_expect_null(glimpse_reply(b), "closed before all was back");
        turn(s);
    }
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    for (int i = 0; i < MANY; i++) {
        expect_redelivered(c, number(i));
        ack(c, (uint64_t)i + 2);
    }
    expect_fresh(c, "21");
    ack(c, MANY + 2);
    expect_fresh(c, "22");
    story_free(s);
}

Test(returns, waiting_consumer_gets_what_is_published_meanwhile_afterwards)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare(a, "q");
    hold_many(b, "q", "t");
    consume(c, "q", "u");
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    publish(a, "q", "new");
    cr_expect_null(glimpse_delivery(c));
    expect_many_redelivered(c);
    expect_fresh(c, "new");
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    story_free(s);
}

Test(returns, get_finds_the_head)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare(a, "q");
    hold_many(b, "q", "t");
    publish(a, "q", "new");
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    go_on_until_ready(s, 3);
    together(c);
    for (int i = 0; i <= MANY; i++)
        send_get(c, "q", 0);
    together_end(c);
    for (int i = 0; i < MANY; i++)
        expect_get_redelivered(c, number(i));
    expect_get(c, "new");
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    story_free(s);
}

/* What was away, and is back before they are, stands behind them. */
Test(returns, what_comes_back_into_memory_meanwhile_waits_for_them)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s), *c = client(s);

    story_vhost(s)->settings.returns_max = 1;
    declare(a, "q");
    publish_numbers(a, "q", 0, MANY);
    for (int i = 0; i < MANY; i++) {
        send_get(b, "q", 0);
        expect_get(b, number(i));
    }
    publish(a, "q", number(MANY));
    send_away(s);
    consume(c, "q", "u");
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    bring_back(s);
    cr_expect_gt(peek(s, "q").unacked, 0, "all was back at once");
    cr_expect_null(glimpse_delivery(c));
    expect_many_redelivered(c);
    expect_fresh(c, number(MANY));
    story_free(s);
}

Test(returns, other_queues_go_on)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare(a, "q");
    declare(a, "other");
    consume(c, "other", "u");
    hold_many(b, "q", "t");
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    publish(a, "other", "one");
    cr_expect_not_null(glimpse_delivery(c));
    cr_expect_null(glimpse_reply(b));
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    story_free(s);
}

Test(returns, channel_number_is_taken_until_close_ok)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    hold_many(b, "q", "t");
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    publish(b, "q", "swallowed");
    ack(b, 1);
    SEND(b, .id = METHOD_CHANNEL_CLOSE); /* swallowed too */
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    expect_silence(b);
    reopen(b);
    purge_many(s, b);
    hold_many(b, "q", "t");
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    SEND(b, .id = METHOD_CHANNEL_OPEN);
    expect_connection_error(b, 504, "CHANNEL_ERROR - second 'channel.open' seen", METHOD_CHANNEL_OPEN);
    expect_count(s, "q", MANY, 0);
    story_free(s);
}

Test(returns, channel_error_is_said_when_all_is_back)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    hold_many(b, "q", "t");
    ack(b, 999);
    cr_expect_null(glimpse_reply(b));
    SEND(b, .id = METHOD_CHANNEL_CLOSE_OK); /* answers nothing */
    SEND(b, .id = METHOD_CHANNEL_CLOSE);    /* crosses ours */
    cr_expect_null(glimpse_reply(b));
    expect_count(s, "q", MANY, 0);
    expect_channel_error(b, 406, "PRECONDITION_FAILED - unknown delivery tag 999", METHOD_BASIC_ACK);
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    expect_silence(b);
    reopen(b);
    story_free(s);
}

Test(returns, connection_close_ok_comes_after_the_last_and_what_follows_it)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s), *beside = client_beside(b);

    declare(a, "q");
    declare_with(b, "mine", EXCLUSIVE, NO_ARGUMENTS);
    declare_with(b, "auto", AUTO_DELETE, NO_ARGUMENTS);
    hold_many(b, "q", "t");
    hold_many(beside, "auto", "u");
    SEND(client_zero(b), .id = METHOD_CONNECTION_CLOSE);
    for (int turns = 0; !glimpse_reply(client_zero(b)); turns++) {
        cr_assert_lt(turns, 8 * MANY, "it is never closed");
        if (peek(s, "q").unacked) {
            peek(s, "mine"); /* is there */
            peek(s, "auto");
        }
        turn(s);
    }
    cr_expect_eq(peek(s, "q").ready, MANY);
    expect_reply(client_zero(b), METHOD_CONNECTION_CLOSE_OK);
    cr_expect(has_ended(b));
    cr_expect_not(queue_exists(s, "mine"));
    cr_expect_not(queue_exists(s, "auto"));
    vanish(b);
    cr_expect(has_detached(b));
    story_free(s);
}

Test(returns, connection_error_is_said_when_all_is_back)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    declare_with(b, "mine", EXCLUSIVE, NO_ARGUMENTS);
    hold_many(b, "q", "t");
    SEND(b, .id = METHOD_BASIC_RECOVER, .basic_recover = {.requeue = false});
    publish(b, "q", "swallowed");
    SEND(client_zero(b), .id = METHOD_CONNECTION_CLOSE); /* crosses ours */
    cr_expect_null(glimpse_reply(client_zero(b)));
    expect_count(s, "q", MANY, 0);
    cr_expect_not(queue_exists(s, "mine"));
    expect_connection_error(b, 540, "NOT_IMPLEMENTED - requeue=false", METHOD_BASIC_RECOVER);
    expect_reply(client_zero(b), METHOD_CONNECTION_CLOSE_OK);
    expect_silence(client_zero(b));
    story_free(s);
}

Test(returns, lost_connection_is_forgotten_when_all_is_back)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare(a, "q");
    declare_with(b, "mine", EXCLUSIVE, NO_ARGUMENTS);
    hold_many(b, "q", "t");
    consume(c, "q", "u");
    vanish(b);
    peek(s, "mine"); /* is there */
    expect_many_redelivered(c);
    cr_expect(has_detached(b));
    cr_expect_not(queue_exists(s, "mine"));
    story_free(s);
}

/* Whatever the connection was waiting for. */
Test(returns, connection_may_be_lost_meanwhile)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b;

    declare(a, "q");
    for (int i = 0; i < 4; i++) {
        b = client(s);
        hold_many(b, "q", "t");
        if (i == 0)
            SEND(b, .id = METHOD_CHANNEL_CLOSE);
        else if (i == 1)
            SEND(client_zero(b), .id = METHOD_CONNECTION_CLOSE);
        else if (i == 2)
            ack(b, 999);
        else
            SEND(b, .id = METHOD_BASIC_RECOVER, .basic_recover = {.requeue = false});
        turn(s);
        vanish(b);
        purge_many(s, a);
        cr_expect(has_detached(b));
        cr_expect_null(glimpse_reply(b));
    }
    story_free(s);
}

Test(returns, queue_may_be_deleted_meanwhile)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    hold_many(b, "q", "t");
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    go_on_until_ready(s, 3);
    delete_queue(a, "q");
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    story_free(s);
}

Test(returns, channels_that_share_a_queue_are_waited_for)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s), *c = client(s), *d = client(s);

    declare(a, "q");
    prefetch(b, MANY / 2);
    prefetch(c, MANY / 2);
    consume(b, "q", "t");
    consume(c, "q", "u");
    publish_numbers(a, "q", 0, MANY); /* in turn */
    for (int i = 0; i < MANY; i++)
        expect_fresh(i % 2 ? c : b, number(i));
    consume(d, "q", "v");
    SEND(c, .id = METHOD_CHANNEL_CLOSE);
    turn(s);
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    cr_expect_null(glimpse_delivery(d));
    expect_many_redelivered(d);
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    expect_reply(c, METHOD_CHANNEL_CLOSE_OK);
    story_free(s);
}

Test(returns, channels_of_a_connection_go_together)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s), *beside = client_beside(b), *c = client(s);

    declare(a, "q");
    hold_many(b, "q", "t");
    prefetch(beside, 1);
    consume(beside, "q", "u");
    publish(a, "q", "20");
    expect_fresh(beside, "20");
    consume(c, "q", "v");
    vanish(b);
    cr_expect_null(glimpse_delivery(c)); /* the one alone would not take longer than a batch */
    expect_many_redelivered(c);
    expect_redelivered(c, "20");
    story_free(s);
}

/* One that has nothing unacked too: its consumer makes way for another, which must find all there is. */
Test(returns, channel_with_nothing_waits_for_those_of_its_connection)
{
    const struct vhost_settings settings = {
        .message_size_max = 1 << 20, .returns_max = 1, .unsent_max = 1000};
    struct story *s = story_new_with(&settings);
    struct client *a = client(s), *b = client(s), *beside = client_beside(b), *c = client(s);

    declare_with(a, "q", 0, ARGUMENTS(BOOL("x-single-active-consumer", true)));
    publish_numbers(a, "q", 0, 2);
    send_get(beside, "q", 0);
    expect_get(beside, "0");
    send_get(beside, "q", 0);
    expect_get(beside, "1");
    consume_with(b, "q", "t", NO_ACK, NO_ARGUMENTS);
    consume(c, "q", "u");
    stop_reading(b);
    POST(a, .key = "q", .body_size = 2000);
    settle(s);
    publish(a, "q", "2");
    expect_count(s, "q", 1, 2);
    SEND(client_zero(b), .id = METHOD_CONNECTION_CLOSE);
    expect_redelivered(c, "0");
    expect_redelivered(c, "1");
    expect_fresh(c, "2");
    story_free(s);
}

Test(returns, queue_that_is_too_long_drops_the_oldest_in_order)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s);

    declare(a, "dead");
    declare_with(a, "q", 0,
                 ARGUMENTS(INT("x-max-length", 3), STR("x-dead-letter-exchange", ""),
                           STR("x-dead-letter-routing-key", "dead")));
    hold_many(b, "q", "t");
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    go_on_until_ready(s, 5);
    publish(a, "q", "new"); /* drops what is too much already */
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    consume(a, "dead", "u");
    for (int i = 0; i < MANY - 2; i++)
        expect_fresh(a, number(i));
    consume_with(a, "q", "v", NO_ACK, NO_ARGUMENTS);
    expect_redelivered(a, number(MANY - 2));
    expect_redelivered(a, number(MANY - 1));
    expect_fresh(a, "new");
    story_free(s);
}

Test(returns, shutting_down_waits_for_nothing)
{
    struct story *s = story_new_with(SLOWLY);
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    hold_many(b, "q", "t");
    vhost_close_connections(story_vhost(s), B(""), "over");
    vhost_flush(story_vhost(s));
    cr_expect_not_null(glimpse_reply(client_zero(b)));
    cr_expect_eq(peek(s, "q").ready, MANY);
    story_free(s);
}
