/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed bytes, big-endian integers, UTF-8, and the buffer that grows. */
#include <criterion/criterion.h>

#include "coney/buffer.h"
#include "coney/bytes.h"

Test(bytes, are_equal_by_octets_and_length)
{
    struct bytes none = {0};

    cr_expect(bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0b")));
    cr_expect_not(bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0c")));
    cr_expect_not(bytes_equal(BYTES_LITERAL("a"), BYTES_LITERAL("aa")));
    cr_expect(bytes_equal(none, BYTES_LITERAL("")));
    cr_expect(bytes_equal_string(BYTES_LITERAL("key"), "key"));
    cr_expect_not(bytes_equal_string(BYTES_LITERAL("key\0"), "key"));
}

Test(bytes, are_ordered_with_a_prefix_first)
{
    cr_expect(bytes_compare(BYTES_LITERAL("a"), BYTES_LITERAL("b")) < 0);
    cr_expect(bytes_compare(BYTES_LITERAL("b"), BYTES_LITERAL("aa")) > 0);
    cr_expect(bytes_compare(BYTES_LITERAL("a"), BYTES_LITERAL("aa")) < 0);
    cr_expect(bytes_compare(BYTES_LITERAL("\xff"), BYTES_LITERAL("a")) > 0);
    cr_expect_eq(bytes_compare(BYTES_LITERAL(""), (struct bytes){0}), 0);
}

Test(bytes, integers_are_big_endian)
{
    uint8_t out[15];
    uint8_t *p = put_u64(put_u32(put_u16(put_u8(out, 1), 0x0203), 0x04050607), 0x08090a0b0c0d0e0f);

    cr_assert_eq(p, out + 15);
    for (unsigned i = 0; i < sizeof out; i++)
        cr_expect_eq(out[i], i + 1);
    cr_expect_eq(get_u8(out), 1);
    cr_expect_eq(get_u16(out + 1), 0x0203);
    cr_expect_eq(get_u32(out + 3), 0x04050607);
    cr_expect_eq(get_u64(out + 7), 0x08090a0b0c0d0e0f);
}

Test(bytes, strings_carry_their_length)
{
    uint8_t out[16];

    cr_assert_eq(put_longstr(put_shortstr(out, BYTES_LITERAL("ab")), BYTES_LITERAL("cd")), out + 9);
    cr_expect_arr_eq(out, "\2ab\0\0\0\2cd", 9);
    cr_assert_eq(put_shortstr(out, (struct bytes){0}), out + 1);
    cr_expect_eq(out[0], 0);
}

Test(utf8, accepts_what_is_well_formed)
{
    static const char *const good[] = {
        "",
        "plain",
        "exactly8",
        "longer than eight octets",
        "caf\xc3\xa9",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "12345678\xe2\x82\xac)2345678",
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(utf8_is_valid(bytes_from_string(good[i])), "case %zu", i);
    cr_expect(utf8_is_valid((struct bytes){0}));
    cr_expect(utf8_is_valid(BYTES_LITERAL("a\0b")));
}

Test(utf8, refuses_what_is_not)
{
    static const char *const bad[] = {
        "\x80",             /* continuation alone */
        "\xbf",             /* ... */
        "\xc0\x80",         /* overlong NUL */
        "\xc1\xbf",         /* overlong */
        "\xc3",             /* cut */
        "\xc3(",            /* not a continuation */
        "\xe0\x9f\xbf",     /* overlong */
        "\xe2\x82",         /* cut */
        "\xe2(\xa1",        /* not a continuation */
        "\xe2\x82(",        /* ... */
        "\xed\xa0\x80",     /* surrogate */
        "\xed\xbf\xbf",     /* ... */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xf0\x9f\x98",     /* cut */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80", /* ... */
        "\xff",
        "1234567\xff",        /* last octet of a step of eight */
        "12345678123456\xc3", /* behind one */
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(utf8_is_valid(bytes_from_string(bad[i])), "case %zu", i);
}

/* Every sequence of two octets, against the definition: ASCII twice, or one character of two. */
Test(utf8, agrees_with_the_definition_for_two_octets)
{
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            uint8_t text[2] = {(uint8_t)a, (uint8_t)b};
            bool expected = (a < 0x80 && b < 0x80) || (a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf);

            cr_assert_eq(utf8_is_valid((struct bytes){text, 2}), expected, "%02x %02x", a, b);
        }
    }
}

Test(buffer, keeps_what_is_appended_while_it_grows)
{
    struct buffer buffer = {0};

    for (unsigned i = 0; i < 10000; i++) {
        uint8_t octet = (uint8_t)(i * 7);

        buffer_append(&buffer, &octet, 1);
    }
    cr_assert_eq(buffer.size, 10000);
    for (unsigned i = 0; i < 10000; i++)
        cr_assert_eq(buffer.data[i], (uint8_t)(i * 7));
    buffer_free(&buffer);
}

Test(buffer, reserves_room_behind_what_is_written)
{
    struct buffer buffer = {0};

    cr_assert_not_null(buffer_reserve(&buffer, 0));
    buffer_append_bytes(&buffer, BYTES_LITERAL("abc"));
    memcpy(buffer_reserve(&buffer, 1000), "def", 3);
    buffer.size += 3;
    cr_expect(buffer.capacity >= 1003);
    cr_expect(bytes_equal_string(buffer_bytes(&buffer), "abcdef"));

    buffer_clear(&buffer);
    cr_expect_eq(buffer.size, 0);
    cr_expect(buffer.capacity >= 1003);
    buffer_free(&buffer);
    cr_expect_null(buffer.data);
    cr_expect_eq(buffer.capacity, 0);
}

Test(buffer, takes_nothing_from_an_empty_run)
{
    struct buffer buffer = {0};

    buffer_append(&buffer, NULL, 0);
    cr_expect_eq(buffer.size, 0);
    buffer_free(&buffer);
}
