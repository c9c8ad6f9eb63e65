/* SPDX-License-Identifier: Apache-2.0 */
/* amqp_uri.h: the TLS context that a URI asks for. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "coney/amqp_uri.h"

static bool refuse(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What is wrong, and what OpenSSL says to it. */
static bool refuse(char *why, const char *format, ...)
{
    unsigned long error = ERR_peek_error(); /* the first: those after it say where it came from */
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    va_list arguments;
    int used;

    va_start(arguments, format);
    used = vsnprintf(why, AMQP_URI_WHY_SIZE, format, arguments);
    va_end(arguments);
    if (error && used >= 0 && used < AMQP_URI_WHY_SIZE)
        snprintf(why + used, (size_t)(AMQP_URI_WHY_SIZE - used), ": %s",
                 reason ? reason : strerror((int)ERR_GET_REASON(error)));
    ERR_clear_error();
    return false;
}

static int give_password(char *to, int size, int is_writing, void *arg)
{
    const char *password = arg ? arg : "";
    size_t length = strlen(password);

    (void)is_writing;
    if (length > (size_t)size)
        return 0;
    memcpy(to, password, length);
    return (int)length;
}

static bool set_authorities(SSL_CTX *context, const struct amqp_uri *uri, char *why)
{
    if (!uri->verifies)
        return true;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (uri->depth >= 0)
        SSL_CTX_set_verify_depth(context, uri->depth);
    if (!uri->ca_file)
        return SSL_CTX_set_default_verify_paths(context) == 1 ||
               refuse(why, "the system's authorities cannot be read");
    return SSL_CTX_load_verify_file(context, uri->ca_file) == 1 ||
           refuse(why, "cacertfile %s cannot be read", uri->ca_file);
}

static bool set_certificate(SSL_CTX *context, const struct amqp_uri *uri, char *why)
{
    const char *key_file = uri->key_file ? uri->key_file : uri->certificate_file;

    if (!uri->certificate_file)
        return true;
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, uri->key_password);
    if (SSL_CTX_use_certificate_chain_file(context, uri->certificate_file) != 1)
        return refuse(why, "certfile %s cannot be read", uri->certificate_file);
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
        return refuse(why, "keyfile %s cannot be read, or is not the certificate's", key_file);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    return true;
}

struct ssl_ctx_st *amqp_uri_tls(const struct amqp_uri *uri, char why[AMQP_URI_WHY_SIZE])
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        refuse(why, "OpenSSL refuses to begin");
    } else if (set_authorities(context, uri, why) && set_certificate(context, uri, why)) {
        SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
        return context;
    }
    SSL_CTX_free(context);
    return NULL;
}
