/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end of a connection: the socket's peer, or whom a proxy names. Small, to be copied. */
#ifndef SERVER_PEER_H
#define SERVER_PEER_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

enum peer_family {
    PEER_UNKNOWN, /* a proxy does not say */
    PEER_IPV4,
    PEER_IPV6,
    PEER_UNIX, /* by a UNIX socket of ours */
};

struct peer {
    uint8_t family;      /* enum peer_family */
    uint8_t address[16]; /* in the network's order; of IPv4 the first four */
    uint16_t port;
};

#define PEER_TEXT_SIZE 64

/* An IPv4 address within IPv6 (::ffff:1.2.3.4) becomes what it is. */
struct peer peer_of(const struct sockaddr *address);

/* This end of the socket FD. */
struct peer peer_local(int fd);

/* Whether it is on this machine. */
bool peer_is_loopback(const struct peer *peer);

/* "127.0.0.1:50123", "[::1]:50123", "a UNIX socket" or "somebody", into OUT, which is returned. */
const char *peer_text(const struct peer *peer, char out[PEER_TEXT_SIZE]);

#endif
