/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges, queues, bindings, permissions (exchanges-queues-bindings.md). */
#include <stdio.h>

#include "story.h"

#define DECLARE METHOD_QUEUE_DECLARE
#define LOCKED(queue)                                                                                       \
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '" queue                              \
    "' in vhost '/'. It could be "                                                                          \
    "originally declared on another connection or the exclusive property value does not match that of the " \
    "original declaration."

/* ---- queues ---- */

Test(declare, name_is_made_up_when_empty_and_then_meant_by_empty_names)
{
    struct story *s = story_new();
    struct client *a = client(s);
    struct bytes name;
    char text[64];

    send_declare(a, "", 0, NO_ARGUMENTS);
    name = expect_reply(a, METHOD_QUEUE_DECLARE_OK)->method.queue_declare_ok.queue;
    cr_expect_eq(name.size, sizeof "amq.gen-" - 1 + 22);
    snprintf(text, sizeof text, "%.*s", BYTES_ARG(name));
    cr_expect_eq(strncmp(text, "amq.gen-", 8), 0);
    consume(a, "", "t");
    send_bind(a, "", "amq.direct", "", NO_ARGUMENTS); /* key too */
    expect_reply(a, METHOD_QUEUE_BIND_OK);
    POST(a, .exchange = "amq.direct", .key = text, .body = "one");
    expect_fresh(a, "one");
    story_free(s);
}

Test(declare, again_must_be_equivalent)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", DURABLE, ARGUMENTS(INT("x-message-ttl", 1000), STR("x-foo", "a")));
    publish(a, "q", "one");
    send_declare(a, "q", DURABLE, ARGUMENTS(INT64("x-message-ttl", 1000), STR("x-foo", "b")));
    cr_expect_eq(expect_reply(a, METHOD_QUEUE_DECLARE_OK)->method.queue_declare_ok.message_count, 1);
    send_declare(a, "q", 0, ARGUMENTS(INT("x-message-ttl", 1000)));
    expect_channel_error(
        a, 406,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received "
        "'false' but current is 'true'",
        DECLARE);
    reopen(a);
    send_declare(a, "q", DURABLE | AUTO_DELETE, ARGUMENTS(INT("x-message-ttl", 1000)));
    expect_channel_error(
        a, 406,
        "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received "
        "'true' but current is 'false'",
        DECLARE);
    reopen(a);
    send_declare(a, "q", DURABLE, ARGUMENTS(INT("x-message-ttl", 2000)));
    expect_channel_error(a, 406,
                         "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': "
                         "received '2000' but current is '1000'",
                         DECLARE);
    reopen(a);
    send_declare(a, "q", DURABLE, NO_ARGUMENTS);
    expect_channel_error(a, 406,
                         "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': "
                         "received none but current is the value '1000' of type 'signedint'",
                         DECLARE);
    story_free(s);
}

Test(declare, exclusive_queue_is_its_connections_alone)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare_with(a, "mine", EXCLUSIVE | DURABLE, NO_ARGUMENTS);
    declare_with(client_beside(a), "mine", EXCLUSIVE, NO_ARGUMENTS);
    send_declare(a, "mine", 0, NO_ARGUMENTS);
    expect_channel_error(a, 405, LOCKED("mine"), DECLARE);
    send_declare(b, "mine", PASSIVE, NO_ARGUMENTS);
    expect_channel_error(b, 405, LOCKED("mine"), DECLARE);
    reopen(b);
    send_delete(b, "mine", 0);
    expect_channel_error(b, 405, LOCKED("mine"), METHOD_QUEUE_DELETE);
    reopen(b);
    send_bind(b, "mine", "amq.fanout", "", NO_ARGUMENTS);
    expect_channel_error(b, 405, LOCKED("mine"), METHOD_QUEUE_BIND);
    reopen(b);
    publish(b, "mine", "one"); /* anybody may publish to it */
    expect_count(s, "mine", 1, 0);
    vanish(a);
    cr_expect_not(queue_exists(s, "mine"));
    declare(b, "mine");
    story_free(s);
}

