/* SPDX-License-Identifier: Apache-2.0 */
/* peer.h */
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct peer peer_of(const struct sockaddr *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    struct peer peer = {0};

    if (address->sa_family == AF_UNIX) {
        peer.family = PEER_UNIX;
    } else if (address->sa_family == AF_INET) {
        peer.family = PEER_IPV4;
        peer.port = ntohs(v4->sin_port);
        memcpy(peer.address, &v4->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        bool is_mapped = memcmp(&v6->sin6_addr, mapped, sizeof mapped) == 0;

        peer.family = is_mapped ? PEER_IPV4 : PEER_IPV6;
        peer.port = ntohs(v6->sin6_port);
        memcpy(peer.address, v6->sin6_addr.s6_addr + (is_mapped ? 12 : 0), is_mapped ? 4 : 16);
    }
    return peer;
}

struct peer peer_local(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return (struct peer){.family = PEER_UNKNOWN};
    return peer_of((struct sockaddr *)&address);
}

bool peer_is_loopback(const struct peer *peer)
{
    switch (peer->family) {
    case PEER_IPV4:
        return peer->address[0] == 127;
    case PEER_IPV6:
        return memcmp(peer->address, &in6addr_loopback, sizeof peer->address) == 0;
    default:
        return peer->family == PEER_UNIX;
    }
}

const char *peer_text(const struct peer *peer, char out[PEER_TEXT_SIZE])
{
    char address[INET6_ADDRSTRLEN] = "";

    switch (peer->family) {
    case PEER_IPV4:
        inet_ntop(AF_INET, peer->address, address, sizeof address);
        snprintf(out, PEER_TEXT_SIZE, "%s:%u", address, peer->port);
        break;
    case PEER_IPV6:
        inet_ntop(AF_INET6, peer->address, address, sizeof address);
        snprintf(out, PEER_TEXT_SIZE, "[%s]:%u", address, peer->port);
        break;
    default:
        snprintf(out, PEER_TEXT_SIZE, peer->family == PEER_UNIX ? "a UNIX socket" : "somebody");
    }
    return out;
}
