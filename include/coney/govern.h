/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes to who may do what on a running node, each made and kept (definitions_target.keep) in one. What
 * concerns a vhost is called inside it; what concerns users from any thread, but not by two at once.
 *
 * Changed permissions act on open connections at once, a removed user's connections are closed. A changed
 * password, changed tags and limits act on logins to come.
 */
#ifndef CONEY_GOVERN_H
#define CONEY_GOVERN_H

#include <jansson.h>

#include "coney/definitions.h"
#include "coney/users.h"
#include "coney/vhost.h"

/* NAME is kept as it is stored now: the user, or that there is none. */
void govern_keep_user(const struct definitions_target *target, struct bytes name);

/* Inside VHOST: the user NAME is removed from the node; close what connections it has, and forget its rights.
 */
void govern_remove_user(const struct definitions_target *target, struct vhost *vhost, struct bytes name);

/* Inside VHOST, after its entries were read: forget the rights of users who are not there. */
void govern_forget_strangers(const struct definitions_target *target, struct vhost *vhost);

/* Inside VHOST: rights as vhost_set_permission() and the others beside it have them (vhost.h), acting at
 * once. */
void govern_set_permission(const struct definitions_target *target, struct vhost *vhost, struct bytes user,
                           struct bytes configure, struct bytes write, struct bytes read);
void govern_clear_permission(const struct definitions_target *target, struct vhost *vhost, struct bytes user);

/* The same with topic permissions. */
void govern_set_topic_permission(const struct definitions_target *target, struct vhost *vhost,
                                 struct bytes user, struct bytes exchange, struct bytes write,
                                 struct bytes read);
void govern_clear_topic_permission(const struct definitions_target *target, struct vhost *vhost,
                                   struct bytes user, struct bytes exchange);

/* VHOST is being deleted: forget what is kept of it, but for its own entry and its parameters. */
void govern_clear_vhost(const struct definitions_target *target, struct vhost *vhost);

/* Negative: no limit. */
void govern_set_vhost_limits(const struct definitions_target *target, struct vhost *vhost,
                             int64_t connections_max, int64_t queues_max);

/* Put the policy NAME as VALUE says, which is {"pattern", "apply-to", "definition", "priority"}. False, with
 * the reason in WHY as RabbitMQ words it. */
bool govern_set_policy(const struct definitions_target *target, struct vhost *vhost,
                       enum policy_origin origin, struct bytes name, const json_t *value,
                       char why[POLICY_WHY_SIZE]);
/* False when there is none. */
bool govern_clear_policy(const struct definitions_target *target, struct vhost *vhost,
                         enum policy_origin origin, struct bytes name);

/* A parameter that was checked; COMPONENT and VHOST empty: a global one. From any thread, but not of one
 * parameter by two at once. */
void govern_set_parameter(const struct definitions_target *target, struct bytes component, struct bytes vhost,
                          struct bytes name, const json_t *value);
bool govern_clear_parameter(const struct definitions_target *target, struct bytes component,
                            struct bytes vhost, struct bytes name);

/* All those of VHOST. */
void govern_clear_parameters(const struct definitions_target *target, struct bytes vhost);

#endif
