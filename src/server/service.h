/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What coneyd and the service manager that started it tell each other, in systemd's protocol (sd_notify(3),
 * sd_listen_fds(3)): that it is ready, reloads or stops, how it is, that its loops turn, and which sockets it
 * was given. Without such a manager nothing of this does anything.
 *
 * The protocol is a few datagrams and environment variables, and promised to stay; libsystemd, which speaks
 * it too, would bring six more libraries into the process (doc/decisions/0008).
 *
 * All but service_new() are for the first loop's thread.
 */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

struct server;
struct service;

/* Read the environment for SERVER, whose loops are made. Never NULL. */
struct service *service_new(struct server *server);
void service_free(struct service *service);

/* Say that clients are served, and begin to feed the watchdog, if one was asked for, as long as every loop
 * turns. */
void service_ready(struct service *service);

/* What may take a while and is no fault begins: ended by service_ready(). */
void service_reloading(struct service *service);

/* The end has begun; the watchdog asks no more. */
void service_stopping(struct service *service);

/* Say in words, to whoever asks the manager, how things are. */
void service_status(struct service *service, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Feed the watchdog if each loop has turned, or gone to sleep, since it was fed the last time; false when one
 * has not. A timer does so; tests too. */
bool service_feed(struct service *service);

/* A listening socket that the manager has opened for coneyd. */
struct service_socket {
    int fd;           /* the receiver's from now on; does not block */
    const char *name; /* FileDescriptorName= of the socket unit; lives as long as the service */
};

/* Take the next one; false when there is none left. */
bool service_take_socket(struct service *service, struct service_socket *out);

#endif
