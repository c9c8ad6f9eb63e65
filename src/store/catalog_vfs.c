/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VFS under the catalog. What SQLite needs for its promise, and this file gives:
 *
 *  - A name is on stable storage before what needs it: the first sync of a file that was opened to be made if
 *    missing syncs its folder too, whether it was missing or not (who made it may have died before that
 * sync).
 *  - A sync that failed stays failed. The kernel may have given up what it could not write and call the next
 *    sync good, so from then on every sync fails, no transaction commits, and reading goes on.
 *  - Every page of the database ends in the checksum of its place and contents, in octets that SQLite leaves
 * to the VFS: it checks its structures, but a flipped bit in a name would be a name to it.
 *  - Sectors are said to be 4096 octets, a page, and nothing is said about writes that are in order, atomic
 * or kind to their neighbours: SQLite then relies on syncs alone.
 *
 * Locks do nothing: the data directory is locked as a whole, and one connection opens the catalog. There is
 * no shared memory, no mapping of files and no loading of libraries, and temporary files are refused (the
 * catalog keeps such things in memory).
 */
#include "catalog_vfs.h"

#include <endian.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "coney/bytes.h"
#include "coney/crc32c.h"
#include "coney/xalloc.h"

#define PATH_SIZE_MAX       4096
#define SECTOR_SIZE         CATALOG_VFS_PAGE
#define PAGE_SIZE           CATALOG_VFS_PAGE
#define PAGE_DATA           (PAGE_SIZE - CATALOG_VFS_RESERVED)
#define PAGE_SIZE_LEAST     512 /* that SQLite knows */
#define HEADER_PAGE_SIZE    16  /* offsets in the header of the file (its format, section 1.3) */
#define HEADER_RESERVED     20
#define JULIAN_DAY_OF_EPOCH 2440587.5 /* 1970-01-01 00:00 UTC */
#define SECONDS_PER_DAY     86400.0

struct catalog_vfs {
    sqlite3_vfs sqlite;
    struct sys *sys;
    char *folder;
    int error;      /* see catalog_vfs_error() */
    int sync_error; /* of the first sync that failed; 0: none did */
    uint64_t last_read;
    char name[32];
};

struct vfs_file {
    sqlite3_file sqlite;
    struct catalog_vfs *vfs;
    struct sys_file *file;
    bool has_pages;     /* the database, not its journal */
    bool name_unsynced; /* the folder is to be synced with the file */
};

/* Remember the system's ERROR and answer CODE; SQLite tells a full disk from other failures to write. */
static int refuse(struct catalog_vfs *vfs, int error, int code)
{
    vfs->error = error == -EDQUOT ? -ENOSPC : error;
    return vfs->error == -ENOSPC && code == SQLITE_IOERR_WRITE ? SQLITE_FULL : code;
}

/* ---- files ---- */

static int file_close(sqlite3_file *sqlite)
{
    struct vfs_file *file = (struct vfs_file *)sqlite;

    sys_close(file->vfs->sys, file->file);
    return SQLITE_OK;
}

static uint32_t page_checksum(const void *page, uint64_t offset)
{
    uint64_t place = htole64(offset);

    return htole32(crc32c(crc32c(0, &place, sizeof place), page, PAGE_DATA));
}

static bool page_is_sound(const uint8_t *page, uint64_t offset)
{
    uint32_t checksum = page_checksum(page, offset);

    return memcmp(page + PAGE_DATA, &checksum, sizeof checksum) == 0;
}

/* Check SIZE octets that were read from the database. */
static int check_read(struct catalog_vfs *vfs, uint8_t *octets, size_t size, uint64_t offset)
{
    if (size >= PAGE_SIZE_LEAST && (size != PAGE_SIZE || !page_is_sound(octets, offset)))
        return refuse(vfs, -EBADMSG, SQLITE_IOERR_DATA);
    /* SQLite takes the layout of pages from the header before it looks for a journal, so that a crash in the
     * first of all transactions may have torn it. */
    if (offset == 0 && size < PAGE_SIZE_LEAST && size > HEADER_RESERVED &&
        (get_u16(octets + HEADER_PAGE_SIZE) != PAGE_SIZE || octets[HEADER_RESERVED] != CATALOG_VFS_RESERVED))
        memset(octets, 0, size);
    return SQLITE_OK;
}

static int file_read(sqlite3_file *sqlite, void *to, int size, sqlite3_int64 offset)
{
    struct vfs_file *file = (struct vfs_file *)sqlite;
    ssize_t got = sys_read(file->vfs->sys, file->file, to, (size_t)size, (uint64_t)offset);
    int code;

    if (file->has_pages)
        file->vfs->last_read = (uint64_t)offset;
    if (got < 0)
        return refuse(file->vfs, (int)got, SQLITE_IOERR_READ);
    memset((char *)to + got, 0, (size_t)(size - got)); /* SQLite requires it */
    code = file->has_pages && got > 0 ? check_read(file->vfs, to, (size_t)size, (uint64_t)offset) : SQLITE_OK;
    return code == SQLITE_OK && got < size ? SQLITE_IOERR_SHORT_READ : code;
}

