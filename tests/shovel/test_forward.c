/* SPDX-License-Identifier: Apache-2.0 */
/* What a shovel says to its source when the destination confirms, refuses and returns, played by two scripted
 * brokers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../server/wire.h"
#include "coney/client.h"
#include "coney/frame.h"
#include "coney/properties.h"
#include "coney/shovels.h"

#define SECONDS_MAX 20
#define VALUE                                                \
    "{\"src-uri\":\"amqp://source@\",\"dest-uri\":\"amqp://" \
    "dest@\",\"src-queue\":\"from\",\"dest-exchange\":"      \
    "\"to\",\"dest-exchange-key\":\"key\",\"reconnect-delay\":0%s}"

/* A broker's end. */
struct far {
    int fd, near; /* and the other one, until the shovel takes it */
    struct wire_input input;
    bool is_broken;
};

static struct far source, dest;
static struct shovels *shovels;

static bool reach(void *context, const char *user, struct client_target *target)
{
    struct far *far = strcmp(user, "dest") == 0 ? &dest : &source;

    (void)context;
    errno = ECONNREFUSED;
    target->has_fd = far->near >= 0;
    target->fd = far->near;
    far->near = -1;
    return target->has_fd;
}

static void open_far(struct far *far)
{
    static const struct timeval patience = {.tv_sec = SECONDS_MAX};
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    *far = (struct far){.fd = fds[0], .near = fds[1]};
}

static void close_far(struct far *far)
{
    close(far->fd);
    wire_input_free(&far->input);
}

static void end(void)
{
    close_far(&source); /* so that nobody waits for an answer to a close */
    close_far(&dest);
    shovels_stop(shovels);
    shovels_free(shovels);
}

/* ---- scripts ---- */

static struct wire_frame hear_frame(struct far *far)
{
    struct wire_frame frame;

    while (!far->input.octets.size || !wire_next(&far->input, &frame, &far->is_broken))
        cr_assert_gt(wire_receive(&far->input, far->fd, 0), 0, "nothing comes");
    return frame;
}

static struct method hear(struct far *far, enum method_id id)
{
    struct wire_frame frame = hear_frame(far);

    cr_assert_eq(frame.type, FRAME_METHOD);
    cr_assert_eq(frame.method.id, id, "%s instead of %s", method_name(frame.method.id), method_name(id));
    return frame.method;
}

static void say_octets(struct far *far, struct bytes octets)
{
    cr_assert_eq(send(far->fd, octets.data, octets.size, MSG_NOSIGNAL), (ssize_t)octets.size);
}

static void say(struct far *far, uint16_t channel, const struct method *method)
{
    struct buffer out = {0};

    buffer_append_method(&out, channel, method);
    say_octets(far, buffer_bytes(&out));
    buffer_free(&out);
}

static void say_id(struct far *far, uint16_t channel, enum method_id id)
{
    say(far, channel, &(struct method){.id = id});
}

static void say_content(struct far *far, const struct method *method, const char *body)
{
    struct buffer out = {0};

    wire_put_content(&out, 1, method, PROPERTIES_NONE, bytes_from_string(body), WIRE_FRAME_MAX);
    say_octets(far, buffer_bytes(&out));
    buffer_free(&out);
}

static void log_in(struct far *far)
{
    struct method start = {.id = METHOD_CONNECTION_START,
                           .connection_start = {.version_minor = 9, .mechanisms = BYTES_LITERAL("PLAIN")}};
    char octets[8];

    cr_assert_eq(recv(far->fd, octets, sizeof octets, MSG_WAITALL), 8);
    say(far, 0, &start);
    hear(far, METHOD_CONNECTION_START_OK);
    say_id(far, 0, METHOD_CONNECTION_TUNE);
    hear(far, METHOD_CONNECTION_TUNE_OK);
    hear(far, METHOD_CONNECTION_OPEN);
    say_id(far, 0, METHOD_CONNECTION_OPEN_OK);
    hear(far, METHOD_CHANNEL_OPEN);
    say_id(far, 1, METHOD_CHANNEL_OPEN_OK);
}

