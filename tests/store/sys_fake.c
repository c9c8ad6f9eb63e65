/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys_fake.h: the calls. Each holds the one mutex, asks admit() whether it shall fail, then works on the disk
 * (sys_fake_disk.h). A handle knows the life in which it was opened; a power loss or kill starts the next.
 */
#include "sys_fake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "sys_fake_disk.h"

struct sys_file {
    struct sys_file *next;
    struct inode *inode; /* valid in this life alone */
    uint64_t life;
    bool writable;
};

struct sys_fake {
    struct sys sys;
    pthread_mutex_t mutex; /* guards all below */
    struct disk disk;
    struct sys_file *files;
    struct random random;
    uint64_t life;
    uint64_t fail_in; /* calls that may fail with `error`, the failing one included; 0: none is to fail */
    int error;
    bool has_failed;
    uint64_t stop_in; /* calls, the first that is stopped included; 0: none is */
    bool is_stopped;
    struct sys_fake_counters counters;
    void (*on_sync)(void *context);
    void *on_sync_context;
};

enum call {
    CALL_OPEN = 1,
    CALL_CREATE = 2,
    CALL_READ = 4,
    CALL_WRITE = 8,
    CALL_SYNC = 16,
    CALL_TRUNCATE = 32,
    CALL_SIZE = 64,
    CALL_RENAME = 128,
    CALL_UNLINK = 256,
    CALL_SYNC_FOLDER = 512,
    CALL_MAKE_FOLDER = 1024,
    CALL_LIST = 2048,
    CALL_LOCK = 4096,
    CALL_ROOM = 8192,
};

static bool may_fail(enum call call, int error)
{
    switch (error) {
    case EMFILE:
        return call & (CALL_OPEN | CALL_CREATE | CALL_SYNC_FOLDER | CALL_LIST);
    case ENOSPC:
        return call & (CALL_CREATE | CALL_WRITE | CALL_RENAME | CALL_MAKE_FOLDER);
    default:
        return !(call & (CALL_LOCK | CALL_ROOM));
    }
}

/* 0, or the negative errno that CALL shall return now. */
static int admit(struct sys_fake *fake, enum call call)
{
    fake->counters.calls++;
    if (fake->stop_in && --fake->stop_in == 0)
        fake->is_stopped = true;
    if (fake->is_stopped)
        return -EIO;
    if (fake->fail_in && may_fail(call, fake->error) && --fake->fail_in == 0) {
        fake->has_failed = true;
        return -fake->error;
    }
    return 0;
}

static struct sys_fake *lock(struct sys *sys)
{
    struct sys_fake *fake = (struct sys_fake *)sys;

    pthread_mutex_lock(&fake->mutex);
    return fake;
}

static void unlock(struct sys_fake *fake)
{
    pthread_mutex_unlock(&fake->mutex);
}

static bool is_dead(const struct sys_fake *fake, const struct sys_file *file)
{
    return file->life != fake->life;
}

static char *clean_path(const char *path)
{
    char *clean = xstrdup(path);
    size_t size = strlen(clean);

    while (size > 1 && clean[size - 1] == '/')
        clean[--size] = '\0';
    return clean;
}

/* 0 when the folder that PATH is in is there. */
static int check_folder(const struct sys_fake *fake, const char *path)
{
    char *folder = disk_folder_of(path);
    int result = disk_has_folder(&fake->disk, folder) ? 0
                 : disk_find(&fake->disk, folder)     ? -ENOTDIR
                                                      : -ENOENT;

    free(folder);
    return result;
}

static int open_locked(struct sys_fake *fake, const char *path, unsigned flags, struct sys_file **file)
{
    struct inode *inode = disk_find(&fake->disk, path);
    int result = admit(fake, flags & SYS_CREATE && !inode ? CALL_CREATE : CALL_OPEN);

    if (!result)
        result = check_folder(fake, path);
    if (result)
        return result;
    if (disk_has_folder(&fake->disk, path))
        return -EISDIR;
    if (inode && flags & SYS_CREATE && flags & SYS_EXCLUSIVE)
        return -EEXIST;
    if (!inode && !(flags & SYS_CREATE))
        return -ENOENT;
    if (!inode)
        inode = disk_create(&fake->disk, path, false);
    else if (flags & SYS_TRUNCATE)
        disk_truncate(inode, 0);
    inode->opened++;
    fake->counters.open_files++;
    *file = xmalloc(sizeof **file);
    **file = (struct sys_file){fake->files, inode, fake->life, flags & SYS_WRITE};
    fake->files = *file;
    return 0;
}

