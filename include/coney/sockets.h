/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that listen: non-blocking, closed on exec. Any thread. */
#ifndef CONEY_SOCKETS_H
#define CONEY_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#define SOCKET_HOST_SIZE 48
#define SOCKET_TEXT_SIZE 64

/* Listen on HOST, an address in numbers; empty or "::": every one, of IPv4 too. PORT 0: any that is free.
 * Returns the descriptor, or -1 with errno. */
int socket_listen(const char *host, uint16_t port, unsigned backlog);

/* Listen on the UNIX socket PATH with MODE, in place of one that nobody listens to any more. */
int socket_listen_unix(const char *path, unsigned mode, unsigned backlog);

/* The address that FD is bound to, in numbers; false when it has none. */
bool socket_address(int fd, char host[SOCKET_HOST_SIZE], uint16_t *port);

/* The same as one text, "127.0.0.1:5672" or "[::1]:5672". */
bool socket_text(int fd, char out[SOCKET_TEXT_SIZE]);

#endif
