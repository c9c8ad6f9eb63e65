/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast things move. Counters are kept by vhosts and sessions; here they are looked at every few seconds,
 * as long as somebody has asked in the last minutes, so that nothing is spent where nobody looks. Of what
 * moves the last samples are kept, within a bound; of what rests two numbers.
 *
 * Any thread.
 */
#ifndef ADMIN_STATS_H
#define ADMIN_STATS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"

struct request;
struct server;
struct stats;

enum stats_kind { STATS_NODE, STATS_VHOST, STATS_QUEUE, STATS_EXCHANGE, STATS_CONNECTION, STATS_CHANNEL };

/* Look every INTERVAL_MS. */
struct stats *stats_new(struct server *server, uint32_t interval_ms);
/* Look no more. */
void stats_stop(struct stats *stats);
void stats_free(struct stats *stats);

/* Whose statistics: the node's; a vhost's, queue's or exchange's; */
uint64_t stats_key_of_node(void);
uint64_t stats_key(enum stats_kind kind, struct bytes vhost, struct bytes name);
/* a connection's by its serial, and a channel's by that and its number. */
uint64_t stats_key_of_connection(uint64_t serial);
uint64_t stats_key_of_channel(uint64_t serial, uint16_t number);

/* Give each counter in OBJECT, which REQUEST is about to show, its "_details": the rate, and samples where
 * the request asks for them. That of messages (message_stats), */
void stats_add_messages(struct request *request, uint64_t key, json_t *object);
/* lengths of queues (messages, messages_ready, messages_unacknowledged), */
void stats_add_lengths(struct request *request, uint64_t key, json_t *object);
/* octets of connections (recv_oct, send_oct), and of vhosts, */
void stats_add_data(struct request *request, uint64_t key, json_t *object);
void stats_add_vhost_data(struct request *request, uint64_t key, json_t *object);
/* exchanges (publish_in, publish_out), */
void stats_add_exchange(struct request *request, uint64_t key, json_t *object);
/* and the node (churn, memory, descriptors, and so on). */
void stats_add_node(struct request *request, json_t *object);

/* Tell whether nothing has moved and REQUEST wants no samples: each rate is 0. */
bool stats_is_still(struct request *request, uint64_t key);

/* Whether the samples that REQUEST asks for, if any, can be had; false after answering 400. */
bool stats_ranges_are_right(struct request *request);

/* Forget what was seen. */
void stats_reset(struct stats *stats);

#endif
