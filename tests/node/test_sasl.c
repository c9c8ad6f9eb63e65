/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SASL mechanisms (connection-and-channel.md 3.3).
 */
#include <criterion/criterion.h>

#include "coney/sasl.h"

#define RAW(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})

static const struct sasl_settings all = {
    .enabled = SASL_MASK(SASL_AMQPLAIN) | SASL_MASK(SASL_ANONYMOUS) | SASL_MASK(SASL_EXTERNAL) |
               SASL_MASK(SASL_PLAIN) | SASL_MASK(SASL_RABBIT_CR_DEMO),
    .anonymous_user = {(const uint8_t *)"anon", 4},
    .anonymous_password = {(const uint8_t *)"word", 4},
};

static struct sasl sasl;
static struct sasl_result result;
static struct bytes certificate;

static enum sasl_status start(struct bytes mechanism, struct bytes response)
{
    return sasl_start(&sasl, &all, certificate, mechanism, response, &result);
}

static void expect_credentials(const char *user, const char *password)
{
    cr_expect(bytes_equal_string(result.user, user), "user '%.*s'", BYTES_ARG(result.user));
    cr_expect(bytes_equal_string(result.password, password));
}

Test(sasl, plain_gives_user_and_password)
{
    cr_assert_eq(start(RAW("PLAIN"), RAW("\0guest\0word")), SASL_DONE);
    expect_credentials("guest", "word");
    cr_assert_eq(start(RAW("PLAIN"), RAW("\0guest\0")), SASL_DONE, "an empty password fails later, at login");
    expect_credentials("guest", "");
}

Test(sasl, plain_has_exactly_two_nuls_the_first_in_front)
{
    cr_expect_eq(start(RAW("PLAIN"), RAW("")), SASL_MALFORMED);
    cr_expect_eq(start(RAW("PLAIN"), (struct bytes){NULL, 0}), SASL_MALFORMED);
    cr_expect_eq(start(RAW("PLAIN"), RAW("\0")), SASL_MALFORMED);
    cr_expect_eq(start(RAW("PLAIN"), RAW("\0guest")), SASL_MALFORMED);
    cr_expect_eq(start(RAW("PLAIN"), RAW("admin\0guest\0guest")), SASL_MALFORMED);
    cr_expect_eq(start(RAW("PLAIN"), RAW("\0guest\0gu\0est")), SASL_MALFORMED);
    cr_expect_not_null(result.why);
}

Test(sasl, amqplain_is_a_table_without_its_length)
{
    cr_assert_eq(start(RAW("AMQPLAIN"), RAW("\5LOGINS\0\0\0\5guest\10PASSWORDS\0\0\0\4word")), SASL_DONE);
    expect_credentials("guest", "word");
    cr_assert_eq(start(RAW("AMQPLAIN"), RAW("\10PASSWORDx\0\0\0\4word\5LOGINx\0\0\0\5guest")), SASL_DONE);
    expect_credentials("guest", "word");
}

Test(sasl, amqplain_with_one_string_is_refused_later_at_login)
{
    cr_assert_eq(start(RAW("AMQPLAIN"), RAW("\5LOGINS\0\0\0\5guest\10PASSWORDD\0\0\0\0\5")), SASL_DONE);
    expect_credentials("guest", "");
    cr_assert_eq(start(RAW("AMQPLAIN"), RAW("\5LOGINI\0\0\0\5\10PASSWORDS\0\0\0\4word")), SASL_DONE);
    expect_credentials("", "word");
}

Test(sasl, malformed_amqplain)
{
    cr_expect_eq(start(RAW("AMQPLAIN"), RAW("")), SASL_MALFORMED);
    cr_expect_eq(start(RAW("AMQPLAIN"), RAW("\5LOGINS\0\0\0\5guest")), SASL_MALFORMED);
    cr_expect_eq(start(RAW("AMQPLAIN"), RAW("\5LOGINI\0\0\0\5\10PASSWORDI\0\0\0\4")), SASL_MALFORMED);
    cr_expect_eq(start(RAW("AMQPLAIN"), RAW("\5LOGINS\0\0\0\5guest\10PASSWORDS\0\0\0\xffword")),
                 SASL_MALFORMED);
    cr_expect_eq(start(RAW("AMQPLAIN"), RAW("\0\0\0\43\5LOGINS\0\0\0\5guest\10PASSWORDS\0\0\0\4word")),
                 SASL_MALFORMED, "with a length");
}

