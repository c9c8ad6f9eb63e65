/* SPDX-License-Identifier: Apache-2.0 */
/* harness.c: see harness.h. */
#include "harness.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *running; /* the scenario of this process */

void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("not ok %s: ", running);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    _exit(1);
}

void expect_text(const char *actual, const char *expected, const char *what)
{
    if (strcmp(actual, expected) != 0)
        fail("%s: expected '%s', got '%s'", what, expected, actual);
}

void expect_int(long long actual, long long expected, const char *what)
{
    if (actual != expected)
        fail("%s: expected %lld, got %lld", what, expected, actual);
}

char *text(const char *format, ...)
{
    va_list args;
    char *result;

    va_start(args, format);
    if (vasprintf(&result, format, args) < 0)
        fail("out of memory");
    va_end(args);
    return result;
}

amqp_bytes_t bytes(const char *string_)
{
    return amqp_cstring_bytes(string_);
}

const char *string(amqp_bytes_t value)
{
    return text("%.*s", (int)value.len, (const char *)value.bytes);
}

char *named(const char *name)
{
    return text("%s%s", getenv("AMQP_PREFIX"), name);
}

int env_port(const char *name)
{
    return atoi(getenv(name));
}

void cut_connections(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)env_port("CUT_PORT"))};
    char buffer[100];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("no connection to the cut port");
    while (read(fd, buffer, sizeof buffer) > 0)
        continue;
    close(fd);
}

/* What a reply says, as one line: "ok", or the close's code and text, or the library's error. */
static const char *reply_text(amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return "ok";
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = reply.reply.decoded;

        return text("%u %s", m->reply_code, string(m->reply_text));
    }
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = reply.reply.decoded;

        return text("connection %u %s", m->reply_code, string(m->reply_text));
    }
    return text("%s, method 0x%x", amqp_error_string2(reply.library_error), reply.reply.id);
}

void check(amqp_connection_state_t c, const char *what)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(c);

    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        fail("%s: %s", what, reply_text(reply));
}

void check_status(int status, const char *what)
{
    if (status != AMQP_STATUS_OK)
        fail("%s: %s", what, amqp_error_string2(status));
}

/* Verifies the broker and shows a certificate when the address is an amqps one. */
static amqp_socket_t *new_socket(amqp_connection_state_t c)
{
    amqp_socket_t *tls;

    if (!getenv("TLS_CA"))
        return amqp_tcp_socket_new(c);
    tls = amqp_ssl_socket_new(c);
    amqp_ssl_socket_set_verify_peer(tls, true);
    amqp_ssl_socket_set_verify_hostname(tls, true);
    check_status(amqp_ssl_socket_set_cacert(tls, getenv("TLS_CA")), "TLS_CA");
    check_status(amqp_ssl_socket_set_key(tls, getenv("TLS_CERT"), getenv("TLS_KEY")), "TLS_CERT, TLS_KEY");
    return tls;
}

amqp_connection_state_t dial(int port, int heartbeat)
{
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *socket = new_socket(c);
    amqp_table_entry_t notify = {.key = bytes("consumer_cancel_notify"),
                                 .value.kind = AMQP_FIELD_KIND_BOOLEAN};
    amqp_table_entry_t capabilities = {.key = bytes("capabilities"), .value.kind = AMQP_FIELD_KIND_TABLE};
    amqp_table_t properties = {1, &capabilities};
    amqp_rpc_reply_t reply;

    notify.value.value.boolean = 1;
    capabilities.value.value.table = (amqp_table_t){1, &notify};
    check_status(amqp_socket_open(socket, getenv("AMQP_HOST"), port), "connect");
    reply = amqp_login_with_properties(c, "/", 0, 131072, heartbeat, &properties, AMQP_SASL_METHOD_PLAIN,
                                       "guest", "guest");
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        fail("login: %s", reply_text(reply));
    amqp_channel_open(c, 1);
    check(c, "channel.open");
    return c;
}

static amqp_table_entry_t entry(const char *key, uint8_t kind)
{
    return (amqp_table_entry_t){.key = bytes(key), .value.kind = kind};
}

amqp_table_entry_t entry_text(const char *key, const char *value)
{
    amqp_table_entry_t e = entry(key, AMQP_FIELD_KIND_UTF8);

    e.value.value.bytes = bytes(value);
    return e;
}

amqp_table_entry_t entry_int(const char *key, int32_t value)
{
    amqp_table_entry_t e = entry(key, AMQP_FIELD_KIND_I32);

    e.value.value.i32 = value;
    return e;
}

const amqp_field_value_t *table_find(amqp_table_t table, const char *key)
{
    for (int i = 0; i < table.num_entries; i++) {
        if (strcmp(string(table.entries[i].key), key) == 0)
            return &table.entries[i].value;
    }
    return NULL;
}

static bool value_equals(const amqp_field_value_t *a, const amqp_field_value_t *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case AMQP_FIELD_KIND_VOID:
        return true;
    case AMQP_FIELD_KIND_BOOLEAN:
        return !a->value.boolean == !b->value.boolean;
    case AMQP_FIELD_KIND_I8:
    case AMQP_FIELD_KIND_U8:
        return a->value.u8 == b->value.u8;
    case AMQP_FIELD_KIND_I16:
    case AMQP_FIELD_KIND_U16:
        return a->value.u16 == b->value.u16;
    case AMQP_FIELD_KIND_I32:
    case AMQP_FIELD_KIND_U32:
    case AMQP_FIELD_KIND_F32:
        return a->value.u32 == b->value.u32;
    case AMQP_FIELD_KIND_DECIMAL:
        return a->value.decimal.decimals == b->value.decimal.decimals &&
               a->value.decimal.value == b->value.decimal.value;
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        return a->value.bytes.len == b->value.bytes.len &&
               memcmp(a->value.bytes.bytes, b->value.bytes.bytes, a->value.bytes.len) == 0;
    case AMQP_FIELD_KIND_TABLE:
        return table_equals(a->value.table, b->value.table);
    case AMQP_FIELD_KIND_ARRAY:
        if (a->value.array.num_entries != b->value.array.num_entries)
            return false;
        for (int i = 0; i < a->value.array.num_entries; i++) {
            if (!value_equals(&a->value.array.entries[i], &b->value.array.entries[i]))
                return false;
        }
        return true;
    default: /* the 64-bit kinds */
        return a->value.u64 == b->value.u64;
    }
}

