/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logins: who is let in and who is not, and what is remembered of it (connection-and-channel.md 3.4).
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "coney/auth.h"

#define B(text) BYTES_LITERAL(text)

/* Of "secret": base64(salt || sha256(salt || password)), and scrypt with small parameters. */
#define SECRET_SHA256 "AQIDBDB9kM21iEUzN1lZ+6VReCsdNqS0sERdAQTcY6Xs3PMz"
#define SECRET_SCRYPT "CggBAQIDBAUGBwgJCgsMDQ4PED/q0wtAOWcRPqoU8E9c89f7psS9cxe68vBBcndJAbuG"

static struct users *users;
static struct auth *auth;

static void open_auth(void)
{
    static const char *const loopback_only[] = {"guest"};

    users = users_new(loopback_only, 1);
    auth = auth_new(users);
}

static void close_auth(void)
{
    auth_free(auth);
    users_free(users);
}

TestSuite(auth, .init = open_auth, .fini = close_auth);

static void put(struct bytes name, struct bytes hash, enum password_hashing hashing)
{
    struct user_spec spec = {.name = name, .password_hash = hash, .hashing = hashing};
    char why[256];

    cr_assert(users_put(users, &spec, why, sizeof why), "%s", why);
}

static enum login_result decide(const struct auth_request *request)
{
    struct user_info info;
    enum login_result result = auth_decide(auth, request, &info);

    if (result == LOGIN_OK) {
        cr_expect(bytes_equal(info.name, request->user));
        user_info_free(&info);
    }
    return result;
}

static enum login_result login(struct bytes user, struct bytes password)
{
    return decide(&(struct auth_request){.user = user, .password = password, .is_loopback = true});
}

static bool recall_from(struct bytes user, struct bytes password, bool is_loopback)
{
    struct user_info info;
    bool known = auth_recall(
        auth, &(struct auth_request){.user = user, .password = password, .is_loopback = is_loopback}, &info);

    if (known)
        user_info_free(&info);
    return known;
}

static bool recall(struct bytes user, struct bytes password)
{
    return recall_from(user, password, true);
}

Test(auth, password_lets_its_user_in)
{
    put(B("u"), B(SECRET_SCRYPT), PASSWORD_SCRYPT);
    cr_expect_eq(login(B("u"), B("secret")), LOGIN_OK);
    cr_expect_eq(login(B("u"), B("Secret")), LOGIN_WRONG_PASSWORD);
    cr_expect_eq(login(B("u"), B("")), LOGIN_NO_PASSWORD);
    cr_expect_eq(login(B("v"), B("secret")), LOGIN_UNKNOWN_USER);
    cr_expect_eq(login(B(""), B("secret")), LOGIN_UNKNOWN_USER);
}

Test(auth, user_without_password_cannot_log_in)
{
    put(B("u"), B(""), PASSWORD_SHA256);
    cr_expect_eq(login(B("u"), B("")), LOGIN_NO_PASSWORD);
    cr_expect_eq(login(B("u"), B("x")), LOGIN_NO_PASSWORD);
}

Test(auth, endless_passwords_are_refused)
{
    static uint8_t password[PASSWORD_MAX + 1];

    put(B("u"), B(SECRET_SHA256), PASSWORD_SHA256);
    memset(password, 'p', sizeof password);
    cr_expect_eq(login(B("u"), (struct bytes){password, sizeof password}), LOGIN_WRONG_PASSWORD);
}

Test(auth, guest_comes_from_loopback_only)
{
    struct auth_request guest = {.user = B("guest"), .password = B("secret")};
    struct auth_request other = {.user = B("other"), .password = B("secret")};

    put(B("guest"), B(SECRET_SHA256), PASSWORD_SHA256);
    put(B("other"), B(SECRET_SHA256), PASSWORD_SHA256);
    cr_expect_eq(decide(&guest), LOGIN_NOT_LOOPBACK);
    cr_expect_eq(decide(&other), LOGIN_OK);
    guest.is_loopback = true;
    cr_expect_eq(decide(&guest), LOGIN_OK);
    guest = (struct auth_request){.user = B("guest"), .password = B("wrong")};
    cr_expect_eq(decide(&guest), LOGIN_WRONG_PASSWORD,
                 "whether the password was right is not told to strangers");
    cr_expect(recall(B("guest"), B("secret")));
    cr_expect_not(recall_from(B("guest"), B("secret"), false));
}

Test(auth, login_gives_what_is_stored_now)
{
    const struct bytes tags[] = {B("administrator")};
    struct user_spec spec = {.name = B("u"),
                             .password_hash = B(SECRET_SHA256),
                             .hashing = PASSWORD_SHA256,
                             .tags = tags,
                             .max_connections = 7};
    struct auth_request request = {.user = B("u"), .password = B("secret")};
    struct user_info info;

    put(B("u"), B(SECRET_SHA256), PASSWORD_SHA256);
    cr_expect_eq(decide(&request), LOGIN_OK);
    spec.tag_count = 1;
    cr_assert(users_put(users, &spec, NULL, 0));
    cr_assert(auth_recall(auth, &request, &info));
    cr_expect(user_info_has_tag(&info, "administrator"));
    cr_expect_eq(info.max_connections, 7);
    user_info_free(&info);
}

/* ---- what is remembered ---- */

