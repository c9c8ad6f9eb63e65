/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions through socket pairs: octets in and out, cut anywhere, held back, blocked, ended. What the methods
 * mean is tested elsewhere.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/frame.h"
#include "coney/properties.h"
#include "coney/xalloc.h"
#include "desk.h"
#include "server/session/session.h"
#include "wire.h"

#define TURNS_MAX   20000
#define SECONDS_MAX 40 /* for a test: one that waits for ever is killed */

static struct desk desk;

static void open_desk(void)
{
    alarm(SECONDS_MAX);
    desk_open(&desk, "log.level=none");
}

static void close_desk(void)
{
    for (unsigned i = 0; !desk_is_empty(&desk); i++) {
        cr_assert_lt(i, TURNS_MAX, "a session is never freed");
        desk_turn(&desk);
    }
    desk_close(&desk);
}

TestSuite(session, .init = open_desk, .fini = close_desk);

struct client {
    int fd;
    struct buffer out;
    struct wire_input in;
};

static struct client connect_client(int send_buffer)
{
    return (struct client){.fd = desk_connect(&desk, send_buffer)};
}

static void leave(struct client *client)
{
    close(client->fd);
    buffer_free(&client->out);
    wire_input_free(&client->in);
}

/* Send SIZE octets of what is to be sent, as fast as they are taken. */
static void say_some(struct client *client, size_t size)
{
    size_t at = 0;

    for (unsigned i = 0; at < size; i++) {
        ssize_t sent = send(client->fd, client->out.data + at, size - at, MSG_NOSIGNAL);

        cr_assert_lt(i, TURNS_MAX, "nobody reads what is sent");
        at += sent > 0 ? (size_t)sent : 0;
        desk_turn(&desk);
    }
    memmove(client->out.data, client->out.data + size, client->out.size - size);
    client->out.size -= size;
}

static void say(struct client *client)
{
    say_some(client, client->out.size);
}

/* The next frame, turning the loop as long as it takes; false at the end of the stream. */
static bool hear(struct client *client, struct wire_frame *frame)
{
    bool broken = false;

    for (unsigned i = 0; !wire_next(&client->in, frame, &broken); i++) {
        cr_assert_not(broken, "a frame without its end");
        cr_assert_lt(i, TURNS_MAX, "nothing is said");
        if (wire_receive(&client->in, client->fd, 0) == 0)
            return false;
        desk_turn(&desk);
    }
    return true;
}

static struct method hear_method(struct client *client, enum method_id id)
{
    struct wire_frame frame;

    cr_assert(hear(client, &frame), "the end, waiting for %s", method_name(id));
    cr_assert_eq(frame.type, FRAME_METHOD);
    cr_assert_eq(frame.method.id, id, "%s came, not %s", method_name(frame.method.id), method_name(id));
    return frame.method;
}

/* Tell whether anything has come, after some turns. */
static bool hears_something(struct client *client)
{
    struct wire_frame frame;
    bool broken = false;

    for (unsigned i = 0; i < 5; i++)
        desk_turn(&desk);
    wire_receive(&client->in, client->fd, 0);
    return wire_next(&client->in, &frame, &broken);
}

static void hear_login(struct client *client)
{
    hear_method(client, METHOD_CONNECTION_START);
    hear_method(client, METHOD_CONNECTION_TUNE);
    hear_method(client, METHOD_CONNECTION_OPEN_OK);
}

static struct client log_in(int send_buffer, uint32_t frame_max, uint16_t heartbeat)
{
    struct client client = connect_client(send_buffer);

    wire_put_login(&client.out, BYTES_LITERAL("/"), frame_max, heartbeat);
    wire_put_method(&client.out, 1, METHOD_CHANNEL_OPEN);
    wire_put_declare(&client.out, 1, "q");
    say(&client);
    hear_login(&client);
    hear_method(&client, METHOD_CHANNEL_OPEN_OK);
    hear_method(&client, METHOD_QUEUE_DECLARE_OK);
    return client;
}

static void put_publish(struct client *client, struct bytes body, uint32_t frame_max)
{
    struct method_basic_publish publish = {.routing_key = BYTES_LITERAL("q")};

    wire_put_publish(&client->out, 1, &publish, PROPERTIES_NONE, body, frame_max);
}

static void put_get(struct client *client)
{
    buffer_append_method(
        &client->out, 1,
        &(struct method){.id = METHOD_BASIC_GET, .basic_get = {.queue = BYTES_LITERAL("q"), .no_ack = true}});
}

