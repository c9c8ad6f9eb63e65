/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crowd: clients that one thread serves in turn, so that none is quicker than another for reasons of its
 * own, and the queue that they share. What they ask and count is the measuring program's.
 */
#ifndef TESTS_BENCH_CROWD_H
#define TESTS_BENCH_CROWD_H

#include "client.h"

struct crowd {
    uint16_t port;
    unsigned seconds; /* of a measurement */
    int epoll;
    struct client control; /* declared the queue, and deletes it */
    struct bytes queue;    /* in name */
    char name[48];
};

/* Octets have come for MEMBER: take them with client_fill(). CONTEXT is crowd_serve()'s. */
typedef void crowd_serve_function(void *member, void *context);

/* Take --port and --seconds (SECONDS unless given), and declare a queue of the program's name. The oldest
 * messages are dropped beyond LENGTH_MAX: a publisher that never stops must not fill memory. */
void crowd_begin(struct crowd *crowd, int argc, char **argv, unsigned seconds, int64_t length_max);

/* Open CLIENT, which is MEMBER's. */
void crowd_join(struct crowd *crowd, struct client *client, void *member);

/* Serve whoever has something to say, for so long. */
void crowd_serve(const struct crowd *crowd, uint64_t time_ns, crowd_serve_function *serve, void *context);

/* Delete the queue. The members' clients are the caller's to drop, before. */
void crowd_end(struct crowd *crowd);

#endif
