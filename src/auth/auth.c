/* SPDX-License-Identifier: Apache-2.0 */
/* auth.h: the choice of a backend, and what holds for all of them. */
#include "coney/auth.h"

#include <stdlib.h>

#include "auth_backend.h"
#include "coney/xalloc.h"

const char *login_result_text(enum login_result result)
{
    static const char *const texts[LOGIN_RESULTS] = {
        [LOGIN_OK] = "accepted",
        [LOGIN_UNKNOWN_USER] = "no such user",
        [LOGIN_WRONG_PASSWORD] = "wrong password",
        [LOGIN_NO_PASSWORD] = "blank password, or the user has none",
        [LOGIN_NO_CERTIFICATE] = "no certificate that names a user",
        [LOGIN_NOT_LOOPBACK] = "this user can only connect via localhost",
    };

    return texts[result];
}

struct auth *auth_new(struct users *users)
{
    struct auth *auth = xcalloc(1, sizeof *auth);

    auth->users = users;
    auth->cache = login_cache_new();
    return auth;
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    login_cache_free(auth->cache);
    free(auth);
}

static const struct auth_backend *backend_of(const struct auth_request *request)
{
    return request->is_external ? &auth_external : &auth_internal;
}

static bool may_come_from_there(const struct auth *auth, const struct auth_request *request)
{
    return request->is_loopback || !users_is_loopback_only(auth->users, request->user);
}

enum login_result auth_decide(struct auth *auth, const struct auth_request *request, struct user_info *out)
{
    enum login_result result = backend_of(request)->decide(auth, request);

    if (result != LOGIN_OK)
        return result;
    if (!may_come_from_there(auth, request))
        return LOGIN_NOT_LOOPBACK;
    /* Removed between the two looks is as unknown. */
    return users_get(auth->users, request->user, out) ? LOGIN_OK : LOGIN_UNKNOWN_USER;
}

bool auth_recall(struct auth *auth, const struct auth_request *request, struct user_info *out)
{
    return backend_of(request)->recall(auth, request) && may_come_from_there(auth, request) &&
           users_get(auth->users, request->user, out);
}
