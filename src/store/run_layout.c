/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_layout.h: the layout of a run.
 *
 * Invariants of what layout_get_header() and layout_check_index() let pass: sizes add up without overflow;
 * numbers ascend from the first one to the end of the span; records follow one another without a gap from the
 * first octet of the data to the last, none shorter than a record can be.
 */
#include "run_layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coney/crc32c.h"
#include "record.h"

#define MAGIC           "CRUN"
#define LAYOUT_VERSION  1
#define HEADER_DATED    1 /* flags of the header */
#define ENTRY_RETURNED  1 /* flags of a line of the index */
#define ENTRY_DATED     2
#define ENTRY_TRANSIENT 4
#define ENTRY_FLAGS     (ENTRY_RETURNED | ENTRY_DATED | ENTRY_TRANSIENT)
#define BODY_REFERRED   16384 /* from this size on a body is written from where it is */

/* Whether MESSAGE's body becomes a part of its own when USED parts are taken: each takes two, and the end
 * one. */
static bool body_is_referred(const struct message *message, int used)
{
    return record_message_apart(message).size >= BODY_REFERRED && used + 3 <= RUN_PARTS_MAX;
}

static bool is_dated(const struct run_message *message)
{
    return message->deadline != INT64_MAX;
}

int layout_plan(const struct run_head *head, const struct run_message *messages, uint32_t count,
                struct run_layout *layout, size_t *room)
{
    uint64_t referred = 0;
    int parts = 0;

    if (count == 0 || count > RUN_MESSAGES_MAX ||
        messages[count - 1].number - messages[0].number >= UINT32_MAX)
        return -EINVAL;
    *layout = (struct run_layout){.head = *head, .count = count};
    layout->head.first = messages[0].number;
    layout->head.span = (uint32_t)(messages[count - 1].number - layout->head.first) + 1;
    for (uint32_t i = 0; i < count; i++) {
        const struct message *message = messages[i].message;

        if ((i && messages[i].number <= messages[i - 1].number) || (message->body_size && !message->body))
            return -EINVAL;
        layout->due_count += is_dated(&messages[i]);
        layout->data_size += record_message_size(message);
        if (layout->data_size > UINT32_MAX)
            return -EFBIG;
        if (body_is_referred(message, parts)) {
            referred += message->body_size;
            parts += 2;
        }
    }
    *room = (size_t)(layout_round_up(layout_size(layout)) - referred);
    return 0;
}

/* Octets on their way to the disk: BEGIN .. AT are in the buffer and in no part yet. */
struct putter {
    uint8_t *begin, *at;
    struct iovec *parts;
    int count;
};

static void end_part(struct putter *putter)
{
    putter->parts[putter->count++] = (struct iovec){putter->begin, (size_t)(putter->at - putter->begin)};
    putter->begin = putter->at;
}

/* Put a record. Returns its checksum. */
static uint32_t put_record(struct putter *putter, const struct message *message)
{
    struct bytes data = record_message_data(message), apart = record_message_apart(message);
    uint8_t *begin = putter->at;
    uint32_t crc;

    record_put_message(putter->at, message);
    putter->at = put_bytes(putter->at + RECORD_MESSAGE_HEAD, data);
    crc = crc32c(0, begin, (size_t)(putter->at - begin));
    if (apart.size == 0)
        return crc;
    if (body_is_referred(message, putter->count)) {
        end_part(putter);
        putter->parts[putter->count++] = (struct iovec){message->body, apart.size};
    } else {
        putter->at = put_bytes(putter->at, apart);
    }
    return crc32c(crc, apart.data, apart.size);
}

static uint8_t entry_flags(const struct run_message *message)
{
    return (uint8_t)((message->redelivered ? ENTRY_RETURNED : 0) | (is_dated(message) ? ENTRY_DATED : 0) |
                     (message->is_transient ? ENTRY_TRANSIENT : 0));
}

static void put_entry(uint8_t *p, const struct run_layout *layout, const struct run_message *message,
                      uint32_t from, uint32_t crc)
{
    p = put_le32(p, (uint32_t)(message->number - layout->head.first));
    p = put_le32(p, from);
    p = put_le32(p, crc);
    p = put_le16(p, message->delivery_count < UINT16_MAX ? (uint16_t)message->delivery_count : UINT16_MAX);
    p = put_u8(p, entry_flags(message));
    put_u8(p, 0);
}

