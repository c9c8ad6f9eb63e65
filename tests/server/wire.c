/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h, on the project's own codec, which has tests of its own. */
#include "wire.h"

#include <string.h>
#include <sys/socket.h>

#include "coney/frame.h"

#define RECEIVE_SIZE 65536

void wire_put_start(struct buffer *out)
{
    struct method start_ok = {.id = METHOD_CONNECTION_START_OK,
                              .connection_start_ok = {.mechanism = BYTES_LITERAL("PLAIN"),
                                                      .response = BYTES_LITERAL("\0guest\0guest"),
                                                      .locale = BYTES_LITERAL("en_US")}};

    /* { "capabilities": { "connection.blocked": true } } */
    start_ok.connection_start_ok.client_properties = BYTES_LITERAL("\x0c"
                                                                   "capabilitiesF\0\0\0\x15\x12"
                                                                   "connection.blockedt\1");
    buffer_append_bytes(out, WIRE_PROTOCOL_HEADER);
    buffer_append_method(out, 0, &start_ok);
}

void wire_put_open(struct buffer *out, struct bytes vhost, uint32_t frame_max, uint16_t heartbeat)
{
    struct method tune_ok = {
        .id = METHOD_CONNECTION_TUNE_OK,
        .connection_tune_ok = {.channel_max = 2047, .frame_max = frame_max, .heartbeat = heartbeat}};
    struct method open = {.id = METHOD_CONNECTION_OPEN, .connection_open = {.virtual_host = vhost}};

    buffer_append_method(out, 0, &tune_ok);
    buffer_append_method(out, 0, &open);
}

void wire_put_login(struct buffer *out, struct bytes vhost, uint32_t frame_max, uint16_t heartbeat)
{
    wire_put_start(out);
    wire_put_open(out, vhost, frame_max, heartbeat);
}

void wire_put_method(struct buffer *out, uint16_t channel, enum method_id id)
{
    buffer_append_method(out, channel, &(struct method){.id = id});
}

void wire_put_frame(struct buffer *out, uint8_t type, uint16_t channel, struct bytes payload)
{
    uint8_t *p = buffer_reserve(out, payload.size + FRAME_OVERHEAD);

    p = frame_header_put(p, type, channel, (uint32_t)payload.size);
    frame_end_put(put_bytes(p, payload));
    out->size += payload.size + FRAME_OVERHEAD;
}

void wire_put_content(struct buffer *out, uint16_t channel, const struct method *method,
                      struct bytes properties, struct bytes body, uint32_t frame_max)
{
    size_t header = frame_content_header_size(properties.size);

    buffer_append_method(out, channel, method);
    frame_content_header_put(buffer_reserve(out, header), channel, METHOD_CLASS(METHOD_BASIC_PUBLISH),
                             body.size, properties);
    out->size += header;
    while (body.size) {
        size_t size = body.size < frame_max - FRAME_OVERHEAD ? body.size : frame_max - FRAME_OVERHEAD;

        wire_put_frame(out, FRAME_BODY, channel, (struct bytes){body.data, size});
        body = (struct bytes){body.data + size, body.size - size};
    }
}

void wire_put_publish(struct buffer *out, uint16_t channel, const struct method_basic_publish *publish,
                      struct bytes properties, struct bytes body, uint32_t frame_max)
{
    const struct method method = {.id = METHOD_BASIC_PUBLISH, .basic_publish = *publish};

    wire_put_content(out, channel, &method, properties, body, frame_max);
}

void wire_put_declare(struct buffer *out, uint16_t channel, const char *queue)
{
    buffer_append_method(
        out, channel,
        &(struct method){.id = METHOD_QUEUE_DECLARE, .queue_declare = {.queue = bytes_from_string(queue)}});
}

void wire_put_consume(struct buffer *out, uint16_t channel, const char *queue, bool no_ack)
{
    buffer_append_method(
        out, channel,
        &(struct method){.id = METHOD_BASIC_CONSUME,
                         .basic_consume = {.queue = bytes_from_string(queue), .no_ack = no_ack}});
}

void wire_put_qos(struct buffer *out, uint16_t channel, uint16_t prefetch)
{
    buffer_append_method(out, channel,
                         &(struct method){.id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_count = prefetch}});
}

void wire_put_ack(struct buffer *out, uint16_t channel, uint64_t delivery_tag, bool multiple)
{
    buffer_append_method(out, channel,
                         &(struct method){.id = METHOD_BASIC_ACK,
                                          .basic_ack = {.delivery_tag = delivery_tag, .multiple = multiple}});
}

void wire_put_close(struct buffer *out)
{
    buffer_append_method(
        out, 0, &(struct method){.id = METHOD_CONNECTION_CLOSE, .connection_close = {.reply_code = 200}});
}

ssize_t wire_receive(struct wire_input *input, int fd, int flags)
{
    struct buffer *octets = &input->octets;
    ssize_t got;

    if (input->at) {
        octets->size -= input->at;
        memmove(octets->data, octets->data + input->at, octets->size);
        input->at = 0;
    }
    got = recv(fd, buffer_reserve(octets, RECEIVE_SIZE), RECEIVE_SIZE, flags);
    if (got > 0)
        octets->size += (size_t)got;
    return got;
}

bool wire_next(struct wire_input *input, struct wire_frame *frame, bool *broken)
{
    size_t here = input->octets.size - input->at;
    struct frame_header header;
    const uint8_t *at;

    if (here < FRAME_HEADER_SIZE)
        return false;
    at = input->octets.data + input->at;
    header = frame_header_get(at);
    if (here - FRAME_HEADER_SIZE <= header.size)
        return false;
    if (at[FRAME_HEADER_SIZE + header.size] != FRAME_END) {
        *broken = true;
        return false;
    }
    *frame = (struct wire_frame){
        .type = header.type, .channel = header.channel, .payload = {at + FRAME_HEADER_SIZE, header.size}};
    input->at += (size_t)header.size + FRAME_OVERHEAD;
    if (frame->type == FRAME_METHOD && method_decode(&frame->method, frame->payload) != METHOD_OK)
        frame->method.id = (enum method_id)0;
    return true;
}

void wire_input_free(struct wire_input *input)
{
    buffer_free(&input->octets);
}
