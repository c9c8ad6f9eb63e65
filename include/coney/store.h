/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node keeps in its data directory: a journal for each vhost (journal.h), the entries of definitions
 * (users, permissions, policies, parameters), and all that is needed to have them again.
 *
 *     store_open()     puts back what is there; vhosts are not shared yet
 *     store_start()    its threads begin; journals are used from now on
 *     store_finish()   all that was written is on stable storage
 *     store_free()
 */
#ifndef CONEY_STORE_H
#define CONEY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/journal.h"
#include "coney/sys.h"

struct store;
struct vhost;

#define STORE_WHY_SIZE 640

struct store_settings {
    const char *folder;
    uint64_t journal_window;    /* octets that the journal's files may take */
    uint64_t journal_file_size; /* of each of them; 0: the window's eighth */
    uint64_t segment_file_size; /* 0: 64 MiB */
    uint64_t memory_window;     /* octets that messages waiting in queues may hold in memory */
    uint32_t sync_every_ms;     /* of what is relaxed */
    uint64_t sync_apart;        /* octets: batches of as many are synced while others are written; 0: of
                                 * 512 KiB, where a sync takes 1 ms or more */
    uint64_t disk_free_limit;   /* octets: with less room the disk counts as full */
};

struct store_ops {
    /* While opening: a vhost called NAME with JOURNAL, which is for vhost_new(). *OWNER is what post() is
     * given. NULL ends the opening. */
    struct vhost *(*make_vhost)(void *context, struct bytes name, struct journal *journal, void **owner);
    /* While opening: an entry of a definitions file's SECTION, as JSON; an empty JSON: the entry is gone. */
    bool (*entry)(void *context, struct bytes section, struct bytes vhost, struct bytes name,
                  struct bytes json, char why[STORE_WHY_SIZE]);
    /* Any thread: have store_answer(journal) called inside the vhost of OWNER, as a batch of its own. Not
     * called again before store_answer() has begun. */
    void (*post)(void *context, void *owner, struct journal *journal);
    /* Any thread: nothing can be promised any more: the node must end at once, without another word to
     * anybody. */
    void (*failed)(void *context, const char *text);
    /* Any thread: the disk is full, or is not any more. */
    void (*disk_full)(void *context, bool full);
    void (*random)(void *context, void *out, size_t size);
    void *context;
};

struct store_opened {
    uint64_t vhosts, exchanges, queues, bindings, runs, messages; /* messages: ready, away or not */
    uint64_t records, octets, cut;                                /* of the journal */
    bool is_new;
};

enum store_result {
    STORE_OPENED,
    STORE_IN_USE,     /* another process has it: WHY names it */
    STORE_DAMAGED,    /* WHY says where */
    STORE_UNREADABLE, /* the system refuses */
};

/* Open what is in the folder, or make it. Takes over nothing; SYS, the settings' folder and OPS' context must
 * last. */
enum store_result store_open(struct sys *sys, const struct store_settings *settings,
                             const struct store_ops *ops, struct store **out, struct store_opened *opened,
                             char why[STORE_WHY_SIZE]);

/* Before store_start(), or any time from any thread: a vhost that was not there. Its journal is for
 * vhost_new(); until store_share() it may not be used but by that. */
struct journal *store_vhost(struct store *store, struct bytes name);
void store_share(struct journal *base, struct vhost *vhost, void *owner);

/* Any thread: from now on the disk counts as full with less room than LIMIT octets. */
void store_set_disk_free_limit(struct store *store, uint64_t limit);

/* Any thread: keep an entry; an empty JSON: it is gone. */
void store_put_entry(struct store *store, struct bytes section, struct bytes vhost, struct bytes name,
                     struct bytes json);

/* Begin: false with WHY when there can be no threads. Without threads, for tests: store_step() instead. */
bool store_start(struct store *store, char why[STORE_WHY_SIZE]);

/* Do something that a thread would do, if there is anything. */
bool store_step(struct store *store);

/* Inside BASE's vhost: what was asked for is answered, what became durable is told. */
void store_answer(struct journal *base, struct vhost *vhost);

/* Any thread, after the role was let go: wake the commit thread if it sleeps and there is work. */
void store_wake(struct store *store);

/* Any thread, every second or so: have the worker see to what no message sees to: the disk's room, a next
 * file for the journal, a checkpoint that waits. */
void store_care(struct store *store);

/* Wait until all entries and vhosts that were written so far are on stable storage. Not from a thread that
 * runs a vhost. */
void store_sync(struct store *store);

/* The same for at most TIMEOUT_MS: false when it is not there by then, which a full disk can keep it from for
 * long. */
bool store_sync_within(struct store *store, unsigned timeout_ms);

/* The same for what vhosts handed in as well, that is, what they said in batches that have ended. */
bool store_settle(struct store *store, unsigned timeout_ms);

/* Any thread: copy everything to FOLDER, which is made and must hold nothing, while the node goes on: as a
 * power cut at some moment after the call would have left it. DONE is called once, from the store's worker,
 * with NULL, or with why there is no copy: what stands in FOLDER then is of no use. False, and no call, when
 * a copy is being made already. The node's end ends it. */
typedef void store_backup_done(void *context, const char *why);
bool store_backup(struct store *store, const char *folder, store_backup_done *done, void *context);

/* When nobody runs any vhost any more: write everything, end the threads, answer everything. */
void store_finish(struct store *store);

/* After the vhosts with their journals are freed. */
void store_free(struct store *store);

struct store_counters {
    uint64_t journal_batches, journal_octets, journal_syncs, journal_records, journal_largest_batch,
        journal_sync_ns;
    uint64_t journal_backlog;          /* octets that wait to be written */
    uint32_t journal_files;            /* in use */
    uint64_t saved_runs, saved_octets; /* by spilling and checkpoints */
    uint64_t fetched_runs;
    uint64_t moved_runs; /* by compaction */
    uint64_t checkpoints;
    uint64_t segment_octets, spill_octets;
    uint64_t used; /* octets that messages waiting in queues hold in memory */
    uint32_t unreadable_runs;
    uint64_t disk_free_limit; /* octets, in force */
    bool disk_full;
};

/* Any thread. Counted since the store was opened, or how it is now; parts may be of moments apart. */
struct store_counters store_counters(struct store *store);

#endif
