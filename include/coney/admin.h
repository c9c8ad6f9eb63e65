/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's side of a server: HTTP API, metrics, web page, control socket; on threads of its own. */
#ifndef CONEY_ADMIN_H
#define CONEY_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

#include "coney/server.h"

struct admin;
struct config;

/* For SERVER, which must outlive it; the listeners of CONFIG are bound. NULL, with a reason in WHY, when one
 * that was asked for cannot be, or the system refuses what is needed. */
struct admin *admin_new(struct server *server, const struct config *config, char *why, size_t why_size);

/* After server_run(), before the server is freed. NULL is fine. */
void admin_free(struct admin *admin);

/* What server_run() is to begin and end. */
struct server_company admin_company(struct admin *admin);

#endif
