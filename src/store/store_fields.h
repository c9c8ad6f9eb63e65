/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's fields, for its own files, and who may touch them:
 *
 * - of a vhost's journal, what is marked (inside) by the vhost's runner alone;
 * - what is marked (lock) behind store->lock, which is held for moments only;
 * - what is marked (worker) by the worker, or before it is started.
 *
 * A vhost's runner hands tasks to the worker or the reader; they put their answers on journal->answers and
 * have store_answer() called inside the vhost.
 */
#ifndef STORE_STORE_FIELDS_H
#define STORE_STORE_FIELDS_H

#include <pthread.h>
#include <stdatomic.h>

#include "catalog.h"
#include "coney/checkpoint.h"
#include "coney/hash.h"
#include "coney/store.h"
#include "logged.h"
#include "segment.h"
#include "wal.h"
#include "worker.h"

/* A task for a vhost, and its answer. */
struct request {
    struct task task; /* first: a request is its task */
    struct request *next;
    struct vhost_journal *journal;
    enum { REQUEST_SAVE, REQUEST_FETCH, REQUEST_LOOK, REQUEST_MOVE } kind;
    union {
        struct journal_save *save;
        struct journal_fetch *fetch;
        struct journal_look *look;
        struct move *move;
    };
    struct run_head head;   /* FETCH, LOOK: where, as it was when asked */
    struct run_place place; /* the same */
    bool lasts;
    char *why; /* owned; FETCH, LOOK: it could not be read */
};

/* A run being written again elsewhere. */
struct move {
    struct run *run;
    uint64_t *live; /* owned: which messages */
    struct run_place place;
    uint32_t messages;
    bool failed;
};

/* Segment files that are emptied at a time. */
#define MOVE_FILES 8

struct vhost_journal {
    struct journal journal;
    struct store *store;
    struct vhost_journal *next; /* store->journals; never removed */
    uint32_t id;
    struct bytes name; /* owned */
    struct vhost *vhost;
    void *owner;
    bool is_shared;
    uint64_t lsn;          /* (inside) of the last record */
    uint64_t captured_lsn; /* (lock) the same when the checkpoint captured the vhost */
    bool is_restoring;     /* records get restoring_lsn, and are not written */
    uint64_t restoring_lsn;
    struct wal_chunk *first, *last;     /* (inside) being filled */
    const struct message *last_message; /* (inside) of the last JOURNAL_ENQUEUE in these, */
    struct logged_enqueue last_enqueue; /* and where it went */
    uint64_t used;                      /* (inside) as told to the store last */
    struct wal_chunk *spare;            /* (inside) to be filled again */
    unsigned spares;
    _Atomic uint64_t durable;
    _Atomic(struct wal_chunk *) returned;
    _Atomic(struct request *) answers;
    struct request *waiting, **waiting_end; /* (inside) answers taken from there, oldest first */
    atomic_bool posted;
    atomic_bool wants_relief; /* it holds publishers until the journal has caught up */
    uint64_t save_after;      /* (inside) ns: for the checkpoint, after a save has failed */
    enum { CHECKPOINT_NONE, CHECKPOINT_SAVING, CHECKPOINT_CAPTURING } checkpoint; /* (inside) */
    atomic_bool checkpoint_wanted;
    _Atomic uint32_t moves[2][MOVE_FILES];       /* files to be moved, spilled and kept; 0: none */
    uint64_t told_dead[2];                       /* (inside) what store->dead has of this vhost */
    struct captured_run *dropped, **dropped_end; /* (inside) rows to be removed: for the next capture */
};

/* How much of a segment file is live. */
struct ledger_file {
    UT_hash_handle hh;
    uint32_t file;
    uint64_t live, size;
    uint64_t dead_at;              /* checkpoints begun when the last of it died */
    struct ledger_file *next_dead; /* while it is being removed */
};

/* A topology record on its way to the catalog. */
struct pending {
    struct pending *next;
    uint32_t size;
    uint8_t record[];
};

struct captured_state {
    struct captured_state *next;
    uint32_t vhost;
    uint64_t queue;
    uint32_t size;
    uint8_t octets[];
};

/* A row of the catalog to be, or to be removed (size 0). */
struct captured_run {
    struct captured_run *next;
    struct catalog_run row;
    uint8_t octets[];
};

struct checkpoint {
    bool is_on;
    uint64_t era;     /* files up to here are to be released */
    uint32_t pending; /* vhosts that have not captured yet */
    uint64_t begun;
    bool waits;        /* captured, but not all of it is durable */
    uint64_t retry_at; /* ns: after a failure */
    uint64_t tidy_at;  /* ns: not for the segments' sake alone before this */
};

