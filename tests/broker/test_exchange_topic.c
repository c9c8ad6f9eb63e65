/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topic exchange: exchanges-queues-bindings.md 5.4, each row of its table, and random patterns against a
 * matcher that is obviously right.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/exchange.h"
#include "routing.h"

#define KEYS_MAX 16

/* A pattern with the keys that it matches and those it does not; NULL ends a list. */
struct row {
    const char *pattern;
    const char *matches[KEYS_MAX];
    const char *misses[KEYS_MAX];
};

static const struct row rows[] = {
    {"#", {"", "a", "a.b", ".", "a.b.c.d"}, {NULL}},
    {"*", {"a", "*", "#"}, {"", "a.b", "."}},
    {"#.a", {"a", "b.a", ".a", "b.c.a"}, {"", "a.b", "aa"}},
    {"a.#", {"a", "a.", "a.b.c"}, {"", "b", "b.a", ".a"}},
    {"*.a", {"b.a", ".a"}, {"a", "", "b.c.a"}},
    {"a.*", {"a.", "a.b"}, {"a", "a.b.c"}},
    {"*.*", {".", "a.", "a.b"}, {"a", "", "a.b.c"}},
    {"#.*", {"a", "a.b", "."}, {""}},
    {"*.#", {"a", "a.b", "."}, {""}},
    {"#.#", {"", "a", "a.b.c", "."}, {NULL}},
    {"a.#.b", {"a.b", "a.x.b", "a..b", "a.b.b", "a.x.y.b"}, {"a", "b", "a.b.c", "x.a.b"}},
    {"a.*.b", {"a.x.b", "a..b"}, {"a.b", "a.x.y.b"}},
    {"a..b", {"a..b"}, {"a.b", "a.x.b", "a...b"}},
    {"", {""}, {"a", "."}},
    {"a*", {"a*"}, {"ab", "a", "a.b"}},
    {"a.b#", {"a.b#"}, {"a.bc", "a.b", "a.b.c"}},
    {".", {"."}, {"", "a.", ".."}},
    {"#.*.#.*", {"a.b", ".", "a.b.c"}, {"", "a"}},
    {"**", {"**"}, {"a", "*"}},
};

Test(topic, matches_as_the_table_says)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct routing *r = routing_new("topic", NO_ARGUMENTS);

        bind_queue(r, "q", rows[i].pattern, NO_ARGUMENTS);
        for (const char *const *key = rows[i].matches; *key; key++)
            cr_expect_str_eq(publish(r, *key), "q", "'%s' matches '%s'", rows[i].pattern, *key);
        for (const char *const *key = rows[i].misses; *key; key++)
            cr_expect_str_eq(publish(r, *key), "", "'%s' does not match '%s'", rows[i].pattern, *key);
        routing_free(r);
    }
}

Test(topic, routes_to_each_queue_whose_pattern_matches)
{
    struct routing *r = routing_new("topic", NO_ARGUMENTS);

    bind_queue(r, "all", "#", NO_ARGUMENTS);
    bind_queue(r, "kern", "kern.*", NO_ARGUMENTS);
    bind_queue(r, "critical", "*.critical", NO_ARGUMENTS);
    bind_queue(r, "exact", "kern.critical", NO_ARGUMENTS);
    cr_expect_str_eq(publish(r, "kern.critical"), "all critical exact kern");
    cr_expect_str_eq(publish(r, "kern.info"), "all kern");
    cr_expect_str_eq(publish(r, "mail"), "all");
    routing_free(r);
}

Test(topic, tries_every_key_and_finds_a_queue_once)
{
    const struct bytes keys[] = {BYTES_LITERAL("a.b"), BYTES_LITERAL("c"), BYTES_LITERAL("a.b")};
    struct routing *r = routing_new("topic", NO_ARGUMENTS);

    bind_queue(r, "q1", "a.*", NO_ARGUMENTS);
    bind_queue(r, "q1", "#.b", NO_ARGUMENTS);
    bind_queue(r, "q2", "c.#", NO_ARGUMENTS);
    bind_queue(r, "q3", "d", NO_ARGUMENTS);
    cr_expect_str_eq(publish_keys(r, keys, 3), "q1 q2");
    routing_free(r);
}

Test(topic, unbinding_takes_away_just_that_binding)
{
    struct routing *r = routing_new("topic", NO_ARGUMENTS);

    bind_queue(r, "q1", "a.b", NO_ARGUMENTS);
    bind_queue(r, "q2", "a.b", NO_ARGUMENTS);
    bind_queue(r, "q3", "a.b", NO_ARGUMENTS);
    bind_queue(r, "q4", "a.b.c", NO_ARGUMENTS);
    bind_queue(r, "q5", "a", NO_ARGUMENTS);
    unbind_queue(r, "q2", "a.b", NO_ARGUMENTS);
    cr_expect_str_eq(publish(r, "a.b"), "q1 q3");
    unbind_queue(r, "q3", "a.b", NO_ARGUMENTS);
    unbind_queue(r, "q1", "a.b", NO_ARGUMENTS);
    cr_expect_str_eq(publish(r, "a.b"), "");
    cr_expect_str_eq(publish(r, "a.b.c"), "q4");
    unbind_queue(r, "q4", "a.b.c", NO_ARGUMENTS);
    cr_expect_str_eq(publish(r, "a"), "q5");
    unbind_queue(r, "q5", "a", NO_ARGUMENTS);
    cr_expect_null(r->exchange->type_data, "the last binding takes the trie along");
    routing_free(r);
}

