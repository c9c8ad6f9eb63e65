/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h: the files that runs are in.
 *
 * A file is a block of RUN_SECTOR octets that says what it is, then runs, each from a multiple of that on.
 *
 * Invariants:
 * 1. Only the last file is written to, and only behind what was written well: `current.size` is the end of
 *    that. After a write that failed the file is left, so nothing ever stands behind the remains.
 * 2. Numbers of files ascend and are not used again while the process lives, so a descriptor that a reader
 *    has open is never of another file than its number says.
 * 3. What was written and not synced is in `current` if it is dirty, or in `unsynced`; a name that is not on
 *    stable storage yet sets `names_changed`.
 * 4. A sync that failed is never tried again: what it was to write may be gone while a second one succeeds.
 * 5. Everything is the writer's, but `open` with `uses`, which are the mutex's, and what is atomic. A
 *    descriptor in `open` that has users is not closed.
 */
#include "segment.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/crc32c.h"
#include "coney/xalloc.h"
#include "failpoint.h"
#include "folder.h"
#include "record.h"
#include "segment_fields.h"

#define FOLDER_MAX  4096
#define PATH_SIZE   (FOLDER_MAX + 32)
#define BUFFER_KEPT ((size_t)2 << 20) /* a larger one is given back after use */

static int fail(char why[SEGMENT_WHY_SIZE], int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char why[SEGMENT_WHY_SIZE], int error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, SEGMENT_WHY_SIZE, format, arguments);
    va_end(arguments);
    return error;
}

static void path_of(const struct segments *segments, uint32_t file, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%08" PRIu32 ".seg", segments->folder, file);
}

/* --- which files there are --- */

static struct known *known_find(const struct segments *segments, uint32_t file)
{
    uint32_t from = 0, to = segments->known_count;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;

        if (segments->known[middle].number < file)
            from = middle + 1;
        else
            to = middle;
    }
    return from < segments->known_count && segments->known[from].number == file ? &segments->known[from]
                                                                                : NULL;
}

static void known_add(struct segments *segments, uint32_t file, uint64_t size)
{
    if ((segments->known_count & (segments->known_count - 1)) == 0)
        segments->known =
            xrealloc(segments->known, (segments->known_count ? 2 * (size_t)segments->known_count : 1) *
                                          sizeof *segments->known);
    segments->known[segments->known_count++] = (struct known){file, size};
    segments->octets += size;
}

static void known_resize(struct segments *segments, uint32_t file, uint64_t size)
{
    struct known *known = known_find(segments, file);

    segments->octets += size - known->size;
    known->size = size;
}

static void known_forget(struct segments *segments, uint32_t file)
{
    struct known *known = known_find(segments, file);

    if (!known)
        return;
    segments->octets -= known->size;
    segments->known_count--;
    memmove(known, known + 1, (size_t)(&segments->known[segments->known_count] - known) * sizeof *known);
}

/* --- descriptors of readers --- */

static struct open_file *open_take(struct segments *segments, uint32_t file)
{
    for (struct open_file *place = segments->open; place < segments->open + SEGMENT_OPEN_FILES; place++)
        if (place->file && place->number == file) {
            place->users++;
            place->used = ++segments->uses;
            return place;
        }
    return NULL;
}

/* The place for another file: a free one, else the one that nobody has used for longest; NULL: all are in
 * use. */
static struct open_file *open_place(struct segments *segments)
{
    struct open_file *best = NULL;

    for (struct open_file *place = segments->open; place < segments->open + SEGMENT_OPEN_FILES; place++) {
        if (!place->file)
            return place;
        if (place->users == 0 && (!best || place->used < best->used))
            best = place;
    }
    return best;
}

