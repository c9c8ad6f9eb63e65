/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCRE2 with bounds. Patterns come from administrators, but subjects come from any client, and a backtracking
 * matcher can be driven to exponential time by the two together; so every search has a budget, and one that
 * runs out of it counts as not found.
 *
 * The frequent patterns (everything, nothing) are recognised by their text and answered without PCRE2. Octets
 * are matched, not characters, as RabbitMQ does.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "pattern.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/xalloc.h"

/* Steps of one search: a few ms at worst. A usual permission on a usual name takes below a hundred. */
#define SEARCH_STEPS_MAX 100000
#define SEARCH_DEPTH_MAX 10000
#define SEARCH_HEAP_KIB  1024

enum pattern_kind {
    PATTERN_EVERYTHING, /* "" or ".*" */
    PATTERN_ONE_LINE,   /* "^.*$" */
    PATTERN_EMPTY,      /* "^$" */
    PATTERN_REGEX,
};

struct pattern {
    enum pattern_kind kind;
    pcre2_code *code;             /* the rest only for PATTERN_REGEX */
    pcre2_match_data *match_data; /* also keeps the matcher's heap from search to search */
    pcre2_match_context *limits;
};

static enum pattern_kind pattern_classify(struct bytes text)
{
    if (text.size == 0 || bytes_equal_string(text, ".*"))
        return PATTERN_EVERYTHING;
    if (bytes_equal_string(text, "^.*$"))
        return PATTERN_ONE_LINE;
    if (bytes_equal_string(text, "^$"))
        return PATTERN_EMPTY;
    return PATTERN_REGEX;
}

static void set_why(char *why, size_t why_size, int code, size_t at)
{
    PCRE2_UCHAR message[128];

    if (why == NULL)
        return;
    if (pcre2_get_error_message(code, message, sizeof message) == PCRE2_ERROR_BADDATA)
        message[0] = '\0';
    snprintf(why, why_size, "%s at offset %zu", (const char *)message, at);
}

/* Fill in what a regular expression needs; false when it does not compile. */
static bool pattern_compile(struct pattern *pattern, struct bytes text, char *why, size_t why_size)
{
    int code = 0;
    PCRE2_SIZE at = 0;

    if (text.size > PATTERN_MAX) {
        set_why(why, why_size, PCRE2_ERROR_PATTERN_TOO_LARGE, PATTERN_MAX);
        return false;
    }
    pattern->code = pcre2_compile(text.data, text.size, 0, &code, &at, NULL);
    if (pattern->code == NULL) {
        set_why(why, why_size, code, at);
        return false;
    }
    pattern->match_data = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    pattern->limits = pcre2_match_context_create(NULL);
    if (pattern->match_data == NULL || pattern->limits == NULL) {
        set_why(why, why_size, PCRE2_ERROR_NOMEMORY, 0);
        return false;
    }
    pcre2_set_match_limit(pattern->limits, SEARCH_STEPS_MAX);
    pcre2_set_depth_limit(pattern->limits, SEARCH_DEPTH_MAX);
    pcre2_set_heap_limit(pattern->limits, SEARCH_HEAP_KIB);
    return true;
}

struct pattern *pattern_new(struct bytes text, char *why, size_t why_size)
{
    struct pattern *pattern = xcalloc(1, sizeof *pattern);

    pattern->kind = pattern_classify(text);
    if (pattern->kind == PATTERN_REGEX && !pattern_compile(pattern, text, why, why_size)) {
        pattern_free(pattern);
        return NULL;
    }
    return pattern;
}

void pattern_free(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    pcre2_match_context_free(pattern->limits);
    pcre2_match_data_free(pattern->match_data);
    pcre2_code_free(pattern->code);
    free(pattern);
}

/* "^.*$" on a subject: neither the dot nor $ passes a newline, but $ also stands before the last one. */
static bool is_one_line(struct bytes subject)
{
    const uint8_t *newline = subject.size == 0 ? NULL : memchr(subject.data, '\n', subject.size);

    return newline == NULL || newline == subject.data + subject.size - 1;
}

bool pattern_search(const struct pattern *pattern, struct bytes subject)
{
    if (pattern == NULL)
        return false;
    switch (pattern->kind) {
    case PATTERN_EVERYTHING:
        return true;
    case PATTERN_ONE_LINE:
        return is_one_line(subject);
    case PATTERN_EMPTY:
        return subject.size == 0 || (subject.size == 1 && subject.data[0] == '\n');
    case PATTERN_REGEX:
        break;
    }
    /* Before 10.38 a NULL subject is refused even when its length is 0. */
    return pcre2_match(pattern->code, subject.size == 0 ? (const uint8_t *)"" : subject.data, subject.size, 0,
                       0, pattern->match_data, pattern->limits) >= 0;
}
