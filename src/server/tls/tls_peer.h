/* SPDX-License-Identifier: Apache-2.0 */
/* What a client's certificate says about who it is (cli-and-metrics.md 6.2, RabbitMQ 3.10). */
#ifndef SERVER_TLS_PEER_H
#define SERVER_TLS_PEER_H

#include <stdint.h>

#include "coney/config.h"

struct X509_name_st;
struct ssl_st;

/* A distinguished name as RabbitMQ writes it, "CN=client,O=Example"; to be freed. NULL: it cannot be. */
char *tls_peer_name(const struct X509_name_st *name);

/* The user's name for the mechanism EXTERNAL: common name, distinguished name or the INDEX-th alternative
 * name of type SAN, of the certificate that TLS verified. To be freed; NULL when there is no such certificate
 * or no such name in it. */
char *tls_peer_login(const struct ssl_st *tls, enum config_cert_login from, enum config_cert_san san,
                     uint32_t index);

#endif
