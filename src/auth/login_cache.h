/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords that were found right, so that clients which come back cost nothing.
 *
 * Kept is no password and no hash of one, but HMAC-SHA256 of name, password and stored secret, under a random
 * key that is nowhere else and ends with the process. Since the stored secret is in it, with its salt, what
 * was right for a former password of the user is not found any more.
 *
 * A fixed number of places; what was added last in a row of them replaces the oldest. Any thread.
 */
#ifndef AUTH_LOGIN_CACHE_H
#define AUTH_LOGIN_CACHE_H

#include <stdbool.h>

#include "coney/bytes.h"
#include "coney/password.h"

struct login_cache;

struct login_cache *login_cache_new(void);
void login_cache_free(struct login_cache *cache);

/* PASSWORD matched SECRET, which is NAME's. */
void login_cache_add(struct login_cache *cache, struct bytes name, struct bytes password,
                     const struct password_secret *secret);

/* Tell whether the very same was added, and is still there. */
bool login_cache_has(struct login_cache *cache, struct bytes name, struct bytes password,
                     const struct password_secret *secret);

#endif
