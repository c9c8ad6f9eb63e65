/* SPDX-License-Identifier: Apache-2.0 */
/* The headers exchange: exchanges-queues-bindings.md 5.5. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "routing.h"

#define ALL        STR("x-match", "all")
#define ANY        STR("x-match", "any")
#define ALL_WITH_X STR("x-match", "all-with-x")
#define ANY_WITH_X STR("x-match", "any-with-x")

/* Tell whether a binding with one condition takes a message with one header. */
static bool takes(struct argument_item condition, struct argument_item header)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);
    bool found;

    bind_queue(r, "q", "", ARGUMENTS(condition));
    found = strcmp(publish_headers(r, ARGUMENTS(header)), "q") == 0;
    routing_free(r);
    return found;
}

Test(headers, all_wants_every_condition)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);

    bind_queue(r, "explicit", "", ARGUMENTS(ALL, STR("format", "pdf"), INT("pages", 2)));
    bind_queue(r, "implicit", "", ARGUMENTS(STR("format", "pdf"), INT("pages", 2)));
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(INT("pages", 2), STR("format", "pdf"))),
                     "explicit implicit");
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("other", "x"), STR("format", "pdf"), INT("pages", 2))),
                     "explicit implicit", "other headers do not matter");
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("format", "pdf"))), "");
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("format", "pdf"), INT("pages", 3))), "");
    cr_expect_str_eq(publish(r, ""), "", "no headers at all");
    routing_free(r);
}

Test(headers, any_wants_one_condition)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);

    bind_queue(r, "q", "", ARGUMENTS(ANY, STR("format", "pdf"), INT("pages", 2)));
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("format", "pdf"))), "q");
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("format", "odt"), INT("pages", 2))), "q");
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("format", "odt"))), "");
    cr_expect_str_eq(publish(r, ""), "");
    routing_free(r);
}

Test(headers, names_that_begin_with_x_count_only_in_the_with_x_modes)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);

    bind_queue(r, "all", "", ARGUMENTS(ALL, STR("a", "1"), STR("x-b", "2")));
    bind_queue(r, "any", "", ARGUMENTS(ANY, STR("a", "1"), STR("x-b", "2")));
    bind_queue(r, "all-x", "", ARGUMENTS(ALL_WITH_X, STR("a", "1"), STR("x-b", "2")));
    bind_queue(r, "any-x", "", ARGUMENTS(ANY_WITH_X, STR("a", "1"), STR("x-b", "2")));
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("a", "1"))), "all any any-x");
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("x-b", "2"))), "any-x");
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("a", "1"), STR("x-b", "2"))), "all all-x any any-x");
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("a", "1"), STR("x-b", "3"))), "all any any-x");
    routing_free(r);
}

Test(headers, x_match_itself_is_never_a_condition)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);

    bind_queue(r, "all-x", "", ARGUMENTS(ALL_WITH_X));
    bind_queue(r, "any-x", "", ARGUMENTS(ANY_WITH_X));
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(ANY_WITH_X)), "all-x");
    routing_free(r);
}

Test(headers, without_conditions_all_takes_everything_and_any_nothing)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);

    bind_queue(r, "none", "", NO_ARGUMENTS);
    bind_queue(r, "all", "", ARGUMENTS(ALL));
    bind_queue(r, "any", "", ARGUMENTS(ANY));
    bind_queue(r, "all-x-only", "", ARGUMENTS(ALL, STR("x-b", "2")));
    bind_queue(r, "any-x-only", "", ARGUMENTS(ANY, STR("x-b", "2")));
    cr_expect_str_eq(publish(r, "key"), "all all-x-only none");
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("a", "1"))), "all all-x-only none");
    routing_free(r);
}

Test(headers, keys_are_ignored_but_part_of_the_bindings_identity)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);

    bind_queue(r, "q", "k1", ARGUMENTS(STR("a", "1")));
    bind_queue(r, "q", "k2", ARGUMENTS(STR("a", "1")));
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("a", "1"))), "q");
    unbind_queue(r, "q", "k1", ARGUMENTS(STR("a", "1")));
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("a", "1"))), "q");
    unbind_queue(r, "q", "k2", ARGUMENTS(STR("a", "1")));
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(STR("a", "1"))), "");
    routing_free(r);
}

