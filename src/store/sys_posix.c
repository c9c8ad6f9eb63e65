/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.h on the real system. It keeps nothing but the descriptor of each file: no position, no buffer, no
 * error from before. What an interrupted or partial call left undone is done here, so that callers see all or
 * an error. A failed sync is never tried again: the kernel may have dropped what it could not write.
 */
#include "coney/sys.h"

#include "coney/xalloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct sys_file {
    int descriptor;
    int direct; /* the same file, past the page cache; -1: the filesystem cannot do that */
};

/* open(2), or a negative errno. */
static int open_descriptor(const char *path, int flags)
{
    int descriptor;

    do
        descriptor = open(path, flags | O_CLOEXEC, 0600);
    while (descriptor < 0 && errno == EINTR);
    return descriptor < 0 ? -errno : descriptor;
}

static int posix_open(struct sys *sys, const char *path, unsigned flags, struct sys_file **file)
{
    int how = flags & SYS_WRITE ? O_RDWR : O_RDONLY;
    int descriptor;

    (void)sys;
    how |= flags & SYS_CREATE ? O_CREAT : 0;
    how |= flags & SYS_EXCLUSIVE ? O_EXCL : 0;
    how |= flags & SYS_TRUNCATE ? O_TRUNC : 0;
    descriptor = open_descriptor(path, how);
    if (descriptor < 0)
        return descriptor;
    *file = xmalloc(sizeof **file);
    (*file)->descriptor = descriptor;
    (*file)->direct = flags & SYS_DIRECT ? open_descriptor(path, O_WRONLY | O_DIRECT) : -1;
    return 0;
}

static void posix_close(struct sys *sys, struct sys_file *file)
{
    (void)sys;
    close(file->descriptor);
    if (file->direct >= 0)
        close(file->direct);
    free(file);
}

static ssize_t posix_read(struct sys *sys, struct sys_file *file, void *to, size_t size, uint64_t offset)
{
    size_t done = 0;

    (void)sys;
    while (done < size) {
        ssize_t n = pread(file->descriptor, (uint8_t *)to + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)done;
}

/* Write something of PARTS (the first of them without its first SKIP octets), which are not empty. */
static ssize_t write_some(int descriptor, const struct iovec *parts, int count, size_t skip, uint64_t offset)
{
    if (skip)
        return pwrite(descriptor, (const uint8_t *)parts->iov_base + skip, parts->iov_len - skip,
                      (off_t)offset);
    return pwritev(descriptor, parts, count < IOV_MAX ? count : IOV_MAX, (off_t)offset);
}

static bool is_aligned(const struct iovec *part, size_t skip, uint64_t offset)
{
    return !(((uintptr_t)part->iov_base + skip) % SYS_ALIGNMENT) &&
           !((part->iov_len - skip) % SYS_ALIGNMENT) && !(offset % SYS_ALIGNMENT);
}

/* Write past the cache what may go there, else through it. A device with sectors that are larger than
 * SYS_ALIGNMENT refuses the former; then it is not tried again. */
static ssize_t write_best(struct sys_file *file, const struct iovec *parts, int count, size_t skip,
                          uint64_t offset)
{
    ssize_t n;

    if (file->direct < 0 || count != 1 || !is_aligned(parts, skip, offset))
        return write_some(file->descriptor, parts, count, skip, offset);
    n = write_some(file->direct, parts, count, skip, offset);
    if (n >= 0 || errno != EINVAL)
        return n;
    close(file->direct);
    file->direct = -1;
    return write_some(file->descriptor, parts, count, skip, offset);
}

static int posix_write(struct sys *sys, struct sys_file *file, const struct iovec *parts, int count,
                       uint64_t offset)
{
    size_t done = 0; /* of the first part */

    (void)sys;
    for (;;) {
        ssize_t n;

        while (count > 0 && done >= parts->iov_len) {
            done -= parts->iov_len;
            parts++;
            count--;
        }
        if (count == 0)
            return 0;
        n = write_best(file, parts, count, done, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
        offset += (uint64_t)n;
    }
}

static int posix_sync(struct sys *sys, struct sys_file *file)
{
    (void)sys;
    return fdatasync(file->descriptor) < 0 ? -errno : 0;
}

static int posix_truncate(struct sys *sys, struct sys_file *file, uint64_t size)
{
    int result;

    (void)sys;
    do
        result = ftruncate(file->descriptor, (off_t)size);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

static int64_t posix_size(struct sys *sys, struct sys_file *file)
{
    struct stat info;

    (void)sys;
    return fstat(file->descriptor, &info) < 0 ? -errno : info.st_size;
}

static int posix_rename(struct sys *sys, const char *from, const char *to)
{
    (void)sys;
    return rename(from, to) < 0 ? -errno : 0;
}

static int posix_unlink(struct sys *sys, const char *path)
{
    (void)sys;
    return unlink(path) < 0 ? -errno : 0;
}

static int posix_sync_folder(struct sys *sys, const char *folder)
{
    int descriptor = open_descriptor(folder, O_RDONLY | O_DIRECTORY);
    int result;

    (void)sys;
    if (descriptor < 0)
        return descriptor;
    result = fsync(descriptor) < 0 ? -errno : 0;
    close(descriptor);
    return result;
}

static int posix_make_folder(struct sys *sys, const char *path)
{
    struct stat info;

    (void)sys;
    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (stat(path, &info) < 0)
        return -errno;
    return S_ISDIR(info.st_mode) ? 0 : -ENOTDIR;
}

static int posix_list(struct sys *sys, const char *folder, void (*each)(void *context, const char *name),
                      void *context)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    int error;

    (void)sys;
    if (!entries)
        return -errno;
    while (errno = 0, entry = readdir(entries)) {
        const char *name = entry->d_name;

        if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
            continue;
        each(context, name);
    }
    error = errno;
    closedir(entries);
    return -error;
}

static int posix_lock(struct sys *sys, struct sys_file *file)
{
    int result;

    (void)sys;
    do
        result = flock(file->descriptor, LOCK_EX | LOCK_NB);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

static int64_t posix_room(struct sys *sys, const char *folder)
{
    struct statvfs info;
    uint64_t octets;

    (void)sys;
    if (statvfs(folder, &info) < 0)
        return -errno;
    if (__builtin_mul_overflow((uint64_t)info.f_bavail, (uint64_t)info.f_frsize, &octets) ||
        octets > INT64_MAX)
        return INT64_MAX;
    return (int64_t)octets;
}

static void posix_free(struct sys *sys)
{
    (void)sys;
}

static const struct sys_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .sync = posix_sync,
    .truncate = posix_truncate,
    .size = posix_size,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .sync_folder = posix_sync_folder,
    .make_folder = posix_make_folder,
    .list = posix_list,
    .lock = posix_lock,
    .room = posix_room,
    .free = posix_free,
};

struct sys *sys_posix_new(void)
{
    static struct sys posix = {&posix_ops};

    return &posix;
}
