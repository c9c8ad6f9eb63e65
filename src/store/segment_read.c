/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h: reading runs. First the header, then the index, then what is wanted of the records, many at
 * once; nothing is believed before it was checked, and no size is asked for that the file does not have.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/crc32c.h"
#include "coney/xalloc.h"
#include "record.h"
#include "segment_fields.h"

#define WINDOW_MAX ((uint64_t)1 << 20)   /* octets of records that are read at once */
#define GAP_MAX    16384                 /* fewer unwanted octets are read rather than stepped over */
#define LARGE      ((uint64_t)256 << 10) /* bodies of larger records are read to their place */

static int refused(const struct segment_reading *reading, int error, const char *what)
{
    snprintf(reading->why, SEGMENT_WHY_SIZE, "%s/%08" PRIu32 ".seg, offset %" PRIu64 ": %s%s%s",
             reading->segments->folder, reading->place->file, reading->place->offset, what,
             error == -EBADMSG ? "" : ": ", error == -EBADMSG ? "" : strerror(-error));
    return error;
}

int segment_damaged(const struct segment_reading *reading, const char *what)
{
    return refused(reading, -EBADMSG, what);
}

/* Read SIZE octets that are FROM octets into the run. */
static int read_octets(struct segment_reading *reading, void *to, uint64_t size, uint64_t from)
{
    ssize_t n = sys_read(reading->segments->sys, reading->handle.file, to, (size_t)size,
                         reading->place->offset + from);

    if (n < 0)
        return refused(reading, (int)n, "cannot read");
    return (uint64_t)n == size ? 0 : segment_damaged(reading, "the file ends inside the run");
}

void segment_reading_end(struct segment_reading *reading)
{
    free(reading->index);
    free(reading->window);
    segment_handle_release(reading->segments, &reading->handle);
}

int segment_reading_begin(struct segment_reading *reading)
{
    const struct run_place *place = reading->place;
    uint8_t header[RUN_HEADER];
    const char *wrong;
    int64_t file_size;
    int error = segment_handle_take(reading->segments, place->file, &reading->handle);

    if (error)
        return error == -ENOENT ? segment_damaged(reading, "the file is missing")
                                : refused(reading, error, "cannot open the file");
    file_size = sys_size(reading->segments->sys, reading->handle.file);
    if (file_size < 0)
        error = refused(reading, (int)file_size, "cannot tell the file's size");
    else if (place->size > (uint64_t)file_size || place->offset > (uint64_t)file_size - place->size)
        error = segment_damaged(reading, "the file ends before the run does");
    else
        error = read_octets(reading, header, sizeof header, 0);
    if (!error && (wrong = layout_get_header(header, &reading->layout)))
        error = segment_damaged(reading, wrong);
    if (!error && layout_size(&reading->layout) != place->size)
        error = segment_damaged(reading, "the run is not of the size that is expected");
    if (error)
        segment_reading_end(reading);
    return error;
}

static int check_owner(struct segment_reading *reading, const struct run_head *head)
{
    const struct run_head *found = &reading->layout.head;

    if (found->vhost != head->vhost || found->queue != head->queue || found->level != head->level)
        return segment_damaged(reading, "the run is of another queue");
    if (found->first < head->first || found->span > head->span ||
        found->first - head->first > head->span - found->span)
        return segment_damaged(reading, "the run is of other numbers");
    reading->shift = found->first - head->first;
    return 0;
}

int segment_read_index(struct segment_reading *reading)
{
    uint64_t size = layout_due_begin(&reading->layout) - RUN_HEADER;
    const char *wrong;
    int error;

    reading->index = xmalloc((size_t)size);
    error = read_octets(reading, reading->index, size, RUN_HEADER);
    if (!error && (wrong = layout_check_index(&reading->layout, reading->index)))
        error = segment_damaged(reading, wrong);
    return error;
}

static int window_read(struct segment_reading *reading, uint64_t from, uint64_t size)
{
    int error;

    if (size > reading->window_room) {
        free(reading->window);
        reading->window = xmalloc((size_t)size);
        reading->window_room = (size_t)size;
    }
    reading->window_from = from;
    error = read_octets(reading, reading->window, size, from);
    reading->window_size = error ? 0 : size;
    return error;
}

static struct run_entry entry_of(const struct segment_reading *reading, uint32_t n)
{
    return layout_get_entry(&reading->layout, reading->index, n);
}

/* WANTED, if any, has a bit for each number of the caller's span, in which all are: check_owner(). */
static bool is_wanted(const struct segment_reading *reading, const uint64_t *wanted, uint32_t n)
{
    return !wanted || run_bit(wanted, reading->shift + layout_get_place(reading->index, n));
}

/* Read the record of line N, and with it those of the wanted lines that stand close behind. */
static int window_read_records(struct segment_reading *reading, const uint64_t *wanted, uint32_t n)
{
    struct run_entry entry = entry_of(reading, n);
    uint64_t from = entry.from, to = from + entry.size;

    while (++n < reading->layout.count) {
        if (!is_wanted(reading, wanted, n))
            continue;
        entry = entry_of(reading, n);
        if (entry.from - to > GAP_MAX || entry.size > LARGE || entry.from + entry.size - from > WINDOW_MAX)
            break;
        to = entry.from + entry.size;
    }
    return window_read(reading, from, to - from);
}

static int bad_message(const struct segment_reading *reading, const struct run_entry *entry, const char *what)
{
    char text[128];

    snprintf(text, sizeof text, "message %" PRIu64 " %s", entry->number, what);
    return segment_damaged(reading, text);
}

