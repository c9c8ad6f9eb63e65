/* SPDX-License-Identifier: Apache-2.0 */
/* The properties of a message on its way through a shovel: as they came, unless the plan says otherwise. */
#ifndef SHOVEL_REWRITE_H
#define SHOVEL_REWRITE_H

#include <stdint.h>

#include "coney/buffer.h"

struct plan;

/* What the header x-shovelled tells of where a message came by. */
struct rewrite_names {
    const char *shovelled_by;          /* the cluster */
    const char *name, *vhost;          /* of the shovel */
    const char *source_uri, *dest_uri; /* to be shown */
};

/* Give the properties that RAW become under PLAN at NOW_MS since 1970: RAW itself when nothing changes or it
 * cannot be decoded, otherwise what OUT then has. */
struct bytes rewrite_properties(struct buffer *out, const struct plan *plan,
                                const struct rewrite_names *names, uint64_t now_ms, struct bytes raw);

#endif
