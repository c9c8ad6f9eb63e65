/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The types that choose one destination for each message, x-consistent-hash, x-random and x-modulus-hash:
 * exchanges-queues-bindings.md 5.6.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/exchange.h"
#include "routing.h"

#define KEYS 4000

/* Where each of KEYS routing keys goes, by the queue's number in "q%u". */
static void publish_all(struct routing *r, unsigned destination[KEYS])
{
    char key[16];

    for (unsigned i = 0; i < KEYS; i++) {
        const char *queue;

        snprintf(key, sizeof key, "key%u", i);
        queue = publish(r, key);
        cr_assert_eq(queue[0], 'q', "key %u goes to '%s'", i, queue);
        cr_assert_null(strchr(queue, ' '), "key %u goes to '%s'", i, queue);
        destination[i] = (unsigned)strtoul(queue + 1, NULL, 10);
    }
}

static unsigned count_of(const unsigned destination[KEYS], unsigned queue)
{
    unsigned count = 0;

    for (unsigned i = 0; i < KEYS; i++)
        count += destination[i] == queue;
    return count;
}

/* PART of WHOLE shares of all keys, give or take a fifth. */
static void expect_share(const unsigned destination[KEYS], unsigned queue, unsigned part, unsigned whole)
{
    unsigned count = count_of(destination, queue), expected = KEYS * part / whole;

    cr_expect(count > expected - expected / 5 && count < expected + expected / 5,
              "q%u has %u of %d, expected about %u", queue, count, KEYS, expected);
}

static void expect_refused_key(struct routing *r, const char *key, const char *text)
{
    cr_assert_not(try_bind_queue(r, "q1", key, NO_ARGUMENTS));
    cr_expect_eq(r->error.code, REPLY_PRECONDITION_FAILED);
    cr_expect_str_eq(r->error.text, text);
}

static void expect_refused_exchange(struct arguments arguments, const char *text)
{
    struct reply_error error = {0};

    cr_assert_null(routing_try_new("x-consistent-hash", arguments, &error));
    cr_expect_eq(error.code, REPLY_PRECONDITION_FAILED);
    cr_expect_str_eq(error.text, text);
}

/* ---- x-consistent-hash ---- */

Test(consistent_hash, shares_follow_the_weights)
{
    struct routing *r = routing_new("x-consistent-hash", NO_ARGUMENTS);
    unsigned destination[KEYS];

    bind_queue(r, "q1", "1", NO_ARGUMENTS);
    bind_queue(r, "q2", "2", NO_ARGUMENTS);
    bind_queue(r, "q3", "+05", NO_ARGUMENTS);
    publish_all(r, destination);
    expect_share(destination, 1, 1, 8);
    expect_share(destination, 2, 2, 8);
    expect_share(destination, 3, 5, 8);
    routing_free(r);
}

Test(consistent_hash, the_same_key_goes_to_the_same_queue)
{
    struct routing *r = routing_new("x-consistent-hash", NO_ARGUMENTS);
    unsigned before[KEYS], after[KEYS];

    bind_queue(r, "q1", "10", NO_ARGUMENTS);
    bind_queue(r, "q2", "10", NO_ARGUMENTS);
    publish_all(r, before);
    publish_all(r, after);
    cr_expect_arr_eq(before, after, sizeof before);
    routing_free(r);
}

Test(consistent_hash, a_new_queue_takes_only_its_share_and_gives_it_back)
{
    struct routing *r = routing_new("x-consistent-hash", NO_ARGUMENTS);
    unsigned before[KEYS], with[KEYS], after[KEYS];

    bind_queue(r, "q1", "2", NO_ARGUMENTS);
    bind_queue(r, "q2", "2", NO_ARGUMENTS);
    publish_all(r, before);
    bind_queue(r, "q3", "1", NO_ARGUMENTS);
    publish_all(r, with);
    expect_share(with, 3, 1, 5);
    for (unsigned i = 0; i < KEYS; i++)
        cr_assert(with[i] == before[i] || with[i] == 3, "key %u moved to another old queue", i);
    unbind_queue(r, "q3", "1", NO_ARGUMENTS);
    publish_all(r, after);
    cr_expect_arr_eq(before, after, sizeof before);
    routing_free(r);
}

