/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the keys log.* to levels of each category at each output. An output's level and a category's are both
 * respected where both are set: the higher one counts. Where one is set it counts, else log.level.
 */
#include <stdio.h>
#include <string.h>

#include "coney/config.h"
#include "coney/log.h"
#include "coney/xalloc.h"

static enum log_level to_level(enum config_log_level level)
{
    switch (level) {
    case CONFIG_LOG_DEBUG:
        return LOG_LEVEL_DEBUG;
    case CONFIG_LOG_INFO:
        return LOG_LEVEL_INFO;
    case CONFIG_LOG_WARNING:
        return LOG_LEVEL_WARNING;
    case CONFIG_LOG_ERROR:
        return LOG_LEVEL_ERROR;
    case CONFIG_LOG_CRITICAL:
        return LOG_LEVEL_CRITICAL;
    default:
        return LOG_LEVEL_NONE;
    }
}

static enum log_level choose(enum config_log_level of_output, enum config_log_level of_category,
                             enum config_log_level otherwise)
{
    if (of_output == CONFIG_LOG_UNSET)
        return to_level(of_category == CONFIG_LOG_UNSET ? otherwise : of_category);
    if (of_category == CONFIG_LOG_UNSET)
        return to_level(of_output);
    return to_level(of_output > of_category ? of_output : of_category);
}

static struct log_output output_of(const struct config *config, const struct config_log_output *from)
{
    const enum config_log_level categories[LOG_CATEGORY_COUNT] = {
        [LOG_CATEGORY_DEFAULT] = config->log_default_level,
        [LOG_CATEGORY_CONNECTION] = config->log_connection_level,
        [LOG_CATEGORY_CHANNEL] = config->log_channel_level,
        [LOG_CATEGORY_QUEUE] = config->log_queue_level,
        [LOG_CATEGORY_STORAGE] = config->log_storage_level,
    };
    struct log_output output = {.format =
                                    from->format == CONFIG_LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT};

    for (int i = 0; i < LOG_CATEGORY_COUNT; i++)
        output.least[i] = choose(from->level, categories[i], config->log_level);
    return output;
}

static char *path_of(const struct config *config)
{
    size_t size = strlen(config->log_dir) + strlen(config->log_file) + 2;
    char *path;

    if (config->log_file[0] == '\0')
        return NULL;
    path = xmalloc(size);
    if (config->log_file[0] == '/')
        snprintf(path, size, "%s", config->log_file);
    else
        snprintf(path, size, "%s/%s", config->log_dir, config->log_file);
    return path;
}

void config_log_settings(const struct config *config, struct log_settings *settings, char **path)
{
    *settings = (struct log_settings){.console = output_of(config, &config->log_to_console),
                                      .file = output_of(config, &config->log_to_file)};
    *path = path_of(config);
    settings->path = *path;
    for (int i = 0; i < LOG_CATEGORY_COUNT && !config->log_console; i++)
        settings->console.least[i] = LOG_LEVEL_NONE;
}
