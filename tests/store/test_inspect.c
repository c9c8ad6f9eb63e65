/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h on data directories that were put together by hand: what contradicts itself is told, what is
 * sound is counted, and nothing on disk changes. Damaged octets are tests/crash/damage's.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/inspect.h"
#include "store/catalog.h"
#include "store/record.h"
#include "store/segment.h"
#include "store/sys_overlay.h"
#include "sys_fake.h"

#define B      BYTES_LITERAL
#define FOLDER "d"
#define LEVEL0 B("\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")

static struct sys_fake *fake;
static struct sys *sys;
static char told[16384]; /* all damages, notes and kinds of lines */
static struct inspect_summary summary;

static void tell(void *context, const char *text)
{
    size_t used = strlen(told);

    snprintf(told + used, sizeof told - used, "%s: %s\n", (const char *)context, text);
}

static void tell_damage(void *context, const char *text)
{
    (void)context;
    tell((void *)(uintptr_t) "damaged", text);
}

static void tell_line(void *context, const char *kind, const struct inspect_field *fields, unsigned count)
{
    (void)context;
    cr_assert(count > 0 && fields->name);
    tell((void *)(uintptr_t) "line", kind);
}

static enum inspect_result look(void)
{
    const struct inspect_sink sink = {
        .context = (void *)(uintptr_t) "note", .damage = tell_damage, .note = tell, .line = tell_line};

    told[0] = 0;
    return inspect(sys, FOLDER, &sink, &summary);
}

static void put_file(const char *path)
{
    struct sys_file *file;

    cr_assert_eq(sys_open(sys, path, SYS_WRITE | SYS_CREATE, &file), 0);
    sys_close(sys, file);
}

static void setup(void)
{
    fake = sys_fake_new(1);
    sys = sys_fake_sys(fake);
    sys_make_folder(sys, FOLDER);
    put_file(FOLDER "/lock");
}

static void teardown(void)
{
    sys_free(sys);
}

TestSuite(inspect, .init = setup, .fini = teardown);

/* A run of messages numbered 0, 1 and 2, of the queue with ID. */
static struct run_place put_run(uint64_t id)
{
    char why[SEGMENT_WHY_SIZE];
    struct segments *segments = segments_open(sys, FOLDER "/segments", 1 << 20, true, why);
    const struct run_head head = {.vhost = 1, .queue = id};
    struct run_message messages[3];
    struct run_place place;

    for (unsigned i = 0; i < 3; i++) {
        messages[i] = (struct run_message){.number = i, .deadline = INT64_MAX};
        messages[i].message = message_new(B("x"), B("k"), B(""), B("\0\0"), 4);
        memcpy(messages[i].message->body, "body", 4);
        message_scan_properties(messages[i].message);
    }
    cr_assert_eq(segments_write(segments, &head, messages, 3, &place), 0);
    cr_assert_eq(segments_sync(segments), 0);
    for (unsigned i = 0; i < 3; i++)
        message_unref(messages[i].message);
    segments_close(segments);
    return place;
}

struct rows {
    uint64_t queue_of_run;
    struct bytes state;
    uint64_t live;   /* bits */
    uint32_t shift;  /* of the run's place */
    unsigned copies; /* rows of the run, with different first numbers */
};

static const struct rows sound = {.queue_of_run = 5, .state = LEVEL0, .live = 5, .copies = 1};

static void put_rows(const struct rows *rows)
{
    struct run_place place = put_run(rows->queue_of_run);
    uint8_t live[24];
    char why[CATALOG_WHY_SIZE];
    struct catalog *catalog;
    bool is_new;

    put_le32(live, 3);
    put_le32(live + 4, 0);
    put_le64(live + 8, 12);
    put_le64(live + 16, rows->live);
    place.offset += rows->shift;
    cr_assert_eq(catalog_open(sys, FOLDER, &catalog, &is_new, why), 0, "%s", why);
    catalog_begin(catalog);
    catalog_put_state(catalog, &(struct catalog_state){7, 1, 0});
    catalog_put_vhost(catalog, &(struct catalog_vhost){1, B("/"), 9});
    catalog_put_queue(catalog, &(struct catalog_queue){1, 5, B("q"), B(""), false, rows->state});
    for (unsigned i = 0; i < rows->copies; i++)
        catalog_put_run(catalog, &(struct catalog_run){.vhost = 1,
                                                       .queue = rows->queue_of_run,
                                                       .first = i * 10,
                                                       .span = 3,
                                                       .next_deadline = INT64_MAX,
                                                       .place = place,
                                                       .live = {live, sizeof live}});
    cr_assert_eq(catalog_commit(catalog), 0);
    catalog_close(catalog);
}

static void expect_damage(const struct rows *rows, const char *text)
{
    put_rows(rows);
    cr_expect_eq(look(), INSPECT_DAMAGED, "%s", told);
    cr_expect(strstr(told, text), "%s", told);
}

