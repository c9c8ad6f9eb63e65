/* SPDX-License-Identifier: Apache-2.0 */
/* uthash with xalloc.h's memory: by itself it ends the process without a word when there is none. */
#ifndef CONEY_HASH_H
#define CONEY_HASH_H

#include "coney/xalloc.h"

#undef uthash_malloc
#define uthash_malloc(size) xmalloc(size)

#include <uthash.h>

#endif
