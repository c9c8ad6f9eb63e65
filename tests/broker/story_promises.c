/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for the journal, and what does not: replies that promise something come when it is durable, in
 * the channel's order; bodies that are away are waited for; nothing is lost when who waits goes away.
 */
#include <stdio.h>

#include "sim/journal_seeded.h"
#include "story.h"

#define PERSISTENT_POST(c, name, text) POST(c, .key = (name), .body = (text), .persistent = true)

/* The durable queue "q", which lasts already. */
static void lasting_queue(struct story *s, struct client *c)
{
    send_declare(c, "q", DURABLE, NO_ARGUMENTS);
    sync_journal(s);
    expect_reply(c, METHOD_QUEUE_DECLARE_OK);
}

Test(promise, replies_wait_for_what_they_promise)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    send_declare_exchange(a, "x", "direct", DURABLE, NO_ARGUMENTS);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_EXCHANGE_DECLARE_OK);
    send_bind(a, "q", "x", "k", NO_ARGUMENTS);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_BIND_OK);
    PERSISTENT_POST(a, "q", "one");
    sync_journal(s);
    send_purge(a, "q");
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_PURGE_OK);
    send_unbind(a, "q", "x", "k");
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_UNBIND_OK);
    SEND(a, .id = METHOD_EXCHANGE_DELETE, .exchange_delete = {.exchange = B("x")});
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_EXCHANGE_DELETE_OK);
    send_delete(a, "q", 0);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DELETE_OK);
    story_free(s);
}

Test(promise, what_does_not_last_promises_nothing)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare(a, "q");
    declare_with(a, "mine", DURABLE | EXCLUSIVE, NO_ARGUMENTS);
    declare_exchange(a, "x", "fanout");
    bind(a, "q", "x", "");
    bind(a, "q", "amq.fanout", "");
    confirm_select(a);
    PERSISTENT_POST(a, "q", "one");
    expect_acked(a, 1, 1);
    purge(a, "q", 1);
    delete_queue(a, "q");
    story_free(s);
}

Test(promise, binding_waits_for_both_ends_it_asserts)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    send_declare(b, "q", PASSIVE, NO_ARGUMENTS);
    expect_silence(b);
    send_declare_exchange(a, "x", "direct", DURABLE, NO_ARGUMENTS);
    b = client_beside(b);
    send_declare_exchange(b, "x", "direct", DURABLE, NO_ARGUMENTS);
    expect_silence(b);
    b = client_beside(b);
    send_bind(a, "q", "x", "k", NO_ARGUMENTS);
    send_bind(b, "q", "x", "k", NO_ARGUMENTS);
    expect_silence(b);
    sync_journal(s);
    expect_reply(b, METHOD_QUEUE_BIND_OK);
    story_free(s);
}

Test(promise, later_replies_wait_behind_and_other_channels_do_not)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client_beside(a);

    send_declare(a, "lasting", DURABLE, NO_ARGUMENTS);
    send_declare(a, "passing", 0, NO_ARGUMENTS);
    SEND(a, .id = METHOD_BASIC_QOS);
    send_get(a, "passing", 0);
    expect_silence(a);
    declare(b, "passing");
    publish(b, "passing", "one");
    send_get(a, "passing", 0);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    expect_reply(a, METHOD_BASIC_QOS_OK);
    expect_reply(a, METHOD_BASIC_GET_EMPTY);
    expect_get(a, "one");
    story_free(s);
}

Test(promise, channel_error_waits_behind_too)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    send_declare(a, "nox", PASSIVE, NO_ARGUMENTS);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    expect_channel_error(a, 404, "NOT_FOUND - no queue 'nox' in vhost '/'", METHOD_QUEUE_DECLARE);
    reopen(a);
    story_free(s);
}

Test(promise, confirm_of_a_persistent_message_waits_and_others_overtake_it)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    lasting_queue(s, a);
    confirm_select(a);
    PERSISTENT_POST(a, "q", "one");
    publish(a, "q", "two");
    PERSISTENT_POST(a, "q", "three");
    publish(a, "nowhere", "four");
    expect_unconfirmed(a, 1);
    expect_unconfirmed(a, 3);
    expect_acked(a, 2, 2);
    expect_acked(a, 4, 4);
    sync_journal(s);
    expect_acked(a, 1, 4);
    PERSISTENT_POST(a, "q", "five");
    expect_unconfirmed(a, 5);
    sync_journal(s);
    expect_acked(a, 5, 5);
    story_free(s);
}

