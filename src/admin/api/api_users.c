/* SPDX-License-Identifier: Apache-2.0 */
/* Users and who one is (management-http-api.md 3.10). */
#include <stdlib.h>
#include <string.h>

#include "admin/access.h"
#include "admin/body.h"
#include "admin/changing.h"
#include "admin/json.h"
#include "admin/router.h"
#include "admin/rows.h"
#include "admin/user_json.h"
#include "coney/config.h"
#include "coney/node_access.h"
#include "coney/node_control.h"
#include "coney/vhost.h"
#include "coney/visit.h"
#include "coney/xalloc.h"

static json_t *tags_json(const struct user_info *user)
{
    json_t *tags = json_array();

    for (size_t i = 0; i < user->tag_count; i++)
        json_array_append_new(tags, json_text(bytes_from_string(user->tags[i])));
    return tags;
}

json_t *user_limits_json(const struct user_info *user)
{
    json_t *limits = json_object();

    if (user->max_connections != USER_LIMIT_NONE)
        json_object_set_new(limits, "max-connections", json_integer(user->max_connections));
    if (user->max_channels != USER_LIMIT_NONE)
        json_object_set_new(limits, "max-channels", json_integer(user->max_channels));
    return limits;
}

json_t *user_json(const struct user_info *user)
{
    return json_pack("{s:o,s:s,s:s,s:o,s:o}", "name", json_text(user->name), "password_hash",
                     user->password_hash, "hashing_algorithm", password_hashing_name(user->hashing), "tags",
                     tags_json(user), "limits", user_limits_json(user));
}

/* ---- looking ---- */

static bool make_rows(struct rows *rows, const char *vhost)
{
    size_t count;
    struct user_info *users = users_list(node_users(rows->request->server), &count);

    (void)vhost;
    for (size_t i = 0; i < count; i++) {
        rows_add(rows, NULL, users[i].name, user_json(&users[i]));
        user_info_free(&users[i]);
    }
    free(users);
    return true;
}

static void list(struct request *request)
{
    struct rows rows = {.request = request, .make = make_rows, .is_of_node = true};

    rows_run(&rows, NULL);
}

static void show(struct request *request)
{
    struct user_info user;

    if (!users_get(node_users(request->server), request_segment(request, 2), &user)) {
        reply_not_found(request);
        return;
    }
    reply_row(request, user_json(&user));
    user_info_free(&user);
}

/* Who asks, and for how many minutes the web page may go on as that user. */
static void show_asker(struct request *request)
{
    const struct config *config = node_condition(request->server).config;

    reply_json(request, 200,
               json_pack("{s:o,s:o,s:I}", "name", json_text(request->user.name), "tags",
                         tags_json(&request->user), "login_session_timeout",
                         (json_int_t)config->management_login_session_timeout));
}

/* ---- who has rights nowhere ---- */

struct without {
    struct user_info *users;
    bool *has_rights;
    size_t count;
};

static void ask_for_all(struct vhost *vhost, void *argument)
{
    const struct without *without = argument;

    for (size_t i = 0; i < without->count; i++)
        without->has_rights[i] =
            without->has_rights[i] || vhost_has_permission(vhost, without->users[i].name);
}

static bool make_without_rows(struct rows *rows, const char *vhost)
{
    struct without without = {0};

    (void)vhost;
    without.users = users_list(node_users(rows->request->server), &without.count);
    without.has_rights = xcalloc(without.count, sizeof *without.has_rights);
    visit_vhosts(rows->request->server, ask_for_all, &without);
    for (size_t i = 0; i < without.count; i++) {
        if (!without.has_rights[i])
            rows_add(rows, NULL, without.users[i].name, user_json(&without.users[i]));
        user_info_free(&without.users[i]);
    }
    free(without.users);
    free(without.has_rights);
    return true;
}

static void list_without(struct request *request)
{
    struct rows rows = {.request = request, .make = make_without_rows, .is_of_node = true};

    rows_run(&rows, NULL);
}

/* ---- putting ---- */

