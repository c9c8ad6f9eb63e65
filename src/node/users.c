/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user database. A login copies what it needs under the mutex and hashes outside, so that logins hinder
 * neither each other nor the loops that hold it for a moment.
 */
#include "coney/users.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/xalloc.h"

#define uthash_malloc(size)        xmalloc(size)
#define uthash_free(pointer, size) free(pointer)
#include <uthash.h>

#define SALT_SIZE  4
#define SALTED_MAX (SALT_SIZE + EVP_MAX_MD_SIZE)
#define BASE64_MAX (4 * ((SALTED_MAX + 2) / 3) + 1)

/* salt || H(salt || password). Size 0: no password. */
struct secret {
    enum password_hashing hashing;
    size_t size;
    uint8_t octets[SALTED_MAX];
};

struct user {
    UT_hash_handle hh;     /* by name */
    struct user_info info; /* name is the key; the hash in it is "" and made when asked for */
    struct secret secret;
};

struct users {
    pthread_mutex_t mutex; /* guards all */
    struct user *by_name;
    char **loopback_only; /* constant */
    size_t loopback_only_count;
};

/* ---- hashing ---- */

static const char *const hashing_names[] = {
    "rabbit_password_hashing_sha256",
    "rabbit_password_hashing_sha512",
    "rabbit_password_hashing_md5",
};

const char *password_hashing_name(enum password_hashing hashing)
{
    return hashing_names[hashing];
}

bool password_hashing_from_name(struct bytes name, enum password_hashing *out)
{
    for (int i = 0; i < 3; i++) {
        if (bytes_equal_string(name, hashing_names[i])) {
            *out = (enum password_hashing)i;
            return true;
        }
    }
    return false;
}

static const EVP_MD *digest_of(enum password_hashing hashing)
{
    switch (hashing) {
    case PASSWORD_SHA256:
        return EVP_sha256();
    case PASSWORD_SHA512:
        return EVP_sha512();
    case PASSWORD_MD5:
        return EVP_md5();
    }
    return NULL;
}

/* Hash PASSWORD behind the salt that SECRET has; false when the library does not offer the algorithm. */
static bool secret_hash(struct secret *secret, struct bytes password)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned size = 0;
    bool done = context != NULL && EVP_DigestInit_ex(context, digest_of(secret->hashing), NULL) == 1 &&
                EVP_DigestUpdate(context, secret->octets, SALT_SIZE) == 1 &&
                EVP_DigestUpdate(context, password.data, password.size) == 1 &&
                EVP_DigestFinal_ex(context, secret->octets + SALT_SIZE, &size) == 1;

    EVP_MD_CTX_free(context);
    secret->size = done ? SALT_SIZE + size : 0;
    return done;
}

static bool secret_make(struct secret *secret, struct bytes password)
{
    secret->hashing = PASSWORD_SHA256;
    return RAND_bytes(secret->octets, SALT_SIZE) == 1 && secret_hash(secret, password);
}

/* Whether PASSWORD is the one; takes the same time whatever differs. */
static bool secret_matches(const struct secret *secret, struct bytes password)
{
    struct secret tried = {.hashing = secret->hashing};
    bool same;

    memcpy(tried.octets, secret->octets, SALT_SIZE);
    same = secret_hash(&tried, password) && tried.size == secret->size &&
           CRYPTO_memcmp(tried.octets, secret->octets, tried.size) == 0;
    OPENSSL_cleanse(&tried, sizeof tried);
    return same;
}

static char *secret_to_base64(const struct secret *secret)
{
    char *text = xmalloc(BASE64_MAX);

    text[EVP_EncodeBlock((unsigned char *)text, secret->octets, (int)secret->size)] = '\0';
    return text;
}

