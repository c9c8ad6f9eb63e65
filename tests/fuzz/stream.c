/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the streams under a session: the same octets are said by a plain client and by one with TLS, to a
 * vhost of its own each, and both must hear the same, however the octets are cut into records and the records
 * into packets, and whatever keys change in between.
 *
 * The first two octets say how: version of TLS, size of records, where packets are cut, how often keys
 * change, and whether a login is put before the rest.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../server/desk.h"
#include "../server/tls_kit.h"
#include "../server/wire.h"
#include "coney/journal.h"
#include "coney/properties.h"
#include "fuzz.h"
#include "server/tls_context.h"

#define TURNS_MAX  10000 /* until everything must have come to its end */
#define QUIET      4     /* turns without a word, after which none is expected */
#define BURSTS_MAX 100

enum how { HOW_LOGIN = 1, HOW_OLD = 2, HOW_SIZE = 0x1c, HOW_KEYS = 0x60 };

static struct desk desk;
static SSL_CTX *server_context, *client_contexts[2];

/* ---- the server ---- */

/* Guessable, so that names made by the server are the same each time. */
static void no_chance(void *context, void *out, size_t size)
{
    (void)context;
    memset(out, 7, size);
}

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

static void open_server(void)
{
    struct kit_pair ca = kit_simple("ca", NULL), pair = kit_simple("server", &ca);
    struct config_tls config;
    char why[TLS_WHY_SIZE];
    struct tls_contexts *contexts;

    desk_open(&desk, NULL);
    runner_free(desk.server->runners);
    kit_open();
    kit_write_certificate("ca.pem", &ca, NULL);
    kit_write_certificate("server.pem", &pair, NULL);
    kit_write_key("server.key", &pair, NULL);
    config = kit_config();
    config.session_tickets = false;
    contexts = tls_contexts_new(&config, why);
    CHECK(contexts);
    kit_close();
    kit_pair_free(&ca);
    kit_pair_free(&pair);
    server_context = tls_contexts_first(contexts);
    for (unsigned i = 0; i < 2; i++) {
        client_contexts[i] = kit_client(NULL);
        SSL_CTX_set_max_proto_version(client_contexts[i], i ? TLS1_2_VERSION : TLS1_3_VERSION);
    }
}

/* ---- the clients ---- */

struct client {
    int fd;
    SSL *tls; /* NULL: a plain one */
    struct buffer heard;
};

static void hear(struct client *client)
{
    static uint8_t octets[65536];
    ssize_t n;

    while ((n = client->tls ? SSL_read(client->tls, octets, sizeof octets)
                            : recv(client->fd, octets, sizeof octets, 0)) > 0)
        buffer_append(&client->heard, octets, (size_t)n);
}

/* Turn until nothing more is said. */
static void hear_all(struct client *client)
{
    for (unsigned quiet = 0, turns = 0; quiet < QUIET; quiet++, turns++) {
        size_t before = client->heard.size;

        CHECK(turns < TURNS_MAX);
        desk_turn(&desk);
        hear(client);
        if (client->heard.size != before)
            quiet = 0;
    }
}

/* Send all, also what does not fit at once; false when the other end is closed. */
static bool send_all(struct client *client, const uint8_t *octets, size_t size)
{
    for (unsigned i = 0; size; i++) {
        ssize_t n = send(client->fd, octets, size, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return false;
        CHECK(i < TURNS_MAX);
        octets += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
        if (size)
            desk_turn(&desk);
        hear(client);
    }
    return true;
}

/* OCTETS as one burst of records of RECORD octets, in two packets cut at a place that CUT chooses. */
static bool say_sealed(struct client *client, struct bytes octets, size_t record, uint8_t cut, bool new_keys)
{
    BIO *out = SSL_get_wbio(client->tls), *held = BIO_new(BIO_s_mem());
    char *sealed;
    size_t size, first;
    bool good = true;

    BIO_up_ref(out);
    SSL_set0_wbio(client->tls, held);
    for (size_t at = 0; at < octets.size && good; at += record) {
        size_t part = octets.size - at < record ? octets.size - at : record;

        if (new_keys)
            SSL_key_update(client->tls, at % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        good = SSL_write(client->tls, octets.data + at, (int)part) == (int)part;
    }
    size = (size_t)BIO_get_mem_data(held, &sealed);
    first = size * cut / 256;
    good = good && send_all(client, (const uint8_t *)sealed, first);
    if (good && first) {
        desk_turn(&desk);
        hear(client);
    }
    good = good && send_all(client, (const uint8_t *)sealed + first, size - first);
    SSL_set0_wbio(client->tls, out);
    return good;
}

/* ---- one run ---- */

static struct buffer all_octets(uint8_t how, const uint8_t *data, size_t size)
{
    struct method_basic_publish publish = {.routing_key = BYTES_LITERAL("q")};
    struct buffer octets = {0};

    if (how & HOW_LOGIN) {
        wire_put_login(&octets, BYTES_LITERAL("/"), 4096, 0);
        wire_put_method(&octets, 1, METHOD_CHANNEL_OPEN);
        wire_put_declare(&octets, 1, "q");
        wire_put_publish(&octets, 1, &publish, PROPERTIES_NONE, BYTES_LITERAL("body"), 4096);
    }
    buffer_append(&octets, data, size);
    return octets;
}

/* Say everything in bursts that both clients have in common, and hear what comes of each. */
static struct buffer run(bool is_plain, uint8_t how, uint8_t cut, struct bytes octets)
{
    static const size_t bursts[] = {1, 7, 8, 100, 1000, 2000, 1500, 37};
    static const size_t records[] = {1, 3, 16384, 9, 16384, 500, 1000, 36};
    unsigned size = (how & HOW_SIZE) >> 2;
    size_t step = bursts[size] > octets.size / BURSTS_MAX ? bursts[size] : octets.size / BURSTS_MAX;
    bool new_keys = !(how & HOW_OLD) && how & HOW_KEYS;
    struct client client = {0};

    make_vhost();
    if (is_plain) {
        client.fd = desk_connect(&desk, 0);
    } else {
        client.tls = kit_connect(&desk, client_contexts[!!(how & HOW_OLD)], server_context, 0);
        client.fd = SSL_get_fd(client.tls);
    }
    hear_all(&client);
    for (size_t at = 0; at < octets.size; at += step) {
        size_t left = octets.size - at;
        struct bytes burst = {octets.data + at, left < step ? left : step};

        if (is_plain ? !send_all(&client, burst.data, burst.size)
                     : !say_sealed(&client, burst, records[size], cut, new_keys))
            break;
        hear_all(&client);
    }
    SSL_free(client.tls);
    close(client.fd);
    for (unsigned i = 0; !desk_is_empty(&desk); i++) {
        CHECK(i < TURNS_MAX);
        desk_turn(&desk);
    }
    free_vhost();
    return client.heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer octets, plain, secured;

    if (size < 2 || size > 20000)
        return 0;
    if (!desk.server)
        open_server();
    octets = all_octets(data[0], data + 2, size - 2);
    plain = run(true, data[0], data[1], buffer_bytes(&octets));
    secured = run(false, data[0], data[1], buffer_bytes(&octets));
    CHECK(bytes_equal(buffer_bytes(&plain), buffer_bytes(&secured)));
    buffer_free(&octets);
    buffer_free(&plain);
    buffer_free(&secured);
    return 0;
}
