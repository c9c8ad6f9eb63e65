/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys_overlay.h. A file is as it is below until it is first changed; then all of it is copied, and what is
 * below is not looked at again. A folder is as it is below, but that removed names are not listed; one that
 * is not there below is empty.
 */
#include "sys_overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/hash.h"
#include "coney/xalloc.h"

struct entry {
    UT_hash_handle hh;
    char *path; /* owned */
    uint8_t *octets;
    size_t size, capacity;
    bool is_changed; /* `octets` are the file, and not what is below */
    bool is_gone;
};

struct overlay {
    struct sys sys;
    struct sys *base;
    struct entry *entries;
};

struct sys_file {
    struct entry *entry;
    struct sys_file *below; /* NULL: it is not there */
};

static struct overlay *overlay_of(struct sys *sys)
{
    return (struct overlay *)(void *)sys;
}

static struct entry *find(struct overlay *overlay, const char *path)
{
    struct entry *entry;

    HASH_FIND_STR(overlay->entries, path, entry);
    return entry;
}

static struct entry *find_or_add(struct overlay *overlay, const char *path)
{
    struct entry *entry = find(overlay, path);

    if (entry)
        return entry;
    entry = xcalloc(1, sizeof *entry);
    entry->path = xstrdup(path);
    HASH_ADD_KEYPTR(hh, overlay->entries, entry->path, strlen(entry->path), entry);
    return entry;
}

static void resize(struct entry *entry, size_t size)
{
    if (size > entry->capacity) {
        entry->capacity = size + size / 2;
        entry->octets = xrealloc(entry->octets, entry->capacity);
    }
    if (size > entry->size)
        memset(entry->octets + entry->size, 0, size - entry->size);
    entry->size = size;
}

static int overlay_open(struct sys *sys, const char *path, unsigned flags, struct sys_file **out)
{
    struct overlay *overlay = overlay_of(sys);
    struct entry *entry = find(overlay, path);
    struct sys_file *below = NULL;
    int error = entry && entry->is_gone ? -ENOENT : 0;

    if (!error && !(entry && entry->is_changed))
        error = sys_open(overlay->base, path, SYS_READ, &below);
    if (!error && flags & SYS_EXCLUSIVE)
        error = -EEXIST;
    if (error && !(error == -ENOENT && flags & SYS_CREATE)) {
        sys_close(overlay->base, below);
        return error;
    }
    entry = find_or_add(overlay, path);
    if (error || flags & SYS_TRUNCATE) {
        entry->is_changed = true;
        entry->is_gone = false;
        entry->size = 0;
    }
    *out = xmalloc(sizeof **out);
    **out = (struct sys_file){entry, below};
    return 0;
}

static void overlay_close(struct sys *sys, struct sys_file *file)
{
    sys_close(overlay_of(sys)->base, file->below);
    free(file);
}

static ssize_t overlay_read(struct sys *sys, struct sys_file *file, void *to, size_t size, uint64_t offset)
{
    const struct entry *entry = file->entry;
    size_t left;

    if (!entry->is_changed)
        return sys_read(overlay_of(sys)->base, file->below, to, size, offset);
    left = offset < entry->size ? entry->size - (size_t)offset : 0;
    size = size < left ? size : left;
    if (size)
        memcpy(to, entry->octets + offset, size);
    return (ssize_t)size;
}

static int64_t overlay_size(struct sys *sys, struct sys_file *file)
{
    return file->entry->is_changed ? (int64_t)file->entry->size
                                   : sys_size(overlay_of(sys)->base, file->below);
}

/* Have all of the file in memory. */
static int change(struct sys *sys, struct sys_file *file)
{
    struct entry *entry = file->entry;
    int64_t size = overlay_size(sys, file);
    ssize_t got;

    if (entry->is_changed)
        return 0;
    if (size < 0)
        return (int)size;
    resize(entry, (size_t)size);
    got = sys_read(overlay_of(sys)->base, file->below, entry->octets, (size_t)size, 0);
    if (got < 0)
        return (int)got;
    entry->size = (size_t)got;
    entry->is_changed = true;
    return 0;
}

static int overlay_write(struct sys *sys, struct sys_file *file, const struct iovec *parts, int count,
                         uint64_t offset)
{
    struct entry *entry = file->entry;
    int error = change(sys, file);

    for (int i = 0; i < count && !error; i++) {
        if (offset + parts[i].iov_len > entry->size)
            resize(entry, (size_t)offset + parts[i].iov_len);
        if (parts[i].iov_len)
            memcpy(entry->octets + offset, parts[i].iov_base, parts[i].iov_len);
        offset += parts[i].iov_len;
    }
    return error;
}

static int overlay_sync(struct sys *sys, struct sys_file *file)
{
    (void)sys;
    (void)file;
    return 0;
}

static int overlay_truncate(struct sys *sys, struct sys_file *file, uint64_t size)
{
    int error = change(sys, file);

    if (!error)
        resize(file->entry, (size_t)size);
    return error;
}

static int overlay_rename(struct sys *sys, const char *from, const char *to)
{
    (void)sys;
    (void)from;
    (void)to;
    return -EROFS;
}

static int overlay_unlink(struct sys *sys, const char *path)
{
    struct entry *entry = find_or_add(overlay_of(sys), path);

    entry->is_gone = true;
    entry->is_changed = false;
    return 0;
}

static int overlay_on_folder(struct sys *sys, const char *folder)
{
    (void)sys;
    (void)folder;
    return 0;
}

struct listing {
    struct overlay *overlay;
    const char *folder;
    void (*each)(void *context, const char *name);
    void *context;
};

static void list_one(void *context, const char *name)
{
    struct listing *listing = context;
    size_t size = strlen(listing->folder) + strlen(name) + 2;
    char *path = xmalloc(size);
    struct entry *entry;

    snprintf(path, size, "%s/%s", listing->folder, name);
    entry = find(listing->overlay, path);
    free(path);
    if (!entry || !entry->is_gone)
        listing->each(listing->context, name);
}

static int overlay_list(struct sys *sys, const char *folder, void (*each)(void *context, const char *name),
                        void *context)
{
    struct listing listing = {overlay_of(sys), folder, each, context};
    int error = sys_list(listing.overlay->base, folder, list_one, &listing);

    return error == -ENOENT ? 0 : error;
}

static int overlay_lock(struct sys *sys, struct sys_file *file)
{
    (void)sys;
    (void)file;
    return 0;
}

static int64_t overlay_room(struct sys *sys, const char *folder)
{
    (void)sys;
    (void)folder;
    return INT64_MAX;
}

static void overlay_free(struct sys *sys)
{
    struct overlay *overlay = overlay_of(sys);
    struct entry *entry, *next;

    HASH_ITER (hh, overlay->entries, entry, next) {
        HASH_DEL(overlay->entries, entry);
        free(entry->path);
        free(entry->octets);
        free(entry);
    }
    free(overlay);
}

struct sys *sys_overlay_new(struct sys *base)
{
    static const struct sys_ops ops = {
        .open = overlay_open,
        .close = overlay_close,
        .read = overlay_read,
        .write = overlay_write,
        .sync = overlay_sync,
        .truncate = overlay_truncate,
        .size = overlay_size,
        .rename = overlay_rename,
        .unlink = overlay_unlink,
        .sync_folder = overlay_on_folder,
        .make_folder = overlay_on_folder,
        .list = overlay_list,
        .lock = overlay_lock,
        .room = overlay_room,
        .free = overlay_free,
    };
    struct overlay *overlay = xcalloc(1, sizeof *overlay);

    overlay->sys.ops = &ops;
    overlay->base = base;
    return &overlay->sys;
}
