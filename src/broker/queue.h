/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues: fields and operations for the core's own files.
 *
 * A queue is a run of entries for each priority level in use (one, for most), numbered in order of arrival.
 * An entry is live from enqueue to settlement; it is ready while it waits to be delivered. Delivery clears
 * ready, requeue sets it again, so a message returns to its original place whatever happened meanwhile.
 *
 * A message has an entry only while it is in memory. Those that are away stand in runs (run.h), and count as
 * ready like the others.
 *
 * Invariants:
 * 1. ready + unacked = entries + away.
 * 2. A consumer is on `ready_consumers` exactly when it could take a message now (consumer_can_take) and may
 *    (is the active one, where only one is).
 * 3. A queue whose head is here and that has a ready consumer is on the vhost's dispatch list, but while
 *    deliveries of an ended channel are coming back.
 * 4. A deleted queue has no entries; it is freed when the last unacked delivery that names it is settled.
 */
#ifndef BROKER_QUEUE_H
#define BROKER_QUEUE_H

#include "coney/bytes.h"
#include "coney/counts.h"
#include "coney/hash.h"
#include "coney/message.h"
#include "coney/queue_options.h"
#include "coney/run.h"
#include "coney/seqmap.h"

struct binding;
struct channel;
struct connection;
struct vhost;

enum entry_flag {
    ENTRY_REDELIVERED = 1, /* was handed to a client before */
    ENTRY_JOURNALLED = 2,  /* the journal has it */
};

struct entry {
    struct message *message; /* a reference */
    int64_t deadline;        /* VHOST_NEVER: none */
    uint32_t body_size;
    uint32_t delivery_count; /* times that it came back */
    uint32_t timer;          /* place in queue->timers + 1; 0: the head's timer will do */
    uint8_t flags;           /* enum entry_flag */
    uint16_t era;            /* the journal's, when it was enqueued */
};

#define ENTRY_OVERHEAD 224 /* octets that an entry and its message hold beside the body, about */

/* What a level has that is written out, or whose deliveries must be known after a crash. */
struct level_kept {
    uint64_t saved;             /* every live message below is in a run */
    uint64_t saving;            /* the same when what is under way is done */
    uint64_t mark;              /* the journal knows that those below may have been delivered, */
    uint64_t mark_lsn;          /* by this record */
    uint64_t redelivered_below; /* may have been delivered before the node was started */
    struct run **runs;          /* by number */
    uint32_t run_count, run_capacity;
    uint32_t first_away; /* no run before this place has anything away */
    uint8_t saves;       /* under way */
    bool save_failed;    /* one of them: those that follow count as failed too */
};

extern const struct level_kept level_kept_nothing;

struct level {
    struct seqmap entries;
    uint64_t next;           /* number of the next message */
    uint64_t ready;          /* ready messages */
    uint64_t away;           /* of them, not in memory */
    int64_t waiting_since;   /* when it was empty last, and a message came */
    struct ages *ages;       /* NULL until there is a backlog: see ages.h */
    struct level_kept *kept; /* level_kept_nothing until there is something: see level_keeps() */
};

/* Where a message is: level of its priority, and number there. */
struct place {
    uint8_t level;
    uint64_t number;
};

struct timer {
    int64_t deadline;
    struct place place;
    struct run *run; /* NULL: of the entry at place */
};

/* Priority levels of a queue with x-max-priority. */
struct levels {
    uint64_t ready[4];  /* bit n: level n has ready entries */
    struct level *at[]; /* max_priority + 1 places; NULL until used; at[0] is queue->base */
};

struct consumer {
    UT_hash_handle hh;                            /* channel->consumers, by tag */
    struct consumer *prev, *next;                 /* queue->consumers, oldest first */
    struct consumer *ready_prev, *ready_next;     /* queue->ready_consumers */
    struct consumer *blocked_prev, *blocked_next; /* connection->congested */
    struct channel *channel; /* NULL when the consumer is gone and only deliveries name it */
    struct queue *queue;     /* the same */
    struct bytes tag;        /* owned */
    uint32_t number;         /* of the connection: OUTBOX_CONSUMER */
    uint32_t refs;           /* 1 while it exists, and one for each unacked delivery */
    uint32_t unacked;
    uint32_t prefetch; /* 0: no limit */
    int64_t priority;
    bool no_ack, exclusive;
    bool is_ready;     /* on queue->ready_consumers */
    bool is_congested; /* on connection->congested */
    bool is_suspended; /* its consume-ok waits in the gate */
};

