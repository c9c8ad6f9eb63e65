/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logged.h. Every record begins with kind, flags, vhost and LSN; those about messages go on with level, queue
 * and number and what the kind needs; those about topology with octet strings, each behind its length.
 *
 *     0 kind  1 flags  2 level  3 zero  4 vhost u32  8 lsn u64 | 16 queue u64  24 number u64 | 32 ...
 *                                                              | 16 strings: u32 length, octets
 */
#include "logged.h"

#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "record.h"

#define HEAD          16
#define MESSAGE_HEAD  32
#define ENQUEUE_HEAD  40
#define QUEUE_ID_HEAD 24 /* JOURNAL_DECLARE_QUEUE has none: its LSN is the id; JOURNAL_DELETE_QUEUE */

_Static_assert(ENQUEUE_HEAD + RECORD_MESSAGE_HEAD <= WAL_HEAD_MAX, "the longest head fits an item");

static const char *const kind_names[] = {
    [JOURNAL_ENQUEUE] = "enqueue",
    [JOURNAL_SETTLE] = "settle",
    [JOURNAL_REDELIVERY] = "redelivery",
    [JOURNAL_PURGE] = "purge",
    [JOURNAL_DELIVERED] = "delivered",
    [JOURNAL_DECLARE_EXCHANGE] = "declare-exchange",
    [JOURNAL_DELETE_EXCHANGE] = "delete-exchange",
    [JOURNAL_DECLARE_QUEUE] = "declare-queue",
    [JOURNAL_DELETE_QUEUE] = "delete-queue",
    [JOURNAL_BIND] = "bind",
    [JOURNAL_UNBIND] = "unbind",
    [LOGGED_AGAIN] = "enqueue-again",
    [LOGGED_VHOST] = "vhost",
    [LOGGED_ENTRY] = "entry",
    [LOGGED_ENTRY_GONE] = "entry-gone",
};

/* Strings that a record of each kind has. */
static const uint8_t name_counts[] = {
    [JOURNAL_DECLARE_EXCHANGE] = 3,
    [JOURNAL_DELETE_EXCHANGE] = 1,
    [JOURNAL_DECLARE_QUEUE] = 2,
    [JOURNAL_BIND] = 4,
    [JOURNAL_UNBIND] = 4,
    [LOGGED_VHOST] = 1,
    [LOGGED_ENTRY] = 4,
    [LOGGED_ENTRY_GONE] = 3,
};

const char *logged_kind_name(uint8_t kind)
{
    const char *name = kind < sizeof kind_names / sizeof *kind_names ? kind_names[kind] : NULL;

    return name ? name : "unknown";
}

static unsigned name_count(uint8_t kind)
{
    return kind < sizeof name_counts ? name_counts[kind] : 0;
}

bool logged_is_topology(uint8_t kind)
{
    return name_count(kind) > 0 || kind == JOURNAL_DELETE_QUEUE;
}

/* ---- encoding ---- */

static uint8_t *put_head(uint8_t *p, uint8_t kind, uint8_t flags, uint8_t level, uint32_t vhost, uint64_t lsn)
{
    p[0] = kind;
    p[1] = flags;
    p[2] = level;
    p[3] = 0;
    put_le32(p + 4, vhost);
    return put_le64(p + 8, lsn);
}

static void put_names(struct wal_item *item, uint8_t kind, const struct bytes names[LOGGED_NAMES])
{
    size_t size = 0;
    uint8_t *p;

    for (unsigned i = 0; i < name_count(kind); i++)
        size += 4 + names[i].size;
    item->owner = p = xmalloc(size);
    item->first = p;
    item->first_size = (uint32_t)size;
    for (unsigned i = 0; i < name_count(kind); i++) {
        p = put_le32(p, (uint32_t)names[i].size);
        p = put_bytes(p, names[i]);
    }
}

void logged_encode_names(struct wal_item *item, uint8_t kind, uint32_t vhost, uint64_t lsn,
                         const struct bytes names[LOGGED_NAMES])
{
    put_head(item->head, kind, 0, 0, vhost, lsn);
    item->head_size = HEAD;
    item->second_size = 0;
    put_names(item, kind, names);
}

