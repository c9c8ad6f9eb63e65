/* SPDX-License-Identifier: Apache-2.0 */
/* What several paths say of the node: its names, listeners, alarms, versions. */
#ifndef ADMIN_NODE_JSON_H
#define ADMIN_NODE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "admin/http/request.h"
#include "coney/bytes.h"
#include "coney/node_control.h"
#include "coney/node_stats.h"

/* Whether NAME is this node's: its own, or "rabbit@" and a name or address by which one may have asked. */
bool is_this_node(struct request *request, struct bytes name);

/* All listeners, ours and AMQP's: {node, protocol, ip_address, port}; of UNIX sockets, which are last, {node,
 * protocol, path} and port 0. */
json_t *listeners_json(struct request *request, bool with_unix);

/* Of the management page and the metrics, as RabbitMQ lists its web contexts. */
json_t *contexts_json(struct request *request);

json_t *exchange_types_json(void);

/* {"node", "resource"} for each alarm that is on. */
json_t *alarms_json(struct request *request, const struct node_stats *stats);

/* NAME and its _details, whose rate is 0 so far, and so each of NAMES, ended by NULL, as 0. */
void put_with_rate(json_t *object, const char *name, json_t *value);
void put_count_with_rate(json_t *object, const char *name, uint64_t value);
void put_zeros(json_t *object, const char *const *names);

/* How often connections, channels and queues were opened, closed and so on, each with its _details, whose
 * rate is 0 so far. */
void put_churn(json_t *object, const struct vhost_counts *counts);

/* What it says it is, to those who ask for a RabbitMQ, and what it is made of. */
void put_versions(json_t *object, const struct config *config);

/* "log_files" and "config_files". */
void put_files(json_t *object, const struct node_condition *condition);

/* Octets of messages, as far as they are in the memory that the alarm counts. */
uint64_t memory_of_messages(const struct node_stats *node);

/* Look at the node; false after answering that it stops. Given back with node_stats_clear(). */
bool look_at_node(struct request *request, struct node_stats *out);

#endif
