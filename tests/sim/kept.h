/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store would have on disk, kept in memory for tests: the journal's records since its oldest era, runs
 * of messages, and a catalog of the last checkpoint. From these a vhost can be put back through restore.h,
 * and compared with the one that they came from.
 *
 * All messages are copies, so that the core's own are really gone when it gives them up. A contradiction is
 * printed and aborts.
 */
#ifndef TESTS_SIM_KEPT_H
#define TESTS_SIM_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/checkpoint.h"
#include "coney/hash.h"
#include "coney/journal.h"
#include "coney/vhost.h"

/* A message that is live as far as records say. */
struct kept_live {
    UT_hash_handle hh;
    uint64_t key; /* level << 56 | number */
    uint32_t delivery_count;
};

enum kept_kind { KEPT_EXCHANGE, KEPT_QUEUE, KEPT_BINDING };

/* An exchange, queue or binding that lasts. */
struct kept_thing {
    UT_hash_handle hh;
    enum kept_kind kind;
    uint64_t lsn;
    union { /* owned */
        struct exchange_spec exchange;
        struct queue_spec queue;
        struct binding_spec binding;
    };
    struct kept_live *live; /* of a queue */
    uint64_t mark[256];     /* of its levels: those below may have been delivered */
    size_t identity_size;
    uint8_t identity[];
};

struct kept_record {
    struct kept_record *next;
    uint64_t lsn;
    uint32_t era;
    struct journal_record record; /* what it points to is owned */
};

/* A run that was written. */
struct kept_run {
    UT_hash_handle hh; /* by place.file */
    struct run_place place;
    uint64_t queue;
    uint8_t level;
    bool is_owned; /* the core has it */
    unsigned uses; /* by rows of the catalog, and questions that are not answered */
    uint32_t count;
    struct run_message messages[];
};

/* A row of the catalog. */
struct kept_row {
    struct kept_row *next;
    UT_hash_handle hh;
    struct {
        uint64_t queue, first, level;
    } key;
    bool is_removal;
    struct kept_run *run;
    struct restored_run *restored; /* owned, with what it points to */
};

struct kept_state {
    struct kept_state *next;
    UT_hash_handle hh;
    uint64_t queue;
    struct bytes octets; /* owned */
};

struct kept {
    struct kept_thing *things;
    struct kept_record *first, **end;
    struct kept_run *runs;
    uint32_t last_file;
    struct {
        struct kept_thing **things;
        size_t thing_count;
        struct kept_row *rows;
        struct kept_state *states;
    } catalog;
    struct kept_row *rows, **rows_end; /* captured, but not committed */
    struct kept_state *states, **states_end;
};

void kept_init(struct kept *kept);
void kept_clear(struct kept *kept);

void contradiction(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* RECORD was appended: it must not contradict what was there. */
void kept_append(struct kept *kept, const struct journal_record *record, uint64_t lsn, uint32_t era);

struct message *kept_copy(const struct message *message);

/* COUNT messages are written as a run: where it is. Takes over references to them. */
struct run_place kept_run_write(struct kept *kept, uint64_t queue, uint8_t level,
                                const struct run_message *messages, uint32_t count);
struct kept_run *kept_run_find(struct kept *kept, uint32_t file);
/* The message NUMBER of a run of the core's. */
const struct run_message *kept_message(struct kept *kept, const struct run *run, uint64_t number);
void kept_run_release(struct kept *kept, struct kept_run *run);

/* RUN is dropped, or written elsewhere. */
void kept_emptied(struct kept *kept, const struct run *run);
void kept_drop(struct kept *kept, const struct run *run);
void kept_leave(struct kept *kept, uint32_t file);

/* For a checkpoint. */
void kept_capture_state(struct kept *kept, uint64_t queue, struct bytes octets);
void kept_capture_run(struct kept *kept, struct run *run);
/* What was captured is the catalog's; records of ERA and before are forgotten. */
void kept_commit(struct kept *kept, uint32_t era);
/* What was captured and not committed is lost, and what nothing that is left names. */
void kept_crash(struct kept *kept);

/* Put all of it back into VHOST; AT is told the LSN of each thing before. */
void kept_put_back(struct kept *kept, struct vhost *vhost, void (*at)(void *context, uint64_t lsn),
                   void *context);

/* What lasts of VHOST must be what is kept. Only while nothing is on its way between queues. */
void kept_check(struct kept *kept, struct vhost *vhost);

/* BACK must have what lasts of VHOST. */
void kept_compare(struct kept *kept, struct vhost *vhost, struct vhost *back);

#endif
