/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz what comes in on a connection, cut into frames, each payload decoded as its type says. */
#include "coney/frame.h"
#include "method_check.h"
#include "properties_check.h"

static void check_payload(uint8_t type, struct bytes payload)
{
    if (type == FRAME_METHOD)
        check_method(payload);
    else if (type == FRAME_HEADER && payload.size >= CONTENT_HEADER_FIXED_SIZE)
        check_properties((struct bytes){payload.data + CONTENT_HEADER_FIXED_SIZE,
                                        payload.size - CONTENT_HEADER_FIXED_SIZE});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    while (size >= FRAME_OVERHEAD) {
        struct frame_header header = frame_header_get(data);
        uint8_t again[FRAME_HEADER_SIZE];

        CHECK(frame_header_put(again, header.type, header.channel, header.size) == again + sizeof again);
        CHECK(memcmp(again, data, sizeof again) == 0);
        if (size - FRAME_OVERHEAD < header.size || data[FRAME_HEADER_SIZE + header.size] != FRAME_END)
            break;
        check_payload(header.type, (struct bytes){data + FRAME_HEADER_SIZE, header.size});
        data += FRAME_OVERHEAD + header.size;
        size -= FRAME_OVERHEAD + header.size;
    }
    return 0;
}
