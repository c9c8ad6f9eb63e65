/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users. The API's PUT replaces a user as a whole, so what a verb does not change (tags, the password's hash)
 * is read and sent back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/password.h"
#include "rows.h"
#include "verbs.h"

static const char *user_path(struct ctl *ctl, const char *user)
{
    return api_path(ctl, "/users/%s", user);
}

static int no_such_user(int code, const char *user)
{
    return failure(code, "User \"%s\" does not exist", user);
}

/* Tags as PUT takes them everywhere: "a,b". */
static const char *joined(struct ctl *ctl, const json_t *tags)
{
    const char *all = "";
    size_t i;
    json_t *tag;

    if (json_is_string(tags))
        return json_string_value(tags);
    json_array_foreach(tags, i, tag)
    {
        all = text(ctl, "%s%s%s", all, i ? "," : "", json_string_value(tag));
    }
    return all;
}

static int list_users(struct ctl *ctl)
{
    static const struct column columns[] = {{.name = "user", .field = "name"},
                                            {.name = "tags", .kind = TERM_ATOM}};
    json_t *users, *user;
    size_t i;

    info(ctl, "Listing users ...");
    users = http_get(ctl, "/users?columns=name,tags");
    json_array_foreach(users, i, user)
    { /* brokers before 3.9 send "a,b" */
        json_t *tags = json_object_get(user, "tags");

        if (json_is_string(tags))
            json_object_set_new(user, "tags",
                                json_string_length(tags) ? json_pack("[O]", tags) : json_array());
    }
    rows_print_all(ctl, users, columns, 2);
    json_decref(users);
    return EX_OK;
}

static int add_user(struct ctl *ctl)
{
    const char *user = ctl->args[0], *password;
    bool is_hash = has_option(ctl, "pre-hashed-password");
    int code;

    if (!*user)
        return bad_arguments(ctl, EX_DATAERR, "Bad argument: user cannot be an empty string");
    info(ctl, "Adding user \"%s\" ...", user);
    password = password_argument(ctl, 1);
    if (!password)
        return failure(EX_SOFTWARE, "Password is not provided via argument or stdin");
    if (user_exists(ctl, user))
        return failure(EX_SOFTWARE, "User \"%s\" already exists", user);
    code = http_do(
        ctl, "PUT", user_path(ctl, user),
        json_pack("{s:s,s:s}", is_hash || !*password ? "password_hash" : "password", password, "tags", ""));
    if (code != EX_OK)
        return code;
    if (ctl->format == FORMAT_JSON) {
        json_t *status =
            json_pack("{s:s,s:s,s:s}", "message",
                      "Done. Don't forget to grant the user permissions to some virtual hosts! See "
                      "'rabbitmqctl help set_permissions' to learn more.",
                      "node", node_name(ctl), "status", "ok");

        print_json_line(status);
        json_decref(status);
        return EX_OK;
    }
    info(ctl,
         "Done. Don't forget to grant the user permissions to some virtual hosts! See '%s help "
         "set_permissions' to "
         "learn more.",
         ctl->program);
    return EX_OK;
}

static int delete_user(struct ctl *ctl)
{
    struct answer answer;

    info(ctl, "Deleting user \"%s\" ...", ctl->args[0]);
    answer = http_call(ctl, "DELETE", user_path(ctl, ctl->args[0]), NULL);
    if (answer.status == 404) {
        answer_free(&answer);
        return no_such_user(EX_NOUSER, ctl->args[0]);
    }
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return done(ctl, EX_OK);
}

static int change_password(struct ctl *ctl)
{
    const char *user = ctl->args[0], *password;
    json_t *found;
    int code;

    info(ctl, "Changing password for user \"%s\" ...", user);
    password = password_argument(ctl, 1);
    if (!password)
        return failure(EX_SOFTWARE, "Password is not provided via argument or stdin");
    found = http_find(ctl, user_path(ctl, user));
    if (!found)
        return no_such_user(EX_NOUSER, user);
    code = http_do(ctl, "PUT", user_path(ctl, user),
                   json_pack("{s:s,s:s}", *password ? "password" : "password_hash", password, "tags",
                             joined(ctl, json_object_get(found, "tags"))));
    json_decref(found);
    return done(ctl, code);
}

static int clear_password(struct ctl *ctl)
{
    json_t *found;
    int code;

    info(ctl, "Clearing password for user \"%s\" ...", ctl->args[0]);
    found = http_find(ctl, user_path(ctl, ctl->args[0]));
    if (!found)
        return no_such_user(EX_UNAVAILABLE, ctl->args[0]);
    code = http_do(
        ctl, "PUT", user_path(ctl, ctl->args[0]),
        json_pack("{s:s,s:s}", "password_hash", "", "tags", joined(ctl, json_object_get(found, "tags"))));
    json_decref(found);
    return done(ctl, code);
}

static int set_user_tags(struct ctl *ctl)
{
    const char *user = ctl->args[0], *shown = "";
    json_t *found, *tags = json_array(), *body;
    int code;

    for (int i = 1; i < ctl->arg_count; i++) {
        shown = text(ctl, "%s%s%s", shown, i > 1 ? ", " : "", ctl->args[i]);
        json_array_append_new(tags, json_string(ctl->args[i]));
    }
    info(ctl, "Setting tags for user \"%s\" to [%s] ...", user, shown);
    found = http_find(ctl, user_path(ctl, user));
    if (!found) {
        json_decref(tags);
        return no_such_user(EX_NOUSER, user);
    }
    body = json_pack("{s:s,s:O}", "tags", joined(ctl, tags), "password_hash",
                     json_object_get(found, "password_hash"));
    if (json_is_string(json_object_get(found, "hashing_algorithm")))
        json_object_set(body, "hashing_algorithm", json_object_get(found, "hashing_algorithm"));
    code = http_do(ctl, "PUT", user_path(ctl, user), body);
    json_decref(tags);
    json_decref(found);
    return done(ctl, code);
}

