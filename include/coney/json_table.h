/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From JSON to field tables, as RabbitMQ's management does it (management-http-api.md 1.1), and back.
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

/* The way back. JSON can say less than octets can: of a table's types what it tells apart is left, a decimal
 * is a number, and a float that is no number null. */
enum json_fidelity {
    /* Text and binaries that are no UTF-8 get U+FFFD for each octet of no character, of members called the
     * same the last stays, and properties that do not decode are none: for people. */
    JSON_READABLE,
    /* In their place is {"base64": "..."}; of a table, as a whole. */
    JSON_EXACT,
};

/* All of them return new references. */
json_t *json_from_text(struct bytes text, enum json_fidelity fidelity);
json_t *json_from_table(struct bytes table, enum json_fidelity fidelity);
/* Of a content header, as management shows them (3.13). */
json_t *json_from_properties(struct bytes raw, enum json_fidelity fidelity);
/* {"base64": "..."} */
json_t *json_from_octets(struct bytes octets);

#endif
