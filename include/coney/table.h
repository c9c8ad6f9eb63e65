/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field tables and arrays, read lazily where they lie and built into buffers (AMQP 0-9-1 section 4.2.5.5,
 * with the types that RabbitMQ and its clients really use: spec field-types.tsv).
 *
 * A table or array is a struct bytes of its *contents*: the 32-bit length before them is not part of it. A
 * peer's table is checked once, as a whole, by table_is_valid(); method_decode() and properties_decode() do
 * that. All functions here are safe on any bytes, but only on a valid table are their answers complete.
 */
#ifndef CONEY_TABLE_H
#define CONEY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"

/* Levels of tables and arrays in each other, the outermost counted: what deeper nests is not valid. RabbitMQ
 * enforces none; no client nests deeper than a handful, and a bound lets the readers use a fixed stack. */
#define TABLE_DEPTH_MAX 64

enum field_type {
    FIELD_BOOL = 't',
    FIELD_INT8 = 'b',
    FIELD_UINT8 = 'B',
    FIELD_INT16 = 's',
    FIELD_UINT16 = 'u',
    FIELD_INT16_STRICT = 'U', /* the published specification's octet for int16: read, never written */
    FIELD_INT32 = 'I',
    FIELD_UINT32 = 'i',
    FIELD_INT64 = 'l',
    FIELD_INT64_OLD = 'L', /* same value as 'l'; table_rewrite_L() */
    FIELD_FLOAT = 'f',
    FIELD_DOUBLE = 'd',
    FIELD_DECIMAL = 'D',
    FIELD_LONGSTR = 'S',
    FIELD_ARRAY = 'A',
    FIELD_TIMESTAMP = 'T',
    FIELD_TABLE = 'F',
    FIELD_VOID = 'V',
    FIELD_BINARY = 'x',
};

/* One value. Which member of the union holds it follows from the type. */
struct field {
    uint8_t type; /* enum field_type */
    union {
        bool b;             /* t */
        int64_t i;          /* b B s u U I i l L */
        uint64_t u;         /* T: seconds since 1970 */
        double d;           /* f d; NaN and infinities are possible */
        struct bytes bytes; /* S x: the octets; A F: the contents */
        struct {
            uint8_t scale;
            uint32_t value; /* unscaled; some writers mean it signed */
        } decimal;          /* D */
    };
    struct bytes raw; /* type octet and value as on the wire */
};

/* ---- reading ---- */

/* Tell whether TABLE can be read to its end: known types, lengths that fit, at most DEPTH_MAX levels (never
 * more than TABLE_DEPTH_MAX). Names may be empty, may repeat, and need not be UTF-8. */
bool table_is_valid(struct bytes table, unsigned depth_max);

/* What is left to read of a table or array. */
struct table_iterator {
    struct bytes rest;
};

static inline struct table_iterator table_begin(struct bytes table)
{
    return (struct table_iterator){table};
}

/* Read the next pair of a table; false at the end (or where an invalid table cannot be read further). */
bool table_next(struct table_iterator *iterator, struct bytes *name, struct field *field);

static inline struct table_iterator array_begin(struct bytes array)
{
    return (struct table_iterator){array};
}

/* Read the next value of an array; false at the end. */
bool array_next(struct table_iterator *iterator, struct field *field);

/* Find the first pair called NAME. False when there is none; FIELD is then unchanged. */
bool table_find(struct bytes table, struct bytes name, struct field *field);

/* The same with a NUL-terminated name. */
static inline bool table_get(struct bytes table, const char *name, struct field *field)
{
    return table_find(table, bytes_from_string(name), field);
}

/* ---- values ---- */

/* Give the value of an integer of any width (b B s u U I i l L). False for every other type, timestamps too.
 */
bool field_is_integer(const struct field *field, int64_t *out);

/* RabbitMQ's name of a type ("signedint", "longstr", ...), as its error texts have it; field-types.tsv. */
const char *field_type_name(uint8_t type);

/* Print a value as RabbitMQ's texts about arguments do: 1000, name, true; nested values as Erlang terms.
 * Works like snprintf: always terminated when SIZE > 0, returns the length that the whole text has. */
int field_format(char *out, size_t size, const struct field *field);

/* ---- comparing ---- */

/* Tell whether two values match as the headers exchange sees it (exchanges-queues-bindings.md 5.5, FOLLOW):
 * integers of any width by number, S and x by octets, f and d by value, tables and arrays by their contents
 * (names of a table in any order). An integer matches no float, string, bool or timestamp. */
bool field_equal(const struct field *a, const struct field *b);

/* Tell whether two tables are the same set of pairs, type octets included, in any order: the identity of
 * bindings. */
bool table_identical(struct bytes a, struct bytes b);

/* Append TABLE's pairs sorted by name (equal names in their old order) at every level, with one spelling for
 * what reads the same (L as l, U as s, true as 1): tables that are identical have the same canonical octets,
 * for hashing and as a key. As many octets as TABLE has. */
void table_canonical(struct buffer *out, struct bytes table);

/* ---- changing ---- */

/* Rewrite each type octet L to l, at all levels, in place. The table must be valid. */
void table_rewrite_L(uint8_t *table, size_t size);

/* ---- building ---- */

/*
 * Appends pairs to a buffer, or values while an array is open; names are then ignored and may be NULL. What
 * was in the buffer before stays. The outermost table's contents are written without a length:
 *
 *     struct table_builder builder = table_builder_init(&buffer);
 *     table_put_int(&builder, "count", 1);
 *     table_put_array_begin(&builder, "routing-keys");
 *     table_put_longstr(&builder, NULL, key);
 *     table_put_end(&builder);
 */
#define TABLE_BUILDER_DEPTH_MAX 8

struct table_builder {
    struct buffer *out;
    unsigned depth; /* containers open, without the outermost */
    struct {
        size_t length_at; /* offset in OUT of the length to fill in */
        bool is_array;
    } open[TABLE_BUILDER_DEPTH_MAX];
};

/* Begin a table's contents behind what OUT has; nobody else may add to OUT until they are complete. */
struct table_builder table_builder_init(struct buffer *out);

/* A pair of the table that is open, or the next value of the open array, where NAME does not
 * count. NAME is at most SHORTSTR_MAX long. */
void table_put_longstr(struct table_builder *builder, const char *name, struct bytes value);
void table_put_int(struct table_builder *builder, const char *name, int64_t value); /* type l */
void table_put_bool(struct table_builder *builder, const char *name, bool value);
void table_put_timestamp(struct table_builder *builder, const char *name, uint64_t seconds);

/* A table given by its contents. */
void table_put_table(struct table_builder *builder, const char *name, struct bytes table);

/* Copy a pair read from another table, octet for octet. NAME is at most SHORTSTR_MAX long. */
void table_put_field(struct table_builder *builder, struct bytes name, const struct field *field);

/* Open a nested table or array; what is put next goes there until table_put_end(). At most
 * TABLE_BUILDER_DEPTH_MAX may be open. */
void table_put_table_begin(struct table_builder *builder, const char *name);
void table_put_array_begin(struct table_builder *builder, const char *name);
void table_put_end(struct table_builder *builder);

#endif
