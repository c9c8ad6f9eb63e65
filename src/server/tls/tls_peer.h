/* SPDX-License-Identifier: Apache-2.0 */
/* What a client's certificate says about who it is (cli-and-metrics.md 6.2, RabbitMQ 3.10). */
#ifndef SERVER_TLS_PEER_H
#define SERVER_TLS_PEER_H

#include <stdint.h>

#include "coney/config.h"

struct X509_name_st;
struct x509_st;
struct ssl_st;

/* A distinguished name as RabbitMQ writes it, "CN=client,O=Example"; to be freed. NULL: it cannot be. */
char *tls_peer_name(const struct X509_name_st *name);

/* The user's name in CERTIFICATE: common name, distinguished name or the INDEX-th alternative name of type
 * SAN. To be freed; NULL when there is no such name. */
char *tls_peer_name_in(const struct x509_st *certificate, enum config_cert_login from,
                       enum config_cert_san san, uint32_t index);

/* The same for the mechanism EXTERNAL, of the certificate that TLS verified; NULL also when there is none. */
char *tls_peer_login(const struct ssl_st *tls, enum config_cert_login from, enum config_cert_san san,
                     uint32_t index);

#endif
