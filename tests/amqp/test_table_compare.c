/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing values and tables: the headers exchange's way, and the identity of bindings. */
#include <criterion/criterion.h>

#include "coney/table.h"

/* The value of a table's only pair, whose name is empty: "\0" and then type and value. */
static struct field value(struct bytes table)
{
    struct table_iterator iterator = table_begin(table);
    struct field field;
    struct bytes name;

    cr_assert(table_next(&iterator, &name, &field));
    cr_assert_eq(iterator.rest.size, 0);
    return field;
}

#define MATCH(a, b)    cr_expect(match(BYTES_LITERAL("\0" a), BYTES_LITERAL("\0" b)))
#define NO_MATCH(a, b) cr_expect_not(match(BYTES_LITERAL("\0" a), BYTES_LITERAL("\0" b)))

static bool match(struct bytes a, struct bytes b)
{
    struct field x = value(a);
    struct field y = value(b);
    bool result = field_equal(&x, &y);

    cr_expect_eq(field_equal(&y, &x), result);
    cr_expect(field_equal(&x, &x));
    return result;
}

Test(field_equal, integers_of_any_width_match_by_number)
{
    static const struct bytes ones[] = {
        BYTES_LITERAL("\0b\1"),
        BYTES_LITERAL("\0B\1"),
        BYTES_LITERAL("\0s\0\1"),
        BYTES_LITERAL("\0u\0\1"),
        BYTES_LITERAL("\0U\0\1"),
        BYTES_LITERAL("\0I\0\0\0\1"),
        BYTES_LITERAL("\0i\0\0\0\1"),
        BYTES_LITERAL("\0l\0\0\0\0\0\0\0\1"),
        BYTES_LITERAL("\0L\0\0\0\0\0\0\0\1"),
    };

    for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++) {
        for (size_t j = 0; j < sizeof ones / sizeof ones[0]; j++)
            cr_expect(match(ones[i], ones[j]), "%zu %zu", i, j);
        cr_expect_not(match(ones[i], BYTES_LITERAL("\0b\2")));
    }
    NO_MATCH("b\xff", "B\xff");
    NO_MATCH("I\xff\xff\xff\xff", "i\xff\xff\xff\xff");
}

Test(field_equal, an_integer_matches_nothing_else)
{
    NO_MATCH("b\1", "d\x3f\xf0\0\0\0\0\0\0");
    NO_MATCH("b\1", "S\0\0\0\1"
                    "1");
    NO_MATCH("b\1", "t\1");
    NO_MATCH("l\0\0\0\0\0\0\0\1", "T\0\0\0\0\0\0\0\1");
    NO_MATCH("b\0", "V");
}

Test(field_equal, strings_match_by_octets_floats_by_value)
{
    MATCH("S\0\0\0\2ab", "x\0\0\0\2ab");
    NO_MATCH("S\0\0\0\2ab", "x\0\0\0\2ac");
    NO_MATCH("S\0\0\0\2ab", "S\0\0\0\1a");
    MATCH("f\x3f\x80\0\0", "d\x3f\xf0\0\0\0\0\0\0");
    NO_MATCH("f\x3f\x80\0\0", "d\x3f\xf0\0\0\0\0\0\1");
}

Test(field_equal, other_types_match_their_own)
{
    MATCH("t\1", "t\2");
    NO_MATCH("t\1", "t\0");
    MATCH("T\0\0\0\0\0\0\0\1", "T\0\0\0\0\0\0\0\1");
    NO_MATCH("T\0\0\0\0\0\0\0\1", "T\0\0\0\0\0\0\0\2");
    MATCH("D\1\0\0\0\5", "D\1\0\0\0\5");
    NO_MATCH("D\1\0\0\0\5", "D\2\0\0\0\5");
    MATCH("V", "V");
    NO_MATCH("V", "t\0");
}

Test(field_equal, arrays_and_tables_match_by_their_contents)
{
    MATCH("A\0\0\0\4b\1b\2", "A\0\0\0\6s\0\1u\0\2");
    NO_MATCH("A\0\0\0\4b\1b\2", "A\0\0\0\4b\2b\1");
    NO_MATCH("A\0\0\0\4b\1b\2", "A\0\0\0\2b\1");
    MATCH("F\0\0\0\10\1ab\1\1bb\2", "F\0\0\0\11\1bs\0\2\1ab\1");
    NO_MATCH("F\0\0\0\10\1ab\1\1bb\2", "F\0\0\0\10\1ab\1\1cb\2");
    NO_MATCH("F\0\0\0\10\1ab\1\1bb\2", "F\0\0\0\4\1ab\1");
    NO_MATCH("F\0\0\0\0", "A\0\0\0\0");
    MATCH("A\0\0\0\15F\0\0\0\10\1ab\1\1bb\2", "A\0\0\0\15F\0\0\0\10\1bb\2\1ab\1");
}

