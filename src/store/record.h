/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a message is laid out on disk, in runs and in the journal alike:
 *
 *     | head | exchange | routing key | more keys | properties | body |
 *
 * The head has sizes and flags; what follows are the octets of struct message as they are in memory, so that
 * writing one copies nothing but the head. The time to live is not kept: whoever stores a message stores its
 * deadline. Numbers are little-endian. The byte layout is in doc/FORMAT.md.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "coney/bytes.h"
#include "coney/message.h"

#define RECORD_MESSAGE_HEAD 20
#define RECORD_MESSAGE_MIN  (RECORD_MESSAGE_HEAD + 4) /* two empty names and the flags of no property */

void record_put_message(uint8_t head[RECORD_MESSAGE_HEAD], const struct message *message);

/* The octets that follow the head: of an inline body too. */
struct bytes record_message_data(const struct message *message);

/* The body behind them if it is apart, else nothing. */
struct bytes record_message_apart(const struct message *message);

/* Octets of the whole record. */
uint64_t record_message_size(const struct message *message);

/* The message in the record FROM of SIZE octets, with one reference; NULL when it does not fit: sizes must
 * add up to SIZE exactly, and agree with the lengths inside. */
struct message *record_get_message(const uint8_t *from, size_t size);

/* The same in two steps, for a large body that is not to be copied. First: tell whether the sizes in the
 * head, at FROM, add up to SIZE; *BODY_AT is where the body begins. Second: make the message of the BODY_AT
 * octets at FROM, its body of SIZE - BODY_AT octets still to be filled; NULL when they do not fit. */
bool record_check_message(const uint8_t from[RECORD_MESSAGE_HEAD], uint64_t size, uint64_t *body_at);
struct message *record_begin_message(const uint8_t *from, uint64_t size);

/* Little-endian numbers, as they are on disk. */
#define RECORD_NUMBER(bits)                                           \
    static inline uint##bits##_t get_le##bits(const uint8_t *p)       \
    {                                                                 \
        uint##bits##_t v;                                             \
                                                                      \
        memcpy(&v, p, sizeof v);                                      \
        return le##bits##toh(v);                                      \
    }                                                                 \
    static inline uint8_t *put_le##bits(uint8_t *p, uint##bits##_t v) \
    {                                                                 \
        v = htole##bits(v);                                           \
        memcpy(p, &v, sizeof v);                                      \
        return p + sizeof v;                                          \
    }

RECORD_NUMBER(16)
RECORD_NUMBER(32)
RECORD_NUMBER(64)

#endif
