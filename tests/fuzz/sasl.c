/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz what clients log in with: the first octet is the mechanism, then comes the response, and behind a line
 * end the answer to a challenge. Who logs in has a name that can be compared and logged.
 */
#include "coney/sasl.h"

#include "fuzz.h"

static void check_result(enum sasl_status status, const struct sasl_result *result)
{
    CHECK((status == SASL_MALFORMED) == (result->why != NULL));
    CHECK((status == SASL_CHALLENGE) == (result->challenge.size > 0));
    if (status == SASL_DONE)
        CHECK(result->user.size <= SASL_USER_MAX && utf8_is_valid(result->user));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sasl_settings settings = {.enabled = UINT32_MAX};
    enum sasl_mechanism mechanism;
    struct bytes response, answer = {0};
    struct sasl_result result;
    enum sasl_status status;
    const uint8_t *end;
    struct sasl sasl;

    if (!size)
        return 0;
    mechanism = (enum sasl_mechanism)(data[0] % (SASL_RABBIT_CR_DEMO + 1));
    response = (struct bytes){data + 1, size - 1};
    end = mechanism == SASL_RABBIT_CR_DEMO ? memchr(response.data, '\n', response.size) : NULL;
    if (end) {
        answer = (struct bytes){end + 1, (size_t)(data + size - end - 1)};
        response.size = (size_t)(end - response.data);
    }
    /* The certificate says what the client wrote into it. */
    status = sasl_start(&sasl, &settings, response, bytes_from_string(sasl_mechanism_name(mechanism)),
                        response, &result);
    check_result(status, &result);
    if (status == SASL_CHALLENGE)
        check_result(sasl_continue(&sasl, answer, &result), &result);
    return 0;
}