Test(promise, quorum_queue_confirms_transient_messages_when_durable_too)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, ARGUMENTS(STR("x-queue-type", "quorum")));
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    confirm_select(a);
    publish(a, "q", "one");
    expect_unconfirmed(a, 1);
    sync_journal(s);
    expect_acked(a, 1, 1);
    story_free(s);
}

Test(promise, nack_of_a_refused_message_does_not_wait)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, ARGUMENTS(INT("x-max-length", 1), STR("x-overflow", "reject-publish")));
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    confirm_select(a);
    PERSISTENT_POST(a, "q", "one");
    PERSISTENT_POST(a, "q", "two");
    PERSISTENT_POST(a, "q", "three");
    expect_nacked(a, 2, 3);
    expect_unconfirmed(a, 1);
    sync_journal(s);
    expect_acked(a, 1, 1);
    expect_nacked(a, 2, 3);
    story_free(s);
}

Test(promise, consumer_may_have_a_message_before_it_is_durable)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    lasting_queue(s, a);
    send_consume(b, "q", "t", 0, NO_ARGUMENTS);
    sync_journal(s);
    expect_reply(b, METHOD_BASIC_CONSUME_OK);
    PERSISTENT_POST(a, "q", "one");
    expect_fresh(b, "one");
    story_free(s);
}

/* After a crash what may have been delivered must come as redelivered: the journal knows in time. */
Test(promise, consume_ok_waits_until_the_journal_knows_that_messages_may_be_delivered)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    lasting_queue(s, a);
    PERSISTENT_POST(a, "q", "one");
    sync_journal(s);
    send_consume(b, "q", "t", 0, NO_ARGUMENTS);
    expect_silence(b);
    expect_count(s, "q", 1, 0);
    sync_journal(s);
    expect_reply(b, METHOD_BASIC_CONSUME_OK);
    expect_fresh(b, "one");
    story_free(s);
}

Test(promise, get_waits_until_the_journal_knows_that_messages_may_be_delivered)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    lasting_queue(s, a);
    PERSISTENT_POST(a, "q", "one");
    publish(a, "q", "transient");
    PERSISTENT_POST(a, "q", "three");
    send_get(b, "q", 0);
    send_get(b, "q", 0);
    expect_silence(b);
    expect_count(s, "q", 3, 0);
    sync_journal(s);
    cr_expect_eq(expect_get(b, "one")->tag, 1);
    cr_expect_eq(expect_get(b, "transient")->tag, 2);
    send_get(b, "q", 0);
    cr_expect_eq(expect_get(b, "three")->tag, 3);
    expect_count(s, "q", 0, 3);
    story_free(s);
}

Test(promise, delivery_tags_are_told_in_order_though_a_get_waits)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare(a, "passing");
    consume(a, "passing", "t");
    lasting_queue(s, a);
    PERSISTENT_POST(a, "q", "one");
    send_get(a, "q", 0);
    publish(a, "passing", "two");
    cr_expect_eq(expect_fresh(a, "two")->tag, 1);
    ack_up_to(a, 1);
    sync_journal(s);
    cr_expect_eq(expect_get(a, "one")->tag, 2);
    ack(a, 2);
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(promise, consumer_whose_ok_waits_gets_nothing_yet)
{
    struct story *s = story_new_late();
    struct client *a = client(s);
    const struct heard *ok;

    declare(a, "passing");
    publish(a, "passing", "one");
    send_declare(a, "lasting", DURABLE, NO_ARGUMENTS);
    send_consume(a, "passing", "t", 0, NO_ARGUMENTS);
    publish(a, "passing", "two");
    expect_silence(a);
    expect_count(s, "passing", 2, 0);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    ok = expect_reply(a, METHOD_BASIC_CONSUME_OK);
    cr_expect_lt(ok->order, expect_fresh(a, "one")->order);
    expect_fresh(a, "two");
    story_free(s);
}

Test(promise, cancel_from_the_server_comes_behind_a_consume_ok_that_waits)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "passing");
    send_declare(a, "lasting", DURABLE, NO_ARGUMENTS);
    send_consume(a, "passing", "t", 0, NO_ARGUMENTS);
    delete_queue(b, "passing");
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    expect_reply(a, METHOD_BASIC_CONSUME_OK);
    expect_reply(a, METHOD_BASIC_CANCEL);
    story_free(s);
}

