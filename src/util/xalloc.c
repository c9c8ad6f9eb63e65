/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that aborts when memory ends; see xalloc.h for why. */
#include "coney/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory, size_t size)
{
    if (memory == NULL) {
        fprintf(stderr, "out of memory: %zu octets asked for\n", size);
        abort();
    }
    return memory;
}

void *xmalloc(size_t size)
{
    return must(malloc(size != 0 ? size : 1), size);
}

void *xcalloc(size_t count, size_t size)
{
    if (count == 0 || size == 0)
        count = size = 1;
    return must(calloc(count, size), size);
}

void *xrealloc(void *old, size_t size)
{
    return must(realloc(old, size != 0 ? size : 1), size);
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
