/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: messages of one level of a queue that the journal has written together, so that they may leave
 * memory and come back together.
 *
 * Runs of a level follow each other by number and never overlap; every live message below level->saved is in
 * one. `live` says which of a run's messages are not settled, `away` which of these are not in memory; what
 * is away is ready. Bit n stands for number first + n.
 *
 * A run is the core's, and changed inside the vhost alone; `place` and what stands at its end are for the
 * journal.
 */
#ifndef CONEY_RUN_H
#define CONEY_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct journal_save;
struct message;
struct queue;
struct run;

#define RUN_MESSAGES_MAX 2048
#define RUN_OCTETS_MAX                                                                    \
    (UINT64_C(1) << 20)   /* a run ends when it has that many, so it may be larger by one \
                           */
#define RUN_SPAN_MAX 8192 /* from its first number to behind its last */

/* Where a run is on disk. */
struct run_place {
    uint32_t file; /* 0: nowhere */
    uint64_t offset;
    uint64_t size;
};

/* Tell whether A and B are where the same run is. */
static inline bool run_place_equal(const struct run_place *a, const struct run_place *b)
{
    return a->file == b->file && a->offset == b->offset;
}

/* A message of a run. */
struct run_message {
    uint64_t number;
    int64_t deadline; /* INT64_MAX: none */
    uint32_t delivery_count;
    bool redelivered;
    bool is_transient; /* does not outlive the node, though its queue may */
    struct message *message;
};

/* Give up the references of MESSAGES. */
void run_messages_unref(const struct run_message *messages, uint32_t count);

/* An entry of a run's list by deadline. */
struct run_due {
    int64_t deadline;
    uint64_t number;
    uint64_t body_size;
};

enum run_flag {
    RUN_LOADING = 1, /* its away messages were asked for */
    RUN_LOOKING = 2, /* its list by deadline, or messages that are due, were asked for */
    RUN_DROPPED =
        4,         /* nothing in it is live and its queue has forgotten it: freed when nothing is under way */
    RUN_LASTS = 8, /* survives a restart, */
    RUN_MIXED = 16,   /* but not all of its messages: those of run_lasting() */
    RUN_CHANGED = 32, /* on vhost->changed_runs: not as the catalog has it */
    RUN_LISTED = 64,  /* the journal's: the catalog has it */
    RUN_MOVING = 128, /* the journal's: it is being written again elsewhere */
};

#define RUN_BUSY (RUN_LOADING | RUN_LOOKING | RUN_MOVING) /* an answer is to come */

/* A message that has come back since it was written. */
struct run_return {
    uint32_t at; /* number - first */
    uint32_t delivery_count;
};

struct run {
    struct queue *queue; /* NULL when dropped */
    uint64_t first;
    uint32_t span;
    uint32_t messages; /* when it was written */
    uint32_t live_count, away_count;
    uint64_t away_bytes;   /* of bodies */
    int64_t next_deadline; /* earliest of those away, or earlier; INT64_MAX: none */
    int64_t deadline;      /* earliest of any message when it was written: what the catalog keeps */
    uint32_t due_from;     /* all before this place in the list by deadline have been seen to */
    uint32_t timer;        /* place in queue->timers + 1 */
    uint8_t level;
    uint8_t flags; /* enum run_flag */
    struct run_place place;
    uint64_t queue_id;          /* the LSN of the queue's creation; 0 for one that does not last */
    struct run_return *returns; /* owned */
    uint32_t return_count, return_capacity;
    uint64_t bytes;   /* of the bodies of all its messages */
    uint64_t counted; /* the journal's: octets that it counts as live in place.file */
    struct run *changed_prev, *changed_next;
    uint64_t bits[]; /* live, away and, when RUN_MIXED, lasting; run_words() each */
};

/* Words of a bitmap with a bit for each of SPAN numbers. */
static inline uint32_t run_words(uint32_t span)
{
    return (span + 63) / 64;
}

/* Which messages of RUN are not settled. */
static inline uint64_t *run_live(struct run *run)
{
    return run->bits;
}

/* Which of them are not in memory. */
static inline uint64_t *run_away(struct run *run)
{
    return run->bits + run_words(run->span);
}

/* Which were written to outlive the node. Only of a run that is RUN_MIXED: else all or none. */
static inline uint64_t *run_lasting(struct run *run)
{
    return run->bits + 2 * run_words(run->span);
}

/* Bit AT of the bitmap BITS. */
static inline bool run_bit(const uint64_t *bits, uint64_t at)
{
    return bits[at / 64] >> at % 64 & 1;
}

/* Messages that the journal is to write as one run, in order of number. The journal writes them as they are
 * now and hands the whole back to queue_saved(). */
struct journal_save {
    struct journal_save *next; /* the journal's, while it has it */
    struct queue *queue;       /* a reference */
    uint64_t queue_id;
    uint8_t level;
    bool lasts;
    bool failed; /* the journal's answer: not written, nothing changes */
    uint32_t count;
    uint64_t octets;                               /* of the messages, about */
    uint64_t from, below;                          /* the numbers that it covers */
    struct run_place place;                        /* the journal's answer */
    struct run_message messages[RUN_MESSAGES_MAX]; /* with a reference each */
};

/* Messages of a run that the journal is to read. The journal hands it back to queue_fetched(). */
struct journal_fetch {
    struct journal_fetch *next; /* the journal's, while it has it */
    struct run *run;
    struct run_place place;       /* of run, when this was asked */
    bool failed;                  /* the journal's answer */
    bool is_departure;            /* these messages only: they are due; else all that is away comes back */
    uint64_t *wanted;             /* bits by number - run->first; owned */
    uint32_t room, count;         /* count: the journal's answer */
    struct run_message *messages; /* that many; owned; with a reference each */
};

/* A look at a run's list by deadline. The journal hands it back to queue_looked(). */
#define JOURNAL_LOOK_MAX 512

struct journal_look {
    struct journal_look *next; /* the journal's, while it has it */
    struct run *run;
    struct run_place place; /* of run, when this was asked */
    bool failed;
    uint32_t from, count; /* count: the journal's answer; fewer than JOURNAL_LOOK_MAX: there are no more */
    struct run_due due[JOURNAL_LOOK_MAX];
};

#endif