/* "limits": those that are named; the others stay what they are, as in RabbitMQ. */
static bool take_limits(struct request *request, json_t *limits, struct user_spec *spec)
{
    char term[BODY_TERM_SIZE];
    const char *name;
    json_t *value;

    spec->max_connections = spec->max_channels = USER_LIMIT_KEEP;
    if (limits && !json_is_object(limits)) {
        reply_bad_request(request, "limits should be an object, actually was %s", body_term(limits, term));
        return false;
    }
    json_object_foreach(limits, name, value)
    {
        bool is_of_channels = strcmp(name, "max-channels") == 0;

        if (!is_of_channels && strcmp(name, "max-connections") != 0) {
            reply_bad_request(request, "Unrecognised terms [{<<\"%s\">>,%s}] in user-limits", name,
                              body_term(value, term));
            return false;
        }
        if (!json_is_integer(value)) {
            reply_bad_request(request, "%s should be a number, actually was %s", name,
                              body_term(value, term));
            return false;
        }
        *(is_of_channels ? &spec->max_channels : &spec->max_connections) = json_integer_value(value);
    }
    return true;
}

static bool take_hashing(struct request *request, json_t *body, struct user_spec *spec)
{
    struct bytes name = {NULL, 0};

    spec->hashing = password_hashing_from_size(spec->password_hash.size);
    if (!body_text(request, body, "hashing_algorithm", &name))
        return false;
    if (!name.size || !spec->password_hash.size || password_hashing_from_name(name, &spec->hashing))
        return true;
    reply_bad_request(request, "hashing_algorithm '%.*s' is not known", BYTES_ARG(name));
    return false;
}

/* A password, a hash, or neither; empty is neither. */
static bool take_password(struct request *request, json_t *body, struct user_spec *spec)
{
    if (!body_text(request, body, "password", &spec->password) ||
        !body_text(request, body, "password_hash", &spec->password_hash))
        return false;
    if (spec->password.data && spec->password_hash.data) {
        reply_bad_request(request, "both_password_and_password_hash_are_provided");
        return false;
    }
    if (!spec->password.size)
        spec->password = (struct bytes){NULL, 0};
    return take_hashing(request, body, spec);
}

/* "tags", or what older clients call them; false after answering, else *WORDS is a new array. */
static bool take_tags(struct request *request, json_t *body, json_t **words)
{
    json_t *tags = json_object_get(body, "tags");
    bool is_administrator = false;

    if (tags)
        return body_words(request, tags, "tags", words);
    if (!json_object_get(body, "administrator")) {
        reply_bad_request(request, "tags_not_present");
        return false;
    }
    if (!body_bool(request, body, "administrator", &is_administrator))
        return false;
    *words = is_administrator ? json_pack("[s]", "administrator") : json_array();
    return true;
}

/* ---- permissions that a new user is put with: an object of vhosts ---- */

static bool check_permission(struct request *request, const char *vhost, json_t *permission)
{
    static const char *const keys[3] = {"configure", "write", "read"};
    struct bytes text = {NULL, 0};

    if (!json_is_object(permission)) {
        reply_bad_request(request, "not_object: permissions");
        return false;
    }
    if (!body_has(request, permission, keys, 3))
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (!body_text(request, permission, keys[i], &text))
            return false;
    }
    if (access_has_vhost(request, bytes_from_string(vhost)))
        return true;
    reply_bad_request(request, "no_such_vhost: %s", vhost);
    return false;
}

static bool check_permissions(struct request *request, json_t *permissions)
{
    const char *vhost;
    json_t *permission;

    if (permissions && !json_is_object(permissions)) {
        reply_bad_request(request, "not_object: permissions");
        return false;
    }
    json_object_foreach(permissions, vhost, permission)
    {
        if (!check_permission(request, vhost, permission))
            return false;
    }
    return true;
}

static void grant(struct request *request, struct bytes user, json_t *permissions)
{
    enum change_result result = CHANGE_MADE;
    char why[CHANGE_WHY_SIZE] = "";
    const char *vhost;
    json_t *permission;

    json_object_foreach(permissions, vhost, permission)
    {
        if (result == CHANGE_MADE)
            result = changes_set_permission(request->server, bytes_from_string(vhost), user,
                                            body_bytes(json_object_get(permission, "configure")),
                                            body_bytes(json_object_get(permission, "write")),
                                            body_bytes(json_object_get(permission, "read")), why);
    }
    if (result == CHANGE_REFUSED)
        reply_bad_request(request, "invalid_regexp: %s", why);
    else
        reply_change(request, result, true, why);
}