static void set_up_dest(void)
{
    log_in(&dest);
    hear(&dest, METHOD_CONFIRM_SELECT);
    say_id(&dest, 1, METHOD_CONFIRM_SELECT_OK);
}

/* Up to basic.consume, which is not answered. */
static void set_up_source(void)
{
    log_in(&source);
    hear(&source, METHOD_CHANNEL_OPEN);
    cr_assert(hear(&source, METHOD_QUEUE_DECLARE).queue_declare.passive);
    say_id(&source, 2, METHOD_CHANNEL_OPEN_OK);
    say_id(&source, 2, METHOD_QUEUE_DECLARE_OK);
    hear(&source, METHOD_CHANNEL_CLOSE);
    say_id(&source, 2, METHOD_CHANNEL_CLOSE_OK);
    cr_assert_eq(hear(&source, METHOD_BASIC_QOS).basic_qos.prefetch_count, 1000);
    say_id(&source, 1, METHOD_BASIC_QOS_OK);
    cr_assert(bytes_equal_string(hear(&source, METHOD_BASIC_CONSUME).basic_consume.queue, "from"));
}

/* A shovel that asks for a consumer; MORE of its value. */
static void set_up(const char *more)
{
    const struct shovels_settings settings = {"node@host", "cluster"};
    const struct shovels_ops ops = {.reach_self = reach};
    char text[1000], why[1000] = "";
    json_t *value;

    alarm(3 * SECONDS_MAX);
    open_far(&source);
    open_far(&dest);
    shovels = shovels_new(&settings, &ops);
    cr_assert(shovels_start(shovels));
    snprintf(text, sizeof text, VALUE, more);
    value = json_loads(text, 0, NULL);
    cr_assert(shovels_put(shovels, "/", "s", value, why, sizeof why), "%s", why);
    json_decref(value);
    set_up_dest();
    set_up_source();
}

/* One that runs. */
static void begin(const char *more)
{
    set_up(more);
    say_id(&source, 1, METHOD_BASIC_CONSUME_OK);
}

/* Deliver BODY under TAG, and hear it published. */
static void move(uint64_t tag, const char *body)
{
    struct method deliver = {.id = METHOD_BASIC_DELIVER,
                             .basic_deliver = {.delivery_tag = tag, .exchange = BYTES_LITERAL("e")}};
    struct method publish;

    say_content(&source, &deliver, body);
    publish = hear(&dest, METHOD_BASIC_PUBLISH);
    cr_assert(bytes_equal_string(publish.basic_publish.exchange, "to"));
    cr_assert(bytes_equal_string(publish.basic_publish.routing_key, "key"));
    cr_assert(publish.basic_publish.mandatory);
    cr_assert_eq(hear_frame(&dest).type, FRAME_HEADER);
    cr_assert(bytes_equal_string(hear_frame(&dest).payload, body));
}

static void confirm(enum method_id id, uint64_t sequence, bool multiple)
{
    struct method method = {.id = id, .basic_nack = {.delivery_tag = sequence, .multiple = multiple}};

    if (id == METHOD_BASIC_ACK)
        method.basic_ack = (struct method_basic_ack){.delivery_tag = sequence, .multiple = multiple};
    say(&dest, 1, &method);
}

static void give_back(const char *body)
{
    struct method returned = {.id = METHOD_BASIC_RETURN,
                              .basic_return = {.reply_code = 312,
                                               .reply_text = BYTES_LITERAL("NO_ROUTE"),
                                               .exchange = BYTES_LITERAL("to"),
                                               .routing_key = BYTES_LITERAL("key")}};

    say_content(&dest, &returned, body);
}

static void expect_ack(uint64_t tag, bool multiple)
{
    struct method_basic_ack ack = hear(&source, METHOD_BASIC_ACK).basic_ack;

    cr_expect_eq(ack.delivery_tag, tag);
    cr_expect_eq(ack.multiple, multiple);
}

static void expect_requeued(uint64_t tag)
{
    struct method_basic_nack nack = hear(&source, METHOD_BASIC_NACK).basic_nack;

    cr_expect_eq(nack.delivery_tag, tag);
    cr_expect(nack.requeue && !nack.multiple);
}

