/* SPDX-License-Identifier: Apache-2.0 */
/* coney/node_access.h, but for node_log_in(), which is login.c's. */
#include "coney/node_access.h"

#include "server.h"

struct users *node_users(struct server *server)
{
    return server->users;
}

const char *node_name(const struct server *server)
{
    return server->node_name;
}

const char *node_cluster_name(const struct server *server)
{
    return server->cluster_name;
}
