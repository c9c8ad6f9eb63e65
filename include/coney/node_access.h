/* SPDX-License-Identifier: Apache-2.0 */
/* What whoever administers asks of a server beside vhosts: logins, users, state. Any thread that may wait. */
#ifndef CONEY_NODE_ACCESS_H
#define CONEY_NODE_ACCESS_H

#include <stdint.h>

#include "coney/auth.h"

struct server;
struct users;

/* Decide a login, which takes some tens of milliseconds when it was not seen before; failures from PEER, an
 * address in numbers, make the next from there wait. With LOGIN_OK *OUT is the caller's to free. */
enum login_result node_log_in(struct server *server, const struct auth_request *request, const char *peer,
                              struct user_info *out);

struct users *node_users(struct server *server);

/* "coney@host", and what clients are told in connection.start. */
const char *node_name(const struct server *server);
const char *node_cluster_name(const struct server *server);

#endif
