/* SPDX-License-Identifier: Apache-2.0 */
/* segment.h: what was written comes back, whatever happens to the files never makes it a wrong message, and
 * files come and go as they should. On the real system, then on one that fails and loses power. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coney/xalloc.h"
#include "sim/random.h"
#include "store/record.h"
#include "store/segment.h"
#include "store/sys_fake.h"

#define FILE_SIZE ((uint64_t)16 << 20)
#define KEYS                   \
    BYTES_LITERAL("\0\x02"     \
                  "ab\x01\x01" \
                  "c")

static char folder[] = "/tmp/coney-test-segment-XXXXXX";
static struct sys *sys;
static struct segments *segments;
static char why[SEGMENT_WHY_SIZE];

static void open_segments(uint64_t file_size, bool synced)
{
    segments_close(segments);
    segments = segments_open(sys, "segments", file_size, synced, why);
    cr_assert_not_null(segments, "%s", why);
}

static void begin(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    sys = sys_posix_new();
    open_segments(FILE_SIZE, true);
}

static void end(void)
{
    char command[sizeof folder + 16];

    segments_close(segments);
    sys_free(sys);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_expect_eq(system(command), 0); // NOLINT(cert-env33-c): a name that this file chose
}

TestSuite(segment, .init = begin, .fini = end, .timeout = 120);

/* --- messages and runs ---------------------------------------------------------------------------------- */

struct sample {
    struct run_message messages[RUN_MESSAGES_MAX];
    uint32_t count;
};

static struct message *make_message(struct bytes keys, uint64_t body_size, uint64_t seed)
{
    struct random random = {seed};
    struct message *message = message_new(BYTES_LITERAL("orders"), BYTES_LITERAL("eu.paid"), keys,
                                          BYTES_LITERAL("\x18\0\x02\x07"), body_size);

    for (uint64_t i = 0; i < body_size; i++)
        message->body[i] = (uint8_t)(random_next(&random) >> 11);
    message->flags |= MESSAGE_PERSISTENT;
    message->priority = (uint8_t)seed;
    return message;
}

static struct run_head head_of(const struct sample *run)
{
    return (struct run_head){
        .vhost = 3,
        .queue = 77777777777,
        .level = 2,
        .first = run->messages[0].number,
        .span = (uint32_t)(run->messages[run->count - 1].number - run->messages[0].number) + 1,
    };
}

static struct sample *new_run(void)
{
    return xcalloc(1, sizeof(struct sample));
}

static void add_message(struct sample *run, uint64_t number, int64_t deadline, uint64_t body_size)
{
    run->messages[run->count++] = (struct run_message){
        .number = number,
        .deadline = deadline,
        .delivery_count = (uint32_t)(number % 5),
        .redelivered = number % 3 == 0,
        .is_transient = number % 7 == 0,
        .message = make_message(number % 2 ? (struct bytes){NULL, 0} : KEYS, body_size, number),
    };
}

static struct sample *make_run(uint64_t first, uint32_t count, uint64_t body_size)
{
    struct sample *run = new_run();

    for (uint32_t i = 0; i < count; i++)
        add_message(run, first + i, INT64_MAX, body_size);
    return run;
}

/* A run with gaps, deadlines and keys, for tests that go through every octet. */
static struct sample *make_small_run(uint64_t first)
{
    struct sample *run = new_run();

    add_message(run, first, 5000, 10);
    add_message(run, first + 1, INT64_MAX, 0);
    add_message(run, first + 100, -7, 25);
    add_message(run, first + 101, 5000, 3);
    return run;
}

static void clear_run(struct sample *run)
{
    for (uint32_t i = 0; i < run->count; i++)
        message_unref(run->messages[i].message);
    run->count = 0;
}

static void free_run(struct sample *run)
{
    clear_run(run);
    free(run);
}

static bool messages_are_same(const struct run_message *one, const struct run_message *other)
{
    const struct message *a = one->message, *b = other->message;

    return one->number == other->number && one->deadline == other->deadline &&
           one->is_transient == other->is_transient && one->delivery_count == other->delivery_count &&
           one->redelivered == other->redelivered && a->flags == b->flags && a->priority == b->priority &&
           bytes_equal(message_address(a), message_address(b)) &&
           bytes_equal(message_more_keys(a), message_more_keys(b)) &&
           bytes_equal(message_properties(a), message_properties(b)) &&
           bytes_equal(message_body(a), message_body(b));
}

