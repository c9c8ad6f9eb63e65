/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq-plugins: nothing is plugged in here. What RabbitMQ has as a plugin and coney has built in is
 * listed as enabled and cannot be switched off; anything else is refused when it is enabled, since a script
 * that goes on would rely on what is not there.
 */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verbs.h"

static const char *const built_in[] = {
    "rabbitmq_auth_mechanism_ssl",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_event_exchange",
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_prometheus",
    "rabbitmq_random_exchange",
    "rabbitmq_shovel",
    "rabbitmq_shovel_management",
    "rabbitmq_web_dispatch",
    NULL,
};

static const char *all_built_in(struct ctl *ctl)
{
    const char *all = "";

    for (size_t i = 0; built_in[i]; i++)
        all = text(ctl, "%s%s%s", all, i ? ", " : "", built_in[i]);
    return all;
}

/* Arguments, "a b" or "a,b", as a list of names ended by NULL. */
static const char **names_given(struct ctl *ctl)
{
    const char *all = "";
    const char **names;
    size_t count = 0;
    char *rest, *name, *copy;

    for (int i = 0; i < ctl->arg_count; i++)
        all = text(ctl, "%s%s ", all, ctl->args[i]);
    copy = text(ctl, "%s", all);
    names = arena_alloc(&ctl->memory, (strlen(all) + 1) * sizeof *names);
    for (name = strtok_r(copy, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
        names[count++] = name;
    names[count] = NULL;
    return names;
}

/* Those of NAMES that are not built in: "a, b". */
static const char *missing_of(struct ctl *ctl, const char *const *names)
{
    const char *missing = "";

    for (; *names; names++)
        if (!is_one_of(*names, built_in))
            missing = text(ctl, "%s%s%s", missing, *missing ? ", " : "", *names);
    return missing;
}

static size_t widest(void)
{
    size_t width = 0;

    for (size_t i = 0; built_in[i]; i++)
        width = strlen(built_in[i]) > width ? strlen(built_in[i]) : width;
    return width;
}

static void list_as_json(const regex_t *pattern)
{
    json_t *list = json_array(), *all;

    for (size_t i = 0; built_in[i]; i++)
        if (regexec(pattern, built_in[i], 0, NULL, 0) == 0)
            json_array_append_new(list, json_pack("{s:s,s:s,s:b,s:s,s:s}", "name", built_in[i], "enabled",
                                                  "enabled", "running", 1, "running_version", PACKAGE_VERSION,
                                                  "version", PACKAGE_VERSION));
    all = json_pack("{s:s,s:o,s:s}", "format", "normal", "plugins", list, "status", "running");
    print_json_line(all);
    json_decref(all);
}

static int list(struct ctl *ctl)
{
    const char *shown = ctl->arg_count > 0 ? ctl->args[0] : ".*";
    bool is_minimal = has_option(ctl, "minimal");
    regex_t pattern;

    if (regcomp(&pattern, shown, REG_EXTENDED | REG_NOSUB) != 0)
        return bad_arguments(ctl, EX_DATAERR, "Bad argument: '%s' is no regular expression", shown);
    if (ctl->format == FORMAT_JSON) {
        list_as_json(&pattern);
        regfree(&pattern);
        return EX_OK;
    }
    info(ctl, "Listing plugins with pattern \"%s\" ...", shown);
    if (!is_minimal) {
        info(ctl, " Configured: E = explicitly enabled; e = implicitly enabled");
        info(ctl, " | Status: * = running on %s", node_name(ctl));
        info(ctl, " |/");
    }
    for (size_t i = 0; built_in[i]; i++) {
        if (regexec(&pattern, built_in[i], 0, NULL, 0) != 0)
            continue;
        if (is_minimal)
            puts(built_in[i]);
        else
            printf("[E*] %-*s %s\n", (int)widest(), built_in[i], PACKAGE_VERSION);
    }
    regfree(&pattern);
    return EX_OK;
}

static int is_enabled(struct ctl *ctl)
{
    const char **names = names_given(ctl), *missing = missing_of(ctl, names), *all = "";
    bool is_one = !names[0] || !names[1];

    for (const char **name = names; *name; name++)
        all = text(ctl, "%s%s%s", all, *all ? ", " : "", *name);
    info(ctl, "Asking node %s if plugin%s %s %s enabled...", node_name(ctl), is_one ? "" : "s", all,
         is_one ? "is" : "are");
    if (*missing)
        return failure(EX_UNAVAILABLE,
                       "Plugin%s %s %s not enabled on node %s. Enabled plugins and dependencies: %s",
                       strchr(missing, ',') ? "s" : "", missing, strchr(missing, ',') ? "are" : "is",
                       node_name(ctl), all_built_in(ctl));
    result(ctl, "Plugin%s %s %s enabled on node %s", is_one ? "" : "s", all, is_one ? "is" : "are",
           node_name(ctl));
    return EX_OK;
}

static int refuse_missing(struct ctl *ctl, const char *missing)
{
    return failure(
        EX_SOFTWARE,
        "plugins_not_found: %s\nWhat coney has is built in: %s. doc/COMPATIBILITY.md tells what it has not",
        missing, all_built_in(ctl));
}

static int enable(struct ctl *ctl)
{
    const char **names = names_given(ctl), *missing = missing_of(ctl, names);

    if (has_option(ctl, "all"))
        missing = "";
    info(ctl, "Enabling plugins on node %s:", node_name(ctl));
    for (const char **name = names; *name; name++)
        info(ctl, "%s", *name);
    if (*missing)
        return refuse_missing(ctl, missing);
    info(ctl, "The following plugins have been configured:");
    for (size_t i = 0; built_in[i]; i++)
        info(ctl, "  %s", built_in[i]);
    info(ctl, "Applying plugin configuration to %s...", node_name(ctl));
    info(ctl, "Plugin configuration unchanged.");
    return EX_OK;
}

static int disable(struct ctl *ctl)
{
    const char **names = names_given(ctl);

    info(ctl, "Disabling plugins on node %s:", node_name(ctl));
    for (const char **name = names; *name; name++)
        info(ctl, "%s", *name);
    for (const char **name = names; *name; name++)
        if (is_one_of(*name, built_in))
            return failure(EX_UNAVAILABLE,
                           "%s is built in and cannot be disabled; listeners are switched off in coney.conf",
                           *name);
    info(ctl, "Plugin configuration unchanged.");
    return EX_OK;
}

static int directories(struct ctl *ctl)
{
    info(ctl, "Listing plugin directories used by node %s", node_name(ctl));
    puts("Plugin archives directory: none: what coney has is built in");
    return EX_OK;
}

#define PLUGINS "Plugin Management"

/* Under rabbitmq-plugins' own name "list" is this one; coneyctl's is rabbitmqadmin's. */
const struct verb verbs_plugins[] = {
    {"directories",
     TOOL_PLUGINS,
     PLUGINS,
     0,
     0,
     "",
     "Say where plugins are: nowhere",
     "directories",
     directories,
     {{"online", 0, OPTION_FLAG}, {"offline", 0, OPTION_FLAG}}},
    {"disable",
     TOOL_PLUGINS,
     PLUGINS,
     0,
     -1,
     "PLUGIN...",
     "For scripts: what is built in stays",
     "disable rabbitmq_mqtt",
     disable,
     {{"online", 0, OPTION_FLAG}, {"offline", 0, OPTION_FLAG}, {"all", 0, OPTION_FLAG}}},
    {"enable",
     TOOL_PLUGINS,
     PLUGINS,
     0,
     -1,
     "PLUGIN...",
     "For scripts: what is built in is on, the rest is refused",
     "enable rabbitmq_management",
     enable,
     {{"online", 0, OPTION_FLAG}, {"offline", 0, OPTION_FLAG}, {"all", 0, OPTION_FLAG}}},
    {"is_enabled",
     TOOL_PLUGINS,
     PLUGINS,
     1,
     -1,
     "PLUGIN...",
     "Fail if one of these is not built in",
     "is_enabled rabbitmq_management",
     is_enabled,
     {{"online", 0, OPTION_FLAG}, {"offline", 0, OPTION_FLAG}}},
    {"list",
     TOOL_PLUGINS,
     PLUGINS,
     0,
     1,
     "[PATTERN]",
     "List what is built in",
     "list management",
     list,
     {{"enabled", 'E', OPTION_FLAG},
      {"implicitly-enabled", 'e', OPTION_FLAG},
      {"minimal", 'm', OPTION_FLAG},
      {"verbose", 'v', OPTION_FLAG}}},
    {"set",
     TOOL_PLUGINS,
     PLUGINS,
     0,
     -1,
     "[PLUGIN...]",
     "As enable",
     "set rabbitmq_management",
     enable,
     {{"online", 0, OPTION_FLAG}, {"offline", 0, OPTION_FLAG}}},
    {0},
};
