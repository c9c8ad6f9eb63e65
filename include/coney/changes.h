/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes to who may do what, to policies, parameters and the whole of definitions, on a running node: for
 * whoever administers it. Any thread that may wait (visit.h). When a function returns CHANGE_MADE the change
 * acts everywhere and is on stable storage; changes that one thread asks for are made in that order.
 *
 * Changed permissions and policies act at once, a removed user's connections are closed. A changed password,
 * changed tags and limits act on logins to come.
 */
#ifndef CONEY_CHANGES_H
#define CONEY_CHANGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/definitions.h"
#include "coney/policy.h"
#include "coney/users.h"

struct parameters;
struct server;

enum change_result {
    CHANGE_MADE,
    CHANGE_NO_USER,
    CHANGE_NO_VHOST,
    CHANGE_MISSING,  /* what was to be removed is not there */
    CHANGE_REFUSED,  /* WHY says what is wrong */
    CHANGE_NOT_SAFE, /* made, but the disk has not taken it yet: it is full, or very slow */
    CHANGE_STOPPING, /* the server stops: perhaps not made */
};

#define CHANGE_WHY_SIZE 512

/* Wait until all that was changed before, in whatever way and in vhosts too, is on stable storage; false when
 * it is not there after half a minute. */
bool changes_settle(struct server *server);

/* Who asks for what this thread changes from here on: told with each event (coney/events.h). Borrowed until
 * the next call; empty: nobody in particular. */
void changes_ask_as(struct bytes user);

/* ---- users ---- */

/* Put a user, as PUT /api/users does; takes some tens of milliseconds when SPEC has a password. Connections
 * of the user stay, whatever changed. */
enum change_result changes_put_user(struct server *server, const struct user_spec *spec,
                                    char why[CHANGE_WHY_SIZE]);

/* Negative: no limit. */
enum change_result changes_set_user_limit(struct server *server, struct bytes name, enum user_limit limit,
                                          int64_t most);

/* Remove a user with all rights, and close the user's connections. */
enum change_result changes_remove_user(struct server *server, struct bytes name);

/* ---- rights ---- */

/* What USER may do in VHOST from now on, on open connections too; REFUSED: not a pattern. Cleared: nothing,
 * and VHOST takes no more connections of USER. */
enum change_result changes_set_permission(struct server *server, struct bytes vhost, struct bytes user,
                                          struct bytes configure, struct bytes write, struct bytes read,
                                          char why[CHANGE_WHY_SIZE]);
enum change_result changes_clear_permission(struct server *server, struct bytes vhost, struct bytes user);

/* Which keys USER may write to EXCHANGE, and read from it, as patterns; beside the permissions. */
enum change_result changes_set_topic_permission(struct server *server, struct bytes vhost, struct bytes user,
                                                struct bytes exchange, struct bytes write, struct bytes read,
                                                char why[CHANGE_WHY_SIZE]);
/* Of one exchange; its data NULL: of all. */
enum change_result changes_clear_topic_permission(struct server *server, struct bytes vhost,
                                                  struct bytes user, struct bytes exchange);

/* ---- limits: negative is none ---- */

enum vhost_limit { VHOST_LIMIT_CONNECTIONS, VHOST_LIMIT_QUEUES };

/* One limit of VHOST, or both; what is above it already stays. */
enum change_result changes_set_vhost_limit(struct server *server, struct bytes vhost, enum vhost_limit limit,
                                           int64_t most);
enum change_result changes_set_vhost_limits(struct server *server, struct bytes vhost,
                                            int64_t connections_max, int64_t queues_max);

/* ---- policies: VALUE is {"pattern", "apply-to", "definition", "priority"} ---- */

/* Put the policy NAME, in the place of one of that name, or remove it; acts on each queue and exchange at
 * once. */
enum change_result changes_put_policy(struct server *server, enum policy_origin origin, struct bytes vhost,
                                      struct bytes name, const json_t *value, char why[CHANGE_WHY_SIZE]);
enum change_result changes_remove_policy(struct server *server, enum policy_origin origin, struct bytes vhost,
                                         struct bytes name);

/* ---- parameters (parameters.h); COMPONENT and VHOST empty: a global one ---- */

/* Those of the node, as long as it lives; has a lock of its own. */
struct parameters *node_parameters(struct server *server);

/* Set a parameter that its component takes, in the place of one of that name, or remove it; the component is
 * told. */
enum change_result changes_set_parameter(struct server *server, struct bytes component, struct bytes vhost,
                                         struct bytes name, const json_t *value, char why[CHANGE_WHY_SIZE]);
enum change_result changes_remove_parameter(struct server *server, struct bytes component, struct bytes vhost,
                                            struct bytes name);

/* ---- all of it ---- */

/* Import definitions (definitions_import_json()). Others go on meanwhile; what was imported before something
 * was refused stays. */
enum change_result changes_import(struct server *server, json_t *root, struct bytes vhost,
                                  char why[CHANGE_WHY_SIZE]);

#endif
