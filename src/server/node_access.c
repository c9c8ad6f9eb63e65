/* SPDX-License-Identifier: Apache-2.0 */
/* coney/node_access.h, but for node_log_in(), which is login.c's. */
#include "coney/node_access.h"

#include <sys/socket.h>
#include <unistd.h>

#include "coney/visit.h"
#include "server.h"
#include "server/session/greeting.h"

struct connecting {
    struct server *server;
    const struct user_info *user;
    bool is_trusted;
    int fd; /* the server's end; -1 once it has it */
};

static void connect_on_loop(struct loop *loop, void *argument)
{
    struct connecting *connecting = argument;

    (void)loop;
    if (atomic_load(&connecting->server->is_stopping))
        return; /* the other loops may have closed their sessions already */
    server_connects(connecting->server, connecting->fd, connecting->user, connecting->is_trusted);
    connecting->fd = -1;
}

int node_connect(struct server *server, const struct user_info *user, bool is_trusted)
{
    struct connecting connecting = {.server = server, .user = user, .is_trusted = is_trusted};
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    connecting.fd = ends[1];
    visit_loop(server, 0, connect_on_loop, &connecting);
    if (connecting.fd < 0)
        return ends[0];
    close(ends[0]);
    close(ends[1]);
    return -1;
}

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
    return greeting_cluster_name(server);
}
