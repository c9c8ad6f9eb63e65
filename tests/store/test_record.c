/* SPDX-License-Identifier: Apache-2.0 */
/* record.h: a message comes back as it was, and octets that are none are refused. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "sim/random.h"
#include "store/record.h"

#define FLAGS (MESSAGE_PERSISTENT | MESSAGE_HAS_HEADERS | MESSAGE_CHECK)

static struct message *make_message(struct bytes keys, uint64_t body_size)
{
    struct message *message = message_new(BYTES_LITERAL("orders"), BYTES_LITERAL("eu.paid"), keys,
                                          BYTES_LITERAL("\x18\0\x02\x07"), body_size);

    for (uint64_t i = 0; i < body_size; i++)
        message->body[i] = (uint8_t)(i * 7);
    message->flags |= FLAGS;
    message->priority = 7;
    return message;
}

static uint8_t *write_record(const struct message *message, size_t *size)
{
    struct bytes data = record_message_data(message), apart = record_message_apart(message);
    uint8_t *record;

    *size = (size_t)record_message_size(message);
    record = xmalloc(*size);
    record_put_message(record, message);
    put_bytes(put_bytes(record + RECORD_MESSAGE_HEAD, data), apart);
    return record;
}

static void expect_same(const struct message *a, const struct message *b)
{
    cr_expect(bytes_equal(message_exchange(a), message_exchange(b)));
    cr_expect(bytes_equal(message_routing_key(a), message_routing_key(b)));
    cr_expect(bytes_equal(message_more_keys(a), message_more_keys(b)));
    cr_expect(bytes_equal(message_properties(a), message_properties(b)));
    cr_expect(bytes_equal(message_body(a), message_body(b)));
    cr_expect_eq(a->flags, b->flags);
    cr_expect_eq(a->priority, b->priority);
}

Test(record, message_comes_back_as_it_was)
{
    static const uint64_t sizes[] = {0, 1, 100, MESSAGE_BODY_INLINE_MAX, MESSAGE_BODY_INLINE_MAX + 1, 70000};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct bytes keys = i % 2 ? BYTES_LITERAL("\0\x02"
                                                  "ab\x01\x01"
                                                  "c")
                                  : (struct bytes){NULL, 0};
        struct message *message = make_message(keys, sizes[i]), *back;
        size_t size;
        uint8_t *record = write_record(message, &size);

        back = record_get_message(record, size);
        cr_assert_not_null(back);
        cr_expect_eq(back->refs, 1);
        expect_same(message, back);
        message_unref(back);
        message_unref(message);
        free(record);
    }
}

Test(record, flag_of_a_body_apart_is_memorys_own)
{
    struct message *message = make_message((struct bytes){NULL, 0}, MESSAGE_BODY_INLINE_MAX + 1);
    uint8_t head[RECORD_MESSAGE_HEAD];

    record_put_message(head, message);
    cr_expect_eq(head[19], FLAGS);
    message_unref(message);
}

Test(record, sizes_must_add_up)
{
    struct message *message = make_message((struct bytes){NULL, 0}, 10);
    size_t size;
    uint8_t *record = write_record(message, &size);
    uint8_t *longer = xcalloc(1, size + 50);

    memcpy(longer, record, size);
    for (size_t cut = 0; cut < size + 50; cut++) {
        /* A block of exactly that size, so that a sanitizer sees reads beyond it. */
        uint8_t *exact = xmemdup(longer, cut);
        struct message *back = record_get_message(exact, cut);

        cr_expect_eq(back != NULL, cut == size, "%zu octets of %zu", cut, size);
        if (back)
            message_unref(back);
        free(exact);
    }
    free(longer);
    free(record);
    message_unref(message);
}

/* The octets BEGIN .. END - 1 of the record are each set to every value. Counts those that make a message. */
static unsigned accepted(const uint8_t *record, size_t size, size_t begin, size_t end)
{
    unsigned count = 0;

    for (size_t at = begin; at < end; at++)
        for (unsigned value = 0; value < 256; value++) {
            uint8_t *changed = xmemdup(record, size);
            struct message *back;

            changed[at] = (uint8_t)value;
            back = value == record[at] ? NULL : record_get_message(changed, size);
            if (back) {
                cr_expect_eq(record_message_size(back), size);
                count++;
                message_unref(back);
            }
            free(changed);
        }
    return count;
}

Test(record, lengths_and_flags_that_contradict_each_other_are_refused)
{
    struct message *message = make_message(BYTES_LITERAL("\0\x02"
                                                         "ab\x01\x01"
                                                         "c"),
                                           10);
    size_t size, names = RECORD_MESSAGE_HEAD;
    uint8_t *record = write_record(message, &size);

    cr_expect_eq(accepted(record, size, 0, 18), 0, "sizes in the head");
    cr_expect_eq(accepted(record, size, 18, 19), 255, "any priority");
    cr_expect_eq(accepted(record, size, 19, 20), 31, "flags that exist");
    cr_expect_eq(accepted(record, size, names, names + 1), 0, "length of the exchange's name");
    cr_expect_eq(accepted(record, size, names + 7, names + 8), 0, "length of the routing key");
    cr_expect_eq(accepted(record, size, names + 15, names + 16), 1, "BCC or not");
    cr_expect_eq(accepted(record, size, names + 16, names + 17), 1, "length of a key: two may be one");
    free(record);
    message_unref(message);
}

Test(record, no_octets_crash)
{
    struct random random = {42};

    for (int round = 0; round < 20000; round++) {
        size_t size = random_below(&random, 64);
        uint8_t *octets = xcalloc(1, size);
        struct message *message;

        for (size_t i = 0; i < size; i++)
            octets[i] = (uint8_t)(random_percent(&random, 60) ? 0 : random_below(&random, 30));
        message = record_get_message(octets, size);
        if (message)
            message_unref(message);
        free(octets);
    }
}
