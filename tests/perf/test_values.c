/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options: numbers with their letters, lists, tables, properties. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "coney/properties.h"
#include "coney/table.h"
#include "perf/values.h"

Test(values, are_numbers)
{
    uint64_t number = 0;

    cr_expect(value_number("0", 10, &number) && number == 0);
    cr_expect(value_number("10k", 10000, &number) && number == 10000);
    cr_expect(value_number("3M", UINT64_MAX, &number) && number == 3000000);
    cr_expect_not(value_number("10001", 10000, &number));
    cr_expect_not(value_number("11k", 10000, &number));
    cr_expect_not(value_number("-1", UINT64_MAX, &number));
    cr_expect_not(value_number("", UINT64_MAX, &number));
    cr_expect_not(value_number("1x", UINT64_MAX, &number));
    cr_expect_not(value_number("99999999999999999999", UINT64_MAX, &number));
}

Test(values, are_lists)
{
    const char **list = NULL;
    size_t count = 0;

    value_list("a,,bc", &list, &count);
    value_list("d", &list, &count);
    cr_assert_eq(count, 3);
    cr_expect_str_eq(list[0], "a");
    cr_expect_str_eq(list[1], "bc");
    cr_expect_str_eq(list[2], "d");
    while (count)
        free((void *)(uintptr_t)list[--count]);
    free(list);
}

Test(values, are_tables)
{
    struct buffer table = {0};
    struct field field;

    cr_assert(value_table("x-max-length=10,x-queue-type=quorum,flag=true,text=1x", &table));
    cr_expect(table_get(buffer_bytes(&table), "x-max-length", &field) && field.type == FIELD_INT64 &&
              field.i == 10);
    cr_expect(table_get(buffer_bytes(&table), "x-queue-type", &field) &&
              bytes_equal_string(field.bytes, "quorum"));
    cr_expect(table_get(buffer_bytes(&table), "flag", &field) && field.type == FIELD_BOOL && field.b);
    cr_expect(table_get(buffer_bytes(&table), "text", &field) && bytes_equal_string(field.bytes, "1x"));
    cr_expect_not(value_table("a", &table));
    cr_expect_not(value_table("=1", &table));
    cr_expect_not(value_table("a=1,b", &table));
    buffer_free(&table);
}

Test(values, are_properties)
{
    struct buffer out = {0}, headers = {0};
    struct properties properties;
    struct field field;
    char wrong[64];

    cr_assert(value_properties("contentType=text/plain,priority=5,expiration=1000,color=red", true, &out,
                               &headers, wrong));
    cr_assert(properties_decode(&properties, buffer_bytes(&out)));
    cr_expect(bytes_equal_string(properties.content_type, "text/plain"));
    cr_expect(bytes_equal_string(properties.expiration, "1000"));
    cr_expect_eq(properties.priority, 5);
    cr_expect_eq(properties.delivery_mode, DELIVERY_MODE_PERSISTENT);
    cr_expect(table_get(properties.headers, "color", &field) && bytes_equal_string(field.bytes, "red"));
    buffer_free(&out);
    buffer_free(&headers);
}

Test(values, may_be_no_properties)
{
    struct buffer out = {0}, headers = {0};
    char wrong[64];

    cr_expect(value_properties(NULL, false, &out, &headers, wrong));
    cr_expect(bytes_equal(buffer_bytes(&out), PROPERTIES_NONE));
    cr_expect_not(value_properties("priority=high", false, &out, &headers, wrong));
    cr_expect_str_eq(wrong, "priority");
    cr_expect_not(value_properties("nothing", false, &out, &headers, wrong));
    buffer_free(&out);
    buffer_free(&headers);
}