int segment_handle_take(struct segments *segments, uint32_t file, struct segment_handle *handle)
{
    struct sys_file *replaced = NULL;
    char path[PATH_SIZE];
    int error;

    pthread_mutex_lock(&segments->mutex);
    handle->place = open_take(segments, file);
    if (handle->place)
        handle->file = handle->place->file;
    pthread_mutex_unlock(&segments->mutex);
    if (handle->place)
        return 0;
    path_of(segments, file, path);
    error = sys_open(segments->sys, path, SYS_READ, &handle->file);
    if (error)
        return error;
    pthread_mutex_lock(&segments->mutex);
    handle->place = open_place(segments);
    if (handle->place) {
        replaced = handle->place->file;
        *handle->place = (struct open_file){handle->file, file, 1, ++segments->uses};
    }
    pthread_mutex_unlock(&segments->mutex);
    sys_close(segments->sys, replaced);
    return 0;
}

void segment_handle_release(struct segments *segments, struct segment_handle *handle)
{
    struct sys_file *closed = NULL;

    pthread_mutex_lock(&segments->mutex);
    if (!handle->place) {
        closed = handle->file;
    } else if (--handle->place->users == 0 && handle->place->number == 0) {
        closed = handle->place->file;
        handle->place->file = NULL;
    }
    pthread_mutex_unlock(&segments->mutex);
    sys_close(segments->sys, closed);
}

/* Close what was not used since USES. */
static void open_close_idle(struct segments *segments, uint64_t uses)
{
    pthread_mutex_lock(&segments->mutex);
    for (struct open_file *place = segments->open; place < segments->open + SEGMENT_OPEN_FILES; place++)
        if (place->file && place->users == 0 && place->used <= uses) {
            sys_close(segments->sys, place->file);
            place->file = NULL;
        }
    segments->uses_at_sync = segments->uses;
    pthread_mutex_unlock(&segments->mutex);
}

static void open_forget(struct segments *segments, uint32_t file)
{
    pthread_mutex_lock(&segments->mutex);
    for (struct open_file *place = segments->open; place < segments->open + SEGMENT_OPEN_FILES; place++) {
        if (!place->file || place->number != file)
            continue;
        place->number = 0;
        if (place->users == 0) {
            sys_close(segments->sys, place->file);
            place->file = NULL;
        }
    }
    pthread_mutex_unlock(&segments->mutex);
}

/* --- opening and closing --- */

/* The number in NAME, or 0 if it is no segment file's: others are left alone. */
static uint32_t number_of(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    unsigned long long number = strtoull(name, NULL, 10);

    if (digits < 8 || digits > 10 || (digits > 8 && name[0] == '0') || strcmp(name + digits, ".seg") != 0 ||
        number > UINT32_MAX)
        return 0;
    return (uint32_t)number;
}

static void note_file(void *context, const char *name)
{
    struct segments *segments = context;
    uint32_t file = number_of(name);

    if (file)
        known_add(segments, file, 0);
}

static int compare_known(const void *a, const void *b)
{
    const struct known *one = a, *other = b;

    return one->number < other->number ? -1 : one->number > other->number;
}

static int measure_file(struct segments *segments, uint32_t file)
{
    struct sys_file *opened;
    char path[PATH_SIZE];
    int64_t size;
    int error;

    path_of(segments, file, path);
    error = sys_open(segments->sys, path, SYS_READ, &opened);
    if (error)
        return error;
    size = sys_size(segments->sys, opened);
    sys_close(segments->sys, opened);
    if (size < 0)
        return (int)size;
    known_resize(segments, file, (uint64_t)size);
    return 0;
}

static bool is_never_needed(void *context, uint32_t file)
{
    (void)context;
    (void)file;
    return false;
}

/* Learn what is in the folder. */
static int find_files(struct segments *segments)
{
    int error = sys_list(segments->sys, segments->folder, note_file, segments);

    if (error)
        return error;
    if (segments->known_count) {
        qsort(segments->known, segments->known_count, sizeof *segments->known, compare_known);
        segments->next = segments->known[segments->known_count - 1].number + 1;
    }
    if (!segments->synced)
        return segments_sweep(segments, is_never_needed, NULL);
    for (uint32_t i = 0; i < segments->known_count && !error; i++)
        error = measure_file(segments, segments->known[i].number);
    return error;
}

