/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of vhosts and users: each limit is an object of its own in the API, and all of them one JSON object
 * here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"
#include "verbs.h"

/* The object of limits of one vhost or user, borrowed from ROWS. */
static json_t *limits_in(const json_t *rows)
{
    return json_object_get(json_array_get(rows, 0), "value");
}

static int put_limits(struct ctl *ctl, const char *path, json_t *limits)
{
    const char *name;
    json_t *value;
    int code = EX_OK;

    json_object_foreach(limits, name, value)
    {
        code = http_do(ctl, "PUT", text(ctl, "%s%s", path, api_path(ctl, "/%s", name)),
                       json_pack("{s:O}", "value", value));
        if (code != EX_OK)
            break;
    }
    json_decref(limits);
    return done(ctl, code);
}

/* The JSON object that argument INDEX is; reports what it is instead and returns NULL. */
static json_t *limits_argument(struct ctl *ctl, int index)
{
    json_t *limits = json_argument(ctl->args[index]);

    if (!limits || json_is_object(limits))
        return limits;
    json_decref(limits);
    failure(EX_UNAVAILABLE, "Limits are a JSON object: '{\"max-connections\":100}'");
    return NULL;
}

static int clear_all(struct ctl *ctl, const char *path)
{
    json_t *rows = http_get(ctl, path), *limits = limits_in(rows), *value;
    const char *name;
    int code = EX_OK;

    json_object_foreach(limits, name, value)
    {
        if (code == EX_OK)
            code = http_do(ctl, "DELETE", text(ctl, "%s%s", path, api_path(ctl, "/%s", name)), NULL);
    }
    json_decref(rows);
    return done(ctl, code);
}

/* --- vhosts --------------------------------------------------------------------------------------------- */

