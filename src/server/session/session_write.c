/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From records to octets. Small things are encoded into the loop's write buffer, large bodies are only
 * pointed at; one writev takes as many records as fit. What the socket does not take is kept: our own octets
 * are copied, bodies stay where they are, and the chunks that hold their messages stay with the session until
 * all is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

#include "coney/frame.h"
#include "coney/message_headers.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "server/loop.h"
#include "server/server.h"
#include "session.h"

#define PIECES_MAX    64
#define OCTETS_MAX    ((size_t)128 * 1024) /* in one writev */
#define BODY_IS_LARGE MESSAGE_BODY_INLINE_MAX
#define METHOD_ROOM   1100 /* the longest of deliver, return and get-ok, framed */

/* One writev in the making. */
struct gather {
    struct session *session;
    uint8_t *at, *end; /* free part of the write buffer */
    struct iovec pieces[PIECES_MAX];
    unsigned count;
    size_t octets;
};

/* ---- gathering ---- */

static bool is_full(const struct gather *gather)
{
    return gather->count > PIECES_MAX - 4 || gather->octets > OCTETS_MAX;
}

/* SIZE octets were encoded at gather->at. */
static void advance(struct gather *gather, size_t size)
{
    struct iovec *last = gather->count ? &gather->pieces[gather->count - 1] : NULL;

    if (last && (uint8_t *)last->iov_base + last->iov_len == gather->at)
        last->iov_len += size;
    else
        gather->pieces[gather->count++] = (struct iovec){gather->at, size};
    gather->at += size;
    gather->octets += size;
}

static void refer(struct gather *gather, const uint8_t *data, size_t size)
{
    gather->pieces[gather->count++] = (struct iovec){(void *)(uintptr_t)data, size};
    gather->octets += size;
}

/* See that SIZE octets fit; false when what is gathered must be written first. */
static bool make_room(struct gather *gather, size_t size)
{
    struct loop *loop = gather->session->loop;

    if ((size_t)(gather->end - gather->at) >= size)
        return true;
    if (gather->octets)
        return false;
    loop->write_size = size * 2;
    free(loop->write_buffer);
    loop->write_buffer = xmalloc(loop->write_size);
    gather->at = loop->write_buffer;
    gather->end = loop->write_buffer + loop->write_size;
    return true;
}

/* ---- records ---- */

static uint32_t body_frame_max(const struct session *session)
{
    return session->frame_max == UINT32_MAX ? UINT32_MAX - FRAME_OVERHEAD
                                            : session->frame_max - FRAME_OVERHEAD;
}

static uint8_t *put_method_start(uint8_t *p, uint16_t channel, enum method_id method)
{
    p = frame_header_put(p, FRAME_METHOD, channel, 0); /* the size comes when it is known */
    return put_u32(p, (uint32_t)method);
}

static uint8_t *put_method_end(uint8_t *start, uint8_t *p)
{
    put_u32(start + 3, (uint32_t)(p - start - FRAME_HEADER_SIZE));
    return frame_end_put(p);
}

/* The frame of the method before a content; returns its end. */
static uint8_t *put_content_method(struct session *session, uint8_t *start,
                                   const struct outbox_record *record)
{
    const struct outbox_delivery *delivery = (const struct outbox_delivery *)record;
    uint8_t *p;

    switch (record->kind) {
    case OUTBOX_DELIVER:
        p = put_method_start(start, record->channel, METHOD_BASIC_DELIVER);
        p = put_shortstr(p, session->tags[delivery->consumer]);
        p = put_u64(p, delivery->delivery_tag);
        p = put_u8(p, record->flags & OUTBOX_REDELIVERED ? 1 : 0);
        p = put_bytes(p, message_address(delivery->message));
        break;
    case OUTBOX_GET_OK:
        p = put_method_start(start, record->channel, METHOD_BASIC_GET_OK);
        p = put_u64(p, delivery->delivery_tag);
        p = put_u8(p, record->flags & OUTBOX_REDELIVERED ? 1 : 0);
        p = put_bytes(p, message_address(delivery->message));
        p = put_u32(p, delivery->consumer);
        break;
    default:
        p = put_method_start(start, record->channel, METHOD_BASIC_RETURN);
        p = put_u16(p, REPLY_NO_ROUTE);
        p = put_shortstr(p, BYTES_LITERAL("NO_ROUTE"));
        p = put_bytes(p, message_address(((const struct outbox_return *)record)->message));
    }
    return put_method_end(start, p);
}