Test(field_equal, not_a_number_matches_nothing)
{
    struct field nan = value(BYTES_LITERAL("\0f\x7f\xc0\0\0"));

    cr_expect_not(field_equal(&nan, &nan));
}

Test(table_identical, whatever_the_order_of_names)
{
    cr_expect(table_identical(BYTES_LITERAL("\1ab\1\1bb\2"), BYTES_LITERAL("\1bb\2\1ab\1")));
    cr_expect(table_identical(BYTES_LITERAL("\1tF\0\0\0\10\1ab\1\1bb\2"),
                              BYTES_LITERAL("\1tF\0\0\0\10\1bb\2\1ab\1")));
    cr_expect(table_identical((struct bytes){0}, BYTES_LITERAL("")));
    cr_expect_not(table_identical(BYTES_LITERAL("\1ab\1\1bb\2"), BYTES_LITERAL("\1bb\1\1ab\2")));
    cr_expect_not(table_identical(BYTES_LITERAL("\1ab\1"), BYTES_LITERAL("\1ab\1\1bb\2")));
}

Test(table_identical, only_with_the_same_types)
{
    cr_expect_not(table_identical(BYTES_LITERAL("\1aI\0\0\0\1"), BYTES_LITERAL("\1al\0\0\0\0\0\0\0\1")));
    cr_expect_not(table_identical(BYTES_LITERAL("\1aI\0\0\0\1"), BYTES_LITERAL("\1ai\0\0\0\1")));
    cr_expect_not(table_identical(BYTES_LITERAL("\1aS\0\0\0\1v"), BYTES_LITERAL("\1ax\0\0\0\1v")));
}

Test(table_identical, whatever_the_spelling_of_one_type)
{
    cr_expect(table_identical(BYTES_LITERAL("\1aL\0\0\0\0\0\0\0\1"), BYTES_LITERAL("\1al\0\0\0\0\0\0\0\1")));
    cr_expect(table_identical(BYTES_LITERAL("\1aU\0\1"), BYTES_LITERAL("\1as\0\1")));
    cr_expect(table_identical(BYTES_LITERAL("\1at\xff"), BYTES_LITERAL("\1at\1")));
    cr_expect_not(table_identical(BYTES_LITERAL("\1at\0"), BYTES_LITERAL("\1at\1")));
}

Test(table_identical, equal_names_keep_their_order)
{
    cr_expect(table_identical(BYTES_LITERAL("\1ab\1\1ab\2\1bV"), BYTES_LITERAL("\1bV\1ab\1\1ab\2")));
    cr_expect_not(table_identical(BYTES_LITERAL("\1ab\1\1ab\2"), BYTES_LITERAL("\1ab\2\1ab\1")));
}

Test(table_canonical, sorts_by_name_and_appends)
{
    struct buffer out = {0};

    buffer_append_bytes(&out, BYTES_LITERAL("before"));
    table_canonical(&out, BYTES_LITERAL("\1bb\2\2aab\3\1aA\0\0\0\11F\0\0\0\4\1zt\2"));
    cr_expect(
        bytes_equal(buffer_bytes(&out), BYTES_LITERAL("before\1aA\0\0\0\11F\0\0\0\4\1zt\1\2aab\3\1bb\2")));
    buffer_free(&out);
}

/* A table as large as a frame, its pairs in the opposite order of the other's: the test's time limit would
 * not let a comparison of each with each pass. */
Test(table_identical, tables_of_a_frames_size_in_reasonable_time, .timeout = 20)
{
    enum { COUNT = 60000 };
    struct buffer up = {0};
    struct buffer down = {0};
    struct field a = {.type = FIELD_TABLE};
    struct field b = {.type = FIELD_TABLE};

    for (unsigned i = 0; i < COUNT; i++) {
        uint8_t *p = put_u32(put_u8(buffer_reserve(&up, 6), 4), i);

        *p = FIELD_VOID;
        up.size += 6;
        p = put_u32(put_u8(buffer_reserve(&down, 6), 4), COUNT - 1 - i);
        *p = FIELD_VOID;
        down.size += 6;
    }
    cr_expect(table_identical(buffer_bytes(&up), buffer_bytes(&down)));
    a.bytes = buffer_bytes(&up);
    b.bytes = buffer_bytes(&down);
    cr_expect(field_equal(&a, &b));
    buffer_free(&up);
    buffer_free(&down);
}
