/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file `format` of a data directory: in words, which versions of coney can read it (doc/FORMAT.md,
 * "format").
 *
 * Each kind of file has a version of its own and is refused by who does not know that; this file is there to
 * say so before anything is opened, and to name the version that is needed. So it is no error if it is
 * missing, as in directories that are older than it, or cannot be written.
 */
#ifndef STORE_FORMAT_H
#define STORE_FORMAT_H

#include <stddef.h>

#include "coney/sys.h"

/* Of the directory as a whole: one more whenever an older coney would refuse a file of it. */
#define FORMAT_VERSION 3
/* The first coney that reads directories of FORMAT_VERSION. */
#define FORMAT_READER "0.1.0"

/* Look whether FOLDER may be read: 0, or -ENOTSUP with WHY. */
int format_check(struct sys *sys, const char *folder, char *why, size_t why_size);

/* FOLDER is of FORMAT_VERSION now: write that down, if it is not. */
void format_write(struct sys *sys, const char *folder);

#endif
