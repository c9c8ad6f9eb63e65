/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From octets to commands (connection-and-channel.md 1 and 5).
 *
 * A read takes as much as the socket has into the loop's buffer. Whole frames become commands of one batch;
 * the beginning of a frame at the end is kept in session->partial. The frames of a small message that are all
 * here become a message without anything being kept. Bodies that are apart are received straight into the
 * message.
 *
 * What is wrong with the stream is a command too, so that the replies before it go out first. After an error
 * that loses the position in the stream the session is deaf: it reads only to see the end.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

#include "coney/batch.h"
#include "coney/frame.h"
#include "coney/pool.h"
#include "coney/reply.h"
#include "server/loop.h"
#include "server/server.h"
#include "session.h"

#define BODY_SIZE_CAP    UINT64_C(536870912) /* limits.tsv: hard cap of a message */
#define BODY_FIRST_ROOM  (UINT64_C(1) << 20) /* what is allocated before a body has begun to come */
#define FRAME_SIZE_CAP   (16U << 20)         /* of frames that must be here as a whole */
#define PARTIAL_COPY_MAX (LOOP_READ_SIZE / 4)
#define READ_BESIDE_BODY 4096 /* so that most of the next large body comes straight into its message */
#define READ_IS_SMALL    1024 /* a request, some acks: somebody who waits for an answer */
#define PUBLISH_ID       METHOD_BASIC_PUBLISH

/* ---- the batch being made ---- */

static struct command *add(struct session *session, struct job **job)
{
    if (!*job)
        *job = loop_job(session->loop, BATCH_COMMANDS);
    return batch_add(&(*job)->batch);
}

static void fail_va(struct session *session, struct job **job, uint16_t channel, enum reply_code code,
                    enum method_id method, const char *format, va_list arguments)
    __attribute__((format(printf, 6, 0)));

static void fail_va(struct session *session, struct job **job, uint16_t channel, enum reply_code code,
                    enum method_id method, const char *format, va_list arguments)
{
    struct command *command = add(session, job);
    struct command_error *error = arena_alloc(&(*job)->batch.arena, sizeof *error);

    error->code = code;
    error->method = method;
    reply_text_format(error->text, code, format, arguments);
    *command = (struct command){.kind = COMMAND_ERROR, .channel = channel, .error = error};
}

