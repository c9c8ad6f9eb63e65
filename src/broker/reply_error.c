/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of requests, with the texts that several kinds of entity share.
 */
#include "coney/reply_error.h"

#include <stdarg.h>
#include <stdio.h>

bool reply_error_set(struct reply_error *error, enum reply_code code, const char *format, ...)
{
    va_list arguments;

    error->code = code;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

bool reply_error_inequivalent(struct reply_error *error, const char *key, const char *kind, struct bytes name,
                              struct bytes vhost, const char *received, const char *current)
{
    return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                           "inequivalent arg '%s' for %s '%.*s' in vhost '%.*s': "
                           "received %s but current is %s",
                           key, kind, BYTES_ARG(name), BYTES_ARG(vhost), received, current);
}

bool reply_error_check_flag(struct reply_error *error, const char *key, const char *kind, struct bytes name,
                            struct bytes vhost, bool received, bool current)
{
    if (received == current)
        return true;
    return reply_error_inequivalent(error, key, kind, name, vhost, received ? "'true'" : "'false'",
                                    current ? "'true'" : "'false'");
}
