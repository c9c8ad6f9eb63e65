/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for the message path: small blocks in size classes, from pages that belong to the thread that
 * allocated them.
 *
 * Each thread has a pool of its own, made at its first allocation, so neither call takes a lock. A block may
 * be freed by any thread: blocks of another thread's pages are collected and go home in bulk with
 * pool_flush(), which a thread calls when it has finished a run of work (a loop: before it sleeps). Pages
 * that are empty go back to the system beyond a small reserve.
 *
 * Blocks are aligned to 16 octets. Running out of memory aborts, as with xalloc.h.
 */
#ifndef CONEY_POOL_H
#define CONEY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest block that comes from a page; larger ones are malloc's. */
#define POOL_BLOCK_MAX 16384

/* A block of at least SIZE octets, not cleared. */
void *pool_alloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));

/* The same, cleared. */
void *pool_calloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));

/* Give back MEMORY, which pool_alloc(SIZE) returned to any thread; NULL does nothing. */
void pool_free(void *memory, size_t size);

/* The same for sizes that a peer chooses: NULL when the system refuses so much. */
void *pool_try_alloc(size_t size);

/* Make BLOCK, of SIZE, one of LARGER: the octets of the old one are kept. Both above POOL_BLOCK_MAX cost no
 * copy where the system can move pages. NULL when the system refuses so much: then BLOCK is as it was. */
void *pool_try_grow(void *block, size_t size, size_t larger);

/* Octets that a block of SIZE really occupies: what accounting must use. */
size_t pool_block_size(size_t size);

/* Hand blocks of other threads' pages back to their owners, and take back what others have freed. Tells
 * whether no block of this thread's is left anywhere: else a thread that sleeps long should look again now
 * and then. */
bool pool_flush(void);

/* Octets of pages and large blocks in use by all threads; may be read from any thread. */
uint64_t pool_bytes_in_use(void);

/* The part of it that is malloc's, and which malloc counts too. */
uint64_t pool_large_bytes_in_use(void);

#endif
