/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A borrowed run of octets, and big-endian integers in it.
 *
 * Names, keys and tables of the protocol are counted, may hold any octet and are not NUL-terminated, so they
 * travel as struct bytes. A struct bytes owns nothing: it is valid as long as the memory that it points into.
 * The put functions write without looking at room: the caller has reserved it.
 */
#ifndef CONEY_BYTES_H
#define CONEY_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The longest short string (AMQP 0-9-1 section 4.2.5.3). */
#define SHORTSTR_MAX 255

struct bytes {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;
};

/* A string literal as bytes, without its NUL. */
#define BYTES_LITERAL(text) ((struct bytes){(const uint8_t *)("" text), sizeof(text) - 1})

/* For printf("%.*s", BYTES_ARG(b)); prints up to the first NUL octet. */
#define BYTES_ARG(b) ((int)(b).size), ((b).size == 0 ? "" : (const char *)(b).data)

/* TEXT, up to its NUL, as bytes; borrows TEXT. */
static inline struct bytes bytes_from_string(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Tell whether BYTES reads exactly as the C string TEXT. */
static inline bool bytes_equal_string(struct bytes bytes, const char *text)
{
    return bytes_equal(bytes, bytes_from_string(text));
}

/* Order A and B octet by octet, a prefix first: negative, 0 or positive. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Tell whether BYTES is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above
 * U+10FFFF; NUL is allowed). Eight octets at a step while they are ASCII. */
bool utf8_is_valid(struct bytes bytes);

static inline uint8_t get_u8(const uint8_t *p)
{
    return *p;
}

static inline uint16_t get_u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline uint8_t *put_u8(uint8_t *p, uint8_t v)
{
    *p = v;
    return p + 1;
}

static inline uint8_t *put_u16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline uint8_t *put_u32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline uint8_t *put_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

/* Copy SIZE octets, most often few: names, keys and small bodies. What compilers make of a memcpy with a size
 * of which they know only the bound (on x86 a string instruction) takes longer than the whole copy should. */
static inline void copy_octets(uint8_t *to, const uint8_t *from, size_t size)
{
    struct sixteen {
        uint64_t half[2];
    } first, last;

    if (size > 32) {
        __asm__("" : "+r"(size)); /* hide the bound: a call of the library's is better here */
        memcpy(to, from, size);
    } else if (size >= 16) {
        memcpy(&first, from, 16);
        memcpy(&last, from + size - 16, 16);
        memcpy(to, &first, 16);
        memcpy(to + size - 16, &last, 16);
    } else if (size >= 8) {
        memcpy(&first, from, 8);
        memcpy(&last, from + size - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + size - 8, &last, 8);
    } else if (size >= 4) {
        memcpy(&first, from, 4);
        memcpy(&last, from + size - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + size - 4, &last, 4);
    } else if (size) {
        to[0] = from[0];
        to[size / 2] = from[size / 2];
        to[size - 1] = from[size - 1];
    }
}

/* The octets of BYTES, without a length. */
static inline uint8_t *put_bytes(uint8_t *p, struct bytes bytes)
{
    copy_octets(p, bytes.data, bytes.size);
    return p + bytes.size;
}

/* A length octet and BYTES, which must not be longer than SHORTSTR_MAX. */
static inline uint8_t *put_shortstr(uint8_t *p, struct bytes bytes)
{
    return put_bytes(put_u8(p, (uint8_t)bytes.size), bytes);
}

/* A 32-bit length and BYTES: a long string, or a table or array given by its contents. */
static inline uint8_t *put_longstr(uint8_t *p, struct bytes bytes)
{
    return put_bytes(put_u32(p, (uint32_t)bytes.size), bytes);
}

#endif
