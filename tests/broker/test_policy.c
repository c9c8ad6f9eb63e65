/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies and operator policies (queue-features.md section 9).
 */
#include <criterion/criterion.h>

#include "arguments.h"
#include "coney/policy.h"
#include "coney/table.h"

#define B(text) BYTES_LITERAL(text)

static struct policy_set *set;

static void make_set(void)
{
    set = policy_set_new();
}

static void free_set(void)
{
    policy_set_free(set);
}

TestSuite(policy, .init = make_set, .fini = free_set);

struct how {
    const char *pattern, *apply_to;
    int priority;
};

/* Put a policy; returns NULL, or why not. */
static const char *put_as(enum policy_origin origin, const char *name, struct how how,
                          struct arguments definition)
{
    static char why[POLICY_WHY_SIZE];
    struct policy_spec spec = {
        .name = bytes_from_string(name),
        .pattern = bytes_from_string(how.pattern != NULL ? how.pattern : ""),
        .apply_to = bytes_from_string(how.apply_to != NULL ? how.apply_to : ""),
        .priority = how.priority,
        .definition = definition.table,
        .json = B("{}"),
    };

    return policy_set_put(set, origin, &spec, why) ? NULL : why;
}

#define HOW(...)            ((struct how){.pattern = __VA_ARGS__})
#define PUT(name, how, ...) cr_assert_null(put_as(POLICY_USER, name, how, ARGUMENTS(__VA_ARGS__)))
#define PUT_OPERATOR(name, how, ...) \
    cr_assert_null(put_as(POLICY_OPERATOR, name, how, ARGUMENTS(__VA_ARGS__)))

static const char *chosen(enum policy_target target, const char *name)
{
    struct policy_definition merged;
    const char *user, *op;

    policy_effective(set, target, bytes_from_string(name), &merged, &user, &op);
    return user != NULL ? user : "";
}

static struct policy_definition merged(enum policy_target target, const char *name)
{
    struct policy_definition merged;
    const char *user, *op;

    policy_effective(set, target, bytes_from_string(name), &merged, &user, &op);
    return merged;
}

/* ---- selection ---- */

Test(policy, none_applies_without_policies)
{
    struct policy_definition definition;
    const char *user, *op;

    cr_expect_not(policy_effective(set, POLICY_TARGET_EXCHANGE, B("x"), &definition, &user, &op));
    cr_expect_eq(definition.present, 0);
    cr_expect_null(user);
    cr_expect_null(op);
}

Test(policy, pattern_is_searched_anywhere)
{
    PUT("p", HOW("amq"), INT("max-length", 1));
    cr_expect_str_eq(chosen(POLICY_TARGET_CLASSIC_QUEUE, "my-amq-queue"), "p");
    cr_expect_str_eq(chosen(POLICY_TARGET_CLASSIC_QUEUE, "other"), "");
}

Test(policy, highest_priority_then_lowest_name_is_chosen)
{
    PUT("m", HOW("q", NULL, 1), INT("max-length", 1));
    PUT("z", HOW("q", NULL, 5), INT("max-length", 2));
    PUT("b", HOW("q", NULL, 5), INT("max-length", 3));
    cr_expect_str_eq(chosen(POLICY_TARGET_CLASSIC_QUEUE, "q"), "b");
    cr_expect_eq(merged(POLICY_TARGET_CLASSIC_QUEUE, "q").max_length, 3, "user policies are not merged");
    cr_expect(policy_set_remove(set, POLICY_USER, B("b")));
    cr_expect_str_eq(chosen(POLICY_TARGET_CLASSIC_QUEUE, "q"), "z");
    cr_expect(policy_set_remove(set, POLICY_USER, B("z")));
    cr_expect_str_eq(chosen(POLICY_TARGET_CLASSIC_QUEUE, "q"), "m");
    cr_expect_not(policy_set_remove(set, POLICY_USER, B("z")));
}

Test(policy, put_replaces_the_policy_of_that_name)
{
    PUT("p", HOW("q", NULL, 9), INT("max-length", 1));
    PUT("o", HOW("q", NULL, 5), INT("max-length", 2));
    PUT("p", HOW("q", NULL, 1), INT("message-ttl", 7));
    cr_expect_eq(policy_set_count(set, POLICY_USER), 2);
    cr_expect_str_eq(policy_set_at(set, POLICY_USER, 0)->name, "o");
    cr_expect_eq(policy_set_find(set, POLICY_USER, B("p"))->definition.present, POLICY_MESSAGE_TTL);
    cr_expect_null(policy_set_find(set, POLICY_OPERATOR, B("p")));
}

