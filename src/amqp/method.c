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
