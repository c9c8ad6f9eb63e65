/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to route a message, by the number of bindings: shows that a direct exchange costs the same
 * with 1, 1,000 and 100,000 of them, and that a topic exchange's cost grows with the words in the key, not
 * with the bindings. Headers exchanges look at every binding and stand here for information.
 *
 * Every figure is a whole walk, route_message(), as for a key that the channel does not remember: in
 * nanoseconds of processor time, the best of a few rounds, since what disturbs a round only adds.
 */
#include <stdio.h>

#include "broker/exchange.h"
#include "broker/route.h"
#include "broker/vhost_fields.h"
#include "coney/buffer.h"
#include "coney/journal.h"
#include "coney/message.h"
#include "coney/properties.h"
#include "coney/table.h"
#include "tool.h"
#

#define ROUNDS              5
#define ROUND_NS            10000000 /* at least */
#define WORDS_MAX           32
#define KEY_SIZE            256
#define KEYS_KEPT           1024 /* different keys that are published in turn */
#define EXCHANGE            "x"
#define ARRAY_LENGTH(array) (sizeof(array) / sizeof *(array))

static const unsigned binding_counts[] = {1, 1000, 100000};

/* ---- an exchange with bindings to one queue ---- */

static void random_octets(void *context, void *out, size_t size)
{
    (void)context;
    memset(out, 1, size);
}

static void no_output(void *context, struct outbox_chunk *chunks)
{
    (void)context;
    (void)chunks;
}

static struct vhost *make_vhost(const char *type)
{
    const struct vhost_settings settings = {.default_queue_type = QUEUE_CLASSIC};
    const struct vhost_ops ops = {.output = no_output, .random = random_octets};
    struct vhost *vhost = vhost_new(BYTES_LITERAL("/"), &settings, &ops, journal_memory_new());
    struct exchange_spec exchange = {.name = BYTES_LITERAL(EXCHANGE), .type = bytes_from_string(type)};
    struct queue_spec queue = {.name = BYTES_LITERAL("q")};
    struct reply_error error;

    if (!vhost_declare_exchange(vhost, &exchange, &error) || !vhost_declare_queue(vhost, &queue, &error))
        die("%s", error.text);
    return vhost;
}

static void bind_queue(struct vhost *vhost, const char *key, struct bytes arguments)
{
    struct binding_spec binding = {.source = BYTES_LITERAL(EXCHANGE),
                                   .destination = BYTES_LITERAL("q"),
                                   .routing_key = bytes_from_string(key),
                                   .arguments = arguments};
    struct reply_error error;

    if (!vhost_bind(vhost, &binding, &error))
        die("%s", error.text);
}

/* ---- measuring ---- */

/* Messages that are routed in turn. */
struct load {
    struct message *message[KEYS_KEPT];
    unsigned count;
    unsigned matches; /* queues that each must find */
};

static void load_add(struct load *load, const char *key, struct bytes headers)
{
    struct properties properties = {.flags = headers.size ? PROPERTY_HEADERS : 0, .headers = headers};
    struct buffer raw = {0};
    struct message *message;

    properties_encode(&raw, &properties);
    message = message_new(BYTES_LITERAL(EXCHANGE), bytes_from_string(key), (struct bytes){0},
                          buffer_bytes(&raw), 0);
    message_scan_properties(message);
    buffer_free(&raw);
    load->message[load->count++] = message;
}

static void load_clear(struct load *load)
{
    while (load->count)
        message_free(load->message[--load->count]);
}

static void route_all(struct vhost *vhost, struct exchange *exchange, const struct load *load)
{
    for (unsigned i = 0; i < load->count; i++) {
        struct bytes key = message_routing_key(load->message[i]);
        struct route route;

        route_message(&route, vhost, exchange, load->message[i], &key, 1);
        if (route.queue_count != load->matches)
            die("a message went astray");
    }
}

static double measure(struct vhost *vhost, const struct load *load)
{
    struct exchange *exchange = exchange_find(vhost, BYTES_LITERAL(EXCHANGE));
    unsigned repeats = 1 + KEYS_KEPT / load->count; /* looking at the clock must not count */
    double best = 0;

    route_all(vhost, exchange, load); /* warms up */
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID), end, routed = 0;
        double each;

        do {
            for (unsigned i = 0; i < repeats; i++)
                route_all(vhost, exchange, load);
            routed += (uint64_t)repeats * load->count;
            end = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        } while (end - start < ROUND_NS);
        each = (double)(end - start) / (double)routed;
        if (round == 0 || each < best)
            best = each;
    }
    return best;
}

/* ---- direct ---- */

