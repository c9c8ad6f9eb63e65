/* SPDX-License-Identifier: Apache-2.0 */
/* sys_fake.h: that it loses, keeps, tears and fails what it says, and nothing else. That it does what any sys
 * does is in test_sys.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "coney/sys.h"
#include "sys_fake.h"

#define SEEDS   300
#define SECTOR  512
#define CONTENT 8192

static struct sys_fake *fake;
static struct sys *sys;

static void start(void)
{
    fake = sys_fake_new(1);
    sys = sys_fake_sys(fake);
}

static void end(void)
{
    sys_free(sys);
    sys = NULL;
}

TestSuite(sys_fake_faults, .init = start, .fini = end);

/* What a file holds; size -1: it is not there. */
struct content {
    int64_t size;
    char octets[CONTENT];
};

static struct content content_of(const char *path)
{
    struct content content = {.size = -1};
    struct sys_file *file;
    int result = sys_open(sys, path, SYS_READ, &file);

    if (result) {
        cr_assert_eq(result, -ENOENT);
        return content;
    }
    content.size = sys_size(sys, file);
    cr_assert_leq(content.size, CONTENT);
    cr_assert_eq(sys_read(sys, file, content.octets, CONTENT, 0), content.size);
    sys_close(sys, file);
    return content;
}

static struct sys_file *open_file(const char *path)
{
    struct sys_file *file = NULL;

    cr_assert_eq(sys_open(sys, path, SYS_WRITE | SYS_CREATE, &file), 0);
    return file;
}

static void fill(struct sys_file *file, char with, size_t size, uint64_t offset)
{
    char octets[CONTENT];

    memset(octets, with, size);
    cr_assert_eq(sys_write(sys, file, octets, size, offset), 0);
}

/* A file of SIZE octets WITH that nothing takes away. */
static struct sys_file *stable_file(const char *path, char with, size_t size)
{
    struct sys_file *file = open_file(path);

    fill(file, with, size, 0);
    cr_assert_eq(sys_sync(sys, file), 0);
    cr_assert_eq(sys_sync_folder(sys, "."), 0);
    return file;
}

static bool is_all(const char *octets, char what, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (octets[i] != what)
            return false;
    return true;
}

static bool is_file_of(const char *path, char what, int64_t size)
{
    struct content content = content_of(path);

    return content.size == size && is_all(content.octets, what, (size_t)size);
}

static bool is_there(const char *path)
{
    return content_of(path).size >= 0;
}

Test(sys_fake_power, what_was_synced_stays)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sys_file *file;

        start();
        file = stable_file("a", 'a', 3000);
        sys_fake_power_loss(fake, seed);
        cr_assert(is_file_of("a", 'a', 3000));
        sys_close(sys, file);
        end();
    }
}

Test(sys_fake_power, sectors_are_kept_lost_or_torn_in_any_order)
{
    enum { COUNT = 8 };
    unsigned all_kept = 0, all_lost = 0, torn = 0, reordered = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct content content;
        unsigned kept = 0, lost = 0;
        struct sys_file *file;

        start();
        file = stable_file("a", 'a', COUNT * SECTOR);
        fill(file, 'b', COUNT * SECTOR, 0);
        sys_fake_power_loss(fake, seed);
        content = content_of("a");
        cr_assert_eq(content.size, COUNT * SECTOR);
        for (size_t i = 0; i < COUNT; i++) {
            const char *sector = content.octets + i * SECTOR;
            bool is_kept = is_all(sector, 'b', SECTOR);
            bool is_lost = is_all(sector, 'a', SECTOR);

            reordered += is_kept && lost;
            kept += is_kept;
            lost += is_lost;
            torn += !is_kept && !is_lost;
            for (size_t j = 0; j < SECTOR; j++)
                cr_assert(sector[j] == 'a' || sector[j] == 'b');
        }
        all_kept += kept == COUNT;
        all_lost += lost == COUNT;
        sys_close(sys, file);
        end();
    }
    cr_expect(all_kept && all_lost && torn && reordered);
    cr_expect_lt(all_kept + all_lost, SEEDS / 2 + SEEDS / 4);
}

