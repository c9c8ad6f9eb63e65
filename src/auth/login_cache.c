/* SPDX-License-Identifier: Apache-2.0 */
/* login_cache.h: rows of a few places each, chosen by the digest's first octets. */
#include "login_cache.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

#include "coney/xalloc.h"

#define ROWS        1024 /* a power of two */
#define PLACES      4
#define DIGEST_SIZE 32

struct row {
    uint8_t digests[PLACES][DIGEST_SIZE];
    uint8_t used, oldest;
};

struct login_cache {
    EVP_MAC_CTX *keyed; /* constant: copied for each digest */
    pthread_mutex_t mutex;
    struct row rows[ROWS]; /* pages that were never written take no memory */
};

struct login_cache *login_cache_new(void)
{
    struct login_cache *cache = xcalloc(1, sizeof *cache);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
    uint8_t key[DIGEST_SIZE];

    cache->keyed = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    /* Without randomness nothing can be kept safe here: nothing is. */
    if (RAND_bytes(key, sizeof key) != 1 || !cache->keyed ||
        EVP_MAC_init(cache->keyed, key, sizeof key, params) != 1) {
        EVP_MAC_CTX_free(cache->keyed);
        cache->keyed = NULL;
    }
    OPENSSL_cleanse(key, sizeof key);
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

void login_cache_free(struct login_cache *cache)
{
    EVP_MAC_CTX_free(cache->keyed);
    pthread_mutex_destroy(&cache->mutex);
    OPENSSL_cleanse(cache->rows, sizeof cache->rows);
    free(cache);
}

/* With its length in front, so that what two texts make together tells where one ends. */
static bool add_part(EVP_MAC_CTX *context, struct bytes part)
{
    uint8_t size[4];

    put_u32(size, (uint32_t)part.size);
    return EVP_MAC_update(context, size, sizeof size) == 1 &&
           EVP_MAC_update(context, part.data, part.size) == 1;
}

static bool make_digest(const struct login_cache *cache, struct bytes name, struct bytes password,
                        const struct password_secret *secret, uint8_t out[DIGEST_SIZE])
{
    EVP_MAC_CTX *context = cache->keyed ? EVP_MAC_CTX_dup(cache->keyed) : NULL;
    uint8_t hashing = (uint8_t)secret->hashing;
    size_t size;
    bool done = context && add_part(context, name) && add_part(context, password) &&
                add_part(context, (struct bytes){&hashing, 1}) &&
                add_part(context, (struct bytes){secret->octets, secret->size}) &&
                EVP_MAC_final(context, out, &size, DIGEST_SIZE) == 1;

    EVP_MAC_CTX_free(context);
    return done;
}

static struct row *row_of(struct login_cache *cache, const uint8_t *digest)
{
    return &cache->rows[get_u16(digest) % ROWS];
}

/* All places are compared, each to its end: the time tells nothing of what is in them. */
static bool row_has(const struct row *row, const uint8_t *digest)
{
    unsigned found = 0;

    for (unsigned i = 0; i < row->used; i++)
        found |= CRYPTO_memcmp(row->digests[i], digest, DIGEST_SIZE) == 0;
    return found != 0;
}

void login_cache_add(struct login_cache *cache, struct bytes name, struct bytes password,
                     const struct password_secret *secret)
{
    uint8_t digest[DIGEST_SIZE];
    struct row *row;

    if (!make_digest(cache, name, password, secret, digest))
        return;
    row = row_of(cache, digest);
    pthread_mutex_lock(&cache->mutex);
    if (!row_has(row, digest)) {
        memcpy(row->digests[row->oldest], digest, DIGEST_SIZE);
        row->oldest = (uint8_t)((row->oldest + 1) % PLACES);
        if (row->used < PLACES)
            row->used++;
    }
    pthread_mutex_unlock(&cache->mutex);
}

bool login_cache_has(struct login_cache *cache, struct bytes name, struct bytes password,
                     const struct password_secret *secret)
{
    uint8_t digest[DIGEST_SIZE];
    bool has;

    if (!make_digest(cache, name, password, secret, digest))
        return false;
    pthread_mutex_lock(&cache->mutex);
    has = row_has(row_of(cache, digest), digest);
    pthread_mutex_unlock(&cache->mutex);
    return has;
}
