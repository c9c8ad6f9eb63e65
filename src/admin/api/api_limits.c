/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of users and of vhosts (management-http-api.md 3.12). */
#include <stdlib.h>

#include "admin/access.h"
#include "admin/changing.h"
#include "admin/clients.h"
#include "admin/json.h"
#include "admin/limits_json.h"
#include "admin/router.h"
#include "admin/rows.h"
#include "admin/user_json.h"
#include "coney/node_access.h"
#include "coney/survey.h"
#include "coney/visit.h"

/* ---- what both are put by ---- */

/* The integer at "value"; false after answering, as RabbitMQ words it for a user or for a vhost. */
static bool take_value(struct request *request, const char *limit, bool is_known, bool is_user, int64_t *out)
{
    static const char *const keys[] = {"value"};
    json_t *body = request_json(request), *value;
    const char *prefix = is_user ? "" : "Validation failed\n\n", *suffix = is_user ? "" : "\n";
    char term[BODY_TERM_SIZE];

    if (!body || !body_has(request, body, keys, 1))
        return false;
    value = json_object_get(body, "value");
    *out = json_integer_value(value);
    if (is_known && json_is_integer(value))
        return true;
    if (is_known)
        reply_bad_request(request, "%s%s should be a number, actually was %s%s", prefix, limit,
                          body_term(value, term), suffix);
    else
        reply_bad_request(request, "%sUnrecognised terms [{<<\"%s\">>,%s}] in %s%s", prefix, limit,
                          body_term(value, term), is_user ? "user-limits" : "limits", suffix);
    return false;
}

/* ---- users ---- */

static bool find_user_limit(struct bytes name, enum user_limit *limit)
{
    *limit = bytes_equal_string(name, "max-channels") ? USER_LIMIT_CHANNELS : USER_LIMIT_CONNECTIONS;
    return *limit == USER_LIMIT_CHANNELS || bytes_equal_string(name, "max-connections");
}

static bool make_user_rows(struct rows *rows, const char *vhost)
{
    size_t count;
    struct user_info *users = users_list(node_users(rows->request->server), &count);

    (void)vhost;
    for (size_t i = 0; i < count; i++) {
        json_t *limits = user_limits_json(&users[i]);
        bool is_meant = !rows->argument.data || bytes_equal(users[i].name, rows->argument);

        if (is_meant && json_object_size(limits) && may_see_client(rows->request, users[i].name))
            rows_add(rows, NULL, users[i].name,
                     json_pack("{s:o,s:O}", "user", json_text(users[i].name), "value", limits));
        json_decref(limits);
        user_info_free(&users[i]);
    }
    free(users);
    return true;
}

static void list_users(struct request *request)
{
    struct rows rows = {.request = request, .make = make_user_rows, .is_of_node = true};

    rows_run(&rows, NULL);
}

static void list_user(struct request *request)
{
    struct rows rows = {.request = request,
                        .make = make_user_rows,
                        .is_of_node = true,
                        .argument = request_segment(request, 2)};

    if (!may_see_client(request, rows.argument)) {
        reply_refused(request, "Not administrator user");
        return;
    }
    if (users_has(node_users(request->server), rows.argument))
        rows_run(&rows, NULL);
    else
        reply_not_found(request);
}

static void put_user_limit(struct request *request)
{
    struct bytes name = request_segment(request, 2);
    enum change_result result;
    enum user_limit limit;
    int64_t most;
    bool is_known = find_user_limit(request_segment(request, 3), &limit);

    if (!take_value(request, request->segments[3], is_known, true, &most))
        return;
    result = changes_set_user_limit(request->server, name, limit, most);
    if (result == CHANGE_NO_USER)
        reply_bad_request(request, "no_such_user: %s", request->segments[2]);
    else
        reply_change(request, result, false, "");
}

static void clear_user_limit(struct request *request)
{
    enum user_limit limit;

    if (find_user_limit(request_segment(request, 3), &limit))
        reply_change(
            request,
            changes_set_user_limit(request->server, request_segment(request, 2), limit, USER_LIMIT_NONE),
            false, "");
    else
        reply_empty(request, 204);
}

