/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks, and what they may see (management-http-api.md 1.6). */
#ifndef ADMIN_ACCESS_H
#define ADMIN_ACCESS_H

#include <stdbool.h>

#include "coney/bytes.h"
#include "router.h"

/* Find out who asks, into request->user; false after answering 401. */
bool access_login(struct request *request);

/* Whether the asker is what ACCESS says, with rights in VHOST where that counts; false after answering. */
bool access_check(struct request *request, enum access access, struct bytes vhost);

bool access_is_administrator(const struct request *request);
/* Administrator or monitoring. */
bool access_is_monitor(const struct request *request);

/* Whether the asker has rights in the vhost called NAME; false also when there is none. */
bool access_has_vhost(struct request *request, struct bytes name);

#endif
