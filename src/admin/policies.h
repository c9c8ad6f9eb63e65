/* SPDX-License-Identifier: Apache-2.0 */
/* The policies of a vhost as JSON: copied inside it, made outside. */
#ifndef ADMIN_POLICIES_H
#define ADMIN_POLICIES_H

#include <jansson.h>

#include "coney/policy.h"
#include "coney/visit.h"

/* An array of {"vhost", "name", "pattern", "apply-to", "definition", "priority"}: of the one called NAME, or
 * with data NULL of all. A new reference; empty when there is no such vhost. */
json_t *policies_json(struct server *server, struct bytes vhost, enum policy_origin origin,
                      struct bytes name);

/* A policy's row as the parameter that it is: {"value", "vhost", "component", "name"}. ROW is given back. */
json_t *policy_parameter(json_t *row, enum policy_origin origin);

#endif
