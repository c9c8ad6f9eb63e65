/* SPDX-License-Identifier: Apache-2.0 */
/* The properties codec's invariants, for the targets "properties" and "frame". */
#ifndef CONEY_TESTS_FUZZ_PROPERTIES_CHECK_H
#define CONEY_TESTS_FUZZ_PROPERTIES_CHECK_H

#include "coney/properties.h"
#include "fuzz.h"

/* What decodes encodes to the same octets, but for the reserved flags; and once normalized it stays so. */
static inline void check_properties(struct bytes raw)
{
    struct buffer copy = {0};
    struct buffer encoded = {0};
    struct properties properties;

    if (properties_decode(&properties, raw)) {
        properties_encode(&encoded, &properties);
        buffer_append_bytes(&copy, raw);
        copy.data[1] &= (uint8_t)~PROPERTY_RESERVED;
        CHECK(bytes_equal(buffer_bytes(&encoded), buffer_bytes(&copy)));

        properties_normalize(copy.data, copy.size);
        CHECK(copy.size == raw.size);
        CHECK(properties_decode(&properties, buffer_bytes(&copy)));
        CHECK(properties.is_normal);
    }
    buffer_free(&copy);
    buffer_free(&encoded);
}

#endif
