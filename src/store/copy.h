/* SPDX-License-Identifier: Apache-2.0 */
/* Octets from one file to another, through sys. */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include <stdint.h>

#include "coney/sys.h"

struct copy_pair {
    struct sys *sys;
    struct sys_file *from, *to;
};

/* SIZE octets at OFFSET of both. 0 or a negative errno; -ENODATA: there are not so many. */
int copy_octets_between(struct copy_pair *pair, uint64_t offset, uint64_t size);

/* Copy the file FROM as it is to TO, which must not be there, and sync it. 0 or a negative errno. */
int copy_file_whole(struct sys *sys, const char *from, const char *to);

#endif