/* Octets that differ from place to place. */
static struct bytes make_body(size_t size)
{
    uint8_t *body = xmalloc(size);

    for (size_t i = 0; i < size; i++)
        body[i] = (uint8_t)(i * 7 + i / 251);
    return (struct bytes){body, size};
}

/* Header and body frames of a content must give BODY. */
static void hear_content(struct client *client, struct bytes body, uint32_t frame_max)
{
    struct wire_frame frame;
    size_t at = 0;

    cr_assert(hear(client, &frame));
    cr_assert_eq(frame.type, FRAME_HEADER);
    cr_assert_eq(get_u64(frame.payload.data + 4), body.size);
    while (at < body.size) {
        cr_assert(hear(client, &frame));
        if (frame.channel == 0) /* frames of channel 0 may stand between */
            continue;
        cr_assert_eq(frame.type, FRAME_BODY);
        cr_assert_leq(frame.payload.size + FRAME_OVERHEAD, frame_max);
        cr_assert_leq(frame.payload.size, body.size - at);
        cr_assert_arr_eq(frame.payload.data, body.data + at, frame.payload.size);
        at += frame.payload.size;
    }
}

/* ---- octets cut anywhere ---- */

static void put_everything(struct client *client, struct bytes body)
{
    wire_put_login(&client->out, BYTES_LITERAL("/"), 4096, 0);
    wire_put_method(&client->out, 1, METHOD_CHANNEL_OPEN);
    wire_put_declare(&client->out, 1, "q");
    put_publish(client, body, 4096);
    put_get(client);
    wire_put_close(&client->out);
}

static void hear_everything(struct client *client, struct bytes body)
{
    struct wire_frame frame;

    hear_login(client);
    hear_method(client, METHOD_CHANNEL_OPEN_OK);
    hear_method(client, METHOD_QUEUE_DECLARE_OK);
    hear_method(client, METHOD_BASIC_GET_OK);
    hear_content(client, body, 4096);
    hear_method(client, METHOD_CONNECTION_CLOSE_OK);
    shutdown(client->fd, SHUT_WR);
    cr_assert_not(hear(client, &frame), "more comes after close-ok");
}

Test(session, takes_frames_cut_at_any_octet)
{
    struct bytes body = BYTES_LITERAL("twelve chars");
    size_t cut = 1, size;

    do {
        struct client client = connect_client(0);

        put_everything(&client, body);
        size = client.out.size;
        say_some(&client, cut);
        say(&client);
        hear_everything(&client, body);
        leave(&client);
    } while (++cut < size);
}

Test(session, takes_one_octet_at_a_time)
{
    struct client client = connect_client(0);
    struct bytes body = make_body(13000); /* apart, and in four frames */

    put_everything(&client, body);
    while (client.out.size)
        say_some(&client, 1);
    hear_everything(&client, body);
    leave(&client);
    free((void *)(uintptr_t)body.data);
}

Test(session, carries_bodies_of_any_size_through_small_sockets)
{
    static const size_t sizes[] = {0, 1, 4088, 4089, 12287, 12288, 12289, 65536, 300000, 3000000};
    struct client client = log_in(4096, 4096, 0);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct bytes body = make_body(sizes[i]);

        put_publish(&client, body, 4096);
        put_get(&client);
        say(&client);
        hear_method(&client, METHOD_BASIC_GET_OK);
        hear_content(&client, body, 4096);
        free((void *)(uintptr_t)body.data);
    }
    leave(&client);
}

/* ---- what the stream may not be ---- */

static void expect_close(struct client *client, uint16_t code, const char *text)
{
    struct method method = hear_method(client, METHOD_CONNECTION_CLOSE);
    struct wire_frame frame;

    cr_assert_eq(method.connection_close.reply_code, code);
    cr_assert(bytes_equal_string(method.connection_close.reply_text, text), "it says: %.*s",
              BYTES_ARG(method.connection_close.reply_text));
    shutdown(client->fd, SHUT_WR);
    cr_assert_not(hear(client, &frame));
    leave(client);
}

Test(session, refuses_a_frame_that_is_too_large)
{
    struct client client = log_in(0, 4096, 0);
    uint8_t header[FRAME_HEADER_SIZE];

    frame_header_put(header, FRAME_METHOD, 1, 4097); /* RabbitMQ allows the overhead twice */
    buffer_append(&client.out, header, sizeof header);
    say(&client);
    expect_close(&client, 501, "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,4097,4088}");
}