/* Lists of the vhost that only queues which keep something, or much, are on. */
struct queue_lists {
    struct queue *touched_prev, *touched_next; /* vhost->touched */
    struct queue *unsaved_prev, *unsaved_next; /* vhost->unsaved */
    struct queue *large_prev, *large_next;     /* vhost->large */
};

struct queue_counts {
    struct message_counts messages;
    struct death_counts deaths;
};

struct queue {
    UT_hash_handle hh; /* vhost->queues, by name */
    struct vhost *vhost;
    struct bytes name;                     /* in octets */
    struct bytes arguments;                /* behind it, as kept */
    struct connection *owner;              /* exclusive to it; NULL: to nobody */
    struct queue *owned_prev, *owned_next; /* owner->queues */
    struct queue *dispatch_next;           /* vhost->dispatch */
    struct queue_options
        options;              /* in force: arguments with policy. Strings point into arguments, policy set */
    struct binding *incoming; /* DL list by dprev/dnext */
    struct consumer *consumers;       /* DL list */
    struct consumer *ready_consumers; /* DL list, highest priority first; equals in turn */
    struct consumer *active;          /* the single active consumer */
    struct level base;
    struct levels *levels; /* NULL without priorities */
    uint64_t ready, ready_bytes;
    uint64_t unacked, unacked_bytes;
    uint64_t away;      /* ready messages that are not in memory */
    uint64_t departing; /* live in runs, but leaving: waited for by a dead letter */
    uint64_t used;      /* octets that entries and their messages hold, about */
    uint32_t returning; /* deliveries coming back from ended channels: it delivers nothing meanwhile */
    uint32_t consumer_count;
    uint32_t refs;        /* 1 while it exists, and one for each unacked delivery */
    int64_t deadline_max; /* latest deadline of an entry without a timer since the queue was empty */
    struct timer *timers; /* heap of those that may leave before their predecessors */
    uint32_t timer_count, timer_capacity;
    uint32_t heap_place;      /* in vhost->deadlines + 1; 0: not there */
    int64_t deadline;         /* what it is there for */
    int64_t unused_since;     /* start of the x-expires lease */
    uint64_t lsn;             /* of its creation */
    uint64_t mark;            /* the last route that found it */
    uint32_t congested_count; /* consumers with room whose connection has none */
    uint32_t slowed_count, slowed_capacity;
    int64_t room_seen;                         /* when a settlement last made room at a consumer */
    struct queue *slowing_prev, *slowing_next; /* vhost->slowing: those that hold publishers */
    uint64_t *slowed;                          /* ids of publishers held for credit */
    struct queue_lists *lists;                 /* NULL until it is on one */
    struct queue_counts *counts;               /* NULL until something happened; see queue_counts() */
    uint16_t oldest_era;                       /* no unsaved entry is of an older one */
    bool durable, auto_delete, exclusive;
    bool had_consumer;
    bool is_deleted;
    bool is_broken;   /* some of its messages cannot be read: out of service */
    bool to_dispatch; /* on vhost->dispatch */
    bool is_overfull; /* what is beyond the limits drops from the head, whatever overflow says now */
    bool is_touched, is_unsaved, is_large; /* on these lists */
    uint8_t octets[];
};

/* ---- lifetime: queue.c ---- */

struct queue *queue_find(const struct vhost *vhost, struct bytes name);

/* Make a queue that does not exist yet; OPTIONS as parsed from ARGUMENTS. OWNER: exclusive to it. */
struct queue *queue_create(struct vhost *vhost, struct bytes name, bool durable, bool auto_delete,
                           struct connection *owner, const struct queue_options *options,
                           struct bytes arguments);

/* The same with all checks of a declare that concern no user: arguments, properties, the vhost's limit. */
struct queue *queue_create_checked(struct vhost *vhost, const struct queue_declare *declare,
                                   struct connection *owner, struct bytes arguments,
                                   struct reply_error *error);

/* Compare a redeclaration with what is there, but for the owner (6.3); false with the 406. */
bool queue_is_equivalent(const struct queue *queue, const struct queue_declare *declare,
                         struct bytes arguments, struct reply_error *error);

