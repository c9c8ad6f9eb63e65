/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY protocol's header, version 1 (a line of text) and 2 (binary): what a proxy says of its client
 * before the client's own octets. https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt
 */
#ifndef SERVER_PROXY_PROTOCOL_H
#define SERVER_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/session/peer.h"

/* The longest header that is taken: version 1 has 107 octets at most, version 2 addresses and some
 * extensions. */
#define PROXY_HEADER_MAX 2048

enum proxy_result {
    PROXY_HEADER,     /* it is whole */
    PROXY_INCOMPLETE, /* all octets so far belong to it */
    PROXY_REFUSED,
};

struct proxy_header {
    size_t size;      /* octets of the header */
    bool is_proxied;  /* false: the proxy speaks for itself, and its own address counts */
    struct peer peer; /* PEER_UNKNOWN when the proxy does not say */
};

/* Look at the SIZE octets that came first. With PROXY_REFUSED *WHY says what is wrong. */
enum proxy_result proxy_header_parse(const uint8_t *data, size_t size, struct proxy_header *out,
                                     const char **why);

#endif
