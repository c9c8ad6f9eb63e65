/* SPDX-License-Identifier: Apache-2.0 */
/* origin.h. */
#include "origin.h"

#include <string.h>

#include "coney/config.h"
#include "coney/node_control.h"

#define PREFLIGHT_S "1728000" /* for which browsers remember, as RabbitMQ's */

static bool is_allowed(const struct request *request)
{
    const struct config *config = node_condition(request->server).config;
    const struct config_words *allowed = &config->management_cors_origins;

    for (size_t i = 0; i < allowed->count; i++)
        if (strcmp(allowed->words[i], "*") == 0 || strcmp(allowed->words[i], request->origin) == 0)
            return true;
    return false;
}

/* Whether the page came from here: https://HOST or http://HOST. */
static bool is_own(const struct request *request)
{
    const char *host = strstr(request->origin, "://");

    return host && request->host && strcmp(host + 3, request->host) == 0;
}

bool origin_check(struct request *request)
{
    if (!request->origin || is_own(request))
        return true;
    if (is_allowed(request)) {
        reply_header(request, "access-control-allow-origin", request->origin);
        reply_header(request, "access-control-allow-credentials", "true");
        if (request->verb == VERB_OPTIONS) {
            reply_header(request, "access-control-allow-methods", "HEAD, GET, PUT, POST, DELETE, OPTIONS");
            reply_header(request, "access-control-allow-headers",
                         "authorization, content-type, x-vhost, x-reason");
            reply_header(request, "access-control-max-age", PREFLIGHT_S);
        }
        return true;
    }
    /* What only reads is answered: the browser keeps it from the page, for want of the headers above. */
    if (request->verb == VERB_GET || request->verb == VERB_OPTIONS)
        return true;
    reply_refused(request, "Requests of other sites' pages are refused: see management.cors.allow_origins");
    return false;
}
