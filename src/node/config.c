/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: assignments are read (config_read.c), each is looked up in the table (config_keys.c),
 * and its value set (config_value.c), in their order. An assignment that a later one of the same key
 * supersedes is still checked. At last what must go together is looked at.
 */
#include "coney/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "config_keys.h"
#include "config_read.h"
#include "config_value.h"

/* ---- the keys ---- */

bool config_key_at(size_t index, struct config_key *out)
{
    const struct key *key = &config_keys[index];

    if (index >= config_key_count)
        return false;
    *out = (struct config_key){key->section, key->name,     key->default_value, key->doc,
                               key->example, key->alias_of, key->is_live};
    return true;
}

bool config_ignored_at(size_t index, const char **pattern, const char **reason)
{
    if (index >= config_ignored_count)
        return false;
    *pattern = config_ignored[index].pattern;
    *reason = config_ignored[index].reason;
    return true;
}

static const struct key *key_find(const char *name, const char **word, size_t *size)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (config_matches(config_keys[i].name, name, word, size))
            return &config_keys[i];
    }
    return NULL;
}

/* Here a * at the end stands for nothing too. */
static bool is_ignored_by(const char *pattern, const char *name)
{
    size_t size = strlen(pattern), found;
    const char *word;

    if (pattern[size - 1] == '*')
        return strncmp(name, pattern, size - 1) == 0;
    return config_matches(pattern, name, &word, &found);
}

static const struct ignored_key *ignored_find(const char *name)
{
    for (size_t i = 0; i < config_ignored_count; i++) {
        if (is_ignored_by(config_ignored[i].pattern, name))
            return &config_ignored[i];
    }
    return NULL;
}

/* ---- keys that are not there ---- */

/* How many letters to change, add or take to make B of A; looked at only for short names. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t width = strlen(b);

    if (width >= sizeof row / sizeof row[0])
        return UINT32_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < width; j++) {
            unsigned best = diagonal + (a[i] != b[j]);

            diagonal = row[j + 1];
            best = diagonal + 1 < best ? diagonal + 1 : best;
            row[j + 1] = row[j] + 1 < best ? row[j] + 1 : best;
        }
    }
    return row[width];
}

static void complain_unknown(struct reading *reading, const struct assignment *assignment)
{
    const char *nearest = NULL;
    unsigned least = 4;

    for (size_t i = 0; i < config_key_count; i++) {
        unsigned d = distance(assignment->key, config_keys[i].name);

        if (d < least) {
            least = d;
            nearest = config_keys[i].name;
        }
    }
    if (nearest != NULL)
        complain(reading, assignment->where, "unknown key '%s'; did you mean '%s'?", assignment->key,
                 nearest);
    else
        complain(reading, assignment->where, "unknown key '%s'; coney.conf(5) lists the keys",
                 assignment->key);
}

static void apply_other(struct reading *reading, const struct assignment *assignment)
{
    const struct ignored_key *ignored = ignored_find(assignment->key);

    if (ignored == NULL)
        complain_unknown(reading, assignment);
    else if (ignored->is_refused)
        complain(reading, assignment->where, "%s is not supported: %s", assignment->key, ignored->reason);
    else
        notice(reading, assignment->where, "%s is ignored: %s", assignment->key, ignored->reason);
}

/* ---- applying ---- */

static bool is_superseded(const struct reading *reading, size_t index)
{
    for (size_t i = index + 1; i < reading->count; i++) {
        if (strcmp(reading->assignments[i].key, reading->assignments[index].key) == 0)
            return true;
    }
    return false;
}

static void complain_value(struct reading *reading, const struct assignment *assignment,
                           const struct key *key)
{
    /* A string is wrong only in its length, and may be a password. */
    bool is_hidden = key->is_secret || key->type == KEY_STRING;
    char expected[512];

    config_value_expected(expected, sizeof expected, key);
    complain(reading, assignment->where, "%s: '%s' should be %s", assignment->key,
             is_hidden ? "..." : assignment->value, expected);
}

/* SET says which keys an assignment has set already. */
static void apply(struct reading *reading, size_t index, struct config *config, bool *set)
{
    const struct assignment *assignment = &reading->assignments[index];
    size_t size, place;
    const char *found;
    const struct key *key = key_find(assignment->key, &found, &size);
    char *word;

    if (key == NULL) {
        apply_other(reading, assignment);
        return;
    }
    place = (size_t)(key - config_keys);
    if ((key->replaces || key->type == KEY_LISTENER) && !set[place])
        config_value_clear(config, key);
    set[place] = true;
    word = strndup(found, size);
    if (word == NULL)
        abort();
    if (!config_value_set(config, key, word, assignment->value, is_superseded(reading, index)))
        complain_value(reading, assignment, key);
    free(word);
}

/* Parse the defaults; those of lists are several values with blanks between. */
static void set_default(struct config *config, const struct key *key)
{
    char *values = xstrdup(key->default_value), *rest, *value = strtok_r(values, " ", &rest);

    for (unsigned i = 1; value != NULL; i++, value = strtok_r(NULL, " ", &rest)) {
        char number[16];

        snprintf(number, sizeof number, "%u", i);
        if (key->type == KEY_MEMBER)
            config_value_set(config, key, value, "true", false);
        else
            config_value_set(config, key, number, value, false);
    }
    free(values);
}

