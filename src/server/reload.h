/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SIGHUP does: the configuration is read again, and what can change while running does; certificates and
 * definitions are read again. SIGUSR1 has log files opened anew.
 */
#ifndef SERVER_RELOAD_H
#define SERVER_RELOAD_H

#include <stdbool.h>

#include "coney/vhost.h"

struct config;
struct runner;
struct server;

/* Take the signals, on the first loop. */
bool reload_init(struct server *server);
void reload_free(struct server *server);

/* First loop: what SIGHUP does. */
void reload_begin(struct server *server);

/* First loop: log as CONFIG says, and as was asked for until the next start. False with a line in the log
 * when its file cannot be opened. */
bool reload_log(struct server *server, const struct config *config);

/* What a vhost needs of CONFIG. */
struct vhost_settings reload_vhost_settings(const struct config *config);

/* First loop: RUNNER's vhost has stopped, so that definitions can be imported. */
void reload_parked(struct server *server, struct runner *runner);

#endif