struct segments *segments_open(struct sys *sys, const char *folder, uint64_t file_size, bool synced,
                               char why[SEGMENT_WHY_SIZE])
{
    struct segments *segments;
    int error = strlen(folder) < FOLDER_MAX ? folder_make(sys, folder) : -ENAMETOOLONG;

    if (error) {
        fail(why, error, "cannot make the folder %s: %s", folder, strerror(-error));
        return NULL;
    }
    segments = xcalloc(1, sizeof *segments);
    *segments =
        (struct segments){.sys = sys, .folder = xstrdup(folder), .file_size = file_size, .synced = synced};
    segments->next = 1;
    pthread_mutex_init(&segments->mutex, NULL);
    error = find_files(segments);
    if (error) {
        fail(why, error, "cannot look through the folder %s: %s", folder, strerror(-error));
        segments_close(segments);
        return NULL;
    }
    return segments;
}

void segments_close(struct segments *segments)
{
    if (!segments)
        return;
    open_close_idle(segments, UINT64_MAX);
    sys_close(segments->sys, segments->current.file);
    for (uint32_t i = 0; i < segments->unsynced_count; i++)
        sys_close(segments->sys, segments->unsynced[i].file);
    pthread_mutex_destroy(&segments->mutex);
    free(segments->unsynced);
    free(segments->known);
    free(segments->buffer);
    free(segments->folder);
    free(segments);
}

/* --- writing --- */

/* Write no more to the current file. It stays open until it is synced. */
static void current_leave(struct segments *segments)
{
    struct written current = segments->current;

    segments->current = (struct written){0};
    segments->current_number = 0;
    if (!segments->synced || !current.dirty) {
        sys_close(segments->sys, current.file);
        return;
    }
    segments->unsynced =
        xrealloc(segments->unsynced, (segments->unsynced_count + (size_t)1) * sizeof *segments->unsynced);
    segments->unsynced[segments->unsynced_count++] = current;
}

static int write_file_header(struct segments *segments, struct sys_file *file, uint32_t number)
{
    uint8_t header[SEGMENT_FILE_HEADER] = {0};
    uint8_t *p = put_bytes(header, BYTES_LITERAL(SEGMENT_FILE_MAGIC));

    p = put_le32(p, SEGMENT_FILE_VERSION);
    put_le32(p, number);
    put_le32(header + SEGMENT_FILE_HEADER - 4, crc32c(0, header, SEGMENT_FILE_HEADER - 4));
    return sys_write(segments->sys, file, header, sizeof header, 0);
}

static int current_begin(struct segments *segments)
{
    uint32_t number = segments->next;
    struct sys_file *file;
    char path[PATH_SIZE];
    int error;

    if (number == 0)
        return -EOVERFLOW;
    segments->next++; /* also when it fails: something may have been made */
    path_of(segments, number, path);
    error = sys_open(segments->sys, path, SYS_WRITE | SYS_CREATE | SYS_EXCLUSIVE, &file);
    if (error)
        return error;
    known_add(segments, number, SEGMENT_FILE_HEADER);
    segments->current = (struct written){file, number, false, SEGMENT_FILE_HEADER};
    segments->current_number = number;
    segments->names_changed = true;
    error = write_file_header(segments, file, number);
    if (error)
        segments_remove(segments, number);
    return error;
}

/* After a write that failed. What it left is of no use to anybody, and on a full disk the room is. */
static void current_give_up(struct segments *segments)
{
    if (segments->current.size == SEGMENT_FILE_HEADER) {
        segments_remove(segments, segments->current.number);
        return;
    }
    sys_truncate(segments->sys, segments->current.file, segments->current.size);
    current_leave(segments);
}

