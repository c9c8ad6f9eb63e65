/* SPDX-License-Identifier: Apache-2.0 */
/* client.h, on the project's own codec. */
#include "client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/frame.h"
#include "coney/properties.h"
#include "coney/table.h"
#include "tool.h"

#define READ_SIZE      (256 * 1024)
#define BODY_SIZE      16
#define BLOCK_COUNT    500 /* messages in one write */
#define CLASS_BASIC    60
#define TIMEOUT_S      30 /* without a word from the broker: give up */
#define VIRTUAL_HOST   BYTES_LITERAL("/")
#define PLAIN_AS_GUEST BYTES_LITERAL("\0guest\0guest")

void client_send(struct client *client, struct bytes octets)
{
    while (octets.size) {
        ssize_t sent = send(client->fd, octets.data, octets.size, MSG_NOSIGNAL);

        if (sent < 0)
            die("send: %s", strerror(errno));
        octets = (struct bytes){octets.data + sent, octets.size - (size_t)sent};
    }
}

void client_send_method(struct client *client, uint16_t channel, const struct method *method)
{
    struct buffer frame = {0};

    buffer_append_method(&frame, channel, method);
    client_send(client, buffer_bytes(&frame));
    buffer_free(&frame);
}

void client_fill(struct client *client)
{
    struct buffer *in = &client->in;
    ssize_t got;

    in->size -= client->in_at;
    memmove(in->data, in->data + client->in_at, in->size);
    client->in_at = 0;
    got = recv(client->fd, buffer_reserve(in, READ_SIZE), READ_SIZE, 0);
    if (got <= 0)
        die("%s", got == 0 ? "the broker closed the connection" : strerror(errno));
    in->size += (size_t)got;
}

static void check_close(struct bytes payload)
{
    struct method method;

    if (method_decode(&method, payload) != METHOD_OK)
        return;
    if (method.id == METHOD_CONNECTION_CLOSE)
        die("connection closed: %.*s", BYTES_ARG(method.connection_close.reply_text));
    if (method.id == METHOD_CHANNEL_CLOSE)
        die("channel closed: %.*s", BYTES_ARG(method.channel_close.reply_text));
}

bool client_next(struct client *client, uint8_t *type, struct bytes *payload)
{
    const uint8_t *at = client->in.data + client->in_at;
    size_t there = client->in.size - client->in_at;
    struct frame_header header;

    if (there < FRAME_HEADER_SIZE)
        return false;
    header = frame_header_get(at);
    if (there < FRAME_OVERHEAD + (size_t)header.size)
        return false;
    client->in_at += FRAME_OVERHEAD + (size_t)header.size;
    *type = header.type;
    *payload = (struct bytes){at + FRAME_HEADER_SIZE, header.size};
    if (header.type == FRAME_METHOD)
        check_close(*payload);
    return true;
}

void client_expect(struct client *client, enum method_id id, struct method *out)
{
    struct bytes payload;
    uint8_t type;

    for (;;) {
        while (client_next(client, &type, &payload))
            if (type == FRAME_METHOD && method_decode(out, payload) == METHOD_OK && out->id == id)
                return;
        client_fill(client);
    }
}

static void log_in(struct client *client)
{
    struct method method = {.id = METHOD_CONNECTION_START_OK}, answer;

    client_send(client, BYTES_LITERAL("AMQP\0\0\x09\x01"));
    client_expect(client, METHOD_CONNECTION_START, &answer);
    method.connection_start_ok = (struct method_connection_start_ok){
        .mechanism = BYTES_LITERAL("PLAIN"), .response = PLAIN_AS_GUEST, .locale = BYTES_LITERAL("en_US")};
    client_send_method(client, 0, &method);
    client_expect(client, METHOD_CONNECTION_TUNE, &answer);
    method = (struct method){.id = METHOD_CONNECTION_TUNE_OK};
    method.connection_tune_ok = (struct method_connection_tune_ok){
        .frame_max = answer.connection_tune.frame_max, .channel_max = answer.connection_tune.channel_max};
    client_send_method(client, 0, &method);
    method = (struct method){.id = METHOD_CONNECTION_OPEN};
    method.connection_open.virtual_host = VIRTUAL_HOST;
    client_send_method(client, 0, &method);
    client_expect(client, METHOD_CONNECTION_OPEN_OK, &answer);
    client_send_method(client, CLIENT_CHANNEL, &(struct method){.id = METHOD_CHANNEL_OPEN});
    client_expect(client, METHOD_CHANNEL_OPEN_OK, &answer);
}

