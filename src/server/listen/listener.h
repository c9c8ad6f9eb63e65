/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that accept clients; the door's, once they are started. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

struct node_listener;
struct server;

/* Bind and listen to what the configuration says; nothing is accepted before listeners_start(). False with a
 * reason. The process's limit of descriptors is raised as far as it may. */
bool listeners_open(struct server *server, char *why, size_t why_size);

/* Print "listening amqp ADDRESS" for each and begin to accept. */
void listeners_start(struct server *server);

/* Shut them for a while, and listen again where they listened: all of them, or none, and then false with WHY
 * when one cannot be had. */
void listeners_suspend(struct server *server);
bool listeners_resume(struct server *server, char *why, size_t why_size);

/* Show each that accepts. */
void listeners_show(struct server *server, void (*show)(void *context, const struct node_listener *listener),
                    void *context);

/* Accept no more. */
void listeners_close(struct server *server);

#endif
