/* SPDX-License-Identifier: Apache-2.0 */
/* Permissions and topic permissions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"
#include "verbs.h"

/* What distinguishes permissions from topic permissions. */
struct rights {
    const char *name;  /* as headings have it */
    const char *path;  /* below a vhost, a user, or both */
    const char *scope; /* the column and field before write and read */
    void (*print)(struct ctl *ctl, const json_t *rows, const struct column *columns, size_t count);
};

static const struct rights permissions = {"permissions", "/permissions", "configure", rows_print_all};
static const struct rights topic_permissions = {"topic permissions", "/topic-permissions", "exchange",
                                                rows_print_short};

/* WHOSE: what is listed of each row beside the rights. */
static int print_rights(struct ctl *ctl, const struct rights *rights, json_t *rows, const char *whose)
{
    const struct column columns[] = {
        {.name = whose}, {.name = rights->scope}, {.name = "write"}, {.name = "read"}};

    rights->print(ctl, rows, columns, 4);
    json_decref(rows);
    return EX_OK;
}

static int list_in_vhost(struct ctl *ctl, const struct rights *rights)
{
    info(ctl, "Listing %s for vhost \"%s\" ...", rights->name, ctl->vhost);
    return print_rights(
        ctl, rights,
        vhost_rows(ctl, text(ctl, "%s%s", api_path(ctl, "/vhosts/%s", ctl->vhost), rights->path)), "user");
}

static int list_of_user(struct ctl *ctl, const struct rights *rights)
{
    json_t *rows;

    info(ctl, "Listing %s for user \"%s\" ...", rights->name, ctl->args[0]);
    rows = http_find(ctl, text(ctl, "%s%s", api_path(ctl, "/users/%s", ctl->args[0]), rights->path));
    if (!rows)
        return failure(EX_UNAVAILABLE, "User \"%s\" does not exist", ctl->args[0]);
    return print_rights(ctl, rights, rows, "vhost");
}

static int list_permissions(struct ctl *ctl)
{
    return list_in_vhost(ctl, &permissions);
}

static int list_user_permissions(struct ctl *ctl)
{
    return list_of_user(ctl, &permissions);
}

static int list_topic_permissions(struct ctl *ctl)
{
    return list_in_vhost(ctl, &topic_permissions);
}

/* rabbitmqctl prints this one table without a header. */
static int list_user_topic_permissions(struct ctl *ctl)
{
    ctl->has_no_headers |= ctl->format == FORMAT_TABLE;
    return list_of_user(ctl, &topic_permissions);
}

/* Report what is missing for a change of the user's rights in the vhost; EX_OK if nothing is. */
static int check_both(struct ctl *ctl)
{
    if (!vhost_exists(ctl, ctl->vhost))
        return failure(EX_UNAVAILABLE, "Virtual host %s does not exist", ctl->vhost);
    if (!user_exists(ctl, ctl->args[0]))
        return failure(EX_NOUSER, "User %s does not exist", ctl->args[0]);
    return EX_OK;
}

/* Make the request, and find out who is missing if it is refused. */
static int change(struct ctl *ctl, const char *method, const char *path, json_t *body)
{
    struct answer answer = http_call(ctl, method, path, body);
    int code = answer.status == 400 || answer.status == 404 ? check_both(ctl) : EX_OK;
    bool is_done = is_fine(&answer) || answer.status == 404; /* 404: nothing there that could be cleared */

    if (code == EX_OK && !is_done)
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return code;
}

/* The user's in the vhost. */
static const char *rights_path(struct ctl *ctl, const struct rights *rights)
{
    return text(ctl, "%s%s", rights->path, api_path(ctl, "/%s/%s", ctl->vhost, ctl->args[0]));
}

/* As the arguments behind the user say. */
static int set_rights(struct ctl *ctl, const struct rights *rights)
{
    return change(
        ctl, "PUT", rights_path(ctl, rights),
        json_pack("{s:s,s:s,s:s}", rights->scope, ctl->args[1], "write", ctl->args[2], "read", ctl->args[3]));
}

static int set_permissions(struct ctl *ctl)
{
    info(ctl, "Setting permissions for user \"%s\" in vhost \"%s\" ...", ctl->args[0], ctl->vhost);
    return done(ctl, set_rights(ctl, &permissions));
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
        ctl->vhost = text(ctl, "%s", json_string_value(json_object_get(vhost, "name")));
        code = code ? code : set_rights(ctl, &permissions);
    }
    json_decref(vhosts);
    return done(ctl, code);
}

static int clear_permissions(struct ctl *ctl)
{
    info(ctl, "Clearing permissions for user \"%s\" in vhost \"%s\" ...", ctl->args[0], ctl->vhost);
    return done(ctl, change(ctl, "DELETE", rights_path(ctl, &permissions), NULL));
}

static int set_topic_permissions(struct ctl *ctl)
{
    info(ctl, "Setting topic permissions on \"%s\" for user \"%s\" in vhost \"%s\" ...", ctl->args[1],
         ctl->args[0], ctl->vhost);
    return done(ctl, set_rights(ctl, &topic_permissions));
}

static int clear_topic_permissions(struct ctl *ctl)
{
    const char *path = rights_path(ctl, &topic_permissions);

    if (ctl->arg_count > 1) {
        info(ctl, "Clearing topic permissions on \"%s\" for user \"%s\" in vhost \"%s\" ...", ctl->args[1],
             ctl->args[0], ctl->vhost);
        path = text(ctl, "%s%s", path, api_path(ctl, "/%s", ctl->args[1]));
    } else {
        info(ctl, "Clearing topic permissions for user \"%s\" in vhost \"%s\" ...", ctl->args[0], ctl->vhost);
    }
    return done(ctl, change(ctl, "DELETE", path, NULL));
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