static bool runs_are_same(const struct sample *a, const struct sample *b)
{
    bool same = a->count == b->count;

    for (uint32_t i = 0; i < a->count && same; i++)
        same = messages_are_same(&a->messages[i], &b->messages[i]);
    return same;
}

static int write_to(const struct sample *run, struct run_place *place)
{
    struct run_head head = head_of(run);

    return segments_write(segments, &head, run->messages, run->count, place);
}

static struct run_place write_run(const struct sample *run)
{
    struct run_place place = {0};

    cr_assert_eq(write_to(run, &place), 0);
    return place;
}

/* Read what was written from RUN. */
static int read_run(const struct run_place *place, const struct sample *run, const uint64_t *wanted,
                    struct sample *back)
{
    struct run_head head = head_of(run);

    return segments_read(segments, &head, place, wanted, back->messages, RUN_MESSAGES_MAX, &back->count, why);
}

static void expect_run(const struct run_place *place, const struct sample *run)
{
    struct sample *back = new_run();
    int error = read_run(place, run, NULL, back);

    cr_expect_eq(error, 0, "%s", why);
    cr_expect(runs_are_same(run, back));
    free_run(back);
}

/* --- files ---------------------------------------------------------------------------------------------- */

static FILE *open_segment(uint32_t file)
{
    char path[64];
    FILE *opened;

    snprintf(path, sizeof path, "segments/%08u.seg", file);
    opened = fopen(path, "r+b");
    cr_assert_not_null(opened);
    return opened;
}

static void change_octet(const struct run_place *place, uint64_t at, uint8_t with)
{
    FILE *file = open_segment(place->file);
    int octet;

    fseek(file, (long)(place->offset + at), SEEK_SET);
    octet = fgetc(file);
    cr_assert_neq(octet, EOF);
    fseek(file, (long)(place->offset + at), SEEK_SET);
    fputc(octet ^ with, file);
    cr_assert_eq(fclose(file), 0);
}

static bool segment_exists(uint32_t file)
{
    char path[64];

    snprintf(path, sizeof path, "segments/%08u.seg", file);
    return access(path, F_OK) == 0;
}

static unsigned count_descriptors(void)
{
    DIR *entries = opendir("/proc/self/fd");
    unsigned count = 0;

    while (readdir(entries))
        count++;
    closedir(entries);
    return count;
}

/* --- what was written comes back ------------------------------------------------------------------------ */

Test(segment, every_property_comes_back)
{
    static const uint64_t sizes[] = {
        0, 1, MESSAGE_BODY_INLINE_MAX, MESSAGE_BODY_INLINE_MAX + 1, 16383, 16384, 262144, 1500000};
    struct sample *run = new_run();
    struct run_place place;

    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        add_message(run, 1000 + (uint64_t)i * i * 100000, i % 2 ? 1000 - i : INT64_MAX, sizes[i]);
    run->messages[3].delivery_count = 65535;
    place = write_run(run);
    expect_run(&place, run);
    free_run(run);
}

Test(segment, delivery_count_is_kept_up_to_65535)
{
    struct sample *run = make_run(5, 1, 10);
    struct run_place place;

    run->messages[0].delivery_count = 65536;
    place = write_run(run);
    run->messages[0].delivery_count = 65535;
    expect_run(&place, run);
    free_run(run);
}

Test(segment, full_run_of_small_messages_comes_back)
{
    struct sample *run = make_run(UINT64_MAX - RUN_MESSAGES_MAX + 1, RUN_MESSAGES_MAX, 100);
    struct run_place place = write_run(run);

    expect_run(&place, run);
    free_run(run);
}

Test(segment, more_large_bodies_than_a_write_has_parts_come_back)
{
    struct sample *run = make_run(1, 200, 20000);
    struct run_place place = write_run(run), behind;

    behind = write_run(run);
    expect_run(&place, run);
    expect_run(&behind, run);
    free_run(run);
}

Test(segment, runs_stand_behind_each_other)
{
    struct sample *runs[20];
    struct run_place places[20];

    for (unsigned i = 0; i < 20; i++) {
        runs[i] = make_run(i * 1000, 1 + i * 7, i * 30);
        places[i] = write_run(runs[i]);
        cr_expect_eq(places[i].file, segments_current(segments));
        cr_expect_eq(places[i].offset % 512, 0);
        cr_expect(i == 0 || places[i].offset >= places[i - 1].offset + places[i - 1].size);
    }
    for (unsigned i = 20; i-- > 0;) {
        expect_run(&places[i], runs[i]);
        free_run(runs[i]);
    }
}