Test(declare, errors)
{
    struct story *s = story_new();
    struct client *a = client(s);

    send_declare(a, "nox", PASSIVE, NO_ARGUMENTS);
    expect_channel_error(a, 404, "NOT_FOUND - no queue 'nox' in vhost '/'", DECLARE);
    reopen(a);
    send_declare(a, "amq.q", 0, NO_ARGUMENTS);
    expect_channel_error(a, 403, "ACCESS_REFUSED - queue name 'amq.q' contains reserved prefix 'amq.*'",
                         DECLARE);
    reopen(a);
    send_declare(a, "q", 0, ARGUMENTS(INT("x-expires", 0)));
    expect_channel_error(
        a, 406, "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'q' in vhost '/': {value_zero,0}",
        DECLARE);
    reopen(a);
    vhost_set_limits(story_vhost(s), -1, 1);
    declare(a, "q");
    declare(a, "q");
    send_declare(a, "r", NOWAIT, NO_ARGUMENTS);
    expect_channel_error(
        a, 406, "PRECONDITION_FAILED - cannot declare queue 'r': queue limit in vhost '/' (1) is reached",
        DECLARE);
    story_free(s);
}

Test(delete, flags_are_looked_at)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "one");
    send_delete(a, "q", IF_EMPTY);
    expect_channel_error(a, 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty",
                         METHOD_QUEUE_DELETE);
    reopen(a);
    consume(a, "q", "t");
    expect_fresh(a, "one");
    send_delete(a, "q", IF_UNUSED | IF_EMPTY); /* empty: what is unacked does not count */
    expect_channel_error(a, 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use", METHOD_QUEUE_DELETE);
    reopen(a);
    send_delete(a, "q", IF_UNUSED);
    cr_expect_eq(expect_reply(a, METHOD_QUEUE_DELETE_OK)->method.queue_delete_ok.message_count, 1);
    send_delete(a, "q", IF_UNUSED | IF_EMPTY);
    cr_expect_eq(expect_reply(a, METHOD_QUEUE_DELETE_OK)->method.queue_delete_ok.message_count, 0);
    declare_with(a, "r", DURABLE, ARGUMENTS(STR("x-queue-type", "quorum")));
    send_delete(a, "r", IF_EMPTY);
    expect_connection_error(
        a, 540,
        "NOT_IMPLEMENTED - cannot delete queue 'r' in vhost '/'. queue.delete operations with "
        "if-empty flag set are not supported by quorum queues",
        METHOD_QUEUE_DELETE);
    story_free(s);
}

Test(purge, takes_what_is_ready_and_leaves_what_is_not)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    for (int i = 0; i < 200; i++)
        publish(a, "q", "m");
    for (int i = 0; i < 3; i++) {
        send_get(a, "q", 0);
        expect_get(a, "m");
    }
    purge(a, "q", 197);
    expect_count(s, "q", 0, 3);
    reject(a, 2, REQUEUE);
    expect_count(s, "q", 1, 2);
    ack_up_to(a, 0);
    purge(a, "q", 1);
    publish(a, "q", "new");
    send_get(a, "q", 0);
    expect_get(a, "new");
    story_free(s);
}

/* ---- exchanges ---- */

