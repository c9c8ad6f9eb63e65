/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds of a vhost's settings: what is refused at each, and that everything below goes on. */
#include <stdlib.h>
#include <string.h>

#include "coney/buffer.h"
#include "coney/survey.h"
#include "story.h"

#define BOUNDED(...)                             \
    &(struct vhost_settings)                     \
    {                                            \
        .message_size_max = 1 << 20, __VA_ARGS__ \
    }

Test(limits, consumers_of_a_channel)
{
    struct story *s = story_new_with(BOUNDED(.consumers_max = 2));
    struct client *a = client(s), *b = client_beside(a);

    declare(a, "q");
    consume(a, "q", "1");
    consume(a, "q", "2");
    consume(b, "q", "1");
    cancel(a, "1");
    consume(a, "q", "3");
    send_consume(a, "q", "4", 0, NO_ARGUMENTS);
    expect_connection_error(a, 530, "NOT_ALLOWED - reached maximum (2) of consumers per channel",
                            METHOD_BASIC_CONSUME);
    story_free(s);
}

Test(limits, unacked_deliveries_of_a_channel)
{
    struct story *s = story_new_with(BOUNDED(.unacked_max = 3));
    struct client *a = client(s), *b = client_beside(a);

    declare(a, "q");
    declare(a, "r");
    consume(a, "q", "q");
    consume(a, "r", "r");
    publish(b, "q", "1");
    publish(b, "r", "2");
    publish(b, "q", "3");
    publish(b, "q", "4");
    publish(b, "r", "5");
    expect_fresh(a, "1");
    expect_fresh(a, "2");
    expect_fresh(a, "3");
    expect_silence(a);
    expect_count(s, "q", 1, 2);
    ack(a, 1);
    expect_fresh(a, "5"); /* "q" took the last room: it is the turn of "r" */
    expect_silence(a);
    ack_up_to(a, 3);
    expect_fresh(a, "4");
    expect_count(s, "r", 0, 1);
    story_free(s);
}

Test(limits, who_acks_nothing_gets_everything)
{
    struct story *s = story_new_with(BOUNDED(.unacked_max = 1));
    struct client *a = client(s);

    declare(a, "q");
    consume_with(a, "q", "c", NO_ACK, NO_ARGUMENTS);
    publish(a, "q", "1");
    publish(a, "q", "2");
    expect_fresh(a, "1");
    expect_fresh(a, "2");
    story_free(s);
}

Test(limits, other_channels_go_on_where_one_is_full)
{
    struct story *s = story_new_with(BOUNDED(.unacked_max = 1));
    struct client *a = client(s), *b = client_beside(a);

    declare(a, "q");
    consume(a, "q", "a");
    consume(b, "q", "b");
    publish(a, "q", "1");
    publish(a, "q", "2");
    publish(a, "q", "3");
    expect_fresh(a, "1");
    expect_fresh(b, "2");
    ack(b, 1);
    expect_fresh(b, "3");
    expect_silence(a);
    story_free(s);
}

Test(limits, get_is_refused_where_the_channel_is_full)
{
    struct story *s = story_new_with(BOUNDED(.unacked_max = 1));
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "1");
    publish(a, "q", "2");
    send_get(a, "q", 0);
    expect_get(a, "1");
    send_get(a, "q", NO_ACK);
    expect_get(a, "2");
    publish(a, "q", "3");
    send_get(a, "q", 0);
    expect_channel_error(a, 406,
                         "PRECONDITION_FAILED - unacknowledged deliveries of the channel have reached the "
                         "maximum (1)",
                         METHOD_BASIC_GET);
    expect_count(s, "q", 2, 0);
    story_free(s);
}

Test(limits, bindings_from_an_exchange)
{
    struct story *s = story_new_with(BOUNDED(.bindings_max = 2));
    struct client *a = client(s);

    declare(a, "q");
    bind(a, "q", "amq.direct", "1");
    bind(a, "q", "amq.direct", "2");
    bind(a, "q", "amq.direct", "2");
    bind(a, "q", "amq.topic", "1");
    send_bind(a, "q", "amq.direct", "3", NO_ARGUMENTS);
    expect_channel_error(a, 406,
                         "PRECONDITION_FAILED - cannot bind to exchange 'amq.direct' in vhost '/': binding "
                         "limit (2) is reached",
                         METHOD_QUEUE_BIND);
    reopen(a);
    send_unbind(a, "q", "amq.direct", "1");
    expect_reply(a, METHOD_QUEUE_UNBIND_OK);
    bind(a, "q", "amq.direct", "3");
    story_free(s);
}