Test(sys_fake_power, a_sector_is_never_new_without_what_was_written_to_it_before)
{
    unsigned first_alone = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct content content;
        struct sys_file *file;

        start();
        file = stable_file("a", 'a', SECTOR);
        fill(file, 'b', 10, 0);
        fill(file, 'c', 10, 100);
        sys_fake_power_loss(fake, seed);
        content = content_of("a");
        first_alone += content.octets[0] == 'b' && content.octets[100] == 'a';
        if (memchr(content.octets, 'c', SECTOR))
            cr_assert(is_all(content.octets, 'b', 10));
        cr_assert(is_all(content.octets + 110, 'a', SECTOR - 110));
        sys_close(sys, file);
        end();
    }
    cr_expect(first_alone);
}

Test(sys_fake_power, a_file_is_as_long_as_it_was_at_some_time)
{
    unsigned seen[3] = {0}, zeros = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct content content;
        struct sys_file *file;

        start();
        file = stable_file("a", 'a', 100);
        fill(file, 'b', 900, 100);
        fill(file, 'c', 1000, 1000);
        sys_fake_power_loss(fake, seed);
        content = content_of("a");
        cr_assert(content.size == 100 || content.size == 1000 || content.size == 2000);
        seen[content.size / 1000]++;
        cr_assert(is_all(content.octets, 'a', 100));
        zeros += content.size == 2000 && is_all(content.octets + 1024, '\0', 2000 - 1024);
        sys_close(sys, file);
        end();
    }
    cr_expect(seen[0] && seen[1] && seen[2]);
    cr_expect(zeros);
}

Test(sys_fake_power, a_truncation_is_lost_with_what_was_written_after_it)
{
    unsigned old = 0, empty = 0, new = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct content content;
        struct sys_file *file;

        start();
        file = stable_file("a", 'a', 1000);
        cr_assert_eq(sys_truncate(sys, file, 0), 0);
        fill(file, 'b', 10, 0);
        sys_fake_power_loss(fake, seed);
        content = content_of("a");
        old += content.size == 1000 && is_all(content.octets, 'a', 1000);
        empty += content.size == 0;
        new += content.size == 10 && !memchr(content.octets, 'a', 10);
        sys_close(sys, file);
        end();
    }
    cr_expect(old && empty && new);
    cr_expect_eq(old + empty + new, SEEDS);
}

Test(sys_fake_power, a_name_whose_folder_was_not_synced_may_vanish)
{
    unsigned outcomes[4] = {0};

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sys_file *a, *b;
        bool has_a, has_b;

        start();
        a = open_file("a");
        fill(a, 'a', 700, 0);
        cr_assert_eq(sys_sync(sys, a), 0);
        b = open_file("b");
        sys_fake_power_loss(fake, seed);
        has_a = is_there("a");
        has_b = is_there("b");
        if (has_a)
            cr_assert(is_file_of("a", 'a', 700));
        outcomes[2 * has_a + has_b]++;
        sys_close(sys, a);
        sys_close(sys, b);
        end();
    }
    cr_expect(outcomes[0] && outcomes[1] && outcomes[2] && outcomes[3]);
}

Test(sys_fake_power, a_rename_is_done_or_not)
{
    unsigned done = 0, not_done = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start();
        sys_close(sys, stable_file("a", 'o', 600));
        sys_close(sys, stable_file("b", 'n', 700));
        cr_assert_eq(sys_rename(sys, "b", "a"), 0);
        sys_fake_power_loss(fake, seed);
        if (is_there("b")) {
            not_done++;
            cr_assert(is_file_of("a", 'o', 600) && is_file_of("b", 'n', 700));
        } else {
            done++;
            cr_assert(is_file_of("a", 'n', 700));
        }
        end();
    }
    cr_expect(done && not_done);
}

