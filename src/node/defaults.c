/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default vhost and user of a new node.
 */
#include "coney/defaults.h"

#include <stdio.h>
#include <stdlib.h>

#include "coney/permission.h"
#include "coney/users.h"
#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "definitions_keep.h"

static struct vhost *find_or_make(const struct definitions_target *target, const char *name,
                                  char why[DEFINITIONS_WHY_SIZE])
{
    struct vhost *vhost = target->find_vhost(target->context, bytes_from_string(name));

    if (vhost != NULL)
        return vhost;
    vhost = target->make_vhost(target->context, bytes_from_string(name));
    if (vhost != NULL)
        keep_vhost(target, bytes_from_string(name), NULL);
    else
        snprintf(why, DEFINITIONS_WHY_SIZE, "default_vhost '%s' cannot be made", name);
    return vhost;
}

static bool check_pattern(const char *key, const char *pattern, char why[DEFINITIONS_WHY_SIZE])
{
    char reason[128];

    if (permission_pattern_is_valid(bytes_from_string(pattern), reason, sizeof reason))
        return true;
    snprintf(why, DEFINITIONS_WHY_SIZE, "default_permissions.%s is no valid pattern: %s", key, reason);
    return false;
}

static bool make_user(const struct definitions_target *target, const struct config *config,
                      char why[DEFINITIONS_WHY_SIZE])
{
    const struct config_words *words = &config->default_user_tags;
    struct bytes *tags = xcalloc(words->count, sizeof *tags);
    struct user_spec spec = {
        .name = bytes_from_string(config->default_user),
        .password = bytes_from_string(config->default_pass),
        .tags = tags,
        .tag_count = words->count,
        .max_connections = USER_LIMIT_NONE,
        .max_channels = USER_LIMIT_NONE,
    };
    char reason[128];
    bool done;

    for (size_t i = 0; i < words->count; i++)
        tags[i] = bytes_from_string(words->words[i]);
    done = users_put(target->users, &spec, reason, sizeof reason);
    if (done)
        keep_user(target, spec.name);
    else
        snprintf(why, DEFINITIONS_WHY_SIZE, "default_user '%s': %s", config->default_user, reason);
    free(tags);
    return done;
}

static void permit_user(const struct definitions_target *target, struct vhost *vhost,
                        const struct config *config)
{
    struct bytes user = bytes_from_string(config->default_user);
    struct bytes configure = bytes_from_string(config->default_permissions_configure);
    struct bytes write = bytes_from_string(config->default_permissions_write);
    struct bytes read = bytes_from_string(config->default_permissions_read);

    vhost_set_permission(vhost, user, configure, write, read);
    keep_permission(target, vhost_name(vhost), user, configure, write, read);
}

bool defaults_make(const struct definitions_target *target, const struct config *config,
                   const struct definitions_result *imported, char why[DEFINITIONS_WHY_SIZE])
{
    bool wants_user = config->default_user[0] != '\0' && (imported == NULL || imported->users == 0);
    bool wants_vhost = wants_user || imported == NULL || imported->vhosts == 0;
    struct vhost *vhost = wants_vhost ? find_or_make(target, config->default_vhost, why) : NULL;

    if (!wants_vhost)
        return true;
    if (vhost == NULL)
        return false;
    if (!wants_user)
        return true;
    if (!check_pattern("configure", config->default_permissions_configure, why) ||
        !check_pattern("write", config->default_permissions_write, why) ||
        !check_pattern("read", config->default_permissions_read, why) || !make_user(target, config, why))
        return false;
    permit_user(target, vhost, config);
    return true;
}
