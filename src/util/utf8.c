/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 validation (RFC 3629, table of well-formed sequences in Unicode 3.9). Names and keys are nearly
 * always ASCII, which goes eight octets at a step.
 */
#include "coney/bytes.h"

#define HIGH_BITS 0x8080808080808080U

static const uint8_t *ascii_skip(const uint8_t *p, const uint8_t *end)
{
    uint64_t eight;

    while (end - p >= 8) {
        memcpy(&eight, p, sizeof eight);
        if ((eight & HIGH_BITS) != 0)
            break;
        p += 8;
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}

/* Length of the well-formed sequence that starts with the non-ASCII octet *P, or 0. */
static size_t sequence_size(const uint8_t *p, size_t left)
{
    uint8_t first = p[0];
    uint8_t low = 0x80; /* bounds of the second octet, narrowed by some first octets */
    uint8_t high = 0xBF;
    size_t size;

    if (first < 0xC2 || first > 0xF4)
        return 0;
    size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first == 0xE0)
        low = 0xA0; /* shorter forms exist below */
    else if (first == 0xED)
        high = 0x9F; /* surrogates above */
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F; /* U+10FFFF */
    if (left < size || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return size;
}

bool utf8_is_valid(struct bytes bytes)
{
    const uint8_t *p = bytes.data;
    const uint8_t *end;

    if (bytes.size == 0) /* data may be NULL, on which no arithmetic is defined */
        return true;
    end = p + bytes.size;
    while ((p = ascii_skip(p, end)) < end) {
        size_t size = sequence_size(p, (size_t)(end - p));

        if (size == 0)
            return false;
        p += size;
    }
    return true;
}