static struct message *record_message(const struct outbox_record *record)
{
    return record->kind == OUTBOX_RETURN ? ((const struct outbox_return *)record)->message
                                         : ((const struct outbox_delivery *)record)->message;
}

/* The properties as they go out: as they came, or with the delivery count of a quorum queue. */
static struct bytes properties_out(const struct outbox_record *record, struct buffer *changed)
{
    const struct outbox_delivery *delivery = (const struct outbox_delivery *)record;
    struct bytes properties = message_properties(record_message(record));

    if (record->kind == OUTBOX_RETURN || delivery->delivery_count == 0)
        return properties;
    properties_with_delivery_count(changed, properties, delivery->delivery_count);
    return buffer_bytes(changed);
}

static uint8_t *put_small_body(uint8_t *p, uint16_t channel, struct bytes body, uint32_t frame_max)
{
    while (body.size) {
        uint32_t size = body.size < frame_max ? (uint32_t)body.size : frame_max;

        p = frame_header_put(p, FRAME_BODY, channel, size);
        p = frame_end_put(put_bytes(p, (struct bytes){body.data, size}));
        body.data += size;
        body.size -= size;
    }
    return p;
}

/* A message whose only reference is the record's and whose octets are all copied need not wait. */
static void release_early(struct outbox_record *record)
{
    struct outbox_delivery *delivery = (struct outbox_delivery *)record;

    if (record->kind == OUTBOX_DELIVER && record->flags & OUTBOX_OWNED) {
        message_free(delivery->message);
        delivery->message = NULL;
    }
}

/* Frames of a large body from session->body_offset on; false when the gather is full before its end. */
static bool gather_body(struct gather *gather, const struct outbox_record *record)
{
    struct session *session = gather->session;
    struct bytes body = message_body(record_message(record));
    uint32_t frame_max = body_frame_max(session);

    while (session->body_offset < body.size) {
        uint64_t left = body.size - session->body_offset;
        uint32_t size = left < frame_max ? (uint32_t)left : frame_max;

        if (is_full(gather) || !make_room(gather, FRAME_OVERHEAD))
            return false;
        frame_header_put(gather->at, FRAME_BODY, record->channel, size);
        advance(gather, FRAME_HEADER_SIZE);
        refer(gather, body.data + session->body_offset, size);
        frame_end_put(gather->at);
        advance(gather, 1);
        session->body_offset += size;
    }
    session->in_body = false;
    session->body_offset = 0;
    return true;
}

/* A content record; false when it must be called again after a write. */
static bool gather_content(struct gather *gather, struct outbox_record *record)
{
    struct session *session = gather->session;
    struct message *message = record_message(record);
    bool large = message->body_size > BODY_IS_LARGE;
    uint32_t frame_max = body_frame_max(session);
    struct buffer changed = {0};
    struct bytes properties;
    size_t room;
    uint8_t *p;

    if (session->in_body)
        return gather_body(gather, record);
    properties = properties_out(record, &changed);
    room = METHOD_ROOM + properties.size +
           (large ? 0 : (size_t)(message->body_size + (message->body_size / frame_max + 1) * FRAME_OVERHEAD));
    if (!make_room(gather, room)) {
        buffer_free(&changed);
        return false;
    }
    p = put_content_method(session, gather->at, record);
    p = frame_content_header_put(p, record->channel, METHOD_CLASS(METHOD_BASIC_DELIVER), message->body_size,
                                 properties);
    buffer_free(&changed);
    if (!large)
        p = put_small_body(p, record->channel, message_body(message), frame_max);
    advance(gather, (size_t)(p - gather->at));
    if (large) {
        session->in_body = true;
        return gather_body(gather, record);
    }
    release_early(record);
    return true;
}

static void remember_tag(struct session *session, const struct outbox_consumer *record)
{
    if (record->consumer >= session->tag_count) {
        uint32_t count = record->consumer + 1 + record->consumer / 2;

        session->tags = xrealloc(session->tags, count * sizeof *session->tags);
        for (; session->tag_count < count; session->tag_count++)
            session->tags[session->tag_count] = (struct bytes){NULL, 0};
    }
    free((void *)(uintptr_t)session->tags[record->consumer].data);
    session->tags[record->consumer] =
        (struct bytes){xmemdup(record->tag, record->tag_size), record->tag_size};
}

