/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox.h, the core's side: records are appended to the connection's last chunk; a connection with chunks is
 * on vhost->dirty until the end of the run.
 *
 * The first chunk of a run is small, since most runs say a connection one thing; those that follow are large.
 */
#include "coney/outbox.h"

#include <utlist.h>

#include "coney/pool.h"
#include "vhost_fields.h"

#define CHUNK_SMALL 384
#define CHUNK_LARGE 16000

/* Replies and returns that a connection may leave unread before it is no longer read from. */
#define REPLIES_HIGH (UINT64_C(1) << 20)
#define REPLIES_LOW  (REPLIES_HIGH / 2)

static void mark_dirty(struct connection *connection)
{
    if (connection->is_dirty)
        return;
    connection->is_dirty = true;
    DL_APPEND2(connection->vhost->dirty, connection, dirty_prev, dirty_next);
}

static struct outbox_chunk *chunk_add(struct connection *connection, size_t size)
{
    size_t capacity = connection->out ? CHUNK_LARGE : CHUNK_SMALL;
    struct outbox_chunk *chunk;

    if (capacity < size)
        capacity = size;
    chunk = pool_alloc(sizeof *chunk + capacity);
    *chunk = (struct outbox_chunk){.capacity = (uint32_t)capacity, .connection = connection->id};
    if (connection->out_last)
        connection->out_last->next = chunk;
    else
        connection->out = chunk;
    connection->out_last = chunk;
    mark_dirty(connection);
    return chunk;
}

void *outbox_add(struct connection *connection, enum outbox_kind kind, uint16_t channel, size_t size,
                 uint64_t wire, bool reply)
{
    struct outbox_chunk *chunk = connection->out_last;
    struct outbox_record *record;

    size = (size + 7) & ~(size_t)7;
    if (!chunk || chunk->capacity - chunk->used < size)
        chunk = chunk_add(connection, size);
    record = (struct outbox_record *)(chunk->data + chunk->used);
    *record = (struct outbox_record){.kind = (uint8_t)kind, .channel = channel, .size = (uint32_t)size};
    chunk->used += (uint32_t)size;
    chunk->wire_bytes += wire;
    if (reply) {
        chunk->reply_bytes += wire;
        connection->unsent_replies += wire;
        if (connection->unsent_replies > REPLIES_HIGH)
            connection_hold(connection, OUTBOX_HOLD_REPLIES, true);
    } else {
        connection->unsent += wire;
    }
    return record;
}

void outbox_method(struct connection *connection, uint16_t channel, const struct method *method)
{
    size_t size = method_encoded_size(method);
    struct outbox_method *record =
        outbox_add(connection, OUTBOX_METHOD, channel, sizeof *record + size, size + 8, true);

    record->payload_size = (uint32_t)size;
    method_encode(record->payload, method);
}

void outbox_control(struct connection *connection, enum outbox_control control)
{
    struct outbox_record *record = outbox_add(connection, OUTBOX_CONTROL, 0, sizeof *record, 0, true);

    record->flags = (uint8_t)control;
}

void connection_hold(struct connection *connection, enum outbox_hold reason, bool on)
{
    if (on)
        connection->hold |= reason;
    else
        connection->hold &= ~(unsigned)reason;
    if (connection->hold != connection->hold_told)
        mark_dirty(connection);
}

void connection_drained(struct connection *connection, const struct outbox_chunk *chunk)
{
    uint64_t limit = connection->vhost->settings.unsent_max;

    connection->unsent_replies -= chunk->reply_bytes;
    connection->unsent -= chunk->wire_bytes - chunk->reply_bytes;
    if (connection->hold & OUTBOX_HOLD_REPLIES && connection->unsent_replies <= REPLIES_LOW)
        connection_hold(connection, OUTBOX_HOLD_REPLIES, false);
    if (connection->unsent <= limit / 2) {
        struct consumer *consumer, *next;

        DL_FOREACH_SAFE2(connection->congested, consumer, next, blocked_next)
        consumer_reconsider(consumer);
    }
}

void outbox_hand_over(struct vhost *vhost)
{
    while (vhost->dirty) {
        struct connection *connection = vhost->dirty;

        if (!connection->out && connection->hold != connection->hold_told)
            chunk_add(connection, 0); /* without a record: it brings the news of hold */
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it is on the list */
        DL_DELETE2(vhost->dirty, connection, dirty_prev, dirty_next);
        connection->is_dirty = false;
        if (!connection->out)
            continue;
        connection->out->owner = connection->owner;
        connection->out->hold = connection->hold_told = connection->hold;
        for (const struct outbox_chunk *chunk = connection->out; chunk; chunk = chunk->next)
            vhost->unsent += chunk->wire_bytes;
        vhost->ops.output(vhost->ops.context, connection->out);
        connection->out = connection->out_last = NULL;
    }
}

static void record_release(struct outbox_record *record)
{
    switch (record->kind) {
    case OUTBOX_DELIVER:
    case OUTBOX_GET_OK: {
        struct message *message = ((struct outbox_delivery *)record)->message;

        if (message)
            message_unref(message);
        break;
    }
    case OUTBOX_RETURN: {
        struct message *message = ((struct outbox_return *)record)->message;

        if (message)
            message_unref(message);
        break;
    }
    default:
        break;
    }
}

void outbox_chunk_free(struct outbox_chunk *chunk)
{
    for (struct outbox_record *record = outbox_first(chunk); record; record = outbox_next(chunk, record))
        record_release(record);
    pool_free(chunk, sizeof *chunk + chunk->capacity);
}
