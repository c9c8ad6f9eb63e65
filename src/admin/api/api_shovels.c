/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shovels: runtime parameters of the component "shovel" are what runs (coney/shovels.h), and GET /api/shovels
 * tells how it goes, as RabbitMQ's shovel management plugin does.
 *
 * A URI without a host is this node itself: with a user name it is that user's login, without one everything
 * is allowed. So only administrators set such parameters (api_parameters.c).
 */
#include "api_shovels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_fields.h"
#include "admin/json.h"
#include "admin/router.h"
#include "coney/changes.h"
#include "coney/client.h"
#include "coney/log.h"
#include "coney/node_access.h"
#include "coney/parameters.h"
#include "coney/shovels.h"
#include "coney/users.h"
#include "coney/xalloc.h"

#define COMPONENT "shovel"

/* Names with a NUL octet are no shovels'. */
static char *to_string(struct bytes text)
{
    char *out = xmalloc(text.size + 1);

    *put_bytes((uint8_t *)out, text) = 0;
    return out;
}

/* ---- parameters ---- */

static bool check(void *context, struct bytes vhost, struct bytes name, const json_t *value,
                  char why[PARAMETER_WHY_SIZE])
{
    char *text = to_string(name);
    bool good = shovels_check(text, value, why, PARAMETER_WHY_SIZE);

    (void)context;
    (void)vhost;
    free(text);
    return good;
}

static void run(struct admin *admin, struct bytes vhost, struct bytes name, const char *value)
{
    char *vhost_text = to_string(vhost), *name_text = to_string(name), why[PARAMETER_WHY_SIZE];
    json_t *json = json_loads(value, JSON_DECODE_ANY, NULL);

    if (!shovels_put(admin->shovels, vhost_text, name_text, json, why, sizeof why))
        log_error("shovel '%s' cannot run: %s", name_text, why);
    json_decref(json);
    free(vhost_text);
    free(name_text);
}

static void stop(struct admin *admin, struct bytes vhost, struct bytes name)
{
    char *vhost_text = to_string(vhost), *name_text = to_string(name);

    shovels_remove(admin->shovels, vhost_text, name_text);
    free(vhost_text);
    free(name_text);
}

static void changed(void *context, struct bytes vhost, struct bytes name)
{
    struct admin *admin = context;
    char *value = parameters_get(node_parameters(admin->server), BYTES_LITERAL(COMPONENT), vhost, name);

    if (value)
        run(admin, vhost, name, value);
    else
        stop(admin, vhost, name);
    free(value);
}

static void run_all(struct admin *admin)
{
    size_t count;
    struct parameter *list = parameters_list(node_parameters(admin->server), false, &count);

    for (size_t i = 0; i < count; i++)
        if (bytes_equal_string(list[i].component, COMPONENT))
            run(admin, list[i].vhost, list[i].name, (const char *)list[i].value.data);
    parameters_list_free(list, count);
}

/* ---- what shovels ask for ---- */

static bool reach_self(void *context, const char *user, struct client_target *target)
{
    struct admin *admin = context;
    struct user_info info = {.name = BYTES_LITERAL("rmq-shovel"),
                             .max_connections = USER_LIMIT_NONE,
                             .max_channels = USER_LIMIT_NONE};
    bool is_known = user && users_get(node_users(admin->server), bytes_from_string(user), &info);

    if (user && !is_known) {
        errno = EACCES;
        return false;
    }
    target->fd = node_connect(admin->server, &info, !user);
    target->has_fd = true;
    target->mechanism = "EXTERNAL";
    if (is_known)
        user_info_free(&info);
    return target->fd >= 0;
}

static void ended(void *context, const char *vhost, const char *name)
{
    struct admin *admin = context;

    changes_remove_parameter(admin->server, BYTES_LITERAL(COMPONENT), bytes_from_string(vhost),
                             bytes_from_string(name));
}

void api_shovels_init(struct admin *admin)
{
    struct shovels_settings settings = {node_name(admin->server), node_cluster_name(admin->server)};
    struct shovels_ops ops = {reach_self, ended, admin};
    struct parameter_component component = {COMPONENT, check, changed, admin};

    admin->shovels = shovels_new(&settings, &ops);
    parameters_add_component(node_parameters(admin->server), &component);
}

void api_shovels_begin(struct admin *admin)
{
    if (!shovels_start(admin->shovels))
        log_error("no shovels: the system refuses a thread");
    else
        run_all(admin);
}

/* ---- paths ---- */

/* Rows that the asker may see; of VHOST and NAME where they are not NULL. */
static json_t *rows_of(struct request *request, const char *vhost, const char *name)
{
    json_t *all = shovels_status(request->admin->shovels), *rows = json_array(), *row;
    size_t i;

    json_array_foreach(all, i, row)
    {
        const char *its_vhost = json_string_value(json_object_get(row, "vhost"));
        const char *its_name = json_string_value(json_object_get(row, "name"));

        if ((!vhost || strcmp(vhost, its_vhost) == 0) && (!name || strcmp(name, its_name) == 0))
            json_array_append(rows, row);
    }
    json_decref(all);
    return rows;
}

static void list_all(struct request *request)
{
    reply_json(request, 200, rows_of(request, NULL, NULL));
}

static void list_vhost(struct request *request)
{
    reply_json(request, 200, rows_of(request, request->segments[2], NULL));
}

static void show(struct request *request)
{
    json_t *rows = rows_of(request, request->segments[2], request->segments[3]);

    if (json_array_size(rows))
        reply_json(request, 200, json_incref(json_array_get(rows, 0)));
    else
        reply_not_found(request);
    json_decref(rows);
}

static void delete_shovel(struct request *request)
{
    switch (changes_remove_parameter(request->server, BYTES_LITERAL(COMPONENT), request_segment(request, 2),
                                     request_segment(request, 3))) {
    case CHANGE_MADE:
    case CHANGE_NOT_SAFE:
        reply_empty(request, 204);
        break;
    case CHANGE_STOPPING:
        reply_stopping(request);
        break;
    default:
        reply_not_found(request);
    }
}

static void restart(struct request *request)
{
    if (shovels_restart(request->admin->shovels, request->segments[2], request->segments[3]))
        reply_empty(request, 204);
    else
        reply_not_found(request);
}

const struct route routes_shovels[] = {
    {"shovels", {[VERB_GET] = {list_all, ACCESS_MONITOR}}},
    {"shovels/:vhost", {[VERB_GET] = {list_vhost, ACCESS_MONITOR}}},
    {"shovels/:vhost/:name",
     {[VERB_GET] = {show, ACCESS_MONITOR}, [VERB_DELETE] = {delete_shovel, ACCESS_POLICYMAKER}}},
    {"shovels/:vhost/:name/restart", {[VERB_DELETE] = {restart, ACCESS_POLICYMAKER}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
