/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reserve of room. On a full disk only a checkpoint gives room back, and its commit needs some first: for
 * the pages that the catalog gets and those it changes. So a file of zeros keeps some as long as there is
 * any; it is given up for a commit that finds no room, and made again as soon as there is some. Until then
 * the disk counts as full.
 */
#include "coney/log.h"
#include "store_fields.h"

#define RESERVE_MAX  (UINT64_C(8) << 20)
#define RESERVE_STEP 65536

static uint64_t reserve_size(const struct store *store)
{
    uint64_t size = store->settings.journal_file_size / 2;

    return size < RESERVE_MAX ? size / RESERVE_STEP * RESERVE_STEP : RESERVE_MAX;
}

static int fill(struct store *store)
{
    static const uint8_t zeros[RESERVE_STEP];
    int64_t at = sys_size(store->sys, store->reserve);
    int error = at < 0 ? (int)at : 0;

    for (; !error && (uint64_t)at < reserve_size(store); at += RESERVE_STEP)
        error = sys_write(store->sys, store->reserve, zeros, RESERVE_STEP, (uint64_t)at);
    return error;
}

void reserve_make(struct store *store)
{
    char path[STORE_PATH_SIZE];
    int error = 0;

    if (!store->reserve) {
        store_path(store, "reserve", path);
        error = sys_open(store->sys, path, SYS_WRITE | SYS_CREATE, &store->reserve);
    }
    if (!error)
        error = fill(store);
    if (error && store->reserve)
        sys_truncate(store->sys, store->reserve, 0);
    store->needs_reserve = error != 0;
}

bool reserve_spend(struct store *store)
{
    if (!store->reserve || store->needs_reserve)
        return false;
    wal_hold(store->wal, true);
    store->needs_reserve = true;
    if (sys_truncate(store->sys, store->reserve, 0) == 0)
        return true;
    wal_hold(store->wal, false);
    return false;
}

void reserve_spent(struct store *store)
{
    wal_hold(store->wal, false);
}
