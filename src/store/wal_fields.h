/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the journal share: wal.c (pushing, batches), wal_threads.c (the commit thread and the
 * sync thread), wal_files.c (the files' places: making, taking, releasing) and wal_open.c (reading back what
 * is there).
 *
 * Three threads matter beside the producers: the commit thread, which alone writes batches; the sync thread,
 * which syncs for it while is_syncing, and then gives back in_sync; and the worker, which may make the next
 * file meanwhile. Fields say whose they are.
 */
#ifndef STORE_WAL_FIELDS_H
#define STORE_WAL_FIELDS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/crc32c.h"
#include "wal.h"

#define WAL_BLOCK             512  /* batches start at multiples of it */
#define WAL_HEADER_BLOCK      4096 /* room for a copy of the file's header, in a sector of its own */
#define WAL_HEADERS           UINT64_C(8192) /* two copies of it; then batches */
#define WAL_VERSION           3              /* of files (doc/FORMAT.md says what those before it are) */
#define WAL_BATCH_VERSION     1
#define WAL_FIRST_SIZE        (UINT64_C(2) << 20)          /* of a node's first file */
#define WAL_FILE_MAGIC        UINT64_C(0x434f4e455957414c) /* "CONEYWAL" */
#define WAL_BATCH_MAGIC       UINT32_C(0x42415443)         /* "BATC" */
#define WAL_FILE_HEADER_SIZE  64
#define WAL_BATCH_HEADER_SIZE 64
#define WAL_HEADER_SUMMED     60 /* octets of either header that its checksum covers */
#define WAL_RECORD_OVERHEAD   4
#define WAL_PLACES_MAX        10000
#define WAL_PATH_SIZE         4096

struct wal_file_header {
    uint32_t version;
    uint64_t epoch;
    uint64_t ordinal; /* 0: prepared, never used */
    uint64_t size;
    uint64_t first_sequence; /* of the first batch in it */
};

struct wal_batch_header {
    uint64_t epoch, ordinal, sequence, synced, length, offset;
    uint32_t count;
};

/* A place NN.wal. */
struct wal_place {
    struct sys_file *file; /* NULL: there is none yet */
    uint64_t ordinal;      /* what it holds, or held: free when that is released */
    uint64_t size;         /* octets on disk */
    bool busy;             /* somebody is making it */
    bool is_worn[2]; /* a copy of its header is not as the other: to be mended before anything is written */
    struct wal_file_header header; /* at opening */
};

/* Chunks that are written and not given back. */
struct wal_span {
    struct wal_chunk *first, *last; /* NULL: none */
    uint64_t length;                /* octets of their records */
    uint64_t sequence;              /* of the last batch with them */
    bool is_promised;               /* not all are relaxed: they are given back when they are synced */
};

#define WAL_NEVER UINT64_MAX

struct wal {
    struct sys *sys;
    struct wal_settings settings;
    char *folder;
    wal_done *done;
    void *done_context;

    /* Any thread. */
    _Alignas(64) _Atomic(struct wal_chunk *) pushed; /* newest push first */
    _Atomic uint64_t backlog;
    _Atomic uint64_t wake_at; /* the backlog from which on the commit thread is to be woken, or WAL_NEVER */
    _Atomic uint64_t file;
    _Atomic uint64_t released;
    _Atomic uint64_t synced; /* highest sequence on stable storage */
    _Atomic bool overdrawn;  /* file_count may be exceeded */
    _Atomic bool needs_next; /* wal_wants_next(), as of the last batch */
    /* A sync of the current file is under way beside the commit thread, or has failed: no other one may
     * begin, the file may not be left, and nothing may be given back before in_sync. */
    _Atomic bool is_syncing;
    _Atomic uint64_t last_sync_ns; /* how long it took */
    _Atomic int broken;            /* what failed; nothing is written any more */
    struct {
        _Atomic uint64_t batches, octets, syncs, records, largest_batch, sync_ns;
    } counters;

    /* The commit thread; in_sync and the current file's are only read by both while is_syncing. What it does
     * follows from awaits_sync, which nobody else changes: it was is_syncing when it last looked. */
    bool awaits_sync;
    _Alignas(64) struct wal_chunk *pending, *pending_last; /* in order of pushing */
    struct wal_span written, in_sync;
    struct wal_place *current;
    uint64_t ordinal;  /* of the current file, or of the last one: the next is one more */
    uint64_t offset;   /* of the next batch */
    uint64_t sequence; /* of the next batch */
    uint64_t sync_due_ns;
    uint64_t cut_end; /* what stands from offset up to here must be wiped before anything is written */
    bool copy_due;    /* the second copy of the current file's header is written with its first batch */
    bool settled;     /* what was found at opening was made ready for writing */
    uint8_t *buffer;
    size_t buffer_size;
    size_t buffer_recent; /* what recent batches needed */
    size_t gathered;      /* octets of the batch in it */