Test(segment, only_wanted_messages_are_read)
{
    struct sample *run = new_run(), *back = new_run();
    struct run_place place;
    uint64_t wanted[RUN_SPAN_MAX / 64];
    struct random random = {9};

    for (uint64_t i = 0; i < 500; i++)
        add_message(run, 1000 + i * 3 + i % 3, i % 5 ? INT64_MAX : 7, i == 100 ? 400000 : 3000);
    place = write_run(run);
    for (uint32_t percent = 0; percent <= 100; percent += 20) {
        uint32_t at = 0;

        memset(wanted, 0, sizeof wanted);
        for (uint32_t n = 0; n < 1500; n++)
            if (random_percent(&random, percent / (n / 500 + 1)))
                wanted[n / 64] |= UINT64_C(1) << (n % 64);
        cr_assert_eq(read_run(&place, run, wanted, back), 0, "%s", why);
        for (uint32_t n = 0; n < run->count; n++)
            if (run_bit(wanted, run->messages[n].number - 1000)) {
                cr_assert_lt(at, back->count);
                cr_expect(messages_are_same(&run->messages[n], &back->messages[at++]));
            }
        cr_expect_eq(at, back->count);
        clear_run(back);
    }
    free_run(run);
    free_run(back);
}

Test(segment, damage_to_what_is_not_wanted_does_no_harm)
{
    struct sample *run = make_run(1000, 100, 3000), *back = new_run();
    struct run_place place = write_run(run);
    uint64_t wanted[RUN_MESSAGES_MAX / 64] = {1 << 3};

    change_octet(&place, place.size - 1, 1);
    cr_expect_eq(read_run(&place, run, NULL, back), -EBADMSG);
    cr_expect_eq(back->count, 0);
    cr_expect_eq(read_run(&place, run, wanted, back), 0);
    cr_assert_eq(back->count, 1);
    cr_expect(messages_are_same(&run->messages[3], &back->messages[0]));
    free_run(run);
    free_run(back);
}

Test(segment, list_by_deadline_is_in_order_and_read_in_pieces)
{
    struct sample *run = new_run();
    struct run_due due[7];
    struct random random = {4};
    struct run_place place;
    struct run_due last = {INT64_MIN, 0, 0};
    struct run_head head;
    uint32_t from = 0, dated = 0, count;

    for (uint32_t i = 0; i < 1000; i++)
        add_message(run, 50 + (uint64_t)i * 3, i % 4 ? random_below(&random, 300) : INT64_MAX, i);
    for (uint32_t i = 0; i < run->count; i++)
        dated += run->messages[i].deadline != INT64_MAX;
    place = write_run(run);
    head = head_of(run);
    do {
        cr_assert_eq(segments_read_due(segments, &head, &place, from, due, 7, &count, why), 0, "%s", why);
        for (uint32_t i = 0; i < count; i++) {
            const struct run_message *message = &run->messages[(due[i].number - 50) / 3];

            cr_expect_eq(message->number, due[i].number);
            cr_expect_eq(message->deadline, due[i].deadline);
            cr_expect_eq(message->message->body_size, due[i].body_size);
            cr_expect(due[i].deadline > last.deadline ||
                      (due[i].deadline == last.deadline && due[i].number > last.number));
            last = due[i];
        }
        from += count;
    } while (count == 7);
    cr_expect_eq(from, dated);
    cr_expect_eq(segments_read_due(segments, &head, &place, from + 1, due, 7, &count, why), 0);
    cr_expect_eq(count, 0);
    free_run(run);
}

Test(segment, run_that_cannot_be_is_refused)
{
    struct sample *run = make_run(10, 3, 5);
    struct run_head head = head_of(run);
    struct run_place place;

    cr_expect_eq(segments_write(segments, &head, run->messages, 0, &place), -EINVAL);
    cr_expect_eq(segments_write(segments, &head, run->messages, RUN_MESSAGES_MAX + 1, &place), -EINVAL);
    run->messages[1].number = 10;
    cr_expect_eq(write_to(run, &place), -EINVAL);
    run->messages[1].number = 11;
    run->messages[2].number = 10 + UINT64_C(0xffffffff);
    cr_expect_eq(write_to(run, &place), -EINVAL);
    run->messages[2].number--;
    place = write_run(run);
    expect_run(&place, run);
    free_run(run);
}

