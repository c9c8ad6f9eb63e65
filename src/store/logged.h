/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's records, octet by octet (doc/FORMAT.md, "Records"): what the core tells a journal, and the
 * node's own. Encoding makes a wal_item; decoding checks every length.
 */
#ifndef STORE_LOGGED_H
#define STORE_LOGGED_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/journal.h"
#include "coney/vhost.h"
#include "wal.h"

/* Kinds of records beside enum journal_kind. The numbers are on disk. */
enum logged_kind {
    LOGGED_AGAIN = 32, /* the message of the last JOURNAL_ENQUEUE of this vhost, in more queues */
    LOGGED_VHOST,      /* vhost `vhost` was made: names[0] */
    LOGGED_ENTRY,      /* entry (section, vhost, name, JSON): names[0] to names[3] */
    LOGGED_ENTRY_GONE, /* entry (section, vhost, name) */
};

enum logged_flag {
    LOGGED_AUTO_DELETE = 1,
    LOGGED_INTERNAL = 2,
    LOGGED_TO_EXCHANGE = 4,
    LOGGED_HAS_DEADLINE = 8, /* an enqueue */
    LOGGED_HAS_LEVEL = 16,   /* LOGGED_AGAIN: else it is 0 */
};

#define LOGGED_NAMES 4

/* Where a message went last: what LOGGED_AGAIN is told by. */
struct logged_enqueue {
    uint32_t vhost;
    uint64_t lsn, queue, number;
};

/* A record, decoded: what its kind has not is zero. Borrows the octets that it was decoded from. */
struct logged {
    uint8_t kind; /* enum journal_kind or logged_kind */
    uint8_t flags;
    uint8_t level;
    uint32_t vhost;
    uint64_t lsn;
    uint64_t queue, number;
    uint64_t below;                   /* JOURNAL_PURGE */
    uint32_t delivery_count;          /* JOURNAL_REDELIVERY */
    int64_t deadline;                 /* JOURNAL_ENQUEUE, LOGGED_AGAIN */
    struct bytes message;             /* JOURNAL_ENQUEUE: as record_get_message() takes it */
    struct bytes names[LOGGED_NAMES]; /* exchange: name, type, arguments; queue: name, arguments; binding:
                                       * source, destination, routing key, arguments */
    struct logged_enqueue enqueue;    /* the last one decoded into this struct */
    struct bytes rest;                /* LOGGED_AGAIN: of the queues that logged_next() has not come to */
};

/* Fill ITEM with RECORD, as LSN of VHOST. A message is referred to, and item->owner is a reference to it;
 * what else does not fit the head is in memory of its own, which is item->first and item->owner. AFTER:
 * RECORD is a JOURNAL_ENQUEUE of the same message as the vhost's last one in this push, which went there;
 * else NULL. */
void logged_encode(struct wal_item *item, const struct journal_record *record, uint32_t vhost, uint64_t lsn,
                   const struct logged_enqueue *after);

/* ITEM is the last of its chunk. Make it say that RECORD happened too: a JOURNAL_SETTLE of the number behind
 * those that it settles, or, AFTER as in logged_encode(), its message in one more queue. False when it has no
 * room for that, or says something else. */
bool logged_extend(struct wal_item *item, const struct journal_record *record,
                   const struct logged_enqueue *after);

/* The same for a record of the node: KIND of LOGGED_VHOST and on. */
void logged_encode_names(struct wal_item *item, uint8_t kind, uint32_t vhost, uint64_t lsn,
                         const struct bytes names[LOGGED_NAMES]);

/* Tell whether a record of KIND belongs to the catalog. */
bool logged_is_topology(uint8_t kind);

/* False when the SIZE octets at FROM are no record. OUT must be the same for all records of a journal, in
 * order, and zeros at first: a LOGGED_AGAIN is told by the enqueue before it. */
bool logged_decode(struct logged *out, const uint8_t *from, size_t size);

/* A LOGGED_AGAIN is several: after logged_decode(), make RECORD the next one. False when there is none. */
bool logged_next(struct logged *record);

/* "enqueue", "settle", ...: for --dump. */
const char *logged_kind_name(uint8_t kind);

#endif
