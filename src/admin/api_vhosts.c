/* SPDX-License-Identifier: Apache-2.0 */
/* Vhosts (management-http-api.md 3.9). */
#include "router.h"

const struct route routes_vhosts[] = {
    {NULL, {{NULL, ACCESS_OPEN}}},
};
