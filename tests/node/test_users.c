/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user database: what is put comes out again, and what may not be put.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "coney/users.h"

#define B(text) BYTES_LITERAL(text)

/* base64(salt || sha256(salt || "secret")) with the salt 01 02 03 04, made with openssl dgst and base64. */
#define SECRET_SHA256 "AQIDBDB9kM21iEUzN1lZ+6VReCsdNqS0sERdAQTcY6Xs3PMz"
static struct users *users;
static char why[256];

static void make_users(void)
{
    static const char *const loopback_only[] = {"guest"};

    users = users_new(loopback_only, 1);
}

static void free_users(void)
{
    users_free(users);
}

TestSuite(users, .init = make_users, .fini = free_users);

static void put_password(struct bytes name, struct bytes password)
{
    struct user_spec spec = {.name = name, .password = password, .max_connections = -1, .max_channels = -1};

    cr_assert(users_put(users, &spec, why, sizeof why), "%s", why);
}

static bool put_hash(struct bytes name, struct bytes hash, enum password_hashing hashing)
{
    struct user_spec spec = {.name = name, .password_hash = hash, .hashing = hashing};

    return users_put(users, &spec, why, sizeof why);
}

/* Tell whether PASSWORD is NAME's. */
static bool matches(struct bytes name, struct bytes password)
{
    struct password_secret secret;

    return users_secret(users, name, &secret) && password_matches(&secret, password);
}

Test(users, password_is_its_users)
{
    struct password_secret secret;

    put_password(B("u"), B("secret"));
    cr_expect(matches(B("u"), B("secret")));
    cr_expect_not(matches(B("u"), B("secret2")));
    cr_expect_not(users_secret(users, B("v"), &secret));
    cr_expect_eq(secret.size, 0);
}

Test(users, hashes_come_out_as_they_went_in)
{
    struct user_info info;

    cr_assert(put_hash(B("b"), B(SECRET_SHA256), PASSWORD_SHA256));
    cr_assert(users_get(users, B("b"), &info));
    cr_expect_str_eq(info.password_hash, SECRET_SHA256);
    cr_expect_str_eq(password_hashing_name(info.hashing), "rabbit_password_hashing_sha256");
    cr_expect(matches(B("b"), B("secret")));
    user_info_free(&info);
}

Test(users, what_was_hashed_here_can_be_put_elsewhere)
{
    struct user_info info;

    put_password(B("a"), B("secret"));
    cr_assert(users_get(users, B("a"), &info));
    cr_expect_str_eq(password_hashing_name(info.hashing), "coney_password_hashing_scrypt");
    cr_assert(put_hash(B("c"), bytes_from_string(info.password_hash), info.hashing));
    cr_expect(matches(B("c"), B("secret")));
    user_info_free(&info);
}

Test(users, bad_hashes_are_refused)
{
    cr_expect_not(put_hash(B("u"), B(SECRET_SHA256), PASSWORD_SHA512));
    cr_expect_str_eq(why, "password_hash is not the base64 of a salt of 4 octets and a hash");
    cr_expect_not(put_hash(B("u"), B(SECRET_SHA256), PASSWORD_SCRYPT));
    cr_expect_str_eq(why, "password_hash is not the base64 of bearable scrypt parameters, a salt and a key");
    cr_expect_eq(users_count(users), 0);
}

Test(users, blank_passwords_are_refused)
{
    struct user_spec spec = {.name = B("u"), .password = B("")};

    cr_expect_not(users_put(users, &spec, why, sizeof why));
    cr_expect_str_eq(why, "blank passwords are not accepted");
}

Test(users, user_may_have_no_password)
{
    struct password_secret secret;

    cr_assert(put_hash(B("u"), B(""), PASSWORD_SHA256));
    cr_expect(users_secret(users, B("u"), &secret));
    cr_expect_eq(secret.size, 0);
}

Test(users, guest_comes_from_loopback_only)
{
    cr_expect(users_is_loopback_only(users, B("guest")));
    cr_expect_not(users_is_loopback_only(users, B("guest2")));
}

