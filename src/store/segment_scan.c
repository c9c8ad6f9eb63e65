/* SPDX-License-Identifier: Apache-2.0 */
/* segment.h: looking through a file for all that is wrong with it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coney/crc32c.h"
#include "coney/xalloc.h"
#include "record.h"
#include "segment_fields.h"

typedef void scan_each(void *context, const struct run_head *head, const struct run_place *place,
                       uint64_t first, uint32_t count, const char *damage);

struct scan {
    struct segments *segments;
    struct sys_file *file;
    uint64_t size;
    uint64_t unknown; /* from here on no run was found; 0: none is being looked for */
    struct run_place place;
    struct run_message *messages; /* RUN_MESSAGES_MAX */
    struct run_due *due;          /* RUN_MESSAGES_MAX */
    scan_each *each;
    void *context;
    char why[SEGMENT_WHY_SIZE];
};

static const struct run_message *find_number(const struct run_message *messages, uint32_t count,
                                             uint64_t number)
{
    uint32_t from = 0, to = count;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;

        if (messages[middle].number < number)
            from = middle + 1;
        else
            to = middle;
    }
    return from < count && messages[from].number == number ? &messages[from] : NULL;
}

/* The list by deadline against the messages. Both have as many entries, so each message is in it if each
 * entry is of another message: that they are in order sees to. */
static int scan_due(struct scan *scan, struct segment_reading *reading, uint32_t count)
{
    uint32_t due_count;
    int error = segment_read_due(reading, 0, scan->due, RUN_MESSAGES_MAX, &due_count);

    for (uint32_t i = 0; i < due_count && !error; i++) {
        const struct run_due *due = &scan->due[i];
        const struct run_message *message = find_number(scan->messages, count, due->number);

        if (!message || message->deadline != due->deadline || message->message->body_size != due->body_size ||
            (i && due->deadline == due[-1].deadline && due->number <= due[-1].number))
            error = segment_damaged(reading, "the run's list by deadline contradicts the messages");
    }
    return error;
}

/* Check all of the run at scan->place. */
static int scan_run(struct scan *scan)
{
    struct segment_reading reading = {.segments = scan->segments, .place = &scan->place, .why = scan->why};
    uint32_t count;
    int error = segment_reading_begin(&reading);

    if (error)
        return error;
    error = segment_read_index(&reading);
    if (!error)
        error = segment_read_messages(&reading, NULL, scan->messages, RUN_MESSAGES_MAX, &count);
    if (!error) {
        error = scan_due(scan, &reading, count);
        run_messages_unref(scan->messages, count);
    }
    segment_reading_end(&reading);
    return error;
}

/* Tell of what was stepped over in search of a run, up to END. */
static void scan_tell_unknown(struct scan *scan, uint64_t end)
{
    struct run_place place = {scan->place.file, scan->unknown, end - scan->unknown};

    if (scan->unknown)
        scan->each(scan->context, &(struct run_head){0}, &place, 0, 0, "no run is here");
    scan->unknown = 0;
}

/* Look at the place scan->place.offset, and move it to the next one. */
static int scan_step(struct scan *scan)
{
    uint8_t header[RUN_HEADER];
    struct run_place *place = &scan->place;
    struct run_layout layout;
    ssize_t n = sys_read(scan->segments->sys, scan->file, header, sizeof header, place->offset);
    int error;

    if (n < 0)
        return (int)n;
    if (n < RUN_HEADER || layout_get_header(header, &layout) ||
        layout_size(&layout) > scan->size - place->offset) {
        if (!scan->unknown)
            scan->unknown = place->offset;
        place->offset += RUN_SECTOR;
        return 0;
    }
    scan_tell_unknown(scan, place->offset);
    place->size = layout_size(&layout);
    error = scan_run(scan);
    if (error && error != -EBADMSG)
        return error;
    scan->each(scan->context, &layout.head, place, layout.head.first, layout.count, error ? scan->why : NULL);
    place->offset = layout_round_up(place->offset + place->size);
    return 0;
}

static int scan_file_header(struct scan *scan)
{
    uint8_t header[SEGMENT_FILE_HEADER];
    ssize_t n = sys_read(scan->segments->sys, scan->file, header, sizeof header, 0);
    const char *wrong = NULL;

    if (n < 0)
        return (int)n;
    if (n < SEGMENT_FILE_HEADER || memcmp(header, SEGMENT_FILE_MAGIC, 8) != 0 ||
        get_le32(header + SEGMENT_FILE_HEADER - 4) != crc32c(0, header, SEGMENT_FILE_HEADER - 4))
        wrong = "the file's header is damaged";
    else if (get_le32(header + 8) != SEGMENT_FILE_VERSION)
        wrong = "the file is of a version that is not known here";
    else if (get_le32(header + 12) != scan->place.file)
        wrong = "the file was written under another number";
    if (wrong)
        scan->each(scan->context, &(struct run_head){0},
                   &(struct run_place){scan->place.file, 0, SEGMENT_FILE_HEADER}, 0, 0, wrong);
    return 0;
}

static int scan_all(struct scan *scan)
{
    int64_t size = sys_size(scan->segments->sys, scan->file);
    int error;

    if (size < 0)
        return (int)size;
    scan->size = (uint64_t)size;
    error = scan_file_header(scan);
    while (!error && scan->place.offset < scan->size)
        error = scan_step(scan);
    scan_tell_unknown(scan, scan->size);
    return error;
}

int segments_scan(struct segments *segments, uint32_t file, scan_each *each, void *context)
{
    struct scan scan = {
        .segments = segments, .place = {file, SEGMENT_FILE_HEADER, 0}, .each = each, .context = context};
    struct segment_handle handle;
    int error = segment_handle_take(segments, file, &handle);

    if (error)
        return error;
    scan.file = handle.file;
    scan.messages = xmalloc(RUN_MESSAGES_MAX * sizeof *scan.messages);
    scan.due = xmalloc(RUN_MESSAGES_MAX * sizeof *scan.due);
    error = scan_all(&scan);
    free(scan.messages);
    free(scan.due);
    segment_handle_release(segments, &handle);
    return error;
}