/* ---- tests ---- */

Test(shovel_forward, settles_what_is_confirmed_and_requeues_the_rest, .fini = end)
{
    begin("");
    move(11, "a");
    move(12, "b");
    move(15, "c");
    move(16, "d");
    move(17, "e");
    confirm(METHOD_BASIC_ACK, 2, false);
    expect_ack(12, false);
    confirm(METHOD_BASIC_NACK, 3, false);
    expect_requeued(15);
    give_back("d");
    confirm(METHOD_BASIC_ACK, 5, true);
    expect_requeued(16);
    expect_ack(17, true);
}

Test(shovel_forward, minds_neither_order_nor_repetition, .fini = end)
{
    begin("");
    move(1, "a");
    move(2, "b");
    move(3, "c");
    confirm(METHOD_BASIC_ACK, 3, false);
    confirm(METHOD_BASIC_ACK, 3, false);
    confirm(METHOD_BASIC_ACK, 3, true);
    expect_ack(3, false);
    expect_ack(2, true);
    confirm(METHOD_BASIC_ACK, 1, true);
    move(4, "d");
    confirm(METHOD_BASIC_NACK, 4, true);
    expect_requeued(4);
}

Test(shovel_forward, requeues_one_of_two_that_are_the_same, .fini = end)
{
    begin("");
    move(1, "same");
    move(2, "same");
    give_back("same");
    give_back("same");
    confirm(METHOD_BASIC_ACK, 1, false);
    expect_requeued(1);
    confirm(METHOD_BASIC_ACK, 2, false);
    expect_requeued(2);
}

Test(shovel_forward, stops_when_what_is_returned_is_not_known, .fini = end)
{
    begin("");
    move(1, "a");
    give_back("b");
    hear(&source, METHOD_CONNECTION_CLOSE);
    hear(&dest, METHOD_CONNECTION_CLOSE);
}

Test(shovel_forward, acknowledges_no_delivery_that_it_left_alone, .fini = end)
{
    struct method deliver = {.id = METHOD_BASIC_DELIVER, .basic_deliver = {.delivery_tag = 3}};

    begin(",\"src-delete-after\":2");
    move(1, "a");
    move(2, "b");
    say_content(&source, &deliver, "one too many");
    say_id(&source, 1, METHOD_CHANNEL_FLOW); /* its answer tells that the delivery was seen */
    hear(&source, METHOD_CHANNEL_FLOW_OK);
    confirm(METHOD_BASIC_NACK, 1, false);
    expect_requeued(1);
    move(4, "a");
    confirm(METHOD_BASIC_ACK, 3, true);
    expect_ack(2, false);
    expect_ack(4, false);
    hear(&source, METHOD_CONNECTION_CLOSE);
}

Test(shovel_forward, waits_for_what_is_on_its_way_when_it_is_removed, .fini = end)
{
    begin("");
    move(1, "a");
    move(2, "b");
    cr_assert(shovels_remove(shovels, "/", "s"));
    confirm(METHOD_BASIC_ACK, 1, false);
    expect_ack(1, false);
    confirm(METHOD_BASIC_ACK, 2, false);
    expect_ack(2, false);
    hear(&source, METHOD_CONNECTION_CLOSE);
    hear(&dest, METHOD_CONNECTION_CLOSE);
}

Test(shovel_forward, is_not_begun_by_an_answer_that_comes_too_late, .fini = end)
{
    json_t *status;
    char octet;

    set_up("");
    cr_assert(shovels_restart(shovels, "/", "s"));
    hear(&source, METHOD_CONNECTION_CLOSE);
    hear(&dest, METHOD_CONNECTION_CLOSE);
    say_id(&source, 1, METHOD_BASIC_CONSUME_OK);
    say_id(&source, 0, METHOD_CONNECTION_CLOSE_OK);
    cr_assert_eq(recv(source.fd, &octet, 1, 0), 0, "the source is let go of");
    status = shovels_status(shovels);
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(status, 0), "state")), "starting",
                     "until the destination has answered too");
    json_decref(status);
}
