/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXHAUSTIVE: 1 where tests try every octet, call or seed there is. 0 under the thread sanitizer: it makes a
 * try fifty times as dear, and what it can find does not depend on which octet of a file was flipped. Such
 * tests are disabled there or take some seeds; the other builds run them whole.
 *
 * OCTET_STRIDE: of the octets that a test changes one by one, every so-manieth is tried. 1 but under the
 * address sanitizer, where each try maps and unmaps memory; 7 shares no factor with the 8 bits, so that all
 * of them get their turn.
 */
#ifndef TESTS_STORE_EXHAUSTIVE_H
#define TESTS_STORE_EXHAUSTIVE_H

#define EXHAUSTIVE   1
#define OCTET_STRIDE 1
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef EXHAUSTIVE
#define EXHAUSTIVE 0
#endif
#if __has_feature(address_sanitizer)
#undef OCTET_STRIDE
#define OCTET_STRIDE 7
#endif
#endif

#endif