Test(promise, direct_reply_comes_behind_a_consume_ok_that_waits)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);
    char name[SHORTSTR_MAX + 1] = "";
    const struct heard *ok, *request;

    declare(b, "rpc");
    send_declare(a, "lasting", DURABLE, NO_ARGUMENTS);
    send_consume(a, "amq.rabbitmq.reply-to", "t", NO_ACK, NO_ARGUMENTS);
    POST(a, .key = "rpc", .body = "question", .reply_to = "amq.rabbitmq.reply-to");
    send_get(b, "rpc", NO_ACK);
    request = expect_get(b, "question");
    memcpy(name, request->properties.reply_to.data, request->properties.reply_to.size);
    publish(b, name, "answer");
    publish(b, name, "another");
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    ok = expect_reply(a, METHOD_BASIC_CONSUME_OK);
    cr_expect_lt(ok->order, expect_fresh(a, "answer")->order);
    cr_expect_eq(expect_fresh(a, "another")->tag, 2);
    send_declare(a, "lasting2", DURABLE, NO_ARGUMENTS);
    publish(b, name, "waits behind, and goes with its consumer");
    SEND(a, .id = METHOD_BASIC_CANCEL, .basic_cancel = {.consumer_tag = B("t")});
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    expect_reply(a, METHOD_BASIC_CANCEL_OK);
    expect_silence(a);
    story_free(s);
}

Test(promise, commit_ok_waits)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    lasting_queue(s, a);
    tx_select(a);
    PERSISTENT_POST(a, "q", "one");
    SEND(a, .id = METHOD_TX_COMMIT);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_TX_COMMIT_OK);
    send_get(a, "q", 0);
    sync_journal(s);
    expect_get(a, "one");
    ack(a, 1);
    SEND(a, .id = METHOD_TX_COMMIT);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_TX_COMMIT_OK);
    story_free(s);
}

Test(promise, close_ok_of_a_channel_waits_for_its_acks)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    lasting_queue(s, a);
    PERSISTENT_POST(a, "q", "one");
    send_get(a, "q", 0);
    sync_journal(s);
    expect_get(a, "one");
    ack(a, 1);
    SEND(a, .id = METHOD_CHANNEL_CLOSE);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_CHANNEL_CLOSE_OK);
    reopen(a);
    story_free(s);
}

/* The durable queue "q" whose dead go to the durable queue "dead"; CLIENT has its one message, unacked. */
static void queue_with_dead_letters(struct story *s, struct client *c)
{
    send_declare(c, "dead", DURABLE, NO_ARGUMENTS);
    send_declare(c, "q", DURABLE,
                 ARGUMENTS(STR("x-queue-type", "quorum"), STR("x-dead-letter-exchange", ""),
                           STR("x-dead-letter-routing-key", "dead"), INT("x-delivery-limit", 0)));
    sync_journal(s);
    expect_reply(c, METHOD_QUEUE_DECLARE_OK);
    expect_reply(c, METHOD_QUEUE_DECLARE_OK);
    PERSISTENT_POST(c, "q", "one");
    send_get(c, "q", 0);
    sync_journal(s);
    expect_get(c, "one");
}

Test(promise, commit_ok_waits_for_dead_letters_to_be_where_they_go)
{
    for (unsigned flags = 0; flags <= REQUEUE; flags += REQUEUE) {
        struct story *s = story_new_late();
        struct client *a = client(s);

        queue_with_dead_letters(s, a);
        tx_select(a);
        nack(a, 1, flags);
        SEND(a, .id = METHOD_TX_COMMIT);
        expect_silence(a);
        expect_count(s, "dead", 1, 0);
        sync_journal(s);
        expect_reply(a, METHOD_TX_COMMIT_OK);
        SEND(a, .id = METHOD_TX_COMMIT);
        expect_reply(a, METHOD_TX_COMMIT_OK);
        story_free(s);
    }
}

Test(promise, close_ok_of_a_channel_waits_for_dead_letters_to_be_where_they_go)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    queue_with_dead_letters(s, a);
    reject(a, 1, 0);
    SEND(a, .id = METHOD_CHANNEL_CLOSE);
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_CHANNEL_CLOSE_OK);
    reopen(a);
    story_free(s);
}

Test(promise, close_ok_of_a_connection_waits_for_dead_letters_to_be_where_they_go)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    queue_with_dead_letters(s, a);
    SEND(client_zero(a), .id = METHOD_CONNECTION_CLOSE); /* what is unacked comes back once too often */
    expect_silence(client_zero(a));
    sync_journal(s);
    expect_reply(client_zero(a), METHOD_CONNECTION_CLOSE_OK);
    expect_count(s, "dead", 1, 0);
    story_free(s);
}

