/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line taken apart: options anywhere, in rabbitmqctl's spelling, `--name value`, `--name=value`,
 * `-p V`,
 * `-pV`. Whether an option takes a value is known from the tables: those that all verbs take, and those of
 * the verb, which is therefore looked for first.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/buffer.h"
#include "coney/xalloc.h"
#include "ctl.h"
#include "ctl_help.h"

static const struct verb_option common[] = {
    {"node", 'n', OPTION_TEXT},        {"longnames", 'l', OPTION_FLAG},
    {"timeout", 't', OPTION_SECONDS},  {"quiet", 'q', OPTION_FLAG},
    {"silent", 's', OPTION_FLAG},      {"vhost", 'p', OPTION_TEXT},
    {"formatter", 0, OPTION_TEXT},     {"no-table-headers", 0, OPTION_FLAG},
    {"table-headers", 0, OPTION_FLAG}, {"help", '?', OPTION_FLAG},
    {"erlang-cookie", 0, OPTION_TEXT}, {"script-name", 0, OPTION_TEXT},
    {"dry-run", 0, OPTION_FLAG},       {"socket", 0, OPTION_TEXT},
    {"url", 0, OPTION_TEXT},           {"cacert", 0, OPTION_TEXT},
    {"cert", 0, OPTION_TEXT},          {"key", 0, OPTION_TEXT},
    {"insecure", 0, OPTION_FLAG},      {NULL, 0, OPTION_FLAG},
};

/* rabbitmqadmin's, under that name only: its letters mean other things. */
static const struct verb_option admin[] = {
    {"config", 'c', OPTION_TEXT},
    {"node", 'N', OPTION_TEXT},
    {"host", 'H', OPTION_TEXT},
    {"port", 'P', OPTION_TEXT},
    {"path-prefix", 0, OPTION_TEXT},
    {"vhost", 'V', OPTION_TEXT},
    {"username", 'u', OPTION_TEXT},
    {"password", 'p', OPTION_TEXT},
    {"base-uri", 'U', OPTION_TEXT},
    {"quiet", 'q', OPTION_FLAG},
    {"ssl", 's', OPTION_FLAG},
    {"ssl-key-file", 0, OPTION_TEXT},
    {"ssl-cert-file", 0, OPTION_TEXT},
    {"ssl-ca-cert-file", 0, OPTION_TEXT},
    {"ssl-disable-hostname-verification", 0, OPTION_FLAG},
    {"ssl-insecure", 'k', OPTION_FLAG},
    {"request-timeout", 't', OPTION_SECONDS},
    {"format", 'f', OPTION_TEXT},
    {"sort", 'S', OPTION_TEXT},
    {"sort-reverse", 'R', OPTION_FLAG},
    {"depth", 'd', OPTION_TEXT},
    {"bash-completion", 0, OPTION_FLAG},
    {"version", 0, OPTION_FLAG},
    {"help", 'h', OPTION_FLAG},
    {"socket", 0, OPTION_TEXT},
    {NULL, 0, OPTION_FLAG},
};

void options_print(const struct verb *verb)
{
    for (size_t i = 0; i < VERB_OPTIONS_MAX && verb->options[i].name; i++)
        printf("--%s\n", verb->options[i].name);
    for (size_t i = 0; common[i].name; i++)
        printf("--%s\n", common[i].name);
}

static const struct verb_option *in_table(const struct verb_option *table, size_t most, const char *name,
                                          size_t size, char letter)
{
    for (size_t i = 0; i < most && table[i].name; i++) {
        if (letter && table[i].letter == letter)
            return &table[i];
        if (!letter && strlen(table[i].name) == size && strncmp(table[i].name, name, size) == 0)
            return &table[i];
    }
    return NULL;
}

/* The option that NAME (or LETTER) is; the verb's own come first. */
static const struct verb_option *known_option(const struct ctl *ctl, const char *name, size_t size,
                                              char letter)
{
    const struct verb_option *found = NULL;

    if (ctl->tool == TOOL_ADMIN)
        return in_table(admin, sizeof admin / sizeof *admin, name, size, letter);
    if (ctl->verb)
        found = in_table(ctl->verb->options, VERB_OPTIONS_MAX, name, size, letter);
    return found ? found : in_table(common, sizeof common / sizeof *common, name, size, letter);
}

/* One command-line word that is an option, cut in its parts. */
struct word {
    const char *name;
    size_t size;
    char letter;
    const char *value; /* of --name=value or -pV, else NULL */
};

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9');
}

static struct word cut(const char *word)
{
    struct word parts = {0};
    const char *equals;

    if (word[1] != '-') {
        parts.letter = word[1];
        parts.name = word + 1;
        parts.size = 1;
        parts.value = !word[2] ? NULL : word[2] == '=' ? word + 3 : word + 2;
        return parts;
    }
    parts.name = word + 2;
    equals = strchr(parts.name, '=');
    parts.size = equals ? (size_t)(equals - parts.name) : strlen(parts.name);
    parts.value = equals ? equals + 1 : NULL;
    return parts;
}

/* A NAME with its dashes is reported as invalid. */
static void add_option(struct ctl *ctl, const char *name, const char *value)
{
    ctl->given[ctl->given_count++] = (struct option_given){name, value};
}

