/* SPDX-License-Identifier: Apache-2.0 */
/* What all files of the operator's side share. Set before the threads begin; what changes has a lock of its
 * own. */
#ifndef ADMIN_ADMIN_FIELDS_H
#define ADMIN_ADMIN_FIELDS_H

#include "coney/admin.h"
#include "coney/config.h"

struct http;
struct shovels;
struct stats;
struct workers;

struct admin {
    struct server *server;
    const struct config *config; /* of the start */
    struct http *http;
    struct workers *workers;
    struct stats *stats;
    struct shovels *shovels;
    _Atomic unsigned tails; /* requests that wait for what comes */
};

#endif
