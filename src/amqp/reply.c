/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reply codes and texts: what a close or a return says. The codes are the table of reply.h; 4xx except 402,
 * and the 31x of basic.return, are soft (spec connection-and-channel.md 6.2).
 */
#include "coney/reply.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ELLIPSIS "..."

struct code {
    uint16_t code;
    bool is_hard;
    const char *name;
};

static const struct code codes[] = {
    {REPLY_SUCCESS, true, "REPLY_SUCCESS"},
    {REPLY_CONTENT_TOO_LARGE, false, "CONTENT_TOO_LARGE"},
    {REPLY_NO_ROUTE, false, "NO_ROUTE"},
    {REPLY_NO_CONSUMERS, false, "NO_CONSUMERS"},
    {REPLY_CONNECTION_FORCED, true, "CONNECTION_FORCED"},
    {REPLY_INVALID_PATH, true, "INVALID_PATH"},
    {REPLY_ACCESS_REFUSED, false, "ACCESS_REFUSED"},
    {REPLY_NOT_FOUND, false, "NOT_FOUND"},
    {REPLY_RESOURCE_LOCKED, false, "RESOURCE_LOCKED"},
    {REPLY_PRECONDITION_FAILED, false, "PRECONDITION_FAILED"},
    {REPLY_FRAME_ERROR, true, "FRAME_ERROR"},
    {REPLY_SYNTAX_ERROR, true, "SYNTAX_ERROR"},
    {REPLY_COMMAND_INVALID, true, "COMMAND_INVALID"},
    {REPLY_CHANNEL_ERROR, true, "CHANNEL_ERROR"},
    {REPLY_UNEXPECTED_FRAME, true, "UNEXPECTED_FRAME"},
    {REPLY_RESOURCE_ERROR, true, "RESOURCE_ERROR"},
    {REPLY_NOT_ALLOWED, true, "NOT_ALLOWED"},
    {REPLY_NOT_IMPLEMENTED, true, "NOT_IMPLEMENTED"},
    {REPLY_INTERNAL_ERROR, true, "INTERNAL_ERROR"},
};

static const struct code *code_find(enum reply_code code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].code == code)
            return &codes[i];
    }
    return NULL;
}

const char *reply_code_name(enum reply_code code)
{
    const struct code *found = code_find(code);

    return found != NULL ? found->name : "UNKNOWN";
}

bool reply_code_is_hard(enum reply_code code)
{
    const struct code *found = code_find(code);

    return found == NULL || found->is_hard;
}

/* Put the ellipsis where a text of 255 octets has to end, before a UTF-8 sequence that would be split. */
static size_t cut(char *out)
{
    size_t at = REPLY_TEXT_SIZE - sizeof ELLIPSIS;

    for (size_t back = 0; back < 3 && ((uint8_t)out[at] & 0xC0) == 0x80; back++)
        at--;
    memcpy(out + at, ELLIPSIS, sizeof ELLIPSIS);
    return at + sizeof ELLIPSIS - 1;
}

size_t reply_text_format(char out[REPLY_TEXT_SIZE], enum reply_code code, const char *format,
                         va_list arguments)
{
    size_t size;
    int more;

    if (format == NULL)
        return (size_t)snprintf(out, REPLY_TEXT_SIZE, "%s", reply_code_name(code));
    size = (size_t)snprintf(out, REPLY_TEXT_SIZE, "%s - ", reply_code_name(code));
    more = vsnprintf(out + size, REPLY_TEXT_SIZE - size, format, arguments);
    if (more < 0) /* the C library could not format it: better no explanation than none of the reply */
        return size;
    if (size + (size_t)more >= REPLY_TEXT_SIZE)
        return cut(out);
    return size + (size_t)more;
}

size_t reply_text(char out[REPLY_TEXT_SIZE], enum reply_code code, const char *format, ...)
{
    va_list arguments;
    size_t size;

    va_start(arguments, format);
    size = reply_text_format(out, code, format, arguments);
    va_end(arguments);
    return size;
}
