/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is allowed in: one question, and backends that answer it. SASL (sasl.h) has made a request of what the
 * peer said; which backend decides follows from it:
 *
 *     internal   name and password, against the users of the node
 *     external   a name that the peer's certificate proves; the user only has to exist
 *
 * A backend that asks somebody else (a directory, a token's issuer) would be a third. Deciding may take long,
 * so it is done on threads of its own. What an event loop may ask is auth_recall(): it says yes at once to
 * what was found right before, from digests under a key that lives and dies with the process; a changed
 * password is not found again, since the stored secret is part of the digest.
 *
 * Any thread may call anything but auth_new() and auth_free().
 */
#ifndef CONEY_AUTH_H
#define CONEY_AUTH_H

#include <stdbool.h>

#include "coney/bytes.h"
#include "coney/users.h"

struct auth;

/* Everything is borrowed. */
struct auth_request {
    struct bytes user;
    struct bytes password;
    bool is_external; /* USER is what the peer's certificate says, empty without one; PASSWORD is nothing */
    bool is_loopback; /* where the peer is */
};

enum login_result {
    LOGIN_OK,
    LOGIN_UNKNOWN_USER,
    LOGIN_WRONG_PASSWORD,
    LOGIN_NO_PASSWORD,    /* an empty one was given, or the user has none: always refused */
    LOGIN_NO_CERTIFICATE, /* mechanism EXTERNAL without a certificate that names somebody */
    LOGIN_NOT_LOOPBACK,   /* all is right, but this user may come from loopback addresses only */
};

#define LOGIN_RESULTS 6

/* Why a login was refused, for the log; the peer is never told (connection-and-channel.md 3.4). */
const char *login_result_text(enum login_result result);

/* For logins of USERS. */
struct auth *auth_new(struct users *users);
void auth_free(struct auth *auth);

/* Decide. With LOGIN_OK *OUT is a copy of the user, to be freed by the caller. Takes about as long for every
 * refusal, whether there is such a user or not. */
enum login_result auth_decide(struct auth *auth, const struct auth_request *request, struct user_info *out);

/* Say yes at once, with *OUT as above, when REQUEST was right before and still is; false says nothing. */
bool auth_recall(struct auth *auth, const struct auth_request *request, struct user_info *out);

#endif
