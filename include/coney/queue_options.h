/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue arguments: from the table of queue.declare to typed values, checked; compared on redeclare; combined
 * with a policy. Spec: queue-features.md 1, 7.1 and 9.4, exchanges-queues-bindings.md 6. All texts are
 * RabbitMQ's.
 *
 * The order of a declare, for a queue that does not exist yet (6.1):
 *
 *     queue_options_server_named()           when the name is empty, before one is made
 *     (configure permission; existing queue: queue_arguments_equivalent(), done)
 *     queue_options_dead_letter_exchange()   then read and write permission, if there is one
 *     queue_options_parse()
 *     (the vhost's queue limit)
 *     queue_options_check_properties()
 *
 * Where coney differs from RabbitMQ: x-delivery-limit is known to classic queues too, and x-queue-type stream
 * is refused with 540 until stream queues exist.
 */
#ifndef CONEY_QUEUE_OPTIONS_H
#define CONEY_QUEUE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"
#include "coney/reply_error.h"

struct policy_definition;

enum queue_type {
    QUEUE_CLASSIC,
    QUEUE_QUORUM,
    QUEUE_STREAM, /* known so that it can be refused; no queue is ever of this type */
};

enum queue_overflow {
    QUEUE_OVERFLOW_DROP_HEAD,
    QUEUE_OVERFLOW_REJECT_PUBLISH,
    QUEUE_OVERFLOW_REJECT_PUBLISH_DLX,
};

/* 10 years in ms: the longest TTL and expiry of an argument or of a message's expiration. */
#define QUEUE_DURATION_MAX INT64_C(315360000000)

/* No limit, no TTL, no timeout: where zero means something. */
#define QUEUE_OPTION_NONE (-1)

/* What a declare asks for, beside its arguments. */
struct queue_declare {
    struct bytes name;  /* of the queue, after a server-made name was put in */
    struct bytes vhost; /* for texts */
    bool durable;       /* as sent; exclusive wins over it (6.1) */
    bool exclusive;
    bool auto_delete;
    enum queue_type default_type; /* of the vhost or node, for a declare without x-queue-type (1.4) */
};

struct queue_options {
    enum queue_type type;
    /* The type came from the default and is not classic: the queue's stored arguments get an x-queue-type
     * (1.4, FOLLOW), see queue_options_store_type(). */
    bool type_from_default;

    int64_t message_ttl;      /* ms, 0 is a value; QUEUE_OPTION_NONE, as for the next four */
    int64_t expires;          /* ms, from 1 */
    int64_t max_length;       /* ready messages, 0 is a value */
    int64_t max_length_bytes; /* of ready bodies, 0 is a value */
    int64_t consumer_timeout; /* ms; of the queue alone, the node's default is not in here */

    bool has_delivery_limit;
    int64_t delivery_limit; /* negative: unlimited */

    bool has_overflow; /* false: overflow is QUEUE_OVERFLOW_DROP_HEAD */
    enum queue_overflow overflow;

    uint8_t max_priority; /* 0: no priorities */
    bool single_active;
    bool relaxed; /* what lasts is confirmed when it is written, and synced a little later */

    bool has_dead_letter_exchange;
    bool has_dead_letter_routing_key;
    struct bytes
        dead_letter_exchange; /* empty: the default exchange. Borrowed from the arguments or the policy */
    struct bytes dead_letter_routing_key;
};

/* "classic", "quorum", "stream". */
const char *queue_type_name(enum queue_type type);

/* The type by its name; false for any other text. */
bool queue_type_from_name(struct bytes name, enum queue_type *out);

/* The overflow by its name: "drop-head", "reject-publish", "reject-publish-dlx"; false for any other text. */
bool queue_overflow_from_name(struct bytes name, enum queue_overflow *out);

/* Check that a queue with these ARGUMENTS may have a name made by the server; else 406 "Cannot declare a
 * server-named queue for type rabbit_quorum_queue". Arguments that are wrong otherwise pass here. */
bool queue_options_server_named(struct bytes arguments, const struct queue_declare *declare,
                                struct reply_error *error);

/* Give x-dead-letter-exchange, if present, to *EXCHANGE (borrowed from ARGUMENTS) and set *PRESENT. False
 * with 406 when it is no longstr: this alone is checked before the permissions on it (6.1 step 4). */
bool queue_options_dead_letter_exchange(struct bytes arguments, const struct queue_declare *declare,
                                        bool *present, struct bytes *exchange, struct reply_error *error);

/* Check ARGUMENTS (a valid table's contents) and translate them. False with 406, or 540 for stream. Strings
 * in OUT are borrowed from ARGUMENTS. */
bool queue_options_parse(struct queue_options *out, struct bytes arguments,
                         const struct queue_declare *declare, struct reply_error *error);

/* Check durable, exclusive and auto_delete against the type: 406 "invalid property 'non-durable' for queue
 * ..." (1.3). */
bool queue_options_check_properties(const struct queue_options *options, const struct queue_declare *declare,
                                    struct reply_error *error);

/* Append the contents of the table that the queue keeps and shows: ARGUMENTS, and x-queue-type when
 * options->type_from_default. */
void queue_options_store_type(struct buffer *out, const struct queue_options *options,
                              struct bytes arguments);

/* Compare the arguments of an existing queue of type CURRENT_TYPE with those RECEIVED in a redeclare: those
 * known to the queue's type, by value, whatever the integer's width (1.5). 406 "inequivalent arg ..." for the
 * first that differs. The flags are the caller's: see reply_error_check_flag(). */
bool queue_arguments_equivalent(struct bytes current, enum queue_type current_type, struct bytes received,
                                const struct queue_declare *declare, struct reply_error *error);

/* The same for an exchange, of whose arguments only alternate-exchange counts (3.3). */
bool exchange_arguments_equivalent(struct bytes current, struct bytes received, struct bytes name,
                                   struct bytes vhost, struct reply_error *error);

/* Read an exchange's alternate-exchange, as queue_options_dead_letter_exchange() does: 406 "invalid type
 * 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'" (3.1 step 6). */
bool exchange_options_alternate(struct bytes arguments, struct bytes name, struct bytes vhost, bool *present,
                                struct bytes *alternate, struct reply_error *error);

/* What is in force: the arguments combined with the merged policy (9.4; NULL or an empty one: none). Overflow
 * reject-publish-dlx on a quorum queue becomes drop-head (2.9), and a routing key without a dead-letter
 * exchange is gone (9.7). Durability is the policy's, else what ARGUMENTS have (the vhost's). has_overflow
 * and has_delivery_limit then say whether either side gave one. Strings are borrowed from ARGUMENTS' and
 * POLICY's owners. OUT may be ARGUMENTS itself. */
void queue_options_effective(struct queue_options *out, const struct queue_options *arguments,
                             const struct policy_definition *policy);

#endif
