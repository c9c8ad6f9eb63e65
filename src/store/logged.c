/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logged.h. Every record begins with kind, flags, vhost and LSN; those about messages go on with level, queue
 * and number and what the kind needs; those about topology with octet strings, each behind its length.
 *
 *     0 kind  1 flags  2 level  3 zero  4 vhost u32  8 lsn u64 | 16 queue u64  24 number u64 | 32 ...
 *                                                              | 16 strings: u32 length, octets
 *
 * Two kinds are told shorter, since they are many. LOGGED_AGAIN has kind and flags, then for each queue the
 * differences of queue and number to the enqueue before it as numbers of variable length, and what the flags
 * name. Settlements of numbers that follow each other are one JOURNAL_PURGE.
 */
#include "logged.h"

#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "record.h"

#define HEAD          16
#define MESSAGE_HEAD  32
#define ENQUEUE_HEAD  40
#define AGAIN_HEAD    2
#define AGAIN_MAX     29 /* what one more queue takes of it */
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

/* Seven bits an octet, lowest first, the highest bit set in all but the last; signed by zigzag. */
static uint8_t *put_difference(uint8_t *p, uint64_t to, uint64_t from)
{
    uint64_t difference = to - from;
    uint64_t value = difference << 1 ^ (0 - (difference >> 63));

    for (; value > 127; value >>= 7)
        *p++ = (uint8_t)(value | 128);
    *p++ = (uint8_t)value;
    return p;
}

static uint8_t again_flags(const struct journal_record *record)
{
    return (record->position.level ? LOGGED_HAS_LEVEL : 0) |
           (record->deadline != INT64_MAX ? LOGGED_HAS_DEADLINE : 0);
}

/* Behind what ITEM, of the same flags, has. */
static void add_again(struct wal_item *item, const struct journal_record *record,
                      const struct logged_enqueue *after)
{
    uint8_t *p = item->head + item->head_size;

    p = put_difference(p, record->queue, after->queue);
    p = put_difference(p, record->position.number, after->number);
    if (record->position.level)
        *p++ = record->position.level;
    if (record->deadline != INT64_MAX)
        p = put_le64(p, (uint64_t)record->deadline);
    item->head_size = (uint32_t)(p - item->head);
}

static void encode_again(struct wal_item *item, const struct journal_record *record,
                         const struct logged_enqueue *after)
{
    item->head[0] = LOGGED_AGAIN;
    item->head[1] = again_flags(record);
    item->head_size = AGAIN_HEAD;
    add_again(item, record, after);
}

static bool extend_again(struct wal_item *item, const struct journal_record *record,
                         const struct logged_enqueue *after)
{
    if (item->head[0] != LOGGED_AGAIN || item->head[1] != again_flags(record) ||
        item->head_size > WAL_HEAD_MAX - AGAIN_MAX)
        return false;
    add_again(item, record, after);
    return true;
}

static void encode_enqueue(struct wal_item *item, uint8_t *p, const struct journal_record *record)
{
    struct message *message = record->message;
    struct bytes apart = record_message_apart(message);

    if (record->deadline != INT64_MAX) {
        item->head[1] |= LOGGED_HAS_DEADLINE;
        p = put_le64(p, (uint64_t)record->deadline);
    }
    record_put_message(p, message);
    item->head_size = (uint32_t)(p + RECORD_MESSAGE_HEAD - item->head);
    item->first = record_message_data(message).data;
    item->first_size = (uint32_t)record_message_data(message).size;
    item->second = apart.data;
    item->second_size = apart.size;
    item->owner = message_ref(message);
}

static bool extend_settle(struct wal_item *item, const struct journal_record *record)
{
    uint64_t from, below;

    if ((item->head[0] != JOURNAL_SETTLE && item->head[0] != JOURNAL_PURGE) ||
        item->head[2] != record->position.level || get_le64(item->head + HEAD) != record->queue)
        return false;
    from = get_le64(item->head + QUEUE_ID_HEAD);
    below = item->head[0] == JOURNAL_SETTLE ? from + 1 : get_le64(item->head + MESSAGE_HEAD);
    if (below != record->position.number)
        return false;
    item->head[0] = JOURNAL_PURGE;
    put_le64(item->head + MESSAGE_HEAD, below + 1);
    item->head_size = MESSAGE_HEAD + 8;
    return true;
}