Test(limits, names_of_what_is_new)
{
    struct story *s = story_new_with(BOUNDED(.name_size_max = 16));
    struct client *a = client(s);

    declare(a, "0123456789abcdef");
    send_declare(a, "0123456789abcdefg", 0, NO_ARGUMENTS);
    expect_channel_error(a, 406,
                         "PRECONDITION_FAILED - name of queue is longer than the maximum of 16 octets: "
                         "'0123456789abcdefg'",
                         METHOD_QUEUE_DECLARE);
    reopen(a);
    send_declare_exchange(a, "0123456789abcdefg", "fanout", 0, NO_ARGUMENTS);
    expect_channel_error(a, 406,
                         "PRECONDITION_FAILED - name of exchange is longer than the maximum of 16 octets: "
                         "'0123456789abcdefg'",
                         METHOD_EXCHANGE_DECLARE);
    reopen(a);
    send_declare(a, "", 0, NO_ARGUMENTS);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    vhost_change_settings(story_vhost(s), BOUNDED(.name_size_max = 4));
    declare(a, "0123456789abcdef");
    story_free(s);
}

static void note_relaxed(void *context, const struct survey_queue *queue)
{
    *(bool *)context = queue->options->relaxed;
}

Test(limits, a_change_takes_all_but_what_stays_with_the_vhost)
{
    struct story *s = story_new_with(BOUNDED(.default_queue_type = QUEUE_QUORUM, .relaxed = true));
    struct client *a = client(s);
    struct survey_vhost view;
    bool is_relaxed = false;

    vhost_change_settings(story_vhost(s), BOUNDED(.table_depth_max = 4, .consumers_max = 1));
    survey_vhost(story_vhost(s), &view);
    cr_expect_eq(view.default_queue_type, QUEUE_QUORUM);
    declare(a, "q");
    survey_queue(story_vhost(s), BYTES_LITERAL("q"), note_relaxed, &is_relaxed);
    cr_expect(is_relaxed);
    consume(a, "q", "1");
    send_consume(a, "q", "2", 0, NO_ARGUMENTS);
    expect_connection_error(a, 530, "NOT_ALLOWED - reached maximum (1) of consumers per channel",
                            METHOD_BASIC_CONSUME);
    story_free(s);
}

/* DEPTH tables in each other. */
static struct arguments nested(unsigned depth)
{
    static struct buffer buffer;
    struct table_builder builder;

    buffer_clear(&buffer);
    builder = table_builder_init(&buffer);
    for (unsigned i = 1; i < depth; i++)
        table_put_table_begin(&builder, "t");
    for (unsigned i = 1; i < depth; i++)
        table_put_end(&builder);
    return (struct arguments){buffer_bytes(&buffer)};
}

Test(limits, depth_of_tables)
{
    struct story *s = story_new_with(BOUNDED(.table_depth_max = 4));
    struct client *a = client(s);

    declare_with(a, "q", 0, nested(4));
    send_declare(a, "r", 0, nested(5));
    expect_channel_error(a, 406, "PRECONDITION_FAILED - arguments are nested deeper than the maximum of 4",
                         METHOD_QUEUE_DECLARE);
    reopen(a);
    POST(a, .key = "q", .body = "1", .headers = nested(4).table);
    POST(a, .key = "q", .body = "2", .headers = nested(5).table);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - headers are nested deeper than the maximum of 4",
                         METHOD_BASIC_PUBLISH);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(limits, size_of_tables)
{
    struct story *s = story_new_with(BOUNDED(.table_size_max = 15));
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(STR("x-0123", "012")));
    send_bind(a, "q", "amq.headers", "", ARGUMENTS(STR("x-0123", "0123")));
    expect_channel_error(a, 406,
                         "PRECONDITION_FAILED - arguments of 16 octets are larger than the maximum of 15",
                         METHOD_QUEUE_BIND);
    reopen(a);
    POST(a, .key = "q", .body = "1", .headers = ARGUMENTS(STR("x-0123", "012")).table);
    POST(a, .key = "q", .body = "2", .headers = ARGUMENTS(STR("x-0123", "0123")).table);
    expect_channel_error(a, 406,
                         "PRECONDITION_FAILED - headers of 16 octets are larger than the maximum of 15",
                         METHOD_BASIC_PUBLISH);
    expect_count(s, "q", 1, 0);
    story_free(s);
}

Test(limits, connections_of_a_vhost_that_has_no_limit_of_its_own)
{
    const struct batch_open guest = {.user = BYTES_LITERAL("guest"), .user_channel_max = UINT32_MAX};
    struct story *s = story_new_with(BOUNDED(.connections_max = 1));
    struct client *c;

    client(s);
    c = client_enter(s, &guest);
    expect_connection_error(
        c, 530,
        "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) "
        "is reached",
        METHOD_CONNECTION_OPEN);
    vanish(c);
    vhost_set_limits(story_vhost(s), 2, -1);
    c = client_enter(s, &guest);
    expect_reply(c, METHOD_CONNECTION_OPEN_OK);
    story_free(s);
}

