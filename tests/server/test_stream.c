/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions through TLS: records of any size, keys that change amid everything, ends, and that nobody who
 * brings much holds up the loop. What sessions do with octets is tested with plain ones.
 */
#include <criterion/criterion.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/frame.h"
#include "coney/properties.h"
#include "coney/tls_context.h"
#include "coney/xalloc.h"
#include "desk.h"
#include "server/session/session.h"
#include "tls_kit.h"
#include "wire.h"

#define TURNS_MAX   40000
#define SECONDS_MAX 60

static struct desk desk;
static struct tls_contexts *contexts;

static void open_desk(void)
{
    struct kit_pair ca = kit_simple("ca", NULL), server = kit_simple("server", &ca);
    struct config_tls config;
    char why[TLS_WHY_SIZE];

    alarm(SECONDS_MAX);
    desk_open(&desk, "log.level=none");
    kit_open();
    kit_write_certificate("ca.pem", &ca, NULL);
    kit_write_certificate("server.pem", &server, NULL);
    kit_write_key("server.key", &server, NULL);
    config = kit_config();
    contexts = tls_contexts_new(&config, why);
    cr_assert_not_null(contexts, "%s", why);
    kit_pair_free(&ca);
    kit_pair_free(&server);
}

static void close_desk(void)
{
    for (unsigned i = 0; !desk_is_empty(&desk); i++) {
        cr_assert_lt(i, TURNS_MAX, "a session is never freed");
        desk_turn(&desk);
    }
    desk_close(&desk);
    tls_contexts_leave(contexts);
    kit_close();
}

TestSuite(stream, .init = open_desk, .fini = close_desk);

/* ---- a client ---- */

struct client {
    int fd;
    SSL *tls;
    struct buffer out;
    struct wire_input in;
};

static struct client connect_client(int version, int buffer)
{
    struct client client = {0};
    SSL_CTX *context = kit_client(NULL);

    if (version) {
        SSL_CTX_set_min_proto_version(context, version);
        SSL_CTX_set_max_proto_version(context, version);
    }
    client.tls = kit_connect(&desk, context, tls_contexts_first(contexts), buffer);
    client.fd = SSL_get_fd(client.tls);
    SSL_CTX_free(context);
    return client;
}

static void leave(struct client *client)
{
    SSL_free(client->tls);
    close(client->fd);
    buffer_free(&client->out);
    wire_input_free(&client->in);
}

static void receive(struct client *client)
{
    char octets[20000];
    int n;

    while ((n = SSL_read(client->tls, octets, sizeof octets)) > 0)
        buffer_append(&client->in.octets, (const uint8_t *)octets, (size_t)n);
}

/* Send what is to be sent in records of SIZE octets. */
static void say_in_records(struct client *client, size_t size)
{
    size_t at = 0;

    for (unsigned i = 0; at < client->out.size; i++) {
        size_t left = client->out.size - at;
        int sent = SSL_write(client->tls, client->out.data + at, (int)(left < size ? left : size));

        cr_assert_lt(i, 100 * TURNS_MAX, "nobody reads what is sent");
        at += sent > 0 ? (size_t)sent : 0;
        desk_turn(&desk);
    }
    buffer_clear(&client->out);
}

static void say(struct client *client)
{
    say_in_records(client, 16384);
}