struct store {
    struct sys *sys;
    struct store_settings settings;
    _Atomic uint64_t disk_free_limit; /* of the settings, until it is set anew */
    struct store_ops ops;
    char *folder; /* owned */
    struct sys_file *lock_file;
    struct catalog *catalog;    /* (worker) */
    struct catalog_state state; /* (worker) as the catalog has it */
    struct wal *wal;
    struct segments *kept, *spill;
    struct worker worker, reader;
    bool has_threads;
    atomic_bool wake;
    _Atomic uint64_t used;
    _Atomic uint64_t file; /* that was written last: the era of what is appended now */
    atomic_bool is_full;

    pthread_mutex_t lock;
    pthread_cond_t moved;           /* the node's own durable LSN */
    struct vhost_journal *journals; /* (lock) newest first */
    uint32_t last_id;
    struct vhost_journal node;              /* (lock) the node's own records */
    struct pending *pending, **pending_end; /* (lock) */
    uint64_t live[2];                       /* (lock) octets, spilled and kept */
    _Atomic uint64_t dead[2];       /* octets of these, about, that died since their vhosts were captured */
    struct ledger_file *ledgers[2]; /* (lock) spilled, kept */
    struct captured_state *states, **states_end; /* (lock) */
    struct captured_run *runs, **runs_end;       /* (lock) in order */
    struct checkpoint checkpoint;                /* (lock) */
    struct store_counters counters;              /* (lock) */
    struct task commit_task, care_task;
    struct sys_file *reserve; /* (worker) */
    bool needs_reserve;       /* (worker) it was given up, or could not be made */
    atomic_bool is_cared_for; /* care_task is under way */
    uint64_t prepared_after;  /* (who gives back) the journal file whose next one was asked for */
    atomic_bool is_copied;    /* a backup is under way, */
    bool keeps_files;         /* (worker) and reads segments: none is removed */
    atomic_bool is_finishing;
};

static inline struct vhost_journal *journal_of(struct journal *journal)
{
    return (struct vhost_journal *)(void *)journal;
}

/* ---- vhost_journal.c ---- */

struct vhost_journal *vhost_journal_new(struct store *store, uint32_t id, struct bytes name);
void vhost_journal_post(struct vhost_journal *journal);
/* The same, where nothing is under way that would answer. (inside) */
void vhost_journal_post_later(struct vhost_journal *journal, struct vhost *vhost);
/* wal_done */
void store_written(void *context, struct wal_chunk *chunks, uint64_t file);

/* ---- checkpoint.c ---- */

/* (lock) PLACE of the ledger LASTS has DELTA octets more that are live. */
void ledger_add(struct store *store, bool lasts, uint32_t file, int64_t delta, uint64_t size);
/* Inside: tell the store how much has died in segments. */
void checkpoint_tell_dead(struct vhost_journal *journal);
/* Inside: go on with what the checkpoint wants of JOURNAL's vhost. */
void checkpoint_inside(struct vhost_journal *journal, struct vhost *vhost);
/* Commit thread, worker: begin one if the journal or the segments have grown enough; go on with one that
 * waited. */
void checkpoint_consider(struct store *store);
/* journal_ops.drop: what RUN takes in its file is dead. (inside) */
void checkpoint_drop(struct journal *base, struct run *run);
/* journal_ops.emptied: RUN's row goes, with the next capture, as what emptied it is not durable yet. (inside)
 */
void checkpoint_emptied(struct journal *base, struct run *run);
void pending_add(struct store *store, const uint8_t *head, size_t head_size, const void *rest,
                 size_t rest_size);
/* Have the catalog say how far the journal is on stable storage. Says itself what goes wrong. (worker) */
void checkpoint_note_synced(struct store *store);
void checkpoint_free(struct store *store);

/* ---- store.c ---- */

#define STORE_PATH_SIZE 4096

void store_path(const struct store *store, const char *name, char path[STORE_PATH_SIZE]);
void store_set_full(struct store *store, bool full);

/* ---- reserve.c ---- */

/* Make the file that keeps room for a commit of the catalog, or fill it again. (worker) */
void reserve_make(struct store *store);
/* Give its room up; false when there was none. No file of the journal takes it before reserve_spent().
 * (worker) */
bool reserve_spend(struct store *store);
void reserve_spent(struct store *store);

/* ---- recovery.c ---- */

enum store_result recover(struct store *store, struct store_opened *opened, char why[STORE_WHY_SIZE]);

#endif
