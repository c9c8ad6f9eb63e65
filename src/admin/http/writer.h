/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON objects written as text, member by member, for lists that are too long for a tree of each row; only
 * the members that are wanted. Names must need no escaping.
 */
#ifndef ADMIN_WRITER_H
#define ADMIN_WRITER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"

#define COLUMNS_MAX 64

/* Which members are wanted: the first parts of a query's columns. */
struct columns {
    bool has_all;
    bool has_dots; /* what is written is to be cut further, by json_columns() */
    unsigned count;
    struct bytes names[COLUMNS_MAX];
};

/* COLUMNS of a query, borrowed; NULL, empty or too many: all. */
void columns_parse(struct columns *out, const char *columns);

struct writer {
    struct buffer *out;
    const struct columns *columns;
    bool has_members;
};

/* Begin an object at the end of OUT, and end it. */
struct writer writer_begin(struct buffer *out, const struct columns *columns);
void writer_end(struct writer *writer);

/* Tell whether the member called NAME is wanted. The functions below ask themselves. */
bool writer_wants(const struct writer *writer, const char *name);

void writer_count(struct writer *writer, const char *name, uint64_t value);
void writer_bool(struct writer *writer, const char *name, bool value);
/* What is no UTF-8 becomes U+FFFD, as in json_text(). */
void writer_text(struct writer *writer, const char *name, struct bytes value);
/* The same, or null when there is no data. */
void writer_text_or_null(struct writer *writer, const char *name, struct bytes value);
/* TEXT is JSON. */
void writer_raw(struct writer *writer, const char *name, const char *text);
/* VALUE is taken over. */
void writer_json(struct writer *writer, const char *name, json_t *value);

#endif
