/* SPDX-License-Identifier: Apache-2.0 */
/* web.c: finds a file of the web page by its path. The table is sorted, src/admin/web/embed sees to it. */
#include "web.h"

#include <stdlib.h>
#include <string.h>

#include "web_table.h"

static int compare_path(const void *path, const void *file)
{
    return strcmp(path, ((const struct web_file *)file)->path);
}

const struct web_file *web_find(const char *path)
{
    if (strcmp(path, "/") == 0)
        path = "/index.html";
    return bsearch(path, web_files, web_files_count, sizeof(web_files[0]), compare_path);
}
