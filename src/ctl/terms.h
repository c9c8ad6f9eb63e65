/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the HTTP API as rabbitmqctl writes them into a cell or as Erlang terms. Whatever the broker sent
 * (names, client properties) may be hostile to a terminal: no control character and no octet that is not
 * UTF-8 leaves here raw.
 */
#ifndef CTL_TERMS_H
#define CTL_TERMS_H

#include <jansson.h>

#include "coney/buffer.h"

enum term_escape {
    TERM_ONE_LINE,   /* line ends and tabs are escaped too */
    TERM_KEEP_LINES, /* a text of several lines */
    TERM_IN_JSON,    /* JSON, which stays the same JSON: \uXXXX; lines are kept */
};

/* Append TEXT with what could drive a terminal as \ooo, or as HOW says. */
void term_escape(struct buffer *out, const char *text, size_t size, enum term_escape how);

/* What a value is, where JSON does not tell. */
enum term_kind {
    TERM_PLAIN,    /* by its JSON type */
    TERM_TABLE,    /* an AMQP table: {"x":1} is [{"x",1}] */
    TERM_PROPLIST, /* {"a":"b"} is [{a, b}] */
    TERM_JSON,     /* the JSON text itself */
    TERM_PROTOCOL, /* "AMQP 0-9-1" is {0,9,1} */
    TERM_ATOM,     /* a string that is an atom in Erlang */
};

/* Append VALUE, which may be NULL, as a cell of a table. */
void term_cell(struct buffer *out, const json_t *value, enum term_kind kind);

/* Append VALUE as JSON on one line; FLAGS are jansson's: JSON_SORT_KEYS or none. */
void term_put_json(struct buffer *out, const json_t *value, size_t flags);

/* What --formatter json shows of VALUE: a new reference. */
json_t *term_json(json_t *value, enum term_kind kind);

/* Append VALUE with its key, {key,Value}, as Erlang's ~p writes it, from column COLUMN on. */
void term_erlang_pair(struct buffer *out, const char *key, const json_t *value, enum term_kind kind,
                      size_t column);

/* Columns that UTF-8 text takes, one a character. */
size_t term_width(const void *text, size_t size);

/* Append a C string. */
void put_text(struct buffer *out, const char *text);

#endif
