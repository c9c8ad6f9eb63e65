/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The internal backend: name and password, against the users of the node.
 *
 * A refusal takes one scrypt, whatever the reason: where the stored secret asked for none, one is done for
 * nothing. So neither unknown names nor users with RabbitMQ's cheap hashes can be told by the time it takes.
 */
#include <openssl/crypto.h>

#include "auth_backend.h"

static enum login_result decide(struct auth *auth, const struct auth_request *request)
{
    struct password_secret secret;
    enum login_result result = LOGIN_OK;

    if (request->password.size == 0)
        return LOGIN_NO_PASSWORD;
    if (request->password.size > PASSWORD_MAX)
        return LOGIN_WRONG_PASSWORD;
    if (!users_secret(auth->users, request->user, &secret))
        result = LOGIN_UNKNOWN_USER;
    else if (secret.size == 0)
        result = LOGIN_NO_PASSWORD;
    else if (!password_matches(&secret, request->password))
        result = LOGIN_WRONG_PASSWORD;
    if (result == LOGIN_OK)
        login_cache_add(auth->cache, request->user, request->password, &secret);
    else if (secret.size == 0 || secret.hashing != PASSWORD_SCRYPT)
        password_match_nothing(request->password);
    OPENSSL_cleanse(&secret, sizeof secret);
    return result;
}

static bool recall(struct auth *auth, const struct auth_request *request)
{
    struct password_secret secret;
    bool known;

    if (request->password.size == 0 || request->password.size > PASSWORD_MAX)
        return false;
    known = users_secret(auth->users, request->user, &secret) && secret.size > 0 &&
            login_cache_has(auth->cache, request->user, request->password, &secret);
    OPENSSL_cleanse(&secret, sizeof secret);
    return known;
}

const struct auth_backend auth_internal = {"internal", decide, recall};