Test(segment, run_that_is_another_one_is_not_read)
{
    struct sample *run = make_small_run(1), *back = new_run();
    struct run_place place = write_run(run);
    struct run_due due;

    for (int i = 0; i < 5; i++) {
        struct run_head head = head_of(run);

        head.vhost += i == 0;
        head.queue += i == 1;
        head.level += i == 2;
        head.first += i == 3;
        head.span -= i == 4;
        cr_expect_eq(
            segments_read(segments, &head, &place, NULL, back->messages, RUN_MESSAGES_MAX, &back->count, why),
            -EBADMSG);
        cr_expect_str_eq(why, i < 3 ? "segments/00000001.seg, offset 512: the run is of another queue"
                                    : "segments/00000001.seg, offset 512: the run is of other numbers");
        cr_expect_eq(segments_read_due(segments, &head, &place, 0, &due, 1, &back->count, why), -EBADMSG);
    }
    free_run(run);
    free_run(back);
}

Test(segment, numbers_are_counted_from_where_the_reader_says)
{
    struct sample *run = make_small_run(1000), *back = new_run();
    struct run_place place = write_run(run);
    struct run_head head = head_of(run);
    uint64_t wanted[4] = {0};

    head.first -= 90;
    head.span += 100;
    wanted[91 / 64] |= UINT64_C(1) << 91 % 64;
    wanted[190 / 64] |= UINT64_C(1) << 190 % 64;
    cr_assert_eq(segments_read(segments, &head, &place, wanted, back->messages, 2, &back->count, why), 0);
    cr_assert_eq(back->count, 2);
    cr_expect(messages_are_same(&run->messages[1], &back->messages[0]));
    cr_expect(messages_are_same(&run->messages[2], &back->messages[1]));
    clear_run(back);
    head.span -= 11;
    cr_expect_eq(segments_read(segments, &head, &place, NULL, back->messages, 9, &back->count, why),
                 -EBADMSG);
    free_run(run);
    free_run(back);
}

Test(segment, no_more_messages_are_read_than_there_is_room_for)
{
    struct sample *run = make_run(1, 10, 100), *back = new_run();
    struct run_place place = write_run(run);
    struct run_head head = head_of(run);
    uint64_t wanted[1] = {0x201};

    cr_expect_eq(segments_read(segments, &head, &place, NULL, back->messages, 9, &back->count, why),
                 -EBADMSG);
    cr_expect_eq(back->count, 0);
    cr_expect_eq(segments_read(segments, &head, &place, wanted, back->messages, 1, &back->count, why),
                 -EBADMSG);
    cr_expect_eq(segments_read(segments, &head, &place, wanted, back->messages, 2, &back->count, why), 0);
    cr_expect_eq(back->count, 2);
    free_run(run);
    free_run(back);
}

/* --- damage --------------------------------------------------------------------------------------------- */

static bool list_is_same(const struct run_place *place, const struct sample *run,
                         const struct run_due *expected, uint32_t count)
{
    struct run_due due[RUN_MESSAGES_MAX];
    struct run_head head = head_of(run);
    uint32_t found;
    int error = segments_read_due(segments, &head, place, 0, due, RUN_MESSAGES_MAX, &found, why);

    cr_expect(error == 0 || error == -EBADMSG);
    if (error)
        return false;
    cr_expect_eq(found, count);
    for (uint32_t i = 0; i < count; i++)
        cr_expect(due[i].number == expected[i].number && due[i].deadline == expected[i].deadline &&
                  due[i].body_size == expected[i].body_size);
    return true;
}

/* Read the run, which may be damaged: all is as it was, or nothing comes. */
static bool is_unharmed(const struct run_place *place, const struct sample *run)
{
    struct sample *back = new_run();
    int error = read_run(place, run, NULL, back);

    cr_expect(error == 0 || error == -EBADMSG);
    if (error)
        cr_expect_eq(back->count, 0);
    else
        cr_expect(runs_are_same(run, back));
    free_run(back);
    return error == 0;
}

static const struct run_due small_list[] = {{-7, 1100, 25}, {5000, 1000, 10}, {5000, 1101, 3}};

Test(segment, no_changed_octet_makes_a_wrong_message)
{
    struct sample *run = make_small_run(1000);
    struct run_place place = write_run(run);
    uint64_t list = 64 + 4 * 24, data = list + 3 * 24;

    write_run(run);
    for (uint64_t at = 0; at < place.size; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bool in_list = at >= list && at < data;
            bool read, list_read;

            change_octet(&place, at, (uint8_t)(1 << bit));
            read = is_unharmed(&place, run);
            list_read = list_is_same(&place, run, small_list, 3);
            cr_expect_eq(read, in_list, "octet %u", (unsigned)at);
            cr_expect_eq(list_read, at >= 64 && !in_list, "octet %u", (unsigned)at);
            change_octet(&place, at, (uint8_t)(1 << bit));
        }
    expect_run(&place, run);
    free_run(run);
}

