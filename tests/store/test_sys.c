/* SPDX-License-Identifier: Apache-2.0 */
/* sys.h, as both of its implementations keep it: on the real system, in a folder of its own, and in memory.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "coney/sys.h"
#include "coney/xalloc.h"
#include "sys_fake.h"

/* The C library's, for this program: octets that it writes at most at once (0: no limit), and how often it is
 * interrupted first. */
static size_t write_most;
static unsigned interruptions;

static ssize_t write_a_part(int descriptor, const void *from, size_t size, off_t offset)
{
    if (interruptions) {
        interruptions--;
        errno = EINTR;
        return -1;
    }
    if (write_most && write_most < size)
        size = write_most;
    return syscall(SYS_pwrite64, descriptor, from, size, offset);
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's begin with underscores
ssize_t pwrite(int descriptor, const void *from, size_t size, off_t offset)
{
    return write_a_part(descriptor, from, size, offset);
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): likewise
ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset)
{
    ssize_t done = 0, n;

    if (!write_most && !interruptions)
        return syscall(SYS_pwritev, descriptor, parts, count, offset, 0);
    for (int i = 0; i < count && (size_t)done < write_most; i++, done += n) {
        size_t room = write_most - (size_t)done;

        n = write_a_part(descriptor, parts[i].iov_base, parts[i].iov_len < room ? parts[i].iov_len : room,
                         offset + done);
        if (n < 0)
            return n;
    }
    return done;
}

static char folder[] = "/tmp/coney-test-sys-XXXXXX";
static struct sys *sys;

static void begin_posix(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    sys = sys_posix_new();
}

static void end_posix(void)
{
    char command[sizeof folder + 16];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    sys_free(sys);
    cr_expect_eq(system(command), 0); // NOLINT(cert-env33-c): a name that this file chose
}

static void begin_fake(void)
{
    sys = sys_fake_sys(sys_fake_new(1));
}

static void end_fake(void)
{
    sys_free(sys);
}

TestSuite(sys_posix, .init = begin_posix, .fini = end_posix);
TestSuite(sys_fake, .init = begin_fake, .fini = end_fake);

#define TEST_BOTH(name)     \
    static void name(void); \
    Test(sys_posix, name)   \
    {                       \
        name();             \
    }                       \
    Test(sys_fake, name)    \
    {                       \
        name();             \
    }                       \
    static void name(void)

static struct sys_file *open_file(const char *path, unsigned flags)
{
    struct sys_file *file = NULL;
    int result = sys_open(sys, path, flags, &file);

    cr_assert_eq(result, 0, "%s: %s", path, strerror(-result));
    return file;
}

static void make_file(const char *path, const char *text)
{
    struct sys_file *file = open_file(path, SYS_WRITE | SYS_CREATE | SYS_EXCLUSIVE);

    cr_assert_eq(sys_write(sys, file, text, strlen(text), 0), 0);
    sys_close(sys, file);
}

TEST_BOTH(open_does_what_its_flags_say)
{
    struct sys_file *file;

    cr_expect_eq(sys_open(sys, "a", SYS_READ, &file), -ENOENT);
    cr_expect_eq(sys_open(sys, "a", SYS_WRITE, &file), -ENOENT);
    cr_expect_eq(sys_open(sys, "none/a", SYS_WRITE | SYS_CREATE, &file), -ENOENT);
    make_file("a", "text");
    cr_expect_eq(sys_open(sys, "a", SYS_WRITE | SYS_CREATE | SYS_EXCLUSIVE, &file), -EEXIST);
    file = open_file("a", SYS_WRITE | SYS_CREATE);
    cr_expect_eq(sys_size(sys, file), 4);
    sys_close(sys, file);
    file = open_file("a", SYS_READ);
    cr_expect_eq(sys_write(sys, file, "x", 1, 0), -EBADF);
    sys_close(sys, file);
    file = open_file("a", SYS_WRITE | SYS_TRUNCATE);
    cr_expect_eq(sys_size(sys, file), 0);
    sys_close(sys, file);
    sys_close(sys, NULL);
}

