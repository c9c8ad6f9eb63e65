/* SPDX-License-Identifier: Apache-2.0 */
/* Trains: frames that a broker can read, with the stamp and the checksum where the consumer looks for them.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "coney/crc32c.h"
#include "coney/frame.h"
#include "coney/method.h"
#include "coney/properties.h"
#include "perf/train.h"

struct got {
    struct bytes key;
    uint8_t body[20000];
    uint64_t size;
};

/* Read one message from *FRAMES. */
static void read_message(struct bytes *frames, struct got *got)
{
    uint64_t announced = UINT64_MAX;

    got->size = 0;
    while (got->size < announced) {
        struct frame_header header = frame_header_get(frames->data);
        const uint8_t *payload = frames->data + FRAME_HEADER_SIZE;
        struct method method;

        cr_assert_leq(header.size + FRAME_OVERHEAD, frames->size);
        cr_assert_eq(header.channel, 3);
        cr_assert_eq(payload[header.size], FRAME_END);
        if (header.type == FRAME_METHOD) {
            cr_assert_eq(method_decode(&method, (struct bytes){payload, header.size}), METHOD_OK);
            cr_assert_eq(method.id, METHOD_BASIC_PUBLISH);
            cr_assert(bytes_equal_string(method.basic_publish.exchange, "logs"));
            got->key = method.basic_publish.routing_key;
        } else if (header.type == FRAME_HEADER) {
            announced = get_u64(payload + 4);
        } else {
            cr_assert_leq(header.size + FRAME_OVERHEAD, 4096);
            memcpy(got->body + got->size, payload, header.size);
            got->size += header.size;
        }
        frames->data += header.size + FRAME_OVERHEAD;
        frames->size -= header.size + FRAME_OVERHEAD;
    }
}

static struct train_shape shape_of(const struct bytes *keys, size_t count, uint64_t size)
{
    return (struct train_shape){.channel = 3,
                                .exchange = BYTES_LITERAL("logs"),
                                .keys = keys,
                                .key_count = count,
                                .properties = PROPERTIES_NONE,
                                .size = size,
                                .frame_max = 4096,
                                .seed = 42};
}

static uint32_t checksum_of(const struct got *got)
{
    return crc32c(crc32c(0, got->body, STAMP_CHECK_AT), got->body + STAMP_SIZE, got->size - STAMP_SIZE);
}

Test(train, carries_stamps_and_checksums)
{
    static const uint64_t sizes[] = {STAMP_SIZE, STAMP_SIZE + 1, STAMP_TAIL_FROM, 4088, 4089, 4095, 10000};
    static const struct bytes key = BYTES_LITERAL("a");
    static struct got got;

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct train_shape shape = shape_of(&key, 1, sizes[s]);
        struct train train = {0};
        struct stamp stamp = {.sent = 123456789, .run = 7, .publisher = 2, .late_us = 5}, read;
        struct bytes frames;
        size_t count;

        train_build(&train, &shape);
        count = train_grow(&train, 5);
        for (size_t i = 0; i < count; i++) {
            stamp.sequence = 100 + i;
            train_stamp(&train, i, &stamp);
            train_seal(&train, i, stamp.sequence);
        }
        frames = train_octets(&train, 0, count);
        for (size_t i = 0; i < count; i++) {
            read_message(&frames, &got);
            read = stamp_get(got.body);
            cr_assert_eq(got.size, sizes[s]);
            cr_assert(read.sent == stamp.sent && read.run == 7 && read.publisher == 2 && read.late_us == 5);
            cr_assert_eq(read.sequence, 100 + i);
            cr_assert_eq(read.checksum, checksum_of(&got), "of %lu octets", (unsigned long)sizes[s]);
            if (sizes[s] >= STAMP_TAIL_FROM)
                cr_assert_eq(get_u64(got.body + got.size - STAMP_TAIL_SIZE), 100 + i);
        }
        cr_assert_eq(frames.size, 0);
        train_free(&train);
    }
}

Test(train, goes_through_its_keys_in_turn)
{
    static const struct bytes keys[] = {BYTES_LITERAL("one"), BYTES_LITERAL("twenty"), BYTES_LITERAL("")};
    static struct got got;
    struct train_shape shape = shape_of(keys, 3, 10);
    struct train train = {0};
    struct bytes frames;
    size_t count;

    train_build(&train, &shape);
    cr_expect_eq(train.count, 3);
    count = train_grow(&train, 1000000);
    cr_expect_eq(count % 3, 0);
    cr_expect_leq(train.frames.size, TRAIN_SIZE);
    cr_expect_gt(train.frames.size, TRAIN_SIZE / 4);
    frames = train_octets(&train, 1, count - 1);
    for (size_t i = 1; i < count; i++) {
        read_message(&frames, &got);
        cr_assert(bytes_equal(got.key, keys[i % 3]));
    }
    cr_expect_eq(frames.size, 0);
    train_free(&train);
}

Test(train, draws_another_key_for_each_message)
{
    static struct got got;
    struct train_shape shape = shape_of(NULL, 0, 0);
    struct train train = {0};
    struct stamp stamp = {0};
    uint8_t last[TRAIN_RANDOM_KEY] = {0};

    shape.is_random = true;
    train_build(&train, &shape);
    for (unsigned i = 0; i < 10; i++) {
        struct bytes frames;

        train_stamp(&train, 0, &stamp);
        frames = train_octets(&train, 0, 1);
        read_message(&frames, &got);
        cr_assert_eq(got.key.size, TRAIN_RANDOM_KEY);
        cr_assert_neq(memcmp(got.key.data, last, sizeof last), 0);
        memcpy(last, got.key.data, sizeof last);
    }
    train_free(&train);
}

Test(train, leaves_out_of_the_stamp_what_does_not_fit)
{
    static const struct bytes key = BYTES_LITERAL("a");
    static struct got got;
    struct stamp stamp = {.sent = 99, .run = 7};

    for (uint64_t size = 0; size < STAMP_SIZE; size++) {
        struct train_shape shape = shape_of(&key, 1, size);
        struct train train = {0};
        struct bytes frames;

        train_build(&train, &shape);
        train_stamp(&train, 0, &stamp);
        frames = train_octets(&train, 0, 1);
        read_message(&frames, &got);
        cr_assert_eq(got.size, size);
        if (size >= STAMP_SENT_END)
            cr_assert_eq(get_u64(got.body), 99);
        train_free(&train);
    }
}
