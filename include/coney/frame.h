/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame around every payload (AMQP 0-9-1 section 2.3.5; spec connection-and-channel.md 1.1):
 *
 *     0        1         3            7            7 + size
 *     | type   | channel | size       | payload    | 0xCE |
 *
 * Everything here is inline: it runs for each frame in both directions.
 */
#ifndef CONEY_FRAME_H
#define CONEY_FRAME_H

#include <stdint.h>

#include "coney/bytes.h"

enum frame_type {
    FRAME_METHOD = 1,
    FRAME_HEADER = 2,
    FRAME_BODY = 3,
    FRAME_HEARTBEAT = 8,
};

#define FRAME_END         0xCE
#define FRAME_HEADER_SIZE 7
#define FRAME_OVERHEAD    8    /* frame header and frame end */
#define FRAME_MIN_SIZE    4096 /* least frame-max a peer may ask for; limits.tsv */

/* Octets of a content header's payload before the properties: class, weight, body size. */
#define CONTENT_HEADER_FIXED_SIZE 12

struct frame_header {
    uint8_t type; /* not yet checked against enum frame_type */
    uint16_t channel;
    uint32_t size; /* octets of payload, without the overhead */
};

/* Read the FRAME_HEADER_SIZE octets at P. Nothing in them can be malformed; limits are the caller's. */
static inline struct frame_header frame_header_get(const uint8_t *p)
{
    return (struct frame_header){.type = p[0], .channel = get_u16(p + 1), .size = get_u32(p + 3)};
}

/* Write FRAME_HEADER_SIZE octets at P; returns where the payload goes. */
static inline uint8_t *frame_header_put(uint8_t *p, uint8_t type, uint16_t channel, uint32_t size)
{
    return put_u32(put_u16(put_u8(p, type), channel), size);
}

/* Write the frame end at P, just behind the payload; returns what follows the frame. */
static inline uint8_t *frame_end_put(uint8_t *p)
{
    return put_u8(p, FRAME_END);
}

/* Octets of a whole content header frame with PROPERTIES_SIZE octets of flags and values. */
static inline size_t frame_content_header_size(size_t properties_size)
{
    return FRAME_OVERHEAD + CONTENT_HEADER_FIXED_SIZE + properties_size;
}

/* Write a whole content header frame of class CLASS_ID; PROPERTIES is the flags word and the values. */
static inline uint8_t *frame_content_header_put(uint8_t *p, uint16_t channel, uint16_t class_id,
                                                uint64_t body_size, struct bytes properties)
{
    p = frame_header_put(p, FRAME_HEADER, channel, (uint32_t)(CONTENT_HEADER_FIXED_SIZE + properties.size));
    p = put_u64(put_u16(put_u16(p, class_id), 0), body_size);
    return frame_end_put(put_bytes(p, properties));
}

#endif
