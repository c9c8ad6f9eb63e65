/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for the journal, and what does not: replies that promise something come when it is durable, in
 * the channel's order; nothing is lost when who waits goes away.
 */
#include "story.h"

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
    publish_persistent(a, "q", "one");
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

Test(promise, purge_ok_waits_though_the_last_message_stays)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    publish_persistent(a, "q", "one");
    publish_persistent(a, "q", "two");
    send_get(b, "q", 0);
    send_get(b, "q", 0);
    sync_journal(s);
    expect_get(b, "one");
    expect_get(b, "two");
    reject(b, 1, REQUEUE);
    sync_journal(s);
    send_purge(a, "q");
    expect_silence(a);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_PURGE_OK);
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
    publish_persistent(a, "q", "one");
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

    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    confirm_select(a);
    publish_persistent(a, "q", "one");
    publish(a, "q", "two");
    publish_persistent(a, "q", "three");
    publish(a, "nowhere", "four");
    expect_unconfirmed(a, 1);
    expect_unconfirmed(a, 3);
    expect_acked(a, 2, 2);
    expect_acked(a, 4, 4);
    sync_journal(s);
    expect_acked(a, 1, 4);
    publish_persistent(a, "q", "five");
    expect_unconfirmed(a, 5);
    sync_journal(s);
    expect_acked(a, 5, 5);
    story_free(s);
}

Test(promise, quorum_queue_confirms_transient_messages_when_durable_too)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare_lasting(a, "q", 0, ARGUMENTS(STR("x-queue-type", "quorum")));
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

    declare_lasting(a, "q", 0, ARGUMENTS(INT("x-max-length", 1), STR("x-overflow", "reject-publish")));
    confirm_select(a);
    publish_persistent(a, "q", "one");
    publish_persistent(a, "q", "two");
    publish_persistent(a, "q", "three");
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

    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    send_consume(b, "q", "t", 0, NO_ARGUMENTS);
    sync_journal(s);
    expect_reply(b, METHOD_BASIC_CONSUME_OK);
    publish_persistent(a, "q", "one");
    expect_fresh(b, "one");
    story_free(s);
}

/* After a crash what may have been delivered must come as redelivered: the journal knows in time. */
Test(promise, consume_ok_waits_until_the_journal_knows_that_messages_may_be_delivered)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    publish_persistent(a, "q", "one");
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

    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    publish_persistent(a, "q", "one");
    publish(a, "q", "transient");
    publish_persistent(a, "q", "three");
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
    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    publish_persistent(a, "q", "one");
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

    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    tx_select(a);
    publish_persistent(a, "q", "one");
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

    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    publish_persistent(a, "q", "one");
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
    declare_lasting(c, "q", 0,
                    ARGUMENTS(STR("x-queue-type", "quorum"), STR("x-dead-letter-exchange", ""),
                              STR("x-dead-letter-routing-key", "dead"), INT("x-delivery-limit", 0)));
    expect_reply(c, METHOD_QUEUE_DECLARE_OK);
    publish_persistent(c, "q", "one");
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

    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    publish_persistent(a, "q", "one");
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
    publish_persistent(b, "q", "one");
    send_declare(c, "q", DURABLE, NO_ARGUMENTS);
    SEND(client_zero(c), .id = METHOD_CONNECTION_CLOSE);
    vanish(a);
    vanish(b);
    vanish(c);
    sync_journal(s);
    expect_count(s, "q", 1, 0);
    story_free(s);
}
