/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz everything that reads, compares, rewrites or shows field tables: the input is the contents of one. */
#include "coney/table.h"
#include "fuzz.h"

/* Visit each value; returns the octets visited. On octets that are no valid table this must only do no harm.
 */
static size_t visit(struct bytes container, bool is_array, unsigned depth)
{
    struct table_iterator iterator = table_begin(container);
    struct field field;
    struct bytes name;
    size_t visited = 0;

    while (is_array ? array_next(&iterator, &field) : table_next(&iterator, &name, &field)) {
        char text[32];
        int64_t integer;

        visited += field.raw.size + (is_array ? 0 : 1 + name.size);
        CHECK(field_format(text, sizeof text, &field) >= 0);
        CHECK(strlen(text) < sizeof text);
        CHECK(!field_is_integer(&field, &integer) || field_equal(&field, &field));
        if ((field.type == FIELD_ARRAY || field.type == FIELD_TABLE) && depth > 0)
            visit(field.bytes, field.type == FIELD_ARRAY, depth - 1);
    }
    return visited;
}

static void check_canonical(struct bytes table)
{
    struct buffer once = {0};
    struct buffer twice = {0};

    table_canonical(&once, table);
    CHECK(once.size == table.size);
    CHECK(table_is_valid(buffer_bytes(&once), TABLE_DEPTH_MAX));
    CHECK(table_identical(table, buffer_bytes(&once)));
    table_canonical(&twice, buffer_bytes(&once));
    CHECK(bytes_equal(buffer_bytes(&once), buffer_bytes(&twice)));
    buffer_free(&once);
    buffer_free(&twice);
}

static void check_copy(struct bytes table)
{
    struct buffer copy = {0};
    struct table_builder builder = table_builder_init(&copy);
    struct table_iterator iterator = table_begin(table);
    struct field field;
    struct bytes name;

    while (table_next(&iterator, &name, &field))
        table_put_field(&builder, name, &field);
    CHECK(bytes_equal(buffer_bytes(&copy), table));

    table_rewrite_L(copy.data, copy.size);
    CHECK(table_is_valid(buffer_bytes(&copy), TABLE_DEPTH_MAX));
    CHECK(table_identical(buffer_bytes(&copy), table));
    buffer_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes table = {data, size};
    size_t visited = visit(table, false, 100);

    if (!table_is_valid(table, TABLE_DEPTH_MAX))
        return 0;
    CHECK(visited == size);
    check_canonical(table);
    check_copy(table);
    return 0;
}
