/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_read.h: files, the environment, the command line. Everything is copied: an assignment says where it
 * stands, so that whatever is found wrong with it later can be told.
 */
#include "config_read.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/bytes.h"
#include "coney/xalloc.h"
#include "config_keys.h"

#define FILE_SIZE_MAX ((size_t)1024 * 1024)
#define OVERRIDE      "--set: " /* where an override stands */
#define ENVIRONMENT   "CONEY_"
#define FOLDER        "conf.d"
#define TEXT_SIZE     1024

/* ---- what is said ---- */

static void format_text(char text[TEXT_SIZE], const char *where, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void format_text(char text[TEXT_SIZE], const char *where, const char *format, va_list arguments)
{
    int used = snprintf(text, TEXT_SIZE, "%s", where);

    if (used < 0 || used >= TEXT_SIZE)
        used = 0;
    vsnprintf(text + used, TEXT_SIZE - (size_t)used, format, arguments);
    for (; *text != '\0'; text++) /* one line, though a variable may have several */
        *text = *text == '\n' ? ' ' : *text;
}

void complain(struct reading *reading, const char *where, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    format_text(text, where, format, arguments);
    va_end(arguments);
    reading->failed = true;
    reading->report(reading->context, text);
}

void notice(struct reading *reading, const char *where, const char *format, ...)
{
    struct config_words *notices = reading->notices;
    char text[TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    format_text(text, where, format, arguments);
    va_end(arguments);
    notices->words = xrealloc(notices->words, (notices->count + 1) * sizeof *notices->words);
    notices->words[notices->count++] = xstrdup(text);
}

bool config_matches(const char *pattern, const char *text, const char **word, size_t *size)
{
    const char *star = strchr(pattern, '*');
    size_t before, after, length = strlen(text);

    *word = "";
    *size = 0;
    if (star == NULL)
        return strcmp(pattern, text) == 0;
    before = (size_t)(star - pattern);
    after = strlen(star + 1);
    if (length <= before + after || strncmp(text, pattern, before) != 0 ||
        strcmp(text + length - after, star + 1) != 0)
        return false;
    *word = text + before;
    *size = length - before - after;
    return true;
}

/* ---- assignments ---- */

static void assign(struct reading *reading, const char *where, const char *key, const char *value)
{
    size_t size = (reading->count + 1) * sizeof(struct assignment);

    reading->assignments = xrealloc(reading->assignments, size);
    reading->assignments[reading->count++] =
        (struct assignment){xstrdup(where), xstrdup(key), xstrdup(value)};
}

void reading_free(struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++) {
        free(reading->assignments[i].where);
        free(reading->assignments[i].key);
        free(reading->assignments[i].value);
    }
    free(reading->assignments);
}

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
        *--end = '\0';
    return text + strspn(text, " \t\r\n");
}

/* ---- a file's lines ---- */

/* Take comments and quotes off a value, in place: 'in quotes, with a #'. NULL when something follows the
 * closing quote, or there is none. */
static char *unquote(char *value)
{
    char *end;

    value = trim(value);
    if (*value != '\'') {
        value[strcspn(value, "#")] = '\0';
        return trim(value);
    }
    end = strchr(++value, '\'');
    if (end == NULL || (end[1 + strspn(end + 1, " \t")] != '\0' && end[1 + strspn(end + 1, " \t")] != '#'))
        return NULL;
    *end = '\0';
    return value;
}

static void parse_line(struct reading *reading, const char *where, char *line)
{
    char *equals, *value;

    line = trim(line);
    if (*line == '\0' || *line == '#')
        return;
    equals = strchr(line, '=');
    if (equals == NULL || equals == line) {
        complain(reading, where, "'%s' is no assignment; it should read: key = value", line);
        return;
    }
    *equals = '\0';
    value = unquote(equals + 1);
    if (value == NULL)
        complain(reading, where, "the value's closing quote is missing or not at the end of the line");
    else
        assign(reading, where, trim(line), value);
}

static void parse_text(struct reading *reading, const char *path, char *text)
{
    unsigned number = 0;
    char *line;

    while ((line = strsep(&text, "\n")) != NULL) {
        size_t size = strlen(path) + 32;
        char *where = xmalloc(size);

        snprintf(where, size, "%s:%u: ", path, ++number);
        parse_line(reading, where, line);
        free(where);
    }
}

static void read_file(struct reading *reading, const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = xmalloc(FILE_SIZE_MAX + 1);
    size_t size;

    if (file == NULL) {
        complain(reading, "", "%s: cannot be read: %s", path, strerrordesc_np(errno));
        free(text);
        return;
    }
    size = fread(text, 1, FILE_SIZE_MAX + 1, file);
    if (ferror(file))
        complain(reading, "", "%s: cannot be read: %s", path, strerrordesc_np(errno));
    else if (size > FILE_SIZE_MAX)
        complain(reading, "", "%s: larger than %zu bytes", path, FILE_SIZE_MAX);
    else if (memchr(text, '\0', size) != NULL || !utf8_is_valid((struct bytes){(uint8_t *)text, size}))
        complain(reading, "", "%s: is no text in UTF-8", path);
    else {
        text[size] = '\0';
        parse_text(reading, path, text);
    }
    fclose(file);
    free(text);
}

