/* SPDX-License-Identifier: Apache-2.0 */
/* Prefetch, consumers, who gets the next message (publish-consume-ack.md 4 and 5). */
#include "story.h"

#define CONSUME METHOD_BASIC_CONSUME

#define LOCKED(queue)                                                                                       \
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '" queue                              \
    "' in vhost '/'. It could be "                                                                          \
    "originally declared on another connection or the exclusive property value does not match that of the " \
    "original declaration."

static void publish_three(struct client *c)
{
    publish(c, "q", "a");
    publish(c, "q", "b");
    publish(c, "q", "c");
}

/* ---- prefetch ---- */

Test(prefetch, limits_each_consumer_until_it_settles)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    publish_three(a);
    prefetch(a, 1);
    consume(a, "q", "t");
    expect_fresh(a, "a");
    expect_silence(a);
    ack(a, 1);
    expect_fresh(a, "b");
    reject(a, 2, REQUEUE);
    expect_redelivered(a, "b");
    nack(a, 3, 0);
    expect_fresh(a, "c");
    expect_silence(a);
    story_free(s);
}

Test(prefetch, holds_for_consumers_started_later_only)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    prefetch(b, 1);
    consume(b, "q", "old");
    prefetch(b, 0);
    publish_three(a);
    expect_fresh(b, "a");
    expect_silence(b);
    consume(b, "q", "new");
    cr_expect_str_eq(expect_fresh(b, "b")->consumer, "new");
    cr_expect_str_eq(expect_fresh(b, "c")->consumer, "new");
    story_free(s);
}

Test(prefetch, global_one_is_shared_and_acts_at_once)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    prefetch_global(b, 2);
    consume(b, "q", "one");
    consume(b, "q", "two");
    publish_three(a);
    expect_fresh(b, "a");
    expect_fresh(b, "b");
    expect_silence(b);
    prefetch_global(b, 3);
    expect_fresh(b, "c");
    publish_three(a);
    prefetch_global(b, 1);
    ack_up_to(b, 2);
    expect_silence(b);
    ack(b, 3);
    expect_fresh(b, "a");
    expect_silence(b);
    prefetch_global(b, 0);
    expect_fresh(b, "b");
    expect_fresh(b, "c");
    story_free(s);
}

Test(prefetch, both_kinds_must_have_room)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    prefetch(b, 1);
    prefetch_global(b, 2);
    consume(b, "q", "one");
    consume(b, "q", "two");
    consume(b, "q", "three");
    publish_three(a);
    expect_fresh(b, "a");
    expect_fresh(b, "b");
    expect_silence(b);
    prefetch(b, 1); /* lifts the global one */
    expect_fresh(b, "c");
    story_free(s);
}

Test(prefetch, global_one_used_up_stalls_no_ack_consumers_too)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    declare(a, "p");
    prefetch_global(b, 1);
    consume(b, "q", "acks");
    consume_with(b, "p", "free", NO_ACK, NO_ARGUMENTS);
    publish(a, "p", "one");
    expect_fresh(b, "one");
    publish(a, "q", "two");
    cr_expect_eq(expect_fresh(b, "two")->tag, 2);
    publish(a, "p", "three");
    expect_silence(b);
    ack(b, 2);
    expect_fresh(b, "three");
    story_free(s);
}

Test(prefetch, switching_the_global_one_on_counts_gets_too)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish_three(a);
    send_get(b, "q", 0);
    expect_get(b, "a");
    prefetch_global(b, 1);
    consume(b, "q", "t");
    expect_silence(b);
    ack(b, 1);
    expect_fresh(b, "b");
    send_get(b, "q", 0);
    expect_get(b, "c");
    story_free(s);
}

Test(prefetch, size_closes_the_connection)
{
    struct story *s = story_new();
    struct client *a = client(s);

    SEND(a, .id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_size = 1});
    expect_connection_error(a, 540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", METHOD_BASIC_QOS);
    story_free(s);
}

/* ---- who gets it ---- */

Test(dispatch, idle_equals_take_turns)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s), *c = client(s), *d = client(s);

    declare(a, "q");
    consume(b, "q", "t");
    consume(c, "q", "t");
    consume(d, "q", "t");
    publish_three(a);
    publish_three(a);
    expect_fresh(b, "a");
    expect_fresh(c, "b");
    expect_fresh(d, "c");
    expect_fresh(b, "a");
    expect_fresh(c, "b");
    expect_fresh(d, "c");
    story_free(s);
}

Test(dispatch, new_consumer_drains_before_the_next_comes)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish_three(a);
    publish(a, "q", "d");
    prefetch(a, 2);
    prefetch(b, 2);
    consume(a, "q", "t");
    settle(s);
    consume(b, "q", "t");
    expect_fresh(a, "a");
    expect_fresh(a, "b");
    expect_fresh(b, "c");
    expect_fresh(b, "d");
    story_free(s);
}

