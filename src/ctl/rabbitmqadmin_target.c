/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where rabbitmqadmin's options lead: command line, then the section of ~/.rabbitmqadmin.conf that -N names,
 * then defaults; the result is put down as coneyctl's own options. $CONEY_URL and $CONEY_SOCKET are the
 * defaults if set.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "coney/xalloc.h"
#include "rabbitmqadmin.h"
#include "verbs.h"

static void set_option(struct ctl *ctl, const char *name, const char *value)
{
    ctl->given = xrealloc(ctl->given, (size_t)(ctl->given_count + 1) * sizeof *ctl->given);
    ctl->given[ctl->given_count++] = (struct option_given){name, value};
}

static void set_missing(struct ctl *ctl, const char *name, const char *value)
{
    if (!has_option(ctl, name))
        set_option(ctl, name, value);
}

/* --- the configuration file ----------------------------------------------------------------------------- */

static char *trimmed(char *word)
{
    char *end;

    while (isspace((unsigned char)*word))
        word++;
    for (end = word + strlen(word); end > word && isspace((unsigned char)end[-1]);)
        *--end = '\0';
    return word;
}

/* The option that a key of the file stands for. */
static const char *option_of_key(struct ctl *ctl, const char *key)
{
    char *name = text(ctl, "%s", strcmp(key, "hostname") == 0 ? "host" : key);

    for (char *at = name; *at; at++)
        if (*at == '_')
            *at = '-';
    return name;
}

static void take_setting(struct ctl *ctl, char *line)
{
    char *equals = strpbrk(line, "=:");
    const char *name, *value;

    if (!equals)
        return;
    *equals = '\0';
    name = option_of_key(ctl, trimmed(line));
    value = text(ctl, "%s", trimmed(equals + 1));
    if (has_option(ctl, name) || strcmp(value, "False") == 0)
        return;
    set_option(ctl, name, strcmp(value, "True") == 0 ? "" : value);
}

/* Take what SECTION of FILE says; false if there is no such section. */
static bool read_section(struct ctl *ctl, FILE *file, const char *section)
{
    char *line = NULL;
    size_t room = 0;
    bool is_in_it = false, is_found = false;

    while (getline(&line, &room, file) > 0) {
        char *words = trimmed(line), *close;

        words[strcspn(words, "#;")] = '\0';
        close = strchr(words, ']');
        if (*words == '[' && close) {
            *close = '\0';
            is_in_it = strcmp(words + 1, section) == 0;
            is_found |= is_in_it;
        } else if (is_in_it) {
            take_setting(ctl, words);
        }
    }
    free(line);
    return is_found;
}

static void read_configuration(struct ctl *ctl)
{
    const char *path = option(ctl, "config"), *section = option(ctl, "node"), *home = getenv("HOME");
    bool is_named = path != NULL;
    FILE *file;

    if (!path && home)
        path = text(ctl, "%s/.rabbitmqadmin.conf", home);
    file = path ? fopen(path, "r") : NULL;
    if (!file && is_named)
        admin_usage(ctl, "Could not read config file '%s'", path);
    if (!file)
        return;
    if (!read_section(ctl, file, section ? section : "default") && section)
        admin_usage(ctl, "Could not read section '%s' in config file '%s'", section, path);
    fclose(file);
}

/* --- the target ----------------------------------------------------------------------------------------- */

static bool is_addressed(const struct ctl *ctl)
{
    static const char *const names[] = {"host", "port", "username", "password", "base-uri", "ssl", NULL};

    for (size_t i = 0; names[i]; i++)
        if (has_option(ctl, names[i]))
            return true;
    return false;
}

/* --base-uri decides about what it holds; its path is ignored. */
static void take_base_uri(struct ctl *ctl)
{
    const char *uri = option(ctl, "base-uri"), *start, *at;
    char *authority, *port, *password;

    start = uri ? strstr(uri, "://") : NULL;
    if (!start)
        return;
    if (strncmp(uri, "https", 5) == 0)
        set_option(ctl, "ssl", "");
    start += 3;
    authority = text(ctl, "%.*s", (int)strcspn(start, "/"), start);
    at = strrchr(authority, '@');
    if (at) {
        char *user = text(ctl, "%.*s", (int)(at - authority), authority);

        password = strchr(user, ':');
        if (password) {
            *password = '\0';
            set_option(ctl, "password", password + 1);
        }
        set_option(ctl, "username", user);
        authority = text(ctl, "%s", at + 1);
    }
    port = strrchr(authority, ':');
    if (port && !strchr(port, ']')) {
        *port = '\0';
        set_option(ctl, "port", port + 1);
    }
    set_option(ctl, "host", authority);
}

void admin_choose_target(struct ctl *ctl)
{
    const char *vhost, *host, *prefix;

    read_configuration(ctl);
    take_base_uri(ctl);
    vhost = option(ctl, "vhost");
    ctl->is_vhost_given = vhost != NULL;
    vhost = vhost ? vhost : option(ctl, "declare-vhost");
    ctl->vhost = vhost ? vhost : "/";
    if (has_option(ctl, "socket"))
        return;
    if (!is_addressed(ctl) && (getenv("CONEY_URL") || getenv("CONEY_SOCKET")))
        return;
    set_missing(ctl, "host", "localhost");
    set_missing(ctl, "port", "15672");
    set_missing(ctl, "username", "guest");
    set_missing(ctl, "password", "guest");
    if (option(ctl, "ssl-ca-cert-file"))
        set_option(ctl, "cacert", option(ctl, "ssl-ca-cert-file"));
    if (option(ctl, "ssl-cert-file"))
        set_option(ctl, "cert", option(ctl, "ssl-cert-file"));
    if (option(ctl, "ssl-key-file"))
        set_option(ctl, "key", option(ctl, "ssl-key-file"));
    if (has_option(ctl, "ssl-insecure"))
        set_option(ctl, "insecure", "");
    if (has_option(ctl, "ssl-disable-hostname-verification"))
        set_option(ctl, "any-host", "");
    host = option(ctl, "host");
    prefix = option(ctl, "path-prefix");
    set_option(ctl, "url",
               text(ctl, strchr(host, ':') && *host != '[' ? "%s://[%s]:%s%s" : "%s://%s:%s%s",
                    has_option(ctl, "ssl") ? "https" : "http", host, option(ctl, "port"),
                    prefix ? prefix : ""));
}