/* More than are moved in one go. */
Test(promise, commit_ok_waits_for_the_last_of_many_dead_letters)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "dead");
    declare_with(a, "q", 0,
                 ARGUMENTS(STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "dead")));
    for (int i = 0; i < 10100; i++)
        publish(a, "q", "a");
    consume(a, "q", "t");
    for (int i = 0; i < 10100; i++)
        expect_fresh(a, "a");
    tx_select(a);
    nack(a, 0, MULTIPLE);
    tx_commit(a);
    expect_count(s, "dead", 10100, 0);
    story_free(s);
}

Test(promise, close_ok_of_a_connection_waits_for_acks_and_replies)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client_beside(a), *zero = client_zero(a);

    lasting_queue(s, a);
    PERSISTENT_POST(a, "q", "one");
    send_get(a, "q", 0);
    sync_journal(s);
    expect_get(a, "one");
    together(a);
    ack(a, 1);
    send_declare(b, "p", DURABLE, NO_ARGUMENTS);
    SEND(a, .id = METHOD_CHANNEL_CLOSE);
    SEND(zero, .id = METHOD_CONNECTION_CLOSE);
    together_end(a);
    expect_silence(zero);
    cr_expect_not(has_ended(zero));
    sync_journal(s);
    expect_reply(a, METHOD_CHANNEL_CLOSE_OK);
    cr_expect_lt(expect_reply(b, METHOD_QUEUE_DECLARE_OK)->order,
                 expect_reply(zero, METHOD_CONNECTION_CLOSE_OK)->order);
    cr_expect(has_ended(zero));
    story_free(s);
}

Test(promise, who_waits_may_vanish)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s), *c = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    send_consume(a, "q", "t", 0, NO_ARGUMENTS);
    confirm_select(b);
    PERSISTENT_POST(b, "q", "one");
    send_declare(c, "q", DURABLE, NO_ARGUMENTS);
    SEND(client_zero(c), .id = METHOD_CONNECTION_CLOSE);
    vanish(a);
    vanish(b);
    vanish(c);
    sync_journal(s);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

/* ---- messages that are away ---- */

Test(away, deliveries_go_on_in_order_when_messages_come_back)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    publish(a, "q", "c");
    consume(a, "q", "t");
    expect_silence(a);
    expect_count(s, "q", 3, 0);
    bring_back(s);
    expect_fresh(a, "a");
    expect_fresh(a, "b");
    expect_fresh(a, "c");
    story_free(s);
}

Test(away, what_comes_back_is_what_went)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);
    const struct heard *heard;

    send_declare(a, "q", DURABLE, ARGUMENTS(STR("x-queue-type", "quorum")));
    POST(a, .key = "q", .body = "a", .persistent = true, .correlation_id = "id", .expiration = "60000");
    POST(a, .key = "q", .body_size = 300000);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    send_get(b, "q", 0);
    sync_journal(s);
    expect_get(b, "a");
    reject(b, 1, REQUEUE);
    send_away(s);
    send_get(b, "q", 0);
    bring_back(s);
    sync_journal(s);
    heard = expect_get_redelivered(b, "a");
    cr_expect_eq(heard->delivery_count, 1);
    cr_expect(bytes_equal_string(heard->properties.correlation_id, "id"));
    reject(b, 2, REQUEUE);
    send_away(s);
    send_get(b, "q", NO_ACK);
    bring_back(s);
    cr_expect_eq(expect_get_redelivered(b, "a")->delivery_count, 2);
    send_get(b, "q", NO_ACK);
    bring_back(s);
    cr_expect_eq(glimpse_reply(b)->body_size, 300000);
    story_free(s);
}

Test(away, what_is_unacked_or_written_in_vain_stays)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    publish(a, "q", "c");
    send_get(b, "q", 0);
    expect_get(b, "a");
    journal_seeded_limit(story_journal(s), story_vhost(s), story_now(s), 0);
    journal_seeded_answer_saves(story_journal(s), story_vhost(s), story_now(s), true);
    send_get(b, "q", NO_ACK);
    expect_get(b, "b"); /* is still here */
    send_away(s);
    reject(b, 1, REQUEUE);
    send_get(b, "q", NO_ACK);
    expect_get_redelivered(b, "a"); /* was never away */
    send_get(b, "q", NO_ACK);
    expect_silence(b);
    bring_back(s);
    expect_get(b, "c");
    story_free(s);
}