Test(sys_fake_power, a_file_renamed_twice_has_one_name)
{
    unsigned seen[3] = {0};

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bool has[3];

        start();
        sys_close(sys, stable_file("a", 'a', 600));
        cr_assert_eq(sys_rename(sys, "a", "b"), 0);
        cr_assert_eq(sys_rename(sys, "b", "c"), 0);
        sys_fake_power_loss(fake, seed);
        for (size_t i = 0; i < 3; i++) {
            has[i] = is_file_of((const char *[]){"a", "b", "c"}[i], 'a', 600);
            seen[i] += has[i];
        }
        cr_assert_eq(has[0] + has[1] + has[2], 1);
        end();
    }
    cr_expect(seen[0] && seen[1] && seen[2]);
}

Test(sys_fake_power, what_was_removed_may_come_back_until_its_folder_is_synced)
{
    unsigned back = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start();
        sys_close(sys, stable_file("a", 'a', 600));
        cr_assert_eq(sys_unlink(sys, "a"), 0);
        cr_assert(!is_there("a"));
        sys_fake_power_loss(fake, seed);
        if (is_there("a")) {
            back++;
            cr_assert(is_file_of("a", 'a', 600));
            cr_assert_eq(sys_unlink(sys, "a"), 0);
            cr_assert_eq(sys_sync_folder(sys, "."), 0);
            sys_fake_power_loss(fake, seed + 1);
            cr_assert(!is_there("a"));
        }
        end();
    }
    cr_expect(back && back < SEEDS);
}

Test(sys_fake_power, a_folder_takes_all_in_it_along)
{
    unsigned kept = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start();
        cr_assert_eq(sys_make_folder(sys, "f"), 0);
        sys_close(sys, open_file("f/a"));
        cr_assert_eq(sys_sync_folder(sys, "f"), 0);
        sys_fake_power_loss(fake, seed);
        if (sys_sync_folder(sys, "f") == 0) {
            kept++;
            cr_assert(is_there("f/a"));
        } else {
            cr_assert_eq(sys_make_folder(sys, "f"), 0);
            cr_assert(!is_there("f/a"));
        }
        end();
    }
    cr_expect(kept && kept < SEEDS);
}

Test(sys_fake_power, the_same_seed_loses_the_same)
{
    struct content contents[2];

    for (int round = 0; round < 2; round++) {
        struct sys_file *file;

        start();
        file = stable_file("a", 'a', CONTENT);
        for (uint64_t at = 0; at < CONTENT; at += 100)
            fill(file, 'b', 50, at);
        sys_fake_power_loss(fake, 4711);
        contents[round] = content_of("a");
        sys_close(sys, file);
        end();
    }
    cr_expect_eq(memcmp(&contents[0], &contents[1], sizeof contents[0]), 0);
    cr_expect_not(is_all(contents[0].octets, 'a', CONTENT));
}

/* ---- handles ---- */

static void expect_dead(struct sys_file *file)
{
    char octet;

    cr_expect_eq(sys_read(sys, file, &octet, 1, 0), -EIO);
    cr_expect_eq(sys_write(sys, file, "x", 1, 0), -EIO);
    cr_expect_eq(sys_sync(sys, file), -EIO);
    cr_expect_eq(sys_truncate(sys, file, 0), -EIO);
    cr_expect_eq(sys_size(sys, file), -EIO);
    cr_expect_eq(sys_lock(sys, file), -EIO);
}

Test(sys_fake_faults, a_kill_loses_handles_and_locks_and_nothing_else)
{
    struct sys_file *file = open_file("a"), *again;

    fill(file, 'a', 1000, 0);
    cr_assert_eq(sys_lock(sys, file), 0);
    sys_fake_kill(fake);
    cr_expect_eq(sys_fake_counters(fake).open_files, 0);
    expect_dead(file);
    cr_expect(is_file_of("a", 'a', 1000));
    again = open_file("a");
    cr_expect_eq(sys_lock(sys, again), 0);
    sys_close(sys, file);
    cr_expect_eq(sys_lock(sys, again), 0);
    sys_close(sys, again);
}