static int compare_due(const void *a, const void *b)
{
    const struct run_message *one = *(const struct run_message *const *)a;
    const struct run_message *other = *(const struct run_message *const *)b;

    if (one->deadline != other->deadline)
        return one->deadline < other->deadline ? -1 : 1;
    return one->number < other->number ? -1 : one->number > other->number;
}

static void put_due_list(uint8_t *p, const struct run_layout *layout, const struct run_message *messages)
{
    const struct run_message *dated[RUN_MESSAGES_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < layout->count; i++)
        if (is_dated(&messages[i]))
            dated[count++] = &messages[i];
    if (count > 1)
        qsort(dated, count, sizeof *dated, compare_due);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *begin = p;

        p = put_le64(p, (uint64_t)dated[i]->deadline);
        p = put_le64(p, dated[i]->message->body_size);
        p = put_le32(p, (uint32_t)(dated[i]->number - layout->head.first));
        p = put_le32(p, crc32c(0, begin, RUN_DUE_ENTRY - 4));
    }
}

static void put_header(uint8_t *to, const struct run_layout *layout)
{
    uint8_t *p = put_bytes(to, BYTES_LITERAL(MAGIC));

    p = put_le16(p, LAYOUT_VERSION);
    p = put_u8(p, layout->head.level);
    p = put_u8(p, layout->due_count ? HEADER_DATED : 0);
    p = put_le32(p, layout->count);
    p = put_le32(p, layout->head.span);
    p = put_le64(p, layout->head.first);
    p = put_le64(p, layout->head.queue);
    p = put_le32(p, layout->head.vhost);
    p = put_le32(p, (uint32_t)(layout_due_begin(layout) - RUN_HEADER));
    p = put_le64(p, layout->data_size);
    p = put_le32(p, layout->due_count * RUN_DUE_ENTRY);
    p = put_le32(p, layout->index_crc);
    p = put_le32(p, 0);
    put_le32(p, crc32c(0, to, RUN_HEADER - 4));
}

int layout_put(struct run_layout *layout, const struct run_message *messages, uint8_t *buffer,
               struct iovec parts[RUN_PARTS_MAX])
{
    struct putter putter = {buffer, buffer + layout_data_begin(layout), parts, 0};
    uint8_t *index = buffer + RUN_HEADER, *deadlines = index + (size_t)layout->count * RUN_ENTRY;
    uint64_t from = 0, size = layout_size(layout);
    size_t padding = (size_t)(layout_round_up(size) - size);

    for (uint32_t i = 0; i < layout->count; i++) {
        uint32_t crc = put_record(&putter, messages[i].message);

        put_entry(index + (size_t)i * RUN_ENTRY, layout, &messages[i], (uint32_t)from, crc);
        from += record_message_size(messages[i].message);
        if (layout->due_count)
            put_le64(deadlines + (size_t)i * 8, (uint64_t)messages[i].deadline);
    }
    memset(putter.at, 0, padding);
    putter.at += padding;
    if (putter.at > putter.begin)
        end_part(&putter);
    layout->index_crc = crc32c(0, index, (size_t)(layout_due_begin(layout) - RUN_HEADER));
    put_due_list(buffer + layout_due_begin(layout), layout, messages);
    put_header(buffer, layout);
    return putter.count;
}

const char *layout_get_header(const uint8_t from[RUN_HEADER], struct run_layout *layout)
{
    uint32_t index_size = get_le32(from + 36), due_size = get_le32(from + 48);
    bool dated = from[7] & HEADER_DATED;

    if (memcmp(from, MAGIC, 4) != 0)
        return "no run begins here";
    if (get_le32(from + RUN_HEADER - 4) != crc32c(0, from, RUN_HEADER - 4))
        return "the run's header does not match its checksum";
    if (get_le16(from + 4) != LAYOUT_VERSION)
        return "the run is of a version that is not known here";
    *layout = (struct run_layout){
        .head = {.vhost = get_le32(from + 32),
                 .queue = get_le64(from + 24),
                 .level = from[6],
                 .first = get_le64(from + 16),
                 .span = get_le32(from + 12)},
        .data_size = get_le64(from + 40),
        .count = get_le32(from + 8),
        .due_count = due_size / RUN_DUE_ENTRY,
        .index_crc = get_le32(from + 52),
    };
    if (layout->count == 0 || layout->count > RUN_MESSAGES_MAX || layout->head.span < layout->count ||
        layout->head.first + (layout->head.span - 1) < layout->head.first || layout->data_size > UINT32_MAX ||
        due_size % RUN_DUE_ENTRY || layout->due_count > layout->count || dated != (layout->due_count > 0) ||
        index_size != layout_due_begin(layout) - RUN_HEADER)
        return "the run's header contradicts itself";
    return NULL;
}

