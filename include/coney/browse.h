/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a queue looked at and moved from outside, without a consumer: what is ready, from the head on,
 * is shown unchanged or republished; what is unacked is told. Called inside the vhost, a slice at a time.
 */
#ifndef CONEY_BROWSE_H
#define CONEY_BROWSE_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"

struct vhost;

/* Where to go on in a queue: zeroed at the beginning. What moves meanwhile may be seen twice or not at all.
 */
struct browse_place {
    bool has_begun;
    uint8_t level;
    uint64_t number, below; /* next to look at, and where the level ended when it was entered */
};

enum browse_result {
    BROWSE_MORE,
    BROWSE_END,   /* that was the last ready message */
    BROWSE_WAITS, /* the next one is on disk and has been asked for: come again in a moment */
    BROWSE_NO_QUEUE,
    BROWSE_BROKEN, /* the queue is out of service */
};

struct browse_message {
    struct bytes exchange, routing_key, properties, body;
    bool redelivered;
    uint32_t delivery_count;
    int64_t deadline; /* ms since 1970; VHOST_NEVER: none */
};

/* Show up to MOST ready messages of the queue called NAME from PLACE on, in the order of delivery. */
enum browse_result browse_ready(struct vhost *vhost, struct bytes name, struct browse_place *place,
                                unsigned most,
                                void (*show)(void *context, const struct browse_message *message),
                                void *context);

/* Pass over up to MOST of *COUNT ready messages, which is counted down, wherever they are. */
enum browse_result browse_pass(struct vhost *vhost, struct bytes name, struct browse_place *place,
                               unsigned most, uint64_t *count);

/* Which messages, and where to. */
struct browse_move {
    struct bytes
        exchange; /* data NULL: the exchange and key that each first was published to, by its x-death */
    bool has_routing_key; /* else each keeps its own */
    struct bytes routing_key;
    /* Only those that agree; data NULL: any. */
    struct bytes reason, original_queue; /* of the oldest x-death entry */
    struct bytes header, header_value;   /* a header whose value reads as that text */
    struct bytes user;       /* must be allowed to write to the exchange; data NULL: nobody is asked */
    uint64_t most;           /* how many still, counted down */
    uint64_t moved, skipped; /* skipped: they do not agree, or no queue may or would get them */
    bool is_refused;         /* the user may not write to an exchange that was asked for */
};

/* Look at up to MOST ready messages of the queue called NAME from PLACE on, and republish those that MOVE
 * says: the copies enter their queues and the original leaves in one record of the journal, or neither. */
enum browse_result browse_move(struct vhost *vhost, struct bytes name, struct browse_place *place,
                               unsigned most, struct browse_move *move);

struct browse_unacked {
    const void *owner; /* of the connection, as survey_connection's */
    uint16_t channel;
    uint64_t delivery_tag;
    struct bytes consumer_tag; /* data NULL: basic.get */
    int64_t delivered_at;      /* ms since 1970, exact to a second */
};

/* Show deliveries from the queue called NAME that are not acknowledged, of connections from *SLOT on, which
 * begins at 0; at most some thousands are looked at in a call. False: that was all, or there is no queue. */
bool browse_unacked(struct vhost *vhost, struct bytes name, uint32_t *slot,
                    void (*show)(void *context, const struct browse_unacked *unacked), void *context);

#endif
