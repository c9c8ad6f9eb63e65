/* SPDX-License-Identifier: Apache-2.0 */
/* What was agreed on in a TLS handshake, and who the peer is, in RabbitMQ's words. */
#ifndef SERVER_TLS_DESCRIBE_H
#define SERVER_TLS_DESCRIBE_H

#include "coney/sessions.h"

struct ssl_st;

/* To be given back with tls_description_clear(). */
void tls_describe(const struct ssl_st *tls, struct session_tls *out);
void tls_description_clear(struct session_tls *description);

#endif
