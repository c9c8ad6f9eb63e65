/* SPDX-License-Identifier: Apache-2.0 */
/* Vhosts. The API's PUT changes only what it is given, so a vhost's other properties stay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verbs.h"

static const char *vhost_path(struct ctl *ctl, const char *vhost)
{
    return api_path(ctl, "/vhosts/%s", vhost);
}

/* The options that describe a vhost, as the API's body. */
static json_t *described(struct ctl *ctl)
{
    static const struct {
        const char *option, *field;
    } fields[] = {
        {"description", "description"},
        {"tags", "tags"},
        {"default-queue-type", "default_queue_type"},
    };
    json_t *body = json_object();

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (has_option(ctl, fields[i].option))
            json_object_set_new(body, fields[i].field, json_string(option(ctl, fields[i].option)));
    return body;
}

static int bad_queue_type(struct ctl *ctl)
{
    static const char *const types[] = {"classic", "quorum", "stream", "undefined", NULL};
    const char *type = option(ctl, "default-queue-type");

    if (!type || is_one_of(type, types))
        return EX_OK;
    return failure(EX_UNAVAILABLE, "Unsupported default queue type '%s': use classic, quorum or stream",
                   type);
}

static int add_vhost(struct ctl *ctl)
{
    int code;

    info(ctl, "Adding vhost \"%s\" ...", ctl->args[0]);
    code = bad_queue_type(ctl);
    return code ? code : done(ctl, http_do(ctl, "PUT", vhost_path(ctl, ctl->args[0]), described(ctl)));
}

static int delete_vhost(struct ctl *ctl)
{
    struct answer answer;

    info(ctl, "Deleting vhost \"%s\" ...", ctl->args[0]);
    answer = http_call(ctl, "DELETE", vhost_path(ctl, ctl->args[0]), NULL);
    if (answer.status == 404) {
        answer_free(&answer);
        return missing_vhost(ctl->args[0]);
    }
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return done(ctl, EX_OK);
}

static int update_vhost_metadata(struct ctl *ctl)
{
    int code;

    info(ctl, "Updating metadata of vhost \"%s\" ...", ctl->args[0]);
    code = bad_queue_type(ctl);
    if (code != EX_OK)
        return code;
    if (!vhost_exists(ctl, ctl->args[0]))
        return missing_vhost(ctl->args[0]);
    return done(ctl, http_do(ctl, "PUT", vhost_path(ctl, ctl->args[0]), described(ctl)));
}

static int set_vhost_tags(struct ctl *ctl)
{
    const char *shown = "", *joined = "";

    for (int i = 1; i < ctl->arg_count; i++) {
        shown = text(ctl, "%s%s%s", shown, i > 1 ? ", " : "", ctl->args[i]);
        joined = text(ctl, "%s%s%s", joined, i > 1 ? "," : "", ctl->args[i]);
    }
    info(ctl, "Setting tags for virtual host \"%s\" to [%s] ...", ctl->args[0], shown);
    if (!vhost_exists(ctl, ctl->args[0]))
        return failure(EX_DATAERR, "Virtual host \"%s\" does not exist", ctl->args[0]);
    return done(ctl, http_do(ctl, "PUT", vhost_path(ctl, ctl->args[0]), json_pack("{s:s}", "tags", joined)));
}

/* Is the vhost running on every node? */
static bool is_running(const json_t *vhost)
{
    json_t *states = json_object_get(vhost, "cluster_state"), *state;
    const char *node;

    json_object_foreach(states, node, state)
    {
        if (!json_is_string(state) || strcmp(json_string_value(state), "running") != 0)
            return false;
    }
    return true;
}

