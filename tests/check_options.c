/* SPDX-License-Identifier: Apache-2.0 */
/* check_options.c: hold etc/coney.conf against the keys that coneyd knows.
 *
 * The sample file is the manual of the configuration, so it must name every key, no other, and the true
 * default. In it each setting is a comment "# key = value". Uncommented, all of it must load: so the examples
 * given for keys without a default are good too. Runs in make check; top_srcdir says where the file is. */
#include "coney/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_    512
#define SETTINGS_MAX 256

static int failures;

static void complain(void *context, const char *text)
{
    (void)context;
    printf("etc/coney.conf: %s\n", text);
    failures++;
}

static void complain_about(const char *problem, const char *key)
{
    char text[LINE_MAX_ + 64];

    (void)snprintf(text, sizeof text, "%s: %s", problem, key);
    complain(NULL, text);
}

/* "# key = value" without its "# ", as coneyd's --set takes it; NULL for any other line. */
static char *setting_of(char *line)
{
    static const char key_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.";
    size_t size;

    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "# ", 2) != 0)
        return NULL;
    size = strspn(line + 2, key_characters);
    return size > 0 && strncmp(line + 2 + size, " = ", 3) == 0 ? strdup(line + 2) : NULL;
}

static size_t read_settings(const char *path, char **settings)
{
    char line[LINE_MAX_];
    size_t count = 0;
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        perror(path);
        exit(2);
    }
    while (count < SETTINGS_MAX && fgets(line, sizeof line, file) != NULL) {
        settings[count] = setting_of(line);
        if (settings[count] != NULL)
            count++;
    }
    fclose(file);
    return count;
}

/* The value if SETTING sets KEY, whose last part * stands for any word; otherwise NULL. */
static const char *value_for(const char *setting, const struct config_key *key)
{
    size_t name_size = strcspn(setting, " ");
    size_t key_size = strlen(key->name);
    bool is_same;

    if (key->name[key_size - 1] == '*')
        is_same = name_size >= key_size && strncmp(setting, key->name, key_size - 1) == 0;
    else
        is_same = name_size == key_size && strncmp(setting, key->name, key_size) == 0;
    return is_same ? setting + name_size + strlen(" = ") : NULL;
}

/* A plain key's value must be its default; what the defaults of aliases and of keys with * are, loading
 * tells. */
static void check_key(const struct config_key *key, char **settings, size_t count)
{
    bool is_there = false;

    for (size_t i = 0; i < count; i++) {
        const char *value = value_for(settings[i], key);

        if (value == NULL)
            continue;
        is_there = true;
        if (key->default_value[0] != '\0' && strchr(key->name, '*') == NULL &&
            strcmp(value, key->default_value) != 0)
            complain_about("this is not the default", settings[i]);
    }
    if (!is_there)
        complain_about("this key is missing", key->name);
}

int main(void)
{
    const char *top = getenv("top_srcdir");
    char path[4096];
    char *settings[SETTINGS_MAX];
    struct config_key key;
    struct config config;
    size_t count;

    (void)snprintf(path, sizeof path, "%s/etc/coney.conf", top != NULL ? top : ".");
    count = read_settings(path, settings);
    for (size_t i = 0; config_key_at(i, &key); i++)
        check_key(&key, settings, count);
    if (config_load(&config, path, (const char *const *)settings, count, complain, NULL))
        config_free(&config);
    for (size_t i = 0; i < count; i++)
        free(settings[i]);
    return failures > 0;
}
