/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user database: hashes as RabbitMQ has them, logins, loopback users (management-http-api.md 3.10,
 * connection-and-channel.md 3.4).
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "coney/users.h"

#define B(text) BYTES_LITERAL(text)

/* base64(salt || hash(salt || "secret")) with the salt 01 02 03 04, made with openssl dgst and base64. */
#define SECRET_SHA256 "AQIDBDB9kM21iEUzN1lZ+6VReCsdNqS0sERdAQTcY6Xs3PMz"
#define SECRET_SHA512 \
    "AQIDBPhTH2L5HGYB1LWOrn+YpvuQmVOXKGqgsuiJRIZTILRoEvblSJo/WAsym3IZTfuaIaK5KR2o5KwFfTv6KsxfMIE="
#define SECRET_MD5 "AQIDBDgk9ci8Lfh6CKE9Y0AUfmU="

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

static enum login_result login_from(struct bytes name, struct bytes password, bool loopback)
{
    struct user_info info;
    enum login_result result = users_authenticate(users, name, password, loopback, &info);

    if (result == LOGIN_OK)
        user_info_free(&info);
    return result;
}

static enum login_result login(struct bytes name, struct bytes password)
{
    return login_from(name, password, true);
}

Test(users, password_lets_its_user_in)
{
    put_password(B("u"), B("secret"));
    cr_expect_eq(login(B("u"), B("secret")), LOGIN_OK);
    cr_expect_eq(login(B("u"), B("Secret")), LOGIN_WRONG_PASSWORD);
    cr_expect_eq(login(B("u"), B("secret2")), LOGIN_WRONG_PASSWORD);
    cr_expect_eq(login(B("u"), B("")), LOGIN_NO_PASSWORD);
    cr_expect_eq(login(B("v"), B("secret")), LOGIN_UNKNOWN_USER);
    cr_expect_eq(login(B(""), B("secret")), LOGIN_UNKNOWN_USER);
}

Test(users, imported_hashes_work)
{
    cr_expect(put_hash(B("a"), B(SECRET_SHA256), PASSWORD_SHA256), "%s", why);
    cr_expect(put_hash(B("b"), B(SECRET_SHA512), PASSWORD_SHA512), "%s", why);
    cr_expect(put_hash(B("c"), B(SECRET_MD5), PASSWORD_MD5), "%s", why);
    cr_expect_eq(login(B("a"), B("secret")), LOGIN_OK);
    cr_expect_eq(login(B("b"), B("secret")), LOGIN_OK);
    cr_expect_eq(login(B("c"), B("secret")), LOGIN_OK);
    cr_expect_eq(login(B("a"), B("other")), LOGIN_WRONG_PASSWORD);
    cr_expect_eq(login(B("b"), B("other")), LOGIN_WRONG_PASSWORD);
    cr_expect_eq(login(B("c"), B("other")), LOGIN_WRONG_PASSWORD);
}

Test(users, hashes_come_out_as_they_went_in)
{
    struct user_info info;

    cr_assert(put_hash(B("b"), B(SECRET_SHA512), PASSWORD_SHA512));
    cr_assert(users_get(users, B("b"), &info));
    cr_expect_str_eq(info.password_hash, SECRET_SHA512);
    cr_expect_str_eq(password_hashing_name(info.hashing), "rabbit_password_hashing_sha512");
    user_info_free(&info);
}

Test(users, same_password_is_salted_differently)
{
    struct user_info a, b;

    put_password(B("a"), B("secret"));
    put_password(B("b"), B("secret"));
    cr_assert(users_get(users, B("a"), &a));
    cr_assert(users_get(users, B("b"), &b));
    cr_expect_eq(strlen(a.password_hash), 48);
    cr_expect_str_neq(a.password_hash, b.password_hash);
    cr_assert(put_hash(B("c"), bytes_from_string(a.password_hash), a.hashing));
    cr_expect_eq(login(B("c"), B("secret")), LOGIN_OK, "exported hashes can be imported");
    user_info_free(&a);
    user_info_free(&b);
}

