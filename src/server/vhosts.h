/* SPDX-License-Identifier: Apache-2.0 */
/* coney/vhosts.h, for the server's own files: the directory of vhosts. */
#ifndef SERVER_VHOSTS_H
#define SERVER_VHOSTS_H

#include "coney/vhosts.h"

struct runner;

/* The vhost called NAME; one that was deleted only if GONE_TOO. NULL: there is none. */
struct runner *vhosts_find(struct server *server, struct bytes name, bool gone_too);

/* The deleted vhost called NAME, which is found again from now on; NULL when there is none. */
struct runner *vhosts_revive(struct server *server, struct bytes name);

/* As vhosts_put() of one that may be there, with no entry; but nobody waits for the store. */
void vhosts_make(struct server *server, struct bytes name);

/* JSON is the entry of the vhost called NAME from now on. */
void vhosts_note_entry(struct server *server, struct bytes name, struct bytes json);

/* All entries are read: do in the vhosts what they say, and empty those that were being deleted when the node
 * ended. */
void vhosts_opened(struct server *server);

#endif
