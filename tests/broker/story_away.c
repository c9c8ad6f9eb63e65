/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that have left memory: they are waited for when somebody wants them, die where they are, are moved
 * on disk; and what happens when they cannot be read.
 */
#include <stdio.h>

#include "story.h"

Test(away, deliveries_go_on_in_order_when_messages_come_back)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    declare_away(a, "q", "a", "b");
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
    limit_memory(s, 0);
    finish_saves(s, true);
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
    limit_memory(s, 0);
    send_get(b, "q", NO_ACK);
    expect_get(b, "a");
    send_get(b, "q", 0);
    expect_get(b, "b");
    reject(b, 2, REQUEUE);
    finish_saves(s, false);
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

    declare_away(a, "q", "a", "b");
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

    declare_away(a, "q", "a", "b");
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

    declare_away(a, "q", "a", "b");
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

    declare_away(a, "q", "a", "b");
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

    declare_away(a, "q", "a");
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

    declare_away(a, "q", "a", "b");
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

    declare_away(a, "q", "a", "b");
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

    declare_away(a, "q", "a", "b");
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

    declare_lasting(a, "q", 0, NO_ARGUMENTS);
    publish_persistent(a, "q", "a");
    publish_persistent(a, "q", "b");
    publish_persistent(a, "q", "c");
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

    declare_away(a, "q", "a");
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

    declare_away(a, "q", "a");
    consume(b, "q", "t");
    send_get(c, "q", 0);
    fail_reads(s);
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

/* A dead letter is nowhere else, so it is not refused as what is published is. */
Test(away, dead_letters_wait_in_a_queue_out_of_service)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    declare_lasting(a, "dead", 0, NO_ARGUMENTS);
    declare_lasting(a, "q", 0,
                    ARGUMENTS(STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "dead")));
    publish_persistent(a, "dead", "a");
    send_away(s);
    publish_persistent(a, "q", "b");
    publish(a, "q", "transient");
    send_get(b, "dead", 0);
    fail_reads(s);
    expect_channel_error(
        b, 404,
        "NOT_FOUND - queue 'dead' in vhost '/' is out of service: some of its messages cannot be read",
        METHOD_BASIC_GET);
    send_consume(a, "q", "t", 0, NO_ARGUMENTS);
    sync_journal(s);
    expect_reply(a, METHOD_BASIC_CONSUME_OK);
    expect_fresh(a, "b");
    expect_fresh(a, "transient");
    reject(a, 1, 0);
    reject(a, 2, 0);
    expect_count(s, "dead", 2, 0);
    restart(s);
    b = client(s);
    send_get(b, "dead", NO_ACK);
    bring_back(s);
    expect_get(b, "a");
    send_get(b, "dead", NO_ACK);
    bring_back(s);
    expect_get(b, "b");
    story_free(s);
}

/* The first waits for a queue that goes with the client's own consumer; the second stands behind it. */
Test(away, gets_that_wait_when_their_client_closes_take_nothing)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s), *c;

    declare_with(a, "goes", AUTO_DELETE, NO_ARGUMENTS);
    publish(a, "goes", "away");
    send_away(s);
    declare(a, "q");
    publish(a, "q", "stays");
    consume(b, "goes", "t");
    c = client_beside(b);
    send_get(c, "goes", NO_ACK);
    send_get(c, "q", NO_ACK);
    expect_silence(c);
    SEND(client_zero(b), .id = METHOD_CONNECTION_CLOSE);
    expect_reply(client_zero(b), METHOD_CONNECTION_CLOSE_OK);
    cr_expect_not(queue_exists(s, "goes"));
    expect_reply(c, METHOD_BASIC_GET_EMPTY);
    expect_reply(c, METHOD_BASIC_GET_EMPTY);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

/* A get that fails closes its channel: what came behind it was not to be done, and is not answered. */
Test(away, gets_that_wait_for_what_cannot_be_read_fail_in_their_turn)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s), *c = client(s);

    declare_away(a, "q", "a");
    declare_with(c, "goes", AUTO_DELETE, NO_ARGUMENTS);
    consume(c, "goes", "t");
    send_get(c, "q", 0);
    SEND(c, .id = METHOD_BASIC_QOS);
    send_declare(b, "lasting", DURABLE, NO_ARGUMENTS);
    send_get(b, "q", NO_ACK);
    fail_reads(s);
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
    fail_reads(s);
    advance(s, 100000); /* and is not looked through again and again */
    cr_expect_eq(questions(s), 0);
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
    bring_back(s);
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
    publish_persistent(a, "q", "a");
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    send_away(s);
    advance(s, 1000);
    bring_one_back(s); /* the look */
    expect_count(s, "q", 0, 0);
    expect_count(s, "dead", 0, 0);
    publish_persistent(a, "q", "b");
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
    cr_expect_eq(questions(s), 1);
    bring_back(s);
    advance(s, 1);
    expect_count(s, "q", 0, 0);
    cr_expect_eq(questions(s), 0);
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

    declare_lasting(a, "q", 0,
                    ARGUMENTS(STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "dead"),
                              INT("x-message-ttl", 1000)));
    declare(a, "dead");
    publish_persistent(a, "q", "a");
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

    declare_lasting(a, "q", AUTO_DELETE,
                    ARGUMENTS(STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "dead"),
                              INT("x-delivery-limit", 0)));
    declare(a, "dead");
    publish_persistent(a, "q", "a");
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
    move_runs(s); /* not what is being read */
    bring_back(s);
    expect_get(b, "a");
    send_away(s);
    move_runs(s);
    send_get(b, "q", NO_ACK); /* asked for where it was */
    bring_back(s);
    expect_get(b, "b");
    send_away(s);
    move_runs(s);
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
    move_runs(s);
    send_get(b, "q", NO_ACK);
    bring_one_back(s); /* the move */
    bring_back(s);
    expect_get(b, "a");
    send_away(s);
    move_runs(s);
    advance(s, 1000);
    bring_one_back(s); /* the move, before the look */
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
    limit_memory(s, 10000);
    POST(a, .key = "q", .body_size = 11000);
    cr_expect_eq(held(a), 0);
    POST(a, .key = "q", .body_size = 11000);
    cr_expect_eq(held(a), OUTBOX_HOLD_STORE);
    finish_saves(s, false);
    settle(s);
    cr_expect_eq(held(a), 0);
    bring_back(s);
    story_free(s);
}
