/* SPDX-License-Identifier: Apache-2.0 */
/* password.h, by OpenSSL's digests and its scrypt. */
#include "coney/password.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

#include "coney/xalloc.h"

#define HASHINGS 4

#define SALT_SIZE 4 /* RabbitMQ's */

/* Where what is in a scrypt secret. */
#define SCRYPT_SALT      3
#define SCRYPT_SALT_SIZE 16
#define SCRYPT_KEY       (SCRYPT_SALT + SCRYPT_SALT_SIZE)
#define SCRYPT_KEY_SIZE  32
#define SCRYPT_SIZE      (SCRYPT_KEY + SCRYPT_KEY_SIZE)

/* What is made: 8 MiB and about 25 ms. */
#define SCRYPT_LOG_N 13
#define SCRYPT_R     8
#define SCRYPT_P     1

/* What is accepted of others, who may have chosen more. */
#define SCRYPT_MEMORY_MAX (UINT64_C(64) << 20)
#define SCRYPT_P_MAX      4
#define SCRYPT_LOG_N_MIN  10

#define BASE64_SIZE(octets) (4 * (((octets) + 2) / 3))

static const struct {
    const char *name;
    size_t size; /* of a secret */
} hashings[HASHINGS] = {
    [PASSWORD_SHA256] = {"rabbit_password_hashing_sha256", SALT_SIZE + 32},
    [PASSWORD_SHA512] = {"rabbit_password_hashing_sha512", SALT_SIZE + 64},
    [PASSWORD_MD5] = {"rabbit_password_hashing_md5", SALT_SIZE + 16},
    [PASSWORD_SCRYPT] = {"coney_password_hashing_scrypt", SCRYPT_SIZE},
};

const char *password_hashing_name(enum password_hashing hashing)
{
    return hashings[hashing].name;
}

bool password_hashing_from_name(struct bytes name, enum password_hashing *out)
{
    for (int i = 0; i < HASHINGS; i++) {
        if (bytes_equal_string(name, hashings[i].name)) {
            *out = (enum password_hashing)i;
            return true;
        }
    }
    return false;
}

enum password_hashing password_hashing_from_size(size_t size)
{
    for (int i = 0; i < HASHINGS; i++) {
        if (size == BASE64_SIZE(hashings[i].size))
            return (enum password_hashing)i;
    }
    return PASSWORD_SHA256;
}

/* ---- hashing ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_is_done = PTHREAD_COND_INITIALIZER;
static unsigned under_way;

static void begin_hash(void)
{
    pthread_mutex_lock(&mutex);
    while (under_way == PASSWORD_HASHES_AT_ONCE)
        pthread_cond_wait(&one_is_done, &mutex);
    under_way++;
    pthread_mutex_unlock(&mutex);
}

static void end_hash(void)
{
    pthread_mutex_lock(&mutex);
    under_way--;
    pthread_cond_signal(&one_is_done);
    pthread_mutex_unlock(&mutex);
}

/* Fill in the key of SECRET, whose parameters and salt are there. */
static bool scrypt(struct password_secret *secret, struct bytes password)
{
    const uint8_t *parameters = secret->octets;
    bool done;

    begin_hash();
    /* OpenSSL wants a little more than the 128 N r that N and r are chosen by. */
    done = EVP_PBE_scrypt((const char *)password.data, password.size, parameters + SCRYPT_SALT,
                          SCRYPT_SALT_SIZE, UINT64_C(1) << parameters[0], parameters[1], parameters[2],
                          SCRYPT_MEMORY_MAX + (1 << 20), secret->octets + SCRYPT_KEY, SCRYPT_KEY_SIZE) == 1;
    end_hash();
    secret->size = done ? SCRYPT_SIZE : 0;
    return done;
}

static const EVP_MD *digest_of(enum password_hashing hashing)
{
    switch (hashing) {
    case PASSWORD_SHA512:
        return EVP_sha512();
    case PASSWORD_MD5:
        return EVP_md5();
    default:
        return EVP_sha256();
    }
}

/* Fill in the hash of SECRET, whose salt is there. */
static bool salted_digest(struct password_secret *secret, struct bytes password)
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

static bool fill_in(struct password_secret *secret, struct bytes password)
{
    return secret->hashing == PASSWORD_SCRYPT ? scrypt(secret, password) : salted_digest(secret, password);
}

bool password_hash(struct password_secret *out, struct bytes password)
{
    return password_hash_as(out, PASSWORD_SCRYPT, password);
}

bool password_hash_as(struct password_secret *out, enum password_hashing hashing, struct bytes password)
{
    bool is_scrypt = hashing == PASSWORD_SCRYPT;

    *out = (struct password_secret){.hashing = hashing};
    if (is_scrypt)
        memcpy(out->octets, (const uint8_t[]){SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P}, SCRYPT_SALT);
    return RAND_bytes(out->octets + (is_scrypt ? SCRYPT_SALT : 0),
                      is_scrypt ? SCRYPT_SALT_SIZE : SALT_SIZE) == 1 &&
           fill_in(out, password);
}

bool password_matches(const struct password_secret *secret, struct bytes password)
{
    struct password_secret tried = {.hashing = secret->hashing};
    size_t kept = secret->hashing == PASSWORD_SCRYPT ? SCRYPT_KEY : SALT_SIZE;
    bool same;

    if (secret->size == 0)
        return false;
    memcpy(tried.octets, secret->octets, kept);
    same = fill_in(&tried, password) && tried.size == secret->size &&
           CRYPTO_memcmp(tried.octets, secret->octets, tried.size) == 0;
    OPENSSL_cleanse(&tried, sizeof tried);
    return same;
}

void password_match_nothing(struct bytes password)
{
    struct password_secret nothing = {.hashing = PASSWORD_SCRYPT,
                                      .octets = {SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P}};

    scrypt(&nothing, password);
    OPENSSL_cleanse(&nothing, sizeof nothing);
}

/* ---- as text ---- */

char *password_to_base64(const struct password_secret *secret)
{
    char *text = xmalloc(BASE64_SIZE(PASSWORD_SECRET_MAX) + 1);

    text[EVP_EncodeBlock((unsigned char *)text, secret->octets, (int)secret->size)] = '\0';
    return text;
}

static bool scrypt_is_bearable(const uint8_t *parameters)
{
    uint8_t log_n = parameters[0], r = parameters[1], p = parameters[2];

    return log_n >= SCRYPT_LOG_N_MIN && log_n < 32 && r > 0 && p > 0 && p <= SCRYPT_P_MAX &&
           ((uint64_t)128 * r << log_n) <= SCRYPT_MEMORY_MAX;
}

bool password_from_base64(struct password_secret *out, struct bytes text, enum password_hashing hashing)
{
    uint8_t decoded[BASE64_SIZE(PASSWORD_SECRET_MAX)];
    size_t expected = hashings[hashing].size;
    int size;

    if (text.size != BASE64_SIZE(expected))
        return false;
    size = EVP_DecodeBlock(decoded, text.data, (int)text.size);
    /* The padding comes out as zero octets. */
    for (size_t end = text.size; size > 0 && text.data[end - 1] == '='; end--)
        size--;
    if (size < 0 || (size_t)size != expected || (hashing == PASSWORD_SCRYPT && !scrypt_is_bearable(decoded)))
        return false;
    *out = (struct password_secret){.hashing = hashing, .size = expected};
    memcpy(out->octets, decoded, expected);
    return true;
}
