/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher: a channel that sends trains of messages as fast as schedule, window and socket let it.
 *
 * It is a task that is ready as long as it can send. When it cannot, what it waits for makes it ready again:
 * its timer (the next message is due), a confirm, the drained socket, connection.unblocked.
 */
#ifndef PERF_PUBLISHER_H
#define PERF_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "conn.h"
#include "loop.h"
#include "train.h"
#include "window.h"

struct link;

enum publisher_state {
    PUBLISHER_PREPARING,
    PUBLISHER_READY, /* may begin */
    PUBLISHER_SENDING,
    PUBLISHER_WAITING, /* all is sent, confirms are to come */
    PUBLISHER_CLOSING, /* channel.close is sent: the answer says that everything before it was taken in */
    PUBLISHER_DONE,
};

struct publisher {
    struct task task;
    struct timer timer;
    struct channel channel;
    struct link *link;
    unsigned number;
    enum publisher_state state;
    struct bytes *keys;
    unsigned key_count;
    struct train train;
    size_t slot;         /* of the train, for the next message */
    uint64_t size_until; /* when the size of messages may change; ns since the begin */
    struct window window;
    uint64_t sequence; /* of the next message */
    uint64_t quota;    /* messages at most */
    uint64_t phase;    /* ns by which its schedule is later than the others' */
};

void publisher_init(struct publisher *publisher, struct link *link, unsigned number);
void publisher_free(struct publisher *publisher);

/* The connection is open. */
void publisher_prepare(struct publisher *publisher);

/* Begin; or go on, after something that it may have waited for. */
void publisher_begin(struct publisher *publisher);
void publisher_resume(struct publisher *publisher);

/* Send no more, and end. */
void publisher_stop(struct publisher *publisher);

#endif
