/* SPDX-License-Identifier: Apache-2.0 */
/* criterion_sanitized.c: let Criterion and the sanitizers get along. Part of unit tests in sanitizer builds
 * only.
 *
 * Criterion maps the memory that it shares with its test processes at an address of its own choice, which it
 * makes of rand_r(): 0x200000000000 + (rand_r() & 0x3fffff) * 2^24. The thread sanitizer allows a program
 * only some ranges, and nearly all of these addresses lie outside them: Criterion then stops with "Could not
 * initialize inheritable arena". This rand_r() stands in front of the C library's and answers so that the
 * addresses lie from 0x550100000000 on: allowed, and below where programs are loaded.
 *
 * Criterion's parent process sometimes ends with something of its own unfreed. Tests run in its children,
 * which it tells where to find that memory in BXFI_MAP: only there leaks are looked for. */
#include <stdlib.h>

int __lsan_is_turned_off(void);

int rand_r(unsigned int *seed)
{
    return 0x350100 + (int)((*seed)++ & 0xfff);
}

/* The leak sanitizer asks at the end of a process. */
int __lsan_is_turned_off(void)
{
    return getenv("BXFI_MAP") == NULL;
}
