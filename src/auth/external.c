/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The external backend: somebody else has proved who the peer is, here TLS by a certificate. What is left to
 * ask is whether there is such a user, which is quickly said.
 */
#include "auth_backend.h"

static enum login_result decide(struct auth *auth, const struct auth_request *request)
{
    struct user_info info;

    if (request->user.size == 0)
        return LOGIN_NO_CERTIFICATE;
    if (!users_get(auth->users, request->user, &info))
        return LOGIN_UNKNOWN_USER;
    user_info_free(&info);
    return LOGIN_OK;
}

static bool recall(struct auth *auth, const struct auth_request *request)
{
    return decide(auth, request) == LOGIN_OK;
}

const struct auth_backend auth_external = {"external", decide, recall};
