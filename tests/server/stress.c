/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole server under load, in this process, so that the sanitizers see all of it: several loops, several
 * vhosts, and clients that publish, consume, do not read, send nonsense and die at any moment.
 *
 * Every message has a number, and a ledger says what is known of it. What must hold:
 *
 * - what was confirmed is delivered at least once, or is still in its queue at the end;
 * - what was delivered before is marked redelivered; what is settled is not delivered again;
 * - new messages of one publisher come to a consumer in their order, octets unharmed;
 * - nobody waits for ever; when all clients are gone the memory that they used is free again;
 * - SIGTERM ends the server whatever its clients do, and then its queues hold what they must.
 *
 * Usage: stress [--seconds N] [--threads N] [--seed N] [--messages N]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "coney/config.h"
#include "coney/frame.h"
#include "coney/log.h"
#include "coney/pool.h"
#include "coney/properties.h"
#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "server/server.h"
#include "wire.h"

#define PUBLISHERS  8
#define CONSUMERS   8
#define VISITORS    6
#define WORKERS     (PUBLISHERS + CONSUMERS + VISITORS)
#define VHOSTS      3
#define QUEUES      3
#define IDS_MAX     (1U << 22)
#define PATIENCE_S  100 /* for one answer; sanitizers on a busy machine are slow */
#define LEFT_BEHIND 500 /* messages for the server to keep to its end */
#define UNREAD      200 /* large ones, for a client that does not read */

#define STOP_WITHIN_S 20 /* the server's own patience is 3 s */

static const char *const vhosts[VHOSTS] = {"/", "one", "two"};
static const char *const queues[QUEUES] = {"q0", "q1", "q2"};

/* ---- the ledger ---- */

enum mark {
    MARK_CONFIRMED = 1,
    MARK_DELIVERED = 2,
    MARK_SETTLED = 4, /* and the broker has said something since */
};

