/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import of RabbitMQ's definitions.json: users with their hashes, vhosts, permissions, policies, parameters
 * and topology (management-http-api.md section 4).
 *
 * Strict about shape: what cannot be understood is an error that says where it stands, and so is what coney
 * does not have (a stream queue, an exchange type of a plugin): a broker that silently lacks part of its
 * topology loses messages. Lenient where RabbitMQ is: unknown keys are ignored; an exchange or queue that is
 * there already with other properties is kept, a binding from or to something that is missing is skipped,
 * parameters of components that do not exist are skipped; each with a warning.
 */
#ifndef CONEY_DEFINITIONS_H
#define CONEY_DEFINITIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "coney/bytes.h"

struct parameters;
struct users;
struct vhost;

/* Room for a reason: where and what. */
#define DEFINITIONS_WHY_SIZE 512

/* Where it all goes. The calls into vhosts must be allowed while an import runs: before vhosts are shared, or
 * inside them. */
struct definitions_target {
    struct users *users;
    struct parameters *parameters; /* NULL: there are no components, and global ones are kept only */
    /* The vhost called NAME; NULL when there is none. */
    struct vhost *(*find_vhost)(void *context, struct bytes name);
    /* A new vhost called NAME, which is not there yet; NULL when it cannot be made. */
    struct vhost *(*make_vhost)(void *context, struct bytes name);
    /* NULL where that is allowed everywhere. Otherwise what find_vhost and make_vhost return is only looked
     * at for being there, and WORK is called inside the vhost called NAME: some dozens of entries at a time.
     * False: there is none. */
    bool (*inside)(void *context, struct bytes name, void (*work)(struct vhost *vhost, void *argument),
                   void *argument);
    /* Something was skipped: one line without a newline. */
    void (*warn)(void *context, const char *text);
    /* NULL, or whoever makes it last. NAME in VHOST of SECTION is from now on what JSON says, to be given to
     * definitions_import_entry() later: an entry of users, vhosts, permissions, topic_permissions,
     * parameters, global_parameters or policies. One thing has one key, so the last JSON of a key is all that
     * counts:
     *
     *     users               NAME is the user, VHOST empty; JSON has a hash, never a password
     *     vhosts              NAME is the vhost, VHOST empty; its limits are not in here
     *     permissions         NAME is the user
     *     topic_permissions   NAME is the user, a newline, the exchange
     *     parameters          NAME is the component, a newline, the name; a vhost's limits are
     *                         "vhost-limits\nlimits" wherever they were set
     *     global_parameters   VHOST empty
     *     policies
     *
     * Empty JSON: it is gone (govern.h). What was skipped, and a vhost that was there already and to which
     * nothing is new, is not kept. Everything is borrowed during the call. */
    void (*keep)(void *context, struct bytes section, struct bytes vhost, struct bytes name,
                 struct bytes json);
    void *context;
};

/* What was in it. */
struct definitions_result {
    size_t users; /* when there are any, the default user is not made */
    size_t vhosts;
    size_t exchanges;
    size_t queues;
    size_t bindings;
    char *cluster_name; /* of the global parameters; NULL: none. The caller frees it */
};

/* Import the SIZE octets of JSON at TEXT. False, with a reason in WHY, at the first thing that is wrong; what
 * came before it has been imported. */
bool definitions_import(const struct definitions_target *target, const char *text, size_t size,
                        struct definitions_result *result, char why[DEFINITIONS_WHY_SIZE]);

/* The same with JSON that was parsed. VHOST empty: all of it; otherwise what a vhost's export has, all of
 * which goes there, whatever vhost it names. ROOT is changed. */
struct json_t;
bool definitions_import_json(const struct definitions_target *target, struct json_t *root, struct bytes vhost,
                             struct definitions_result *result, char why[DEFINITIONS_WHY_SIZE]);

/* Import one entry of SECTION that was kept; keep is not called. Vhosts must come before what names
 * them, otherwise any order does; rights of users who are not there in the end are govern_forget_strangers()'
 * to remove. RESULT is added to, not cleared; its cluster name is the caller's to free in any case. False,
 * with a reason in WHY, when it is wrong or SECTION is none whose entries are kept. */
bool definitions_import_entry(const struct definitions_target *target, struct bytes section,
                              struct bytes json, struct definitions_result *result,
                              char why[DEFINITIONS_WHY_SIZE]);

/* Import the file PATH; a reason begins with PATH, and with line and column when it is no JSON. */
bool definitions_load(const struct definitions_target *target, const char *path,
                      struct definitions_result *result, char why[DEFINITIONS_WHY_SIZE]);

#endif
