/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building tables and arrays into a buffer. Of what the broker itself makes only the types S l t T A F
 * appear, which every client reads (spec field-types.tsv); others come in as copies of what a peer sent.
 *
 * The length of an open container is written as zero and filled in when it is closed.
 */
#include "coney/table.h"

#include <assert.h>

struct table_builder table_builder_init(struct buffer *out)
{
    return (struct table_builder){.out = out};
}

/* Append the name, unless an array is open, and the type octet; returns where VALUE_SIZE octets of value go.
 */
static uint8_t *pair_begin(struct table_builder *builder, struct bytes name, uint8_t type, size_t value_size)
{
    uint8_t *p = buffer_reserve(builder->out, 1 + name.size + 1 + value_size);

    assert(name.size <= SHORTSTR_MAX);
    if (builder->depth == 0 || !builder->open[builder->depth - 1].is_array)
        p = put_shortstr(p, name);
    return put_u8(p, type);
}

static void pair_end(struct table_builder *builder, const uint8_t *end)
{
    builder->out->size = (size_t)(end - builder->out->data);
}

static struct bytes name_bytes(const char *name)
{
    return name != NULL ? bytes_from_string(name) : (struct bytes){0};
}

void table_put_longstr(struct table_builder *builder, const char *name, struct bytes value)
{
    uint8_t *p = pair_begin(builder, name_bytes(name), FIELD_LONGSTR, 4 + value.size);

    pair_end(builder, put_longstr(p, value));
}

void table_put_int(struct table_builder *builder, const char *name, int64_t value)
{
    pair_end(builder, put_u64(pair_begin(builder, name_bytes(name), FIELD_INT64, 8), (uint64_t)value));
}

void table_put_bool(struct table_builder *builder, const char *name, bool value)
{
    pair_end(builder, put_u8(pair_begin(builder, name_bytes(name), FIELD_BOOL, 1), value));
}

void table_put_timestamp(struct table_builder *builder, const char *name, uint64_t seconds)
{
    pair_end(builder, put_u64(pair_begin(builder, name_bytes(name), FIELD_TIMESTAMP, 8), seconds));
}

void table_put_table(struct table_builder *builder, const char *name, struct bytes table)
{
    uint8_t *p = pair_begin(builder, name_bytes(name), FIELD_TABLE, 4 + table.size);

    pair_end(builder, put_longstr(p, table));
}

void table_put_field(struct table_builder *builder, struct bytes name, const struct field *field)
{
    struct bytes value = {field->raw.data + 1, field->raw.size - 1};

    pair_end(builder, put_bytes(pair_begin(builder, name, field->type, value.size), value));
}

static void container_begin(struct table_builder *builder, const char *name, uint8_t type)
{
    uint8_t *p = pair_begin(builder, name_bytes(name), type, 4);

    assert(builder->depth < TABLE_BUILDER_DEPTH_MAX);
    builder->open[builder->depth].length_at = (size_t)(p - builder->out->data);
    builder->open[builder->depth].is_array = type == FIELD_ARRAY;
    builder->depth++;
    pair_end(builder, put_u32(p, 0));
}

void table_put_table_begin(struct table_builder *builder, const char *name)
{
    container_begin(builder, name, FIELD_TABLE);
}

void table_put_array_begin(struct table_builder *builder, const char *name)
{
    container_begin(builder, name, FIELD_ARRAY);
}

void table_put_end(struct table_builder *builder)
{
    size_t at;

    assert(builder->depth > 0);
    at = builder->open[--builder->depth].length_at;
    put_u32(builder->out->data + at, (uint32_t)(builder->out->size - at - 4));
}
