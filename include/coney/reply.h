/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reply codes of close and return, and the text that goes with them (spec constants.tsv,
 * connection-and-channel.md 6.2 and 6.3).
 */
#ifndef CONEY_REPLY_H
#define CONEY_REPLY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum reply_code {
    REPLY_SUCCESS = 200,
    REPLY_CONTENT_TOO_LARGE = 311,
    REPLY_NO_ROUTE = 312,
    REPLY_NO_CONSUMERS = 313,
    REPLY_CONNECTION_FORCED = 320,
    REPLY_INVALID_PATH = 402,
    REPLY_ACCESS_REFUSED = 403,
    REPLY_NOT_FOUND = 404,
    REPLY_RESOURCE_LOCKED = 405,
    REPLY_PRECONDITION_FAILED = 406,
    REPLY_FRAME_ERROR = 501,
    REPLY_SYNTAX_ERROR = 502,
    REPLY_COMMAND_INVALID = 503,
    REPLY_CHANNEL_ERROR = 504,
    REPLY_UNEXPECTED_FRAME = 505,
    REPLY_RESOURCE_ERROR = 506,
    REPLY_NOT_ALLOWED = 530,
    REPLY_NOT_IMPLEMENTED = 540,
    REPLY_INTERNAL_ERROR = 541,
};

/* A reply text with its NUL: a short string is at most 255 octets. */
#define REPLY_TEXT_SIZE 256

/* The code's constant without its prefix, "PRECONDITION_FAILED"; "UNKNOWN" for a number that is no code. */
const char *reply_code_name(enum reply_code code);

/* Tell whether CODE closes the connection rather than the channel. A number that is no code counts as hard.
 */
bool reply_code_is_hard(enum reply_code code);

/* Write "NAME - explanation" to OUT, NUL-terminated, and return its length in octets. An explanation that
 * does not fit in 255 octets is cut so that "..." ends it at 255 octets or, where that would split a UTF-8
 * sequence, a little before (6.3). FORMAT may be NULL: the text is then the bare NAME, as basic.return's
 * NO_ROUTE and the INTERNAL_ERROR of a crash have it. */
size_t reply_text_format(char out[REPLY_TEXT_SIZE], enum reply_code code, const char *format,
                         va_list arguments) __attribute__((format(printf, 3, 0)));

/* The same with the arguments given directly. */
size_t reply_text(char out[REPLY_TEXT_SIZE], enum reply_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
