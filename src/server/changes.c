/* SPDX-License-Identifier: Apache-2.0 */
/* changes.h: a change owns what it needs, and is freed by whoever does the last of it. */
#include "changes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "coney/govern.h"
#include "coney/permission.h"
#include "coney/users.h"
#include "coney/xalloc.h"
#include "loop.h"
#include "mail.h"
#include "runner.h"
#include "server.h"

#define TEXTS 5 /* user, exchange, and up to three patterns */

enum { USER, EXCHANGE, CONFIGURE, WRITE, READ };

struct change {
    struct mail mail;
    struct server *server;
    struct runner *runner; /* whose vhost it is for; NULL: all */
    void (*make)(struct change *change, const struct definitions_target *target, struct vhost *vhost);
    void (*finish)(struct change *change,
                   const struct definitions_target *target); /* NULL, or after the last */
    struct change_done done;
    _Atomic unsigned left; /* vhosts that it is still to be made in */
    int64_t connections_max, queues_max;
    struct bytes texts[TEXTS]; /* in octets */
    uint8_t octets[];
};

/* ---- making it ---- */

static void finish(struct change *change)
{
    struct definitions_target target = server_definitions_target(change->server);

    if (change->finish)
        change->finish(change, &target);
    if (change->done.call)
        change->done.call(change->done.argument);
    free(change);
}

static void make_in_vhost(struct vhost *vhost, void *argument)
{
    struct change *change = argument;
    struct definitions_target target = server_definitions_target(change->server);

    change->make(change, &target, vhost);
    if (atomic_fetch_sub(&change->left, 1) == 1)
        finish(change);
}

static void submit(struct change *change, struct runner *runner)
{
    struct loop *first = &change->server->loops[0];
    struct job *job = loop_job(first, BATCH_CALL);

    job->batch.call = make_in_vhost;
    job->batch.argument = change;
    runner_submit(runner, job, first);
}

/* Vhosts are made by the first loop alone, so the list stays as it is; the change itself may be gone with the
 * last submission. */
void changes_take(struct mail *mail)
{
    struct change *change = MAIL_OWNER(mail, struct change, mail);
    struct runner *runner = change->runner;
    unsigned count;

    if (runner) {
        atomic_store(&change->left, 1);
        submit(change, runner);
        return;
    }
    LL_COUNT(change->server->runners, runner, count);
    if (!count) {
        finish(change);
        return;
    }
    atomic_store(&change->left, count);
    runner = change->server->runners;
    for (unsigned i = 0; i < count; i++) {
        struct runner *next = runner->next;

        submit(change, runner);
        runner = next;
    }
}

/* ---- asking for it ---- */

static struct change *change_new(struct server *server, const struct bytes texts[TEXTS],
                                 struct change_done done)
{
    struct change *change;
    uint8_t *end;
    size_t size = 0;

    for (int i = 0; i < TEXTS; i++)
        size += texts[i].size;
    change = xcalloc(1, sizeof *change + size);
    end = change->octets;
    for (int i = 0; i < TEXTS; i++) {
        change->texts[i] = (struct bytes){end, texts[i].size};
        end = put_bytes(end, texts[i]);
    }
    change->mail.kind = MAIL_CHANGE;
    change->server = server;
    change->done = done;
    return change;
}

static enum change_result begin(struct change *change)
{
    struct loop *first = &change->server->loops[0];

    loop_post(first, &change->mail);
    loop_wake(first);
    return CHANGE_BEGUN;
}

static bool user_exists(struct server *server, struct bytes name)
{
    struct password_secret secret;

    return users_secret(server->users, name, &secret);
}

static enum change_result refuse_pattern(const char *name, const char *reason, char why[CHANGE_WHY_SIZE])
{
    snprintf(why, CHANGE_WHY_SIZE, "%s is no valid pattern: %s", name, reason);
    return CHANGE_REFUSED;
}

static enum change_result check_patterns(const struct bytes texts[TEXTS], char why[CHANGE_WHY_SIZE])
{
    static const char *const names[TEXTS] = {[CONFIGURE] = "configure", [WRITE] = "write", [READ] = "read"};
    char reason[128];

    for (int i = CONFIGURE; i < TEXTS; i++)
        if (!permission_pattern_is_valid(texts[i], reason, sizeof reason))
            return refuse_pattern(names[i], reason, why);
    return CHANGE_BEGUN;
}

/* A change of rights of a user who is there, in a vhost that is there. */
static enum change_result begin_in(struct server *server, struct bytes vhost, const struct bytes texts[TEXTS],
                                   void (*make)(struct change *change,
                                                const struct definitions_target *target, struct vhost *vhost),
                                   struct change_done done)
{
    struct runner *runner = server_find_vhost(server, vhost);
    struct change *change;

    if (!runner)
        return CHANGE_NO_VHOST;
    if (!user_exists(server, texts[USER]))
        return CHANGE_NO_USER;
    change = change_new(server, texts, done);
    change->runner = runner;
    change->make = make;
    return begin(change);
}

/* ---- users ---- */

