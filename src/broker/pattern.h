/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled Perl-compatible patterns with bounded matching, for permissions and policies.
 */
#ifndef BROKER_PATTERN_H
#define BROKER_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "coney/bytes.h"

struct pattern;

/* Longest pattern that is compiled. Larger than what is taken from outside, for variables put in. */
#define PATTERN_MAX 16384

/* Compile TEXT; NULL when that is not possible, with the reason in WHY (NULL: not wanted). Patterns that
 * match everything cost no regular expression. */
struct pattern *pattern_new(struct bytes text, char *why, size_t why_size);

/* NULL is fine. */
void pattern_free(struct pattern *pattern);

/* Tell whether PATTERN is found anywhere in SUBJECT. False also when that takes too many steps to find out,
 * and for a NULL pattern. Uses scratch memory of PATTERN: one caller at a time. */
bool pattern_search(const struct pattern *pattern, struct bytes subject);

#endif