static bool is_list(const struct key *key)
{
    return key->type == KEY_LISTENER || key->type == KEY_MEMBER || key->type == KEY_WORD;
}

static void set_defaults(struct config *config)
{
    static const struct config none;

    *config = none;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct key *key = &config_keys[i];

        /* An alias has no default of its own: it must not undo that of its key. */
        if (key->alias_of != NULL)
            continue;
        if (is_list(key))
            set_default(config, key);
        else if (key->type == KEY_LEVEL && key->default_value[0] == '\0')
            *(enum config_log_level *)(void *)((char *)config + key->offset) = CONFIG_LOG_UNSET;
        else if (key->default_value[0] != '\0' || key->type == KEY_STRING || key->type == KEY_ADDRESS)
            config_value_set(config, key, "", key->default_value, false);
    }
}

/* ---- what must go together ---- */

static void check_tls(struct reading *reading, const char *prefix, const struct config_tls *tls, bool is_used)
{
    if (is_used && (tls->certfile[0] == '\0' || tls->keyfile[0] == '\0'))
        complain(reading, "", "a listener with TLS needs %s.certfile and %s.keyfile", prefix, prefix);
    if (tls->verify_peer && tls->cacertfile[0] == '\0')
        complain(reading, "", "%s.verify = verify_peer needs %s.cacertfile", prefix, prefix);
    for (size_t i = 0; i < tls->sni.count; i++) {
        const struct config_certificate *certificate = &tls->sni.entries[i];

        if (certificate->certfile[0] == '\0' || certificate->keyfile[0] == '\0')
            complain(reading, "", "%s.sni.%s needs both certfile and keyfile", prefix, certificate->name);
    }
}

static void check_together(struct reading *reading, struct config *config)
{
    bool has_tls = false;

    for (size_t i = 0; i < config->listener_count; i++)
        has_tls = has_tls || config->listeners[i].is_tls;
    check_tls(reading, "ssl_options", &config->tls, has_tls);
    check_tls(reading, "management.ssl", &config->management.tls,
              config->management.ssl_port != CONFIG_PORT_NONE);
    check_tls(reading, "prometheus.ssl", &config->prometheus.tls,
              config->prometheus.ssl_port != CONFIG_PORT_NONE);
    if (config->ssl_cert_login_from == CERT_LOGIN_SUBJECT_ALT_NAME)
        config->ssl_cert_login_from = CERT_LOGIN_SUBJECT_ALTERNATIVE_NAME;
    if (strcmp(config->log_file, "false") == 0)
        config->log_file[0] = '\0';
}

/* ---- loading ---- */

static size_t key_index(const char *name)
{
    size_t i = 0;

    while (strcmp(config_keys[i].name, name) != 0)
        i++;
    return i;
}

bool config_load(struct config *config, const struct config_source *source, config_report *report,
                 void *context)
{
    struct reading reading = {.notices = &config->notices, .report = report, .context = context};
    bool *set = xcalloc(config_key_count, sizeof *set);

    set_defaults(config);
    config_read(&reading, source);
    for (size_t i = 0; i < reading.count; i++)
        apply(&reading, i, config, set);
    config->management.is_asked = set[key_index("management.tcp.port")];
    config->prometheus.is_asked = set[key_index("prometheus.tcp.port")];
    if (!reading.failed)
        check_together(&reading, config);
    reading_free(&reading);
    free(set);
    if (reading.failed)
        config_free(config);
    return !reading.failed;
}

void config_free(struct config *config)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (config_keys[i].type != KEY_FIXED)
            config_value_clear(config, &config_keys[i]);
    for (size_t i = 0; i < config->notices.count; i++)
        free(config->notices.words[i]);
    free(config->notices.words);
    config->notices = (struct config_words){0};
}

/* ---- reading it again ---- */

static bool is_compared(const struct key *key)
{
    return key->alias_of == NULL && key->type != KEY_FIXED && key->type != KEY_LISTENERS_NONE &&
           key->type != KEY_MEMBERS_NONE;
}

static bool take_over(struct config *config, const struct config *running, const struct key *key,
                      config_change *change, void *context)
{
    char *before = config_value_text(running, key), *after = config_value_text(config, key);
    bool differs = strcmp(before, after) != 0;

    if (differs)
        change(context, key->name, key->is_secret ? "..." : before, key->is_secret ? "..." : after,
               key->is_live);
    if (differs && !key->is_live)
        config_value_copy(config, running, key);
    free(before);
    free(after);
    return differs;
}

size_t config_take_over(struct config *config, const struct config *running, config_change *change,
                        void *context)
{
    size_t count = 0;

    for (size_t i = 0; i < config_key_count; i++) {
        if (is_compared(&config_keys[i]) && take_over(config, running, &config_keys[i], change, context))
            count++;
    }
    return count;
}

char *config_value_at(const struct config *config, size_t index)
{
    const struct key *key = &config_keys[index];

    if (!is_compared(key))
        return NULL;
    return key->is_secret ? xstrdup("...") : config_value_text(config, key);
}
