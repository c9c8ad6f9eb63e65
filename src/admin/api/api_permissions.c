/* SPDX-License-Identifier: Apache-2.0 */
/* Permissions and topic permissions (management-http-api.md 3.11). */
#include "admin/access.h"
#include "admin/bindings.h"
#include "admin/changing.h"
#include "admin/json.h"
#include "admin/rights.h"
#include "admin/router.h"
#include "admin/rows.h"
#include "coney/node_access.h"

/* ---- lists; the argument is the only user, or empty ---- */

static bool make(struct rows *rows, const char *vhost, bool are_topics)
{
    struct bytes name = bytes_from_string(vhost);
    struct rights rights;
    enum visit_result result = rights_get(&rights, rows->request->server, name, are_topics);

    for (size_t i = 0; i < rights.count; i++) {
        const struct right *right = &rights.items[i];

        if (!rows->argument.data || bytes_equal(right->user, rows->argument))
            rows_add(rows, vhost, right->user, right_json(&rights, right, name));
    }
    rights_free(&rights);
    if (result == VISIT_STOPPING)
        reply_stopping(rows->request);
    return result != VISIT_STOPPING;
}

static bool make_permissions(struct rows *rows, const char *vhost)
{
    return make(rows, vhost, false);
}

static bool make_topics(struct rows *rows, const char *vhost)
{
    return make(rows, vhost, true);
}

static void list(struct request *request, bool are_topics, const char *vhost, struct bytes user)
{
    struct rows rows = {
        .request = request, .make = are_topics ? make_topics : make_permissions, .argument = user};

    rows_run(&rows, vhost);
}

static void list_all(struct request *request)
{
    list(request, false, NULL, (struct bytes){NULL, 0});
}

static void list_topics(struct request *request)
{
    list(request, true, NULL, (struct bytes){NULL, 0});
}

static bool vhost_is_there(struct request *request, unsigned segment)
{
    if (access_has_vhost(request, request_segment(request, segment)))
        return true;
    reply_not_found(request);
    return false;
}

static void list_of_vhost(struct request *request)
{
    if (vhost_is_there(request, 2))
        list(request, false, request->segments[2], (struct bytes){NULL, 0});
}

static void list_topics_of_vhost(struct request *request)
{
    if (vhost_is_there(request, 2))
        list(request, true, request->segments[2], (struct bytes){NULL, 0});
}

static bool user_is_there(struct request *request, struct bytes name)
{
    if (users_has(node_users(request->server), name))
        return true;
    reply_not_found(request);
    return false;
}

static void list_of_user(struct request *request)
{
    if (user_is_there(request, request_segment(request, 2)))
        list(request, false, NULL, request_segment(request, 2));
}

static void list_topics_of_user(struct request *request)
{
    if (user_is_there(request, request_segment(request, 2)))
        list(request, true, NULL, request_segment(request, 2));
}

/* ---- one user in one vhost ---- */

/* All rows of the user; an empty array when there is none. */
static json_t *rows_of(struct request *request, bool are_topics)
{
    struct bytes vhost = request_segment(request, 2), user = request_segment(request, 3);
    json_t *out = json_array();
    struct rights rights;

    rights_get(&rights, request->server, vhost, are_topics);
    for (size_t i = 0; i < rights.count; i++) {
        if (bytes_equal(rights.items[i].user, user))
            json_array_append_new(out, right_json(&rights, &rights.items[i], vhost));
    }
    rights_free(&rights);
    return out;
}

static void show(struct request *request)
{
    json_t *rows = rows_of(request, false);

    reply_row(request, json_incref(json_array_get(rows, 0)));
    json_decref(rows);
}

static void show_topics(struct request *request)
{
    json_t *rows = rows_of(request, true);

    if (json_array_size(rows)) {
        reply_json(request, 200, rows);
        return;
    }
    json_decref(rows);
    reply_not_found(request);
}

static bool has_some(struct request *request, bool are_topics)
{
    json_t *rows = rows_of(request, are_topics);
    bool has = json_array_size(rows) != 0;

    json_decref(rows);
    return has;
}

static void reply_put(struct request *request, enum change_result result, bool is_new, const char *why)
{
    if (result == CHANGE_NO_USER || result == CHANGE_NO_VHOST)
        reply_bad_request(request, "vhost_or_user_not_found");
    else if (result == CHANGE_REFUSED)
        reply_bad_request(request, "invalid_regexp: %s", why);
    else
        reply_change(request, result, is_new, why);
}