Test(headers, names_are_case_sensitive)
{
    cr_expect_not(takes(STR("Format", "pdf"), STR("format", "pdf")));
    cr_expect_not(takes(STR("format", "pdf"), STR("form", "pdf")));
}

Test(headers, values_compare_by_type_and_value)
{
    cr_expect(takes(INT("a", 1), INT("a", 1)));
    cr_expect(takes(INT("a", 1), INT64("a", 1)), "integers of any width");
    cr_expect(takes(INT64("a", -1), INT8("a", -1)));
    cr_expect_not(takes(INT("a", 1), INT("a", 2)));
    cr_expect_not(takes(INT("a", 1), DOUBLE("a", 1)));
    cr_expect_not(takes(INT("a", 1), STR("a", "1")));
    cr_expect_not(takes(INT("a", 1), BOOL("a", true)));
    cr_expect(takes(BOOL("a", true), BOOL("a", true)));
    cr_expect_not(takes(BOOL("a", true), BOOL("a", false)));
    cr_expect(takes(TIMESTAMP("a", 1), TIMESTAMP("a", 1)));
    cr_expect_not(takes(TIMESTAMP("a", 1), INT("a", 1)));
    cr_expect(takes(STR("a", ""), STR("a", "")));
    cr_expect_not(takes(STR("a", ""), STR("a", "x")));
    cr_expect_not(takes(STR("a", ""), VOID("a")));
}

Test(headers, a_void_condition_wants_the_header_with_any_value)
{
    cr_expect(takes(VOID("a"), STR("a", "anything")));
    cr_expect(takes(VOID("a"), INT("a", 0)));
    cr_expect(takes(VOID("a"), VOID("a")));
    cr_expect_not(takes(VOID("a"), STR("b", "anything")));
}

Test(headers, many_headers_are_all_looked_at)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);
    struct argument_item items[100];
    char names[100][8];

    for (unsigned i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "h%u", (i * 37) % 100);
        items[i] = INT(names[i], (i * 37) % 100);
    }
    bind_queue(r, "first", "", ARGUMENTS(INT("h0", 0)));
    bind_queue(r, "middle", "", ARGUMENTS(INT("h37", 37), INT("h99", 99)));
    bind_queue(r, "wrong", "", ARGUMENTS(INT("h37", 38)));
    bind_queue(r, "absent", "", ARGUMENTS(INT("h100", 100)));
    cr_expect_str_eq(publish_headers(r, arguments_make(items, 100)), "first middle");
    routing_free(r);
}

Test(headers, of_a_repeated_name_the_first_counts)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);

    bind_queue(r, "first", "", ARGUMENTS(INT("a", 1)));
    bind_queue(r, "second", "", ARGUMENTS(INT("a", 2)));
    cr_expect_str_eq(publish_headers(r, ARGUMENTS(INT("b", 0), INT("a", 1), INT("a", 2))), "first");
    routing_free(r);
}

static void expect_refused(struct arguments arguments, const char *text)
{
    struct routing *r = routing_new("headers", NO_ARGUMENTS);

    cr_assert_not(try_bind_queue(r, "q", "", arguments));
    cr_expect_eq(r->error.code, REPLY_PRECONDITION_FAILED);
    cr_expect_str_eq(r->error.text, text);
    cr_expect_str_eq(publish(r, ""), "");
    routing_free(r);
}

Test(headers, a_wrong_x_match_is_refused)
{
    expect_refused(ARGUMENTS(STR("x-match", "bogus")),
                   "Invalid x-match field value <<\"bogus\">>; expected all, any, all-with-x, or any-with-x");
    expect_refused(ARGUMENTS(STR("x-match", "")),
                   "Invalid x-match field value <<>>; expected all, any, all-with-x, or any-with-x");
    expect_refused(ARGUMENTS(INT("x-match", 5)),
                   "Invalid x-match field type signedint (value 5); expected longstr");
}