Test(session, takes_a_frame_of_just_the_size)
{
    struct client client = log_in(0, 4096, 0);
    struct bytes body = make_body(4088);

    put_publish(&client, body, 4096);
    put_get(&client);
    say(&client);
    hear_method(&client, METHOD_BASIC_GET_OK);
    leave(&client);
    free((void *)(uintptr_t)body.data);
}

Test(session, answers_what_came_before_an_error_first)
{
    struct client client = log_in(0, 4096, 0);
    static const uint8_t nonsense[] = {FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, 0x11};

    wire_put_qos(&client.out, 1, 3);
    buffer_append(&client.out, nonsense, sizeof nonsense);
    wire_put_qos(&client.out, 1, 3);
    say(&client);
    hear_method(&client, METHOD_BASIC_QOS_OK);
    expect_close(&client, 501, "FRAME_ERROR - type 8, all octets = <<>>: {invalid_frame_end_marker,17}");
}

/* ---- ends ---- */

/* Whatever was under way: the session and all its memory go, which close_desk() and the sanitizer see. */
Test(session, may_end_anywhere)
{
    struct bytes body = make_body(13000);
    size_t size = 1;

    for (size_t cut = 0; cut < size; cut += cut < 400 ? 1 : 97) {
        struct client client = connect_client(4096);

        put_everything(&client, body);
        size = client.out.size;
        say_some(&client, cut);
        leave(&client);
    }
    free((void *)(uintptr_t)body.data);
}

Test(session, gives_back_what_its_reader_leaves)
{
    struct client reader = log_in(4096, 4096, 0), writer = log_in(0, 4096, 0);
    struct bytes body = make_body(50000);

    wire_put_consume(&reader.out, 1, "q", false);
    say(&reader);
    for (unsigned i = 0; i < 100; i++)
        put_publish(&writer, body, 4096);
    say(&writer);
    hear_method(&reader, METHOD_BASIC_CONSUME_OK);
    leave(&reader);
    for (unsigned i = 0; i < 10; i++)
        desk_turn(&desk);
    wire_put_declare(&writer.out, 1, "q");
    say(&writer);
    cr_assert_eq(hear_method(&writer, METHOD_QUEUE_DECLARE_OK).queue_declare_ok.message_count, 100);
    leave(&writer);
    free((void *)(uintptr_t)body.data);
}

/* ---- being held back ---- */

static uint64_t ready_messages(void)
{
    struct queue_info info;

    cr_assert(vhost_queue_info(desk.server->runners->vhost, BYTES_LITERAL("q"), &info));
    return info.ready;
}

static void set_memory(bool low)
{
    desk.server->memory_high = UINT64_MAX;
    desk.server->memory_low = low ? 0 : UINT64_MAX;
    if (low)
        atomic_store(&desk.server->alarms, SERVER_ALARM_MEMORY);
    desk_turn(&desk);
}

Test(session, blocks_who_publishes_while_memory_is_low)
{
    struct client client = log_in(0, 4096, 0), other = log_in(0, 4096, 0);

    set_memory(true);
    wire_put_qos(&client.out, 1, 1);
    say(&client);
    hear_method(&client, METHOD_BASIC_QOS_OK); /* who does not publish is not blocked */

    put_publish(&client, BYTES_LITERAL(""), 4096); /* whole with the frame that blocks */
    for (unsigned i = 0; i < 9; i++)
        put_publish(&client, BYTES_LITERAL("x"), 4096);
    wire_put_qos(&client.out, 1, 2);
    say(&client);
    hear_method(&client, METHOD_CONNECTION_BLOCKED);
    cr_assert_not(hears_something(&client));

    put_get(&other);
    say(&other);
    hear_method(&other, METHOD_BASIC_GET_OK);
    cr_assert_eq(ready_messages(), 0);

    set_memory(false);
    hear_method(&client, METHOD_CONNECTION_UNBLOCKED);
    hear_method(&client, METHOD_BASIC_QOS_OK);
    cr_assert_eq(ready_messages(), 9);
    leave(&client);
    leave(&other);
}

/* The last word of a turn is written in it, or in one that follows at once: nobody has to wait for an event.
 */
Test(session, says_that_the_alarm_is_over_without_being_asked)
{
    struct client client = log_in(0, 4096, 0);

    set_memory(true);
    put_publish(&client, BYTES_LITERAL("x"), 4096);
    say(&client);
    hear_method(&client, METHOD_CONNECTION_BLOCKED);
    desk.server->memory_low = UINT64_MAX;
    for (char octet; recv(client.fd, &octet, 1, MSG_PEEK) < 0;)
        loop_turn(desk.loop, true); /* would sleep for a minute if nothing woke it */
    hear_method(&client, METHOD_CONNECTION_UNBLOCKED);
    leave(&client);
}