void client_open(struct client *client, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    int one = 1;

    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("port %u: %s", port, strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    buffer_reserve(&client->in, READ_SIZE);
    log_in(client);
}

void client_drop(struct client *client)
{
    close(client->fd);
    buffer_free(&client->in);
}

uint32_t client_declare(struct client *client, struct bytes queue, int64_t length_max)
{
    struct method declare = {.id = METHOD_QUEUE_DECLARE}, answer;
    struct buffer arguments = {0};
    struct table_builder builder = table_builder_init(&arguments);

    table_put_int(&builder, "x-max-length", length_max);
    declare.queue_declare =
        (struct method_queue_declare){.queue = queue, .arguments = buffer_bytes(&arguments)};
    client_send_method(client, CLIENT_CHANNEL, &declare);
    client_expect(client, METHOD_QUEUE_DECLARE_OK, &answer);
    buffer_free(&arguments);
    return answer.queue_declare_ok.message_count;
}

void client_delete_queue(struct client *client, struct bytes queue)
{
    struct method request = {.id = METHOD_QUEUE_DELETE}, answer;

    request.queue_delete.queue = queue;
    client_send_method(client, CLIENT_CHANNEL, &request);
    client_expect(client, METHOD_QUEUE_DELETE_OK, &answer);
}

/* ---- the publisher ---- */

static void append_publishes(struct buffer *block, struct bytes queue, unsigned count)
{
    static const uint8_t body[BODY_SIZE] = "0123456789abcde";
    struct method publish = {.id = METHOD_BASIC_PUBLISH};
    uint8_t *at;

    publish.basic_publish.routing_key = queue;
    while (count--) {
        size_t header_size = frame_content_header_size(PROPERTIES_NONE.size);

        buffer_append_method(block, CLIENT_CHANNEL, &publish);
        at = buffer_reserve(block, header_size + FRAME_OVERHEAD + BODY_SIZE);
        at = frame_content_header_put(at, CLIENT_CHANNEL, CLASS_BASIC, BODY_SIZE, PROPERTIES_NONE);
        at = frame_header_put(at, FRAME_BODY, CLIENT_CHANNEL, BODY_SIZE);
        frame_end_put(put_bytes(at, (struct bytes){body, BODY_SIZE}));
        block->size += header_size + FRAME_OVERHEAD + BODY_SIZE;
    }
}

void flood_some(uint16_t port, struct bytes queue, unsigned count)
{
    struct buffer block = {0};
    struct client client;
    struct method answer;

    client_open(&client, port);
    append_publishes(&block, queue, BLOCK_COUNT);
    for (unsigned sent = 0; sent < count; sent += BLOCK_COUNT)
        client_send(&client, buffer_bytes(&block));
    client_send_method(&client, CLIENT_CHANNEL, &(struct method){.id = METHOD_CHANNEL_CLOSE});
    client_expect(&client, METHOD_CHANNEL_CLOSE_OK, &answer);
    client_drop(&client);
    buffer_free(&block);
}

static void *flood_main(void *argument)
{
    struct flood *flood = argument;
    size_t at = 0;

    while (!flood->is_stopping) {
        ssize_t sent = send(flood->client.fd, flood->block.data + at, flood->block.size - at, MSG_NOSIGNAL);

        if (sent < 0 && !flood->is_stopping)
            die("publishing: %s", strerror(errno));
        at += sent > 0 ? (size_t)sent : 0;
        if (at == flood->block.size) {
            at = 0;
            flood->published += BLOCK_COUNT;
        }
    }
    return NULL;
}

void flood_start(struct flood *flood, uint16_t port, struct bytes queue)
{
    *flood = (struct flood){0};
    client_open(&flood->client, port);
    append_publishes(&flood->block, queue, BLOCK_COUNT);
    if (pthread_create(&flood->thread, NULL, flood_main, flood) != 0)
        die("cannot start a thread");
}

void flood_stop(struct flood *flood)
{
    flood->is_stopping = true;
    shutdown(flood->client.fd, SHUT_RDWR); /* wakes a blocked send */
    pthread_join(flood->thread, NULL);
    client_drop(&flood->client);
    buffer_free(&flood->block);
}