static const uint8_t *entry_at(const uint8_t *index, uint32_t n)
{
    return index + (size_t)n * RUN_ENTRY;
}

/* Where the N-th record begins in the data; for the one behind the last, the data's end. */
static uint64_t data_offset(const struct run_layout *layout, const uint8_t *index, uint32_t n)
{
    return n == layout->count ? layout->data_size : get_le32(entry_at(index, n) + 4);
}

uint32_t layout_get_place(const uint8_t *index, uint32_t n)
{
    return get_le32(entry_at(index, n));
}

static int64_t deadline_at(const struct run_layout *layout, const uint8_t *index, uint32_t n)
{
    return (int64_t)get_le64(entry_at(index, layout->count) + (size_t)n * 8);
}

/* Line N against its neighbours. */
static bool entry_fits(const struct run_layout *layout, const uint8_t *index, uint32_t n)
{
    const uint8_t *entry = entry_at(index, n);
    uint64_t from = data_offset(layout, index, n), to = data_offset(layout, index, n + 1);
    bool dated = entry[14] & ENTRY_DATED;

    return to >= from && to - from >= RECORD_MESSAGE_MIN &&
           (n == 0 || layout_get_place(index, n) > layout_get_place(index, n - 1)) &&
           !(entry[14] & ~ENTRY_FLAGS) && entry[15] == 0 &&
           dated == (layout->due_count && deadline_at(layout, index, n) != INT64_MAX);
}

const char *layout_check_index(const struct run_layout *layout, const uint8_t *index)
{
    uint32_t dated = 0;

    if (layout->index_crc != crc32c(0, index, (size_t)(layout_due_begin(layout) - RUN_HEADER)))
        return "the run's index does not match its checksum";
    for (uint32_t n = 0; n < layout->count; n++) {
        if (!entry_fits(layout, index, n))
            return "the run's index contradicts itself";
        dated += (entry_at(index, n)[14] & ENTRY_DATED) != 0;
    }
    if (data_offset(layout, index, 0) != 0 || layout_get_place(index, 0) != 0 ||
        layout_get_place(index, layout->count - 1) != layout->head.span - 1 || dated != layout->due_count)
        return "the run's index contradicts its header";
    return NULL;
}

struct run_entry layout_get_entry(const struct run_layout *layout, const uint8_t *index, uint32_t n)
{
    const uint8_t *entry = entry_at(index, n);
    uint64_t from = data_offset(layout, index, n);

    return (struct run_entry){
        .number = layout->head.first + layout_get_place(index, n),
        .from = layout_data_begin(layout) + from,
        .size = data_offset(layout, index, n + 1) - from,
        .deadline = layout->due_count ? deadline_at(layout, index, n) : INT64_MAX,
        .crc = get_le32(entry + 8),
        .delivery_count = get_le16(entry + 12),
        .redelivered = entry[14] & ENTRY_RETURNED,
        .is_transient = entry[14] & ENTRY_TRANSIENT,
    };
}

bool layout_get_due(const struct run_layout *layout, const uint8_t from[RUN_DUE_ENTRY], struct run_due *due)
{
    uint32_t offset = get_le32(from + 16);

    *due = (struct run_due){
        .deadline = (int64_t)get_le64(from),
        .number = layout->head.first + offset,
        .body_size = get_le64(from + 8),
    };
    return get_le32(from + 20) == crc32c(0, from, RUN_DUE_ENTRY - 4) && offset < layout->head.span &&
           due->deadline != INT64_MAX;
}
