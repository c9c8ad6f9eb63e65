/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new node begins with: a vhost and a user with all rights in it, as configured (default_vhost,
 * default_user,
 * ...; guest with the password guest, from this machine only, when nothing is).
 */
#ifndef CONEY_DEFAULTS_H
#define CONEY_DEFAULTS_H

#include "coney/config.h"
#include "coney/definitions.h"

/* Make the default vhost unless definitions brought vhosts, and the default user with its permissions (and
 * then the vhost, in any case) unless they brought users. IMPORTED is what they brought; NULL: there were
 * none. An empty default_user is no user. What is made is kept too. False, with a reason in WHY, when
 * something cannot be made. */
bool defaults_make(const struct definitions_target *target, const struct config *config,
                   const struct definitions_result *imported, char why[DEFINITIONS_WHY_SIZE]);

/* Whether the default user may come from loopback addresses only though loopback_users does not name it: with
 * the password that is in every manual, unless loopback_users names nobody at all. */
bool defaults_user_is_local(const struct config *config);

/* Log, for a node that has just begun with nothing kept, who can log in and how there can be an
 * administrator. */
void defaults_explain(const struct config *config, const struct definitions_result *imported);

#endif
