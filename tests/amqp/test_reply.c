/* SPDX-License-Identifier: Apache-2.0 */
/* Reply codes and the texts made with them. */
#include <criterion/criterion.h>

#include "coney/bytes.h"
#include "coney/reply.h"

static void fill(char *out, size_t size, const char *pattern)
{
    for (size_t i = 0; i < size; i++)
        out[i] = pattern[i % strlen(pattern)];
    out[size] = '\0';
}

Test(reply, codes_have_their_names_and_levels)
{
    cr_expect_str_eq(reply_code_name(REPLY_PRECONDITION_FAILED), "PRECONDITION_FAILED");
    cr_expect_str_eq(reply_code_name(REPLY_CONNECTION_FORCED), "CONNECTION_FORCED");
    cr_expect_str_eq(reply_code_name((enum reply_code)999), "UNKNOWN");
    for (unsigned code = 0; code < 1000; code++) {
        bool is_soft = code == 311 || code == 312 || code == 313 || (code >= 403 && code <= 406);

        cr_expect_eq(reply_code_is_hard((enum reply_code)code), !is_soft, "%u", code);
    }
}

Test(reply, text_is_name_and_explanation)
{
    char out[REPLY_TEXT_SIZE];

    cr_expect_eq(reply_text(out, REPLY_NOT_FOUND, "no queue '%s' in vhost '%s'", "q", "/"), 37);
    cr_expect_str_eq(out, "NOT_FOUND - no queue 'q' in vhost '/'");
}

Test(reply, text_without_explanation_is_the_bare_name)
{
    char out[REPLY_TEXT_SIZE];

    cr_expect_eq(reply_text(out, REPLY_NO_ROUTE, NULL), 8);
    cr_expect_str_eq(out, "NO_ROUTE");
    cr_expect_eq(reply_text(out, REPLY_INTERNAL_ERROR, NULL), 14);
    cr_expect_str_eq(out, "INTERNAL_ERROR");
}

/* "NOT_FOUND - " is 12 octets: 243 fit beside it. */
Test(reply, text_of_255_octets_is_whole)
{
    char out[REPLY_TEXT_SIZE];
    char long_name[300];

    fill(long_name, 243, "abcdefghij");
    cr_expect_eq(reply_text(out, REPLY_NOT_FOUND, "%s", long_name), 255);
    cr_expect_str_eq(out + 12, long_name);
}

Test(reply, longer_text_is_cut_to_252_octets_and_three_dots)
{
    char out[REPLY_TEXT_SIZE];
    char long_name[300];

    fill(long_name, 244, "abcdefghij");
    cr_expect_eq(reply_text(out, REPLY_NOT_FOUND, "%s", long_name), 255);
    cr_expect_arr_eq(out + 12, long_name, 240);
    cr_expect_str_eq(out + 252, "...");
}

Test(reply, text_is_not_cut_inside_a_character)
{
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x87"};
    char out[REPLY_TEXT_SIZE];
    char long_name[300];

    for (size_t c = 0; c < sizeof characters / sizeof characters[0]; c++) {
        for (size_t shift = 0; shift < 4; shift++) {
            size_t size;

            fill(long_name, shift, "x");
            fill(long_name + shift, 264, characters[c]);
            size = reply_text(out, REPLY_NOT_FOUND, "%s", long_name);
            cr_expect(size > 251 && size <= 255);
            cr_expect_eq(strlen(out), size);
            cr_expect(utf8_is_valid(bytes_from_string(out)), "character %zu, shift %zu", c, shift);
            cr_expect_str_eq(out + size - 3, "...");
        }
    }
}

Test(reply, text_survives_octets_that_are_no_characters)
{
    char out[REPLY_TEXT_SIZE];
    char long_name[300];

    fill(long_name, 280, "\x80");
    cr_expect(reply_text(out, REPLY_NOT_FOUND, "%s", long_name) <= 255);
}