/* coney has a request for it. RabbitMQ is asked who the user is: it refuses a wrong password with other words
 * than a user who may not use the API. */
static bool password_fits(struct ctl *ctl, const char *user, const char *password)
{
    struct answer answer = http_call(ctl, "POST", "/coney/authenticate",
                                     json_pack("{s:s,s:s}", "username", user, "password", password));
    bool fits = is_fine(&answer), is_unknown = answer.status == 404 || answer.status == 405;

    if (!is_unknown && !fits && answer.status != 401)
        exit(answer_failure(ctl, &answer));
    answer_free(&answer);
    if (!is_unknown)
        return fits;
    answer = http_call_as(ctl, "/whoami", user, password);
    fits = is_fine(&answer) || strstr(answer_reason(ctl, &answer), "management user");
    answer_free(&answer);
    return fits;
}

static int authenticate_user(struct ctl *ctl)
{
    const char *user = ctl->args[0], *password;

    info(ctl, "Authenticating user \"%s\" ...", user);
    password = password_argument(ctl, 1);
    if (!password)
        return failure(EX_SOFTWARE, "Password is not provided via argument or stdin");
    if (!password_fits(ctl, user, password))
        return failure(EX_DATAERR,
                       "Error: failed to authenticate user \"%s\"\nuser '%s' - invalid credentials", user,
                       user);
    if (ctl->format == FORMAT_JSON)
        return done(ctl, EX_OK);
    puts("Success");
    return EX_OK;
}

/* --- hashes --------------------------------------------------------------------------------------------- */

static int hash_password(struct ctl *ctl)
{
    static const struct {
        const char *name;
        enum password_hashing hashing;
    } algorithms[] = {{"sha256", PASSWORD_SHA256}, {"sha512", PASSWORD_SHA512}, {"scrypt", PASSWORD_SCRYPT}};
    const size_t count = sizeof algorithms / sizeof *algorithms;
    const char *algorithm = option(ctl, "algorithm"), *password;
    struct password_secret secret;
    size_t i = 0;
    char *shown;

    while (algorithm && i < count && strcmp(algorithm, algorithms[i].name) != 0)
        i++;
    if (i == count)
        return bad_arguments(
            ctl, EX_USAGE, "algorithm '%s' is not supported. Use one of: sha256, sha512, scrypt", algorithm);
    password = ctl->arg_count > 0 ? ctl->args[0] : read_password(ctl);
    if (!password)
        return failure(EX_SOFTWARE, "Password is not provided via argument or stdin");
    if (!password_hash_as(&secret, algorithms[i].hashing, bytes_from_string(password)))
        return failure(EX_OSERR, "the system gives no random numbers or no memory");
    shown = password_to_base64(&secret);
    result(ctl, "%s", shown);
    free(shown);
    return EX_OK;
}

#define USERS "Users"

const struct verb verbs_users[] = {
    {"add_user",
     TOOL_CTL,
     USERS,
     1,
     2,
     "USER [PASSWORD]",
     "Make a user, who has no permissions at first; the password may come on standard input",
     "add_user alice <password-file",
     add_user,
     {{"pre-hashed-password", 0, OPTION_FLAG}}},
    {"authenticate_user",
     TOOL_CTL,
     USERS,
     1,
     2,
     "USER [PASSWORD]",
     "Say whether the password is the user's",
     "authenticate_user alice <password-file",
     authenticate_user,
     {{0}}},
    {"change_password",
     TOOL_CTL,
     USERS,
     1,
     2,
     "USER [PASSWORD]",
     "Give a user another password",
     "change_password alice <password-file",
     change_password,
     {{0}}},
    {"clear_password",
     TOOL_CTL,
     USERS,
     1,
     1,
     "USER",
     "Take a user's password: no password fits any more",
     "clear_password alice",
     clear_password,
     {{0}}},
    {"delete_user",
     TOOL_CTL,
     USERS,
     1,
     1,
     "USER",
     "Delete a user, and close the user's connections",
     "delete_user alice",
     delete_user,
     {{0}}},
    {"hash_password",
     TOOL_CTL,
     USERS,
     0,
     1,
     "[PASSWORD]",
     "Print a password's hash, as definitions files hold it",
     "hash_password --algorithm scrypt <password-file",
     hash_password,
     {{"algorithm", 0, OPTION_TEXT}}},
    {"list_users",
     TOOL_CTL | TOOL_DIAGNOSTICS,
     USERS,
     0,
     0,
     "",
     "List users and their tags",
     "list_users",
     list_users,
     {{0}}},
    {"set_user_tags",
     TOOL_CTL,
     USERS,
     1,
     -1,
     "USER [TAG...]",
     "Say what a user may do with the HTTP API: administrator, monitoring, policymaker, management",
     "set_user_tags alice monitoring",
     set_user_tags,
     {{0}}},
    {0},
};