/* Delete QUEUE: bindings, entries, consumers (told by basic.cancel). Returns the LSN to wait for. */
uint64_t queue_delete(struct queue *queue);

void queue_unref(struct queue *queue);

/* QUEUE is to be on one of the lists of struct queue_lists; it is going, and leaves all of them. */
void queue_need_lists(struct queue *queue);
void queue_leave_lists(struct queue *queue);

/* Messages of QUEUE cannot be read: take it out of service. */
void queue_break(struct queue *queue);

/* Remove all ready entries; their number in *COUNT. Returns the LSN to wait for. */
uint64_t queue_purge(struct queue *queue, uint64_t *count);

/* Combine arguments and policy again and act on what changed (queue-features.md 9.7). */
void queue_apply_policy(struct queue *queue);

/* Restart the x-expires lease: the queue was used. */
void queue_touch(struct queue *queue);

/* Tell whether a message of this kind in QUEUE must last. */
static inline bool queue_keeps(const struct queue *queue, const struct message *message)
{
    return queue->durable && (message_is_persistent(message) || queue->options.type == QUEUE_QUORUM);
}

/* ---- entries: queue_entries.c ---- */

/* How many levels QUEUE may have. */
static inline unsigned queue_level_count(const struct queue *queue)
{
    return queue->levels ? queue->options.max_priority + 1U : 1;
}

/* Level NUMBER, which is below queue_level_count(), or NULL while it is not in use. */
struct level *queue_level(struct queue *queue, uint8_t number);

/* The same, made if it is not in use yet. */
struct level *queue_level_made(struct queue *queue, uint8_t number);

/* The first level in use from *NUMBER on, which becomes its number; NULL: there is none. */
struct level *queue_next_level(struct queue *queue, unsigned *number);

static inline struct entry *queue_entry(struct queue *queue, struct place place)
{
    struct level *level = place.level == 0 ? &queue->base : queue_level(queue, place.level);

    return level ? seqmap_get(&level->entries, place.number) : NULL;
}

/* Before something in level->kept is changed: it is LEVEL's own from here on. */
void level_keeps(struct level *level);

/* LEVEL is new. */
void level_init(struct level *level);

enum enqueue_result {
    ENQUEUE_DONE,
    ENQUEUE_REFUSED, /* see queue_refuses() */
};

/* Tell whether reject-publish refuses MESSAGE (queue-features.md 4), or QUEUE is out of service. */
bool queue_refuses(const struct queue *queue, const struct message *message);

/* Give MESSAGE to QUEUE: to a consumer at once if one waits, or at the end of its level. Takes over a
 * reference of the caller's, also when it refuses. *LSN is raised to what a confirm must wait for. */
enum enqueue_result queue_publish(struct queue *queue, struct message *message, uint64_t *lsn);

/* The same with a dead letter that is settled for good where it comes from, so that it is nowhere else: also
 * a QUEUE out of service keeps one that lasts, for when its messages can be read again. */
enum enqueue_result queue_publish_letter(struct queue *queue, struct message *message, uint64_t *lsn);

enum queue_head {
    HEAD_NONE, /* nothing is ready */
    HEAD_HERE,
    HEAD_AWAY, /* the next message is not in memory: queue_call_back() */
};

/* Find the next message to deliver: highest level, lowest number. */
enum queue_head queue_head(struct queue *queue, struct place *place, struct entry **entry);

/* The entry at PLACE, ready, is being delivered: it becomes unacked, or leaves when NO_ACK. Returns the
 * message with a reference for the caller. */
struct message *queue_take(struct queue *queue, struct place place, struct entry *entry, bool no_ack);

enum settle {
    SETTLE_ACK,
    SETTLE_REJECT, /* discard: dead letter if there is an exchange for it */
    SETTLE_REQUEUE,
};

/* Settle the unacked entry at PLACE. Does not dispatch. Returns the LSN of what was journalled, or 0; that of
 * a dead letter is known when it is moved (vhost->letters_sent). */
uint64_t queue_settle(struct queue *queue, struct place place, enum settle how);

/* The entry at PLACE, not ready any more or about to be, leaves with REASON (enum death_reason): dead letter
 * if there is an exchange for it, gone otherwise. Returns the LSN of the settlement if it is written now, or
 * 0. */
uint64_t queue_discard(struct queue *queue, struct place place, struct entry *entry, int reason);

