/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being somebody at a node: logging in, users, a connection of one's own, and what the node is called. What
 * it is about and does is node_control.h's, how it fares node_stats.h's. Any thread that may wait.
 */
#ifndef CONEY_NODE_ACCESS_H
#define CONEY_NODE_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/auth.h"

struct server;
struct users;

/* Decide a login, which takes some tens of milliseconds when it was not seen before; failures from PEER, an
 * address in numbers, make the next from there wait. With LOGIN_OK *OUT is the caller's to free. */
enum login_result node_log_in(struct server *server, const struct auth_request *request, const char *peer,
                              struct user_info *out);

/* Whether PEER, an address in numbers, is this machine's. */
bool node_is_loopback(const char *peer);

/* Those of the node, as long as it lives; has a lock of its own. Changed by changes.h, not directly. */
struct users *node_users(struct server *server);

/* Become a client of the node as USER, whose login is decided already: what is returned is a connected
 * socket, the caller's, on which AMQP is spoken; the mechanism is EXTERNAL. TRUSTED: everything is allowed,
 * in any vhost. Such a connection takes no part in limits and alarms, and is neither logged nor listed. -1
 * when the system refuses, or the server stops. */
int node_connect(struct server *server, const struct user_info *user, bool is_trusted);

/* "rabbit@host", as RabbitMQ's tools expect it, and the cluster's name, which clients are told in
 * connection.start: "coney@host" or as it was set. */
const char *node_name(const struct server *server);
const char *node_cluster_name(const struct server *server);

#endif
