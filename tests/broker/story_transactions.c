/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions (publish-consume-ack.md 7). */
#include "story.h"

Test(tx, publishes_and_acks_wait_for_commit)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "one");
    tx_select(a);
    prefetch(a, 1);
    consume(a, "q", "t");
    expect_fresh(a, "one");
    publish(a, "q", "two");
    ack(a, 1);
    expect_silence(a); /* the room is taken until commit */
    expect_count(s, "q", 0, 1);
    tx_commit(a);
    expect_fresh(a, "two");
    ack(a, 2);
    ack(a, 2); /* held already: unknown */
    expect_channel_error(a, 406, "PRECONDITION_FAILED - unknown delivery tag 2", METHOD_BASIC_ACK);
    expect_count(s, "q", 1, 0); /* the held ack went with the channel */
    story_free(s);
}

Test(tx, rollback_drops_publishes_and_gives_tags_back)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "one");
    tx_select(a);
    send_get(a, "q", 0);
    expect_get(a, "one");
    publish(a, "q", "two");
    reject(a, 1, 0);
    tx_rollback(a);
    expect_count(s, "q", 0, 1);
    ack(a, 1);
    tx_commit(a);
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(tx, routing_and_checks_happen_at_once_and_returns_at_commit)
{
    struct story *s = story_new();
    struct client *a = client(s);
    const struct heard *returned;

    tx_select(a);
    declare(a, "q");
    declare_exchange(a, "x", "fanout");
    POST(a, .exchange = "x", .body = "one", .flags = MANDATORY);
    bind(a, "q", "x", "");
    POST(a, .exchange = "x", .body = "two", .flags = MANDATORY);
    expect_silence(a);
    send_unbind(a, "q", "x", "");
    expect_reply(a, METHOD_QUEUE_UNBIND_OK);
    SEND(a, .id = METHOD_TX_COMMIT);
    returned = expect_return(a, "one");
    cr_expect_lt(returned->order, expect_reply(a, METHOD_TX_COMMIT_OK)->order);
    expect_count(s, "q", 1, 0);
    POST(a, .exchange = "nox", .body = "three");
    expect_channel_error(a, 404, "NOT_FOUND - no exchange 'nox' in vhost '/'", METHOD_BASIC_PUBLISH);
    story_free(s);
}

Test(tx, publish_to_a_queue_deleted_meanwhile_is_dropped_or_returned)
{
    struct story *s = story_new();
    struct client *a = client(s);
    const struct heard *returned;

    declare(a, "q");
    tx_select(a);
    publish(a, "q", "one");
    POST(a, .key = "q", .body = "two", .flags = MANDATORY);
    delete_queue(a, "q");
    expect_silence(a);
    SEND(a, .id = METHOD_TX_COMMIT);
    returned = expect_return(a, "two");
    cr_expect_lt(returned->order, expect_reply(a, METHOD_TX_COMMIT_OK)->order);
    declare(a, "q");
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(tx, publish_goes_to_the_queue_that_has_the_name_at_commit)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    declare_exchange(a, "x", "fanout");
    bind(a, "q", "x", "");
    tx_select(a);
    POST(a, .exchange = "x", .body = "one", .flags = MANDATORY);
    delete_queue(a, "q");
    declare(a, "q");
    tx_commit(a);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(tx, default_exchange_finds_queues_at_commit)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    tx_select(a);
    POST(a, .key = "q", .body = "m", .flags = MANDATORY);
    declare(b, "q");
    expect_count(s, "q", 0, 0);
    tx_commit(a);
    expect_silence(a);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(tx, refused_message_makes_the_commit_fail_and_what_was_done_stays)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length", 1), STR("x-overflow", "reject-publish")));
    declare(a, "p");
    tx_select(a);
    publish(a, "q", "one");
    publish(a, "q", "two");
    publish(a, "p", "three");
    SEND(a, .id = METHOD_TX_COMMIT);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - partial tx completion", METHOD_TX_COMMIT);
    expect_count(s, "q", 1, 0);
    expect_count(s, "p", 1, 0);
    story_free(s);
}

Test(tx, needs_to_be_selected_and_excludes_confirms)
{
    struct story *s = story_new();
    struct client *a = client(s);

    SEND(a, .id = METHOD_TX_COMMIT);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - channel is not transactional", METHOD_TX_COMMIT);
    reopen(a);
    SEND(a, .id = METHOD_TX_ROLLBACK);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - channel is not transactional", METHOD_TX_ROLLBACK);
    reopen(a);
    tx_select(a);
    tx_select(a);
    SEND(a, .id = METHOD_CONFIRM_SELECT);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
                         METHOD_CONFIRM_SELECT);
    story_free(s);
}

Test(tx, recover_leaves_held_acks_alone)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "a");
    publish(a, "q", "b");
    tx_select(a);
    consume(a, "q", "t");
    expect_fresh(a, "a");
    expect_fresh(a, "b");
    ack(a, 1);
    SEND(a, .id = METHOD_BASIC_RECOVER, .basic_recover = {.requeue = true});
    expect_reply(a, METHOD_BASIC_RECOVER_OK);
    expect_redelivered(a, "b");
    tx_commit(a);
    expect_count(s, "q", 0, 1);
    story_free(s);
}
