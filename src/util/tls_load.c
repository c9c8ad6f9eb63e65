/* SPDX-License-Identifier: Apache-2.0 */
/* tls_load.h. The password is known to a context only while its files are read. */
#include "coney/tls_load.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool tls_refuse_list(char *why, size_t size, const char *format, va_list arguments)
{
    unsigned long error = ERR_peek_error(); /* the first: those after it say where it came from */
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    int used = vsnprintf(why, size, format, arguments);

    if (error && used >= 0 && (size_t)used < size)
        snprintf(why + used, size - (size_t)used, ": %s",
                 reason ? reason : strerror((int)ERR_GET_REASON(error)));
    ERR_clear_error();
    return false;
}

bool tls_refuse(char *why, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tls_refuse_list(why, size, format, arguments);
    va_end(arguments);
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

bool tls_load_pair(struct ssl_ctx_st *context, const char *certfile, const char *keyfile,
                   const char *password, char *why, size_t size)
{
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, (void *)(uintptr_t)password);
    if (SSL_CTX_use_certificate_chain_file(context, certfile) != 1)
        return tls_refuse(why, size, "%s: cannot be taken as a certificate", certfile);
    if (SSL_CTX_use_PrivateKey_file(context, keyfile, SSL_FILETYPE_PEM) != 1)
        return tls_refuse(why, size, "%s: cannot be taken as the key of %s", keyfile, certfile);
    if (SSL_CTX_check_private_key(context) != 1)
        return tls_refuse(why, size, "%s: is not the key of %s", keyfile, certfile);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    return true;
}
