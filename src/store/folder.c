/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h */
#include "folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"

/* A folder that this user may not read can't be synced; whoever made it so has made PATH too. */
static int sync_around(struct sys *sys, const char *path)
{
    char *parent = xstrdup(path), *end = parent + strlen(parent), *slash;
    int error;

    while (end > parent + 1 && end[-1] == '/')
        *--end = '\0';
    slash = strrchr(parent, '/');
    if (slash && slash != parent)
        *slash = '\0';
    error = sys_sync_folder(sys, !slash ? "." : slash == parent ? "/" : parent);
    free(parent);
    return error == -EACCES ? 0 : error;
}

int folder_make(struct sys *sys, const char *path)
{
    int error = sys_make_folder(sys, path);

    return error ? error : sync_around(sys, path);
}
