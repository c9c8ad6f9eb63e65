/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters, global parameters and the cluster's name (management-http-api.md 3.12). */
#include <string.h>

#include "admin/access.h"
#include "admin/changing.h"
#include "admin/json.h"
#include "admin/parameters_json.h"
#include "admin/router.h"
#include "admin/rows.h"
#include "coney/node_access.h"

/* ---- lists; the argument is the component, or empty ---- */

static bool make(struct rows *rows, const char *vhost)
{
    rows_add_all(rows, vhost,
                 parameters_json(rows->request->server, bytes_from_string(vhost), rows->argument));
    return true;
}

static void list(struct request *request, const char *vhost, struct bytes component)
{
    struct rows rows = {.request = request, .make = make, .argument = component};

    rows_run(&rows, vhost);
}

static void list_all(struct request *request)
{
    list(request, NULL, (struct bytes){NULL, 0});
}

static void list_component(struct request *request)
{
    list(request, NULL, request_segment(request, 2));
}

static void list_vhost(struct request *request)
{
    list(request, request->segments[3], request_segment(request, 2));
}

/* ---- one ---- */

/* The row that the path names, a new reference; NULL when there is none. */
static json_t *find(struct request *request)
{
    return rows_pick(
        parameters_json(request->server, request_segment(request, 3), request_segment(request, 2)),
        request_segment(request, 4));
}

static void show(struct request *request)
{
    reply_row(request, find(request));
}

/* RabbitMQ's reasons end with a newline each. */
static void reply_invalid(struct request *request, const char *why)
{
    size_t size = strlen(why);

    reply_bad_request(request, "Validation failed\n\n%s%s", why, size && why[size - 1] == '\n' ? "" : "\n");
}

static bool take_limit(struct request *request, const char *key, const json_t *value, int64_t *out)
{
    char term[BODY_TERM_SIZE];

    *out = json_integer_value(value);
    if (json_is_integer(value))
        return true;
    reply_bad_request(request, "Validation failed\n\n%s should be a number, actually was %s\n", key,
                      body_term(value, term));
    return false;
}

static void put_limits(struct request *request, json_t *value, bool is_new)
{
    int64_t connections_max = -1, queues_max = -1;
    char term[BODY_TERM_SIZE];
    const char *key;
    json_t *member;

    if (!bytes_equal_string(request_segment(request, 4), "limits") || !json_is_object(value)) {
        reply_invalid(request, "a vhost's limits are an object called limits");
        return;
    }
    json_object_foreach(value, key, member)
    {
        if (strcmp(key, "max-connections") != 0 && strcmp(key, "max-queues") != 0) {
            reply_bad_request(request,
                              "Validation failed\n\nUnrecognised terms [{<<\"%s\">>,%s}] in limits\n", key,
                              body_term(member, term));
            return;
        }
        if (!take_limit(request, key, member,
                        strcmp(key, "max-queues") == 0 ? &queues_max : &connections_max))
            return;
    }
    reply_change(
        request,
        changes_set_vhost_limits(request->server, request_segment(request, 3), connections_max, queues_max),
        is_new, "");
}

static void put_operator_policy(struct request *request, json_t *value, bool is_new)
{
    static const char *const keys[] = {"priority", "pattern", "definition"};
    char why[CHANGE_WHY_SIZE] = "";
    enum change_result result;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!json_object_get(value, keys[i])) {
            reply_bad_request(request, "Validation failed\n\nKey \"%s\" not found in %s\n", keys[i],
                              request->segments[4]);
            return;
        }
    }
    result = changes_put_policy(request->server, POLICY_OPERATOR, request_segment(request, 3),
                                request_segment(request, 4), value, why);
    if (result == CHANGE_REFUSED)
        reply_invalid(request, why);
    else
        reply_change(request, result, is_new, "");
}

static void put_value(struct request *request, json_t *value, bool is_new)
{
    char why[CHANGE_WHY_SIZE] = "";
    enum change_result result =
        changes_set_parameter(request->server, request_segment(request, 2), request_segment(request, 3),
                              request_segment(request, 4), value, why);

    if (result == CHANGE_REFUSED)
        reply_invalid(request, why);
    else
        reply_change(request, result, is_new, "");
}

static void put(struct request *request)
{
    static const char *const keys[] = {"value"};
    struct bytes component = request_segment(request, 2);
    json_t *body = request_json(request), *value, *there;

    if (!body || !body_has(request, body, keys, 1))
        return;
    value = json_object_get(body, "value");
    there = find(request);
    if (bytes_equal_string(component, "policy"))
        reply_bad_request(request, "policies may not be set using this method");
    else if (bytes_equal_string(component, "shovel") && !access_is_administrator(request))
        reply_refused(request, "Not administrator user"); /* see api_shovels.c */
    else if (bytes_equal_string(component, "vhost-limits"))
        put_limits(request, value, !there);
    else if (bytes_equal_string(component, "operator_policy"))
        put_operator_policy(request, value, !there);
    else
        put_value(request, value, !there);
    json_decref(there);
}

