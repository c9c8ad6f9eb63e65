/* SPDX-License-Identifier: Apache-2.0 */
/* govern.h, by the vhosts' functions and the keys of definitions_keep.h. */
#include "coney/govern.h"

#include <stdio.h>
#include <stdlib.h>

#include "coney/parameters.h"
#include "coney/survey.h"
#include "definitions_keep.h"
#include "policy_json.h"

#define REMOVED_TEXT_SIZE 320

void govern_keep_user(const struct definitions_target *target, struct bytes name)
{
    if (users_has(target->users, name))
        keep_user(target, name);
    else
        keep_gone(target, "users", (struct bytes){0}, name);
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

/* The first who has rights and is no user. */
struct stranger {
    const struct definitions_target *target;
    uint8_t octets[SHORTSTR_MAX];
    size_t size;
};

static void look_for_stranger(struct stranger *stranger, struct bytes user)
{
    struct user_info info;

    if (stranger->size > 0 || user.size > sizeof stranger->octets)
        return;
    if (users_get(stranger->target->users, user, &info)) {
        user_info_free(&info);
        return;
    }
    put_bytes(stranger->octets, user);
    stranger->size = user.size;
}

static void look_at_permission(void *context, const struct survey_permission *permission)
{
    look_for_stranger(context, permission->user);
}

static void look_at_topic(void *context, const struct survey_topic_permission *permission)
{
    look_for_stranger(context, permission->user);
}

void govern_forget_strangers(const struct definitions_target *target, struct vhost *vhost)
{
    struct stranger stranger;

    do {
        stranger = (struct stranger){.target = target};
        survey_permissions(vhost, look_at_permission, &stranger);
        survey_topic_permissions(vhost, look_at_topic, &stranger);
        if (stranger.size > 0)
            govern_remove_user(target, vhost, (struct bytes){stranger.octets, stranger.size});
    } while (stranger.size > 0);
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
    json_t *limits;

    vhost_set_limits(vhost, connections_max, queues_max);
    if (connections_max < 0 && queues_max < 0) {
        keep_gone_of_two(target, "parameters", vhost_name(vhost), BYTES_LITERAL("vhost-limits"),
                         BYTES_LITERAL("limits"));
        return;
    }
    limits = json_object();
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

/* ---- policies ---- */

bool govern_set_policy(const struct definitions_target *target, struct vhost *vhost,
                       enum policy_origin origin, struct bytes name, const json_t *value,
                       char why[POLICY_WHY_SIZE])
{
    if (!policy_put_json(vhost, origin, name, value, why))
        return false;
    keep_policy(target, vhost_name(vhost), origin == POLICY_OPERATOR, name, value);
    return true;
}

bool govern_clear_policy(const struct definitions_target *target, struct vhost *vhost,
                         enum policy_origin origin, struct bytes name)
{
    if (!vhost_clear_policy(vhost, origin, name))
        return false;
    if (origin == POLICY_OPERATOR)
        keep_gone_of_two(target, "parameters", vhost_name(vhost), BYTES_LITERAL("operator_policy"), name);
    else
        keep_gone(target, "policies", vhost_name(vhost), name);
    return true;
}

/* ---- parameters ---- */

void govern_set_parameter(const struct definitions_target *target, struct bytes component, struct bytes vhost,
                          struct bytes name, const json_t *value)
{
    parameters_set_json(target->parameters, component, vhost, name, value);
    keep_parameter(target, component, vhost, name, value);
    if (component.size > 0)
        parameters_tell(target->parameters, component, vhost, name);
}

bool govern_clear_parameter(const struct definitions_target *target, struct bytes component,
                            struct bytes vhost, struct bytes name)
{
    if (!parameters_remove(target->parameters, component, vhost, name))
        return false;
    if (component.size == 0) {
        keep_gone(target, "global_parameters", (struct bytes){0}, name);
        return true;
    }
    keep_gone_of_two(target, "parameters", vhost, component, name);
    parameters_tell(target->parameters, component, vhost, name);
    return true;
}

void govern_clear_parameters(const struct definitions_target *target, struct bytes vhost)
{
    struct parameter *list;
    size_t count;

    list = parameters_list(target->parameters, false, &count);
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(list[i].vhost, vhost))
            govern_clear_parameter(target, list[i].component, vhost, list[i].name);
    }
    parameters_list_free(list, count);
}
