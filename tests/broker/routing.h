/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One exchange and queues bound to it, for tests of exchange types:
 *
 *     struct routing *r = routing_new("topic", NO_ARGUMENTS);
 *     bind_queue(r, "q1", "a.*", NO_ARGUMENTS);
 *     cr_expect_str_eq(publish(r, "a.b"), "q1");
 *
 * Chance is a fixed sequence, so every run is the same.
 */
#ifndef TESTS_BROKER_ROUTING_H
#define TESTS_BROKER_ROUTING_H

#include <unistd.h>

#include "arguments.h"
#include "coney/properties.h"
#include "coney/vhost.h"

struct exchange;

struct routing {
    struct vhost *vhost;
    struct exchange *exchange;
    struct reply_error error; /* of the last bind that was refused */
    char found[512];
};

/* Let the signal of an alarm end a test that takes too long; Criterion's own .timeout leaks memory, which the
 * address sanitizer reports. */
static inline void fail_after_s(unsigned seconds)
{
    alarm(seconds);
}

/* An exchange of TYPE; the test fails if that is refused. */
struct routing *routing_new(const char *type, struct arguments arguments);

/* The same, but NULL with *ERROR set if it is refused. */
struct routing *routing_try_new(const char *type, struct arguments arguments, struct reply_error *error);

void routing_free(struct routing *r);

/* Bind QUEUE, which is declared if need be. */
void bind_queue(struct routing *r, const char *queue, const char *key, struct arguments arguments);

/* The same, but false with r->error set if it is refused. */
bool try_bind_queue(struct routing *r, const char *queue, const char *key, struct arguments arguments);

void unbind_queue(struct routing *r, const char *queue, const char *key, struct arguments arguments);

/* The names of the queues that a message gets to, sorted, with blanks between; "" for none. Valid until the
 * next call. */
const char *publish(struct routing *r, const char *key);
const char *publish_keys(struct routing *r, const struct bytes *keys, unsigned count);
const char *publish_headers(struct routing *r, struct arguments headers);
const char *publish_properties(struct routing *r, const char *key, const struct properties *properties);

#endif
