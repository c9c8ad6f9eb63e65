/* SPDX-License-Identifier: Apache-2.0 */
/* Policies, operator policies, runtime parameters. Their values are JSON, shown as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"
#include "verbs.h"

/* What distinguishes policies from operator policies. */
struct policy_kind {
    const char *path;
    const char *set, *clear, *listing; /* as messages name them */
};

static const struct policy_kind policies = {"/policies", "policy", "policy", "policies"};
static const struct policy_kind operator_policies = {"/operator-policies", "operator policy override",
                                                     "operator policy", "operator policy overrides"};

static int list_kind(struct ctl *ctl, const struct policy_kind *kind)
{
    static const struct column columns[] = {
        {.name = "vhost"},
        {.name = "name"},
        {.name = "pattern"},
        {.name = "apply-to"},
        {.name = "definition", .kind = TERM_JSON},
        {.name = "priority"},
    };
    json_t *rows;

    info(ctl, "Listing %s for vhost \"%s\" ...", kind->listing, ctl->vhost);
    rows = vhost_rows_or_none(ctl, text(ctl, "%s%s", kind->path, api_path(ctl, "/%s", ctl->vhost)));
    rows_print_short(ctl, rows, columns, 6);
    json_decref(rows);
    return EX_OK;
}

/* The path of an object of the vhost. */
static const char *object_path(struct ctl *ctl, const char *under, const char *name)
{
    return text(ctl, "%s%s", under, api_path(ctl, "/%s/%s", ctl->vhost, name));
}

/* PUT into a vhost, which must be there. */
static int put_into_vhost(struct ctl *ctl, const char *path, json_t *body)
{
    struct answer answer = http_call(ctl, "PUT", path, body);

    if (answer.status == 404) {
        answer_free(&answer);
        return missing_vhost(ctl->vhost);
    }
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return done(ctl, EX_OK);
}

static int clear_object(struct ctl *ctl, const char *path)
{
    struct answer answer = http_call(ctl, "DELETE", path, NULL);
    bool is_missing = answer.status == 404;

    if (!is_fine(&answer) && !is_missing)
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return is_missing ? failure(EX_UNAVAILABLE, "Parameter does not exist") : done(ctl, EX_OK);
}

static int set_kind(struct ctl *ctl, const struct policy_kind *kind)
{
    const char *apply_to = option(ctl, "apply-to");
    long priority = option_number(ctl, "priority", 0);
    json_t *definition;

    info(ctl, "Setting %s \"%s\" for pattern \"%s\" to \"%s\" with priority \"%ld\" for vhost \"%s\" ...",
         kind->set, ctl->args[0], ctl->args[1], ctl->args[2], priority, ctl->vhost);
    definition = json_argument(ctl->args[2]);
    if (!definition)
        return EX_UNAVAILABLE;
    return put_into_vhost(ctl, object_path(ctl, kind->path, ctl->args[0]),
                          json_pack("{s:s,s:o,s:I,s:s}", "pattern", ctl->args[1], "definition", definition,
                                    "priority", (json_int_t)priority, "apply-to",
                                    apply_to ? apply_to : "all"));
}

static int clear_kind(struct ctl *ctl, const struct policy_kind *kind)
{
    info(ctl, "Clearing %s \"%s\" on vhost \"%s\" ...", kind->clear, ctl->args[0], ctl->vhost);
    return clear_object(ctl, object_path(ctl, kind->path, ctl->args[0]));
}

static int list_policies(struct ctl *ctl)
{
    return list_kind(ctl, &policies);
}

static int set_policy(struct ctl *ctl)
{
    return set_kind(ctl, &policies);
}

static int clear_policy(struct ctl *ctl)
{
    return clear_kind(ctl, &policies);
}

static int list_operator_policies(struct ctl *ctl)
{
    return list_kind(ctl, &operator_policies);
}

static int set_operator_policy(struct ctl *ctl)
{
    return set_kind(ctl, &operator_policies);
}

static int clear_operator_policy(struct ctl *ctl)
{
    return clear_kind(ctl, &operator_policies);
}

/* --- parameters ----------------------------------------------------------------------------------------- */

static int list_parameters(struct ctl *ctl)
{
    static const struct column columns[] = {
        {.name = "component"}, {.name = "name"}, {.name = "value", .kind = TERM_JSON}};
    json_t *rows;

    info(ctl, "Listing runtime parameters for vhost \"%s\" ...", ctl->vhost);
    rows = http_get(ctl, "/parameters");
    for (size_t i = json_array_size(rows); i-- > 0;) {
        json_t *row = json_array_get(rows, i);
        const char *component = json_string_value(json_object_get(row, "component"));
        const char *vhost = json_string_value(json_object_get(row, "vhost"));
        static const char *const others[] = {"policy", "operator_policy", "vhost-limits", NULL};

        /* What has verbs of its own is not shown here. */
        if (!component || !vhost || strcmp(vhost, ctl->vhost) != 0 || is_one_of(component, others))
            json_array_remove(rows, i);
    }
    if (json_array_size(rows) == 0 && !vhost_exists(ctl, ctl->vhost)) {
        json_decref(rows);
        return missing_vhost(ctl->vhost);
    }
    rows_print_short(ctl, rows, columns, 3);
    json_decref(rows);
    return EX_OK;
}

static const char *parameter_path(struct ctl *ctl)
{
    return api_path(ctl, "/parameters/%s/%s/%s", ctl->args[0], ctl->vhost, ctl->args[1]);
}

