/* SPDX-License-Identifier: Apache-2.0 */
/* Policies and operator policies (management-http-api.md 3.12). */
#include "admin/changing.h"
#include "admin/json.h"
#include "admin/policies.h"
#include "admin/router.h"
#include "admin/rows.h"

/* ---- lists ---- */

static bool make(struct rows *rows, const char *vhost, enum policy_origin origin)
{
    rows_add_all(
        rows, vhost,
        policies_json(rows->request->server, bytes_from_string(vhost), origin, (struct bytes){NULL, 0}));
    return true;
}

static bool make_policies(struct rows *rows, const char *vhost)
{
    return make(rows, vhost, POLICY_USER);
}

static bool make_operator_policies(struct rows *rows, const char *vhost)
{
    return make(rows, vhost, POLICY_OPERATOR);
}

static void list_all(struct request *request)
{
    struct rows rows = {.request = request, .make = make_policies};

    rows_run(&rows, NULL);
}

static void list_vhost(struct request *request)
{
    struct rows rows = {.request = request, .make = make_policies};

    rows_run(&rows, request->segments[2]);
}

static void list_all_operator(struct request *request)
{
    struct rows rows = {.request = request, .make = make_operator_policies};

    rows_run(&rows, NULL);
}

static void list_vhost_operator(struct request *request)
{
    struct rows rows = {.request = request, .make = make_operator_policies};

    rows_run(&rows, request->segments[2]);
}

/* ---- one ---- */

static void show_of(struct request *request, enum policy_origin origin)
{
    json_t *list =
        policies_json(request->server, request_segment(request, 2), origin, request_segment(request, 3));

    reply_row(request, json_incref(json_array_get(list, 0)));
    json_decref(list);
}

static void put_of(struct request *request, enum policy_origin origin)
{
    static const char *const keys[] = {"pattern", "definition"};
    struct bytes vhost = request_segment(request, 2), name = request_segment(request, 3);
    json_t *body = request_json(request), *there, *value;
    char why[CHANGE_WHY_SIZE] = "";
    enum change_result result;

    if (!body || !body_has(request, body, keys, 2))
        return;
    there = policies_json(request->server, vhost, origin, name);
    value = json_pack("{s:i,s:s}", "priority", 0, "apply-to", "all");
    json_object_update(value, body);
    result = changes_put_policy(request->server, origin, vhost, name, value, why);
    if (result == CHANGE_REFUSED)
        reply_bad_request(request, "Validation failed\n\n%s\n", why);
    else
        reply_change(request, result, !json_array_size(there), "");
    json_decref(there);
    json_decref(value);
}

static void delete_of(struct request *request, enum policy_origin origin)
{
    enum change_result result = changes_remove_policy(request->server, origin, request_segment(request, 2),
                                                      request_segment(request, 3));

    reply_change(request, result == CHANGE_NO_VHOST ? CHANGE_MISSING : result, false, "");
}

static void show(struct request *request)
{
    show_of(request, POLICY_USER);
}

static void put(struct request *request)
{
    put_of(request, POLICY_USER);
}

static void delete_one(struct request *request)
{
    delete_of(request, POLICY_USER);
}

static void show_operator(struct request *request)
{
    show_of(request, POLICY_OPERATOR);
}

static void put_operator(struct request *request)
{
    put_of(request, POLICY_OPERATOR);
}

static void delete_operator(struct request *request)
{
    delete_of(request, POLICY_OPERATOR);
}

const struct route routes_policies[] = {
    {"policies", {[VERB_GET] = {list_all, ACCESS_ANY}}},
    {"policies/:vhost", {[VERB_GET] = {list_vhost, ACCESS_VHOST}}},
    {"policies/:vhost/:name",
     {[VERB_GET] = {show, ACCESS_POLICYMAKER},
      [VERB_PUT] = {put, ACCESS_POLICYMAKER},
      [VERB_DELETE] = {delete_one, ACCESS_POLICYMAKER}}},
    {"operator-policies", {[VERB_GET] = {list_all_operator, ACCESS_ANY}}},
    {"operator-policies/:vhost", {[VERB_GET] = {list_vhost_operator, ACCESS_VHOST}}},
    {"operator-policies/:vhost/:name",
     {[VERB_GET] = {show_operator, ACCESS_ADMINISTRATOR},
      [VERB_PUT] = {put_operator, ACCESS_ADMINISTRATOR},
      [VERB_DELETE] = {delete_operator, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