/* What is kept follows what is stored: one at a time, each looking again. */
static void keep_user_now(struct server *server, const struct definitions_target *target, struct bytes name)
{
    pthread_mutex_lock(&server->lock);
    govern_keep_user(target, name);
    pthread_mutex_unlock(&server->lock);
}

enum change_result changes_put_user(struct server *server, const struct user_spec *spec,
                                    char why[CHANGE_WHY_SIZE])
{
    struct definitions_target target = server_definitions_target(server);
    uint32_t most = server->config->name_size_max;

    if (spec->name.size > most) {
        snprintf(why, CHANGE_WHY_SIZE, "a user name should be at most %u octets long", most);
        return CHANGE_REFUSED;
    }
    if (!users_put(server->users, spec, why, CHANGE_WHY_SIZE))
        return CHANGE_REFUSED;
    keep_user_now(server, &target, spec->name);
    return CHANGE_BEGUN;
}

static void remove_user(struct change *change, const struct definitions_target *target, struct vhost *vhost)
{
    govern_remove_user(target, vhost, change->texts[USER]);
}

static void user_is_removed(struct change *change, const struct definitions_target *target)
{
    keep_user_now(change->server, target, change->texts[USER]);
}

enum change_result changes_remove_user(struct server *server, struct bytes name, struct change_done done)
{
    struct change *change;

    if (!users_remove(server->users, name))
        return CHANGE_NO_USER;
    change = change_new(server, (const struct bytes[TEXTS]){[USER] = name}, done);
    change->make = remove_user;
    change->finish = user_is_removed;
    return begin(change);
}

/* ---- rights ---- */

static void set_permission(struct change *change, const struct definitions_target *target,
                           struct vhost *vhost)
{
    /* Removed meanwhile: the removal stands behind this, or has been here already. */
    if (user_exists(change->server, change->texts[USER]))
        govern_set_permission(target, vhost, change->texts[USER], change->texts[CONFIGURE],
                              change->texts[WRITE], change->texts[READ]);
}

enum change_result changes_set_permission(struct server *server, struct bytes vhost, struct bytes user,
                                          struct bytes configure, struct bytes write, struct bytes read,
                                          struct change_done done, char why[CHANGE_WHY_SIZE])
{
    const struct bytes texts[TEXTS] = {
        [USER] = user, [CONFIGURE] = configure, [WRITE] = write, [READ] = read};
    enum change_result result = check_patterns(texts, why);

    return result == CHANGE_BEGUN ? begin_in(server, vhost, texts, set_permission, done) : result;
}

static void clear_permission(struct change *change, const struct definitions_target *target,
                             struct vhost *vhost)
{
    govern_clear_permission(target, vhost, change->texts[USER]);
}

enum change_result changes_clear_permission(struct server *server, struct bytes vhost, struct bytes user,
                                            struct change_done done)
{
    return begin_in(server, vhost, (const struct bytes[TEXTS]){[USER] = user}, clear_permission, done);
}

static void set_topic_permission(struct change *change, const struct definitions_target *target,
                                 struct vhost *vhost)
{
    if (user_exists(change->server, change->texts[USER]))
        govern_set_topic_permission(target, vhost, change->texts[USER], change->texts[EXCHANGE],
                                    change->texts[WRITE], change->texts[READ]);
}

enum change_result changes_set_topic_permission(struct server *server, struct bytes vhost, struct bytes user,
                                                struct bytes exchange, struct bytes write, struct bytes read,
                                                struct change_done done, char why[CHANGE_WHY_SIZE])
{
    const struct bytes texts[TEXTS] = {[USER] = user, [EXCHANGE] = exchange, [WRITE] = write, [READ] = read};
    enum change_result result = check_patterns(texts, why);

    return result == CHANGE_BEGUN ? begin_in(server, vhost, texts, set_topic_permission, done) : result;
}

static void clear_topic_permission(struct change *change, const struct definitions_target *target,
                                   struct vhost *vhost)
{
    govern_clear_topic_permission(target, vhost, change->texts[USER], change->texts[EXCHANGE]);
}

enum change_result changes_clear_topic_permission(struct server *server, struct bytes vhost,
                                                  struct bytes user, struct bytes exchange,
                                                  struct change_done done)
{
    return begin_in(server, vhost, (const struct bytes[TEXTS]){[USER] = user, [EXCHANGE] = exchange},
                    clear_topic_permission, done);
}

/* ---- limits ---- */

static void set_limits(struct change *change, const struct definitions_target *target, struct vhost *vhost)
{
    govern_set_vhost_limits(target, vhost, change->connections_max, change->queues_max);
}

enum change_result changes_set_vhost_limits(struct server *server, struct bytes vhost,
                                            int64_t connections_max, int64_t queues_max,
                                            struct change_done done)
{
    struct runner *runner = server_find_vhost(server, vhost);
    struct change *change;

    if (!runner)
        return CHANGE_NO_VHOST;
    change = change_new(server, (const struct bytes[TEXTS]){{0}}, done);
    change->runner = runner;
    change->make = set_limits;
    change->connections_max = connections_max;
    change->queues_max = queues_max;
    return begin(change);
}
