/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's records: what is encoded is decoded, short forms too; what is no record is refused. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "coney/message.h"
#include "store/logged.h"
#include "store/record.h"

static struct message *make_message(void)
{
    struct message *message = message_new(BYTES_LITERAL("e"), BYTES_LITERAL("k"), (struct bytes){NULL, 0},
                                          BYTES_LITERAL("\0\0"), 3);

    memcpy(message->body, "abc", 3);
    message->flags |= MESSAGE_PERSISTENT;
    return message;
}

/* The octets of ITEM as they are in the journal. */
static size_t flatten(const struct wal_item *item, uint8_t *out)
{
    memcpy(out, item->head, item->head_size);
    if (item->first_size)
        memcpy(out + item->head_size, item->first, item->first_size);
    return item->head_size + item->first_size;
}

static struct logged round_trip(const struct wal_item *item, struct logged record, uint8_t octets[512])
{
    size_t size = flatten(item, octets);

    cr_assert(logged_decode(&record, octets, size));
    return record;
}

Test(logged, enqueue_and_the_same_message_in_more_queues)
{
    struct message *message = make_message();
    struct journal_record enqueue = {.kind = JOURNAL_ENQUEUE,
                                     .queue = 1000,
                                     .position = {.level = 3, .number = 77},
                                     .deadline = INT64_MAX,
                                     .message = message};
    struct logged_enqueue after = {.queue = 1000, .number = 77};
    struct wal_item item;
    uint8_t octets[512];
    struct logged record = {0};

    logged_encode(&item, &enqueue, 5, 42, NULL);
    record = round_trip(&item, record, octets);
    cr_assert_eq(record.queue, 1000);
    cr_assert_eq(record.number, 77);
    cr_assert_eq(record.level, 3);
    cr_assert_eq(record.deadline, INT64_MAX);
    cr_assert_eq(message->refs, 2);
    message_unref(item.owner);
    item.owner = record_get_message(record.message.data, record.message.size);
    cr_assert(bytes_equal_string(message_body(item.owner), "abc"));
    message_unref(item.owner);

    for (int step = 0; step < 4; step++) {
        static const struct journal_record more[] = {
            {.queue = 999, .position = {.number = 78}, .deadline = INT64_MAX},
            {.queue = UINT64_C(1) << 60, .position = {.level = 255, .number = 0}, .deadline = 12345},
            {.queue = 0, .position = {.number = UINT64_MAX}, .deadline = INT64_MAX},
            {.queue = 7, .position = {.number = 1000000}, .deadline = -1},
        };
        struct journal_record again = more[step];

        again.kind = JOURNAL_ENQUEUE;
        again.message = message;
        logged_encode(&item, &again, 5, 43, &after);
        cr_assert_null(item.owner);
        record = round_trip(&item, record, octets);
        cr_assert_eq(record.kind, LOGGED_AGAIN);
        cr_assert_eq(record.vhost, 5);
        cr_assert_eq(record.queue, again.queue);
        cr_assert_eq(record.number, again.position.number);
        cr_assert_eq(record.level, again.position.level);
        cr_assert_eq(record.deadline, again.deadline);
        after.queue = again.queue;
        after.number = again.position.number;
    }
    message_unref(message);
}

