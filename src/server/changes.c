/* SPDX-License-Identifier: Apache-2.0 */
/* coney/changes.h: a change visits the vhosts that it is for, one after the other, and waits for the store.
 */
#include "coney/changes.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/buffer.h"
#include "coney/govern.h"
#include "coney/log.h"
#include "coney/parameters.h"
#include "coney/permission.h"
#include "coney/store.h"
#include "coney/survey.h"
#include "coney/visit.h"
#include "event_mail.h"
#include "runner.h"
#include "server.h"
#include "storage.h"
#include "vhosts.h"

/* What is asked for; strings are the caller's, who waits. */
struct change {
    struct server *server;
    struct definitions_target target;
    struct bytes user, exchange, configure, write, read, name;
    enum policy_origin origin;
    const json_t *value;
    enum vhost_limit limit;
    int64_t connections_max, queues_max;
    enum change_result result;
    char *why;
};

/* ---- telling ---- */

static _Thread_local struct bytes asker;

#define BY_ASKER "user_who_performed_action", &asker, (const char *)NULL

void changes_ask_as(struct bytes user)
{
    asker = user;
}

static enum change_result tell_user(struct server *server, const char *key, struct bytes name,
                                    enum change_result result)
{
    if (result == CHANGE_MADE)
        events_tell(server, key, "name", &name, BY_ASKER);
    return result;
}

/* What was done to the policy or parameter called NAME. */
static enum change_result tell_of(struct server *server, const char *key, const char *kind, struct bytes of,
                                  struct bytes vhost, struct bytes name, enum change_result result)
{
    if (result == CHANGE_MADE)
        events_tell(server, key, kind, &of, "vhost", &vhost, "name", &name, BY_ASKER);
    return result;
}

/* ---- waiting ---- */

bool changes_settle(struct server *server)
{
    return !server->store || store_settle(server->store, STORAGE_SETTLE_MS);
}

/* All but topology are entries. */
static enum change_result settled(struct server *server)
{
    return storage_sync(server) ? CHANGE_MADE : CHANGE_NOT_SAFE;
}