Test(consistent_hash, a_second_binding_of_a_queue_adds_no_weight)
{
    struct routing *r = routing_new("x-consistent-hash", NO_ARGUMENTS);
    unsigned destination[KEYS];

    bind_queue(r, "q1", "1", NO_ARGUMENTS);
    bind_queue(r, "q2", "1", NO_ARGUMENTS);
    bind_queue(r, "q2", "8", NO_ARGUMENTS);
    publish_all(r, destination);
    expect_share(destination, 1, 1, 2);
    unbind_queue(r, "q2", "1", NO_ARGUMENTS);
    publish_all(r, destination);
    expect_share(destination, 1, 1, 9);
    routing_free(r);
}

Test(consistent_hash, can_hash_a_header)
{
    struct routing *r = routing_new("x-consistent-hash", ARGUMENTS(STR("hash-header", "user")));
    char first[16], user[16];
    unsigned queues[3] = {0};

    bind_queue(r, "q1", "1", NO_ARGUMENTS);
    bind_queue(r, "q2", "1", NO_ARGUMENTS);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(user, sizeof user, "user%u", i);
        snprintf(first, sizeof first, "%s", publish_headers(r, ARGUMENTS(STR("user", user))));
        queues[strtoul(first + 1, NULL, 10)]++;
        cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("other", "x"), STR("user", user))), first);
        snprintf(first, sizeof first, "%s", publish_headers(r, ARGUMENTS(INT("user", i))));
        cr_expect_str_eq(publish_headers(r, ARGUMENTS(INT64("user", i))), first, "the width does not matter");
    }
    cr_expect(queues[1] > 50 && queues[2] > 50, "%u and %u of 200", queues[1], queues[2]);
    snprintf(first, sizeof first, "%s", publish(r, "k1"));
    for (unsigned i = 0; i < 50; i++) {
        snprintf(user, sizeof user, "k%u", i);
        cr_expect_str_eq(publish(r, user), first, "without the header all go to one queue");
    }
    routing_free(r);
}

/* How many of 200 messages go to q1 when PROPERTY differs in each. */
static unsigned share_by_property(const char *property)
{
    struct routing *r = routing_new("x-consistent-hash", ARGUMENTS(STR("hash-property", property)));
    unsigned first = 0;
    char id[16];

    bind_queue(r, "q1", "1", NO_ARGUMENTS);
    bind_queue(r, "q2", "1", NO_ARGUMENTS);
    for (unsigned i = 0; i < 200; i++) {
        struct properties properties = {.flags = PROPERTY_MESSAGE_ID | PROPERTY_CORRELATION_ID |
                                                 PROPERTY_TIMESTAMP,
                                        .message_id = BYTES_LITERAL("same"),
                                        .correlation_id = BYTES_LITERAL("same"),
                                        .timestamp = 1};

        snprintf(id, sizeof id, "id%u", i);
        if (strcmp(property, "message_id") == 0)
            properties.message_id = bytes_from_string(id);
        else if (strcmp(property, "correlation_id") == 0)
            properties.correlation_id = bytes_from_string(id);
        else
            properties.timestamp = i;
        first += strcmp(publish_properties(r, "key", &properties), "q1") == 0;
    }
    routing_free(r);
    return first;
}

Test(consistent_hash, can_hash_a_property)
{
    static const char *const properties[] = {"message_id", "correlation_id", "timestamp"};

    for (unsigned i = 0; i < 3; i++) {
        unsigned share = share_by_property(properties[i]);

        cr_expect(share > 60 && share < 140, "%s: %u of 200", properties[i], share);
    }
}

Test(consistent_hash, without_the_property_all_go_to_one_queue)
{
    struct routing *r = routing_new("x-consistent-hash", ARGUMENTS(STR("hash-property", "timestamp")));
    unsigned destination[KEYS];

    bind_queue(r, "q1", "1", NO_ARGUMENTS);
    bind_queue(r, "q2", "1", NO_ARGUMENTS);
    publish_all(r, destination);
    cr_expect_eq(count_of(destination, destination[0]), KEYS);
    routing_free(r);
}

Test(consistent_hash, weights_that_are_none_are_refused)
{
    struct routing *r = routing_new("x-consistent-hash", NO_ARGUMENTS);

    expect_refused_key(r, "abc", "The binding key must be an integer: <<\"abc\">>");
    expect_refused_key(r, "1x", "The binding key must be an integer: <<\"1x\">>");
    expect_refused_key(r, "-", "The binding key must be an integer: <<\"-\">>");
    expect_refused_key(r, "", "The binding key must be an integer: <<>>");
    expect_refused_key(r, "0", "The binding key must be greater than 0");
    expect_refused_key(r, "-3", "The binding key must be greater than 0");
    expect_refused_key(r, "99999999999999999999999", "The binding key must not be greater than 2147483647");
    cr_expect_str_eq(publish(r, "key"), "");
    routing_free(r);
}