Test(dispatch, blocked_consumer_rejoins_behind_its_equals)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare(a, "q");
    prefetch(b, 1);
    consume(b, "q", "t");
    publish(a, "q", "one");
    expect_fresh(b, "one");
    consume(c, "q", "t");
    ack(b, 1);
    publish(a, "q", "two");
    expect_fresh(c, "two");
    publish(a, "q", "three");
    expect_fresh(b, "three");
    story_free(s);
}

Test(dispatch, higher_priority_is_served_until_it_is_blocked)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    consume_with(b, "q", "low", 0, ARGUMENTS(INT("x-priority", -1)));
    consume(b, "q", "middle");
    prefetch(b, 1);
    consume_with(b, "q", "high", 0, ARGUMENTS(INT8("x-priority", 10)));
    publish_three(a);
    cr_expect_str_eq(expect_fresh(b, "a")->consumer, "high");
    cr_expect_str_eq(expect_fresh(b, "b")->consumer, "middle");
    cr_expect_str_eq(expect_fresh(b, "c")->consumer, "middle");
    ack(b, 1);
    publish(a, "q", "d");
    cr_expect_str_eq(expect_fresh(b, "d")->consumer, "high");
    cancel(b, "middle");
    publish(a, "q", "e");
    cr_expect_str_eq(expect_fresh(b, "e")->consumer, "low");
    story_free(s);
}

/* ---- single active consumer ---- */

Test(single_active, first_comer_stays_active_and_the_highest_priority_follows)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s), *c = client(s), *d = client(s);

    declare_with(a, "q", 0, ARGUMENTS(BOOL("x-single-active-consumer", true)));
    consume(b, "q", "b");
    consume(c, "q", "c");
    consume_with(d, "q", "d", 0, ARGUMENTS(INT("x-priority", 5)));
    publish(a, "q", "one");
    publish(a, "q", "two");
    expect_fresh(b, "one");
    expect_fresh(b, "two");
    cr_expect_eq(queue_info(s, "q").consumers, 3);
    cancel(b, "b");
    publish(a, "q", "three");
    expect_fresh(d, "three");
    ack(b, 1);
    close_channel(b);
    expect_redelivered(d, "two");
    vanish(d);
    expect_redelivered(c, "two");
    expect_redelivered(c, "three");
    story_free(s);
}

Test(single_active, blocked_active_consumer_blocks_the_queue)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare_with(a, "q", 0, ARGUMENTS(BOOL("x-single-active-consumer", true)));
    prefetch(b, 1);
    consume(b, "q", "b");
    consume(c, "q", "c");
    publish_three(a);
    expect_fresh(b, "a");
    expect_silence(b);
    expect_silence(c);
    send_get(a, "q", NO_ACK);
    expect_get(a, "b");
    ack(b, 1);
    expect_fresh(b, "c");
    story_free(s);
}

Test(single_active, exclusive_consumer_is_refused)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(BOOL("x-single-active-consumer", true)));
    send_consume(a, "q", "t", EXCLUSIVE, NO_ARGUMENTS);
    expect_channel_error(a, 403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", CONSUME);
    story_free(s);
}

/* ---- consume and its errors ---- */

Test(consume, ok_comes_before_the_first_delivery)
{
    struct story *s = story_new();
    struct client *a = client(s);
    const struct heard *ok;

    declare(a, "q");
    publish(a, "q", "one");
    send_consume(a, "q", "t", 0, NO_ARGUMENTS);
    ok = expect_reply(a, METHOD_BASIC_CONSUME_OK);
    cr_expect_lt(ok->order, expect_fresh(a, "one")->order);
    story_free(s);
}

Test(consume, tag_is_made_up_when_empty)
{
    struct story *s = story_new();
    struct client *a = client(s);
    const struct heard *heard;
    struct bytes tag;

    declare(a, "q");
    send_consume(a, "q", "", 0, NO_ARGUMENTS);
    tag = expect_reply(a, METHOD_BASIC_CONSUME_OK)->method.basic_consume_ok.consumer_tag;
    cr_expect_eq(tag.size, sizeof "amq.ctag-" - 1 + 22);
    cr_expect_eq(memcmp(tag.data, "amq.ctag-", 9), 0);
    publish(a, "q", "one");
    heard = expect_fresh(a, "one");
    cr_expect(bytes_equal_string(tag, heard->consumer));
    send_consume(a, "q", "", NOWAIT, NO_ARGUMENTS);
    expect_silence(a);
    cr_expect_eq(queue_info(s, "q").consumers, 2);
    story_free(s);
}

Test(consume, tag_in_use_closes_the_connection)
{
    struct story *s = story_new();
    struct client *a = client(s), *b;

    declare(a, "q");
    consume(a, "q", "t1");
    b = client_beside(a);
    consume(b, "q", "t1");
    cancel(b, "t1");
    consume(b, "q", "t1");
    send_consume(a, "q", "t1", 0, NO_ARGUMENTS);
    expect_connection_error(a, 530, "NOT_ALLOWED - attempt to reuse consumer tag 't1'", CONSUME);
    cr_expect_eq(queue_info(s, "q").consumers, 0);
    story_free(s);
}

