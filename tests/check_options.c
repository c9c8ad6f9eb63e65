/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_options.c: etc/coney.conf and doc/coney.conf.5, written from the keys that coneyd knows.
 *
 * check-options sample and check-options man print them; both are checked in. Without an argument, in make
 * check, they are compared with what would be printed, so each key is in the code, the sample and the manual
 * page, with its true default. The sample's settings, uncommented, must load: so the examples given for keys
 * without a default are good too. top_srcdir says where the files are.
 */
#include "coney/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTINGS_MAX 512
#define WIDTH        110

static int failures;

static void complain(void *context, const char *text)
{
    (void)context;
    printf("%s\n", text);
    failures++;
}

/* ---- what both have ---- */

static const char *default_of(const char *name)
{
    struct config_key key;

    for (size_t i = 0; config_key_at(i, &key); i++) {
        if (strcmp(key.name, name) == 0)
            return key.default_value[0] != '\0' ? key.default_value : strrchr(key.example, '=') + 2;
    }
    complain(NULL, "an alias of no key");
    return "";
}

/* Call LINE for each setting that stands for KEY. */
static void each_setting(const struct config_key *key, FILE *out,
                         void (*line)(FILE *out, const char *setting))
{
    char *copy, *rest, *setting;

    if (key->example == NULL) {
        char one[512];

        snprintf(one, sizeof one, "%s = %s", key->name,
                 key->alias_of != NULL ? default_of(key->alias_of) : key->default_value);
        line(out, one);
        return;
    }
    copy = strdup(key->example);
    for (setting = strtok_r(copy, "\n", &rest); setting != NULL; setting = strtok_r(NULL, "\n", &rest))
        line(out, setting);
    free(copy);
}

/* ---- the sample ---- */

static const char sample_head[] =
    "# coney.conf: every key that coneyd knows, with its default or an example. The format, the names and "
    "the\n"
    "# units are those of rabbitmq.conf where the meaning is the same: \"key = value\" lines, # begins a "
    "comment,\n"
    "# the later of two lines wins, and a key that does not exist is an error. What matches conf.d/*.conf "
    "beside\n"
    "# this file is read after it. Check with coneyd --config FILE --check-config; override single keys "
    "with\n"
    "# --set key=value or the environment, CONEY_HEARTBEAT=30 say. coney.conf(5) says which keys a reload\n"
    "# (SIGHUP) changes.\n"
    "#\n"
    "# Sizes take units (64MiB, 2GB), times too (10s, 2h); times without one are in milliseconds, where "
    "nothing\n"
    "# else is said.\n"
    "#\n"
    "# Written by tests/check-options from the table of keys.\n";

static void print_wrapped(FILE *out, const char *text)
{
    size_t column = 1;

    fputc('#', out);
    while (*text != '\0') {
        size_t size = strcspn(text, " ");

        if (column + 1 + size > WIDTH) {
            fputs("\n#", out);
            column = 1;
        }
        fprintf(out, " %.*s", (int)size, text);
        column += 1 + size;
        text += size + strspn(text + size, " ");
    }
    fputc('\n', out);
}

static void print_commented(FILE *out, const char *setting)
{
    fprintf(out, "# %s\n", setting);
}

static void print_sample(FILE *out)
{
    struct config_key key;

    fputs(sample_head, out);
    for (size_t i = 0; config_key_at(i, &key); i++) {
        if (key.section != NULL) {
            fprintf(out, "\n# ---- %s ", key.section);
            for (size_t n = strlen(key.section); n < 72; n++)
                fputc('-', out);
            fputc('\n', out);
        }
        fputc('\n', out);
        print_wrapped(out, key.doc);
        each_setting(&key, out, print_commented);
    }
}

/* ---- the manual page ---- */

