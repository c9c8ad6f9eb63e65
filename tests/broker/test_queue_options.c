/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue arguments: queue-features.md 1, 7.1 and 9.4; exchanges-queues-bindings.md 3.3, 6.3 and 6.4.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "arguments.h"
#include "coney/policy.h"
#include "coney/queue_options.h"

#define B(text) BYTES_LITERAL(text)

static struct queue_declare durable(void)
{
    return (struct queue_declare){.name = B("q"), .vhost = B("/"), .durable = true};
}

static struct queue_options parsed(struct arguments arguments)
{
    struct queue_declare declare = durable();
    struct queue_options options;
    struct reply_error error;

    cr_assert(queue_options_parse(&options, arguments.table, &declare, &error), "%s", error.text);
    return options;
}

static void expect_refused(struct arguments arguments, enum reply_code code, const char *text)
{
    struct queue_declare declare = durable();
    struct queue_options options;
    struct reply_error error = {0};

    cr_assert_not(queue_options_parse(&options, arguments.table, &declare, &error), "expected: %s", text);
    cr_expect_eq(error.code, code);
    cr_expect_str_eq(error.text, text);
}

#define REFUSED(tail, ...) \
    expect_refused(ARGUMENTS(__VA_ARGS__), REPLY_PRECONDITION_FAILED, "invalid arg '" tail)

Test(queue_options, no_arguments_mean_a_plain_classic_queue)
{
    struct queue_options o = parsed(NO_ARGUMENTS);

    cr_expect_eq(o.type, QUEUE_CLASSIC);
    cr_expect_eq(o.message_ttl, QUEUE_OPTION_NONE);
    cr_expect_eq(o.expires, QUEUE_OPTION_NONE);
    cr_expect_eq(o.max_length, QUEUE_OPTION_NONE);
    cr_expect_eq(o.max_length_bytes, QUEUE_OPTION_NONE);
    cr_expect_eq(o.consumer_timeout, QUEUE_OPTION_NONE);
    cr_expect_eq(o.overflow, QUEUE_OVERFLOW_DROP_HEAD);
    cr_expect_not(o.has_overflow || o.has_delivery_limit || o.single_active || o.has_dead_letter_exchange ||
                  o.has_dead_letter_routing_key || o.type_from_default);
    cr_expect_eq(o.max_priority, 0);
}

Test(queue_options, arguments_are_taken)
{
    struct queue_options o =
        parsed(ARGUMENTS(INT64("x-message-ttl", 315360000000), INT8("x-expires", 1), INT("x-max-length", 0),
                         INT("x-max-length-bytes", 7), INT("x-max-priority", 255),
                         STR("x-overflow", "reject-publish-dlx"), BOOL("x-single-active-consumer", true),
                         STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", "k"),
                         INT("x-consumer-timeout", 60000), INT("x-delivery-limit", -1)));

    cr_expect_eq(o.message_ttl, 315360000000);
    cr_expect_eq(o.expires, 1);
    cr_expect_eq(o.max_length, 0);
    cr_expect_eq(o.max_length_bytes, 7);
    cr_expect_eq(o.max_priority, 255);
    cr_expect(o.has_overflow);
    cr_expect_eq(o.overflow, QUEUE_OVERFLOW_REJECT_PUBLISH_DLX);
    cr_expect(o.single_active);
    cr_expect(o.has_dead_letter_exchange);
    cr_expect_eq(o.dead_letter_exchange.size, 0);
    cr_expect(o.has_dead_letter_routing_key && bytes_equal_string(o.dead_letter_routing_key, "k"));
    cr_expect_eq(o.consumer_timeout, 60000);
    cr_expect(o.has_delivery_limit);
    cr_expect_eq(o.delivery_limit, -1);
}

