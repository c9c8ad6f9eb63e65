/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user database. Whoever changes a password hashes it before taking the mutex, and a login copies what it
 * needs, so nobody holds it for more than a moment.
 */
#include "coney/users.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

#include "coney/hash.h"
#include "coney/refuse.h"
#include "coney/xalloc.h"

struct user {
    UT_hash_handle hh;     /* by name */
    struct user_info info; /* name is the key; the hash in it is "" and made when asked for */
    struct password_secret secret;
};

struct users {
    pthread_mutex_t mutex; /* guards all */
    struct user *by_name;
    char **loopback_only; /* constant */
    size_t loopback_only_count;
};

/* ---- users ---- */

static struct user *find(const struct users *users, struct bytes name)
{
    struct user *user;

    HASH_FIND(hh, users->by_name, name.data, name.size, user);
    return user;
}

static void info_copy(struct user_info *out, const struct user_info *info)
{
    *out = *info;
    out->name.data = xmemdup(info->name.data, info->name.size);
    out->tags = xcalloc(info->tag_count, sizeof *out->tags);
    for (size_t i = 0; i < info->tag_count; i++)
        out->tags[i] = xstrdup(info->tags[i]);
}

void user_info_free(struct user_info *info)
{
    for (size_t i = 0; i < info->tag_count; i++)
        free(info->tags[i]);
    free(info->tags);
    free(info->password_hash);
    free((void *)(uintptr_t)info->name.data);
    *info = (struct user_info){0};
}

/* A copy for others, with the hash as text. */
static void user_copy(struct user_info *out, const struct user *user)
{
    info_copy(out, &user->info);
    out->password_hash = password_to_base64(&user->secret);
    out->hashing = user->secret.hashing;
}

static void user_free(struct user *user)
{
    user_info_free(&user->info);
    OPENSSL_cleanse(&user->secret, sizeof user->secret);
    free(user);
}

struct users *users_new(const char *const *loopback_only, size_t count)
{
    struct users *users = xcalloc(1, sizeof *users);

    pthread_mutex_init(&users->mutex, NULL);
    users->loopback_only = xcalloc(count, sizeof *users->loopback_only);
    for (size_t i = 0; i < count; i++)
        users->loopback_only[i] = xstrdup(loopback_only[i]);
    users->loopback_only_count = count;
    return users;
}

void users_free(struct users *users)
{
    struct user *user, *next;

    if (users == NULL)
        return;
    /* The table goes first: the users stay linked without it. */
    user = users->by_name;
    HASH_CLEAR(hh, users->by_name);
    for (; user != NULL; user = next) {
        next = user->hh.next;
        user_free(user);
    }
    for (size_t i = 0; i < users->loopback_only_count; i++)
        free(users->loopback_only[i]);
    free(users->loopback_only);
    pthread_mutex_destroy(&users->mutex);
    free(users);
}

/* ---- putting ---- */

static bool take_secret(struct password_secret *secret, const struct user_spec *spec, char *why,
                        size_t why_size)
{
    if (spec->password.data != NULL) {
        if (spec->password.size == 0)
            return refuse(why, why_size, "blank passwords are not accepted");
        if (spec->password.size > PASSWORD_MAX)
            return refuse(why, why_size, "the password is too long");
        return password_hash(secret, spec->password) ||
               refuse(why, why_size, "the password cannot be hashed: no randomness or no memory");
    }
    if (spec->password_hash.size == 0)
        return true;
    return password_from_base64(secret, spec->password_hash, spec->hashing) ||
           refuse(why, why_size,
                  spec->hashing == PASSWORD_SCRYPT
                      ? "password_hash is not the base64 of bearable scrypt parameters, a salt and a key"
                      : "password_hash is not the base64 of a salt of 4 octets and a hash");
}

static bool check_spec(const struct user_spec *spec, char *why, size_t why_size)
{
    if (spec->name.size == 0 || spec->name.size > USER_NAME_MAX || !utf8_is_valid(spec->name))
        return refuse(why, why_size, "a user name should be 1 to 255 octets of UTF-8");
    for (size_t i = 0; i < spec->tag_count; i++) {
        if (spec->tags[i].size > 0 && memchr(spec->tags[i].data, '\0', spec->tags[i].size) != NULL)
            return refuse(why, why_size, "a tag must not hold a NUL");
    }
    return true;
}

static void take_info(struct user_info *info, const struct user_spec *spec)
{
    info->name.data = xmemdup(spec->name.data, spec->name.size);
    info->name.size = spec->name.size;
    info->tags = xcalloc(spec->tag_count, sizeof *info->tags);
    info->tag_count = spec->tag_count;
    for (size_t i = 0; i < spec->tag_count; i++) {
        info->tags[i] = xmalloc(spec->tags[i].size + 1);
        *put_bytes((uint8_t *)info->tags[i], spec->tags[i]) = '\0';
    }
}

