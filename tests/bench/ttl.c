/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages with random expirations in one queue: what they cost in memory while they wait, and how late they
 * leave.
 *
 *     bench-ttl --port N --pid N [--count N] [--size OCTETS] [--least S] [--most S] [--transient]
 *               [--dead-letters]                      prints one JSON object
 *
 * Expirations are even between --least and --most seconds, which should be longer than publishing takes. How
 * many messages must be left at any time follows from what was sent; the queue is asked every 20 ms, and how
 * late it is at a number of messages is how long ago that number was due. With --dead-letters they are
 * consumed from where they go, and each is told how late it comes; its body begins with when it is due.
 */
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "coney/frame.h"
#include "coney/properties.h"
#include "coney/table.h"
#include "tool.h"

#define CLASS_BASIC 60
#define BLOCK       1000      /* messages in one write */
#define BUCKET_NS   10000000u /* by which what is due is counted */
#define POLL_US     20000
#define SECOND      UINT64_C(1000000000)

static uint16_t port;
static unsigned pid, count = 5000000, size = 100, least = 20, most = 60;
static bool persistent = true, dead_letters;
static uint32_t *due; /* messages by the bucket of their deadline, from `began` on */
static unsigned buckets;
static uint64_t began, *late_ns;
static unsigned late_count;

static void expect_declared(struct client *client, struct bytes queue, struct bytes arguments)
{
    struct method declare = {.id = METHOD_QUEUE_DECLARE}, answer;

    declare.queue_declare =
        (struct method_queue_declare){.queue = queue, .durable = true, .arguments = arguments};
    client_send_method(client, CLIENT_CHANNEL, &declare);
    client_expect(client, METHOD_QUEUE_DECLARE_OK, &answer);
}

static uint32_t ready(struct client *client, struct bytes queue)
{
    struct method declare = {.id = METHOD_QUEUE_DECLARE}, answer;

    declare.queue_declare = (struct method_queue_declare){.queue = queue, .passive = true};
    client_send_method(client, CLIENT_CHANNEL, &declare);
    client_expect(client, METHOD_QUEUE_DECLARE_OK, &answer);
    return answer.queue_declare_ok.message_count;
}

static void append_message(struct buffer *out, struct bytes method, uint8_t *body, uint64_t now)
{
    unsigned span = (most - least) * 1000 + 1, ttl_ms = least * 1000 + (unsigned)random() % span;
    uint64_t deadline = now + ttl_ms * UINT64_C(1000000);
    struct properties properties = {.flags = PROPERTY_EXPIRATION | PROPERTY_DELIVERY_MODE,
                                    .delivery_mode = persistent ? DELIVERY_MODE_PERSISTENT : 1};
    struct buffer raw = {0};
    size_t room;
    uint8_t *at;
    char text[16];

    snprintf(text, sizeof text, "%u", ttl_ms);
    properties.expiration = bytes_from_string(text);
    properties_encode(&raw, &properties);
    put_u64(body, deadline);
    due[(deadline - began) / BUCKET_NS]++;
    buffer_append(out, method.data, method.size);
    room = frame_content_header_size(raw.size) + FRAME_OVERHEAD + size;
    at = buffer_reserve(out, room);
    at = frame_content_header_put(at, CLIENT_CHANNEL, CLASS_BASIC, size, buffer_bytes(&raw));
    at = frame_header_put(at, FRAME_BODY, CLIENT_CHANNEL, size);
    frame_end_put(put_bytes(at, (struct bytes){body, size}));
    out->size += room;
    buffer_free(&raw);
}

/* Publish them all, and wait until the broker has them. Returns the seconds that took. */
static double publish(struct bytes queue)
{
    struct method publish = {.id = METHOD_BASIC_PUBLISH}, answer;
    struct buffer method = {0}, block = {0};
    uint8_t *body = calloc(1, size);
    struct client client;

    client_open(&client, port);
    publish.basic_publish.routing_key = queue;
    buffer_append_method(&method, CLIENT_CHANNEL, &publish);
    began = clock_ns(CLOCK_MONOTONIC);
    for (unsigned sent = 0; sent < count;) {
        unsigned end = count - sent < BLOCK ? count : sent + BLOCK;
        uint64_t now = clock_ns(CLOCK_MONOTONIC);

        if ((now - began) / SECOND >= 3600)
            die("publishing takes more than an hour");
        for (block.size = 0; sent < end; sent++)
            append_message(&block, buffer_bytes(&method), body, now);
        client_send(&client, buffer_bytes(&block));
    }
    client_send_method(&client, CLIENT_CHANNEL, &(struct method){.id = METHOD_CHANNEL_CLOSE});
    client_expect(&client, METHOD_CHANNEL_CLOSE_OK, &answer);
    client_drop(&client);
    buffer_free(&block);
    buffer_free(&method);
    free(body);
    return (double)(clock_ns(CLOCK_MONOTONIC) - began) / 1e9;
}

static unsigned rss_kb(void)
{
    char path[64], line[128];
    unsigned kb = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%u/status", pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %u", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return kb;
}

/* When no more than LEFT messages were to be there: the end of the bucket. BUCKET and STILL, what is there
 * behind it, only go on, as LEFT only falls. */
static uint64_t due_at(uint32_t left, unsigned *bucket, uint64_t *still)
{
    while (*bucket<buckets && * still> left)
        *still -= due[(*bucket)++];
    return began + (uint64_t)*bucket * BUCKET_NS;
}

static int compare(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return one < other ? -1 : one > other;
}

