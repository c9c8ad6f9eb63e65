/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that never returns NULL. What a peer can make the broker allocate is bounded elsewhere (limits,
 * memory alarm), so running out is an operating failure that no caller could handle better: the first time
 * the reserve is given back to the system and the allocation tried again, while xalloc_is_short() has
 * publishers held; when even that is gone the process says so and aborts. Memory is given back with free().
 */
#ifndef CONEY_XALLOC_H
#define CONEY_XALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* As malloc, calloc and realloc. A size of 0 gives a valid pointer. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *xrealloc(void *old, size_t size) __attribute__((returns_nonnull, alloc_size(2)));

/* As aligned_alloc. */
void *xaligned_alloc(size_t alignment, size_t size)
    __attribute__((malloc, returns_nonnull, alloc_align(1), alloc_size(2)));

/* A copy of SIZE octets at DATA. */
void *xmemdup(const void *data, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(2)));

/* A copy of the string TEXT. */
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));

/* A string of the SIZE octets at DATA. */
char *xstrndup(const void *data, size_t size) __attribute__((malloc, returns_nonnull));

/* Have SIZE octets that are asked of the system and not used, so that there is something left when it refuses
 * more. Costs address space, not memory. False: the system refuses it already. */
bool xalloc_keep_reserve(size_t size);

/* The system has refused memory: give it the reserve, if it is there. Then whoever was refused tries once
 * more. From any thread. */
void xalloc_refused(void);

/* Whether the reserve was given away and cannot be had again yet, which is tried. From any thread; costs next
 * to nothing while the reserve is there. */
bool xalloc_is_short(void);

#endif
