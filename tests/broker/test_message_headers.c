/* SPDX-License-Identifier: Apache-2.0 */
/* Sender-selected keys and the delivery count in a message's headers. */
#include <criterion/criterion.h>

#include "coney/message_headers.h"
#include "coney/properties.h"

#define CC_A_B  "\2CCA\0\0\0\14S\0\0\0\1aS\0\0\0\1b"
#define BCC_C   "\3BCCA\0\0\0\6S\0\0\0\1c"
#define OTHER   "\1kI\0\0\0\1"
#define CC_TEXT "\2CCS\0\0\0\1a"

static struct headers_bad_keys bad;

static bool collect(struct buffer *keys, struct bytes headers)
{
    bool has_bcc;

    buffer_clear(keys);
    return headers_collect_keys(keys, headers, &has_bcc, &bad);
}

Test(message_headers, collects_cc_then_bcc_whatever_comes_first)
{
    struct buffer keys = {0};
    bool has_bcc;

    cr_assert(headers_collect_keys(&keys, BYTES_LITERAL(BCC_C OTHER CC_A_B), &has_bcc, &bad));
    cr_expect(bytes_equal(buffer_bytes(&keys), BYTES_LITERAL("\0\1a\0\1b\1\1c")));
    cr_expect(has_bcc);
    buffer_free(&keys);
}

Test(message_headers, gives_collected_keys_one_by_one)
{
    struct bytes keys = BYTES_LITERAL("\0\1a\0\0\1\3c\0d");
    struct bytes key;
    bool is_bcc;

    cr_assert(more_keys_next(&keys, &key, &is_bcc));
    cr_expect(bytes_equal_string(key, "a") && !is_bcc);
    cr_assert(more_keys_next(&keys, &key, &is_bcc));
    cr_expect(bytes_equal_string(key, "") && !is_bcc);
    cr_assert(more_keys_next(&keys, &key, &is_bcc));
    cr_expect(bytes_equal(key, BYTES_LITERAL("c\0d")) && is_bcc);
    cr_expect_not(more_keys_next(&keys, &key, &is_bcc));
}

Test(message_headers, without_selectors_have_no_keys)
{
    struct buffer keys = {0};
    bool has_bcc = true;

    cr_expect(headers_collect_keys(&keys, BYTES_LITERAL(OTHER "\2ccV\3bccV"), &has_bcc, &bad),
              "upper case only");
    cr_expect_eq(keys.size, 0);
    cr_expect_not(has_bcc);
    buffer_free(&keys);
}

Test(message_headers, elements_that_are_no_longstr_are_ignored)
{
    struct buffer keys = {0};

    cr_assert(collect(&keys, BYTES_LITERAL("\2CCA\0\0\0\21x\0\0\0\1xb\1S\0\0\0\1aVt\1")));
    cr_expect(bytes_equal(buffer_bytes(&keys), BYTES_LITERAL("\0\1a")));
    buffer_free(&keys);
}

Test(message_headers, of_one_name_the_first_counts)
{
    struct buffer keys = {0};

    cr_assert(collect(&keys, BYTES_LITERAL(CC_A_B CC_TEXT BCC_C "\3BCCV")));
    cr_expect(bytes_equal(buffer_bytes(&keys), BYTES_LITERAL("\0\1a\0\1b\1\1c")));
    buffer_free(&keys);
}

Test(message_headers, keys_longer_than_any_routing_key_are_ignored)
{
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);
    struct buffer keys = {0};
    uint8_t text[256];

    memset(text, 'k', sizeof text);
    table_put_array_begin(&builder, "CC");
    table_put_longstr(&builder, NULL, (struct bytes){text, 256});
    table_put_longstr(&builder, NULL, (struct bytes){text, 255});
    table_put_end(&builder);
    cr_assert(collect(&keys, buffer_bytes(&headers)));
    cr_assert_eq(keys.size, 2 + 255);
    cr_expect_eq(keys.data[1], 255);
    buffer_free(&headers);
    buffer_free(&keys);
}

Test(message_headers, a_selector_that_is_no_array_is_named_with_its_type)
{
    struct buffer keys = {0};

    cr_expect_not(collect(&keys, BYTES_LITERAL(CC_TEXT)));
    cr_expect_str_eq(bad.name, "CC");
    cr_expect_str_eq(bad.type, "longstr");
    cr_expect_not(collect(&keys, BYTES_LITERAL(CC_A_B "\3BCCF\0\0\0\0")));
    cr_expect_str_eq(bad.name, "BCC");
    cr_expect_str_eq(bad.type, "table");
    cr_expect_eq(keys.size, 0);
    cr_expect_not(collect(&keys, BYTES_LITERAL("\3BCCV\2CCt\1")));
    cr_expect_str_eq(bad.name, "CC");
    cr_expect_str_eq(bad.type, "bool");
    buffer_free(&keys);
}

static void expect_edited(void (*edit)(struct buffer *, struct bytes), struct bytes before,
                          struct bytes after)
{
    struct buffer out = {0};

    edit(&out, before);
    cr_expect(bytes_equal(buffer_bytes(&out), after));
    buffer_free(&out);
}

Test(message_headers, bcc_is_removed_and_nothing_else)
{
    expect_edited(properties_without_bcc, BYTES_LITERAL("\xb0\0\1t\0\0\0\71" CC_A_B BCC_C OTHER BCC_C "\2"),
                  BYTES_LITERAL("\xb0\0\1t\0\0\0\33" CC_A_B OTHER "\2"));
}

Test(message_headers, that_held_only_bcc_stay_present_and_empty)
{
    expect_edited(properties_without_bcc, BYTES_LITERAL("\x20\0\0\0\0\17" BCC_C),
                  BYTES_LITERAL("\x20\0\0\0\0\0"));
}

static void with_count_two(struct buffer *out, struct bytes properties)
{
    properties_with_delivery_count(out, properties, 2);
}

#define COUNT_TWO "\20x-delivery-countl\0\0\0\0\0\0\0\2"

Test(message_headers, delivery_count_is_added)
{
    expect_edited(with_count_two, PROPERTIES_NONE, BYTES_LITERAL("\x20\0\0\0\0\32" COUNT_TWO));
    expect_edited(with_count_two, BYTES_LITERAL("\x30\0\0\0\0\7" OTHER "\2"),
                  BYTES_LITERAL("\x30\0\0\0\0\41" OTHER COUNT_TWO "\2"));
}

Test(message_headers, delivery_count_replaces_the_publishers)
{
    expect_edited(with_count_two, BYTES_LITERAL("\x20\0\0\0\0\41\20x-delivery-countS\0\0\0\4many" OTHER),
                  BYTES_LITERAL("\x20\0\0\0\0\41" OTHER COUNT_TWO));
}

Test(message_headers, of_properties_that_do_not_decode_are_left_alone)
{
    expect_edited(properties_without_bcc, BYTES_LITERAL("\x20\0\0"), BYTES_LITERAL("\x20\0\0"));
    expect_edited(with_count_two, BYTES_LITERAL("\x20\0\0"), BYTES_LITERAL("\x20\0\0"));
}