/* As many as there is room for, of the same flags; decoding gives them one by one. */
Test(logged, further_queues_of_a_message_are_one_record)
{
    struct message *message = make_message();
    struct journal_record enqueue = {
        .kind = JOURNAL_ENQUEUE, .queue = 20, .deadline = INT64_MAX, .message = message};
    struct logged_enqueue after = {.queue = 20};
    struct wal_item first, item;
    uint8_t octets[512];
    struct logged record = {0};
    unsigned added = 1;

    logged_encode(&first, &enqueue, 5, 42, NULL);
    record = round_trip(&first, record, octets);
    enqueue.queue = 21;
    cr_assert_not(logged_extend(&first, &enqueue, &after));
    logged_encode(&item, &enqueue, 5, 43, &after);
    after.queue = 21;
    enqueue.deadline = 12345;
    cr_assert_not(logged_extend(&item, &enqueue, &after), "it has flags of its own");
    enqueue.deadline = INT64_MAX;
    for (enqueue.queue = 22; logged_extend(&item, &enqueue, &after); enqueue.queue++) {
        after.queue = enqueue.queue;
        added++;
    }
    cr_assert_eq(added, 17);
    record = round_trip(&item, record, octets);
    for (unsigned i = 0; i < added; i++) {
        cr_assert_eq(record.kind, LOGGED_AGAIN);
        cr_assert_eq(record.lsn, 42);
        cr_assert_eq(record.queue, 21 + i);
        cr_assert_eq(record.number, 0);
        cr_assert_eq(logged_next(&record), i + 1 < added);
    }
    octets[2 + 2 * added - 1] |= 128; /* the last number goes on, behind the end */
    cr_assert_not(logged_decode(&record, octets, item.head_size));
    message_unref(first.owner);
    message_unref(message);
}

Test(logged, settlements_of_numbers_in_a_row_are_one)
{
    struct journal_record settle = {
        .kind = JOURNAL_SETTLE, .queue = 9, .position = {.level = 1, .number = 5}};
    struct wal_item item;
    uint8_t octets[512];
    struct logged record = {0};

    logged_encode(&item, &settle, 2, 10, NULL);
    settle.position.number = 7;
    cr_assert_not(logged_extend(&item, &settle, NULL));
    settle.position.number = 6;
    cr_assert(logged_extend(&item, &settle, NULL));
    settle.position.number = 7;
    cr_assert(logged_extend(&item, &settle, NULL));
    settle.position.number = 8;
    settle.position.level = 0;
    cr_assert_not(logged_extend(&item, &settle, NULL));
    settle.position.level = 1;
    settle.queue = 10;
    cr_assert_not(logged_extend(&item, &settle, NULL));
    record = round_trip(&item, record, octets);
    cr_assert_eq(record.kind, JOURNAL_PURGE);
    cr_assert_eq(record.number, 5);
    cr_assert_eq(record.below, 8);
    cr_assert_eq(record.level, 1);
}

Test(logged, what_is_cut_or_too_long_is_no_record)
{
    struct message *message = make_message();
    struct journal_record records[] = {
        {.kind = JOURNAL_SETTLE, .queue = 1},
        {.kind = JOURNAL_REDELIVERY, .queue = 1, .delivery_count = 3},
        {.kind = JOURNAL_PURGE, .queue = 1, .below = 9},
        {.kind = JOURNAL_DELIVERED, .queue = 1},
        {.kind = JOURNAL_DELETE_QUEUE, .queue = 1},
        {.kind = JOURNAL_DECLARE_QUEUE,
         .made = &(struct queue_spec){.name = BYTES_LITERAL("q"), .auto_delete = true}},
        {.kind = JOURNAL_BIND,
         .binding = &(struct binding_spec){.source = BYTES_LITERAL("x"), .destination = BYTES_LITERAL("q")}},
    };

    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct wal_item item;
        uint8_t octets[512] = {0};
        size_t size;
        struct logged record = {0};

        logged_encode(&item, &records[i], 1, 1, NULL);
        size = flatten(&item, octets);
        cr_assert(logged_decode(&record, octets, size));
        for (size_t cut = 0; cut < size; cut++)
            cr_assert_not(logged_decode(&record, octets, cut), "record %zu cut at %zu", i, cut);
        cr_assert_not(logged_decode(&record, octets, size + 1));
        free(item.owner);
    }
    message_unref(message);
}

Test(logged, the_same_message_again_needs_one_before)
{
    static const uint8_t again[] = {LOGGED_AGAIN, 0, 2, 2};
    struct logged record = {0};

    cr_assert_not(logged_decode(&record, again, sizeof again));
}
