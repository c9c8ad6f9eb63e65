/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the PROXY header's parser. However the octets come in pieces, the same is found: while a part is
 * incomplete it belongs to the header whole, so that it may be taken out of the socket; what follows a header
 * changes nothing.
 */
#include <string.h>

#include "fuzz.h"
#include "server/listen/proxy_protocol.h"
#include "server/session/peer.h"

static void check_found(const struct proxy_header *header, size_t size)
{
    char text[PEER_TEXT_SIZE];

    CHECK(header->size > 0 && header->size <= size && header->size <= PROXY_HEADER_MAX);
    CHECK(header->peer.family == PEER_UNKNOWN || header->is_proxied);
    CHECK(header->peer.family != PEER_UNIX); /* a proxy cannot make somebody come by a socket of ours */
    CHECK(strlen(peer_text(&header->peer, text)) < sizeof text);
    CHECK(header->peer.family != PEER_UNKNOWN || !peer_is_loopback(&header->peer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole, part;
    const char *why = NULL;
    enum proxy_result result = proxy_header_parse(data, size, &whole, &why);
    size_t at = 0;

    if (result == PROXY_HEADER)
        check_found(&whole, size);
    CHECK(result != PROXY_REFUSED || why);
    CHECK(result != PROXY_INCOMPLETE || size < PROXY_HEADER_MAX);
    while (at < size && proxy_header_parse(data, at, &part, &why) == PROXY_INCOMPLETE)
        at++;
    CHECK(at <= PROXY_HEADER_MAX);
    if (at == size)
        return 0;
    CHECK(proxy_header_parse(data, at, &part, &why) == result);
    if (result == PROXY_HEADER)
        CHECK(part.size == at && whole.size == at && part.is_proxied == whole.is_proxied &&
              part.peer.family == whole.peer.family && part.peer.port == whole.peer.port &&
              memcmp(part.peer.address, whole.peer.address, sizeof part.peer.address) == 0);
    return 0;
}
