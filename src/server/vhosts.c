/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coney/vhosts.h. A deleted vhost stays as an empty one that nobody finds (runner->is_gone), since loops and
 * sessions know its runner, and so that its journal's number is never another's; made again it is found
 * again. In the data directory its entry says so, from before it is emptied: an end in between is made good
 * at the next start. It is gone in a turn of its own: visits come before that, or not any more.
 */
#include "vhosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "coney/definitions.h"
#include "coney/events.h"
#include "coney/govern.h"
#include "coney/log.h"
#include "coney/queue_options.h"
#include "coney/survey.h"
#include "coney/vhost.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "event_mail.h"
#include "runner.h"
#include "server.h"
#include "storage.h"
#include "visit.h"

#define EMPTY_SLICE 500 /* things deleted in one visit */

#define DELETED_MEMBER "deleted"

/* ---- entries ---- */

static json_t *text_of(struct bytes text)
{
    return json_stringn((const char *)text.data, text.size);
}

static json_t *entry_of(const struct runner *runner)
{
    json_t *entry = runner->entry ? json_loads(runner->entry, 0, NULL) : json_object();

    json_object_set_new(entry, "name", text_of(vhost_name(runner->vhost)));
    return entry;
}

void vhosts_note_entry(struct server *server, struct bytes name, struct bytes json)
{
    struct runner *runner = vhosts_find(server, name, true);
    json_t *entry = json_loadb((const char *)json.data, json.size, 0, NULL);

    if (!runner || !json_is_object(entry)) {
        json_decref(entry);
        return;
    }
    pthread_mutex_lock(&server->lock);
    free(runner->entry);
    runner->entry = xstrndup(json.data, json.size);
    pthread_mutex_unlock(&server->lock);
    if (server->opening)
        atomic_store(&runner->is_gone, json_is_true(json_object_get(entry, DELETED_MEMBER)));
    json_decref(entry);
}

static void keep(struct server *server, struct bytes name, const json_t *entry)
{
    char *json = json_dumps(entry, JSON_COMPACT);

    if (!json)
        abort();
    vhosts_note_entry(server, name, bytes_from_string(json));
    storage_keep(server, BYTES_LITERAL("vhosts"), (struct bytes){NULL, 0}, name, bytes_from_string(json));
    free(json);
}

json_t *vhosts_entry(struct server *server, struct bytes name)
{
    struct runner *runner = vhosts_find(server, name, false);
    json_t *entry;

    if (!runner)
        return NULL;
    pthread_mutex_lock(&server->lock);
    entry = entry_of(runner);
    pthread_mutex_unlock(&server->lock);
    return entry;
}

/* ---- the directory ---- */

struct runner *vhosts_find(struct server *server, struct bytes name, bool gone_too)
{
    struct runner *runner;

    pthread_mutex_lock(&server->lock);
    LL_FOREACH (server->runners, runner) {
        if ((gone_too || !atomic_load(&runner->is_gone)) && bytes_equal(vhost_name(runner->vhost), name))
            break;
    }
    pthread_mutex_unlock(&server->lock);
    return runner;
}

struct runner *vhosts_revive(struct server *server, struct bytes name)
{
    struct runner *runner = vhosts_find(server, name, true);

    if (runner)
        atomic_store(&runner->is_gone, false);
    return runner;
}

/* ---- deleting ---- */

void vhosts_opened(struct server *server)
{
    struct definitions_target target = server_definitions_target(server);
    struct runner *runner;

    LL_FOREACH (server->runners, runner) {
        json_t *entry = entry_of(runner);

        if (atomic_load(&runner->is_gone)) {
            govern_clear_vhost(&target, runner->vhost);
            govern_clear_parameters(&target, vhost_name(runner->vhost));
            vhost_empty(runner->vhost, UINT32_MAX);
        }
        govern_forget_strangers(&target, runner->vhost);
        vhost_set_tracing(runner->vhost, json_is_true(json_object_get(entry, "tracing")));
        json_decref(entry);
    }
}

struct emptying {
    struct runner *runner;
    bool is_empty;
};

static void close_clients(struct vhost *vhost)
{
    char text[300];

    snprintf(text, sizeof text, "vhost '%.*s' is deleted", BYTES_ARG(vhost_name(vhost)));
    survey_close(vhost);
    vhost_close_connections(vhost, (struct bytes){NULL, 0}, text);
}

static void begin_emptying(struct vhost *vhost, void *argument)
{
    struct runner *runner = ((struct emptying *)argument)->runner;
    struct definitions_target target = server_definitions_target(runner->server);
    json_t *entry = json_pack("{s:o,s:b}", "name", text_of(vhost_name(vhost)), DELETED_MEMBER, 1);

    keep(runner->server, vhost_name(vhost), entry);
    json_decref(entry);
    atomic_store(&runner->is_gone, true);
    close_clients(vhost);
    govern_clear_vhost(&target, vhost);
}

static void clear_parameters(struct server *server, struct bytes vhost)
{
    struct definitions_target target = server_definitions_target(server);

    pthread_mutex_lock(&server->change_lock);
    govern_clear_parameters(&target, vhost);
    pthread_mutex_unlock(&server->change_lock);
}

/* Who had found the vhost before it was gone may come in later; nobody does once it is empty, as nobody has
 * rights in it then. */
static void empty_slice(struct vhost *vhost, void *argument)
{
    struct emptying *emptying = argument;

    close_clients(vhost);
    emptying->is_empty = vhost_empty(vhost, EMPTY_SLICE);
}

