/* SPDX-License-Identifier: Apache-2.0 */
/* Validation of a table with what the codec itself wants to know besides. */
#ifndef CONEY_AMQP_TABLE_CHECK_H
#define CONEY_AMQP_TABLE_CHECK_H

#include <stdbool.h>

#include "coney/bytes.h"

/* As table_is_valid(); sets *HAS_L when a value has the type octet L at any level. */
bool table_check(struct bytes table, unsigned depth_max, bool *has_L);

#endif
