/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether consumers of one queue get equal shares: 64 connections with a consumer each (prefetch 10, each
 * message acknowledged by itself) beside a publisher that never stops.
 *
 *     bench-shares --port N [--seconds S]      prints one JSON object
 *
 * spread_percent is how far the smallest or the largest share is from the mean, whichever is further.
 */
#include "coney/frame.h"
#include "crowd.h"
#include "tool.h"

#define CONSUMERS  64
#define PREFETCH   10
#define SECONDS    5
#define LENGTH_MAX 500000
#define WARM_UP_NS 500000000

struct consumer {
    struct client client;
    uint64_t count;
    uint64_t counted_before; /* during the warm-up */
};

static void consumer_open(struct crowd *crowd, struct consumer *consumer)
{
    struct method method = {.id = METHOD_BASIC_QOS}, answer;

    crowd_join(crowd, &consumer->client, consumer);
    method.basic_qos.prefetch_count = PREFETCH;
    client_send_method(&consumer->client, CLIENT_CHANNEL, &method);
    client_expect(&consumer->client, METHOD_BASIC_QOS_OK, &answer);
    method = (struct method){.id = METHOD_BASIC_CONSUME};
    method.basic_consume.queue = crowd->queue;
    client_send_method(&consumer->client, CLIENT_CHANNEL, &method);
    client_expect(&consumer->client, METHOD_BASIC_CONSUME_OK, &answer);
}

/* Read once; count and acknowledge what came. */
static void consume(void *member, void *context)
{
    struct consumer *consumer = member;
    struct buffer *acks = context;
    struct method deliver, ack = {.id = METHOD_BASIC_ACK};
    struct bytes payload;
    uint8_t type;

    buffer_clear(acks);
    client_fill(&consumer->client);
    while (client_next(&consumer->client, &type, &payload)) {
        if (type != FRAME_METHOD || method_decode(&deliver, payload) != METHOD_OK ||
            deliver.id != METHOD_BASIC_DELIVER)
            continue;
        consumer->count++;
        ack.basic_ack.delivery_tag = deliver.basic_deliver.delivery_tag;
        buffer_append_method(acks, CLIENT_CHANNEL, &ack);
    }
    client_send(&consumer->client, buffer_bytes(acks));
}

static void print_shares(const struct consumer *consumers, unsigned seconds, uint64_t published)
{
    uint64_t least = UINT64_MAX, most = 0, total = 0;
    double mean, below, above;

    for (unsigned i = 0; i < CONSUMERS; i++) {
        uint64_t share = consumers[i].count - consumers[i].counted_before;

        total += share;
        least = share < least ? share : least;
        most = share > most ? share : most;
    }
    mean = (double)total / CONSUMERS;
    below = mean > 0 ? 100 * (mean - (double)least) / mean : 100;
    above = mean > 0 ? 100 * ((double)most - mean) / mean : 100;
    printf("{\"consumers\":%d,\"consume_rate\":%.0f,\"publish_rate\":%.0f,\"least\":%llu,\"most\":%llu,"
           "\"spread_percent\":%.3f}\n",
           CONSUMERS, (double)total / seconds, (double)published / seconds, (unsigned long long)least,
           (unsigned long long)most, above > below ? above : below);
}

int main(int argc, char **argv)
{
    static struct consumer consumers[CONSUMERS];
    static struct flood flood;
    struct buffer acks = {0};
    struct crowd crowd;
    uint64_t published;

    crowd_begin(&crowd, argc, argv, SECONDS, LENGTH_MAX);
    for (unsigned i = 0; i < CONSUMERS; i++)
        consumer_open(&crowd, &consumers[i]);
    flood_start(&flood, crowd.port, crowd.queue);
    crowd_serve(&crowd, WARM_UP_NS, consume, &acks);
    for (unsigned i = 0; i < CONSUMERS; i++)
        consumers[i].counted_before = consumers[i].count;
    published = flood.published;
    crowd_serve(&crowd, crowd.seconds * UINT64_C(1000000000), consume, &acks);
    print_shares(consumers, crowd.seconds, flood.published - published);
    flood_stop(&flood);
    for (unsigned i = 0; i < CONSUMERS; i++)
        client_drop(&consumers[i].client);
    buffer_free(&acks);
    crowd_end(&crowd);
    return 0;
}