static double late_ms(double quantile)
{
    return late_count ? (double)late_ns[(size_t)(quantile * (late_count - 1))] / 1e6 : 0;
}

/* Ask until nothing is left. How late the queue is at each answer is weighed by what has left since the one
 * before. Returns the most memory. */
static unsigned watch(struct client *client, struct bytes queue)
{
    uint64_t still = count;
    unsigned bucket = 0, most_kb = 0;
    uint32_t left = count;

    while (left) {
        uint64_t now, at;
        uint32_t before = left;
        unsigned kb = rss_kb();

        usleep(POLL_US);
        left = ready(client, queue);
        now = clock_ns(CLOCK_MONOTONIC);
        most_kb = kb > most_kb ? kb : most_kb;
        if (left >= before)
            continue;
        at = due_at(left, &bucket, &still);
        for (uint32_t gone = before - left; gone && late_count < count; gone--)
            late_ns[late_count++] = now > at ? now - at : 0;
        if (now + 60 * SECOND < at)
            die("messages leave a minute early");
    }
    return most_kb;
}

static unsigned consume(struct client *client, struct bytes queue)
{
    struct method request = {.id = METHOD_BASIC_CONSUME};
    unsigned most_kb = 0;

    request.basic_consume = (struct method_basic_consume){.queue = queue, .no_ack = true};
    client_send_method(client, CLIENT_CHANNEL, &request);
    while (late_count < count) {
        struct bytes payload;
        uint8_t type;
        unsigned kb = rss_kb();

        most_kb = kb > most_kb ? kb : most_kb;
        client_fill(client);
        while (client_next(client, &type, &payload))
            if (type == FRAME_BODY && payload.size >= 8 && late_count < count) {
                uint64_t now = clock_ns(CLOCK_MONOTONIC), at = get_u64(payload.data);

                late_ns[late_count++] = now > at ? now - at : 0;
            }
    }
    return most_kb;
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"pid", required_argument, NULL, 'i'},
                                            {"count", required_argument, NULL, 'c'},
                                            {"size", required_argument, NULL, 's'},
                                            {"least", required_argument, NULL, 'l'},
                                            {"most", required_argument, NULL, 'm'},
                                            {"transient", no_argument, NULL, 't'},
                                            {"dead-letters", no_argument, NULL, 'd'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = (uint16_t)parse_number(optarg, 1, 65535);
        else if (option == 'i')
            pid = (unsigned)parse_number(optarg, 1, INT32_MAX);
        else if (option == 'c')
            count = (unsigned)parse_number(optarg, 1, 100000000);
        else if (option == 's')
            size = (unsigned)parse_number(optarg, 8, 65536);
        else if (option == 'l')
            least = (unsigned)parse_number(optarg, 0, 3600);
        else if (option == 'm')
            most = (unsigned)parse_number(optarg, 1, 3600);
        else if (option == 't')
            persistent = false;
        else if (option == 'd')
            dead_letters = true;
        else
            die("usage: bench-ttl --port N --pid N [--count N] [--size OCTETS] [--least S] [--most S] "
                "[--transient] [--dead-letters]");
    }
    if (!port || !pid || least > most)
        die("--port or --pid is missing, or --least is more than --most");
}

int main(int argc, char **argv)
{
    struct buffer arguments = {0};
    struct table_builder builder = table_builder_init(&arguments);
    struct bytes queue, dead;
    char name[32], dead_name[40];
    struct client client;
    unsigned start_kb, full_kb, most_kb;
    double publish_s;

    parse_options(argc, argv);
    snprintf(name, sizeof name, "bench-ttl.%d", (int)getpid());
    snprintf(dead_name, sizeof dead_name, "%s.dead", name);
    queue = bytes_from_string(name);
    dead = bytes_from_string(dead_name);
    buckets = (unsigned)((3600 + (uint64_t)most + 1) * SECOND / BUCKET_NS);
    due = calloc(buckets, sizeof *due);
    late_ns = malloc(count * sizeof *late_ns);
    client_open(&client, port);
    if (dead_letters) {
        table_put_longstr(&builder, "x-dead-letter-exchange", BYTES_LITERAL(""));
        table_put_longstr(&builder, "x-dead-letter-routing-key", dead);
        expect_declared(&client, dead, BYTES_LITERAL(""));
    }
    expect_declared(&client, queue, buffer_bytes(&arguments));
    start_kb = rss_kb();
    publish_s = publish(queue);
    full_kb = rss_kb();
    most_kb = dead_letters ? consume(&client, dead) : watch(&client, queue);
    qsort(late_ns, late_count, sizeof *late_ns, compare);
    printf("{\"messages\":%u,\"size\":%u,\"persistent\":%s,\"dead_letters\":%s,\"publish_rate\":%.0f,"
           "\"overlapped\":%s,\"rss_start_kb\":%u,\"rss_full_kb\":%u,\"rss_peak_kb\":%u,"
           "\"late_p50_ms\":%.1f,\"late_p99_ms\":%.1f,\"late_p99.9_ms\":%.1f,\"late_max_ms\":%.1f}\n",
           count, size, persistent ? "true" : "false", dead_letters ? "true" : "false", count / publish_s,
           publish_s > least ? "true" : "false", start_kb, full_kb, most_kb, late_ms(0.5), late_ms(0.99),
           late_ms(0.999), late_ms(1));
    client_delete_queue(&client, queue);
    if (dead_letters)
        client_delete_queue(&client, dead);
    client_drop(&client);
    buffer_free(&arguments);
    free(due);
    free(late_ns);
    return 0;
}
