/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server on the desk: one loop and the door without threads, one vhost, no listener; clients are the other
 * ends of socket pairs. It turns when it is told to, so what happens when is the test's choice.
 */
#ifndef TESTS_SERVER_DESK_H
#define TESTS_SERVER_DESK_H

#include <stdbool.h>

#include "coney/config.h"
#include "server/server.h"

struct desk {
    struct config config;
    struct server *server;
    struct loop *loop, *door;
    bool holds_logins; /* what has to be decided stays undecided */
};

/* Make it of the defaults and OVERRIDE, a "key=value", or NULL. */
void desk_open(struct desk *desk, const char *override);

/* Free it; every session must be gone (desk_is_empty()). */
void desk_close(struct desk *desk);

/* A new connection: the client's end, which does not block. SEND_BUFFER: octets that the server's end takes
 * before its client reads, about; 0: the system's default. */
int desk_connect(struct desk *desk, int send_buffer);

/* One turn of the door, and one of the loop. */
void desk_turn(struct desk *desk);

/* Tell whether there is neither a session nor a job nor mail under way. */
bool desk_is_empty(const struct desk *desk);

#endif