#define CHECKSUM_DIFFERS "does not match its checksum"
#define DOES_NOT_FIT     "is not laid out as a message"

static int read_message(struct segment_reading *reading, const struct run_entry *entry,
                        struct message **message)
{
    const uint8_t *from = reading->window + (entry->from - reading->window_from);

    if (crc32c(0, from, (size_t)entry->size) != entry->crc)
        return bad_message(reading, entry, CHECKSUM_DIFFERS);
    *message = record_get_message(from, (size_t)entry->size);
    return *message ? 0 : bad_message(reading, entry, DOES_NOT_FIT);
}

/* Read a message whose body goes from the file to its place. */
static int read_large_message(struct segment_reading *reading, const struct run_entry *entry,
                              struct message **message)
{
    uint64_t body_at;
    uint32_t crc;
    int error = window_read(reading, entry->from, RECORD_MESSAGE_HEAD);

    if (error)
        return error;
    if (!record_check_message(reading->window, entry->size, &body_at))
        return bad_message(reading, entry, DOES_NOT_FIT);
    error = window_read(reading, entry->from, body_at);
    if (error)
        return error;
    *message = record_begin_message(reading->window, entry->size);
    if (!*message)
        return bad_message(reading, entry, DOES_NOT_FIT);
    crc = crc32c(0, reading->window, (size_t)body_at);
    error = read_octets(reading, (*message)->body, entry->size - body_at, entry->from + body_at);
    if (!error && crc32c(crc, (*message)->body, (size_t)(entry->size - body_at)) != entry->crc)
        error = bad_message(reading, entry, CHECKSUM_DIFFERS);
    if (error)
        message_unref(*message);
    return error;
}

static bool window_has(const struct segment_reading *reading, const struct run_entry *entry)
{
    return entry->from >= reading->window_from &&
           entry->from + entry->size <= reading->window_from + reading->window_size;
}

static int read_entry(struct segment_reading *reading, const uint64_t *wanted, uint32_t n,
                      const struct run_entry *entry, struct message **message)
{
    int error = 0;

    if (entry->size > LARGE)
        return read_large_message(reading, entry, message);
    if (!window_has(reading, entry))
        error = window_read_records(reading, wanted, n);
    return error ? error : read_message(reading, entry, message);
}

int segment_read_messages(struct segment_reading *reading, const uint64_t *wanted,
                          struct run_message *messages, uint32_t room, uint32_t *count)
{
    int error = 0;

    *count = 0;
    for (uint32_t n = 0; n < reading->layout.count && !error; n++) {
        struct run_message *to = &messages[*count];
        struct run_entry entry;

        if (!is_wanted(reading, wanted, n))
            continue;
        entry = entry_of(reading, n);
        if (*count == room) {
            error = segment_damaged(reading, "the run has more messages than are expected");
            break;
        }
        *to = (struct run_message){.number = entry.number,
                                   .deadline = entry.deadline,
                                   .delivery_count = entry.delivery_count,
                                   .redelivered = entry.redelivered,
                                   .is_transient = entry.is_transient};
        error = read_entry(reading, wanted, n, &entry, &to->message);
        *count += !error;
    }
    if (error) {
        run_messages_unref(messages, *count);
        *count = 0;
    }
    return error;
}

int segments_read(struct segments *segments, const struct run_head *head, const struct run_place *place,
                  const uint64_t *wanted, struct run_message *messages, uint32_t room, uint32_t *count,
                  char why[SEGMENT_WHY_SIZE])
{
    struct segment_reading reading = {.segments = segments, .place = place, .why = why};
    int error = segment_reading_begin(&reading);

    *count = 0;
    if (error)
        return error;
    error = check_owner(&reading, head);
    if (!error)
        error = segment_read_index(&reading);
    if (!error)
        error = segment_read_messages(&reading, wanted, messages, room, count);
    segment_reading_end(&reading);
    return error;
}

int segment_read_due(struct segment_reading *reading, uint32_t from, struct run_due *due, uint32_t max,
                     uint32_t *count)
{
    const struct run_layout *layout = &reading->layout;
    uint32_t left = from < layout->due_count ? layout->due_count - from : 0;
    uint32_t wanted = max < left ? max : left;
    int error = 0;

    if (wanted)
        error = window_read(reading, layout_due_begin(layout) + (uint64_t)from * RUN_DUE_ENTRY,
                            (uint64_t)wanted * RUN_DUE_ENTRY);
    for (uint32_t i = 0; i < wanted && !error; i++)
        if (!layout_get_due(layout, reading->window + (size_t)i * RUN_DUE_ENTRY, &due[i]) ||
            (i && due[i].deadline < due[i - 1].deadline))
            error = segment_damaged(reading, "the run's list by deadline is damaged");
    *count = error ? 0 : wanted;
    return error;
}

int segments_read_due(struct segments *segments, const struct run_head *head, const struct run_place *place,
                      uint32_t from, struct run_due *due, uint32_t max, uint32_t *count,
                      char why[SEGMENT_WHY_SIZE])
{
    struct segment_reading reading = {.segments = segments, .place = place, .why = why};
    int error = segment_reading_begin(&reading);

    *count = 0;
    if (error)
        return error;
    error = check_owner(&reading, head);
    if (!error)
        error = segment_read_due(&reading, from, due, max, count);
    segment_reading_end(&reading);
    return error;
}