static enum change_result refuse(char why[CHANGE_WHY_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum change_result refuse(char why[CHANGE_WHY_SIZE], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, CHANGE_WHY_SIZE, format, arguments);
    va_end(arguments);
    return CHANGE_REFUSED;
}

/* Make CHANGE inside VHOST, by WORK, with the change; result says what came of it. A vhost that is being
 * deleted takes nothing more: what it would keep might outlast it. */
static enum change_result make_inside(struct change *change, struct bytes vhost,
                                      void (*work)(struct vhost *vhost, void *argument))
{
    change->target = server_definitions_target(change->server);
    change->result = CHANGE_MADE;
    switch (visit_vhost(change->server, vhost, work, change)) {
    case VISIT_NO_VHOST:
        return CHANGE_NO_VHOST;
    case VISIT_STOPPING:
        return CHANGE_STOPPING;
    case VISIT_DONE:
        break;
    }
    return change->result == CHANGE_MADE ? settled(change->server) : change->result;
}

/* ---- users ---- */

/* What is kept follows what is stored: one at a time, each looking again. */
static void keep_user_now(struct server *server, struct bytes name)
{
    struct definitions_target target = server_definitions_target(server);

    pthread_mutex_lock(&server->change_lock);
    govern_keep_user(&target, name);
    pthread_mutex_unlock(&server->change_lock);
}

static void tell_put_user(struct server *server, const struct user_spec *spec, bool is_new)
{
    bool has_password = spec->password.data || spec->password_hash.size;
    struct buffer tags = {0};
    struct bytes text;

    if (is_new)
        tell_user(server, "user.created", spec->name, CHANGE_MADE);
    else
        tell_user(server, has_password ? "user.password.changed" : "user.password.cleared", spec->name,
                  CHANGE_MADE);
    for (size_t i = 0; i < spec->tag_count; i++) {
        buffer_append(&tags, ",", i > 0);
        buffer_append_bytes(&tags, spec->tags[i]);
    }
    text = buffer_bytes(&tags);
    events_tell(server, "user.tags.set", "name", &spec->name, "tags", &text, BY_ASKER);
    buffer_free(&tags);
}

enum change_result changes_put_user(struct server *server, const struct user_spec *spec,
                                    char why[CHANGE_WHY_SIZE])
{
    uint32_t most = server->config->name_size_max;
    bool is_new = !users_has(server->users, spec->name);
    enum change_result result;

    if (spec->name.size > most)
        return refuse(why, "a user name should be at most %u octets long", most);
    if (!users_put(server->users, spec, why, CHANGE_WHY_SIZE))
        return CHANGE_REFUSED;
    keep_user_now(server, spec->name);
    result = settled(server);
    if (result == CHANGE_MADE)
        tell_put_user(server, spec, is_new);
    return result;
}

enum change_result changes_set_user_limit(struct server *server, struct bytes name, enum user_limit limit,
                                          int64_t most)
{
    if (!users_set_limit(server->users, name, limit, most))
        return CHANGE_NO_USER;
    keep_user_now(server, name);
    return settled(server);
}

static void remove_user(struct vhost *vhost, void *argument)
{
    const struct change *change = argument;

    govern_remove_user(&change->target, vhost, change->user);
}

enum change_result changes_remove_user(struct server *server, struct bytes name)
{
    struct change change = {.server = server, .target = server_definitions_target(server), .user = name};

    if (!users_remove(server->users, name))
        return CHANGE_NO_USER;
    visit_vhosts(server, remove_user, &change);
    keep_user_now(server, name);
    return tell_user(server, "user.deleted", name, settled(server));
}

/* ---- rights ---- */

static enum change_result check_pattern(const char *name, struct bytes pattern, char why[CHANGE_WHY_SIZE])
{
    char reason[128];

    if (permission_pattern_is_valid(pattern, reason, sizeof reason))
        return CHANGE_MADE;
    return refuse(why, "%s is no valid pattern: %s", name, reason);
}

static enum change_result check_patterns(const struct change *change, char why[CHANGE_WHY_SIZE])
{
    enum change_result result = check_pattern("configure", change->configure, why);

    if (result == CHANGE_MADE)
        result = check_pattern("write", change->write, why);
    return result == CHANGE_MADE ? check_pattern("read", change->read, why) : result;
}

/* A user who is removed meanwhile gets nothing: the removal comes behind this, or has been here already. */
static void set_permission(struct vhost *vhost, void *argument)
{
    struct change *change = argument;

    if (users_has(change->server->users, change->user))
        govern_set_permission(&change->target, vhost, change->user, change->configure, change->write,
                              change->read);
    else
        change->result = CHANGE_NO_USER;
}

enum change_result changes_set_permission(struct server *server, struct bytes vhost, struct bytes user,
                                          struct bytes configure, struct bytes write, struct bytes read,
                                          char why[CHANGE_WHY_SIZE])
{
    struct change change = {
        .server = server, .user = user, .configure = configure, .write = write, .read = read};
    enum change_result result = check_patterns(&change, why);

    if (result == CHANGE_MADE)
        result = make_inside(&change, vhost, set_permission);
    if (result == CHANGE_MADE)
        events_tell(server, "permission.created", "user", &user, "vhost", &vhost, "configure", &configure,
                    "write", &write, "read", &read, BY_ASKER);
    return result;
}

static void clear_permission(struct vhost *vhost, void *argument)
{
    struct change *change = argument;

    if (vhost_has_permission(vhost, change->user))
        govern_clear_permission(&change->target, vhost, change->user);
    else
        change->result = CHANGE_MISSING;
}

enum change_result changes_clear_permission(struct server *server, struct bytes vhost, struct bytes user)
{
    struct change change = {.server = server, .user = user};

    enum change_result result = make_inside(&change, vhost, clear_permission);

    if (result == CHANGE_MADE)
        events_tell(server, "permission.deleted", "user", &user, "vhost", &vhost, BY_ASKER);
    return result;
}

static void set_topic_permission(struct vhost *vhost, void *argument)
{
    struct change *change = argument;

    if (users_has(change->server->users, change->user))
        govern_set_topic_permission(&change->target, vhost, change->user, change->exchange, change->write,
                                    change->read);
    else
        change->result = CHANGE_NO_USER;
}

enum change_result changes_set_topic_permission(struct server *server, struct bytes vhost, struct bytes user,
                                                struct bytes exchange, struct bytes write, struct bytes read,
                                                char why[CHANGE_WHY_SIZE])
{
    struct change change = {
        .server = server, .user = user, .exchange = exchange, .write = write, .read = read};
    enum change_result result = check_patterns(&change, why);

    if (result == CHANGE_MADE)
        result = make_inside(&change, vhost, set_topic_permission);
    if (result == CHANGE_MADE)
        events_tell(server, "topic.permission.created", "user", &user, "vhost", &vhost, "exchange", &exchange,
                    "write", &write, "read", &read, BY_ASKER);
    return result;
}

/* The first exchange for which there is one, of those that are meant. */
struct first_topic {
    struct bytes wanted, found;
};

static void note_topic(void *context, struct bytes exchange)
{
    struct first_topic *first = context;

    if (!first->found.data && (!first->wanted.data || bytes_equal(exchange, first->wanted)))
        first->found = exchange;
}

static void clear_topic_permissions(struct vhost *vhost, void *argument)
{
    struct change *change = argument;

    change->result = CHANGE_MISSING;
    for (;;) {
        struct first_topic first = {.wanted = change->exchange};
        uint8_t octets[SHORTSTR_MAX];

        vhost_each_topic_permission(vhost, change->user, note_topic, &first);
        if (!first.found.data || first.found.size > sizeof octets)
            return;
        put_bytes(octets, first.found); /* it goes with what is cleared */
        govern_clear_topic_permission(&change->target, vhost, change->user,
                                      (struct bytes){octets, first.found.size});
        change->result = CHANGE_MADE;
    }
}

enum change_result changes_clear_topic_permission(struct server *server, struct bytes vhost,
                                                  struct bytes user, struct bytes exchange)
{
    struct change change = {.server = server, .user = user, .exchange = exchange};

    enum change_result result = make_inside(&change, vhost, clear_topic_permissions);

    if (result == CHANGE_MADE)
        events_tell(server, "topic.permission.deleted", "user", &user, "vhost", &vhost, BY_ASKER);
    return result;
}

/* ---- limits ---- */

static void set_limits(struct vhost *vhost, void *argument)
{
    const struct change *change = argument;

    govern_set_vhost_limits(&change->target, vhost, change->connections_max, change->queues_max);
}

static enum change_result tell_limits(const struct change *change, struct bytes vhost,
                                      enum change_result result)
{
    bool are_some = change->connections_max >= 0 || change->queues_max >= 0;

    return tell_user(change->server, are_some ? "vhost.limits.set" : "vhost.limits.cleared", vhost, result);
}

enum change_result changes_set_vhost_limits(struct server *server, struct bytes vhost,
                                            int64_t connections_max, int64_t queues_max)
{
    struct change change = {.server = server, .connections_max = connections_max, .queues_max = queues_max};

    return tell_limits(&change, vhost, make_inside(&change, vhost, set_limits));
}

static void set_limit(struct vhost *vhost, void *argument)
{
    struct change *change = argument;
    struct survey_vhost now;

    survey_vhost(vhost, &now);
    if (change->limit == VHOST_LIMIT_CONNECTIONS)
        change->queues_max = now.queues_max;
    else
        change->connections_max = now.connections_max;
    set_limits(vhost, change);
}

enum change_result changes_set_vhost_limit(struct server *server, struct bytes vhost, enum vhost_limit limit,
                                           int64_t most)
{
    struct change change = {.server = server, .limit = limit, .connections_max = most, .queues_max = most};

    return tell_limits(&change, vhost, make_inside(&change, vhost, set_limit));
}

/* ---- policies ---- */

static struct bytes kind_of(enum policy_origin origin)
{
    return origin == POLICY_OPERATOR ? BYTES_LITERAL("operator_policy") : BYTES_LITERAL("policy");
}

static void put_policy(struct vhost *vhost, void *argument)
{
    struct change *change = argument;

    if (!govern_set_policy(&change->target, vhost, change->origin, change->name, change->value, change->why))
        change->result = CHANGE_REFUSED;
}

enum change_result changes_put_policy(struct server *server, enum policy_origin origin, struct bytes vhost,
                                      struct bytes name, const json_t *value, char why[CHANGE_WHY_SIZE])
{
    struct change change = {.server = server, .origin = origin, .name = name, .value = value, .why = why};

    return tell_of(server, "policy.set", "kind", kind_of(origin), vhost, name,
                   make_inside(&change, vhost, put_policy));
}

static void remove_policy(struct vhost *vhost, void *argument)
{
    struct change *change = argument;

    if (!govern_clear_policy(&change->target, vhost, change->origin, change->name))
        change->result = CHANGE_MISSING;
}

enum change_result changes_remove_policy(struct server *server, enum policy_origin origin, struct bytes vhost,
                                         struct bytes name)
{
    struct change change = {.server = server, .origin = origin, .name = name};

    return tell_of(server, "policy.cleared", "kind", kind_of(origin), vhost, name,
                   make_inside(&change, vhost, remove_policy));
}

/* ---- parameters ---- */

struct parameters *node_parameters(struct server *server)
{
    return server->parameters;
}

static enum change_result set_global(struct server *server, struct bytes name, const json_t *value,
                                     char why[CHANGE_WHY_SIZE])
{
    struct definitions_target target = server_definitions_target(server);

    if (bytes_equal_string(name, "cluster_name") &&
        (!json_is_string(value) || json_string_length(value) > SHORTSTR_MAX))
        return refuse(why, "the name should be a string of at most %d octets", SHORTSTR_MAX);
    pthread_mutex_lock(&server->change_lock);
    govern_set_parameter(&target, (struct bytes){NULL, 0}, (struct bytes){NULL, 0}, name, value);
    pthread_mutex_unlock(&server->change_lock);
    return tell_user(server, "parameter.set", name, settled(server));
}

enum change_result changes_set_parameter(struct server *server, struct bytes component, struct bytes vhost,
                                         struct bytes name, const json_t *value, char why[CHANGE_WHY_SIZE])
{
    struct definitions_target target = server_definitions_target(server);
    bool is_there;

    if (!component.size)
        return set_global(server, name, value, why);
    if (!server_find_vhost(server, vhost))
        return CHANGE_NO_VHOST;
    if (!parameters_check(server->parameters, component, vhost, name, value, why))
        return CHANGE_REFUSED;
    pthread_mutex_lock(&server->change_lock);
    is_there = server_find_vhost(server, vhost) != NULL; /* else its parameters may be cleared already */
    if (is_there)
        govern_set_parameter(&target, component, vhost, name, value);
    pthread_mutex_unlock(&server->change_lock);
    if (!is_there)
        return CHANGE_NO_VHOST;
    return tell_of(server, "parameter.set", "component", component, vhost, name, settled(server));
}

enum change_result changes_remove_parameter(struct server *server, struct bytes component, struct bytes vhost,
                                            struct bytes name)
{
    struct definitions_target target = server_definitions_target(server);
    bool removed;

    pthread_mutex_lock(&server->change_lock);
    removed = govern_clear_parameter(&target, component, vhost, name);
    pthread_mutex_unlock(&server->change_lock);
    if (!removed)
        return CHANGE_MISSING;
    if (!component.size)
        return tell_user(server, "parameter.cleared", name, settled(server));
    return tell_of(server, "parameter.cleared", "component", component, vhost, name, settled(server));
}

/* ---- all of it ---- */

static struct vhost *find_vhost(void *context, struct bytes name)
{
    struct runner *runner = server_find_vhost(context, name);

    return runner ? runner->vhost : NULL;
}

static struct vhost *make_vhost(void *context, struct bytes name)
{
    vhosts_make(context, name);
    return find_vhost(context, name);
}

static bool inside(void *context, struct bytes name, void (*work)(struct vhost *vhost, void *argument),
                   void *argument)
{
    return visit_vhost(context, name, work, argument) == VISIT_DONE;
}

static void keep(void *context, struct bytes section, struct bytes vhost, struct bytes name,
                 struct bytes json)
{
    struct definitions_target target = server_definitions_target(context);

    if (bytes_equal_string(section, "users"))
        keep_user_now(context, name);
    else
        target.keep(target.context, section, vhost, name, json);
}

enum change_result changes_import(struct server *server, json_t *root, struct bytes vhost,
                                  char why[CHANGE_WHY_SIZE])
{
    struct definitions_target target = server_definitions_target(server);
    struct definitions_result result = {0};
    bool done;

    target.find_vhost = find_vhost;
    target.make_vhost = make_vhost;
    target.inside = inside;
    target.keep = keep;
    done = definitions_import_json(&target, root, vhost, &result, why);
    free(result.cluster_name);
    if (!done)
        return atomic_load(&server->is_stopping) ? CHANGE_STOPPING : CHANGE_REFUSED;
    log_info("definitions imported: %zu users, %zu vhosts, %zu exchanges, %zu queues, %zu bindings",
             result.users, result.vhosts, result.exchanges, result.queues, result.bindings);
    return changes_settle(server) ? CHANGE_MADE : CHANGE_NOT_SAFE;
}
