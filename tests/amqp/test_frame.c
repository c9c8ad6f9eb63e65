/* SPDX-License-Identifier: Apache-2.0 */
/* The frame around a payload. */
#include <criterion/criterion.h>

#include "coney/frame.h"

Test(frame, header_holds_type_channel_and_size)
{
    uint8_t out[FRAME_HEADER_SIZE];
    struct frame_header header;

    cr_assert_eq(frame_header_put(out, FRAME_BODY, 0x0102, 0x03040506), out + FRAME_HEADER_SIZE);
    cr_expect_arr_eq(out, "\3\1\2\3\4\5\6", FRAME_HEADER_SIZE);

    header = frame_header_get(out);
    cr_expect_eq(header.type, FRAME_BODY);
    cr_expect_eq(header.channel, 0x0102);
    cr_expect_eq(header.size, 0x03040506);
}

Test(frame, content_header_has_class_weight_size_and_properties)
{
    uint8_t out[64];
    size_t size = frame_content_header_size(2);

    cr_assert_eq(size, 22);
    cr_assert_eq(frame_content_header_put(out, 7, 60, 0x123456789a40, BYTES_LITERAL("\x10\0")), out + size);
    cr_expect_arr_eq(out,
                     "\2\0\7\0\0\0\16"           /* type, channel, size */
                     "\0\74\0\0"                 /* class, weight */
                     "\0\0\x12\x34\x56\x78\x9a@" /* body size */
                     "\x10\0\xCE",
                     size);
}