static enum change_result remove_one(struct request *request)
{
    struct bytes component = request_segment(request, 2), vhost = request_segment(request, 3);
    struct bytes name = request_segment(request, 4);
    json_t *there = find(request);

    if (!there)
        return CHANGE_MISSING;
    json_decref(there);
    if (bytes_equal_string(component, "vhost-limits"))
        return changes_set_vhost_limits(request->server, vhost, -1, -1);
    if (bytes_equal_string(component, "operator_policy"))
        return changes_remove_policy(request->server, POLICY_OPERATOR, vhost, name);
    if (bytes_equal_string(component, "policy"))
        return changes_remove_policy(request->server, POLICY_USER, vhost, name);
    return changes_remove_parameter(request->server, component, vhost, name);
}

static void delete_one(struct request *request)
{
    reply_change(request, remove_one(request), false, "");
}

/* ---- global ones ---- */

static bool make_global(struct rows *rows, const char *vhost)
{
    (void)vhost;
    rows_add_all(rows, NULL, global_parameters_json(rows->request->server, true));
    return true;
}

static void list_global(struct request *request)
{
    struct rows rows = {.request = request, .make = make_global, .is_of_node = true};

    rows_run(&rows, NULL);
}

static json_t *find_global(struct request *request, struct bytes name)
{
    return rows_pick(global_parameters_json(request->server, true), name);
}

static void show_global(struct request *request)
{
    reply_row(request, find_global(request, request_segment(request, 2)));
}

static void set_global(struct request *request, struct bytes name, const json_t *value, bool is_new)
{
    static const struct bytes none = {NULL, 0};
    char why[CHANGE_WHY_SIZE] = "";

    reply_change(request, changes_set_parameter(request->server, none, none, name, value, why), is_new, why);
}

static void put_global(struct request *request)
{
    static const char *const keys[] = {"value"};
    json_t *body = request_json(request), *there;

    if (!body || !body_has(request, body, keys, 1))
        return;
    if (request->sizes[2] > SHORTSTR_MAX) {
        reply_bad_request(request, "a name should be at most %d octets long", SHORTSTR_MAX);
        return;
    }
    there = find_global(request, request_segment(request, 2));
    set_global(request, request_segment(request, 2), json_object_get(body, "value"), !there);
    json_decref(there);
}

static void delete_global(struct request *request)
{
    static const struct bytes none = {NULL, 0};

    reply_change(request, changes_remove_parameter(request->server, none, none, request_segment(request, 2)),
                 false, "");
}

static void show_cluster_name(struct request *request)
{
    reply_json(request, 200,
               json_pack("{s:o}", "name", json_text(bytes_from_string(node_cluster_name(request->server)))));
}

static void put_cluster_name(struct request *request)
{
    static const char *const keys[] = {"name"};
    json_t *body = request_json(request);

    if (body && body_has(request, body, keys, 1))
        set_global(request, BYTES_LITERAL("cluster_name"), json_object_get(body, "name"), false);
}

const struct route routes_parameters[] = {
    {"parameters", {[VERB_GET] = {list_all, ACCESS_GLOBAL_POLICYMAKER}}},
    {"parameters/:component", {[VERB_GET] = {list_component, ACCESS_GLOBAL_POLICYMAKER}}},
    {"parameters/:component/:vhost", {[VERB_GET] = {list_vhost, ACCESS_POLICYMAKER}}},
    {"parameters/:component/:vhost/:name",
     {[VERB_GET] = {show, ACCESS_POLICYMAKER},
      [VERB_PUT] = {put, ACCESS_POLICYMAKER},
      [VERB_DELETE] = {delete_one, ACCESS_POLICYMAKER}}},
    {"global-parameters", {[VERB_GET] = {list_global, ACCESS_GLOBAL_POLICYMAKER}}},
    {"global-parameters/:name",
     {[VERB_GET] = {show_global, ACCESS_GLOBAL_POLICYMAKER},
      [VERB_PUT] = {put_global, ACCESS_GLOBAL_POLICYMAKER},
      [VERB_DELETE] = {delete_global, ACCESS_GLOBAL_POLICYMAKER}}},
    {"cluster-name",
     {[VERB_GET] = {show_cluster_name, ACCESS_ANY}, [VERB_PUT] = {put_cluster_name, ACCESS_ADMINISTRATOR}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
