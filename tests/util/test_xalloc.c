/* SPDX-License-Identifier: Apache-2.0 */
/* xalloc.h: the reserve. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "coney/pool.h"
#include "coney/xalloc.h"

#define MIB     ((size_t)1 << 20)
#define RESERVE (64 * MIB)
#define LARGE   (32 * MIB) /* more than is free, less than the reserve */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* A sanitizer needs all address space: what is limited here is tested in the plain build. */
TestSuite(xalloc, .disabled = IS_SANITIZED);

static void limit_to(rlim_t size)
{
    struct rlimit limit = {size, RLIM_INFINITY};

    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* Have the reserve, and let the system refuse nearly everything from now on. */
static void be_short(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;

    cr_assert(xalloc_keep_reserve(RESERVE));
    cr_assert_not(xalloc_is_short());
    cr_assert(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    limit_to(pages * (rlim_t)sysconf(_SC_PAGESIZE) + MIB);
}

static void check_short(void *memory)
{
    cr_assert(memory);
    cr_assert(xalloc_is_short());
    free(memory);
    limit_to(RLIM_INFINITY);
    cr_assert_not(xalloc_is_short());
    cr_assert_not(xalloc_is_short());
}

Test(xalloc, malloc_takes_the_reserve)
{
    be_short();
    check_short(xmalloc(LARGE));
}

Test(xalloc, calloc_takes_the_reserve)
{
    be_short();
    check_short(xcalloc(LARGE, 1));
}

Test(xalloc, aligned_alloc_takes_the_reserve)
{
    be_short();
    check_short(xaligned_alloc(4096, LARGE));
}

Test(xalloc, realloc_takes_the_reserve_and_keeps_what_was_there)
{
    char *memory;

    memory = xstrdup("kept");
    be_short();
    memory = xrealloc(memory, LARGE);
    cr_assert_str_eq(memory, "kept");
    check_short(memory);
}

Test(xalloc, pools_take_the_reserve)
{
    be_short();
    while (!xalloc_is_short())
        cr_assert(pool_alloc(POOL_BLOCK_MAX));
    limit_to(RLIM_INFINITY);
    cr_assert_not(xalloc_is_short());
}

Test(xalloc, ends_when_the_reserve_is_not_enough, .signal = SIGABRT)
{
    be_short();
    xmalloc(4 * RESERVE);
}
