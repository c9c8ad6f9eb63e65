/* SPDX-License-Identifier: Apache-2.0 */
/* Content properties: every combination of flags, every truncation, and what is made fit for other clients.
 */
#include <criterion/criterion.h>

#include "coney/properties.h"
#include "hostile.h"

#define HEADERS "\1kL\0\0\0\0\0\0\0\1\1sS\0\0\0\1L"

/* The values in the order of the wire; basic-properties.tsv. */
static const struct {
    uint16_t flag;
    struct bytes value;
} values[] = {
    {PROPERTY_CONTENT_TYPE, BYTES_LITERAL("\12text/plain")},
    {PROPERTY_CONTENT_ENCODING, BYTES_LITERAL("\4gzip")},
    {PROPERTY_HEADERS, BYTES_LITERAL("\0\0\0\23" HEADERS)},
    {PROPERTY_DELIVERY_MODE, BYTES_LITERAL("\2")},
    {PROPERTY_PRIORITY, BYTES_LITERAL("\7")},
    {PROPERTY_CORRELATION_ID, BYTES_LITERAL("\5corr\xff")},
    {PROPERTY_REPLY_TO, BYTES_LITERAL("\5reply")},
    {PROPERTY_EXPIRATION, BYTES_LITERAL("\4"
                                        "1000")},
    {PROPERTY_MESSAGE_ID, BYTES_LITERAL("\2id")},
    {PROPERTY_TIMESTAMP, BYTES_LITERAL("\0\0\0\0\1\2\3\4")},
    {PROPERTY_TYPE, BYTES_LITERAL("\4type")},
    {PROPERTY_USER_ID, BYTES_LITERAL("\5guest")},
    {PROPERTY_APP_ID, BYTES_LITERAL("\3app")},
    {PROPERTY_CLUSTER_ID, BYTES_LITERAL("\0")},
};

#define VALUE_COUNT (sizeof values / sizeof values[0])
#define FLAGS_ALL   0xFFFC

static void append_raw(struct buffer *out, unsigned flags)
{
    put_u16(buffer_reserve(out, 2), (uint16_t)flags);
    out->size += 2;
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        if ((flags & values[i].flag) != 0)
            buffer_append_bytes(out, values[i].value);
    }
}

Test(properties, each_is_read_as_sent)
{
    struct buffer raw = {0};
    struct properties p;

    append_raw(&raw, FLAGS_ALL);
    cr_assert(properties_decode(&p, buffer_bytes(&raw)));
    cr_expect_eq(p.flags, FLAGS_ALL);
    cr_expect(bytes_equal_string(p.content_type, "text/plain"));
    cr_expect(bytes_equal_string(p.content_encoding, "gzip"));
    cr_expect(bytes_equal(p.headers, BYTES_LITERAL(HEADERS)));
    cr_expect_eq(p.delivery_mode, DELIVERY_MODE_PERSISTENT);
    cr_expect_eq(p.priority, 7);
    cr_expect(bytes_equal_string(p.correlation_id, "corr\xff"));
    cr_expect(bytes_equal_string(p.reply_to, "reply"));
    cr_expect(bytes_equal_string(p.expiration, "1000"));
    cr_expect(bytes_equal_string(p.message_id, "id"));
    cr_expect_eq(p.timestamp, 0x01020304);
    cr_expect(bytes_equal_string(p.type, "type"));
    cr_expect(bytes_equal_string(p.user_id, "guest"));
    cr_expect(bytes_equal_string(p.app_id, "app"));
    cr_expect_eq(p.cluster_id.size, 0);
    buffer_free(&raw);
}

Test(properties, every_combination_of_flags_comes_back_as_it_was)
{
    struct buffer raw = {0};
    struct buffer out = {0};
    struct properties p;

    for (unsigned flags = 0; flags <= FLAGS_ALL; flags += 4) {
        buffer_clear(&raw);
        buffer_clear(&out);
        append_raw(&raw, flags);
        cr_assert(properties_decode(&p, buffer_bytes(&raw)), "%04x", flags);
        cr_assert_eq(p.flags, flags);
        properties_encode(&out, &p);
        cr_assert(bytes_equal(buffer_bytes(&out), buffer_bytes(&raw)), "%04x", flags);
    }
    buffer_free(&raw);
    buffer_free(&out);
}

