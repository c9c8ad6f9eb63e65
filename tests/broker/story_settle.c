/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries, get, settlement, recover and the acknowledgement timeout (publish-consume-ack.md 6). */
#include <stdio.h>

#include "story.h"

static void publish_each(struct client *c, const char *queue, const char *const *bodies)
{
    for (; *bodies; bodies++)
        publish(c, queue, *bodies);
}

#define PUBLISH_EACH(c, queue, ...) publish_each(c, queue, (const char *const[]){__VA_ARGS__, NULL})

/* ---- get ---- */

Test(get, takes_the_head_and_counts_what_is_left)
{
    struct story *s = story_new();
    struct client *a = client(s);
    const struct heard *heard;

    declare(a, "q");
    PUBLISH_EACH(a, "q", "a", "b", "c");
    send_get(a, "q", 0);
    heard = expect_get(a, "a");
    cr_expect_eq(heard->tag, 1);
    cr_expect_eq(heard->count, 2);
    send_get(a, "q", NO_ACK);
    heard = expect_get(a, "b");
    cr_expect_eq(heard->tag, 2);
    cr_expect_eq(heard->count, 1);
    expect_count(s, "q", 1, 1);
    send_get(a, "", NO_ACK);
    expect_get(a, "c");
    send_get(a, "q", 0);
    expect_reply(a, METHOD_BASIC_GET_EMPTY);
    reject(a, 1, REQUEUE);
    send_get(a, "q", 0);
    expect_get_redelivered(a, "a");
    story_free(s);
}

Test(get, errors)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    send_get(a, "nox", 0);
    expect_channel_error(a, 404, "NOT_FOUND - no queue 'nox' in vhost '/'", METHOD_BASIC_GET);
    reopen(a);
    declare_with(a, "q", DURABLE,
                 ARGUMENTS(STR("x-queue-type", "quorum"), BOOL("x-single-active-consumer", true)));
    send_get(b, "q", 0);
    expect_channel_error(b, 405,
                         "RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. basic.get "
                         "operations are not supported by quorum queues with single active consumer",
                         METHOD_BASIC_GET);
    story_free(s);
}

Test(get, message_that_is_away_is_waited_for_in_order)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    PUBLISH_EACH(a, "q", "a", "b");
    send_away(s);
    together(a);
    send_get(a, "q", 0);
    send_get(a, "q", NO_ACK);
    send_get(a, "q", 0);
    SEND(a, .id = METHOD_BASIC_QOS);
    together_end(a);
    expect_get(a, "a");
    expect_get(a, "b");
    expect_reply(a, METHOD_BASIC_GET_EMPTY);
    expect_reply(a, METHOD_BASIC_QOS_OK);
    expect_count(s, "q", 0, 1);
    story_free(s);
}

/* ---- where a message goes back to ---- */

Test(queue, redelivers_unacked_in_order_when_consumer_leaves)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    PUBLISH_EACH(a, "q", "a", "b", "c");
    prefetch(b, 2);
    consume(b, "q", "t");
    expect_fresh(b, "a");
    expect_fresh(b, "b");
    vanish(b);
    consume(a, "q", "t");
    expect_redelivered(a, "a");
    expect_redelivered(a, "b");
    expect_fresh(a, "c");
    story_free(s);
}

Test(queue, takes_messages_back_to_their_original_places)
{
    static const char *const numbers[] = {"1", "2", "3", "4"};
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    PUBLISH_EACH(a, "q", "1", "2", "3", "4");
    consume(b, "q", "t");
    for (int i = 0; i < 4; i++)
        expect_fresh(b, numbers[i]);
    cancel(b, "t");
    publish(a, "q", "5");
    reject(b, 3, REQUEUE);
    nack(b, 1, REQUEUE);
    reject(b, 4, REQUEUE);
    nack(b, 2, REQUEUE);
    consume(a, "q", "t");
    for (int i = 0; i < 4; i++)
        expect_redelivered(a, numbers[i]);
    expect_fresh(a, "5");
    story_free(s);
}

Test(queue, offers_a_rejected_message_again_at_once)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    consume(a, "q", "t");
    publish(a, "q", "poison");
    expect_fresh(a, "poison");
    for (uint64_t tag = 1; tag < 20; tag++) {
        reject(a, tag, REQUEUE);
        cr_expect_eq(expect_redelivered(a, "poison")->tag, tag + 1);
    }
    story_free(s);
}