static int file_write(sqlite3_file *sqlite, const void *from, int size, sqlite3_int64 offset)
{
    struct vfs_file *file = (struct vfs_file *)sqlite;
    uint32_t checksum = 0;
    struct iovec parts[] = {{(void *)(uintptr_t)from, (size_t)size}, {&checksum, sizeof checksum}};
    int error;

    if (file->has_pages && (size != PAGE_SIZE || offset % PAGE_SIZE != 0))
        return refuse(file->vfs, -EINVAL, SQLITE_IOERR_WRITE);
    if (file->has_pages) {
        checksum = page_checksum(from, (uint64_t)offset);
        parts[0].iov_len = PAGE_DATA;
    }
    error = sys_writev(file->vfs->sys, file->file, parts, file->has_pages ? 2 : 1, (uint64_t)offset);
    return error ? refuse(file->vfs, error, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

static int file_truncate(sqlite3_file *sqlite, sqlite3_int64 size)
{
    struct vfs_file *file = (struct vfs_file *)sqlite;
    int error = sys_truncate(file->vfs->sys, file->file, (uint64_t)size);

    return error ? refuse(file->vfs, error, SQLITE_IOERR_TRUNCATE) : SQLITE_OK;
}

/* No room is something that passes, elsewhere; here it is a failure as any other. */
static int refuse_sync(struct catalog_vfs *vfs, int error, int code)
{
    vfs->sync_error = error == -ENOSPC || error == -EDQUOT ? -EIO : error;
    return refuse(vfs, vfs->sync_error, code);
}

static int file_sync(sqlite3_file *sqlite, int flags)
{
    struct vfs_file *file = (struct vfs_file *)sqlite;
    struct catalog_vfs *vfs = file->vfs;
    int error = vfs->sync_error;

    (void)flags;
    if (!error)
        error = sys_sync(vfs->sys, file->file);
    if (error)
        return refuse_sync(vfs, error, SQLITE_IOERR_FSYNC);
    if (file->name_unsynced) {
        error = sys_sync_folder(vfs->sys, vfs->folder);
        if (error)
            return refuse_sync(vfs, error, SQLITE_IOERR_DIR_FSYNC);
        file->name_unsynced = false;
    }
    return SQLITE_OK;
}

static int file_size(sqlite3_file *sqlite, sqlite3_int64 *size)
{
    struct vfs_file *file = (struct vfs_file *)sqlite;

    *size = sys_size(file->vfs->sys, file->file);
    return *size < 0 ? refuse(file->vfs, (int)*size, SQLITE_IOERR_FSTAT) : SQLITE_OK;
}

static int file_lock(sqlite3_file *sqlite, int level)
{
    (void)sqlite;
    (void)level;
    return SQLITE_OK;
}

/* Nobody else is writing: a journal that is found was left by a crash. */
static int file_is_reserved(sqlite3_file *sqlite, int *is_reserved)
{
    (void)sqlite;
    *is_reserved = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *sqlite, int operation, void *argument)
{
    (void)sqlite;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *sqlite)
{
    (void)sqlite;
    return SECTOR_SIZE;
}

static int file_characteristics(sqlite3_file *sqlite)
{
    (void)sqlite;
    return 0;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_is_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *sqlite, const char *path, sqlite3_file *opened, int flags, int *out_flags)
{
    struct catalog_vfs *vfs = sqlite->pAppData;
    struct vfs_file *file = (struct vfs_file *)opened;
    unsigned sys_flags = flags & SQLITE_OPEN_READWRITE ? SYS_READ | SYS_WRITE : SYS_READ;
    int error;

    *file = (struct vfs_file){.vfs = vfs};
    if (!path || flags & SQLITE_OPEN_DELETEONCLOSE)
        return SQLITE_CANTOPEN;
    if (flags & SQLITE_OPEN_CREATE)
        sys_flags |= SYS_CREATE;
    if (flags & SQLITE_OPEN_EXCLUSIVE)
        sys_flags |= SYS_EXCLUSIVE;
    error = sys_open(vfs->sys, path, sys_flags, &file->file);
    if (error)
        return refuse(vfs, error, SQLITE_CANTOPEN);
    file->has_pages = flags & SQLITE_OPEN_MAIN_DB;
    file->name_unsynced = flags & SQLITE_OPEN_CREATE;
    file->sqlite.pMethods = &file_methods;
    if (out_flags)
        *out_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *sqlite, const char *path, int sync_folder)
{
    struct catalog_vfs *vfs = sqlite->pAppData;
    int error = sys_unlink(vfs->sys, path);

    if (error == -ENOENT)
        return SQLITE_IOERR_DELETE_NOENT;
    if (error)
        return refuse(vfs, error, SQLITE_IOERR_DELETE);
    if (!sync_folder)
        return SQLITE_OK;
    error = vfs->sync_error ? vfs->sync_error : sys_sync_folder(vfs->sys, vfs->folder);
    return error ? refuse_sync(vfs, error, SQLITE_IOERR_DIR_FSYNC) : SQLITE_OK;
}

/* As SQLite's own VFS does, take an empty file for none: a journal that was cut is no journal. */
static int vfs_access(sqlite3_vfs *sqlite, const char *path, int flags, int *result)
{
    struct catalog_vfs *vfs = sqlite->pAppData;
    struct sys_file *file = NULL;
    int error =
        sys_open(vfs->sys, path, flags == SQLITE_ACCESS_READWRITE ? SYS_READ | SYS_WRITE : SYS_READ, &file);
    int64_t size;

    *result = 0;
    if (error == -ENOENT)
        return SQLITE_OK;
    if (error)
        return refuse(vfs, error, SQLITE_IOERR_ACCESS);
    size = sys_size(vfs->sys, file);
    sys_close(vfs->sys, file);
    if (size < 0)
        return refuse(vfs, (int)size, SQLITE_IOERR_ACCESS);
    *result = size > 0;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *sqlite, const char *path, int size, char *full)
{
    (void)sqlite;
    return snprintf(full, (size_t)size, "%s", path) < size ? SQLITE_OK : SQLITE_CANTOPEN_FULLPATH;
}

static int vfs_randomness(sqlite3_vfs *sqlite, int size, char *out)
{
    (void)sqlite;
    return getrandom(out, (size_t)size, 0) == size ? size : 0;
}

static int vfs_sleep(sqlite3_vfs *sqlite, int microseconds)
{
    (void)sqlite;
    (void)microseconds;
    return 0; /* nobody to wait for */
}

static int vfs_time(sqlite3_vfs *sqlite, double *julian_day)
{
    struct timespec now;

    (void)sqlite;
    clock_gettime(CLOCK_REALTIME, &now);
    *julian_day = JULIAN_DAY_OF_EPOCH + (double)now.tv_sec / SECONDS_PER_DAY;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *sqlite, int size, char *text)
{
    struct catalog_vfs *vfs = sqlite->pAppData;

    if (size > 0)
        *text = '\0';
    return -vfs->error;
}

/* SQLite's memory is xalloc.h's: a transaction that runs out of it half-way would stop the node. */
static void *sqlite_malloc(int size)
{
    return xmalloc((size_t)size);
}

static void *sqlite_realloc(void *old, int size)
{
    return xrealloc(old, (size_t)size);
}

static int sqlite_size(void *memory)
{
    return memory ? (int)malloc_usable_size(memory) : 0;
}

static int sqlite_roundup(int size)
{
    return (size + 7) & ~7;
}

static int sqlite_init(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void sqlite_shutdown(void *context)
{
    (void)context;
}

static void set_memory(void)
{
    static sqlite3_mem_methods methods = {
        .xMalloc = sqlite_malloc,
        .xFree = free,
        .xRealloc = sqlite_realloc,
        .xSize = sqlite_size,
        .xRoundup = sqlite_roundup,
        .xInit = sqlite_init,
        .xShutdown = sqlite_shutdown,
    };

    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}

struct catalog_vfs *catalog_vfs_new(struct sys *sys, const char *folder)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static atomic_uint count;
    struct catalog_vfs *vfs = xcalloc(1, sizeof *vfs);

    pthread_once(&once, set_memory);
    vfs->sys = sys;
    vfs->folder = xstrdup(folder);
    snprintf(vfs->name, sizeof vfs->name, "coney-%u", atomic_fetch_add(&count, 1));
    vfs->sqlite = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = sizeof(struct vfs_file),
        .mxPathname = PATH_SIZE_MAX,
        .zName = vfs->name,
        .pAppData = vfs,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
    };
    if (sqlite3_vfs_register(&vfs->sqlite, 0) != SQLITE_OK) {
        free(vfs->folder);
        free(vfs);
        return NULL;
    }
    return vfs;
}

void catalog_vfs_free(struct catalog_vfs *vfs)
{
    if (!vfs)
        return;
    sqlite3_vfs_unregister(&vfs->sqlite);
    free(vfs->folder);
    free(vfs);
}

const char *catalog_vfs_name(const struct catalog_vfs *vfs)
{
    return vfs->name;
}

int catalog_vfs_error(const struct catalog_vfs *vfs)
{
    return vfs->error;
}

uint64_t catalog_vfs_last_read(const struct catalog_vfs *vfs)
{
    return vfs->last_read;
}

void catalog_vfs_forget_error(struct catalog_vfs *vfs)
{
    vfs->error = 0;
}