Test(sys_posix, files_are_ours_alone)
{
    struct sys_file *file = open_file("only-ours", SYS_WRITE | SYS_CREATE);

    cr_expect_eq(system("test $(stat -c %a only-ours) = 600"), 0); // NOLINT(cert-env33-c): a constant
    cr_expect_eq(system("! ls -l /proc/self/fd | grep -q only-ours"), 0, "inherited"); // NOLINT(cert-env33-c)
    sys_close(sys, file);
}

TEST_BOTH(read_is_short_only_at_the_end)
{
    struct sys_file *file = open_file("a", SYS_WRITE | SYS_CREATE);
    char text[16];

    cr_assert_eq(sys_write(sys, file, "0123456789", 10, 5), 0);
    cr_expect_eq(sys_size(sys, file), 15);
    cr_expect_eq(sys_read(sys, file, text, 4, 6), 4);
    cr_expect_eq(memcmp(text, "1234", 4), 0);
    cr_expect_eq(sys_read(sys, file, text, sizeof text, 12), 3);
    cr_expect_eq(memcmp(text, "789", 3), 0);
    cr_expect_eq(sys_read(sys, file, text, sizeof text, 15), 0);
    cr_expect_eq(sys_read(sys, file, text, sizeof text, 1000), 0);
    cr_expect_eq(sys_read(sys, file, text, 6, 0), 6);
    cr_expect_eq(memcmp(text,
                        "\0\0\0\0\0"
                        "0",
                        6),
                 0);
    sys_close(sys, file);
}

TEST_BOTH(write_takes_more_parts_than_the_system_does_at_once)
{
    enum { COUNT = 2 * IOV_MAX + 100 };
    struct sys_file *file = open_file("a", SYS_WRITE | SYS_CREATE);
    struct iovec *parts = xcalloc(COUNT, sizeof *parts);
    uint16_t *numbers = xcalloc(COUNT, sizeof *numbers);
    uint16_t *read = xcalloc(COUNT, sizeof *read);
    size_t octets = 0;

    for (int i = 0; i < COUNT; i++) {
        numbers[i] = (uint16_t)i;
        parts[i] = (struct iovec){numbers + i, i % 10 ? sizeof *numbers : 0};
        octets += parts[i].iov_len;
    }
    cr_assert_eq(sys_writev(sys, file, parts, COUNT, 7), 0);
    cr_expect_eq(sys_size(sys, file), (int64_t)octets + 7);
    cr_expect_eq(sys_read(sys, file, read, octets, 7), (ssize_t)octets);
    for (int i = 0, at = 0; i < COUNT; i++)
        if (i % 10)
            cr_assert_eq(read[at++], i);
    cr_expect_eq(sys_writev(sys, file, parts, 0, 0), 0);
    sys_close(sys, file);
    free(parts);
    free(numbers);
    free(read);
}

Test(sys_posix, write_goes_on_after_short_and_interrupted_ones)
{
    static const char text[] = "abcdefghijklmnopqrstuvwxyz";
    struct sys_file *file = open_file("a", SYS_WRITE | SYS_CREATE);
    struct iovec parts[] = {
        {(void *)(uintptr_t)text, 3},
        {NULL, 0},
        {(void *)(uintptr_t)(text + 3), 1},
        {(void *)(uintptr_t)(text + 4), 22},
    };
    char read[sizeof text + 1];

    for (write_most = 1; write_most < sizeof text; write_most++) {
        cr_assert_eq(sys_truncate(sys, file, 0), 0);
        interruptions = 3;
        cr_assert_eq(sys_writev(sys, file, parts, 4, 0), 0);
        cr_assert_eq(sys_read(sys, file, read, sizeof read, 0), 26, "%zu octets at once", write_most);
        cr_assert_eq(memcmp(read, text, 26), 0, "%zu octets at once", write_most);
    }
    sys_close(sys, file);
}

