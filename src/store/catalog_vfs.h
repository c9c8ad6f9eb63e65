/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's way to the system for one catalog: a VFS that calls sys and nothing else, so that what tests do to
 * files they do to the catalog as well.
 */
#ifndef STORE_CATALOG_VFS_H
#define STORE_CATALOG_VFS_H

#include <stdint.h>

#include "coney/sys.h"

/* Pages have that many octets, of which the last ones are for checksums: who opens a database through this
 * VFS must tell SQLite, or nothing can be written. A page that does not have its checksum is
 * SQLITE_IOERR_DATA. */
#define CATALOG_VFS_PAGE     4096
#define CATALOG_VFS_RESERVED 4

struct catalog_vfs;

/* Register a VFS of its own for the files of a catalog in FOLDER; copies FOLDER, borrows SYS. NULL when
 * SQLite cannot (no memory). */
struct catalog_vfs *catalog_vfs_new(struct sys *sys, const char *folder);

/* All that was opened through it must be closed. NULL does nothing. */
void catalog_vfs_free(struct catalog_vfs *vfs);

/* The name to give to sqlite3_open_v2(). */
const char *catalog_vfs_name(const struct catalog_vfs *vfs);

/* What sys said last when it refused something, a negative errno; 0: nothing since the last forgetting. */
int catalog_vfs_error(const struct catalog_vfs *vfs);
void catalog_vfs_forget_error(struct catalog_vfs *vfs);

/* Where in the database was read last: the page that had a wrong checksum, or, of damage that SQLite finds,
 * the one that it was looking at. */
uint64_t catalog_vfs_last_read(const struct catalog_vfs *vfs);

#endif
