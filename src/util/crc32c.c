/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c.h. Where the processor has an instruction for it (x86-64 with SSE4.2, found out at start; ARMv8 when
 * compiled for it), eight octets are taken at a time, and three neighbouring blocks at once: the
 * instruction's result comes three cycles late, but one can start in each. The three are then joined: a
 * checksum is a polynomial over GF(2), a block of zeros behind it multiplies it by a power of x, and that is
 * linear, so four look-ups do it. Elsewhere eight tables take eight octets at a time ("slicing by 8").
 *
 * All tables are made before main() and never change.
 */
#include "coney/crc32c.h"

#include <endian.h>
#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* bits reversed: bit 31 is x^0 */
#define ONE        (UINT32_C(1) << 31)  /* x^0 */

/* slice[n][octet]: what OCTET, followed by n octets of zeros, adds. */
static uint32_t slice[8][256];

static void slice_init(void)
{
    for (uint32_t octet = 0; octet < 256; octet++) {
        uint32_t crc = octet;

        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        slice[0][octet] = crc;
    }
    for (int n = 1; n < 8; n++)
        for (uint32_t octet = 0; octet < 256; octet++)
            slice[n][octet] = slice[n - 1][octet] >> 8 ^ slice[0][slice[n - 1][octet] & 0xff];
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return le64toh(word);
}

uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;

    crc = ~crc;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t word = load64(p) ^ crc;

        crc = 0;
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            crc ^= slice[7 - i][word >> 8 * i & 0xff];
    }
    for (; size; p++, size--)
        crc = crc >> 8 ^ slice[0][(crc ^ *p) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)

#define HARDWARE                 __attribute__((target("sse4.2")))
#define crc_of_octet(crc, octet) __builtin_ia32_crc32qi(crc, octet)
#define crc_of_word(crc, word)   __builtin_ia32_crc32di(crc, word)

static int has_hardware(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

#define HARDWARE
#define crc_of_octet(crc, octet) __crc32cb(crc, octet)
#define crc_of_word(crc, word)   __crc32cd((uint32_t)(crc), word)

static int has_hardware(void)
{
    return 1;
}

#endif

#ifdef HARDWARE

/* Octets of each of the three: with 256 already a body of 1 KiB gains. */
#define BLOCK 256

/* beyond[n][octet]: OCTET at place n of a checksum, moved beyond BLOCK octets of zeros. */
static uint32_t beyond[4][256];

/* The product of two polynomials, modulo POLYNOMIAL. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (uint32_t bit = ONE; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = b & 1 ? b >> 1 ^ POLYNOMIAL : b >> 1;
    }
    return product;
}

static void beyond_init(void)
{
    uint32_t power = ONE >> 8; /* x^8: one octet of zeros */

    for (int octets = 1; octets < BLOCK; octets *= 2)
        power = multiply(power, power);
    for (int n = 0; n < 4; n++)
        for (uint32_t octet = 1; octet < 256; octet++) {
            uint32_t rest = octet & (octet - 1);

            beyond[n][octet] =
                rest ? beyond[n][rest] ^ beyond[n][octet ^ rest] : multiply(power, octet << 8 * n);
        }
}

static inline uint32_t move_beyond_block(uint32_t crc)
{
    return beyond[0][crc & 0xff] ^ beyond[1][crc >> 8 & 0xff] ^ beyond[2][crc >> 16 & 0xff] ^
           beyond[3][crc >> 24];
}

HARDWARE static uint32_t crc32c_by_hardware(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t a = (uint32_t)~crc;

    for (; size >= 3 * BLOCK; p += 3 * BLOCK, size -= 3 * BLOCK) {
        uint64_t b = 0, c = 0;

        for (size_t i = 0; i < BLOCK; i += 8) {
            a = crc_of_word(a, load64(p + i));
            b = crc_of_word(b, load64(p + BLOCK + i));
            c = crc_of_word(c, load64(p + 2 * BLOCK + i));
        }
        b ^= move_beyond_block((uint32_t)a);
        a = c ^ move_beyond_block((uint32_t)b);
    }
    for (; size >= 8; p += 8, size -= 8)
        a = crc_of_word(a, load64(p));
    for (; size; p++, size--)
        a = crc_of_octet((uint32_t)a, *p);
    return ~(uint32_t)a;
}

#endif

static uint32_t (*best)(uint32_t crc, const void *data, size_t size) = crc32c_by_table;

__attribute__((constructor)) static void init(void)
{
    slice_init();
#ifdef HARDWARE
    if (has_hardware()) {
        beyond_init();
        best = crc32c_by_hardware;
    }
#endif
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    return best(crc, data, size);
}
