/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz multipart/form-data, as which browsers upload definitions: a content type, and behind a NUL a body.
 * What is found lies in the body, and what is sent as it should be is found as it was.
 */
#include "admin/http/multipart.h"

#include "coney/buffer.h"
#include "fuzz.h"

#define BOUNDARY "\r\n--b"

static void check_sent(struct bytes contents)
{
    static const struct bytes before =
        BYTES_LITERAL("--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n");
    struct buffer body = {0};
    struct bytes found;

    buffer_append_bytes(&body, before);
    buffer_append_bytes(&body, contents);
    buffer_append_bytes(&body, BYTES_LITERAL(BOUNDARY "--"));
    if (!contents.size || !memmem(contents.data, contents.size, BOUNDARY, strlen(BOUNDARY))) {
        CHECK(multipart_field("multipart/form-data; boundary=b", buffer_bytes(&body), "file", &found));
        CHECK(bytes_equal(found, contents));
    }
    buffer_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *type = fuzz_text(data, size);
    size_t type_size = strlen(type);
    struct bytes body = {data + type_size, size - type_size}, found;

    if (body.size)
        body = (struct bytes){body.data + 1, body.size - 1};
    if (multipart_field(type, body, "file", &found)) {
        CHECK(is_multipart(type));
        CHECK(found.data >= body.data && found.data + found.size < body.data + body.size);
    }
    check_sent(body);
    free(type);
    return 0;
}
