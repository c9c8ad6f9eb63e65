/* SPDX-License-Identifier: Apache-2.0 */
/* copy.h */
#include "copy.h"

#include <errno.h>
#include <stdlib.h>

#include "coney/xalloc.h"

#define PIECE ((size_t)1 << 20)

int copy_octets_between(struct copy_pair *pair, uint64_t offset, uint64_t size)
{
    uint8_t *octets = xmalloc(size < PIECE ? (size_t)size + 1 : PIECE);
    int error = 0;

    for (uint64_t end = offset + size; offset < end && !error;) {
        size_t wanted = end - offset < PIECE ? (size_t)(end - offset) : PIECE;
        ssize_t got = sys_read(pair->sys, pair->from, octets, wanted, offset);

        if (got < 0)
            error = (int)got;
        else if ((size_t)got < wanted)
            error = -ENODATA;
        else
            error = sys_write(pair->sys, pair->to, octets, wanted, offset);
        offset += wanted;
    }
    free(octets);
    return error;
}

int copy_file_whole(struct sys *sys, const char *from, const char *to)
{
    struct copy_pair pair = {.sys = sys};
    int error = sys_open(sys, from, SYS_READ, &pair.from);
    int64_t size;

    if (error)
        return error;
    error = sys_open(sys, to, SYS_WRITE | SYS_CREATE | SYS_EXCLUSIVE, &pair.to);
    if (!error) {
        size = sys_size(sys, pair.from);
        error = size < 0 ? (int)size : copy_octets_between(&pair, 0, (uint64_t)size);
    }
    if (!error)
        error = sys_sync(sys, pair.to);
    sys_close(sys, pair.from);
    sys_close(sys, pair.to);
    return error;
}