static int64_t take_limit(int64_t most, const int64_t *old)
{
    if (most == USER_LIMIT_KEEP && old != NULL)
        return *old;
    return most < 0 ? USER_LIMIT_NONE : most;
}

static void take_limits(struct user_info *info, const struct user_spec *spec, const struct user_info *old)
{
    info->max_connections = take_limit(spec->max_connections, old != NULL ? &old->max_connections : NULL);
    info->max_channels = take_limit(spec->max_channels, old != NULL ? &old->max_channels : NULL);
}

bool users_put(struct users *users, const struct user_spec *spec, char *why, size_t why_size)
{
    struct user *user, *old;

    if (!check_spec(spec, why, why_size))
        return false;
    user = xcalloc(1, sizeof *user);
    if (!take_secret(&user->secret, spec, why, why_size)) {
        user_free(user);
        return false;
    }
    take_info(&user->info, spec);
    pthread_mutex_lock(&users->mutex);
    old = find(users, spec->name);
    take_limits(&user->info, spec, old != NULL ? &old->info : NULL);
    if (old != NULL)
        HASH_DEL(users->by_name, old);
    HASH_ADD_KEYPTR(hh, users->by_name, user->info.name.data, user->info.name.size, user);
    pthread_mutex_unlock(&users->mutex);
    if (old != NULL)
        user_free(old);
    return true;
}

bool users_set_limit(struct users *users, struct bytes name, enum user_limit limit, int64_t most)
{
    struct user *user;

    pthread_mutex_lock(&users->mutex);
    user = find(users, name);
    if (user != NULL && limit == USER_LIMIT_CONNECTIONS)
        user->info.max_connections = take_limit(most, NULL);
    else if (user != NULL)
        user->info.max_channels = take_limit(most, NULL);
    pthread_mutex_unlock(&users->mutex);
    return user != NULL;
}

bool users_remove(struct users *users, struct bytes name)
{
    struct user *user;

    pthread_mutex_lock(&users->mutex);
    user = find(users, name);
    if (user != NULL)
        HASH_DEL(users->by_name, user);
    pthread_mutex_unlock(&users->mutex);
    if (user != NULL)
        user_free(user);
    return user != NULL;
}

/* ---- looking ---- */

bool users_get(struct users *users, struct bytes name, struct user_info *out)
{
    const struct user *user;

    pthread_mutex_lock(&users->mutex);
    user = find(users, name);
    if (user != NULL)
        user_copy(out, user);
    pthread_mutex_unlock(&users->mutex);
    return user != NULL;
}

bool users_has(struct users *users, struct bytes name)
{
    bool has;

    pthread_mutex_lock(&users->mutex);
    has = find(users, name) != NULL;
    pthread_mutex_unlock(&users->mutex);
    return has;
}

static int by_name(const void *a, const void *b)
{
    return bytes_compare(((const struct user_info *)a)->name, ((const struct user_info *)b)->name);
}

struct user_info *users_list(struct users *users, size_t *count)
{
    struct user_info *list;
    const struct user *user;
    size_t i = 0;

    pthread_mutex_lock(&users->mutex);
    *count = HASH_COUNT(users->by_name);
    list = xcalloc(*count, sizeof *list);
    for (user = users->by_name; user != NULL; user = user->hh.next)
        user_copy(&list[i++], user);
    pthread_mutex_unlock(&users->mutex);
    qsort(list, *count, sizeof *list, by_name);
    return list;
}

size_t users_count(struct users *users)
{
    size_t count;

    pthread_mutex_lock(&users->mutex);
    count = HASH_COUNT(users->by_name);
    pthread_mutex_unlock(&users->mutex);
    return count;
}

bool user_info_has_tag(const struct user_info *info, const char *tag)
{
    for (size_t i = 0; i < info->tag_count; i++) {
        if (strcmp(info->tags[i], tag) == 0)
            return true;
    }
    return false;
}

/* ---- for logins ---- */

bool users_secret(struct users *users, struct bytes name, struct password_secret *out)
{
    const struct user *user;

    *out = (struct password_secret){0};
    pthread_mutex_lock(&users->mutex);
    user = find(users, name);
    if (user != NULL)
        *out = user->secret;
    pthread_mutex_unlock(&users->mutex);
    return user != NULL;
}

bool users_is_loopback_only(const struct users *users, struct bytes name)
{
    for (size_t i = 0; i < users->loopback_only_count; i++) {
        if (bytes_equal_string(name, users->loopback_only[i]))
            return true;
    }
    return false;
}