Test(away, message_that_is_settled_while_it_is_written_stays_gone)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    journal_seeded_limit(story_journal(s), story_vhost(s), story_now(s), 0);
    send_get(b, "q", NO_ACK);
    expect_get(b, "a");
    send_get(b, "q", 0);
    expect_get(b, "b");
    reject(b, 2, REQUEUE);
    journal_seeded_answer_saves(story_journal(s), story_vhost(s), story_now(s), false);
    send_away(s);
    expect_count(s, "q", 1, 0);
    send_get(b, "q", NO_ACK);
    bring_back(s);
    expect_get_redelivered(b, "b");
    story_free(s);
}

Test(away, get_is_answered_when_its_message_is_back)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    send_get(a, "q", NO_ACK);
    send_get(a, "q", 0);
    SEND(a, .id = METHOD_BASIC_QOS);
    expect_silence(a);
    expect_count(s, "q", 2, 0);
    bring_back(s);
    expect_get(a, "a");
    cr_expect_eq(expect_get(a, "b")->tag, 2);
    expect_reply(a, METHOD_BASIC_QOS_OK);
    expect_count(s, "q", 0, 1);
    story_free(s);
}

Test(away, get_that_waits_has_no_tag_to_settle_yet)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    send_get(a, "q", 0);
    ack_up_to(a, 0);
    SEND(a, .id = METHOD_BASIC_RECOVER, .basic_recover = {.requeue = true});
    bring_back(s);
    cr_expect_eq(expect_get(a, "a")->tag, 1);
    expect_reply(a, METHOD_BASIC_RECOVER_OK);
    expect_count(s, "q", 1, 1);
    ack(a, 1);
    send_away(s);
    send_get(a, "q", 0);
    reject(a, 2, REQUEUE);
    expect_reply(a, METHOD_BASIC_GET_EMPTY);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - unknown delivery tag 2", METHOD_BASIC_REJECT);
    expect_count(s, "q", 1, 0);
    bring_back(s);
    story_free(s);
}

Test(away, get_of_a_client_that_vanished_takes_nothing)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    send_get(b, "q", NO_ACK);
    send_get(b, "q", 0);
    vanish(b);
    expect_count(s, "q", 2, 0);
    bring_back(s);
    send_get(a, "q", 0);
    bring_back(s);
    expect_get(a, "a");
    send_get(a, "q", 0);
    bring_back(s);
    expect_get(a, "b");
    story_free(s);
}

Test(away, get_of_a_channel_that_closes_takes_nothing)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    together(b);
    send_get(b, "q", NO_ACK);
    send_get(b, "q", 0);
    SEND(b, .id = METHOD_CHANNEL_CLOSE);
    together_end(b);
    expect_reply(b, METHOD_BASIC_GET_EMPTY);
    expect_reply(b, METHOD_BASIC_GET_EMPTY);
    expect_reply(b, METHOD_CHANNEL_CLOSE_OK);
    expect_count(s, "q", 2, 0);
    purge(a, "q", 2);
    bring_back(s);
    reopen(b);
    story_free(s);
}

Test(away, get_of_a_connection_that_closes_takes_nothing)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    send_away(s);
    send_get(b, "q", NO_ACK);
    close_connection(b);
    expect_count(s, "q", 1, 0);
    bring_back(s);
    send_get(a, "q", 0);
    bring_back(s);
    expect_get(a, "a");
    story_free(s);
}

Test(away, get_that_must_wait_in_line_takes_nothing_before_its_turn)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    send_declare(b, "lasting", DURABLE, NO_ARGUMENTS);
    send_get(b, "q", NO_ACK);
    send_get(b, "q", 0);
    bring_back(s);
    expect_silence(b);
    expect_count(s, "q", 2, 0);
    sync_journal(s);
    bring_back(s);
    expect_reply(b, METHOD_QUEUE_DECLARE_OK);
    expect_get(b, "a");
    expect_get(b, "b");
    expect_count(s, "q", 0, 1);
    story_free(s);
}

Test(away, get_from_a_queue_that_is_deleted_meanwhile_finds_it_empty)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    send_get(b, "q", NO_ACK);
    send_get(b, "q", 0);
    SEND(b, .id = METHOD_BASIC_QOS);
    delete_queue(a, "q");
    expect_reply(b, METHOD_BASIC_GET_EMPTY);
    expect_reply(b, METHOD_BASIC_GET_EMPTY);
    expect_reply(b, METHOD_BASIC_QOS_OK);
    bring_back(s);
    expect_silence(b);
    story_free(s);
}

