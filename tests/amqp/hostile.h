/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests with hostile octets: a copy that ends exactly where its memory ends, so that the address
 * sanitizer sees the first octet read too far, and a generator of reproducible octets.
 */
#ifndef CONEY_TESTS_AMQP_HOSTILE_H
#define CONEY_TESTS_AMQP_HOSTILE_H

#include <stdint.h>
#include <stdlib.h>

#include "coney/bytes.h"
#include "coney/xalloc.h"

/* The first SIZE octets of DATA in memory of their own; free with free_copy(). */
static inline struct bytes copy_of(const void *data, size_t size)
{
    return (struct bytes){xmemdup(data, size), size};
}

static inline void free_copy(struct bytes copy)
{
    free((void *)(uintptr_t)copy.data);
}

/* xorshift64*: the same octets on every run. *STATE must not be 0. */
static inline uint32_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * 0x2545F4914F6CDD1D) >> 32);
}

#endif
