/* SPDX-License-Identifier: Apache-2.0 */
/* What one shovel is to do: the value of its runtime parameter, read. Nobody changes it afterwards. */
#ifndef SHOVEL_PLAN_H
#define SHOVEL_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"

enum ack_mode { ACK_ON_CONFIRM, ACK_ON_PUBLISH, ACK_NONE };

#define DELETE_NEVER        INT64_C(-1)
#define DELETE_QUEUE_LENGTH INT64_C(-2)

/* One end. */
struct plan_end {
    char **uris; /* at least one; each can be parsed */
    size_t uri_count;
    char *queue;         /* NULL: none is named */
    char *exchange;      /* NULL: none */
    char *key;           /* NULL: none; a source that has an exchange has one */
    struct bytes args;   /* of the queue, if it is declared: a table; owned */
    bool is_predeclared; /* it is not declared */
};

struct plan {
    struct plan_end source, dest;
    enum ack_mode ack_mode;
    uint16_t prefetch;
    double reconnect_delay; /* s; 0: never */
    int64_t delete_after;   /* messages, or DELETE_* */
    struct bytes consumer_args;
    bool adds_forward_headers, adds_timestamp;
    json_t *properties; /* to be set, NULL: none */
};

/* Read VALUE, which is copied, for the shovel NAME. NULL with
 * WHY as shovels_check() says. */
struct plan *plan_new(const char *name, const json_t *value, char *why, size_t why_size);

/* NULL is fine. */
void plan_free(struct plan *plan);

#endif