/* Drop from the head until within the limits, where the overflow in force says so. */
void queue_trim(struct queue *queue);

/* Before the head, ENTRY at PLACE, is delivered: true when it has left instead, overdue or, after a crash
 * that it was out in, over the delivery limit. */
bool queue_head_leaves(struct queue *queue, struct place place, struct entry *entry);

/* The ready entry at PLACE is overdue: it leaves. */
void queue_expire_entry(struct queue *queue, struct place place, struct entry *entry);

/* The parts of an entry's coming and going that runs share: a message comes into memory as ready or leaves
 * it; counted as ready before and after. */
struct entry *entry_bring(struct queue *queue, struct level *level, struct place place,
                          const struct run_message *message);
void entry_send_away(struct queue *queue, struct level *level, struct place place);

/* All that is away of RUN, which is new here, is ready. */
void count_away_ready(struct queue *queue, struct level *level, const struct run *run);

/* Before the start: a message is put at PLACE, which is free; what is at PLACE, ready, is taken away again.
 */
void entry_restore(struct queue *queue, struct place place, struct message *message, int64_t deadline);
void entry_forget(struct queue *queue, struct place place);

/* What is ready but away at PLACE, with a body of BODY_SIZE, is ready no more. */
void count_away_unready(struct queue *queue, struct place place, uint64_t body_size);

/* Append that the message at PLACE has left. */
uint64_t journal_settlement(struct queue *queue, struct place place);

/* Forget all entries of QUEUE; their messages are freed a slice at a time by garbage_collect(). */
void queue_drop_entries(struct queue *queue);

/* Free up to LIMIT messages of forgotten entries. */
void garbage_collect(struct vhost *vhost, uint64_t limit);

/* ---- runs: queue_runs.c; queue_runs.h has what its own kind shares ---- */

/* The live message at PLACE, which is below its level's `saved`, is live no more. */
void run_settle(struct queue *queue, struct place place);

/* The same for what may be above it. */
static inline void queue_settle_saved(struct queue *queue, struct place place)
{
    if (place.number < queue_level(queue, place.level)->kept->saved)
        run_settle(queue, place);
}

/* The message at PLACE, below `saved`, has come back DELIVERY_COUNT times: its run remembers. */
void run_returned(struct queue *queue, struct place place, uint32_t delivery_count);

/* The lowest live number of LEVEL's runs that is at least FROM, or SEQMAP_END. */
uint64_t level_next_saved(const struct level *level, uint64_t from);

/* The lowest number of LEVEL that is away, or SEQMAP_END. */
uint64_t level_first_away(struct level *level);

/* All that is away in LEVEL is purged; all of it is forgotten. */
void runs_purge(struct queue *queue, struct level *level);
void runs_forget(struct queue *queue, struct level *level);

/* ---- leaving memory: queue_spill.c ---- */

/* QUEUE is large enough to be worth writing out. */
void queue_note_large(struct queue *queue);

/* Messages hold too much memory: what waits in queues leaves it where it can. */
void vhost_spill(struct vhost *vhost);

/* ---- coming back: queue_fetch.c ---- */

/* The head is away: ask for it. */
void queue_call_back(struct queue *queue);

/* Ask for what will soon be the head. */
void queue_read_ahead(struct queue *queue);

/* ---- dying while away: queue_due.c ---- */

/* The deadline of RUN, in the heap of timers, has come. */
void run_due(struct queue *queue, struct run *run);

/* ---- what a checkpoint is to know: queue_checkpoint.c ---- */

/* ENTRY was appended to QUEUE: it may have to be written out one day. */
void queue_note_unsaved(struct queue *queue, const struct entry *entry);

/* What the catalog has of QUEUE's state is out of date. */
void queue_touched(struct queue *queue);

/* ---- what may have been delivered: queue_marks.c ---- */

/* Messages below PLACE's number, itself included, are being delivered: see that the journal knows in time. */
#define DELIVERED_STEP 4096

void queue_extend_mark(struct queue *queue, struct level *level, struct place place);

/* The mark of LEVEL, NUMBER, has changed: tell the journal. */
void queue_write_mark(struct queue *queue, struct level *level, uint8_t number);

/* A quorum queue tells clients how often a message came back, and one that was out when the node stopped has
 * come back (queue-features.md 7.3): so it is written when it goes out. */