/* What was read before the alarm is taken up by whichever reason to hold it ends last: no octet that comes
 * later has to do it. */
Test(session, goes_on_when_the_last_reason_to_hold_it_ends)
{
    for (int alarm_ends_last = 0; alarm_ends_last < 2; alarm_ends_last++) {
        struct client client = log_in(0, 4096, 0);
        struct session *session = desk.loop->sessions;
        uint64_t before = ready_messages();

        set_memory(true);
        for (unsigned i = 0; i < 3; i++)
            put_publish(&client, BYTES_LITERAL("x"), 4096);
        say(&client);
        hear_method(&client, METHOD_CONNECTION_BLOCKED);
        session_hold(session, SESSION_HOLD_STORE, true);
        if (alarm_ends_last)
            session_hold(session, SESSION_HOLD_STORE, false);
        else
            set_memory(false);
        cr_assert_eq(hears_something(&client), !alarm_ends_last);
        cr_assert_eq(ready_messages(), before);
        if (alarm_ends_last)
            set_memory(false);
        else
            session_hold(session, SESSION_HOLD_STORE, false);
        for (unsigned i = 0; i < 5; i++)
            desk_turn(&desk);
        cr_assert_eq(ready_messages(), before + 3);
        leave(&client);
    }
}

/* Deliveries under way are bounded, and none is lost. */
Test(session, does_not_run_away_from_a_slow_reader)
{
    struct client reader = log_in(4096, 4096, 0), writer = log_in(0, 4096, 0);
    struct bytes body = make_body(3000);

    wire_put_consume(&reader.out, 1, "q", true);
    say(&reader);
    for (unsigned i = 0; i < 2000; i++)
        put_publish(&writer, body, 4096);
    say(&writer);
    cr_assert_gt(ready_messages(), 1000, "all of it is under way to who does not read");
    hear_method(&reader, METHOD_BASIC_CONSUME_OK);
    for (uint64_t tag = 1; tag <= 2000; tag++) {
        cr_assert_eq(hear_method(&reader, METHOD_BASIC_DELIVER).basic_deliver.delivery_tag, tag);
        hear_content(&reader, body, 4096);
    }
    leave(&reader);
    leave(&writer);
    free((void *)(uintptr_t)body.data);
}

/* A client that writes before it reads must not be waited for: it does not read until it has written. */
Test(session, reads_on_from_who_consumes_what_it_publishes)
{
    struct client client = log_in(4096, 4096, 0);
    struct bytes body = make_body(3000);

    wire_put_consume(&client.out, 1, "q", true);
    for (unsigned i = 0; i < 8000; i++)
        put_publish(&client, body, 4096);
    say(&client);
    hear_method(&client, METHOD_BASIC_CONSUME_OK);
    for (uint64_t tag = 1; tag <= 8000; tag++) {
        cr_assert_eq(hear_method(&client, METHOD_BASIC_DELIVER).basic_deliver.delivery_tag, tag);
        hear_content(&client, body, 4096);
    }
    leave(&client);
    free((void *)(uintptr_t)body.data);
}

/* ---- time ---- */

Test(session, sends_heartbeats_and_ends_who_sends_none)
{
    struct client client = log_in(0, 4096, 1);
    struct wire_frame frame;
    unsigned beats = 0;
    bool broken = false;
    ssize_t got;

    do {
        loop_turn(desk.loop, true);
        got = wire_receive(&client.in, client.fd, 0);
        while (wire_next(&client.in, &frame, &broken)) {
            cr_assert_eq(frame.type, FRAME_HEARTBEAT);
            beats++;
        }
    } while (got != 0);
    cr_assert_geq(beats, 2);
    leave(&client);
}

Test(session, keeps_who_sends_heartbeats)
{
    struct client client = log_in(0, 4096, 1);
    struct wire_frame frame;

    for (unsigned beats = 0; beats < 8; beats++) { /* four seconds: twice what silence is given */
        bool broken = false;

        while (!wire_next(&client.in, &frame, &broken)) {
            loop_turn(desk.loop, true);
            cr_assert_neq(wire_receive(&client.in, client.fd, 0), 0, "closed after %u heartbeats", beats);
        }
        cr_assert_eq(frame.type, FRAME_HEARTBEAT);
        wire_put_frame(&client.out, FRAME_HEARTBEAT, 0, (struct bytes){NULL, 0});
        say(&client);
    }
    leave(&client);
}
