/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is handed to definitions_target.keep: each thing that was made, as the definitions entry that makes it
 * again. Here is every key and the shape of what is not kept as it came. A target without keep is fine.
 */
#ifndef NODE_DEFINITIONS_KEEP_H
#define NODE_DEFINITIONS_KEEP_H

#include <jansson.h>

#include "coney/definitions.h"

/* ENTRY of SECTION, which is known as NAME. */
void keep_entry(const struct definitions_target *target, const char *section, struct bytes vhost,
                struct bytes name, const json_t *entry);

/* The same for what is known by two names. */
void keep_entry_of_two(const struct definitions_target *target, const char *section, struct bytes vhost,
                       struct bytes first, struct bytes second, const json_t *entry);

/* What is known as NAME in SECTION is no more. */
void keep_gone(const struct definitions_target *target, const char *section, struct bytes vhost,
               struct bytes name);
void keep_gone_of_two(const struct definitions_target *target, const char *section, struct bytes vhost,
                      struct bytes first, struct bytes second);

/* The user NAME as it is stored: with the hash. */
void keep_user(const struct definitions_target *target, struct bytes name);

/* The vhost NAME, without limits. ENTRY is what made it; NULL: nothing is known but the name. */
void keep_vhost(const struct definitions_target *target, struct bytes name, const json_t *entry);

/* VHOST's LIMITS. */
void keep_vhost_limits(const struct definitions_target *target, struct bytes vhost, const json_t *limits);

/* The policy, or operator policy, NAME of VHOST: what VALUE has of the members of one. */
void keep_policy(const struct definitions_target *target, struct bytes vhost, bool is_operator,
                 struct bytes name, const json_t *value);

/* A parameter; COMPONENT empty: a global one. */
void keep_parameter(const struct definitions_target *target, struct bytes component, struct bytes vhost,
                    struct bytes name, const json_t *value);

/* What USER may do in VHOST. */
void keep_permission(const struct definitions_target *target, struct bytes vhost, struct bytes user,
                     struct bytes configure, struct bytes write, struct bytes read);

/* ... and in its topic exchange EXCHANGE. */
void keep_topic_permission(const struct definitions_target *target, struct bytes vhost, struct bytes user,
                           struct bytes exchange, struct bytes write, struct bytes read);

#endif