static const char man_head[] =
    ".\\\" SPDX-License-Identifier: Apache-2.0\n"
    ".\\\" Written by tests/check-options from the table of keys.\n"
    ".TH CONEY.CONF 5 \"\" coney \"File formats\"\n"
    ".SH NAME\n"
    "coney.conf \\- configuration of coneyd, the AMQP 0\\-9\\-1 broker\n"
    ".SH DESCRIPTION\n"
    "The file is text in UTF\\-8. Each line is empty, a comment that begins with #, or\n"
    ".PP\n"
    ".RS\n"
    "key = value\n"
    ".RE\n"
    ".PP\n"
    "A value with a # or with blanks at its ends stands in single quotes. The later of two lines with the "
    "same key\n"
    "wins. A key that does not exist, and a value that a key cannot have, is an error: all are reported with "
    "file\n"
    "and line, and\n"
    ".BR coneyd (8)\n"
    "does not start. Format, names and units are those of RabbitMQ's rabbitmq.conf where the meaning is the "
    "same;\n"
    "its keys that mean nothing here are listed below.\n"
    ".PP\n"
    "A * in a key stands for a name of your choice, a number often.\n"
    ".TP\n"
    ".B Sizes\n"
    "are in bytes, or have a unit: kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB, and k, M, G, T "
    "alone,\n"
    "are powers of 1024.\n"
    ".TP\n"
    ".B Times\n"
    "are in milliseconds where nothing else is said, or have a unit: ms, s, m, h, d.\n"
    ".TP\n"
    ".B Limits\n"
    "can be infinity.\n"
    ".SS Sources\n"
    "Later ones win:\n"
    ".IP 1. 4\n"
    "the defaults,\n"
    ".IP 2.\n"
    "the file of \\-\\-config,\n"
    ".IP 3.\n"
    "the files conf.d/*.conf in that file's folder, in the order of their names,\n"
    ".IP 4.\n"
    "the environment: CONEY_ and the key, dots being underscores: CONEY_HEARTBEAT=30,\n"
    "CONEY_LISTENERS_TCP_1=5672. What stands for a * is in small letters, unless there are small ones in it, "
    "and two\n"
    "underscores in it are a dot. A variable that names no key is reported in the log, and else ignored,\n"
    ".IP 5.\n"
    "\\-\\-set key=value on the command line, in their order.\n"
    ".SS Reload\n"
    "SIGHUP has all of them read again. The keys marked\n"
    ".I live\n"
    "below change at once (what is said to clients when they connect, with their next connection), "
    "certificates are\n"
    "read again, and the file of load_definitions is imported again. The log says what has changed, and what "
    "has\n"
    "not since it needs a restart. With an error anywhere everything stays as it was, and the log says why. "
    "SIGUSR1\n"
    "opens the log file again.\n"
    ".SH KEYS\n";

static const char man_ignored[] =
    ".SH IGNORED KEYS\n"
    "These keys of rabbitmq.conf are accepted, and the log says that they are "
    "ignored; or, where something would\n"
    "be left undone that somebody relies on, they are errors that say what to do "
    "instead.\n";

static const char man_foot[] = ".SH FILES\n"
                               ".TP\n"
                               ".I /etc/coney/coney.conf\n"
                               "the file that the service reads\n"
                               ".TP\n"
                               ".I /etc/coney/conf.d/*.conf\n"
                               "read after it\n"
                               ".SH SEE ALSO\n"
                               ".BR coneyd (8)\n";

/* TEXT as roff takes it. */
static void print_roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void print_key(FILE *out, const struct config_key *key)
{
    fputs(".TP\n.B ", out);
    print_roff(out, key->name);
    fputs("\n", out);
    print_roff(out, key->doc);
    if (key->default_value[0] != '\0') {
        fputs("\nDefault: ", out);
        print_roff(out, key->default_value);
        fputs(".", out);
    }
    fputs(key->is_live ? "\n.I live\n" : "\n", out);
}

static void print_man(FILE *out)
{
    const char *pattern, *reason;
    struct config_key key;

    fputs(man_head, out);
    for (size_t i = 0; config_key_at(i, &key); i++) {
        if (key.section != NULL)
            fprintf(out, ".SS %s\n", key.section);
        print_key(out, &key);
    }
    fputs(man_ignored, out);
    for (size_t i = 0; config_ignored_at(i, &pattern, &reason); i++) {
        fputs(".TP\n.B ", out);
        print_roff(out, pattern);
        fputs("\n", out);
        print_roff(out, reason);
        fputs("\n", out);
    }
    fputs(man_foot, out);
}

/* ---- checking ---- */

static char *text_of(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        exit(2);
    print(out);
    fclose(out);
    return text;
}

static void compare(const char *name, const char *how, void (*print)(FILE *out))
{
    const char *top = getenv("top_srcdir");
    char path[4096], complaint[4200];
    char *wanted = text_of(print);
    size_t size = strlen(wanted);
    char *found = malloc(size + 2);
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", top != NULL ? top : ".", name);
    file = fopen(path, "r");
    if (file == NULL || fread(found, 1, size + 1, file) != size || memcmp(found, wanted, size) != 0) {
        snprintf(complaint, sizeof complaint,
                 "%s is not what the keys say; write it anew with check-options %s", name, how);
        complain(NULL, complaint);
    }
    if (file != NULL)
        fclose(file);
    free(found);
    free(wanted);
}

static char *settings[SETTINGS_MAX];
static size_t setting_count;

static void collect(FILE *out, const char *setting)
{
    (void)out;
    if (setting_count == SETTINGS_MAX)
        exit(2);
    settings[setting_count++] = strdup(setting);
}

static void load_all(void)
{
    struct config config;
    struct config_source source = {.overrides = (const char *const *)settings};
    struct config_key key;

    for (size_t i = 0; config_key_at(i, &key); i++)
        each_setting(&key, NULL, collect);
    source.override_count = setting_count;
    if (config_load(&config, &source, complain, NULL))
        config_free(&config);
    for (size_t i = 0; i < setting_count; i++)
        free(settings[i]);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "sample") == 0) {
        print_sample(stdout);
    } else if (argc == 2 && strcmp(argv[1], "man") == 0) {
        print_man(stdout);
    } else {
        compare("etc/coney.conf", "sample", print_sample);
        compare("doc/coney.conf.5", "man", print_man);
        load_all();
    }
    return failures > 0;
}
