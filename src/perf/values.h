/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options: numbers, lists, tables. Nothing here knows which option it is for. */
#ifndef PERF_VALUES_H
#define PERF_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/buffer.h"

/* A number from 0 to MAX, which k, M or G may follow: thousands, millions, thousands of millions. */
bool value_number(const char *text, uint64_t max, uint64_t *out);

/* A decimal fraction, perhaps negative. */
bool value_decimal(const char *text, double *out);

/* "true" or "false". */
bool value_truth(const char *text, bool *out);

/* The parts of TEXT between commas, appended to *LIST of *COUNT; each is allocated. */
void value_list(const char *text, const char ***list, size_t *count);

/* Append NAME=VALUE,... as pairs of a field table: a value is an integer, true, false, or a text. False when
 * a pair has no name or no =. */
bool value_table(const char *text, struct buffer *out);

/* Read NAME=VALUE,... as the properties of messages: content_type (or contentType), priority and so on; other
 * names are headers. They go to OUT as flags and values; the headers alone to HEADERS. PERSISTENT says the
 * delivery mode unless the text does. TEXT may be NULL. False with the name that is wrong in WRONG. */
bool value_properties(const char *text, bool is_persistent, struct buffer *out, struct buffer *headers,
                      char wrong[64]);

#endif