Test(exchange, declared_again_must_be_equivalent)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_exchange(a, "x", "direct");
    declare_exchange(a, "x", "direct");
    send_declare_exchange(a, "x", "anything", PASSIVE | DURABLE, NO_ARGUMENTS);
    expect_reply(a, METHOD_EXCHANGE_DECLARE_OK);
    send_declare_exchange(a, "x", "fanout", 0, NO_ARGUMENTS);
    expect_channel_error(
        a, 406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received "
        "'fanout' but current is 'direct'",
        METHOD_EXCHANGE_DECLARE);
    reopen(a);
    send_declare_exchange(a, "x", "direct", 0, ARGUMENTS(STR("alternate-exchange", "ae")));
    expect_channel_error(
        a, 406,
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': "
        "received the value 'ae' of type 'longstr' but current is none",
        METHOD_EXCHANGE_DECLARE);
    reopen(a);
    send_declare_exchange(a, "x", "direct", 0,
                          ARGUMENTS(STR("alternate-exchange",
                                        "a-name-that-is-longer-than-the-whole-text-has-room-for-0123456789-"
                                        "0123456789-0123456789-0123456789-0123456789-0123456789")));
    expect_channel_error(
        a, 406,
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': "
        "received the value 'a-name-that-is-longer-than-the-whole-text-has-room-for-0123456789-"
        "0123456789-0123456789-0123456789-0123456789-0123456789' of type 'longstr' b...",
        METHOD_EXCHANGE_DECLARE);
    story_free(s);
}

Test(exchange, errors)
{
    static const struct {
        const char *name, *type;
        unsigned flags;
        enum reply_code code;
        const char *text;
    } cases[] = {
        {"x", "x-bogus", 0, 406, "PRECONDITION_FAILED - unknown exchange type 'x-bogus'"},
        {"x", "", 0, 406, "PRECONDITION_FAILED - invalid exchange type ''"},
        {"", "direct", PASSIVE, 403, "ACCESS_REFUSED - operation not permitted on the default exchange"},
        {"amq.x", "direct", 0, 403,
         "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'"},
        {"nox", "direct", PASSIVE, 404, "NOT_FOUND - no exchange 'nox' in vhost '/'"},
    };
    struct story *s = story_new();
    struct client *a = client(s);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        send_declare_exchange(a, cases[i].name, cases[i].type, cases[i].flags, NO_ARGUMENTS);
        expect_channel_error(a, cases[i].code, cases[i].text, METHOD_EXCHANGE_DECLARE);
        reopen(a);
    }
    SEND(a, .id = METHOD_EXCHANGE_DELETE, .exchange_delete = {.exchange = B("amq.direct")});
    expect_channel_error(a, 403,
                         "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
                         METHOD_EXCHANGE_DELETE);
    story_free(s);
}

static void bind_exchanges(struct client *c, const char *destination, const char *source, const char *key)
{
    SEND(c, .id = METHOD_EXCHANGE_BIND,
         .exchange_bind = {.destination = B(destination), .source = B(source), .routing_key = B(key)});
    expect_reply(c, METHOD_EXCHANGE_BIND_OK);
}

Test(exchange, if_unused_means_as_a_source)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_exchange(a, "x", "fanout");
    declare_exchange(a, "y", "fanout");
    bind_exchanges(a, "y", "x", "");
    SEND(a, .id = METHOD_EXCHANGE_DELETE, .exchange_delete = {.exchange = B("x"), .if_unused = true});
    expect_channel_error(a, 406, "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use",
                         METHOD_EXCHANGE_DELETE);
    reopen(a);
    SEND(a, .id = METHOD_EXCHANGE_DELETE, .exchange_delete = {.exchange = B("y"), .if_unused = true});
    expect_reply(a, METHOD_EXCHANGE_DELETE_OK);
    story_free(s);
}

Test(exchange, bindings_go_round_and_each_is_visited_once)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    declare_exchange_with(a, "x", "fanout", INTERNAL, NO_ARGUMENTS);
    declare_exchange(a, "y", "fanout");
    bind_exchanges(a, "x", "y", "");
    bind_exchanges(a, "y", "x", "");
    bind_exchanges(a, "x", "x", "");
    bind(a, "q", "x", "");
    POST(a, .exchange = "y", .key = "k", .body = "one", .flags = MANDATORY);
    send_get(a, "q", 0);
    cr_expect_str_eq(expect_get(a, "one")->exchange, "y");
    expect_count(s, "q", 0, 1);
    story_free(s);
}