Test(segment, no_changed_octet_makes_a_wrong_large_message)
{
    struct sample *run = make_run(1000, 1, 300000);
    struct run_place place = write_run(run);

    for (uint64_t at = 64; at < place.size; at += at < 200 ? 1 : 9973) {
        change_octet(&place, at, 4);
        cr_expect_not(is_unharmed(&place, run), "octet %u", (unsigned)at);
        change_octet(&place, at, 4);
    }
    expect_run(&place, run);
    free_run(run);
}

Test(segment, no_cut_makes_a_wrong_message)
{
    struct sample *run = make_small_run(1000);
    struct run_place place = write_run(run);

    for (uint64_t size = place.offset + place.size; size-- > 0;) {
        cr_assert_eq(truncate("segments/00000001.seg", (off_t)size), 0);
        cr_expect_not(is_unharmed(&place, run), "cut at %u", (unsigned)size);
        cr_expect_not(list_is_same(&place, run, small_list, 3));
    }
    free_run(run);
}

Test(segment, no_wrong_place_makes_a_wrong_message)
{
    struct sample *run = make_small_run(1000);
    struct run_place place = write_run(run);
    const struct run_place wrong[] = {
        {0, 512, place.size},
        {2, 512, place.size},
        {1, 0, place.size},
        {1, 1024, place.size},
        {1, 512, place.size + 1},
        {1, 512, place.size - 1},
        {1, 512, 0},
        {1, 512, UINT64_MAX},
        {1, UINT64_MAX, 1},
        {1, UINT64_MAX - 511, place.size},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_not(is_unharmed(&wrong[i], run));
    free_run(run);
}

/* --- files come and go ---------------------------------------------------------------------------------- */

static uint64_t octets_in_folder(void)
{
    uint64_t octets = 0;

    for (uint32_t file = 1; file < 100; file++) {
        char path[64];
        struct stat info;

        snprintf(path, sizeof path, "segments/%08u.seg", file);
        if (stat(path, &info) == 0)
            octets += (uint64_t)info.st_size;
    }
    return octets;
}

static void expect_size(void)
{
    cr_expect_eq(segments_size(segments), octets_in_folder());
}

Test(segment, file_that_would_grow_too_large_is_left_for_a_new_one)
{
    struct sample *run = make_run(1, 10, 1000), *large = make_run(1, 100, 1000);
    struct run_place place, first;
    unsigned runs = 0;

    open_segments(50000, true);
    cr_expect_eq(segments_current(segments), 0);
    first = place = write_run(run);
    for (; place.file == 1; runs++) {
        cr_expect_leq(place.offset + place.size, 50000);
        place = write_run(run);
    }
    cr_expect_eq(runs, 4);
    cr_expect_eq(segments_current(segments), 2);
    place = write_run(large);
    cr_expect_eq(place.file, 3, "it does not fit behind others");
    expect_run(&place, large);
    cr_expect_eq(write_run(run).file, 4, "nothing fits behind it");
    expect_run(&first, run);
    expect_size();
    cr_expect_eq(segments_sync(segments), 0);
    free_run(run);
    free_run(large);
}

static bool is_second(void *context, uint32_t file)
{
    (*(unsigned *)context)++;
    return file == 2;
}

Test(segment, sweep_removes_what_nobody_needs_and_numbers_go_on)
{
    struct sample *run = make_run(1, 10, 1000);
    struct run_place places[5];
    unsigned asked = 0;

    open_segments(12000, true);
    for (int i = 0; i < 5; i++)
        places[i] = write_run(run);
    fclose(fopen("segments/notes.txt", "w"));
    open_segments(12000, true);
    expect_size();
    cr_expect_eq(segments_sweep(segments, is_second, &asked), 0);
    cr_expect_eq(asked, 5);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(segment_exists(places[i].file), places[i].file == 2);
    cr_expect_eq(access("segments/notes.txt", F_OK), 0, "what is no segment is nobody's business");
    expect_size();
    expect_run(&places[1], run);
    cr_expect_eq(write_run(run).file, 6);
    free_run(run);
}

Test(segment, removed_file_is_gone_and_closed)
{
    struct sample *run = make_run(1, 10, 1000), *back = new_run();
    unsigned descriptors = count_descriptors();
    struct run_place place;

    open_segments(12000, true);
    place = write_run(run);
    write_run(run);
    expect_run(&place, run);
    cr_expect_eq(segments_remove(segments, place.file), 0);
    cr_expect_not(segment_exists(place.file));
    cr_expect_eq(read_run(&place, run, NULL, back), -EBADMSG);
    cr_expect_eq(segments_remove(segments, 2), 0, "the current one too");
    cr_expect_eq(segments_current(segments), 0);
    cr_expect_eq(segments_size(segments), 0);
    cr_expect_eq(segments_sync(segments), 0);
    cr_expect_eq(count_descriptors(), descriptors);
    cr_expect_eq(write_run(run).file, 3);
    free_run(run);
    free_run(back);
}

Test(segment, files_that_are_not_for_keeping_go_when_the_folder_is_opened)
{
    struct sample *run = make_run(1, 10, 1000);

    for (int i = 0; i < 3; i++)
        write_run(run);
    open_segments(FILE_SIZE, false);
    cr_expect_eq(segments_size(segments), 0);
    cr_expect_not(segment_exists(1));
    cr_expect_eq(write_run(run).file, 2);
    free_run(run);
}

Test(segment, few_files_are_open_and_idle_ones_are_closed)
{
    struct sample *run = make_run(1, 10, 1000);
    unsigned descriptors = count_descriptors();
    struct run_place places[20];

    open_segments(12000, false);
    for (int i = 0; i < 20; i++)
        places[i] = write_run(run);
    cr_expect_eq(count_descriptors(), descriptors + 1, "the one that is written to");
    for (int i = 0; i < 20; i++)
        expect_run(&places[i], run);
    cr_expect_eq(count_descriptors(), descriptors + 5);
    segments_sync(segments);
    segments_sync(segments);
    cr_expect_eq(count_descriptors(), descriptors + 1);
    expect_run(&places[0], run);
    free_run(run);
}

/* --- looking through a file ----------------------------------------------------------------------------- */

struct found {
    char text[4096];
};

static void note_found(void *context, const struct run_head *run, const struct run_place *place,
                       uint64_t first, uint32_t count, const char *damage)
{
    struct found *found = context;
    size_t used = strlen(found->text);

    if (count)
        cr_expect(run->vhost == 3 && run->queue == 77777777777 && run->level == 2 && run->first == first);
    snprintf(found->text + used, sizeof found->text - used, "%u %u+%u %u %s\n",
             (unsigned)(place->offset / 512), (unsigned)first, count, (unsigned)(place->size + 511) / 512,
             damage ? damage : "sound");
}

static void expect_found(const char *text)
{
    struct found found = {""};

    cr_expect_eq(segments_scan(segments, 1, note_found, &found), 0);
    cr_expect_str_eq(found.text, text);
}

Test(segment, scan_finds_runs_and_damage)
{
    struct sample *small = make_small_run(1000), *run = make_run(2000, 10, 200);
    struct run_place places[3] = {write_run(small), write_run(run), write_run(small)};

    expect_found("1 1000+4 1 sound\n2 2000+10 6 sound\n8 1000+4 1 sound\n");
    change_octet(&places[1], places[1].size - 1, 1);
    change_octet(&places[2], 64 + 4 * 24, 1);
    expect_found("1 1000+4 1 sound\n"
                 "2 2000+10 6 segments/00000001.seg, offset 1024: message 2009 does not match its checksum\n"
                 "8 1000+4 1 segments/00000001.seg, offset 4096: the run's list by deadline is damaged\n");
    change_octet(&places[1], 5, 1);
    change_octet(&(struct run_place){1, 0, 512}, 0, 1);
    expect_found("0 0+0 1 the file's header is damaged\n"
                 "1 1000+4 1 sound\n"
                 "2 0+0 6 no run is here\n"
                 "8 1000+4 1 segments/00000001.seg, offset 4096: the run's list by deadline is damaged\n");
    cr_expect_eq(segments_scan(segments, 2, note_found, NULL), -ENOENT);
    free_run(small);
    free_run(run);
}

/* --- several threads ------------------------------------------------------------------------------------ */

#define SHARED_RUNS 60

static struct run_place shared_places[SHARED_RUNS];
static struct sample *shared_runs[SHARED_RUNS];
static _Atomic unsigned shared_count;

static void *read_shared(void *context)
{
    struct random random = {(uintptr_t)context};
    struct sample *back = new_run();
    char own_why[SEGMENT_WHY_SIZE];
    unsigned wrong = 0, seen;
    struct run_head head;

    do {
        unsigned i;

        seen = shared_count;
        if (seen == 0)
            continue;
        i = random_below(&random, seen);
        head = head_of(shared_runs[i]);
        if (segments_read(segments, &head, &shared_places[i], NULL, back->messages, RUN_MESSAGES_MAX,
                          &back->count, own_why) ||
            !runs_are_same(shared_runs[i], back))
            wrong++;
        clear_run(back);
    } while (seen < SHARED_RUNS);
    free_run(back);
    return (void *)(uintptr_t)wrong;
}

Test(segment, several_read_while_one_writes)
{
    pthread_t readers[3];
    void *wrong;

    open_segments(100000, false);
    for (int i = 0; i < SHARED_RUNS; i++)
        shared_runs[i] = make_run((uint64_t)i * 100, 20, 1000);
    for (uintptr_t i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&readers[i], NULL, read_shared, (void *)i), 0);
    for (unsigned i = 0; i < SHARED_RUNS; i++) {
        shared_places[i] = write_run(shared_runs[i]);
        shared_count = i + 1;
        segments_sync(segments);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(readers[i], &wrong);
        cr_expect_null(wrong);
    }
    for (int i = 0; i < SHARED_RUNS; i++)
        free_run(shared_runs[i]);
}