static inline bool queue_counts_deliveries(const struct queue *queue)
{
    return queue->options.type == QUEUE_QUORUM;
}

/* ENTRY at PLACE, of such a queue, is being delivered. */
void queue_count_delivery(struct queue *queue, struct place place, const struct entry *entry);

static inline void queue_note_delivered(struct queue *queue, struct level *level, struct place place,
                                        const struct entry *entry)
{
    if (!(entry->flags & ENTRY_JOURNALLED))
        return;
    if (place.number + DELIVERED_STEP / 2 >= level->kept->mark)
        queue_extend_mark(queue, level, place);
    if (queue_counts_deliveries(queue))
        queue_count_delivery(queue, place, entry);
}

/* Somebody is about to consume from QUEUE: returns the LSN that the answer must wait for. */
uint64_t queue_promise_marks(struct queue *queue);

/* ---- time: queue_timers.c ---- */

/* Deadline of MESSAGE if it entered QUEUE now; VHOST_NEVER without a TTL. */
int64_t queue_message_deadline(const struct queue *queue, const struct message *message);

/* ENTRY at PLACE was enqueued: see that it leaves on time. TIMER of an entry or run is its place in the heap
 * + 1.
 */
void queue_timer_add(struct queue *queue, struct place place, struct entry *entry);
void queue_timer_remove(struct queue *queue, uint32_t timer);

/* Have RUN looked at when its next deadline has come; not at all while that is INT64_MAX. */
void queue_timer_add_run(struct queue *queue, struct run *run);

/* Compute again when the queue needs looking at and tell the vhost. */
void queue_reschedule(struct queue *queue);

/* The time that queue_reschedule() asked for has come: expire messages, or the queue itself. */
void queue_time_has_come(struct queue *queue);

/* ---- consumers: dispatch.c ---- */

/* Register CONSUMER (channel, tag and options set). It gets messages from the next dispatch on. */
void queue_add_consumer(struct queue *queue, struct consumer *consumer);

/* Take CONSUMER off its queue: a successor may become active; the queue may auto-delete, which *DELETED says
 * (pass NULL to forbid it). */
void queue_remove_consumer(struct consumer *consumer, bool *deleted);
/* The broker ends CONSUMER: tell its client, if that understands it, and forget it
 * (publish-consume-ack.md 5.5). Its queue stays, also an auto-delete one. */
void consumer_cancel(struct consumer *consumer);

/* Look again whether CONSUMER can take messages; queues the dispatch if so. */
void consumer_reconsider(struct consumer *consumer);

/* Deliver while there is a ready message and a consumer for it. */
void queue_dispatch(struct queue *queue);

/* Put QUEUE on the vhost's list: it is dispatched before the next command. */
void queue_wants_dispatch(struct queue *queue);

/* Hand MESSAGE to CONSUMER (both may be the caller's last look at them): tag, unacked, outbox. Takes over the
 * caller's reference. PLACE is meaningless for a no-ack consumer. */
void consumer_deliver(struct consumer *consumer, struct message *message, struct place place,
                      bool redelivered, uint32_t delivery_count);

void consumer_unref(struct consumer *consumer);

/* The consumer that a published message can go to at once, or NULL. */
static inline struct consumer *queue_waiting_consumer(const struct queue *queue)
{
    return queue->ready == 0 && queue->returning == 0 ? queue->ready_consumers : NULL;
}

/* ---- credit: credit.c ---- */

/* Ready messages, and octets of them, at which a queue begins to hold its publishers. */
#define READY_HIGH       4096
#define READY_BYTES_HIGH (UINT64_C(8) << 20)

static inline bool queue_is_long(const struct queue *queue)
{
    return queue->ready >= READY_HIGH || queue->ready_bytes >= READY_BYTES_HIGH;
}

/* CONNECTION has published to QUEUE, which is long: hold it back if a consumer with room can't keep up. */
void queue_charge(struct queue *queue, struct connection *connection);

/* Let publishers go on when the reason is gone. */
void queue_relieve(struct queue *queue);

/* CONNECTION has published while the store can't keep up: hold it back until it can. */
void store_charge(struct vhost *vhost, struct connection *connection);

/* At the end of a batch: write out what is too much, let publishers go on when the reason is gone. */
void store_relieve(struct vhost *vhost);

/* The same for all queues whose consumers have made no room for a while. */
void credit_check(struct vhost *vhost);

#endif
