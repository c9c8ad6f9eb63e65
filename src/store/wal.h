/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's files: records of all vhosts in one order, written and synced in batches.
 *
 * Whoever produces records fills chunks and pushes them; wal_step() takes all that was pushed, writes it in
 * batches of at most about 16 MiB, syncs, and gives the chunks back. What one wal_push() handed in is never
 * divided between batches, and the batch is the unit of atomicity: after a crash all of a push is there or
 * nothing of it, and never a later push without the earlier ones.
 *
 * Files have fixed places, journal/NN.wal, of one size, filled with zeros before their first use and used
 * again and again: the ordinal in a file's header says which part of the log it holds now. A batch says its
 * ordinal, its sequence number (one more than the batch before it), and the highest sequence number known to
 * be synced when it was written: a batch that is missing though a later one says that it was synced is
 * damage; anything else behind the last good batch is a torn tail, and cut.
 *
 * The byte layout is in doc/FORMAT.md.
 */
#ifndef STORE_WAL_H
#define STORE_WAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "coney/sys.h"

struct wal;

#define WAL_HEAD_MAX 64
#define WAL_WHY_SIZE 512

/* One record: the head, then the two parts, which are referred to until the chunk is given back. The three
 * are less than 4 GiB. */
struct wal_item {
    uint8_t head[WAL_HEAD_MAX];
    uint32_t head_size;
    uint32_t first_size;
    const void *first;
    const void *second;
    uint64_t second_size;
    void *owner; /* the producer's own: of no meaning here */
};

#define WAL_CHUNK_ITEMS 126

struct wal_chunk {
    struct wal_chunk *next;
    void *context; /* the producer's own */
    uint64_t lsn;  /* the producer's own */
    uint64_t size; /* octets that its items take in a batch: set by wal_push() */
    uint32_t count;
    bool relaxed; /* its producer is content when it is written */
    /* The journal's own: in the first chunk of a push the push before it and its own last chunk, else NULL.
     */
    struct wal_chunk *below, *last;
    struct wal_item items[WAL_CHUNK_ITEMS];
};

struct wal_settings {
    const char *folder;     /* of the journal's files: made if it is not there */
    uint64_t file_size;     /* octets of each, but for one that a single larger push is in */
    uint32_t file_count;    /* how many there may be, 2 to 10,000: file_size * file_count is the window */
    uint64_t epoch;         /* of this node: files of another are refused */
    uint32_t sync_every_ms; /* of what is relaxed */
    /* After a sync of LONG_SYNC_NS or more, batches with SYNC_APART octets of records or more are synced
     * while others are written; 0: none is. */
    uint64_t sync_apart;
    uint64_t long_sync_ns;
};

struct wal_counters {
    uint64_t batches, octets, syncs, records;
    uint64_t largest_batch;
    uint64_t sync_ns; /* time spent in syncs */
};

/* Called by wal_step(), or by the sync thread, never by both at once, with the chunks (linked by next, in
 * order of pushing) that are on stable storage, or written where they are relaxed. FILE is the ordinal of the
 * file they are in. The chunks are the callee's. */
typedef void wal_done(void *context, struct wal_chunk *chunks, uint64_t file);

/* Open what is in the folder, making it if it is not there; nothing else is changed on disk before the first
 * wal_step(). Records of files from ordinal FIRST on (the first of all is 1, 0 is the same) are passed to
 * EACH in order, with the ordinal; EACH returning false ends the opening with its WHY. NULL with WHY (file,
 * offset, what is wrong) when something is damaged (ERROR is -EBADMSG), batches up to SYNCED not being there
 * included, or when the system refuses (another negative errno). What was passed is on stable storage when
 * wal_open() returns. CUT is the number of octets of a torn tail that were given up, as far as can be told.
 * Files before FIRST count as released. */
struct wal_replay {
    uint64_t first;
    uint64_t synced; /* what wal_synced() once said */
    bool (*each)(void *context, uint64_t file, const uint8_t *record, size_t size, char why[WAL_WHY_SIZE]);
    void *context;
    uint64_t records, octets, cut; /* out */
    int error;                     /* out */
};
struct wal *wal_open(struct sys *sys, const struct wal_settings *settings, struct wal_replay *replay,
                     wal_done *done, void *done_context, char why[WAL_WHY_SIZE]);

