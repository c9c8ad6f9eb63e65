/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backend is: two functions, each called by several threads at once.
 *
 * Whether the user must come from a loopback address is not theirs to look at.
 */
#ifndef AUTH_BACKEND_H
#define AUTH_BACKEND_H

#include "coney/auth.h"
#include "login_cache.h"

struct auth {
    struct users *users;
    struct login_cache *cache;
};

struct auth_backend {
    const char *name;
    /* Decide, however long it takes. Every refusal should take as long as any other. */
    enum login_result (*decide)(struct auth *auth, const struct auth_request *request);
    /* Tell at once whether decide() has said yes to this before and would say it again. */
    bool (*recall)(struct auth *auth, const struct auth_request *request);
};

extern const struct auth_backend auth_internal;
extern const struct auth_backend auth_external;

#endif
