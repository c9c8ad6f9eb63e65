/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that accept clients, on the first loop. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

struct server;

/* Bind and listen to what the configuration says; nothing is accepted before listeners_start(). False with a
 * reason. The process's limit of descriptors is raised as far as it may. */
bool listeners_open(struct server *server, char *why, size_t why_size);

/* Print "listening amqp ADDRESS" for each and begin to accept. */
void listeners_start(struct server *server);

/* Accept no more. */
void listeners_close(struct server *server);

#endif
