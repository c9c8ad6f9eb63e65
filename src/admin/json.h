/* SPDX-License-Identifier: Apache-2.0 */
/* From what the broker has to JSON. All functions return new references. */
#ifndef ADMIN_JSON_H
#define ADMIN_JSON_H

#include <event2/buffer.h>
#include <jansson.h>

#include "coney/bytes.h"
#include "coney/counts.h"
#include "coney/json_table.h"

/* Texts, tables and properties as the API shows them: what is no UTF-8 becomes U+FFFD, octet by octet. */
static inline json_t *json_text(struct bytes text)
{
    return json_from_text(text, JSON_READABLE);
}

static inline json_t *json_table(struct bytes table)
{
    return json_from_table(table, JSON_READABLE);
}

static inline json_t *json_properties(struct bytes raw)
{
    return json_from_properties(raw, JSON_READABLE);
}

/* Set OBJECT's NAME, which must be UTF-8, to VALUE, which is taken over, or to a number. */
void json_put(json_t *object, const char *name, json_t *value);
void json_put_count(json_t *object, const char *name, uint64_t value);

/* {"rate": RATE} */
json_t *json_rate(double rate);

/* message_stats: COUNTS and deliver_get, each with its _details, whose rate is 0 so far. Empty when nothing
 * happened. */
json_t *json_message_stats(const struct message_counts *counts);

/* Append JSON as text. */
void json_write(struct evbuffer *out, const json_t *json);

/* Only what COLUMNS names, parts of a path between dots, several between commas: a new object. OBJECT is
 * given back. NULL columns: OBJECT itself. */
json_t *json_columns(json_t *object, const char *columns);

/* The member that PATH, with dots, leads to; NULL when there is none. Borrowed. */
json_t *json_at(json_t *object, const char *path);

#endif
