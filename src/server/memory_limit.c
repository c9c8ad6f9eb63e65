/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_limit.h: the machine's memory from the kernel, the control groups' limits from their files. A
 * service has a group deep below the root, a container often finds its own at the root whatever its list
 * says: so every folder from the one named up to the mount is looked at, and the least limit counts.
 */
#include "memory_limit.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

static uint64_t limit_in(const char *folder, const char *name)
{
    char path[PATH_MAX], text[32] = "";
    uint64_t limit = 0;
    FILE *file;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return UINT64_MAX;
    file = fopen(path, "re");
    if (!file)
        return UINT64_MAX;
    if (fgets(text, sizeof text, file))
        limit = strtoull(text, NULL, 10); /* "max" is none */
    fclose(file);
    return limit ? limit : UINT64_MAX;
}

static uint64_t least_upwards(const char *mount, const char *group, const char *name)
{
    char path[PATH_MAX];
    uint64_t least = UINT64_MAX;

    if ((size_t)snprintf(path, sizeof path, "%s%s", mount, group) >= sizeof path)
        return least;
    for (;;) {
        uint64_t limit = limit_in(path, name);
        char *slash = strrchr(path + strlen(mount), '/');

        least = limit < least ? limit : least;
        if (!slash)
            return least;
        *slash = '\0';
    }
}

static bool names_memory(char *controllers)
{
    char *rest, *name = strtok_r(controllers, ",", &rest);

    while (name && strcmp(name, "memory") != 0)
        name = strtok_r(NULL, ",", &rest);
    return name != NULL;
}

/* A line is NUMBER:CONTROLLERS:GROUP; version 2 has one line, without controllers. */
static uint64_t limit_of_line(char *line, const char *mount)
{
    char memory_mount[PATH_MAX];
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;

    if (!group)
        return UINT64_MAX;
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    controllers++;
    if (!*controllers)
        return least_upwards(mount, group, "memory.max");
    if (!names_memory(controllers) ||
        (size_t)snprintf(memory_mount, sizeof memory_mount, "%s/memory", mount) >= sizeof memory_mount)
        return UINT64_MAX;
    return least_upwards(memory_mount, group, "memory.limit_in_bytes");
}

uint64_t memory_group_limit(const char *list, const char *mount)
{
    FILE *file = fopen(list, "re");
    uint64_t least = UINT64_MAX;
    size_t size = 0;
    char *line = NULL;

    while (file && getline(&line, &size, file) > 0) {
        uint64_t limit = limit_of_line(line, mount);

        least = limit < least ? limit : least;
    }
    free(line);
    if (file)
        fclose(file);
    return least;
}

uint64_t memory_total(void)
{
    uint64_t limit = memory_group_limit("/proc/self/cgroup", "/sys/fs/cgroup");
    struct sysinfo info;

    if (sysinfo(&info) == 0 && (uint64_t)info.totalram * info.mem_unit < limit)
        return (uint64_t)info.totalram * info.mem_unit;
    return limit;
}
