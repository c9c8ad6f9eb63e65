/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of session tickets (RFC 5077, 4; RFC 8446, 4.6.1). The newest key makes tickets; the one before it
 * still opens them, and the client is given a new one then. Who learns a key can read no more than two hours.
 */
#include "tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "coney/xalloc.h"

#define LIFETIME_S 3600

struct ticket_key {
    uint8_t name[16];
    uint8_t secret[32];
    uint8_t mac[32];
};

struct tls_tickets {
    pthread_mutex_t mutex; /* guards all */
    struct ticket_key keys[2];
    unsigned count; /* of keys that are good; the first is the newest */
    time_t made;    /* the newest, on the monotonic clock */
};

static time_t now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *tickets = xcalloc(1, sizeof *tickets);

    pthread_mutex_init(&tickets->mutex, NULL);
    return tickets;
}

void tls_tickets_free(struct tls_tickets *tickets)
{
    if (!tickets)
        return;
    pthread_mutex_destroy(&tickets->mutex);
    OPENSSL_cleanse(tickets, sizeof *tickets);
    free(tickets);
}

/* The newest key is for an hour, and the one before it for another. */
static void forget_old(struct tls_tickets *tickets)
{
    time_t age = now_s() - tickets->made;
    unsigned good = age < LIFETIME_S ? 2 : age < 2 * LIFETIME_S ? 1 : 0;

    if (tickets->count <= good)
        return;
    OPENSSL_cleanse(&tickets->keys[good], (tickets->count - good) * sizeof *tickets->keys);
    tickets->count = good;
}

void tls_tickets_tend(struct tls_tickets *tickets)
{
    pthread_mutex_lock(&tickets->mutex);
    forget_old(tickets);
    pthread_mutex_unlock(&tickets->mutex);
}

void tls_tickets_age(struct tls_tickets *tickets, unsigned seconds)
{
    pthread_mutex_lock(&tickets->mutex);
    tickets->made -= seconds;
    pthread_mutex_unlock(&tickets->mutex);
}

/* See that the newest key is young enough; false without randomness. */
static bool refresh(struct tls_tickets *tickets)
{
    struct ticket_key key;

    forget_old(tickets);
    if (tickets->count && now_s() - tickets->made < LIFETIME_S)
        return true;
    if (RAND_priv_bytes((uint8_t *)&key, sizeof key) != 1)
        return false;
    tickets->keys[1] = tickets->keys[0];
    tickets->keys[0] = key;
    tickets->count++;
    tickets->made = now_s();
    OPENSSL_cleanse(&key, sizeof key);
    return true;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int seal(struct tls_tickets *tickets, uint8_t name[16], uint8_t *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac)
{
    struct ticket_key *key = tickets->keys;

    if (!refresh(tickets) || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
        return -1;
    memcpy(name, key->name, sizeof key->name);
    if (EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->secret, iv) != 1 || !set_mac(mac, key))
        return -1;
    return 1;
}

/* 0: the ticket is of no key known any more, 1: it is good, 2: and the client should have a new one. */
static int open_ticket(struct tls_tickets *tickets, const uint8_t name[16], const uint8_t *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    if (!refresh(tickets))
        return -1;
    for (unsigned i = 0; i < tickets->count; i++) {
        struct ticket_key *key = &tickets->keys[i];

        if (memcmp(name, key->name, sizeof key->name) != 0)
            continue;
        if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->secret, iv) != 1 || !set_mac(mac, key))
            return -1;
        return i ? 2 : 1;
    }
    return 0;
}

static int on_ticket(SSL *tls, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_new)
{
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls));
    int result;

    pthread_mutex_lock(&tickets->mutex);
    result = is_new ? seal(tickets, name, iv, cipher, mac) : open_ticket(tickets, name, iv, cipher, mac);
    pthread_mutex_unlock(&tickets->mutex);
    return result;
}

/* Who was let in by a certificate that has ended since shows another one, or none. */
static SSL_TICKET_RETURN on_opened(SSL *tls, SSL_SESSION *session, const unsigned char *name, size_t size,
                                   SSL_TICKET_STATUS status, void *arg)
{
    X509 *certificate = session ? SSL_SESSION_get0_peer(session) : NULL;

    (void)name;
    (void)size;
    (void)arg;
    if (certificate && X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    switch (status) {
    case SSL_TICKET_SUCCESS: /* of TLS 1.3 a ticket is for one use */
        return SSL_version(tls) < TLS1_3_VERSION ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
    case SSL_TICKET_SUCCESS_RENEW:
        return SSL_TICKET_RETURN_USE_RENEW;
    default:
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
}

bool tls_tickets_use(struct tls_tickets *tickets, struct ssl_ctx_st *context)
{
    static const unsigned char id[] = "coney";

    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* the clients keep their sessions */
    SSL_CTX_set_app_data(context, tickets);
    if (!tickets)
        return SSL_CTX_set_options(context, SSL_OP_NO_TICKET) && SSL_CTX_set_num_tickets(context, 0);
    return SSL_CTX_set_session_id_context(context, id, sizeof id - 1) &&
           SSL_CTX_set_session_ticket_cb(context, NULL, on_opened, NULL) &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}
