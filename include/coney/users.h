/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The users of a node: passwords, tags and limits. What each may do in a vhost is the vhost's (vhost.h).
 *
 * Thread-safe: one mutex, held briefly and never during a password's hash. Called at login and
 * connection.open and by whoever administers, never on the message path: what a connection needs later it
 * gets as a copy here.
 */
#ifndef CONEY_USERS_H
#define CONEY_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/password.h"

struct users;

/* No limit: what a negative number means in a definition. */
#define USER_LIMIT_NONE (-1)

/* In a spec: what the user has who is there. */
#define USER_LIMIT_KEEP INT64_MIN

/* Longest user name, in octets (a short string on the wire). */
#define USER_NAME_MAX 255

/* What to store for a user. Everything is borrowed during the call. */
struct user_spec {
    struct bytes name;
    /* One of: a hash, or a password, or neither (both with data NULL): a user who cannot log in with a
     * password. */
    struct bytes password;
    struct bytes password_hash;    /* base64; empty is as neither */
    enum password_hashing hashing; /* of password_hash */
    const struct bytes *tags;
    size_t tag_count;
    int64_t max_connections; /* USER_LIMIT_NONE, or from 0 */
    int64_t max_channels;
};

/* A copy of what is stored; give it back with user_info_free(). */
struct user_info {
    struct bytes name;
    char *password_hash; /* base64; "" when the user has no password */
    enum password_hashing hashing;
    char **tags;
    size_t tag_count;
    int64_t max_connections;
    int64_t max_channels;
};

/* An empty database. LOOPBACK_ONLY names the users who may log in from loopback addresses only. */
struct users *users_new(const char *const *loopback_only, size_t count);
void users_free(struct users *users);

/* Store a user, replacing the one of that name. A new password is hashed by password_hash(), which takes some
 * tens of milliseconds. False, with a reason in WHY, when the spec cannot be stored: bad name,
 * blank or too long password, undecodable hash or one of the wrong length for its algorithm. */
bool users_put(struct users *users, const struct user_spec *spec, char *why, size_t why_size);

enum user_limit { USER_LIMIT_CONNECTIONS, USER_LIMIT_CHANNELS };

/* Change one limit of NAME; false when there is no such user. */
bool users_set_limit(struct users *users, struct bytes name, enum user_limit limit, int64_t most);

/* Remove a user; false when there is none. */
bool users_remove(struct users *users, struct bytes name);

/* Copy what is stored about NAME; false when there is no such user. */
bool users_get(struct users *users, struct bytes name, struct user_info *out);

/* Whether there is a user NAME, who may be gone once this returns. */
bool users_has(struct users *users, struct bytes name);

/* Copy everything, sorted by name; free() the array after user_info_free() of each. */
struct user_info *users_list(struct users *users, size_t *count);

/* How many there are. */
size_t users_count(struct users *users);

/* Free what INFO owns, not INFO itself. */
void user_info_free(struct user_info *info);

/* Whether TAG is among the tags, to the letter. */
bool user_info_has_tag(const struct user_info *info, const char *tag);

/* What a login of NAME must match: a copy, to be cleansed. False when there is no such user. */
bool users_secret(struct users *users, struct bytes name, struct password_secret *out);

/* Tell whether NAME, of a user or not, may log in from loopback addresses only. */
bool users_is_loopback_only(const struct users *users, struct bytes name);

#endif