static int current_prepare(struct segments *segments, uint64_t size)
{
    const struct written *current = &segments->current;

    if (current->file && current->size > SEGMENT_FILE_HEADER &&
        (size > segments->file_size || current->size > segments->file_size - size))
        current_leave(segments);
    return current->file ? 0 : current_begin(segments);
}

static uint8_t *room_for(struct segments *segments, size_t size)
{
    if (size > segments->buffer_size) {
        free(segments->buffer);
        segments->buffer = xmalloc(size);
        segments->buffer_size = size;
    }
    return segments->buffer;
}

static void give_back_room(struct segments *segments)
{
    if (segments->buffer_size <= BUFFER_KEPT)
        return;
    free(segments->buffer);
    segments->buffer = NULL;
    segments->buffer_size = 0;
}

int segments_write(struct segments *segments, const struct run_head *head, const struct run_message *messages,
                   uint32_t count, struct run_place *place)
{
    struct iovec parts[RUN_PARTS_MAX];
    struct written *current = &segments->current;
    struct run_layout layout;
    uint64_t size;
    size_t room;
    int part_count;
    int error = layout_plan(head, messages, count, &layout, &room);

    if (!error)
        error = current_prepare(segments, layout_round_up(layout_size(&layout)));
    if (error)
        return error;
    part_count = layout_put(&layout, messages, room_for(segments, room), parts);
    size = layout_size(&layout);
    error = sys_writev(segments->sys, current->file, parts, part_count, current->size);
    give_back_room(segments);
    if (error) {
        current_give_up(segments);
        return error;
    }
    *place = (struct run_place){current->number, current->size, size};
    current->dirty = true;
    current->size += layout_round_up(size);
    known_resize(segments, current->number, current->size);
    return 0;
}

static int sync_written(struct segments *segments, struct written *written)
{
    if (written->dirty)
        segments->sync_error = sys_sync(segments->sys, written->file);
    if (segments->sync_error == 0)
        written->dirty = false;
    return segments->sync_error;
}

int segments_sync(struct segments *segments)
{
    int error = segments->sync_error;

    open_close_idle(segments, segments->uses_at_sync);
    if (!segments->synced)
        return 0;
    while (!error && segments->unsynced_count) {
        struct written *last = &segments->unsynced[segments->unsynced_count - 1];

        error = sync_written(segments, last);
        if (!error) {
            sys_close(segments->sys, last->file);
            segments->unsynced_count--;
        }
    }
    if (!error)
        error = sync_written(segments, &segments->current);
    if (!error && segments->names_changed) {
        error = sys_sync_folder(segments->sys, segments->folder);
        segments->names_changed = error != 0;
    }
    return error;
}

uint32_t segments_current(const struct segments *segments)
{
    return segments->current_number;
}

uint64_t segments_size(const struct segments *segments)
{
    return segments->octets;
}

int segments_remove(struct segments *segments, uint32_t file)
{
    char path[PATH_SIZE];
    int error;

    if (segments->current.number == file && segments->current.file)
        current_leave(segments);
    for (uint32_t i = 0; i < segments->unsynced_count; i++)
        if (segments->unsynced[i].number == file) {
            sys_close(segments->sys, segments->unsynced[i].file);
            segments->unsynced[i] = segments->unsynced[--segments->unsynced_count];
            break;
        }
    open_forget(segments, file);
    path_of(segments, file, path);
    error = failpoint("segment_before_remove");
    if (!error)
        error = sys_unlink(segments->sys, path);
    failpoint("segment_after_remove");
    if (error && error != -ENOENT)
        return error;
    known_forget(segments, file);
    return 0;
}

int segments_sweep(struct segments *segments, bool (*is_needed)(void *context, uint32_t file), void *context)
{
    int first_error = 0;

    for (uint32_t i = segments->known_count; i-- > 0;) {
        uint32_t file = segments->known[i].number;
        int error = is_needed(context, file) ? 0 : segments_remove(segments, file);

        if (error && !first_error)
            first_error = error;
    }
    return first_error;
}