static void show_direct(void)
{
    double one[ARRAY_LENGTH(binding_counts)], all[ARRAY_LENGTH(binding_counts)];
    char key[KEY_SIZE];

    for (unsigned c = 0; c < ARRAY_LENGTH(binding_counts); c++) {
        unsigned count = binding_counts[c];
        struct vhost *vhost = make_vhost("direct");
        struct load load = {.matches = 1};

        for (unsigned i = 0; i < count; i++) {
            snprintf(key, sizeof key, "order.%06u", i);
            bind_queue(vhost, key, (struct bytes){0});
        }
        load_add(&load, "order.000000", (struct bytes){0});
        one[c] = measure(vhost, &load);
        for (unsigned i = 1; i < KEYS_KEPT; i++) {
            snprintf(key, sizeof key, "order.%06u", (unsigned)((uint64_t)i * 7919 % count));
            load_add(&load, key, (struct bytes){0});
        }
        all[c] = measure(vhost, &load);
        load_clear(&load);
        vhost_free(vhost);
    }
    printf("\ndirect, ns per message by the number of bindings\n\n"
           "| keys published | 1 | 1,000 | 100,000 |\n| --- | ---: | ---: | ---: |\n"
           "| one | %.0f | %.0f | %.0f |\n| %d in turn (processor caches miss) | %.0f | %.0f | %.0f |\n",
           one[0], one[1], one[2], KEYS_KEPT, all[0], all[1], all[2]);
}

/* ---- topic ---- */

/* "a.0.w.w..." */
static void make_key(char key[KEY_SIZE], unsigned words)
{
    char *at = key + sprintf(key, "a.0");

    for (unsigned i = 2; i < words; i++)
        at += sprintf(at, ".w%u", i);
}

static void show_topic(void)
{
    static const unsigned words[] = {2, 4, 8, 16, WORDS_MAX};
    double ns[ARRAY_LENGTH(words)][ARRAY_LENGTH(binding_counts)];
    char key[KEY_SIZE];

    for (unsigned c = 0; c < ARRAY_LENGTH(binding_counts); c++) {
        struct vhost *vhost = make_vhost("topic");

        for (unsigned i = 0; i < binding_counts[c]; i++) {
            snprintf(key, sizeof key, i % 2 ? "*.%u.*.x" : "a.%u.#", i);
            bind_queue(vhost, key, (struct bytes){0});
        }
        for (unsigned w = 0; w < ARRAY_LENGTH(words); w++) {
            struct load load = {.matches = 1};

            make_key(key, words[w]);
            load_add(&load, key, (struct bytes){0});
            ns[w][c] = measure(vhost, &load);
            load_clear(&load);
        }
        vhost_free(vhost);
    }
    printf("\ntopic, ns per message by the number of bindings (half a.N.#, half *.N.*.x)\n\n"
           "| words in the key | 1 | 1,000 | 100,000 |\n| --- | ---: | ---: | ---: |\n");
    for (unsigned w = 0; w < ARRAY_LENGTH(words); w++)
        printf("| %u | %.0f | %.0f | %.0f |\n", words[w], ns[w][0], ns[w][1], ns[w][2]);
}

/* ---- headers ---- */

static void bind_headers(struct vhost *vhost, unsigned number)
{
    struct buffer arguments = {0};
    struct table_builder builder = table_builder_init(&arguments);

    table_put_longstr(&builder, "x-match", BYTES_LITERAL("all"));
    table_put_longstr(&builder, "format", BYTES_LITERAL("pdf"));
    table_put_int(&builder, "number", number);
    bind_queue(vhost, "", buffer_bytes(&arguments));
    buffer_free(&arguments);
}

static void add_message_with_headers(struct load *load)
{
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    table_put_longstr(&builder, "user", BYTES_LITERAL("somebody"));
    table_put_longstr(&builder, "format", BYTES_LITERAL("pdf"));
    table_put_int(&builder, "number", 0);
    load_add(load, "", buffer_bytes(&headers));
    buffer_free(&headers);
}

static void show_headers(void)
{
    static const unsigned counts[] = {1, 10, 100, 1000};
    double ns[ARRAY_LENGTH(counts)];

    for (unsigned c = 0; c < ARRAY_LENGTH(counts); c++) {
        struct vhost *vhost = make_vhost("headers");
        struct load load = {.matches = 1};

        for (unsigned i = 0; i < counts[c]; i++)
            bind_headers(vhost, i);
        add_message_with_headers(&load);
        ns[c] = measure(vhost, &load);
        load_clear(&load);
        vhost_free(vhost);
    }
    printf("\nheaders, ns per message by the number of bindings (two conditions each)\n\n"
           "| 1 | 10 | 100 | 1,000 |\n| ---: | ---: | ---: | ---: |\n| %.0f | %.0f | %.0f | %.0f |\n",
           ns[0], ns[1], ns[2], ns[3]);
}

int main(void)
{
    show_direct();
    show_topic();
    show_headers();
    return 0;
}
