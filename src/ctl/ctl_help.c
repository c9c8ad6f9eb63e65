/* SPDX-License-Identifier: Apache-2.0 */
/* Help, from the tables of verbs; and the verbs that are about the program itself. */
#include "ctl_help.h"

#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "verbs.h"

/* --- usage ---------------------------------------------------------------------------------------------- */

static void print_usage_line(struct ctl *ctl, FILE *to)
{
    const struct verb *verb = ctl->verb;

    if (!verb) {
        fprintf(to,
                "usage: %s [--socket PATH | --url URL] [--node NODE] [--timeout S] [--quiet] VERB [...]\n",
                ctl->program);
        return;
    }
    fprintf(to, "usage: %s %s%s%s", ctl->program, verb->name, *verb->arguments ? " " : "", verb->arguments);
    for (size_t i = 0; i < VERB_OPTIONS_MAX && verb->options[i].name; i++)
        fprintf(to, " [--%s%s]", verb->options[i].name, verb->options[i].kind == OPTION_FLAG ? "" : " X");
    fputc('\n', to);
}

void help_usage(struct ctl *ctl, FILE *to)
{
    print_usage_line(ctl, to);
    if (ctl->verb)
        fprintf(to, "`%s help %s` says more\n", ctl->program, ctl->verb->name);
    else
        fprintf(to, "`%s help` lists the verbs, `%s help VERB` says more about one\n", ctl->program,
                ctl->program);
}

void help_verb(struct ctl *ctl, FILE *to)
{
    print_usage_line(ctl, to);
    fprintf(
        to,
        "\n%s.\n\nExample:\n  %s %s\n\nOptions of all verbs:\n"
        "  -p, --vhost V        the vhost, by default /\n"
        "      --formatter F    table, json, csv, pretty_table or erlang\n"
        "  -q, --quiet          no informational lines\n"
        "  -s, --silent         neither those nor header rows; --no-table-headers: just no headers\n"
        "  -t, --timeout S      give up after so many seconds\n"
        "  -n, --node NODE      the node's name, for messages\n"
        "      --socket PATH    the broker's control socket: else $CONEY_SOCKET, else /run/coney/control\n"
        "      --url URL        instead, http://USER:PASSWORD@HOST:PORT or https://...: else $CONEY_URL;\n"
        "                       without a user ~/.netrc is asked\n"
        "      --cacert FILE, --cert FILE, --key FILE, --insecure\n"
        "                       for https: who is trusted, who we are, or no check at all\n",
        ctl->verb->summary, ctl->program, ctl->verb->example);
}

/* All verbs of GROUP, from all tables, under its heading. */
static void print_group(struct ctl *ctl, FILE *to, const char *group)
{
    bool is_headed = false;

    for (size_t i = 0; verb_groups[i]; i++) {
        for (const struct verb *verb = verb_groups[i]; verb->name; verb++) {
            if (strcmp(verb->group, group) != 0 || !verb_is_visible(ctl, verb))
                continue;
            if (!is_headed)
                fprintf(to, "\n%s:\n\n", group);
            is_headed = true;
            fprintf(to, "   %-38s %s\n", verb->name, verb->summary);
        }
    }
}

static const char *const groups[] = {
    "Help",
    "Queues",
    "Monitoring, observability and health checks",
    "Messages",
    "Declare, list, publish (rabbitmqadmin's verbs)",
    "Users",
    "Access Control",
    "Policies",
    "Parameters",
    "Virtual hosts",
    "Operations",
    "Nodes",
    "Definitions",
    "Configuration and Environment",
    "Cluster",
    "Feature flags",
    "Upgrade",
    "Plugin Management",
    "Refused",
    NULL,
};

void help_all(struct ctl *ctl, FILE *to)
{
    const struct verb *kept = ctl->verb;

    ctl->verb = NULL;
    print_usage_line(ctl, to);
    ctl->verb = kept;
    for (size_t i = 0; groups[i]; i++)
        print_group(ctl, to, groups[i]);
    fprintf(to, "\n`%s help VERB` says more about one of them.\n", ctl->program);
}