/* Stops the commit thread if it runs. Returns the chunks, linked by next, that were pushed and never written
 * because of an error: NULL when there are none. */
struct wal_chunk *wal_close(struct wal *wal);

/* Any thread: hand in the chunks from FIRST to LAST, linked by next, in order: all of them will be in one
 * batch. Returns true when wal_wake() is called for, which is only when the commit thread waits for as much.
 */
bool wal_push(struct wal *wal, struct wal_chunk *first, struct wal_chunk *last);

/* Any thread: octets pushed and not yet given back. */
uint64_t wal_backlog(const struct wal *wal);

/* The commit thread, or a test: write, sync and give back what was pushed; what is all relaxed is synced
 * sync_every_ms later, by a later step. Returns 0, or a negative errno after which nothing more may be
 * promised: the node must stop. None of that are -EAGAIN (file_count files are in use: wait for
 * wal_release()) and those of wal_waits(): then what was not given back is still pushed, and the step may be
 * tried again. Without threads a batch of sync_apart octets is only written; the next step, which is called
 * for while wal_is_syncing(), writes more if there is enough, and syncs. */
int wal_step(struct wal *wal);
bool wal_is_syncing(const struct wal *wal);

/* Tell whether ERROR says that there is no room, or no descriptor, for a next file now. */
bool wal_waits(int error);

/* The commit thread's life: steps until wal_stop(), sleeping when nothing is pushed, and for -EAGAIN until
 * wal_release(). FAILED is called from the thread with what else wal_step() returned; for those of
 * wal_waits() it is tried again every 100 ms, after another error the thread ends. */
bool wal_start(struct wal *wal, void (*failed)(void *context, int error), void *context);
void wal_wake(struct wal *wal);

/* Returns when all that was pushed is done: where all files are in use, whoever calls wal_release() must
 * still be there; what there is no room on the disk for is left to wal_close(). */
void wal_stop(struct wal *wal);

/* Any thread: the ordinal of the last file that is known to be begun on stable storage: what is pushed from
 * here on is in it or a later one. It may be named as FIRST at the next opening. 1 when there is none yet. */
uint64_t wal_file(const struct wal *wal);

/* Any thread: the sequence number of the last batch that is on stable storage; 0: none is yet. Whoever
 * remembers it can tell the next opening, which then knows what is missing at the end from what was torn. */
uint64_t wal_synced(const struct wal *wal);

/* Where nothing else is called, and no commit thread runs: what was written is on stable storage. 0 or a
 * negative errno. */
int wal_sync(struct wal *wal);

/* Any thread: how many files hold live parts of the log (from the lowest not released to wal_file()). */
uint32_t wal_files_in_use(const struct wal *wal);

/* Any thread: files up to ordinal LAST hold nothing that is needed; wal_file() and later ones are kept. To be
 * called only when the next opening will surely say FIRST > LAST. */
void wal_release(struct wal *wal, uint64_t last);

/* Any thread: while ON, what is pushed may take more files than file_count, up to WAL_OVERDRAFT octets more:
 * for a release that waits for what is pushed. */
#define WAL_OVERDRAFT (UINT64_C(64) << 20)
void wal_overdraw(struct wal *wal, bool on);

/* Any thread: until it is called with false no file is made, as if the disk had no room. Returns when none is
 * being made. */
void wal_hold(struct wal *wal, bool hold);

/* Any thread: tell whether the current file, as of the last batch, is so full, or so small, that
 * wal_prepare() would make the next one if none is ready. */
bool wal_needs_next(const struct wal *wal);

/* The worker, ahead of need: make the next file if wal_needs_next() and none is ready. wal_step() does it
 * itself if it must. Does nothing where file_count files are in use. Returns 0, or a negative errno; -ENOSPC
 * is the disk alarm. */
int wal_prepare(struct wal *wal);

/* The worker: copy what is on stable storage of files from ordinal FIRST on, none of which may be released
 * meanwhile, to FOLDER. 0 or a negative errno. */
int wal_copy(struct wal *wal, uint64_t first, const char *folder);

struct wal_counters wal_counters(const struct wal *wal);

static inline struct wal_item *wal_chunk_add(struct wal_chunk *chunk)
{
    return &chunk->items[chunk->count++];
}

#endif
