/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a server can cost which holds idle connections and answers queue.declare: the limit for the
 * idle10k and declare50k rows of a comparison, which wirelimit has no part in.
 *
 * One thread, level-triggered epoll. What a client asks while it connects, declares, deletes and closes gets
 * a fixed reply; nothing is remembered but, for each connection, whether it has greeted and the octets of a
 * frame that is not all there. Any other request ends the connection.
 *
 *     bare-acceptor [--port N]      prints "listening amqp 127.0.0.1:PORT", then "ready"
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/buffer.h"
#include "coney/frame.h"
#include "coney/method.h"
#include "coney/table.h"
#include "coney/xalloc.h"
#include "tool.h"

#define EVENTS_MAX    256
#define READ_SIZE     (256 * 1024)
#define FRAME_MAX     131072
#define GREETING_SIZE 8

/* What stands here for a connection, at the place of its descriptor. */
struct peer {
    uint8_t *rest; /* of a frame: owned, NULL for nothing */
    uint32_t rest_size;
    bool has_greeted;
};

static struct peer *peers;
static int peers_capacity;
static struct buffer input, output;
static struct buffer start_frame, tune_frame;
static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
    (void)number;
    is_stopped = 1;
}

/* ---- replies ---- */

static void make_fixed_frames(void)
{
    struct method method = {.id = METHOD_CONNECTION_START};
    struct buffer properties = {0};
    struct table_builder builder = table_builder_init(&properties);

    table_put_longstr(&builder, "product", BYTES_LITERAL("bare-acceptor"));
    method.connection_start = (struct method_connection_start){.server_properties = buffer_bytes(&properties),
                                                               .mechanisms = BYTES_LITERAL("PLAIN"),
                                                               .locales = BYTES_LITERAL("en_US"),
                                                               .version_minor = 9};
    buffer_append_method(&start_frame, 0, &method);
    buffer_free(&properties);
    method = (struct method){.id = METHOD_CONNECTION_TUNE};
    method.connection_tune = (struct method_connection_tune){.frame_max = FRAME_MAX, .channel_max = 2047};
    buffer_append_method(&tune_frame, 0, &method);
}

static void reply(uint16_t channel, const struct method *method)
{
    buffer_append_method(&output, channel, method);
}

static void reply_declared(uint16_t channel, struct bytes payload)
{
    struct method request, declared = {.id = METHOD_QUEUE_DECLARE_OK};

    if (method_decode(&request, payload) != METHOD_OK)
        return;
    declared.queue_declare_ok.queue = request.queue_declare.queue;
    reply(channel, &declared);
}

/* Answer the method in PAYLOAD; false when that is not known here. */
static bool answer(uint16_t channel, struct bytes payload)
{
    switch (payload.size >= 4 ? get_u32(payload.data) : 0) {
    case METHOD_CONNECTION_START_OK:
        buffer_append_bytes(&output, buffer_bytes(&tune_frame));
        return true;
    case METHOD_CONNECTION_TUNE_OK:
        return true;
    case METHOD_CONNECTION_OPEN:
        reply(channel, &(struct method){.id = METHOD_CONNECTION_OPEN_OK});
        return true;
    case METHOD_CONNECTION_CLOSE:
        reply(channel, &(struct method){.id = METHOD_CONNECTION_CLOSE_OK});
        return true;
    case METHOD_CHANNEL_OPEN:
        reply(channel, &(struct method){.id = METHOD_CHANNEL_OPEN_OK});
        return true;
    case METHOD_CHANNEL_CLOSE:
        reply(channel, &(struct method){.id = METHOD_CHANNEL_CLOSE_OK});
        return true;
    case METHOD_QUEUE_DECLARE:
        reply_declared(channel, payload);
        return true;
    case METHOD_QUEUE_DELETE:
        reply(channel, &(struct method){.id = METHOD_QUEUE_DELETE_OK});
        return true;
    default:
        return false;
    }
}

/* Take one greeting or frame off the front of DATA. False when it is not all there, or no good: then *BAD is
 * set. */
static bool take(struct peer *peer, struct bytes *data, bool *bad)
{
    struct frame_header header;
    size_t whole = GREETING_SIZE;

    if (data->size < whole)
        return false;
    if (!peer->has_greeted) {
        peer->has_greeted = true;
        buffer_append_bytes(&output, buffer_bytes(&start_frame));
    } else {
        header = frame_header_get(data->data);
        whole = FRAME_OVERHEAD + (size_t)header.size;
        *bad = header.size > FRAME_MAX;
        if (*bad || data->size < whole)
            return false;
        *bad = header.type == FRAME_METHOD &&
               !answer(header.channel, (struct bytes){data->data + FRAME_HEADER_SIZE, header.size});
        if (*bad)
            return false;
    }
    *data = (struct bytes){data->data + whole, data->size - whole};
    return true;
}

/* ---- connections ---- */

static void close_peer(int fd)
{
    free(peers[fd].rest);
    peers[fd] = (struct peer){0};
    close(fd);
}

/* Keep the octets of an incomplete frame for the next read. */
static void keep_rest(struct peer *peer, struct bytes rest)
{
    uint8_t *kept = rest.size ? xmemdup(rest.data, rest.size) : NULL;

    free(peer->rest);
    peer->rest = kept;
    peer->rest_size = (uint32_t)rest.size;
}

static void serve(int fd)
{
    struct peer *peer = &peers[fd];
    bool is_bad = false;
    struct bytes data;
    ssize_t got;

    buffer_clear(&input);
    buffer_append(&input, peer->rest, peer->rest_size);
    got = recv(fd, buffer_reserve(&input, READ_SIZE), READ_SIZE, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        close_peer(fd);
        return;
    }
    input.size += (size_t)got;
    data = buffer_bytes(&input);
    buffer_clear(&output);
    while (take(peer, &data, &is_bad))
        ;
    if (is_bad || (output.size && send(fd, output.data, output.size, MSG_NOSIGNAL) != (ssize_t)output.size))
        close_peer(fd);
    else
        keep_rest(peer, data);
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll: %s", strerror(errno));
}

static void accept_all(int epoll, int listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        if (fd >= peers_capacity) {
            int capacity = fd * 2;

            peers = xrealloc(peers, (size_t)capacity * sizeof *peers);
            memset(peers + peers_capacity, 0, (size_t)(capacity - peers_capacity) * sizeof *peers);
            peers_capacity = capacity;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(epoll, fd);
    }
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    socklen_t size = sizeof address;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0)
        die("port %u: %s", port, strerror(errno));
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("listening amqp 127.0.0.1:%u\nready\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static uint16_t parse_options(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    uint16_t port = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'p')
            die("usage: bare-acceptor [--port N]");
        port = (uint16_t)parse_number(optarg, 0, 65535);
    }
    return port;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener;
    uint16_t port = parse_options(argc, argv);

    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    raise_descriptor_limit();
    make_fixed_frames();
    listener = listen_on(port);
    watch(epoll, listener);
    while (!is_stopped) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                serve(events[i].data.fd);
        }
    }
    return 0;
}