static void note_channel(void *context, const struct survey_channel *channel)
{
    (void)channel;
    ++*(unsigned *)context;
}

/* How many channels a listing has. */
static unsigned channels_shown(struct story *s)
{
    uint32_t place = 0;
    unsigned count = 0;

    while (survey_channels(story_vhost(s), &place, 100, note_channel, &count))
        ;
    return count;
}

Test(limits, the_nodes_own_connections_are_beside_them)
{
    const struct batch_open own = {
        .user = BYTES_LITERAL("guest"), .user_channel_max = UINT32_MAX, .is_internal = true};
    struct story *s = story_new_with(BOUNDED(.connections_max = 1));
    struct client *c;
    struct survey_vhost seen;

    for (int i = 0; i < 3; i++) {
        c = client_enter(s, &own);
        expect_reply(c, METHOD_CONNECTION_OPEN_OK);
    }
    c = client_beside(c);
    declare(c, "q");
    publish(c, "q", "1");
    survey_vhost(story_vhost(s), &seen);
    cr_expect_eq(seen.connections, 0);
    cr_expect_eq(seen.channels, 0);
    cr_expect_eq(seen.counts.connections_opened, 0);
    cr_expect_eq(seen.counts.channels_opened, 0);
    cr_expect_eq(channels_shown(s), 0);
    vanish(c);
    settle(s);
    client(s); /* the one that the vhost may have */
    survey_vhost(story_vhost(s), &seen);
    cr_expect_eq(seen.connections, 1);
    cr_expect_eq(seen.channels, 1);
    cr_expect_eq(seen.counts.connections_closed, 0);
    cr_expect_eq(seen.counts.channels_closed, 0);
    cr_expect_eq(channels_shown(s), 1);
    story_free(s);
}

static void note_queue(void *context, const struct survey_queue *queue)
{
    (void)queue;
    ++*(unsigned *)context;
}

/* Begin a survey of the queues; the cursor is the caller's to free. */
static struct survey_cursor *cursor_in_the_middle(struct story *s)
{
    struct survey_cursor *cursor = calloc(1, sizeof *cursor);
    unsigned count = 0;

    cursor->of = SURVEY_QUEUES;
    survey_queues(story_vhost(s), cursor, 1, note_queue, &count);
    cr_expect_eq(count, 1);
    return cursor;
}

Test(limits, who_surveys_a_vhost_that_is_emptied_may_go_without_leaving)
{
    struct story *s = story_new();
    struct client *c = client(s);
    struct survey_cursor *stays, *goes, later = {.of = SURVEY_QUEUES};
    unsigned count = 0;

    declare(c, "a");
    declare(c, "b");
    declare(c, "c");
    stays = cursor_in_the_middle(s);
    goes = cursor_in_the_middle(s);
    memset(goes, 0xff, sizeof *goes);
    free(goes);
    cr_expect_not(vhost_empty(story_vhost(s), 2));
    survey_queues(story_vhost(s), stays, 10, note_queue, &count);
    cr_expect(stays->is_at_end);
    survey_queues(story_vhost(s), &later, 10, note_queue, &count);
    cr_expect(later.is_at_end);
    cr_expect_eq(count, 0, "closed to surveys");
    while (!vhost_empty(story_vhost(s), 2))
        ;
    declare(c, "again");
    later = (struct survey_cursor){.of = SURVEY_QUEUES};
    survey_queues(story_vhost(s), &later, 10, note_queue, &count);
    cr_expect_eq(count, 1, "open again");
    free(stays);
    story_free(s);
}

Test(limits, who_is_trusted_needs_no_permission)
{
    struct batch_open open = {.user = BYTES_LITERAL("operator"),
                              .channel_max = 10,
                              .user_channel_max = 10,
                              .is_internal = true,
                              .is_trusted = true};
    struct bytes nothing = {NULL, 0};
    struct story *s = story_new();
    struct client *c = client_enter(s, &open);

    expect_reply(c, METHOD_CONNECTION_OPEN_OK);
    c = client_beside(c);
    declare(c, "q");
    vhost_set_permission(story_vhost(s), B("operator"), nothing, nothing, nothing);
    declare(c, "r");
    open.is_trusted = false;
    c = client_enter(s, &open);
    expect_reply(c, METHOD_CONNECTION_OPEN_OK);
    c = client_beside(c);
    send_declare(c, "s", 0, NO_ARGUMENTS);
    expect_channel_error(
        c, 403, "ACCESS_REFUSED - configure access to queue 's' in vhost '/' refused for user 'operator'",
        METHOD_QUEUE_DECLARE);
    story_free(s);
}
