/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes into the core: batches of commands, made outside, run inside the vhost one at a time.
 *
 * A batch is self-contained. Names, tables and decoded methods lie in its arena, content is already in
 * messages; nothing points into a read buffer. A connection has at most one batch under way, which is what
 * keeps its order. Whoever makes a batch owns it again when the runner reports it done.
 */
#ifndef CONEY_BATCH_H
#define CONEY_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "coney/arena.h"
#include "coney/message.h"
#include "coney/method.h"
#include "coney/outbox.h"
#include "coney/reply.h"

struct vhost;

enum batch_kind {
    BATCH_OPEN,     /* a connection enters the vhost: open; its later batches carry the id it is given */
    BATCH_COMMANDS, /* what a connection sent: commands */
    BATCH_CLOSE,    /* the connection's socket is gone: its last batch */
    BATCH_RETURNS,  /* chunks whose octets are written: returned */
    BATCH_TIMER,    /* time has passed: vhost_next_deadline() */
    BATCH_CALL,     /* call(vhost, argument): timers, administration, the store's completions */
};

enum command_kind {
    COMMAND_PUBLISH,       /* message, complete; flags: COMMAND_MANDATORY, COMMAND_IMMEDIATE */
    COMMAND_PUBLISH_BEGUN, /* basic.publish was seen, its content is still to come */
    COMMAND_SETTLE,        /* delivery_tag; flags: COMMAND_MULTIPLE, _REQUEUE, and _ACK, _NACK or _REJECT */
    COMMAND_METHOD,        /* method: any other */
    COMMAND_ERROR,         /* error: what the parser found wrong; nothing follows it. channel: whose, or 0 */
};

enum command_flag {
    COMMAND_MANDATORY = 1,
    COMMAND_IMMEDIATE = 2,
    COMMAND_MULTIPLE = 4,
    COMMAND_REQUEUE = 8,
    COMMAND_ACK = 16,
    COMMAND_NACK = 32,
    COMMAND_REJECT = 64,
};

/* A connection error found outside. */
struct command_error {
    enum reply_code code;
    enum method_id method;      /* 0 when none is meant */
    char text[REPLY_TEXT_SIZE]; /* whole, with the code's name */
};

struct command {
    uint8_t kind;  /* enum command_kind */
    uint8_t flags; /* enum command_flag */
    uint16_t channel;
    union {
        struct message *message; /* the command has its only reference */
        uint64_t delivery_tag;
        const struct method *method;
        const struct command_error *error;
    };
};

/* Commands of a batch, in order. */
#define COMMAND_BLOCK 254

struct command_block {
    struct command_block *next;
    uint32_t count;
    struct command commands[COMMAND_BLOCK];
};

/* Who enters a vhost. The strings are the arena's. */
struct batch_open {
    struct bytes user;
    bool is_impersonator; /* the user has the tag: user-id is not checked */
    bool is_internal;     /* the node's own: no limit holds for it, and it is neither counted nor shown */
    bool is_trusted;      /* may do everything, whatever the user may */
    bool consumer_cancel_notify; /* the client's capability of that name */
    uint32_t channel_max;        /* 0: no limit but the numbers */
    uint32_t user_channel_max;   /* UINT32_MAX: none */
};

struct batch {
    struct batch *next; /* the runner's */
    enum batch_kind kind;
    uint64_t connection; /* COMMANDS, CLOSE: who; OPEN: unused */
    void *owner;         /* OPEN: what vhost_ops.output is to name; of no meaning to the core */
    struct arena arena;
    union {
        struct {
            struct command_block *first, *last;
        } commands;
        struct batch_open open;
        struct outbox_chunk *returned; /* linked by next, of any connections of the vhost */
        struct {
            void (*call)(struct vhost *, void *argument);
            void *argument;
        };
    };
};

/* A place for the next command of a BATCH_COMMANDS. */
struct command *batch_add(struct batch *batch);

/* Take back the place that batch_add() gave last. */
void batch_take_back(struct batch *batch);

/* Free the command blocks and the arena: the batch may then be used again. */
void batch_clear(struct batch *batch);

#endif
