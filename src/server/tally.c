/* SPDX-License-Identifier: Apache-2.0 */
/* tally.h: a hash of counts. */
#include "tally.h"

#include <stdlib.h>

#include "coney/hash.h"
#include "coney/xalloc.h"

struct tally {
    UT_hash_handle hh;
    uint64_t count;
    uint8_t key[];
};

static struct tally *find(const struct tally *tally, struct bytes key)
{
    struct tally *found;

    HASH_FIND(hh, tally, key.data, key.size, found);
    return found;
}

uint64_t tally_of(const struct tally *tally, struct bytes key)
{
    const struct tally *found = find(tally, key);

    return found ? found->count : 0;
}

bool tally_add(struct tally **tally, struct bytes key, uint64_t most)
{
    struct tally *found = find(*tally, key);

    if ((found ? found->count : 0) >= most)
        return false;
    if (!found) {
        found = xcalloc(1, sizeof *found + key.size);
        put_bytes(found->key, key);
        HASH_ADD_KEYPTR(hh, *tally, found->key, key.size, found);
    }
    found->count++;
    return true;
}

void tally_remove(struct tally **tally, struct bytes key)
{
    struct tally *found = find(*tally, key);

    if (--found->count)
        return;
    HASH_DEL(*tally, found);
    free(found);
}
