/* SPDX-License-Identifier: Apache-2.0 */
/* Closing connections. A pid is what list_connections shows as one; the API knows connections by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verbs.h"

static int close_named(struct ctl *ctl, const char *name, const char *reason)
{
    struct answer answer = http_send(ctl, "DELETE", api_path(ctl, "/connections/%s", name), NULL, 0, reason);

    if (!is_fine(&answer) && answer.status != 404) /* 404: it was faster */
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return EX_OK;
}

/* The name of the connection with this pid or name; NULL if there is none. */
static const char *connection_name(struct ctl *ctl, const char *pid)
{
    json_t *rows = http_get(ctl, "/connections?columns=name,pid"), *row;
    const char *found = NULL;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *name = json_string_value(json_object_get(row, "name"));
        const char *its_pid = json_string_value(json_object_get(row, "pid"));

        if (name && (strcmp(name, pid) == 0 || (its_pid && strcmp(its_pid, pid) == 0)))
            found = text(ctl, "%s", name);
    }
    json_decref(rows);
    return found;
}

static int close_connection(struct ctl *ctl)
{
    const char *pid = ctl->args[0], *reason = ctl->args[1], *name;

    info(ctl, "Closing connection %s, reason: %s...", pid, reason);
    name = connection_name(ctl, pid);
    if (name)
        return done(ctl, close_named(ctl, name, reason));
    if (*pid == '<') /* one that has gone is as good as closed */
        return done(ctl, EX_OK);
    return failure(EX_UNAVAILABLE,
                   "There is no connection \"%s\": `%s list_connections pid name` shows what may be given",
                   pid, ctl->program);
}

static int close_all_connections(struct ctl *ctl)
{
    bool is_global = has_option(ctl, "global");
    long limit = option_number(ctl, "limit", 0), delay = option_number(ctl, "per-connection-delay", 0),
         count = 0;
    const char *number = limit > 0 ? text(ctl, "%ld", limit) : "all";
    json_t *rows, *row;
    size_t i;
    int code = EX_OK;

    if (is_global)
        info(ctl, "Closing %s connections to node %s (across all vhosts), reason: %s...", number,
             node_name(ctl), ctl->args[0]);
    else
        info(ctl, "Closing %s connections in vhost %s, reason: %s...", number, ctl->vhost, ctl->args[0]);
    rows = http_get(ctl, "/connections?columns=name,vhost");
    json_array_foreach(rows, i, row)
    {
        const char *vhost = json_string_value(json_object_get(row, "vhost"));
        const char *name = json_string_value(json_object_get(row, "name"));

        if (!name || (!is_global && (!vhost || strcmp(vhost, ctl->vhost) != 0)))
            continue;
        pause_ms(count > 0 ? delay : 0);
        code = close_named(ctl, name, ctl->args[0]);
        if (code != EX_OK || ++count == limit)
            break;
    }
    json_decref(rows);
    if (code == EX_OK)
        result(ctl, "Closed %ld connections", count);
    return code;
}

static int close_all_user_connections(struct ctl *ctl)
{
    struct answer answer;

    info(ctl, "Closing connections of user %s, reason: %s...", ctl->args[0], ctl->args[1]);
    answer = http_send(ctl, "DELETE", api_path(ctl, "/connections/username/%s", ctl->args[0]), NULL, 0,
                       ctl->args[1]);
    if (!is_fine(&answer) && answer.status != 404)
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return done(ctl, EX_OK);
}

#define OPERATIONS "Operations"

const struct verb verbs_connections[] = {
    {"close_all_connections",
     TOOL_CTL,
     OPERATIONS,
     1,
     1,
     "REASON",
     "Close all connections of a vhost, or with --global",
     "close_all_connections -p orders 'maintenance' --per-connection-delay 10",
     close_all_connections,
     {{"global", 0, OPTION_FLAG}, {"limit", 0, OPTION_NUMBER}, {"per-connection-delay", 0, OPTION_NUMBER}}},
    {"close_all_user_connections",
     TOOL_CTL,
     OPERATIONS,
     2,
     2,
     "USER REASON",
     "Close all connections of a user",
     "close_all_user_connections alice 'password changed'",
     close_all_user_connections,
     {{0}}},
    {"close_connection",
     TOOL_CTL,
     OPERATIONS,
     2,
     2,
     "PID REASON",
     "Close a connection, named as list_connections shows its pid or name",
     "close_connection '192.0.2.7:51234 -> 192.0.2.1:5672' 'too many messages'",
     close_connection,
     {{0}}},
    {0},
};
