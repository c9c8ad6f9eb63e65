/* SPDX-License-Identifier: Apache-2.0 */
/* A vhost's limits as the API, parameters and definitions show them. */
#ifndef ADMIN_LIMITS_JSON_H
#define ADMIN_LIMITS_JSON_H

#include <jansson.h>

#include "coney/bytes.h"

struct server;

/* {"max-connections", "max-queues"}, as far as there are limits. A new reference. */
json_t *vhost_limits_json(struct server *server, struct bytes vhost);

#endif
