/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every message carries at the front of its body, as far as the body is long enough:
 *
 *     0         8        12            16          24       28         32
 *     | sent ns | run id | publisher   | sequence  | late us | checksum | filler ...
 *
 * Eight octets are enough for latency, STAMP_LATE_END for latency since the message was due, STAMP_SIZE for
 * accounting. Due is `late` before sent: a message that was held back was sent later than the schedule meant.
 * The checksum is over the whole body without itself, and is looked at only with --check; the last octets of
 * a long body then repeat the sequence, so that the head of one message with the tail of another does not
 * pass.
 */
#ifndef PERF_STAMP_H
#define PERF_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"

#define STAMP_SENT_END  8
#define STAMP_RUN_AT    8
#define STAMP_LATE_END  28
#define STAMP_CHECK_AT  28
#define STAMP_SIZE      32
#define STAMP_TAIL_SIZE 8
#define STAMP_TAIL_FROM (STAMP_SIZE + STAMP_TAIL_SIZE) /* bodies from this size on have a tail */

struct stamp {
    uint64_t sent;
    uint32_t run;
    uint32_t publisher;
    uint64_t sequence;
    uint32_t late_us;
    uint32_t checksum;
};

/* Write at BODY as much of STAMP, without the checksum, as SIZE octets hold whole fields of. */
static inline void stamp_put(uint8_t *body, uint64_t size, const struct stamp *stamp)
{
    if (size >= STAMP_LATE_END) {
        body = put_u32(put_u32(put_u64(body, stamp->sent), stamp->run), stamp->publisher);
        put_u32(put_u64(body, stamp->sequence), stamp->late_us);
    } else if (size >= STAMP_SENT_END) {
        put_u64(body, stamp->sent);
    }
}

/* Read what stands at BODY, of which STAMP_SIZE octets can be read whatever the message's size. */
static inline struct stamp stamp_get(const uint8_t *body)
{
    return (struct stamp){get_u64(body),      get_u32(body + 8),  get_u32(body + 12),
                          get_u64(body + 16), get_u32(body + 24), get_u32(body + 28)};
}

#endif