Test(away, get_from_a_queue_that_is_purged_meanwhile_finds_it_empty)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    send_get(b, "q", 0);
    expect_silence(b);
    purge(a, "q", 2);
    expect_reply(b, METHOD_BASIC_GET_EMPTY);
    publish(a, "q", "c");
    bring_back(s);
    expect_count(s, "q", 1, 0);
    send_get(b, "q", 0);
    expect_get(b, "c");
    story_free(s);
}

Test(away, purge_leaves_what_is_unacked)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    lasting_queue(s, a);
    PERSISTENT_POST(a, "q", "a");
    PERSISTENT_POST(a, "q", "b");
    PERSISTENT_POST(a, "q", "c");
    sync_journal(s);
    send_get(b, "q", 0);
    sync_journal(s);
    expect_get(b, "a");
    send_away(s);
    send_purge(a, "q");
    sync_journal(s);
    cr_expect_eq(expect_reply(a, METHOD_QUEUE_PURGE_OK)->method.queue_purge_ok.message_count, 2);
    expect_count(s, "q", 0, 1);
    reject(b, 1, REQUEUE);
    send_away(s);
    send_get(b, "q", NO_ACK);
    bring_back(s);
    expect_get_redelivered(b, "a");
    story_free(s);
}

Test(away, get_asked_for_in_a_dying_connection_does_not_keep_it_alive)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    send_away(s);
    together(b);
    send_get(b, "q", 0);
    SEND(b, .id = METHOD_EXCHANGE_BIND, .exchange_bind = {.destination = B(""), .source = B("amq.direct")});
    together_end(b);
    expect_reply(b, METHOD_BASIC_GET_EMPTY);
    expect_channel_error(b, 403, "ACCESS_REFUSED - operation not permitted on the default exchange",
                         METHOD_EXCHANGE_BIND);
    expect_count(s, "q", 1, 0);
    bring_back(s);
    story_free(s);
}

Test(away, queue_whose_messages_cannot_be_read_is_out_of_service)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    send_away(s);
    consume(b, "q", "t");
    send_get(c, "q", 0);
    journal_seeded_fail_reads(story_journal(s), story_vhost(s), story_now(s));
    expect_reply(b, METHOD_BASIC_CANCEL);
    for (int i = 0; i < 2; i++) {
        expect_channel_error(
            c, 404,
            "NOT_FOUND - queue 'q' in vhost '/' is out of service: some of its messages cannot be read",
            METHOD_BASIC_GET);
        reopen(c);
        send_get(c, "q", 0);
    }
    confirm_select(a);
    publish(a, "q", "b");
    expect_nacked(a, 1, 1);
    delete_queue(a, "q");
    story_free(s);
}

/* A get that fails closes its channel: what came behind it was not to be done, and is not answered. */
Test(away, gets_that_wait_for_what_cannot_be_read_fail_in_their_turn)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    send_away(s);
    declare_with(c, "goes", AUTO_DELETE, NO_ARGUMENTS);
    consume(c, "goes", "t");
    send_get(c, "q", 0);
    SEND(c, .id = METHOD_BASIC_QOS);
    send_declare(b, "lasting", DURABLE, NO_ARGUMENTS);
    send_get(b, "q", NO_ACK);
    journal_seeded_fail_reads(story_journal(s), story_vhost(s), story_now(s));
    expect_channel_error(
        c, 404, "NOT_FOUND - queue 'q' in vhost '/' is out of service: some of its messages cannot be read",
        METHOD_BASIC_GET);
    expect_silence(c);
    cr_expect_not(queue_exists(s, "goes"));
    expect_silence(b);
    sync_journal(s);
    expect_reply(b, METHOD_QUEUE_DECLARE_OK);
    expect_channel_error(
        b, 404, "NOT_FOUND - queue 'q' in vhost '/' is out of service: some of its messages cannot be read",
        METHOD_BASIC_GET);
    story_free(s);
}

Test(away, dead_that_cannot_be_read_take_their_queue_out_of_service)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-message-ttl", 1000)));
    publish(a, "q", "a");
    send_away(s);
    advance(s, 1000);
    journal_seeded_fail_reads(story_journal(s), story_vhost(s), story_now(s));
    advance(s, 100000); /* and is not looked through again and again */
    cr_expect_eq(journal_seeded_questions(story_journal(s)), 0);
    delete_queue(a, "q");
    story_free(s);
}