static enum vhosts_result delete_alone(struct server *server, struct bytes name)
{
    struct runner *runner = vhosts_find(server, name, false);
    struct emptying emptying = {.runner = runner};
    json_t *entry;

    if (!runner)
        return VHOSTS_MISSING;
    entry = vhosts_entry(server, name);
    if (json_is_true(json_object_get(entry, "protected_from_deletion"))) {
        json_decref(entry);
        return VHOSTS_PROTECTED;
    }
    json_decref(entry);
    if (visit_runner(runner, begin_emptying, &emptying) != VISIT_DONE)
        return VHOSTS_STOPPING;
    clear_parameters(server, name);
    while (!emptying.is_empty)
        if (visit_runner(runner, empty_slice, &emptying) != VISIT_DONE)
            return VHOSTS_STOPPING;
    log_info("vhost '%.*s' is deleted", BYTES_ARG(name));
    events_tell(server, "vhost.deleted", "name", &name, EVENTS_END);
    return VHOSTS_DELETED;
}

/* What is done must last. Others need not wait for that. */
static enum vhosts_result settled(struct server *server, enum vhosts_result result)
{
    bool is_done = result == VHOSTS_MADE || result == VHOSTS_CHANGED || result == VHOSTS_DELETED;

    return is_done && !storage_sync(server) ? VHOSTS_NOT_SAFE : result;
}

enum vhosts_result vhosts_delete(struct server *server, struct bytes name)
{
    enum vhosts_result result;

    pthread_mutex_lock(&server->vhosts_lock);
    result = delete_alone(server, name);
    pthread_mutex_unlock(&server->vhosts_lock);
    return settled(server, result);
}

/* ---- making and changing ---- */

struct making {
    struct server *server;
    struct bytes name;
    struct vhost *made;
};

/* Only the first loop adds to the directory. */
static void make(struct loop *loop, void *argument)
{
    struct making *making = argument;
    struct definitions_target target = server_definitions_target(making->server);

    (void)loop;
    making->made = target.make_vhost(target.context, making->name);
}

/* What of an entry acts inside the vhost. */
struct inner {
    bool sets_type, sets_tracing;
    enum queue_type type;
    bool tracing;
};

static void change_inner(struct vhost *vhost, void *argument)
{
    const struct inner *inner = argument;

    if (inner->sets_type)
        vhost_set_default_queue_type(vhost, inner->type);
    if (inner->sets_tracing)
        vhost_set_tracing(vhost, inner->tracing);
}

/* One that is new may have been deleted before: what ENTRY does not say is then as in any new one. */
static void change_inside(struct server *server, struct bytes name, const json_t *entry, bool is_new)
{
    const json_t *tracing = json_object_get(entry, "tracing");
    const char *type = json_string_value(json_object_get(entry, "default_queue_type"));
    struct inner inner = {.sets_tracing = is_new || json_is_boolean(tracing),
                          .tracing = json_is_true(tracing),
                          .type = atomic_load(&server->config)->default_queue_type};

    inner.sets_type = (type && queue_type_from_name(bytes_from_string(type), &inner.type)) || is_new;
    visit_vhost(server, name, change_inner, &inner);
}

static void merge(struct server *server, struct bytes name, const json_t *changes)
{
    json_t *entry = vhosts_entry(server, name), *copy = json_copy((json_t *)(uintptr_t)changes);

    json_object_update(entry, copy);
    json_object_set_new(entry, "name", text_of(name));
    json_object_del(entry, DELETED_MEMBER);
    keep(server, name, entry);
    json_decref(copy);
    json_decref(entry);
}

struct grant {
    struct server *server;
    struct bytes user;
};

static void grant_everything(struct vhost *vhost, void *argument)
{
    const struct grant *grant = argument;
    struct definitions_target target = server_definitions_target(grant->server);
    struct bytes all = BYTES_LITERAL(".*");

    govern_set_permission(&target, vhost, grant->user, all, all, all);
}

static void grant(struct server *server, struct bytes name, struct bytes user)
{
    struct grant grant = {server, user};

    visit_vhost(server, name, grant_everything, &grant);
}

static enum vhosts_result put_alone(struct server *server, struct bytes name, const json_t *entry,
                                    struct bytes maker)
{
    struct making making = {.server = server, .name = name};
    bool is_new = !vhosts_find(server, name, false);

    if (is_new && visit_loop(server, 0, make, &making) != VISIT_DONE)
        return VHOSTS_STOPPING;
    if (is_new && !making.made)
        return VHOSTS_FULL;
    change_inside(server, name, entry, is_new);
    merge(server, name, entry);
    if (is_new && maker.size)
        grant(server, name, maker);
    if (is_new) {
        log_info("vhost '%.*s' is made", BYTES_ARG(name));
        events_tell(server, "vhost.created", "name", &name, EVENTS_END);
    }
    return is_new ? VHOSTS_MADE : VHOSTS_CHANGED;
}

static enum vhosts_result put(struct server *server, struct bytes name, const json_t *entry,
                              struct bytes maker)
{
    enum vhosts_result result;

    pthread_mutex_lock(&server->vhosts_lock);
    result = put_alone(server, name, entry, maker);
    pthread_mutex_unlock(&server->vhosts_lock);
    return result;
}

enum vhosts_result vhosts_put(struct server *server, struct bytes name, const json_t *entry,
                              struct bytes maker)
{
    return settled(server, put(server, name, entry, maker));
}

void vhosts_make(struct server *server, struct bytes name)
{
    json_t *entry = json_object();

    put(server, name, entry, (struct bytes){NULL, 0});
    json_decref(entry);
}