static int restart_vhost(struct ctl *ctl)
{
    const char *node = node_name(ctl);
    json_t *vhost;
    bool was_running;
    int code;

    info(ctl, "Trying to restart vhost '%s' on node '%s' ...", ctl->vhost, node);
    vhost = http_find(ctl, vhost_path(ctl, ctl->vhost));
    if (!vhost)
        return failure(EX_SOFTWARE, "Failed to start vhost '%s' on node '%s'Reason: it does not exist",
                       ctl->vhost, node);
    was_running = is_running(vhost);
    json_decref(vhost);
    if (was_running) {
        result(ctl, "Vhost '%s' is already running on node '%s'", ctl->vhost, node);
        return EX_OK;
    }
    code = http_do(ctl, "POST", api_path(ctl, "/vhosts/%s/start/%s", ctl->vhost, node), NULL);
    if (code == EX_OK)
        result(ctl, "Successfully restarted vhost '%s' on node '%s'", ctl->vhost, node);
    return code;
}

/* --- tracing -------------------------------------------------------------------------------------------- */

/* coney has a request of its own; RabbitMQ's API knows tracing as a property of the vhost. */
static int set_tracing(struct ctl *ctl, bool is_on)
{
    struct answer answer =
        http_call(ctl, is_on ? "PUT" : "DELETE", api_path(ctl, "/coney/trace/%s", ctl->vhost), NULL);
    bool is_missing = answer.status == 404 || answer.status == 405;
    int code = EX_OK;

    if (!is_fine(&answer) && !is_missing)
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    if (is_missing && !vhost_exists(ctl, ctl->vhost))
        return missing_vhost(ctl->vhost);
    if (is_missing)
        code = http_do(ctl, "PUT", vhost_path(ctl, ctl->vhost), json_pack("{s:b}", "tracing", is_on));
    if (code == EX_OK)
        result(ctl, "Trace %s for vhost %s", is_on ? "enabled" : "disabled", ctl->vhost);
    return code;
}

static int trace_on(struct ctl *ctl)
{
    info(ctl, "Starting tracing for vhost \"%s\" ...", ctl->vhost);
    return set_tracing(ctl, true);
}

static int trace_off(struct ctl *ctl)
{
    info(ctl, "Stopping tracing for vhost \"%s\" ...", ctl->vhost);
    return set_tracing(ctl, false);
}

#define VHOSTS "Virtual hosts"
#define DESCRIPTION                                                \
    {                                                              \
        {"description", 0, OPTION_TEXT}, {"tags", 0, OPTION_TEXT}, \
        {                                                          \
            "default-queue-type", 0, OPTION_TEXT                   \
        }                                                          \
    }

const struct verb verbs_vhosts[] = {
    {"add_vhost", TOOL_CTL, VHOSTS, 1, 1, "VHOST", "Make a vhost, in which nobody has permissions at first",
     "add_vhost orders --description 'web shop' --tags production", add_vhost, DESCRIPTION},
    {"delete_vhost",
     TOOL_CTL,
     VHOSTS,
     1,
     1,
     "VHOST",
     "Delete a vhost and everything in it",
     "delete_vhost orders",
     delete_vhost,
     {{0}}},
    {"restart_vhost",
     TOOL_CTL,
     VHOSTS,
     0,
     0,
     "",
     "Start a vhost that is down",
     "restart_vhost -p orders",
     restart_vhost,
     {{0}}},
    {"set_vhost_tags",
     TOOL_CTL,
     VHOSTS,
     1,
     -1,
     "VHOST [TAG...]",
     "Give a vhost tags",
     "set_vhost_tags orders testing",
     set_vhost_tags,
     {{0}}},
    {"trace_off",
     TOOL_CTL,
     VHOSTS,
     0,
     0,
     "",
     "End what trace_on began",
     "trace_off -p orders",
     trace_off,
     {{0}}},
    {"trace_on",
     TOOL_CTL,
     VHOSTS,
     0,
     0,
     "",
     "Send a copy of each message published or delivered in a vhost to amq.rabbitmq.trace",
     "trace_on -p orders",
     trace_on,
     {{0}}},
    {"update_vhost_metadata", TOOL_CTL, VHOSTS, 1, 1, "VHOST", "Change a vhost's description and tags",
     "update_vhost_metadata orders --description 'web shop, old'", update_vhost_metadata, DESCRIPTION},
    {0},
};
