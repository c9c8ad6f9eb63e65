/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vhosts come and go while the node runs. Any thread that may wait, as visit.h says; who comes while
 * another is at it waits. What is done is on stable storage when a function says that it is done.
 *
 * A vhost has an entry, as definitions have it: a JSON object with name, description, tags,
 * default_queue_type, tracing, protected_from_deletion, metadata.
 */
#ifndef CONEY_VHOSTS_H
#define CONEY_VHOSTS_H

#include <jansson.h>
#include <stdbool.h>

#include "coney/bytes.h"

struct server;

enum vhosts_result {
    VHOSTS_MADE,
    VHOSTS_CHANGED,
    VHOSTS_DELETED,
    VHOSTS_MISSING,
    VHOSTS_PROTECTED, /* its entry says protected_from_deletion */
    VHOSTS_FULL,      /* there are as many as there may be */
    VHOSTS_NOT_SAFE,  /* done, but the disk has not taken it yet: it is full, or very slow */
    VHOSTS_STOPPING,
};

/* Make the vhost called NAME, or change it; members of ENTRY that are there replace those that were kept.
 * default_queue_type must be one of the types. MAKER, a user, may do everything in a vhost that is made;
 * empty: nobody may. */
enum vhosts_result vhosts_put(struct server *server, struct bytes name, const json_t *entry,
                              struct bytes maker);

/* Delete it with everything in it. Its clients are closed with 320. */
enum vhosts_result vhosts_delete(struct server *server, struct bytes name);

/* Its entry, a new reference; NULL when there is no such vhost. */
json_t *vhosts_entry(struct server *server, struct bytes name);

#endif
