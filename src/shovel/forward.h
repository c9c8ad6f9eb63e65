/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on their way: from a delivery of the source to its acknowledgement. */
#ifndef SHOVEL_FORWARD_H
#define SHOVEL_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/client.h"

struct shovel;

/* A message that was published and is not confirmed. */
struct shovel_entry {
    uint64_t delivery_tag; /* at the source */
    uint32_t checksum;     /* of the message: a basic.return names no sequence number */
    bool is_returned;
};

/* Of the channels; their context is the end. */
extern const struct client_channel_events forward_source_events;
extern const struct client_channel_events forward_dest_events;

/* Both ends are ready: begin. */
void forward_begin(struct shovel *shovel);

/* Forget what is on its way. */
void forward_clear(struct shovel *shovel);

/* Hold the source back for REASON (enum shovel_hold), or not any more. */
void forward_hold(struct shovel *shovel, unsigned reason, bool hold);

#endif
