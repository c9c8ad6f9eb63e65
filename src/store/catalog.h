/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.db: what lasts and is not messages, and where runs of messages are; SQLite, through a VFS that
 * calls sys.
 *
 * It is written behind: the journal has everything that the catalog does not know yet, and the catalog says
 * from which of the journal's files on. Everything is put and removed between catalog_begin() and
 * catalog_commit(): either all of a transaction is there after a crash, or nothing of it. Rows replace rows
 * of the same key; removing what is not there does nothing. Many are put fastest in the order of their keys.
 * One thread at a time.
 *
 * Every function returns 0 or a negative errno (-EBADMSG: the file is damaged, -ENOSPC: no room), and
 * catalog_why() then says more. After an error in a transaction all that follows in it fails alike, and
 * nothing of it lasts; with -ENOSPC it may be tried again once there is room. After a sync that failed no
 * transaction commits any more.
 */
#ifndef STORE_CATALOG_H
#define STORE_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/sys.h"
#include "segment.h"

struct catalog;

#define CATALOG_WHY_SIZE 512
#define CATALOG_VERSION  2

/* The node's own numbers. */
struct catalog_state {
    uint64_t epoch;         /* of this node, from its making */
    uint64_t journal_first; /* the journal is needed from this file on */
    /* The journal had batches up to this sequence number on stable storage, at least; 0: none is known of. */
    uint64_t journal_synced;
};

/* Everything by (section, vhost, name): users, permissions, policies, parameters as entries of a definitions
 * file, each an object in JSON. */
struct catalog_entry {
    struct bytes section, vhost, name, json;
};

struct catalog_vhost {
    uint32_t id;
    struct bytes name;
    uint64_t lsn; /* the vhost's records up to here at least are in the journal or in the catalog */
};

struct catalog_exchange {
    uint32_t vhost;
    uint64_t lsn; /* of its creation */
    struct bytes name, type, arguments;
    bool auto_delete, internal;
};

struct catalog_queue {
    uint32_t vhost;
    uint64_t id; /* the LSN of its creation */
    struct bytes name, arguments;
    bool auto_delete;
    struct bytes state; /* of its levels: opaque here */
};

struct catalog_binding {
    uint32_t vhost;
    uint64_t lsn;
    bool to_exchange;
    struct bytes source, destination, routing_key, arguments;
};

struct catalog_run {
    uint32_t vhost;
    uint64_t queue;
    uint8_t level;
    uint64_t first; /* its first number: the key together with vhost, queue and level */
    uint32_t span;  /* numbers first .. first + span - 1 */
    uint64_t next_deadline;
    struct run_place place;
    uint64_t live_octets;
    struct bytes live; /* bits of the live ones */
};

/* Open or make FOLDER/catalog.db; borrows SYS. *IS_NEW: no state was ever committed to it, so it was made
 * now, or by a node that ended before its first transaction. One of an older version becomes one of this.
 * Refused: -EBADMSG what is no catalog, -ENOTSUP one of a version that is not known. Otherwise looks at its
 * first pages only: see catalog_check(). On errors *CATALOG is NULL. */
int catalog_open(struct sys *sys, const char *folder, struct catalog **opened, bool *is_new,
                 char why[CATALOG_WHY_SIZE]);
void catalog_close(struct catalog *catalog); /* rolls back; NULL does nothing */
const char *catalog_why(const struct catalog *catalog);

int catalog_begin(struct catalog *catalog);
int catalog_commit(struct catalog *catalog); /* an error has rolled back */
void catalog_rollback(struct catalog *catalog);

int catalog_put_state(struct catalog *catalog, const struct catalog_state *state);
int catalog_put_entry(struct catalog *catalog, const struct catalog_entry *entry);
int catalog_remove_entry(struct catalog *catalog, const struct catalog_entry *entry); /* json unused */
int catalog_put_vhost(struct catalog *catalog, const struct catalog_vhost *vhost);
/* Put: only if no row of that name has a higher LSN. Remove: only if the row's LSN is below LSN. */
int catalog_put_exchange(struct catalog *catalog, const struct catalog_exchange *exchange);
int catalog_remove_exchange(struct catalog *catalog, uint32_t vhost, struct bytes name, uint64_t lsn);
int catalog_put_queue(struct catalog *catalog, const struct catalog_queue *queue); /* the key is its id */
int catalog_put_queue_state(struct catalog *catalog, uint32_t vhost, uint64_t id, struct bytes state);
int catalog_remove_queue(struct catalog *catalog, uint32_t vhost, uint64_t id); /* with its runs */
int catalog_put_binding(struct catalog *catalog, const struct catalog_binding *binding);
int catalog_remove_binding(struct catalog *catalog,
                           const struct catalog_binding *binding); /* if its row's LSN is
                                                                    * below binding's */
int catalog_put_run(struct catalog *catalog, const struct catalog_run *run);
int catalog_remove_run(struct catalog *catalog, uint32_t vhost, uint64_t queue, uint8_t level,
                       uint64_t first);

/* Read all, each kind by its function, in this order: state, vhosts, entries, exchanges, queues, bindings,
 * runs (by queue, level, first). What is passed is borrowed for the call. A function that returns false ends
 * the reading with -ECANCELED. NULL: that kind is not wanted. */
struct catalog_reader {
    void *context;
    bool (*state)(void *context, const struct catalog_state *state);
    bool (*vhost)(void *context, const struct catalog_vhost *vhost);
    bool (*entry)(void *context, const struct catalog_entry *entry);
    bool (*exchange)(void *context, const struct catalog_exchange *exchange);
    bool (*queue)(void *context, const struct catalog_queue *queue);
    bool (*binding)(void *context, const struct catalog_binding *binding);
    bool (*run)(void *context, const struct catalog_run *run);
};
int catalog_read(struct catalog *catalog, const struct catalog_reader *reader);

/* Check the whole file, page by page and row by row: REPORT is called for each damage found, in words. 0:
 * none; -EBADMSG: some; or another error, after which nothing is known of the rest. */
int catalog_check(struct catalog *catalog, void (*report)(void *context, const char *text), void *context);

#endif
