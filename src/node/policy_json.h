/* SPDX-License-Identifier: Apache-2.0 */
/* A policy as it is written in JSON: {"pattern", "apply-to", "definition", "priority"}. */
#ifndef NODE_POLICY_JSON_H
#define NODE_POLICY_JSON_H

#include <jansson.h>

#include "coney/buffer.h"
#include "coney/policy.h"

struct policy_text {
    struct policy_spec spec; /* its strings are of the JSON it was read from, and of the two below */
    struct buffer table;
    char *json;
};

/* Read VALUE as the policy called NAME; apply-to and priority may be missing. False, with the reason in WHY
 * as RabbitMQ words it, when it is none; to be freed in any case. */
bool policy_text_read(struct policy_text *text, struct bytes name, const json_t *value,
                      char why[POLICY_WHY_SIZE]);
void policy_text_free(struct policy_text *text);

#endif
