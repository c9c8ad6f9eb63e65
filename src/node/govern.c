/* SPDX-License-Identifier: Apache-2.0 */
/* govern.h, by the vhosts' functions and the keys of definitions_keep.h. */
#include "coney/govern.h"

#include <stdio.h>

#include "coney/survey.h"
#include "definitions_keep.h"

#define REMOVED_TEXT_SIZE 320

void govern_keep_user(const struct definitions_target *target, struct bytes name)
{
    struct user_info info;

    if (!users_get(target->users, name, &info)) {
        keep_gone(target, "users", (struct bytes){0}, name);
        return;
    }
    user_info_free(&info);
    keep_user(target, name);
}

struct removal {
    const struct definitions_target *target;
    struct vhost *vhost;
    struct bytes user;
};

static void topic_is_gone(void *context, struct bytes exchange)
{
    const struct removal *removal = context;

    keep_gone_of_two(removal->target, "topic_permissions", vhost_name(removal->vhost), removal->user,
                     exchange);
}

/* Entries that name a user go before the user's own, so that none is ever without. */
void govern_remove_user(const struct definitions_target *target, struct vhost *vhost, struct bytes name)
{
    struct removal removal = {target, vhost, name};
    char text[REMOVED_TEXT_SIZE];

    snprintf(text, sizeof text, "user '%.*s' is deleted", BYTES_ARG(name));
    vhost_each_topic_permission(vhost, name, topic_is_gone, &removal);
    if (vhost_has_permission(vhost, name))
        keep_gone(target, "permissions", vhost_name(vhost), name);
    vhost_remove_user(vhost, name, text);
}

void govern_set_permission(const struct definitions_target *target, struct vhost *vhost, struct bytes user,
                           struct bytes configure, struct bytes write, struct bytes read)
{
    vhost_set_permission(vhost, user, configure, write, read);
    keep_permission(target, vhost_name(vhost), user, configure, write, read);
}

void govern_clear_permission(const struct definitions_target *target, struct vhost *vhost, struct bytes user)
{
    vhost_clear_permission(vhost, user);
    keep_gone(target, "permissions", vhost_name(vhost), user);
}

void govern_set_topic_permission(const struct definitions_target *target, struct vhost *vhost,
                                 struct bytes user, struct bytes exchange, struct bytes write,
                                 struct bytes read)
{
    vhost_set_topic_permission(vhost, user, exchange, write, read);
    keep_topic_permission(target, vhost_name(vhost), user, exchange, write, read);
}

void govern_clear_topic_permission(const struct definitions_target *target, struct vhost *vhost,
                                   struct bytes user, struct bytes exchange)
{
    vhost_clear_topic_permission(vhost, user, exchange);
    keep_gone_of_two(target, "topic_permissions", vhost_name(vhost), user, exchange);
}

void govern_set_vhost_limits(const struct definitions_target *target, struct vhost *vhost,
                             int64_t connections_max, int64_t queues_max)
{
    json_t *limits = json_object();

    vhost_set_limits(vhost, connections_max, queues_max);
    if (connections_max >= 0)
        json_object_set_new(limits, "max-connections", json_integer(connections_max));
    if (queues_max >= 0)
        json_object_set_new(limits, "max-queues", json_integer(queues_max));
    keep_vhost_limits(target, vhost_name(vhost), limits);
    json_decref(limits);
}

/* ---- a vhost goes ---- */

struct going {
    const struct definitions_target *target;
    struct bytes vhost;
};

static void permission_goes(void *context, const struct survey_permission *permission)
{
    const struct going *going = context;

    keep_gone(going->target, "permissions", going->vhost, permission->user);
}

static void topic_permission_goes(void *context, const struct survey_topic_permission *permission)
{
    const struct going *going = context;

    keep_gone_of_two(going->target, "topic_permissions", going->vhost, permission->user,
                     permission->exchange);
}

static void policy_goes(void *context, const struct policy *policy)
{
    const struct going *going = context;
    struct bytes name = bytes_from_string(policy->name);

    if (policy->origin == POLICY_USER)
        keep_gone(going->target, "policies", going->vhost, name);
    else
        keep_gone_of_two(going->target, "parameters", going->vhost, BYTES_LITERAL("operator_policy"), name);
}

void govern_clear_vhost(const struct definitions_target *target, struct vhost *vhost)
{
    struct going going = {target, vhost_name(vhost)};

    survey_permissions(vhost, permission_goes, &going);
    survey_topic_permissions(vhost, topic_permission_goes, &going);
    survey_policies(vhost, POLICY_USER, policy_goes, &going);
    survey_policies(vhost, POLICY_OPERATOR, policy_goes, &going);
    keep_gone_of_two(target, "parameters", going.vhost, BYTES_LITERAL("vhost-limits"),
                     BYTES_LITERAL("limits"));
}
