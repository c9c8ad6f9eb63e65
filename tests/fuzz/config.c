/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the configuration: the input is a file, and behind each NUL a variable of the environment or what
 * stands behind a --set. What is wrong is reported, a line each. What is taken is taken in the same way
 * again, and each value that is shown can be set.
 */
#include "coney/config.h"

#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define WORDS_MAX   16
#define ENVIRONMENT "CONEY_"
#define SETTINGS    512 /* more than there are keys */

static struct {
    char path[64]; /* of the file */
    int fd;
    unsigned reports;
    bool is_again; /* nothing should be wrong */
} at = {.fd = -1};

static void report(void *context, const char *text)
{
    (void)context;
    CHECK(*text && !strchr(text, '\n'));
    at.reports++;
    if (at.is_again)
        fprintf(stderr, "%s\n", text);
}

static void no_change(void *context, const char *key, const char *before, const char *after, bool is_live)
{
    (void)context;
    (void)is_live;
    fprintf(stderr, "%s: '%s' became '%s'\n", key, before, after);
    abort();
}

static void write_file(const uint8_t *data, size_t size)
{
    if (at.fd < 0) {
        at.fd = memfd_create("coney.conf", MFD_CLOEXEC);
        CHECK(at.fd >= 0);
        snprintf(at.path, sizeof at.path, "/proc/self/fd/%d", at.fd);
    }
    CHECK(ftruncate(at.fd, 0) == 0 && pwrite(at.fd, data, size, 0) == (ssize_t)size);
}

/* CONFIG is what SOURCE says: so it is the second time. */
static void check_again(const struct config *config, const struct config_source *source)
{
    struct config again;

    at.is_again = true;
    CHECK(config_load(&again, source, report, NULL));
    CHECK(config_take_over(&again, config, no_change, NULL) == 0);
    CHECK(again.notices.count == config->notices.count);
    config_free(&again);
}

/* Whether --set takes VALUE as it is: not what is shown in the place of a secret, no blanks at the edges.
 * Nothing, and 0, may say that another key counts. */
static bool can_be_set(const char *value)
{
    size_t size = strlen(value);

    return size && strcmp(value, "...") != 0 && strcmp(value, "0") != 0 && !strchr(" \t\r\n", value[0]) &&
           !strchr(" \t\r\n", value[size - 1]);
}

/* What CONFIG shows of its values, as settings that follow those of SOURCE, changes nothing. Lists have no
 * single setting. */
static void check_values(const struct config *config, const struct config_source *source)
{
    const char *settings[WORDS_MAX + SETTINGS];
    struct config_source more = *source;
    struct config_key key;

    for (size_t i = 0; i < source->override_count; i++)
        settings[i] = source->overrides[i];
    for (size_t i = 0; config_key_at(i, &key); i++) {
        char *value = config_value_at(config, i), *setting;

        if (value && !strchr(key.name, '*') && can_be_set(value)) {
            CHECK(asprintf(&setting, "%s=%s", key.name, value) > 0);
            CHECK(more.override_count < WORDS_MAX + SETTINGS);
            settings[more.override_count++] = setting;
        }
        free(value);
    }
    more.overrides = settings;
    check_again(config, &more);
    for (size_t i = source->override_count; i < more.override_count; i++)
        free((void *)(uintptr_t)settings[i]);
}

static void load(const struct config_source *source)
{
    struct config config;
    bool loaded;

    at.reports = 0;
    at.is_again = false;
    loaded = config_load(&config, source, report, NULL);
    CHECK(loaded == !at.reports);
    if (!loaded)
        return;
    check_again(&config, source);
    check_values(&config, source);
    config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t file_size = strnlen((const char *)data, size), variables = 0, used = file_size;
    char *environment[WORDS_MAX + 1] = {0};
    const char *overrides[WORDS_MAX];
    struct config_source source = {.path = at.path, .environment = environment, .overrides = overrides};

    write_file(data, file_size);
    while (used < size && variables + source.override_count < WORDS_MAX) {
        char *word = fuzz_text(data + used + 1, size - used - 1);

        if (strncmp(word, ENVIRONMENT, strlen(ENVIRONMENT)) == 0)
            environment[variables++] = word;
        else
            overrides[source.override_count++] = word;
        used += 1 + strlen(word);
    }
    load(&source);
    for (size_t i = 0; i < variables; i++)
        free(environment[i]);
    for (size_t i = 0; i < source.override_count; i++)
        free((void *)(uintptr_t)overrides[i]);
    return 0;
}