Test(properties, that_are_absent_are_empty)
{
    struct properties p;

    memset(&p, 0xff, sizeof p);
    cr_assert(properties_decode(&p, PROPERTIES_NONE));
    cr_expect_eq(p.flags, 0);
    cr_expect_eq(p.headers.size, 0);
    cr_expect_eq(p.delivery_mode, 0);
    cr_expect_eq(p.timestamp, 0);
    cr_expect_eq(p.cluster_id.size, 0);
    cr_expect(p.is_normal);
}

Test(properties, are_refused_at_any_other_length)
{
    struct buffer raw = {0};
    struct properties p;

    append_raw(&raw, FLAGS_ALL);
    for (size_t size = 0; size < raw.size; size++) {
        struct bytes cut = copy_of(raw.data, size);

        cr_expect_not(properties_decode(&p, cut), "cut at %zu", size);
        cr_expect_not(p.headers_malformed);
        free_copy(cut);
    }
    buffer_append(&raw, "", 1);
    cr_expect_not(properties_decode(&p, buffer_bytes(&raw)), "one left over");
    cr_expect_not(p.headers_malformed);
    cr_expect_not(properties_decode(&p, (struct bytes){0}));
    buffer_free(&raw);
}

Test(properties, with_a_bad_headers_table_say_so)
{
    struct properties p;

    cr_expect_not(properties_decode(&p, BYTES_LITERAL("\x20\0\0\0\0\3\1kZ")));
    cr_expect(p.headers_malformed);
    cr_expect_not(properties_decode(&p, BYTES_LITERAL("\x20\0\0\0\0\7\1kS\0\0\0\1")));
    cr_expect(p.headers_malformed);
    /* A table longer than the frame is a truncation, not a bad table. */
    cr_expect_not(properties_decode(&p, BYTES_LITERAL("\x20\0\0\0\0\4\1kZ")));
    cr_expect_not(p.headers_malformed);
}

Test(properties, ignore_reserved_flags_but_not_a_second_flags_word)
{
    struct properties p;

    for (unsigned reserved = 1; reserved <= 3; reserved++) {
        uint8_t raw[] = {0x10, (uint8_t)reserved, 1, 0, 0};

        cr_expect(properties_decode(&p, (struct bytes){raw, 3}));
        cr_expect_eq(p.flags, PROPERTY_DELIVERY_MODE);
        cr_expect_not(p.is_normal);
        cr_expect_not(properties_decode(&p, (struct bytes){raw, 5}));

        properties_normalize(raw, 3);
        cr_expect_arr_eq(raw, "\x10\0\1", 3);
    }
}

Test(properties, are_normalized_in_the_headers_alone)
{
    struct buffer raw = {0};
    struct properties p;

    append_raw(&raw, PROPERTY_CONTENT_TYPE | PROPERTY_HEADERS | PROPERTY_PRIORITY | 1);
    cr_assert(properties_decode(&p, buffer_bytes(&raw)));
    cr_expect_not(p.is_normal);

    properties_normalize(raw.data, raw.size);
    cr_assert(properties_decode(&p, buffer_bytes(&raw)));
    cr_expect(p.is_normal);
    cr_expect(bytes_equal(buffer_bytes(&raw), BYTES_LITERAL("\xa8\0\12text/plain"
                                                            "\0\0\0\23\1kl\0\0\0\0\0\0\0\1\1sS\0\0\0\1L"
                                                            "\7")));
    buffer_free(&raw);
}

Test(properties, random_octets_that_decode_encode_to_themselves)
{
    uint64_t state = 3;
    unsigned decoded = 0;

    for (unsigned round = 0; round < 300000; round++) {
        struct buffer out = {0};
        struct properties p;
        struct bytes raw;
        uint8_t octets[40];
        size_t size = next_random(&state) % sizeof octets;

        for (size_t i = 0; i < size; i++)
            octets[i] =
                (uint8_t)(i < 2 ? next_random(&state) & next_random(&state) & 0xfc : next_random(&state) % 5);
        raw = copy_of(octets, size);
        if (properties_decode(&p, raw)) {
            decoded++;
            properties_encode(&out, &p);
            cr_assert(bytes_equal(buffer_bytes(&out), raw));
        }
        buffer_free(&out);
        free_copy(raw);
    }
    cr_expect_gt(decoded, 1000);
}
