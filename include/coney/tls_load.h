/* SPDX-License-Identifier: Apache-2.0 */
/* What listeners and clients of TLS both load into OpenSSL's contexts, and how they say what is wrong. */
#ifndef CONEY_TLS_LOAD_H
#define CONEY_TLS_LOAD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct ssl_ctx_st;

/* Say in WHY, of SIZE octets, what was being done, and behind it what OpenSSL says to it; its errors are
 * forgotten then. Gives false. */
bool tls_refuse(char *why, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with the arguments in a list. */
bool tls_refuse_list(char *why, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

/* Take the certificate in CERTFILE, with those that stand behind it, and its key in KEYFILE, which PASSWORD
 * opens (NULL: none; nobody is asked for one). False with WHY, which names the file, when one of them is not
 * sound or they do not belong together. */
bool tls_load_pair(struct ssl_ctx_st *context, const char *certfile, const char *keyfile,
                   const char *password, char *why, size_t size);

#endif
