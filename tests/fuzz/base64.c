/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz base64, which is in HTTP's authorization, in messages of the HTTP API, and in stored passwords. What
 * is decoded comes back when it was encoded; a stored password is taken with what it is, or not at all.
 */
#include "coney/base64.h"
#include "coney/password.h"
#include "fuzz.h"

static void check_encode(struct bytes octets)
{
    char *text = base64_encode(octets);
    size_t size;
    uint8_t *again = base64_decode(bytes_from_string(text), &size);

    CHECK(strlen(text) == (octets.size + 2) / 3 * 4);
    CHECK(again && bytes_equal((struct bytes){again, size}, octets));
    free(again);
    free(text);
}

static void check_password(struct bytes text, enum password_hashing hashing)
{
    struct password_secret secret, again;
    char *written;

    if (!password_from_base64(&secret, text, hashing))
        return;
    CHECK(secret.hashing == hashing && secret.size && secret.size <= sizeof secret.octets);
    CHECK(password_hashing_from_size(text.size) == hashing);
    written = password_to_base64(&secret);
    CHECK(strlen(written) == text.size);
    CHECK(password_from_base64(&again, bytes_from_string(written), hashing));
    CHECK(again.size == secret.size && memcmp(again.octets, secret.octets, secret.size) == 0);
    free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {data, size};
    size_t decoded_size = 0;
    uint8_t *decoded = base64_decode(input, &decoded_size);

    if (decoded) {
        CHECK(decoded_size <= size / 4 * 3);
        check_encode((struct bytes){decoded, decoded_size});
    }
    free(decoded);
    check_encode(input);
    for (int hashing = PASSWORD_SHA256; hashing <= PASSWORD_SCRYPT; hashing++)
        check_password(input, (enum password_hashing)hashing);
    return 0;
}
