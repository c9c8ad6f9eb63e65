/* SPDX-License-Identifier: Apache-2.0 */
/* A policy as it is written in JSON: {"pattern", "apply-to", "definition", "priority"}. */
#ifndef NODE_POLICY_JSON_H
#define NODE_POLICY_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "coney/policy.h"

struct vhost;

/* Inside VHOST: put VALUE as its policy NAME; apply-to and priority may be missing. False, with the reason in
 * WHY as RabbitMQ words it, when it is none. */
bool policy_put_json(struct vhost *vhost, enum policy_origin origin, struct bytes name, const json_t *value,
                     char why[POLICY_WHY_SIZE]);

#endif