static int fake_open(struct sys *sys, const char *path, unsigned flags, struct sys_file **file)
{
    struct sys_fake *fake = lock(sys);
    char *clean = clean_path(path);
    int result = open_locked(fake, clean, flags, file);

    unlock(fake);
    free(clean);
    return result;
}

static void fake_close(struct sys *sys, struct sys_file *file)
{
    struct sys_fake *fake = lock(sys);
    struct sys_file **at = &fake->files;

    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    if (!is_dead(fake, file)) {
        fake->counters.open_files--;
        file->inode->opened--;
        if (file->inode->locked_by == file)
            file->inode->locked_by = NULL;
        disk_collect(&fake->disk);
    }
    unlock(fake);
    free(file);
}

static ssize_t fake_read(struct sys *sys, struct sys_file *file, void *to, size_t size, uint64_t offset)
{
    struct sys_fake *fake = lock(sys);
    ssize_t result = admit(fake, CALL_READ);

    if (!result && is_dead(fake, file))
        result = -EIO;
    if (!result && offset < file->inode->now.size) {
        uint64_t left = file->inode->now.size - offset;

        result = (ssize_t)(size < left ? size : left);
        memcpy(to, file->inode->now.octets + offset, (size_t)result);
    }
    unlock(fake);
    return result;
}

static uint8_t *join(const struct iovec *parts, int count, size_t *size)
{
    uint8_t *data, *end;

    *size = 0;
    for (int i = 0; i < count; i++)
        *size += parts[i].iov_len;
    data = end = xmalloc(*size);
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len)
            end = (uint8_t *)mempcpy(end, parts[i].iov_base, parts[i].iov_len);
    return data;
}

static int write_locked(struct sys_fake *fake, struct sys_file *file, const uint8_t *data, size_t size,
                        uint64_t offset)
{
    int result = admit(fake, CALL_WRITE);
    size_t written;

    if (is_dead(fake, file) || fake->is_stopped)
        return -EIO;
    if (!file->writable)
        return -EBADF;
    if (offset > DISK_FILE_MAX || size > DISK_FILE_MAX - offset)
        return -EFBIG;
    if (result && size)
        size = random_below(&fake->random, size < UINT32_MAX ? (uint32_t)size : UINT32_MAX);
    written = disk_write(&fake->disk, file->inode, data, size, offset);
    fake->counters.octets_written += written;
    return result ? result : written < size ? -ENOSPC : 0;
}

static int fake_write(struct sys *sys, struct sys_file *file, const struct iovec *parts, int count,
                      uint64_t offset)
{
    struct sys_fake *fake = (struct sys_fake *)sys;
    size_t size;
    uint8_t *data = join(parts, count, &size);
    int result;

    lock(sys);
    result = write_locked(fake, file, data, size, offset);
    unlock(fake);
    free(data);
    return result;
}

static int fake_sync(struct sys *sys, struct sys_file *file)
{
    struct sys_fake *fake = lock(sys);
    void (*hook)(void *context) = fake->on_sync;
    void *context = fake->on_sync_context;
    int result;

    if (hook) {
        unlock(fake);
        hook(context);
        lock(sys);
    }
    result = admit(fake, CALL_SYNC);
    if (is_dead(fake, file) || fake->is_stopped) {
        result = -EIO;
    } else if (result) {
        disk_sync_badly(file->inode, &fake->random);
    } else {
        fake->counters.syncs++;
        disk_sync(file->inode);
    }
    unlock(fake);
    return result;
}

static int fake_truncate(struct sys *sys, struct sys_file *file, uint64_t size)
{
    struct sys_fake *fake = lock(sys);
    int result = admit(fake, CALL_TRUNCATE);

    if (!result && is_dead(fake, file))
        result = -EIO;
    if (!result && !file->writable)
        result = -EINVAL;
    if (!result && size > DISK_FILE_MAX)
        result = -EFBIG;
    if (!result)
        disk_truncate(file->inode, size);
    unlock(fake);
    return result;
}