/* Three members of the body, which are texts; false after answering. */
static bool take_texts(struct request *request, const char *const keys[3], struct bytes texts[3])
{
    json_t *body = request_json(request);

    return body && body_has(request, body, keys, 3) && body_text(request, body, keys[0], &texts[0]) &&
           body_text(request, body, keys[1], &texts[1]) && body_text(request, body, keys[2], &texts[2]);
}

static void put(struct request *request)
{
    static const char *const keys[] = {"configure", "write", "read"};
    char why[CHANGE_WHY_SIZE] = "";
    struct bytes texts[3];
    bool is_new;

    if (!take_texts(request, keys, texts))
        return;
    is_new = !has_some(request, false);
    reply_put(request,
              changes_set_permission(request->server, request_segment(request, 2),
                                     request_segment(request, 3), texts[0], texts[1], texts[2], why),
              is_new, why);
}

static void put_topic(struct request *request)
{
    static const char *const keys[] = {"exchange", "write", "read"};
    char why[CHANGE_WHY_SIZE] = "";
    struct bytes texts[3];
    bool is_new;

    if (!take_texts(request, keys, texts))
        return;
    if (texts[0].size > SHORTSTR_MAX) {
        reply_bad_request(request, "exchange should be at most %d octets long", SHORTSTR_MAX);
        return;
    }
    is_new = !has_some(request, true);
    reply_put(request,
              changes_set_topic_permission(request->server, request_segment(request, 2),
                                           request_segment(request, 3), texts[0], texts[1], texts[2], why),
              is_new, why);
}

/* What is not there is not found, whatever it lacks. */
static void reply_cleared(struct request *request, enum change_result result)
{
    reply_change(request, result == CHANGE_NO_VHOST ? CHANGE_MISSING : result, false, "");
}

static void clear(struct request *request)
{
    reply_cleared(request, changes_clear_permission(request->server, request_segment(request, 2),
                                                    request_segment(request, 3)));
}

static void clear_topics(struct request *request)
{
    reply_cleared(request,
                  changes_clear_topic_permission(request->server, request_segment(request, 2),
                                                 request_segment(request, 3), (struct bytes){NULL, 0}));
}

/* As long as the user has any topic permission it is not missing. */
static void clear_topic(struct request *request)
{
    enum change_result result =
        changes_clear_topic_permission(request->server, request_segment(request, 2),
                                       request_segment(request, 3), exchange_of_segment(request, 4));

    if (result == CHANGE_MISSING && has_some(request, true))
        result = CHANGE_MADE;
    reply_cleared(request, result);
}

const struct route routes_permissions[] = {
    {"permissions", {[VERB_GET] = {list_all, ACCESS_ADMINISTRATOR}}},
    {"permissions/:vhost/:user",
     {[VERB_GET] = {show, ACCESS_ADMINISTRATOR},
      [VERB_PUT] = {put, ACCESS_ADMINISTRATOR},
      [VERB_DELETE] = {clear, ACCESS_ADMINISTRATOR}}},
    {"users/:name/permissions", {[VERB_GET] = {list_of_user, ACCESS_ADMINISTRATOR}}},
    {"vhosts/:vhost/permissions", {[VERB_GET] = {list_of_vhost, ACCESS_ADMINISTRATOR}}},
    {"topic-permissions", {[VERB_GET] = {list_topics, ACCESS_ADMINISTRATOR}}},
    {"topic-permissions/:vhost/:user",
     {[VERB_GET] = {show_topics, ACCESS_ADMINISTRATOR},
      [VERB_PUT] = {put_topic, ACCESS_ADMINISTRATOR},
      [VERB_DELETE] = {clear_topics, ACCESS_ADMINISTRATOR}}},
    {"topic-permissions/:vhost/:user/:exchange",
     {[VERB_GET] = {show_topics, ACCESS_ADMINISTRATOR}, [VERB_DELETE] = {clear_topic, ACCESS_ADMINISTRATOR}}},
    {"users/:name/topic-permissions", {[VERB_GET] = {list_topics_of_user, ACCESS_ADMINISTRATOR}}},
    {"vhosts/:vhost/topic-permissions", {[VERB_GET] = {list_topics_of_vhost, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
