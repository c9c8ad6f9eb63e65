/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What surrounds the generated method codec (method_gen.c): a method as a whole frame.
 */
#include "coney/method.h"

#include "coney/frame.h"

void buffer_append_method(struct buffer *buffer, uint16_t channel, const struct method *method)
{
    size_t size = method_encoded_size(method);
    uint8_t *p = buffer_reserve(buffer, FRAME_OVERHEAD + size);

    p = frame_header_put(p, FRAME_METHOD, channel, (uint32_t)size);
    frame_end_put(method_encode(p, method));
    buffer->size += FRAME_OVERHEAD + size;
}

bool method_arguments(const struct method *method, struct bytes *out)
{
    switch (method->id) {
    case METHOD_EXCHANGE_DECLARE:
        *out = method->exchange_declare.arguments;
        break;
    case METHOD_EXCHANGE_BIND:
        *out = method->exchange_bind.arguments;
        break;
    case METHOD_EXCHANGE_UNBIND:
        *out = method->exchange_unbind.arguments;
        break;
    case METHOD_QUEUE_DECLARE:
        *out = method->queue_declare.arguments;
        break;
    case METHOD_QUEUE_BIND:
        *out = method->queue_bind.arguments;
        break;
    case METHOD_QUEUE_UNBIND:
        *out = method->queue_unbind.arguments;
        break;
    case METHOD_BASIC_CONSUME:
        *out = method->basic_consume.arguments;
        break;
    default:
        return false;
    }
    return out->size > 0;
}