/* Whether it is connection.close or channel.close. */
static bool is_close(const struct outbox_method *record)
{
    return record->payload_size >= 4 && (memcmp(record->payload, "\0\x0a\0\x32", 4) == 0 ||
                                         memcmp(record->payload, "\0\x14\0\x28", 4) == 0);
}

static bool gather_method(struct gather *gather, const struct outbox_method *record)
{
    uint8_t *p;

    if (!make_room(gather, (size_t)record->payload_size + FRAME_OVERHEAD))
        return false;
    p = frame_header_put(gather->at, FRAME_METHOD, record->record.channel, record->payload_size);
    p = frame_end_put(put_bytes(p, (struct bytes){record->payload, record->payload_size}));
    if (is_close(record))
        session_log_close(gather->session, record->record.channel,
                          (struct bytes){record->payload, record->payload_size});
    advance(gather, (size_t)(p - gather->at));
    return true;
}

static bool gather_confirm(struct gather *gather, const struct outbox_confirm *record)
{
    bool nack = record->record.flags & OUTBOX_NACK;
    uint8_t *p;

    if (!make_room(gather, 64))
        return false;
    p = put_method_start(gather->at, record->record.channel, nack ? METHOD_BASIC_NACK : METHOD_BASIC_ACK);
    p = put_u64(p, record->delivery_tag);
    p = put_u8(p, record->record.flags & OUTBOX_MULTIPLE ? 1 : 0);
    p = put_method_end(gather->at, p);
    advance(gather, (size_t)(p - gather->at));
    return true;
}

/* False when the record must wait for a write. */
static bool gather_record(struct gather *gather, struct outbox_record *record)
{
    switch (record->kind) {
    case OUTBOX_METHOD:
        return gather_method(gather, (struct outbox_method *)record);
    case OUTBOX_DELIVER:
    case OUTBOX_GET_OK:
    case OUTBOX_RETURN:
        return gather_content(gather, record);
    case OUTBOX_CONFIRM:
        return gather_confirm(gather, (struct outbox_confirm *)record);
    case OUTBOX_CONSUMER:
        remember_tag(gather->session, (struct outbox_consumer *)record);
        return true;
    default:
        session_control(gather->session, record);
        return true;
    }
}

/* Frames of our own go between records, and between the body frames of one. */
static void gather_own(struct gather *gather)
{
    struct session *session = gather->session;

    if (!session->own.size || !make_room(gather, session->own.size))
        return;
    put_bytes(gather->at, buffer_bytes(&session->own));
    advance(gather, session->own.size);
    buffer_free(&session->own);
}

static void gather_records(struct gather *gather)
{
    struct session *session = gather->session;

    while (session->out && !is_full(gather)) {
        struct outbox_chunk *chunk = session->out;

        if (!session->record)
            session->record = outbox_first(chunk);
        while (session->record && !is_full(gather)) {
            if (!gather_record(gather, session->record))
                return;
            session->record = outbox_next(chunk, session->record);
        }
        if (session->record)
            return;
        session->out = chunk->next;
        LL_APPEND(session->encoded, chunk);
    }
}

/* ---- writing ---- */

static void unwritten_free(struct session *session)
{
    if (!session->unwritten)
        return;
    free(session->unwritten->octets);
    free(session->unwritten->pieces);
    free(session->unwritten);
    session->unwritten = NULL;
}

void session_free_output(struct session *session)
{
    unwritten_free(session);
    buffer_free(&session->own);
    for (uint32_t i = 0; i < session->tag_count; i++)
        free((void *)(uintptr_t)session->tags[i].data);
    free(session->tags);
}

/* Everything encoded so far is written: the chunks go home. */
static void return_encoded(struct session *session)
{
    while (session->encoded) {
        struct outbox_chunk *chunk = session->encoded;

        session->encoded = chunk->next;
        loop_return_chunk(session->loop, session->runner, chunk);
    }
}

