/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz what requests of the HTTP API say of a message: the input is their body, JSON. What is taken can be
 * decoded as a client's would be; what is refused is answered with JSON that says why.
 */
#include "admin/body.h"

#include "coney/properties.h"
#include "coney/table.h"
#include "fuzz.h"

static void check_properties(struct bytes raw)
{
    struct properties properties;

    CHECK(properties_decode(&properties, raw) && properties.is_normal);
    CHECK(!(properties.flags & PROPERTY_HEADERS) || table_is_valid(properties.headers, TABLE_DEPTH_MAX));
}

static void check_refusal(const struct request *request)
{
    size_t size = evbuffer_get_length(request->out);
    json_t *said = json_loadb((const char *)evbuffer_pullup(request->out, -1), size, 0, NULL);

    CHECK(request->status == 400);
    CHECK(json_is_string(json_object_get(said, "reason")));
    json_decref(said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request = {.body = {data, size}, .out = evbuffer_new()};
    struct bytes text = {0};
    struct buffer out = {0};
    int64_t number = 0;
    bool flag, taken;
    json_t *body;

    TAILQ_INIT(&request.headers);
    body = request_json(&request);
    taken = body && body_properties(&request, body, &out) && body_bool(&request, body, "flag", &flag) &&
            body_int(&request, body, "number", &number) && body_shortstr(&request, body, "text", &text);
    CHECK(taken == !request.status);
    if (taken)
        check_properties(buffer_bytes(&out));
    else
        check_refusal(&request);
    CHECK(text.size <= SHORTSTR_MAX || !taken);
    buffer_free(&out);
    json_decref(request.json);
    evhttp_clear_headers(&request.headers);
    evbuffer_free(request.out);
    return 0;
}