Test(away, head_that_dies_while_it_is_waited_for_stops_nobody)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    POST(a, .key = "q", .body = "short", .expiration = "1000");
    send_away(s);
    publish(a, "q", "a");
    consume(a, "q", "t");
    send_get(b, "q", 0);
    expect_silence(a);
    expect_silence(b);
    advance(s, 1000);
    bring_back(s);
    expect_fresh(a, "a");
    expect_reply(b, METHOD_BASIC_GET_EMPTY);
    story_free(s);
}

/* What stands behind one that is away needs no timer of its own, as long as somebody sees to it. */
Test(away, messages_behind_one_that_dies_die_too)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-message-ttl", 1000)));
    publish(a, "q", "a");
    send_away(s);
    advance(s, 100);
    publish(a, "q", "b");
    advance(s, 1000);
    bring_back(s);
    advance(s, 1);
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(away, higher_priority_does_not_wait_for_a_message_below)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-priority", 5)));
    POST(a, .key = "q", .body = "low", .priority = 1);
    send_away(s);
    consume(a, "q", "t");
    POST(a, .key = "q", .body = "high", .priority = 2);
    expect_fresh(a, "high");
    expect_silence(a);
    bring_back(s);
    expect_fresh(a, "low");
    cancel(a, "t");
    POST(a, .key = "q", .body = "low", .priority = 1);
    send_away(s);
    send_get(b, "q", 0);
    POST(a, .key = "q", .body = "high", .priority = 2);
    send_get(b, "q", 0);
    bring_back(s);
    cr_expect_eq(expect_get(b, "high")->tag, 1);
    cr_expect_eq(expect_get(b, "low")->tag, 2);
    story_free(s);
}

Test(away, message_dies_when_it_is_back)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare(a, "dead");
    declare_with(a, "q", 0,
                 ARGUMENTS(STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "dead"),
                           INT("x-message-ttl", 1000)));
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    advance(s, 1000);
    expect_count(s, "q", 2, 0);
    journal_seeded_answer_all(story_journal(s), story_vhost(s), story_now(s));
    expect_count(s, "q", 0, 0);
    expect_count(s, "dead", 2, 0);
    consume(a, "dead", "t");
    cr_expect_str_eq(expect_fresh(a, "a")->key, "dead");
    cr_expect_str_eq(expect_fresh(a, "b")->key, "dead");
    story_free(s);
}

Test(away, purge_does_not_take_what_is_on_its_way_to_be_a_dead_letter)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE,
                 ARGUMENTS(STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "dead"),
                           INT("x-message-ttl", 1000)));
    send_declare(a, "dead", DURABLE, NO_ARGUMENTS);
    PERSISTENT_POST(a, "q", "a");
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    send_away(s);
    advance(s, 1000);
    journal_seeded_answer_one(story_journal(s), story_vhost(s), story_now(s)); /* the look */
    expect_count(s, "q", 0, 0);
    expect_count(s, "dead", 0, 0);
    PERSISTENT_POST(a, "q", "b");
    send_purge(a, "q");
    sync_journal(s);
    cr_expect_eq(expect_reply(a, METHOD_QUEUE_PURGE_OK)->method.queue_purge_ok.message_count, 1);
    bring_back(s);
    expect_count(s, "dead", 1, 0);
    story_free(s);
}

Test(away, message_that_dies_without_a_dead_letter_exchange_need_not_come_back)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-message-ttl", 1000)));
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    publish(a, "q", "c");
    advance(s, 1000);
    cr_expect_eq(journal_seeded_questions(story_journal(s)), 1);
    bring_back(s);
    advance(s, 1);
    expect_count(s, "q", 0, 0);
    cr_expect_eq(journal_seeded_questions(story_journal(s)), 0);
    story_free(s);
}

Test(away, many_die_at_once)
{
    struct story *s = story_new_late();
    struct client *a = client(s);
    char expiration[8];

    declare(a, "q");
    for (int i = 0; i < 1500; i++) {
        snprintf(expiration, sizeof expiration, "%d", 1000 + 500 * (i % 3));
        POST(a, .key = "q", .body = "a", .expiration = expiration);
    }
    publish(a, "q", "stays");
    send_away(s);
    advance(s, 1000);
    bring_back(s);
    advance(s, 2);
    bring_back(s);
    expect_count(s, "q", 1001, 0);
    for (int i = 0; i < 4; i++) {
        advance(s, 250);
        bring_back(s);
        advance(s, 2);
        bring_back(s);
    }
    expect_count(s, "q", 1, 0);
    send_get(a, "q", 0);
    bring_back(s);
    expect_get(a, "stays");
    story_free(s);
}