static int64_t fake_size(struct sys *sys, struct sys_file *file)
{
    struct sys_fake *fake = lock(sys);
    int64_t result = admit(fake, CALL_SIZE);

    if (!result)
        result = is_dead(fake, file) ? -EIO : (int64_t)file->inode->now.size;
    unlock(fake);
    return result;
}

static int rename_locked(struct sys_fake *fake, const char *from, const char *to)
{
    int result = admit(fake, CALL_RENAME);

    if (!result)
        result = check_folder(fake, to);
    if (!result && !disk_find(&fake->disk, from))
        result = -ENOENT;
    if (!result && (disk_has_folder(&fake->disk, from) || disk_has_folder(&fake->disk, to)))
        result = -EISDIR; /* nobody renames folders */
    if (!result)
        disk_rename(&fake->disk, from, to);
    return result;
}

static int fake_rename(struct sys *sys, const char *from, const char *to)
{
    struct sys_fake *fake = lock(sys);
    int result = rename_locked(fake, from, to);

    unlock(fake);
    return result;
}

static int fake_unlink(struct sys *sys, const char *path)
{
    struct sys_fake *fake = lock(sys);
    int result = admit(fake, CALL_UNLINK);

    if (!result && disk_has_folder(&fake->disk, path))
        result = -EISDIR;
    if (!result && !disk_find(&fake->disk, path))
        result = -ENOENT;
    if (!result)
        disk_unlink(&fake->disk, path);
    unlock(fake);
    return result;
}

/* 0 when CALL is admitted and FOLDER is one. */
static int admit_folder(struct sys_fake *fake, enum call call, const char *folder)
{
    int result = admit(fake, call);

    if (result || disk_has_folder(&fake->disk, folder))
        return result;
    return disk_find(&fake->disk, folder) ? -ENOTDIR : -ENOENT;
}

static int fake_sync_folder(struct sys *sys, const char *folder)
{
    struct sys_fake *fake = lock(sys);
    char *clean = clean_path(folder);
    int result = admit_folder(fake, CALL_SYNC_FOLDER, clean);

    if (!result) {
        fake->counters.folder_syncs++;
        disk_sync_folder(&fake->disk, clean);
    }
    unlock(fake);
    free(clean);
    return result;
}

static int fake_make_folder(struct sys *sys, const char *path)
{
    struct sys_fake *fake = lock(sys);
    char *clean = clean_path(path);
    int result = admit(fake, CALL_MAKE_FOLDER);

    if (!result)
        result = check_folder(fake, clean);
    if (!result && !disk_has_folder(&fake->disk, clean)) {
        if (disk_find(&fake->disk, clean))
            result = -ENOTDIR;
        else
            disk_create(&fake->disk, clean, true);
    }
    unlock(fake);
    free(clean);
    return result;
}

/* The names in FOLDER, to be freed: what EACH does may change them. */
static char **names_in(const struct disk *disk, const char *folder, size_t *count)
{
    char **names = xmalloc((disk->now.count + 1) * sizeof *names);

    *count = 0;
    for (size_t i = 0; i < disk->now.count; i++) {
        const char *path = disk->now.list[i].path;
        const char *slash = strrchr(path, '/');
        char *its = disk_folder_of(path);

        if (strcmp(its, folder) == 0)
            names[(*count)++] = xstrdup(slash ? slash + 1 : path);
        free(its);
    }
    return names;
}

static int fake_list(struct sys *sys, const char *folder, void (*each)(void *context, const char *name),
                     void *context)
{
    struct sys_fake *fake = lock(sys);
    char *clean = clean_path(folder);
    int result = admit_folder(fake, CALL_LIST, clean);
    size_t count = 0;
    char **names = result ? NULL : names_in(&fake->disk, clean, &count);

    unlock(fake);
    for (size_t i = 0; i < count; i++) {
        each(context, names[i]);
        free(names[i]);
    }
    free((void *)names);
    free(clean);
    return result;
}

