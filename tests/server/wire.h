/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of the wire, for tests: what to send goes into a buffer, what comes is cut into frames.
 * Nothing here waits, decides or ends the program: a test says itself what it does with a socket.
 */
#ifndef TESTS_SERVER_WIRE_H
#define TESTS_SERVER_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "coney/buffer.h"
#include "coney/method.h"

/* ---- to send ---- */

#define WIRE_PROTOCOL_HEADER BYTES_LITERAL("AMQP\0\0\x09\x01")
#define WIRE_FRAME_MAX       131072

/* All that a client says up to connection.open, as guest, in one go: RabbitMQ's clients wait in between, but
 * nothing in the protocol makes them. */
void wire_put_login(struct buffer *out, struct bytes vhost, uint32_t frame_max, uint16_t heartbeat);

/* The same up to start-ok; and what follows it. */
void wire_put_start(struct buffer *out);
void wire_put_open(struct buffer *out, struct bytes vhost, uint32_t frame_max, uint16_t heartbeat);

void wire_put_method(struct buffer *out, uint16_t channel, enum method_id id); /* one without arguments */
void wire_put_frame(struct buffer *out, uint8_t type, uint16_t channel, struct bytes payload);

/* METHOD with PROPERTIES and BODY, in frames of at most FRAME_MAX octets; and basic.publish. */
void wire_put_content(struct buffer *out, uint16_t channel, const struct method *method,
                      struct bytes properties, struct bytes body, uint32_t frame_max);
void wire_put_publish(struct buffer *out, uint16_t channel, const struct method_basic_publish *publish,
                      struct bytes properties, struct bytes body, uint32_t frame_max);
void wire_put_declare(struct buffer *out, uint16_t channel, const char *queue);
void wire_put_consume(struct buffer *out, uint16_t channel, const char *queue, bool no_ack);
void wire_put_qos(struct buffer *out, uint16_t channel, uint16_t prefetch);
void wire_put_ack(struct buffer *out, uint16_t channel, uint64_t delivery_tag, bool multiple);
void wire_put_close(struct buffer *out);

/* ---- received ---- */

struct wire_frame {
    uint8_t type;
    uint16_t channel;
    struct bytes payload;
    struct method method; /* of a method frame; id 0 when it does not decode */
};

struct wire_input {
    struct buffer octets;
    size_t at; /* of them taken */
};

/* One recv() from FD; its result. */
ssize_t wire_receive(struct wire_input *input, int fd, int flags);

/* The next whole frame, valid until the next wire_receive(); false when there is none, or its end is not a
 * frame end (then *BROKEN, which is otherwise left alone). */
bool wire_next(struct wire_input *input, struct wire_frame *frame, bool *broken);

void wire_input_free(struct wire_input *input);

#endif
