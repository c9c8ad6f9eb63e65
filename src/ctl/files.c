/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files: see files.h. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool file_read(struct buffer *into, const char *path)
{
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    ssize_t size = 0;

    while (file >= 0) {
        size = read(file, buffer_reserve(into, 65536), 65536);
        if (size <= 0)
            break;
        into->size += (size_t)size;
    }
    if (path && file >= 0)
        close(file);
    return file >= 0 && size == 0;
}

/* Definitions hold hashes of passwords: nobody else is to read a new file. */
bool file_write(const char *path, const char *content, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written = file >= 0;

    while (is_written && size > 0) {
        ssize_t wrote = write(file, content, size);

        if (wrote < 0 && errno == EINTR)
            continue;
        is_written = wrote > 0;
        content += is_written ? wrote : 0;
        size -= is_written ? (size_t)wrote : 0;
    }
    if (file >= 0 && close(file) != 0)
        is_written = false;
    return is_written;
}
