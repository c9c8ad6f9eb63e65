/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal.h: opening what is there: finding the files, reading back their batches, and telling a torn tail from
 * damage.
 *
 * Every NN.wal has had a header since it got its name, so none without one is accepted. A file's header says
 * the sequence number of its first batch, and was written only after all batches before that were synced:
 * where the files before it end earlier, something is missing. In the last file a batch says which were
 * synced before it: where one behind the end of what is good says that more was synced than is there,
 * something is missing. So it is where less is there than the caller knows to have been synced: what the
 * last batch held, or all files. All else behind that end was never promised: it is cut.
 *
 * Memory is bounded by the largest batch whose checksum is right.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/xalloc.h"
#include "folder.h"
#include "wal_fields.h"

#define WINDOW_SIZE (UINT64_C(1) << 20)

/* Writes WHY, notes ERROR, and returns false. */
static bool __attribute__((format(printf, 6, 7)))
fail(char why[WAL_WHY_SIZE], struct wal *wal, int error, const struct wal_place *place, uint64_t offset,
     const char *format, ...)
{
    char path[WAL_PATH_SIZE], text[256];
    va_list arguments;

    wal->broken = error;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    wal_path(wal, (uint32_t)(place - wal->places), ".wal", path);
    snprintf(why, WAL_WHY_SIZE, "%.200s: offset %" PRIu64 ": %s", path, offset, text);
    return false;
}

#define DAMAGED(why, wal, place, offset, ...) fail(why, wal, -EBADMSG, place, offset, __VA_ARGS__)

