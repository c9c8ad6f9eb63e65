/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permissions and topic permissions (exchanges-queues-bindings.md section 8).
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "coney/permission.h"
#include "coney/xalloc.h"

#define B(text) BYTES_LITERAL(text)

/* Whether PATTERN, as the write pattern, allows NAME. */
static bool allows(struct bytes pattern, struct bytes name)
{
    struct permission *p = permission_new(B("^$"), pattern, B("^$"));
    bool allowed = permission_allows(p, PERMISSION_WRITE, name);

    permission_unref(p);
    return allowed;
}

Test(permission, pattern_is_searched_anywhere_in_the_name)
{
    cr_expect(allows(B("ord"), B("my-orders")));
    cr_expect(allows(B("^my-"), B("my-orders")));
    cr_expect_not(allows(B("^orders"), B("my-orders")));
    cr_expect_not(allows(B("Ord"), B("my-orders")), "there are no flags, so case counts");
    cr_expect(allows(B("(?i)Ord"), B("my-orders")));
    cr_expect(allows(B("^(a|b)\\1$"), B("bb")), "back references work");
}

Test(permission, empty_pattern_matches_no_real_name)
{
    cr_expect_not(allows(B(""), B("q")));
    cr_expect_not(allows(B(""), B("")), "the default exchange has a name here");
    cr_expect_not(allows(B("^$"), B("q")));
}

Test(permission, everything_is_allowed_by_the_usual_patterns)
{
    cr_expect(allows(B(".*"), B("any thing")));
    cr_expect(allows(B("^.*$"), B("any thing")));
    cr_expect(allows(B(".*"), B("two\nlines")));
    cr_expect_not(allows(B("^.*$"), B("two\nlines")), "the dot stops at a newline");
    cr_expect(allows(B("^.*$"), B("line\n")), "$ stands before the last newline");
    cr_expect(allows(B(".*"), B("\xff\xfe not UTF-8")));
}

Test(permission, default_exchange_is_checked_as_amq_default)
{
    cr_expect(allows(B("^amq\\.default$"), B("")));
    cr_expect_not(allows(B("^orders"), B("")));
}

Test(permission, name_may_hold_a_nul)
{
    cr_expect(allows(B("b$"), ((struct bytes){(const uint8_t *)"a\0b", 3})));
    cr_expect_not(allows(B("^a$"), ((struct bytes){(const uint8_t *)"a\0b", 3})));
}

Test(permission, kinds_are_separate)
{
    struct permission *p = permission_new(B("^c"), B("^w"), B("^r"));

    cr_expect(permission_allows(p, PERMISSION_CONFIGURE, B("c")));
    cr_expect_not(permission_allows(p, PERMISSION_CONFIGURE, B("w")));
    cr_expect(permission_allows(p, PERMISSION_WRITE, B("w")));
    cr_expect_not(permission_allows(p, PERMISSION_WRITE, B("r")));
    cr_expect(permission_allows(p, PERMISSION_READ, B("r")));
    cr_expect_not(permission_allows(p, PERMISSION_READ, B("c")));
    permission_unref(p);
}

Test(permission, invalid_pattern_denies_and_is_told)
{
    uint8_t *pattern = xmalloc(PERMISSION_PATTERN_MAX + 1);
    char why[128];

    memset(pattern, 'a', PERMISSION_PATTERN_MAX + 1);
    cr_expect_not(allows(B("a("), B("a")));
    cr_expect_not(allows((struct bytes){pattern, PERMISSION_PATTERN_MAX + 1}, B("a")));

    cr_expect_not(permission_pattern_is_valid(B("a("), why, sizeof why));
    cr_expect_str_eq(why, "missing closing parenthesis at offset 2");
    cr_expect_not(permission_pattern_is_valid((struct bytes){pattern, PERMISSION_PATTERN_MAX + 1}, NULL, 0));
    cr_expect(permission_pattern_is_valid((struct bytes){pattern, PERMISSION_PATTERN_MAX}, NULL, 0));
    cr_expect(permission_pattern_is_valid(B(""), NULL, 0));
    free(pattern);
}

