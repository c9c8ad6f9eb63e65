/* SPDX-License-Identifier: Apache-2.0 */
/* tls_describe.h. Erlang names algorithms in small letters with underscores. */
#include "tls_describe.h"

#include <ctype.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "tls_peer.h"

struct word {
    int nid;
    const char *name;
};

static const char *word_of(const struct word *words, size_t count, int nid)
{
    for (size_t i = 0; i < count; i++)
        if (words[i].nid == nid)
            return words[i].name;
    return "unknown";
}

#define WORD_OF(words, nid) word_of(words, sizeof(words) / sizeof *(words), nid)

static const struct word key_exchanges[] = {{NID_kx_ecdhe, "ecdhe"},
                                            {NID_kx_dhe, "dhe"},
                                            {NID_kx_rsa, "rsa"},
                                            {NID_kx_psk, "psk"},
                                            {NID_kx_any, "any"}};
static const struct word authentications[] = {{NID_auth_rsa, "_rsa"}, {NID_auth_ecdsa, "_ecdsa"}};
static const struct word ciphers[] = {{NID_aes_128_gcm, "aes_128_gcm"},
                                      {NID_aes_256_gcm, "aes_256_gcm"},
                                      {NID_aes_128_ccm, "aes_128_ccm"},
                                      {NID_aes_256_ccm, "aes_256_ccm"},
                                      {NID_aes_128_cbc, "aes_128_cbc"},
                                      {NID_aes_256_cbc, "aes_256_cbc"},
                                      {NID_chacha20_poly1305, "chacha20_poly1305"}};
static const struct word hashes[] = {
    {NID_sha1, "sha"}, {NID_sha256, "sha256"}, {NID_sha384, "sha384"}, {NID_undef, "aead"}};

static void describe_cipher(const SSL_CIPHER *cipher, struct session_tls *out)
{
    int exchange = SSL_CIPHER_get_kx_nid(cipher);
    bool is_rsa_only = exchange == NID_kx_rsa || exchange == NID_kx_any;

    snprintf(out->key_exchange, sizeof out->key_exchange, "%s%s", WORD_OF(key_exchanges, exchange),
             is_rsa_only ? "" : WORD_OF(authentications, SSL_CIPHER_get_auth_nid(cipher)));
    snprintf(out->cipher, sizeof out->cipher, "%s", WORD_OF(ciphers, SSL_CIPHER_get_cipher_nid(cipher)));
    snprintf(out->hash, sizeof out->hash, "%s", WORD_OF(hashes, SSL_CIPHER_get_digest_nid(cipher)));
}

/* "2026-11-22T14:05:35Z" */
static void print_time(const ASN1_TIME *time, char out[32])
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1 || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, 32, "unknown");
}

static void describe_peer(const X509 *certificate, struct session_tls *out)
{
    char begin[32], end[32], both[80];

    out->subject = tls_peer_name(X509_get_subject_name(certificate));
    out->issuer = tls_peer_name(X509_get_issuer_name(certificate));
    print_time(X509_get0_notBefore(certificate), begin);
    print_time(X509_get0_notAfter(certificate), end);
    snprintf(both, sizeof both, "%s - %s", begin, end);
    out->validity = xstrdup(both);
}

void tls_describe(const struct ssl_st *tls, struct session_tls *out)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls);
    const X509 *certificate = SSL_get0_peer_certificate(tls);

    *out = (struct session_tls){.protocol = ""};
    snprintf(out->protocol, sizeof out->protocol, "%s", SSL_get_version(tls)); /* "TLSv1.3" */
    for (char *c = out->protocol; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (cipher)
        describe_cipher(cipher, out);
    if (certificate)
        describe_peer(certificate, out);
}

void tls_description_clear(struct session_tls *description)
{
    free(description->subject);
    free(description->issuer);
    free(description->validity);
}
