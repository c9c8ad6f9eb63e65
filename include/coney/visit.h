/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaching what lives inside vhosts and on loops from threads of one's own, which may wait: whoever
 * administers. Work is done by whoever runs the vhost or the loop, so it must be short (some hundreds of
 * things at a time), ask nobody for anything and never block; it is a slice of what the caller wants, who
 * formats what it copied outside.
 *
 * May be called from any thread but the loops', while the server runs; not any more when server_free() is.
 */
#ifndef CONEY_VISIT_H
#define CONEY_VISIT_H

#include <stdbool.h>
#include <stddef.h>

#include "coney/bytes.h"

struct loop;
struct server;
struct vhost;

enum visit_result {
    VISIT_DONE,
    VISIT_NO_VHOST,
    VISIT_STOPPING, /* the server stops: nothing was done */
};

/* Have WORK called inside the vhost called NAME, and wait until it is done. One that is being deleted is none
 * any more, also if that begins while the visit is on its way. */
enum visit_result visit_vhost(struct server *server, struct bytes name,
                              void (*work)(struct vhost *vhost, void *argument), void *argument);

/* Have WORK called inside each vhost, one after the other. */
enum visit_result visit_vhosts(struct server *server, void (*work)(struct vhost *vhost, void *argument),
                               void *argument);

/* Have WORK called on the INDEX-th loop. VISIT_STOPPING also when there are not so many. */
enum visit_result visit_loop(struct server *server, unsigned index,
                             void (*work)(struct loop *loop, void *argument), void *argument);

/* The names of all vhosts, sorted: an array of strings to be freed each and together. Names with a NUL octet
 * end there. */
char **visit_vhost_names(struct server *server, size_t *count);

#endif