Test(queue, thousands_go_back_and_come_again_in_order)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);
    char body[16];

    declare(a, "q");
    together(a);
    for (int i = 0; i < 3000; i++) {
        snprintf(body, sizeof body, "%d", i);
        publish(a, "q", body);
    }
    together_end(a);
    consume(b, "q", "t");
    for (int i = 0; i < 3000; i++) {
        snprintf(body, sizeof body, "%d", i);
        expect_fresh(b, body);
    }
    for (uint64_t tag = 2; tag <= 3000; tag += 2)
        ack(b, tag);
    expect_count(s, "q", 0, 1500);
    vanish(b);
    expect_count(s, "q", 1500, 0);
    consume(a, "q", "t");
    for (int i = 0; i < 3000; i += 2) {
        snprintf(body, sizeof body, "%d", i);
        expect_redelivered(a, body);
    }
    story_free(s);
}

/* ---- ack, nack, reject ---- */

Test(settle, multiple_settles_all_up_to_the_tag)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    declare(a, "p");
    PUBLISH_EACH(a, "q", "a", "b", "c", "d");
    publish(a, "p", "e");
    consume(a, "q", "t");
    consume(a, "p", "u");
    expect_count(s, "q", 0, 4);
    ack_up_to(a, 3);
    expect_count(s, "q", 0, 1);
    ack_up_to(a, 0);
    expect_count(s, "q", 0, 0);
    expect_count(s, "p", 0, 0);
    ack_up_to(a, 0); /* no error when there is none */
    nack(a, 0, MULTIPLE | REQUEUE);
    story_free(s);
}

Test(settle, unknown_tags_close_the_channel)
{
    static const struct {
        uint64_t tag;
        unsigned flags;
        enum method_id method;
    } cases[] = {
        {2, COMMAND_ACK, METHOD_BASIC_ACK},
        {0, COMMAND_ACK, METHOD_BASIC_ACK},
        {0, COMMAND_REJECT, METHOD_BASIC_REJECT},
        {99, COMMAND_ACK | COMMAND_MULTIPLE, METHOD_BASIC_ACK},
        {2, COMMAND_NACK | COMMAND_MULTIPLE | COMMAND_REQUEUE, METHOD_BASIC_NACK},
    };
    struct story *s = story_new();
    struct client *a = client(s);
    char text[100];

    declare(a, "q");
    publish(a, "q", "a");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        publish(a, "q", "b");
        send_get(a, "q", 0);
        i == 0 ? expect_get(a, "a") : expect_get_redelivered(a, "a");
        send_get(a, "q", NO_ACK); /* tag 2 is settled by being sent */
        expect_get(a, "b");
        settle_tag(a, cases[i].tag, cases[i].flags);
        snprintf(text, sizeof text, "PRECONDITION_FAILED - unknown delivery tag %llu",
                 (unsigned long long)cases[i].tag);
        expect_channel_error(a, 406, text, cases[i].method);
        expect_count(s, "q", 1, 0); /* settles nothing, and requeues */
        reopen(a);
    }
    story_free(s);
}

Test(settle, tag_of_another_channel_is_unknown)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client_beside(a);

    declare(a, "q");
    publish(a, "q", "a");
    consume(a, "q", "t");
    expect_fresh(a, "a");
    ack(b, 1);
    expect_channel_error(b, 406, "PRECONDITION_FAILED - unknown delivery tag 1", METHOD_BASIC_ACK);
    ack(a, 1);
    ack(a, 1);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - unknown delivery tag 1", METHOD_BASIC_ACK);
    story_free(s);
}

/* ---- recover ---- */

Test(recover, requeues_all_that_is_outstanding)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    PUBLISH_EACH(a, "q", "a", "b");
    consume(a, "q", "t");
    expect_fresh(a, "a");
    expect_fresh(a, "b");
    SEND(a, .id = METHOD_BASIC_RECOVER, .basic_recover = {.requeue = true});
    expect_reply(a, METHOD_BASIC_RECOVER_OK);
    cr_expect_eq(expect_redelivered(a, "a")->tag, 3);
    expect_redelivered(a, "b");
    consume(b, "q", "t");
    SEND(a, .id = METHOD_BASIC_RECOVER_ASYNC, .basic_recover_async = {.requeue = true});
    expect_redelivered(a, "a");
    expect_redelivered(b, "b");
    SEND(b, .id = METHOD_BASIC_RECOVER, .basic_recover = {.requeue = false});
    expect_connection_error(b, 540, "NOT_IMPLEMENTED - requeue=false", METHOD_BASIC_RECOVER);
    story_free(s);
}

