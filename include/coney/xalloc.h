/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that never returns NULL: when memory ends the process says so and aborts. What a peer can make
 * the broker allocate is bounded elsewhere (limits, memory alarm), so running out is an operating failure
 * that no caller could handle better. Memory is given back with free().
 */
#ifndef CONEY_XALLOC_H
#define CONEY_XALLOC_H

#include <stddef.h>

/* As malloc, calloc and realloc. A size of 0 gives a valid pointer. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *xrealloc(void *old, size_t size) __attribute__((returns_nonnull, alloc_size(2)));

/* A copy of SIZE octets at DATA. */
void *xmemdup(const void *data, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(2)));

/* A copy of the string TEXT. */
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));

#endif
