/* SPDX-License-Identifier: Apache-2.0 */
/* crc32c.h: the vectors of RFC 3720 appendix B.4, and the processor's way against the tables. */
#include <criterion/criterion.h>
#include <string.h>

#include "coney/crc32c.h"
#include "sim/random.h"

static void expect_crc(const void *data, size_t size, uint32_t expected)
{
    cr_expect_eq(crc32c(0, data, size), expected, "%#x instead of %#x", crc32c(0, data, size), expected);
    cr_expect_eq(crc32c_by_table(0, data, size), expected, "by table: %#x instead of %#x",
                 crc32c_by_table(0, data, size), expected);
}

Test(crc32c, vectors_of_rfc_3720)
{
    static const char read_command[] = "\x01\xc0\0\0"
                                       "\0\0\0\0"
                                       "\0\0\0\0"
                                       "\0\0\0\0"
                                       "\x14\0\0\0"
                                       "\0\0\4\0"
                                       "\0\0\0\x14"
                                       "\0\0\0\x18"
                                       "\x28\0\0\0"
                                       "\0\0\0\0"
                                       "\2\0\0\0"
                                       "\0\0\0\0";
    uint8_t data[32];

    expect_crc(memset(data, 0, sizeof data), sizeof data, 0x8a9136aa);
    expect_crc(memset(data, 0xff, sizeof data), sizeof data, 0x62a8ab43);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    expect_crc(data, sizeof data, 0x46dd794e);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(31 - i);
    expect_crc(data, sizeof data, 0x113fdb5c);
    expect_crc(read_command, 48, 0xd9963a56);
    expect_crc("123456789", 9, 0xe3069283);
}

Test(crc32c, nothing_changes_nothing)
{
    cr_expect_eq(crc32c(0, NULL, 0), 0);
    cr_expect_eq(crc32c(0x12345678, NULL, 0), 0x12345678);
    cr_expect_eq(crc32c_by_table(0x12345678, NULL, 0), 0x12345678);
}

static void fill(uint8_t *data, size_t size, struct random *random)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)random_next(random);
}

Test(crc32c, hardware_and_table_agree_on_all_sizes_and_alignments)
{
    static uint8_t data[1 << 14];
    struct random random = {1};

    fill(data, sizeof data, &random);
    for (size_t size = 0; size < 2000; size++)
        cr_assert_eq(crc32c((uint32_t)size, data + size % 8, size),
                     crc32c_by_table((uint32_t)size, data + size % 8, size), "size %zu", size);
    for (int i = 0; i < 3000; i++) {
        size_t start = random_below(&random, 64);
        size_t size = random_below(&random, sizeof data - 64);
        uint32_t before = (uint32_t)random_next(&random);

        cr_assert_eq(crc32c(before, data + start, size), crc32c_by_table(before, data + start, size),
                     "start %zu size %zu", start, size);
    }
}

Test(crc32c, parts_one_by_one_are_the_whole)
{
    static uint8_t data[5000];
    struct random random = {2};
    uint32_t whole;

    fill(data, sizeof data, &random);
    whole = crc32c(0, data, sizeof data);
    for (int i = 0; i < 500; i++) {
        size_t cut = random_below(&random, sizeof data + 1);

        cr_assert_eq(crc32c(crc32c(0, data, cut), data + cut, sizeof data - cut), whole, "cut at %zu", cut);
    }
}