/* PERMISSIONS count for a user who was not there, as in RabbitMQ. */
static void put_with_tags(struct request *request, struct user_spec *spec, json_t *words, json_t *permissions)
{
    enum change_result result;
    struct bytes *tags = xcalloc(json_array_size(words), sizeof *tags);
    char why[CHANGE_WHY_SIZE] = "";
    bool is_new = !users_has(node_users(request->server), spec->name);

    spec->tag_count = json_array_size(words);
    for (size_t i = 0; i < spec->tag_count; i++)
        tags[i] = body_bytes(json_array_get(words, i));
    spec->tags = tags;
    result = changes_put_user(request->server, spec, why);
    if (result == CHANGE_MADE && is_new)
        grant(request, spec->name, permissions);
    else
        reply_change(request, result, is_new, why);
    free(tags);
}

static void put_user(struct request *request)
{
    json_t *body = request_json(request), *permissions, *words;
    struct user_spec spec = {.name = request_segment(request, 2)};

    if (!body)
        return;
    permissions = json_object_get(body, "permissions");
    if (!take_limits(request, json_object_get(body, "limits"), &spec) ||
        !take_password(request, body, &spec) || !check_permissions(request, permissions) ||
        !take_tags(request, body, &words))
        return;
    put_with_tags(request, &spec, words, permissions);
    json_decref(words);
}

/* ---- deleting ---- */

static void delete_user(struct request *request)
{
    reply_change(request, changes_remove_user(request->server, request_segment(request, 2)), false, "");
}

/* RabbitMQ deletes up to the first that is not there; here all are, or none is deleted. */
static bool are_users(struct request *request, const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        if (!users_has(node_users(request->server), body_bytes(json_array_get(names, i)))) {
            reply_bad_request(request, "no_such_user: %s", json_string_value(json_array_get(names, i)));
            return false;
        }
    }
    return true;
}

static void delete_users(struct request *request)
{
    static const char *const keys[] = {"users"};
    json_t *body = request_json(request), *names;
    enum change_result result = CHANGE_MADE;

    if (!body || !body_has(request, body, keys, 1) ||
        !body_words(request, json_object_get(body, "users"), "users", &names))
        return;
    if (are_users(request, names)) {
        for (size_t i = 0; i < json_array_size(names) && result == CHANGE_MADE; i++) {
            result = changes_remove_user(request->server, body_bytes(json_array_get(names, i)));
            if (result == CHANGE_NO_USER)
                result = CHANGE_MADE; /* named twice, or somebody else was faster */
        }
        reply_change(request, result, false, "");
    }
    json_decref(names);
}

/* ---- passwords ---- */

/* What RabbitMQ's default algorithm makes of it, which both understand. */
static void hash_password(struct request *request)
{
    struct password_secret secret;
    char *text;

    if (!password_hash_as(&secret, PASSWORD_SHA256, request_segment(request, 3))) {
        reply_error(request, 503, "service_unavailable", "the system has no randomness");
        return;
    }
    text = password_to_base64(&secret);
    reply_json(request, 200, json_pack("{s:s}", "ok", text));
    free(text);
}

static void authenticate(struct request *request)
{
    static const char *const keys[] = {"username", "password"};
    struct auth_request question = {.is_loopback = true};
    json_t *body = request_json(request);
    struct user_info user;

    if (!body || !body_has(request, body, keys, 2) || !body_text(request, body, "username", &question.user) ||
        !body_text(request, body, "password", &question.password))
        return;
    if (node_log_in(request->server, &question, request->peer, &user) != LOGIN_OK) {
        reply_error(request, 401, "not_authorized", "Login failed");
        return;
    }
    user_info_free(&user);
    reply_empty(request, 204);
}

const struct route routes_users[] = {
    {"whoami", {[VERB_GET] = {show_asker, ACCESS_ANY}}},
    {"users", {[VERB_GET] = {list, ACCESS_ADMINISTRATOR}}},
    {"users/without-permissions", {[VERB_GET] = {list_without, ACCESS_ADMINISTRATOR}}},
    {"users/bulk-delete", {[VERB_POST] = {delete_users, ACCESS_ADMINISTRATOR}}},
    {"users/:name",
     {[VERB_GET] = {show, ACCESS_ADMINISTRATOR},
      [VERB_PUT] = {put_user, ACCESS_ADMINISTRATOR},
      [VERB_DELETE] = {delete_user, ACCESS_ADMINISTRATOR}}},
    {"auth/hash_password/:password", {[VERB_GET] = {hash_password, ACCESS_ADMINISTRATOR}}},
    {"coney/authenticate", {[VERB_POST] = {authenticate, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
