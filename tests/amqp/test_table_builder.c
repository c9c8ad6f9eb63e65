/* SPDX-License-Identifier: Apache-2.0 */
/* Building tables, and showing values as error texts do. */
#include <criterion/criterion.h>

#include "coney/table.h"

Test(table_builder, writes_each_type_as_the_protocol_has_it)
{
    struct buffer out = {0};
    struct table_builder builder = table_builder_init(&out);

    table_put_longstr(&builder, "s", BYTES_LITERAL("v"));
    table_put_int(&builder, "i", -2);
    table_put_bool(&builder, "b", true);
    table_put_timestamp(&builder, "t", 3);
    table_put_table(&builder, "f", BYTES_LITERAL("\1nV"));
    cr_expect(bytes_equal(buffer_bytes(&out), BYTES_LITERAL("\1sS\0\0\0\1v"
                                                            "\1il\xff\xff\xff\xff\xff\xff\xff\xfe"
                                                            "\1bt\1"
                                                            "\1tT\0\0\0\0\0\0\0\3"
                                                            "\1fF\0\0\0\3\1nV")));
    cr_expect(table_is_valid(buffer_bytes(&out), TABLE_DEPTH_MAX));
    buffer_free(&out);
}

Test(table_builder, nests_and_omits_names_in_arrays)
{
    struct buffer out = {0};
    struct table_builder builder = table_builder_init(&out);

    buffer_append_bytes(&out, BYTES_LITERAL("before"));
    table_put_array_begin(&builder, "a");
    table_put_table_begin(&builder, NULL);
    table_put_array_begin(&builder, "k");
    table_put_longstr(&builder, NULL, BYTES_LITERAL("x"));
    table_put_end(&builder);
    table_put_bool(&builder, "b", false);
    table_put_end(&builder);
    table_put_bool(&builder, "ignored", true);
    table_put_end(&builder);
    table_put_table_begin(&builder, "e");
    table_put_end(&builder);

    cr_expect(bytes_equal(buffer_bytes(&out), BYTES_LITERAL("before"
                                                            "\1aA\0\0\0\30"
                                                            "F\0\0\0\21"
                                                            "\1kA\0\0\0\6S\0\0\0\1x"
                                                            "\1bt\0"
                                                            "t\1"
                                                            "\1eF\0\0\0\0")));
    buffer_free(&out);
}

Test(table_builder, copies_pairs_octet_for_octet)
{
    struct bytes table = BYTES_LITERAL("\2\xff\0t\7\1fd\x7f\xf8\0\0\0\0\0\1\1vV\1AA\0\0\0\3u\1\2");
    struct table_iterator iterator = table_begin(table);
    struct buffer out = {0};
    struct table_builder builder = table_builder_init(&out);
    struct field field;
    struct bytes name;

    while (table_next(&iterator, &name, &field))
        table_put_field(&builder, name, &field);
    cr_expect(bytes_equal(buffer_bytes(&out), table));
    buffer_free(&out);
}

static void expect_shown(struct bytes table, const char *expected)
{
    struct field field;
    char out[200];

    cr_assert(table_is_valid(table, TABLE_DEPTH_MAX));
    cr_assert(table_get(table, "", &field));
    cr_expect_eq(field_format(out, sizeof out, &field), (int)strlen(expected));
    cr_expect_str_eq(out, expected);
}

Test(field_format, shows_values_as_rabbitmq_does)
{
    expect_shown(BYTES_LITERAL("\0I\0\0\3\350"), "1000");
    expect_shown(BYTES_LITERAL("\0b\xff"), "-1");
    expect_shown(BYTES_LITERAL("\0l\x80\0\0\0\0\0\0\0"), "-9223372036854775808");
    expect_shown(BYTES_LITERAL("\0S\0\0\0\4name"), "name");
    expect_shown(BYTES_LITERAL("\0t\1"), "true");
    expect_shown(BYTES_LITERAL("\0t\0"), "false");
    expect_shown(BYTES_LITERAL("\0T\0\0\0\0\0\0\0\5"), "5");
    expect_shown(BYTES_LITERAL("\0V"), "undefined");
    expect_shown(BYTES_LITERAL("\0D\2\0\0\1\0"), "{2,256}");
    expect_shown(BYTES_LITERAL("\0d\x3f\xf0\0\0\0\0\0\0"), "1.0");
    expect_shown(BYTES_LITERAL("\0d\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1");
    expect_shown(BYTES_LITERAL("\0f\x7f\x80\0\0"), "inf");
    expect_shown(BYTES_LITERAL("\0A\0\0\0\10b\1S\0\0\0\1a"), "[{byte,1},{longstr,<<\"a\">>}]");
    expect_shown(BYTES_LITERAL("\0F\0\0\0\7\1kI\0\0\0\1"), "[{<<\"k\">>,signedint,1}]");
    expect_shown(BYTES_LITERAL("\0A\0\0\0\0"), "[]");
}

Test(field_format, cuts_where_the_room_ends_and_says_how_much_it_wanted)
{
    struct field field;
    char out[8] = "#######";

    cr_assert(table_get(BYTES_LITERAL("\0S\0\0\0\10longword"), "", &field));
    cr_expect_eq(field_format(out, 5, &field), 8);
    cr_expect_str_eq(out, "long");
    cr_expect_eq(out[5], '#');
    cr_expect_eq(field_format(NULL, 0, &field), 8);
}

Test(field_type_name, is_rabbitmqs)
{
    static const struct {
        uint8_t type;
        const char *name;
    } names[] = {{'t', "bool"},          {'b', "byte"},    {'B', "unsignedbyte"}, {'s', "short"},
                 {'u', "unsignedshort"}, {'U', "short"},   {'I', "signedint"},    {'i', "unsignedint"},
                 {'l', "long"},          {'L', "long"},    {'f', "float"},        {'d', "double"},
                 {'D', "decimal"},       {'S', "longstr"}, {'A', "array"},        {'T', "timestamp"},
                 {'F', "table"},         {'V', "void"},    {'x', "binary"}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_expect_str_eq(field_type_name(names[i].type), names[i].name);
}
