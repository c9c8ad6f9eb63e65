/* SPDX-License-Identifier: Apache-2.0 */
/* All that RabbitMQ calls a parameter, as JSON: limits, operator policies, and those of components. */
#ifndef ADMIN_PARAMETERS_JSON_H
#define ADMIN_PARAMETERS_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "coney/bytes.h"

struct server;

/* An array of {"value", "vhost", "component", "name"} of VHOST: of COMPONENT, or with data NULL of all but
 * policies. A new reference. */
json_t *parameters_json(struct server *server, struct bytes vhost, struct bytes component);

/* An array of {"name", "value"}; IMPLIED: the cluster's name too when nobody set it. */
json_t *global_parameters_json(struct server *server, bool implied);

#endif
