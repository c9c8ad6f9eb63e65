/* SPDX-License-Identifier: Apache-2.0 */
/* train.h: frames that are made once. */
#include "train.h"

#include <stdlib.h>

#include "coney/crc32c.h"
#include "coney/frame.h"
#include "coney/method.h"
#include "coney/xalloc.h"

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Octets that compress badly and tell publishers apart. */
static void put_filler(uint8_t *p, size_t size, uint64_t *random)
{
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(next_random(random) >> 32);
}

static void append_body(struct train *train)
{
    const struct train_shape *shape = &train->shape;
    uint64_t random = (uint64_t)shape->seed * 2654435761U + 1;

    for (uint64_t left = shape->size; left;) {
        size_t part = left < train->frame_body ? (size_t)left : train->frame_body;
        uint8_t *p = buffer_reserve(&train->frames, FRAME_OVERHEAD + part);

        p = frame_header_put(p, FRAME_BODY, shape->channel, (uint32_t)part);
        put_filler(p, part, &random);
        frame_end_put(p + part);
        train->frames.size += FRAME_OVERHEAD + part;
        left -= part;
    }
}

static void add_slot(struct train *train, struct train_slot slot)
{
    if (train->count == train->room) {
        train->room = train->room ? train->room * 2 : 4;
        train->slots = xrealloc(train->slots, train->room * sizeof *train->slots);
    }
    train->slots[train->count++] = slot;
}

static void append_message(struct train *train, struct bytes key)
{
    const struct train_shape *shape = &train->shape;
    struct method method = {.id = METHOD_BASIC_PUBLISH};
    size_t header = frame_content_header_size(shape->properties.size), begin = train->frames.size;

    method.basic_publish.exchange = shape->exchange;
    method.basic_publish.routing_key = key;
    method.basic_publish.mandatory = shape->is_mandatory;
    buffer_append_method(&train->frames, shape->channel, &method);
    frame_content_header_put(buffer_reserve(&train->frames, header), shape->channel,
                             METHOD_CLASS(METHOD_BASIC_PUBLISH), shape->size, shape->properties);
    train->frames.size += header;
    add_slot(train, (struct train_slot){begin, train->frames.size + FRAME_HEADER_SIZE});
    append_body(train);
}

void train_build(struct train *train, const struct train_shape *shape)
{
    static const uint8_t no_key[TRAIN_RANDOM_KEY];
    size_t keys = shape->is_random ? 1 : shape->key_count, cycles;

    buffer_clear(&train->frames);
    train->shape = *shape;
    train->frame_body = shape->frame_max - FRAME_OVERHEAD;
    train->random = (uint64_t)shape->seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    train->count = 0;
    for (size_t i = 0; i < keys; i++)
        append_message(train, shape->is_random ? (struct bytes){no_key, TRAIN_RANDOM_KEY} : shape->keys[i]);
    cycles = train->frames.size ? TRAIN_SIZE / train->frames.size : 0;
    train->count_max = keys * (cycles ? cycles : 1);
}

void train_free(struct train *train)
{
    buffer_free(&train->frames);
    free(train->slots);
    *train = (struct train){0};
}

size_t train_grow(struct train *train, size_t wanted)
{
    size_t count = train->count, size = train->frames.size;

    /* All that is there once more: what stands behind a whole cycle is a whole cycle again. */
    while (train->count < wanted && train->count * 2 <= train->count_max) {
        uint8_t *p = buffer_reserve(&train->frames, size);

        memcpy(p, train->frames.data, size);
        train->frames.size += size;
        for (size_t i = 0; i < count; i++)
            add_slot(train, (struct train_slot){train->slots[i].begin + size, train->slots[i].body + size});
        count = train->count;
        size = train->frames.size;
    }
    return train->count;
}

struct bytes train_octets(const struct train *train, size_t slot, size_t count)
{
    size_t begin = train->slots[slot].begin;
    size_t end = slot + count < train->count ? train->slots[slot + count].begin : train->frames.size;

    return (struct bytes){train->frames.data + begin, end - begin};
}

static void put_random_key(struct train *train, uint8_t *p)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = 0;

    for (size_t i = 0; i < TRAIN_RANDOM_KEY; i++, bits >>= 4) {
        if (i % 16 == 0)
            bits = next_random(&train->random);
        p[i] = (uint8_t)digits[bits & 15];
    }
}

void train_stamp(struct train *train, size_t slot, const struct stamp *stamp)
{
    const struct train_slot *place = &train->slots[slot];
    /* Behind the key stand the octet of flags and the frame's end, then the header. */
    size_t behind = FRAME_HEADER_SIZE + frame_content_header_size(train->shape.properties.size) + 2;

    stamp_put(train->frames.data + place->body, train->shape.size, stamp);
    if (train->shape.is_random)
        put_random_key(train, train->frames.data + place->body - behind - TRAIN_RANDOM_KEY);
}

/* Where octet AT of the body stands, and in *RUN how many follow in the same frame, itself counted. */
static uint8_t *body_octets(const struct train *train, size_t slot, uint64_t at, size_t *run)
{
    uint64_t frame = at / train->frame_body;
    size_t offset = (size_t)(at % train->frame_body);
    uint64_t left = train->shape.size - at;

    *run = train->frame_body - offset < left ? train->frame_body - offset : (size_t)left;
    return train->frames.data + train->slots[slot].body + frame * (train->frame_body + FRAME_OVERHEAD) +
           offset;
}

void train_seal(struct train *train, size_t slot, uint64_t sequence)
{
    uint8_t tail[STAMP_TAIL_SIZE];
    uint32_t checksum;
    size_t run;
    uint8_t *p;

    put_u64(tail, sequence);
    for (unsigned i = 0; train->shape.size >= STAMP_TAIL_FROM && i < STAMP_TAIL_SIZE; i++)
        *body_octets(train, slot, train->shape.size - STAMP_TAIL_SIZE + i, &run) = tail[i];
    p = body_octets(train, slot, 0, &run);
    checksum = crc32c(0, p, STAMP_CHECK_AT);
    for (uint64_t at = STAMP_SIZE; at < train->shape.size; at += run) {
        p = body_octets(train, slot, at, &run);
        checksum = crc32c(checksum, p, run);
    }
    put_u32(body_octets(train, slot, STAMP_CHECK_AT, &run), checksum);
}