/* ---- against a matcher that is obviously right ---- */

struct word_list {
    unsigned count;
    const char *word[4];
};

static bool matches(const struct word_list *pattern, unsigned p, const struct word_list *key, unsigned k)
{
    if (p == pattern->count)
        return k == key->count;
    if (strcmp(pattern->word[p], "#") == 0)
        return matches(pattern, p + 1, key, k) || (k < key->count && matches(pattern, p, key, k + 1));
    return k < key->count &&
           (strcmp(pattern->word[p], "*") == 0 || strcmp(pattern->word[p], key->word[k]) == 0) &&
           matches(pattern, p + 1, key, k + 1);
}

static unsigned draw(uint32_t *seed, unsigned below)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 16) % below;
}

/* A list of up to four words; its text to OUT. One empty word would read as no words. */
static struct word_list draw_words(uint32_t *seed, const char *const *alphabet, unsigned letters,
                                   char out[16])
{
    struct word_list list = {.count = draw(seed, 5)};

    out[0] = '\0';
    for (unsigned i = 0; i < list.count; i++) {
        list.word[i] = alphabet[draw(seed, letters)];
        if (list.count == 1 && !*list.word[i])
            list.word[i] = "a";
        if (i)
            strcat(out, ".");
        strcat(out, list.word[i]);
    }
    return list;
}

#define PATTERNS 40

struct bound {
    struct word_list words;
    char pattern[16];
    char queue[8];
    bool is_bound;
};

static void expect_same(struct routing *r, const struct bound *bound, uint32_t *seed)
{
    static const char *const letters[] = {"a", "b", ""};
    struct word_list key;
    char text[16], expected[512] = "";

    key = draw_words(seed, letters, 3, text);
    for (unsigned i = 0; i < PATTERNS; i++)
        if (bound[i].is_bound && matches(&bound[i].words, 0, &key, 0))
            sprintf(expected + strlen(expected), "%s%s", *expected ? " " : "", bound[i].queue);
    cr_assert_str_eq(publish(r, text), expected, "key '%s'", text);
}

Test(topic, agrees_with_a_plain_matcher_while_bindings_come_and_go)
{
    static const char *const letters[] = {"a", "b", "", "*", "#", "#"};
    struct routing *r = routing_new("topic", NO_ARGUMENTS);
    struct bound bound[PATTERNS] = {0};
    uint32_t seed = 7;

    for (unsigned round = 0; round < 4000; round++) {
        struct bound *b = &bound[draw(&seed, PATTERNS)];

        if (b->is_bound) {
            unbind_queue(r, b->queue, b->pattern, NO_ARGUMENTS);
            b->is_bound = false;
        } else {
            sprintf(b->queue, "q%02u", (unsigned)(b - bound));
            b->words = draw_words(&seed, letters, 6, b->pattern);
            bind_queue(r, b->queue, b->pattern, NO_ARGUMENTS);
            b->is_bound = true;
        }
        expect_same(r, bound, &seed);
    }
    routing_free(r);
}

/* ---- cost ---- */

/* "WORD.WORD." over and over: COUNT words of WORD, then LAST. */
static void repeat(char *out, const char *word, unsigned count, const char *last)
{
    out[0] = '\0';
    while (count--)
        strcat(strcat(out, word), ".");
    strcat(out, last);
}

/* Trying each way in turn would take longer than the age of the universe. */
Test(topic, many_wildcards_cost_no_more_than_their_number)
{
    struct routing *r = routing_new("topic", NO_ARGUMENTS);
    char pattern[256], key[256];

    fail_after_s(20);
    repeat(pattern, "#.a", 60, "#.b");
    bind_queue(r, "q1", pattern, NO_ARGUMENTS);
    repeat(pattern, "#.*", 60, "#");
    bind_queue(r, "q2", pattern, NO_ARGUMENTS);
    repeat(pattern, "#", 120, "c");
    bind_queue(r, "q3", pattern, NO_ARGUMENTS);
    for (unsigned i = 0; i < 100; i++) {
        repeat(key, "a", 125, "a");
        cr_expect_str_eq(publish(r, key), "q2");
        repeat(key, "a", 125, "b");
        cr_expect_str_eq(publish(r, key), "q1 q2");
        repeat(key, "a", 59, "c");
        cr_expect_str_eq(publish(r, key), "q2 q3");
    }
    routing_free(r);
}

/* Quadratic cost would take minutes. */
Test(topic, a_hundred_thousand_bindings_come_and_go_quickly)
{
    struct routing *r = routing_new("topic", NO_ARGUMENTS);
    enum { COUNT = 100000 };
    char key[32];

    fail_after_s(60);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "key.%u.*", i);
        bind_queue(r, "q", key, NO_ARGUMENTS);
        bind_queue(r, "q", "same.#", ARGUMENTS(INT("number", i)));
    }
    cr_expect_str_eq(publish(r, "key.99999.x"), "q");
    cr_expect_str_eq(publish(r, "key.100000.x"), "");
    cr_expect_str_eq(publish(r, "same.key"), "q");
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "key.%u.*", i);
        unbind_queue(r, "q", key, NO_ARGUMENTS);
        unbind_queue(r, "q", "same.#", ARGUMENTS(INT("number", i)));
    }
    cr_expect_null(r->exchange->type_data);
    routing_free(r);
}