/* --- when the system fails ------------------------------------------------------------------------------ */

#define STORY_RUNS 12

static struct sys_fake *fake;

static void begin_fake(uint64_t seed)
{
    fake = sys_fake_new(seed);
    sys = sys_fake_sys(fake);
    cr_assert_eq(sys_make_folder(sys, "segments"), 0);
    cr_assert_eq(sys_sync_folder(sys, "."), 0);
}

static void end_fake(void)
{
    segments_close(segments);
    segments = NULL;
    cr_expect_eq(sys_fake_counters(fake).open_files, 0);
    sys_free(sys);
    fake = NULL;
}

/* What the writer was told. */
struct story {
    struct sample *runs[STORY_RUNS];
    struct run_place places[STORY_RUNS]; /* file 0: it was not written */
    bool synced[STORY_RUNS];
};

/* Runs of several sizes, large bodies among them, into several files, with a sync now and then. */
static void tell_story(struct story *story)
{
    for (unsigned i = 0; i < STORY_RUNS; i++) {
        story->runs[i] = make_run(i * 1000, 1 + i % 4, i % 3 == 2 ? 20000 : 300);
        if (write_to(story->runs[i], &story->places[i]))
            story->places[i].file = 0;
        if (i % 4 == 3 && segments_sync(segments) == 0)
            for (unsigned done = 0; done <= i; done++)
                story->synced[done] = story->places[done].file != 0;
    }
}

