/* SPDX-License-Identifier: Apache-2.0 */
/* desk.h */
#include "desk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/log.h"
#include "server/session/login.h"

static void report(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "desk: %s\n", text);
    abort();
}

void desk_open(struct desk *desk, const char *override)
{
    const char *overrides[] = {"listeners.tcp=none", "threads=1", override};
    enum server_failure failure;
    char why[SERVER_WHY_SIZE];

    log_set_level(LOG_LEVEL_NONE);
    if (!config_load(&desk->config, &(struct config_source){NULL, NULL, overrides, override ? 3 : 2}, report,
                     NULL))
        abort();
    desk->server = server_new(&desk->config, &failure, why);
    if (!desk->server)
        report(NULL, why);
    desk->loop = desk->server->loops;
    desk->door = server_door(desk->server);
}

void desk_close(struct desk *desk)
{
    server_free(desk->server);
    config_free(&desk->config);
}

int desk_connect(struct desk *desk, int send_buffer)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        abort();
    if (send_buffer)
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    server_accepted(desk->server, (struct stream){.fd = ends[0]}, &(struct peer){.family = PEER_UNIX});
    return ends[1];
}

void desk_turn(struct desk *desk)
{
    if (!desk->holds_logins)
        logins_work(desk->server->logins);
    loop_turn(desk->door, false);
    loop_turn(desk->loop, false);
}

bool desk_is_empty(const struct desk *desk)
{
    return !desk->loop->sessions && !desk->door->sessions && !desk->loop->jobs_away &&
           !atomic_load(&desk->loop->mail) && !atomic_load(&desk->door->mail);
}