Test(queue_options, bad_values_are_refused_with_rabbitmqs_texts)
{
    REFUSED("x-expires' for queue 'q' in vhost '/': {value_zero,0}", INT("x-expires", 0));
    REFUSED("x-expires' for queue 'q' in vhost '/': {value_negative,-1}", INT("x-expires", -1));
    REFUSED("x-expires' for queue 'q' in vhost '/': {value_too_large,315360000001}",
            INT64("x-expires", 315360000001));
    REFUSED("x-expires' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
            STR("x-expires", "1"));
    REFUSED("x-message-ttl' for queue 'q' in vhost '/': \"expected integer, got timestamp\"",
            TIMESTAMP("x-message-ttl", 1));
    REFUSED("x-message-ttl' for queue 'q' in vhost '/': \"expected integer, got double\"",
            DOUBLE("x-message-ttl", 1));
    REFUSED("x-message-ttl' for queue 'q' in vhost '/': \"expected integer, got bool\"",
            BOOL("x-message-ttl", 1));
    REFUSED("x-max-length' for queue 'q' in vhost '/': {value_negative,-1}", INT("x-max-length", -1));
    REFUSED("x-max-length-bytes' for queue 'q' in vhost '/': {value_negative,-2}",
            INT("x-max-length-bytes", -2));
    REFUSED("x-max-priority' for queue 'q' in vhost '/': {max_value_exceeded,256}",
            INT("x-max-priority", 256));
    REFUSED("x-max-priority' for queue 'q' in vhost '/': {value_negative,-1}", INT("x-max-priority", -1));
    REFUSED("x-overflow' for queue 'q' in vhost '/': invalid_overflow", STR("x-overflow", "drop"));
    REFUSED("x-overflow' for queue 'q' in vhost '/': {unacceptable_type,signedint}", INT("x-overflow", 1));
    REFUSED("x-dead-letter-routing-key' for queue 'q' in vhost '/': routing_key_but_no_dlx_defined",
            STR("x-dead-letter-routing-key", "k"));
    REFUSED("x-single-active-consumer' for queue 'q' in vhost '/': {unacceptable_type,longstr}",
            STR("x-single-active-consumer", "true"));
    REFUSED("x-single-active-consumer' for queue 'q' in vhost '/': {unacceptable_type,signedint}",
            INT("x-single-active-consumer", 1));
    REFUSED("x-queue-type' for queue 'q' in vhost '/': \"unsupported queue type 'foo'\"",
            STR("x-queue-type", "foo"));
    REFUSED("x-queue-type' for queue 'q' in vhost '/': {unacceptable_type,signedint}",
            INT("x-queue-type", 1));
    REFUSED("x-queue-mode' for queue 'q' in vhost '/': \"unsupported queue mode 'bad'\"",
            STR("x-queue-mode", "bad"));
    REFUSED("x-queue-version' for queue 'q' in vhost '/': \"unsupported queue version '3'\"",
            INT("x-queue-version", 3));
    REFUSED("x-consumer-timeout' for queue 'q' in vhost '/': {value_negative,-1}",
            INT("x-consumer-timeout", -1));
    REFUSED("x-dead-letter-strategy' for queue 'q' in vhost '/': invalid_dlx_strategy",
            STR("x-queue-type", "quorum"), STR("x-dead-letter-strategy", "never"));
    REFUSED("x-queue-leader-locator' for queue 'q' in vhost '/': invalid_queue_locator_arg",
            STR("x-queue-type", "quorum"), STR("x-queue-leader-locator", "here"));
    REFUSED("x-quorum-initial-group-size' for queue 'q' in vhost '/': {value_zero,0}",
            STR("x-queue-type", "quorum"), INT("x-quorum-initial-group-size", 0));
}

Test(queue_options, arguments_of_other_types_are_refused)
{
    REFUSED("x-max-age' for queue 'q' in vhost '/' of queue type rabbit_classic_queue",
            STR("x-max-age", "1h"));
    REFUSED("x-queue-leader-locator' for queue 'q' in vhost '/' of queue type rabbit_classic_queue",
            STR("x-queue-leader-locator", "client-local"));
    REFUSED("x-dead-letter-strategy' for queue 'q' in vhost '/' of queue type rabbit_classic_queue",
            STR("x-dead-letter-strategy", "at-most-once"));
    REFUSED("x-max-priority' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue",
            STR("x-queue-type", "quorum"), INT("x-max-priority", 1));
    REFUSED("x-queue-master-locator' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue",
            STR("x-queue-type", "quorum"), STR("x-queue-master-locator", "random"));
}

Test(queue_options, unknown_and_ineffective_arguments_are_accepted)
{
    parsed(ARGUMENTS(STR("x-ha-policy", "all"), INT("x-foo", 1), VOID("foo"), STR("x-queue-mode", "lazy"),
                     INT("x-queue-version", 2), STR("x-queue-master-locator", "whatever")));
}

