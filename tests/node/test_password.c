/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords as they are stored: RabbitMQ's salted hashes, scrypt, and both as text (management-http-api.md
 * 3.10).
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "coney/password.h"

#define B(text) BYTES_LITERAL(text)

/* base64(salt || hash(salt || "secret")) with the salt 01 02 03 04, made with openssl dgst and base64. */
#define SECRET_SHA256 "AQIDBDB9kM21iEUzN1lZ+6VReCsdNqS0sERdAQTcY6Xs3PMz"
#define SECRET_SHA512 \
    "AQIDBPhTH2L5HGYB1LWOrn+YpvuQmVOXKGqgsuiJRIZTILRoEvblSJo/WAsym3IZTfuaIaK5KR2o5KwFfTv6KsxfMIE="
#define SECRET_MD5 "AQIDBDgk9ci8Lfh6CKE9Y0AUfmU="

/* The same by Python's hashlib.scrypt and the salt 01 to 10: parameters 10, 8, 1 and 11, 4, 2. */
#define SECRET_SCRYPT       "CggBAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"
#define SECRET_SCRYPT_OTHER "CwQCAQIDBAUGBwgJCgsMDQ4PEIyvrNilpEO0Hc33JPntFPdX2z0PVlcHqBaCIl1/EF7w"

static struct password_secret secret;

static bool read_secret(struct bytes text, enum password_hashing hashing)
{
    return password_from_base64(&secret, text, hashing);
}

static void expect_secret(struct bytes text, enum password_hashing hashing)
{
    char *again;

    cr_assert(read_secret(text, hashing));
    cr_expect(password_matches(&secret, B("secret")));
    cr_expect_not(password_matches(&secret, B("Secret")));
    cr_expect_not(password_matches(&secret, B("secret2")));
    cr_expect_not(password_matches(&secret, B("")));
    cr_expect_eq(password_hashing_from_size(text.size), hashing);
    again = password_to_base64(&secret);
    cr_expect(bytes_equal_string(text, again), "it comes out as it went in, not %s", again);
    free(again);
}

Test(password, imported_secrets_match)
{
    expect_secret(B(SECRET_SHA256), PASSWORD_SHA256);
    expect_secret(B(SECRET_SHA512), PASSWORD_SHA512);
    expect_secret(B(SECRET_MD5), PASSWORD_MD5);
}

Test(password, scrypt_is_the_standards_whatever_its_parameters)
{
    expect_secret(B(SECRET_SCRYPT), PASSWORD_SCRYPT);
    expect_secret(B(SECRET_SCRYPT_OTHER), PASSWORD_SCRYPT);
}

Test(password, what_is_set_here_is_scrypt_with_its_parameters)
{
    char *text;

    cr_assert(password_hash(&secret, B("p")));
    cr_expect_eq(secret.hashing, PASSWORD_SCRYPT);
    cr_expect_arr_eq(secret.octets, ((uint8_t[]){13, 8, 1}), 3);
    text = password_to_base64(&secret);
    cr_assert(read_secret(bytes_from_string(text), PASSWORD_SCRYPT));
    cr_expect(password_matches(&secret, B("p")));
    cr_expect_not(password_matches(&secret, B("q")));
    free(text);
}

Test(password, every_salt_is_another)
{
    struct password_secret other;

    cr_assert(password_hash(&secret, B("p")) && password_hash(&other, B("p")));
    cr_expect_neq(memcmp(secret.octets + 3, other.octets + 3, 16), 0);
    cr_expect_neq(memcmp(secret.octets + 19, other.octets + 19, 32), 0);
}

Test(password, nothing_matches_no_secret)
{
    secret = (struct password_secret){0};
    cr_expect_not(password_matches(&secret, B("")));
    cr_expect_not(password_matches(&secret, B("x")));
}

Test(password, what_is_no_secret_is_refused)
{
    cr_expect_not(read_secret(B(""), PASSWORD_SHA256));
    cr_expect_not(read_secret(B(SECRET_SHA256), PASSWORD_SHA512));
    cr_expect_not(read_secret(B(SECRET_SHA256), PASSWORD_SCRYPT));
    cr_expect_not(read_secret(B("AQIDBA=="), PASSWORD_SHA256));
    cr_expect_not(read_secret(B("!QIDBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), PASSWORD_SHA256));
    cr_expect_not(read_secret(B("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), PASSWORD_SHA256));
    cr_expect_not(read_secret(B("================================================"), PASSWORD_SHA256));
}

/* 1 KiB times 2^15 is all of 64 MiB when r is 16; N below 2^10 and p above 4 are no choice either. */
Test(password, scrypt_that_asks_for_too_much_or_too_little_is_refused)
{
    cr_expect(read_secret(B("DxABAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"),
                          PASSWORD_SCRYPT));
    cr_expect_not(read_secret(B("DxEBAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"),
                              PASSWORD_SCRYPT));
    cr_expect_not(read_secret(B("EBABAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"),
                              PASSWORD_SCRYPT));
    cr_expect_not(read_secret(B("/wgBAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"),
                              PASSWORD_SCRYPT));
    cr_expect_not(read_secret(B("CQgBAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"),
                              PASSWORD_SCRYPT));
    cr_expect_not(read_secret(B("CgABAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"),
                              PASSWORD_SCRYPT));
    cr_expect_not(read_secret(B("CggAAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"),
                              PASSWORD_SCRYPT));
    cr_expect_not(read_secret(B("CggFAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"),
                              PASSWORD_SCRYPT));
}

Test(password, hashings_have_names)
{
    enum password_hashing hashing;

    for (int i = PASSWORD_SHA256; i <= PASSWORD_SCRYPT; i++) {
        const char *name = password_hashing_name((enum password_hashing)i);

        cr_assert(password_hashing_from_name(bytes_from_string(name), &hashing));
        cr_expect_eq((int)hashing, i);
    }
    cr_expect_not(password_hashing_from_name(B("rabbit_password_hashing_sha1"), &hashing));
}

static void *match_some(void *argument)
{
    struct password_secret own;
    void *failed = NULL;

    password_from_base64(&own, B(SECRET_SCRYPT), PASSWORD_SCRYPT);
    for (int i = 0; i < 20; i++)
        if (!password_matches(&own, B("secret")))
            failed = argument;
    return failed;
}

Test(password, threads_take_turns)
{
    pthread_t threads[2 * PASSWORD_HASHES_AT_ONCE];
    void *failed;

    for (int i = 0; i < 2 * PASSWORD_HASHES_AT_ONCE; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, match_some, &secret), 0);
    for (int i = 0; i < 2 * PASSWORD_HASHES_AT_ONCE; i++) {
        pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
}