static _Atomic uint8_t ledger[IDS_MAX];
static atomic_uint last_id;
static atomic_uint lives, confirmed, delivered, deaths;
static atomic_bool is_over, publishers_are_gone;
static uint16_t port;
static unsigned messages_max = IDS_MAX - 100000;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("stress: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

/* ---- chance ---- */

struct worker {
    pthread_t thread;
    unsigned number;
    uint64_t random;
};

static uint32_t chance(struct worker *worker, uint32_t below)
{
    worker->random = worker->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((worker->random >> 33) % below);
}

/* ---- one connection ---- */

struct life {
    struct worker *worker;
    uint32_t number;
    struct buffer out;
    struct wire_input in;
    int fd;
    uint32_t frame_max;
    /* publisher: ids by sequence number, all up to `told` are confirmed */
    uint32_t *ids;
    uint32_t published, unconfirmed;
    /* consumer: ids by delivery tag; 0 when acknowledged */
    uint32_t *unsettled;
    uint32_t tags;
    uint32_t *acked; /* since the last answer */
    uint32_t acked_count;
    struct {
        uint32_t publisher, sequence;
    } seen[64];
    /* content on its way in */
    struct method_basic_deliver deliver;
    bool is_return;
    bool is_leaving; /* what still comes has gone back to its queue already */
    uint64_t body_size;
    struct buffer body;
    unsigned returned, got;
};

#define LIFE_MESSAGES 20000 /* of one publisher or consumer */

static void life_begin(struct life *life, struct worker *worker)
{
    *life = (struct life){.worker = worker, .fd = -1, .frame_max = chance(worker, 2) ? WIRE_FRAME_MAX : 4096};
    life->ids = xcalloc(LIFE_MESSAGES + 1, sizeof *life->ids);
    life->unsettled = xcalloc(LIFE_MESSAGES + 1, sizeof *life->unsettled);
    life->acked = xcalloc(LIFE_MESSAGES + 1, sizeof *life->acked);
    life->number = atomic_fetch_add(&lives, 1) + 1;
}

static void life_end(struct life *life)
{
    close(life->fd);
    buffer_free(&life->out);
    buffer_free(&life->body);
    wire_input_free(&life->in);
    free(life->ids);
    free(life->unsettled);
    free(life->acked);
}

static void life_connect(struct life *life, int receive_buffer)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {.tv_sec = PATIENCE_S};

    life->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(life->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(life->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (receive_buffer)
        setsockopt(life->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if (connect(life->fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect: %s", strerror(errno));
}

/* Returns false when the broker has closed the socket. */
static bool life_try_send(struct life *life)
{
    size_t at = 0;

    while (at < life->out.size) {
        ssize_t sent = send(life->fd, life->out.data + at, life->out.size - at, MSG_NOSIGNAL);

        if (sent < 0 && errno == EAGAIN)
            fail("worker %u: nobody takes what is sent", life->worker->number);
        if (sent < 0)
            return false;
        at += (size_t)sent;
    }
    buffer_clear(&life->out);
    return true;
}

static void life_send(struct life *life)
{
    if (!life_try_send(life))
        fail("worker %u: send: %s", life->worker->number, strerror(errno));
}

/* ---- messages ---- */

struct head {
    uint32_t id, size, publisher, sequence;
    uint32_t is_late; /* comes through the queue with a TTL: out of order */
};

/* Mostly small, some large enough to be apart, few that take many frames. */
static uint32_t choose_size(struct worker *worker)
{
    static const uint32_t sizes[] = {20, 64, 300, 5000};
    uint32_t sort = chance(worker, 1000);

    if (sort < 600)
        return 20 + chance(worker, 100);
    if (sort < 990)
        return sizes[sort % 4];
    return sort < 998 ? 20000 : 300000;
}

static void publish(struct life *life, bool late)
{
    struct worker *worker = life->worker;
    uint32_t size = choose_size(worker);
    struct head head = {.id = atomic_fetch_add(&last_id, 1) + 1,
                        .size = size,
                        .publisher = life->number,
                        .sequence = life->published + 1,
                        .is_late = late};
    struct method_basic_publish method = {.mandatory = true};
    uint8_t *body = xmalloc(size);

    memset(body, (int)head.id, size);
    memcpy(body, &head, sizeof head);
    method.routing_key = bytes_from_string(late ? "late" : queues[chance(worker, QUEUES)]);
    wire_put_publish(&life->out, 1, &method, PROPERTIES_NONE, (struct bytes){body, size}, life->frame_max);
    free(body);
    life->ids[++life->published] = head.id;
    life->unconfirmed++;
}

static void confirm(struct life *life, uint32_t sequence, bool multiple)
{
    uint32_t from = sequence;

    if (sequence == 0 || sequence > life->published)
        fail("worker %u: confirm of %u, published are %u", life->worker->number, sequence, life->published);
    if (multiple)
        while (from > 1 && life->ids[from - 1])
            from--;
    for (; from <= sequence; from++) {
        if (!life->ids[from])
            fail("worker %u: %u is confirmed twice", life->worker->number, from);
        atomic_fetch_or(&ledger[life->ids[from]], MARK_CONFIRMED);
        atomic_fetch_add(&confirmed, 1);
        life->ids[from] = 0;
        life->unconfirmed--;
    }
}

static void check_order(struct life *life, const struct head *head)
{
    unsigned i = head->publisher % 64;

    if (life->seen[i].publisher == head->publisher && life->seen[i].sequence >= head->sequence)
        fail("worker %u: message %u of publisher %u after %u", life->worker->number, head->sequence,
             head->publisher, life->seen[i].sequence);
    life->seen[i].publisher = head->publisher;
    life->seen[i].sequence = head->sequence;
}

static void take_message(struct life *life)
{
    struct head head;
    uint8_t before;

    if (life->body.size < sizeof head)
        fail("worker %u: a body of %zu octets", life->worker->number, life->body.size);
    memcpy(&head, life->body.data, sizeof head);
    if (life->body.size != head.size || head.id > atomic_load(&last_id))
        fail("worker %u: message %u has %zu octets, not %u", life->worker->number, head.id, life->body.size,
             head.size);
    for (size_t i = sizeof head; i < head.size; i += i < 64 ? 1 : 509)
        if (life->body.data[i] != (uint8_t)head.id)
            fail("worker %u: message %u is damaged at octet %zu", life->worker->number, head.id, i);
    if (life->is_leaving)
        return;
    before = atomic_fetch_or(&ledger[head.id], MARK_DELIVERED);
    if (before & MARK_SETTLED)
        fail("worker %u: message %u was settled", life->worker->number, head.id);
    if (before & MARK_DELIVERED && !life->deliver.redelivered)
        fail("worker %u: message %u (%u of publisher %u%s) came before, and is not marked",
             life->worker->number, head.id, head.sequence, head.publisher,
             head.is_late ? ", dead-lettered" : "");
    if (!life->deliver.redelivered && !head.is_late)
        check_order(life, &head);
    atomic_fetch_add(&delivered, 1);
    life->got++;
    if (life->deliver.delivery_tag != ++life->tags)
        fail("worker %u: delivery tag %llu, not %u", life->worker->number,
             (unsigned long long)life->deliver.delivery_tag, life->tags);
    if (life->tags <= LIFE_MESSAGES)
        life->unsettled[life->tags] = head.id;
}

static void content_is_here(struct life *life)
{
    if (life->is_return)
        life->returned++;
    else
        take_message(life);
}

/* What any frame means for the ledger. */
static void life_take(struct life *life, const struct wire_frame *frame)
{
    switch (frame->type) {
    case FRAME_HEADER:
        life->body_size = get_u64(frame->payload.data + 4);
        buffer_clear(&life->body);
        if (life->body_size == 0)
            content_is_here(life);
        return;
    case FRAME_BODY:
        buffer_append_bytes(&life->body, frame->payload);
        if (life->body.size >= life->body_size)
            content_is_here(life);
        return;
    case FRAME_METHOD:
        break;
    default:
        return;
    }
    switch (frame->method.id) {
    case METHOD_BASIC_DELIVER:
        life->deliver = frame->method.basic_deliver;
        life->is_return = false;
        break;
    case METHOD_BASIC_RETURN:
        life->is_return = true;
        break;
    case METHOD_BASIC_ACK:
        confirm(life, (uint32_t)frame->method.basic_ack.delivery_tag, frame->method.basic_ack.multiple);
        break;
    case METHOD_CONNECTION_CLOSE:
        fail("worker %u: connection closed: %.*s", life->worker->number,
             BYTES_ARG(frame->method.connection_close.reply_text));
    case METHOD_CHANNEL_CLOSE:
        fail("worker %u: channel closed: %.*s", life->worker->number,
             BYTES_ARG(frame->method.channel_close.reply_text));
    default:
        break;
    }
}

/* The next frame, waiting for it; false at the end of the stream. */
static bool life_frame(struct life *life, struct wire_frame *frame)
{
    bool broken = false;

    while (!wire_next(&life->in, frame, &broken)) {
        ssize_t got;

        if (broken)
            fail("worker %u: a frame without its end", life->worker->number);
        got = wire_receive(&life->in, life->fd, 0);
        if (got < 0 && errno == EAGAIN)
            fail("worker %u: no answer", life->worker->number);
        if (got <= 0)
            return false;
    }
    return true;
}

/* Read until METHOD comes. FRAME is valid until more is read. */
static void life_expect(struct life *life, enum method_id method, struct wire_frame *frame)
{
    do {
        if (!life_frame(life, frame))
            fail("worker %u: end of stream, waiting for %s", life->worker->number, method_name(method));
        if (frame->type != FRAME_METHOD || frame->method.id != method)
            life_take(life, frame);
    } while (frame->type != FRAME_METHOD || frame->method.id != method);
}

static void life_call(struct life *life, enum method_id answer)
{
    struct wire_frame frame;

    life_send(life);
    life_expect(life, answer, &frame);
}

/* Take what is here, without waiting longer than MS for the first of it. */
static void life_poll(struct life *life, int ms)
{
    struct pollfd pollfd = {.fd = life->fd, .events = POLLIN};
    struct wire_frame frame;
    bool broken = false;

    if (poll(&pollfd, 1, ms) > 0 && wire_receive(&life->in, life->fd, MSG_DONTWAIT) <= 0 && errno != EAGAIN)
        fail("worker %u: the broker has gone", life->worker->number);
    while (wire_next(&life->in, &frame, &broken))
        life_take(life, &frame);
    if (broken)
        fail("worker %u: a frame without its end", life->worker->number);
}

static void life_log_in(struct life *life, const char *vhost)
{
    wire_put_login(&life->out, bytes_from_string(vhost), life->frame_max, 0);
    wire_put_method(&life->out, 1, METHOD_CHANNEL_OPEN);
    life_call(life, METHOD_CHANNEL_OPEN_OK);
}

/* ---- ways to go ---- */

static void reset(struct life *life)
{
    struct linger linger = {.l_onoff = 1};

    setsockopt(life->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void leave_politely(struct life *life)
{
    struct wire_frame frame;

    wire_put_close(&life->out);
    life->is_leaving = true;
    life_call(life, METHOD_CONNECTION_CLOSE_OK);
    shutdown(life->fd, SHUT_WR);
    if (life_frame(life, &frame))
        fail("worker %u: more after close-ok", life->worker->number);
}

/* End with something said and not heard. */
static void die(struct life *life)
{
    static const uint8_t beginning[] = {FRAME_METHOD, 0, 1, 0, 0, 0, 40, 0, 60};

    atomic_fetch_add(&deaths, 1);
    switch (chance(life->worker, 5)) {
    case 0:
        reset(life);
        break;
    case 1:
        shutdown(life->fd, SHUT_WR);
        break;
    case 2:
        buffer_append(&life->out, beginning, sizeof beginning);
        life_try_send(life);
        break;
    case 3: /* with a batch under way, likely: half of what there is to say, and no waiting */
        life->out.size -= life->out.size / 2;
        life_try_send(life);
        reset(life);
        break;
    default:
        life_try_send(life);
    }
}

/* ---- those who publish ---- */

static void be_publisher(struct worker *worker)
{
    uint32_t bursts = 1 + chance(worker, 30);
    struct life life;

    life_begin(&life, worker);
    life_connect(&life, 0);
    life_log_in(&life, vhosts[chance(worker, VHOSTS)]);
    wire_put_method(&life.out, 1, METHOD_CONFIRM_SELECT);
    life_call(&life, METHOD_CONFIRM_SELECT_OK);
    while (bursts-- && !atomic_load(&is_over)) {
        uint32_t count = 1 + chance(worker, chance(worker, 4) ? 20 : 400);

        if (atomic_load(&last_id) >= messages_max)
            break;
        while (count--)
            publish(&life, chance(worker, 16) == 0);
        if (bursts == 0 && chance(worker, 2)) {
            die(&life);
            life_end(&life);
            return;
        }
        life_send(&life);
        while (life.unconfirmed > 500)
            life_poll(&life, PATIENCE_S * 1000);
        life_poll(&life, 0);
    }
    for (time_t begun = time(NULL); life.unconfirmed; life_poll(&life, 1000))
        if (time(NULL) - begun > PATIENCE_S)
            fail("worker %u: %u messages are never confirmed", worker->number, life.unconfirmed);
    if (life.returned)
        fail("worker %u: %u messages came back", worker->number, life.returned);
    leave_politely(&life);
    life_end(&life);
}

/* ---- those who consume ---- */

static void note_acked(struct life *life, uint32_t tag)
{
    if (!life->unsettled[tag])
        return;
    life->acked[life->acked_count++] = life->unsettled[tag];
    life->unsettled[tag] = 0;
}

static void settle_some(struct life *life, uint32_t *oldest)
{
    struct worker *worker = life->worker;
    uint32_t way = chance(worker, 20), tag = life->tags;

    while (tag >= *oldest && !life->unsettled[tag])
        tag--;
    if (tag < *oldest)
        return;
    if (way < 8) { /* all */
        wire_put_ack(&life->out, 1, tag, true);
        for (; *oldest <= tag; ++*oldest)
            note_acked(life, *oldest);
    } else if (way < 18) { /* one by one, the newest first */
        for (; tag >= *oldest; tag--)
            if (life->unsettled[tag] && chance(worker, 3)) {
                wire_put_ack(&life->out, 1, tag, false);
                note_acked(life, tag);
            }
    } else if (way == 18) { /* give one back */
        struct method nack = {.id = METHOD_BASIC_NACK, .basic_nack = {.delivery_tag = tag, .requeue = true}};

        buffer_append_method(&life->out, 1, &nack);
        life->unsettled[tag] = 0;
    }
    life_send(life);
}

/* Let the broker say something: then what was acknowledged before is settled. */
static void settle_for_good(struct life *life, uint16_t prefetch)
{
    wire_put_qos(&life->out, 1, prefetch);
    life_call(life, METHOD_BASIC_QOS_OK);
    for (uint32_t i = 0; i < life->acked_count; i++)
        atomic_fetch_or(&ledger[life->acked[i]], MARK_SETTLED);
    life->acked_count = 0;
}

static void be_consumer(struct worker *worker)
{
    static const uint16_t prefetches[] = {3, 50, 300, 2000};
    uint16_t prefetch = prefetches[chance(worker, 4)];
    uint32_t turns = 20 + chance(worker, 200), oldest = 1;
    struct life life;

    life_begin(&life, worker);
    life_connect(&life, 0);
    life_log_in(&life, vhosts[chance(worker, VHOSTS)]);
    wire_put_qos(&life.out, 1, prefetch);
    wire_put_consume(&life.out, 1, queues[chance(worker, QUEUES)], false);
    life_call(&life, METHOD_BASIC_CONSUME_OK);
    while (turns-- && !atomic_load(&publishers_are_gone) && life.tags + prefetch < LIFE_MESSAGES) {
        life_poll(&life, 20);
        settle_some(&life, &oldest);
        if (chance(worker, 8) == 0)
            settle_for_good(&life, prefetch);
    }
    if (chance(worker, 2)) {
        die(&life);
    } else {
        settle_for_good(&life, prefetch);
        leave_politely(&life);
    }
    life_end(&life);
}

/* ---- visitors: those who do everything else ---- */

/* Consume without a limit, and do not read. */
static void be_deaf(struct worker *worker)
{
    struct life life;

    life_begin(&life, worker);
    life_connect(&life, 4096);
    life_log_in(&life, vhosts[chance(worker, VHOSTS)]);
    wire_put_consume(&life.out, 1, chance(worker, 2) ? "stuck" : queues[chance(worker, QUEUES)], false);
    life_send(&life);
    poll(NULL, 0, (int)chance(worker, 200)); /* not waiting for anything: being slow */
    die(&life);
    life_end(&life);
}

/* Publish without confirms, and be gone while it is dealt with. */
static void hit_and_run(struct worker *worker)
{
    struct method_basic_publish method = {.routing_key = BYTES_LITERAL("stuck")};
    static const uint8_t body[40000];
    struct life life;

    life_begin(&life, worker);
    life_connect(&life, 0);
    wire_put_login(&life.out, bytes_from_string(vhosts[chance(worker, VHOSTS)]), life.frame_max, 0);
    wire_put_method(&life.out, 1, METHOD_CHANNEL_OPEN);
    wire_put_consume(&life.out, 1, "stuck", chance(worker, 2));
    for (uint32_t i = chance(worker, 300); i; i--)
        wire_put_publish(&life.out, 1, &method, PROPERTIES_NONE,
                         (struct bytes){body, chance(worker, 30) ? chance(worker, 500) : sizeof body},
                         life.frame_max);
    if (chance(worker, 2))
        life_try_send(&life);
    die(&life);
    life_end(&life);
}

static void send_nonsense(struct worker *worker)
{
    struct wire_frame frame;
    struct life life;
    uint32_t from;

    life_begin(&life, worker);
    life_connect(&life, 0);
    wire_put_login(&life.out, BYTES_LITERAL("one"), WIRE_FRAME_MAX, 0);
    wire_put_method(&life.out, 1, METHOD_CHANNEL_OPEN);
    wire_put_declare(&life.out, 1, "nonsense");
    from = chance(worker, (uint32_t)life.out.size);
    for (uint32_t i = chance(worker, 8); i; i--)
        life.out.data[from + chance(worker, (uint32_t)life.out.size - from)] ^=
            (uint8_t)(1 + chance(worker, 255));
    life.out.size -= chance(worker, 3) ? 0 : chance(worker, (uint32_t)life.out.size);
    if (life_try_send(&life) && chance(worker, 2)) {
        shutdown(life.fd, SHUT_WR);
        while (life_frame(&life, &frame))
            ;
    }
    if (chance(worker, 2))
        reset(&life);
    life_end(&life);
}

static void declare_passive(struct life *life, uint16_t channel, const char *queue)
{
    buffer_append_method(
        &life->out, channel,
        &(struct method){.id = METHOD_QUEUE_DECLARE,
                         .queue_declare = {.queue = bytes_from_string(queue), .passive = true}});
}

/* Channels that open, fail and close, queues of their own, messages that nobody wants. */
static void be_restless(struct worker *worker)
{
    struct method declare = {.id = METHOD_QUEUE_DECLARE, .queue_declare = {.exclusive = true}};
    struct method bind = {
        .id = METHOD_QUEUE_BIND,
        .queue_bind = {.exchange = BYTES_LITERAL("amq.topic"), .routing_key = BYTES_LITERAL("restless.#")}};
    struct method_basic_publish lost = {
        .exchange = BYTES_LITERAL("amq.topic"), .routing_key = BYTES_LITERAL("nobody"), .mandatory = true};
    struct wire_frame frame;
    struct life life;

    life_begin(&life, worker);
    life_connect(&life, 0);
    life_log_in(&life, vhosts[chance(worker, VHOSTS)]);
    for (uint16_t channel = 2; channel < 20; channel++) {
        wire_put_method(&life.out, channel, METHOD_CHANNEL_OPEN);
        buffer_append_method(&life.out, channel, &declare);
        buffer_append_method(&life.out, channel, &bind); /* of the queue just declared */
        wire_put_publish(&life.out, channel, &lost, PROPERTIES_NONE, BYTES_LITERAL("?"), life.frame_max);
        if (channel % 3 == 0)
            declare_passive(&life, channel, "there is no such queue");
        else
            buffer_append_method(&life.out, channel, &(struct method){.id = METHOD_CHANNEL_CLOSE});
        life_send(&life);
        life_expect(&life, METHOD_QUEUE_BIND_OK, &frame);
        life_expect(&life, METHOD_BASIC_RETURN, &frame);
        life.is_return = true;
        life_expect(&life, channel % 3 ? METHOD_CHANNEL_CLOSE_OK : METHOD_CHANNEL_CLOSE, &frame);
        if (channel % 3 == 0)
            wire_put_method(&life.out, channel, METHOD_CHANNEL_CLOSE_OK);
    }
    if (life.returned != 18)
        fail("worker %u: %u messages came back, not 18", worker->number, life.returned);
    if (chance(worker, 2))
        leave_politely(&life);
    else
        die(&life);
    life_end(&life);
}

static void *work(void *argument)
{
    struct worker *worker = argument;

    while (!atomic_load(worker->number < CONSUMERS ? &publishers_are_gone : &is_over)) {
        if (worker->number < CONSUMERS)
            be_consumer(worker);
        else if (worker->number < CONSUMERS + PUBLISHERS)
            be_publisher(worker);
        else
            switch (chance(worker, 4)) {
            case 0:
                be_deaf(worker);
                break;
            case 1:
                hit_and_run(worker);
                break;
            case 2:
                send_nonsense(worker);
                break;
            default:
                be_restless(worker);
            }
    }
    return NULL;
}

/* ---- before and after ---- */

struct stress {
    struct server *server;
    unsigned seconds;
    uint64_t seed;
    int announced; /* what the server prints */
    struct worker self;
    uint64_t memory_before;
    struct timespec signalled;
    struct life last[4]; /* who is there when the server is told to stop */
};

static void read_port(struct stress *stress)
{
    char text[4096];
    size_t size = 0;
    ssize_t got;
    char *colon;

    while ((got = read(stress->announced, text + size, sizeof text - 1 - size)) > 0) {
        size += (size_t)got;
        text[size] = 0;
        if (strstr(text, "ready\n"))
            break;
    }
    colon = strrchr(text, ':');
    if (!colon)
        fail("the server does not say where it listens");
    port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

/* Declare what everybody uses. */
static void make_queues(struct stress *stress, const char *vhost)
{
    /* { "x-message-ttl": 20, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q0" } */
    struct method late = {
        .id = METHOD_QUEUE_DECLARE,
        .queue_declare = {.queue = BYTES_LITERAL("late"),
                          .arguments = BYTES_LITERAL("\x0dx-message-ttlI\0\0\0\x14"
                                                     "\x16x-dead-letter-exchangeS\0\0\0\0"
                                                     "\x19x-dead-letter-routing-keyS\0\0\0\x02"
                                                     "q0")}};
    /* { "x-max-length": 2000 } */
    struct method stuck = {.id = METHOD_QUEUE_DECLARE,
                           .queue_declare = {.queue = BYTES_LITERAL("stuck"),
                                             .arguments = BYTES_LITERAL("\x0cx-max-lengthI\0\0\x07\xd0")}};
    struct life life;

    life_begin(&life, &stress->self);
    life_connect(&life, 0);
    life_log_in(&life, vhost);
    for (unsigned i = 0; i < QUEUES; i++)
        wire_put_declare(&life.out, 1, queues[i]);
    buffer_append_method(&life.out, 1, &late);
    buffer_append_method(&life.out, 1, &stuck);
    for (unsigned i = 0; i < QUEUES + 2; i++)
        life_call(&life, METHOD_QUEUE_DECLARE_OK);
    leave_politely(&life);
    life_end(&life);
}

static uint32_t count_of(struct life *life, const char *queue)
{
    struct wire_frame frame;

    declare_passive(life, 1, queue);
    life_send(life);
    life_expect(life, METHOD_QUEUE_DECLARE_OK, &frame);
    return frame.method.queue_declare_ok.message_count;
}

/* Wait until nobody is connected but COUNT. */
static void wait_for_connections(struct stress *stress, uint64_t count)
{
    for (unsigned i = 0; atomic_load(&stress->server->connection_count) != count; i++) {
        if (i > PATIENCE_S * 100)
            fail("%llu connections are left, not %llu",
                 (unsigned long long)atomic_load(&stress->server->connection_count),
                 (unsigned long long)count);
        poll(NULL, 0, 10);
    }
}

static void drain(struct stress *stress, const char *vhost)
{
    struct life life;

    life_begin(&life, &stress->self);
    life_connect(&life, 0);
    life_log_in(&life, vhost);
    for (unsigned i = 0; count_of(&life, "late"); i++) {
        if (i > PATIENCE_S * 100)
            fail("messages in %s stay beyond their time", vhost);
        poll(NULL, 0, 10);
    }
    for (unsigned i = 0; i < QUEUES; i++) {
        uint32_t count = count_of(&life, queues[i]);

        life.got = 0;
        memset(life.seen, 0, sizeof life.seen);
        wire_put_consume(&life.out, 1, queues[i], true);
        life_send(&life);
        while (life.got < count)
            life_poll(&life, PATIENCE_S * 1000);
        if (count_of(&life, queues[i]) || life.got != count)
            fail("%s in %s: %u messages came, not %u", queues[i], vhost, life.got, count);
    }
    buffer_append_method(
        &life.out, 1,
        &(struct method){.id = METHOD_QUEUE_PURGE, .queue_purge = {.queue = BYTES_LITERAL("stuck")}});
    life_call(&life, METHOD_QUEUE_PURGE_OK);
    leave_politely(&life);
    life_end(&life);
}

static void check_ledger(void)
{
    uint32_t last = atomic_load(&last_id);

    for (uint32_t id = 1; id <= last; id++)
        if (atomic_load(&ledger[id]) == MARK_CONFIRMED)
            fail("message %u was confirmed and is lost", id);
}

/* What a pool keeps for itself: in each thread one page of each class. */
static uint64_t memory_slack(const struct stress *stress)
{
    (void)stress;
#if defined(__SANITIZE_ADDRESS__)
    return 65536;
#else
    return (uint64_t)(stress->server->loop_count + 2) * 30 * 65536;
#endif
}

static void check_memory(struct stress *stress)
{
    uint64_t limit = stress->memory_before + memory_slack(stress);

    for (unsigned i = 0; pool_bytes_in_use() > limit; i++) {
        if (i > 1000)
            fail("%llu octets are in use, %llu were before", (unsigned long long)pool_bytes_in_use(),
                 (unsigned long long)stress->memory_before);
        /* A loop takes back what others freed when it turns. */
        for (unsigned loop = 0; loop < stress->server->loop_count; loop++)
            loop_wake(&stress->server->loops[loop]);
        poll(NULL, 0, 10);
    }
}

/* Leave messages behind, and clients that do what a server must survive at its end. */
static void prepare_end(struct stress *stress)
{
    struct method_basic_publish kept = {.routing_key = BYTES_LITERAL("q1")},
                                unread = {.routing_key = BYTES_LITERAL("q2")};
    uint8_t *large = xcalloc(1, 100000);
    struct life *life = &stress->last[0];

    life_begin(life, &stress->self); /* answers */
    life_connect(life, 0);
    life_log_in(life, "one");
    for (unsigned i = 0; i < LEFT_BEHIND; i++)
        wire_put_publish(&life->out, 1, &kept, PROPERTIES_NONE, BYTES_LITERAL("kept"), WIRE_FRAME_MAX);
    for (unsigned i = 0; i < UNREAD; i++)
        wire_put_publish(&life->out, 1, &unread, PROPERTIES_NONE, (struct bytes){large, 100000},
                         life->frame_max);
    free(large);
    life_send(life);
    if (count_of(life, "q1") != LEFT_BEHIND || count_of(life, "q2") != UNREAD)
        fail("not all that was left behind is there");

    life = &stress->last[1]; /* never reads */
    life_begin(life, &stress->self);
    life_connect(life, 4096);
    life_log_in(life, "one");
    wire_put_consume(&life->out, 1, "q2", false);
    life_send(life);
    while (count_of(&stress->last[0], "q2") == UNREAD)
        ;

    life = &stress->last[2]; /* reads, and answers nothing */
    life_begin(life, &stress->self);
    life_connect(life, 0);
    life_log_in(life, "two");

    life = &stress->last[3]; /* has not come far */
    life_begin(life, &stress->self);
    life_connect(life, 0);
    wire_put_start(&life->out);
    life_send(life);
}

static void be_told_to_go(struct life *life)
{
    struct wire_frame frame;

    life_expect(life, METHOD_CONNECTION_CLOSE, &frame);
    if (frame.method.connection_close.reply_code != 320)
        fail("closed with %u at the end", frame.method.connection_close.reply_code);
    wire_put_method(&life->out, 0, METHOD_CONNECTION_CLOSE_OK);
    life_send(life);
    if (life_frame(life, &frame))
        fail("the server says more after close-ok");
}

static void *drive(void *argument)
{
    struct stress *stress = argument;
    struct worker workers[WORKERS];

    read_port(stress);
    for (unsigned i = 0; i < VHOSTS; i++)
        make_queues(stress, vhosts[i]);
    wait_for_connections(stress, 0);
    stress->memory_before = pool_bytes_in_use();
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.number = i, .random = stress->seed * 1000 + i};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    poll(NULL, 0, (int)stress->seconds * 1000);
    atomic_store(&is_over, true);
    /* Consumers stay until the last publisher has gone: memory may be low, and nobody else makes room. */
    for (unsigned i = CONSUMERS; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    atomic_store(&publishers_are_gone, true);
    for (unsigned i = 0; i < CONSUMERS; i++)
        pthread_join(workers[i].thread, NULL);
    wait_for_connections(stress, 0);
    for (unsigned i = 0; i < VHOSTS; i++)
        drain(stress, vhosts[i]);
    check_ledger();
    wait_for_connections(stress, 0);
    check_memory(stress);
    prepare_end(stress);
    clock_gettime(CLOCK_MONOTONIC, &stress->signalled);
    kill(getpid(), SIGTERM);
    be_told_to_go(&stress->last[0]);
    return NULL;
}

/* ---- the server's side ---- */

static void report(void *context, const char *text)
{
    (void)context;
    fail("%s", text);
}

/* Three vhosts come by definitions; guest's rights in those that are not its own are given here. */
static struct server *make_server(struct config *config, unsigned threads)
{
    static const char definitions[] = "{\"vhosts\":[{\"name\":\"/\"},{\"name\":\"one\"},{\"name\":\"two\"}]}";
    char path[] = "stress-definitions-XXXXXX", load[64], loops[32], why[SERVER_WHY_SIZE];
    const char *overrides[] = {"listeners.tcp.1=127.0.0.1:0", "vm_memory_high_watermark.absolute=96MiB",
                               "handshake_timeout=2000", loops, load};
    int fd = mkstemp(path);
    enum server_failure failure;
    struct server *server;

    if (fd < 0 || write(fd, definitions, sizeof definitions - 1) < 0)
        fail("%s: %s", path, strerror(errno));
    close(fd);
    snprintf(loops, sizeof loops, "threads=%u", threads);
    snprintf(load, sizeof load, "load_definitions=%s", path);
    if (!config_load(config,
                     &(struct config_source){NULL, NULL, overrides, sizeof overrides / sizeof *overrides},
                     report, NULL))
        fail("the configuration is not taken");
    log_set_level(LOG_LEVEL_NONE);
    server = server_new(config, &failure, why);
    unlink(path);
    if (!server)
        fail("%s", why);
    for (unsigned i = 0; i < VHOSTS; i++)
        vhost_set_permission(server_find_vhost(server, bytes_from_string(vhosts[i]))->vhost,
                             BYTES_LITERAL("guest"), BYTES_LITERAL(".*"), BYTES_LITERAL(".*"),
                             BYTES_LITERAL(".*"));
    server->spread_percent = 0;
    return server;
}

/* Run the server in this thread and DRIVE in another; what it prints goes to stress->announced. */
static void run(struct stress *stress)
{
    int printed[2], before = dup(STDOUT_FILENO);
    sigset_t all, mask;
    pthread_t driver;

    if (pipe(printed) < 0 || before < 0)
        fail("pipe: %s", strerror(errno));
    fflush(stdout);
    dup2(printed[1], STDOUT_FILENO);
    stress->announced = printed[0];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    pthread_create(&driver, NULL, drive, stress);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    server_run(stress->server, NULL);
    pthread_join(driver, NULL);
    dup2(before, STDOUT_FILENO);
    close(before);
    close(printed[0]);
    close(printed[1]);
}

static void check_end(struct stress *stress)
{
    struct timespec now;
    struct queue_info info;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - stress->signalled.tv_sec > STOP_WITHIN_S)
        fail("stopping took %ld s", (long)(now.tv_sec - stress->signalled.tv_sec));
    for (unsigned i = 0; i < VHOSTS; i++) {
        struct vhost_info all;

        vhost_info(server_find_vhost(stress->server, bytes_from_string(vhosts[i]))->vhost, &all);
        if (all.connections || all.channels)
            fail("%s has %llu connections and %llu channels at the end", vhosts[i],
                 (unsigned long long)all.connections, (unsigned long long)all.channels);
    }
    vhost_queue_info(server_find_vhost(stress->server, BYTES_LITERAL("one"))->vhost, BYTES_LITERAL("q1"),
                     &info);
    if (info.ready != LEFT_BEHIND || info.unacked)
        fail("%llu messages were left, not %u", (unsigned long long)info.ready, LEFT_BEHIND);
    vhost_queue_info(server_find_vhost(stress->server, BYTES_LITERAL("one"))->vhost, BYTES_LITERAL("q2"),
                     &info);
    if (info.ready != UNREAD || info.unacked)
        fail("%llu messages that nobody read were left, not %u", (unsigned long long)info.ready, UNREAD);
}

static void on_alarm(int number)
{
    static const char text[] = "stress: this does not end\n";

    (void)number;
    _exit(write(STDERR_FILENO, text, sizeof text - 1) > 0 ? 1 : 2);
}

static unsigned parse(int argc, char **argv, struct stress *stress)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"seed", required_argument, NULL, 'r'},
                                            {"messages", required_argument, NULL, 'm'},
                                            {NULL, 0, NULL, 0}};
    unsigned threads = 4;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        unsigned long value = optarg ? strtoul(optarg, NULL, 10) : 0;

        if (option == 's')
            stress->seconds = (unsigned)value;
        else if (option == 't')
            threads = (unsigned)value;
        else if (option == 'r')
            stress->seed = value;
        else if (option == 'm' && value < messages_max)
            messages_max = (unsigned)value;
        else
            fail("usage: stress [--seconds N] [--threads N] [--seed N] [--messages N]");
    }
    return threads;
}

int main(int argc, char **argv)
{
    struct stress stress = {.seconds = 4, .seed = (uint64_t)time(NULL), .self = {.number = 99}};
    unsigned threads = parse(argc, argv, &stress);
    struct config config;

    printf("seed %llu\n", (unsigned long long)stress.seed);
    signal(SIGALRM, on_alarm);
    alarm(stress.seconds + 3 * PATIENCE_S);
    stress.server = make_server(&config, threads);
    run(&stress);
    check_end(&stress);
    for (unsigned i = 0; i < sizeof stress.last / sizeof *stress.last; i++)
        life_end(&stress.last[i]);
    stress.memory_before = 0;
    server_free(stress.server);
    config_free(&config);
    if (pool_bytes_in_use() > (uint64_t)(threads + 3) * 30 * 65536)
        fail("%llu octets are in use at the end", (unsigned long long)pool_bytes_in_use());
    printf("%u connections, %u died; %u messages, %u confirmed, %u delivered\n", atomic_load(&lives),
           atomic_load(&deaths), atomic_load(&last_id), atomic_load(&confirmed), atomic_load(&delivered));
    return 0;
}
