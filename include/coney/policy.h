/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies and operator policies of one vhost: checked when put, selected and merged for an entity
 * (queue-features.md section 9). A set is plain data of its owner: no locks.
 */
#ifndef CONEY_POLICY_H
#define CONEY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"
#include "coney/queue_options.h"

struct policy_set;

enum policy_origin {
    POLICY_USER,
    POLICY_OPERATOR,
};

/* What a policy may apply to: an entity, not the apply-to of a policy. */
enum policy_target {
    POLICY_TARGET_EXCHANGE,
    POLICY_TARGET_CLASSIC_QUEUE,
    POLICY_TARGET_QUORUM_QUEUE,
};

enum policy_apply_to {
    POLICY_APPLY_ALL,
    POLICY_APPLY_QUEUES,
    POLICY_APPLY_CLASSIC_QUEUES,
    POLICY_APPLY_QUORUM_QUEUES,
    POLICY_APPLY_STREAMS,
    POLICY_APPLY_EXCHANGES,
};

/* Keys that act; a definition may have others, which are accepted and matter only for whether it applies to a
 * type of queue (9.3, 9.7). */
enum policy_key {
    POLICY_MESSAGE_TTL = 1 << 0,
    POLICY_EXPIRES = 1 << 1,
    POLICY_MAX_LENGTH = 1 << 2,
    POLICY_MAX_LENGTH_BYTES = 1 << 3,
    POLICY_CONSUMER_TIMEOUT = 1 << 4,
    POLICY_DELIVERY_LIMIT = 1 << 5,
    POLICY_OVERFLOW = 1 << 6,
    POLICY_DEAD_LETTER_EXCHANGE = 1 << 7,
    POLICY_DEAD_LETTER_ROUTING_KEY = 1 << 8,
    POLICY_ALTERNATE_EXCHANGE = 1 << 9,
    POLICY_DURABILITY = 1 << 10,
};

/* When what lasts is confirmed: coney's own key, RabbitMQ has none like it. */
enum policy_durability {
    POLICY_DURABILITY_STRICT,  /* once it is on stable storage */
    POLICY_DURABILITY_RELAXED, /* once it is written; see queue_options.relaxed */
};

struct policy_definition {
    uint32_t present;    /* enum policy_key; what is not present is zero below */
    int64_t message_ttl; /* ms */
    int64_t expires;     /* ms */
    int64_t max_length;
    int64_t max_length_bytes;
    int64_t consumer_timeout; /* ms */
    int64_t delivery_limit;   /* negative: unlimited */
    enum queue_overflow overflow;
    enum policy_durability durability;
    struct bytes dead_letter_exchange;
    struct bytes dead_letter_routing_key;
    struct bytes alternate_exchange;
};

/* What to put. Everything is borrowed during the call only. */
struct policy_spec {
    struct bytes name;     /* 1..255 octets, no NUL */
    struct bytes pattern;  /* PCRE, searched unanchored in the entity's name; at most POLICY_PATTERN_MAX */
    struct bytes apply_to; /* the text, checked here; empty: all */
    int64_t priority;
    struct bytes definition; /* contents of a valid table: JSON integers as l, strings as S, ... */
    struct bytes json;       /* the definition as JSON text, kept for display only */
};

/* A policy of a set; strings are NUL-terminated and the set's, valid until the set changes. */
struct policy {
    enum policy_origin origin;
    const char *name;
    const char *pattern;
    enum policy_apply_to apply_to;
    int64_t priority;
    const char *json;
    struct bytes table; /* the definition as it was put */
    struct policy_definition definition;
};

#define POLICY_PATTERN_MAX 4096

/* Size of the buffer for a reason, as RabbitMQ words it after "Validation failed\n\n". */
#define POLICY_WHY_SIZE 512

/* "all", "queues", "classic_queues", ... */
const char *policy_apply_to_name(enum policy_apply_to apply_to);

/* An empty set: nothing applies to anything. */
struct policy_set *policy_set_new(void);

/* NULL is fine. */
void policy_set_free(struct policy_set *set);

/* Check SPEC and put it, replacing the one of the same origin and name. False, with the reason in WHY (9.5)
 * and the set as it was, when it is not valid. */
bool policy_set_put(struct policy_set *set, enum policy_origin origin, const struct policy_spec *spec,
                    char why[POLICY_WHY_SIZE]);

/* Remove a policy; false when there is none of that name. */
bool policy_set_remove(struct policy_set *set, enum policy_origin origin, struct bytes name);

/* The number of policies, and the INDEX-th of ORIGIN, the one that is asked first in front: highest priority,
 * of equals the lowest name (9.2). */
size_t policy_set_count(const struct policy_set *set, enum policy_origin origin);
const struct policy *policy_set_at(const struct policy_set *set, enum policy_origin origin, size_t index);

/* Find a policy by name; NULL when there is none. */
const struct policy *policy_set_find(const struct policy_set *set, enum policy_origin origin,
                                     struct bytes name);

/* Merge the one user policy and the one operator policy that apply to an entity (9.2, 9.3, 9.6) into *OUT,
 * and give their names (NULL where none applies). False, with *OUT empty, when neither applies. Names and the
 * strings in *OUT are the set's and valid until it changes: after each change the caller asks again for every
 * entity, as 9.2 wants anyway. */
bool policy_effective(const struct policy_set *set, enum policy_target target, struct bytes name,
                      struct policy_definition *out, const char **policy_name,
                      const char **operator_policy_name);

/* Append the same as the contents of a table, for people: with what has no effect here. */
void policy_effective_table(const struct policy_set *set, enum policy_target target, struct bytes name,
                            struct buffer *out);

#endif