static bool secret_from_base64(struct secret *secret, struct bytes text, enum password_hashing hashing)
{
    uint8_t decoded[BASE64_MAX];
    size_t expected = SALT_SIZE + (size_t)EVP_MD_get_size(digest_of(hashing));
    int size;

    if (text.size != 4 * ((expected + 2) / 3))
        return false;
    size = EVP_DecodeBlock(decoded, text.data, (int)text.size);
    /* The padding comes out as zero octets. */
    for (size_t end = text.size; size > 0 && text.data[end - 1] == '='; end--)
        size--;
    if (size < 0 || (size_t)size != expected)
        return false;
    secret->hashing = hashing;
    secret->size = expected;
    memcpy(secret->octets, decoded, expected);
    return true;
}

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
    out->password_hash = user->secret.size > 0 ? secret_to_base64(&user->secret) : xstrdup("");
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

static bool refuse(char *why, size_t why_size, const char *text)
{
    snprintf(why, why_size, "%s", text);
    return false;
}

static bool take_secret(struct secret *secret, const struct user_spec *spec, char *why, size_t why_size)
{
    if (spec->password.data != NULL) {
        if (spec->password.size == 0)
            return refuse(why, why_size, "blank passwords are not accepted");
        if (spec->password.size > USER_PASSWORD_MAX)
            return refuse(why, why_size, "the password is too long");
        return secret_make(secret, spec->password) ||
               refuse(why, why_size, "the password cannot be hashed: no randomness or no SHA-256");
    }
    if (spec->password_hash.size == 0)
        return true;
    return secret_from_base64(secret, spec->password_hash, spec->hashing) ||
           refuse(why, why_size, "password_hash is not the base64 of a salt of 4 octets and a hash");
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
    info->max_connections = spec->max_connections < 0 ? USER_LIMIT_NONE : spec->max_connections;
    info->max_channels = spec->max_channels < 0 ? USER_LIMIT_NONE : spec->max_channels;
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
    if (old != NULL)
        HASH_DEL(users->by_name, old);
    HASH_ADD_KEYPTR(hh, users->by_name, user->info.name.data, user->info.name.size, user);
    pthread_mutex_unlock(&users->mutex);
    if (old != NULL)
        user_free(old);
    return true;
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

/* ---- login ---- */

static bool is_loopback_only(const struct users *users, struct bytes name)
{
    for (size_t i = 0; i < users->loopback_only_count; i++) {
        if (bytes_equal_string(name, users->loopback_only[i]))
            return true;
    }
    return false;
}

/* What a login of NAME must match. For an unknown user it is a secret that nothing matches and that costs the
 * same. */
static enum login_result copy_secret(struct users *users, struct bytes name, struct secret *out)
{
    const struct user *user;

    *out = (struct secret){.hashing = PASSWORD_SHA256};
    pthread_mutex_lock(&users->mutex);
    user = find(users, name);
    if (user != NULL)
        *out = user->secret;
    pthread_mutex_unlock(&users->mutex);
    if (user == NULL)
        return LOGIN_UNKNOWN_USER;
    return out->size == 0 ? LOGIN_NO_PASSWORD : LOGIN_OK;
}

enum login_result users_authenticate(struct users *users, struct bytes name, struct bytes password,
                                     bool peer_is_loopback, struct user_info *out)
{
    struct secret secret;
    enum login_result result;
    bool matches;

    if (password.size == 0)
        return LOGIN_NO_PASSWORD;
    if (password.size > USER_PASSWORD_MAX)
        return LOGIN_WRONG_PASSWORD;
    result = copy_secret(users, name, &secret);
    matches = secret_matches(&secret, password);
    OPENSSL_cleanse(&secret, sizeof secret);
    if (result != LOGIN_OK)
        return result;
    if (!matches)
        return LOGIN_WRONG_PASSWORD;
    if (!peer_is_loopback && is_loopback_only(users, name))
        return LOGIN_NOT_LOOPBACK;
    /* Removed between the two looks is as unknown. */
    return users_get(users, name, out) ? LOGIN_OK : LOGIN_UNKNOWN_USER;
}

const char *login_result_text(enum login_result result)
{
    switch (result) {
    case LOGIN_OK:
        return "accepted";
    case LOGIN_UNKNOWN_USER:
        return "no such user";
    case LOGIN_WRONG_PASSWORD:
        return "wrong password";
    case LOGIN_NO_PASSWORD:
        return "blank password, or the user has none";
    case LOGIN_NOT_LOOPBACK:
        return "this user can only connect via localhost";
    }
    return "unknown";
}