Test(users, tags_and_limits_come_out)
{
    const struct bytes tags[] = {B("administrator"), B("impersonator")};
    struct user_spec spec = {
        .name = B("u"), .tags = tags, .tag_count = 2, .max_connections = 0, .max_channels = -5};
    struct user_info info;

    cr_assert(users_put(users, &spec, why, sizeof why));
    cr_assert(users_get(users, B("u"), &info));
    cr_expect(bytes_equal_string(info.name, "u"));
    cr_expect(user_info_has_tag(&info, "impersonator"));
    cr_expect_not(user_info_has_tag(&info, "management"));
    cr_expect_eq(info.max_connections, 0);
    cr_expect_eq(info.max_channels, USER_LIMIT_NONE);
    user_info_free(&info);
}

Test(users, users_are_replaced_and_removed)
{
    struct user_info info;

    put_password(B("u"), B("one"));
    put_password(B("u"), B("two"));
    cr_expect_eq(users_count(users), 1);
    cr_expect_not(matches(B("u"), B("one")));
    cr_expect(matches(B("u"), B("two")));
    cr_expect(users_remove(users, B("u")));
    cr_expect_not(users_remove(users, B("u")));
    cr_expect_not(matches(B("u"), B("two")));
    cr_expect_not(users_get(users, B("u"), &info));
}

Test(users, list_is_sorted)
{
    struct user_info *list;
    size_t count;

    put_password(B("b"), B("p"));
    put_password(B("c"), B("p"));
    put_password(B("a"), B("p"));
    list = users_list(users, &count);
    cr_assert_eq(count, 3);
    cr_expect(bytes_equal_string(list[0].name, "a"));
    cr_expect(bytes_equal_string(list[2].name, "c"));
    for (size_t i = 0; i < count; i++)
        user_info_free(&list[i]);
    free(list);
}

Test(users, bad_names_are_refused)
{
    uint8_t name[USER_NAME_MAX + 1];

    memset(name, 'n', sizeof name);
    cr_expect_not(put_hash(B(""), B(""), PASSWORD_SHA256));
    cr_expect_not(put_hash(B("\xff"), B(""), PASSWORD_SHA256));
    cr_expect_not(put_hash((struct bytes){name, sizeof name}, B(""), PASSWORD_SHA256));
    cr_expect(put_hash((struct bytes){name, sizeof name - 1}, B(""), PASSWORD_SHA256));
}

Test(users, endless_passwords_are_refused)
{
    static uint8_t password[PASSWORD_MAX + 1];
    struct user_spec spec = {.name = B("u"), .password = {password, sizeof password}};

    memset(password, 'p', sizeof password);
    cr_expect_not(users_put(users, &spec, why, sizeof why));
    cr_expect_str_eq(why, "the password is too long");
}

static void *change_and_look(void *argument)
{
    struct user_spec spec = {.name = B("u"), .password_hash = B(SECRET_SHA256), .hashing = PASSWORD_SHA256};

    for (int i = 0; i < 500; i++) {
        users_put(users, &spec, NULL, 0);
        if (!matches(B("u"), B("secret")))
            return argument;
    }
    return NULL;
}

Test(users, threads_may_look_while_others_change)
{
    pthread_t threads[3];
    void *failed;

    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, change_and_look, users), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &failed);
        cr_expect_null(failed, "each password that was ever set was the same");
    }
}

static void expect_limits(int64_t connections, int64_t channels)
{
    struct user_info info;

    cr_assert(users_get(users, B("u"), &info));
    cr_expect_eq(info.max_connections, connections);
    cr_expect_eq(info.max_channels, channels);
    user_info_free(&info);
}

Test(users, limits_are_set_one_by_one_and_can_be_kept)
{
    struct user_spec spec = {
        .name = B("u"), .max_connections = USER_LIMIT_KEEP, .max_channels = USER_LIMIT_KEEP};

    cr_assert(users_put(users, &spec, why, sizeof why));
    expect_limits(USER_LIMIT_NONE, USER_LIMIT_NONE);
    cr_expect(users_set_limit(users, B("u"), USER_LIMIT_CONNECTIONS, 5));
    cr_expect(users_set_limit(users, B("u"), USER_LIMIT_CHANNELS, 0));
    cr_expect_not(users_set_limit(users, B("v"), USER_LIMIT_CHANNELS, 0));
    expect_limits(5, 0);
    cr_assert(users_put(users, &spec, why, sizeof why));
    expect_limits(5, 0);
    cr_expect(users_set_limit(users, B("u"), USER_LIMIT_CONNECTIONS, -7));
    expect_limits(USER_LIMIT_NONE, 0);
    spec.max_channels = 3;
    cr_assert(users_put(users, &spec, why, sizeof why));
    expect_limits(USER_LIMIT_NONE, 3);
}
