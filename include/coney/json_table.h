/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From JSON to field tables, as RabbitMQ's management does it (management-http-api.md 1.1).
 */
#ifndef CONEY_JSON_TABLE_H
#define CONEY_JSON_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "coney/buffer.h"

/* Append the contents of the table that OBJECT, a JSON object, stands for: integers become l, other numbers
 * d, strings S, booleans t, null V, objects F, arrays A. False, with a reason in WHY and OUT as it was, when
 * a name is longer than a short string or values nest deeper than a table that the broker makes may. */
bool table_from_json(struct buffer *out, const json_t *object, char *why, size_t why_size);

#endif