/* --- what was meant ------------------------------------------------------------------------------------- */

/* How many letters differ (Levenshtein); names are short. */
static size_t distance(const char *one, const char *other)
{
    size_t length = strlen(other), row[64];

    if (length >= sizeof row / sizeof *row || strlen(one) >= sizeof row / sizeof *row)
        return sizeof row;
    for (size_t i = 0; i <= length; i++)
        row[i] = i;
    for (size_t i = 0; one[i]; i++) {
        size_t corner = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            size_t replaced = corner + (one[i] != other[j]), added = row[j] + 1, removed = row[j + 1] + 1;

            corner = row[j + 1];
            row[j + 1] = replaced < added ? replaced : added;
            if (removed < row[j + 1])
                row[j + 1] = removed;
        }
    }
    return row[length];
}

const struct verb *help_nearest(const struct ctl *ctl, const char *name)
{
    const struct verb *nearest = NULL;
    size_t least = strlen(name) / 3 + 1;

    for (size_t i = 0; verb_groups[i]; i++) {
        for (const struct verb *verb = verb_groups[i]; verb->name; verb++) {
            size_t far = distance(name, verb->name);

            if (verb_is_visible(ctl, verb) && far < least) {
                least = far;
                nearest = verb;
            }
        }
    }
    return nearest;
}

/* --- verbs ---------------------------------------------------------------------------------------------- */

static int run_help(struct ctl *ctl)
{
    if (ctl->arg_count == 0) {
        help_all(ctl, stdout);
        return EX_OK;
    }
    ctl->verb = verb_find(ctl, ctl->args[0]);
    if (!ctl->verb) {
        fprintf(stderr, "\nCommand '%s' not found. \n\n", ctl->args[0]);
        return EX_USAGE;
    }
    help_verb(ctl, stdout);
    return EX_OK;
}

/* The verbs that begin with a word, or the options of a verb: `autocomplete list_queues --`. */
static int run_autocomplete(struct ctl *ctl)
{
    const char *prefix = ctl->arg_count > 0 ? ctl->args[0] : "";
    const struct verb *whole = ctl->arg_count > 1 ? verb_find(ctl, prefix) : NULL;

    if (ctl->arg_count > 1) {
        if (whole)
            options_print(whole);
        return EX_OK;
    }

    for (size_t i = 0; verb_groups[i]; i++)
        for (const struct verb *verb = verb_groups[i]; verb->name; verb++)
            if (verb_is_visible(ctl, verb) && strncmp(verb->name, prefix, strlen(prefix)) == 0)
                puts(verb->name);
    return EX_OK;
}

static int run_version(struct ctl *ctl)
{
    const char *version = ctl->tool == TOOL_CONEYCTL ? PACKAGE_VERSION : COMPATIBLE_VERSION;

    if (ctl->format == FORMAT_JSON)
        printf("{\"version\":\"%s\"}\n", version);
    else
        puts(version);
    return EX_OK;
}

#define EVERY_TOOL (TOOL_CTL | TOOL_DIAGNOSTICS | TOOL_PLUGINS | TOOL_QUEUES | TOOL_UPGRADE)

const struct verb verbs_help[] = {
    {"help",
     EVERY_TOOL,
     "Help",
     0,
     1,
     "[VERB]",
     "List the verbs, or say more about one",
     "help list_queues",
     run_help,
     {{0}}},
    {"autocomplete",
     EVERY_TOOL,
     "Help",
     0,
     -1,
     "[PREFIX]",
     "Name the verbs that begin with PREFIX",
     "autocomplete list_",
     run_autocomplete,
     {{0}}},
    {"version", EVERY_TOOL, "Help", 0, 0, "", "Say this program's version", "version", run_version, {{0}}},
    {0},
};