Test(exchange, alternate_gets_what_finds_no_destination)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "lost");
    declare(a, "q");
    declare_exchange(a, "ae", "fanout");
    bind(a, "lost", "ae", "");
    declare_exchange_with(a, "x", "direct", 0, ARGUMENTS(STR("alternate-exchange", "ae")));
    declare_exchange_with(a, "y", "direct", 0, ARGUMENTS(STR("alternate-exchange", "x")));
    bind(a, "q", "x", "k");
    POST(a, .exchange = "x", .key = "k", .body = "a", .flags = MANDATORY);
    expect_count(s, "q", 1, 0);
    POST(a, .exchange = "x", .key = "other", .body = "b", .flags = MANDATORY);
    POST(a, .exchange = "y", .key = "other", .body = "c", .flags = MANDATORY);
    expect_count(s, "lost", 2, 0);
    expect_silence(a);
    declare_exchange_with(a, "z", "direct", 0, ARGUMENTS(STR("alternate-exchange", "")));
    POST(a, .exchange = "z", .key = "q", .body = "d", .flags = MANDATORY);
    expect_return(a, "d"); /* the default exchange as an alternate routes nothing */
    story_free(s);
}

Test(exchange, long_chain_of_auto_delete_exchanges_goes_at_once)
{
    struct story *s = story_new();
    struct client *a = client(s);
    char name[16], previous[16];

    declare(a, "q");
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "x%d", i);
        declare_exchange_with(a, name, "fanout", AUTO_DELETE, NO_ARGUMENTS);
        if (i == 0)
            bind(a, "q", name, "");
        else
            bind_exchanges(a, previous, name, "");
        snprintf(previous, sizeof previous, "%s", name);
    }
    declare_exchange_with(a, "unbound", "fanout", AUTO_DELETE, NO_ARGUMENTS);
    cr_expect(exchange_exists(s, "x2999"));
    delete_queue(a, "q");
    cr_expect_not(exchange_exists(s, "x0"));
    cr_expect_not(exchange_exists(s, "x2999"));
    cr_expect(exchange_exists(s, "unbound"));
    story_free(s);
}

/* ---- bindings ---- */

Test(bind, identity_is_everything)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    send_bind(a, "q", "amq.direct", "k", ARGUMENTS(INT("a", 1)));
    expect_reply(a, METHOD_QUEUE_BIND_OK);
    send_bind(a, "q", "amq.direct", "k", ARGUMENTS(INT64("a", 1)));
    expect_reply(a, METHOD_QUEUE_BIND_OK);
    send_bind(a, "q", "amq.direct", "k", ARGUMENTS(INT("a", 1)));
    expect_reply(a, METHOD_QUEUE_BIND_OK);
    cr_expect_eq(queue_info(s, "q").bindings, 2);
    send_unbind(a, "q", "amq.direct", "k");
    expect_reply(a, METHOD_QUEUE_UNBIND_OK); /* there is none without arguments */
    cr_expect_eq(queue_info(s, "q").bindings, 2);
    send_unbind(a, "q", "nox", "k");
    expect_reply(a, METHOD_QUEUE_UNBIND_OK);
    story_free(s);
}

Test(bind, errors)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    send_bind(a, "q", "nox", "k", NO_ARGUMENTS);
    expect_channel_error(a, 404, "NOT_FOUND - no exchange 'nox' in vhost '/'", METHOD_QUEUE_BIND);
    reopen(a);
    send_bind(a, "noq", "amq.direct", "k", NO_ARGUMENTS);
    expect_channel_error(a, 404, "NOT_FOUND - no queue 'noq' in vhost '/'", METHOD_QUEUE_BIND);
    reopen(a);
    send_bind(a, "q", "", "k", NO_ARGUMENTS);
    expect_channel_error(a, 403, "ACCESS_REFUSED - operation not permitted on the default exchange",
                         METHOD_QUEUE_BIND);
    reopen(a);
    send_bind(a, "q", "amq.headers", "", ARGUMENTS(STR("x-match", "bogus")));
    expect_channel_error(
        a, 406,
        "PRECONDITION_FAILED - Invalid x-match field value <<\"bogus\">>; expected all, any, "
        "all-with-x, or any-with-x",
        METHOD_QUEUE_BIND);
    story_free(s);
}