/* ---- the folder beside a file ---- */

static int is_wanted(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);

    return entry->d_name[0] != '.' && size > 5 && strcmp(entry->d_name + size - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static char *join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = xmalloc(size);

    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static void read_folder(struct reading *reading, const char *folder)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_wanted, by_name);

    if (count < 0 && errno != ENOENT && errno != ENOTDIR)
        complain(reading, "", "%s: cannot be read: %s", folder, strerrordesc_np(errno));
    for (int i = 0; i < count; i++) {
        char *path = join(folder, entries[i]->d_name);

        read_file(reading, path);
        free(path);
        free(entries[i]);
    }
    free(entries);
}

static void read_beside(struct reading *reading, const char *path)
{
    char *copy = xstrdup(path), *slash = strrchr(copy, '/'), *folder;

    if (slash != NULL)
        slash[slash == copy] = '\0';
    folder = join(slash != NULL ? copy : ".", FOLDER);
    read_folder(reading, folder);
    free(folder);
    free(copy);
}

/* ---- the environment ---- */

static void flatten(char *name)
{
    for (; *name != '\0'; name++)
        *name = *name == '.' ? '_' : (char)tolower((unsigned char)*name);
}

/* "A__B" is a.b; what has small letters keeps its case. */
static void spell_word(char *word)
{
    bool is_small = word[strcspn(word, "abcdefghijklmnopqrstuvwxyz")] == '\0';
    char *to = word;

    for (char *from = word; *from != '\0'; from++) {
        if (from[0] == '_' && from[1] == '_') {
            *to++ = '.';
            from++;
        } else {
            *to++ = is_small ? (char)tolower((unsigned char)*from) : *from;
        }
    }
    *to = '\0';
}

/* The key that NAME means, dots being underscores; of several the one with most letters of its own. */
static char *key_of_variable(const char *name)
{
    char *flat = xstrdup(name), *best = NULL;
    size_t most = 0;

    flatten(flat);
    for (size_t i = 0; i < config_key_count; i++) {
        char *pattern = xstrdup(config_keys[i].name);
        const char *word;
        size_t size, fixed = strlen(pattern);

        flatten(pattern);
        if (fixed > most && config_matches(pattern, flat, &word, &size)) {
            char *spelt = strndup(name + (size != 0 ? word - flat : 0), size);
            size_t before = strcspn(config_keys[i].name, "*");
            const char *after = config_keys[i].name + before;

            if (spelt == NULL)
                abort();
            spell_word(spelt);
            free(best);
            best = xmalloc(strlen(config_keys[i].name) + size + 1);
            sprintf(best, "%.*s%s%s", (int)before, config_keys[i].name, spelt,
                    *after == '*' ? after + 1 : "");
            free(spelt);
            most = fixed;
        }
        free(pattern);
    }
    free(flat);
    return best;
}

static void read_variable(struct reading *reading, const char *variable)
{
    const char *equals = strchr(variable, '=');
    char *name, *key;

    if (strncmp(variable, ENVIRONMENT, strlen(ENVIRONMENT)) != 0 || equals == NULL)
        return;
    name = strndup(variable, (size_t)(equals - variable));
    if (name == NULL)
        abort();
    key = key_of_variable(name + strlen(ENVIRONMENT));
    if (key == NULL) {
        /* Other programs may have variables of such names too: Kubernetes makes CONEY_PORT for a service. */
        notice(reading, "", "environment: %s names no key", name);
    } else if (!utf8_is_valid(bytes_from_string(equals))) {
        complain(reading, "", "environment: %s is no text in UTF-8", name);
    } else {
        size_t size = strlen(name) + 3;
        char *where = xmalloc(size), *value = xstrdup(equals + 1);

        snprintf(where, size, "%s: ", name);
        assign(reading, where, key, trim(value));
        free(value);
        free(where);
    }
    free(key);
    free(name);
}

/* ---- the command line ---- */

/* "KEY=VALUE": the value as it is, the shell has had its quotes. */
static void read_override(struct reading *reading, const char *text)
{
    char *copy = xstrdup(text), *equals = strchr(copy, '=');

    if (equals == NULL || equals == copy) {
        complain(reading, OVERRIDE, "'%s' is no assignment; it should read: --set key=value", text);
    } else if (!utf8_is_valid(bytes_from_string(text))) {
        complain(reading, OVERRIDE, "a value is no text in UTF-8");
    } else {
        *equals = '\0';
        assign(reading, OVERRIDE, trim(copy), trim(equals + 1));
    }
    free(copy);
}

void config_read(struct reading *reading, const struct config_source *source)
{
    if (source->path != NULL) {
        read_file(reading, source->path);
        read_beside(reading, source->path);
    }
    for (char *const *variable = source->environment; variable != NULL && *variable != NULL; variable++)
        read_variable(reading, *variable);
    for (size_t i = 0; i < source->override_count; i++)
        read_override(reading, source->overrides[i]);
}
