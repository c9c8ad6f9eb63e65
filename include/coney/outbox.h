/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core says to a connection: typed records in chunks, written inside, encoded outside.
 *
 * The core appends records to the connection's chunks and hands the chunks over at the end of a run
 * (vhost_ops.output). The session encodes them in order, writes them to its socket, and when all of a chunk's
 * octets are written gives the chunk back in a BATCH_RETURNS, which releases the messages that it refers to
 * and lets deliveries go on. Until then the chunk is the session's alone.
 *
 * Records lie behind each other, 8-octet aligned; `size` leads to the next one.
 */
#ifndef CONEY_OUTBOX_H
#define CONEY_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/message.h"
#include "coney/method.h"

enum outbox_kind {
    OUTBOX_METHOD,   /* struct outbox_method: a method's payload, ready to be framed */
    OUTBOX_DELIVER,  /* struct outbox_delivery: basic.deliver */
    OUTBOX_GET_OK,   /* struct outbox_delivery: basic.get-ok */
    OUTBOX_RETURN,   /* struct outbox_return: basic.return with its content */
    OUTBOX_CONFIRM,  /* struct outbox_confirm: basic.ack or basic.nack of publishes */
    OUTBOX_CONSUMER, /* struct outbox_consumer: nothing on the wire; the tag that deliveries will name */
    OUTBOX_CONTROL,  /* struct outbox_record alone: flags is an enum outbox_control */
};

/* How the life of a connection goes on, in order with what is to be sent. */
enum outbox_control {
    OUTBOX_ATTACHED,   /* the core knows the connection now: struct outbox_attached */
    OUTBOX_CLOSE_SENT, /* connection.close was the last method: end when no close-ok comes in time */
    OUTBOX_END,        /* everything is said, close-ok last: send it; it is the peer who closes the socket */
    OUTBOX_END_NOW,    /* the peer has said close-ok: send what is left, then close the socket */
    OUTBOX_DETACHED,   /* the core has forgotten the connection: nothing follows, the owner may be freed */
};

enum outbox_flag {
    OUTBOX_REDELIVERED = 1, /* delivery: redelivered */
    OUTBOX_OWNED = 2,       /* delivery: the record has the message's only reference; who encodes it may free
                             * it and set message to NULL */
    OUTBOX_MULTIPLE = 4,    /* confirm */
    OUTBOX_NACK = 8,        /* confirm */
};

struct outbox_record {
    uint8_t kind; /* enum outbox_kind */
    uint8_t flags;
    uint16_t channel;
    uint32_t size; /* octets to the next record */
};

struct outbox_method {
    struct outbox_record record;
    uint32_t payload_size;
    uint8_t payload[];
};

struct outbox_delivery {
    struct outbox_record record;
    struct message *message; /* the record has a reference */
    uint64_t delivery_tag;
    uint32_t consumer;       /* deliver: number given by an OUTBOX_CONSUMER; get-ok: messages left */
    uint32_t delivery_count; /* x-delivery-count to add when it is not 0 */
};

struct outbox_return {
    struct outbox_record record;
    struct message *message;
};

struct outbox_confirm {
    struct outbox_record record;
    uint64_t delivery_tag;
};

struct outbox_consumer {
    struct outbox_record record;
    uint32_t consumer; /* lowest free number of the connection; free again when a new record gives it */
    uint8_t tag_size;
    uint8_t tag[];
};

struct outbox_attached {
    struct outbox_record record;
    uint64_t connection; /* id for later batches */
};

/* Reasons of the core not to read from a connection. */
enum outbox_hold {
    OUTBOX_HOLD_CREDIT = 1,  /* a queue that it publishes to has a consumer that can't keep up */
    OUTBOX_HOLD_REPLIES = 2, /* it does not read its replies */
    OUTBOX_HOLD_STORE = 16,  /* it publishes more than the store can take (4 and 8 are the session's own) */
};

struct outbox_chunk {
    struct outbox_chunk *next; /* of the same connection, in order */
    struct outbox_chunk *mail; /* for whoever passes chunks on: link, */
    void *owner;               /* the connection's owner, */
    unsigned hold;             /* and its enum outbox_hold now; in the first of the chunks handed over */
    uint32_t used;
    uint32_t capacity;
    uint64_t connection;  /* id, for the way back */
    uint64_t wire_bytes;  /* about what its records put on the wire */
    uint64_t reply_bytes; /* the part of it that is not deliveries */
    uint8_t data[] __attribute__((aligned(8)));
};

static inline struct outbox_record *outbox_first(struct outbox_chunk *chunk)
{
    return chunk->used ? (struct outbox_record *)chunk->data : NULL;
}

static inline struct outbox_record *outbox_next(struct outbox_chunk *chunk, struct outbox_record *record)
{
    uint8_t *next = (uint8_t *)record + record->size;

    return next < chunk->data + chunk->used ? (struct outbox_record *)next : NULL;
}

#endif
