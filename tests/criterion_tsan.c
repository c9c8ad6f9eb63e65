/* SPDX-License-Identifier: Apache-2.0 */
/* criterion_tsan.c: let Criterion run under the thread sanitizer.
 *
 * Criterion maps the memory it shares with its test processes at an address of its own choice, which
 * it makes of rand_r(): 0x200000000000 + (rand_r() & 0x3fffff) * 2^24. The thread sanitizer allows a
 * program only some ranges, and nearly all of these addresses lie outside them: Criterion then stops with
 * "Could not initialize inheritable arena". This rand_r() stands in front of the C library's and
 * answers so that the addresses lie from 0x550100000000 on: allowed, and below where programs are loaded.
 * Only unit tests of a build with --enable-tsan contain this file. */
#include <stdlib.h>

int rand_r(unsigned int *seed)
{
    return 0x350100 + (int)((*seed)++ & 0xfff);
}