Test(consume, errors)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    declare_with(a, "mine", EXCLUSIVE, NO_ARGUMENTS);
    send_consume(b, "nox", "t", NOWAIT, NO_ARGUMENTS);
    expect_channel_error(b, 404, "NOT_FOUND - no queue 'nox' in vhost '/'", CONSUME);
    reopen(b);
    send_consume(b, "", "t", 0, NO_ARGUMENTS);
    expect_channel_error(b, 404, "NOT_FOUND - no previously declared queue", CONSUME);
    reopen(b);
    send_consume(b, "mine", "t", 0, NO_ARGUMENTS);
    expect_channel_error(b, 405, LOCKED("mine"), CONSUME);
    reopen(b);
    send_consume(b, "q", "t", 0, ARGUMENTS(STR("x-priority", "1")));
    expect_channel_error(b, 406,
                         "PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': "
                         "\"expected integer, got longstr\"",
                         CONSUME);
    reopen(b);
    send_consume(b, "q", "t", 0, ARGUMENTS(STR("x-stream-offset", "first")));
    expect_channel_error(
        b, 406,
        "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue "
        "type rabbit_classic_queue",
        CONSUME);
    story_free(s);
}

Test(consume, exclusive_use_is_refused_either_way)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    consume_with(a, "q", "t", EXCLUSIVE, NO_ARGUMENTS);
    send_consume(b, "q", "t", 0, NO_ARGUMENTS);
    expect_channel_error(b, 403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", CONSUME);
    reopen(b);
    publish(b, "q", "one");
    expect_fresh(a, "one");
    cancel(a, "t");
    consume(b, "q", "t");
    send_consume(a, "q", "t", EXCLUSIVE, NO_ARGUMENTS);
    expect_channel_error(a, 403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", CONSUME);
    story_free(s);
}

Test(consume, quorum_queue_ignores_exclusive_and_refuses_a_global_limit)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare_with(a, "q", DURABLE, ARGUMENTS(STR("x-queue-type", "quorum")));
    consume_with(a, "q", "t", EXCLUSIVE, NO_ARGUMENTS);
    consume_with(b, "q", "t", EXCLUSIVE, NO_ARGUMENTS);
    prefetch_global(b, 1);
    publish(a, "q", "one");
    publish(a, "q", "two");
    publish(a, "q", "three");
    publish(a, "q", "four");
    expect_fresh(b, "two");
    expect_fresh(b, "four");
    send_consume(b, "q", "t2", 0, NO_ARGUMENTS);
    expect_connection_error(b, 540, "NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos",
                            CONSUME);
    story_free(s);
}

/* ---- cancel ---- */

Test(cancel, leaves_what_was_delivered_with_the_client)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    consume(a, "q", "t");
    publish(a, "q", "one");
    expect_fresh(a, "one");
    cancel(a, "t");
    cancel(a, "t");
    cancel(a, "unknown");
    publish(a, "q", "two");
    expect_silence(a);
    expect_count(s, "q", 1, 1);
    ack(a, 1);
    expect_count(s, "q", 1, 0);
    SEND(a, .id = METHOD_BASIC_CANCEL, .basic_cancel = {.consumer_tag = B("t"), .nowait = true});
    expect_silence(a);
    story_free(s);
}

Test(cancel, comes_from_the_server_when_the_queue_goes)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s), *c = client_without_notify(s);
    const struct heard *heard;

    declare(a, "q");
    consume(a, "q", "ta");
    consume(b, "q", "tb");
    consume(c, "q", "tc");
    publish(a, "q", "one");
    expect_fresh(a, "one");
    together(b);
    send_delete(b, "q", 0);
    together_end(b);
    heard = expect_reply(a, METHOD_BASIC_CANCEL);
    cr_expect(bytes_equal_string(heard->method.basic_cancel.consumer_tag, "ta"));
    cr_expect(heard->method.basic_cancel.nowait);
    expect_reply(b, METHOD_BASIC_CANCEL);
    expect_reply(b, METHOD_QUEUE_DELETE_OK);
    expect_silence(c);
    ack(a, 1); /* the queue is gone: silently accepted */
    expect_silence(a);
    SEND(a, .id = METHOD_BASIC_CANCEL_OK);
    declare(a, "q");
    consume(a, "q", "ta");
    consume(c, "q", "tc");
    story_free(s);
}

Test(cancel, last_one_deletes_an_auto_delete_queue)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare_with(a, "q", AUTO_DELETE, NO_ARGUMENTS);
    cr_expect(queue_exists(s, "q"));
    consume(a, "q", "t");
    consume(b, "q", "t");
    cancel(a, "t");
    cr_expect(queue_exists(s, "q"));
    cancel(b, "t");
    cr_expect_not(queue_exists(s, "q"));
    declare_with(a, "q", AUTO_DELETE, NO_ARGUMENTS);
    consume(a, "q", "t");
    vanish(a);
    cr_expect_not(queue_exists(s, "q"));
    story_free(s);
}