Test(policy, apply_to_chooses_what_it_covers)
{
    static const struct {
        const char *apply_to;
        bool exchange, classic, quorum;
    } cases[] = {
        {"", true, true, true},
        {"all", true, true, true},
        {"queues", false, true, true},
        {"exchanges", true, false, false},
        {"classic_queues", false, true, false},
        {"quorum_queues", false, false, true},
        {"streams", false, false, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PUT("p", HOW("x", cases[i].apply_to), INT("max-length", 1));
        cr_expect_eq(*chosen(POLICY_TARGET_EXCHANGE, "x") != '\0', cases[i].exchange, "%s",
                     cases[i].apply_to);
        cr_expect_eq(*chosen(POLICY_TARGET_CLASSIC_QUEUE, "x") != '\0', cases[i].classic, "%s",
                     cases[i].apply_to);
        cr_expect_eq(*chosen(POLICY_TARGET_QUORUM_QUEUE, "x") != '\0', cases[i].quorum, "%s",
                     cases[i].apply_to);
    }
}

Test(policy, policy_with_a_key_its_type_does_not_know_is_skipped)
{
    PUT("quorum-only", HOW("q", NULL, 9), INT("max-length", 1), INT("delivery-limit", 2));
    PUT("classic-only", HOW("q", NULL, 8), INT("max-length", 1), STR("queue-mode", "lazy"));
    PUT("fallback", HOW("q", NULL, 1), INT("max-length", 3));
    cr_expect_str_eq(chosen(POLICY_TARGET_CLASSIC_QUEUE, "q"), "classic-only");
    cr_expect_str_eq(chosen(POLICY_TARGET_QUORUM_QUEUE, "q"), "quorum-only");
    cr_expect_str_eq(chosen(POLICY_TARGET_EXCHANGE, "q"), "quorum-only", "exchanges do not ask");
    policy_set_remove(set, POLICY_USER, B("classic-only"));
    cr_expect_str_eq(chosen(POLICY_TARGET_CLASSIC_QUEUE, "q"), "fallback");
}

Test(policy, old_mirroring_policies_apply_to_classic_queues)
{
    PUT("ha", HOW(".*"), STR("ha-mode", "all"), STR("dead-letter-exchange", "dlx"));
    cr_expect_str_eq(chosen(POLICY_TARGET_CLASSIC_QUEUE, "q"), "ha");
    cr_expect_str_eq(chosen(POLICY_TARGET_QUORUM_QUEUE, "q"), "");
}

/* ---- definitions ---- */

Test(policy, definition_is_typed)
{
    struct policy_definition d;

    PUT("p", HOW("q"), INT64("message-ttl", 1), INT64("expires", 2), INT64("max-length", 3),
        INT64("max-length-bytes", 4), INT64("consumer-timeout", 5), STR("overflow", "reject-publish"),
        STR("dead-letter-exchange", ""), STR("dead-letter-routing-key", "k"), STR("alternate-exchange", "ae"),
        STR("durability", "relaxed"));
    d = merged(POLICY_TARGET_CLASSIC_QUEUE, "q");
    cr_expect_eq(d.present, POLICY_MESSAGE_TTL | POLICY_EXPIRES | POLICY_MAX_LENGTH |
                                POLICY_MAX_LENGTH_BYTES | POLICY_CONSUMER_TIMEOUT | POLICY_OVERFLOW |
                                POLICY_DEAD_LETTER_EXCHANGE | POLICY_DEAD_LETTER_ROUTING_KEY |
                                POLICY_ALTERNATE_EXCHANGE | POLICY_DURABILITY);
    cr_expect_eq(d.message_ttl, 1);
    cr_expect_eq(d.expires, 2);
    cr_expect_eq(d.max_length, 3);
    cr_expect_eq(d.max_length_bytes, 4);
    cr_expect_eq(d.consumer_timeout, 5);
    cr_expect_eq(d.overflow, QUEUE_OVERFLOW_REJECT_PUBLISH);
    cr_expect_eq(d.dead_letter_exchange.size, 0);
    cr_expect(bytes_equal_string(d.dead_letter_routing_key, "k"));
    cr_expect(bytes_equal_string(d.alternate_exchange, "ae"));
    cr_expect_eq(d.durability, POLICY_DURABILITY_RELAXED);
}

Test(policy, definition_outlives_what_it_was_made_from)
{
    PUT("p", HOW("q"), STR("dead-letter-exchange", "dlx"));
    for (int i = 0; i < 8; i++)
        ARGUMENTS(STR("dead-letter-exchange", "other"));
    cr_expect(bytes_equal_string(merged(POLICY_TARGET_CLASSIC_QUEUE, "q").dead_letter_exchange, "dlx"));
}

#define REFUSED(why, how, ...) cr_expect_str_eq(put_as(POLICY_USER, "p", how, ARGUMENTS(__VA_ARGS__)), why)

Test(policy, bad_definitions_are_refused_with_rabbitmqs_texts)
{
    cr_expect_str_eq(put_as(POLICY_USER, "p", (struct how){0}, NO_ARGUMENTS), "no policy provided");
    REFUSED("[{<<\"max-lengthz\">>,6}] are not recognised policy settings", HOW("q"),
            INT64("max-lengthz", 6));
    REFUSED("[{<<\"a\">>,<<\"b\">>},{<<\"c\">>,true}] are not recognised policy settings", HOW("q"),
            STR("a", "b"), INT64("max-length", 1), BOOL("c", true));
    REFUSED("<<\"6\">> is not a valid maximum length", HOW("q"), STR("max-length", "6"));
    REFUSED("-1 is not a valid maximum length in bytes", HOW("q"), INT64("max-length-bytes", -1));
    REFUSED("-1 is not a valid message TTL", HOW("q"), INT64("message-ttl", -1));
    REFUSED("0 is not a valid queue expiry", HOW("q"), INT64("expires", 0));
    REFUSED("5 is not a valid dead letter exchange name", HOW("q"), INT64("dead-letter-exchange", 5));
    REFUSED("5 is not a valid dead letter routing key", HOW("q"), INT64("dead-letter-routing-key", 5));
    REFUSED("<<\"x\">> is not a valid overflow value", HOW("q"), STR("overflow", "x"));
    REFUSED("<<\"lax\">> is not a valid durability value", HOW("q"), STR("durability", "lax"));
    REFUSED("true is not a valid durability value", HOW("q"), BOOL("durability", true));
    REFUSED("<<\"eager\">> is not a valid queue-mode value", HOW("q"), STR("queue-mode", "eager"));
    REFUSED("3 is not a valid queue-version value", HOW("q"), INT64("queue-version", 3));
    REFUSED("<<\"0h\">> is not a valid max age", HOW("q"), STR("max-age", "0h"));
    REFUSED("<<\"7d1h\">> is not a valid max age", HOW("q"), STR("max-age", "7d1h"));
    cr_expect_eq(policy_set_count(set, POLICY_USER), 0);
}

Test(policy, bad_shapes_are_refused)
{
    char name[SHORTSTR_MAX + 2];

    REFUSED("pattern should be regular expression but is invalid: missing closing parenthesis at offset 2",
            HOW("a("), INT64("max-length", 1));
    REFUSED("apply-to 'x' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', "
            "'streams', 'exchanges', or 'all'",
            HOW("q", "x"), INT64("max-length", 1));
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_expect_not_null(put_as(POLICY_USER, name, (struct how){0}, ARGUMENTS(INT64("max-length", 1))));
    cr_expect_not_null(put_as(POLICY_USER, "", (struct how){0}, ARGUMENTS(INT64("max-length", 1))));
}

Test(policy, failed_put_leaves_the_old_policy)
{
    PUT("p", HOW("q"), INT64("max-length", 1));
    cr_expect_not_null(put_as(POLICY_USER, "p", HOW("q"), ARGUMENTS(INT64("max-length", -1))));
    cr_expect_eq(merged(POLICY_TARGET_CLASSIC_QUEUE, "q").max_length, 1);
}

Test(policy, operators_may_set_only_some_keys)
{
    cr_expect_str_eq(
        put_as(POLICY_OPERATOR, "p", (struct how){0}, ARGUMENTS(STR("dead-letter-exchange", "x"))),
        "[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings");
    PUT_OPERATOR("p", HOW("q"), INT64("expires", 1), INT64("message-ttl", 1), INT64("max-length", 1),
                 INT64("max-length-bytes", 1), STR("overflow", "reject-publish"),
                 STR("durability", "strict"));
}

Test(policy, huge_definition_texts_are_cut)
{
    static char value[2000];
    const char *why;

    memset(value, 'v', sizeof value - 1);
    why = put_as(POLICY_USER, "p", (struct how){0}, ARGUMENTS(STR("unknown", value), STR("other", value)));
    cr_expect_lt(strlen(why), POLICY_WHY_SIZE);
}

/* ---- merge ---- */

Test(policy, operator_and_user_policy_are_merged)
{
    struct policy_definition d;
    const char *user, *op;

    PUT("u", HOW("q"), INT64("max-length", 500), STR("dead-letter-exchange", "dlx"), INT64("message-ttl", 10),
        STR("overflow", "drop-head"), STR("durability", "relaxed"));
    PUT_OPERATOR("o", HOW("q"), INT64("max-length", 300), INT64("message-ttl", 20), INT64("expires", 30),
                 STR("overflow", "reject-publish"), STR("durability", "strict"));
    cr_expect(policy_effective(set, POLICY_TARGET_CLASSIC_QUEUE, B("q"), &d, &user, &op));
    cr_expect_str_eq(user, "u");
    cr_expect_str_eq(op, "o");
    cr_expect_eq(d.max_length, 300);
    cr_expect_eq(d.message_ttl, 10);
    cr_expect_eq(d.expires, 30);
    cr_expect(bytes_equal_string(d.dead_letter_exchange, "dlx"));
    cr_expect_eq(d.overflow, QUEUE_OVERFLOW_REJECT_PUBLISH, "the operator's overflow wins");
    cr_expect_eq(d.durability, POLICY_DURABILITY_STRICT, "and so does the operator's durability");
}

static int64_t integer_in(struct bytes table, const char *name)
{
    struct field field;
    int64_t value;

    cr_assert(table_get(table, name, &field), "no %s", name);
    cr_assert(field_is_integer(&field, &value));
    return value;
}

Test(policy, merged_definition_as_a_table)
{
    struct buffer table = {0};
    struct field field;
    unsigned pairs = 0;
    struct table_iterator iterator;
    struct bytes name;

    policy_effective_table(set, POLICY_TARGET_CLASSIC_QUEUE, B("q"), &table);
    cr_expect_eq(table.size, 0);
    PUT("u", HOW("q"), INT64("max-length", 500), STR("dead-letter-exchange", "dlx"), INT64("message-ttl", 10),
        STR("overflow", "drop-head"));
    PUT_OPERATOR("o", HOW("q"), INT64("max-length", 300), INT64("message-ttl", 20), INT64("expires", 30),
                 STR("overflow", "reject-publish"));
    policy_effective_table(set, POLICY_TARGET_CLASSIC_QUEUE, B("q"), &table);
    cr_expect_eq(integer_in(buffer_bytes(&table), "max-length"), 300);
    cr_expect_eq(integer_in(buffer_bytes(&table), "message-ttl"), 10);
    cr_expect_eq(integer_in(buffer_bytes(&table), "expires"), 30);
    cr_expect(table_get(buffer_bytes(&table), "overflow", &field));
    cr_expect(bytes_equal_string(field.bytes, "reject-publish"));
    cr_expect(table_get(buffer_bytes(&table), "dead-letter-exchange", &field));
    cr_expect(bytes_equal_string(field.bytes, "dlx"));
    for (iterator = table_begin(buffer_bytes(&table)); table_next(&iterator, &name, &field);)
        pairs++;
    cr_expect_eq(pairs, 5);
    buffer_free(&table);
}

Test(policy, operator_policy_alone_is_enough)
{
    struct policy_definition d;
    const char *user, *op;

    PUT_OPERATOR("o", HOW("q"), INT64("max-length", 3), STR("durability", "relaxed"));
    cr_expect(policy_effective(set, POLICY_TARGET_QUORUM_QUEUE, B("q"), &d, &user, &op));
    cr_expect_null(user);
    cr_expect_str_eq(op, "o");
    cr_expect_eq(d.present, POLICY_MAX_LENGTH | POLICY_DURABILITY);
    cr_expect_eq(d.durability, POLICY_DURABILITY_RELAXED);
}

Test(policy, unlimited_delivery_limit_yields_to_a_limit)
{
    PUT("u", HOW("q"), INT64("delivery-limit", -1));
    PUT_OPERATOR("o", HOW("q"), INT64("delivery-limit", 7));
    cr_expect_eq(merged(POLICY_TARGET_QUORUM_QUEUE, "q").delivery_limit, 7);
    PUT("u", HOW("q"), INT64("delivery-limit", 4));
    cr_expect_eq(merged(POLICY_TARGET_QUORUM_QUEUE, "q").delivery_limit, 4);
    PUT_OPERATOR("o", HOW("q"), INT64("delivery-limit", -1));
    cr_expect_eq(merged(POLICY_TARGET_QUORUM_QUEUE, "q").delivery_limit, 4);
}

Test(policy, what_was_put_can_be_shown)
{
    const struct policy *p;

    PUT("p", HOW("^q", "queues", 3), INT64("max-length", 1));
    p = policy_set_at(set, POLICY_USER, 0);
    cr_expect_str_eq(p->name, "p");
    cr_expect_str_eq(p->pattern, "^q");
    cr_expect_str_eq(policy_apply_to_name(p->apply_to), "queues");
    cr_expect_eq(p->priority, 3);
    cr_expect_str_eq(p->json, "{}");
    cr_expect(table_identical(p->table, ARGUMENTS(INT64("max-length", 1)).table));
}