static int fake_lock(struct sys *sys, struct sys_file *file)
{
    struct sys_fake *fake = lock(sys);
    int result = admit(fake, CALL_LOCK);

    if (!result && is_dead(fake, file))
        result = -EIO;
    if (!result && file->inode->locked_by && file->inode->locked_by != file)
        result = -EWOULDBLOCK;
    if (!result)
        file->inode->locked_by = file;
    unlock(fake);
    return result;
}

static int64_t fake_room(struct sys *sys, const char *folder)
{
    struct sys_fake *fake = lock(sys);
    char *clean = clean_path(folder);
    int64_t result = admit_folder(fake, CALL_ROOM, clean);

    if (!result)
        result = fake->disk.capacity ? (int64_t)disk_left(&fake->disk) : INT64_MAX;
    unlock(fake);
    free(clean);
    return result;
}

static void fake_free(struct sys *sys)
{
    struct sys_fake *fake = (struct sys_fake *)sys;

    disk_clear(&fake->disk);
    while (fake->files) {
        struct sys_file *file = fake->files;

        fake->files = file->next;
        free(file);
    }
    pthread_mutex_destroy(&fake->mutex);
    free(fake);
}

static const struct sys_ops fake_ops = {
    .open = fake_open,
    .close = fake_close,
    .read = fake_read,
    .write = fake_write,
    .sync = fake_sync,
    .truncate = fake_truncate,
    .size = fake_size,
    .rename = fake_rename,
    .unlink = fake_unlink,
    .sync_folder = fake_sync_folder,
    .make_folder = fake_make_folder,
    .list = fake_list,
    .lock = fake_lock,
    .room = fake_room,
    .free = fake_free,
};

struct sys_fake *sys_fake_new(uint64_t seed)
{
    struct sys_fake *fake = xcalloc(1, sizeof *fake);

    fake->sys.ops = &fake_ops;
    fake->random.state = seed;
    pthread_mutex_init(&fake->mutex, NULL);
    return fake;
}

struct sys *sys_fake_sys(struct sys_fake *fake)
{
    return &fake->sys;
}

static void next_life(struct sys_fake *fake)
{
    fake->life++;
    fake->fail_in = fake->stop_in = 0;
    fake->is_stopped = false;
    fake->counters.open_files = 0;
}

void sys_fake_power_loss(struct sys_fake *fake, uint64_t seed)
{
    struct random random = {seed};

    lock(&fake->sys);
    next_life(fake);
    disk_power_loss(&fake->disk, &random);
    unlock(fake);
}

void sys_fake_kill(struct sys_fake *fake)
{
    lock(&fake->sys);
    next_life(fake);
    disk_close_all(&fake->disk);
    unlock(fake);
}

void sys_fake_fail(struct sys_fake *fake, uint64_t n, int error)
{
    lock(&fake->sys);
    fake->fail_in = n;
    fake->error = error;
    fake->has_failed = false;
    unlock(fake);
}

bool sys_fake_has_failed(struct sys_fake *fake)
{
    bool result;

    lock(&fake->sys);
    result = fake->has_failed;
    unlock(fake);
    return result;
}

void sys_fake_stop(struct sys_fake *fake, uint64_t n)
{
    lock(&fake->sys);
    fake->stop_in = n;
    fake->is_stopped = false;
    unlock(fake);
}

bool sys_fake_is_stopped(struct sys_fake *fake)
{
    bool result;

    lock(&fake->sys);
    result = fake->is_stopped;
    unlock(fake);
    return result;
}

void sys_fake_capacity(struct sys_fake *fake, uint64_t octets)
{
    lock(&fake->sys);
    fake->disk.capacity = octets;
    unlock(fake);
}

void sys_fake_on_sync(struct sys_fake *fake, void (*hook)(void *context), void *context)
{
    lock(&fake->sys);
    fake->on_sync = hook;
    fake->on_sync_context = context;
    unlock(fake);
}

struct sys_fake_counters sys_fake_counters(struct sys_fake *fake)
{
    struct sys_fake_counters counters;

    lock(&fake->sys);
    counters = fake->counters;
    unlock(fake);
    return counters;
}