Test(queue_options, delivery_limit_is_known_to_classic_queues_too)
{
    cr_expect_eq(parsed(ARGUMENTS(INT("x-delivery-limit", 3))).delivery_limit, 3);
    cr_expect_not(parsed(ARGUMENTS(STR("x-delivery-limit", "3"))).has_delivery_limit,
                  "a string is accepted without effect");
}

Test(queue_options, stream_queues_are_refused_clearly)
{
    expect_refused(ARGUMENTS(STR("x-queue-type", "stream")), REPLY_NOT_IMPLEMENTED,
                   "queue 'q' in vhost '/': queue type 'stream' is not supported");
}

/* ---- type ---- */

Test(queue_options, default_type_counts_only_where_it_fits)
{
    struct queue_declare declare = durable();
    struct queue_options o;
    struct reply_error error;

    declare.default_type = QUEUE_QUORUM;
    cr_assert(queue_options_parse(&o, NO_ARGUMENTS.table, &declare, &error));
    cr_expect_eq(o.type, QUEUE_QUORUM);
    cr_expect(o.type_from_default);

    cr_assert(queue_options_parse(&o, ARGUMENTS(STR("x-queue-type", "")).table, &declare, &error));
    cr_expect_eq(o.type, QUEUE_QUORUM);
    cr_assert(queue_options_parse(&o, ARGUMENTS(STR("x-queue-type", "classic")).table, &declare, &error));
    cr_expect_eq(o.type, QUEUE_CLASSIC);
    cr_expect_not(o.type_from_default);

    declare.auto_delete = true;
    cr_assert(queue_options_parse(&o, NO_ARGUMENTS.table, &declare, &error));
    cr_expect_eq(o.type, QUEUE_CLASSIC, "a quorum queue cannot be auto-delete");
    cr_expect_not(o.type_from_default);
}

Test(queue_options, type_from_default_is_stored_with_the_arguments)
{
    struct arguments arguments = ARGUMENTS(STR("x-queue-type", "undefined"), INT("x-expires", 5));
    struct queue_options o = {.type = QUEUE_QUORUM, .type_from_default = true};
    struct buffer out = {0};

    queue_options_store_type(&out, &o, arguments.table);
    cr_expect(table_identical(buffer_bytes(&out),
                              ARGUMENTS(INT("x-expires", 5), STR("x-queue-type", "quorum")).table));
    buffer_clear(&out);
    o.type_from_default = false;
    queue_options_store_type(&out, &o, arguments.table);
    cr_expect(bytes_equal(buffer_bytes(&out), arguments.table), "otherwise what the client sent");
    buffer_free(&out);
}

Test(queue_options, quorum_queues_need_their_properties)
{
    struct queue_options quorum = {.type = QUEUE_QUORUM}, classic = {.type = QUEUE_CLASSIC};
    struct queue_declare declare = {.name = B("q"), .vhost = B("/"), .exclusive = true, .auto_delete = true};
    struct reply_error error;

    cr_expect(queue_options_check_properties(&classic, &declare, &error));
    cr_expect_not(queue_options_check_properties(&quorum, &declare, &error));
    cr_expect_eq(error.code, REPLY_PRECONDITION_FAILED);
    cr_expect_str_eq(error.text, "invalid property 'auto-delete' for queue 'q' in vhost '/'");
    declare.auto_delete = false;
    cr_expect_not(queue_options_check_properties(&quorum, &declare, &error));
    cr_expect_str_eq(error.text, "invalid property 'exclusive-owner' for queue 'q' in vhost '/'");
    declare.exclusive = false;
    cr_expect_not(queue_options_check_properties(&quorum, &declare, &error));
    cr_expect_str_eq(error.text, "invalid property 'non-durable' for queue 'q' in vhost '/'");
    declare.durable = true;
    cr_expect(queue_options_check_properties(&quorum, &declare, &error));
}