Test(sys_fake_faults, handles_of_lost_and_removed_files_are_dead_too)
{
    struct sys_file *file = open_file("a");

    cr_assert_eq(sys_unlink(sys, "a"), 0);
    sys_fake_power_loss(fake, 0);
    expect_dead(file);
    sys_close(sys, file);
}

/* ---- calls that fail ---- */

static void ignore_name(void *context, const char *name)
{
    (void)context;
    (void)name;
}

/* Every kind of call once; the first error, or 0. */
static int do_everything(void)
{
    struct sys_file *file = NULL;
    char octet;
    int64_t result = sys_make_folder(sys, "f");

    if (!result)
        result = sys_open(sys, "f/a", SYS_WRITE | SYS_CREATE, &file);
    if (!result)
        result = sys_write(sys, file, "text", 4, 0);
    if (!result)
        result = sys_truncate(sys, file, 1);
    if (!result)
        result = sys_sync(sys, file);
    if (!result)
        result = sys_read(sys, file, &octet, 1, 0) < 0 ? -EIO : 0;
    if (!result)
        result = sys_size(sys, file) < 0 ? -EIO : 0;
    sys_close(sys, file);
    if (!result)
        result = sys_rename(sys, "f/a", "f/b");
    if (!result)
        result = sys_list(sys, "f", ignore_name, NULL);
    if (!result)
        result = sys_unlink(sys, "f/b");
    if (!result)
        result = sys_sync_folder(sys, "f");
    return (int)result;
}

static uint64_t count_failures(int error)
{
    uint64_t n = 1;

    for (;; n++) {
        sys_fake_fail(fake, 0, 0);
        sys_unlink(sys, "f/a");
        sys_unlink(sys, "f/b");
        sys_fake_fail(fake, n, error);
        if (do_everything() == 0)
            break;
        cr_assert(sys_fake_has_failed(fake), "without being told to");
    }
    cr_assert_not(sys_fake_has_failed(fake), "call %llu failed, and nobody was told", (unsigned long long)n);
    return n - 1;
}

Test(sys_fake_faults, each_call_fails_in_its_turn)
{
    cr_expect_eq(do_everything(), 0);
    cr_expect_eq(count_failures(EIO), 11);
    cr_expect_eq(count_failures(EMFILE), 3);
    cr_expect_eq(count_failures(ENOSPC), 4);
    cr_expect_eq(sys_fake_counters(fake).open_files, 0);
}

Test(sys_fake_faults, a_write_that_fails_may_have_written_a_part)
{
    unsigned none = 0, some = 0;

    for (int i = 0; i < 100; i++) {
        struct sys_file *file = open_file("a");
        int64_t size;

        cr_assert_eq(sys_truncate(sys, file, 0), 0);
        sys_fake_fail(fake, 1, ENOSPC);
        cr_assert_eq(sys_write(sys, file, "abc", 3, 0), -ENOSPC);
        size = sys_size(sys, file);
        cr_assert_lt(size, 3);
        none += size == 0;
        some += size > 0;
        sys_close(sys, file);
    }
    cr_expect(none && some);
}

Test(sys_fake_power, after_a_failed_sync_a_good_one_proves_nothing)
{
    unsigned lost = 0, kept = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sys_file *file;

        fake = sys_fake_new(seed);
        sys = sys_fake_sys(fake);
        file = stable_file("a", 'a', SECTOR);
        fill(file, 'b', SECTOR, 0);
        sys_fake_fail(fake, 1, EIO);
        cr_assert_eq(sys_sync(sys, file), -EIO);
        cr_assert(is_file_of("a", 'b', SECTOR));
        cr_assert_eq(sys_sync(sys, file), 0);
        sys_fake_power_loss(fake, seed);
        lost += is_file_of("a", 'a', SECTOR);
        kept += is_file_of("a", 'b', SECTOR);
        sys_close(sys, file);
        end();
    }
    cr_expect(lost && kept);
}

