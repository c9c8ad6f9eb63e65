/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h: runs. Each that the catalog names is read whole, as a node would read it, and its live bits are
 * compared with what is in it; then each segment file is gone through for what a node has not looked at yet
 * (lists by deadline, files' headers). What the catalog does not name is of no use to anybody, so whatever it
 * is, it is no damage.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/run.h"
#include "coney/xalloc.h"
#include "inspect_fields.h"
#include "record.h"
#include "segment_fields.h"

#define LIVE_HEAD 16 /* octets before the bitmap: checkpoint.c, put_live() */

static struct inspect_place *find_place(struct inspection *inspection, uint32_t file, uint64_t offset)
{
    struct inspect_place *place, sought = {0};

    sought.key.file = file;
    sought.key.offset = offset;
    HASH_FIND(hh, inspection->places, &sought.key, sizeof sought.key, place);
    return place;
}

/* A run of the catalog is damaged: WHAT. */
static void row_damage(struct inspection *inspection, const struct catalog_run *row, const char *what)
{
    inspect_damage(inspection,
                   "%s/catalog.db: run from %" PRIu64 " of queue %" PRIu64 ", level %d, vhost %" PRIu32
                   ": %s",
                   inspection->folder, row->first, row->queue, row->level, row->vhost, what);
}

/* The live bits of ROW, in host order, into WORDS; false when it is not laid out so. */
static bool get_live(const struct catalog_run *row, uint64_t words[RUN_SPAN_MAX / 64])
{
    uint32_t count = run_words(row->span);
    const uint8_t *p = row->live.data;

    if (!row->span || row->span > RUN_SPAN_MAX || row->live.size < LIVE_HEAD + count * sizeof(uint64_t) ||
        row->live.size !=
            LIVE_HEAD + count * sizeof(uint64_t) + (uint64_t)get_le32(p + 4) * sizeof(struct run_return))
        return false;
    for (uint32_t i = 0; i < count; i++)
        words[i] = get_le64(p + LIVE_HEAD + i * sizeof(uint64_t));
    return true;
}

bool inspect_take_run(struct inspection *inspection, const struct catalog_run *row)
{
    struct inspect_queue *queue, sought = {0};
    struct inspect_place *place;
    uint64_t words[RUN_SPAN_MAX / 64];

    inspection->summary->runs++;
    sought.key.id = row->queue;
    sought.key.vhost = row->vhost;
    HASH_FIND(hh, inspection->queues, &sought.key, sizeof sought.key, queue);
    if (!queue)
        row_damage(inspection, row, "there is no such queue");
    if (!get_live(row, words))
        row_damage(inspection, row, "the bitmap of its live messages is not laid out as one");
    if (find_place(inspection, row->place.file, row->place.offset)) {
        row_damage(inspection, row, "another run is at the same place");
        return true;
    }
    place = xcalloc(1, sizeof *place);
    place->key.file = row->place.file;
    place->key.offset = row->place.offset;
    HASH_ADD(hh, inspection->places, key, sizeof place->key, place);
    return true;
}

/* ---- runs of the catalog ---- */

static void tell_message(struct inspection *inspection, const struct catalog_run *row,
                         const struct run_message *message, bool is_live)
{
    struct inspect_field fields[16] = {
        INSPECT_COUNT("vhost", row->vhost),
        INSPECT_COUNT("queue", row->queue),
        INSPECT_COUNT("level", row->level),
        INSPECT_COUNT("number", message->number),
        INSPECT_BOOL("live", is_live),
        INSPECT_BOOL("redelivered", message->redelivered),
        INSPECT_COUNT("delivery_count", message->delivery_count),
    };
    unsigned count = 7;

    if (message->deadline != INT64_MAX)
        fields[count++] = (struct inspect_field)INSPECT_COUNT("deadline", (uint64_t)message->deadline);
    inspect_line(inspection, "message", fields, inspect_message(inspection, message->message, fields, count));
}

static void tell_run(struct inspection *inspection, const struct catalog_run *row)
{
    INSPECT_LINE(inspection, "run", INSPECT_COUNT("vhost", row->vhost), INSPECT_COUNT("queue", row->queue),
                 INSPECT_COUNT("level", row->level), INSPECT_COUNT("first", row->first),
                 INSPECT_COUNT("span", row->span), INSPECT_COUNT("file", row->place.file),
                 INSPECT_COUNT("offset", row->place.offset), INSPECT_COUNT("size", row->place.size),
                 INSPECT_COUNT("messages", get_le32(row->live.data)),
                 INSPECT_COUNT("returns", get_le32(row->live.data + 4)),
                 INSPECT_COUNT("body_bytes", get_le64(row->live.data + 8)));
}

/* The messages against the bits of those that are LIVE. */
static void compare(struct inspection *inspection, const struct catalog_run *row, const uint64_t *live,
                    const struct run_message *messages, uint32_t count)
{
    uint64_t wanted = 0, found = 0;

    for (uint32_t word = 0; word < run_words(row->span); word++)
        wanted += (uint64_t)__builtin_popcountll(live[word]);
    for (uint32_t i = 0; i < count; i++) {
        bool is_live = run_bit(live, messages[i].number - row->first);

        found += is_live;
        if (inspection->sink->line)
            tell_message(inspection, row, &messages[i], is_live);
    }
    if (found != wanted)
        row_damage(inspection, row, "it has not all of its live messages");
}

struct reading {
    struct inspection *inspection;
    struct run_message *messages; /* RUN_MESSAGES_MAX */
};

static bool read_run(void *context, const struct catalog_run *row)
{
    struct reading *reading = context;
    struct inspection *inspection = reading->inspection;
    struct inspect_place *place = find_place(inspection, row->place.file, row->place.offset);
    const struct run_head head = {row->vhost, row->queue, row->level, row->first, row->span};
    uint64_t live[RUN_SPAN_MAX / 64];
    char why[SEGMENT_WHY_SIZE];
    uint32_t count;
    int error;

    if (!get_live(row, live))
        return true;
    tell_run(inspection, row);
    error = segments_read(inspection->segments, &head, &row->place, NULL, reading->messages, RUN_MESSAGES_MAX,
                          &count, why);
    if (error) {
        inspect_error(inspection, error, why);
        place->is_damaged = true;
        return true;
    }
    compare(inspection, row, live, reading->messages, count);
    run_messages_unref(reading->messages, count);
    return true;
}

/* ---- files ---- */

struct scan {
    struct inspection *inspection;
    uint64_t unnamed; /* runs that the catalog does not name */
    uint64_t remains; /* octets that are no run */
};

static bool is_used(const struct inspection *inspection, uint32_t file)
{
    for (const struct inspect_place *place = inspection->places; place; place = place->hh.next)
        if (place->key.file == file)
            return true;
    return false;
}

static void scan_each(void *context, const struct run_head *head, const struct run_place *at, uint64_t first,
                      uint32_t count, const char *damage)
{
    struct scan *scan = context;
    struct inspection *inspection = scan->inspection;
    struct inspect_place *place = find_place(inspection, at->file, at->offset);

    (void)head;
    (void)first;
    if (count && !place) {
        scan->unnamed++;
    } else if (damage && count && !place->is_damaged) {
        inspect_damage(inspection, "%s", damage);
        place->is_damaged = true;
    } else if (damage && !count && !at->offset && is_used(inspection, at->file)) {
        inspect_damage(inspection, "%s/%08" PRIu32 ".seg, offset 0: %s", inspection->segments->folder,
                       at->file, damage);
    } else if (damage && !count && at->offset && !place) {
        scan->remains += at->size;
    }
}

static void scan_file(struct inspection *inspection, uint32_t file)
{
    struct scan scan = {.inspection = inspection};
    int error = segments_scan(inspection->segments, file, scan_each, &scan);

    if (error) {
        inspection->is_unreadable = true;
        inspect_damage(inspection, "%s/%08" PRIu32 ".seg: %s", inspection->segments->folder, file,
                       strerror(-error));
    }
    if (scan.unnamed || scan.remains)
        inspect_note(inspection,
                     "%s/%08" PRIu32 ".seg: %" PRIu64 " runs and %" PRIu64 " octets that nothing refers to",
                     inspection->segments->folder, file, scan.unnamed, scan.remains);
}

void inspect_segments(struct inspection *inspection, struct catalog *catalog)
{
    struct reading reading = {.inspection = inspection};
    const struct catalog_reader reader = {.context = &reading, .run = read_run};
    char path[4096], why[SEGMENT_WHY_SIZE];

    snprintf(path, sizeof path, "%s/segments", inspection->folder);
    inspection->segments = segments_open(inspection->sys, path, RUN_OCTETS_MAX, true, why);
    if (!inspection->segments) {
        inspect_error(inspection, -EIO, why);
        return;
    }
    reading.messages = xmalloc(RUN_MESSAGES_MAX * sizeof *reading.messages);
    if (catalog_read(catalog, &reader))
        inspect_error(inspection, -EBADMSG, catalog_why(catalog));
    free(reading.messages);
    for (uint32_t i = 0; i < inspection->segments->known_count; i++)
        scan_file(inspection, inspection->segments->known[i].number);
    inspection->summary->files = inspection->segments->known_count;
    segments_close(inspection->segments);
}