bool logged_extend(struct wal_item *item, const struct journal_record *record,
                   const struct logged_enqueue *after)
{
    if (after)
        return extend_again(item, record, after);
    return record->kind == JOURNAL_SETTLE && extend_settle(item, record);
}

void logged_encode(struct wal_item *item, const struct journal_record *record, uint32_t vhost, uint64_t lsn,
                   const struct logged_enqueue *after)
{
    uint8_t kind = (uint8_t)record->kind;
    uint8_t *p = put_head(item->head, kind, 0, record->position.level, vhost, lsn);

    item->first_size = 0;
    item->second_size = 0;
    item->owner = NULL;
    if (after) {
        encode_again(item, record, after);
        return;
    }
    item->head_size = HEAD;
    if (name_count(kind)) {
        struct bytes names[LOGGED_NAMES] = {{NULL, 0}};

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
        encode_enqueue(item, p, record);
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

static bool get_deadline(struct logged *out, const uint8_t **p, size_t *size)
{
    out->deadline = INT64_MAX;
    if (!(out->flags & LOGGED_HAS_DEADLINE))
        return true;
    if (*size < 8)
        return false;
    out->deadline = (int64_t)get_le64(*p);
    *p += 8;
    *size -= 8;
    return true;
}

static bool get_difference(uint64_t *value, const uint8_t **p, size_t *size)
{
    uint64_t read = 0;

    for (unsigned shift = 0; *size && shift < 64; shift += 7) {
        uint8_t octet = *(*p)++;

        --*size;
        read |= (uint64_t)(octet & 127) << shift;
        if (octet < 128) {
            *value += read >> 1 ^ -(read & 1);
            return true;
        }
    }
    return false;
}

/* The first of the rest. */
static bool get_again(struct logged *out)
{
    const uint8_t *p = out->rest.data;
    size_t size = out->rest.size;

    if (!get_difference(&out->enqueue.queue, &p, &size) || !get_difference(&out->enqueue.number, &p, &size))
        return false;
    out->vhost = out->enqueue.vhost;
    out->lsn = out->enqueue.lsn;
    out->queue = out->enqueue.queue;
    out->number = out->enqueue.number;
    if (out->flags & LOGGED_HAS_LEVEL) {
        if (!size)
            return false;
        out->level = *p++;
        size--;
    }
    if (!get_deadline(out, &p, &size))
        return false;
    out->rest = (struct bytes){p, size};
    return true;
}

/* All of it is looked at, so that logged_next() finds nothing wrong. */
static bool get_agains(struct logged *out)
{
    struct logged one = *out;

    if (!out->enqueue.lsn)
        return false;
    do
        if (!get_again(&one))
            return false;
    while (one.rest.size);
    return get_again(out);
}

bool logged_next(struct logged *record)
{
    return record->rest.size && get_again(record);
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
    case JOURNAL_ENQUEUE:
        if (!get_deadline(out, &p, &size) || size < RECORD_MESSAGE_MIN)
            return false;
        out->message = (struct bytes){p, size};
        out->enqueue = (struct logged_enqueue){out->vhost, out->lsn, out->queue, out->number};
        return true;
    default:
        return false;
    }
}

bool logged_decode(struct logged *out, const uint8_t *from, size_t size)
{
    *out = (struct logged){.enqueue = out->enqueue};
    if (size < AGAIN_HEAD)
        return false;
    out->kind = from[0];
    out->flags = from[1];
    if (out->kind == LOGGED_AGAIN) {
        out->rest = (struct bytes){from + AGAIN_HEAD, size - AGAIN_HEAD};
        return get_agains(out);
    }
    if (size < HEAD)
        return false;
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