Test(inspect, what_is_sound_is_counted_and_told)
{
    put_rows(&sound);
    cr_expect_eq(look(), INSPECT_SOUND, "%s", told);
    cr_expect_eq(summary.vhosts, 1);
    cr_expect_eq(summary.queues, 1);
    cr_expect_eq(summary.runs, 1);
    cr_expect_eq(summary.files, 1);
    cr_expect_eq(summary.messages, 2);
    cr_expect_str_eq(told, "line: node\nline: vhost\nline: queue\nline: level\nline: run\n"
                           "line: message\nline: message\nline: message\n");
}

Test(inspect, nothing_is_written)
{
    uint64_t written;

    put_rows(&sound);
    written = sys_fake_counters(fake).octets_written;
    cr_expect_eq(look(), INSPECT_SOUND, "%s", told);
    cr_expect_eq(sys_fake_counters(fake).octets_written, written);
    cr_expect_eq(sys_fake_counters(fake).open_files, 0);
}

Test(inspect, a_run_of_no_queue_is_damage)
{
    struct rows rows = sound;

    rows.queue_of_run = 6;
    expect_damage(&rows, "run from 0 of queue 6, level 0, vhost 1: there is no such queue");
}

Test(inspect, a_run_that_is_elsewhere_is_damage)
{
    struct rows rows = sound;

    rows.shift = 512;
    expect_damage(&rows, "00000001.seg, offset 1024: the file ends before the run does");
}

Test(inspect, live_messages_that_a_run_has_not_are_damage)
{
    struct rows rows = sound;

    rows.live = 8 | 5;
    expect_damage(&rows, "it has not all of its live messages");
}

Test(inspect, two_runs_at_one_place_are_damage)
{
    struct rows rows = sound;

    rows.copies = 2;
    expect_damage(&rows, "another run is at the same place");
}

Test(inspect, a_state_of_half_a_level_is_damage)
{
    struct rows rows = sound;

    rows.state.size--;
    expect_damage(&rows, "catalog.db: queue 5 of vhost 1: a state of 32 octets");
}

Test(inspect, segments_without_a_catalog_are_damage)
{
    put_run(5);
    cr_expect_eq(look(), INSPECT_DAMAGED, "%s", told);
    cr_expect(strstr(told, "catalog.db: offset 0: it is empty or missing"), "%s", told);
}

Test(inspect, what_nothing_refers_to_is_noted)
{
    put_rows(&sound);
    put_run(5);
    cr_expect_eq(look(), INSPECT_SOUND, "%s", told);
    cr_expect(strstr(told, "note: d/segments/00000002.seg: 1 runs and 0 octets that nothing refers to"), "%s",
              told);
}

Test(inspect, one_in_use_is_left_alone)
{
    struct sys_file *lock;

    put_rows(&sound);
    cr_assert_eq(sys_open(sys, FOLDER "/lock", SYS_WRITE, &lock), 0);
    cr_assert_eq(sys_write(sys, lock, "4711\n", 5, 0), 0);
    cr_assert_eq(sys_lock(sys, lock), 0);
    cr_expect_eq(look(), INSPECT_IN_USE);
    cr_expect(strstr(told, "d is in use by process 4711"), "%s", told);
    sys_close(sys, lock);
}

Test(inspect, an_overlay_keeps_what_is_written_to_itself)
{
    struct sys *overlay = sys_overlay_new(sys);
    struct sys_file *above, *below;
    char octets[8] = "";

    cr_assert_eq(sys_open(sys, FOLDER "/lock", SYS_WRITE, &below), 0);
    cr_assert_eq(sys_write(sys, below, "below", 5, 0), 0);
    cr_assert_eq(sys_open(overlay, FOLDER "/lock", SYS_WRITE, &above), 0);
    cr_expect_eq(sys_read(overlay, above, octets, 8, 0), 5);
    cr_expect_eq(sys_write(overlay, above, "ab", 2, 6), 0);
    cr_expect_eq(sys_read(overlay, above, octets, 8, 0), 8);
    cr_expect_arr_eq(octets, "below\0ab", 8);
    cr_expect_eq(sys_size(overlay, above), 8);
    cr_expect_eq(sys_size(sys, below), 5);
    cr_expect_eq(sys_truncate(overlay, above, 2), 0);
    cr_expect_eq(sys_read(overlay, above, octets, 8, 0), 2);
    sys_close(overlay, above);
    cr_expect_eq(sys_unlink(overlay, FOLDER "/lock"), 0);
    cr_expect_eq(sys_open(overlay, FOLDER "/lock", SYS_READ, &above), -ENOENT);
    cr_expect_eq(sys_open(overlay, FOLDER "/lock", SYS_WRITE | SYS_CREATE, &above), 0);
    cr_expect_eq(sys_size(overlay, above), 0);
    cr_expect_eq(sys_read(sys, below, octets, 8, 0), 5);
    sys_close(overlay, above);
    sys_close(sys, below);
    sys_free(overlay);
}
