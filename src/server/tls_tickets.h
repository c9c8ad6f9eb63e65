/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of TLS session tickets, new every hour, and all at once when certificates are replaced: a ticket must
 * not pass by a certificate that was revoked meanwhile. Thread-safe.
 */
#ifndef SERVER_TLS_TICKETS_H
#define SERVER_TLS_TICKETS_H

#include <stdbool.h>

struct ssl_ctx_st;
struct tls_tickets;

struct tls_tickets *tls_tickets_new(void);
void tls_tickets_free(struct tls_tickets *tickets);

/* Forget all keys: clients have to shake hands anew. */
void tls_tickets_renew(struct tls_tickets *tickets);

/* Have CONTEXT make and take tickets; TICKETS, which must outlive it, NULL: none. False when OpenSSL refuses.
 */
bool tls_tickets_use(struct tls_tickets *tickets, struct ssl_ctx_st *context);

#endif