/* The strings of a record about topology; returns its flags. */
static uint8_t names_of(const struct journal_record *record, struct bytes names[LOGGED_NAMES])
{
    if (record->exchange) {
        names[0] = record->exchange->name;
        names[1] = record->exchange->type;
        names[2] = record->exchange->arguments;
        return (uint8_t)((record->exchange->auto_delete ? LOGGED_AUTO_DELETE : 0) |
                         (record->exchange->internal ? LOGGED_INTERNAL : 0));
    }
    if (record->binding) {
        names[0] = record->binding->source;
        names[1] = record->binding->destination;
        names[2] = record->binding->routing_key;
        names[3] = record->binding->arguments;
        return record->binding->to_exchange ? LOGGED_TO_EXCHANGE : 0;
    }
    names[0] = record->made->name;
    names[1] = record->made->arguments;
    return record->made->auto_delete ? LOGGED_AUTO_DELETE : 0;
}

static void encode_enqueue(struct wal_item *item, uint8_t *p, const struct journal_record *record, bool again)
{
    struct message *message = record->message;
    struct bytes apart;

    put_le64(p, (uint64_t)record->deadline);
    item->head_size = ENQUEUE_HEAD;
    if (again) {
        item->head[0] = LOGGED_AGAIN;
        return;
    }
    record_put_message(item->head + ENQUEUE_HEAD, message);
    item->head_size += RECORD_MESSAGE_HEAD;
    item->first = record_message_data(message).data;
    item->first_size = (uint32_t)record_message_data(message).size;
    apart = record_message_apart(message);
    item->second = apart.data;
    item->second_size = apart.size;
    item->owner = message_ref(message);
}

void logged_encode(struct wal_item *item, const struct journal_record *record, uint32_t vhost, uint64_t lsn,
                   bool again)
{
    uint8_t kind = (uint8_t)record->kind;
    uint8_t *p = put_head(item->head, kind, 0, record->position.level, vhost, lsn);

    item->first_size = 0;
    item->second_size = 0;
    item->owner = NULL;
    item->head_size = HEAD;
    if (name_count(kind)) {
        struct bytes names[LOGGED_NAMES];

        item->head[1] = names_of(record, names);
        put_names(item, kind, names);
        return;
    }
    p = put_le64(p, record->queue);
    item->head_size = QUEUE_ID_HEAD;
    if (kind == JOURNAL_DELETE_QUEUE)
        return;
    p = put_le64(p, record->position.number);
    item->head_size = MESSAGE_HEAD;
    if (kind == JOURNAL_ENQUEUE) {
        encode_enqueue(item, p, record, again);
    } else if (kind == JOURNAL_REDELIVERY) {
        put_le32(p, record->delivery_count);
        item->head_size += 4;
    } else if (kind == JOURNAL_PURGE) {
        put_le64(p, record->below);
        item->head_size += 8;
    }
}

/* ---- decoding ---- */

static bool get_names(struct logged *out, const uint8_t *p, size_t size)
{
    for (unsigned i = 0; i < name_count(out->kind); i++) {
        uint32_t length;

        if (size < 4)
            return false;
        length = get_le32(p);
        if (size - 4 < length)
            return false;
        out->names[i] = (struct bytes){p + 4, length};
        p += 4 + length;
        size -= 4 + (size_t)length;
    }
    return size == 0;
}

/* What follows queue and number. */
static bool get_rest(struct logged *out, const uint8_t *p, size_t size)
{
    switch (out->kind) {
    case JOURNAL_SETTLE:
    case JOURNAL_DELIVERED:
        return size == 0;
    case JOURNAL_REDELIVERY:
        if (size != 4)
            return false;
        out->delivery_count = get_le32(p);
        return true;
    case JOURNAL_PURGE:
        if (size != 8)
            return false;
        out->below = get_le64(p);
        return true;
    case LOGGED_AGAIN:
    case JOURNAL_ENQUEUE:
        if (size < 8)
            return false;
        out->deadline = (int64_t)get_le64(p);
        out->message = (struct bytes){p + 8, size - 8};
        return (out->kind == LOGGED_AGAIN) == (size == 8);
    default:
        return false;
    }
}

bool logged_decode(struct logged *out, const uint8_t *from, size_t size)
{
    *out = (struct logged){0};
    if (size < HEAD)
        return false;
    out->kind = from[0];
    out->flags = from[1];
    out->level = from[2];
    out->vhost = get_le32(from + 4);
    out->lsn = get_le64(from + 8);
    if (name_count(out->kind))
        return get_names(out, from + HEAD, size - HEAD);
    if (size < QUEUE_ID_HEAD)
        return false;
    out->queue = get_le64(from + HEAD);
    if (out->kind == JOURNAL_DELETE_QUEUE)
        return size == QUEUE_ID_HEAD;
    if (size < MESSAGE_HEAD)
        return false;
    out->number = get_le64(from + QUEUE_ID_HEAD);
    return get_rest(out, from + MESSAGE_HEAD, size - MESSAGE_HEAD);
}
