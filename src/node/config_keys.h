/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys, and that of RabbitMQ's keys that mean nothing here. */
#ifndef NODE_CONFIG_KEYS_H
#define NODE_CONFIG_KEYS_H

#include "config_value.h"

extern const struct key config_keys[];
extern const size_t config_key_count;

/* Keys of rabbitmq.conf without a meaning here: using one is worth a notice, or an error where it would leave
 * undone what somebody relies on. */
struct ignored_key {
    const char *pattern; /* a * stands for anything */
    const char *reason;
    bool is_refused;
};

extern const struct ignored_key config_ignored[];
extern const size_t config_ignored_count;

#endif
