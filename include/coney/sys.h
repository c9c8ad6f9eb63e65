/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store asks of the system: files, and nothing else, through one table of functions, so that tests
 * can fail the n-th call, tear a write, and lose what was not synced.
 *
 * All functions may be called from any thread; two threads never use one file at the same time except for
 * reading. Errors are negative errno values. Paths are as given to sys_open().
 */
#ifndef CONEY_SYS_H
#define CONEY_SYS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct sys;
struct sys_file;

enum sys_open_flag {
    SYS_READ = 1, /* SYS_WRITE alone implies it */
    SYS_WRITE = 2,
    SYS_CREATE = 4,    /* if it is not there; mode 0600 */
    SYS_EXCLUSIVE = 8, /* with SYS_CREATE: it must not be there */
    SYS_TRUNCATE = 16,
    SYS_DIRECT = 32, /* aligned writes (address, size and offset) may go past the cache */
};

#define SYS_ALIGNMENT 512 /* what most devices take; where one wants more, the cache is used */

struct sys_ops {
    int (*open)(struct sys *sys, const char *path, unsigned flags, struct sys_file **file);
    void (*close)(struct sys *sys, struct sys_file *file);
    /* Octets read; fewer than SIZE only at the end of the file. */
    ssize_t (*read)(struct sys *sys, struct sys_file *file, void *to, size_t size, uint64_t offset);
    /* All of the parts, or an error: short writes are continued here. */
    int (*write)(struct sys *sys, struct sys_file *file, const struct iovec *parts, int count,
                 uint64_t offset);
    /* fdatasync: what was written, and the size, are on stable storage. */
    int (*sync)(struct sys *sys, struct sys_file *file);
    int (*truncate)(struct sys *sys, struct sys_file *file, uint64_t size);
    int64_t (*size)(struct sys *sys, struct sys_file *file); /* or a negative errno */
    int (*rename)(struct sys *sys, const char *from, const char *to);
    int (*unlink)(struct sys *sys, const char *path);
    /* Names made, changed or removed in FOLDER are on stable storage. */
    int (*sync_folder)(struct sys *sys, const char *folder);
    int (*make_folder)(struct sys *sys, const char *path); /* 0 too when it is there */
    /* EACH is called with the name of every entry but . and .., in no order. */
    int (*list)(struct sys *sys, const char *folder, void (*each)(void *context, const char *name),
                void *context);
    /* Take an exclusive lock that lasts until FILE is closed or the process ends: -EWOULDBLOCK when another
     * has it. */
    int (*lock)(struct sys *sys, struct sys_file *file);
    /* Octets that an unprivileged process may still write in FOLDER, or a negative errno. */
    int64_t (*room)(struct sys *sys, const char *folder);
    void (*free)(struct sys *sys);
};

struct sys {
    const struct sys_ops *ops;
};

/* The real one. */
struct sys *sys_posix_new(void);

static inline int sys_open(struct sys *sys, const char *path, unsigned flags, struct sys_file **file)
{
    return sys->ops->open(sys, path, flags, file);
}

static inline void sys_close(struct sys *sys, struct sys_file *file)
{
    if (file)
        sys->ops->close(sys, file);
}

static inline ssize_t sys_read(struct sys *sys, struct sys_file *file, void *to, size_t size, uint64_t offset)
{
    return sys->ops->read(sys, file, to, size, offset);
}

static inline int sys_writev(struct sys *sys, struct sys_file *file, const struct iovec *parts, int count,
                             uint64_t offset)
{
    return sys->ops->write(sys, file, parts, count, offset);
}

static inline int sys_write(struct sys *sys, struct sys_file *file, const void *from, size_t size,
                            uint64_t offset)
{
    struct iovec part = {(void *)(uintptr_t)from, size};

    return sys->ops->write(sys, file, &part, 1, offset);
}

static inline int sys_sync(struct sys *sys, struct sys_file *file)
{
    return sys->ops->sync(sys, file);
}

static inline int sys_truncate(struct sys *sys, struct sys_file *file, uint64_t size)
{
    return sys->ops->truncate(sys, file, size);
}

static inline int64_t sys_size(struct sys *sys, struct sys_file *file)
{
    return sys->ops->size(sys, file);
}

static inline int sys_rename(struct sys *sys, const char *from, const char *to)
{
    return sys->ops->rename(sys, from, to);
}

static inline int sys_unlink(struct sys *sys, const char *path)
{
    return sys->ops->unlink(sys, path);
}

static inline int sys_sync_folder(struct sys *sys, const char *folder)
{
    return sys->ops->sync_folder(sys, folder);
}

static inline int sys_make_folder(struct sys *sys, const char *path)
{
    return sys->ops->make_folder(sys, path);
}

static inline int sys_list(struct sys *sys, const char *folder, void (*each)(void *context, const char *name),
                           void *context)
{
    return sys->ops->list(sys, folder, each, context);
}

static inline int sys_lock(struct sys *sys, struct sys_file *file)
{
    return sys->ops->lock(sys, file);
}

static inline int64_t sys_room(struct sys *sys, const char *folder)
{
    return sys->ops->room(sys, folder);
}

/* Tell whether ERROR, negative, says that no descriptor is left: it passes when somebody closes one. */
static inline bool sys_lacks_descriptors(int error)
{
    return error == -EMFILE || error == -ENFILE;
}

static inline void sys_free(struct sys *sys)
{
    if (sys)
        sys->ops->free(sys);
}

#endif