Test(sys_fake_faults, all_stands_still_at_a_stop)
{
    struct sys_file *file = open_file("a");

    sys_fake_stop(fake, 2);
    cr_expect_eq(sys_write(sys, file, "1", 1, 0), 0);
    cr_expect_not(sys_fake_is_stopped(fake));
    cr_expect_eq(sys_write(sys, file, "2", 1, 0), -EIO);
    cr_expect(sys_fake_is_stopped(fake));
    cr_expect_eq(sys_sync(sys, file), -EIO);
    cr_expect_eq(sys_rename(sys, "a", "b"), -EIO);
    sys_fake_kill(fake);
    cr_expect(is_file_of("a", '1', 1));
    sys_close(sys, file);
}

/* ---- space ---- */

Test(sys_fake_faults, space_ends)
{
    struct sys_file *file = open_file("a");

    sys_fake_capacity(fake, 8192);
    cr_expect_eq(sys_room(sys, "."), 8192);
    fill(file, 'a', 5000, 0);
    cr_expect_eq(sys_room(sys, "."), 0);
    fill(file, 'b', 3192, 5000);
    cr_expect_eq(sys_write(sys, file, "cccc", 4, 8190), -ENOSPC);
    cr_expect_eq(sys_size(sys, file), 8192);
    fill(file, 'd', 8192, 0);
    cr_expect_eq(sys_truncate(sys, file, 12288), 0, "a hole takes no space");
    cr_expect_eq(sys_write(sys, file, "e", 1, 10000), -ENOSPC, "but filling it does");
    cr_expect_eq(sys_truncate(sys, file, 4096), 0);
    cr_expect_eq(sys_room(sys, "."), 4096);
    sys_close(sys, file);
}

Test(sys_fake_faults, space_comes_back_when_a_removed_file_is_closed)
{
    struct sys_file *file = open_file("a");

    sys_fake_capacity(fake, 8192);
    fill(file, 'a', 8192, 0);
    cr_expect_eq(sys_unlink(sys, "a"), 0);
    cr_expect_eq(sys_room(sys, "."), 0);
    sys_close(sys, file);
    cr_expect_eq(sys_room(sys, "."), 8192);
}

/* ---- looking on ---- */

static void count_sync(void *context)
{
    cr_expect_eq(sys_fake_counters(fake).syncs, *(uint64_t *)context,
                 "called before the sync, without the lock");
    ++*(uint64_t *)context;
}

Test(sys_fake_faults, syncs_and_octets_are_counted)
{
    struct sys_file *file = open_file("a");
    struct sys_fake_counters counters;
    uint64_t syncs = 0;

    sys_fake_on_sync(fake, count_sync, &syncs);
    fill(file, 'a', 100, 0);
    fill(file, 'a', 100, 50);
    cr_expect_eq(sys_sync(sys, file), 0);
    cr_expect_eq(sys_sync(sys, file), 0);
    cr_expect_eq(sys_sync_folder(sys, "."), 0);
    cr_expect_eq(syncs, 2);
    counters = sys_fake_counters(fake);
    cr_expect_eq(counters.syncs, 2);
    cr_expect_eq(counters.folder_syncs, 1);
    cr_expect_eq(counters.octets_written, 200);
    cr_expect_eq(counters.calls, 6);
    cr_expect_eq(counters.open_files, 1);
    sys_close(sys, file);
}

static void *write_many(void *context)
{
    char path[16];
    struct sys_file *file;

    snprintf(path, sizeof path, "%d", *(int *)context);
    file = open_file(path);
    for (uint64_t i = 0; i < 200; i++) {
        fill(file, path[0], 10, i * 10);
        cr_assert_eq(sys_sync(sys, file), 0);
    }
    sys_close(sys, file);
    return NULL;
}

Test(sys_fake_faults, threads_do_not_meet)
{
    pthread_t threads[4];
    int numbers[4];

    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(sys_fake_counters(fake).octets_written, 8000);
    for (int i = 0; i < 4; i++)
        cr_expect(is_file_of((const char *[]){"0", "1", "2", "3"}[i], (char)('0' + i), 2000));
}
