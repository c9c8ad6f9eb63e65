/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of the store: vhosts that are found in the data directory, the store's calls into them,
 * and what the server does when the disk is full or fails. Without a data directory there is no store, and
 * every vhost has a journal that keeps nothing.
 */
#ifndef SERVER_STORAGE_H
#define SERVER_STORAGE_H

#include "coney/definitions.h"
#include "coney/server.h"

struct loop;
struct runner;
struct server;

/* Open the data directory of the configuration, if there is one, and put back what is in it: TARGET as for
 * definitions. *IS_NEW: there was nothing. SERVER_STARTED, or what went wrong with WHY. */
enum server_failure storage_open(struct server *server, const struct definitions_target *target, bool *is_new,
                                 char why[SERVER_WHY_SIZE]);

/* The journal for RUNNER's vhost, which is new and called NAME. */
struct journal *storage_journal(struct server *server, struct bytes name);

/* RUNNER's vhost is made with that journal. */
void storage_share(struct runner *runner, struct journal *journal);

/* definitions_target.keep */
void storage_keep(struct server *server, struct bytes section, struct bytes vhost, struct bytes name,
                  struct bytes json);

/* For so long one waits for the disk. */
#define STORAGE_SETTLE_MS 30000

/* Any thread that may wait: until all entries that were kept so far are on stable storage. False when they
 * are not after half a minute, as when the disk is full. */
bool storage_sync(struct server *server);

/* What was kept before the loops run is on stable storage: begin. False with WHY. */
bool storage_start(struct server *server, char why[SERVER_WHY_SIZE]);

/* LOOP has mail of the store for RUNNER's vhost. */
void storage_answer(struct runner *runner, struct loop *loop);

/* When all loops have ended: write everything; then, when the vhosts are gone too, close. */
void storage_finish(struct server *server);
void storage_close(struct server *server);

#endif
