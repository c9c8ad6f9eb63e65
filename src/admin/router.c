/* SPDX-License-Identifier: Apache-2.0 */
/* router.h. */
#include "router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "admin/http/http.h"
#include "admin/http/origin.h"
#include "admin/metrics/metrics.h"
#include "admin/stats/stats.h"
#include "admin/web/page.h"
#include "admin_fields.h"
#include "coney/changes.h"

static const struct route *const tables[] = {
    routes_bindings,    routes_browse,    routes_channels,   routes_coney,       routes_connections,
    routes_definitions, routes_exchanges, routes_health,     routes_limits,      routes_messages,
    routes_nodes,       routes_overview,  routes_parameters, routes_permissions, routes_policies,
    routes_queues,      routes_shovels,   routes_tail,       routes_users,       routes_vhosts};

/* Whether PATH is that of REQUEST below /api; *VHOST is then the segment of a ":vhost", 0 without one. */
static bool path_matches(const char *path, const struct request *request, unsigned *vhost)
{
    unsigned at = 1;

    *vhost = 0;
    while (*path) {
        size_t size = strcspn(path, "/");

        if (at >= request->segment_count)
            return false;
        if (*path != ':' &&
            !bytes_equal(request_segment(request, at), (struct bytes){(const uint8_t *)path, size}))
            return false;
        if (*path == ':' && !request->sizes[at])
            return false;
        if (size == 6 && strncmp(path, ":vhost", 6) == 0)
            *vhost = at;
        path += size;
        path += *path == '/';
        at++;
    }
    return at == request->segment_count;
}

static const struct route *find_route(const struct request *request, unsigned *vhost)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const struct route *route = tables[i]; route->path; route++) {
            if (path_matches(route->path, request, vhost))
                return route;
        }
    }
    return NULL;
}

static void tell_verbs(struct request *request, const struct route *route)
{
    static const char *const names[VERB_COUNT] = {"HEAD, GET", "PUT", "POST", "DELETE", "OPTIONS"};
    char allow[64] = "";
    size_t size = 0;

    for (int verb = 0; verb < VERB_COUNT; verb++) {
        if (!route->handlers[verb].run && verb != VERB_OPTIONS)
            continue;
        size += (size_t)snprintf(allow + size, sizeof allow - size, "%s%s", size ? ", " : "", names[verb]);
    }
    reply_header(request, "allow", allow);
    reply_empty(request, 200);
}

/* An empty last segment asks for the same as without it. */
static void drop_empty_end(struct request *request)
{
    while (request->segment_count > 1 && !request->sizes[request->segment_count - 1]) {
        request->segment_count--;
        free(request->segments[request->segment_count]);
        request->segments[request->segment_count] = NULL;
    }
}

static void run_route(struct request *request, const struct route *route, unsigned vhost)
{
    const struct handler *handler = &route->handlers[request->verb];
    bool may_be_new = request->verb == VERB_PUT && vhost && vhost + 1 == request->segment_count;
    struct bytes name = {NULL, 0};

    if (request->verb == VERB_OPTIONS) {
        tell_verbs(request, route);
        return;
    }
    if (!handler->run) {
        reply_empty(request, 405);
        return;
    }
    if (vhost && !may_be_new)
        name = request_segment(request, vhost);
    if (handler->access != ACCESS_OPEN &&
        (!access_login(request) || !access_check(request, handler->access, name)))
        return;
    if (request->verb == VERB_GET && !stats_ranges_are_right(request))
        return;
    changes_ask_as(request->user.name);
    handler->run(request);
    changes_ask_as((struct bytes){NULL, 0});
}

static void add_common_headers(struct request *request)
{
    reply_header(request, "cache-control", "no-cache");
    reply_header(request, "vary", "accept, accept-encoding, origin");
}

void router_run(struct request *request)
{
    const struct route *route;
    unsigned vhost;

    if (request->status)
        return; /* it was not understood */
    reply_header(request, "x-content-type-options", "nosniff");
    if (http_kind(request) == HTTP_METRICS) {
        metrics_run(request);
        return;
    }
    if (!origin_check(request))
        return;
    if (metrics_is_asked(request)) {
        metrics_run_logged_in(request);
        return;
    }
    if (!bytes_equal_string(request_segment(request, 0), "api")) {
        page_answer(request);
        return;
    }
    add_common_headers(request);
    drop_empty_end(request);
    route = find_route(request, &vhost);
    if (route)
        run_route(request, route, vhost);
    else
        reply_not_found(request);
}
