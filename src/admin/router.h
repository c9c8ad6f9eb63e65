/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which function answers which path: a table, each path once, with a handler for each verb and what the asker
 * must be. A handler is called on a worker with everything checked that the table says; it answers by one of
 * the replies of request.h.
 */
#ifndef ADMIN_ROUTER_H
#define ADMIN_ROUTER_H

#include "admin/http/request.h"

/* What the asker must be (management-http-api.md 1.6, 2). */
enum access {
    ACCESS_OPEN,        /* anybody, without a login */
    ACCESS_ANY,         /* has a tag that lets into the API */
    ACCESS_VHOST,       /* has rights in the vhost of the path, or is an administrator */
    ACCESS_VHOST_SEEN,  /* the same, or is monitoring */
    ACCESS_VHOST_ANY,   /* has a tag that lets into the API; the vhost of the path is there */
    ACCESS_MONITOR,     /* monitoring or administrator */
    ACCESS_POLICYMAKER, /* policymaker with rights in the vhost of the path, or administrator */
    ACCESS_GLOBAL_POLICYMAKER,
    ACCESS_ADMINISTRATOR,
};

struct handler {
    void (*run)(struct request *request);
    enum access access;
};

/* A path below /api: words, ":name" for any segment, ":vhost" for one that names a vhost, which must be there
 * unless the verb is PUT. */
struct route {
    const char *path;
    struct handler handlers[VERB_COUNT];
};

/* Each resource's file has a table, ended by a NULL path. */
extern const struct route routes_bindings[], routes_browse[], routes_channels[], routes_coney[],
    routes_connections[], routes_definitions[], routes_exchanges[], routes_health[], routes_limits[],
    routes_messages[], routes_nodes[], routes_overview[], routes_parameters[], routes_permissions[],
    routes_policies[], routes_queues[], routes_shovels[], routes_tail[], routes_users[], routes_vhosts[];

/* A worker: find the handler for REQUEST, check who asks, and run it. */
void router_run(struct request *request);

#endif
