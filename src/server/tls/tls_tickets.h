/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of TLS session tickets, new every hour. They belong to the contexts of one set of certificates and end
 * with it: a ticket must not pass by a certificate that was revoked meanwhile. Thread-safe.
 */
#ifndef SERVER_TLS_TICKETS_H
#define SERVER_TLS_TICKETS_H

#include <stdbool.h>

struct ssl_ctx_st;
struct tls_tickets;

struct tls_tickets *tls_tickets_new(void);
void tls_tickets_free(struct tls_tickets *tickets);

/* Forget keys that are too old; whoever makes or opens a ticket does so too. */
void tls_tickets_tend(struct tls_tickets *tickets);

/* For tests: as if SECONDS had passed. */
void tls_tickets_age(struct tls_tickets *tickets, unsigned seconds);

/* Have CONTEXT make and take tickets; TICKETS, which must outlive its handshakes, NULL: none. False when
 * OpenSSL refuses. */
bool tls_tickets_use(struct tls_tickets *tickets, struct ssl_ctx_st *context);

#endif
