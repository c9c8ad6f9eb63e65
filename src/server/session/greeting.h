/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients are told in connection.start, and the cluster's name in it, which may change while the server
 * runs. One that was made is never changed: it is exchanged as a whole, and the ones before live as long as
 * the server, as other threads may still read them.
 */
#ifndef SERVER_GREETING_H
#define SERVER_GREETING_H

#include "coney/bytes.h"

struct server;

/* Before the loops run, or any thread: from now on the cluster is called CLUSTER_NAME; empty or NULL: as
 * chosen from the host's name. The node's name is set too, the first time. */
void greeting_set(struct server *server, const char *cluster_name);

/* Contents of the table of server properties. */
struct bytes greeting_properties(const struct server *server);
const char *greeting_cluster_name(const struct server *server);

void greeting_free(struct server *server);

#endif