Test(queue_options, only_classic_queues_get_names_from_the_server)
{
    struct queue_declare declare = durable();
    struct reply_error error;

    cr_expect(queue_options_server_named(NO_ARGUMENTS.table, &declare, &error));
    cr_expect(queue_options_server_named(ARGUMENTS(STR("x-queue-type", "bogus")).table, &declare, &error),
              "left to the parser, in its turn");
    cr_expect_not(
        queue_options_server_named(ARGUMENTS(STR("x-queue-type", "quorum")).table, &declare, &error));
    cr_expect_eq(error.code, REPLY_PRECONDITION_FAILED);
    cr_expect_str_eq(error.text, "Cannot declare a server-named queue for type rabbit_quorum_queue");
    cr_expect_not(
        queue_options_server_named(ARGUMENTS(STR("x-queue-type", "stream")).table, &declare, &error));
    cr_expect_str_eq(error.text, "Cannot declare a server-named queue for type rabbit_stream_queue");
}

Test(queue_options, exchange_named_by_an_argument_must_be_a_longstr)
{
    struct queue_declare declare = durable();
    struct reply_error error;
    struct bytes exchange;
    bool present;

    cr_expect(queue_options_dead_letter_exchange(NO_ARGUMENTS.table, &declare, &present, &exchange, &error));
    cr_expect_not(present);
    cr_expect(queue_options_dead_letter_exchange(ARGUMENTS(STR("x-dead-letter-exchange", "dlx")).table,
                                                 &declare, &present, &exchange, &error));
    cr_expect(present && bytes_equal_string(exchange, "dlx"));
    cr_expect_not(queue_options_dead_letter_exchange(ARGUMENTS(INT("x-dead-letter-exchange", 1)).table,
                                                     &declare, &present, &exchange, &error));
    cr_expect_str_eq(error.text,
                     "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'");
    cr_expect_not(exchange_options_alternate(ARGUMENTS(INT("alternate-exchange", 1)).table, B("x3"), B("/"),
                                             &present, &exchange, &error));
    cr_expect_str_eq(error.text,
                     "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x3' in vhost '/'");
}

/* ---- equivalence ---- */

static const char *difference(struct arguments current, struct arguments received)
{
    static struct reply_error error;
    struct queue_declare declare = durable();

    if (queue_arguments_equivalent(current.table, QUEUE_CLASSIC, received.table, &declare, &error))
        return NULL;
    cr_expect_eq(error.code, REPLY_PRECONDITION_FAILED);
    return error.text;
}

Test(queue_options, equivalent_arguments)
{
    cr_expect_null(difference(NO_ARGUMENTS, NO_ARGUMENTS));
    cr_expect_null(difference(ARGUMENTS(INT("x-expires", 1), INT("x-max-length", 2)),
                              ARGUMENTS(INT64("x-max-length", 2), INT8("x-expires", 1))));
    cr_expect_null(difference(ARGUMENTS(INT("x-foo", 1)), ARGUMENTS(INT("x-foo", 2), STR("x-bar", ""))));
    cr_expect_null(difference(NO_ARGUMENTS, ARGUMENTS(STR("x-queue-type", "classic"))));
    cr_expect_null(difference(ARGUMENTS(STR("x-queue-type", "classic")), NO_ARGUMENTS));
    cr_expect_null(difference(NO_ARGUMENTS, ARGUMENTS(STR("x-queue-type", "undefined"))));
    cr_expect_null(difference(ARGUMENTS(INT("x-expires", 60)), ARGUMENTS(TIMESTAMP("x-expires", 60))),
                   "numbers are compared, not types");
}

Test(queue_options, differences_are_told_as_rabbitmq_does)
{
    cr_expect_str_eq(difference(ARGUMENTS(INT("x-message-ttl", 1000)), ARGUMENTS(INT("x-message-ttl", 2000))),
                     "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': "
                     "received '2000' but current is '1000'");
    cr_expect_str_eq(difference(ARGUMENTS(INT("x-message-ttl", 1000)), NO_ARGUMENTS),
                     "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': "
                     "received none but current is the value '1000' of type 'signedint'");
    cr_expect_str_eq(difference(NO_ARGUMENTS, ARGUMENTS(STR("x-queue-type", "quorum"))),
                     "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': "
                     "received the value 'quorum' of type 'longstr' but current is none");
    cr_expect_str_eq(
        difference(ARGUMENTS(STR("x-queue-type", "classic")), ARGUMENTS(STR("x-queue-type", "x"))),
        "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': "
        "received 'x' but current is 'classic'");
    cr_expect_str_eq(difference(ARGUMENTS(STR("x-overflow", "drop-head")), ARGUMENTS(INT("x-overflow", 1))),
                     "inequivalent arg 'x-overflow' for queue 'q' in vhost '/': "
                     "received '1' but current is 'drop-head'");
    cr_expect_str_eq(difference(ARGUMENTS(INT("x-delivery-limit", 1)), ARGUMENTS(INT("x-delivery-limit", 2))),
                     "inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': "
                     "received '2' but current is '1'");
}

