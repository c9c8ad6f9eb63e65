/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one user may do in one vhost: compiled configure, write and read patterns, and topic permissions
 * (exchanges-queues-bindings.md section 8).
 *
 * A pattern is a Perl-compatible regular expression without flags, searched unanchored in the octets of the
 * name. The empty pattern means ^$. A pattern that does not compile, and a match that would take more steps
 * than a fixed bound, denies: neither a hostile pattern nor a hostile name can burn CPU.
 *
 * A permission is counted with plain integers and its matcher has scratch memory of its own: all calls on one
 * object must come from one thread at a time. In the vhost that is whoever is inside (THREADS.md); the node
 * makes a new object for every vhost and user instead of sharing one.
 */
#ifndef CONEY_PERMISSION_H
#define CONEY_PERMISSION_H

#include <stdbool.h>
#include <stddef.h>

#include "coney/bytes.h"

struct permission;

enum permission_kind {
    PERMISSION_CONFIGURE,
    PERMISSION_WRITE,
    PERMISSION_READ,
};

/* Longest pattern; a longer one is invalid, so it denies. RabbitMQ has no bound. */
#define PERMISSION_PATTERN_MAX 4096

/* "configure", "write", "read": first word of the refusal's text (8.2, as of 3.12). */
const char *permission_kind_name(enum permission_kind kind);

/* Compile three patterns. The caller holds the only reference. Never fails: see above about invalid ones. */
struct permission *permission_new(struct bytes configure, struct bytes write, struct bytes read);

/* Take one more reference; returns PERMISSION. */
struct permission *permission_ref(struct permission *permission);

/* Give a reference back; the last one frees. NULL is fine. */
void permission_unref(struct permission *permission);

/* Tell whether NAME, of an exchange or a queue, is allowed. The empty name is the default exchange's and is
 * checked as "amq.default" here: callers pass names as they are. (A queue's name is never empty when it is
 * checked: it has been generated or replaced by the last declared one.) */
bool permission_allows(const struct permission *permission, enum permission_kind kind, struct bytes name);

/* Set the routing-key patterns for a topic exchange, replacing those it had. {username} and {vhost} in them
 * stand for USER and VHOST, literally: what is special in a pattern is escaped (8.3). */
void permission_set_topic(struct permission *permission, struct bytes exchange, struct bytes write,
                          struct bytes read, struct bytes user, struct bytes vhost);

/* Forget the topic permission for EXCHANGE; nothing happens when there is none. */
void permission_clear_topic(struct permission *permission, struct bytes exchange);

/* Tell whether there is any topic permission at all: without one, nothing else need be asked. */
bool permission_has_topics(const struct permission *permission);

/* Tell whether ROUTING_KEY is allowed on the topic exchange EXCHANGE: true when there is no record for it,
 * and for PERMISSION_CONFIGURE, which has no topic pattern. To be asked in addition to permission_allows(),
 * only for exchanges of type topic: on publish (write; for each key, CC and BCC too), on bind and unbind
 * (read, the binding key). */
bool permission_allows_topic(const struct permission *permission, struct bytes exchange,
                             enum permission_kind kind, struct bytes routing_key);

/* Tell whether PATTERN compiles; if not, write the reason (NUL-terminated) to WHY, which may be NULL. For
 * whoever stores permissions. */
bool permission_pattern_is_valid(struct bytes pattern, char *why, size_t why_size);

#endif
