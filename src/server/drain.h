/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maintenance: a node is emptied of clients before it stops, on SIGUSR2 or by server_drain().
 *
 *     listeners close -> consumers are cancelled; each connection that had some is closed when it has settled
 *     what it was given (vhost_drain()) -> when none owes anything, or after DRAIN_PATIENCE_S, all the rest
 * is closed, and the server ends as it does on SIGTERM, which can come first
 */
#ifndef SERVER_DRAIN_H
#define SERVER_DRAIN_H

#define DRAIN_PATIENCE_S 30

struct drain;
struct server;

/* Wait for SIGUSR2 on SERVER's first loop. */
struct drain *drain_new(struct server *server);
void drain_free(struct drain *drain);

/* Begin, or do nothing when it has begun. First loop only. */
void drain_begin(struct drain *drain);

/* ... and go on: the listeners are closed. First loop only. */
void drain_shut(struct drain *drain);

#endif
