/* SPDX-License-Identifier: Apache-2.0 */
/* tls_files.h. A file is told by device, inode, size and time of its last change: a link that points to
 * another file now, as certificate managers make them, is a change too. */
#include "coney/tls_files.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "coney/config.h"
#include "coney/xalloc.h"

static char *copy_text(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static struct config_words copy_words(const struct config_words *words)
{
    struct config_words copy = {xcalloc(words->count + 1, sizeof *copy.words), words->count};

    for (size_t i = 0; i < words->count; i++)
        copy.words[i] = xstrdup(words->words[i]);
    return copy;
}

static void free_words(struct config_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->words[i]);
    free(words->words);
}

struct config_tls *tls_config_copy(const struct config_tls *config)
{
    struct config_tls *copy = xmemdup(config, sizeof *config);

    copy->certfile = copy_text(config->certfile);
    copy->keyfile = copy_text(config->keyfile);
    copy->cacertfile = copy_text(config->cacertfile);
    copy->crlfile = copy_text(config->crlfile);
    copy->password = copy_text(config->password);
    copy->versions = copy_words(&config->versions);
    copy->ciphers = copy_words(&config->ciphers);
    copy->sni.entries = xcalloc(config->sni.count + 1, sizeof *copy->sni.entries);
    for (size_t i = 0; i < config->sni.count; i++) {
        const struct config_certificate *entry = &config->sni.entries[i];

        copy->sni.entries[i] = (struct config_certificate){copy_text(entry->name), copy_text(entry->certfile),
                                                           copy_text(entry->keyfile)};
    }
    return copy;
}

void tls_config_free(struct config_tls *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->sni.count; i++) {
        free(config->sni.entries[i].name);
        free(config->sni.entries[i].certfile);
        free(config->sni.entries[i].keyfile);
    }
    free(config->sni.entries);
    free_words(&config->versions);
    free_words(&config->ciphers);
    free(config->certfile);
    free(config->keyfile);
    free(config->cacertfile);
    free(config->crlfile);
    free(config->password);
    free(config);
}

static uint64_t mix(uint64_t state, uint64_t value)
{
    return (state ^ value) * UINT64_C(0x100000001b3); /* FNV-1a, by words */
}

static uint64_t add_file(uint64_t state, const char *path)
{
    struct stat is;

    if (!path || !*path)
        return state;
    if (stat(path, &is) != 0)
        return mix(state, 1);
    state = mix(mix(state, is.st_dev), is.st_ino);
    state = mix(mix(state, (uint64_t)is.st_size), (uint64_t)is.st_ctim.tv_sec);
    return mix(state, (uint64_t)is.st_ctim.tv_nsec);
}

uint64_t tls_files_state(const struct config_tls *config)
{
    uint64_t state = UINT64_C(0xcbf29ce484222325);

    state = add_file(state, config->certfile);
    state = add_file(state, config->keyfile);
    state = add_file(state, config->cacertfile);
    state = add_file(state, config->crlfile);
    for (size_t i = 0; i < config->sni.count; i++) {
        state = add_file(state, config->sni.entries[i].certfile);
        state = add_file(state, config->sni.entries[i].keyfile);
    }
    return state;
}
