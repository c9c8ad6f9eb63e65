/* SPDX-License-Identifier: Apache-2.0 */
/* Draining: who consumes settles what there is and goes, others stay, and nobody comes. */
#include "coney/reply.h"
#include "story.h"

#define MAINTENANCE "CONNECTION_FORCED - broker forced connection closure with reason 'maintenance'"

static uint32_t drain(struct story *s)
{
    uint32_t owing;

    settle(s);
    owing = vhost_drain(story_vhost(s));
    vhost_flush(story_vhost(s));
    return owing;
}

Test(drain, waits_for_what_was_delivered_and_delivers_no_more)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    consume(b, "q", "t");
    publish(a, "q", "one");
    expect_fresh(b, "one");
    cr_expect_eq(drain(s), 1);
    expect_reply(b, METHOD_BASIC_CANCEL);
    publish(a, "q", "two");
    expect_silence(b);
    expect_count(s, "q", 1, 1);
    cr_expect_eq(drain(s), 1);
    ack(b, 1);
    cr_expect_eq(drain(s), 0);
    expect_connection_error(b, 320, MAINTENANCE, (enum method_id)0);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(drain, idle_consumers_go_at_once_and_publishers_stay)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client_without_notify(s);

    declare(a, "q");
    confirm_select(a);
    consume(b, "q", "t");
    cr_expect_eq(drain(s), 0);
    expect_connection_error(b, 320, MAINTENANCE, (enum method_id)0);
    publish(a, "q", "one");
    expect_acked(a, 1, 1);
    cr_expect_eq(drain(s), 0);
    expect_silence(a);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(drain, who_consumes_again_goes_and_gives_back)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare(a, "q");
    consume(b, "q", "t");
    publish(a, "q", "one");
    expect_fresh(b, "one");
    cr_expect_eq(drain(s), 1);
    expect_reply(b, METHOD_BASIC_CANCEL);
    send_consume(b, "q", "again", 0, NO_ARGUMENTS);
    expect_connection_error(b, 320, MAINTENANCE, METHOD_BASIC_CONSUME);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(drain, lets_nobody_in)
{
    struct story *s = story_new();
    struct batch_open open = {.user = B("guest"), .channel_max = 10, .user_channel_max = 10};
    struct client *late;

    cr_expect_eq(drain(s), 0);
    late = client_enter(s, &open);
    expect_connection_error(late, 320, MAINTENANCE, METHOD_CONNECTION_OPEN);
    story_free(s);
}

Test(drain, waits_for_confirms_of_who_consumes)
{
    struct story *s = story_new_late();
    struct client *a = client(s);

    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    send_declare(a, "other", 0, NO_ARGUMENTS);
    sync_journal(s);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    confirm_select(a);
    consume(a, "other", "t");
    POST(a, .key = "q", .body = "one", .persistent = true);
    expect_unconfirmed(a, 1);
    cr_expect_eq(drain(s), 1);
    sync_journal(s);
    expect_acked(a, 1, 1);
    cr_expect_eq(drain(s), 0);
    expect_reply(a, METHOD_BASIC_CANCEL);
    expect_connection_error(a, 320, MAINTENANCE, (enum method_id)0);
    story_free(s);
}

Test(drain, keeps_the_queues_of_those_who_go)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare_with(a, "q", AUTO_DELETE, NO_ARGUMENTS);
    publish(a, "q", "one");
    send_qos(b, 1, false);
    expect_reply(b, METHOD_BASIC_QOS_OK);
    consume(b, "q", "t");
    expect_fresh(b, "one");
    publish(a, "q", "two");
    cr_expect_eq(drain(s), 1);
    ack(b, 1);
    cr_expect_eq(drain(s), 0);
    expect_count(s, "q", 1, 0);
    story_free(s);
}