/* ---- permissions ---- */

#define REFUSED(what) "ACCESS_REFUSED - " what " in vhost '/' refused for user 'u'"

Test(permission, is_asked_for_each_operation)
{
    struct story *s = story_new();
    struct client *a = client(s), *u;

    vhost_set_permission(story_vhost(s), B("u"), B("^mine"), B("^(mine|amq.default)"), B("^mine"));
    u = client_of(s, "u");
    declare(a, "q");
    declare(u, "mine");
    send_declare(u, "other", 0, NO_ARGUMENTS);
    expect_channel_error(u, 403, REFUSED("configure access to queue 'other'"), DECLARE);
    reopen(u);
    send_consume(u, "q", "t", 0, NO_ARGUMENTS);
    expect_channel_error(u, 403, REFUSED("read access to queue 'q'"), METHOD_BASIC_CONSUME);
    reopen(u);
    POST(u, .exchange = "amq.direct", .key = "k", .body = "one");
    expect_channel_error(u, 403, REFUSED("write access to exchange 'amq.direct'"), METHOD_BASIC_PUBLISH);
    reopen(u);
    send_bind(u, "mine", "amq.direct", "k", NO_ARGUMENTS);
    expect_channel_error(u, 403, REFUSED("read access to exchange 'amq.direct'"), METHOD_QUEUE_BIND);
    reopen(u);
    send_declare(u, "mine2", 0, ARGUMENTS(STR("x-dead-letter-exchange", "dlx")));
    expect_channel_error(u, 403, REFUSED("write access to exchange 'dlx'"), DECLARE);
    reopen(u);
    publish(u, "q", "one");
    publish(u, "q", "two");
    expect_count(s, "q", 2, 0);
    vhost_set_permission(story_vhost(s), B("u"), B(""), B(""), B(""));
    publish(u, "q", "three"); /* the remembered route is forgotten */
    expect_channel_error(u, 403, REFUSED("write access to exchange 'amq.default'"), METHOD_BASIC_PUBLISH);
    story_free(s);
}

Test(permission, of_topics_looks_at_each_key)
{
    struct story *s = story_new();
    struct client *u;

    vhost_set_permission(story_vhost(s), B("u"), B(".*"), B(".*"), B(".*"));
    vhost_set_topic_permission(story_vhost(s), B("u"), B("amq.topic"), B("^{username}\\."), B("^r\\."));
    u = client_of(s, "u");
    declare(u, "q");
    bind(u, "q", "amq.topic", "r.#");
    POST(u, .exchange = "amq.topic", .key = "u.x", .body = "one");
    POST(u, .exchange = "amq.topic", .key = "v.x", .body = "two");
    expect_channel_error(
        u, 403,
        "ACCESS_REFUSED - write access to topic 'v.x' in exchange 'amq.topic' in vhost '/' refused "
        "for user 'u'",
        METHOD_BASIC_PUBLISH);
    reopen(u);
    send_bind(u, "q", "amq.topic", "#", NO_ARGUMENTS);
    expect_channel_error(
        u, 403,
        "ACCESS_REFUSED - read access to topic '#' in exchange 'amq.topic' in vhost '/' refused for "
        "user 'u'",
        METHOD_QUEUE_BIND);
    reopen(u);
    POST(u, .exchange = "amq.direct", .key = "v.x", .body = "three"); /* no topic exchange */
    expect_silence(u);
    story_free(s);
}