static void free_story(struct story *story)
{
    for (unsigned i = 0; i < STORY_RUNS; i++)
        free_run(story->runs[i]);
}

static void expect_written(const struct story *story)
{
    for (unsigned i = 0; i < STORY_RUNS; i++)
        if (story->places[i].file)
            expect_run(&story->places[i], story->runs[i]);
}

/* What was synced is there; the rest is, or is not. */
static void expect_synced(const struct story *story)
{
    for (unsigned i = 0; i < STORY_RUNS; i++)
        if (story->synced[i])
            expect_run(&story->places[i], story->runs[i]);
        else if (story->places[i].file)
            is_unharmed(&story->places[i], story->runs[i]);
}

static void count_runs(void *context, const struct run_head *run, const struct run_place *place,
                       uint64_t first, uint32_t count, const char *damage)
{
    (void)run;
    (void)place;
    (void)first;
    cr_expect(damage || count);
    if (!damage)
        (*(unsigned *)context)++;
}

static void expect_scan_finds(const struct story *story)
{
    unsigned expected = 0, found = 0;

    for (unsigned i = 0; i < STORY_RUNS; i++)
        expected += story->synced[i];
    for (uint32_t file = 1; file < 2 * STORY_RUNS; file++) {
        int error = segments_scan(segments, file, count_runs, &found);

        cr_expect(error == 0 || error == -ENOENT);
    }
    cr_expect_geq(found, expected);
}

/* Returns whether the N-th call was still part of the story. */
static bool one_call_fails(uint64_t n, int with)
{
    struct story story = {0};
    bool has_failed;

    begin_fake(n);
    segments = segments_open(sys, "segments", 40000, true, why);
    cr_assert_not_null(segments);
    sys_fake_fail(fake, n, with);
    tell_story(&story);
    has_failed = sys_fake_has_failed(fake);
    sys_fake_fail(fake, 0, 0);
    expect_written(&story);
    sys_fake_power_loss(fake, n);
    open_segments(40000, true);
    expect_synced(&story);
    expect_scan_finds(&story);
    free_story(&story);
    end_fake();
    return has_failed;
}