static void fail(struct session *session, struct job **job, uint16_t channel, enum reply_code code,
                 enum method_id method, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* CHANNEL: on which a frame that could be read was out of place; else 0. */
static void fail(struct session *session, struct job **job, uint16_t channel, enum reply_code code,
                 enum method_id method, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fail_va(session, job, channel, code, method, format, arguments);
    va_end(arguments);
}

/* The first octets of a payload as RabbitMQ prints them: <<1,2,3>>. */
#define SHOWN_OCTETS 16

static const char *show(struct bytes payload, char out[128])
{
    size_t at =
        (size_t)snprintf(out, 128, "%s octets = <<", payload.size > SHOWN_OCTETS ? "first 16" : "all");

    for (size_t i = 0; i < payload.size && i < SHOWN_OCTETS; i++)
        at += (size_t)snprintf(out + at, 128 - at, i ? ",%u" : "%u", payload.data[i]);
    snprintf(out + at, 128 - at, ">>");
    return out;
}

static void fail_unknown_frame(struct session *session, struct job **job, uint8_t type, struct bytes payload)
{
    char shown[128];

    fail(session, job, 0, REPLY_FRAME_ERROR, (enum method_id)0, "type %u, %s: unknown_frame", type,
         show(payload, shown));
}

/* ---- contents that are not complete ---- */

static struct content *content_find(struct session *session, uint16_t channel)
{
    struct content *content;

    HASH_FIND(hh, session->contents, &channel, sizeof channel, content);
    return content;
}

static void content_free(struct session *session, struct content *content)
{
    if (session->streaming == content)
        session->streaming = NULL;
    HASH_DEL(session->contents, content);
    session->contents_size -= content->begun;
    if (content->message) {
        if (content->message->flags & MESSAGE_BODY_APART)
            pool_free(content->message->body, (size_t)content->room);
        content->message->body = NULL;
        message_free(content->message);
    }
    pool_free(content, sizeof *content);
}

static void contents_free(struct session *session)
{
    struct content *content, *next;

    HASH_ITER (hh, session->contents, content, next)
        content_free(session, content);
}

void session_free_input(struct session *session)
{
    contents_free(session);
    buffer_free(&session->partial);
}

static void content_begin(struct session *session, uint16_t channel,
                          const struct method_basic_publish *publish)
{
    struct content *content = pool_alloc(sizeof *content);

    *content = (struct content){
        .channel = channel,
        .flags = (uint8_t)((publish->mandatory ? COMMAND_MANDATORY : 0) |
                           (publish->immediate ? COMMAND_IMMEDIATE : 0)),
    };
    put_shortstr(put_shortstr(content->address, publish->exchange), publish->routing_key);
    HASH_ADD(hh, session->contents, channel, sizeof content->channel, content);
}

static void content_complete(struct session *session, struct job **job, struct content *content)
{
    struct command *command = add(session, job);

    *command = (struct command){.kind = COMMAND_PUBLISH,
                                .flags = content->flags,
                                .channel = content->channel,
                                .message = content->message};
    session->reads_large = content->message->flags & MESSAGE_BODY_APART;
    content->message = NULL;
    content_free(session, content);
}

/* Tell the vhost of publishes whose content does not come at once: it may have something against them. */
static void announce(struct session *session, struct job **job)
{
    struct content *content, *next;

    HASH_ITER (hh, session->contents, content, next) {
        struct command *command;

        if (content->is_announced)
            continue;
        content->is_announced = true;
        command = add(session, job);
        *command = (struct command){.kind = COMMAND_PUBLISH_BEGUN, .channel = content->channel};
    }
}

/* ---- methods ---- */

static void unfinished(struct session *session, struct job **job, const struct content *content)
{
    if (content->in_body)
        fail(session, job, content->channel, REPLY_UNEXPECTED_FRAME, PUBLISH_ID,
             "expected content body, got non content body frame instead");
    else
        fail(session, job, content->channel, REPLY_UNEXPECTED_FRAME, PUBLISH_ID,
             "expected content header for class 60, got non content header frame instead");
}

static void fail_method(struct session *session, struct job **job, uint16_t channel,
                        enum method_status status, enum method_id id)
{
    switch (status) {
    case METHOD_UNKNOWN:
        fail(session, job, channel, REPLY_COMMAND_INVALID, id, "unknown method");
        break;
    case METHOD_BAD_UTF8:
        fail(session, job, channel, REPLY_FRAME_ERROR, (enum method_id)0, "Malformed UTF-8 in shortstr");
        break;
    case METHOD_BAD_TABLE:
        fail(session, job, channel, REPLY_SYNTAX_ERROR, id, "malformed table in %s", method_name(id));
        break;
    default:
        fail(session, job, channel, REPLY_FRAME_ERROR, id, "cannot decode arguments of %s", method_name(id));
    }
}

static void settle(struct session *session, struct job **job, uint16_t channel, const struct method *method)
{
    struct command *command = add(session, job);

    *command = (struct command){.kind = COMMAND_SETTLE, .channel = channel};
    switch (method->id) {
    case METHOD_BASIC_ACK:
        command->delivery_tag = method->basic_ack.delivery_tag;
        command->flags = (uint8_t)(COMMAND_ACK | (method->basic_ack.multiple ? COMMAND_MULTIPLE : 0));
        break;
    case METHOD_BASIC_NACK:
        command->delivery_tag = method->basic_nack.delivery_tag;
        command->flags = (uint8_t)(COMMAND_NACK | (method->basic_nack.multiple ? COMMAND_MULTIPLE : 0) |
                                   (method->basic_nack.requeue ? COMMAND_REQUEUE : 0));
        break;
    default:
        command->delivery_tag = method->basic_reject.delivery_tag;
        command->flags = (uint8_t)(COMMAND_REJECT | (method->basic_reject.requeue ? COMMAND_REQUEUE : 0));
    }
}

static void other_method(struct session *session, struct job **job, uint16_t channel, struct bytes payload)
{
    struct command *command = add(session, job);
    struct arena *arena = &(*job)->batch.arena;
    struct method *method = arena_alloc(arena, sizeof *method);
    enum method_status status = method_decode(method, arena_copy(arena, payload));

    if (status == METHOD_OK) {
        *command = (struct command){.kind = COMMAND_METHOD, .channel = channel, .method = method};
        return;
    }
    batch_take_back(&(*job)->batch);
    fail_method(session, job, channel, status, method->id);
}

static void method_frame(struct session *session, struct job **job, uint16_t channel, struct bytes payload)
{
    struct content *content = session->contents ? content_find(session, channel) : NULL;
    struct method method;
    enum method_status status;

    if (payload.size < 4) {
        fail_unknown_frame(session, job, FRAME_METHOD, payload);
        return;
    }
    if (content) {
        unfinished(session, job, content);
        return;
    }
    switch (get_u32(payload.data)) {
    case METHOD_BASIC_ACK:
    case METHOD_BASIC_NACK:
    case METHOD_BASIC_REJECT:
    case METHOD_BASIC_PUBLISH:
        status = method_decode(&method, payload);
        if (status != METHOD_OK)
            fail_method(session, job, channel, status, method.id);
        else if (method.id == METHOD_BASIC_PUBLISH && channel)
            content_begin(session, channel, &method.basic_publish);
        else if (method.id == METHOD_BASIC_PUBLISH) /* an error, whose content nobody waits for */
            *add(session, job) = (struct command){.kind = COMMAND_PUBLISH_BEGUN};
        else
            settle(session, job, channel, &method);
        break;
    default:
        other_method(session, job, channel, payload);
    }
}

/* ---- contents, frame by frame ---- */

/* Memory is low and this connection publishes: nothing behind this frame is taken before that is over, as
 * RabbitMQ 3.10 does it. */
static inline void note_publish(struct session *session)
{
    if (server_alarms(session->server))
        session_block(session);
}

static struct message *content_message(const struct session *session, const struct content *content,
                                       struct bytes properties, uint64_t body_size, uint64_t *room)
{
    struct bytes exchange = {content->address + 1, content->address[0]};
    struct bytes routing_key = {content->address + exchange.size + 2, content->address[exchange.size + 1]};
    uint64_t max = server_message_size_max(session->server);

    *room = body_size < BODY_FIRST_ROOM ? body_size : BODY_FIRST_ROOM;
    /* One that will be refused is not stored at all. */
    if (body_size > max)
        *room = 0;
    return message_new_partial(exchange, routing_key, properties, body_size, *room);
}

/* The stream's position is lost, or not worth keeping. */
static void go_deaf(struct session *session)
{
    session->is_deaf = true;
    session->streaming = NULL;
}

/* The system refuses the room for a message: it is this connection's alone to suffer. All that it has sent of
 * any is gone. */
static void no_memory(struct session *session, struct job **job, uint64_t body_size)
{
    fail(session, job, 0, REPLY_RESOURCE_ERROR, (enum method_id)0, "no memory for a message of %llu octets",
         (unsigned long long)body_size);
    go_deaf(session);
    contents_free(session);
}

static void header_frame(struct session *session, struct job **job, uint16_t channel, struct bytes payload)
{
    struct content *content = content_find(session, channel);
    uint64_t body_size;

    if (payload.size < CONTENT_HEADER_FIXED_SIZE) {
        fail_unknown_frame(session, job, FRAME_HEADER, payload);
        return;
    }
    if (!content) {
        fail(session, job, channel, REPLY_UNEXPECTED_FRAME, (enum method_id)0,
             "expected method frame, got non method frame instead");
        return;
    }
    if (content->in_body) {
        unfinished(session, job, content);
        return;
    }
    if (get_u16(payload.data) != METHOD_CLASS(PUBLISH_ID)) {
        fail(session, job, channel, REPLY_UNEXPECTED_FRAME, PUBLISH_ID,
             "expected content header for class 60, got one for class %u instead", get_u16(payload.data));
        return;
    }
    if (get_u16(payload.data + 2) != 0 || payload.size < CONTENT_HEADER_FIXED_SIZE + 2) {
        if (get_u16(payload.data + 2) != 0)
            unfinished(session, job, content);
        else
            fail_unknown_frame(session, job, FRAME_HEADER, payload);
        return;
    }
    body_size = get_u64(payload.data + 4);
    if (body_size > BODY_SIZE_CAP) {
        fail(session, job, channel, REPLY_FRAME_ERROR, (enum method_id)0,
             "content body size %llu exceeds maximum allowed size %llu", (unsigned long long)body_size,
             (unsigned long long)BODY_SIZE_CAP);
        return;
    }
    content->message = content_message(
        session, content,
        (struct bytes){payload.data + CONTENT_HEADER_FIXED_SIZE, payload.size - CONTENT_HEADER_FIXED_SIZE},
        body_size, &content->room);
    if (!content->message) {
        no_memory(session, job, body_size);
        return;
    }
    message_scan_properties(content->message);
    content->in_body = true;
    note_publish(session);
    if (body_size == 0)
        content_complete(session, job, content);
}

/* See that SIZE more octets of the body have room; they come next. False when there is no memory. */
static bool content_make_room(struct content *content, uint64_t size)
{
    uint64_t needed = content->received + size;
    uint64_t room = content->room;
    uint8_t *body;

    if (room == 0 || needed <= room)
        return true;
    while (room < needed)
        room *= 2;
    if (room > content->message->body_size)
        room = content->message->body_size;
    body = pool_try_grow(content->message->body, (size_t)content->room, (size_t)room);
    if (!body)
        return false;
    content->message->body = body;
    content->room = room;
    return true;
}

static void content_take(struct content *content, const uint8_t *data, size_t size)
{
    if (content->room)
        memcpy(content->message->body + content->received, data, size);
    content->received += size;
}

/* A message can be sent on each of thousands of channels, piece by piece. SIZE octets more come for CONTENT:
 * tell whether they are more than one connection may have; then all that it has is gone. */
static bool is_too_much(struct session *session, struct job **job, struct content *content, uint32_t size)
{
    uint64_t most = server_unfinished_max(session->server);

    session->contents_size += size;
    content->begun += size;
    if (session->contents_size <= most)
        return false;
    fail(session, job, 0, REPLY_RESOURCE_ERROR, (enum method_id)0,
         "unfinished messages of the connection take more than %llu octets", (unsigned long long)most);
    go_deaf(session);
    contents_free(session);
    return true;
}

/* A body frame of SIZE octets begins: is it one that may come here? NULL after failing. */
static struct content *body_frame_begins(struct session *session, struct job **job, uint16_t channel,
                                         uint32_t size)
{
    struct content *content = content_find(session, channel);

    if (!content) {
        fail(session, job, channel, REPLY_UNEXPECTED_FRAME, (enum method_id)0,
             "expected method frame, got non method frame instead");
        return NULL;
    }
    if (!content->in_body) {
        unfinished(session, job, content);
        return NULL;
    }
    if (size > content->message->body_size - content->received) {
        fail(session, job, channel, REPLY_FRAME_ERROR, (enum method_id)0,
             "content body frame exceeds remaining content size");
        return NULL;
    }
    note_publish(session);
    return is_too_much(session, job, content, size) ? NULL : content;
}

static void bad_frame_end(struct session *session, struct job **job, uint8_t type, struct bytes payload,
                          uint8_t end)
{
    char shown[128];

    fail(session, job, 0, REPLY_FRAME_ERROR, (enum method_id)0, "type %u, %s: {invalid_frame_end_marker,%u}",
         type, show(payload, shown), end);
    go_deaf(session);
}

/* SIZE octets of the body frame being streamed are at DATA, or have been received in place when DATA is NULL.
 * Returns what was used. */
static size_t stream(struct session *session, struct job **job, const uint8_t *data, size_t size)
{
    struct content *content = session->streaming;
    size_t used = 0;

    if (session->stream_left) {
        used = size < session->stream_left ? size : session->stream_left;
        if (data)
            content_take(content, data, used);
        else
            content->received += used;
        session->stream_left -= (uint32_t)used;
    }
    if (session->stream_left || used == size || !data)
        return used;
    if (data[used] != FRAME_END) {
        bad_frame_end(session, job, FRAME_BODY, (struct bytes){NULL, 0}, data[used]);
        return size;
    }
    session->streaming = NULL;
    if (content->received == content->message->body_size)
        content_complete(session, job, content);
    return used + 1;
}

/* ---- a small message whose frames are all here ---- */

static inline bool whole_frame(const uint8_t *data, size_t size, uint8_t type, uint16_t channel,
                               struct bytes *payload)
{
    uint32_t length;

    if (size < FRAME_OVERHEAD || data[0] != type || get_u16(data + 1) != channel)
        return false;
    length = get_u32(data + 3);
    if (length > size - FRAME_OVERHEAD || data[FRAME_HEADER_SIZE + length] != FRAME_END)
        return false;
    *payload = (struct bytes){data + FRAME_HEADER_SIZE, length};
    return true;
}

/* basic.publish in PAYLOAD, header and body frames at DATA: if nothing is out of the ordinary make the
 * command and return the octets of the latter two frames; else 0, and they are taken one by one. */
static size_t publish_whole(struct session *session, struct job **job, uint16_t channel, struct bytes payload,
                            const uint8_t *data, size_t size)
{
    struct last_publish *last = &session->loop->last_publish;
    const struct method_basic_publish *publish = &last->method.basic_publish;
    struct bytes header, body = {NULL, 0}, properties;
    struct message *message;
    uint64_t body_size;
    size_t used;

    if (!whole_frame(data, size, FRAME_HEADER, channel, &header) ||
        header.size < CONTENT_HEADER_FIXED_SIZE + 2 || header.size > session->frame_max ||
        get_u32(header.data) != (uint32_t)METHOD_CLASS(PUBLISH_ID) << 16)
        return 0;
    used = header.size + FRAME_OVERHEAD;
    body_size = get_u64(header.data + 4);
    if (body_size > MESSAGE_BODY_INLINE_MAX)
        return 0;
    if (body_size) {
        if (!whole_frame(data + used, size - used, FRAME_BODY, channel, &body) || body.size != body_size ||
            body.size > session->frame_max)
            return 0;
        used += body.size + FRAME_OVERHEAD;
    }
    /* A publisher that repeats itself is decoded once a read. */
    if (!bytes_equal(payload, last->payload)) {
        last->payload = (struct bytes){NULL, 0};
        if (method_decode(&last->method, payload) != METHOD_OK)
            return 0;
        last->payload = payload;
    }
    properties =
        (struct bytes){header.data + CONTENT_HEADER_FIXED_SIZE, header.size - CONTENT_HEADER_FIXED_SIZE};
    message =
        message_new(publish->exchange, publish->routing_key, (struct bytes){NULL, 0}, properties, body_size);
    put_bytes(message->body, body);
    message_scan_properties(message);
    *add(session, job) = (struct command){.kind = COMMAND_PUBLISH,
                                          .flags = (uint8_t)((publish->mandatory ? COMMAND_MANDATORY : 0) |
                                                             (publish->immediate ? COMMAND_IMMEDIATE : 0)),
                                          .channel = channel,
                                          .message = message};
    session->reads_large = false;
    return used;
}

/* ---- frames ---- */

static void heartbeat_frame(struct session *session, struct job **job, uint16_t channel, struct bytes payload)
{
    char shown[128];

    if (payload.size)
        fail_unknown_frame(session, job, FRAME_HEARTBEAT, payload);
    else if (channel)
        fail(session, job, 0, REPLY_UNEXPECTED_FRAME, (enum method_id)0, "type 8, %s", show(payload, shown));
}

static void body_frame(struct session *session, struct job **job, uint16_t channel, struct bytes payload)
{
    struct content *content = body_frame_begins(session, job, channel, (uint32_t)payload.size);

    if (!content)
        return;
    content_take(content, payload.data, payload.size);
    if (content->received == content->message->body_size)
        content_complete(session, job, content);
}

static void running_frame(struct session *session, struct job **job, uint8_t type, uint16_t channel,
                          struct bytes payload)
{
    char shown[128];

    switch (type) {
    case FRAME_METHOD:
        method_frame(session, job, channel, payload);
        break;
    case FRAME_HEADER:
    case FRAME_BODY:
        if (channel == 0 && (type == FRAME_BODY || payload.size >= CONTENT_HEADER_FIXED_SIZE))
            fail(session, job, 0, REPLY_UNEXPECTED_FRAME, (enum method_id)0, "type %u, %s", type,
                 show(payload, shown));
        else if (type == FRAME_HEADER)
            header_frame(session, job, channel, payload);
        else
            body_frame(session, job, channel, payload);
        break;
    case FRAME_HEARTBEAT:
        heartbeat_frame(session, job, channel, payload);
        break;
    default:
        fail_unknown_frame(session, job, type, payload);
    }
}

static bool is_too_large(struct session *session, struct job **job, const struct frame_header *frame)
{
    uint32_t max = frame->type == FRAME_BODY || session->frame_max < FRAME_SIZE_CAP ? session->frame_max
                                                                                    : FRAME_SIZE_CAP;

    if (frame->size <= max)
        return false;
    fail(session, job, 0, REPLY_FRAME_ERROR, (enum method_id)0,
         "type %u, all octets = <<>>: {frame_too_large,%u,%u}", frame->type, frame->size,
         max - FRAME_OVERHEAD);
    go_deaf(session);
    return true;
}

/* Does a body frame of this message go straight to its place, however little of it is here? */
static bool streams(struct session *session, struct job **job, const struct frame_header *frame, size_t size)
{
    struct content *content = session->contents ? content_find(session, frame->channel) : NULL;

    if (frame->type != FRAME_BODY || frame->size == 0 || frame->channel == 0 || !content ||
        !content->in_body || content->message->body_size <= MESSAGE_BODY_INLINE_MAX)
        return false;
    content = body_frame_begins(session, job, frame->channel, frame->size);
    if (!content) {
        /* Failed already: what the frame holds is thrown away, like everything up to close-ok. */
        if (size < (size_t)frame->size + FRAME_OVERHEAD)
            go_deaf(session);
        return false;
    }
    if (!content_make_room(content, frame->size)) {
        no_memory(session, job, content->message->body_size);
        return false;
    }
    session->streaming = content;
    session->stream_left = frame->size;
    return true;
}

/* Take one frame of a running session off DATA. Returns its octets; 0: it is not all here. */
static size_t take_frame(struct session *session, struct job **job, const uint8_t *data, size_t size)
{
    struct frame_header frame;
    struct bytes payload;
    size_t whole;

    if (size < FRAME_HEADER_SIZE)
        return 0;
    frame = frame_header_get(data);
    whole = (size_t)frame.size + FRAME_OVERHEAD;
    if (is_too_large(session, job, &frame))
        return size;
    if (frame.type == FRAME_BODY && streams(session, job, &frame, size))
        return FRAME_HEADER_SIZE;
    if (session->is_deaf)
        return size;
    if (size < whole)
        return 0;
    payload = (struct bytes){data + FRAME_HEADER_SIZE, frame.size};
    if (data[whole - 1] != FRAME_END) {
        bad_frame_end(session, job, frame.type, payload, data[whole - 1]);
        return size;
    }
    if (frame.type == FRAME_METHOD && frame.channel && frame.size >= 4 && !session->contents &&
        get_u32(payload.data) == PUBLISH_ID && !server_alarms(session->server)) {
        size_t more = publish_whole(session, job, frame.channel, payload, data + whole, size - whole);

        if (more)
            return whole + more;
    }
    running_frame(session, job, frame.type, frame.channel, payload);
    return whole;
}

/* The same before the vhost is reached. */
static size_t take_early_frame(struct session *session, const uint8_t *data, size_t size)
{
    struct frame_header frame;

    if (size < FRAME_HEADER_SIZE)
        return 0;
    frame = frame_header_get(data);
    if (frame.size > session->frame_max) {
        handshake_drop(session, "frame too large before login");
        return size;
    }
    if (size < (size_t)frame.size + FRAME_OVERHEAD)
        return 0;
    if (data[frame.size + FRAME_HEADER_SIZE] != FRAME_END) {
        handshake_drop(session, "bad frame end before login");
        return size;
    }
    handshake_frame(session, frame.type, frame.channel, (struct bytes){data + FRAME_HEADER_SIZE, frame.size});
    return (size_t)frame.size + FRAME_OVERHEAD;
}

/* Nothing is taken before somebody has answered: the vhost, or who decides the login; nor on the way from the
 * door; and behind the frame that met the alarm nothing before that is over. */
static bool must_wait(const struct session *session)
{
    return session->state == SESSION_OPENING || session->state == SESSION_CHECKING ||
           session->holds & SESSION_HOLD_DOOR || (session->holds & SESSION_HOLD_ALARM && !session->streaming);
}

static size_t parse(struct session *session, struct job **job, const uint8_t *data, size_t size)
{
    size_t at = 0;

    while (at < size) {
        size_t used;

        if (session->is_deaf || session->state == SESSION_DROPPED || session->state >= SESSION_ENDING)
            return size;
        if (must_wait(session))
            break;
        if (session->streaming)
            used = stream(session, job, data + at, size - at);
        else if (session->state == SESSION_HEADER)
            used = handshake_protocol_header(session, data + at, size - at);
        else if (session->state == SESSION_RUNNING || session->state == SESSION_CLOSING)
            used = take_frame(session, job, data + at, size - at);
        else
            used = take_early_frame(session, data + at, size - at);
        if (!used)
            break;
        at += used;
    }
    return at;
}

/* ---- reading ---- */

static void keep_rest(struct session *session, const uint8_t *rest, size_t size)
{
    if (session->partial.size && rest >= session->partial.data &&
        rest < session->partial.data + session->partial.size) {
        memmove(session->partial.data, rest, size);
        session->partial.size = size;
        return;
    }
    buffer_clear(&session->partial);
    buffer_append(&session->partial, rest, size);
}

/* Parse the SIZE octets at DATA into *JOB, and keep what is no whole frame. */
static void take_input(struct session *session, struct job **job, const uint8_t *data, size_t size)
{
    size_t used;

    session->loop->last_publish.payload = (struct bytes){NULL, 0};
    used = parse(session, job, data, size);
    session->rest_waits = used < size && must_wait(session);
    if (used < size)
        keep_rest(session, data + used, size - used);
    else
        buffer_free(&session->partial);
    if (session->contents)
        announce(session, job);
}

static void take_rest(struct session *session)
{
    struct job *job = NULL;

    session->rest_waits = false;
    if (session->partial.size)
        take_input(session, &job, session->partial.data, session->partial.size);
    if (job)
        session_submit(session, job);
}

struct place_to_read {
    struct iovec iov[2];
    int count;
    uint8_t *data; /* what is parsed begins here, */
    size_t kept;   /* with so much of an earlier read */
    size_t direct; /* octets that go straight into a message */
    size_t room;   /* octets for the rest */
};

static void find_place(struct session *session, struct place_to_read *place)
{
    struct loop *loop = session->loop;
    struct content *content = session->streaming;
    size_t room = session->reads_large || content ? READ_BESIDE_BODY : loop_read_budget(loop);

    *place = (struct place_to_read){.data = loop->read_buffer, .kept = session->partial.size};
    if (content && session->stream_left && content->room) {
        place->direct = session->stream_left;
        place->iov[place->count++] =
            (struct iovec){content->message->body + content->received, session->stream_left};
    }
    if (place->kept > PARTIAL_COPY_MAX) {
        buffer_reserve(&session->partial, LOOP_READ_SIZE);
        place->data = session->partial.data;
        room = LOOP_READ_SIZE;
    } else {
        if (place->kept)
            memcpy(place->data, session->partial.data, place->kept);
        if (room > LOOP_READ_SIZE - place->kept)
            room = LOOP_READ_SIZE - place->kept;
    }
    place->room = room;
    place->iov[place->count++] = (struct iovec){place->data + place->kept, room};
}

/* Acks and heartbeats wait for nothing; a method that is asked by itself waits for its answer. */
static void note_small_read(struct loop *loop, const struct place_to_read *place, size_t got)
{
    uint32_t id;

    loop->small_reads++;
    if (place->kept || place->direct || got < FRAME_HEADER_SIZE + 4 || place->data[0] != FRAME_METHOD)
        return;
    id = get_u32(place->data + FRAME_HEADER_SIZE);
    if (id != METHOD_BASIC_ACK && id != METHOD_BASIC_NACK && id != METHOD_BASIC_REJECT &&
        id != METHOD_BASIC_PUBLISH)
        atomic_store_explicit(&loop->questions,
                              atomic_load_explicit(&loop->questions, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

static void count_read(struct session *session, const struct place_to_read *place, size_t got, bool is_first)
{
    session->was_read = true;
    session->received += got;
    session->reads++;
    if (session->runner)
        runner_count(&session->runner->octets[session->loop->index].received, got);
    if (got == place->direct + place->room)
        session->loop->read_full = true;
    else if (got < READ_IS_SMALL && is_first)
        note_small_read(session->loop, place, got);
}

/* Read once, and parse into *JOB. Octets read, or as stream_read() has it. */
static ssize_t read_once(struct session *session, struct job **job, bool is_first)
{
    struct place_to_read place;
    ssize_t got;
    size_t direct;

    find_place(session, &place);
    got = stream_read(&session->stream, place.iov, place.count);
    if (got <= 0)
        return got;
    count_read(session, &place, (size_t)got, is_first);
    direct = (size_t)got < place.direct ? (size_t)got : place.direct;
    if (direct)
        stream(session, job, NULL, direct);
    if (place.data == session->partial.data)
        session->partial.size += (size_t)got;
    take_input(session, job, place.data, place.kept + (size_t)got - direct);
    return got;
}

/* Several large bodies that TLS brings together make one batch: nothing else stands between them. */
static bool reads_on(const struct session *session, size_t octets)
{
    return session->stream.has_more && session->state == SESSION_RUNNING && !session->is_deaf &&
           !session->holds && !session->rest_waits && octets < loop_read_budget(session->loop);
}

static void read_and_submit(struct session *session)
{
    struct job *job = NULL;
    size_t octets = 0;
    ssize_t got;

    do {
        got = read_once(session, &job, octets == 0);
        if (got > 0)
            octets += (size_t)got;
    } while (got > 0 && reads_on(session, octets));
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        session_want_write(session, session->is_writing || session->stream.wants_write);
    else if (got <= 0 && octets)
        session->stream.has_more = true; /* the end, once more: what came before it goes first */
    else if (got <= 0)
        session_lost(session);
    if (job)
        session_submit(session, job);
    else if (octets && session->stream.has_more && session->is_reading)
        session_list_read(session);
}

void session_read(struct session *session)
{
    session_unlist_read(session);
    if (session->holds)
        return;
    if (session->rest_waits)
        take_rest(session);
    else
        read_and_submit(session);
}

void session_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct session *session = arg;

    (void)fd;
    (void)what;
    loop_takes_one(session->loop);
    if (session->holds)
        session_pause(session);
    else
        session_read(session);
}