/* Keep what is left of PIECES: octets of the write buffer are copied, bodies referred to. */
static void keep_unwritten(struct session *session, const struct iovec *pieces, unsigned count)
{
    const struct loop *loop = session->loop;
    struct unwritten *unwritten = xcalloc(1, sizeof *unwritten);
    size_t own = 0;
    uint8_t *p;

    for (unsigned i = 0; i < count; i++) {
        const uint8_t *base = pieces[i].iov_base;

        if (base >= loop->write_buffer && base < loop->write_buffer + loop->write_size)
            own += pieces[i].iov_len;
    }
    p = unwritten->octets = xmalloc(own);
    unwritten->pieces = xmemdup(pieces, count * sizeof *pieces);
    unwritten->count = count;
    for (unsigned i = 0; i < count; i++) {
        struct iovec *piece = &unwritten->pieces[i];
        const uint8_t *base = piece->iov_base;

        if (base < loop->write_buffer || base >= loop->write_buffer + loop->write_size)
            continue;
        memcpy(p, base, piece->iov_len);
        piece->iov_base = p;
        p += piece->iov_len;
    }
    session->unwritten = unwritten;
}

/* Take N octets off PIECES; returns the first piece that is left. */
static unsigned consume(struct iovec *pieces, unsigned first, unsigned count, size_t n)
{
    while (first < count && n >= pieces[first].iov_len)
        n -= pieces[first++].iov_len;
    if (first < count) {
        pieces[first].iov_base = (uint8_t *)pieces[first].iov_base + n;
        pieces[first].iov_len -= n;
    }
    return first;
}

enum write_result { WRITE_ALL, WRITE_SOME, WRITE_FAILED };

static enum write_result failed_write(void)
{
    return errno == EAGAIN ? WRITE_SOME : WRITE_FAILED;
}

static enum write_result write_pieces(struct session *session, struct iovec *pieces, unsigned *first,
                                      unsigned count)
{
    while (*first < count) {
        ssize_t n = stream_write(&session->stream, pieces + *first, count - *first);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed_write();
        session->sent += (uint64_t)n;
        session->writes++;
        if (session->runner)
            runner_count(&session->runner->octets[session->loop->index].sent, (uint64_t)n);
        *first = consume(pieces, *first, count, (size_t)n);
    }
    return stream_flush(&session->stream) == 0 ? WRITE_ALL : failed_write();
}

static enum write_result write_unwritten(struct session *session)
{
    struct unwritten *unwritten = session->unwritten;
    enum write_result result;

    if (!unwritten)
        return WRITE_ALL;
    result = write_pieces(session, unwritten->pieces, &unwritten->first, unwritten->count);
    if (result == WRITE_ALL) {
        unwritten_free(session);
        return_encoded(session);
    }
    return result;
}

/* Encode and write once. */
static enum write_result write_more(struct session *session)
{
    struct loop *loop = session->loop;
    struct gather gather = {
        .session = session, .at = loop->write_buffer, .end = loop->write_buffer + loop->write_size};
    enum write_result result;
    unsigned first = 0;

    gather_own(&gather);
    gather_records(&gather);
    result = write_pieces(session, gather.pieces, &first, gather.count);
    if (result == WRITE_ALL)
        return_encoded(session);
    else if (result == WRITE_SOME)
        keep_unwritten(session, gather.pieces + first, gather.count - first);
    return result;
}

/* So much at a time for one session, so that one that drains fast does not hold up the others. */
#define WRITES_PER_TURN 8

void session_write(struct session *session)
{
    enum write_result result;
    unsigned writes = 0;

    if (session->state == SESSION_GONE)
        return;
    result = write_unwritten(session);
    while (result == WRITE_ALL && (session->out || session->own.size) && writes++ < WRITES_PER_TURN)
        result = write_more(session);
    if (result == WRITE_FAILED) {
        session_gone(session);
        return;
    }
    if (session->holds & SESSION_HOLD_DOOR) {
        server_lets_in(session->server, session);
        return;
    }
    session_want_write(session, result == WRITE_SOME || session->stream.wants_write);
    if (result == WRITE_ALL && (session->out || session->own.size))
        session_list_write(session);
    else if (result == WRITE_ALL)
        session_all_written(session);
}

void session_say(struct session *session, uint16_t channel, const struct method *method)
{
    buffer_append_method(&session->own, channel, method);
    session_list_write(session);
}