Test(away, queue_that_is_too_long_is_trimmed_when_its_head_is_back)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length", 2)));
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    publish(a, "q", "c");
    bring_back(s);
    expect_count(s, "q", 2, 0);
    send_get(a, "q", 0);
    bring_back(s);
    expect_get(a, "b");
    story_free(s);
}

Test(away, dead_letter_of_a_deleted_queue_is_not_settled_there)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE,
                 ARGUMENTS(STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "dead"),
                           INT("x-message-ttl", 1000)));
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    declare(a, "dead");
    PERSISTENT_POST(a, "q", "a");
    send_away(s);
    advance(s, 1000);
    send_delete(a, "q", 0);
    bring_back(s);
    expect_count(s, "dead", 0, 0);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DELETE_OK);
    story_free(s);
}

/* A letter may be on its way when its queue goes. */
Test(away, queue_that_goes_with_its_last_consumer_leaves_no_settlement_behind)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    send_declare(a, "q", DURABLE | AUTO_DELETE,
                 ARGUMENTS(STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "dead"),
                           INT("x-delivery-limit", 0)));
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    declare(a, "dead");
    PERSISTENT_POST(a, "q", "a");
    send_consume(b, "q", "t", 0, NO_ARGUMENTS);
    sync_journal(s);
    expect_reply(b, METHOD_BASIC_CONSUME_OK);
    expect_fresh(b, "a");
    vanish(b);
    cr_expect_not(queue_exists(s, "q"));
    expect_count(s, "dead", 1, 0);
    story_free(s);
}

Test(away, runs_that_are_written_again_elsewhere_are_read_there)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-message-ttl", 60000)));
    publish(a, "q", "a");
    publish(a, "q", "b");
    publish(a, "q", "c");
    send_away(s);
    send_get(b, "q", NO_ACK);
    journal_seeded_move_all(story_journal(s), story_vhost(s), story_now(s)); /* not what is being read */
    bring_back(s);
    expect_get(b, "a");
    send_away(s);
    journal_seeded_move_all(story_journal(s), story_vhost(s), story_now(s));
    send_get(b, "q", NO_ACK); /* asked for where it was */
    bring_back(s);
    expect_get(b, "b");
    send_away(s);
    journal_seeded_move_all(story_journal(s), story_vhost(s), story_now(s));
    bring_back(s);
    send_get(b, "q", NO_ACK);
    bring_back(s);
    expect_get(b, "c");
    story_free(s);
}

/* The file that a run was moved from may be gone when somebody comes to read it there. */
Test(away, what_cannot_be_read_where_it_was_is_read_where_it_is)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-message-ttl", 1000)));
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_away(s);
    journal_seeded_move_all(story_journal(s), story_vhost(s), story_now(s));
    send_get(b, "q", NO_ACK);
    journal_seeded_answer_one(story_journal(s), story_vhost(s), story_now(s)); /* the move */
    bring_back(s);
    expect_get(b, "a");
    send_away(s);
    journal_seeded_move_all(story_journal(s), story_vhost(s), story_now(s));
    advance(s, 1000);
    journal_seeded_answer_one(story_journal(s), story_vhost(s), story_now(s)); /* the move, before the look */
    bring_back(s);
    advance(s, 2);
    bring_back(s);
    expect_count(s, "q", 0, 0);
    confirm_select(a);
    publish(a, "q", "c");
    expect_acked(a, 1, 1);
    story_free(s);
}

/* Who publishes faster than it can be written is held; not when nothing would be gained. */
Test(away, publishers_are_held_while_too_much_is_being_written)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare(a, "q");
    journal_seeded_limit(story_journal(s), story_vhost(s), story_now(s), 10000);
    POST(a, .key = "q", .body_size = 11000);
    cr_expect_eq(held(a), 0);
    POST(a, .key = "q", .body_size = 11000);
    cr_expect_eq(held(a), OUTBOX_HOLD_STORE);
    journal_seeded_answer_saves(story_journal(s), story_vhost(s), story_now(s), false);
    settle(s);
    cr_expect_eq(held(a), 0);
    bring_back(s);
    story_free(s);
}