    /* Under files_lock. */
    pthread_mutex_t files_lock;
    pthread_cond_t files_made;
    struct wal_place *places;
    uint32_t place_count;
    bool holds; /* nothing is made */

    /* Under sleep_lock. */
    pthread_mutex_t sleep_lock;
    pthread_cond_t wake;        /* the commit thread */
    pthread_cond_t sync_wanted; /* the sync thread */
    _Atomic bool stopping;
    bool no_more_syncs;
    bool started;
    pthread_t thread, sync_thread;
    void (*failed)(void *context, int error);
    void *failed_context;
};

/* Batches start at multiples of it in a file of VERSION: in those of version 1 at whole pages. */
static inline uint64_t wal_block(uint32_t version)
{
    return version == 1 ? WAL_HEADER_BLOCK : WAL_BLOCK;
}

static inline uint64_t wal_round_up(uint64_t size)
{
    return (size + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
}

/* Octets that a batch with LENGTH octets of records takes in a file of this version. */
static inline uint64_t wal_batch_size(uint64_t length)
{
    return wal_round_up(WAL_BATCH_HEADER_SIZE + length);
}

/* When a quarter of the current file is full, as the next one takes as long to fill with zeros as this one
 * with messages at full speed; where this one is smaller than others, at once. */
static inline bool wal_wants_next(const struct wal *wal)
{
    return wal->offset >= wal->current->size / 4 || wal->current->size < wal->settings.file_size;
}

static inline uint64_t wal_files_overdraft(const struct wal *wal)
{
    return WAL_OVERDRAFT / wal->settings.file_size + 1;
}

/* How many files there may be now. */
static inline uint64_t wal_files_allowed(const struct wal *wal)
{
    return wal->settings.file_count + (atomic_load(&wal->overdrawn) ? wal_files_overdraft(wal) : 0);
}

/* Take the header at FROM apart, whatever its version; false where it is damaged. */
bool wal_file_header_get(const uint8_t from[WAL_FILE_HEADER_SIZE], struct wal_file_header *header);

/* Write HEADER into the block at TO. */
void wal_file_header_put(uint8_t to[WAL_HEADER_BLOCK], const struct wal_file_header *header);

/* Write HEADER as the copy NUMBER, 0 or 1, of FILE, and sync. 0 or a negative errno. */
int wal_file_header_write(struct wal *wal, struct sys_file *file, int number,
                          const struct wal_file_header *header);

/* Write HEADER but for its checksum into the WAL_BATCH_HEADER_SIZE octets at TO. */
void wal_batch_header_put(uint8_t *to, const struct wal_batch_header *header);

/* Tell whether FROM starts like a batch of HEADER's ordinal at its offset, where SIZE octets are left; fill
 * in the rest of HEADER. The checksum is the caller's to look at. */
bool wal_batch_header_get(const uint8_t *from, uint64_t left, struct wal_batch_header *header);

/* The path of place NUMBER, ending in SUFFIX. */
void wal_path(const struct wal *wal, uint32_t number, const char *suffix, char path[WAL_PATH_SIZE]);

/* A place with room for SIZE octets for the file with ORDINAL, zeroed and synced where it must be; waits for
 * the worker when that is making one. 0; -EAGAIN: all are in use; -ENOSPC; another negative errno. */
int wal_take_place(struct wal *wal, uint64_t ordinal, uint64_t size, struct wal_place **place);

/* Before the first write after opening: mend headers, wipe the cut tail, remove files in places that are no
 * more. */
int wal_settle(struct wal *wal);

/* Without a sync under way: what is written is given back, and not synced: that is due at sync_due_ns. */
bool wal_has_unsynced(const struct wal *wal);

/* While is_syncing: the backlog from which on it is worth writing beside the sync. */
uint64_t wal_enough(const struct wal *wal);

/* Have in_sync synced; in wal_threads.c. */
void wal_begin_sync(struct wal *wal);

/* The commit thread: a sync that is under way has ended when it returns. 0, or what failed. */
int wal_end_sync(struct wal *wal);

/* While is_syncing, by who syncs: sync, and give back in_sync. 0 or a negative errno. */
int wal_sync_apart(struct wal *wal);

#endif
