/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz a whole connection: the input is what a client sends from the first octet to the last, and a vhost of
 * its own stands behind it. One thread, and a new vhost for each input: what one input does depends on it
 * alone.
 *
 * The first octet says how: whether a login is put before the rest, so that what follows it is reached more
 * often, whether the client reads what it is told, whether the vhost is left a queue with messages in it, and
 * in what pieces the octets come.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../server/desk.h"
#include "../server/wire.h"
#include "coney/journal.h"
#include "coney/properties.h"
#include "fuzz.h"

#define PATIENCE_NS UINT64_C(8000000000) /* a login's hash on its thread takes long under sanitizers */

enum how { HOW_LOGIN = 1, HOW_DEAF = 2, HOW_CHANNEL = 4, HOW_PIECES = 0xf0 };

static struct desk desk;

/* Guessable, so that names made by the server are the same each time. */
static void no_chance(void *context, void *out, size_t size)
{
    (void)context;
    memset(out, 7, size);
}

/* A vhost in the place of the server's own. */
static void make_vhost(void)
{
    static const struct vhost_settings settings = {.message_size_max = 1 << 20};
    struct runner *runner = runner_new(desk.server);
    struct vhost_ops ops = {.output = runner_output, .random = no_chance, .context = runner};
    struct bytes all = BYTES_LITERAL(".*");

    runner->vhost = vhost_new(BYTES_LITERAL("/"), &settings, &ops, journal_memory_new());
    vhost_set_permission(runner->vhost, BYTES_LITERAL("guest"), all, all, all);
    desk.server->runners = runner;
}

static void free_vhost(void)
{
    runner_free(desk.server->runners);
    desk.server->runners = NULL;
    while (desk.loop->returns_count)
        free(desk.loop->returns[--desk.loop->returns_count]);
}

/* Throw away what the server says. */
static void hear(int fd)
{
    static char octets[65536];

    while (recv(fd, octets, sizeof octets, 0) > 0)
        ;
}

/* Send OCTETS in pieces of at most PIECE. */
static void say(int fd, struct bytes octets, size_t piece, bool deaf)
{
    unsigned idle = 0;

    while (octets.size && idle < 20) {
        ssize_t sent = send(fd, octets.data, octets.size < piece ? octets.size : piece, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN)
            return;
        idle = sent < 0 ? idle + 1 : 0;
        if (sent > 0)
            octets = (struct bytes){octets.data + sent, octets.size - (size_t)sent};
        desk_turn(&desk);
        if (!deaf)
            hear(fd);
    }
}

/* Login, a queue with a message in it, and a consumer of it. */
static void say_preface(int fd, bool channel)
{
    struct method_basic_publish publish = {.routing_key = BYTES_LITERAL("q")};
    struct buffer out = {0};

    wire_put_login(&out, BYTES_LITERAL("/"), 4096, 0);
    if (channel) {
        wire_put_method(&out, 1, METHOD_CHANNEL_OPEN);
        wire_put_declare(&out, 1, "q");
        wire_put_publish(&out, 1, &publish, PROPERTIES_NONE, BYTES_LITERAL("body"), 4096);
        wire_put_consume(&out, 1, "q", false);
    }
    say(fd, buffer_bytes(&out), SIZE_MAX, false);
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 2, 7, 8, 13, 64, 4096};
    uint8_t how;
    int fd;

    if (size == 0)
        return 0;
    if (!desk.server) {
        desk_open(&desk, NULL);
        runner_free(desk.server->runners);
    }
    how = data[0];
    make_vhost();
    fd = desk_connect(&desk, 4096);
    if (how & HOW_LOGIN)
        say_preface(fd, how & HOW_CHANNEL);
    say(fd, (struct bytes){data + 1, size - 1}, pieces[(how & HOW_PIECES) >> 4 & 7], how & HOW_DEAF);
    for (unsigned i = 0; i < 3; i++)
        desk_turn(&desk);
    close(fd);
    for (uint64_t began = clock_ns(); !desk_is_empty(&desk);) {
        CHECK(clock_ns() - began < PATIENCE_NS);
        desk_turn(&desk);
    }
    free_vhost();
    return 0;
}
