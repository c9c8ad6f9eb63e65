/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a request, as its close will say it: a reply code and the explanation. Whoever finds the
 * error writes the explanation; whoever sends the close adds "NAME - " and cuts it to a short string
 * (reply_text_format, reply.h).
 */
#ifndef CONEY_REPLY_ERROR_H
#define CONEY_REPLY_ERROR_H

#include "coney/bytes.h"
#include "coney/reply.h"

struct reply_error {
    enum reply_code code;
    /* The explanation without its "NAME - ", NUL-terminated. Names in it end at a NUL octet of theirs. A
     * longer text is cut here: with its prefix it would not have fitted in a short string either. */
    char text[REPLY_TEXT_SIZE];
};

/* Set CODE and the text. Returns false, so that a check can end with `return reply_error_set(...)`. */
bool reply_error_set(struct reply_error *error, enum reply_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* 406 "inequivalent arg 'KEY' for KIND 'NAME' in vhost 'VHOST': received RECEIVED but current is CURRENT"
 * (exchanges-queues-bindings.md 3.3). KIND is "queue" or "exchange". RECEIVED and CURRENT are printed as they
 * are: a plain value comes with its quotes. Returns false. */
bool reply_error_inequivalent(struct reply_error *error, const char *key, const char *kind, struct bytes name,
                              struct bytes vhost, const char *received, const char *current);

/* The same for durable, auto_delete and internal: "received 'true' but current is 'false'". True, and ERROR
 * untouched, when both are equal. */
bool reply_error_check_flag(struct reply_error *error, const char *key, const char *kind, struct bytes name,
                            struct bytes vhost, bool received, bool current);

#endif
