/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.h in memory, for tests: a disk that loses power, calls that fail, space that ends. All of it is decided
 * by seeds and numbers of calls, so that what went wrong once can be replayed. Thread-safe.
 *
 * Folders other than "." and "/" must be made; paths are compared as text, but for slashes at their end.
 */
#ifndef TESTS_SYS_FAKE_H
#define TESTS_SYS_FAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/sys.h"

struct sys_fake;

/* SEED decides how much is written before a write fails, and what a failed sync leaves. */
struct sys_fake *sys_fake_new(uint64_t seed);

/* What the store is given. sys_free() of it frees the fake and all its files and handles. */
struct sys *sys_fake_sys(struct sys_fake *fake);

/* The power goes, and comes again. What was not synced is lost or not, as SEED decides:
 *   - every sector (512 octets) of a file is as it was after one of the writes to it since the last sync, or
 *     before all, or torn between two of these, whatever became of other sectors;
 *   - the file's size is one of those it had since then, zeros filling what was not written;
 *   - every name that was made, changed or removed, and not covered by sys_sync_folder(), is so or is not
 * (then a synced file may be gone, and a folder with all that is in it). Handles are dead: every call with
 * one returns -EIO, and it still is to be closed. Locks are free. What was to fail does no more; the space
 * limit stays. */
void sys_fake_power_loss(struct sys_fake *fake, uint64_t seed);

/* The process ends: as above, but nothing is lost. */
void sys_fake_kill(struct sys_fake *fake);

/* From now on, let the N-th call (1: the next) that may fail with ERROR return -ERROR, once. EMFILE: what
 * opens something. ENOSPC: what needs space. EIO and all others: every call but sys_close(), sys_lock() and
 * sys_room(). A write that fails has written some of its octets; after a sync that fails, each unsynced
 * change of the file is stable or never will be, though the file still reads as if it were. Nothing else
 * changes. N 0: none fails. */
void sys_fake_fail(struct sys_fake *fake, uint64_t n, int error);

/* Whether that call came. A test that fails each call in turn is through when it did not. */
bool sys_fake_has_failed(struct sys_fake *fake);

/* Instead of the N-th call from now and all later ones, -EIO: the instant of a power loss or kill, which the
 * test then calls. N 0: none. */
void sys_fake_stop(struct sys_fake *fake, uint64_t n);
bool sys_fake_is_stopped(struct sys_fake *fake);

/* Room for OCTETS (0: no limit, as at first), given out in blocks of 4096, also for what was not written of
 * a block. A write into blocks that the file has never fails for want of space. */
void sys_fake_capacity(struct sys_fake *fake, uint64_t octets);

/* HOOK is called in every sync of a file, before it takes effect and without a lock: to delay it, or to look.
 */
void sys_fake_on_sync(struct sys_fake *fake, void (*hook)(void *context), void *context);

struct sys_fake_counters {
    uint64_t calls; /* all but closing */
    uint64_t octets_written;
    uint64_t syncs; /* of files */
    uint64_t folder_syncs;
    uint64_t open_files;
};

struct sys_fake_counters sys_fake_counters(struct sys_fake *fake);

#endif