Test(users, bad_hashes_are_refused)
{
    cr_expect_not(put_hash(B("u"), B(SECRET_SHA256), PASSWORD_SHA512));
    cr_expect_not(put_hash(B("u"), B("AQIDBA=="), PASSWORD_SHA256));
    cr_expect_not(put_hash(B("u"), B("!QIDBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), PASSWORD_SHA256));
    cr_expect_not(put_hash(B("u"), B("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), PASSWORD_SHA256));
    cr_expect_not(put_hash(B("u"), B("================================================"), PASSWORD_SHA256));
    cr_expect_str_eq(why, "password_hash is not the base64 of a salt of 4 octets and a hash");
    cr_expect_eq(users_count(users), 0);
}

Test(users, blank_passwords_are_refused)
{
    struct user_spec spec = {.name = B("u"), .password = B("")};

    cr_expect_not(users_put(users, &spec, why, sizeof why));
    cr_expect_str_eq(why, "blank passwords are not accepted");
}

Test(users, user_without_password_cannot_log_in)
{
    cr_assert(put_hash(B("u"), B(""), PASSWORD_SHA256));
    cr_expect_eq(login(B("u"), B("")), LOGIN_NO_PASSWORD);
    cr_expect_eq(login(B("u"), B("x")), LOGIN_NO_PASSWORD);
}

Test(users, guest_comes_from_loopback_only)
{
    put_password(B("guest"), B("guest"));
    put_password(B("other"), B("other"));
    cr_expect_eq(login_from(B("guest"), B("guest"), true), LOGIN_OK);
    cr_expect_eq(login_from(B("guest"), B("guest"), false), LOGIN_NOT_LOOPBACK);
    cr_expect_eq(login_from(B("guest"), B("wrong"), false), LOGIN_WRONG_PASSWORD,
                 "whether the password was right is not told to strangers");
    cr_expect_eq(login_from(B("other"), B("other"), false), LOGIN_OK);
}

Test(users, login_gives_tags_and_limits)
{
    const struct bytes tags[] = {B("administrator"), B("impersonator")};
    struct user_spec spec = {.name = B("u"),
                             .password = B("p"),
                             .tags = tags,
                             .tag_count = 2,
                             .max_connections = 0,
                             .max_channels = -5};
    struct user_info info;

    cr_assert(users_put(users, &spec, why, sizeof why));
    cr_assert_eq(users_authenticate(users, B("u"), B("p"), true, &info), LOGIN_OK);
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
    cr_expect_eq(login(B("u"), B("one")), LOGIN_WRONG_PASSWORD);
    cr_expect_eq(login(B("u"), B("two")), LOGIN_OK);
    cr_expect(users_remove(users, B("u")));
    cr_expect_not(users_remove(users, B("u")));
    cr_expect_eq(login(B("u"), B("two")), LOGIN_UNKNOWN_USER);
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

Test(users, endless_passwords_cost_nothing)
{
    static uint8_t password[USER_PASSWORD_MAX + 1];
    struct user_spec spec = {.name = B("u"), .password = {password, sizeof password}};

    memset(password, 'p', sizeof password);
    cr_expect_not(users_put(users, &spec, why, sizeof why));
    cr_expect_eq(login(B("u"), (struct bytes){password, sizeof password}), LOGIN_WRONG_PASSWORD);
}

Test(users, hashings_have_rabbitmqs_names)
{
    enum password_hashing hashing;

    for (int i = PASSWORD_SHA256; i <= PASSWORD_MD5; i++) {
        const char *name = password_hashing_name((enum password_hashing)i);

        cr_assert(password_hashing_from_name(bytes_from_string(name), &hashing));
        cr_expect_eq((int)hashing, i);
    }
    cr_expect_not(password_hashing_from_name(B("rabbit_password_hashing_sha1"), &hashing));
}

static void *change_and_log_in(void *argument)
{
    for (int i = 0; i < 200; i++) {
        struct user_spec spec = {.name = B("u"), .password = B("p")};

        users_put(users, &spec, NULL, 0);
        if (login(B("u"), B("p")) == LOGIN_WRONG_PASSWORD)
            return argument;
    }
    return NULL;
}

Test(users, threads_may_log_in_while_others_change_users)
{
    pthread_t threads[3];
    void *failed;

    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, change_and_log_in, users), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &failed);
        cr_expect_null(failed, "each password that was ever set was the same");
    }
}
