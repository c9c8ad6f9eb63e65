/* SPDX-License-Identifier: Apache-2.0 */
/* Permissions and topic permissions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"
#include "verbs.h"

static const struct column permission_columns[] = {
    {"user", NULL, NULL, TERM_PLAIN},
    {"configure", NULL, NULL, TERM_PLAIN},
    {"write", NULL, NULL, TERM_PLAIN},
    {"read", NULL, NULL, TERM_PLAIN},
};
static const struct column user_permission_columns[] = {
    {"vhost", NULL, NULL, TERM_PLAIN},
    {"configure", NULL, NULL, TERM_PLAIN},
    {"write", NULL, NULL, TERM_PLAIN},
    {"read", NULL, NULL, TERM_PLAIN},
};
static const struct column topic_columns[] = {
    {"user", NULL, NULL, TERM_PLAIN},
    {"exchange", NULL, NULL, TERM_PLAIN},
    {"write", NULL, NULL, TERM_PLAIN},
    {"read", NULL, NULL, TERM_PLAIN},
};
static const struct column user_topic_columns[] = {
    {"vhost", NULL, NULL, TERM_PLAIN},
    {"exchange", NULL, NULL, TERM_PLAIN},
    {"write", NULL, NULL, TERM_PLAIN},
    {"read", NULL, NULL, TERM_PLAIN},
};

/* A vhost's list; a vhost that is not there is told without "Error:". */
static json_t *vhost_list(struct ctl *ctl, const char *what)
{
    const char *path = text(ctl, "%s%s", api_path(ctl, "/vhosts/%s", ctl->vhost), what);
    json_t *rows = http_find(ctl, path);

    if (!rows)
        exit(missing_vhost(ctl->vhost));
    return rows;
}

static json_t *user_list(struct ctl *ctl, const char *what)
{
    json_t *rows = http_find(ctl, text(ctl, "%s%s", api_path(ctl, "/users/%s", ctl->args[0]), what));

    if (!rows)
        die(EX_UNAVAILABLE, "User \"%s\" does not exist", ctl->args[0]);
    return rows;
}

static int list_permissions(struct ctl *ctl)
{
    json_t *rows;

    info(ctl, "Listing permissions for vhost \"%s\" ...", ctl->vhost);
    rows = vhost_list(ctl, "/permissions");
    rows_print_all(ctl, rows, permission_columns, 4);
    json_decref(rows);
    return EX_OK;
}

static int list_user_permissions(struct ctl *ctl)
{
    json_t *rows;

    info(ctl, "Listing permissions for user \"%s\" ...", ctl->args[0]);
    rows = user_list(ctl, "/permissions");
    rows_print_all(ctl, rows, user_permission_columns, 4);
    json_decref(rows);
    return EX_OK;
}

static int list_topic_permissions(struct ctl *ctl)
{
    json_t *rows;

    info(ctl, "Listing topic permissions for vhost \"%s\" ...", ctl->vhost);
    rows = vhost_list(ctl, "/topic-permissions");
    rows_print_short(ctl, rows, topic_columns, 4);
    json_decref(rows);
    return EX_OK;
}

/* rabbitmqctl prints this one table without a header. */
static int list_user_topic_permissions(struct ctl *ctl)
{
    json_t *rows;

    info(ctl, "Listing topic permissions for user \"%s\" ...", ctl->args[0]);
    rows = user_list(ctl, "/topic-permissions");
    ctl->has_no_headers |= ctl->format == FORMAT_TABLE;
    rows_print_short(ctl, rows, user_topic_columns, 4);
    json_decref(rows);
    return EX_OK;
}

/* Report what is missing for a change of USER's rights in the vhost; EX_OK if nothing is. */
static int check_both(struct ctl *ctl, const char *user)
{
    if (!vhost_exists(ctl, ctl->vhost))
        return failure(EX_UNAVAILABLE, "Virtual host %s does not exist", ctl->vhost);
    if (!user_exists(ctl, user))
        return failure(EX_NOUSER, "User %s does not exist", user);
    return EX_OK;
}

/* Make the request, and find out who is missing if it is refused. */
static int change(struct ctl *ctl, const char *method, const char *path, json_t *body, const char *user)
{
    struct answer answer = http_call(ctl, method, path, body);
    int code = EX_OK;

    if (is_fine(&answer)) {
        answer_free(&answer);
        return done(ctl, EX_OK);
    }
    if (answer.status == 400 || answer.status == 404)
        code = check_both(ctl, user);
    if (code == EX_OK && answer.status == 404) { /* nothing there that could be cleared */
        answer_free(&answer);
        return done(ctl, EX_OK);
    }
    if (code == EX_OK)
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return code;
}

static int set_permissions(struct ctl *ctl)
{
    info(ctl, "Setting permissions for user \"%s\" in vhost \"%s\" ...", ctl->args[0], ctl->vhost);
    return change(
        ctl, "PUT", api_path(ctl, "/permissions/%s/%s", ctl->vhost, ctl->args[0]),
        json_pack("{s:s,s:s,s:s}", "configure", ctl->args[1], "write", ctl->args[2], "read", ctl->args[3]),
        ctl->args[0]);
}

