/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk behind sys_fake: for each file and name what a program sees now, what is stable, and the changes
 * that lie between the two, in order. A sync makes changes stable; a power loss lets each of them survive or
 * not.
 *
 * A file has one name at most, folders are names like others. No locking here, and no checks of handles.
 */
#ifndef TESTS_SYS_FAKE_DISK_H
#define TESTS_SYS_FAKE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/random.h"

#define DISK_SECTOR   512  /* what is written at once, or torn */
#define DISK_BLOCK    4096 /* what space is given out in */
#define DISK_FILE_MAX (UINT64_C(1) << 30)

struct image {
    uint8_t *octets; /* zeros from size on */
    uint64_t size, room;
};

/* To the content of one file: octets written at OFFSET, or (data NULL) cut or extended to OFFSET. */
struct change {
    uint64_t offset, size;
    uint8_t *data;
    bool shrinks;
};

struct inode {
    struct inode *next;
    bool is_folder;
    bool named;            /* it has a name now */
    uint32_t opened;       /* handles */
    const void *locked_by; /* a handle, or NULL */
    struct image now, stable;
    struct change *changes;
    size_t change_count, change_room;
    bool *allocated; /* of each block of `now` */
    uint64_t allocated_room, allocated_count;
};

struct name {
    char *path;
    struct inode *inode;
};

struct names {
    struct name *list;
    size_t count, room;
};

/* To names: FROM no longer is INODE's name (if not NULL), TO is (if not NULL). */
struct move {
    char *from, *to;
    struct inode *inode;
};

struct disk {
    struct inode *inodes;
    struct names now, stable;
    struct move *moves;
    size_t move_count, move_room;
    uint64_t capacity; /* octets; 0: no limit */
};

void disk_clear(struct disk *disk);

/* Paths are without a trailing slash. NULL when there is none. "." and "/" are always there and have no
 * inode: ask disk_has_folder(). */
struct inode *disk_find(const struct disk *disk, const char *path);
bool disk_has_folder(const struct disk *disk, const char *path);

/* The folder that PATH is in: to be freed. */
char *disk_folder_of(const char *path);

struct inode *disk_create(struct disk *disk, const char *path, bool is_folder);
void disk_rename(struct disk *disk, const char *from, const char *to);
void disk_unlink(struct disk *disk, const char *path);
void disk_sync_folder(struct disk *disk, const char *folder);

/* Write as much as there is space for; returns how much. */
size_t disk_write(struct disk *disk, struct inode *inode, const uint8_t *data, size_t size, uint64_t offset);
void disk_truncate(struct inode *inode, uint64_t size);
void disk_sync(struct inode *inode);

/* What a failed sync leaves: each unsynced change of INODE is stable or never will be, though it still is
 * seen. */
void disk_sync_badly(struct inode *inode, struct random *random);

/* Octets that are taken, and those that are left. */
uint64_t disk_used(const struct disk *disk);
uint64_t disk_left(const struct disk *disk);

/* Free what has no name and no handle any more, and cannot come back. */
void disk_collect(struct disk *disk);

void disk_close_all(struct disk *disk);
void disk_power_loss(struct disk *disk, struct random *random);

#endif