static int set_parameter(struct ctl *ctl)
{
    json_t *value;

    info(ctl, "Setting runtime parameter \"%s\" for component \"%s\" to \"%s\" in vhost \"%s\" ...",
         ctl->args[1], ctl->args[0], ctl->args[2], ctl->vhost);
    value = json_argument(ctl->args[2]);
    if (!value)
        return EX_UNAVAILABLE;
    return put_into_vhost(ctl, parameter_path(ctl),
                          json_pack("{s:s,s:s,s:s,s:o}", "component", ctl->args[0], "vhost", ctl->vhost,
                                    "name", ctl->args[1], "value", value));
}

static int clear_parameter(struct ctl *ctl)
{
    info(ctl, "Clearing runtime parameter \"%s\" for component \"%s\" on vhost \"%s\" ...", ctl->args[1],
         ctl->args[0], ctl->vhost);
    return clear_object(ctl, parameter_path(ctl));
}

static int list_global_parameters(struct ctl *ctl)
{
    static const struct column columns[] = {{.name = "name"}, {.name = "value", .kind = TERM_JSON}};
    json_t *rows;

    info(ctl, "Listing global runtime parameters ...");
    rows = http_get(ctl, "/global-parameters");
    rows_print_short(ctl, rows, columns, 2);
    json_decref(rows);
    return EX_OK;
}

static int set_global_parameter(struct ctl *ctl)
{
    json_t *value;

    info(ctl, "Setting global runtime parameter \"%s\" to \"%s\" ...", ctl->args[0], ctl->args[1]);
    value = json_argument(ctl->args[1]);
    if (!value)
        return EX_UNAVAILABLE;
    return done(ctl, http_do(ctl, "PUT", api_path(ctl, "/global-parameters/%s", ctl->args[0]),
                             json_pack("{s:s,s:o}", "name", ctl->args[0], "value", value)));
}

static int clear_global_parameter(struct ctl *ctl)
{
    info(ctl, "Clearing global runtime parameter \"%s\" ...", ctl->args[0]);
    return clear_object(ctl, api_path(ctl, "/global-parameters/%s", ctl->args[0]));
}

#define POLICIES   "Policies"
#define PARAMETERS "Parameters"
#define LISTS      (TOOL_CTL | TOOL_DIAGNOSTICS)

const struct verb verbs_policies[] = {
    {"clear_operator_policy",
     TOOL_CTL,
     POLICIES,
     1,
     1,
     "NAME",
     "Take an operator policy away",
     "clear_operator_policy -p orders bounded",
     clear_operator_policy,
     {{0}}},
    {"clear_policy",
     TOOL_CTL,
     POLICIES,
     1,
     1,
     "NAME",
     "Take a policy away",
     "clear_policy -p orders dead-letters",
     clear_policy,
     {{0}}},
    {"list_operator_policies",
     LISTS,
     POLICIES,
     0,
     0,
     "",
     "List a vhost's operator policies",
     "list_operator_policies -p orders",
     list_operator_policies,
     {{0}}},
    {"list_policies",
     LISTS,
     POLICIES,
     0,
     0,
     "",
     "List a vhost's policies",
     "list_policies -p orders",
     list_policies,
     {{0}}},
    {"set_operator_policy",
     TOOL_CTL,
     POLICIES,
     3,
     3,
     "NAME PATTERN DEFINITION",
     "Bound what policies and arguments may ask for, for the queues whose names match",
     "set_operator_policy bounded '.*' '{\"max-length\":100000}'",
     set_operator_policy,
     {{"priority", 0, OPTION_NUMBER}, {"apply-to", 0, OPTION_TEXT}}},
    {"set_policy",
     TOOL_CTL,
     POLICIES,
     3,
     3,
     "NAME PATTERN DEFINITION",
     "Give queues and exchanges whose names match arguments, now and when they are declared",
     "set_policy --apply-to queues dead-letters '^orders' '{\"dead-letter-exchange\":\"dead\"}'",
     set_policy,
     {{"priority", 0, OPTION_NUMBER}, {"apply-to", 0, OPTION_TEXT}}},
    {"clear_global_parameter",
     TOOL_CTL,
     PARAMETERS,
     1,
     1,
     "NAME",
     "Clear a parameter of the node",
     "clear_global_parameter purpose",
     clear_global_parameter,
     {{0}}},
    {"clear_parameter",
     TOOL_CTL,
     PARAMETERS,
     2,
     2,
     "COMPONENT NAME",
     "Clear a parameter of a vhost",
     "clear_parameter shovel drain-old",
     clear_parameter,
     {{0}}},
    {"list_global_parameters",
     LISTS,
     PARAMETERS,
     0,
     0,
     "",
     "List parameters of the node",
     "list_global_parameters",
     list_global_parameters,
     {{0}}},
    {"list_parameters",
     LISTS,
     PARAMETERS,
     0,
     0,
     "",
     "List parameters of a vhost",
     "list_parameters -p orders",
     list_parameters,
     {{0}}},
    {"set_global_parameter",
     TOOL_CTL,
     PARAMETERS,
     2,
     2,
     "NAME JSON",
     "Set a parameter of the node",
     "set_global_parameter purpose '\"testing\"'",
     set_global_parameter,
     {{0}}},
    {"set_parameter",
     TOOL_CTL,
     PARAMETERS,
     3,
     3,
     "COMPONENT NAME JSON",
     "Set a parameter of a vhost",
     "set_parameter shovel drain-old "
     "'{\"src-uri\":\"amqp://old\",\"src-queue\":\"q\",\"dest-uri\":\"amqp://\","
     "\"dest-queue\":\"q\"}'",
     set_parameter,
     {{0}}},
    {0},
};
