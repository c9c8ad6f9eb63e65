/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a saturating publisher leaves to basic.get: 10 connections ask one queue for a message after the
 * other, alone and beside a publisher that never stops, ROUNDS times in turn, since what waking threads costs
 * on a machine with little to do changes from one second to the next. The figures are medians of the rounds.
 * One thread serves all that get; each has one request under way at a time.
 *
 *     bench-get --port N [--seconds S]      prints one JSON object; S is of one half of a round
 */
#include "coney/frame.h"
#include "crowd.h"
#include "tool.h"

#define GETTERS    10
#define SECONDS    1
#define ROUNDS     7
#define LENGTH_MAX 1000000
#define WARM_UP_NS 300000000

struct getter {
    struct client client;
    bool awaits_body;
};

struct tally {
    uint64_t got, empty;
};

static struct buffer request;

/* Take a frame; true when it was the last one of an answer. Bodies here are one frame. */
static bool take_frame(struct getter *getter, uint8_t type, struct bytes payload, struct tally *tally)
{
    uint32_t id = type == FRAME_METHOD && payload.size >= 4 ? get_u32(payload.data) : 0;

    if (id == METHOD_BASIC_GET_EMPTY) {
        tally->empty++;
        return true;
    }
    getter->awaits_body = getter->awaits_body || id == METHOD_BASIC_GET_OK;
    if (type != FRAME_BODY || !getter->awaits_body)
        return false;
    getter->awaits_body = false;
    tally->got++;
    return true;
}

static void serve(void *member, void *context)
{
    struct getter *getter = member;
    struct tally *tally = context;
    struct bytes payload;
    uint8_t type;

    client_fill(&getter->client);
    while (client_next(&getter->client, &type, &payload))
        if (take_frame(getter, type, payload, tally))
            client_send(&getter->client, buffer_bytes(&request));
}

static struct tally get_for(const struct crowd *crowd, uint64_t time_ns)
{
    struct tally tally = {0};

    crowd_serve(crowd, time_ns, serve, &tally);
    return tally;
}

static void open_getters(struct crowd *crowd, struct getter *getters)
{
    struct method get = {.id = METHOD_BASIC_GET};

    get.basic_get = (struct method_basic_get){.queue = crowd->queue, .no_ack = true};
    buffer_append_method(&request, CLIENT_CHANNEL, &get);
    for (unsigned i = 0; i < GETTERS; i++) {
        crowd_join(crowd, &getters[i].client, &getters[i]);
        client_send(&getters[i].client, buffer_bytes(&request));
    }
}

static int compare_rates(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double rates[ROUNDS])
{
    qsort(rates, ROUNDS, sizeof *rates, compare_rates);
    return rates[ROUNDS / 2];
}

struct rates {
    double alone[ROUNDS], beside[ROUNDS], percent[ROUNDS], publish[ROUNDS];
};

static void measure_round(const struct crowd *crowd, struct rates *rates, unsigned round)
{
    uint64_t time_ns = crowd->seconds * UINT64_C(1000000000), published;
    struct flood flood = {0};
    struct tally alone, beside;

    get_for(crowd, WARM_UP_NS);
    alone = get_for(crowd, time_ns);
    if (alone.empty)
        die("the queue ran empty: take fewer --seconds");
    flood_start(&flood, crowd->port, crowd->queue);
    get_for(crowd, WARM_UP_NS);
    published = flood.published;
    beside = get_for(crowd, time_ns);
    published = flood.published - published;
    flood_stop(&flood);
    rates->alone[round] = (double)alone.got / crowd->seconds;
    rates->beside[round] = (double)beside.got / crowd->seconds;
    rates->percent[round] = 100 * (double)beside.got / (double)alone.got;
    rates->publish[round] = (double)published / crowd->seconds;
}

int main(int argc, char **argv)
{
    static struct getter getters[GETTERS];
    static struct rates rates;
    struct crowd crowd;

    crowd_begin(&crowd, argc, argv, SECONDS, LENGTH_MAX);
    flood_some(crowd.port, crowd.queue, LENGTH_MAX);
    open_getters(&crowd, getters);
    for (unsigned round = 0; round < ROUNDS; round++)
        measure_round(&crowd, &rates, round);
    printf("{\"getters\":%d,\"alone_rate\":%.0f,\"beside_rate\":%.0f,\"beside_percent\":%.1f,"
           "\"publish_rate\":%.0f}\n",
           GETTERS, median(rates.alone), median(rates.beside), median(rates.percent), median(rates.publish));
    for (unsigned i = 0; i < GETTERS; i++)
        client_drop(&getters[i].client);
    buffer_free(&request);
    crowd_end(&crowd);
    return 0;
}
