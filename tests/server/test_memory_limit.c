/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of control groups, read from folders made here in the shape of both versions. */
#include <criterion/criterion.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/memory_limit.h"

static char top[] = "/tmp/coney-groups-XXXXXX";

static void make_top(void)
{
    cr_assert(mkdtemp(top));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status, (void)type, (void)position;
    return remove(path);
}

static void remove_top(void)
{
    nftw(top, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(memory_limit, .init = make_top, .fini = remove_top);

static const char *below_top(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static void folder(const char *name)
{
    cr_assert_eq(mkdir(below_top(name), 0700), 0);
}

static void file(const char *name, const char *text)
{
    FILE *out = fopen(below_top(name), "w");

    cr_assert(out);
    cr_assert_geq(fputs(text, out), 0);
    cr_assert_eq(fclose(out), 0);
}

static uint64_t limit(void)
{
    char list[PATH_MAX];

    snprintf(list, sizeof list, "%s/list", top);
    return memory_group_limit(list, top);
}

Test(memory_limit, a_service_has_its_own_group)
{
    file("list", "0::/system.slice/coney.service\n");
    folder("system.slice");
    folder("system.slice/coney.service");
    file("system.slice/coney.service/memory.max", "1073741824\n");
    cr_expect_eq(limit(), 1073741824);
}

Test(memory_limit, the_least_of_the_groups_around_counts)
{
    file("list", "0::/a/b\n");
    folder("a");
    folder("a/b");
    file("a/memory.max", "5000000\n");
    file("a/b/memory.max", "7000000\n");
    file("memory.max", "6000000\n");
    cr_expect_eq(limit(), 5000000);
}

Test(memory_limit, max_is_no_limit)
{
    file("list", "0::/a\n");
    folder("a");
    file("a/memory.max", "max\n");
    cr_expect_eq(limit(), UINT64_MAX);
}

Test(memory_limit, a_container_finds_its_limit_at_the_root)
{
    file("list", "0::/\n");
    file("memory.max", "8000000\n");
    cr_expect_eq(limit(), 8000000);
    file("list", "0::/elsewhere/outside\n");
    cr_expect_eq(limit(), 8000000);
}

Test(memory_limit, version_1_has_a_folder_for_the_controller)
{
    file("list", "9:name=systemd:/a\n5:cpu,memory:/a/b\n4:memoryless:/c\n");
    folder("memory");
    folder("memory/a");
    folder("memory/a/b");
    folder("memory/c");
    file("memory/memory.limit_in_bytes", "9223372036854771712\n");
    file("memory/a/b/memory.limit_in_bytes", "2000000\n");
    file("memory/c/memory.limit_in_bytes", "1000\n");
    cr_expect_eq(limit(), 2000000);
}

Test(memory_limit, nothing_to_read_is_no_limit)
{
    cr_expect_eq(limit(), UINT64_MAX);
    file("list", "nonsense\n1:memory\n:::\n");
    cr_expect_eq(limit(), UINT64_MAX);
}