/* Take the option at ARGV[AT]; returns the index of the last word that belongs to it. */
static int take_option(struct ctl *ctl, int at)
{
    struct word word = cut(ctl->argv[at]);
    const struct verb_option *known = known_option(ctl, word.name, word.size, word.letter);

    if (!known) {
        add_option(ctl, text(ctl, "%s%.*s", word.letter ? "-" : "--", (int)word.size, word.name),
                   word.value ? word.value : "");
        return at;
    }
    if (known->kind == OPTION_FLAG) {
        add_option(ctl, word.value ? text(ctl, "--%s", known->name) : known->name,
                   word.value ? word.value : "");
        return at;
    }
    if (!word.value && at + 1 < ctl->argc)
        word.value = ctl->argv[++at];
    if (!word.value)
        add_option(ctl, text(ctl, "--%s", known->name), "");
    else
        add_option(ctl, known->name, word.value);
    return at;
}

/* The verb is the first word that is no option and no option's value. */
static void find_verb(struct ctl *ctl)
{
    for (int i = 1; i < ctl->argc; i++) {
        const struct verb_option *known;
        struct word word;

        if (!is_option(ctl->argv[i])) {
            ctl->verb = verb_find(ctl, ctl->argv[i]);
            return;
        }
        word = cut(ctl->argv[i]);
        known = known_option(ctl, word.name, word.size, word.letter);
        if (known && known->kind != OPTION_FLAG && !word.value)
            i++;
    }
}

static enum format format_named(const char *name, enum format otherwise)
{
    static const char *const names[] = {"table", "json", "csv", "pretty_table", "erlang"};

    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum format)i;
    return otherwise;
}

static void apply_common(struct ctl *ctl)
{
    const char *vhost = option(ctl, "vhost"), *timeout = option(ctl, "timeout");

    if (ctl->tool == TOOL_ADMIN)
        timeout = option(ctl, "request-timeout");
    else
        ctl->node = option(ctl, "node");
    ctl->vhost = vhost ? vhost : "/";
    ctl->is_vhost_given = vhost != NULL;
    ctl->is_quiet = has_option(ctl, "quiet");
    ctl->is_silent = has_option(ctl, "silent");
    ctl->has_no_headers = ctl->is_silent || has_option(ctl, "no-table-headers");
    ctl->timeout_s = timeout ? strtod(timeout, NULL) : 0;
    ctl->format = format_named(option(ctl, "formatter"), FORMAT_TABLE);
}

void options_parse(struct ctl *ctl, int argc, char **argv)
{
    ctl->argc = argc;
    ctl->argv = argv;
    ctl->args = xcalloc((size_t)argc + 1, sizeof *ctl->args);
    ctl->given = xcalloc((size_t)argc + 1, sizeof *ctl->given);
    find_verb(ctl);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                ctl->args[ctl->arg_count++] = argv[i];
        } else if (is_option(argv[i])) {
            i = take_option(ctl, i);
        } else if (!ctl->verb_name) {
            ctl->verb_name = argv[i];
        } else {
            ctl->args[ctl->arg_count++] = argv[i];
        }
    }
    apply_common(ctl);
}

/* What cannot be a number where one is wanted. */
static bool is_bad_number(const struct ctl *ctl, const struct option_given *given)
{
    const struct verb_option *known = known_option(ctl, given->name, strlen(given->name), 0);
    char *end;

    if (!known || (known->kind != OPTION_NUMBER && known->kind != OPTION_SECONDS))
        return false;
    errno = 0;
    if (known->kind == OPTION_NUMBER)
        strtol(given->value, &end, 10);
    else
        strtod(given->value, &end);
    return end == given->value || *end || errno != 0;
}

void options_check(struct ctl *ctl)
{
    const char *formatter = option(ctl, "formatter");
    struct buffer bad = {0};
    int code;

    for (int i = 0; i < ctl->given_count; i++) {
        const struct option_given *given = &ctl->given[i];

        if (given->name[0] == '-' || is_bad_number(ctl, given)) {
            const char *line =
                text(ctl, "\n%s%s : %s", given->name[0] == '-' ? "" : "--", given->name, given->value);

            buffer_append(&bad, line, strlen(line));
        }
    }
    if (bad.size > 0) {
        code = bad_arguments(ctl, EX_USAGE, "Invalid options for this command:%.*s", (int)bad.size, bad.data);
        buffer_free(&bad);
        exit(code);
    }
    if (formatter && format_named(formatter, FORMAT_TABLE) == FORMAT_TABLE && strcmp(formatter, "table") != 0)
        exit(bad_arguments(
            ctl, EX_USAGE,
            "formatter '%s' is not supported. Use one of: table, json, csv, pretty_table, erlang",
            formatter));
}

const char *option(const struct ctl *ctl, const char *name)
{
    for (int i = ctl->given_count - 1; i >= 0; i--)
        if (strcmp(ctl->given[i].name, name) == 0)
            return ctl->given[i].value;
    return NULL;
}

bool has_option(const struct ctl *ctl, const char *name)
{
    return option(ctl, name) != NULL;
}

long option_number(const struct ctl *ctl, const char *name, long otherwise)
{
    const char *value = option(ctl, name);

    return value ? strtol(value, NULL, 10) : otherwise;
}