static int list_vhost_limits(struct ctl *ctl)
{
    static const struct column columns[] = {{.name = "vhost"},
                                            {.name = "limits", .field = "value", .kind = TERM_JSON}};
    json_t *rows;
    char *shown;

    if (has_option(ctl, "global")) {
        info(ctl, "Listing limits for all vhosts ...");
        rows = http_get(ctl, "/vhost-limits");
        rows_print_short(ctl, rows, columns, 2);
        json_decref(rows);
        return EX_OK;
    }
    info(ctl, "Listing limits for vhost \"%s\" ...", ctl->vhost);
    rows = vhost_rows_or_none(ctl, api_path(ctl, "/vhost-limits/%s", ctl->vhost));
    shown = limits_in(rows) ? json_dumps(limits_in(rows), JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (ctl->format == FORMAT_JSON) {
        json_t *wrapped =
            json_pack("{s:s,s:s,s:s}", "node", node_name(ctl), "result", "ok", "value", shown ? shown : "");

        print_json_line(wrapped);
        json_decref(wrapped);
    } else {
        puts(shown ? shown : "");
    }
    free(shown);
    json_decref(rows);
    return EX_OK;
}

static int set_vhost_limits(struct ctl *ctl)
{
    json_t *limits;

    info(ctl, "Setting vhost limits to \"%s\" for vhost \"%s\" ...", ctl->args[0], ctl->vhost);
    limits = limits_argument(ctl, 0);
    if (!limits)
        return EX_UNAVAILABLE;
    if (!vhost_exists(ctl, ctl->vhost)) {
        json_decref(limits);
        return missing_vhost(ctl->vhost);
    }
    return put_limits(ctl, api_path(ctl, "/vhost-limits/%s", ctl->vhost), limits);
}

static int clear_vhost_limits(struct ctl *ctl)
{
    info(ctl, "Clearing vhost \"%s\" limits ...", ctl->vhost);
    if (!vhost_exists(ctl, ctl->vhost))
        return failure(EX_UNAVAILABLE, "Virtual host '%s' does not exist", ctl->vhost);
    return clear_all(ctl, api_path(ctl, "/vhost-limits/%s", ctl->vhost));
}

/* --- users ---------------------------------------------------------------------------------------------- */

static int no_such_user(const char *user)
{
    return failure(EX_UNAVAILABLE, "User \"%s\" does not exist", user);
}

static int list_user_limits(struct ctl *ctl)
{
    static const struct column columns[] = {{.name = "user"},
                                            {.name = "limits", .field = "value", .kind = TERM_JSON}};
    const char *user = option(ctl, "user");
    json_t *rows;
    char *shown;

    if (has_option(ctl, "global")) {
        info(ctl, "Listing limits for all users ...");
        rows = http_get(ctl, "/user-limits");
        rows_print_short(ctl, rows, columns, 2);
        json_decref(rows);
        return EX_OK;
    }
    user = user ? user : "guest";
    info(ctl, "Listing limits for user \"%s\" ...", user);
    rows = http_find(ctl, api_path(ctl, "/user-limits/%s", user));
    if (!rows || (json_array_size(rows) == 0 && !user_exists(ctl, user))) {
        json_decref(rows);
        return no_such_user(user);
    }
    shown = limits_in(rows) ? json_dumps(limits_in(rows), JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    result(ctl, "%s", shown ? shown : "{}");
    free(shown);
    json_decref(rows);
    return EX_OK;
}

static int set_user_limits(struct ctl *ctl)
{
    json_t *limits;

    info(ctl, "Setting user limits to \"%s\" for user \"%s\" ...", ctl->args[1], ctl->args[0]);
    limits = limits_argument(ctl, 1);
    if (!limits)
        return EX_UNAVAILABLE;
    if (!user_exists(ctl, ctl->args[0])) {
        json_decref(limits);
        return no_such_user(ctl->args[0]);
    }
    return put_limits(ctl, api_path(ctl, "/user-limits/%s", ctl->args[0]), limits);
}

static int clear_user_limits(struct ctl *ctl)
{
    const char *user = ctl->args[0], *limit = ctl->args[1];
    struct answer answer;

    if (strcmp(limit, "all") == 0)
        info(ctl, "Clearing all limits for user \"%s\" ...", user);
    else
        info(ctl, "Clearing \"%s\" limit for user \"%s\" ...", limit, user);
    if (!user_exists(ctl, user))
        return no_such_user(user);
    if (strcmp(limit, "all") == 0)
        return clear_all(ctl, api_path(ctl, "/user-limits/%s", user));
    answer = http_call(ctl, "DELETE", api_path(ctl, "/user-limits/%s/%s", user, limit), NULL);
    if (!is_fine(&answer) && answer.status != 404)
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return done(ctl, EX_OK);
}

#define LISTS (TOOL_CTL | TOOL_DIAGNOSTICS)

const struct verb verbs_limits[] = {
    {"clear_user_limits",
     TOOL_CTL,
     "Users",
     2,
     2,
     "USER LIMIT|all",
     "Take limits of a user away",
     "clear_user_limits alice max-connections",
     clear_user_limits,
     {{0}}},
    {"list_user_limits",
     LISTS,
     "Users",
     0,
     0,
     "",
     "Show the limits of a user, or of all with --global",
     "list_user_limits --user alice",
     list_user_limits,
     {{"user", 0, OPTION_TEXT}, {"global", 0, OPTION_FLAG}}},
    {"set_user_limits",
     TOOL_CTL,
     "Users",
     2,
     2,
     "USER JSON",
     "Bound a user's connections and channels",
     "set_user_limits alice '{\"max-connections\":10,\"max-channels\":100}'",
     set_user_limits,
     {{0}}},
    {"clear_vhost_limits",
     TOOL_CTL,
     "Virtual hosts",
     0,
     0,
     "",
     "Take the limits of a vhost away",
     "clear_vhost_limits -p orders",
     clear_vhost_limits,
     {{0}}},
    {"list_vhost_limits",
     LISTS,
     "Virtual hosts",
     0,
     0,
     "",
     "Show the limits of a vhost, or of all with --global",
     "list_vhost_limits -p orders",
     list_vhost_limits,
     {{"global", 0, OPTION_FLAG}}},
    {"set_vhost_limits",
     TOOL_CTL,
     "Virtual hosts",
     1,
     1,
     "JSON",
     "Bound a vhost's connections and queues",
     "set_vhost_limits -p orders '{\"max-connections\":500,\"max-queues\":1000}'",
     set_vhost_limits,
     {{0}}},
    {0},
};