Test(permission, hostile_pattern_and_name_do_not_burn_cpu)
{
    uint8_t name[SHORTSTR_MAX];

    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 'b';
    cr_expect_not(allows(B("^((a+)+)+$"), (struct bytes){name, sizeof name}));
    /* A million steps and more until it is found that the second branch matches: too many, so denied. */
    cr_expect_not(allows(B("^(?:a|aa)+c|b"), (struct bytes){name + sizeof name - 29, 29}));
    cr_expect(allows(B("^(?:a|aa)+c|b"), (struct bytes){name + sizeof name - 9, 9}));
}

Test(permission, lives_until_the_last_reference)
{
    struct permission *p = permission_new(B(".*"), B(".*"), B(".*"));

    cr_expect_eq(permission_ref(p), p);
    permission_unref(p);
    cr_expect(permission_allows(p, PERMISSION_READ, B("q")));
    permission_unref(p);
    permission_unref(NULL);
}

/* ---- topic permissions ---- */

static struct permission *with_topic(struct bytes write, struct bytes read, struct bytes user)
{
    struct permission *p = permission_new(B(".*"), B(".*"), B(".*"));

    permission_set_topic(p, B("t"), write, read, user, B("/"));
    return p;
}

Test(permission, topic_without_record_is_allowed)
{
    struct permission *p = permission_new(B(".*"), B(".*"), B(".*"));

    cr_expect_not(permission_has_topics(p));
    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("any")));
    permission_set_topic(p, B("other"), B("^$"), B("^$"), B("u"), B("/"));
    cr_expect(permission_has_topics(p));
    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("any")));
    permission_unref(p);
}

Test(permission, topic_patterns_are_for_routing_keys)
{
    struct permission *p = with_topic(B("^a\\."), B("^b\\."), B("u"));

    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("a.x")));
    cr_expect_not(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("b.x")));
    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_READ, B("b.x")));
    cr_expect_not(permission_allows_topic(p, B("t"), PERMISSION_READ, B("a.x")));
    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_CONFIGURE, B("z")));
    permission_unref(p);
}

Test(permission, topic_record_is_replaced_and_cleared)
{
    struct permission *p = with_topic(B("^a"), B("^a"), B("u"));

    permission_set_topic(p, B("t"), B("^b"), B("^b"), B("u"), B("/"));
    cr_expect_not(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("a")));
    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("b")));
    permission_set_topic(p, B("second"), B("^$"), B("^$"), B("u"), B("/"));
    permission_clear_topic(p, B("t"));
    permission_clear_topic(p, B("t"));
    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("a")));
    cr_expect(permission_has_topics(p));
    permission_clear_topic(p, B("second"));
    cr_expect_not(permission_has_topics(p));
    permission_unref(p);
}

Test(permission, empty_topic_pattern_allows_the_empty_key_only)
{
    struct permission *p = with_topic(B(""), B("^$"), B("u"));

    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("")));
    cr_expect_not(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("a")));
    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_READ, B("")));
    permission_unref(p);
}

Test(permission, variables_stand_for_user_and_vhost_literally)
{
    struct permission *p = with_topic(B("^{username}\\.{vhost}$"), B("^x-{username}"), B("a.*(b"));

    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("a.*(b./")));
    cr_expect_not(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("aXX(b./")));
    cr_expect(permission_allows_topic(p, B("t"), PERMISSION_READ, B("x-a.*(b.and.more")));
    permission_unref(p);
}

Test(permission, invalid_topic_pattern_denies)
{
    struct permission *p = with_topic(B("a("), B("[{username}"), B("u"));

    cr_expect_not(permission_allows_topic(p, B("t"), PERMISSION_WRITE, B("a")));
    cr_expect_not(permission_allows_topic(p, B("t"), PERMISSION_READ, B("u")));
    permission_unref(p);
}

Test(permission, kinds_have_the_names_of_refusals)
{
    cr_expect_str_eq(permission_kind_name(PERMISSION_CONFIGURE), "configure");
    cr_expect_str_eq(permission_kind_name(PERMISSION_WRITE), "write");
    cr_expect_str_eq(permission_kind_name(PERMISSION_READ), "read");
}