Test(segment_faults, no_call_that_fails_harms_what_was_written_or_promised)
{
    static const int errors[] = {EIO, ENOSPC, EMFILE};

    for (int i = 0; i < 3; i++) {
        uint64_t n = 1;

        while (one_call_fails(n, errors[i]))
            n++;
        cr_expect_gt(n, i == 0 ? 15 : 3);
    }
}

Test(segment_faults, what_was_synced_outlives_a_power_loss)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct story story = {0};

        begin_fake(seed);
        segments = segments_open(sys, "segments", 40000, true, why);
        sys_fake_stop(fake, 3 + seed % 40);
        tell_story(&story);
        sys_fake_power_loss(fake, seed);
        open_segments(40000, true);
        expect_synced(&story);
        expect_scan_finds(&story);
        free_story(&story);
        end_fake();
    }
}

Test(segment_faults, sync_that_failed_never_succeeds_later)
{
    struct sample *run = make_run(1, 3, 100);

    begin_fake(1);
    segments = segments_open(sys, "segments", FILE_SIZE, true, why);
    write_run(run);
    sys_fake_fail(fake, 1, EIO);
    cr_expect_eq(segments_sync(segments), -EIO);
    cr_expect(sys_fake_has_failed(fake));
    write_run(run);
    cr_expect_eq(segments_sync(segments), -EIO);
    free_run(run);
    end_fake();
}

static uint64_t octets_on_fake(void)
{
    uint64_t octets = 0;

    for (uint32_t number = 1; number < 100; number++) {
        struct sys_file *file;
        char path[64];

        snprintf(path, sizeof path, "segments/%08u.seg", number);
        if (sys_open(sys, path, SYS_READ, &file) == 0) {
            octets += (uint64_t)sys_size(sys, file);
            sys_close(sys, file);
        }
    }
    return octets;
}

Test(segment_faults, full_disk_heals_when_files_are_removed)
{
    struct sample *run = make_run(1, 20, 1000);
    struct run_place places[100], place;
    uint64_t size;
    unsigned count = 0;
    int error;

    begin_fake(1);
    segments = segments_open(sys, "segments", 100000, true, why);
    sys_fake_capacity(fake, 500000);
    while ((error = write_to(run, &places[count])) == 0)
        cr_assert_lt(++count, 100);
    cr_expect_eq(error, -ENOSPC);
    size = segments_size(segments);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(write_to(run, &place), -ENOSPC);
    cr_expect_eq(segments_size(segments), size);
    cr_expect_eq(octets_on_fake(), size, "what failed leaves nothing");
    for (unsigned i = 0; i < count; i++)
        expect_run(&places[i], run);
    cr_expect_eq(segments_remove(segments, places[0].file), 0);
    place = write_run(run);
    expect_run(&place, run);
    cr_expect_gt(place.file, places[count - 1].file, "never behind the remains of what failed");
    cr_expect_eq(segments_sync(segments), 0);
    free_run(run);
    end_fake();
}

Test(segment_faults, files_that_are_not_for_keeping_are_never_synced)
{
    struct story story = {0};
    struct sys_fake_counters before, after;

    begin_fake(1);
    segments = segments_open(sys, "segments", 40000, false, why);
    before = sys_fake_counters(fake);
    tell_story(&story);
    after = sys_fake_counters(fake);
    cr_expect_eq(after.syncs, before.syncs);
    cr_expect_eq(after.folder_syncs, before.folder_syncs);
    expect_written(&story);
    free_story(&story);
    end_fake();
}

Test(segment_faults, small_parts_of_a_run_cost_few_octets)
{
    struct sample *run = make_run(1, RUN_MESSAGES_MAX, 100);
    uint64_t octets = 0, before;

    begin_fake(1);
    segments = segments_open(sys, "segments", FILE_SIZE, true, why);
    write_run(run);
    before = sys_fake_counters(fake).octets_written;
    write_run(run);
    for (uint32_t i = 0; i < run->count; i++)
        octets += record_message_size(run->messages[i].message) + 16;
    cr_expect_leq(sys_fake_counters(fake).octets_written - before, octets + 64 + 511);
    free_run(run);
    end_fake();
}
