/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of TLS: keys, certificates and revocation lists, made when they are wanted, and handshakes in
 * memory. What OpenSSL refuses here ends the program: it is no test's business.
 */
#ifndef TESTS_SERVER_TLS_KIT_H
#define TESTS_SERVER_TLS_KIT_H

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

#include "coney/config.h"
#include "desk.h"

struct kit_part {
    int nid;
    int type; /* V_ASN1_* */
    const void *value;
    int size; /* -1: up to its NUL */
    int set;  /* of X509_NAME_add_entry(): 0 a relative name of its own, -1 with the one before */
};

/* A certificate and its key. */
struct kit_pair {
    X509 *certificate;
    EVP_PKEY *key;
};

/* Signed by ISSUER, NULL: by itself, and then an authority. Good from FROM_S to TO_S seconds from now. PARTS
 * ends with a nid of 0; ALTERNATIVE_NAMES may be NULL. */
struct kit_pair kit_certificate(const struct kit_part *parts, GENERAL_NAMES *alternative_names,
                                const struct kit_pair *issuer, long from_s, long to_s);

/* The same with a common name only, for an hour. */
struct kit_pair kit_simple(const char *common_name, const struct kit_pair *issuer);
void kit_pair_free(struct kit_pair *pair);

/* A folder for files, removed with what is in it. */
void kit_open(void);
void kit_close(void);

/* Path of the file NAME in it; the text is the next call's but one or so. */
const char *kit_path(const char *name);

/* Write files into it. PASSWORD of a key in PKCS#8, NULL: not encrypted. */
void kit_write(const char *name, const char *text);
void kit_write_certificate(const char *name, const struct kit_pair *pair, const struct kit_pair *chain);
void kit_write_key(const char *name, const struct kit_pair *pair, const char *password);
void kit_write_revocation(const char *name, const struct kit_pair *issuer, const struct kit_pair *revoked);

/* What is configured by default, and ca.pem, server.pem and server.key. */
struct config_tls kit_config(void);

/* Both ends of a connection in memory. */
struct kit_ends {
    SSL *client, *server;
};

/* A client's context that verifies nothing; PAIR, NULL: none, is its certificate. */
SSL_CTX *kit_client(const struct kit_pair *pair);

/* Shake hands in memory, the client asking for NAME and bringing SESSION; either may be NULL. Tell whether
 * both ends have succeeded; kit_ends_free() in any case. */
bool kit_shake(struct kit_ends *ends, SSL_CTX *client, SSL_CTX *server, const char *name,
               SSL_SESSION *session);
void kit_ends_free(struct kit_ends *ends);

/* Connect to DESK through TLS over a socket pair: a client's end that does not block. BUFFER as of
 * desk_connect(). SSL_free() it and close its descriptor. */
SSL *kit_connect(struct desk *desk, SSL_CTX *client, SSL_CTX *server, int buffer);

/* Of the certificate that the client was shown; empty: none. Valid until the next call. */
const char *kit_shown_name(const struct kit_ends *ends);

#endif
