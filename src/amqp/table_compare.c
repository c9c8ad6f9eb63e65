/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing tables: by the headers exchange's idea of equal values, and by identity with the types.
 *
 * A table's pairs have no order that matters, so both ways sort them by name first: a peer that sends tables
 * of tens of thousands of pairs costs n log n, not n squared.
 */
#include "coney/table.h"

#include <stdlib.h>

#include "coney/xalloc.h"

struct pair {
    struct bytes name;
    struct field field;
};

/* A table's pairs sorted by name; freed by the caller. */
struct pairs {
    struct pair *pair;
    size_t count;
};

/* Pairs of one table with equal names keep their order, which is that of their addresses. */
static int pair_order(const void *left, const void *right)
{
    const struct pair *a = left;
    const struct pair *b = right;
    int order = bytes_compare(a->name, b->name);

    return order != 0 ? order : (a->name.data > b->name.data) - (a->name.data < b->name.data);
}

static struct pairs pairs_sorted(struct bytes table)
{
    struct table_iterator iterator = table_begin(table);
    struct pairs pairs = {0};
    struct pair pair;

    while (table_next(&iterator, &pair.name, &pair.field))
        pairs.count++;
    pairs.pair = xmalloc(pairs.count * sizeof pairs.pair[0]);
    iterator = table_begin(table);
    for (size_t i = 0; i < pairs.count; i++)
        table_next(&iterator, &pairs.pair[i].name, &pairs.pair[i].field);
    if (pairs.count > 1)
        qsort(pairs.pair, pairs.count, sizeof pairs.pair[0], pair_order);
    return pairs;
}

/* ---- equal values ---- */

static bool equal(const struct field *a, const struct field *b, unsigned depth_left);

static bool tables_equal(struct bytes a, struct bytes b, unsigned depth_left)
{
    struct pairs left = pairs_sorted(a);
    struct pairs right = pairs_sorted(b);
    bool same = left.count == right.count;

    for (size_t i = 0; same && i < left.count; i++)
        same = bytes_equal(left.pair[i].name, right.pair[i].name) &&
               equal(&left.pair[i].field, &right.pair[i].field, depth_left);
    free(left.pair);
    free(right.pair);
    return same;
}

static bool arrays_equal(struct bytes a, struct bytes b, unsigned depth_left)
{
    struct table_iterator left = array_begin(a);
    struct table_iterator right = array_begin(b);
    struct field x;
    struct field y;

    while (array_next(&left, &x)) {
        if (!array_next(&right, &y) || !equal(&x, &y, depth_left))
            return false;
    }
    return !array_next(&right, &y);
}

/* Types that compare with each other share a class. */
static uint8_t type_class(uint8_t type)
{
    switch (type) {
    case FIELD_INT8:
    case FIELD_UINT8:
    case FIELD_INT16:
    case FIELD_UINT16:
    case FIELD_INT16_STRICT:
    case FIELD_INT32:
    case FIELD_UINT32:
    case FIELD_INT64:
    case FIELD_INT64_OLD:
        return FIELD_INT64;
    case FIELD_FLOAT:
    case FIELD_DOUBLE:
        return FIELD_DOUBLE;
    case FIELD_LONGSTR:
    case FIELD_BINARY:
        return FIELD_LONGSTR;
    default:
        return type;
    }
}

static bool equal(const struct field *a, const struct field *b, unsigned depth_left)
{
    uint8_t class = type_class(a->type);

    if (class != type_class(b->type))
        return false;
    switch (class) {
    case FIELD_BOOL:
        return a->b == b->b;
    case FIELD_INT64:
        return a->i == b->i;
    case FIELD_DOUBLE:
        return a->d == b->d;
    case FIELD_LONGSTR:
        return bytes_equal(a->bytes, b->bytes);
    case FIELD_TIMESTAMP:
        return a->u == b->u;
    case FIELD_DECIMAL:
        return a->decimal.scale == b->decimal.scale && a->decimal.value == b->decimal.value;
    case FIELD_ARRAY:
        return depth_left > 0 && arrays_equal(a->bytes, b->bytes, depth_left - 1);
    case FIELD_TABLE:
        return depth_left > 0 && tables_equal(a->bytes, b->bytes, depth_left - 1);
    default: /* void */
        return true;
    }
}

bool field_equal(const struct field *a, const struct field *b)
{
    return equal(a, b, TABLE_DEPTH_MAX);
}

/* ---- identity ---- */

static void canonical_table(struct buffer *out, struct bytes table, unsigned depth_left);

/* Append VALUE in its one spelling. Every spelling is as long as the original, so lengths stay. */
static void canonical_value(struct buffer *out, const struct field *value, unsigned depth_left)
{
    struct table_iterator iterator;
    struct field element;
    size_t at = out->size;

    if ((value->type != FIELD_ARRAY && value->type != FIELD_TABLE) || depth_left == 0) {
        buffer_append_bytes(out, value->raw);
        if (value->type == FIELD_BOOL)
            out->data[at + 1] = value->b;
        else if (value->type == FIELD_INT64_OLD)
            out->data[at] = FIELD_INT64;
        else if (value->type == FIELD_INT16_STRICT)
            out->data[at] = FIELD_INT16;
        return;
    }
    buffer_append(out, value->raw.data, value->raw.size - value->bytes.size);
    if (value->type == FIELD_TABLE) {
        canonical_table(out, value->bytes, depth_left - 1);
        return;
    }
    iterator = array_begin(value->bytes);
    while (array_next(&iterator, &element))
        canonical_value(out, &element, depth_left - 1);
}

static void canonical_table(struct buffer *out, struct bytes table, unsigned depth_left)
{
    struct pairs pairs = pairs_sorted(table);

    for (size_t i = 0; i < pairs.count; i++) {
        uint8_t *p = buffer_reserve(out, 1 + pairs.pair[i].name.size);

        out->size = (size_t)(put_shortstr(p, pairs.pair[i].name) - out->data);
        canonical_value(out, &pairs.pair[i].field, depth_left);
    }
    free(pairs.pair);
}

void table_canonical(struct buffer *out, struct bytes table)
{
    canonical_table(out, table, TABLE_DEPTH_MAX);
}

bool table_identical(struct bytes a, struct bytes b)
{
    struct buffer left = {0};
    struct buffer right = {0};
    bool same;

    if (a.size != b.size)
        return false;
    if (bytes_equal(a, b))
        return true;
    table_canonical(&left, a);
    table_canonical(&right, b);
    same = bytes_equal(buffer_bytes(&left), buffer_bytes(&right));
    buffer_free(&left);
    buffer_free(&right);
    return same;
}
