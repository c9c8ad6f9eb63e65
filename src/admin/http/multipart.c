/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multipart.h. A body is
 *
 *     --BOUNDARY CRLF headers CRLF CRLF contents CRLF --BOUNDARY ... --BOUNDARY--
 */
#include "multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DELIMITER_SIZE 80 /* a boundary has up to 70 characters */
#define HEADERS_MAX    4096

bool is_multipart(const char *content_type)
{
    return content_type && strncasecmp(content_type, "multipart/form-data", 19) == 0;
}

/* "\r\n--BOUNDARY"; false when the type names none. */
static bool make_delimiter(const char *content_type, char out[DELIMITER_SIZE])
{
    const char *at = strcasestr(content_type, "boundary=");
    size_t size;

    if (!at)
        return false;
    at += strlen("boundary=");
    at += *at == '"';
    size = strcspn(at, "\";, \t");
    return size && size <= 70 && snprintf(out, DELIMITER_SIZE, "\r\n--%.*s", (int)size, at) > 0;
}

static const uint8_t *find(struct bytes in, const char *text)
{
    return in.size ? memmem(in.data, in.size, text, strlen(text)) : NULL;
}

static struct bytes behind(struct bytes in, const uint8_t *at)
{
    return (struct bytes){at, (size_t)(in.data + in.size - at)};
}

/* Whether HEADERS, each line of which ends with CRLF, say that the part is the field NAME. */
static bool is_field(struct bytes headers, const char *name)
{
    char text[HEADERS_MAX], wanted[64];
    const char *disposition, *end;

    if (headers.size >= sizeof text)
        return false;
    *put_bytes((uint8_t *)text, headers) = 0;
    disposition = strcasestr(text, "content-disposition:");
    if (!disposition)
        return false;
    end = strchr(disposition, '\n');
    snprintf(wanted, sizeof wanted, " name=\"%s\"", name);
    disposition = strstr(disposition, wanted);
    return disposition && (!end || disposition < end);
}

bool multipart_field(const char *content_type, struct bytes body, const char *name, struct bytes *out)
{
    char delimiter[DELIMITER_SIZE];
    const uint8_t *at;

    if (!is_multipart(content_type) || !make_delimiter(content_type, delimiter))
        return false;
    /* The first has no line before it. */
    at = find(body, delimiter + 2);
    while (at) {
        struct bytes rest = behind(body, at + strlen(delimiter + 2));
        const uint8_t *blank = find(rest, "\r\n\r\n"), *end;
        struct bytes contents;

        if (!blank)
            return false;
        contents = behind(rest, blank + 4);
        end = find(contents, delimiter);
        if (!end)
            return false;
        if (is_field((struct bytes){rest.data, (size_t)(blank - rest.data)}, name)) {
            *out = (struct bytes){contents.data, (size_t)(end - contents.data)};
            return true;
        }
        at = end + 2;
    }
    return false;
}
