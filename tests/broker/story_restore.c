/* SPDX-License-Identifier: Apache-2.0 */
/* What is found after the node was started again (restore.h). Checkpoints come at any time, and change
 * nothing about that. */
#include "story.h"

/* Get from QUEUE of a late story: BODY, redelivered or not. */
#define EXPECT_GOT(s, c, queue, flags, body, expect) \
    do {                                             \
        send_get(c, queue, flags);                   \
        bring_back(s);                               \
        sync_journal(s);                             \
        bring_back(s);                               \
        expect(c, body);                             \
    } while (0)

Test(restart, durable_things_are_there_and_others_not)
{
    for (int checkpoints = 0; checkpoints < 2; checkpoints++) {
        struct story *s = story_new_late();
        struct client *a = client(s);

        send_declare(a, "q", DURABLE, NO_ARGUMENTS);
        send_declare(a, "transient", 0, NO_ARGUMENTS);
        send_declare_exchange(a, "e", "topic", DURABLE, NO_ARGUMENTS);
        send_bind(a, "q", "e", "k.*", NO_ARGUMENTS);
        send_bind(a, "q", "amq.direct", "k", NO_ARGUMENTS);
        send_bind(a, "transient", "e", "k.*", NO_ARGUMENTS);
        if (checkpoints)
            checkpoint(s);
        restart(s);
        cr_expect(queue_exists(s, "q"));
        cr_expect_not(queue_exists(s, "transient"));
        cr_expect(exchange_exists(s, "e"));
        a = client(s);
        POST(a, .exchange = "e", .key = "k.1", .body = "a");
        POST(a, .exchange = "amq.direct", .key = "k", .body = "b");
        publish(a, "q", "c");
        expect_count(s, "q", 3, 0);
        restart(s);
        expect_count(s, "q", 0, 0);
        story_free(s);
    }
}

Test(restart, later_queue_of_a_name_has_nothing_of_the_earlier)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    for (int life = 0; life < 3; life++) {
        send_declare_exchange(a, "e", life == 1 ? "direct" : "fanout", DURABLE, NO_ARGUMENTS);
        send_declare(a, "q", DURABLE, life == 1 ? ARGUMENTS(INT("x-max-priority", 3)) : NO_ARGUMENTS);
        send_bind(a, "q", "e", "old", NO_ARGUMENTS);
        send_bind(a, "q", "amq.direct", "old", NO_ARGUMENTS);
        publish_persistent(a, "q", "old");
        step_journal(s);
        send_delete(a, "q", 0);
        SEND(a, .id = METHOD_EXCHANGE_DELETE, .exchange_delete = {.exchange = B("e")});
    }
    send_declare_exchange(a, "e", "topic", DURABLE, NO_ARGUMENTS);
    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    publish_persistent(a, "q", "new");
    checkpoint(s); /* that releases nothing of what follows */
    restart(s);
    expect_count(s, "q", 1, 0);
    restart(s);
    expect_count(s, "q", 1, 0);
    cr_expect_eq(queue_info(s, "q").bindings, 0);
    story_free(s);
}

Test(restart, messages_keep_their_order_and_what_became_of_them)
{
    for (int checkpoints = 0; checkpoints < 4; checkpoints++) {
        struct story *s = story_new_late();
        struct client *a = client(s), *b = client(s);

        send_declare(a, "q", DURABLE, NO_ARGUMENTS);
        publish_persistent(a, "q", "acked");
        publish_persistent(a, "q", "requeued");
        publish(a, "q", "transient");
        publish_persistent(a, "q", "out");
        publish_persistent(a, "q", "last");
        sync_journal(s);
        if (checkpoints & 1)
            checkpoint(s);
        EXPECT_GOT(s, b, "q", 0, "acked", expect_get);
        EXPECT_GOT(s, b, "q", 0, "requeued", expect_get);
        ack(b, 1);
        reject(b, 2, REQUEUE);
        if (checkpoints & 2)
            checkpoint(s);
        restart(s);
        expect_count(s, "q", 3, 0);
        a = client(s);
        EXPECT_GOT(s, a, "q", NO_ACK, "requeued", expect_get_redelivered);
        restart(s);
        expect_count(s, "q", 2, 0);
        story_free(s);
    }
}

Test(restart, what_was_out_is_redelivered_and_what_was_not_is_not)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, ARGUMENTS(STR("x-queue-type", "quorum")));
    publish_persistent(a, "q", "out");
    publish_persistent(a, "q", "in");
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    EXPECT_GOT(s, a, "q", 0, "out", expect_get);
    checkpoint(s);
    restart(s);
    a = client(s);
    send_get(a, "q", 0);
    bring_back(s);
    sync_journal(s);
    cr_expect_eq(expect_get_redelivered(a, "out")->delivery_count, 1);
    EXPECT_GOT(s, a, "q", 0, "in", expect_get);
    story_free(s);
}