Test(auth, only_what_was_right_is_recalled)
{
    put(B("u"), B(SECRET_SCRYPT), PASSWORD_SCRYPT);
    put(B("us"), B(SECRET_SCRYPT), PASSWORD_SCRYPT);
    cr_expect_not(recall(B("u"), B("secret")), "nothing was asked yet");
    cr_expect_eq(login(B("u"), B("wrong")), LOGIN_WRONG_PASSWORD);
    cr_expect_not(recall(B("u"), B("wrong")));
    cr_expect_eq(login(B("u"), B("secret")), LOGIN_OK);
    cr_expect(recall(B("u"), B("secret")));
    cr_expect_not(recall(B("u"), B("secret2")));
    cr_expect_not(recall(B("u"), B("")));
    cr_expect_not(recall(B("us"), B("ecret")), "names and passwords do not run into each other");
    cr_expect_not(recall(B("us"), B("secret")), "another user has to show it himself");
}

Test(auth, changed_password_and_removed_user_are_not_recalled)
{
    put(B("u"), B(SECRET_SCRYPT), PASSWORD_SCRYPT);
    cr_expect_eq(login(B("u"), B("secret")), LOGIN_OK);
    put(B("u"), B(SECRET_SHA256), PASSWORD_SHA256);
    cr_expect_not(recall(B("u"), B("secret")), "the same password stored anew is to be found right anew");
    put(B("u"), B(""), PASSWORD_SHA256);
    cr_expect_not(recall(B("u"), B("secret")));
    put(B("u"), B(SECRET_SCRYPT), PASSWORD_SCRYPT);
    cr_expect(recall(B("u"), B("secret")), "what is stored is what it was");
    users_remove(users, B("u"));
    cr_expect_not(recall(B("u"), B("secret")));
}

Test(auth, no_more_is_remembered_than_there_is_room_for)
{
    char name[16];
    unsigned recalled = 0;

    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "u%d", i);
        put(bytes_from_string(name), B(SECRET_SHA256), PASSWORD_SHA256);
        cr_assert_eq(login(bytes_from_string(name), B("secret")), LOGIN_OK);
        cr_assert(recall(bytes_from_string(name), B("secret")), "what was right last is remembered");
    }
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "u%d", i);
        recalled += recall(bytes_from_string(name), B("secret"));
    }
    cr_expect_leq(recalled, 4096);
    cr_expect_geq(recalled, 3000);
}

/* ---- certificates ---- */

Test(auth, certificate_needs_nothing_but_a_user_of_that_name)
{
    struct auth_request request = {.user = B("u"), .is_external = true};
    struct user_info info;

    cr_expect_eq(decide(&request), LOGIN_UNKNOWN_USER);
    cr_expect_not(auth_recall(auth, &request, &info));
    put(B("u"), B(""), PASSWORD_SHA256);
    cr_expect_eq(decide(&request), LOGIN_OK);
    cr_assert(auth_recall(auth, &request, &info));
    user_info_free(&info);
    request.user = B("");
    cr_expect_eq(decide(&request), LOGIN_NO_CERTIFICATE);
    cr_expect_not(auth_recall(auth, &request, &info));
}

Test(auth, certificate_of_a_loopback_user_counts_on_loopback_only)
{
    struct auth_request request = {.user = B("guest"), .is_external = true};

    put(B("guest"), B(SECRET_SHA256), PASSWORD_SHA256);
    cr_expect_eq(decide(&request), LOGIN_NOT_LOOPBACK);
    request.is_loopback = true;
    cr_expect_eq(decide(&request), LOGIN_OK);
}

/* ---- time ---- */

static double seconds_of(struct bytes user)
{
    struct timespec before, after;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    cr_expect_neq(login(user, B("wrong")), LOGIN_OK);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

static double least_of(struct bytes user)
{
    double least = seconds_of(user);

    for (int i = 0; i < 4; i++) {
        double again = seconds_of(user);

        least = again < least ? again : least;
    }
    return least;
}

/* Measured in processor time, the least of five: what else the machine does is not in it. */
Test(auth, every_refusal_takes_as_long)
{
    struct user_spec spec = {.name = B("scrypt"), .password = B("p")};
    double hashed, cheap, none, unknown;

    cr_assert(users_put(users, &spec, NULL, 0));
    put(B("cheap"), B(SECRET_SHA256), PASSWORD_SHA256);
    put(B("none"), B(""), PASSWORD_SHA256);
    hashed = least_of(B("scrypt"));
    cheap = least_of(B("cheap"));
    none = least_of(B("none"));
    unknown = least_of(B("unknown"));
    cr_expect(cheap > hashed / 2 && cheap < hashed * 2, "%g s, not %g s", cheap, hashed);
    cr_expect(none > hashed / 2 && none < hashed * 2, "%g s, not %g s", none, hashed);
    cr_expect(unknown > hashed / 2 && unknown < hashed * 2, "%g s, not %g s", unknown, hashed);
}

/* ---- threads ---- */

static void *log_in_often(void *argument)
{
    for (int i = 0; i < 300; i++) {
        if (login(B("u"), B("secret")) != LOGIN_OK)
            return argument;
        recall(B("u"), B("secret"));
    }
    return NULL;
}

static void *change_often(void *argument)
{
    (void)argument;
    for (int i = 0; i < 300; i++) {
        put(B("u"), B(SECRET_SHA256), PASSWORD_SHA256);
        put(B("v"), B(SECRET_SHA256), PASSWORD_SHA256);
        users_remove(users, B("v"));
    }
    return NULL;
}

Test(auth, threads_may_log_in_while_others_change_users)
{
    pthread_t threads[3];
    void *failed;

    put(B("u"), B(SECRET_SHA256), PASSWORD_SHA256);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, i ? log_in_often : change_often, users), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
}