/* In every vhost there is now. */
static int set_permissions_globally(struct ctl *ctl)
{
    json_t *vhosts, *vhost;
    size_t i;
    int code = EX_OK;

    info(ctl, "Setting permissions for user \"%s\" in all virtual hosts ...", ctl->args[0]);
    vhosts = http_get(ctl, "/vhosts?columns=name");
    json_array_foreach(vhosts, i, vhost)
    {
        ctl->vhost = json_string_value(json_object_get(vhost, "name"));
        code = code ? code
                    : change(ctl, "PUT", api_path(ctl, "/permissions/%s/%s", ctl->vhost, ctl->args[0]),
                             json_pack("{s:s,s:s,s:s}", "configure", ctl->args[1], "write", ctl->args[2],
                                       "read", ctl->args[3]),
                             ctl->args[0]);
    }
    json_decref(vhosts);
    return code;
}

static int clear_permissions(struct ctl *ctl)
{
    info(ctl, "Clearing permissions for user \"%s\" in vhost \"%s\" ...", ctl->args[0], ctl->vhost);
    return change(ctl, "DELETE", api_path(ctl, "/permissions/%s/%s", ctl->vhost, ctl->args[0]), NULL,
                  ctl->args[0]);
}

static int set_topic_permissions(struct ctl *ctl)
{
    info(ctl, "Setting topic permissions on \"%s\" for user \"%s\" in vhost \"%s\" ...", ctl->args[1],
         ctl->args[0], ctl->vhost);
    return change(
        ctl, "PUT", api_path(ctl, "/topic-permissions/%s/%s", ctl->vhost, ctl->args[0]),
        json_pack("{s:s,s:s,s:s}", "exchange", ctl->args[1], "write", ctl->args[2], "read", ctl->args[3]),
        ctl->args[0]);
}

static int clear_topic_permissions(struct ctl *ctl)
{
    const char *path = api_path(ctl, "/topic-permissions/%s/%s", ctl->vhost, ctl->args[0]);

    if (ctl->arg_count > 1) {
        info(ctl, "Clearing topic permissions on \"%s\" for user \"%s\" in vhost \"%s\" ...", ctl->args[1],
             ctl->args[0], ctl->vhost);
        path = text(ctl, "%s%s", path, api_path(ctl, "/%s", ctl->args[1]));
    } else {
        info(ctl, "Clearing topic permissions for user \"%s\" in vhost \"%s\" ...", ctl->args[0], ctl->vhost);
    }
    return change(ctl, "DELETE", path, NULL, ctl->args[0]);
}

#define ACCESS "Access Control"
#define LISTS  (TOOL_CTL | TOOL_DIAGNOSTICS)

const struct verb verbs_access[] = {
    {"clear_permissions",
     TOOL_CTL,
     ACCESS,
     1,
     1,
     "USER",
     "Take a user's permissions in a vhost",
     "clear_permissions -p orders alice",
     clear_permissions,
     {{0}}},
    {"clear_topic_permissions",
     TOOL_CTL,
     ACCESS,
     1,
     2,
     "USER [EXCHANGE]",
     "Take a user's topic permissions in a vhost",
     "clear_topic_permissions -p orders alice amq.topic",
     clear_topic_permissions,
     {{0}}},
    {"list_permissions",
     LISTS,
     ACCESS,
     0,
     0,
     "",
     "List who may do what in a vhost",
     "list_permissions -p orders",
     list_permissions,
     {{0}}},
    {"list_topic_permissions",
     LISTS,
     ACCESS,
     0,
     0,
     "",
     "List topic permissions in a vhost",
     "list_topic_permissions -p orders",
     list_topic_permissions,
     {{0}}},
    {"list_user_permissions",
     LISTS,
     ACCESS,
     1,
     1,
     "USER",
     "List what a user may do in each vhost",
     "list_user_permissions alice",
     list_user_permissions,
     {{0}}},
    {"list_user_topic_permissions",
     LISTS,
     ACCESS,
     1,
     1,
     "USER",
     "List a user's topic permissions",
     "list_user_topic_permissions alice",
     list_user_topic_permissions,
     {{0}}},
    {"set_permissions",
     TOOL_CTL,
     ACCESS,
     4,
     4,
     "USER CONFIGURE WRITE READ",
     "Say which names a user may configure, write to and read from in a vhost",
     "set_permissions -p orders alice '^alice-' '.*' '.*'",
     set_permissions,
     {{0}}},
    {"set_permissions_globally",
     TOOL_CTL,
     ACCESS,
     4,
     4,
     "USER CONFIGURE WRITE READ",
     "The same in every vhost there is",
     "set_permissions_globally alice '' '' '.*'",
     set_permissions_globally,
     {{0}}},
    {"set_topic_permissions",
     TOOL_CTL,
     ACCESS,
     4,
     4,
     "USER EXCHANGE WRITE READ",
     "Say which routing keys a user may publish with and bind with at a topic exchange",
     "set_topic_permissions -p orders alice amq.topic '^alice\\.' '.*'",
     set_topic_permissions,
     {{0}}},
    {0},
};