Test(restart, messages_die_on_time_whether_they_were_away_or_not)
{
    for (int checkpoints = 0; checkpoints < 2; checkpoints++) {
        struct story *s = story_new_late();
        struct client *a = client(s);

        send_declare(a, "dead", DURABLE, NO_ARGUMENTS);
        send_declare(a, "q", DURABLE,
                     ARGUMENTS(STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "dead")));
        POST(a, .key = "q", .body = "short", .persistent = true, .expiration = "1000");
        POST(a, .key = "q", .body = "long", .persistent = true, .expiration = "5000");
        publish_persistent(a, "q", "stays");
        sync_journal(s);
        if (checkpoints)
            checkpoint(s); /* all of it is in memory then */
        restart(s);
        expect_count(s, "q", 3, 0);
        advance(s, 1000);
        bring_back(s);
        expect_count(s, "q", 2, 0);
        expect_count(s, "dead", 1, 0);
        restart(s);
        expect_count(s, "q", 2, 0);
        expect_count(s, "dead", 1, 0);
        advance(s, 4000);
        bring_back(s);
        expect_count(s, "q", 1, 0);
        expect_count(s, "dead", 2, 0);
        story_free(s);
    }
}

Test(restart, messages_die_on_time_behind_what_was_there_before)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    publish_persistent(a, "q", "stays");
    sync_journal(s);
    checkpoint(s);
    restart(s);
    POST(client(s), .key = "q", .body = "short", .expiration = "1000");
    expect_count(s, "q", 2, 0);
    advance(s, 1001);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(restart, purge_is_not_forgotten)
{
    struct story *s = story_new_late();
    struct client *a = client(s), *b = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    publish_persistent(a, "q", "out");
    publish_persistent(a, "q", "b");
    sync_journal(s);
    EXPECT_GOT(s, b, "q", 0, "out", expect_get);
    checkpoint(s);
    publish_persistent(a, "q", "c");
    publish(a, "q", "transient");
    send_purge(a, "q");
    publish_persistent(a, "q", "d");
    checkpoint(s);
    restart(s);
    expect_count(s, "q", 2, 0);
    restart(s);
    expect_count(s, "q", 2, 0);
    a = client(s);
    EXPECT_GOT(s, a, "q", 0, "out", expect_get_redelivered);
    story_free(s);
}

/* Numbers of messages that left no record are used again after that only if nothing was said about them. */
Test(restart, purge_of_transient_messages_does_not_take_later_ones)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    publish(a, "q", "a");
    publish(a, "q", "b");
    send_purge(a, "q");
    restart(s);
    a = client(s);
    publish_persistent(a, "q", "c");
    restart(s);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(restart, lease_of_an_unused_queue_begins_again)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, ARGUMENTS(INT("x-expires", 1000)));
    sync_journal(s);
    advance(s, 900);
    restart(s);
    advance(s, 900);
    cr_expect(queue_exists(s, "q"));
    advance(s, 200);
    cr_expect_not(queue_exists(s, "q"));
    story_free(s);
}

Test(restart, what_came_back_while_it_was_written_is_known)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    publish_persistent(a, "q", "a");
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    EXPECT_GOT(s, a, "q", 0, "a", expect_get);
    limit_memory(s, 0);
    reject(a, 1, REQUEUE);
    checkpoint(s);
    restart(s);
    a = client(s);
    EXPECT_GOT(s, a, "q", 0, "a", expect_get_redelivered);
    story_free(s);
}

Test(restart, many_messages_of_all_levels_survive_often)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, ARGUMENTS(INT("x-max-priority", 2)));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3000; i++)
            POST(a, .key = "q", .body = "m", .persistent = i % 3 != 0, .has_priority = true,
                 .priority = (uint8_t)(i % 5));
        checkpoint(s);
        restart(s);
        expect_count(s, "q", 2000U * (unsigned)(round + 1), 0);
        a = client(s);
    }
    story_free(s);
}

/* Nobody says that a message was not delivered, so one that may have been must be redelivered. */
Test(restart, what_may_have_been_delivered_is_known_until_it_is_settled)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    publish_persistent(a, "q", "out");
    publish_persistent(a, "q", "maybe");
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    checkpoint(s);
    EXPECT_GOT(s, a, "q", 0, "out", expect_get);
    restart(s);
    checkpoint(s); /* that releases the record of it */
    restart(s);
    a = client(s);
    EXPECT_GOT(s, a, "q", 0, "out", expect_get_redelivered);
    EXPECT_GOT(s, a, "q", 0, "maybe", expect_get_redelivered);
    story_free(s);
}
