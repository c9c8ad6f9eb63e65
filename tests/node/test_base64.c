/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64: what is encoded comes back, and what is none is refused.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "coney/base64.h"

static void expect_decoded(struct bytes text, struct bytes octets)
{
    size_t size = 0;
    uint8_t *decoded = base64_decode(text, &size);

    cr_assert_not_null(decoded, "%.*s", BYTES_ARG(text));
    cr_expect(bytes_equal((struct bytes){decoded, size}, octets), "%.*s", BYTES_ARG(text));
    free(decoded);
}

static void expect_refused(const char *text)
{
    size_t size;
    uint8_t *decoded = base64_decode(bytes_from_string(text), &size);

    cr_expect_null(decoded, "%s", text);
    free(decoded);
}

Test(base64, comes_back)
{
    uint8_t octets[300];

    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(i * 7);
    for (size_t size = 0; size <= sizeof octets; size++) {
        char *text = base64_encode((struct bytes){octets, size});

        cr_expect_eq(strlen(text), (size + 2) / 3 * 4);
        expect_decoded(bytes_from_string(text), (struct bytes){octets, size});
        free(text);
    }
}

Test(base64, blanks_and_lines_mean_nothing)
{
    expect_decoded(BYTES_LITERAL("QU\r\nJD\n"), BYTES_LITERAL("ABC"));
    expect_decoded(BYTES_LITERAL(" Q Q = = "), BYTES_LITERAL("A"));
    expect_decoded(BYTES_LITERAL("QQ==\n\n\n\n"), BYTES_LITERAL("A"));
    expect_decoded(BYTES_LITERAL("\n"), BYTES_LITERAL(""));
}

Test(base64, what_is_none_is_refused)
{
    static const char *const texts[] = {"Q",    "QQ",   "QQ=",  "QUJ",  "====",     "=QQQ",     "Q===",
                                        "Q=Q=", "QU_D", "QU-D", "QUJ!", "QQ==QQ==", "QUJD----", "QQ==----"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_refused(texts[i]);
    cr_expect_null(base64_decode(BYTES_LITERAL("QQ=\0"), &(size_t){0}));
}
