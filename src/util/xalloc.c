/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that gives up a reserve, and then aborts, when memory ends; see xalloc.h for why. */
#include "coney/xalloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- the reserve ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *reserve; /* NULL: given away, or there never was one */
static size_t reserve_size;
static _Atomic bool is_given_away;

/* With `lock`. Nothing is ever written there, so that it takes no memory. */
static bool have_reserve(void)
{
    void *mapped = mmap(NULL, reserve_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    reserve = mapped == MAP_FAILED ? NULL : mapped;
    return reserve;
}

bool xalloc_keep_reserve(size_t size)
{
    bool done;

    pthread_mutex_lock(&lock);
    if (reserve)
        munmap(reserve, reserve_size);
    reserve_size = size;
    done = have_reserve();
    pthread_mutex_unlock(&lock);
    return done;
}

void xalloc_refused(void)
{
    pthread_mutex_lock(&lock);
    if (reserve) {
        munmap(reserve, reserve_size);
        reserve = NULL;
        atomic_store(&is_given_away, true);
        fputs("out of memory: the reserve is used now\n", stderr);
    }
    pthread_mutex_unlock(&lock);
}

bool xalloc_is_short(void)
{
    bool is_short;

    if (!atomic_load_explicit(&is_given_away, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&lock);
    is_short = !reserve && !have_reserve();
    atomic_store(&is_given_away, is_short);
    pthread_mutex_unlock(&lock);
    return is_short;
}

/* ---- allocation ---- */

static void end_without(size_t size) __attribute__((noreturn));

static void end_without(size_t size)
{
    fprintf(stderr, "out of memory: %zu octets asked for\n", size);
    abort();
}

/* Try once more what was refused, now with the reserve: calloc(), or realloc(), which is malloc() without
 * OLD. */
static void *retry(void *old, size_t count, size_t size, bool is_zeroed)
{
    void *memory;

    xalloc_refused();
    memory = is_zeroed ? calloc(count, size) : realloc(old, count * size);
    if (memory == NULL)
        end_without(count * size);
    return memory;
}

void *xmalloc(size_t size)
{
    size_t least = size != 0 ? size : 1;
    void *memory = malloc(least);

    if (memory == NULL)
        memory = retry(NULL, 1, least, false);
    return memory;
}

void *xcalloc(size_t count, size_t size)
{
    void *memory;

    if (count == 0 || size == 0)
        count = size = 1;
    memory = calloc(count, size);
    if (memory == NULL)
        memory = retry(NULL, count, size, true);
    return memory;
}

void *xrealloc(void *old, size_t size)
{
    size_t least = size != 0 ? size : 1;
    void *memory = realloc(old, least);

    if (memory == NULL)
        memory = retry(old, 1, least, false);
    return memory;
}

void *xaligned_alloc(size_t alignment, size_t size)
{
    void *memory = aligned_alloc(alignment, size);

    if (memory == NULL) {
        xalloc_refused();
        memory = aligned_alloc(alignment, size);
    }
    if (memory == NULL)
        end_without(size);
    return memory;
}

void *xmemdup(const void *data, size_t size)
{
    void *copy = xmalloc(size);

    return size != 0 ? memcpy(copy, data, size) : copy;
}

char *xstrdup(const char *text)
{
    return xmemdup(text, strlen(text) + 1);
}

char *xstrndup(const void *data, size_t size)
{
    char *text = xmalloc(size + 1);

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}