/* ---- vhosts ---- */

static void copy_limits(struct vhost *vhost, void *argument)
{
    survey_vhost(vhost, argument);
}

json_t *vhost_limits_json(struct server *server, struct bytes vhost)
{
    struct survey_vhost state = {.connections_max = -1, .queues_max = -1};
    json_t *limits = json_object();

    visit_vhost(server, vhost, copy_limits, &state);
    if (state.connections_max >= 0)
        json_object_set_new(limits, "max-connections", json_integer(state.connections_max));
    if (state.queues_max >= 0)
        json_object_set_new(limits, "max-queues", json_integer(state.queues_max));
    return limits;
}

static bool make_vhost_rows(struct rows *rows, const char *vhost)
{
    struct bytes name = bytes_from_string(vhost);
    json_t *limits = vhost_limits_json(rows->request->server, name);

    if (json_object_size(limits))
        rows_add(rows, NULL, name, json_pack("{s:o,s:O}", "vhost", json_text(name), "value", limits));
    json_decref(limits);
    return true;
}

/* Monitoring sees the limits of all vhosts, as it sees the vhosts. */
static bool make_rows_of_vhosts(struct rows *rows, const char *vhost)
{
    struct request *request = rows->request;
    size_t count;
    char **names = visit_vhost_names(request->server, &count);

    (void)vhost;
    for (size_t i = 0; i < count; i++) {
        if (access_is_monitor(request) || access_has_vhost(request, bytes_from_string(names[i])))
            make_vhost_rows(rows, names[i]);
        free(names[i]);
    }
    free((void *)names);
    return true;
}

static void list_vhosts(struct request *request)
{
    struct rows rows = {.request = request, .make = make_rows_of_vhosts, .is_of_node = true};

    rows_run(&rows, NULL);
}

static void list_vhost(struct request *request)
{
    struct rows rows = {.request = request, .make = make_vhost_rows};

    rows_run(&rows, request->segments[2]);
}

static bool find_vhost_limit(struct bytes name, enum vhost_limit *limit)
{
    *limit = bytes_equal_string(name, "max-queues") ? VHOST_LIMIT_QUEUES : VHOST_LIMIT_CONNECTIONS;
    return *limit == VHOST_LIMIT_QUEUES || bytes_equal_string(name, "max-connections");
}

static void put_vhost_limit(struct request *request)
{
    enum vhost_limit limit;
    int64_t most;
    bool is_known = find_vhost_limit(request_segment(request, 3), &limit);

    if (take_value(request, request->segments[3], is_known, false, &most))
        reply_change(request,
                     changes_set_vhost_limit(request->server, request_segment(request, 2), limit, most),
                     false, "");
}

static void clear_vhost_limit(struct request *request)
{
    enum vhost_limit limit;

    if (find_vhost_limit(request_segment(request, 3), &limit))
        reply_change(request,
                     changes_set_vhost_limit(request->server, request_segment(request, 2), limit, -1), false,
                     "");
    else
        reply_empty(request, 204);
}

const struct route routes_limits[] = {
    {"user-limits", {[VERB_GET] = {list_users, ACCESS_ANY}}},
    {"user-limits/:user", {[VERB_GET] = {list_user, ACCESS_ANY}}},
    {"user-limits/:user/:limit",
     {[VERB_PUT] = {put_user_limit, ACCESS_ADMINISTRATOR},
      [VERB_DELETE] = {clear_user_limit, ACCESS_ADMINISTRATOR}}},
    {"vhost-limits", {[VERB_GET] = {list_vhosts, ACCESS_ANY}}},
    {"vhost-limits/:vhost", {[VERB_GET] = {list_vhost, ACCESS_VHOST_SEEN}}},
    {"vhost-limits/:vhost/:limit",
     {[VERB_PUT] = {put_vhost_limit, ACCESS_ADMINISTRATOR},
      [VERB_DELETE] = {clear_vhost_limit, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
