/* SPDX-License-Identifier: Apache-2.0 */
/* parameters.h. */
#include "parameters_json.h"

#include "coney/changes.h"
#include "coney/node_access.h"
#include "coney/parameters.h"
#include "json.h"
#include "limits_json.h"
#include "policies.h"

static bool is_meant(struct bytes component, const char *name)
{
    return !component.data || bytes_equal_string(component, name);
}

static void add_limits(json_t *out, struct server *server, struct bytes vhost)
{
    json_t *limits = vhost_limits_json(server, vhost);

    if (json_object_size(limits))
        json_array_append_new(out, json_pack("{s:O,s:o,s:s,s:s}", "value", limits, "vhost", json_text(vhost),
                                             "component", "vhost-limits", "name", "limits"));
    json_decref(limits);
}

static void add_policies(json_t *out, struct server *server, struct bytes vhost, enum policy_origin origin)
{
    json_t *list = policies_json(server, vhost, origin, (struct bytes){NULL, 0}), *row;
    size_t i;

    json_array_foreach(list, i, row)
    {
        json_array_append_new(out, policy_parameter(json_incref(row), origin));
    }
    json_decref(list);
}

static json_t *value_json(const struct parameter *parameter)
{
    json_t *value = json_loadb((const char *)parameter->value.data, parameter->value.size,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    return value ? value : json_null();
}

static void add_values(json_t *out, struct server *server, struct bytes vhost, struct bytes component)
{
    size_t count;
    struct parameter *list = parameters_list(node_parameters(server), false, &count);

    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(list[i].vhost, vhost) &&
            (!component.data || bytes_equal(list[i].component, component)))
            json_array_append_new(out, json_pack("{s:o,s:o,s:o,s:o}", "value", value_json(&list[i]), "vhost",
                                                 json_text(vhost), "component", json_text(list[i].component),
                                                 "name", json_text(list[i].name)));
    }
    parameters_list_free(list, count);
}

json_t *parameters_json(struct server *server, struct bytes vhost, struct bytes component)
{
    json_t *out = json_array();

    if (is_meant(component, "vhost-limits"))
        add_limits(out, server, vhost);
    if (is_meant(component, "operator_policy"))
        add_policies(out, server, vhost, POLICY_OPERATOR);
    if (component.data && bytes_equal_string(component, "policy"))
        add_policies(out, server, vhost, POLICY_USER);
    add_values(out, server, vhost, component);
    return out;
}

json_t *global_parameters_json(struct server *server, bool implied)
{
    json_t *out = json_array();
    size_t count;
    struct parameter *list = parameters_list(node_parameters(server), true, &count);

    for (size_t i = 0; i < count; i++) {
        json_array_append_new(
            out, json_pack("{s:o,s:o}", "name", json_text(list[i].name), "value", value_json(&list[i])));
        implied = implied && !bytes_equal_string(list[i].name, "cluster_name");
    }
    if (implied)
        json_array_append_new(
            out, json_pack("{s:s,s:s}", "name", "cluster_name", "value", node_cluster_name(server)));
    parameters_list_free(list, count);
    return out;
}
