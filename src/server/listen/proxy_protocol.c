/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy_protocol.h. Strict where the text of the protocol is: a header decides who is on this machine, so
 * nothing is guessed. What is told about a client that the proxy does not know is that it is not known, never
 * that it is the proxy.
 *
 *     version 1    PROXY TCP4|TCP6|UNKNOWN SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT\r\n
 *     version 2    signature (12)  version, command (1)  family, protocol (1)  length (2)  addresses
 * extensions
 */
#include "proxy_protocol.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#define LINE_MAX_SIZE 107
#define FIXED_SIZE    16 /* of version 2 */

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const char word[] = "PROXY ";

static enum proxy_result refuse(const char **why, const char *text)
{
    *why = text;
    return PROXY_REFUSED;
}

/* ---- version 1 ---- */

/* The next word of the line, which ends at END; *REST goes behind the blank after it. False when there is
 * none, or it is too long for OUT. */
static bool next_word(const char **rest, const char *end, char out[INET6_ADDRSTRLEN])
{
    const char *at = *rest, *blank = memchr(at, ' ', (size_t)(end - at));
    size_t size = (size_t)((blank ? blank : end) - at);

    if (!size || size >= INET6_ADDRSTRLEN)
        return false;
    memcpy(out, at, size);
    out[size] = '\0';
    *rest = blank ? blank + 1 : end;
    return true;
}

/* A port without sign, blanks or needless zeros. */
static bool to_port(const char *text, uint16_t *out)
{
    unsigned port = 0;

    if (text[0] == '0' && text[1])
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || port > UINT16_MAX)
            return false;
        port = port * 10 + (unsigned)(*text - '0');
    }
    *out = (uint16_t)port;
    return port <= UINT16_MAX;
}

static bool parse_addresses(const char *at, const char *end, int family, struct peer *peer)
{
    char words[4][INET6_ADDRSTRLEN];
    uint8_t destination[16];
    uint16_t port;

    for (int i = 0; i < 4; i++)
        if (!next_word(&at, end, words[i]))
            return false;
    peer->family = family == AF_INET ? PEER_IPV4 : PEER_IPV6;
    return at == end && end[-1] != ' ' && inet_pton(family, words[0], peer->address) == 1 &&
           inet_pton(family, words[1], destination) == 1 && to_port(words[2], &peer->port) &&
           to_port(words[3], &port);
}

static bool parse_line(const char *line, const char *end, struct peer *peer)
{
    size_t size = (size_t)(end - line);

    if (size >= 7 && memcmp(line, "UNKNOWN", 7) == 0)
        return size == 7 || line[7] == ' ';
    if (size > 5 && memcmp(line, "TCP4 ", 5) == 0)
        return parse_addresses(line + 5, end, AF_INET, peer);
    return size > 5 && memcmp(line, "TCP6 ", 5) == 0 && parse_addresses(line + 5, end, AF_INET6, peer);
}

static enum proxy_result parse_text(const uint8_t *data, size_t size, struct proxy_header *out,
                                    const char **why)
{
    size_t most = size < LINE_MAX_SIZE ? size : LINE_MAX_SIZE;
    const uint8_t *end = memchr(data, '\r', most);

    if (!end)
        return size < LINE_MAX_SIZE ? PROXY_INCOMPLETE : refuse(why, "its line does not end");
    if ((size_t)(end - data) + 1 == size)
        return size < LINE_MAX_SIZE ? PROXY_INCOMPLETE : refuse(why, "its line does not end");
    if (end[1] != '\n')
        return refuse(why, "its line does not end");
    *out = (struct proxy_header){.size = (size_t)(end - data) + 2, .is_proxied = true};
    if (out->size > LINE_MAX_SIZE ||
        !parse_line((const char *)data + strlen(word), (const char *)end, &out->peer))
        return refuse(why, "its line cannot be understood");
    return PROXY_HEADER;
}

/* ---- version 2 ---- */

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* Addresses by the octet of family and protocol; the ports follow both addresses. */
static enum proxy_result parse_source(const uint8_t *data, size_t length, struct peer *peer, const char **why)
{
    const uint8_t *addresses = data + FIXED_SIZE;
    size_t each;

    switch (data[13]) {
    case 0x00: /* not known */
        return PROXY_HEADER;
    case 0x11:
        peer->family = PEER_IPV4;
        each = 4;
        break;
    case 0x21:
        peer->family = PEER_IPV6;
        each = 16;
        break;
    case 0x31: /* a UNIX socket of the proxy's machine, which need not be this one */
        return length < 216 ? refuse(why, "it is too short for its addresses") : PROXY_HEADER;
    default:
        return refuse(why, "its family or protocol is none of a stream's");
    }
    if (length < 2 * each + 4)
        return refuse(why, "it is too short for its addresses");
    memcpy(peer->address, addresses, each);
    peer->port = get_u16(addresses + 2 * each);
    return PROXY_HEADER;
}

static enum proxy_result parse_binary(const uint8_t *data, size_t size, struct proxy_header *out,
                                      const char **why)
{
    size_t length;

    if (size < FIXED_SIZE)
        return PROXY_INCOMPLETE;
    length = get_u16(data + 14);
    if (data[12] != 0x20 && data[12] != 0x21)
        return refuse(why, "its version or command is not known");
    if (FIXED_SIZE + length > PROXY_HEADER_MAX)
        return refuse(why, "it is too long");
    if (size < FIXED_SIZE + length)
        return PROXY_INCOMPLETE;
    *out = (struct proxy_header){.size = FIXED_SIZE + length, .is_proxied = data[12] == 0x21};
    return out->is_proxied ? parse_source(data, length, &out->peer, why) : PROXY_HEADER;
}

/* ---- either ---- */

enum proxy_result proxy_header_parse(const uint8_t *data, size_t size, struct proxy_header *out,
                                     const char **why)
{
    size_t of_word = size < strlen(word) ? size : strlen(word);
    size_t of_signature = size < sizeof signature ? size : sizeof signature;

    if (!size)
        return PROXY_INCOMPLETE;
    if (memcmp(data, word, of_word) == 0)
        return of_word < strlen(word) ? PROXY_INCOMPLETE : parse_text(data, size, out, why);
    if (memcmp(data, signature, of_signature) == 0)
        return parse_binary(data, size, out, why);
    return refuse(why, "there is none");
}
