/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coneyctl, the admin CLI: finds the verb and runs it. Under the name of one of RabbitMQ's tools it has that
 * tool's verbs, and rabbitmqadmin's options.
 */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/bytes.h"
#include "ctl.h"
#include "ctl_help.h"
#include "ctl_http.h"
#include "rabbitmqadmin.h"
#include "verbs.h"

const struct verb *const verb_groups[] = {
    verbs_help,        verbs_list,   verbs_users,   verbs_access,      verbs_policies, verbs_limits,
    verbs_vhosts,      verbs_queues, verbs_live,    verbs_admin,       verbs_status,   verbs_node,
    verbs_definitions, verbs_checks, verbs_plugins, verbs_connections, verbs_refused,  NULL,
};

static enum tool tool_named(const char *program)
{
    static const struct {
        const char *name;
        enum tool tool;
    } tools[] = {
        {"rabbitmqctl", TOOL_CTL},          {"rabbitmq-diagnostics", TOOL_DIAGNOSTICS},
        {"rabbitmq-plugins", TOOL_PLUGINS}, {"rabbitmq-queues", TOOL_QUEUES},
        {"rabbitmq-upgrade", TOOL_UPGRADE}, {"rabbitmqadmin", TOOL_ADMIN},
    };

    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        if (strcmp(program, tools[i].name) == 0)
            return tools[i].tool;
    return TOOL_CONEYCTL;
}

bool verb_is_visible(const struct ctl *ctl, const struct verb *verb)
{
    /* Of plugins' verbs ("list", "set") coneyctl has none: there is nothing to plug in. */
    return ctl->tool == TOOL_CONEYCTL ? verb->tools != TOOL_PLUGINS : (verb->tools & ctl->tool) != 0;
}

const struct verb *verb_find(const struct ctl *ctl, const char *name)
{
    for (size_t i = 0; verb_groups[i]; i++)
        for (const struct verb *verb = verb_groups[i]; verb->name; verb++)
            if (verb_is_visible(ctl, verb) && strcmp(verb->name, name) == 0)
                return verb;
    return NULL;
}

/* The word that should have been a verb. */
static int unknown_verb(struct ctl *ctl)
{
    const char *name = ctl->verb_name;
    const struct verb *near = name ? help_nearest(ctl, name) : NULL;

    if (name) {
        fputs("\nCommand '", stderr);
        fputs(name, stderr);
        fputs("' not found. \n", stderr);
    }
    if (near)
        fprintf(stderr, "Did you mean '%s'? \n", near->name);
    fputc('\n', stderr);
    help_usage(ctl, stderr);
    return EX_USAGE;
}

static int run_verb(struct ctl *ctl)
{
    options_check(ctl);
    if (ctl->arg_count < ctl->verb->min_args)
        return bad_arguments(ctl, EX_USAGE, "not enough arguments.");
    if (ctl->verb->max_args >= 0 && ctl->arg_count > ctl->verb->max_args)
        return bad_arguments(ctl, EX_USAGE, "too many arguments.");
    if (has_option(ctl, "dry-run"))
        return EX_OK;
    return ctl->verb->run(ctl);
}

static int run(struct ctl *ctl)
{
    if (ctl->tool == TOOL_ADMIN)
        return admin_main(ctl);
    if (has_option(ctl, "help") && ctl->verb) {
        help_verb(ctl, stdout);
        return EX_OK;
    }
    if (has_option(ctl, "help") || has_option(ctl, "-h")) {
        help_all(ctl, stdout);
        return EX_OK;
    }
    if (!ctl->verb && has_option(ctl, "--version")) {
        printf("%s %s\n", ctl->program, PACKAGE_VERSION);
        return EX_OK;
    }
    return ctl->verb ? run_verb(ctl) : unknown_verb(ctl);
}

int main(int argc, char **argv)
{
    struct ctl ctl = {0};
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    int code;

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_DFL);
    ctl.program = slash ? slash + 1 : argc > 0 ? argv[0] : "coneyctl";
    ctl.tool = tool_named(ctl.program);
    for (int i = 1; i < argc; i++) /* what JSON cannot hold would be left out of requests */
        if (!utf8_is_valid(bytes_from_string(argv[i])))
            die(EX_DATAERR, "argument %d is not UTF-8: %s", i, argv[i]);
    options_parse(&ctl, argc, argv);
    code = run(&ctl);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EX_OK)
        code = failure(EX_IOERR, "not all of it could be written to standard output");
    http_free(ctl.http);
    free(ctl.args);
    free(ctl.given);
    arena_clear(&ctl.memory);
    return code;
}