Test(consistent_hash, the_largest_weights_do_not_overflow)
{
    struct routing *r = routing_new("x-consistent-hash", NO_ARGUMENTS);
    unsigned destination[KEYS];
    char queue[8];

    for (unsigned i = 0; i < 8; i++) {
        snprintf(queue, sizeof queue, "q%u", i);
        bind_queue(r, queue, "2147483647", NO_ARGUMENTS);
    }
    publish_all(r, destination);
    for (unsigned i = 0; i < 8; i++)
        expect_share(destination, i, 1, 8);
    routing_free(r);
}

Test(consistent_hash, arguments_that_contradict_are_refused)
{
    expect_refused_exchange(ARGUMENTS(STR("hash-header", "h"), STR("hash-property", "message_id")),
                            "hash-header and hash-property are mutually exclusive");
    expect_refused_exchange(ARGUMENTS(STR("hash-property", "foo")), "Unsupported property: foo");
    expect_refused_exchange(ARGUMENTS(INT("hash-header", 1)),
                            "invalid type 'signedint' for arg 'hash-header' in exchange 'x' in vhost '/'");
}

/* ---- x-random ---- */

Test(random, spreads_evenly_over_bindings_that_come_and_go)
{
    struct routing *r = routing_new("x-random", NO_ARGUMENTS);
    unsigned destination[KEYS];
    char queue[8];

    cr_expect_str_eq(publish(r, "key"), "");
    for (unsigned i = 0; i < 20; i++) {
        snprintf(queue, sizeof queue, "q%u", i);
        bind_queue(r, queue, "ignored", NO_ARGUMENTS);
    }
    for (unsigned i = 0; i < 20; i++) {
        snprintf(queue, sizeof queue, "q%u", i);
        if (i % 5 != 0)
            unbind_queue(r, queue, "ignored", NO_ARGUMENTS);
    }
    publish_all(r, destination);
    for (unsigned i = 0; i < 20; i += 5)
        expect_share(destination, i, 1, 4);
    for (unsigned i = 0; i < 20; i += 5) {
        snprintf(queue, sizeof queue, "q%u", i);
        unbind_queue(r, queue, "ignored", NO_ARGUMENTS);
    }
    cr_expect_null(r->exchange->type_data);
    cr_expect_str_eq(publish(r, "key"), "");
    routing_free(r);
}

/* ---- x-modulus-hash ---- */

Test(modulus_hash, spreads_keys_whatever_the_order_of_binding)
{
    struct routing *up = routing_new("x-modulus-hash", NO_ARGUMENTS);
    struct routing *down = routing_new("x-modulus-hash", NO_ARGUMENTS);
    unsigned one[KEYS], other[KEYS];
    char queue[8];

    cr_expect_str_eq(publish(up, "key"), "");
    for (unsigned i = 0; i < 5; i++) {
        snprintf(queue, sizeof queue, "q%u", i);
        bind_queue(up, queue, "ignored", NO_ARGUMENTS);
        snprintf(queue, sizeof queue, "q%u", 4 - i);
        bind_queue(down, queue, "", NO_ARGUMENTS);
    }
    publish_all(up, one);
    publish_all(down, other);
    cr_expect_arr_eq(one, other, sizeof one);
    for (unsigned i = 0; i < 5; i++)
        expect_share(one, i, 1, 5);
    unbind_queue(up, "q3", "ignored", NO_ARGUMENTS);
    publish_all(up, one);
    cr_expect_eq(count_of(one, 3), 0);
    expect_share(one, 4, 1, 4);
    routing_free(up);
    routing_free(down);
}

/* ---- all of them ---- */

/* Quadratic cost would take minutes. */
Test(hash_types, a_hundred_thousand_bindings_come_and_go_quickly)
{
    static const char *const types[] = {"x-consistent-hash", "x-random", "x-modulus-hash"};

    fail_after_s(60);
    for (unsigned t = 0; t < 3; t++) {
        struct routing *r = routing_new(types[t], NO_ARGUMENTS);

        for (int i = 0; i < 100000; i++)
            bind_queue(r, "q", "1", ARGUMENTS(INT("number", i)));
        cr_expect_str_eq(publish(r, "key"), "q");
        for (int i = 0; i < 100000; i++)
            unbind_queue(r, "q", "1", ARGUMENTS(INT("number", i)));
        cr_expect_str_eq(publish(r, "key"), "");
        routing_free(r);
    }
}