Test(sasl, user_names_are_bounded_utf8)
{
    uint8_t response[2 + SASL_USER_MAX + 1] = {0};

    memset(response + 1, 'u', SASL_USER_MAX + 1);
    response[SASL_USER_MAX + 2] = '\0';
    cr_expect_eq(start(RAW("PLAIN"), (struct bytes){response, sizeof response}), SASL_MALFORMED);
    response[SASL_USER_MAX + 1] = '\0';
    cr_expect_eq(start(RAW("PLAIN"), (struct bytes){response, sizeof response - 1}), SASL_DONE);
    cr_expect_eq(result.user.size, SASL_USER_MAX);
    cr_expect_eq(start(RAW("PLAIN"), RAW("\0\xff\xfe\0p")), SASL_MALFORMED);
    cr_expect_eq(start(RAW("RABBIT-CR-DEMO"), (struct bytes){response + 1, sizeof response}), SASL_MALFORMED);
}

Test(sasl, anonymous_is_who_the_configuration_says)
{
    cr_assert_eq(start(RAW("ANONYMOUS"), RAW("trace")), SASL_DONE);
    expect_credentials("anon", "word");
}

Test(sasl, challenge_asks_for_the_password)
{
    uint8_t user[] = "guest";

    cr_assert_eq(start(RAW("RABBIT-CR-DEMO"), (struct bytes){user, 5}), SASL_CHALLENGE);
    cr_expect(bytes_equal_string(result.challenge, "Please tell me your password"));
    memset(user, 'x', 5); /* the first response is gone when the second comes */
    cr_assert_eq(sasl_continue(&sasl, RAW("My password is word"), &result), SASL_DONE);
    expect_credentials("guest", "word");
}

Test(sasl, wrong_answer_to_the_challenge_is_malformed)
{
    start(RAW("RABBIT-CR-DEMO"), RAW("guest"));
    cr_expect_eq(sasl_continue(&sasl, RAW("word"), &result), SASL_MALFORMED);
    cr_expect_eq(sasl_continue(&sasl, RAW(""), &result), SASL_MALFORMED);
}

Test(sasl, external_gives_the_certificates_name)
{
    static uint8_t name[SASL_USER_MAX + 1];

    certificate = RAW("CN=me");
    cr_assert_eq(start(RAW("EXTERNAL"), RAW("\0guest\0guest")), SASL_DONE);
    cr_expect(result.is_external);
    expect_credentials("CN=me", "");
    cr_assert_eq(start(RAW("PLAIN"), RAW("\0guest\0word")), SASL_DONE);
    cr_expect_not(result.is_external);
    expect_credentials("guest", "word");
    memset(name, 'n', sizeof name);
    certificate = (struct bytes){name, sizeof name};
    cr_assert_eq(start(RAW("EXTERNAL"), RAW("")), SASL_DONE);
    expect_credentials("", "");
    certificate = RAW("\xff");
    cr_assert_eq(start(RAW("EXTERNAL"), RAW("")), SASL_DONE);
    expect_credentials("", "");
    certificate = (struct bytes){NULL, 0};
    cr_assert_eq(start(RAW("EXTERNAL"), RAW("")), SASL_DONE);
    cr_expect(result.is_external);
    expect_credentials("", "");
}

Test(sasl, mechanisms_not_offered_are_refused)
{
    struct sasl_settings usual = {.enabled = SASL_MASK(SASL_AMQPLAIN) | SASL_MASK(SASL_PLAIN)};

    cr_expect_eq(sasl_start(&sasl, &usual, certificate, RAW("ANONYMOUS"), RAW(""), &result), SASL_MALFORMED);
    cr_expect_eq(sasl_start(&sasl, &usual, certificate, RAW("RABBIT-CR-DEMO"), RAW("guest"), &result),
                 SASL_MALFORMED);
    cr_expect_eq(start(RAW("plain"), RAW("\0guest\0guest")), SASL_MALFORMED, "names are case sensitive");
    cr_expect_eq(start(RAW(""), RAW("")), SASL_MALFORMED);
}

Test(sasl, names_are_offered_in_order)
{
    struct sasl_settings usual = {.enabled = SASL_MASK(SASL_AMQPLAIN) | SASL_MASK(SASL_PLAIN)};
    struct buffer out = {0};

    sasl_append_names(&out, &usual, true);
    cr_expect(bytes_equal_string(buffer_bytes(&out), "AMQPLAIN PLAIN"));
    buffer_clear(&out);
    sasl_append_names(&out, &all, true);
    cr_expect(bytes_equal_string(buffer_bytes(&out), "AMQPLAIN ANONYMOUS EXTERNAL PLAIN RABBIT-CR-DEMO"));
    buffer_clear(&out);
    sasl_append_names(&out, &all, false);
    cr_expect(bytes_equal_string(buffer_bytes(&out), "AMQPLAIN ANONYMOUS PLAIN RABBIT-CR-DEMO"),
              "where nobody can have a certificate EXTERNAL is not offered");
    buffer_free(&out);
}