Test(queue_options, quorum_queue_compares_its_type)
{
    struct arguments stored = ARGUMENTS(STR("x-queue-type", "quorum"));
    struct queue_declare declare = durable();
    struct reply_error error;

    cr_expect(queue_arguments_equivalent(stored.table, QUEUE_QUORUM, stored.table, &declare, &error));
    cr_expect_not(
        queue_arguments_equivalent(stored.table, QUEUE_QUORUM, NO_ARGUMENTS.table, &declare, &error));
    cr_expect_str_eq(error.text, "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': "
                                 "received none but current is the value 'quorum' of type 'longstr'");
    declare.default_type = QUEUE_QUORUM;
    cr_expect(queue_arguments_equivalent(stored.table, QUEUE_QUORUM, NO_ARGUMENTS.table, &declare, &error));
    cr_expect_not(
        queue_arguments_equivalent(NO_ARGUMENTS.table, QUEUE_CLASSIC, NO_ARGUMENTS.table, &declare, &error));
}

Test(queue_options, exchange_compares_only_its_alternate)
{
    struct reply_error error;

    cr_expect(exchange_arguments_equivalent(ARGUMENTS(INT("x", 1)).table, ARGUMENTS(INT("x", 2)).table,
                                            B("x1"), B("/"), &error));
    cr_expect_not(exchange_arguments_equivalent(ARGUMENTS(STR("alternate-exchange", "nowhere")).table,
                                                NO_ARGUMENTS.table, B("x1"), B("/"), &error));
    cr_expect_str_eq(error.text, "inequivalent arg 'alternate-exchange' for exchange 'x1' in vhost '/': "
                                 "received none but current is the value 'nowhere' of type 'longstr'");
}

Test(queue_options, flags_are_compared_with_the_same_text)
{
    struct reply_error error;

    cr_expect(reply_error_check_flag(&error, "durable", "queue", B("q"), B("/"), true, true));
    cr_expect_not(reply_error_check_flag(&error, "auto_delete", "exchange", B("x"), B("/"), true, false));
    cr_expect_str_eq(error.text, "inequivalent arg 'auto_delete' for exchange 'x' in vhost '/': "
                                 "received 'true' but current is 'false'");
}

Test(queue_options, endless_values_are_cut)
{
    static char value[3000];
    struct queue_declare declare = durable();
    struct queue_options o;
    struct reply_error error;

    memset(value, 'v', sizeof value - 1);
    cr_expect_not(queue_options_parse(&o, ARGUMENTS(STR("x-queue-type", value)).table, &declare, &error));
    cr_expect_leq(strlen(error.text), 255);
    cr_expect_not(exchange_arguments_equivalent(ARGUMENTS(STR("alternate-exchange", value)).table,
                                                NO_ARGUMENTS.table, B("x1"), B("/"), &error));
    cr_expect_leq(strlen(error.text), 255);
}

/* ---- with a policy ---- */

Test(queue_options, smaller_limit_of_argument_and_policy_is_in_force)
{
    struct queue_options o =
        parsed(ARGUMENTS(INT("x-max-length", 10), INT("x-message-ttl", 5), INT("x-expires", 100)));
    struct policy_definition policy = {
        .present = POLICY_MAX_LENGTH | POLICY_MESSAGE_TTL | POLICY_MAX_LENGTH_BYTES | POLICY_CONSUMER_TIMEOUT,
        .max_length = 3,
        .message_ttl = 50,
        .max_length_bytes = 1000,
        .consumer_timeout = 9,
    };

    queue_options_effective(&o, &o, &policy);
    cr_expect_eq(o.max_length, 3);
    cr_expect_eq(o.message_ttl, 5);
    cr_expect_eq(o.expires, 100);
    cr_expect_eq(o.max_length_bytes, 1000);
    cr_expect_eq(o.consumer_timeout, 9);
}