bool table_equals(amqp_table_t a, amqp_table_t b)
{
    if (a.num_entries != b.num_entries)
        return false;
    for (int i = 0; i < a.num_entries; i++) {
        const amqp_field_value_t *other = table_find(b, string(a.entries[i].key));

        if (!other || !value_equals(&a.entries[i].value, other)) {
            printf("# %s differs\n", string(a.entries[i].key));
            return false;
        }
    }
    return true;
}

const char *queue(amqp_connection_state_t c, int channel, const char *name, amqp_table_t arguments)
{
    const char *full = *name ? named(name) : "";
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(c, (amqp_channel_t)channel, bytes(full), 0, 0, 1, 0, arguments);

    check(c, "queue.declare");
    return string(ok->queue);
}

const char *exchange(amqp_connection_state_t c, const char *name, const char *type, amqp_table_t arguments)
{
    const char *full = named(name);

    amqp_exchange_declare(c, 1, bytes(full), bytes(type), 0, 0, 1, 0, arguments);
    check(c, "exchange.declare");
    return full;
}

void bind_queue(amqp_connection_state_t c, const char *q, const char *x, const char *key,
                amqp_table_t arguments)
{
    amqp_queue_bind(c, 1, bytes(q), bytes(x), bytes(key), arguments);
    check(c, "queue.bind");
}

int count(amqp_connection_state_t c, int channel, const char *q)
{
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(c, (amqp_channel_t)channel, bytes(q), 1, 0, 0, 0, amqp_empty_table);

    check(c, "passive queue.declare");
    return (int)ok->message_count;
}

void publish(amqp_connection_state_t c, int channel, const char *x, const char *key, const char *body,
             const amqp_basic_properties_t *properties)
{
    check_status(
        amqp_basic_publish(c, (amqp_channel_t)channel, bytes(x), bytes(key), 0, 0, properties, bytes(body)),
        "basic.publish");
}

void consume(amqp_connection_state_t c, int channel, const char *q, bool no_ack)
{
    amqp_basic_consume(c, (amqp_channel_t)channel, bytes(q), bytes("tag"), 0, no_ack, 0, amqp_empty_table);
    check(c, "basic.consume");
}

bool try_get(amqp_connection_state_t c, const char *q, bool no_ack, struct delivery *out)
{
    amqp_rpc_reply_t reply = amqp_basic_get(c, 1, bytes(q), no_ack);
    const amqp_basic_get_ok_t *ok = reply.reply.decoded;
    amqp_message_t *message = malloc(sizeof *message);

    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        fail("basic.get: %s", reply_text(reply));
    if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD)
        return false;
    *out = (struct delivery){.tag = ok->delivery_tag,
                             .redelivered = ok->redelivered,
                             .left = ok->message_count,
                             .exchange = string(ok->exchange),
                             .key = string(ok->routing_key)};
    reply = amqp_read_message(c, 1, message, 0);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        fail("basic.get-ok's content: %s", reply_text(reply));
    out->body = string(message->body);
    out->size = message->body.len;
    out->properties = message->properties;
    return true;
}

struct delivery get(amqp_connection_state_t c, const char *q)
{
    struct delivery d;

    for (int i = 0; i < DEADLINE_S * 100; i++) {
        if (try_get(c, q, false, &d))
            return d;
        usleep(10000);
    }
    fail("waited in vain for a message in %s", q);
}

struct delivery take(amqp_connection_state_t c)
{
    struct timeval timeout = {DEADLINE_S, 0};
    amqp_envelope_t *e = malloc(sizeof *e);
    amqp_rpc_reply_t reply;

    amqp_maybe_release_buffers(c);
    reply = amqp_consume_message(c, e, &timeout, 0);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        fail("no delivery: %s", reply_text(reply));
    return (struct delivery){.tag = e->delivery_tag,
                             .redelivered = e->redelivered,
                             .exchange = string(e->exchange),
                             .key = string(e->routing_key),
                             .body = e->message.body.bytes ? string(e->message.body) : "",
                             .size = e->message.body.len,
                             .properties = e->message.properties};
}

const char *drain(amqp_connection_state_t c, const char *q)
{
    struct delivery d;
    char *all = "";

    while (try_get(c, q, true, &d))
        all = text("%s%s%s", all, *all ? " " : "", d.body);
    return all;
}

static bool run(const char *name)
{
    const struct scenario *s = scenarios;
    int status;

    while (s->name && strcmp(s->name, name) != 0)
        s++;
    fflush(stdout);
    if (fork() == 0) {
        running = name;
        if (!s->name)
            fail("unknown scenario");
        s->run();
        printf("ok %s\n", name);
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    if (WIFSIGNALED(status))
        printf("not ok %s: killed by signal %d\n", name, WTERMSIG(status));
    return status == 0;
}

int main(int argc, char **argv)
{
    bool ok = true;

    for (int i = 1; i < argc; i++)
        ok &= run(argv[i]);
    return !ok;
}
