/* SPDX-License-Identifier: Apache-2.0 */
/* What a node says of itself, in the shape of `rabbitmqctl status --formatter json`, whether it is coney,
 * which has a request for it, or RabbitMQ, of whose API it is put together. */
#ifndef CTL_NODE_STATUS_H
#define CTL_NODE_STATUS_H

#include "ctl.h"

/* The caller frees it. Beside rabbitmqctl's keys: "node", and coney's "run_state", "version". */
json_t *node_status(struct ctl *ctl);

/* Only the listeners of it: {interface, node, port, protocol, purpose}. */
json_t *node_listeners(struct ctl *ctl);

/* "running", "app_stopped", "draining", "stopping"; "" when nobody answers. */
const char *node_run_state(struct ctl *ctl);

/* Poll until the node's run state is STATE, at most SECONDS. */
bool node_await(struct ctl *ctl, const char *state, double seconds);

#endif