Test(queue_options, argument_wins_over_policy_for_dead_letters)
{
    struct queue_options arguments = parsed(ARGUMENTS(STR("x-dead-letter-exchange", "mine"))), o;
    struct policy_definition policy = {
        .present = POLICY_DEAD_LETTER_EXCHANGE | POLICY_DEAD_LETTER_ROUTING_KEY,
        .dead_letter_exchange = B("theirs"),
        .dead_letter_routing_key = B("key"),
    };

    queue_options_effective(&o, &arguments, &policy);
    cr_expect(bytes_equal_string(o.dead_letter_exchange, "mine"));
    cr_expect(o.has_dead_letter_routing_key && bytes_equal_string(o.dead_letter_routing_key, "key"));

    arguments = parsed(NO_ARGUMENTS);
    queue_options_effective(&o, &arguments, &policy);
    cr_expect(bytes_equal_string(o.dead_letter_exchange, "theirs"));
    policy.present = POLICY_DEAD_LETTER_ROUTING_KEY;
    queue_options_effective(&o, &arguments, &policy);
    cr_expect_not(o.has_dead_letter_routing_key, "a key without an exchange has no effect");
}

Test(queue_options, overflow_of_argument_or_policy_by_type)
{
    struct queue_options classic = parsed(ARGUMENTS(STR("x-overflow", "reject-publish"))), quorum = classic,
                         o;
    struct policy_definition policy = {.present = POLICY_OVERFLOW, .overflow = QUEUE_OVERFLOW_DROP_HEAD};

    queue_options_effective(&o, &classic, &policy);
    cr_expect_eq(o.overflow, QUEUE_OVERFLOW_REJECT_PUBLISH, "classic: the argument wins");
    quorum.type = QUEUE_QUORUM;
    queue_options_effective(&o, &quorum, &policy);
    cr_expect_eq(o.overflow, QUEUE_OVERFLOW_DROP_HEAD, "quorum: the policy wins");
    policy.overflow = QUEUE_OVERFLOW_REJECT_PUBLISH_DLX;
    queue_options_effective(&o, &quorum, &policy);
    cr_expect_eq(o.overflow, QUEUE_OVERFLOW_DROP_HEAD, "quorum does not know reject-publish-dlx");
}

Test(queue_options, delivery_limit_of_argument_and_policy)
{
    static const struct {
        int64_t argument, policy, effective;
    } cases[] = {{3, 5, 3}, {5, 3, 3}, {-1, 5, 5}, {5, -1, 5}, {-1, -1, -1}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct queue_options o = {.has_delivery_limit = true, .delivery_limit = cases[i].argument};
        struct policy_definition policy = {.present = POLICY_DELIVERY_LIMIT,
                                           .delivery_limit = cases[i].policy};

        queue_options_effective(&o, &o, &policy);
        cr_expect_eq(o.delivery_limit, cases[i].effective, "case %zu", i);
    }
}

Test(queue_options, durability_of_policy_else_of_vhost)
{
    struct queue_options strict = parsed(NO_ARGUMENTS), relaxed = strict, o;
    struct policy_definition policy = {.present = POLICY_MAX_LENGTH};

    cr_expect_not(strict.relaxed);
    relaxed.relaxed = true;
    queue_options_effective(&o, &relaxed, &policy);
    cr_expect(o.relaxed, "a policy that does not say it changes nothing");
    policy.present = POLICY_DURABILITY;
    policy.durability = POLICY_DURABILITY_STRICT;
    queue_options_effective(&o, &relaxed, &policy);
    cr_expect_not(o.relaxed);
    policy.durability = POLICY_DURABILITY_RELAXED;
    queue_options_effective(&o, &strict, &policy);
    cr_expect(o.relaxed);
}

Test(queue_options, no_policy_leaves_the_arguments)
{
    struct queue_options arguments =
                             parsed(ARGUMENTS(INT("x-max-length", 1), STR("x-overflow", "drop-head"))),
                         o;

    queue_options_effective(&o, &arguments, NULL);
    cr_expect_eq(o.max_length, 1);
    cr_expect_eq(o.message_ttl, QUEUE_OPTION_NONE);
    cr_expect_eq(o.overflow, QUEUE_OVERFLOW_DROP_HEAD);
    cr_expect_not(o.has_delivery_limit || o.has_dead_letter_exchange);
}
