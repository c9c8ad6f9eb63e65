/* SPDX-License-Identifier: Apache-2.0 */
/* The method codec's invariant, for the targets "method" and "frame". */
#ifndef CONEY_TESTS_FUZZ_METHOD_CHECK_H
#define CONEY_TESTS_FUZZ_METHOD_CHECK_H

#include "coney/frame.h"
#include "coney/method.h"
#include "fuzz.h"

/* What decodes encodes to something not longer (reserved arguments become empty) that decodes to the same
 * again. */
static inline void check_method(struct bytes payload)
{
    struct buffer once = {0};
    struct buffer twice = {0};
    struct method method;

    if (method_decode(&method, payload) == METHOD_OK) {
        struct bytes encoded;

        CHECK(method_encoded_size(&method) <= payload.size);
        buffer_append_method(&once, 1, &method);
        encoded = (struct bytes){once.data + FRAME_HEADER_SIZE, once.size - FRAME_OVERHEAD};
        CHECK(frame_header_get(once.data).size == encoded.size);
        CHECK(once.data[once.size - 1] == FRAME_END);
        CHECK(method_decode(&method, encoded) == METHOD_OK);
        buffer_append_method(&twice, 1, &method);
        CHECK(bytes_equal(buffer_bytes(&once), buffer_bytes(&twice)));
    }
    buffer_free(&once);
    buffer_free(&twice);
}

#endif
