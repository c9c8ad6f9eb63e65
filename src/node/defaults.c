/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default vhost and user of a new node.
 */
#include "coney/defaults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/log.h"
#include "coney/password.h"
#include "coney/permission.h"
#include "coney/users.h"
#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "definitions_keep.h"

#define BUILTIN_PASS "guest"

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

static bool has_builtin_pass(const struct config *config)
{
    return strcmp(config->default_pass, BUILTIN_PASS) == 0;
}

/* A password that everybody knows is not worth the time of scrypt, which were half of a first start. */
static char *hash_builtin_pass(void)
{
    struct password_secret secret;

    return password_hash_as(&secret, PASSWORD_SHA256, bytes_from_string(BUILTIN_PASS))
               ? password_to_base64(&secret)
               : NULL;
}

static bool make_user(const struct definitions_target *target, const struct config *config,
                      char why[DEFINITIONS_WHY_SIZE])
{
    const struct config_words *words = &config->default_user_tags;
    struct bytes *tags = xcalloc(words->count, sizeof *tags);
    struct user_spec spec = {
        .name = bytes_from_string(config->default_user),
        .tags = tags,
        .tag_count = words->count,
        .max_connections = USER_LIMIT_NONE,
        .max_channels = USER_LIMIT_NONE,
    };
    char *hash = has_builtin_pass(config) ? hash_builtin_pass() : NULL;
    char reason[128];
    bool done;

    if (hash != NULL) {
        spec.password_hash = bytes_from_string(hash);
        spec.hashing = PASSWORD_SHA256;
    } else {
        spec.password = bytes_from_string(config->default_pass);
    }
    for (size_t i = 0; i < words->count; i++)
        tags[i] = bytes_from_string(words->words[i]);
    done = users_put(target->users, &spec, reason, sizeof reason);
    if (done)
        keep_user(target, spec.name);
    else
        snprintf(why, DEFINITIONS_WHY_SIZE, "default_user '%s': %s", config->default_user, reason);
    free(hash);
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

/* ---- who can log in ---- */

static bool is_in(const struct config_words *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strcmp(words->words[i], word) == 0)
            return true;
    }
    return false;
}

/* guest itself is as local as loopback_users says. */
bool defaults_user_is_local(const struct config *config)
{
    return has_builtin_pass(config) && strcmp(config->default_user, "guest") != 0 &&
           config->loopback_users.count > 0;
}

static void explain_default_user(const struct config *config)
{
    char name[128];
    const char *user = log_escape(bytes_from_string(config->default_user), name, sizeof name);

    if (defaults_user_is_local(config) || is_in(&config->loopback_users, config->default_user))
        log_info("first start: user '%s' is made and can log in from this machine only", user);
    else if (has_builtin_pass(config))
        log_warning(
            "first start: user '%s' is made and can log in from anywhere with the password that everybody "
            "knows; set default_pass",
            user);
    else
        log_info(
            "first start: user '%s' is made with the password of default_pass and can log in from anywhere",
            user);
}

void defaults_explain(const struct config *config, const struct definitions_result *imported)
{
    if (imported->users > 0)
        log_info("first start: %zu users come from %s", imported->users, config->load_definitions);
    else if (config->default_user[0] == '\0')
        log_warning("first start: there are no users, so nobody can log in");
    else
        explain_default_user(config);
    log_info(
        "to make an administrator who can log in from elsewhere: put {\"users\": [{\"name\": \"NAME\", "
        "\"password\": \"PASSWORD\", \"tags\": \"administrator\"}], \"permissions\": [{\"user\": \"NAME\", "
        "\"vhost\": \"%s\", \"configure\": \".*\", \"write\": \".*\", \"read\": \".*\"}]} into a file, name "
        "it "
        "as load_definitions in the configuration, and reload (SIGHUP). On a node that is still new "
        "default_user and default_pass do it too",
        strcmp(config->default_vhost, "/") == 0 ? "/" : "VHOST");
}
