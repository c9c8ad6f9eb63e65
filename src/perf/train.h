/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A train: the frames of many equal messages in a row, ready-made, so that publishing is to stamp a few
 * octets in each and to write all of it at once.
 *
 *     | publish | header | body, body ... | publish | header | body ... |
 *     '-------------- slot --------------'
 *
 * Where a publisher has several routing keys the slots have them in turn. A train grows as far as it is used:
 * a publisher that sends one message at a time holds one of each key.
 */
#ifndef PERF_TRAIN_H
#define PERF_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"
#include "stamp.h"

#define TRAIN_SIZE       65536 /* octets that a train grows to; or one message, if that is larger */
#define TRAIN_RANDOM_KEY 36    /* octets of a random routing key */

/* What all messages of a train have in common. */
struct train_shape {
    uint16_t channel;
    struct bytes exchange;
    const struct bytes *keys; /* borrowed for as long as the train is used */
    size_t key_count;
    bool is_random; /* each message has a key of its own, of TRAIN_RANDOM_KEY octets, and KEYS are not used */
    bool is_mandatory;
    struct bytes properties; /* flags and values */
    uint64_t size;           /* of the body */
    uint32_t frame_max;
    uint32_t seed; /* of the filler, and of random keys */
};

struct train_slot {
    size_t begin; /* of the publish */
    size_t body;  /* of the body's first octet */
};

/* A zeroed struct is an empty train, to be built. */
struct train {
    struct train_shape shape;
    struct buffer frames;
    struct train_slot *slots;
    size_t count, count_max, room; /* of slots: there, at most, for which there is memory */
    size_t frame_body;             /* octets of body in a full frame */
    uint64_t random;               /* the state that keys are drawn from */
};

/* Make TRAIN anew, with a message for each key. What is borrowed by SHAPE must last. */
void train_build(struct train *train, const struct train_shape *shape);

void train_free(struct train *train);

/* Have WANTED slots, or as many as there may be; returns how many there are. */
size_t train_grow(struct train *train, size_t wanted);

/* Write STAMP, and a new random key if the train has such, into message SLOT. */
void train_stamp(struct train *train, size_t slot, const struct stamp *stamp);

/* After train_stamp(): write SEQUENCE into the tail, and the checksum. The body is at least STAMP_SIZE long.
 */
void train_seal(struct train *train, size_t slot, uint64_t sequence);

/* The octets of COUNT messages from SLOT on. */
struct bytes train_octets(const struct train *train, size_t slot, size_t count);

#endif
