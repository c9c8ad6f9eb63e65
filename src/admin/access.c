/* SPDX-License-Identifier: Apache-2.0 */
/* access.h: HTTP basic authentication against the broker's users; the control socket's peers need none. */
#include "access.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coney/base64.h"
#include "coney/node_access.h"
#include "coney/vhost.h"
#include "coney/visit.h"
#include "coney/xalloc.h"

/* As RabbitMQ's own tools are called where they act. */
#define TRUSTED_NAME "rmq-cli"

static bool has_tag(const struct request *request, const char *tag)
{
    return user_info_has_tag(&request->user, tag);
}

bool access_is_administrator(const struct request *request)
{
    return has_tag(request, "administrator");
}

bool access_is_monitor(const struct request *request)
{
    return has_tag(request, "monitoring") || access_is_administrator(request);
}

static bool is_policymaker(const struct request *request)
{
    return has_tag(request, "policymaker") || access_is_administrator(request);
}

static bool may_use_api(const struct request *request)
{
    return access_is_monitor(request) || is_policymaker(request) || has_tag(request, "management");
}

/* ---- logging in ---- */

static void trust(struct request *request)
{
    request->user.name = (struct bytes){xmemdup(TRUSTED_NAME, sizeof TRUSTED_NAME), sizeof TRUSTED_NAME - 1};
    request->user.password_hash = xstrdup("");
    request->user.tags = xcalloc(1, sizeof *request->user.tags);
    request->user.tags[0] = xstrdup("administrator");
    request->user.tag_count = 1;
    request->user.max_connections = request->user.max_channels = USER_LIMIT_NONE;
}

static bool log_in(struct request *request, uint8_t *credentials, size_t size)
{
    const uint8_t *colon = memchr(credentials, ':', size);
    struct auth_request question = {.is_loopback = request->is_loopback};
    enum login_result result = LOGIN_WRONG_PASSWORD;

    if (colon) {
        question.user = (struct bytes){credentials, (size_t)(colon - credentials)};
        question.password = (struct bytes){colon + 1, size - question.user.size - 1};
        result = node_log_in(request->server, &question, request->peer, &request->user);
    }
    if (result == LOGIN_OK)
        return true;
    if (result == LOGIN_NOT_LOOPBACK)
        reply_error(request, 401, "not_authorised", "User can only log in via localhost");
    else
        reply_error(request, 401, "not_authorized", "Login failed");
    return false;
}

bool access_login(struct request *request)
{
    const char *header = request->authorization;
    uint8_t *credentials = NULL;
    size_t size = 0;
    bool done;

    if (request->is_trusted && !header) {
        trust(request);
        return true;
    }
    if (!header) {
        reply_header(request, "www-authenticate", "Basic realm=\"RabbitMQ Management\"");
        reply_empty(request, 401);
        return false;
    }
    if (strncasecmp(header, "basic ", 6) == 0)
        credentials = base64_decode(bytes_from_string(header + 6 + strspn(header + 6, " ")), &size);
    if (!credentials) {
        reply_error(request, 401, "not_authorized", "Login failed");
        return false;
    }
    done = log_in(request, credentials, size);
    OPENSSL_cleanse(credentials, size);
    free(credentials);
    return done;
}

/* ---- rights ---- */

struct question {
    struct bytes user;
    bool has_rights;
};

static void ask(struct vhost *vhost, void *argument)
{
    struct question *question = argument;

    question->has_rights = vhost_has_permission(vhost, question->user);
}

bool access_has_vhost(struct request *request, struct bytes name)
{
    struct question question = {.user = request->user.name};

    if (visit_vhost(request->server, name, ask, &question) != VISIT_DONE)
        return false;
    return question.has_rights || access_is_administrator(request);
}

/* Rights in VHOST, which must be there; IS_SEEN: without any too. */
static bool check_vhost(struct request *request, struct bytes vhost, bool is_seen, const char *what)
{
    struct question question = {.user = request->user.name};

    switch (visit_vhost(request->server, vhost, ask, &question)) {
    case VISIT_NO_VHOST:
        if (request->verb == VERB_PUT || request->verb == VERB_POST)
            reply_error(request, 404, "not_found", "vhost_not_found");
        else
            reply_not_found(request);
        return false;
    case VISIT_STOPPING:
        reply_stopping(request);
        return false;
    case VISIT_DONE:
        break;
    }
    if (question.has_rights || is_seen)
        return true;
    reply_refused(request, "User not authorised to access %s", what);
    return false;
}

bool access_check(struct request *request, enum access access, struct bytes vhost)
{
    if (access == ACCESS_OPEN)
        return true;
    if (!may_use_api(request)) {
        reply_refused(request, "Not management user");
        return false;
    }
    switch (access) {
    case ACCESS_OPEN:
    case ACCESS_ANY:
        return true;
    case ACCESS_MONITOR:
        if (access_is_monitor(request))
            return true;
        reply_refused(request, "Not monitor user");
        return false;
    case ACCESS_ADMINISTRATOR:
        if (access_is_administrator(request))
            return true;
        reply_refused(request, "Not administrator user");
        return false;
    case ACCESS_GLOBAL_POLICYMAKER:
    case ACCESS_POLICYMAKER:
        if (!is_policymaker(request)) {
            reply_refused(request, "User not authorised to access object");
            return false;
        }
        return access == ACCESS_GLOBAL_POLICYMAKER || !vhost.data ||
               check_vhost(request, vhost, access_is_administrator(request), "object");
    case ACCESS_VHOST:
        return !vhost.data || check_vhost(request, vhost, access_is_administrator(request), "virtual host");
    case ACCESS_VHOST_SEEN:
        return check_vhost(request, vhost, access_is_monitor(request), "virtual host");
    case ACCESS_VHOST_ANY:
        return check_vhost(request, vhost, true, "virtual host");
    }
    return false;
}