/* The next frame, turning the loop as long as it takes; false at the end of the stream. */
static bool hear(struct client *client, struct wire_frame *frame)
{
    bool broken = false;

    for (unsigned i = 0; !wire_next(&client->in, frame, &broken); i++) {
        cr_assert_not(broken, "a frame without its end");
        cr_assert_lt(i, TURNS_MAX, "nothing is said");
        if (client->in.at) { /* as wire_receive() does */
            memmove(client->in.octets.data, client->in.octets.data + client->in.at,
                    client->in.octets.size - client->in.at);
            client->in.octets.size -= client->in.at;
            client->in.at = 0;
        }
        receive(client);
        if (SSL_get_shutdown(client->tls) & SSL_RECEIVED_SHUTDOWN && !client->in.octets.size)
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

static void put_log_in(struct client *client, uint32_t frame_max)
{
    wire_put_login(&client->out, BYTES_LITERAL("/"), frame_max, 0);
    wire_put_method(&client->out, 1, METHOD_CHANNEL_OPEN);
    wire_put_declare(&client->out, 1, "q");
}

static void hear_log_in(struct client *client)
{
    hear_method(client, METHOD_CONNECTION_START);
    hear_method(client, METHOD_CONNECTION_TUNE);
    hear_method(client, METHOD_CONNECTION_OPEN_OK);
    hear_method(client, METHOD_CHANNEL_OPEN_OK);
    hear_method(client, METHOD_QUEUE_DECLARE_OK);
}

static struct client log_in(int version, int buffer, uint32_t frame_max)
{
    struct client client = connect_client(version, buffer);

    put_log_in(&client, frame_max);
    say(&client);
    hear_log_in(&client);
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

static struct bytes make_body(size_t size)
{
    uint8_t *body = xmalloc(size);

    for (size_t i = 0; i < size; i++)
        body[i] = (uint8_t)(i * 7 + i / 251);
    return (struct bytes){body, size};
}

static void hear_content(struct client *client, struct bytes body)
{
    struct wire_frame frame;
    size_t at = 0;

    hear_method(client, METHOD_BASIC_GET_OK);
    cr_assert(hear(client, &frame));
    cr_assert_eq(frame.type, FRAME_HEADER);
    while (at < body.size) {
        cr_assert(hear(client, &frame));
        cr_assert_eq(frame.type, FRAME_BODY);
        cr_assert_leq(frame.payload.size, body.size - at);
        cr_assert_arr_eq(frame.payload.data, body.data + at, frame.payload.size);
        at += frame.payload.size;
    }
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* ---- records ---- */

Test(stream, records_of_any_size)
{
    static const size_t sizes[] = {1, 2, 7, 8, 100, 4096, 16384};
    struct bytes body = BYTES_LITERAL("twelve chars");

    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        struct client client = connect_client(versions[i % 2], 0);

        put_log_in(&client, 4096);
        put_publish(&client, body, 4096);
        put_get(&client);
        wire_put_close(&client.out);
        say_in_records(&client, sizes[i / 2]);
        hear_log_in(&client);
        hear_content(&client, body);
        hear_method(&client, METHOD_CONNECTION_CLOSE_OK);
        leave(&client);
    }
}

/* Through socket buffers that hold a part of a record at most. */
Test(stream, large_bodies_through_small_buffers)
{
    struct bytes body = make_body(1 << 20);

    for (size_t i = 0; i < 4; i++) {
        uint32_t frame_max = i < 2 ? 4096 : 131072;
        struct client client = log_in(versions[i % 2], 4096, frame_max);

        put_publish(&client, body, frame_max);
        put_get(&client);
        say(&client);
        hear_content(&client, body);
        leave(&client);
    }
    free((void *)(uintptr_t)body.data);
}

/* A body that comes in one burst is read in many turns: others want to be served in between. */
Test(stream, one_turn_reads_so_much_and_no_more)
{
    struct bytes body = make_body(4 << 20);
    struct client client = log_in(0, 0, 4096);
    int before = 0, after = 0, sent = 1;
    size_t at = 0;

    put_publish(&client, body, 4096);
    at = (size_t)SSL_write(client.tls, client.out.data, 4096); /* and the vhost is told of it */
    for (unsigned i = 0; i < 5; i++)
        desk_turn(&desk);
    while (at < client.out.size && sent > 0) { /* as much as the socket takes */
        sent = SSL_write(client.tls, client.out.data + at, 16384);
        at += sent > 0 ? (size_t)sent : 0;
    }
    ioctl(client.fd, SIOCOUTQ, &before);
    desk_turn(&desk);
    ioctl(client.fd, SIOCOUTQ, &after);
    cr_assert_gt(before, 3 * (int)LOOP_READ_SIZE, "the socket holds too little for this test");
    cr_assert_lt(after, before, "nothing was read");
    cr_assert_lt(before - after, 3 * (int)LOOP_READ_SIZE, "%d octets in one turn", before - after);
    free((void *)(uintptr_t)body.data);
    leave(&client);
}

/* ---- new keys ---- */

Test(stream, new_keys_amid_everything)
{
    struct bytes body = make_body(100000);
    struct client client = log_in(TLS1_3_VERSION, 0, 4096);

    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(
            SSL_key_update(client.tls, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        put_publish(&client, body, 4096);
        put_get(&client);
        say_in_records(&client, 999);
        hear_content(&client, body);
    }
    free((void *)(uintptr_t)body.data);
    leave(&client);
}

/* Write to the client until its socket is full. */
static void fill_output(struct client *client, struct bytes body)
{
    wire_put_consume(&client->out, 1, "q", true);
    for (unsigned i = 0; i < 10; i++)
        put_publish(client, body, 131072);
    say(client);
    for (unsigned i = 0; i < 10; i++)
        desk_turn(&desk);
}

/* Deliveries of SIZE octets, and answers to queue.declare, as they come. */
static void hear_all(struct client *client, size_t size, unsigned declared)
{
    struct wire_frame frame;
    size_t octets = 0;

    hear_method(client, METHOD_BASIC_CONSUME_OK);
    while (octets < size || declared) {
        cr_assert(hear(client, &frame), "the end");
        if (frame.type == FRAME_BODY)
            octets += frame.payload.size;
        else if (frame.type == FRAME_METHOD && frame.method.id == METHOD_QUEUE_DECLARE_OK)
            declared--;
    }
    cr_assert_eq(octets, size);
}

/* Send a method, a request for new keys, and a method, all at once. */
static void say_request_between(struct client *client)
{
    BIO *socket_bio = SSL_get_wbio(client->tls), *held = BIO_new(BIO_s_mem());
    char *octets;
    long size;

    BIO_up_ref(socket_bio);
    SSL_set0_wbio(client->tls, held);
    for (unsigned i = 0; i < 2; i++) {
        buffer_clear(&client->out);
        wire_put_declare(&client->out, 1, i ? "second" : "first");
        cr_assert_gt(SSL_write(client->tls, client->out.data, (int)client->out.size), 0);
        if (i == 0)
            cr_assert_eq(SSL_key_update(client->tls, SSL_KEY_UPDATE_REQUESTED), 1);
    }
    buffer_clear(&client->out);
    size = BIO_get_mem_data(held, &octets);
    cr_assert_eq(send(client->fd, octets, (size_t)size, MSG_NOSIGNAL), size);
    SSL_set0_wbio(client->tls, socket_bio);
    for (unsigned i = 0; i < 10; i++)
        desk_turn(&desk);
}

/* A request for new keys whose answer does not fit: what is behind it must not be lost. */
Test(stream, new_keys_while_deliveries_wait)
{
    struct bytes body = make_body(200000);
    struct client client = log_in(TLS1_3_VERSION, 4096, 131072);

    fill_output(&client, body);
    say_request_between(&client);
    hear_all(&client, 10 * body.size, 2);
    free((void *)(uintptr_t)body.data);
    leave(&client);
}

/* The same when nothing waits to be written but the answer to the request. */
Test(stream, new_keys_while_the_socket_is_full)
{
    struct client client = log_in(TLS1_3_VERSION, 4096, 131072);
    size_t full = 0;
    ssize_t n;
    char octets[1000] = "";

    while ((n = send(desk.loop->sessions->stream.fd, octets, sizeof octets, MSG_NOSIGNAL)) > 0)
        full += (size_t)n;
    while ((n = send(desk.loop->sessions->stream.fd, octets, 1, MSG_NOSIGNAL)) > 0)
        full += (size_t)n;
    say_request_between(&client);
    while (full && (n = recv(client.fd, octets, full < sizeof octets ? full : sizeof octets, 0)) > 0)
        full -= (size_t)n;
    cr_assert_eq(full, 0);
    hear_method(&client, METHOD_QUEUE_DECLARE_OK);
    hear_method(&client, METHOD_QUEUE_DECLARE_OK);
    leave(&client);
}

/* ---- ends ---- */

/* Turn until the peer's socket has ended; tell whether close_notify came before. */
static bool hears_end(struct client *client)
{
    char octet;

    for (unsigned i = 0; recv(client->fd, &octet, 1, MSG_PEEK) != 0; i++) {
        cr_assert_lt(i, TURNS_MAX, "the socket does not end");
        receive(client);
        desk_turn(&desk);
    }
    receive(client);
    return SSL_get_error(client->tls, SSL_read(client->tls, &octet, 1)) == SSL_ERROR_ZERO_RETURN;
}

Test(stream, end_of_the_client_is_answered)
{
    for (size_t i = 0; i < 2; i++) {
        struct client client = log_in(versions[i], 0, 4096);

        SSL_shutdown(client.tls);
        cr_assert(hears_end(&client), "no close_notify");
        leave(&client);
    }
}

Test(stream, end_of_the_server_is_said)
{
    for (size_t i = 0; i < 2; i++) {
        struct client client = log_in(versions[i], 0, 4096);

        wire_put_method(&client.out, 0, METHOD_CONNECTION_UNBLOCKED);
        say(&client);
        hear_method(&client, METHOD_CONNECTION_CLOSE);
        wire_put_method(&client.out, 0, METHOD_CONNECTION_CLOSE_OK);
        say(&client);
        cr_assert(hears_end(&client), "no close_notify");
        leave(&client);
    }
}

/* What came before the end counts. */
Test(stream, octets_and_the_end_at_once)
{
    struct client client = log_in(0, 0, 4096), other = log_in(0, 0, 4096);

    put_publish(&client, BYTES_LITERAL("the last"), 4096);
    SSL_write(client.tls, client.out.data, (int)client.out.size);
    SSL_shutdown(client.tls);
    cr_assert(hears_end(&client));
    put_get(&other);
    say(&other);
    hear_content(&other, BYTES_LITERAL("the last"));
    leave(&client);
    leave(&other);
}

/* A client that vanishes in the middle of a record, or sends what is none. */
Test(stream, broken_records)
{
    static const char rubbish[] = "\x17\x03\x03\x00\x20 this is not what the keys would make of it";
    struct client client = log_in(0, 0, 4096);

    cr_assert_gt(send(client.fd, "\x17\x03\x03\x40", 4, 0), 0);
    desk_turn(&desk);
    cr_assert_not_null(desk.loop->sessions);
    shutdown(client.fd, SHUT_WR);
    hears_end(&client);
    leave(&client);
    client = log_in(0, 0, 4096);
    cr_assert_gt(send(client.fd, rubbish, sizeof rubbish, 0), 0);
    cr_assert_not(hears_end(&client), "an alert, not a regular end");
    leave(&client);
}
