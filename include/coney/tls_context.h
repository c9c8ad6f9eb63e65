/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From ssl_options.* to what OpenSSL needs for handshakes: one context for everybody, and one for each server
 * name that has a certificate of its own. Made whole or not at all, and never changed afterwards; handshakes
 * under way keep what they began with. Not thread-safe.
 */
#ifndef CONEY_TLS_CONTEXT_H
#define CONEY_TLS_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

struct config_tls;
struct ssl_ctx_st;
struct tls_contexts;
struct tls_tickets;

#define TLS_WHY_SIZE 400

/* Read certificates, keys, authorities and the revocation list. NULL with WHY, which names the file, when
 * something is missing or does not fit. */
struct tls_contexts *tls_contexts_new(const struct config_tls *config, char why[TLS_WHY_SIZE]);

/* Who made them and each handshake is a user; they are freed when the last one leaves. NULL may leave too. */
struct tls_contexts *tls_contexts_enter(struct tls_contexts *contexts);
void tls_contexts_leave(struct tls_contexts *contexts);

/* The context to begin handshakes with; it finds the others by the name that the client asks for. */
struct ssl_ctx_st *tls_contexts_first(const struct tls_contexts *contexts);

/* Keys of session tickets; NULL: there are no tickets. */
struct tls_tickets *tls_contexts_tickets(const struct tls_contexts *contexts);

/* Seconds since 1970: when the first of the certificates ends, chains included. */
int64_t tls_contexts_expiry(const struct tls_contexts *contexts);

/* The same of one certificate, with its chain. */
struct tls_certificate {
    char *name; /* of the server, that clients ask for; empty: of all others */
    char *file;
    int64_t expiry; /* 0: not known */
};

/* All of them; the array is the contexts'. */
const struct tls_certificate *tls_contexts_certificates(const struct tls_contexts *contexts, size_t *count);

#endif