/* The same, where no file can be named. */
static bool __attribute__((format(printf, 4, 5)))
fail_folder(char why[WAL_WHY_SIZE], struct wal *wal, int error, const char *format, ...)
{
    int used = snprintf(why, WAL_WHY_SIZE, "%.200s: ", wal->folder);
    va_list arguments;

    wal->broken = error;
    va_start(arguments, format);
    vsnprintf(why + used, WAL_WHY_SIZE - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- a window on a file ---- */

struct window {
    struct wal *wal;
    const struct wal_place *place;
    uint8_t *octets;
    uint64_t capacity, start, size;
    int error;
};

/* The SIZE octets at OFFSET, which the file has, until the next call. NULL with `error` when they can't be
 * read. */
static const uint8_t *look(struct window *window, uint64_t offset, uint64_t size)
{
    uint64_t want = size > WINDOW_SIZE ? size : WINDOW_SIZE;
    ssize_t got;

    if (offset >= window->start && offset + size <= window->start + window->size)
        return window->octets + (offset - window->start);
    if (want > window->capacity) {
        free(window->octets);
        window->octets = xmalloc((size_t)want);
        window->capacity = want;
    }
    window->start = offset;
    got = sys_read(window->wal->sys, window->place->file, window->octets, (size_t)want, offset);
    window->size = got < 0 ? 0 : (uint64_t)got;
    if (window->size >= size)
        return window->octets;
    window->error = got < 0 ? (int)got : -EIO;
    return NULL;
}

static void look_at(struct window *window, const struct wal_place *place)
{
    window->place = place;
    window->start = window->size = 0;
}

static bool unreadable(const struct window *window, uint64_t offset, char why[WAL_WHY_SIZE])
{
    return fail(why, window->wal, window->error, window->place, offset, "cannot be read: %s",
                strerror(-window->error));
}

/* ---- finding the files ---- */

struct found {
    uint32_t *numbers;
    uint32_t count, capacity, highest;
};

static void note_name(void *context, const char *name)
{
    struct found *found = context;
    char *end, same[32];
    unsigned long number = strtoul(name, &end, 10);

    if (number >= WAL_PLACES_MAX || *name < '0' || *name > '9')
        return;
    snprintf(same, sizeof same, "%02lu.wal", number);
    if (strcmp(name, same) != 0)
        return;
    if (found->count == found->capacity) {
        found->capacity = found->capacity * 2 + 16;
        found->numbers = xrealloc(found->numbers, found->capacity * sizeof *found->numbers);
    }
    found->numbers[found->count++] = (uint32_t)number;
    found->highest = number > found->highest ? (uint32_t)number : found->highest;
}

/* Copy NUMBER of the file's header: 1, 0 where it is damaged, or a negative errno. */
static int read_copy(const struct wal *wal, const struct wal_place *place, int number,
                     struct wal_file_header *header)
{
    uint8_t octets[WAL_FILE_HEADER_SIZE] = {0};
    ssize_t got = sys_read(wal->sys, place->file, octets, sizeof octets, (uint64_t)number * WAL_HEADER_BLOCK);

    *header = (struct wal_file_header){0};
    if (got < 0)
        return (int)got;
    return wal_file_header_get(octets, header);
}

/* The header is the newer one of the two copies: the other may be of the file's last use, or torn. */
static bool read_file_header(struct wal *wal, struct wal_place *place, char why[WAL_WHY_SIZE])
{
    struct wal_file_header copies[2], *header = &place->header;
    int good[2], newer;

    for (int i = 0; i < 2; i++) {
        good[i] = read_copy(wal, place, i, &copies[i]);
        if (good[i] < 0)
            return fail(why, wal, good[i], place, (uint64_t)i * WAL_HEADER_BLOCK, "cannot be read: %s",
                        strerror(-good[i]));
    }
    if (!good[0] && !good[1])
        return DAMAGED(why, wal, place, 0, "both copies of the file's header are damaged");
    newer = !good[0] || (good[1] && copies[1].ordinal > copies[0].ordinal);
    *header = copies[newer];
    if (header->version < 1 || header->version > WAL_VERSION)
        return DAMAGED(why, wal, place, 8, "version %" PRIu32 " is not known here", header->version);
    if (header->epoch != wal->settings.epoch)
        return DAMAGED(why, wal, place, 16, "belongs to another node: epoch %" PRIx64, header->epoch);
    place->is_worn[!newer] = !good[!newer] || copies[!newer].ordinal != header->ordinal;
    place->ordinal = header->ordinal;
    return true;
}

static bool open_place(struct wal *wal, struct wal_place *place, char why[WAL_WHY_SIZE])
{
    char path[WAL_PATH_SIZE];
    int64_t size;
    int error;

    wal_path(wal, (uint32_t)(place - wal->places), ".wal", path);
    error = sys_open(wal->sys, path, SYS_WRITE | SYS_DIRECT, &place->file);
    if (error)
        return fail(why, wal, error, place, 0, "cannot be opened: %s", strerror(-error));
    size = sys_size(wal->sys, place->file);
    if (size < 0)
        return fail(why, wal, (int)size, place, 0, "its size is not known: %s", strerror((int)-size));
    place->size = (uint64_t)size;
    if (!read_file_header(wal, place, why))
        return false;
    if (place->ordinal > atomic_load(&wal->released) && place->size < place->header.size)
        return DAMAGED(why, wal, place, place->size, "cut short: it had %" PRIu64 " octets",
                       place->header.size);
    return true;
}

static bool find_files(struct wal *wal, char why[WAL_WHY_SIZE])
{
    struct found found = {0};
    int error = sys_list(wal->sys, wal->folder, note_name, &found);
    bool good = !error || fail_folder(why, wal, error, "cannot be listed: %s", strerror(-error));

    wal->place_count = (uint32_t)(wal->settings.file_count + wal_files_overdraft(wal));
    if (wal->place_count > WAL_PLACES_MAX)
        wal->place_count = WAL_PLACES_MAX;
    if (found.count && found.highest >= wal->place_count)
        wal->place_count = found.highest + 1;
    wal->places = xcalloc(wal->place_count, sizeof *wal->places);
    for (uint32_t i = 0; good && i < found.count; i++)
        good = open_place(wal, &wal->places[found.numbers[i]], why);
    free(found.numbers);
    return good;
}

/* The live files in order of their ordinals. */
struct live {
    struct wal_place **places;
    uint32_t count;
};

static int by_ordinal(const void *a, const void *b)
{
    uint64_t x = (*(struct wal_place *const *)a)->ordinal, y = (*(struct wal_place *const *)b)->ordinal;

    return (x > y) - (x < y);
}

static bool order_live(struct wal *wal, struct live *live, char why[WAL_WHY_SIZE])
{
    uint64_t first = atomic_load(&wal->released) + 1;

    live->places = xcalloc(wal->place_count, sizeof(struct wal_place *));
    for (uint32_t i = 0; i < wal->place_count; i++)
        if (wal->places[i].file && wal->places[i].ordinal >= first)
            live->places[live->count++] = &wal->places[i];
    qsort(live->places, live->count, sizeof(struct wal_place *), by_ordinal);
    for (uint32_t i = 0; i < live->count; i++)
        if (live->places[i]->ordinal != first + i)
            return DAMAGED(why, wal, live->places[i], 0,
                           "file %" PRIu64 " of the journal is missing: here is file %" PRIu64, first + i,
                           live->places[i]->ordinal);
    if (live->count || first == 1)
        return true;
    return fail_folder(why, wal, -EBADMSG,
                       "offset 0: file %" PRIu64 " of the journal is missing: there is none behind it",
                       first);
}

/* ---- batches ---- */

enum verdict { GOOD, BAD, FAILED };

/* The checksum of the batch with HEADER, a window's worth at a time: its length is not to be trusted before.
 */
static enum verdict check_sum(struct window *window, const struct wal_batch_header *header)
{
    uint64_t at = header->offset, end = at + WAL_BATCH_HEADER_SIZE + header->length;
    const uint8_t *octets = look(window, at, WAL_BATCH_HEADER_SIZE);
    uint32_t expected, crc;

    if (!octets)
        return FAILED;
    expected = get_u32(octets + WAL_HEADER_SUMMED);
    crc = crc32c(0, octets, WAL_HEADER_SUMMED);
    for (at += WAL_BATCH_HEADER_SIZE; at < end;) {
        uint64_t size = end - at < WINDOW_SIZE ? end - at : WINDOW_SIZE;

        octets = look(window, at, size);
        if (!octets)
            return FAILED;
        crc = crc32c(crc, octets, (size_t)size);
        at += size;
    }
    return crc == expected ? GOOD : BAD;
}

/* Is there the batch with SEQUENCE at OFFSET? */
static enum verdict check_batch(struct window *window, uint64_t offset, uint64_t sequence,
                                struct wal_batch_header *header)
{
    uint64_t left = window->place->size > offset ? window->place->size - offset : 0;
    const uint8_t *octets;

    if (left < WAL_BLOCK)
        return BAD;
    octets = look(window, offset, WAL_BATCH_HEADER_SIZE);
    if (!octets)
        return FAILED;
    *header = (struct wal_batch_header){
        .epoch = window->wal->settings.epoch, .ordinal = window->place->ordinal, .offset = offset};
    if (!wal_batch_header_get(octets, left, header) || header->sequence != sequence)
        return BAD;
    return check_sum(window, header);
}

static bool records_are_sound(const uint8_t *payload, const struct wal_batch_header *header)
{
    uint64_t at = 0;
    uint32_t count = 0;

    for (; header->length - at >= WAL_RECORD_OVERHEAD; count++) {
        uint64_t size = get_u32(payload + at);

        at += WAL_RECORD_OVERHEAD;
        if (size > header->length - at)
            return false;
        at += size;
    }
    return at == header->length && count == header->count;
}

static bool replay_batch(struct window *window, const struct wal_batch_header *header,
                         struct wal_replay *replay, char why[WAL_WHY_SIZE])
{
    uint64_t start = header->offset + WAL_BATCH_HEADER_SIZE;
    const uint8_t *payload = look(window, start, header->length);

    if (!payload)
        return unreadable(window, start, why);
    if (!records_are_sound(payload, header))
        return DAMAGED(why, window->wal, window->place, header->offset,
                       "the batch's records do not fill it, though its checksum is right");
    for (uint64_t at = 0; at < header->length;) {
        uint32_t size = get_u32(payload + at);

        at += WAL_RECORD_OVERHEAD;
        if (!replay->each(replay->context, header->ordinal, payload + at, size, why))
            return false;
        at += size;
    }
    replay->records += header->count;
    replay->octets += header->length;
    return true;
}

/* Octets from the beginning of the batch with HEADER to that of the next one in the window's file. */
static uint64_t batch_step(const struct window *window, const struct wal_batch_header *header)
{
    uint64_t size = wal_batch_size(header->length), block = wal_block(window->place->header.version);

    return (size + block - 1) / block * block;
}

/* All good batches of the window's file: leaves offset and sequence of the next one in the journal. */
static bool replay_file(struct window *window, struct wal_replay *replay, char why[WAL_WHY_SIZE])
{
    struct wal *wal = window->wal;
    struct wal_batch_header header;
    enum verdict verdict;

    wal->offset = WAL_HEADERS;
    while ((verdict = check_batch(window, wal->offset, wal->sequence, &header)) == GOOD) {
        if (!replay_batch(window, &header, replay, why))
            return false;
        wal->offset += batch_step(window, &header);
        wal->sequence++;
    }
    return verdict == BAD || unreadable(window, wal->offset, why);
}

/* ---- the tail ---- */

/* Look at every block behind the last good batch of the last file for what starts like a batch of it. */
static bool examine_tail(struct window *window, struct wal_replay *replay, char why[WAL_WHY_SIZE])
{
    struct wal *wal = window->wal;
    uint64_t size = window->place->size, block = wal_block(window->place->header.version);

    wal->cut_end = wal->offset;
    for (uint64_t at = wal->offset; at < size && size - at >= block; at += block) {
        struct wal_batch_header header = {
            .epoch = wal->settings.epoch, .ordinal = wal->ordinal, .offset = at};
        const uint8_t *octets = look(window, at, WAL_BATCH_HEADER_SIZE);
        enum verdict verdict;
        uint64_t end;

        if (!octets)
            return unreadable(window, at, why);
        if (!wal_batch_header_get(octets, size - at, &header))
            continue;
        end = at + batch_step(window, &header);
        wal->cut_end = end > wal->cut_end ? end : wal->cut_end;
        if (header.synced < wal->sequence)
            continue;
        verdict = check_sum(window, &header);
        if (verdict == FAILED)
            return unreadable(window, at, why);
        if (verdict == GOOD)
            return DAMAGED(why, wal, window->place, wal->offset,
                           "batch %" PRIu64 " is damaged or missing, and was synced before batch %" PRIu64
                           " at offset %" PRIu64,
                           wal->sequence, header.sequence, at);
    }
    replay->cut = wal->cut_end - wal->offset;
    return true;
}

/* What is there must reach as far as it was once known to. */
static bool check_end(struct wal *wal, const struct wal_replay *replay, char why[WAL_WHY_SIZE])
{
    if (wal->sequence > replay->synced)
        return true;
    if (!wal->current)
        return fail_folder(why, wal, -EBADMSG,
                           "offset 0: no file of the journal (NN.wal) is there, though batches up to %" PRIu64
                           " were synced",
                           replay->synced);
    return DAMAGED(why, wal, wal->current, wal->offset,
                   "batch %" PRIu64
                   " is damaged or missing, here or in a file behind this one: batches up to "
                   "%" PRIu64 " were synced",
                   wal->sequence, replay->synced);
}

static bool replay_files(struct wal *wal, const struct live *live, struct wal_replay *replay,
                         char why[WAL_WHY_SIZE])
{
    struct window window = {.wal = wal};
    bool good = true;

    for (uint32_t i = 0; good && i < live->count; i++) {
        struct wal_place *place = live->places[i];

        if (i == 0)
            wal->sequence = place->header.first_sequence;
        else if (wal->sequence != place->header.first_sequence)
            good = DAMAGED(why, wal, live->places[i - 1], wal->offset,
                           "batch %" PRIu64 " is damaged or missing: file %" PRIu64
                           " begins with batch %" PRIu64,
                           wal->sequence, place->ordinal, place->header.first_sequence);
        look_at(&window, place);
        wal->current = place;
        wal->ordinal = place->ordinal;
        good = good && replay_file(&window, replay, why);
    }
    good = good && (!live->count || examine_tail(&window, replay, why)) && check_end(wal, replay, why);
    free(window.octets);
    return good;
}

/* What was only in the system's cache when the last process died counts from now on, names of files too: it
 * must last. */
static bool sync_tail(struct wal *wal, char why[WAL_WHY_SIZE])
{
    int error = wal->place_count ? sys_sync_folder(wal->sys, wal->folder) : 0;

    if (error)
        return fail_folder(why, wal, error, "cannot be synced: %s", strerror(-error));
    error = wal->current ? sys_sync(wal->sys, wal->current->file) : 0;
    if (error)
        return fail(why, wal, error, wal->current, 0, "cannot be synced: %s", strerror(-error));
    atomic_store(&wal->synced, wal->sequence - 1);
    return true;
}

/* ---- opening ---- */

static bool make_folder(struct wal *wal, char why[WAL_WHY_SIZE])
{
    int error = folder_make(wal->sys, wal->folder);

    return !error || fail_folder(why, wal, error, "cannot be made: %s", strerror(-error));
}

static struct wal *new_wal(struct sys *sys, const struct wal_settings *settings, uint64_t first,
                           wal_done *done, void *done_context)
{
    struct wal *wal = xaligned_alloc(_Alignof(struct wal), sizeof *wal);
    pthread_condattr_t monotonic;

    *wal = (struct wal){.sys = sys, .settings = *settings, .done = done, .done_context = done_context};
    wal->folder = xstrdup(settings->folder);
    wal->settings.folder = wal->folder;
    wal->settings.file_size = wal_round_up(settings->file_size);
    if (wal->settings.file_size < WAL_HEADERS + WAL_BLOCK)
        wal->settings.file_size = WAL_HEADERS + WAL_BLOCK;
    if (settings->file_count < 2)
        wal->settings.file_count = 2;
    if (settings->file_count > WAL_PLACES_MAX)
        wal->settings.file_count = WAL_PLACES_MAX;
    wal->sequence = 1;
    atomic_store(&wal->released, first ? first - 1 : 0);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&wal->files_lock, NULL);
    pthread_cond_init(&wal->files_made, NULL);
    pthread_mutex_init(&wal->sleep_lock, NULL);
    pthread_cond_init(&wal->wake, &monotonic);
    pthread_cond_init(&wal->sync_wanted, NULL);
    atomic_store(&wal->wake_at, WAL_NEVER);
    pthread_condattr_destroy(&monotonic);
    return wal;
}

struct wal *wal_open(struct sys *sys, const struct wal_settings *settings, struct wal_replay *replay,
                     wal_done *done, void *done_context, char why[WAL_WHY_SIZE])
{
    struct wal *wal = new_wal(sys, settings, replay->first, done, done_context);
    struct live live = {0};
    bool good;

    replay->records = replay->octets = replay->cut = 0;
    replay->error = 0;
    good = make_folder(wal, why) && find_files(wal, why) && order_live(wal, &live, why) &&
           replay_files(wal, &live, replay, why) && sync_tail(wal, why);
    free(live.places);
    if (!good) {
        if (!wal->broken) /* EACH did not like what a record says */
            wal->broken = -EBADMSG;
        replay->error = wal->broken;
        wal_close(wal);
        return NULL;
    }
    atomic_store(&wal->file, wal->current ? wal->ordinal : 1);
    atomic_store(&wal->needs_next, wal->current && wal_wants_next(wal));
    return wal;
}
