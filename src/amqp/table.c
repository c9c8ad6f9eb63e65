/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading field tables and arrays where they lie (wire forms: spec field-types.tsv).
 *
 * Two functions take octets, name_take() and field_take(); both compare each length with what is left before
 * they use it, and everything else is built on them. Nesting is followed by recursion, at most
 * TABLE_DEPTH_MAX deep, and each level looks only at octets of its own container, so a walk costs at most
 * depth times size.
 */
#include "coney/table.h"

#include "table_check.h"

/* Octets of a value of TYPE without its type octet; for S x A F those of the length alone. -1: no such type.
 */
static int value_size(uint8_t type)
{
    switch (type) {
    case FIELD_VOID:
        return 0;
    case FIELD_BOOL:
    case FIELD_INT8:
    case FIELD_UINT8:
        return 1;
    case FIELD_INT16:
    case FIELD_UINT16:
    case FIELD_INT16_STRICT:
        return 2;
    case FIELD_INT32:
    case FIELD_UINT32:
    case FIELD_FLOAT:
    case FIELD_LONGSTR:
    case FIELD_BINARY:
    case FIELD_ARRAY:
    case FIELD_TABLE:
        return 4;
    case FIELD_DECIMAL:
        return 5;
    case FIELD_INT64:
    case FIELD_INT64_OLD:
    case FIELD_DOUBLE:
    case FIELD_TIMESTAMP:
        return 8;
    default:
        return -1;
    }
}

static double float_from_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static double double_from_bits(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Set the member of the union that FIELD's type uses from the value at P, all of whose octets are there. */
static void value_decode(struct field *field, const uint8_t *p)
{
    switch (field->type) {
    case FIELD_BOOL:
        field->b = p[0] != 0;
        break;
    case FIELD_INT8:
        field->i = (int8_t)p[0];
        break;
    case FIELD_UINT8:
        field->i = p[0];
        break;
    case FIELD_INT16:
    case FIELD_INT16_STRICT:
        field->i = (int16_t)get_u16(p);
        break;
    case FIELD_UINT16:
        field->i = get_u16(p);
        break;
    case FIELD_INT32:
        field->i = (int32_t)get_u32(p);
        break;
    case FIELD_UINT32:
        field->i = get_u32(p);
        break;
    case FIELD_INT64:
    case FIELD_INT64_OLD:
        field->i = (int64_t)get_u64(p);
        break;
    case FIELD_TIMESTAMP:
        field->u = get_u64(p);
        break;
    case FIELD_FLOAT:
        field->d = float_from_bits(get_u32(p));
        break;
    case FIELD_DOUBLE:
        field->d = double_from_bits(get_u64(p));
        break;
    case FIELD_DECIMAL:
        field->decimal.scale = p[0];
        field->decimal.value = get_u32(p + 1);
        break;
    case FIELD_LONGSTR:
    case FIELD_BINARY:
    case FIELD_ARRAY:
    case FIELD_TABLE:
        field->bytes = (struct bytes){p + 4, get_u32(p)};
        break;
    default: /* void */
        field->u = 0;
        break;
    }
}

static bool type_has_length(uint8_t type)
{
    return type == FIELD_LONGSTR || type == FIELD_BINARY || type == FIELD_ARRAY || type == FIELD_TABLE;
}

static bool type_is_container(uint8_t type)
{
    return type == FIELD_ARRAY || type == FIELD_TABLE;
}

static void bytes_skip(struct bytes *rest, size_t count)
{
    rest->data += count;
    rest->size -= count;
}

static bool name_take(struct bytes *rest, struct bytes *name)
{
    if (rest->size < 1 || rest->size - 1 < rest->data[0])
        return false;
    *name = (struct bytes){rest->data + 1, rest->data[0]};
    bytes_skip(rest, 1 + name->size);
    return true;
}

static bool field_take(struct bytes *rest, struct field *field)
{
    size_t left;
    size_t size;
    int fixed;

    if (rest->size < 1)
        return false;
    left = rest->size - 1;
    fixed = value_size(rest->data[0]);
    if (fixed < 0 || left < (size_t)fixed)
        return false;
    size = (size_t)fixed;
    if (type_has_length(rest->data[0])) {
        if (left - size < get_u32(rest->data + 1))
            return false;
        size += get_u32(rest->data + 1);
    }
    field->type = rest->data[0];
    field->raw = (struct bytes){rest->data, 1 + size};
    value_decode(field, rest->data + 1);
    bytes_skip(rest, 1 + size);
    return true;
}

static bool container_check(struct bytes rest, bool is_array, unsigned depth_left, bool *has_L)
{
    struct field field;
    struct bytes name;

    if (depth_left == 0)
        return false;
    while (rest.size > 0) {
        if (!is_array && !name_take(&rest, &name))
            return false;
        if (!field_take(&rest, &field))
            return false;
        if (field.type == FIELD_INT64_OLD)
            *has_L = true;
        else if (type_is_container(field.type) &&
                 !container_check(field.bytes, field.type == FIELD_ARRAY, depth_left - 1, has_L))
            return false;
    }
    return true;
}

bool table_check(struct bytes table, unsigned depth_max, bool *has_L)
{
    return container_check(table, false, depth_max < TABLE_DEPTH_MAX ? depth_max : TABLE_DEPTH_MAX, has_L);
}

bool table_is_valid(struct bytes table, unsigned depth_max)
{
    bool has_L = false;

    return table_check(table, depth_max, &has_L);
}

bool table_next(struct table_iterator *iterator, struct bytes *name, struct field *field)
{
    return name_take(&iterator->rest, name) && field_take(&iterator->rest, field);
}

bool array_next(struct table_iterator *iterator, struct field *field)
{
    return field_take(&iterator->rest, field);
}

bool table_find(struct bytes table, struct bytes name, struct field *field)
{
    struct table_iterator iterator = table_begin(table);
    struct bytes candidate;
    struct field value;

    while (table_next(&iterator, &candidate, &value)) {
        if (bytes_equal(candidate, name)) {
            *field = value;
            return true;
        }
    }
    return false;
}

bool field_is_integer(const struct field *field, int64_t *out)
{
    switch (field->type) {
    case FIELD_INT8:
    case FIELD_UINT8:
    case FIELD_INT16:
    case FIELD_UINT16:
    case FIELD_INT16_STRICT:
    case FIELD_INT32:
    case FIELD_UINT32:
    case FIELD_INT64:
    case FIELD_INT64_OLD:
        *out = field->i;
        return true;
    default:
        return false;
    }
}

static void container_rewrite_L(uint8_t *data, size_t size, bool is_array, unsigned depth_left)
{
    struct bytes rest = {data, size};
    struct field field;
    struct bytes name;

    if (depth_left == 0)
        return;
    while ((is_array || name_take(&rest, &name)) && field_take(&rest, &field)) {
        if (field.type == FIELD_INT64_OLD)
            data[field.raw.data - data] = FIELD_INT64;
        else if (type_is_container(field.type))
            container_rewrite_L(data + (field.bytes.data - data), field.bytes.size, field.type == FIELD_ARRAY,
                                depth_left - 1);
    }
}

void table_rewrite_L(uint8_t *table, size_t size)
{
    container_rewrite_L(table, size, false, TABLE_DEPTH_MAX);
}