/* ---- timeout ---- */

#define TIMED_OUT(ms)                                                                                 \
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: " #ms \
    " ms. This timeout value can be configured, see consumers doc guide to learn more"

Test(timeout, closes_a_channel_that_does_not_settle)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "one");
    send_get(a, "q", 0);
    expect_get(a, "one");
    advance(s, 1800000);
    expect_silence(a);
    advance(s, 1000);
    expect_channel_error(a, 406, TIMED_OUT(1800000), (enum method_id)0);
    consume(b, "q", "t");
    expect_redelivered(b, "one");
    advance(s, 3600000);
    expect_channel_error(b, 406, TIMED_OUT(1800000), (enum method_id)0);
    expect_silence(b); /* said once */
    story_free(s);
}

Test(timeout, of_the_queue_counts_if_it_is_smaller)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-consumer-timeout", 60000)));
    publish(a, "q", "one");
    consume(a, "q", "t");
    expect_fresh(a, "one");
    advance(s, 60000);
    expect_silence(a);
    advance(s, 1000);
    expect_channel_error(a, 406, TIMED_OUT(60000), (enum method_id)0);
    story_free(s);
}

Test(timeout, is_each_channels_own)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-consumer-timeout", 60000)));
    PUBLISH_EACH(a, "q", "one", "two", "three");
    send_get(a, "q", 0);
    expect_get(a, "one");
    advance(s, 20000);
    send_get(b, "q", 0);
    expect_get(b, "two");
    advance(s, 20000);
    send_get(c, "q", 0);
    expect_get(c, "three");
    advance(s, 21000);
    expect_channel_error(a, 406, TIMED_OUT(60000), (enum method_id)0);
    expect_silence(b);
    ack(b, 1);
    advance(s, 37000);
    expect_silence(c);
    advance(s, 3000);
    expect_channel_error(c, 406, TIMED_OUT(60000), (enum method_id)0);
    expect_silence(b);
    story_free(s);
}

/* The oldest delivery counts, whatever is behind it. */
Test(timeout, of_a_delivery_counts_when_it_becomes_the_oldest)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "slow");
    declare_with(a, "quick", 0, ARGUMENTS(INT("x-consumer-timeout", 10000)));
    publish(a, "slow", "one");
    publish(a, "quick", "two");
    send_get(a, "slow", 0);
    expect_get(a, "one");
    send_get(a, "quick", 0);
    expect_get(a, "two");
    advance(s, 600000);
    expect_silence(a);
    ack(a, 1);
    advance(s, 1000);
    expect_channel_error(a, 406, TIMED_OUT(10000), (enum method_id)0);
    story_free(s);
}

Test(timeout, by_policy_counts_for_what_was_delivered_before)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "one");
    consume(a, "q", "t");
    expect_fresh(a, "one");
    advance(s, 30000);
    set_policy(s, "p", "^q$", ARGUMENTS(INT64("consumer-timeout", 40000)));
    advance(s, 9000);
    expect_silence(a);
    advance(s, 3000);
    expect_channel_error(a, 406, TIMED_OUT(40000), (enum method_id)0);
    story_free(s);
}

Test(timeout, costs_nothing_while_nothing_is_unacked)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    cr_expect_eq(vhost_next_deadline(story_vhost(s)), VHOST_NEVER);
    publish(a, "q", "one");
    consume(a, "q", "t");
    expect_fresh(a, "one");
    cr_expect_eq(vhost_next_deadline(story_vhost(s)), STORY_START + 1801000);
    advance(s, 1000000);
    publish(a, "q", "two");
    expect_fresh(a, "two");
    ack(a, 1);
    advance(s, 801000);
    cr_expect_eq(vhost_next_deadline(story_vhost(s)), STORY_START + 2801000);
    ack(a, 2);
    advance(s, 1000000);
    cr_expect_eq(vhost_next_deadline(story_vhost(s)), VHOST_NEVER);
    expect_silence(a);
    story_free(s);
}

Test(timeout, can_be_off)
{
    struct story *s = story_new_with(&(struct vhost_settings){.message_size_max = 100});
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "one");
    consume(a, "q", "t");
    expect_fresh(a, "one");
    advance(s, 100000000);
    expect_silence(a);
    ack(a, 1);
    expect_silence(a);
    story_free(s);
}
