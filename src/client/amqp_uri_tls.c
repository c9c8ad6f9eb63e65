/* SPDX-License-Identifier: Apache-2.0 */
/* amqp_uri.h: the TLS context that a URI asks for. */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "coney/amqp_uri.h"
#include "coney/tls_load.h"

static bool set_authorities(SSL_CTX *context, const struct amqp_uri *uri, char *why)
{
    if (!uri->verifies)
        return true;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (uri->depth >= 0)
        SSL_CTX_set_verify_depth(context, uri->depth);
    if (!uri->ca_file)
        return SSL_CTX_set_default_verify_paths(context) == 1 ||
               tls_refuse(why, AMQP_URI_WHY_SIZE, "the system's authorities cannot be read");
    return SSL_CTX_load_verify_file(context, uri->ca_file) == 1 ||
           tls_refuse(why, AMQP_URI_WHY_SIZE, "cacertfile %s cannot be read", uri->ca_file);
}

static bool set_certificate(SSL_CTX *context, const struct amqp_uri *uri, char *why)
{
    const char *key_file = uri->key_file ? uri->key_file : uri->certificate_file;

    return !uri->certificate_file ||
           tls_load_pair(context, uri->certificate_file, key_file, uri->key_password, why, AMQP_URI_WHY_SIZE);
}

struct ssl_ctx_st *amqp_uri_tls(const struct amqp_uri *uri, char why[AMQP_URI_WHY_SIZE])
{
    SSL_CTX *context;

    ERR_clear_error();
    context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        tls_refuse(why, AMQP_URI_WHY_SIZE, "OpenSSL refuses to begin");
    } else if (set_authorities(context, uri, why) && set_certificate(context, uri, why)) {
        SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
        return context;
    }
    SSL_CTX_free(context);
    return NULL;
}