/* A limit on the size of files makes the kernel write a part of what it was given, and then refuse. */
Test(sys_posix, write_tells_the_error_after_a_short_one)
{
    struct sys_file *file = open_file("a", SYS_WRITE | SYS_CREATE);
    struct rlimit limit = {100, RLIM_INFINITY};
    char text[90];
    struct iovec parts[] = {{text, 60}, {text, 90}};

    memset(text, 'x', sizeof text);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_eq(sys_writev(sys, file, parts, 2, 0), -EFBIG);
    cr_expect_eq(sys_size(sys, file), 100);
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    sys_close(sys, file);
}

TEST_BOTH(names_change_and_vanish)
{
    struct sys_file *file;
    char text[4];

    make_file("a", "old");
    make_file("b", "new");
    cr_expect_eq(sys_rename(sys, "b", "a"), 0);
    file = open_file("a", SYS_READ);
    cr_expect_eq(sys_read(sys, file, text, sizeof text, 0), 3);
    cr_expect_eq(memcmp(text, "new", 3), 0);
    cr_expect_eq(sys_unlink(sys, "a"), 0);
    cr_expect_eq(sys_read(sys, file, text, sizeof text, 0), 3);
    sys_close(sys, file);
    cr_expect_eq(sys_unlink(sys, "a"), -ENOENT);
    cr_expect_eq(sys_rename(sys, "a", "b"), -ENOENT);
}

static void count_name(void *context, const char *name)
{
    int *found = context;

    found[strcmp(name, "a") == 0 ? 0 : strcmp(name, ".hidden") == 0 ? 1 : 2]++;
}

TEST_BOTH(folders_are_made_listed_and_synced)
{
    int found[3] = {0};

    cr_expect_eq(sys_make_folder(sys, "f"), 0);
    cr_expect_eq(sys_make_folder(sys, "f"), 0);
    cr_expect_eq(sys_make_folder(sys, "none/f"), -ENOENT);
    make_file("f/a", "");
    make_file("f/.hidden", "");
    cr_expect_eq(sys_make_folder(sys, "f/a"), -ENOTDIR);
    cr_expect_eq(sys_list(sys, "f", count_name, found), 0);
    cr_expect(found[0] == 1 && found[1] == 1 && found[2] == 0);
    cr_expect_eq(sys_list(sys, "none", count_name, found), -ENOENT);
    cr_expect_eq(sys_sync_folder(sys, "f"), 0);
    cr_expect_eq(sys_sync_folder(sys, "none"), -ENOENT);
    cr_expect_eq(sys_sync_folder(sys, "f/a"), -ENOTDIR);
}

TEST_BOTH(one_holds_the_lock_at_a_time)
{
    struct sys_file *first = open_file("lock", SYS_WRITE | SYS_CREATE);
    struct sys_file *second = open_file("lock", SYS_WRITE | SYS_CREATE);

    cr_expect_eq(sys_lock(sys, first), 0);
    cr_expect_eq(sys_lock(sys, second), -EWOULDBLOCK);
    sys_close(sys, first);
    cr_expect_eq(sys_lock(sys, second), 0);
    sys_close(sys, second);
}

TEST_BOTH(sizes_and_room)
{
    struct sys_file *file = open_file("a", SYS_WRITE | SYS_CREATE);

    cr_expect_eq(sys_truncate(sys, file, 12345), 0);
    cr_expect_eq(sys_size(sys, file), 12345);
    cr_expect_eq(sys_sync(sys, file), 0);
    cr_expect_eq(sys_truncate(sys, file, 5), 0);
    cr_expect_eq(sys_size(sys, file), 5);
    cr_expect_gt(sys_room(sys, "."), 0);
    cr_expect_eq(sys_room(sys, "none"), -ENOENT);
    sys_close(sys, file);
}
