/* SPDX-License-Identifier: Apache-2.0 */
/* Users as the API and definitions show them. New references. */
#ifndef ADMIN_USER_JSON_H
#define ADMIN_USER_JSON_H

#include <jansson.h>

#include "coney/users.h"

json_t *user_json(const struct user_info *user);

/* {"max-connections", "max-channels"}, as far as there are limits. */
json_t *user_limits_json(const struct user_info *user);

#endif
